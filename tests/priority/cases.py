"""Small regions for the tests of priorities."""

from __future__ import annotations

from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import CellValues, ConsequenceInputs, Criterion
from hazardrank.priority.criteria.registry import CRITERIA
from hazardrank.records import Accident, HazardRecords, columns_of
from hazardrank.settings import LayerSettings, Role
from hazardrank.sources.memory import MemoryLayers

CRS = "EPSG:32638"
TODAY = date(2025, 1, 1)
KINDS = {
    "Point": "points",
    "LineString": "lines",
    "MultiLineString": "lines",
    "Polygon": "polygons",
}


def grid_of(rows: int, cols: int, cell_size_m: int = 100) -> SurveyGrid:
    return SurveyGrid(CRS, cell_size_m, 6000, 44000, rows, cols)


def at(grid: SurveyGrid, east_m: float, south_m: float) -> shapely.Point:
    """A point so many metres east and south of the grid's north-western corner."""
    return shapely.Point(grid.west_m + east_m, grid.north_m - south_m)


def random_places(rng: np.random.Generator, n: int, grid: SurveyGrid) -> list[shapely.Point]:
    """Points in and around a grid."""
    west, south, east, north = grid.bounds
    low, high = (west - 500, south - 500), (east + 500, north + 500)
    return list(shapely.points(rng.uniform(low, high, (n, 2))))


def line(grid: SurveyGrid, *places: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString([at(grid, *place) for place in places])


def table_of(geometries, **columns) -> gpd.GeoDataFrame:
    for name in ("planned", "occurred"):
        if name in columns:
            columns[name] = pd.to_datetime(pd.Series(columns[name])).astype("datetime64[s]")
    return gpd.GeoDataFrame(columns, geometry=list(geometries), crs=CRS)


def layers_of(
    grid: SurveyGrid,
    *,
    role: Role = Role.BOTH,
    rasters=None,
    classes=None,
    categorical=None,
    **tables,
) -> MemoryLayers:
    """Layers in memory; a vector layer's kind is that of its first geometry."""
    catalogue = {
        key: LayerSettings(
            path=f"{key}.gpkg", kind=KINDS[table.geometry.iloc[0].geom_type], role=role
        )
        for key, table in tables.items()
    }
    for key in rasters or {}:
        unit = "m" if key == "elevation" else "1"
        catalogue[key] = LayerSettings(path=f"{key}.tif", kind="continuous", unit=unit, role=role)
    for key in categorical or {}:
        catalogue[key] = LayerSettings(
            path=f"{key}.tif", kind="categorical", classes=classes, nodata=0, role=role
        )
    return MemoryLayers(
        grid, catalogue, rasters=rasters or {}, categorical=categorical or {}, vectors=tables
    )


def accidents_of(points, occurred=None, victims=None) -> HazardRecords:
    count = len(points)
    data = {name: [None] * count for name in columns_of(Accident)}
    data["record_id"] = [f"A{n}" for n in range(count)]
    data["occurred"] = occurred or [pd.NaT] * count
    data["victims"] = victims or [np.nan] * count
    return HazardRecords(CRS, accidents=table_of(points, **data))


def criterion_of(name: str, layers: MemoryLayers, **values) -> Criterion:
    kind = CRITERIA[name]
    return kind("this", kind.settings_type(criterion=name, **values), layers.catalogue)


def values_of(
    name: str, layers: MemoryLayers, *, records=None, land=None, today: date = TODAY, **values
) -> CellValues:
    inputs = ConsequenceInputs(layers, today, records, land)
    return criterion_of(name, layers, **values).prepare(inputs)(layers.grid)
