"""Reading and writing rasters on a survey grid, a block at a time.

Every map of hazardrank is written here: blocks go to a tiled GeoTIFF beside the target,
which GDAL then rewrites as a Cloud-Optimized GeoTIFF and which takes the target's name
only when it is whole. A reader never sees half a file.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import DTypeLike, NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.transform import Affine
from rasterio.windows import Window

from hazardrank.errors import GridError, LayerError, OutputError
from hazardrank.grid.survey_grid import SurveyGrid, projected_crs

TILE_CELLS = 256
"""Side of a tile, of the file written and of the Cloud-Optimized GeoTIFF."""

GDAL_CACHE_MB = 64
"""GDAL's block cache while writing; its default is a share of the machine's memory."""

COG_OPTIONS: Mapping[str, Any] = {
    "driver": "COG",
    "blocksize": TILE_CELLS,
    # Every GIS reads deflate, which cannot be said of zstd.
    "compress": "deflate",
    "predictor": "yes",
    "bigtiff": "if_safer",
    "overviews": "ignore_existing",
    "overview_compress": "deflate",
    "overview_predictor": "yes",
}
"""How a finished map is stored; the resampling of its overviews depends on what it holds."""

TAG_PREFIX = "hazardrank_"
"""What every provenance tag's name starts with."""

Colour = tuple[int, int, int, int]
"""Red, green, blue, alpha, 0–255."""


class BlockRasterWriter:
    """Writes a Cloud-Optimized GeoTIFF on a survey grid block by block.

    A context manager. Cells never written hold `nodata`. Leaving the context by an
    exception removes everything written and leaves an older file at `path` as it was.

    Parameters
    ----------
    path : Path
        The file to write. Its folder is made where it is missing.
    grid : SurveyGrid
        The grid the file covers.
    dtype : dtype-like
        Cell type.
    nodata : float
        The value that means "nothing is known here"; ``nan`` for floats.
    descriptions : sequence of str, length `count`
        What each band holds, in one phrase.
    units : sequence of str, length `count`
        Unit of each band; ``"1"`` for a pure number.
    tags : mapping of str to str
        Provenance, stored as ``hazardrank_<key>``.
    count : int
        Number of bands.
    colours : mapping of int to (red, green, blue, alpha), optional
        Colour of each value, for one band of ``uint8``.

    Raises
    ------
    GridError
        If descriptions, units or colours do not fit the bands.
    OutputError
        If the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        grid: SurveyGrid,
        dtype: DTypeLike,
        nodata: float,
        descriptions: Sequence[str],
        units: Sequence[str],
        tags: Mapping[str, str],
        count: int = 1,
        colours: Mapping[int, Colour] | None = None,
    ) -> None:
        self.path = Path(path)
        self.grid = grid
        self.dtype = np.dtype(dtype)
        self.nodata = nodata
        self.count = count
        self.descriptions = tuple(descriptions)
        self.units = tuple(units)
        self.tags = {_tag_name(key): str(tags[key]) for key in sorted(tags)}
        self.colours = colours
        self._dataset: DatasetWriter | None = None
        self._env = rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB)
        self._check()

    def _check(self) -> None:
        for name, given in (("descriptions", self.descriptions), ("units", self.units)):
            if len(given) != self.count:
                raise GridError(f"{len(given)} {name} for {self.count} bands", where=self.path)
        if self.colours is not None and (self.dtype != np.uint8 or self.count != 1):
            raise GridError(
                f"colours need one band of uint8, not {self.count} of {self.dtype}",
                where=self.path,
            )

    @property
    def _tiles(self) -> Path:
        return self.path.with_name(f"{self.path.name}.tiles.partial")

    @property
    def _finished(self) -> Path:
        return self.path.with_name(f"{self.path.name}.partial")

    def __enter__(self) -> BlockRasterWriter:
        self._env.__enter__()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._dataset = rasterio.open(self._tiles, "w", **self._profile())
            self._describe(self._dataset)
        except (RasterioError, OSError) as error:
            self._abandon()
            raise _unwritable(self.path, error) from error
        except BaseException:
            self._abandon()
            raise
        return self

    def _profile(self) -> dict[str, Any]:
        return {
            "driver": "GTiff",
            "height": self.grid.n_rows,
            "width": self.grid.n_cols,
            "count": self.count,
            "dtype": self.dtype.name,
            "nodata": self.nodata,
            "crs": self.grid.crs,
            "transform": self.grid.transform,
            "tiled": True,
            "blockxsize": TILE_CELLS,
            "blockysize": TILE_CELLS,
            "interleave": "band",
            "compress": "zstd",
            "zstd_level": 1,
            "bigtiff": "if_safer",
            "sparse_ok": True,
        }

    def _describe(self, dataset: DatasetWriter) -> None:
        dataset.update_tags(**self.tags, AREA_OR_POINT="Area")
        dataset.units = self.units
        for band, (description, unit) in enumerate(
            zip(self.descriptions, self.units, strict=True), start=1
        ):
            dataset.set_band_description(band, description)
            dataset.update_tags(band, hazardrank_unit=unit)
        if self.colours is not None:
            dataset.write_colormap(1, dict(self.colours))
        else:
            dataset.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * (self.count - 1)

    def write(self, block: SurveyGrid, values: NDArray[Any]) -> None:
        """Write one block.

        Parameters
        ----------
        block : SurveyGrid
            A part of the grid.
        values : ndarray, shape (rows, cols) or (count, rows, cols)
            Its cells.

        Raises
        ------
        GridError
            If the block does not nest in the grid or the values do not have its shape.
        OutputError
            If the file cannot be written.
        """
        if self._dataset is None:
            raise OutputError("the writer is not open", where=self.path, remedy="Use `with`.")
        window = _window_of(block, self.grid, self.path)
        bands = values[np.newaxis] if values.ndim == 2 else values
        if bands.shape != (self.count, *block.shape):
            raise GridError(
                f"values of shape {values.shape} do not fit {self.count} bands of a block of "
                f"{block.n_rows} × {block.n_cols} cells",
                where=self.path,
            )
        if not np.can_cast(bands.dtype, self.dtype, "same_kind"):
            raise GridError(f"{bands.dtype} values in a {self.dtype} raster", where=self.path)
        try:
            self._dataset.write(bands.astype(self.dtype, copy=False), window=window)
        except RasterioError as error:
            raise _unwritable(self.path, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            self._finish()
        except (RasterioError, OSError) as failure:
            raise _unwritable(self.path, failure) from failure
        finally:
            self._abandon()

    def _finish(self) -> None:
        if self._dataset is None:
            raise OutputError("the writer was never opened", where=self.path)
        self._dataset.close()
        averaged = self.dtype.kind == "f"
        rasterio.shutil.copy(
            self._tiles,
            self._finished,
            **COG_OPTIONS,
            overview_resampling="average" if averaged else "nearest",
        )
        self._finished.replace(self.path)

    def _abandon(self) -> None:
        """Close and remove whatever is not finished."""
        try:
            if self._dataset is not None and not self._dataset.closed:
                self._dataset.close()
        finally:
            self._dataset = None
            for left in self.path.parent.glob(f"{glob.escape(self.path.name)}.*partial*"):
                left.unlink(missing_ok=True)
            self._env.__exit__(None, None, None)


def read_block(path: Path, grid: SurveyGrid, band: int = 1) -> NDArray[Any]:
    """Return the cells of a nested grid from a raster written on a survey grid.

    Parameters
    ----------
    path : Path
        A raster whose grid contains `grid`.
    grid : SurveyGrid
        The cells wanted.
    band : int
        Band, from 1.

    Returns
    -------
    ndarray, shape (rows, cols)
        In the raster's own type, its nodata value where nothing is known.

    Raises
    ------
    LayerError
        If the file cannot be read or has no such band.
    GridError
        If CRS, cell size or extent do not nest.
    """
    with _opened(path) as dataset:
        if not 1 <= band <= dataset.count:
            raise LayerError(f"there is no band {band}; it has {dataset.count}", where=path)
        window = _window_of(grid, _grid_of(dataset, path), path)
        try:
            cells: NDArray[Any] = dataset.read(band, window=window)
        except RasterioIOError as error:
            raise LayerError(f"cannot be read ({error})", where=path) from error
        return cells


def read_values(path: Path, grid: SurveyGrid, band: int = 1) -> NDArray[np.float32]:
    """Return what a raster's cells mean: scale and offset applied, NaN where nothing is known.

    Parameters and errors as for :func:`read_block`.

    Returns
    -------
    ndarray of float32, shape (rows, cols)
    """
    stored = read_block(path, grid, band)
    with _opened(path) as dataset:
        scale, offset = dataset.scales[band - 1], dataset.offsets[band - 1]
        nodata = dataset.nodatavals[band - 1]
    if (scale, offset) == (1.0, 0.0):
        values = stored.astype(np.float32, copy=False)
    else:
        values = (stored * scale + offset).astype(np.float32)
    if nodata is None or np.isnan(nodata):
        return values
    return np.where(stored == nodata, np.float32(np.nan), values)


def grid_of(path: Path) -> SurveyGrid:
    """Return the survey grid of a raster.

    Raises
    ------
    LayerError
        If the file cannot be read.
    GridError
        If its cells are no survey grid: rotated, not square, off the multiples of the
        cell size, or in a CRS that is not metric.
    """
    with _opened(path) as dataset:
        return _grid_of(dataset, path)


def _opened(path: Path) -> DatasetReader:
    try:
        return rasterio.open(path)
    except RasterioIOError as error:
        raise LayerError(f"cannot be read ({error})", where=path) from error


def _grid_of(dataset: DatasetReader, path: Path) -> SurveyGrid:
    transform, cell_size_m = dataset.transform, dataset.transform.a
    if dataset.crs is None or dataset.crs.to_epsg() is None:
        raise GridError("the raster has no CRS with an EPSG code", where=path)
    code = f"EPSG:{dataset.crs.to_epsg()}"
    try:
        projected_crs(code)
        _check_cells(transform)
        west_cell, north_cell = transform.c / cell_size_m, transform.f / cell_size_m
        return SurveyGrid(
            code, cell_size_m, round(west_cell), round(north_cell), dataset.height, dataset.width
        )
    except GridError as error:
        raise GridError(error.problem, where=path, remedy=error.remedy) from None


def _check_cells(transform: Affine) -> None:
    """Raise unless cells are square, north-up, and lie on multiples of their size."""
    if (transform.b, transform.d, transform.e) != (0.0, 0.0, -transform.a):
        raise GridError(
            f"cells of {transform.a} × {-transform.e} (rotation {transform.b}, {transform.d}) "
            "are not square and north-up"
        )
    if transform.c % transform.a or transform.f % transform.a:
        raise GridError(
            f"the origin {transform.c}, {transform.f} is not a multiple of the cell size "
            f"{transform.a}",
            remedy="Name the file as a layer, so that it is resampled onto the survey grid.",
        )


def _window_of(inner: SurveyGrid, outer: SurveyGrid, path: Path) -> Window:
    row, col = inner.offset_in(outer)
    if row < 0 or col < 0 or row + inner.n_rows > outer.n_rows or col + inner.n_cols > outer.n_cols:
        raise GridError(
            f"a block of {inner.n_rows} × {inner.n_cols} cells at row {row}, column {col} reaches "
            f"beyond the grid of {outer.n_rows} × {outer.n_cols}",
            where=path,
        )
    return Window(col, row, inner.n_cols, inner.n_rows)


def _tag_name(key: str) -> str:
    return key if key.startswith(TAG_PREFIX) else TAG_PREFIX + key


def _unwritable(path: Path, error: Exception) -> OutputError:
    return OutputError(
        f"cannot be written ({error})",
        where=path,
        remedy="Check that the folder exists, may be written and has space.",
    )
