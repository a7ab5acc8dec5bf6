"""A region on files: its survey grid, its area of interest and its layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.errors import GridError, LayerError
from hazardrank.grid import Bounds, SurveyGrid
from hazardrank.settings import LayerSettings, RegionSettings
from hazardrank.sources.area import Area
from hazardrank.sources.geometries import reproject_bounds
from hazardrank.sources.paths import must_exist
from hazardrank.sources.rasters import RasterStore
from hazardrank.sources.vectors import MARGIN_M, VectorStore, read_vector_file

#: Where prepared vectors are kept inside the cache folder.
VECTOR_CACHE = "vectors"


def area_of_interest(region: RegionSettings, data_dir: Path) -> shapely.Geometry | None:
    """Return the polygons of the region's mask in its CRS, ``None`` if it has no mask.

    Raises
    ------
    LayerError
        If the mask is missing, unreadable, holds no polygons, or none that
        ``mask_where`` keeps.
    """
    extent = region.extent
    if extent.mask is None:
        return None
    where = "region.extent.mask"
    path = must_exist(extent.mask, data_dir, where)
    polygons = read_vector_file(
        path,
        None,
        region.crs,
        where=extent.mask_where,
        columns={},
        kind="polygons",
        key=where,
    )
    if polygons.empty:
        kept = ", ".join(f"{name} in {list(values)}" for name, values in extent.mask_where.items())
        raise LayerError(
            f"no polygon is left where {kept}" if kept else "holds no polygons",
            where=f"{where} ({path})",
            remedy="Correct region.extent.mask_where or the mask.",
        )
    united: shapely.Geometry = polygons.union_all()
    return united


def region_grid(region: RegionSettings, data_dir: Path) -> SurveyGrid:
    """Return the survey grid of a region.

    It covers the bounding box (its edges followed as they run in the region's CRS, so no
    part of it is lost), or the mask, or what the two have in common.

    Raises
    ------
    GridError
        If the CRS is not projected in metres, the box cannot be reprojected, or box and
        mask do not meet.
    LayerError
        If the mask cannot be read.
    """
    return _grid_of(region, area_of_interest(region, data_dir))


def _grid_of(region: RegionSettings, area: shapely.Geometry | None) -> SurveyGrid:
    bounds = _box_of(region)
    if area is not None:
        west, south, east, north = shapely.bounds(area).tolist()
        if bounds is not None:
            west, south = max(west, bounds[0]), max(south, bounds[1])
            east, north = min(east, bounds[2]), min(north, bounds[3])
            if west >= east or south >= north:
                raise GridError(
                    "bbox and mask have nothing in common",
                    where="region.extent",
                    remedy="Check bbox_crs, mask and mask_where, or leave one of the two out.",
                )
        bounds = west, south, east, north
    assert bounds is not None  # the settings ask for a bbox or a mask
    return SurveyGrid.covering(region.crs, region.cell_size_m, bounds)


def _box_of(region: RegionSettings) -> Bounds | None:
    extent = region.extent
    if extent.bbox is None:
        return None
    bounds = reproject_bounds(extent.bbox, extent.bbox_crs or region.crs, region.crs)
    if bounds is None:
        raise GridError(
            f"bbox {list(extent.bbox)} in {extent.bbox_crs or region.crs} has no place in "
            f"{region.crs}",
            where="region.extent.bbox",
            remedy="Give west, south, east, north in bbox_crs, and a CRS made for that area.",
        )
    return bounds


class FileLayers:
    """A :class:`~hazardrank.sources.layers.LayerReader` on files.

    May be read by several threads at once. Use as a context manager, or call
    :meth:`close`.

    Parameters
    ----------
    area : Area
        The area of interest.
    grid : SurveyGrid
        The region's grid.
    catalogue : mapping of str to LayerSettings
        The layers by key.
    rasters : RasterStore
        Its raster layers.
    vector_layers : VectorStore
        Its vector layers.
    """

    def __init__(
        self,
        area: Area,
        grid: SurveyGrid,
        catalogue: Mapping[str, LayerSettings],
        rasters: RasterStore,
        vector_layers: VectorStore,
    ) -> None:
        self._area = area
        self._grid = grid
        self._catalogue = MappingProxyType(dict(catalogue))
        self._rasters = rasters
        self._vectors = vector_layers

    @property
    def grid(self) -> SurveyGrid:
        """The whole region's survey grid."""
        return self._grid

    @property
    def catalogue(self) -> Mapping[str, LayerSettings]:
        """The layers by key."""
        return self._catalogue

    @property
    def area(self) -> shapely.Geometry | None:
        """The area of interest's polygons in the region's CRS, ``None`` without a mask."""
        return self._area.polygons

    @property
    def margin_m(self) -> float:
        """How far beyond the region :meth:`vectors` can be asked for."""
        return self._vectors.margin_m

    def continuous(self, key: str, grid: SurveyGrid) -> NDArray[np.float32]:
        """Return a continuous raster on `grid`, shape (rows, cols), NaN where missing."""
        return self._rasters.continuous(key, grid)

    def class_names(self, key: str) -> tuple[str, ...]:
        """Return the class names of a categorical raster in code order, ``other`` last."""
        return self._rasters.class_names(key)

    def fractions(self, key: str, grid: SurveyGrid) -> NDArray[np.float32]:
        """Return the share of each cell each class covers, shape (n_classes, rows, cols)."""
        return self._rasters.fractions(key, grid)

    def vectors(self, key: str, bounds: Bounds) -> gpd.GeoDataFrame:
        """Return the features that touch `bounds`, whole, in file order."""
        return self._vectors.read(key, bounds)

    def inside(self, grid: SurveyGrid) -> NDArray[np.bool_]:
        """Return which cells' centres lie in the area of interest, shape (rows, cols)."""
        return self._area.inside(grid)

    def close(self) -> None:
        """Close every open file."""
        self._rasters.close()

    def __enter__(self) -> FileLayers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_layers(
    region: RegionSettings, data_dir: Path, cache_dir: Path, margin_m: float = MARGIN_M
) -> FileLayers:
    """Open a region's layers. Each file is looked into when it is first asked for.

    Parameters
    ----------
    region : RegionSettings
        The region.
    data_dir : Path
        Folder that relative paths start from.
    cache_dir : Path
        Folder in which prepared vectors are kept for the next run.
    margin_m : float
        How far beyond the region vectors are prepared; features with a larger reach need
        more.

    Raises
    ------
    GridError, LayerError
        If the survey grid cannot be made; see :func:`region_grid`.
    """
    polygons = area_of_interest(region, data_dir)
    grid = _grid_of(region, polygons)
    return FileLayers(
        Area(grid, polygons),
        grid,
        region.layers,
        RasterStore(region.layers, data_dir, grid),
        VectorStore(region.layers, data_dir, cache_dir / VECTOR_CACHE, grid, margin_m),
    )
