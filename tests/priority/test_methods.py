from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymcdm import normalizations
from pymcdm.methods import PROMETHEE_II, TOPSIS, WSM

from hazardrank.errors import PriorityError, SettingsError
from hazardrank.priority.alternatives import Alternatives
from hazardrank.priority.methods import METHODS, rank
from hazardrank.priority.promethee import net_flows
from hazardrank.settings import PrioritySettings, WeightSettings, validate
from tests.priority.method_cases import (
    METHOD_NAMES,
    land,
    own_settings,
    random_land,
    settings_of,
)

seeds = st.integers(0, 2**32 - 1)


def given_weights(**weights):
    return WeightSettings(given=weights)


def test_harm_averted_by_hand():
    weights = given_weights(people=3, water=1)
    alternatives = land([1, 0, 0.5, 10], [0, 1, 1, 10], [1, 1, 0.2, 1], [1, 1, 1, np.inf])
    ranking = rank(alternatives, settings_of(weights=weights))
    # likelihood × (0.75 people + 0.25 water) ÷ team-days, for a hectare
    assert ranking.scores == pytest.approx([0.0375, 0.025, 0.2, 0])
    assert ranking.ranks.tolist() == [2, 3, 1, 4]
    assert ranking.contributions == pytest.approx(
        np.array([[0.0375, 0], [0, 0.025], [0.15, 0.05], [0, 0]])
    )


def test_a_larger_task_averts_more_but_takes_longer():
    row = [1, 1, 0.5, 10]
    same_rate = Alternatives(
        np.array(["a", "b"]),
        ("people", "water"),
        np.ones((2, 2)),
        np.array([0.5, 0.5]),
        np.array([10_000.0, 40_000.0]),
        np.array([10.0, 40.0]),
    )
    scores = rank(same_rate, settings_of()).scores
    assert scores[0] == scores[1] == rank(land(row), settings_of()).scores[0]


def test_harm_of_a_task_is_the_sum_over_its_cells():
    rng = np.random.default_rng(2)
    likelihood, people = rng.uniform(0, 1, 50), rng.uniform(0, 1, 50)
    mean = (likelihood * people).sum() / likelihood.sum()
    task = Alternatives(
        np.array(["a"]),
        ("people",),
        np.array([[mean]]),
        np.array([likelihood.mean()]),
        np.array([50 * 2500.0]),
        np.array([8.0]),
    )
    cell_by_cell = (likelihood * people * 0.25).sum() / 8
    assert rank(task, settings_of()).scores[0] == pytest.approx(cell_by_cell)


def test_weighted_sum_by_hand():
    weights = given_weights(people=2, water=1, likelihood=4, effort=1)
    ranking = rank(
        land([1, 0, 0.5, 30], [0, 1, 0.25, np.inf]), settings_of("weighted_sum", weights=weights)
    )
    # 30 team-days a hectare have the value ½, infinitely many 0.
    assert ranking.scores == pytest.approx([2 / 8 + 2 / 8 + 0.5 / 8, 1 / 8 + 1 / 8])
    assert ranking.contributions.sum(axis=1) == pytest.approx(ranking.scores)
    assert ranking.method.columns == ("people", "water", "likelihood", "effort")


def test_topsis_by_hand():
    # Two columns tell apart: people (3, 4) and likelihood (0.4, 0.3), each of length 5 scaled.
    alternatives = land([0.3, 0.5, 0.4, 9], [0.4, 0.5, 0.3, 9])
    weights = given_weights(people=1, water=1, likelihood=1, effort=1)
    scores = rank(alternatives, settings_of("topsis", weights=weights)).scores
    assert scores.tolist() == pytest.approx([0.5, 0.5])
    heavier = given_weights(people=1, water=0, likelihood=2, effort=0)
    # Distances 1/3 · 0.2 and 2/3 · 0.2 from the ideal
    scores = rank(alternatives, settings_of("topsis", weights=heavier)).scores
    assert scores.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_topsis_where_nothing_tells_apart():
    ranking = rank(land([0.3, 0.5, 0.4, 9], [0.3, 0.5, 0.4, 9]), settings_of("topsis"))
    assert ranking.scores.tolist() == [0, 0]
    assert ranking.ranks.tolist() == [1, 2]


def test_net_flows_by_hand():
    values = np.array([[0.0], [0.1], [0.5]])
    # Full preference from 0.3, none up to 0.1: the last beats both fully.
    assert net_flows(values, 0.1, 0.3).ravel().tolist() == pytest.approx([-0.5, -0.5, 1])
    # In proportion between 0 and 0.4: 0.1 beats 0 by a quarter.
    assert net_flows(values, 0, 0.4).ravel() == pytest.approx([-1.25 / 2, (0.25 - 1) / 2, 1])
    # The usual criterion: any difference counts fully.
    assert net_flows(values, 0, 0).ravel().tolist() == [-1, 0, 1]


def test_promethee_alone_or_alike():
    assert net_flows(np.array([[0.4]]), 0.05, 0.3).tolist() == [[0]]
    assert net_flows(np.full((3, 2), 0.4), 0.05, 0.3).tolist() == [[0, 0]] * 3


def test_lexicographic_by_hand():
    alternatives = land(
        [0.91, 0.10, 0.5, 9],
        [0.99, 0.30, 0.1, 9],
        [0.55, 0.99, 0.9, 1],
        [0.95, 0.35, 0.8, 9],
        [0.50, 0.95, 0.9, 1],
    )
    ranking = rank(alternatives, settings_of("lexicographic", order=["people", "water"]))
    # Steps of people 9 9 5 9 5, of water 1 3 9 3 9: equal ones go by id.
    assert ranking.ranks.tolist() == [3, 1, 4, 2, 5]
    assert ranking.scores.tolist() == [1, 2, 0, 2, 0]
    assert ranking.weights is None
    assert ranking.contributions is None
    by_likelihood = settings_of("lexicographic", order=["people", "water", "likelihood"])
    assert rank(alternatives, by_likelihood).ranks.tolist() == [3, 2, 4, 1, 5]


def test_criteria_left_out_may_stand_in_the_order():
    order = settings_of("lexicographic", order=["schools", "people"])
    assert len(rank(land([1, 1, 1, 1]), order, skipped=["schools"]).ranks) == 1
    with pytest.raises(PriorityError, match=r"priority\.order: schools is no criterion in use"):
        rank(land([1, 1, 1, 1]), order)
    only = settings_of("lexicographic", order=["schools"])
    with pytest.raises(PriorityError, match="nothing of the order is in use"):
        rank(land([1, 1, 1, 1]), only, skipped=["schools"])


def test_every_column_needs_a_weight():
    weights = given_weights(people=1, water=1)
    with pytest.raises(PriorityError, match="there is no weight for likelihood, effort"):
        rank(land([1, 1, 1, 1]), settings_of("weighted_sum", weights=weights))
    with pytest.raises(PriorityError, match="likelihood has a weight but is no criterion in use"):
        rank(
            land([1, 1, 1, 1]), settings_of(weights=given_weights(people=1, water=1, likelihood=1))
        )


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_no_alternatives(method):
    ranking = rank(land(), settings_of(method))
    assert ranking.ranks.tolist() == []


# ------------------------------------------------------------------ properties of all


@pytest.mark.parametrize("method", METHOD_NAMES)
@settings(max_examples=25, deadline=None)
@given(seed=seeds, n=st.integers(1, 30))
def test_ranks_are_a_permutation_in_order_of_scores(method, seed, n):
    alternatives = random_land(np.random.default_rng(seed), n)
    ranking = rank(alternatives, own_settings(method, alternatives))
    assert sorted(ranking.ranks) == list(range(1, n + 1))
    assert (np.diff(ranking.scores[ranking.order]) <= 0).all()
    assert np.isfinite(ranking.scores).all()


@pytest.mark.parametrize("method", METHOD_NAMES)
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_what_is_better_in_all_is_never_ranked_lower(method, seed):
    rng = np.random.default_rng(seed)
    some = random_land(rng, 12)
    better = Alternatives(
        np.array([*some.ids, "A-better"]),
        some.criteria,
        np.vstack(
            [some.consequence, np.minimum(some.consequence[3] + rng.uniform(0.01, 0.4, 3), 1)]
        ),
        np.append(some.likelihood, min(some.likelihood[3] + 0.05, 1)),
        np.append(some.area_m2, some.area_m2[3]),
        np.append(some.team_days, 0.8 * some.team_days[3]),
    )
    weights = WeightSettings(
        source="rank_order", order=[*METHODS[method](better, settings_of()).columns] or ["c0"]
    )
    ranks = rank(better, own_settings(method, better, weights=weights)).ranks
    assert ranks[-1] < ranks[3]


@pytest.mark.parametrize("method", METHOD_NAMES)
@settings(max_examples=25, deadline=None)
@given(seed=seeds, factor=st.floats(0.01, 100))
def test_the_scale_of_weights_changes_no_rank(method, seed, factor):
    rng = np.random.default_rng(seed)
    alternatives = random_land(rng, 15)
    columns = METHODS[method](alternatives, own_settings(method, alternatives)).columns
    numbers = rng.uniform(0.1, 1, len(columns))
    ranks = [
        rank(
            alternatives,
            own_settings(
                method,
                alternatives,
                weights=WeightSettings(
                    source="given" if columns else "equal",
                    given=dict(zip(columns, scale * numbers, strict=True)),
                ),
            ),
        ).ranks.tolist()
        for scale in (1.0, factor)
    ]
    assert ranks[0] == ranks[1]


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_order_of_rows_changes_no_rank(method):
    rng = np.random.default_rng(8)
    alternatives = random_land(rng, 40)
    turned = rng.permutation(40)
    given_settings = own_settings(method, alternatives)
    one = rank(alternatives, given_settings).ranks
    other = rank(alternatives.take(turned), given_settings).ranks
    assert other.tolist() == one[turned].tolist()


@settings(max_examples=25, deadline=None)
@given(seed=seeds, factor=st.floats(0.01, 100))
def test_harm_averted_does_not_depend_on_the_unit_of_effort(seed, factor):
    some = random_land(np.random.default_rng(seed), 15)
    other = Alternatives(
        some.ids,
        some.criteria,
        some.consequence,
        some.likelihood,
        some.area_m2,
        factor * some.team_days,
    )
    assert rank(some, settings_of()).ranks.tolist() == rank(other, settings_of()).ranks.tolist()


@pytest.mark.parametrize("method", ["harm_averted", "weighted_sum", "promethee"])
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_contributions_add_up_to_the_score(method, seed):
    alternatives = random_land(np.random.default_rng(seed), 20)
    ranking = rank(alternatives, settings_of(method))
    assert ranking.contributions.shape == (20, len(ranking.method.columns))
    assert ranking.contributions.sum(axis=1) == pytest.approx(ranking.scores)


# ------------------------------------------------------------------ against pymcdm


def case(method, seed, n=40, **values):
    rng = np.random.default_rng(seed)
    alternatives = random_land(rng, n)
    columns = METHODS[method](alternatives, settings_of(method)).columns
    numbers = rng.dirichlet(np.ones(len(columns)))
    weights = given_weights(**dict(zip(columns, numbers, strict=True)))
    ranking = rank(alternatives, settings_of(method, weights=weights, **values))
    matrix = ranking.method.matrix(alternatives.likelihood, alternatives.team_days)
    return ranking, matrix, numbers, np.ones(len(columns))


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_weighted_sum_equals_pymcdm(seed):
    ranking, matrix, weights, types = case("weighted_sum", seed)
    plain = WSM(normalization_function=lambda values, cost: values)
    assert ranking.scores == pytest.approx(plain(matrix, weights, types))


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_topsis_equals_pymcdm(seed):
    ranking, matrix, weights, types = case("topsis", seed)
    reference = TOPSIS(normalizations.vector_normalization)
    assert ranking.scores == pytest.approx(reference(matrix, weights, types))


@settings(max_examples=25, deadline=None)
@given(seed=seeds, indifference=st.floats(0, 0.3), more=st.floats(0.01, 0.6))
def test_promethee_equals_pymcdm_that_compares_every_pair(seed, indifference, more):
    limits = {"indifference": indifference, "preference": indifference + more}
    ranking, matrix, weights, types = case("promethee", seed, **limits)
    n_columns = matrix.shape[1]
    reference = PROMETHEE_II(
        "vshape_2", p=[limits["preference"]] * n_columns, q=[indifference] * n_columns
    )
    assert ranking.scores == pytest.approx(reference(matrix, weights, types), abs=1e-9)
    assert ranking.scores.sum() == pytest.approx(0, abs=1e-9)


def test_promethee_takes_many_tasks():
    # Every pair of 20,000 would take 3.2 GB a criterion.
    values = np.random.default_rng(0).uniform(0, 1, (20_000, 3))
    flows = net_flows(values, 0.05, 0.3)
    assert np.argmax(flows, axis=0).tolist() == np.argmax(values, axis=0).tolist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "lexicographic"}, "order is for method lexicographic, which needs it"),
        ({"order": ["a"]}, "order is for method lexicographic"),
        ({"method": "lexicographic", "order": ["a", "a"]}, "order names a criterion twice"),
        ({"indifference": 0.5}, "indifference must not be above preference"),
        (
            {"criteria": {"effort": {"criterion": "people"}}},
            r"criteria\.effort: this name",
        ),
    ],
)
def test_settings_that_make_no_sense(values, message):
    plain = settings_of().model_dump(exclude_unset=True)
    with pytest.raises(SettingsError, match=message):
        validate(PrioritySettings, {**plain, **values}, "priority")
