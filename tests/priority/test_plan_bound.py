import numpy as np
import pytest

from hazardrank.priority.plan_bound import season_bound
from hazardrank.priority.plan_options import options_of
from tests.priority.plan_cases import best_by_trying, random_season, season


def bound(problem, reached=0.0):
    return season_bound(problem, options_of(problem), reached)


def test_bound_of_one_team_is_that_of_tasks_done_in_part():
    # Rates 3, 2, 1.8: whole, whole, and 3 of 5 days of the last: 9 + 8 + 5.4 (Dantzig 1957).
    assert bound(season([9, 8, 9], [3, 4, 5])).value == pytest.approx(22.4, rel=1e-3)


def test_bound_is_all_harm_where_there_is_room():
    assert bound(season([9, 8], [3, 4])).value == pytest.approx(17)


def test_early_deadlines_lower_the_bound():
    # Both are worth nothing after the fourth day, and each takes four.
    problem = season([8, 8], [4, 4], (100,), deadline={0: 3, 1: 3}, late_share=0.0)
    assert bound(problem).value == pytest.approx(8, rel=1e-3)


def test_options_that_cannot_beat_what_is_reached_are_told_apart():
    # Whoever does the second task instead of the first loses 5.
    problem = season([9, 4], [10, 10])
    found = bound(problem, 9.0)
    assert found.value == pytest.approx(9, rel=1e-3)
    assert found.promising(8.0).tolist() == [True, False]


@pytest.mark.parametrize("seed", range(12))
def test_no_plan_beats_the_bound(seed):
    problem = random_season(np.random.default_rng(seed), 4, plain=seed % 2 == 0)
    assert bound(problem).value >= best_by_trying(problem) - 1e-9


def test_nothing_to_do_has_no_bound_but_what_is_reached():
    assert bound(season([], np.zeros((0, 1))), 3.0).value == 3.0
