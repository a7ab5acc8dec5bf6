import numpy as np
import pytest

from hazardrank.errors import PriorityError
from hazardrank.priority.plan_options import options_of
from hazardrank.priority.plan_sequence import schedule_of
from tests.priority.plan_cases import check_rules, names, season


def plan_of(problem, tasks):
    """The plan that the best option of each of some tasks leads to."""
    options = options_of(problem)
    chosen = np.array([np.flatnonzero(options.task == task)[0] for task in tasks])
    plan = schedule_of(problem, options, chosen).plan("test")
    check_rules(plan)
    return plan


def test_what_ends_first_is_done_first():
    # Any other order misses a deadline.
    problem = season([5, 5, 5], [3, 3, 4], deadline={0: 9, 1: 5, 2: 2 + 4}, late_share=0.0)
    plan = plan_of(season([5, 5], [3, 3], deadline={0: 5, 1: 2}, late_share=0.0), [0, 1])
    assert plan.table()["task_id"].tolist() == ["T1", "T0"]
    assert plan_of(problem, [0, 1]).averted == 10


def test_what_others_wait_for_is_early_enough_for_them():
    # Task 0 has no deadline, but has to leave 1 the last three days before its own; task 2
    # would be due in between.
    problem = season(
        [1, 9, 9], [2, 3, 4], (9,), before=[(0, 1)], deadline={1: 4, 2: 8}, late_share=0.0
    )
    assert plan_of(problem, [0, 1, 2]).averted == 19


def test_no_time_is_lost_waiting_for_the_thaw():
    # Closed in January; the open one of 31 days comes first although it may end later.
    problem = season([9, 9], [28, 31], (59,), closed={0: [1]})
    plan = plan_of(problem, [0, 1])
    assert plan.averted == 18
    assert plan.table()["task_id"].tolist() == ["T1", "T0"]


def test_what_the_season_is_too_short_for_is_left_out():
    # Each fits into its team's season, but not one after the other.
    problem = season([1, 1, 1], [6, 6, 6], (10, 10), before=[(0, 1), (1, 2)])
    assert names(plan_of(problem, [0, 1, 2])) == ["T0"]


def test_time_that_is_left_is_used():
    assert names(plan_of(season([9, 2, 8], [6, 4, 5]), [0])) == ["T0", "T1"]


def test_locked_in_tasks_without_a_place_are_refused():
    # Each fits alone, and days suffice, but both can only be worked in the same month.
    problem = season([1, 1], [20, 20], (90,), closed={0: [1, 3], 1: [1, 3]}, locked_in=[0, 1])
    with pytest.raises(PriorityError, match="'T1' is locked in, but finds no place"):
        plan_of(problem, [0, 1])
