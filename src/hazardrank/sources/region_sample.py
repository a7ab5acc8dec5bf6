"""A lattice of points over a region, at which its files are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from hazardrank.grid import Bounds, SurveyGrid
from hazardrank.sources.geometries import transformer
from hazardrank.sources.raster_facts import RasterFacts
from hazardrank.sources.rasters import GDAL_CACHE_BYTES

#: Points along the longer side of the lattice.
POINTS_A_SIDE = 400
#: From this many cells on, a raster's overviews are used.
LARGE_RASTER_CELLS = 5e8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RegionSample:
    """Points of a regular lattice inside the area of interest.

    Parameters
    ----------
    grid : SurveyGrid
        The region's survey grid.
    step_m : float
        Distance between neighbouring points.
    shape : tuple of int
        Rows and columns of the lattice over the whole grid.
    inside : ndarray of bool, shape `shape`
        Which points lie in the area of interest.
    """

    grid: SurveyGrid
    step_m: float
    shape: tuple[int, int]
    inside: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        grid: SurveyGrid,
        area: shapely.Geometry | None = None,
        points_a_side: int = POINTS_A_SIDE,
    ) -> RegionSample:
        """Lay a lattice over a grid; no finer than its cells.

        Parameters
        ----------
        grid : SurveyGrid
            The region's survey grid.
        area : geometry, optional
            Area of interest in the grid's CRS; the whole grid when left out.
        points_a_side : int
            Points along the longer side.
        """
        west, south, east, north = grid.bounds
        longest_m = max(east - west, north - south)
        step_m = max(float(grid.cell_size_m), longest_m / points_a_side)
        shape = (math.ceil((north - south) / step_m), math.ceil((east - west) / step_m))
        sample = cls(grid, step_m, shape, np.ones(shape, bool))
        if area is None:
            return sample
        easting, northing = sample.points()
        shapely.prepare(area)
        inside = shapely.contains_xy(area, easting, northing).reshape(shape)
        return cls(grid, step_m, shape, inside)

    @property
    def n_inside(self) -> int:
        """Number of points in the area of interest."""
        return int(self.inside.sum())

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return easting and northing of the inside points, shape (n_inside,)."""
        rows, cols = (index.astype(np.float64) + 0.5 for index in np.nonzero(self.inside))
        return self.grid.west_m + cols * self.step_m, self.grid.north_m - rows * self.step_m

    def share_in_bounds(self, bounds: Bounds) -> float:
        """Return the share of the inside points that lie in bounds of the grid's CRS."""
        return share(_within(*self.points(), bounds), self.n_inside)


def _within(
    easting: NDArray[np.float64],
    northing: NDArray[np.float64],
    bounds: Bounds,
) -> NDArray[np.bool_]:
    west, south, east, north = bounds
    inside: NDArray[np.bool_] = (easting >= west) & (easting <= east)
    return inside & (northing >= south) & (northing <= north)


def share(of: NDArray[np.bool_], n: int) -> float:
    """Return the share of true values among `n`, 0 where there are none."""
    return float(of.sum()) / n if n else 0.0


@dataclass(frozen=True)
class RasterSample:
    """A raster's values at the points of a lattice.

    Parameters
    ----------
    values : ndarray of float64, shape (n_valid,)
        Values at the points that have one.
    coverage : float
        Share of the region's points that have a value.
    missing : float
        Share without a value among the points inside the raster's extent.
    """

    values: NDArray[np.float64]
    coverage: float
    missing: float


def sample_raster(raster: RasterFacts, sample: RegionSample) -> RasterSample:
    """Read a raster at the points of a lattice, each by the cell it lies in.

    The file's blocks are read one at a time, so that memory does not grow with the raster.
    A very large raster is read from an overview no coarser than the lattice, if it has one.

    Parameters
    ----------
    raster : RasterFacts
        The raster's band.
    sample : RegionSample
        The lattice.
    """
    col, row = _cells(raster, sample)
    in_extent = (row >= 0) & (row < raster.height) & (col >= 0) & (col < raster.width)
    col, row = col[in_extent], row[in_extent]
    with (
        rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES),
        rasterio.open(raster.path, **_overview(raster, sample)) as source,
    ):
        across, down = source.width / raster.width, source.height / raster.height
        stored, valid = _look_up(source, raster, col * across, row * down)
    valid &= np.isfinite(stored)
    if raster.nodata is not None:
        valid &= stored != raster.nodata
    values = stored[valid] * raster.scale + raster.offset
    return RasterSample(values, share(valid, sample.n_inside), share(~valid, len(valid)))


def _cells(raster: RasterFacts, sample: RegionSample) -> tuple[Floats, Floats]:
    """Return column and row of the inside points in the raster, shape (n_inside,)."""
    easting, northing = sample.points()
    change = transformer(sample.grid.crs, raster.crs)
    if change is not None:
        easting, northing = change.transform(easting, northing)
    back = ~raster.transform
    col = back.a * easting + back.b * northing + back.c
    row = back.d * easting + back.e * northing + back.f
    return col, row


def _overview(raster: RasterFacts, sample: RegionSample) -> dict[str, int]:
    """Return the overview to open a very large raster by, as an option of `rasterio.open`."""
    if raster.width * raster.height < LARGE_RASTER_CELLS:
        return {}
    with rasterio.open(raster.path) as source:
        factors = source.overviews(raster.band)
    pixel_m = raster.pixel_m(sample.grid)
    fitting = [level for level, factor in enumerate(factors) if factor * pixel_m <= sample.step_m]
    return {"overview_level": fitting[-1]} if fitting else {}


def _look_up(
    source: rasterio.DatasetReader, raster: RasterFacts, col: Floats, row: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the stored values of cells, and which are not masked, block by block."""
    cols = np.minimum(col.astype(np.int64), source.width - 1)
    rows = np.minimum(row.astype(np.int64), source.height - 1)
    height, width = source.block_shapes[raster.band - 1]
    block = (rows // height) * (source.width // width + 1) + cols // width
    order = np.argsort(block, kind="stable")
    stored, valid = np.empty(len(cols)), np.ones(len(cols), bool)
    starts = np.flatnonzero(np.diff(block[order], prepend=-1))
    for at in np.split(order, starts[1:]):
        if not len(at):
            continue
        top, left = rows[at[0]] // height * height, cols[at[0]] // width * width
        window = Window(
            left, top, min(width, source.width - left), min(height, source.height - top)
        )
        stored[at] = source.read(raster.band, window=window)[rows[at] - top, cols[at] - left]
        if raster.has_mask:
            mask = source.read_masks(raster.band, window=window)
            valid[at] = mask[rows[at] - top, cols[at] - left] > 0
    return stored, valid
