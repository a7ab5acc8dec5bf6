from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.priority.draws import LikelihoodDraws, effort_spread, weight_draws

MANY = 20_000


def rng():
    return np.random.default_rng(4)


def test_weights_around_the_chosen_ones():
    weights = np.array([0.6, 0.3, 0.1, 0.0])
    drawn = weight_draws(rng(), MANY, weights, "around", 50)
    assert drawn.mean(axis=0) == pytest.approx(weights, abs=0.003)
    # Dirichlet: √(w (1 − w) / (concentration + 1))
    expected = np.sqrt(weights * (1 - weights) / 51)
    assert drawn.std(axis=0) == pytest.approx(expected, abs=0.002)
    assert not drawn[:, 3].any()


def test_uniform_weights_ignore_the_chosen_ones():
    drawn = weight_draws(rng(), MANY, np.array([1.0, 0.0, 0.0]), "uniform", 50)
    assert drawn.mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.01)
    # The share of a triangle below w1 = 0.5 is 3/4.
    assert (drawn[:, 0] < 0.5).mean() == pytest.approx(0.75, abs=0.01)


def test_fixed_weights_and_none_at_all():
    weights = np.array([0.75, 0.25])
    assert weight_draws(rng(), 3, weights, "fixed", 50).tolist() == [[0.75, 0.25]] * 3
    assert weight_draws(rng(), 3, np.zeros(0), "around", 50).shape == (3, 0)


@given(
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda w: sum(w) > 0.1),
    kind=st.sampled_from(["around", "uniform", "fixed"]),
    concentration=st.floats(0.1, 1e4),
)
def test_drawn_weights_add_up_to_one(weights, kind, concentration):
    chosen = np.array(weights) / sum(weights)
    drawn = weight_draws(rng(), 20, chosen, kind, concentration)
    assert drawn.shape == (20, len(chosen))
    assert drawn.sum(axis=1) == pytest.approx(np.ones(20))
    assert drawn.min() >= 0


def test_likelihood_and_interval_are_quantiles_of_the_draws():
    draws = LikelihoodDraws(
        np.full(MANY, 0.2), np.full(MANY, 0.1), np.full(MANY, 0.7), level=0.9
    ).draw(rng())
    assert np.quantile(draws, [0.05, 0.5, 0.95]) == pytest.approx([0.1, 0.2, 0.7], rel=0.05)


def test_without_an_interval_the_likelihood_stands():
    middle = np.array([0.0, 0.3, 1.0])
    draws = LikelihoodDraws(middle, middle, middle, 0.9).draw(rng())
    assert draws == pytest.approx(middle, abs=1e-8)


def test_an_interval_beside_its_likelihood_is_widened_to_it():
    middle = np.full(MANY, 0.5)
    draws = LikelihoodDraws(middle, np.full(MANY, 0.6), np.full(MANY, 0.8), 0.9).draw(rng())
    assert draws.min() == pytest.approx(0.5)
    assert np.quantile(draws, 0.95) == pytest.approx(0.8, rel=0.02)


@settings(max_examples=30)
@given(ends=st.lists(st.floats(0, 1), min_size=3, max_size=3), level=st.floats(0.1, 0.99))
def test_draws_stay_between_0_and_1(ends, level):
    low, middle, high = (np.full(50, end) for end in sorted(ends))
    draws = LikelihoodDraws(middle, low, high, level).draw(rng())
    assert ((draws >= 0) & (draws <= 1)).all()


def test_nine_draws_of_effort_in_ten_lie_within_the_factor():
    spread = effort_spread(2)
    drawn = np.exp(spread * rng().standard_normal(MANY))
    assert ((drawn > 0.5) & (drawn < 2)).mean() == pytest.approx(0.9, abs=0.01)
    assert effort_spread(1) == 0
