"""A small region on files, and a bundle for it: what the scoring engine is tested on."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import yaml

from hazardrank.features.feature_set import build_features
from hazardrank.grid import SurveyGrid
from hazardrank.model.applicability import fit_applicability
from hazardrank.model.boosted import BoostedTrees
from hazardrank.model.bundle import Bundle
from hazardrank.model.drift import ReferenceDistribution
from hazardrank.settings import (
    AnyFamilySettings,
    ApplicabilitySettings,
    ModelSettings,
    RegionSettings,
    validate,
)
from hazardrank.sources.layer_facts import layer_facts
from hazardrank.sources.region import open_layers
from hazardrank.validation.learner import InnerFold, TrainingSide

CRS = "EPSG:32638"
FEATURES = {
    "height": {"family": "raster", "layer": "elevation"},
    "roads": {"family": "proximity", "layer": "roads", "cap_m": 3000},
    "cover": {"family": "land_cover", "layer": "cover"},
}
CLASSES = {1: "water", 2: "cropland", 3: "forest"}


def write_region(folder: Path, grid: SurveyGrid, seed: int = 0, **changes) -> Path:
    """Write layers, records and region file of some made-up land; return the region file."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    wide = grid.expanded(5)
    height = rng.uniform(0, 1000, wide.shape).astype(np.float32)
    height[20:23, 20:30] = np.nan
    _write(folder / "elevation.tif", wide, height, np.nan)
    _write(folder / "cover.tif", wide, rng.integers(1, 4, wide.shape).astype(np.uint8), 0)
    west, south, east, north = grid.bounds
    points = rng.uniform([west, south], [east, north], (20, 4, 2))
    _vectors(folder / "roads.gpkg", shapely.linestrings(points))
    squares = shapely.box(west + 500, south + 500, west + 2500, south + 2000)
    hazards = gpd.GeoDataFrame(
        {"hazard_id": ["H1"], "kind": ["CHA"], "reported": ["2020-01-01"]},
        geometry=[squares],
        crs=CRS,
    )
    hazards.to_file(folder / "hazard_areas.gpkg")
    middle = (west + east) / 2
    districts = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    _vectors(folder / "districts.gpkg", districts, name=["West", "East"])
    area = shapely.Polygon([(west, south), (east, south), (east, north - 1500), (west, north)])
    _vectors(folder / "area.gpkg", [area])
    path = folder / f"{changes.pop('name', 'land')}.yaml"
    path.write_text(yaml.safe_dump({"region": region_values(path.stem) | changes}))
    return path


def region_values(name: str) -> dict:
    return {
        "name": name,
        "crs": CRS,
        "cell_size_m": 100,
        "extent": {"mask": "area.gpkg"},
        "layers": {
            "elevation": {"path": "elevation.tif", "kind": "continuous", "unit": "m"},
            "roads": {"path": "roads.gpkg", "kind": "lines", "as_of": "2020-01-01"},
            "cover": {"path": "cover.tif", "kind": "categorical", "classes": CLASSES},
            "districts": {
                "path": "districts.gpkg",
                "kind": "polygons",
                "columns": {"name": "name"},
            },
        },
        "records": {"hazard_areas": [{"path": "hazard_areas.gpkg"}]},
        "records_as_of": "2024-01-01",
    }


def _write(path: Path, grid: SurveyGrid, values: np.ndarray, nodata: float) -> None:
    profile = {"driver": "GTiff", "height": grid.n_rows, "width": grid.n_cols, "count": 1}
    profile |= {"crs": grid.crs, "transform": grid.transform, "dtype": values.dtype}
    with rasterio.open(path, "w", nodata=nodata, **profile) as dataset:
        dataset.write(values, 1)


def _vectors(path: Path, shapes, **columns) -> None:
    gpd.GeoDataFrame(columns, geometry=list(shapes), crs=CRS).to_file(path)


def make_bundle(region_file: Path, folder: Path, **settings) -> Path:
    """Train a small model on the land of a region file and save it."""
    region = validate(RegionSettings, yaml.safe_load(region_file.read_text())["region"])
    features = build_features(
        {key: AnyFamilySettings(**one) for key, one in FEATURES.items()}, region.layers
    )
    with open_layers(region, region_file.parent, folder / "cache") as layers:
        block = features.block(layers.grid, layers, None)
    matrix = np.ascontiguousarray(block.reshape(len(block), -1).T)[::5]
    rng = np.random.default_rng(1)
    contaminated = rng.random(len(matrix)) < 0.1 + 0.6 * (np.nan_to_num(matrix[:, 0]) > 500)
    rows = np.arange(len(matrix))
    inner = tuple(InnerFold(matrix, rows[rows % 2 != k], rows[rows % 2 == k]) for k in (0, 1))
    chosen = ModelSettings(
        **{"max_rounds": 20, "early_stopping_rounds": 5, "num_leaves": 7} | settings
    )
    learner = BoostedTrees(chosen, features.specs, 1, 0)
    side = TrainingSide(matrix, contaminated, np.ones(len(matrix), np.float32), inner, rows // 20)
    made = Bundle.of(learner.fit(side), learner, {"negatives": "released"})
    near = matrix[matrix[:, 1] < 1200]
    rows = np.arange(len(near))
    domain = fit_applicability(
        near,
        features.specs,
        dict.fromkeys(features.names, 1.0),
        [(rows[rows % 2 != k], rows[rows % 2 == k]) for k in (0, 1)],
        np.full(len(near), 0.1),
        ApplicabilitySettings(max_reference_cells=200),
        0,
    )[0]
    return Bundle(
        **{field: getattr(made, field) for field in made.__dataclass_fields__}
        | {
            "applicability": domain,
            "reference": ReferenceDistribution.fit(matrix, features.specs),
            "features": {
                one.key: one.settings.model_dump(mode="json") for one in features.families
            },
            "layers": layer_facts(region, region_file.parent, ["cover", "elevation", "roads"]),
            "land": {"cell_size_m": 100.0, "simulated": False, "region": region.name},
        }
    ).save(folder / "bundle")
