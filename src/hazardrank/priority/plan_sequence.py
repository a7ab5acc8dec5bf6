"""From chosen options to a schedule, and the use of what time is left."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.priority.plan_options import Options
from hazardrank.priority.plan_problem import FloatArray, IndexArray, SeasonProblem
from hazardrank.priority.plan_schedule import Schedule

#: How often the tasks left are gone through again, as long as some found a place.
_MOST_ROUNDS = 4


def schedule_of(problem: SeasonProblem, options: Options, chosen: IndexArray) -> Schedule:
    """Place chosen options, then whatever else fits.

    Several orders are tried, of which the one that averts most is kept: by the date on which
    options end (Jackson 1955; best where all open with the season); without waiting, each
    time the open one that ends first (Schrage 1971); and by harm per team-day. What others
    wait for always comes first among equals. A task whose team has no place for it goes to
    another, or is left out.

    Parameters
    ----------
    problem : SeasonProblem
        Tasks and teams.
    options : Options
        All options.
    chosen : ndarray of int64
        Those chosen, one a task at most.

    Raises
    ------
    PriorityError
        If a task that is locked in finds no place.
    """
    best: Schedule | None = None
    for order in _orders(problem, options, chosen):
        schedule = Schedule(problem)
        _place(schedule, options, order)
        use_what_is_left(schedule)
        if best is None or _goodness(schedule) > _goodness(best):
            best = schedule
    if best is None or _goodness(best)[0] < int(problem.locked_in.sum()):
        raise _no_place_for_locked_in(problem, best or Schedule(problem))
    return best


def _goodness(schedule: Schedule) -> tuple[int, float]:
    """Return how many locked-in tasks have a place, and the harm averted."""
    n_locked = sum(bool(schedule.problem.locked_in[task]) for task in schedule.placed)
    averted = (schedule.averted(t, team, start) for t, (team, start, _) in schedule.placed.items())
    return n_locked, sum(averted)


def _orders(problem: SeasonProblem, options: Options, chosen: IndexArray) -> Iterator[IndexArray]:
    """Yield orders in which to place options."""
    task = options.task[chosen]
    depth = np.array([problem.depth.get(one, 0) for one in task.tolist()], np.int64)
    locked = np.array(_with_all_before(problem, task[problem.locked_in[task]].tolist()), np.int64)
    # Ties by task number, which does not depend on the run.
    keys = (task, -options.rate[chosen], depth)
    soonest, latest = _windows(problem, options, chosen)
    yield chosen[np.lexsort((*keys, latest))]
    if (soonest > soonest.min(initial=np.inf)).any():
        starts = _starts_without_waiting(options.take(chosen), soonest, latest)
        yield chosen[np.lexsort((*keys, starts))]
        yield chosen[np.lexsort(keys)]
    if len(locked):
        yield chosen[np.lexsort((*keys, latest, ~np.isin(task, locked)))]


def _windows(
    problem: SeasonProblem, options: Options, chosen: IndexArray
) -> tuple[FloatArray, NDArray[np.datetime64]]:
    """Return the soonest start, in team-days, and the latest date on which each may end.

    What waits for others starts after their soonest ends; what others wait for ends before
    their latest starts.
    """
    place = {task: k for k, task in enumerate(options.task[chosen].tolist())}
    soonest, latest = options.opens[chosen].copy(), options.due_day[chosen].copy()
    days, teams = options.days[chosen], [problem.teams[team] for team in options.team[chosen]]
    in_order = sorted(place.keys() & problem.depth.keys(), key=problem.depth.__getitem__)
    for task in in_order:
        k = place[task]
        for other in (place[first] for first in problem.previous.get(task, ()) if first in place):
            ends = min(soonest[other] + days[other], teams[other].capacity)
            soonest[k] = max(soonest[k], teams[k].until(teams[other].day_of_end(ends)))
    for task in reversed(in_order):
        k = place[task]
        starts = teams[k].day_of_start(max(teams[k].until(latest[k]) - days[k], 0.0))
        for other in (place[first] for first in problem.previous.get(task, ()) if first in place):
            own = np.timedelta64(int(teams[other] is not teams[k]), "D")
            latest[other] = min(latest[other], starts - own)
    return soonest, latest


def _starts_without_waiting(
    options: Options, soonest: FloatArray, latest: NDArray[np.datetime64]
) -> FloatArray:
    """Return when teams would start that always take the open option that must end first."""
    starts = np.empty(len(options))
    for team in np.unique(options.team):
        ours = np.flatnonzero(options.team == team)
        coming = ours[np.argsort(-soonest[ours], kind="stable")].tolist()
        ready: list[tuple[np.datetime64, int]] = []
        now = 0.0
        while coming or ready:
            if not ready:
                now = max(now, float(soonest[coming[-1]]))
            while coming and soonest[coming[-1]] <= now:
                option = coming.pop()
                heapq.heappush(ready, (latest[option], option))
            _, option = heapq.heappop(ready)
            starts[option] = now
            now += float(options.days[option])
    return starts


def _place(schedule: Schedule, options: Options, order: IndexArray) -> None:
    for option in order.tolist():
        task, team = int(options.task[option]), int(options.team[option])
        start = schedule.earliest(task, team)
        if start is None:
            put_anywhere(schedule, task)
        else:
            schedule.place(task, team, start)


def put_anywhere(schedule: Schedule, task: int) -> bool:
    """Give a task to the team that averts most harm with it, of equals the one done first."""
    best: tuple[float, np.datetime64, int, float] | None = None
    for team, ours in enumerate(schedule.problem.teams):
        start = schedule.earliest(task, team)
        if start is None:
            continue
        last = ours.day_of_end(start + float(schedule.problem.team_days[task, team]))
        found = (-schedule.averted(task, team, start), last, team, start)
        if best is None or found < best:
            best = found
    if best is not None:
        schedule.place(task, best[2], best[3])
    return best is not None


def use_what_is_left(schedule: Schedule) -> None:
    """Place tasks that were not chosen, by harm per team-day, wherever there is room."""
    problem = schedule.problem
    if not len(problem) or not problem.teams:
        return
    rate = problem.harm / problem.team_days.min(axis=1)
    waiting = np.flatnonzero((rate > 0) & ~problem.locked_out)
    waiting = waiting[np.argsort(-rate[waiting], kind="stable")]
    for _ in range(_MOST_ROUNDS):
        room = np.array([schedule.longest_free(team) for team in range(len(problem.teams))])
        small = (problem.team_days[waiting] <= room).any(axis=1)
        n_before = len(schedule.placed)
        for task in waiting[small].tolist():
            if task not in schedule.placed and _keeps_shares(schedule, task):
                put_anywhere(schedule, task)
        if len(schedule.placed) == n_before:
            break


def _keeps_shares(schedule: Schedule, task: int) -> bool:
    """Whether districts keep their share of the planned area if a task is added."""
    problem = schedule.problem
    if problem.share_of == "team_days" or not problem.district_shares:
        return True
    tasks = [*schedule.placed, task]
    area_m2, district = problem.area_m2[tasks], problem.district[tasks]
    return all(
        name == problem.district[task]
        or area_m2[district == name].sum() >= share * area_m2.sum() - 1e-6
        for name, share in problem.district_shares.items()
    )


def _with_all_before(problem: SeasonProblem, tasks: list[int]) -> list[int]:
    return sorted({*tasks, *(other for task in tasks for other in problem.all_before(task))})


def _no_place_for_locked_in(problem: SeasonProblem, schedule: Schedule) -> PriorityError:
    missing = [task for task in np.flatnonzero(problem.locked_in) if task not in schedule.placed]
    return PriorityError(
        f"task '{problem.ids[missing[0]]}' is locked in, but finds no place in the season beside "
        "the others locked in and what must come before it",
        where="plan.locked_in",
        remedy="Lock in fewer tasks, or give more teams or a longer season.",
    )
