"""Land of any size, made block by block: 4 rasters and 11 vector layers, and a model for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import lightgbm as lgb
import numpy as np
import rasterio
import shapely
import yaml
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter, zoom

from hazardrank.features.feature_set import FeatureSet, build_features
from hazardrank.grid import SurveyGrid
from hazardrank.labels.collect import sample_cells
from hazardrank.model.applicability import fit_applicability
from hazardrank.model.bundle import Bundle
from hazardrank.model.calibration import Calibrator
from hazardrank.settings import (
    AnyFamilySettings,
    ApplicabilitySettings,
    ModelSettings,
    RegionSettings,
    validate,
)
from hazardrank.sources.layer_facts import layer_facts
from hazardrank.sources.region import FileLayers, open_layers

CELL_M = 100
CRS = "EPSG:32638"
WEST_CELL, NORTH_CELL = 2000, 60000
PATCH = 256
LINES = ("roads", "tracks", "rivers", "canals", "power_lines", "front_line", "fences")
POINTS = ("villages", "bridges", "posts", "wells")
CLASSES = {1: "water", 2: "cropland", 3: "forest"}
N_TRAINING = 20_000

FEATURES: dict[str, dict[str, Any]] = {
    "terrain": {
        "family": "terrain",
        "layer": "elevation",
        "radii_m": [300],
        "outputs": [
            *("elevation", "slope", "northness", "eastness"),
            *("profile_curvature", "plan_curvature"),
        ],
    },
    "greenness": {"family": "raster", "layer": "greenness"},
    "rain": {"family": "raster", "layer": "rain"},
    "cover": {"family": "land_cover", "layer": "cover"},
    **{name: {"family": "proximity", "layer": name, "cap_m": 20000} for name in (*LINES, *POINTS)},
    "road_density": {"family": "density", "layer": "roads", "radii_m": [1000]},
}
"""24 features: terrain 6, rasters 2, shares of classes 4, distances 11, density 1."""


def make_land(folder: Path, side_cells: int) -> Path:
    """Write a square of land; return its region file."""
    folder.mkdir(parents=True, exist_ok=True)
    grid = SurveyGrid(CRS, CELL_M, WEST_CELL, NORTH_CELL, side_cells, side_cells)
    region = folder / "region.yaml"
    if region.is_file():
        return region
    rasters = {
        "elevation": ("float32", 2500.0, 400.0),
        "greenness": ("float32", 0.5, 0.1),
        "rain": ("float32", 600.0, 80.0),
        "cover": ("uint8", 2.0, 1.0),
    }
    for number, (name, (dtype, middle, spread)) in enumerate(rasters.items()):
        _write_raster(folder / f"{name}.tif", grid, dtype, middle, spread, number)
    rng = np.random.default_rng(3)
    for name in LINES:
        _write(folder / f"{name}.fgb", _lines(grid, rng))
    for name in POINTS:
        _write(folder / f"{name}.fgb", _points(grid, rng))
    settings = {"region": _region(grid)}
    partial = region.with_suffix(".partial")
    partial.write_text(yaml.safe_dump(settings, sort_keys=False))
    partial.replace(region)
    return region


def _region(grid: SurveyGrid) -> dict[str, Any]:
    layers: dict[str, Any] = {
        "elevation": {"path": "elevation.tif", "kind": "continuous", "unit": "m"},
        "greenness": {"path": "greenness.tif", "kind": "continuous", "unit": "1"},
        "rain": {"path": "rain.tif", "kind": "continuous", "unit": "mm"},
        "cover": {"path": "cover.tif", "kind": "categorical", "classes": CLASSES},
    }
    for names, kind in ((LINES, "lines"), (POINTS, "points")):
        layers |= {name: {"path": f"{name}.fgb", "kind": kind} for name in names}
    return {
        "name": "made_up",
        "title": "Made-up land",
        "crs": CRS,
        "cell_size_m": CELL_M,
        "extent": {"bbox": list(grid.bounds)},
        "layers": layers,
    }


def _write_raster(
    path: Path, grid: SurveyGrid, dtype: str, middle: float, spread: float, seed: int
) -> None:
    """Write smooth noise: a coarse field of the whole land, refined and roughened by patches."""
    rng = np.random.default_rng([seed, 1])
    coarse_side = -(-grid.n_rows // 64) + 3
    coarse = gaussian_filter(rng.normal(size=(coarse_side, coarse_side)), 1.5)
    coarse /= coarse.std()
    texture = gaussian_filter(rng.normal(size=(PATCH, PATCH)), 3, mode="wrap")
    texture *= 0.3 / texture.std()
    with rasterio.open(path, "w", **_profile(grid, dtype)) as dataset:
        for row in range(0, grid.n_rows, PATCH):
            for col in range(0, grid.n_cols, PATCH):
                part = coarse[row // 64 : row // 64 + 6, col // 64 : col // 64 + 6]
                fine = zoom(part, 64, order=1, mode="nearest", grid_mode=True)[:PATCH, :PATCH]
                values = middle + spread * (fine + texture[: fine.shape[0], : fine.shape[1]])
                rows, cols = min(PATCH, grid.n_rows - row), min(PATCH, grid.n_cols - col)
                values = values[:rows, :cols]
                if dtype == "uint8":
                    values = np.clip(np.rint(values), 1, 3)
                dataset.write(values.astype(dtype), 1, window=Window(col, row, cols, rows))


def _profile(grid: SurveyGrid, dtype: str) -> dict[str, Any]:
    return {
        "driver": "GTiff",
        "height": grid.n_rows,
        "width": grid.n_cols,
        "count": 1,
        "dtype": dtype,
        "crs": CRS,
        "transform": grid.transform,
        "tiled": True,
        "compress": "zstd",
        "zstd_level": 1,
    }


def _write(path: Path, shapes: np.ndarray) -> None:
    gpd.GeoDataFrame(geometry=shapes, crs=CRS).to_file(path, driver="FlatGeobuf")


def _lines(grid: SurveyGrid, rng: np.random.Generator) -> np.ndarray:
    """One line of 20 segments of about 300 m for every 30 km²."""
    west, south, east, north = grid.bounds
    n_lines = max(5, round((east - west) * (north - south) / 30e6))
    starts = rng.uniform([west, south], [east, north], (n_lines, 1, 2))
    heading = rng.uniform(0, 2 * np.pi, (n_lines, 1)) + np.cumsum(
        rng.normal(0, 0.3, (n_lines, 20)), axis=1
    )
    steps = 300 * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    return shapely.linestrings(np.concatenate([starts, starts + np.cumsum(steps, axis=1)], axis=1))


def _points(grid: SurveyGrid, rng: np.random.Generator) -> np.ndarray:
    """One point for every 20 km²."""
    west, south, east, north = grid.bounds
    n_points = max(5, round((east - west) * (north - south) / 20e6))
    return shapely.points(rng.uniform([west, south], [east, north], (n_points, 2)))


def make_stack(folder: Path, region_file: Path) -> Path:
    """Write the 24 features of a land as rasters, as if ready from elsewhere; return the region."""
    region_of_stack = folder / "region.yaml"
    if region_of_stack.is_file():
        return region_of_stack
    _, features, layers = open_land(region_file, region_file.parent / "cache")
    folder.mkdir(parents=True, exist_ok=True)
    with layers:
        profile = _profile(layers.grid, "float32") | {"nodata": np.nan}
        paths = [folder / f"{name}.tif" for name in features.names]
        files = [rasterio.open(path, "w", **profile) for path in paths]
        for block in layers.grid.blocks(1024):
            row, col = block.offset_in(layers.grid)
            window = Window(col, row, block.n_cols, block.n_rows)
            for file, band in zip(files, features.block(block, layers, None), strict=True):
                file.write(band, 1, window=window)
        for file in files:
            file.close()
    settings = _region(layers.grid) | {
        "layers": {
            spec.name: {
                "path": f"{spec.name}.tif",
                "kind": "continuous",
                "unit": "1",
                "valid_range": [-1e6, 1e6],
            }
            for spec in features.specs
        }
    }
    region_of_stack.write_text(yaml.safe_dump({"region": settings}, sort_keys=False))
    return region_of_stack


def open_land(region_file: Path, cache: Path) -> tuple[RegionSettings, FeatureSet, FileLayers]:
    """Open a made-up land, or a ready stack, with its 24 features."""
    values = yaml.safe_load(region_file.read_text())["region"]
    region = validate(RegionSettings, values)
    chosen = FEATURES
    if "elevation" not in region.layers:
        chosen = {name: {"family": "raster", "layer": name} for name in region.layers}
    features = build_features(
        {key: AnyFamilySettings(**one) for key, one in chosen.items()}, region.layers
    )
    return region, features, open_layers(region, region_file.parent, cache, 25_000.0)


def make_bundle(
    folder: Path, region_file: Path, n_leaves: int = 31, n_trees: int = 300, domain: bool = True
) -> Path:
    """Train a model of 300 trees on cells of the land and save its bundle."""
    region, features, layers = open_land(region_file, region_file.parent / "cache")
    with layers:
        row, col = sample_cells(layers.grid, layers.inside, N_TRAINING, 256, 0)
        matrix = features.at_cells(row, col, layers, 256)
    rng = np.random.default_rng(0)
    steep = np.argsort(np.argsort(matrix[:, 1])) / len(matrix)
    near = 1 - np.argsort(np.argsort(matrix[:, 17])) / len(matrix)
    outcome = rng.random(len(matrix)) < 0.5 * steep * near + 0.4 * rng.random(len(matrix)) ** 3
    parameters = {"objective": "binary", "num_leaves": n_leaves, "verbose": -1, "num_threads": 2}
    data = lgb.Dataset(matrix, outcome, feature_name=features.names)
    text = lgb.train(parameters, data, n_trees).model_to_string()
    settings = ModelSettings(num_leaves=n_leaves)
    calibrator = Calibrator("beta", {"a": (0.9,), "b": (0.9,), "c": (-0.1,)})
    applicability = None
    if domain:
        rows = np.arange(len(matrix))
        importance = {name: 1 / (1 + k) for k, name in enumerate(features.names)}
        applicability = fit_applicability(
            matrix,
            features.specs,
            importance,
            [(rows[rows % 5 != k], rows[rows % 5 == k]) for k in range(5)],
            np.full(len(matrix), 0.1),
            ApplicabilitySettings(),
            0,
            threads=2,
        )[0]
    keys = sorted({layer for family in features.families for layer in family.needs})
    return Bundle(
        features.specs,
        (text,),
        calibrator,
        settings,
        0,
        applicability=applicability,
        features={one.key: one.settings.model_dump(mode="json") for one in features.families},
        layers=layer_facts(region, region_file.parent, keys),
        land={"cell_size_m": float(CELL_M), "simulated": False},
    ).save(folder)
