"""The slow references beside what the families use, on the same made-up layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks import references
from benchmarks.references import Land
from benchmarks.report import Row, Section, best_of, rate
from hazardrank.features.distance import distance_block
from hazardrank.features.registry import FAMILIES, HISTORY_FAMILIES
from hazardrank.features.segments import segments_of
from hazardrank.features.terrain import TerrainFamily, TerrainSettings
from hazardrank.grid import SurveyGrid
from hazardrank.records import RECORD_NOUNS, HazardRecords, columns_of
from hazardrank.settings import LayerSettings
from hazardrank.sources.memory import MemoryLayers

SIDE_CELLS = 512
N_LINES = 500
CAP_M = 20_000.0
PIXEL_SIZE_M = 10
CODES = {10: "trees", 40: "crops", 50: "built up"}


@dataclass(frozen=True)
class Case:
    """A family with settings, and its slow reference on the middle `side` × `side` cells."""

    what: str
    family: str
    settings: dict[str, Any]
    beside: str
    slow: Callable[[SurveyGrid, Land, Any], NDArray[Any]]
    side: int = 64
    note: str = ""


FRONT = {"layer": "fronts", "elevation": "elevation"}
CASES = [
    Case(
        "length of lines per km², 1 and 5 km",
        "density",
        {"layer": "roads", "radii_m": [1000, 5000]},
        "shapely intersection, scipy fftconvolve",
        references.density,
        256,
    ),
    Case(
        "points per km², 1 and 5 km",
        "density",
        {"layer": "places", "radii_m": [1000, 5000]},
        "shapely STRtree, scipy fftconvolve",
        references.density,
        256,
    ),
    Case(
        "shares of 4 classes from 10 m pixels",
        "land_cover",
        {"layer": "cover"},
        "exactextract frac",
        references.shares,
    ),
    Case(
        "the same, and in discs of 1 km",
        "land_cover",
        {"layer": "cover", "radii_m": [1000]},
        "numpy mean of pixels, scipy fftconvolve",
        references.shares_in_discs,
        256,
    ),
    Case(
        "mean and deviation of a raster, 1 km",
        "raster",
        {"layer": "elevation", "statistics": ["mean", "sd"], "radii_m": [1000]},
        "scipy generic_filter, numpy mean and std",
        references.raster,
        256,
        " (ours rounds to 0.001 m)",
    ),
    Case(
        "distance and gravity of 2000 settlements",
        "settlements",
        {"layer": "places"},
        "scipy cdist, numpy sum",
        references.settlements,
        note=" (a place 1 mm from the cap may count or not)",
    ),
    Case(
        "front lines: distance, years, side, slope",
        "front_lines",
        {**FRONT, "radii_m": [500, 5000], "side": True},
        "shapely distance, days counted by numpy",
        references.front_lines,
    ),
    Case(
        "distance to crossings of roads and rivers",
        "crossings",
        {"layer": "roads", "across": "rivers"},
        "shapely intersection, STRtree",
        references.crossings,
    ),
    Case(
        "signed distance to 300 polygons",
        "proximity",
        {"layer": "areas", "signed": True},
        "shapely STRtree",
        references.proximity,
    ),
    Case(
        "history of 500 records, 2 and 5 km",
        "history",
        {"kinds": ["hazard_areas", "accidents", "any"], "radii_m": [2000, 5000]},
        "shapely distance and intersects",
        references.history,
        32,
    ),
    Case(
        "visible share from 50 lines within 3 km",
        "visibility",
        FRONT,
        "numpy loop, scipy map_coordinates",
        references.visibility,
        24,
    ),
]


def run() -> Section:
    grid = SurveyGrid("EPSG:32638", 100, 6000, 44000, SIDE_CELLS, SIDE_CELLS)
    land = _land(grid)
    families = [row for case in CASES for row in _beside(case, grid, land)]
    return Section(
        f"Kernels on {SIDE_CELLS} × {SIDE_CELLS} cells, one thread",
        [*_distance(grid), *_terrain(grid), *families],
    )


def _beside(case: Case, grid: SurveyGrid, land: Land) -> list[Row]:
    """Measure a family and its reference, and how far apart they are."""
    settings, compute = _family(case, land)
    ours_s = best_of(3, lambda: compute(grid))
    corner = (SIDE_CELLS - case.side) // 2
    part = grid.part(corner, corner, case.side, case.side)
    expected: list[NDArray[Any]] = []
    slow_s = best_of(1, lambda: expected.append(case.slow(part, land, settings)))
    middle = slice(corner, corner + case.side)
    apart = _apart(compute(grid)[:, middle, middle], expected[-1])
    times = slow_s / part.n_cells / (ours_s / grid.n_cells)
    return [
        Row(case.what, rate(grid.n_cells, ours_s)),
        Row(
            f"{case.beside} ({case.side} × {case.side} cells)",
            f"{part.n_cells / slow_s / 1e6:.2g} Mcell/s",
            f"ours {times:.{0 if times >= 10 else 1}f} times; {apart}{case.note}",
        ),
    ]


def _family(case: Case, land: Land) -> tuple[Any, Callable[[SurveyGrid], NDArray[Any]]]:
    """Return a family's settings, and how it computes a block."""
    kind = {**FAMILIES, **HISTORY_FAMILIES}[case.family]
    settings = kind.settings_type(family=case.family, **case.settings)
    if case.family in FAMILIES:
        family = kind(case.family, settings, land.layers.catalogue)
        return settings, lambda grid: family.compute(grid, land.layers)
    history = kind(case.family, settings)

    def of_cells(grid: SurveyGrid) -> NDArray[Any]:
        places = references.centres(grid).T.copy()
        return history.at_cells(*places, grid.cell_size_m, land.known).reshape(-1, *grid.shape)

    return settings, of_cells


def _apart(ours: NDArray[Any], expected: NDArray[Any]) -> str:
    """Say how far two results are apart, as a share of each feature's largest value."""
    if ours.shape != expected.shape or (np.isnan(ours) != np.isnan(expected)).any():
        return "missing in other cells"
    largest = np.nanmax(np.abs(expected), axis=(1, 2), keepdims=True)
    share = np.nanmax(np.abs(ours - expected) / np.where(largest > 0, largest, 1))
    return f"differ by at most {share:.0e} of the largest value"


def _land(grid: SurveyGrid) -> Land:
    """Make up every layer and the records."""
    draws = np.random.default_rng(5)
    west, south, east, north = grid.bounds

    def table(shapes: NDArray[Any], **columns: Any) -> gpd.GeoDataFrame:
        return gpd.GeoDataFrame(columns, geometry=shapes, crs=grid.crs)

    def points(n: int) -> NDArray[Any]:
        return shapely.points(draws.uniform([west, south], [east, north], (n, 2)))

    fronts, start = _lines(grid, 6, 50), np.datetime64("1992-04-01") + draws.integers(0, 900, 50)
    end = start + draws.integers(0, 400, 50)
    areas, accidents = shapely.buffer(points(300), draws.uniform(50, 800, 300)), points(200)
    vectors = {
        "roads": table(_lines(grid, 7)),
        "rivers": table(_lines(grid, 8, 100)),
        "fronts": table(fronts, start=start, end=end, side=draws.choice(["left", "right"], 50)),
        "places": table(points(2000), people=draws.integers(1, 5000, 2000)),
        "areas": table(areas),
    }
    kinds = {"places": "points", "areas": "polygons"}
    catalogue = {
        key: LayerSettings(path="made up", kind=kinds.get(key, "lines")) for key in vectors
    }
    catalogue["elevation"] = LayerSettings(path="made up", kind="continuous", unit="m")
    catalogue["cover"] = LayerSettings(path="made up", kind="categorical", classes=CODES)
    wide = grid.expanded(40)
    height_m = ndimage.gaussian_filter(draws.normal(0, 400, wide.shape), 6).astype(np.float32)
    finer = grid.cell_size_m // PIXEL_SIZE_M
    corner_and_shape = (grid.west_cell, grid.north_cell, grid.n_rows, grid.n_cols)
    pixels = SurveyGrid(grid.crs, PIXEL_SIZE_M, *(finer * cells for cells in corner_and_shape))
    codes = pixels, draws.choice(np.array([*CODES, 99], np.int16), pixels.shape)
    layers = MemoryLayers(
        grid, catalogue, {"elevation": (wide, height_m)}, {"cover": codes}, vectors
    )
    records = {"hazard_areas": areas, "accidents": accidents}
    known = {
        name: table(shapes, **_columns(name, draws.integers(0, 400, len(shapes))))
        for name, shapes in records.items()
    }
    return Land(layers, codes, HazardRecords(grid.crs, **known))


def _columns(name: str, hazard_id: NDArray[np.int64]) -> dict[str, Any]:
    """Return the columns of records of which only the hazard is known."""
    unknown = [None] * len(hazard_id)
    return dict.fromkeys(columns_of(RECORD_NOUNS[name]), unknown) | {"hazard_id": hazard_id}


def _lines(grid: SurveyGrid, seed: int = 3, n_lines: int = N_LINES) -> NDArray[Any]:
    draws = np.random.default_rng(seed)
    west, south, east, north = grid.bounds
    starts = draws.uniform([west, south], [east, north], (n_lines, 1, 2))
    steps = draws.normal(0, 300, (n_lines, 20, 2))
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
