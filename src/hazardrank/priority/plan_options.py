"""The ways in which a task can be done: by which team, in what part of the season.

An option is a task, a team, and a part of the team's season in which the task is started and
finished. A task with a deadline has one option that ends there and averts all of its harm, and
one that ends with the season and averts ``late_share`` of it. Closed months cut the season
into several parts. A task that others wait for also has options that end where theirs do.

A choice of options is *feasible* if for every team and every part of its season, the tasks
that must lie within that part do not take longer than it. That is necessary for a schedule
to exist; without closed months, and with tasks that wait for each other in the same team, it
is sufficient too: work in the order in which the options end (Jackson 1955).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.priority.plan_calendar import ROUNDING_DAYS
from hazardrank.priority.plan_problem import BoolArray, FloatArray, IndexArray, SeasonProblem

_Dates = set[np.datetime64]


@dataclass(frozen=True, eq=False)
class Options:
    """Options of all tasks, by task; all arrays have the shape (n_options,).

    Parameters
    ----------
    task, team : ndarray of int64
        Who does what.
    days : ndarray of float64
        Team-days.
    opens, due : ndarray of float64
        Part of the team's season in which the task is done, in team-days.
    due_day : ndarray of datetime64[D]
        Last working day of that part.
    harm : ndarray of float64
        Harm averted.
    """

    task: IndexArray
    team: IndexArray
    days: FloatArray
    opens: FloatArray
    due: FloatArray
    due_day: NDArray[np.datetime64]
    harm: FloatArray

    def __len__(self) -> int:
        return len(self.task)

    def take(self, index: IndexArray | BoolArray) -> Options:
        """Return some of the options."""
        return Options(
            self.task[index],
            self.team[index],
            self.days[index],
            self.opens[index],
            self.due[index],
            self.due_day[index],
            self.harm[index],
        )

    @property
    def rate(self) -> FloatArray:
        """Harm averted per team-day."""
        rate: FloatArray = self.harm / self.days
        return rate


def options_of(problem: SeasonProblem) -> Options:
    """Return the options of all tasks that are not locked out.

    Options that avert nothing are left out, unless the task is locked in or others wait for
    it.
    """
    behind = _due_days_behind(problem)
    parts = [
        part
        for team in range(len(problem.teams))
        for tasks in _by_closed_months(problem)
        for part in _with_team(problem, team, tasks, behind)
    ]
    if not parts:
        nothing = np.zeros(0)
        none = np.zeros(0, np.int64)
        return Options(none, none, nothing, nothing, nothing, np.zeros(0, "datetime64[D]"), nothing)
    names = ("task", "team", "days", "opens", "due", "due_day", "harm")
    joined = Options(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    kept = joined.take(_worth_keeping(problem, joined))
    return kept.take(np.lexsort((-kept.due, -kept.rate, kept.task)))


def _worth_keeping(problem: SeasonProblem, options: Options) -> BoolArray:
    needed = problem.locked_in.copy()
    needed[list(problem.following)] = True
    keep: BoolArray = (options.harm > 0) | needed[options.task]
    return keep & ~problem.locked_out[options.task]


def _by_closed_months(problem: SeasonProblem) -> Iterator[IndexArray]:
    """Yield the tasks that are closed in the same months."""
    _, pattern = np.unique(problem.closed_months, axis=0, return_inverse=True)
    pattern = pattern.reshape(-1)
    for number in range(int(pattern.max(initial=-1)) + 1):
        yield np.flatnonzero(pattern == number)


def _with_team(
    problem: SeasonProblem, team: int, tasks: IndexArray, behind: dict[int, _Dates]
) -> Iterator[Options]:
    """Yield the options of tasks closed in the same months, with one team."""
    ours = problem.teams[team]
    for opens, closes in ours.stretches(problem.closed_months[tasks[0]]):
        able = tasks[problem.team_days[tasks, team] <= closes - opens + ROUNDING_DAYS]
        yield _until(problem, team, able, opens, np.full(len(able), closes))
        deadline = problem.deadline[able]
        for day in np.unique(deadline[~np.isnat(deadline)]):
            due = ours.until(day)
            if opens < due < closes:
                yield _until(problem, team, able[deadline == day], opens, due)
        until = {day: ours.until(day) for task in able.tolist() for day in behind.get(task, ())}
        earlier = [
            (task, due)
            for task in able.tolist()
            for due in sorted({until[day] for day in behind.get(task, ())})
            if opens < due < closes
        ]
        waited_for = np.array([task for task, _ in earlier], np.int64)
        yield _until(problem, team, waited_for, opens, np.array([due for _, due in earlier]))


def _due_days_behind(problem: SeasonProblem) -> dict[int, _Dates]:
    """Return the days by which tasks behind others may have to be finished."""
    ends: dict[int, _Dates] = {}
    for tasks in _by_closed_months(problem):
        closed = problem.closed_months[tasks[0]]
        parts = [(team, end) for team in problem.teams for _, end in team.stretches(closed)]
        days = {team.day_of_end(end) for team, end in parts}
        ends |= {task: days for task in tasks.tolist()}
    behind: dict[int, _Dates] = {}
    for task in sorted(problem.depth, key=problem.depth.__getitem__, reverse=True):
        behind[task] = set()
        for other in problem.following.get(task, ()):
            deadline = problem.deadline[other]
            own = ends[other] if np.isnat(deadline) else ends[other] | {deadline}
            behind[task] |= own | behind[other]
        behind[task].discard(problem.deadline[task])
    return behind


def _until(
    problem: SeasonProblem, team: int, tasks: IndexArray, opens: float, due: FloatArray | float
) -> Options:
    """Return the options of tasks to be done between two times, where they fit in."""
    ours = problem.teams[team]
    dues = np.broadcast_to(np.asarray(due, np.float64), tasks.shape)
    days = problem.team_days[tasks, team]
    fits = days <= dues - opens + ROUNDING_DAYS
    tasks, dues, days = tasks[fits], dues[fits], days[fits]
    due_day = np.array([ours.day_of_end(end) for end in np.unique(dues)], "datetime64[D]")
    due_day = due_day[np.searchsorted(np.unique(dues), dues)]
    late = due_day > problem.deadline[tasks]
    return Options(
        tasks.astype(np.int64),
        np.full(len(tasks), team, np.int64),
        days,
        np.full(len(tasks), opens),
        dues,
        due_day,
        problem.harm[tasks] * np.where(late, problem.late_share, 1.0),
    )
