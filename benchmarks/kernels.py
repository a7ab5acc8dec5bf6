"""The slow references beside what the families use, on the same made-up layers."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from scipy import ndimage

from benchmarks.report import Row, Section, best_of, rate
from hazardrank.features.distance import distance_block
from hazardrank.features.segments import segments_of
from hazardrank.features.terrain import TerrainFamily, TerrainSettings
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.memory import MemoryLayers

SIDE_CELLS = 512
N_LINES = 500
CAP_M = 20_000.0


def run() -> Section:
    grid = SurveyGrid("EPSG:32638", 100, 6000, 44000, SIDE_CELLS, SIDE_CELLS)
    return Section(
        f"Kernels on {SIDE_CELLS} × {SIDE_CELLS} cells, one thread",
        [*_distance(grid), *_terrain(grid)],
    )


def _lines(grid: SurveyGrid) -> np.ndarray:
    draws = np.random.default_rng(3)
    west, south, east, north = grid.bounds
    starts = draws.uniform([west, south], [east, north], (N_LINES, 1, 2))
    steps = draws.normal(0, 300, (N_LINES, 20, 2))
    return shapely.linestrings(starts + np.cumsum(steps, axis=1))


def _distance(grid: SurveyGrid) -> list[Row]:
    lines = _lines(grid)
    segments = segments_of(gpd.GeoSeries(lines, crs=grid.crs))
    ours_s = best_of(3, lambda: distance_block(grid, segments, CAP_M))
    part = grid.part(0, 0, 64, SIDE_CELLS)
    easting, northing = np.meshgrid(part.eastings(), part.northings())
    points = shapely.points(easting.ravel(), northing.ravel())
    tree = shapely.STRtree(lines)
    tree_s = best_of(1, lambda: tree.query_nearest(points, return_distance=True))
    mask = np.ones(grid.shape, bool)
    mask[:: SIDE_CELLS // 16] = False
    edt_s = best_of(3, lambda: ndimage.distance_transform_edt(mask))
    ours = grid.n_cells / ours_s
    return [
        Row("exact distance to 500 lines", rate(grid.n_cells, ours_s)),
        Row(
            "shapely STRtree.query_nearest (as exact)",
            rate(part.n_cells, tree_s),
            f"ours {ours / (part.n_cells / tree_s):.0f} times",
        ),
        Row(
            "scipy EDT on a mask (off by up to a cell)",
            rate(grid.n_cells, edt_s),
            f"ours {ours / (grid.n_cells / edt_s):.2f} times",
        ),
    ]


def _terrain(grid: SurveyGrid) -> list[Row]:
    draws = np.random.default_rng(4)
    wide = grid.expanded(40)
    height = ndimage.gaussian_filter(draws.normal(0, 400, wide.shape), 6).astype(np.float32)
    catalogue = {"elevation": LayerSettings(path="made up", kind="continuous", unit="m")}
    layers = MemoryLayers(grid, catalogue, {"elevation": (wide, height)})
    family = TerrainFamily(
        "terrain", TerrainSettings(family="terrain", radii_m=[300, 1000, 3000]), catalogue
    )
    ours_s = best_of(3, lambda: family.compute(grid, layers))
    footprint = np.hypot(*np.mgrid[-10:11, -10:11]) <= 10
    one_s = best_of(1, lambda: ndimage.generic_filter(height[:128], np.std, footprint=footprint))
    n_features = len(family.specs)
    return [
        Row(f"terrain, {n_features} features, radii to 3 km", rate(grid.n_cells, ours_s)),
        Row(
            "scipy generic_filter, one standard deviation at 1 km",
            rate(128 * wide.n_cols, one_s),
            f"ours {one_s / (128 * wide.n_cols) / (ours_s / grid.n_cells):.0f} times, for all",
        ),
    ]
