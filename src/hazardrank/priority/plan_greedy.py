"""Greedy planning: what averts most harm per team-day first.

Options are taken in the order of harm averted per team-day, as long as they fit. An option of
a task that waits for others brings those along that are not chosen yet, and is ranked by
what all of them avert per team-day together. On knapsacks of many small items this comes
within a task's harm of the best there is (Dantzig 1957); the bound says how near. Where roads
make tasks wait it does worse, unless it follows the linear relaxation: what that takes as a
whole, or most of, is favoured.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np

from hazardrank.errors import PriorityError
from hazardrank.priority.plan_options import Options
from hazardrank.priority.plan_problem import IndexArray, SeasonProblem
from hazardrank.priority.plan_room import Room

#: How often the area that shares are of is guessed anew.
_MOST_ROUNDS = 6


class Choice:
    """Options chosen so far, one a task at most, that fit together.

    Parameters
    ----------
    problem : SeasonProblem
        Tasks and teams.
    options : Options
        What there is to choose from, ordered by task and then by harm per team-day.
    """

    def __init__(self, problem: SeasonProblem, options: Options) -> None:
        self.problem = problem
        self.options = options
        self.of_task: dict[int, int] = {}
        self.size = dict.fromkeys(problem.district_shares, 0.0)
        """Team-days or m² chosen, of the districts that have a share."""
        self._room = Room(problem, options)
        self._first = np.searchsorted(options.task, np.arange(len(problem) + 1)).tolist()
        self._task = options.task.tolist()
        self._days = options.days.tolist()
        self._harm = options.harm.tolist()

    def of(self, task: int) -> range:
        """Return the options of a task, the best harm per team-day first."""
        return range(self._first[task], self._first[task + 1])

    def rate(self, option: int) -> float:
        """Return the harm averted per team-day by an option and all it would bring along."""
        harm, days = float(self._harm[option]), float(self._days[option])
        task = self._task[option]
        if task in self.problem.previous:
            for other in self.problem.all_before(task):
                if other in self.of_task:
                    continue
                ways = self.of(other)
                if not ways:
                    return -1.0
                harm, days = harm + self._harm[ways[0]], days + self._days[ways[0]]
        return harm / days

    def add(self, option: int) -> bool:
        """Choose an option and all it waits for, or nothing if that does not fit."""
        task = self._task[option]
        before = self.problem.all_before(task) if task in self.problem.previous else []
        due_day = self.options.due_day[option]
        changed: dict[int, int | None] = {}
        done = self._swap(task, option, changed) and all(
            self._in_time(other, due_day, changed) for other in before
        )
        if not done:
            for other in reversed(changed):
                self._drop(other)
            for other, old in changed.items():
                if old is not None:
                    self._keep(other, old)
        return done

    def _in_time(self, task: int, due_day: np.datetime64, changed: dict[int, int | None]) -> bool:
        """See to it that a task is chosen and done by a date."""
        due_days = self.options.due_day
        now = self.of_task.get(task)
        if now is not None and due_days[now] <= due_day:
            return True
        soon = [option for option in self.of(task) if due_days[option] <= due_day]
        return any(self._swap(task, option, changed) for option in soon)

    def _swap(self, task: int, option: int, changed: dict[int, int | None]) -> bool:
        """Choose an option instead of the task's present one, if it fits."""
        old = self.of_task.get(task)
        if old is not None:
            self._drop(task)
        if self._room.fits(option):
            self._keep(task, option)
            changed.setdefault(task, old)
            return True
        if old is not None:
            self._keep(task, old)
        return False

    def _keep(self, task: int, option: int) -> None:
        self._room.take(option)
        self.of_task[task] = option
        self._count(task, option, 1.0)

    def _drop(self, task: int) -> None:
        option = self.of_task.pop(task)
        self._room.give_back(option)
        self._count(task, option, -1.0)

    def _count(self, task: int, option: int, sign: float) -> None:
        district = self.problem.district[task]
        if district in self.size:
            by_days = self.problem.share_of == "team_days"
            size = self._days[option] if by_days else float(self.problem.area_m2[task])
            self.size[district] += sign * size

    def fill(self, tasks: Iterable[int], district: str = "", least: float = np.inf) -> None:
        """Choose among tasks by harm per team-day, until nothing fits.

        Or until a district that has a share has at least so many team-days or m².
        """
        heap = [
            (-self.rate(self._first[task]), self._first[task])
            for task in tasks
            if self.of(task) and task not in self.of_task
        ]
        heap = [entry for entry in heap if entry[0] < 0]  # nothing averted: only for others
        heapq.heapify(heap)
        while heap and self.size.get(district, 0.0) < least:
            key, option = heapq.heappop(heap)
            task = self._task[option]
            if task in self.of_task:
                continue
            if task in self.problem.previous and -self.rate(option) > key:
                heapq.heappush(heap, (-self.rate(option), option))
            elif self.add(option):
                self._look_again(task, heap)
            elif option + 1 in self.of(task):
                heapq.heappush(heap, (-self.rate(option + 1), option + 1))

    def _look_again(self, task: int, heap: list[tuple[float, int]]) -> None:
        """Rank anew what waits for tasks just chosen: it brings less along from now on."""
        if task not in self.problem.following and task not in self.problem.previous:
            return
        changed = [task, *self.problem.all_before(task)]
        for other in sorted({behind for one in changed for behind in self.problem.all_behind(one)}):
            if other not in self.of_task and self.of(other):
                heapq.heappush(heap, (-self.rate(self._first[other]), self._first[other]))


def greedy_choice(
    problem: SeasonProblem, options: Options, favoured: IndexArray | None = None
) -> IndexArray:
    """Choose options by harm averted per team-day.

    Tasks that are locked in come first, then options that are favoured, then what the
    districts lack of their shares, then all others.

    Parameters
    ----------
    problem : SeasonProblem
        Tasks and teams.
    options : Options
        All options.
    favoured : ndarray of int64, optional
        Options to be taken as far as they fit, in this order.

    Returns
    -------
    ndarray of int64
        Options chosen.

    Raises
    ------
    PriorityError
        If tasks that are locked in do not fit into the season.
    """
    if not problem.district_shares or problem.share_of == "team_days":
        choice = _chosen(problem, options, problem.capacity, favoured)
    else:
        # Shares are of the area planned in the end: guess it, plan, and guess again.
        choice = _chosen(problem, options, 0.0, favoured)
        for _ in range(_MOST_ROUNDS):
            area_m2 = float(problem.area_m2[list(choice.of_task)].sum())
            if all(
                choice.size[name] >= share * area_m2
                for name, share in problem.district_shares.items()
            ):
                break
            choice = _chosen(problem, options, area_m2, favoured)
    return np.array(sorted(choice.of_task.values()), np.int64)


def _chosen(
    problem: SeasonProblem, options: Options, whole: float, favoured: IndexArray | None
) -> Choice:
    """Choose options, with districts' shares of so many team-days or m²."""
    choice = Choice(problem, options)
    for task in np.flatnonzero(problem.locked_in).tolist():
        if task not in choice.of_task and not any(map(choice.add, choice.of(task))):
            raise _locked_in_too_much(problem, task, choice)
    for option in [] if favoured is None else favoured.tolist():
        if int(options.task[option]) not in choice.of_task:
            choice.add(option)
    for name, share in problem.district_shares.items():
        theirs = np.flatnonzero(problem.district == name).tolist()
        choice.fill(theirs, name, share * whole)
    choice.fill(range(len(problem)))
    return choice


def _locked_in_too_much(problem: SeasonProblem, task: int, choice: Choice) -> PriorityError:
    name = str(problem.ids[task])
    if not choice.of(task):
        problem_text = f"task '{name}' is locked in, but no team can do it within its season"
    else:
        problem_text = f"task '{name}' is locked in, but does not fit beside the others locked in"
    return PriorityError(
        problem_text,
        where="plan.locked_in",
        remedy="Lock in fewer tasks, or give more teams or a longer season.",
    )
