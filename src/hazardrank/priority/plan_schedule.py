"""A schedule being made: who works on what, from when to when; and the plan it becomes.

Every plan is made here, whoever chose its tasks, so that all keep to the same rules: no team
does two things at a time or more than its season gives, nothing is worked in closed months,
and nothing starts before what comes before it is finished.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hazardrank.priority.plan_calendar import ROUNDING_DAYS
from hazardrank.priority.plan_problem import FloatArray, IndexArray, SeasonProblem

Stretch = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Plan:
    """A season's plan. One entry a planned task, by team and start.

    Parameters
    ----------
    problem : SeasonProblem
        What was to be planned.
    task, team : ndarray of int64, shape (n_planned,)
        Numbers of the tasks and of the teams that do them.
    start, end : ndarray of float64, shape (n_planned,)
        In the team's team-days since the season's first.
    first_day, last_day : ndarray of datetime64[D], shape (n_planned,)
        Dates of the first and last day of work.
    harm : ndarray of float64, shape (n_planned,)
        Expected harm averted by each.
    how : str
        What chose the tasks: ``exact``, ``greedy``, ``rank order``, ``nearest first``.
    bound : float
        No plan at all can avert more than this.
    note : str
        What the reader has to know, such as that time ran out; empty for nothing.
    """

    problem: SeasonProblem
    task: IndexArray
    team: IndexArray
    start: FloatArray
    end: FloatArray
    first_day: NDArray[np.datetime64]
    last_day: NDArray[np.datetime64]
    harm: FloatArray
    how: str
    bound: float = np.inf
    note: str = ""

    def __len__(self) -> int:
        return len(self.task)

    @property
    def averted(self) -> float:
        """Expected harm averted in all."""
        return float(self.harm.sum())

    @property
    def gap(self) -> float:
        """Share of the bound by which a better plan could beat this one, at most; 0–1."""
        if self.bound <= 0:
            return 0.0
        return max(0.0, 1.0 - self.averted / self.bound) if np.isfinite(self.bound) else 1.0

    @property
    def team_days(self) -> FloatArray:
        """Team-days of each planned task."""
        return self.end - self.start

    def bounded(self, bound: float, note: str | None = None) -> Plan:
        """Return the plan with a bound, and another note."""
        return replace(self, bound=bound, note=self.note if note is None else note)

    def table(self) -> pd.DataFrame:
        """Return the planned tasks, by team and start.

        Returns
        -------
        DataFrame
            ``task_id``, ``team``, ``method``, ``place`` (1 for the team's first task),
            ``start``, ``end`` (dates), ``team_days``, ``harm_averted``, ``deadline``,
            ``late``, ``district``, ``area_m2``.
        """
        problem, teams = self.problem, self.problem.teams
        place = np.arange(len(self)) - np.searchsorted(self.team, self.team, "left") + 1
        deadline = problem.deadline[self.task]
        return pd.DataFrame(
            {
                "task_id": problem.ids[self.task],
                "team": [teams[number].name for number in self.team],
                "method": [teams[number].method for number in self.team],
                "place": place,
                "start": self.first_day.astype("datetime64[s]"),
                "end": self.last_day.astype("datetime64[s]"),
                "team_days": self.team_days,
                "harm_averted": self.harm,
                "deadline": deadline.astype("datetime64[s]"),
                "late": self.last_day > deadline,
                "district": problem.district[self.task],
                "area_m2": problem.area_m2[self.task],
            }
        )

    def use(self) -> pd.DataFrame:
        """Return, for each team, its tasks, the team-days it works and those it has."""
        problem = self.problem
        worked = np.bincount(self.team, self.team_days, minlength=len(problem.teams))
        return pd.DataFrame(
            {
                "team": [team.name for team in problem.teams],
                "method": [team.method for team in problem.teams],
                "tasks": np.bincount(self.team, minlength=len(problem.teams)),
                "team_days": worked,
                "capacity": [team.capacity for team in problem.teams],
            }
        )


@dataclass
class Schedule:
    """Tasks placed so far.

    Parameters
    ----------
    problem : SeasonProblem
        What is to be planned.
    """

    problem: SeasonProblem
    placed: dict[int, tuple[int, float, float]] = field(default_factory=dict)
    """Task → team, start, end."""

    def __post_init__(self) -> None:
        self._free: list[list[Stretch]] = [
            [(0.0, team.capacity)] if len(team.days) else [] for team in self.problem.teams
        ]
        self._stretches: dict[tuple[int, bytes], list[Stretch]] = {}

    def stretches(self, task: int, team: int) -> list[Stretch]:
        """Return the parts of a team's season in which a task is open."""
        closed = self.problem.closed_months[task]
        key = (team, closed.tobytes())
        if key not in self._stretches:
            self._stretches[key] = self.problem.teams[team].stretches(closed)
        return self._stretches[key]

    def longest_free(self, team: int) -> float:
        """Return the longest time a team still has in one piece."""
        return max((end - start for start, end in self._free[team]), default=0.0)

    def ready(self, task: int, team: int) -> float | None:
        """Return when a team could begin a task at the earliest; None if it may not yet."""
        ready = 0.0
        for other in self.problem.previous.get(task, ()):
            if other not in self.placed:
                return None
            its_team, _, end = self.placed[other]
            if its_team != team:
                end = self.problem.teams[team].until(self.problem.teams[its_team].day_of_end(end))
            ready = max(ready, end)
        return ready

    def earliest(self, task: int, team: int, not_before: float = 0.0) -> float | None:
        """Return the earliest start of a task with a team; None if it cannot be placed."""
        days = float(self.problem.team_days[task, team])
        if days > self.longest_free(team) + ROUNDING_DAYS:
            return None
        ready = self.ready(task, team)
        if ready is None:
            return None
        ready = max(ready, not_before)
        for open_from, open_to in self.stretches(task, team):
            for free_from, free_to in self._free[team]:
                start = max(ready, open_from, free_from)
                if start + days <= min(open_to, free_to) + ROUNDING_DAYS:
                    return start
        return None

    def place(self, task: int, team: int, start: float) -> None:
        """Give a task to a team from a start that :meth:`earliest` found."""
        end = start + float(self.problem.team_days[task, team])
        self.placed[task] = (team, start, end)
        left: list[Stretch] = []
        for free_from, free_to in self._free[team]:
            if free_from <= start <= free_to and end <= free_to + ROUNDING_DAYS:
                left += [(free_from, start), (end, free_to)]
            else:
                left.append((free_from, free_to))
        self._free[team] = [part for part in left if part[1] - part[0] > ROUNDING_DAYS]

    def averted(self, task: int, team: int, start: float) -> float:
        """Return the harm averted if a team begins a task at a start."""
        end = start + float(self.problem.team_days[task, team])
        return self.problem.harm_averted(task, self.problem.teams[team].day_of_end(end))

    def plan(self, how: str, bound: float = np.inf, note: str = "") -> Plan:
        """Return the plan."""
        problem = self.problem
        rows = sorted((team, start, end, task) for task, (team, start, end) in self.placed.items())
        team = np.array([row[0] for row in rows], np.int64)
        start = np.array([row[1] for row in rows], np.float64)
        end = np.array([row[2] for row in rows], np.float64)
        task = np.array([row[3] for row in rows], np.int64)
        first, last = np.empty((2, len(rows)), "datetime64[D]")
        for k, (number, begun, ended, _) in enumerate(rows):
            first[k] = problem.teams[number].day_of_start(begun)
            last[k] = problem.teams[number].day_of_end(ended)
        harm = np.array(
            [problem.harm_averted(t, day) for t, day in zip(task.tolist(), last, strict=True)],
            np.float64,
        )
        return Plan(problem, task, team, start, end, first, last, harm, how, bound, note)
