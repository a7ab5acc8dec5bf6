from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hazardrank.errors import PriorityError
from hazardrank.priority.alternatives import Alternatives, ranks_of
from tests.priority.method_cases import land


def test_ranks_by_score_and_ties_by_id():
    ids = np.array(["d", "c", "b", "a"])
    assert ranks_of(np.array([1.0, 5.0, 1.0, 1.0]), ids).tolist() == [4, 1, 3, 2]


@given(
    scores=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=20),
    seed=st.integers(0, 99),
)
def test_ranks_are_a_permutation_whatever_the_order(scores, seed):
    scores = np.array(scores)
    ids = np.array([f"t{k}" for k in range(len(scores))])
    ranks = ranks_of(scores, ids)
    assert sorted(ranks) == list(range(1, len(scores) + 1))
    assert (np.diff(scores[np.argsort(ranks)]) <= 0).all()
    turned = np.random.default_rng(seed).permutation(len(scores))
    assert ranks_of(scores[turned], ids[turned]).tolist() == ranks[turned].tolist()


def test_taking_some():
    whole = land([0.1, 0.2, 0.3, 4], [0.5, 0.6, 0.7, 8], ids=["a", "b"])
    part = whole.take(np.array([1]))
    assert part.ids.tolist() == ["b"]
    assert part.consequence.tolist() == [[0.5, 0.6]]
    assert part.area_ha.tolist() == [1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.2, 0, 0.5, 1], r"consequence of 'T00001' is 1\.2; it must be in 0–1"),
        ([np.nan, 0, 0.5, 1], "consequence of 'T00001' is nan"),
        ([0, 0, -0.1, 1], r"likelihood of 'T00001' is -0\.1; it must be in 0–1"),
        ([0, 0, 0.5, 0], "team_days of 'T00001' is 0; it must be above 0"),
        ([0, 0, 0.5, np.nan], "team_days of 'T00001' is nan"),
    ],
)
def test_values_out_of_range_are_named(row, message):
    with pytest.raises(PriorityError, match=message):
        land([0, 0, 0, 1], row)


def test_area_ids_and_shapes_are_checked():
    with pytest.raises(PriorityError, match="area_m2 of 'T00000' is 0"):
        land([0, 0, 0, 1], area_m2=0)
    with pytest.raises(PriorityError, match="the id 'a' comes twice"):
        land([0, 0, 0, 1], [0, 0, 0, 1], ids=["a", "a"])
    one = np.ones(1)
    with pytest.raises(PriorityError, match=r"consequence has the shape \(1, 1\), not \(1, 2\)"):
        Alternatives(np.array(["a"]), ("x", "y"), np.ones((1, 1)), one, one, one)


def test_effort_may_be_infinite():
    assert np.isinf(land([0, 0, 0, np.inf]).team_days).all()
