"""The main job as a user runs it, on small simulated districts and on tables."""

import hashlib
import json
import sqlite3
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml
from rio_cogeo.cogeo import cog_validate

from tests.conftest import Run, run_in

SMALL = [
    "region.simulated.size_km=10",
    "model.max_rounds=40",
    "validation.folds.size_m=2000",
    "validation.folds.n_folds=3",
    "validation.inner_folds=2",
    "compute.progress=false",
    "compute.threads=1",
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that data_dir names; the first run makes the district in it."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, district: Path) -> Path:
    folder = tmp_path_factory.mktemp("run")
    result = run_in(folder, "train", *SMALL, f"data_dir={district}", "output_dir=out")
    assert result.returncode == 0, result.stderr
    assert "SIMULATED" in result.stdout
    assert len(result.stdout.splitlines()) <= 40
    return folder / "out"


def test_training_leaves_what_it_promises(trained: Path) -> None:
    expected = [
        "contamination_likelihood.tif",
        "survey_status.tif",
        "contamination_likelihood.png",
        "survey_status.png",
        "summary.html",
        "metrics.json",
        "settings.yaml",
        "run.json",
        "out_of_fold_predictions.parquet",
        "bundle/bundle.json",
        "bundle/model_0.txt",
    ]
    assert [name for name in expected if not (trained / name).is_file()] == []
    assert not list(trained.rglob("*.partial"))
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["protocol"] == "new_district"
    assert {"roc_auc", "pr_auc", "brier", "ece", "capture_at_10pct_area", "area_for_90pct"} <= set(
        metrics["pooled"]
    )
    baselines = {"prevalence", "logistic_regression", "distance_to_known_hazard"}
    assert baselines <= set(metrics["baselines"])
    assert {"roc_auc", "pr_auc"} <= set(metrics["random_split"])
    outcomes = metrics["n_contaminated"] + metrics["n_released"] + metrics["n_unsurveyed"]
    assert outcomes == metrics["n_cells"] == 10_000
    assert "SIMULATED" in (trained / "summary.html").read_text()


def test_maps_are_cogs_that_say_where_they_come_from(trained: Path) -> None:
    for name in ("contamination_likelihood.tif", "survey_status.tif"):
        assert cog_validate(str(trained / name), quiet=True, strict=True)[0]
    with rasterio.open(trained / "contamination_likelihood.tif") as tif:
        likelihood = tif.read(1)
        assert tif.shape == (100, 100)
        assert tif.tags()["hazardrank_warning"] == "No value on this map means that land is safe."
        assert len(tif.tags()["hazardrank_run_digest"]) == 16
    known = likelihood[~np.isnan(likelihood)]
    assert len(known)
    assert ((known > 0) & (known < 1)).all()
    with rasterio.open(trained / "survey_status.tif") as tif:
        assert set(np.unique(tif.read(1))) == {-1, 0, 1}


def test_out_of_fold_predictions_are_of_cells(trained: Path) -> None:
    predictions = gpd.read_parquet(trained / "out_of_fold_predictions.parquet")
    assert predictions["cell_id"].is_unique
    assert predictions["cell_id"].str.fullmatch(r"CRS32638RES100mN\d+E\d+").all()
    assert predictions["fold"].between(0, 2).all()
    assert predictions.crs == "EPSG:32638"


def test_mlflow_holds_the_run_and_its_folds(trained: Path) -> None:
    run_id = json.loads((trained / "run.json").read_text())["mlflow_run_id"]
    store = sqlite3.connect(trained.parent / "experiments" / "mlflow.db")
    nested = store.execute(
        "select count(*) from tags where key = 'mlflow.parentRunId' and value = ?", (run_id,)
    ).fetchone()
    assert nested == (3,)
    assert store.execute("select status from runs where run_uuid = ?", (run_id,)).fetchone() == (
        "FINISHED",
    )
    store.close()


def test_the_same_seed_gives_the_same_bytes(
    trained: Path, run_module: Run, tmp_path: Path, district: Path
) -> None:
    again = run_module(
        "train", *SMALL, f"data_dir={district}", "output_dir=again", "tracking=off",
        "compute.block_cells=33",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    names = ["contamination_likelihood.tif", "survey_status.tif", "metrics.json"]
    for name in [*names, "bundle/model_0.txt", "out_of_fold_predictions.parquet"]:
        first, second = (
            hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for folder in (trained, tmp_path / "again")
        )
        assert first == second, name


def test_saved_settings_train_again(trained: Path) -> None:
    settings = yaml.safe_load((trained / "settings.yaml").read_text())
    assert settings["model"]["max_rounds"] == 40
    assert settings["region"]["simulated"]["size_km"] == 10
    assert settings["labels"]["max_cells"] == 20_000


def test_multirun_goes_on_after_a_wrong_job(
    run_module: Run, tmp_path: Path, district: Path
) -> None:
    seeds = ["seed=1", "model.min_cells_in_leaf=0,20", "-m", "tracking=off"]
    result = run_module("train", *SMALL, f"data_dir={district}", "output_dir=sweep", *seeds)
    assert result.returncode == 2
    assert "model.min_cells_in_leaf = 0" in " ".join(result.stderr.split())
    assert not (tmp_path / "sweep" / "0" / "metrics.json").exists()
    assert (tmp_path / "sweep" / "1" / "metrics.json").is_file()


def test_absent_data_is_named(run_module: Run, tmp_path: Path) -> None:
    result = run_module("train", "region=bosnia", "data_dir=nowhere", "tracking=off")
    assert result.returncode == 2
    message = " ".join(result.stderr.split())
    assert "Traceback" not in message
    assert str(tmp_path / "nowhere" / "bosnia" / "hazard_areas.geojson") in message
    assert "github.com/Henning-arround/BiH_mines" in message


def test_a_simulated_district_trains_from_its_own_region_file(
    run_module: Run, tmp_path: Path
) -> None:
    made = run_module("simulate", "output_dir=land", "district.size_km=6", "district.seed=3")
    assert made.returncode == 0, made.stderr
    small = [text for text in SMALL if not text.startswith("region.")]
    result = run_module(
        "train", "region_file=land/region.yaml", *small, "output_dir=out", "tracking=off",
        "validation.folds.size_m=1000",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "contamination_likelihood.tif").is_file()


def _table(path: Path) -> None:
    draws = np.random.default_rng(5)
    row, col = np.divmod(np.arange(900), 30)
    road_km = draws.gamma(2, 2, 900)
    outcome = np.where(draws.random(900) < 0.3, -1, road_km + draws.normal(0, 1.5, 900) < 3)
    table = {"lon": 45 + col * 0.01, "lat": 15 + row * 0.01, "road_km": road_km}
    other = {"height_m": draws.normal(800, 90, 900), "outcome": outcome.astype(int)}
    groups = {"district": np.array(list("ABCDEF"))[row // 5]}
    pd.DataFrame({**table, **other, **groups}).to_csv(path, index=False)


def test_a_ready_table_trains_without_any_layer(run_module: Run, tmp_path: Path) -> None:
    _table(tmp_path / "cells.csv")
    region = {
        "name": "ready",
        "crs": "EPSG:32638",
        "cell_size_m": 1000,
        "extent": {"bbox": [45, 15, 45.29, 15.29], "bbox_crs": "EPSG:4326"},
        "table": {
            "path": "cells.csv",
            "easting": "lon",
            "northing": "lat",
            "spacing": 0.01,
            "outcome": "outcome",
            "group": "district",
            "units": {"road_km": "km", "height_m": "m"},
        },
    }
    (tmp_path / "ready.yaml").write_text(yaml.safe_dump({"region": region}))
    result = run_module(
        "train", "region_file=ready.yaml", "validation=districts", "tracking=off",
        "output_dir=out", "model=small_sample", "model.max_rounds=40", "compute.progress=false",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert len(metrics["folds"]) == 6
    assert metrics["pooled"]["roc_auc"] > 0.8


@pytest.mark.parametrize(
    "options",
    [
        ["model.propensity=inverse", "model.propensity_cells=1000"],
        ["labels=background", "model.unlabelled=elkan_noto", "labels.background.sampling=hard"],
        ["labels=background", "model.unlabelled=bagging", "model.unlabelled_bags=2"],
        [
            "labels=background",
            "model.unlabelled=nnpu",
            "labels.background.sampling=propensity_matched",
            "labels.background.match_layer=roads",
        ],
    ],
)
def test_options_for_biased_records_leave_likelihoods_and_say_what_they_did(
    options: list[str], tmp_path: Path, district: Path
) -> None:
    quick = ["explanation.enabled=false", "validation.random_split=false", "tracking=off"]
    quick += ["validation.baselines=[prevalence]", "validation.bootstrap=20"]
    result = run_in(
        tmp_path, "train", *SMALL, *quick, *options, f"data_dir={district}", "output_dir=out"
    )
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    with rasterio.open(tmp_path / "out" / "contamination_likelihood.tif") as found:
        likelihood = found.read(1, masked=True).compressed()
    assert len(likelihood) > 0
    assert ((likelihood >= 0) & (likelihood <= 1)).all()
    if "labels=background" in options:
        facts = metrics["unlabelled"]
        assert facts["method"] in options[1]
        assert 0 < facts["class_prior"] < 1
        assert metrics["survey_weights"] is None
    else:
        facts = metrics["survey_weights"]
        assert facts["effective_cells"] <= facts["n_cells"] == metrics["n_labelled"]
        assert "equally weighted" in (tmp_path / "out" / "run.json").read_text()


def test_options_for_unlabelled_land_are_refused_on_released_land(
    tmp_path: Path, district: Path
) -> None:
    given = [f"data_dir={district}", "output_dir=out"]
    refused = run_in(tmp_path, "train", *SMALL, *given, "model.unlabelled=nnpu")
    assert refused.returncode != 0
    assert "choose labels=background" in refused.stderr.replace("\n", " ")
    weights = ["labels=background", "model.propensity=inverse"]
    refused = run_in(tmp_path, "train", *SMALL, *given, *weights)
    assert refused.returncode != 0
    assert "weights surveyed land" in refused.stderr.replace("\n", " ")
