"""Fold diagnostics: distances and counts by hand, the range of fields whose range is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hazardrank.settings import FoldSettings
from hazardrank.validation.diagnostics import (
    MOST_RESIDUALS,
    FoldDiagnostics,
    class_counts,
    diagnose,
    held_out_unit,
    neighbour_distances_m,
    residual_range,
)
from hazardrank.validation.folds import make_folds
from tests.validation.cases import cells_at, scattered, training_set

TWO_BLOCKS = FoldSettings(method="blocks", size_m=1000, n_folds=2)


def row_of_cells(settings=TWO_BLOCKS):
    """Twenty cells 100 m apart in one row, parted at 1 km."""
    return make_folds(training_set(cells_at([0] * 20, range(20), [0, 1] * 10)), settings, 0)


def test_distances_by_hand():
    plan = row_of_cells()
    # A place 300 m north of the first cell, and one on the last, which has a record.
    first = np.array([plan.cells.easting[0], plan.cells.northing[0] + 300])
    last = np.array([plan.cells.easting[19], plan.cells.northing[19]])
    found = neighbour_distances_m(plan, 0, np.stack([first, last]))
    assert found["sample_to_sample"].tolist() == [100.0] * 20
    # Columns 0–9 are 1,000 … 100 m from column 10, and likewise the other way.
    assert sorted(found["test_to_train"].tolist()) == sorted(2 * [100.0 * k for k in range(1, 11)])
    assert sorted(found["prediction_to_sample"].tolist()) == [300.0]


def test_the_buffer_adds_to_the_distance_from_training_cells():
    plan = row_of_cells(TWO_BLOCKS.model_copy(update={"buffer_m": 300.0}))
    assert neighbour_distances_m(plan, 0)["test_to_train"].min() == 300


def test_wasserstein_distances_by_hand():
    plan = row_of_cells()
    points = np.column_stack([plan.cells.easting, plan.cells.northing + 700])
    found = diagnose(plan, TWO_BLOCKS, np.full(20, 0.5), 0, points)
    # 100, 100, 200, 200 … 1,000, 1,000 against 700 throughout: mean of 600, 500 … 0 … 300.
    assert found.wasserstein_m["test_to_train_vs_prediction_to_sample"] == pytest.approx(270)
    assert found.wasserstein_m["sample_to_sample_vs_prediction_to_sample"] == pytest.approx(600)
    assert found.wasserstein_m["sample_to_sample_vs_test_to_train"] == pytest.approx(450)


def test_class_counts_by_hand():
    plan = row_of_cells(TWO_BLOCKS.model_copy(update={"buffer_m": 150.0}))
    # Each fold leaves out one cell of the other side; of columns 10 and 9, one each outcome.
    counts = class_counts(plan)
    assert [(fold["n_contaminated"], fold["n_other"]) for fold in counts] == [(5, 5), (5, 5)]
    trained = {(fold["n_train_contaminated"], fold["n_train_other"]) for fold in counts}
    assert trained == {(5, 4), (4, 5)}


# ------------------------------------------------------------------ residuals


def field(range_m, noise=0.0, seed=0, n_cells=900, extent_m=20_000):
    """A Gaussian field with a spherical variogram of sill 1, and noise of its own variance."""
    draw = np.random.default_rng([seed])
    places = draw.uniform(0, extent_m, (n_cells, 2))
    near = np.minimum(cdist(places, places) / range_m, 1)
    covariance = 1 - 1.5 * near + 0.5 * near**3 + (1e-8 + noise) * np.eye(n_cells)
    return places, np.linalg.cholesky(covariance) @ draw.normal(size=n_cells)


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("range_m", [1500, 4000])
def test_the_range_of_a_known_field_is_found_within_a_factor_of_one_and_a_half(range_m, noise):
    found = [residual_range(*field(range_m, noise, seed), seed=0).range_m for seed in range(3)]
    assert all(range_m / 1.5 < value < range_m * 1.5 for value in found)


def test_noise_has_no_range_and_says_so():
    draw = np.random.default_rng([5])
    found = residual_range(draw.uniform(0, 20_000, (900, 2)), draw.normal(size=900), seed=0)
    assert found.range_m is None
    assert found.reason == "residuals are no more alike when near"


def test_a_trend_through_the_whole_area_has_no_end():
    places, _ = field(1000)
    found = residual_range(places, places[:, 0] / 1000, seed=0)
    assert found.reason.startswith("the range is at least this")


@pytest.mark.parametrize(
    ("residual", "reason"),
    [
        (np.r_[np.ones(40), np.full(60, np.nan)], "40 residuals are too few for a variogram"),
        (np.ones(100), "all residuals are the same"),
    ],
)
def test_what_has_no_variogram_says_why(residual, reason):
    places = np.random.default_rng([1]).uniform(0, 1000, (100, 2))
    found = residual_range(places, residual, seed=0)
    assert (found.range_m, found.reason) == (None, reason)


def test_a_failing_fit_says_why(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("Optimal parameters\nnot found")

    monkeypatch.setattr("hazardrank.validation.diagnostics.curve_fit", fail)
    found = residual_range(*field(2000, n_cells=200), seed=0)
    assert found.range_m is None
    assert found.reason == (
        "no variogram could be fitted to the residuals (Optimal parameters not found)"
    )


def test_the_variogram_is_bounded_and_repeats_whatever_the_order():
    draw = np.random.default_rng([2])
    places, values = draw.uniform(0, 9000, (4000, 2)), draw.normal(size=4000)
    found = residual_range(places, values, seed=0)
    assert found.n_cells == MOST_RESIDUALS
    assert found == residual_range(places[::-1], values[::-1], seed=0)


# ------------------------------------------------------------------ advice


def diagnosed(settings, range_m, **changes):
    """Diagnostics of scattered cells whose likelihoods leave residuals of a known range."""
    training = scattered(3)
    plan = make_folds(training, settings, 0)
    places = np.column_stack([training.cells.easting, training.cells.northing])
    draw = np.random.default_rng([7])
    near = np.minimum(cdist(places, places) / range_m, 1)
    covariance = 1 - 1.5 * near + 0.5 * near**3 + 1e-6 * np.eye(len(places))
    residual = np.linalg.cholesky(covariance) @ draw.normal(size=len(places))
    return diagnose(plan, settings, training.cells.contaminated - residual, 0, **changes)


def test_blocks_smaller_than_the_range_are_told():
    small = diagnosed(FoldSettings(method="blocks", size_m=400, n_folds=4), range_m=1000)
    assert small.unit_size_m == 400 < small.residuals.range_m
    assert small.advice[0].startswith("The blocks of 400 m are smaller than the ")
    assert "validation.folds.size_m" in small.advice[0]
    large = diagnosed(FoldSettings(method="blocks", size_m=2000, n_folds=4), range_m=600)
    assert not any("smaller than" in sentence for sentence in large.advice)
    assert f"blocks {2.0:.1f} km" in large.summary


def test_folds_nearer_than_the_map_are_told():
    far = np.array([[520_000.0, 4_900_000.0], [530_000.0, 4_900_000.0]])
    settings = FoldSettings(method="blocks", size_m=1000, n_folds=4)
    found = diagnosed(settings, range_m=500, prediction_points=far)
    assert "figures speak of land nearer to the records than most of the map" in found.advice[-1]
    assert "validation=knndm" in found.advice[-1]


@pytest.mark.parametrize(
    ("settings", "unit"),
    [
        (FoldSettings(method="groups", n_folds=2), "groups"),
        (FoldSettings(method="kmeans", n_clusters=4, n_folds=2), "clusters"),
    ],
)
def test_groups_and_clusters_are_as_wide_as_their_land(settings, unit):
    # Four quadrants of 2 km each, but for the rim.
    name, size_m = held_out_unit(make_folds(scattered(), settings, 0), settings)
    assert name == unit
    assert 1700 < size_m < 2000


def test_folds_without_a_size_have_none():
    settings = FoldSettings(method="knndm", n_folds=3)
    assert held_out_unit(make_folds(scattered(), settings, 0), settings) == ("", None)


def test_metrics_hold_json_values():
    found = diagnosed(FoldSettings(method="blocks", size_m=800, n_folds=4), range_m=600)
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert set(values["distances_m"]) == {
        "sample_to_sample",
        "test_to_train",
        "prediction_to_sample",
    }
    for distances in values["distances_m"].values():
        assert len(distances["percentiles"]) == len(values["percentiles"])
        assert distances["median"] == distances["percentiles"][25]
    assert len(values["classes"]) == 4
    assert len(values["residuals"]["lag_m"]) == len(values["residuals"]["semivariance"])
    assert isinstance(found, FoldDiagnostics)
