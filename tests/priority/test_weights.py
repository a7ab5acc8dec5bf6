from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymcdm.weights.subjective import AHP

from hazardrank.errors import PriorityError, SettingsError
from hazardrank.priority.weights import analytic_hierarchy, rank_order_centroid, weights_of
from hazardrank.settings import WeightSettings, validate

# Buying a house: size, transport, neighbourhood, age, yard, facilities, condition, finance.
# Saaty (1990), How to make a decision, European Journal of Operational Research 48, table 2.
HOUSE = np.array(
    [
        [1, 5, 3, 7, 6, 6, 1 / 3, 1 / 4],
        [1 / 5, 1, 1 / 3, 5, 3, 3, 1 / 5, 1 / 7],
        [1 / 3, 3, 1, 6, 3, 4, 6, 1 / 5],
        [1 / 7, 1 / 5, 1 / 6, 1, 1 / 3, 1 / 4, 1 / 7, 1 / 8],
        [1 / 6, 1 / 3, 1 / 3, 3, 1, 1 / 2, 1 / 5, 1 / 6],
        [1 / 6, 1 / 3, 1 / 4, 4, 2, 1, 1 / 5, 1 / 6],
        [3, 5, 1 / 6, 7, 5, 5, 1, 1 / 2],
        [4, 7, 5, 8, 6, 6, 2, 1],
    ]
)


def triples(matrix, names):
    return [(names[i], names[j], matrix[i][j]) for i, j in combinations(range(len(names)), 2)]


def test_given_weights_are_scaled():
    weights = weights_of(WeightSettings(given={"b": 1, "a": 3}), ["a", "b"])
    assert weights.values.tolist() == [0.75, 0.25]
    assert weights.names == ("a", "b")
    assert weights.warning is None


def test_equal_weights():
    assert weights_of(WeightSettings(source="equal"), list("abcd")).values.tolist() == [0.25] * 4


def test_rank_order_centroids_by_hand():
    # (1 + 1/2 + 1/3) / 3, (1/2 + 1/3) / 3, (1/3) / 3
    assert rank_order_centroid(3) == pytest.approx([11 / 18, 5 / 18, 2 / 18])
    settings = WeightSettings(source="rank_order", order=["c", "a", "b"])
    assert weights_of(settings, ["a", "b", "c"]).values == pytest.approx([5 / 18, 2 / 18, 11 / 18])


def test_consistent_comparisons_give_back_their_weights():
    weights = np.array([0.5, 0.3, 0.2])
    found, ratio = analytic_hierarchy(weights[:, None] / weights[None, :])
    assert found == pytest.approx(weights)
    assert ratio == pytest.approx(0, abs=1e-12)


def test_two_criteria_are_always_consistent():
    weights = weights_of(WeightSettings(source="pairwise", pairwise=[("a", "b", 3)]), ["a", "b"])
    assert weights.values == pytest.approx([0.75, 0.25])
    assert weights.consistency_ratio == 0


def test_the_published_house():
    found, ratio = analytic_hierarchy(HOUSE)
    published = [0.173, 0.054, 0.188, 0.018, 0.031, 0.036, 0.167, 0.333]
    assert found == pytest.approx(published, abs=5e-4)
    # λ_max 9.669, consistency index 0.238, ratio 0.169
    assert ratio == pytest.approx(0.169, abs=5e-4)


def test_contradicting_comparisons_warn():
    names = [f"c{k}" for k in range(8)]
    settings = WeightSettings(source="pairwise", pairwise=triples(HOUSE, names))
    weights = weights_of(settings, names)
    assert weights.warning is not None
    assert "consistency ratio 0.17, above 0.1" in weights.warning


@given(seed=st.integers(0, 2**32 - 1), n_criteria=st.integers(3, 9))
def test_weights_equal_those_of_pymcdm(seed, n_criteria):
    rng = np.random.default_rng(seed)
    matrix = np.ones((n_criteria, n_criteria))
    for i, j in combinations(range(n_criteria), 2):
        matrix[i, j] = rng.choice([1, 2, 3, 5, 9, 1 / 2, 1 / 3, 1 / 5, 1 / 9])
        matrix[j, i] = 1 / matrix[i, j]
    found, ratio = analytic_hierarchy(matrix)
    reference = AHP(matrix=matrix)
    assert found == pytest.approx(reference(), abs=1e-9)
    # Its random indices (Tummala & Ling 1998) differ from Saaty's by up to 2 %.
    assert ratio == pytest.approx(reference.get_cr(), rel=0.02, abs=1e-9)


@given(
    source=st.sampled_from(["given", "equal", "rank_order", "pairwise"]),
    n_criteria=st.integers(2, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_weights_add_up_to_one_and_follow_their_names(source, n_criteria, seed):
    rng = np.random.default_rng(seed)
    names = [f"c{k}" for k in range(n_criteria)]
    ratios = rng.choice([1 / 3, 1 / 2, 1, 2, 3], (n_criteria, n_criteria))
    settings = WeightSettings(
        source=source,
        given=dict(zip(names, rng.uniform(0.1, 5, n_criteria), strict=True)),
        order=list(rng.permutation(names)),
        pairwise=triples(ratios, names),
    )
    weights = weights_of(settings, names)
    assert weights.values.sum() == pytest.approx(1)
    assert (weights.values > 0).all()
    turned = weights_of(settings, names[::-1])
    assert turned.values[::-1] == pytest.approx(weights.values)


def test_criteria_left_out_share_their_weight():
    given_ones = WeightSettings(given={"a": 2, "b": 1, "c": 1})
    assert weights_of(given_ones, ["a", "b"], ["c"]).values == pytest.approx([2 / 3, 1 / 3])
    order = WeightSettings(source="rank_order", order=["c", "a", "b"])
    assert weights_of(order, ["a", "b"], ["c"]).values == pytest.approx([0.75, 0.25])
    pairs = WeightSettings(
        source="pairwise", pairwise=[("a", "b", 3), ("a", "c", 5), ("c", "b", 2)]
    )
    assert weights_of(pairs, ["a", "b"], ["c"]).values == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"given": {"a": 1}}, r"weights\.given: there is no weight for b\. Weigh every"),
        ({"given": {"a": 1, "b": 1, "z": 1}}, r"given: z has a weight but is no criterion in use"),
        ({"given": {"a": 0, "b": 0}}, r"given: all weights are 0"),
        ({"source": "rank_order", "order": ["a"]}, r"weights\.order: there is no weight for b"),
    ],
)
def test_weights_must_fit_the_criteria(settings, message):
    with pytest.raises(PriorityError, match=message):
        weights_of(WeightSettings(**settings), ["a", "b"])


def test_every_pair_must_be_compared():
    pairs = WeightSettings(source="pairwise", pairwise=[("a", "b", 3), ("a", "c", 5)])
    with pytest.raises(PriorityError, match=r"b and c are not compared.*Add \[b, c, RATIO\]"):
        weights_of(pairs, ["a", "b", "c"])


def test_too_many_or_one_sided_comparisons_are_refused():
    with pytest.raises(PriorityError, match="16 criteria are compared in pairs"):
        analytic_hierarchy(np.ones((16, 16)))
    with pytest.raises(PriorityError, match="not reciprocal"):
        analytic_hierarchy(np.array([[1.0, 2.0], [2.0, 1.0]]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "given"}, r"source given needs weights\.given"),
        ({"source": "pairwise", "pairwise": [["a", "a", 2]]}, "one with itself"),
        ({"source": "pairwise", "pairwise": [["a", "b", 2], ["b", "a", 2]]}, "two criteria twice"),
        ({"source": "pairwise", "pairwise": [["a", "b", 12]]}, r"weights\.pairwise\.0\.2 = 12"),
        ({"source": "rank_order", "order": ["a", "a"]}, "order names a criterion twice"),
    ],
)
def test_settings_that_make_no_sense(values, message):
    with pytest.raises(SettingsError, match=message):
        validate(WeightSettings, values, "priority.weights")


def test_weights_are_said_with_their_source():
    given = WeightSettings(source="given", given={"people": 1, "water": 3})
    assert weights_of(given, ["people", "water"]).words == "given weights: water 75 %, people 25 %"
