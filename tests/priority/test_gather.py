from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import PriorityError
from hazardrank.priority.effort import Effort
from hazardrank.priority.gather import TaskGatherer, Unjudged
from hazardrank.priority.methods import rank
from tests.priority.method_cases import settings_of

CRITERIA = ("people", "water")
INF = np.inf


def effort_of(team_days, cost=None, after=None) -> Effort:
    team_days = np.array(team_days, float)
    cost = 100 * team_days if cost is None else np.array(cost, float)
    after = np.where(np.isinf(team_days), np.inf, 0.0) if after is None else np.array(after, float)
    return Effort(tuple("ab"[: len(team_days)]), team_days, after, cost)


def gathered(labels, likelihood, consequence, effort, open_cells=None, interval=None, **values):
    labels = np.array(labels)
    n_tasks = int(labels.max()) + 1
    opened = np.ones((1, *labels.shape), bool) if open_cells is None else np.array(open_cells, bool)
    gatherer = TaskGatherer(
        n_tasks,
        CRITERIA,
        effort.methods,
        len(opened),
        10_000.0,
        **{"unjudged": Unjudged(0.1, 0.1, 0.1), **values},
    )
    ends = None if interval is None else tuple(np.array(end) for end in interval)
    gatherer.add(labels, np.array(likelihood), np.array(consequence), effort, opened, ends)
    return gatherer.result(np.array([f"T{k}" for k in range(n_tasks)], dtype=object))


def test_sums_by_hand():
    found = gathered(
        labels=[[0, 0, 1, -1]],
        likelihood=[[0.5, 0.1, 0.4, 0.9]],
        consequence=[[[1.0, 0.0, 0.5, 1.0]], [[0.2, 0.8, 0.5, 1.0]]],
        effort=effort_of([[[2.0, 3.0, 4.0, 9.0]]]),
        open_cells=[[[1, 0, 0, 1]]],
    )
    tasks = found.alternatives
    assert tasks.ids.tolist() == ["T0", "T1"]
    assert tasks.area_m2.tolist() == [20_000, 10_000]
    assert tasks.likelihood == pytest.approx([0.3, 0.4])
    # Σ p·v / Σ p
    assert tasks.consequence[0] == pytest.approx([0.5 / 0.6, (0.1 + 0.08) / 0.6])
    assert tasks.team_days.tolist() == [5, 4]
    assert found.likelihood_low.tolist() == tasks.likelihood.tolist()
    assert found.likelihood_high.tolist() == tasks.likelihood.tolist()
    assert found.cost_usd.tolist() == [500, 400]
    assert found.open_share.tolist() == [[0.5], [0]]
    assert not found.unjudged_share.any()


def test_harm_averted_of_a_task_is_that_of_its_cells():
    found = gathered(
        labels=[[0, 0, 0]],
        likelihood=[[0.5, 0.1, 0.2]],
        consequence=[[[1.0, 0.0, 0.5]], [[0.2, 0.8, 0.5]]],
        effort=effort_of([[[2.0, 3.0, 5.0]]]),
    )
    score = rank(found.alternatives, settings_of()).scores[0]
    harm = 0.5 * (0.5 * 1.2 + 0.1 * 0.8 + 0.2 * 1.0)
    assert score == pytest.approx(harm / 10)


def test_each_cell_by_its_best_method():
    found = gathered(
        labels=[[0, 0, 0]],
        likelihood=[[0.5, 0.5, 0.5]],
        consequence=np.ones((2, 1, 3)),
        effort=effort_of([[[2.0, 9.0, 7.0]], [[8.0, 1.0, INF]]]),
    )
    assert found.alternatives.team_days.tolist() == [10]
    assert found.method_share.ravel() == pytest.approx([2 / 3, 1 / 3])


def test_cells_where_nothing_can_be_used_are_not_worked():
    found = gathered(
        labels=[[0, 0, 1]],
        likelihood=[[0.5, 0.9, 0.4]],
        consequence=[[[1.0, 0.2, 0.5]], [[1.0, 0.2, 0.5]]],
        effort=effort_of([[[2.0, INF, INF]]]),
    )
    tasks = found.alternatives
    assert found.unworkable_share.tolist() == [0.5, 1]
    assert tasks.team_days.tolist() == [2, INF]
    assert tasks.likelihood.tolist() == [0.5, 0.4]
    assert tasks.consequence.tolist() == [[1, 1], [0.5, 0.5]]
    assert tasks.area_m2.tolist() == [10_000, 10_000]
    assert found.cost_usd.tolist() == [200, INF]


def test_land_that_cannot_be_judged_has_the_likelihood_given():
    found = gathered(
        labels=[[0, 0]],
        likelihood=[[0.5, np.nan]],
        consequence=np.ones((2, 1, 2)),
        effort=effort_of([[[1.0, 1.0]]]),
        interval=[[[0.3, np.nan]], [[0.7, np.nan]]],
        unjudged=Unjudged(0.3, 0.1, 0.9),
    )
    assert found.unjudged_share.tolist() == [0.5]
    assert found.alternatives.likelihood.tolist() == [0.4]
    assert found.likelihood_low == pytest.approx([0.2])
    assert found.likelihood_high == pytest.approx([0.8])


def test_intervals_are_those_of_the_workable_land():
    found = gathered(
        labels=[[0, 0]],
        likelihood=[[0.5, 0.9]],
        consequence=np.ones((2, 1, 2)),
        effort=effort_of([[[1.0, INF]]]),
        interval=[[[0.25, 0.8]], [[0.75, 1.0]]],
    )
    assert (found.likelihood_low[0], found.likelihood_high[0]) == (0.25, 0.75)


def test_without_likelihood_the_consequence_is_the_plain_mean():
    found = gathered(
        labels=[[0, 0]],
        likelihood=[[0.0, 0.0]],
        consequence=[[[1.0, 0.0]], [[0.4, 0.2]]],
        effort=effort_of([[[1.0, 1.0]]]),
    )
    assert found.alternatives.consequence[0] == pytest.approx([0.5, 0.3])
    assert found.alternatives.likelihood.tolist() == [0]


def test_by_cost():
    found = gathered(
        labels=[[0]],
        likelihood=[[0.5]],
        consequence=np.ones((2, 1, 1)),
        effort=effort_of([[[2.0]], [[5.0]]], cost=[[[900.0]], [[100.0]]]),
        best_by="cost",
    )
    assert (found.alternatives.team_days[0], found.cost_usd[0]) == (5, 100)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), side=st.integers(1, 9))
def test_blocks_add_up_to_the_whole(seed, side):
    rng = np.random.default_rng(seed)
    shape = (8, 9)
    labels = rng.integers(-1, 5, shape)
    labels.flat[:5] = range(5)
    likelihood = np.where(rng.random(shape) < 0.2, np.nan, rng.random(shape))
    consequence = rng.random((2, *shape))
    days = np.where(rng.random((2, *shape)) < 0.3, INF, rng.uniform(1, 9, (2, *shape)))
    opened = rng.random((3, *shape)) < 0.5
    whole, parts = (
        TaskGatherer(5, CRITERIA, ("a", "b"), 3, 10_000.0, Unjudged(0.2, 0.1, 0.4)) for _ in "ab"
    )
    whole.add(labels, likelihood, consequence, effort_of(days), opened)
    for row in range(0, 8, side):
        for col in range(0, 9, side):
            part = np.s_[row : row + side, col : col + side]
            planes = (slice(None), *part)
            parts.add(
                labels[part],
                likelihood[part],
                consequence[planes],
                effort_of(days[planes]),
                opened[planes],
            )
    ids = np.array([f"T{k}" for k in range(5)])
    one, other = whole.result(ids), parts.result(ids)
    for name in ("consequence", "likelihood", "area_m2", "team_days"):
        found = getattr(other.alternatives, name)
        assert found == pytest.approx(getattr(one.alternatives, name))
    assert other.method_share == pytest.approx(one.method_share)
    assert other.open_share == pytest.approx(one.open_share)
    assert other.likelihood_low == pytest.approx(one.likelihood_low)
    assert other.likelihood_high == pytest.approx(one.likelihood_high)
    shares = one.method_share.sum(axis=0) + one.unworkable_share
    assert shares == pytest.approx(np.ones(5))


def test_tasks_without_cells_and_unjudged_land_without_likelihood_are_refused():
    with pytest.raises(PriorityError, match="task 'T1' has no cell"):
        gathered([[0, 2]], [[0.1, 0.1]], np.ones((2, 1, 2)), effort_of([[[1.0, 1.0]]]))
    with pytest.raises(PriorityError, match="likelihood of land that cannot be judged is 0"):
        Unjudged(0.0, 0.0, 1.0)
    with pytest.raises(PriorityError, match=r"0\.3, does not lie between 0\.4 and 0\.5"):
        Unjudged(0.3, 0.4, 0.5)
