"""Cross-validation: what the learner is shown, what is reported, and that it repeats."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hazardrank.errors import ModelError
from hazardrank.settings import FoldSettings, ValidationSettings
from hazardrank.validation.cross_validation import cross_validate, training_side
from hazardrank.validation.folds import FOLD_MAKERS, make_folds
from hazardrank.validation.learner import Estimate
from hazardrank.validation.metrics import roc_auc
from hazardrank.validation.training_set import known_before
from tests.validation.cases import FakeLearner, FakeModel, cells_at, scattered, training_set

FOLDS = FoldSettings(method="blocks", size_m=700, n_folds=3, buffer_m=100)
SETTINGS = ValidationSettings(
    folds=FOLDS,
    inner_folds=2,
    bootstrap=40,
    baselines=["prevalence", "distance_to_known_hazard", "logistic_regression"],
)
INFILL = SETTINGS.model_copy(update={"protocol": "infill"})


def run(training, settings=SETTINGS, learner=None, **more):
    plan = make_folds(training, settings.folds, seed=0)
    return plan, cross_validate(training, plan, learner or FakeLearner(), settings, 0, **more)


class History:
    """Shows each cell the number of hazards it may know, and remembers what was held out.

    Under leakage the column would give the outcome away: it is the outcome wherever the
    cell's own hazard and land are known.
    """

    def __init__(self, cells):
        self.cells = cells
        self.asked = []

    def __call__(self, unknown, land):
        self.asked.append((unknown, land))
        hidden = np.isin(self.cells.hazard_id, unknown)
        if land is not None:
            hidden |= land(self.cells.easting, self.cells.northing)
        return np.where(hidden, np.nan, self.cells.contaminated).astype(np.float32)[:, None]


def with_history():
    base = scattered()
    history = History(base.cells)
    return training_set(base.cells, base.layer_features, base.groups, history), history


# ------------------------------------------------------------------ what is seen


def test_the_learner_sees_training_sides_only():
    training = scattered()
    learner = FakeLearner()
    plan, _ = run(training, SETTINGS.model_copy(update={"random_split": False}), learner)
    assert len(learner.sides) == plan.n_folds
    for k, side in enumerate(learner.sides):
        rows = plan.train(k)
        np.testing.assert_array_equal(side.matrix, training.layer_features[rows])
        np.testing.assert_array_equal(side.contaminated, training.cells.contaminated[rows])
        assert len(side.inner) == 2
        for inner in side.inner:
            assert len(np.intersect1d(inner.train, inner.test)) == 0
            assert inner.matrix.shape == side.matrix.shape


def test_a_new_district_hides_the_history_of_held_out_land_from_both_sides():
    training, _ = with_history()
    learner = FakeLearner()
    settings = SETTINGS.model_copy(update={"random_split": False})
    plan, result = run(training, settings, learner)
    for k, side in enumerate(learner.sides):
        rows = plan.train(k)
        land = plan.held_out_land(k)(training.cells.easting, training.cells.northing)
        hidden = np.isnan(side.matrix[:, 2])
        np.testing.assert_array_equal(hidden, land[rows])
        for inner in side.inner:
            assert np.isnan(inner.matrix[inner.test, 2]).all()
            assert np.isnan(inner.matrix[:, 2])[hidden].all()
            assert not np.isnan(inner.matrix[inner.train, 2]).all()
    # The history column gives nothing away on held-out cells: figures stay modest.
    assert result.pooled.values["roc_auc"] < 0.9


def test_each_inner_fold_forgets_its_own_hazards():
    training, history = with_history()
    plan = make_folds(training, FOLDS, seed=0)
    side = training_side(training, plan, SETTINGS, seed=0, k=1)
    outer = training.cells.hazard_id[plan.test(1)]
    rows = plan.train(1)
    assert len(history.asked) == 1 + len(side.inner)
    assert set(history.asked[0][0]) == set(outer[outer >= 0])
    for (unknown, land), inner in zip(history.asked[1:], side.inner, strict=True):
        own = training.cells.hazard_id[rows[inner.test]]
        assert set(unknown) == set(own[own >= 0]) | set(outer[outer >= 0])
        assert land is not None


def test_infill_knows_all_records():
    training, history = with_history()
    settings = INFILL.model_copy(update={"random_split": False})
    _, result = run(training, settings)
    assert all(len(unknown) == 0 and land is None for unknown, land in history.asked)
    assert result.protocol == "infill"
    # This history does not leave out a cell's own hazard, so the leak shows.
    assert result.pooled.values["roc_auc"] > 0.95


IN_TIME = {
    "temporal": FoldSettings(method="temporal", n_folds=2),
    "spatio_temporal": FoldSettings(method="spatio_temporal", size_m=1000, n_folds=2),
}


@pytest.mark.parametrize("method", IN_TIME)
@pytest.mark.parametrize("protocol", ["infill", "new_district"])
def test_folds_in_time_know_no_record_of_their_period_under_either_protocol(method, protocol):
    training, history = with_history()
    settings = SETTINGS.model_copy(
        update={"folds": IN_TIME[method], "protocol": protocol, "random_split": False}
    )
    plan = make_folds(training, settings.folds, seed=0)
    for k in range(plan.n_folds):
        history.asked.clear()
        side = training_side(training, plan, settings, seed=0, k=k)
        begins = known_before(plan.held_out_land(k))
        asked = [known_before(land) for _, land in history.asked]
        assert len(asked) == 1 + len(side.inner)
        assert asked[0] == begins
        assert all(day <= begins for day in asked[1:])
        assert (training.cells.decided[plan.train(k)] < begins).all()
        later = training.cells.hazard_id[training.cells.decided >= begins]
        for unknown, _ in history.asked:
            assert protocol == "infill" or set(later[later >= 0]) <= set(unknown)


def test_cells_withheld_are_counted_fold_by_fold():
    settings = SETTINGS.model_copy(update={"folds": IN_TIME["temporal"], "random_split": False})
    plan, result = run(scattered(), settings)
    withheld = [fold["n_withheld"] for fold in result.metrics()["folds"]]
    assert withheld == [plan.n_withheld(0), 0]
    assert withheld[0] == len(plan.test(1))


@pytest.mark.parametrize("method", sorted(set(FOLD_MAKERS) - {"random", *IN_TIME}))
def test_every_method_held_out_by_place_runs_from_end_to_end(method):
    folds = FoldSettings(method=method, size_m=800, n_folds=3)
    settings = SETTINGS.model_copy(update={"folds": folds, "random_split": False, "bootstrap": 0})
    plan, result = run(scattered(), settings, baselines={})
    assert result.method == method
    assert result.predictions["likelihood"].notna().sum() == (plan.fold >= 0).sum()


def test_the_final_side_holds_all_cells():
    training, history = with_history()
    plan = make_folds(training, FOLDS, seed=0)
    side = training_side(training, plan, SETTINGS, seed=0)
    assert len(side.matrix) == len(training.cells)
    assert len(history.asked[0][0]) == 0
    assert history.asked[0][1] is None
    assert all(len(unknown) for unknown, _ in history.asked[1:])


# ------------------------------------------------------------------ what is said


def test_predictions_are_out_of_fold_and_pooled_figures_come_from_them():
    training = scattered()
    plan, result = run(training)
    table = result.predictions
    assert table.columns.tolist() == [
        "cell_id", "easting", "northing", "fold", "unit", "outcome", "weight", "score",
        "likelihood", "baseline_prevalence", "baseline_distance_to_known_hazard",
        "baseline_logistic_regression",
    ]  # fmt: skip
    assert len(table) == len(training.cells)
    assert table["likelihood"].notna().all()
    np.testing.assert_array_equal(table["fold"], plan.fold)
    expected = roc_auc(training.cells.contaminated, table["likelihood"].to_numpy())
    assert result.pooled.values["roc_auc"] == expected


def test_cells_that_are_never_held_out_have_no_prediction():
    training = scattered()
    folds = FoldSettings(method="groups", n_folds=None)
    plan, result = run(training, SETTINGS.model_copy(update={"folds": folds}))
    never = plan.fold == -1
    assert never.any()
    np.testing.assert_array_equal(result.predictions["likelihood"].isna(), never)
    metrics = result.metrics()
    assert metrics["n_evaluated"] == int((~never).sum())
    assert [fold["name"] for fold in metrics["folds"]] == ["NE", "NW", "SE", "SW"]
    assert any("lie in no group" in note for note in metrics["fold_notes"])


def test_metrics_have_the_documented_keys_and_are_json():
    training = scattered()
    counts = {"n_cells": 1600, "n_contaminated": 50, "n_released": 900, "n_unsurveyed": 650}
    _, result = run(training)
    metrics = json.loads(json.dumps(result.metrics(counts), allow_nan=False))
    assert metrics["protocol"] == "new_district"
    assert metrics["negatives"] == "released"
    assert {"roc_auc", "pr_auc", "brier", "ece", "capture_at_10pct_area", "area_for_90pct"} <= set(
        metrics["pooled"]
    )
    assert len(metrics["folds"]) == 3
    assert {
        "name",
        "n_cells",
        "n_contaminated",
        "n_train",
        "n_buffered",
        "rounds",
        "roc_auc",
    } <= set(metrics["folds"][0])
    assert set(metrics["baselines"]) == {
        "prevalence",
        "distance_to_known_hazard",
        "logistic_regression",
    }
    assert {key: metrics[key] for key in counts} == counts
    assert metrics["n_labelled"] == len(training.cells)
    assert sum(fold["n_cells"] for fold in metrics["folds"]) == metrics["n_evaluated"]


def test_every_figure_stands_with_its_interval_and_its_difference():
    training = scattered()
    settings = SETTINGS.model_copy(update={"baselines": ValidationSettings().baselines})
    _, result = run(training, settings)
    metrics = json.loads(json.dumps(result.metrics(), allow_nan=False))
    beside = {name: figures for name, figures in metrics["baselines"].items()}
    for figures in (metrics["pooled"], metrics["random_split"], *beside.values()):
        for name, (low, high) in figures["intervals"].items():
            assert low <= figures[name] <= high, name
    assert "gap_roc_auc" in metrics["random_split"]["intervals"]
    assert set(metrics["differences"]) == set(beside)
    for name, found in metrics["differences"].items():
        expected = metrics["pooled"]["roc_auc"] - beside[name]["roc_auc"]
        assert found["roc_auc"]["difference"] == expected
    assert metrics["differences"]["prevalence"]["roc_auc"]["verdict"] == "better"
    assert set(metrics["baselines_absent"]) == {"distance_to_front_line", "expert_overlay"}
    assert metrics["lift"]["over"] == "distance_to_known_hazard"
    assert metrics["lift"]["at_20pct_area"] == pytest.approx(
        metrics["pooled"]["capture_at_20pct_area"]
        / beside["distance_to_known_hazard"]["capture_at_20pct_area"]
    )
    about = metrics["bootstrap"]
    assert (about["n_draws"], about["units"]) == (40, "square blocks of 0.7 km")
    assert about["n_units"] == len(set(result.predictions["unit"]))


def test_without_draws_there_are_no_intervals():
    _, result = run(scattered(), SETTINGS.model_copy(update={"bootstrap": 0}))
    metrics = result.metrics()
    assert "intervals" not in metrics["pooled"]
    assert metrics["bootstrap"]["n_draws"] == 0
    difference = metrics["differences"]["prevalence"]["roc_auc"]
    assert difference["difference"] > 0
    assert (difference["low"], difference["verdict"]) == (None, "no difference shown")


def test_gaps_have_no_interval_where_other_cells_are_evaluated():
    folds = FoldSettings(method="groups", n_folds=None)
    _, result = run(scattered(), SETTINGS.model_copy(update={"folds": folds}))
    foil = result.metrics()["random_split"]
    assert foil["gap_roc_auc"] is not None
    assert "gap_roc_auc" not in foil["intervals"]
    assert result.metrics()["bootstrap"]["units"] == "groups"


def test_fold_means_are_the_means_of_the_folds():
    _, result = run(scattered())
    metrics = result.metrics()
    own = [fold["roc_auc"] for fold in metrics["folds"]]
    assert metrics["fold_mean"]["roc_auc"] == pytest.approx(np.mean(own))
    assert metrics["fold_mean"]["n_folds"] == 3
    prevalence = metrics["baselines"]["prevalence"]
    assert prevalence["fold_mean"]["roc_auc"] == 0.5


def test_a_fold_with_one_outcome_has_none_and_a_reason():
    outcome = [1, 0, 0, 1, 0, 1, 0, 0, 1, 0] * 4 + [0] * 10
    row, col = np.divmod(np.arange(50), 10)
    training = training_set(cells_at(8 * row, col, outcome))
    folds = FoldSettings(method="blocks", size_m=500, n_folds=9)
    _, result = run(training, SETTINGS.model_copy(update={"folds": folds, "random_split": False}))
    alone = [fold for fold in result.metrics()["folds"] if fold["n_contaminated"] == 0]
    assert alone
    assert alone[0]["roc_auc"] is None
    assert alone[0]["undefined"]["roc_auc"] == "no cell is contaminated"
    assert result.metrics()["fold_mean"]["n_folds"] == 9 - len(alone)


def test_the_random_split_flatters_and_its_gap_is_named():
    # The features name the patch of 400 m a cell lies in: they place it among its
    # neighbours and say nothing of land that was never seen.
    cells = scattered().cells
    patch = (cells.row // 4) * 10 + cells.col // 4
    training = training_set(cells, np.eye(100, dtype=np.float32)[patch])
    _, result = run(training)
    foil = result.random_split
    assert foil is not None
    assert foil["n_folds"] == 5
    assert foil["gap_roc_auc"] == foil["roc_auc"] - result.pooled.values["roc_auc"]
    assert foil["gap_pr_auc"] == foil["pr_auc"] - result.pooled.values["pr_auc"]
    assert foil["gap_roc_auc"] > 0.1


def test_without_the_foil_it_is_none():
    _, result = run(scattered(), SETTINGS.model_copy(update={"random_split": False}))
    assert result.metrics()["random_split"] is None


def test_unlabelled_background_is_named_and_counted_as_unsurveyed():
    base = scattered()
    outcome = np.where(base.cells.contaminated, 1, -1)
    cells = cells_at(base.cells.row, base.cells.col, outcome, base.cells.hazard_id)
    _, result = run(training_set(cells, base.layer_features))
    metrics = result.metrics()
    assert metrics["negatives"] == "unlabelled background"
    assert metrics["n_released"] == 0
    assert metrics["n_background"] == metrics["n_unsurveyed"] == int((outcome == -1).sum())


def test_every_fold_is_told_when_done():
    told = []
    run(scattered(), on_fold=told.append)
    assert [(fold.split, fold.number, fold.n_folds) for fold in told] == [
        *[("spatial", k, 3) for k in range(3)],
        *[("random", k, 5) for k in range(5)],
    ]


def test_the_same_seed_gives_the_same_bytes():
    first, second = (run(scattered())[1] for _ in range(2))
    assert json.dumps(first.metrics()) == json.dumps(second.metrics())
    assert first.predictions.equals(second.predictions)


class Overconfident(FakeModel):
    def likelihood(self, matrix):
        return super().likelihood(matrix) * 2


class OverconfidentLearner(FakeLearner):
    def fit(self, side):
        return Overconfident(super().fit(side).model)


def test_likelihoods_that_are_no_probabilities_raise():
    with pytest.raises(ModelError, match=r"gives likelihoods from .* outside 0–1"):
        run(scattered(), learner=OverconfidentLearner())


# ------------------------------------------------------- base rates and intervals


class PrevalenceModel:
    """Gives every cell the share contaminated of its training side, and an interval."""

    rounds = 0

    def __init__(self, side):
        self.share = float(side.contaminated.mean())

    def scores(self, matrix):
        return np.full(len(matrix), self.share)

    likelihood = scores

    def estimate(self, matrix):
        likelihood = self.likelihood(matrix)
        return Estimate(likelihood, low=0 * likelihood, high=0 * likelihood + 1)


class PrevalenceLearner:
    """Learns the share contaminated."""

    def __init__(self):
        self.units = []

    def fit(self, side):
        self.units.append(side.unit)
        return PrevalenceModel(side)


def test_a_model_of_base_rates_alone_has_no_skill_once_they_are_taken_out():
    result = run(scattered(), learner=PrevalenceLearner())[1]
    assert result.pooled.values["roc_auc"] < 0.5
    common = result.metrics()["common_base_rate"]
    assert common["roc_auc"] == pytest.approx(0.5)
    assert common["pr_auc"] == pytest.approx(result.cells.contaminated.mean())


def test_the_widest_interval_always_holds_and_learners_know_their_land():
    learner = PrevalenceLearner()
    plan, result = run(scattered(), learner=learner)
    found = result.metrics()["interval"]
    assert found["coverage"] == 1
    assert found["mean_width"] == 1
    assert found["n_units"] > 5
    assert result.predictions["likelihood_high"].eq(1).all()
    assert "likelihood_spread" not in result.predictions
    for k in range(plan.n_folds):
        assert len(learner.units[k]) == len(plan.train(k))


def test_a_model_without_intervals_has_none():
    result = run(scattered())[1]
    assert result.metrics()["interval"] is None
    assert "likelihood_low" not in result.predictions
