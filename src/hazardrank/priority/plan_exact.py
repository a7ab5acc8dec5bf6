"""Exact planning: the choice of options that averts most, by mixed-integer optimisation.

At most one option a task; what must lie within a part of a team's season fits into it; a
task is chosen only with those before it, finished as early; districts have their shares as
far as the greedy plan could meet them. These rules are necessary for a plan, so no plan
averts more than the best choice. They are sufficient, too, where no months are closed and
nothing waits for another team; otherwise scheduling may lose a little, and the gap says how
much.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csc_array

from hazardrank.priority.plan_options import Options
from hazardrank.priority.plan_problem import FloatArray, IndexArray, SeasonProblem
from hazardrank.priority.plan_room import parts_of
from hazardrank.priority.plan_solver import Choices

#: Options, what each takes, and the least and most of all of them together.
_Row = tuple[IndexArray, FloatArray, float, float]


def choices_of(problem: SeasonProblem, options: Options, met: dict[str, float]) -> Choices:
    """Return what is to be decided.

    Parameters
    ----------
    problem : SeasonProblem
        Tasks and teams.
    options : Options
        The options there are to choose from, by task.
    met : dict of str to float
        District → team-days (``share_of`` team_days) or share of the planned area that is
        to be met.
    """
    rows = [
        *_once_each(problem, options),
        *_rooms(problem, options),
        *_waits(problem, options),
        *_shares(problem, options, met),
    ]
    lengths = [len(row[0]) for row in rows]
    columns: IndexArray = np.concatenate([np.zeros(0, np.int64), *(row[0] for row in rows)])
    takes: FloatArray = np.concatenate([np.zeros(0), *(row[1] for row in rows)])
    matrix = csc_array(
        (takes, (np.repeat(np.arange(len(rows)), lengths), columns)),
        shape=(len(rows), len(options)),
    )
    least, most = (np.array([row[part] for row in rows], np.float64) for part in (2, 3))
    return Choices(options.harm, matrix, least, most)


def without_idle(problem: SeasonProblem, options: Options, chosen: IndexArray) -> IndexArray:
    """Return chosen options without those that avert nothing and open the way to nothing."""
    of_task = dict(zip(options.task[chosen].tolist(), chosen.tolist(), strict=True))
    place = problem.depth
    for task in sorted(of_task, key=lambda one: place.get(one, 0), reverse=True):
        useful = options.harm[of_task[task]] > 0 or problem.locked_in[task]
        if not useful and not any(one in of_task for one in problem.following.get(task, ())):
            del of_task[task]
    return np.array(sorted(of_task.values()), np.int64)


def _once_each(problem: SeasonProblem, options: Options) -> Iterator[_Row]:
    locked_in = set(np.flatnonzero(problem.locked_in).tolist())
    for task, ours in _by_task(options).items():
        yield ours, np.ones(len(ours)), 1.0 if task in locked_in else 0.0, 1.0
    for _ in locked_in - set(options.task.tolist()):
        yield np.zeros(0, np.int64), np.zeros(0), 1.0, 1.0


def _rooms(problem: SeasonProblem, options: Options) -> Iterator[_Row]:
    for team in range(len(problem.teams)):
        ours, opens, dues = parts_of(options, team)
        for begin in opens:
            for end in dues[dues > begin]:
                inside = ours[(options.opens[ours] >= begin) & (options.due[ours] <= end)]
                if options.days[inside].sum() > end - begin:
                    yield inside, options.days[inside], -np.inf, float(end - begin)


def _waits(problem: SeasonProblem, options: Options) -> Iterator[_Row]:
    of = _by_task(options)
    none = np.zeros(0, np.int64)
    for first, then in problem.before.tolist():
        before, behind = of.get(first, none), of.get(then, none)
        for day in np.unique(options.due_day[behind]):
            soon = before[options.due_day[before] <= day]
            waiting = behind[options.due_day[behind] <= day]
            takes = np.concatenate([np.ones(len(waiting)), -np.ones(len(soon))])
            yield np.concatenate([waiting, soon]), takes, -np.inf, 0.0


def _shares(problem: SeasonProblem, options: Options, met: dict[str, float]) -> Iterator[_Row]:
    everything = np.arange(len(options))
    for name, wanted in met.items():
        theirs = problem.district[options.task] == name
        if problem.share_of == "team_days":
            ours = np.flatnonzero(theirs)
            yield ours, options.days[ours], wanted, np.inf
        else:
            yield everything, problem.area_m2[options.task] * (theirs - wanted), 0.0, np.inf


def _by_task(options: Options) -> dict[int, IndexArray]:
    tasks, first = np.unique(options.task, return_index=True)
    parts = np.split(np.arange(len(options)), first[1:])
    return dict(zip(tasks.tolist(), parts, strict=True)) if len(tasks) else {}
