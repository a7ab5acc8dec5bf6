"""Paired differences: exactly none from itself, a verdict only where zero is excluded."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from hazardrank.errors import FoldError
from hazardrank.validation.bootstrap import Bootstrap, Units
from hazardrank.validation.comparison import (
    EvaluatedRun,
    Measured,
    compare_runs,
    lift,
    paired_differences,
)


def case(n_draws=200, n_cells=800):
    rng = np.random.default_rng([5])
    hit = rng.random(n_cells) < 0.3
    good = 1 / (1 + np.exp(1.5 - 2 * hit - rng.normal(size=n_cells)))
    bootstrap = Bootstrap.of(Units(np.arange(n_cells) // 20, "blocks"), n_draws, 0)
    return rng, bootstrap, hit, good


def test_a_model_does_not_differ_from_itself():
    _, bootstrap, hit, good = case()
    model = Measured.of(bootstrap, hit, good, good)
    differences = paired_differences(model, model)
    assert set(differences) == set(model.skill.values)
    for difference in differences.values():
        assert (difference.difference, difference.low, difference.high) == (0.0, 0.0, 0.0)
        assert difference.verdict == "no difference shown"


def test_better_and_worse_follow_the_sense_of_each_figure():
    rng, bootstrap, hit, good = case()
    noise = rng.random(len(hit))
    first, second = (Measured.of(bootstrap, hit, s, s) for s in (good, noise))
    forth, back = paired_differences(first, second), paired_differences(second, first)
    assert forth["roc_auc"].difference > 0 > forth["brier"].difference
    for name in ("roc_auc", "pr_auc", "brier", "log_loss", "capture_at_20pct_area",
                 "area_for_90pct", "reverse_height"):  # fmt: skip
        assert (forth[name].verdict, back[name].verdict) == ("better", "worse"), name
        assert forth[name].low == pytest.approx(-back[name].high, abs=0.02 * len(hit))


def test_a_difference_within_chance_is_not_shown():
    rng, bootstrap, hit, good = case()
    twin = good + rng.normal(0, 0.02, len(hit))
    first, second = (Measured.of(bootstrap, hit, s, None) for s in (good, twin))
    difference = paired_differences(first, second)["roc_auc"]
    assert difference.low < 0 < difference.high
    assert difference.verdict == "no difference shown"


def test_pairing_is_tighter_than_two_separate_intervals():
    rng, bootstrap, hit, good = case()
    near = good + rng.normal(0, 0.05, len(hit))
    first, second = (Measured.of(bootstrap, hit, s, None) for s in (good, near))
    difference = paired_differences(first, second)["roc_auc"]
    low, high = first.skill.intervals["roc_auc"]
    assert difference.high - difference.low < 0.5 * (high - low)


def test_without_draws_there_is_a_difference_and_no_verdict():
    _, bootstrap, hit, good = case(n_draws=0)
    first, second = (Measured.of(bootstrap, hit, s, None) for s in (good, -good))
    difference = paired_differences(first, second)["roc_auc"]
    assert difference.difference > 0.5
    assert difference.as_dict()["low"] is None
    assert difference.verdict == "no difference shown"
    assert first.skill.intervals == {}


def test_figures_that_one_lacks_are_not_compared():
    _, bootstrap, hit, good = case()
    first = Measured.of(bootstrap, hit, good, good)
    second = Measured.of(bootstrap, hit, good, None)
    assert "brier" not in paired_differences(first, second)
    assert "roc_auc" in paired_differences(first, second)


def test_lift_by_hand():
    # Of 4 hits among 20 the model finds 2 in the first 10 %, the baseline 1.
    hit = np.zeros(20, bool)
    hit[[0, 1, 5, 6]] = True
    model, baseline = -np.arange(20.0), -np.arange(20.0)
    baseline[[1, 19]] = baseline[[19, 1]]
    bootstrap = Bootstrap.of(Units(np.arange(20), "blocks"), 100, 0)
    first, second = (Measured.of(bootstrap, hit, s, None) for s in (model, baseline))
    measured = lift(first, second)
    assert measured["over"] == "distance_to_known_hazard"
    assert measured["at_10pct_area"] == pytest.approx(2.0)
    assert measured["at_5pct_area"] == pytest.approx(1.0)


def test_lift_over_nothing_found_is_undefined():
    hit = np.zeros(20, bool)
    hit[0] = True
    bootstrap = Bootstrap.of(Units(np.arange(20), "blocks"), 50, 0)
    first, second = (Measured.of(bootstrap, hit, s, None) for s in (hit * 1.0, hit * -1.0))
    measured = lift(first, second)
    assert measured["at_5pct_area"] is None
    assert "at_5pct_area" not in measured["intervals"]


# ------------------------------------------------------------------ two runs


def run_of(name, n_cells=200, seed=0, **changes):
    rng = np.random.default_rng([9])
    outcome = (rng.random(n_cells) < 0.3).astype(int)
    noise = np.random.default_rng([seed]).normal(size=n_cells)
    table = {
        "cell_id": [f"CRS32633RES100mN{k:04d}E0" for k in range(n_cells)],
        "outcome": outcome,
        "fold": np.arange(n_cells) // 50,
        "unit": np.arange(n_cells) // 8,
        "likelihood": 1 / (1 + np.exp(1 - 2 * outcome - noise)),
    }
    return EvaluatedRun.of(name, "new_district", pd.DataFrame(table | changes))


def test_a_run_does_not_differ_from_itself_in_any_order_of_its_cells():
    run = run_of("a")
    order = np.random.default_rng([3]).permutation(200)
    again = run_of("b")
    table = pd.DataFrame({k: getattr(again, k)[order] for k in
                          ("cell_id", "outcome", "fold", "unit", "likelihood")})  # fmt: skip
    comparison = compare_runs(run, EvaluatedRun.of("b", "new_district", table), 50, 0)
    assert {d.difference for d in comparison.differences.values()} == {0.0}
    assert {d.verdict for d in comparison.differences.values()} == {"no difference shown"}
    assert comparison.bootstrap["n_units"] == 25


def test_the_difference_of_runs_is_the_second_minus_the_first():
    worse = run_of("b", likelihood=np.linspace(0, 1, 200))
    comparison = compare_runs(run_of("a"), worse, 100, 0)
    found = comparison.as_dict()["figures"]["roc_auc"]
    assert found["difference"] == found["run_b"] - found["run_a"] < 0
    assert found["verdict"] == "worse"


def test_folds_may_be_numbered_otherwise():
    renumbered = run_of("b", seed=1, fold=3 - np.arange(200) // 50)
    assert compare_runs(run_of("a"), renumbered, 5, 0).differences["roc_auc"].low is not None


def test_cells_never_held_out_are_left_out():
    fold = np.arange(200) // 50 - 1
    likelihood = np.where(fold < 0, np.nan, 0.5)
    runs = [run_of(name, fold=fold, likelihood=likelihood) for name in "ab"]
    assert compare_runs(*runs, 5, 0).first.skill.values["roc_auc"] == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fold": np.arange(200) // 40}, r"the folds differ \(cells are held out together"),
        ({"fold": np.arange(200) // 50 - 1}, r"the folds differ \(50 cells are held out in one"),
        ({"unit": np.arange(200) // 10}, "the blocks or groups that the bootstrap draws differ"),
        ({"outcome": np.zeros(200, int)}, "51 labelled cells have another outcome"),
        (
            {"cell_id": [f"CRS32633RES100mN{k:04d}E0" for k in range(1, 201)]},
            r"the labelled cells differ \(1 only in the first, 1 only in the second\)",
        ),
    ],
)
def test_runs_that_differ_in_what_they_were_asked_are_refused(changes, message):
    with pytest.raises(FoldError, match=f"^b: cannot be compared with a: {message}"):
        compare_runs(run_of("a"), run_of("b", **changes), 5, 0)


def test_protocols_that_differ_are_named():
    other = dataclasses.replace(run_of("b"), protocol="infill")
    with pytest.raises(FoldError, match="the protocols are new_district and infill"):
        compare_runs(run_of("a"), other, 5, 0)
