"""The survey grid: one immutable object that owns CRS, origin, cell size and shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info
from pyproj.exceptions import CRSError
from rasterio.transform import Affine

from hazardrank.errors import GridError

Bounds = tuple[float, float, float, float]
"""West, south, east, north in metres."""


@lru_cache(maxsize=64)
def projected_crs(code: str) -> CRS:
    """Return the CRS of an authority code, if a survey grid may use it.

    Parameters
    ----------
    code : str
        Authority code such as ``"EPSG:32638"``.

    Raises
    ------
    GridError
        If the code is unknown, not EPSG, geographic, or not in metres.
    """
    try:
        crs = CRS.from_user_input(code)
    except CRSError:
        raise GridError(
            f"'{code}' is not a known CRS", remedy="Give an EPSG code such as EPSG:32638."
        ) from None
    if crs.is_geographic:
        raise GridError(
            f"{code} is geographic (degrees); a survey grid needs metres", remedy=_utm_advice(crs)
        )
    if crs.to_epsg() is None:
        raise GridError(f"{code} has no EPSG code; cell ids need one")
    if not crs.is_projected or {axis.unit_name for axis in crs.axis_info} != {"metre"}:
        raise GridError(f"{code} is not a projected CRS in metres", remedy="Use a UTM zone.")
    return crs


def _utm_advice(crs: CRS) -> str:
    area = crs.area_of_use
    if area is None or area.east - area.west > 12:
        return "Use the UTM zone of the area, EPSG:326NN north or EPSG:327NN south of the equator."
    return f"Use its UTM zone, {utm_code((area.west, area.south, area.east, area.north))}."


def utm_code(bounds_deg: Bounds) -> str:
    """Return the EPSG code of the WGS 84 UTM zone at the middle of `bounds_deg` (degrees)."""
    longitude = (bounds_deg[0] + bounds_deg[2]) / 2
    latitude = (bounds_deg[1] + bounds_deg[3]) / 2
    zones = query_utm_crs_info(
        datum_name="WGS 84",
        area_of_interest=AreaOfInterest(longitude, latitude, longitude, latitude),
    )
    return f"EPSG:{zones[0].code}" if zones else "a projected CRS in metres"


@dataclass(frozen=True)
class SurveyGrid:
    """A north-up grid of square cells whose origin is a multiple of the cell size.

    Grids of one CRS and cell size therefore nest: a cell has the same id in all of them.

    Parameters
    ----------
    crs : str
        EPSG code of a projected CRS in metres.
    cell_size_m : int
        Side of a cell in whole metres.
    west_cell, north_cell : int
        Western and northern edge, counted in cells from the CRS origin.
    n_rows, n_cols : int
        Shape. Row 0 is the northernmost.

    Raises
    ------
    GridError
        If the CRS is geographic or not metric, or the shape is empty.
    """

    crs: str
    cell_size_m: int
    west_cell: int
    north_cell: int
    n_rows: int
    n_cols: int

    def __post_init__(self) -> None:
        if self.cell_size_m != int(self.cell_size_m) or self.cell_size_m < 1:
            raise GridError(f"cell size {self.cell_size_m} m is not a whole number of metres")
        object.__setattr__(self, "cell_size_m", int(self.cell_size_m))
        object.__setattr__(self, "crs", f"EPSG:{projected_crs(self.crs).to_epsg()}")
        if self.n_rows < 1 or self.n_cols < 1:
            raise GridError(f"the grid has {self.n_rows} rows and {self.n_cols} columns")

    @classmethod
    def covering(cls, crs: str, cell_size_m: float, bounds: Bounds) -> SurveyGrid:
        """Return the smallest grid whose cells cover `bounds` (metres, in `crs`).

        Raises
        ------
        GridError
            If the bounds are not finite or are empty.
        """
        west, south, east, north = bounds
        if not all(map(math.isfinite, bounds)) or not (west < east and south < north):
            raise GridError(f"bounds {bounds} are empty or not finite")
        west_cell = math.floor(west / cell_size_m)
        north_cell = math.ceil(north / cell_size_m)
        n_cols = math.ceil(east / cell_size_m) - west_cell
        n_rows = north_cell - math.floor(south / cell_size_m)
        return cls(crs, int(cell_size_m), west_cell, north_cell, n_rows, n_cols)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.n_rows, self.n_cols

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.n_rows * self.n_cols

    @property
    def cell_area_m2(self) -> float:
        """Area of a cell in m²."""
        return float(self.cell_size_m) ** 2

    @property
    def west_m(self) -> float:
        """Easting of the western edge."""
        return float(self.west_cell * self.cell_size_m)

    @property
    def north_m(self) -> float:
        """Northing of the northern edge."""
        return float(self.north_cell * self.cell_size_m)

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north in metres."""
        return (
            self.west_m,
            float((self.north_cell - self.n_rows) * self.cell_size_m),
            float((self.west_cell + self.n_cols) * self.cell_size_m),
            self.north_m,
        )

    @property
    def transform(self) -> Affine:
        """Affine from (column, row) to (easting, northing)."""
        return Affine(self.cell_size_m, 0, self.west_m, 0, -self.cell_size_m, self.north_m)

    def eastings(self) -> NDArray[np.float64]:
        """Return the eastings of the column centres, shape (n_cols,)."""
        return (self.west_cell + np.arange(self.n_cols, dtype=np.float64) + 0.5) * self.cell_size_m

    def northings(self) -> NDArray[np.float64]:
        """Return the northings of the row centres, shape (n_rows,)."""
        return (self.north_cell - np.arange(self.n_rows, dtype=np.float64) - 0.5) * self.cell_size_m

    def centres(
        self, rows: NDArray[np.integer], cols: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return easting and northing of the centres of the given cells."""
        easting = (self.west_cell + np.asarray(cols) + 0.5) * self.cell_size_m
        northing = (self.north_cell - np.asarray(rows) - 0.5) * self.cell_size_m
        return easting, northing

    def cells_of(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return row and column of the cells that hold the points.

        A point on a grid line belongs to the cell east and south of it, so to exactly
        one cell. Rows and columns outside the grid come back as they are.
        """
        cols = np.floor(np.asarray(easting) / self.cell_size_m).astype(np.int64) - self.west_cell
        rows = self.north_cell - np.ceil(np.asarray(northing) / self.cell_size_m).astype(np.int64)
        return rows, cols

    def cell_ids(self, rows: NDArray[np.integer], cols: NDArray[np.integer]) -> NDArray[np.object_]:
        """Return INSPIRE cell codes, e.g. ``CRS32638RES100mN4412300E601200``.

        The code holds the northing and easting of the cell's lower-left corner (INSPIRE
        D2.8.I.2, Geographical Grid Systems), so it is stable across runs and regions.
        """
        easting = (self.west_cell + np.asarray(cols, dtype=np.int64)) * self.cell_size_m
        northing = (self.north_cell - np.asarray(rows, dtype=np.int64) - 1) * self.cell_size_m
        prefix = f"CRS{self.crs.removeprefix('EPSG:')}RES{self.cell_size_m}m"
        return np.array(
            [f"{prefix}N{n}E{e}" for n, e in zip(northing.tolist(), easting.tolist(), strict=True)],
            dtype=object,
        )

    def part(self, row: int, col: int, n_rows: int, n_cols: int) -> SurveyGrid:
        """Return the grid of a rectangle of cells, which may reach beyond this grid."""
        return SurveyGrid(
            self.crs,
            self.cell_size_m,
            self.west_cell + col,
            self.north_cell - row,
            n_rows,
            n_cols,
        )

    def expanded(self, n_cells: int) -> SurveyGrid:
        """Return this grid with a halo of `n_cells` on every side."""
        return self.part(-n_cells, -n_cells, self.n_rows + 2 * n_cells, self.n_cols + 2 * n_cells)

    def offset_in(self, outer: SurveyGrid) -> tuple[int, int]:
        """Return row and column of this grid's first cell in `outer`.

        Raises
        ------
        GridError
            If the two grids do not nest.
        """
        if (self.crs, self.cell_size_m) != (outer.crs, outer.cell_size_m):
            raise GridError(
                f"grids do not match: {self.crs} at {self.cell_size_m} m and "
                f"{outer.crs} at {outer.cell_size_m} m",
                remedy="Read the layer onto this grid instead of resampling silently.",
            )
        return outer.north_cell - self.north_cell, self.west_cell - outer.west_cell

    def blocks(self, block_cells: int) -> Iterator[SurveyGrid]:
        """Yield the grid's blocks of `block_cells` squared, row by row.

        Edge blocks are smaller; together the blocks cover every cell once.
        """
        for row in range(0, self.n_rows, block_cells):
            for col in range(0, self.n_cols, block_cells):
                yield self.part(
                    row,
                    col,
                    min(block_cells, self.n_rows - row),
                    min(block_cells, self.n_cols - col),
                )

    def n_blocks(self, block_cells: int) -> int:
        """Return how many blocks :meth:`blocks` yields."""
        return math.ceil(self.n_rows / block_cells) * math.ceil(self.n_cols / block_cells)
