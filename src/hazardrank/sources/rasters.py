"""Raster layers: any CRS, resolution, dtype and nodata, brought onto the cells block by block.

The same value comes out for a cell whatever the block: places in the raster are measured
from the origin of the region's CRS (:mod:`.lattice`), and a cell's value depends on its
place and on the pixels around it alone (:mod:`.warp`). Only the window of pixels that a
block needs is read; a raster on the cells is read as it is.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from hazardrank.errors import LayerError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.catalogue import layer_of_kind
from hazardrank.sources.classes import MISSING, ClassTable, fractions_of_codes
from hazardrank.sources.lattice import Lattice, Net, window_of
from hazardrank.sources.layers import all_class_names
from hazardrank.sources.paths import must_exist
from hazardrank.sources.raster_facts import RasterFacts
from hazardrank.sources.warp import average, bilinear, nearest

#: Most samples along a cell's side for class shares.
MOST_SAMPLES = 16
#: Pixels or samples held at a time.
MOST_PIXELS = 2**22
#: GDAL's block cache; its default, 5 % of the machine's memory, would grow with the region.
GDAL_CACHE_BYTES = 32 * 2**20

_BLENDS: Mapping[str, Any] = {"bilinear": bilinear, "average": average}
_EXACT_IN_FLOAT32 = ("uint8", "int8", "uint16", "int16", "float32")

Convert = Callable[[NDArray[Any]], NDArray[Any]]
"""Pixels as stored → pixels as kernels take them."""


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
        self._tables: dict[str, ClassTable] = {}
        self._opened: list[Any] = []
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
        source = _Source(facts, self._dataset, _numbers(facts))
        lattice = Lattice(facts, grid.crs, float(grid.cell_size_m))
        origin = lattice.nested_origin()
        if origin is not None:
            values = _on_the_cells(source, origin, grid, 1, np.nan)
        else:
            method = choose_method(layer, pixel_m, grid.cell_size_m)
            values = _warped(source, lattice, grid, method)
        if facts.scale != 1 or facts.offset != 0:
            values = values.astype(np.float64) * facts.scale + facts.offset
        return values.astype(np.float32, copy=False)

    def class_names(self, key: str) -> tuple[str, ...]:
        """Return the class names of a categorical raster in code order, ``other`` last."""
        return all_class_names(layer_of_kind(self._catalogue, key, ("categorical",)))

    def fractions(self, key: str, grid: SurveyGrid) -> NDArray[np.float32]:
        """Return the share of each cell each class covers, shape (n_classes, rows, cols).

        Where the cells are made of whole pixels, each is counted once. Any other raster is
        sampled at the nearest pixel on regular points (:func:`samples_per_side`). Shares
        refer to the pixels or samples that have data; NaN where none has.

        Raises
        ------
        LayerError
            If the layer is missing, unreadable or not a categorical raster.
        """
        layer = layer_of_kind(self._catalogue, key, ("categorical",))
        facts, pixel_m = self._look(key, layer)
        grid.offset_in(self._grid)
        table = self._table(key, layer, facts)
        source = _Source(facts, self._dataset, table.places)
        k = max(1, round(grid.cell_size_m / pixel_m))
        origin = Lattice(facts, grid.crs, grid.cell_size_m / k).nested_origin()
        if origin is None:
            k = samples_per_side(pixel_m, grid.cell_size_m)
        lattice = Lattice(facts, grid.crs, grid.cell_size_m / k)
        shares = np.empty((table.n_classes, *grid.shape), np.float32)
        for part in _halved(grid, MOST_PIXELS // k**2):
            if origin is not None:
                places = _on_the_cells(source, origin, part, k, MISSING)
            else:
                places = _sampled(source, lattice, part, k)
            row, col = part.offset_in(grid)
            shares[:, row : row + part.n_rows, col : col + part.n_cols] = fractions_of_codes(
                places, k, table.n_classes
            )
        return shares

    def close(self) -> None:
        """Close all datasets, of every thread. Reading again opens them anew."""
        with self._lock:
            for dataset in self._opened:
                dataset.close()
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

    def _table(self, key: str, layer: LayerSettings, facts: RasterFacts) -> ClassTable:
        if key not in self._tables:
            self._tables[key] = ClassTable.of(layer, facts.nodata)
        return self._tables[key]

    def _dataset(self, path: str) -> Any:
        """Return this thread's dataset of a file."""
        datasets: dict[str, Any] = self._local.__dict__.setdefault("datasets", {})
        if path not in datasets:
            datasets[path] = rasterio.open(path)
            with self._lock:
                self._opened.append(datasets[path])
        return datasets[path]


# ---------------------------------------------------------------------- pixels of a file


class _Source:
    """One band: pixels by window, as the kernels take them.

    Parameters
    ----------
    facts : RasterFacts
        The band.
    dataset : callable
        Path → this thread's dataset.
    convert : callable
        Pixels as stored → numbers or places of classes, without the file's own mask.
    """

    def __init__(self, facts: RasterFacts, dataset: Callable[[str], Any], convert: Convert) -> None:
        self.facts = facts
        self._dataset = dataset
        self._convert = convert

    def pixels(self, top: int, left: int, n_rows: int, n_cols: int) -> NDArray[Any]:
        """Return a window that lies in the raster, shape (n_rows, n_cols)."""
        facts, window = self.facts, Window(left, top, n_cols, n_rows)
        try:
            with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
                dataset = self._dataset(facts.path)
                pixels = self._convert(dataset.read(facts.band, window=window))
                if facts.has_mask:
                    masked = dataset.read_masks(facts.band, window=window) == 0
                    pixels[masked] = np.nan if pixels.dtype.kind == "f" else MISSING
        except RasterioError as error:
            raise LayerError(f"cannot be read ({error})", where=facts.where) from None
        return pixels


def _numbers(facts: RasterFacts) -> Convert:
    """Return how stored pixels become numbers, NaN where missing."""
    dtype = np.float32 if facts.dtype in _EXACT_IN_FLOAT32 else np.float64

    def convert(stored: NDArray[Any]) -> NDArray[Any]:
        numbers = stored.astype(dtype, copy=False)
        if facts.nodata is not None and not math.isnan(facts.nodata):
            numbers[stored == facts.nodata] = np.nan
        return numbers

    return convert


# -------------------------------------------------------------------- pixels onto cells


def _on_the_cells(
    source: _Source, origin: tuple[int, int], grid: SurveyGrid, k: int, missing: Any
) -> NDArray[Any]:
    """Return the pixels of a block whose cells are `k` × `k` pixels, as they are.

    Parameters
    ----------
    source : _Source
        The band.
    origin : tuple of int
        Its northern and western edge, in pixels from the CRS's origin.
    grid : SurveyGrid
        The block.
    k : int
        Pixels along a cell's side.
    missing : float or int
        Outside of the raster.
    """
    facts = source.facts
    n_rows, n_cols = grid.n_rows * k, grid.n_cols * k
    row, col = origin[0] - grid.north_cell * k, grid.west_cell * k - origin[1]
    top, bottom = max(row, 0), min(row + n_rows, facts.height)
    left, right = max(col, 0), min(col + n_cols, facts.width)
    if (top, bottom, left, right) == (row, row + n_rows, col, col + n_cols):
        return source.pixels(top, left, n_rows, n_cols)
    if top >= bottom or left >= right:
        return np.full((n_rows, n_cols), missing, source.pixels(0, 0, 1, 1).dtype)
    pixels = source.pixels(top, left, bottom - top, right - left)
    around = np.full((n_rows, n_cols), missing, pixels.dtype)
    around[top - row : bottom - row, left - col : right - col] = pixels
    return around


def _warped(
    source: _Source, lattice: Lattice, grid: SurveyGrid, method: str
) -> NDArray[np.float64]:
    values = np.empty(grid.shape)
    for part, net, window in _windows(source.facts, lattice, grid):
        row, col = part.offset_in(grid)
        out = values[row : row + part.n_rows, col : col + part.n_cols]
        if not (window[2] and window[3]):
            out[...] = np.nan
            continue
        pixels = source.pixels(*window)
        if method == "nearest":
            out[...] = _nearest(pixels, window, net, np.nan)
        else:
            _BLENDS[method](pixels, *window[:2], *_arguments(net), out)
    return values


def _sampled(source: _Source, lattice: Lattice, grid: SurveyGrid, k: int) -> NDArray[np.int16]:
    """Return the nearest pixels to `k` × `k` points in each cell of a block."""
    samples = np.empty((grid.n_rows * k, grid.n_cols * k), np.int16)
    for part, net, window in _windows(source.facts, lattice, grid, k):
        row, col = (k * start for start in part.offset_in(grid))
        out = samples[row : row + k * part.n_rows, col : col + k * part.n_cols]
        if window[2] and window[3]:
            out[...] = _nearest(source.pixels(*window), window, net, MISSING)
        else:
            out[...] = MISSING
    return samples


def _nearest(
    pixels: NDArray[Any], window: tuple[int, int, int, int], net: Net, missing: Any
) -> NDArray[Any]:
    out = np.empty(net.shape, pixels.dtype)
    top, left = window[:2]
    nearest(pixels, top, left, *_arguments(net), pixels.dtype.type(missing), out)
    return out


def _arguments(net: Net) -> tuple[NDArray[np.float64], NDArray[np.float64], int, int, int, int]:
    return net.across, net.down, net.shift, net.period, net.south, net.east


def _windows(
    facts: RasterFacts, lattice: Lattice, grid: SurveyGrid, k: int = 1
) -> Iterator[tuple[SurveyGrid, Net, tuple[int, int, int, int]]]:
    """Yield parts of a block with their places and windows, none above `MOST_PIXELS`.

    Places are those of `k` × `k` points in each cell.
    """
    net = lattice.net(grid.north_cell * k, grid.west_cell * k, grid.n_rows * k, grid.n_cols * k)
    window = window_of(net, facts)
    if window[2] * window[3] <= MOST_PIXELS or grid.n_cells == 1:
        yield grid, net, window
        return
    for half in _halves(grid):
        yield from _windows(facts, lattice, half, k)


def _halved(grid: SurveyGrid, most_cells: int) -> Iterator[SurveyGrid]:
    """Yield parts of a block of at most so many cells, or of one."""
    if grid.n_cells <= max(most_cells, 1):
        yield grid
        return
    for half in _halves(grid):
        yield from _halved(half, most_cells)


def _halves(grid: SurveyGrid) -> tuple[SurveyGrid, SurveyGrid]:
    rows, cols = grid.shape
    if rows >= cols:
        return grid.part(0, 0, rows // 2, cols), grid.part(rows // 2, 0, rows - rows // 2, cols)
    return grid.part(0, 0, rows, cols // 2), grid.part(0, cols // 2, rows, cols - cols // 2)
