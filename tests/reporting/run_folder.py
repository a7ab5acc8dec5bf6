"""A small run folder to report on, written with plain libraries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
import yaml
from matplotlib.image import imread
from rasterio.transform import Affine

ROWS, COLS = 40, 50
CELL_M = 100


def write_rasters(
    folder: Path, likelihood: np.ndarray, status: np.ndarray, cell_m: int = CELL_M
) -> None:
    profile = {
        "driver": "GTiff",
        "crs": "EPSG:32638",
        "transform": Affine(cell_m, 0, 600_000, 0, -cell_m, 4_440_000),
        "height": likelihood.shape[0],
        "width": likelihood.shape[1],
        "count": 1,
    }
    tif = folder / "contamination_likelihood.tif"
    with rasterio.open(tif, "w", dtype="float32", nodata=-9999, **profile) as target:
        target.write(np.where(np.isnan(likelihood), -9999, likelihood).astype("float32"), 1)
    with rasterio.open(
        folder / "survey_status.tif", "w", dtype="int8", nodata=-128, **profile
    ) as target:
        target.write(status.astype("int8"), 1)


def some_land() -> tuple[np.ndarray, np.ndarray]:
    """Likelihood and status with every case a map must draw."""
    likelihood = np.linspace(0.001, 0.6, ROWS * COLS).reshape(ROWS, COLS) ** 2
    status = np.full((ROWS, COLS), -1)
    status[5:10, 5:15] = 0
    status[30:36, 30:40] = 1
    status[:, :3] = -128
    likelihood[20, 20:24] = np.nan
    return likelihood, status


def write_run(folder: Path, background: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_rasters(folder, *some_land())
    draw = np.random.default_rng([1, 2])
    contaminated = draw.random(300) < 0.2
    score = draw.normal(size=300) + contaminated
    other = -1 if background else 0
    pd.DataFrame(
        {
            "cell_id": [f"CRS32638RES100mN{k}E0" for k in range(300)],
            "easting": np.arange(300.0),
            "northing": np.zeros(300),
            "fold": np.arange(300) % 3,
            "outcome": np.where(contaminated, 1, other).astype("int8"),
            "weight": np.ones(300, "float32"),
            "score": score,
            "likelihood": 1 / (1 + np.exp(1.5 - score)),
        }
    ).to_parquet(folder / "out_of_fold_predictions.parquet")
    (folder / "metrics.json").write_text(json.dumps(metrics(background)))
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings()))
    return folder


def metrics(background: bool = False) -> dict:
    pooled = {"roc_auc": 0.76, "pr_auc": 0.41, "brier": 0.13, "ece": 0.02}
    pooled |= {"capture_at_10pct_area": 0.33, "area_for_90pct": 0.61, "undefined": {}}
    fold = {"name": "north", "n_cells": 100, "n_contaminated": 20, "roc_auc": 0.7, "pr_auc": None}
    return {
        "protocol": "new_district",
        "pooled": pooled,
        "folds": [fold, fold | {"name": "south"}, fold | {"name": "<east>"}],
        "baselines": {
            "prevalence": {"roc_auc": 0.5, "pr_auc": 0.2},
            "distance_to_known_hazard": {"roc_auc": 0.66, "pr_auc": 0.3},
        },
        "random_split": {"roc_auc": 0.93, "pr_auc": 0.8},
        "n_cells": 1850,
        "n_contaminated": 60,
        "n_released": 0 if background else 50,
        "n_unsurveyed": 1740,
        "n_background": 240 if background else 0,
        "negatives": "unlabelled background" if background else "released land",
    }


def with_intervals(values: dict) -> dict:
    """Add what a run with a bootstrap says."""
    values["pooled"] |= {"reverse_height": 57.6, "intervals": {
        "roc_auc": [0.702, 0.811], "pr_auc": [0.3, 0.52], "brier": [0.11, 0.152],
        "ece": [0.001, 0.04], "capture_at_10pct_area": [0.2, 0.4], "reverse_height": [40, 70.2],
    }}  # fmt: skip
    values["baselines"]["prevalence"]["intervals"] = {"roc_auc": [0.44, 0.56]}
    ends = {"difference": 0.1, "low": 0.02, "high": 0.2}
    none = {"difference": -0.011, "low": -0.05, "high": 0.03, "verdict": "no difference shown"}
    return values | {
        "baselines_absent": {"distance_to_front_line": "no feature measures it"},
        "differences": {
            "prevalence": {"roc_auc": ends | {"verdict": "better"}, "pr_auc": none},
            "distance_to_known_hazard": {"roc_auc": none, "pr_auc": none},
        },
        "lift": {"over": "distance_to_known_hazard", "at_10pct_area": 1.52,
                 "intervals": {"at_10pct_area": [1.1, 2.04]}},
        "bootstrap": {"n_draws": 500, "units": "square blocks of 5 km", "n_units": 31,
                      "n_units_contaminated": 12, "seed": 0, "confidence": 0.95,
                      "note": "12 of 31 square blocks of 5 km hold contaminated cells"},
    }  # fmt: skip


def settings() -> dict:
    return {
        "region": {
            "name": "somewhere",
            "crs": "EPSG:32638",
            "cell_size_m": 100.0,
            "layers": {
                "roads": {
                    "path": "roads.gpkg",
                    "kind": "lines",
                    "as_of": "1999-05-01",
                    "licence": "ODbL-1.0",
                }
            },
            "records": {"hazard_areas": [{"path": "a"}], "accidents": [{"path": "b"}] * 2},
        },
        "validation": {
            "folds": {"method": "blocks", "size_m": 5000.0, "n_folds": 5, "buffer_m": 500.0},
            "inner_folds": 4,
        },
        "model": {"calibration": "beta"},
    }


def colours_of(png: Path) -> list[tuple[float, ...]]:
    """The distinct colours of a picture, as RGB in 0–1."""
    rgb = np.round(imread(png)[..., :3] * 255).astype(np.int64)
    packed = np.unique(rgb @ np.array([65536, 256, 1]))
    return [tuple((code >> shift & 255) / 255 for shift in (16, 8, 0)) for code in packed.tolist()]
