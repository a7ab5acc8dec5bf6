from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import norm

from hazardrank.errors import PriorityError, SettingsError
from hazardrank.priority.methods import rank
from hazardrank.priority.robustness import rank_robustness
from hazardrank.settings import RobustnessSettings, WeightSettings, validate
from tests.priority.method_cases import (
    METHOD_NAMES,
    land,
    own_settings,
    random_land,
    settings_of,
)


def robustness(
    alternatives, low=None, high=None, *, kind="fixed", seed=0, method="harm_averted", **values
):
    """Robustness of a ranking, with effort and likelihood certain unless told otherwise."""
    weights = values.pop("weights", None)
    given_weights = {} if weights is None else {"weights": weights}
    ranking = rank(alternatives, own_settings(method, alternatives, **given_weights))
    low = alternatives.likelihood if low is None else np.array(low)
    high = alternatives.likelihood if high is None else np.array(high)
    chosen = RobustnessSettings(**{"draws": 400, "effort_factor": 1, "top": 1, **values})
    return rank_robustness(ranking, chosen, kind, low, high, seed)


def test_what_is_certain_does_not_move():
    found = robustness(land([1, 1, 0.9, 9], [1, 1, 0.1, 9], [1, 1, 0.5, 9]))
    assert found.low.tolist() == found.median.tolist() == found.high.tolist() == [1, 3, 2]
    assert found.top_share.tolist() == [1, 0, 0]
    assert found.before_next.tolist() == pytest.approx([1, np.nan, 1], nan_ok=True)
    assert found.tie_group.tolist() == [1, 3, 2]
    assert not found.tied.any()


def test_two_uncertain_likelihoods_by_hand():
    # Logits 0 and -0.8, each with 90 % within ±1 of it: σ = 1 / 1.645 each.
    def ends(middle):
        return 1 / (1 + np.exp(-(middle + np.array([-1.0, 0.0, 1.0]))))

    (low_a, a, high_a), (low_b, b, high_b) = ends(0.0), ends(-0.8)
    found = robustness(
        land([1, 1, a, 9], [1, 1, b, 9]), [low_a, low_b], [high_a, high_b], draws=20_000
    )
    spread = 1 / norm.ppf(0.95)
    expected = norm.cdf((logit(a) - logit(b)) / (np.sqrt(2) * spread))
    assert found.before_next[0] == pytest.approx(expected, abs=0.01)
    assert found.top_share == pytest.approx([expected, 1 - expected], abs=0.01)
    assert found.low.tolist() == [1, 1]
    assert found.high.tolist() == [2, 2]


def test_uncertain_effort_by_hand():
    # Rates differ by a factor 2; log rates have σ = ln 3 / 1.645 each.
    found = robustness(land([1, 1, 0.5, 10], [1, 1, 0.5, 20]), effort_factor=3, draws=20_000)
    spread = np.log(3) / norm.ppf(0.95)
    expected = norm.cdf(np.log(2) / (np.sqrt(2) * spread))
    assert found.before_next[0] == pytest.approx(expected, abs=0.01)


def test_uniform_weights_by_hand():
    # One is best in people, the other in water: with any weights each is first half the time.
    weights = WeightSettings(given={"people": 9, "water": 1})
    alternatives = land([1, 0, 0.5, 9], [0, 1, 0.5, 9])
    chosen = robustness(alternatives, kind="fixed", weights=weights)
    any_weights = robustness(alternatives, kind="uniform", weights=weights, draws=20_000)
    assert chosen.top_share.tolist() == [1, 0]
    assert any_weights.top_share == pytest.approx([0.5, 0.5], abs=0.015)
    assert any_weights.tie_group.tolist() == [1, 1]
    assert any_weights.tied.all()


def test_weights_around_the_chosen_ones_move_less_than_any_weights():
    weights = WeightSettings(given={"people": 7, "water": 3})
    alternatives = land([1, 0, 0.5, 9], [0, 1, 0.5, 9])
    near = robustness(alternatives, kind="around", weights=weights, concentration=100)
    assert near.top_share[0] > 0.99


def test_equal_scores_are_decided_by_nobody():
    found = robustness(land(*[[1, 1, 0.5, 9]] * 4), draws=4000)
    assert found.low.tolist() == [1] * 4
    assert found.high.tolist() == [4] * 4
    assert found.top_share == pytest.approx([0.25] * 4, abs=0.03)
    assert found.before_next[:3] == pytest.approx([0.5] * 3, abs=0.04)
    assert found.tie_group.tolist() == [1] * 4


def test_chains_of_small_ties_do_not_tie_the_first_to_the_last():
    # Neighbours' rates differ by 15 %, the first and the last by a factor of 16.
    alternatives = land(*[[1, 1, 0.5, 1.15**k] for k in range(21)])
    found = robustness(alternatives, effort_factor=1.4, draws=2000)
    between = found.before_next[:20]
    assert ((between > 0.5) & (between < 0.8)).all()
    assert found.tie_group[0] < found.tie_group[10] < found.tie_group[20]
    assert found.tied.all()


def test_the_range_is_of_the_draws():
    alternatives = random_land(np.random.default_rng(1), 30)
    wide = robustness(alternatives, effort_factor=2, rank_range=(0.0, 1.0))
    narrow = robustness(alternatives, effort_factor=2, rank_range=(0.25, 0.75))
    assert (wide.low <= narrow.low).all()
    assert (narrow.low <= narrow.median).all()
    assert (narrow.median <= narrow.high).all()
    assert (narrow.high <= wide.high).all()
    assert wide.low.min() == 1
    assert wide.high.max() == 30


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_same_seed_gives_the_same_bytes(method):
    alternatives = random_land(np.random.default_rng(2), 25)
    low, high = 0.5 * alternatives.likelihood, np.sqrt(alternatives.likelihood)
    one, same, other = (
        robustness(
            alternatives,
            low,
            high,
            kind="around",
            seed=seed,
            method=method,
            effort_factor=2,
            draws=60,
        )
        for seed in (5, 5, 6)
    )
    names = [field.name for field in fields(one)][3:]
    for name in names:
        assert getattr(one, name).tobytes() == getattr(same, name).tobytes()
    assert any(getattr(one, name).tobytes() != getattr(other, name).tobytes() for name in names)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_more_draws_begin_with_the_same_ones(method):
    alternatives = random_land(np.random.default_rng(3), 9)
    few = robustness(alternatives, method=method, effort_factor=3, draws=50)
    many = robustness(alternatives, method=method, effort_factor=3, draws=51)
    moved = np.abs(many.top_share * 51 - few.top_share * 50)
    assert ((moved < 1e-9) | (np.abs(moved - 1) < 1e-9)).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 25), top=st.integers(1, 30))
def test_shares_and_ranges_fit_together(seed, n, top):
    alternatives = random_land(np.random.default_rng(seed), n)
    found = robustness(
        alternatives,
        0.5 * alternatives.likelihood,
        kind="around",
        effort_factor=2,
        draws=40,
        top=top,
    )
    assert found.top_share.sum() == pytest.approx(min(top, n))
    assert ((found.low >= 1) & (found.high <= n)).all()
    assert ((found.low <= found.median) & (found.median <= found.high)).all()
    assert np.isnan(found.before_next).sum() == 1
    ranks = rank(alternatives, settings_of()).ranks
    groups = found.tie_group[np.argsort(ranks)]
    assert groups[0] == 1
    assert set(np.diff(groups)) <= {0, 1}


def test_a_better_task_stays_before_a_worse_one_whatever_the_weights():
    alternatives = land([0.9, 0.9, 0.9, 5], [0.5, 0.5, 0.5, 9])
    found = robustness(alternatives, kind="uniform")
    assert found.before_next[0] == 1


def test_no_draws_and_too_many_are_refused():
    with pytest.raises(PriorityError, match=r"robustness\.draws: there is no draw"):
        robustness(land([1, 1, 1, 1]), draws=0)
    many = random_land(np.random.default_rng(0), 2001)
    with pytest.raises(PriorityError, match="2,001 tasks × 100,000 draws are more than 200,000,"):
        robustness(many, draws=100_000)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank_range": (0.9, 0.1)}, "rank_range must rise"),
        ({"weights": ()}, "names a kind of draws twice, or none"),
        ({"decided_from": 0.5}, r"decided_from = 0\.5"),
    ],
)
def test_settings_that_make_no_sense(values, message):
    with pytest.raises(SettingsError, match=message):
        validate(RobustnessSettings, values, "robustness")


def test_twenty_thousand_tasks():
    alternatives = random_land(np.random.default_rng(0), 20_000, 8)
    found = robustness(
        alternatives, 0.7 * alternatives.likelihood, kind="around", draws=300, top=50
    )
    ranks = rank(alternatives, settings_of()).ranks
    assert np.corrcoef(found.median, ranks)[0, 1] > 0.9
    assert found.top_share.sum() == pytest.approx(50)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_threads_change_nothing(method):
    alternatives = random_land(np.random.default_rng(3), 40)
    ranking = rank(alternatives, own_settings(method, alternatives))
    low, high = alternatives.likelihood / 2, np.sqrt(alternatives.likelihood)
    one, many = (
        rank_robustness(ranking, RobustnessSettings(draws=50), "around", low, high, 5, threads)
        for threads in (1, 3)
    )
    for name in ("low", "high", "median", "top_share", "before_next", "tie_group"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))
