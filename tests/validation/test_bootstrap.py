"""Bootstrap over blocks: equal to repeating cells, wide enough, honest about few units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.settings import FoldSettings
from hazardrank.validation import bootstrap as module
from hazardrank.validation.bootstrap import (
    Bootstrap,
    Units,
    interval,
    reliability_band,
    resampling_units,
)
from hazardrank.validation.metrics import skill
from tests.validation.cases import cells_at, training_set


def numbers(*values):
    return np.array(values, dtype=np.float64)


def of_times(unit, times, what="blocks"):
    """A bootstrap with draws chosen by hand."""
    return Bootstrap(Units(np.asarray(unit), what), np.asarray(times, np.int32))


# ------------------------------------------------------------------ figures of draws


def test_figures_of_a_draw_by_hand():
    # Unit 0: a hit at 0.9 and a miss at 0.2. Unit 1: a miss at 0.8 and a hit at 0.1.
    score, hit = numbers(0.9, 0.2, 0.8, 0.1), np.array([True, False, False, True])
    drawn = of_times([0, 0, 1, 1], [[1, 1], [2, 0], [0, 2]])
    figures = drawn.figures(hit, score, score)
    np.testing.assert_allclose(figures["roc_auc"], [0.5, 1.0, 0.0])
    # Hits at ranks 1 and 4: (1 + 2/4) / 2. Twice unit 0: both first. Twice unit 1: two tied hits
    # below two misses, precision 2/4.
    np.testing.assert_allclose(figures["pr_auc"], [0.75, 1.0, 0.5])
    np.testing.assert_allclose(figures["reverse_height"], [1.0, 0.0, 2.0])
    np.testing.assert_allclose(figures["brier"][1:3], [(0.01 + 0.04) / 2, (0.64 + 0.81) / 2])
    np.testing.assert_allclose(figures["area_for_90pct"], [1.0, 0.5, 1.0])


@given(
    seed=st.integers(0, 10_000),
    n_levels=st.sampled_from([2, 5, 1000]),
    at_once=st.sampled_from([30, 4_000_000]),
)
@settings(max_examples=40, deadline=None)
def test_a_draw_is_as_if_cells_were_repeated(seed, n_levels, at_once):
    rng = np.random.default_rng([seed])
    n_cells = int(rng.integers(3, 40))
    unit = np.unique(rng.integers(0, 6, n_cells), return_inverse=True)[1]
    hit = rng.random(n_cells) < 0.4
    score = rng.integers(0, n_levels, n_cells) / n_levels
    drawn = Bootstrap.of(Units(unit, "blocks"), 7, seed)
    kept, module.VALUES_AT_ONCE = module.VALUES_AT_ONCE, at_once
    try:
        figures = drawn.figures(hit, score, score)
    finally:
        module.VALUES_AT_ONCE = kept
    for row, times in enumerate(drawn.times):
        often = np.repeat(np.arange(n_cells), times[unit])
        expected = skill(hit[often], score[often], score[often]).values
        for name in set(expected) - {"ece", "reverse_height"}:
            value = np.nan if expected[name] is None else expected[name]
            assert figures[name][row] == pytest.approx(value, nan_ok=True), name


def test_the_calibration_error_keeps_its_bins():
    rng = np.random.default_rng([1])
    likelihood = rng.random(200)
    hit = rng.random(200) < likelihood
    unit = np.arange(200) % 10
    whole = of_times(unit, [np.ones(10), np.full(10, 3)]).figures(hit, likelihood, likelihood)
    assert whole["ece"] == pytest.approx([skill(hit, likelihood, likelihood).values["ece"]] * 2)


def test_draws_hold_as_many_units_as_there_are_and_follow_the_seed():
    units = Units(np.arange(30) // 3, "blocks")
    first, again, other = (Bootstrap.of(units, 20, seed) for seed in (1, 1, 2))
    assert (first.times.sum(axis=1) == 10).all()
    np.testing.assert_array_equal(first.times, again.times)
    assert (first.times != other.times).any()


@pytest.mark.parametrize(
    ("hit", "missing"),
    [([False] * 6, {"roc_auc", "pr_auc", "area_for_90pct"}), ([True] * 6, {"roc_auc", "pr_auc"})],
)
def test_one_outcome_has_no_ranking_in_any_draw(hit, missing):
    score = np.linspace(0.1, 0.9, 6)
    figures = Bootstrap.of(Units(np.arange(6), "b"), 9, 0).figures(np.array(hit), score, score)
    undefined = {name for name, values in figures.items() if np.isnan(values).all()}
    assert missing <= undefined
    assert np.isfinite(figures["brier"]).all()


# ------------------------------------------------------------------ intervals


def test_an_interval_is_the_percentiles_and_holds_the_estimate():
    draws = np.arange(1.0, 1000.0)
    assert interval(500.0, draws) == (25.0, 975.0)
    assert interval(990.0, draws) == (25.0, 990.0)


def test_what_chance_alone_raises_has_its_low_end_mirrored():
    draws = np.arange(1.0, 1000.0) / 1000
    # The high end 0.975 lies 0.175 above 0.8: the low end as far below.
    assert interval(0.8, draws, rises=True) == pytest.approx((0.625, 0.975))
    assert interval(0.1, draws, rises=True) == (0.0, 0.975)


@pytest.mark.parametrize(
    ("estimate", "draws"),
    [
        (None, np.ones(10)),
        (1.0, np.empty(0)),
        (1.0, np.array([1.0] * 8 + [np.nan] * 2)),
        (1.0, np.array([1.0] * 5 + [np.inf] * 5)),
    ],
)
def test_an_interval_that_means_nothing_is_none(estimate, draws):
    assert interval(estimate, draws) is None


def test_one_unit_gives_no_draws_and_says_so():
    drawn = Bootstrap.of(Units(np.zeros(5, np.int64), "groups"), 100, 0)
    assert drawn.times.shape == (0, 1)
    about = drawn.about(np.array([True] * 5), 0)
    assert about["note"] == "all held-out cells lie in 1 of the groups: there are no intervals"


def test_few_units_are_named_and_enough_are_not():
    few = Bootstrap.of(Units(np.arange(30), "groups"), 10, 0)
    hit = np.arange(30) < 12
    assert few.about(hit, 0)["note"].startswith("12 of 30 groups hold contaminated cells; with")
    assert few.about(np.arange(30) < 20, 0)["note"] is None


def covers(rng, by_cell):
    """Simulate independent blocks of cells alike; does the ROC-AUC interval hold the truth?"""
    n_blocks, n_in = 40, 25
    unit = np.repeat(np.arange(n_blocks), n_in)
    hit = rng.random(n_blocks * n_in) < 0.3
    score = hit + rng.normal(0, 1, n_blocks)[unit] + rng.normal(0, 1, n_blocks * n_in)
    units = Units(np.arange(len(unit)) if by_cell else unit, "blocks")
    drawn = Bootstrap.of(units, 150, int(rng.integers(1000)))
    low, high = interval(skill(hit, score, None).values["roc_auc"],
                         drawn.figures(hit, score, None)["roc_auc"])  # fmt: skip
    # Scores of a hit and a miss of different blocks differ by N(1, 4): Φ(1 / 2) of the pairs.
    return low <= 0.6915 <= high


def test_intervals_cover_the_truth_of_independent_blocks():
    rng = np.random.default_rng([11])
    by_block = np.mean([covers(rng, by_cell=False) for _ in range(120)])
    assert 0.88 <= by_block <= 0.99


# ------------------------------------------------------------------ units


def test_units_are_square_blocks_with_whole_hazards():
    # Columns of 100 m from easting 500,000: blocks of 500 m hold five each. Hazard 7 lies in
    # both with most of its cells in the second.
    cells = cells_at([0] * 10, range(10), [0, 0, 0, 0, 1, 1, 1, 0, 0, 0],
                     [-1, -1, -1, -1, 7, 7, 7, -1, -1, -1])  # fmt: skip
    units = resampling_units(training_set(cells), FoldSettings(size_m=500))
    assert units.unit.tolist() == [0] * 4 + [1] * 6
    assert units.what == "square blocks of 0.5 km"


def test_units_of_groups_are_the_groups():
    cells = cells_at([0] * 4, range(4), [0, 1, 0, 1])
    groups = np.array(["b", "a", "b", ""], dtype=object)
    units = resampling_units(training_set(cells, groups=groups), FoldSettings(method="groups"))
    assert units.unit.tolist() == [2, 1, 2, 0]
    assert units.what == "groups"
    assert units.take(np.array([0, 1])).unit.tolist() == [1, 0]


def test_the_reliability_band_draws_units_not_cells():
    # One bin. Four units of 30 cells, wholly contaminated or not: the share in a draw is a
    # number of units out of four, so the band goes from 0 to 1; single cells would give 1/2
    # give or take 0.09.
    unit = np.repeat(np.arange(4), 30)
    likelihood = np.full(120, 0.5)
    low, high = reliability_band(likelihood, unit % 2 == 0, unit)
    assert (low[0], high[0]) == (0, 1)
    cell_low, cell_high = reliability_band(likelihood, unit % 2 == 0, np.arange(120))
    assert cell_low[0] == pytest.approx(0.41, abs=0.02)
    assert cell_high[0] == pytest.approx(0.59, abs=0.02)


def test_the_reliability_band_has_an_interval_for_each_bin():
    likelihood = np.repeat([0.1, 0.6], 40)
    contaminated = np.tile([True, False], 40)
    low, high = reliability_band(likelihood, contaminated, np.arange(80) % 8 // 2)
    np.testing.assert_allclose([low, high], 0.5)
    low, high = reliability_band(likelihood, contaminated, np.zeros(80, int))
    assert np.isnan([low, high]).all()
