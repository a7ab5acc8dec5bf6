"""Figures of skill: each by hand, ties at random, undefined where they mean nothing."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.validation import metrics
from hazardrank.validation.metrics import skill


def flags(*values):
    return np.array(values, dtype=bool)


def numbers(*values):
    return np.array(values, dtype=np.float64)


HITS = flags(1, 0, 1, 0, 0)
SCORE = numbers(0.9, 0.8, 0.7, 0.2, 0.1)


def test_roc_counts_pairs():
    # Pairs of a contaminated and another cell: 3 + 2 of 6 are the right way round.
    assert metrics.roc_auc(HITS, SCORE) == pytest.approx(5 / 6)


def test_roc_counts_ties_half():
    assert metrics.roc_auc(flags(1, 0), numbers(0.5, 0.5)) == 0.5


def test_reverse_height_counts_others_ranked_above():
    # Above the first hit no other cell, above the second one; a tie counts half.
    assert metrics.reverse_height(HITS, SCORE) == pytest.approx((0 + 1) / 2)
    assert metrics.reverse_height(flags(1, 0, 0), numbers(0.5, 0.5, 0.9)) == pytest.approx(1.5)


def test_less_is_better_of_losses_and_land_to_search():
    figures = skill(HITS, SCORE, SCORE).values
    assert {name for name in figures if metrics.lower_is_better(name)} == {
        "brier", "ece", "log_loss", "area_for_90pct", "area_for_95pct", "area_for_99pct",
        "reverse_height",
    }  # fmt: skip


def test_pr_is_the_mean_precision_at_each_hit():
    # Hits at ranks 1 and 3: precisions 1 and 2/3.
    assert metrics.pr_auc(HITS, SCORE) == pytest.approx((1 + 2 / 3) / 2)


def test_brier_is_the_mean_square():
    assert metrics.brier(flags(1, 0), numbers(0.8, 0.4)) == pytest.approx((0.04 + 0.16) / 2)


def test_log_loss_by_hand_and_finite_when_wrong_for_certain():
    expected = -(np.log(0.8) + np.log(0.6)) / 2
    assert metrics.log_loss(flags(1, 0), numbers(0.8, 0.4)) == pytest.approx(expected)
    assert metrics.log_loss(flags(1), numbers(0.0)) == pytest.approx(-np.log(1e-6))


def test_weights_count_a_cell_as_many():
    weight = numbers(3, 1, 1, 2, 1)
    often = np.repeat(np.arange(5), weight.astype(int))
    for figure in (metrics.roc_auc, metrics.pr_auc, metrics.brier, metrics.log_loss):
        assert figure(HITS, SCORE, weight) == pytest.approx(figure(HITS[often], SCORE[often]))
    assert metrics.ece(HITS, SCORE, weight, n_bins=1) == pytest.approx(
        metrics.ece(HITS[often], SCORE[often], n_bins=1)
    )


# ------------------------------------------------------------------ calibration


def test_ece_over_two_bins_by_hand():
    likelihood = numbers(0.1, 0.3, 0.6, 0.8)
    # Bins {0.1, 0.3} with no hit: 0.2 off. {0.6, 0.8} with two: 0.3 off. Mean 0.25.
    assert metrics.ece(flags(0, 0, 1, 1), likelihood, n_bins=2) == pytest.approx(0.25)


def test_bins_have_equal_mass_and_never_split_a_tie():
    bins = metrics.reliability_bins(numbers(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), n_bins=3)
    assert [cells.tolist() for cells in bins] == [[0, 1], [2, 3], [4, 5]]
    tied = metrics.reliability_bins(numbers(0.2, 0.2, 0.2, 0.2, 0.9), n_bins=5)
    assert [sorted(cells.tolist()) for cells in tied] == [[0, 1, 2, 3], [4]]


@pytest.mark.parametrize(("n_cells", "n_bins"), [(5, 1), (40, 2), (199, 9), (10_000, 15)])
def test_the_number_of_bins_follows_the_number_of_cells(n_cells, n_bins):
    assert len(metrics.reliability_bins(np.linspace(0, 1, n_cells))) == n_bins


def test_a_calibrated_forecast_has_a_small_ece():
    rng = np.random.default_rng([4])
    likelihood = rng.random(20_000)
    contaminated = rng.random(20_000) < likelihood
    assert metrics.ece(contaminated, likelihood) < 0.012
    assert metrics.ece(contaminated, likelihood**2) > 0.1


# ------------------------------------------------------------------ area


def test_capture_by_hand_and_linear_between_cells():
    assert metrics.capture(HITS, SCORE, 0.2) == pytest.approx(0.5)
    assert metrics.capture(HITS, SCORE, 0.4) == pytest.approx(0.5)
    assert metrics.capture(HITS, SCORE, 0.5) == pytest.approx(0.75)
    assert metrics.capture(HITS, SCORE, 1.0) == 1.0


def test_area_needed_by_hand():
    assert metrics.area_needed(HITS, SCORE, 0.5) == pytest.approx(0.2)
    assert metrics.area_needed(HITS, SCORE, 0.9) == pytest.approx(0.6)


def test_a_constant_score_finds_in_proportion_to_area():
    contaminated = flags(1, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    assert metrics.capture(contaminated, np.zeros(10), 0.3) == pytest.approx(0.3)
    # Both of 2 among 10: the last is at place 2 × 11 / 3 on average.
    assert metrics.area_needed(contaminated, np.zeros(10), 1.0) == pytest.approx(22 / 30)


@given(
    contaminated=st.lists(st.booleans(), min_size=2, max_size=6).filter(any),
    levels=st.lists(st.integers(0, 2), min_size=6, max_size=6),
    share=st.sampled_from([0.25, 0.5, 0.9, 1.0]),
)
@settings(max_examples=40, deadline=None)
def test_ties_give_the_mean_over_all_orders(contaminated, levels, share):
    hits = np.array(contaminated)
    score = np.array(levels[: len(hits)], float)
    wanted = int(np.ceil(share * hits.sum() - 1e-9))
    found, places = [], []
    for order in itertools.permutations(range(len(hits))):
        if (np.diff(score[list(order)]) <= 0).all():
            ranked = hits[list(order)]
            whole = np.concatenate([[0], np.cumsum(ranked)])
            found.append(np.interp(share * len(hits), np.arange(len(hits) + 1), whole))
            places.append(np.searchsorted(whole, wanted))
    assert metrics.capture(hits, score, share) == pytest.approx(np.mean(found) / hits.sum())
    assert metrics.area_needed(hits, score, share) == pytest.approx(np.mean(places) / len(hits))


# ------------------------------------------------------------------ all of them


def test_all_figures_have_their_documented_names():
    likelihood = SCORE
    figures = skill(HITS, SCORE, likelihood).as_dict()
    assert set(figures) == {
        "roc_auc", "pr_auc", "brier", "ece", "log_loss", "ece_bins",
        "capture_at_1pct_area", "capture_at_5pct_area", "capture_at_10pct_area",
        "capture_at_20pct_area", "area_for_90pct", "area_for_95pct", "area_for_99pct",
        "reverse_height",
    }  # fmt: skip
    assert figures["ece_bins"] == 1
    assert figures["capture_at_20pct_area"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("contaminated", "missing", "reason"),
    [
        (flags(0, 0), {"roc_auc", "pr_auc", "reverse_height"}, "no cell is contaminated"),
        (flags(1, 1), {"roc_auc", "pr_auc", "reverse_height"}, "every cell is contaminated"),
        (
            flags(),
            {"roc_auc", "pr_auc", "brier", "ece", "log_loss", "reverse_height"},
            "there are no cells",
        ),
    ],
)
def test_one_outcome_gives_none_with_a_reason_and_never_zero(contaminated, missing, reason):
    score = np.linspace(0.1, 0.9, len(contaminated))
    figures = skill(contaminated, score, score)
    none = {name for name, value in figures.values.items() if value is None}
    area = {name for name in figures.values if "area" in name}
    assert none == missing | (set() if contaminated.any() else area)
    assert figures.undefined == dict.fromkeys(none, reason)


def test_a_ranking_without_likelihood_says_so():
    figures = skill(HITS, SCORE, None)
    assert figures.values["roc_auc"] == pytest.approx(5 / 6)
    assert figures.undefined == dict.fromkeys(
        ("brier", "ece", "log_loss"), "it ranks only and gives no likelihood"
    )
    assert json.loads(json.dumps(figures.as_dict(), allow_nan=False))["brier"] is None
