import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from hazardrank.priority.plan_exact import choices_of, without_idle
from hazardrank.priority.plan_options import options_of
from hazardrank.priority.plan_solver import Solved
from tests.priority.plan_cases import best_by_trying, random_season, season


def best_by_milp(choices) -> Solved:
    """The best decisions, by another program than ours."""
    n_choices = len(choices.gain)
    if not n_choices:
        return Solved(np.zeros(0), 0.0, "solved")
    found = milp(
        -choices.gain,
        constraints=LinearConstraint(choices.rows, choices.least, choices.most),
        integrality=np.full(n_choices, int(choices.whole)),
        bounds=Bounds(0, 1),
    )
    if found.x is None:
        return Solved(None, -np.inf, "infeasible")
    return Solved(found.x, -found.fun, "solved")


def best_choice(problem, met=None):
    """Tasks of the best choice, and what it averts."""
    options = options_of(problem)
    solved = best_by_milp(choices_of(problem, options, met or {}))
    if solved.taken is None:
        return None, solved.bound
    taken = without_idle(problem, options, np.flatnonzero(solved.taken > 0.5))
    return sorted(options.task[taken].tolist()), solved.bound


def test_better_than_greedy():
    # By harm per team-day the first goes in and blocks the others, which together avert more.
    assert best_choice(season([7, 5, 5], [6, 5, 5])) == ([1, 2], 10)


def test_two_tasks_due_together_do_not_both_fit():
    problem = season([8, 7], [4, 4], (100,), deadline={0: 3, 1: 5}, late_share=0.0)
    assert best_choice(problem) == ([0], 8)


def test_nothing_without_what_lies_in_front():
    assert best_choice(season([0, 9, 4], [8, 3, 3], before=[(0, 1)])) == ([2], 4)
    assert best_choice(season([0, 9, 4], [7, 3, 3], before=[(0, 1)])) == ([0, 1], 9)


def test_team_of_another_season_can_open_the_way():
    # The way is opened by the team that works for twenty days, in time for the one of ten.
    days = np.array([[np.inf, 6], [3, np.inf]])
    assert best_choice(season([0, 9], days, (10, 20), before=[(0, 1)])) == ([0, 1], 9)


def test_districts_and_locked_tasks():
    problem = season([9, 9, 1], [5, 5, 4], district=["a", "a", "b"], district_shares={"b": 0.4})
    assert best_choice(problem, {"b": 4.0}) == ([0, 2], 10)
    of_area = season(
        [9, 9, 1], [5, 5, 4], district=["a", "a", "b"], district_shares={"b": 0.5}, share_of="area"
    )
    assert best_choice(of_area, {"b": 0.5}) == ([0, 2], 10)
    assert best_choice(season([9, 9, 1], [5, 5, 4], locked_in=[2], locked_out=[0])) == ([1, 2], 10)


def test_locked_task_that_nobody_can_do_has_no_choice():
    problem = season([9, 9], [[np.inf], [1]], locked_in=[0])
    assert best_choice(problem) == (None, -np.inf)


@pytest.mark.parametrize("seed", range(10))
def test_no_plan_beats_the_best_choice_and_plain_seasons_reach_it(seed):
    plain = seed % 2 == 0
    problem = random_season(np.random.default_rng(100 + seed), 4, plain=plain)
    best, choice = best_by_trying(problem), best_choice(problem)[1]
    assert choice >= best - 1e-6
    if plain:
        assert choice == pytest.approx(best)
