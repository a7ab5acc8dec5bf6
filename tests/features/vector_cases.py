"""Small worlds for the vector families, and the tiling check they all must pass."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from hypothesis import strategies as st

from hazardrank.features.base import FeatureFamily
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.memory import MemoryLayers

CRS = "EPSG:32638"


def grid_of(rows: int, cols: int, cell_size_m: int = 100, west: int = 6000, north: int = 44000):
    """A grid whose west and north edges are counted in cells."""
    return SurveyGrid(CRS, cell_size_m, west, north, rows, cols)


def table_of(geometries, **columns) -> gpd.GeoDataFrame:
    for name in ("start", "end"):
        if name in columns:
            columns[name] = pd.to_datetime(pd.Series(columns[name])).astype("datetime64[s]")
    return gpd.GeoDataFrame(columns, geometry=list(geometries), crs=CRS)


def layers_of(grid: SurveyGrid, rasters=None, inside=None, **tables) -> MemoryLayers:
    """Layers in memory; a layer's kind is that of its first geometry."""
    kinds = {"Point": "points", "LineString": "lines", "Polygon": "polygons"}
    catalogue = {
        key: LayerSettings(path=f"{key}.gpkg", kind=kinds[table.geometry.iloc[0].geom_type])
        for key, table in tables.items()
    }
    for key in rasters or {}:
        catalogue[key] = LayerSettings(path=f"{key}.tif", kind="continuous", unit="m")
    return MemoryLayers(grid, catalogue, rasters=rasters or {}, vectors=tables, inside=inside)


def same_in_blocks(family: FeatureFamily, grid: SurveyGrid, layers, block_cells: int) -> bool:
    """Whether every block's values equal the whole grid's, to the bit."""
    whole = family.compute(grid, layers)
    for block in grid.blocks(block_cells):
        row, col = block.offset_in(grid)
        part = whole[:, row : row + block.n_rows, col : col + block.n_cols]
        if family.compute(block, layers).tobytes() != np.ascontiguousarray(part).tobytes():
            return False
    return True


def random_lines(rng: np.random.Generator, n: int, grid: SurveyGrid, margin_m: float = 800.0):
    """Wandering lines in and around a grid."""
    west, south, east, north = grid.bounds
    lines = []
    for _ in range(n):
        start = rng.uniform(
            (west - margin_m, south - margin_m), (east + margin_m, north + margin_m)
        )
        steps = rng.normal(0, 200, (rng.integers(1, 6), 2))
        lines.append(shapely.LineString(np.vstack([start, start + np.cumsum(steps, axis=0)])))
    return lines


def random_points(rng: np.random.Generator, n: int, grid: SurveyGrid, margin_m: float = 800.0):
    west, south, east, north = grid.bounds
    low, high = (west - margin_m, south - margin_m), (east + margin_m, north + margin_m)
    return list(shapely.points(rng.uniform(low, high, (n, 2))))


def random_polygons(rng: np.random.Generator, n: int, grid: SurveyGrid):
    """Discs with rough edges, some with a hole."""
    polygons = []
    for centre in random_points(rng, n, grid, 300.0):
        disc = centre.buffer(rng.uniform(20, 500), quad_segs=3)
        polygons.append(disc.difference(centre.buffer(rng.uniform(0.1, 200), quad_segs=2)))
    return [p for p in polygons if p.geom_type == "Polygon" and not p.is_empty]


seeds = st.integers(0, 2**32 - 1)
