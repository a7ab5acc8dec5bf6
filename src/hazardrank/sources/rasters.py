"""Raster layers: any CRS, resolution, dtype and nodata, warped onto the cells block by block.

The same value comes out for a cell whatever the block: every warp happens on one lattice
that starts at the origin of the region's CRS, with GDAL's exact transformer (no
interpolation along scanlines), a fixed kernel scale, and fixed tiles of that lattice. GDAL
may choose none of these per request, as it otherwise does.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from hazardrank.errors import LayerError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.catalogue import layer_of_kind
from hazardrank.sources.classes import ClassTable, fractions_of_codes
from hazardrank.sources.geometries import reproject_bounds, transformer
from hazardrank.sources.layers import all_class_names
from hazardrank.sources.paths import must_exist

#: Side of the tiles that are warped as one, in lattice pixels.
TILE = 64
#: Most samples along a cell's side for class shares.
MOST_SAMPLES = 16
#: Samples counted at a time for class shares.
SAMPLES_AT_ONCE = 2**20
#: GDAL's block cache; its default, 5 % of the machine's memory, would grow with the region.
GDAL_CACHE_BYTES = 32 * 2**20

_METHODS = {"nearest": "NearestNeighbour", "bilinear": "Bilinear", "average": "Average"}


@dataclass(frozen=True)
class RasterFacts:
    """What is known of a raster band before any of it is read.

    Parameters
    ----------
    path : str
        Resolved path.
    band : int
        Band, from 1.
    crs : str
        CRS, as WKT or code.
    transform : Affine
        From (column, row) to coordinates.
    width, height : int
        Size in pixels.
    dtype : str
        Type of the values in the file.
    nodata : float or None
        Value in the file that means missing. NaN always does.
    has_mask : bool
        Whether the file has a mask of its own.
    scale, offset : float
        ``value = stored * scale + offset``.
    where : str
        What messages name: the settings key and the path.
    """

    path: str
    band: int
    crs: str
    transform: Affine
    width: int
    height: int
    dtype: str
    nodata: float | None
    has_mask: bool
    scale: float
    offset: float
    where: str

    @classmethod
    def of(cls, path: str, layer: LayerSettings, key: str) -> RasterFacts:
        """Look into a raster.

        Raises
        ------
        LayerError
            If it cannot be opened, has no such band, no CRS or values that are no numbers.
        """
        shown = f"region.layers.{key} ({path})"
        try:
            with warnings.catch_warnings(), ExitStack() as stack:
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # refused below
                source = stack.enter_context(rasterio.open(path))
                if layer.band > source.count:
                    raise LayerError(
                        f"has no band {layer.band}; it has {source.count}",
                        where=shown,
                        remedy="Set `band`, counted from 1.",
                    )
                at = layer.band - 1
                dtype = str(source.dtypes[at])
                nodata = source.nodatavals[at] if layer.nodata is None else layer.nodata
                return cls(
                    path,
                    layer.band,
                    _crs_of(source, layer, shown),
                    source.transform,
                    source.width,
                    source.height,
                    dtype,
                    _stored_nodata(nodata, dtype, shown),
                    MaskFlags.per_dataset in source.mask_flag_enums[at],
                    float(source.scales[at]),
                    float(source.offsets[at]),
                    shown,
                )
        except RasterioError as error:
            raise LayerError(f"cannot be read as a raster ({error})", where=shown) from None

    def pixel_m(self, grid: SurveyGrid) -> float:
        """Return the side of a pixel in metres, measured in the middle of the region."""
        back = reproject_bounds(grid.bounds, grid.crs, self.crs)
        middle = _at(self.transform, self.width / 2, self.height / 2)
        if back is not None:
            middle = (back[0] + back[2]) / 2, (back[1] + back[3]) / 2
        col, row = _at(~self.transform, *middle)
        col, row = min(max(col, 0.0), self.width), min(max(row, 0.0), self.height)
        corners = (col, row), (col + 1, row), (col, row + 1)
        points = np.array([_at(self.transform, *corner) for corner in corners])
        change = transformer(self.crs, grid.crs)
        if change is not None:
            points = np.column_stack(change.transform(points[:, 0], points[:, 1]))
        side = math.sqrt(math.dist(points[0], points[1]) * math.dist(points[0], points[2]))
        if not math.isfinite(side):
            raise LayerError(
                f"has no place in {grid.crs}",
                where=self.where,
                remedy="Check that the file's CRS is right.",
            )
        return side


def _at(transform: Affine, first: float, second: float) -> tuple[float, float]:
    """Apply a transform; affine 2 knows no ``@`` and affine 3 warns of ``*``."""
    a, b, c, d, e, f = transform[:6]
    return a * first + b * second + c, d * first + e * second + f


def _crs_of(source: Any, layer: LayerSettings, shown: str) -> str:
    if source.transform.is_identity:
        raise LayerError(
            "has no georeference",
            where=shown,
            remedy="Georeference it (QGIS: Georeferencer), or put its world file beside it.",
        )
    if source.crs is None and layer.crs is None:
        raise LayerError(
            "does not say its CRS",
            where=shown,
            remedy="Write it into the file (gdal_edit -a_srs), or give `crs` in the layer's "
            "settings.",
        )
    return str(source.crs.to_wkt()) if source.crs is not None else str(layer.crs)


def _stored_nodata(nodata: float | None, dtype: str, shown: str) -> float | None:
    """Return nodata as the file's type holds it."""
    kind = np.dtype(dtype).kind
    if kind not in "iuf":
        raise LayerError(f"holds values of type {dtype}, which are no numbers", where=shown)
    if nodata is None or dtype != "float32":
        return nodata
    with np.errstate(over="ignore"):
        return float(np.float32(nodata))


class _Lattice:
    """One raster on the lattice of a pixel size, origin at the CRS's; for one thread.

    Parameters
    ----------
    facts : RasterFacts
        The raster.
    crs : str
        The region's CRS.
    pixel_m : float
        Side of a lattice pixel; ``pixel_m`` times any whole number must be exact.
    method : str
        ``nearest``, ``bilinear`` or ``average``.
    scale : float
        Lattice pixels per source pixel, at most 1: widens the bilinear kernel.
    """

    def __init__(
        self, facts: RasterFacts, crs: str, pixel_m: float, method: str, scale: float
    ) -> None:
        self._facts = facts
        self._crs = crs
        self._pixel_m = pixel_m
        self._method = method
        self._scale = scale
        self._origin = self._nested_origin()
        self._dataset: Any = None
        self._tiles = (0, 0, 0, 0)

    def read(self, north: int, west: int, n_rows: int, n_cols: int) -> NDArray[np.float64]:
        """Return lattice pixels, shape (n_rows, n_cols), NaN where missing.

        Parameters
        ----------
        north, west : int
            Northern and western edge, in lattice pixels from the CRS's origin.
        n_rows, n_cols : int
            Shape.
        """
        if self._origin is not None:
            return self._read_nested(north, west, n_rows, n_cols)
        self._cover(-north, west, n_rows, n_cols)
        top, left = self._tiles[0] * TILE, self._tiles[1] * TILE
        window = Window(west - left, -north - top, n_cols, n_rows)
        values: NDArray[np.float64] = self._dataset.read(1, window=window)
        return values

    def close(self) -> None:
        """Close the dataset."""
        if self._dataset is not None:
            self._dataset.close()
            self._dataset = None

    # -- the raster's pixels are lattice pixels: read them as they are

    def _nested_origin(self) -> tuple[int, int] | None:
        """Return the raster's northern and western edge on the lattice, if it nests."""
        step_col, turn_col, west, turn_row, step_row, north = self._facts.transform[:6]
        pixel_m = self._pixel_m
        if transformer(self._facts.crs, self._crs) is not None or turn_col or turn_row:
            return None
        if abs(step_col - pixel_m) > 1e-9 * pixel_m or abs(step_row + pixel_m) > 1e-9 * pixel_m:
            return None
        origin = round(north / pixel_m), round(west / pixel_m)
        off = max(abs(north / pixel_m - origin[0]), abs(west / pixel_m - origin[1]))
        return origin if off < 1e-6 else None

    def _read_nested(self, north: int, west: int, n_rows: int, n_cols: int) -> NDArray[np.float64]:
        assert self._origin is not None
        facts = self._facts
        row, col = self._origin[0] - north, west - self._origin[1]
        values = np.full((n_rows, n_cols), np.nan)
        rows = max(row, 0), min(row + n_rows, facts.height)
        cols = max(col, 0), min(col + n_cols, facts.width)
        if rows[0] >= rows[1] or cols[0] >= cols[1]:
            return values
        if self._dataset is None:
            self._dataset = rasterio.open(facts.path)
        window = Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])
        found = self._dataset.read(facts.band, window=window).astype(np.float64)
        if facts.nodata is not None:
            found[found == facts.nodata] = np.nan
        if facts.has_mask:
            found[self._dataset.read_masks(facts.band, window=window) == 0] = np.nan
        values[rows[0] - row : rows[1] - row, cols[0] - col : cols[1] - col] = found
        return values

    # -- anything else: warp tiles of the lattice

    def _cover(self, top: int, left: int, n_rows: int, n_cols: int) -> None:
        """Open a dataset of whole lattice tiles that covers the pixels asked for.

        It reaches as far again beyond them, and keeps covering what it covered before:
        its size costs nothing, since tiles are warped when they are read.
        """
        needed = (
            math.floor(top / TILE),
            math.floor(left / TILE),
            math.ceil((top + n_rows) / TILE),
            math.ceil((left + n_cols) / TILE),
        )
        have = self._tiles
        if self._dataset is not None:
            if needed[:2] >= have[:2] and _within(needed, have):
                return
            needed = (
                min(needed[0], have[0]),
                min(needed[1], have[1]),
                max(needed[2], have[2]),
                max(needed[3], have[3]),
            )
        spare = max(needed[2] - needed[0], needed[3] - needed[1])
        self.close()
        self._tiles = (
            needed[0] - spare,
            needed[1] - spare,
            needed[2] + spare,
            needed[3] + spare,
        )
        self._dataset = rasterio.open(self._document())

    def _document(self) -> str:
        """Return the lattice's warped dataset in GDAL's VRT form.

        rasterio's ``WarpedVRT`` would do, but with ``tolerance=0`` it sets no transformer at
        all (1.4.4), and it warps every band of the file.
        """
        top, left, bottom, right = (edge * TILE for edge in self._tiles)
        facts, pixel_m = self._facts, self._pixel_m
        place = Affine(pixel_m, 0, left * pixel_m, 0, -pixel_m, -top * pixel_m)
        crs = escape(rasterio.crs.CRS.from_user_input(self._crs).to_wkt())
        source_crs = escape(rasterio.crs.CRS.from_user_input(facts.crs).to_wkt())
        nodata = facts.nodata
        if nodata is None and np.dtype(facts.dtype).kind == "f":
            nodata = math.nan
        missing = "" if nodata is None else f"<SrcNoDataReal>{nodata!r}</SrcNoDataReal>"
        return f"""
<VRTDataset rasterXSize="{right - left}" rasterYSize="{bottom - top}"
 subClass="VRTWarpedDataset">
<SRS>{crs}</SRS><GeoTransform>{_listed(place)}</GeoTransform>
<VRTRasterBand dataType="Float64" band="1" subClass="VRTWarpedRasterBand">
<NoDataValue>nan</NoDataValue></VRTRasterBand>
<BlockXSize>{TILE}</BlockXSize><BlockYSize>{TILE}</BlockYSize>
<GDALWarpOptions>
<WarpMemoryLimit>1e8</WarpMemoryLimit>
<ResampleAlg>{_METHODS[self._method]}</ResampleAlg>
<WorkingDataType>Float64</WorkingDataType>
<Option name="INIT_DEST">NO_DATA</Option>
<Option name="XSCALE">{self._scale!r}</Option><Option name="YSCALE">{self._scale!r}</Option>
<Option name="SOURCE_EXTRA">8</Option><Option name="SAMPLE_GRID">YES</Option>
<SourceDataset relativeToVRT="0">{escape(facts.path)}</SourceDataset>
<Transformer><GenImgProjTransformer>
<SrcGeoTransform>{_listed(facts.transform)}</SrcGeoTransform>
<SrcInvGeoTransform>{_listed(~facts.transform)}</SrcInvGeoTransform>
<DstGeoTransform>{_listed(place)}</DstGeoTransform>
<DstInvGeoTransform>{_listed(~place)}</DstInvGeoTransform>
<ReprojectTransformer><ReprojectionTransformer>
<SourceSRS>{source_crs}</SourceSRS><TargetSRS>{crs}</TargetSRS>
</ReprojectionTransformer></ReprojectTransformer>
</GenImgProjTransformer></Transformer>
<BandList><BandMapping src="{facts.band}" dst="1">{missing}
<DstNoDataReal>nan</DstNoDataReal></BandMapping></BandList>
</GDALWarpOptions></VRTDataset>""".strip()


def _within(inner: tuple[int, int, int, int], outer: tuple[int, int, int, int]) -> bool:
    starts = inner[0] >= outer[0] and inner[1] >= outer[1]
    return starts and inner[2] <= outer[2] and inner[3] <= outer[3]


def _listed(transform: Affine) -> str:
    return ", ".join(repr(float(value)) for value in transform.to_gdal())


def choose_method(layer: LayerSettings, pixel_m: float, cell_size_m: float) -> str:
    """Return how a continuous raster is resampled.

    ``average`` where its pixels are finer than the cells, else ``bilinear``, unless the
    layer's settings say otherwise.
    """
    if layer.resampling is not None:
        return layer.resampling
    return "average" if pixel_m < 0.999 * cell_size_m else "bilinear"


def samples_per_side(pixel_m: float, cell_size_m: int) -> int:
    """Return how many samples along a cell's side measure class shares, 1–16.

    Four or more, and where they fit a sample for every pixel. The samples' spacing is
    exact in binary: a whole number of metres or the cell halved some times.
    """
    ratio = cell_size_m / pixel_m
    wanted = min(ratio * max(1, math.ceil(4 / ratio)), MOST_SAMPLES)
    exact = [k for k in range(1, MOST_SAMPLES + 1) if cell_size_m % k == 0 or k in (1, 2, 4, 8, 16)]
    return min(exact, key=lambda k: (abs(k - wanted), -k))


class RasterStore:
    """The raster layers of a region. Each thread reads through datasets of its own.

    Parameters
    ----------
    catalogue : mapping of str to LayerSettings
        The layers by key.
    data_dir : Path
        Folder that relative paths start from.
    grid : SurveyGrid
        The region's grid.
    """

    def __init__(
        self, catalogue: Mapping[str, LayerSettings], data_dir: Path, grid: SurveyGrid
    ) -> None:
        self._catalogue = catalogue
        self._data_dir = data_dir
        self._grid = grid
        self._facts: dict[str, tuple[RasterFacts, float]] = {}
        self._opened: list[_Lattice] = []
        self._local = threading.local()
        self._lock = threading.Lock()

    def continuous(self, key: str, grid: SurveyGrid) -> NDArray[np.float32]:
        """Return a continuous raster on `grid`, shape (rows, cols), NaN where missing.

        Raises
        ------
        LayerError
            If the layer is missing, unreadable or not a continuous raster.
        """
        layer = layer_of_kind(self._catalogue, key, ("continuous",))
        facts, pixel_m = self._look(key, layer)
        grid.offset_in(self._grid)
        method = choose_method(layer, pixel_m, grid.cell_size_m)
        scale = min(1.0, pixel_m / grid.cell_size_m)
        lattice = self._lattice(key, facts, float(grid.cell_size_m), method, scale)
        values = _read(lattice, facts, grid.north_cell, grid.west_cell, grid.n_rows, grid.n_cols)
        if facts.scale != 1 or facts.offset != 0:
            values = values * facts.scale + facts.offset
        return values.astype(np.float32)

    def class_names(self, key: str) -> tuple[str, ...]:
        """Return the class names of a categorical raster in code order, ``other`` last."""
        return all_class_names(layer_of_kind(self._catalogue, key, ("categorical",)))

    def fractions(self, key: str, grid: SurveyGrid) -> NDArray[np.float32]:
        """Return the share of each cell each class covers, shape (n_classes, rows, cols).

        Each cell is sampled at the nearest pixel on a regular raster of points
        (:func:`samples_per_side`). Shares refer to the samples that have data; NaN where
        none has.

        Raises
        ------
        LayerError
            If the layer is missing, unreadable or not a categorical raster.
        """
        layer = layer_of_kind(self._catalogue, key, ("categorical",))
        facts, pixel_m = self._look(key, layer)
        grid.offset_in(self._grid)
        table = ClassTable.of(layer)
        k = samples_per_side(pixel_m, grid.cell_size_m)
        lattice = self._lattice(key, facts, grid.cell_size_m / k, "nearest", 1.0)
        shares = np.empty((table.n_classes, *grid.shape), np.float32)
        side = max(1, math.isqrt(SAMPLES_AT_ONCE) // k)
        for part in grid.blocks(side):
            codes = _read(
                lattice,
                facts,
                part.north_cell * k,
                part.west_cell * k,
                part.n_rows * k,
                part.n_cols * k,
            )
            row, col = part.offset_in(grid)
            shares[:, row : row + part.n_rows, col : col + part.n_cols] = fractions_of_codes(
                table.places(codes), k, table.n_classes
            )
        return shares

    def close(self) -> None:
        """Close all datasets, of every thread. Reading again opens them anew."""
        with self._lock:
            for lattice in self._opened:
                lattice.close()
            self._opened.clear()
            self._local = threading.local()

    def _look(self, key: str, layer: LayerSettings) -> tuple[RasterFacts, float]:
        with self._lock:
            if key not in self._facts:
                where = f"region.layers.{key}"
                path = must_exist(layer.path, self._data_dir, where, layer.source)
                facts = RasterFacts.of(path, layer, key)
                self._facts[key] = facts, facts.pixel_m(self._grid)
            return self._facts[key]

    def _lattice(
        self, key: str, facts: RasterFacts, pixel_m: float, method: str, scale: float
    ) -> _Lattice:
        """Return this thread's dataset of a layer."""
        lattices: dict[str, _Lattice] = self._local.__dict__.setdefault("lattices", {})
        if key not in lattices:
            lattices[key] = _Lattice(facts, self._grid.crs, pixel_m, method, scale)
            with self._lock:
                self._opened.append(lattices[key])
        return lattices[key]


def _read(
    lattice: _Lattice, facts: RasterFacts, north: int, west: int, n_rows: int, n_cols: int
) -> NDArray[np.float64]:
    try:
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
            return lattice.read(north, west, n_rows, n_cols)
    except RasterioError as error:
        raise LayerError(f"cannot be read ({error})", where=facts.where) from None
