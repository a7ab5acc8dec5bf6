"""What the same teams would do without a plan: in rank order, and the nearest task first.

Both are simulated under the rules that plans keep: calendar, closed months, road access and
locked tasks; but not with districts' shares. Tasks are gone through in order, each with those
that must come before it, and each goes to the team that averts most with it, of equals the
one that finishes it first. What does not fit any more is left out, and the next is tried.
"""

from __future__ import annotations

import numpy as np

from hazardrank.priority.plan_problem import IndexArray, SeasonProblem
from hazardrank.priority.plan_schedule import Plan, Schedule
from hazardrank.priority.plan_sequence import put_anywhere


def in_order(problem: SeasonProblem, order: IndexArray, how: str) -> Plan:
    """Return the plan of going through tasks in order.

    Parameters
    ----------
    problem : SeasonProblem
        Tasks and teams.
    order : ndarray of int64
        Numbers of the tasks.
    how : str
        What the order is called.
    """
    schedule = Schedule(problem)
    for task in [*np.flatnonzero(problem.locked_in).tolist(), *order.tolist()]:
        # What was reached last lies farthest back on the way.
        for one in [*reversed(problem.all_before(task)), task]:
            if one not in schedule.placed and not problem.locked_out[one]:
                put_anywhere(schedule, one)
    return schedule.plan(how)


def rank_order(problem: SeasonProblem, rank: IndexArray) -> Plan:
    """Return the plan of following the ranks, 1 first; tasks below 1 have none and come last."""
    order = np.lexsort((np.arange(len(rank)), np.where(rank > 0, rank, np.iinfo(np.int64).max)))
    return in_order(problem, order.astype(np.int64), "rank order")


def nearest_first(problem: SeasonProblem) -> Plan | None:
    """Return the plan of taking the nearest tasks first; None if no distance is known."""
    if problem.distance_m is None or np.isnan(problem.distance_m).all():
        return None
    usable = np.isfinite(problem.team_days) & ~np.isnan(problem.distance_m)
    nearest_m = np.where(usable, problem.distance_m, np.inf).min(axis=1, initial=np.inf)
    return in_order(problem, np.argsort(nearest_m, kind="stable"), "nearest first")
