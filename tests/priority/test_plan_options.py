import numpy as np

from hazardrank.priority.plan_options import options_of
from tests.priority.plan_cases import day, season


def listed(problem):
    """Options as (task, team, opens, due, harm), sorted."""
    found = options_of(problem)
    return sorted(
        zip(
            found.task.tolist(),
            found.team.tolist(),
            found.opens.tolist(),
            found.due.tolist(),
            found.harm.tolist(),
            strict=True,
        )
    )


def test_deadline_gives_an_option_in_time_and_a_late_one():
    problem = season([8], [3], (10,), deadline={0: 4}, late_share=0.25)
    assert listed(problem) == [(0, 0, 0, 5, 8), (0, 0, 0, 10, 2)]


def test_deadline_that_cannot_be_kept_leaves_the_late_option():
    assert listed(season([8], [6], (10,), deadline={0: 4}, late_share=0.5)) == [(0, 0, 0, 10, 4)]
    assert listed(season([8], [6], (10,), deadline={0: 4}, late_share=0.0)) == []


def test_closed_months_cut_the_season():
    # A season of January to March; the task of 29 days does not fit into February.
    found = listed(season([8, 8], [29, 28], (90,), closed={0: [1, 3], 1: [1, 3]}))
    assert found == [(1, 0, 31, 59, 8)]
    assert listed(season([8], [5], (90,), closed={0: [2]})) == [(0, 0, 0, 31, 8), (0, 0, 59, 90, 8)]


def test_teams_that_cannot_and_locked_out_tasks_have_none():
    problem = season([8, 8], [[1, np.inf], [1, 1]], (5, 5), locked_out=[1])
    assert listed(problem) == [(0, 0, 0, 5, 8)]


def test_what_others_wait_for_may_end_when_they_have_to():
    # Task 0 of no harm of its own is kept, since 1 waits for it, and can end with its deadline.
    problem = season([0, 9], [2, 2], (10,), before=[(0, 1)], deadline={1: 6}, late_share=0.0)
    assert listed(problem) == [(0, 0, 0, 7, 0), (0, 0, 0, 10, 0), (1, 0, 0, 7, 9)]


def test_options_of_a_task_come_by_harm_per_team_day():
    problem = season([8], [[4, 2]], (10, 10))
    found = options_of(problem)
    assert found.team.tolist() == [1, 0]
    np.testing.assert_allclose(found.rate, [4, 2])
    assert found.due_day.tolist() == [day(9).item()] * 2


def test_no_tasks_no_options():
    assert len(options_of(season([], np.zeros((0, 1))))) == 0
