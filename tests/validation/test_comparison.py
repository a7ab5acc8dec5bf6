"""Paired differences: exactly none from itself, a verdict only where zero is excluded."""

from __future__ import annotations

import numpy as np
import pytest

from hazardrank.validation.bootstrap import Bootstrap, Units
from hazardrank.validation.comparison import Measured, lift, paired_differences


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
