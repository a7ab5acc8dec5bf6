"""Layers held in memory: the contract of files, without files (tests and small tools)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.errors import GridError, LayerError
from hazardrank.grid import Bounds, SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.catalogue import VECTOR_KINDS, layer_of_kind
from hazardrank.sources.classes import ClassTable, fractions_of_codes
from hazardrank.sources.layers import all_class_names

Inside = Callable[[SurveyGrid], NDArray[np.bool_]]
RasterInMemory = tuple[SurveyGrid, NDArray[Any]]
"""The grid of an array, and the array, shape (rows, cols)."""


class MemoryLayers:
    """A :class:`~hazardrank.sources.layers.LayerReader` on arrays and tables.

    Parameters
    ----------
    grid : SurveyGrid
        The region's grid.
    catalogue : mapping of str to LayerSettings
        The layers by key; their paths are not looked at.
    rasters : mapping of str to (SurveyGrid, ndarray), optional
        Continuous rasters in the region's CRS and cell size, shape (rows, cols). Cells
        outside an array are NaN; so is the layer's ``nodata``.
    categorical : mapping of str to (SurveyGrid, ndarray of int), optional
        Codes, on grids whose cell size divides the region's. Codes outside an array,
        and the layer's ``nodata``, are missing.
    vectors : mapping of str to GeoDataFrame, optional
        Features in the region's CRS with columns in our words.
    inside : callable or ndarray of bool, optional
        Block → which cells lie in the area of interest, or that array for `grid`
        itself. All cells of `grid` when left out.

    Raises
    ------
    LayerError
        If an array or table has no layer in the catalogue, or is of another CRS.
    GridError
        If an array does not have the shape of its grid.
    """

    def __init__(
        self,
        grid: SurveyGrid,
        catalogue: Mapping[str, LayerSettings],
        rasters: Mapping[str, RasterInMemory] = MappingProxyType({}),
        categorical: Mapping[str, RasterInMemory] = MappingProxyType({}),
        vectors: Mapping[str, gpd.GeoDataFrame] = MappingProxyType({}),
        inside: Inside | NDArray[np.bool_] | None = None,
    ) -> None:
        self._grid = grid
        self._catalogue = MappingProxyType(dict(catalogue))
        self._rasters = {**rasters, **categorical}
        self._vectors = dict(vectors)
        self._inside = inside
        for key, (own_grid, values) in self._rasters.items():
            layer_of_kind(self._catalogue, key, ("continuous", "categorical"))
            if values.shape != own_grid.shape:
                raise GridError(
                    f"the array has shape {values.shape}, its grid {own_grid.shape}", where=key
                )
        for key, features in self._vectors.items():
            layer_of_kind(self._catalogue, key, VECTOR_KINDS)
            if features.crs is None or features.crs != grid.crs:
                raise LayerError(f"the features are in {features.crs}, not {grid.crs}", where=key)

    @property
    def grid(self) -> SurveyGrid:
        """The whole region's survey grid."""
        return self._grid

    @property
    def catalogue(self) -> Mapping[str, LayerSettings]:
        """The layers by key."""
        return self._catalogue

    def continuous(self, key: str, grid: SurveyGrid) -> NDArray[np.float32]:
        """Return a continuous raster on `grid`, shape (rows, cols), NaN where missing."""
        layer = layer_of_kind(self._catalogue, key, ("continuous",))
        own_grid, values = self._held(self._rasters, key)
        found = values.astype(np.float32)
        if layer.nodata is not None:
            found[values == layer.nodata] = np.nan
        return _placed(own_grid, found, grid, np.float32(np.nan))

    def class_names(self, key: str) -> tuple[str, ...]:
        """Return the class names of a categorical raster in code order, ``other`` last."""
        return all_class_names(layer_of_kind(self._catalogue, key, ("categorical",)))

    def fractions(self, key: str, grid: SurveyGrid) -> NDArray[np.float32]:
        """Return the share of each cell each class covers, shape (n_classes, rows, cols)."""
        table = ClassTable.of(layer_of_kind(self._catalogue, key, ("categorical",)))
        own_grid, codes = self._held(self._rasters, key)
        factor, rest = divmod(grid.cell_size_m, own_grid.cell_size_m)
        if rest:
            raise GridError(
                f"{own_grid.cell_size_m} m codes do not divide {grid.cell_size_m} m cells",
                where=key,
            )
        finer = SurveyGrid(
            grid.crs,
            own_grid.cell_size_m,
            grid.west_cell * factor,
            grid.north_cell * factor,
            grid.n_rows * factor,
            grid.n_cols * factor,
        )
        places = _placed(own_grid, table.places(codes), finer, np.int16(-1))
        return fractions_of_codes(places, factor, table.n_classes)

    def vectors(self, key: str, bounds: Bounds) -> gpd.GeoDataFrame:
        """Return the features that touch `bounds`, whole, in order."""
        layer_of_kind(self._catalogue, key, VECTOR_KINDS)
        features: gpd.GeoDataFrame = self._held(self._vectors, key)
        return features[shapely.intersects(features.geometry.to_numpy(), shapely.box(*bounds))]

    def inside(self, grid: SurveyGrid) -> NDArray[np.bool_]:
        """Return which cells' centres lie in the area of interest, shape (rows, cols)."""
        if callable(self._inside):
            return self._inside(grid)
        area = np.ones(self._grid.shape, bool) if self._inside is None else self._inside
        return _placed(self._grid, area, grid, np.False_)

    def _held(self, held: Mapping[str, Any], key: str) -> Any:
        if key not in held:
            raise LayerError("the layer has no data in memory", where=key)
        return held[key]


def _placed(
    own_grid: SurveyGrid, values: NDArray[Any], grid: SurveyGrid, missing: Any
) -> NDArray[Any]:
    """Return the cells of `grid` from an array on `own_grid`, `missing` outside it."""
    row, col = grid.offset_in(own_grid)
    placed = np.full(grid.shape, missing, values.dtype)
    rows = slice(max(row, 0), max(min(row + grid.n_rows, own_grid.n_rows), 0))
    cols = slice(max(col, 0), max(min(col + grid.n_cols, own_grid.n_cols), 0))
    if rows.start < rows.stop and cols.start < cols.stop:
        placed[rows.start - row : rows.stop - row, cols.start - col : cols.stop - col] = values[
            rows, cols
        ]
    return placed
