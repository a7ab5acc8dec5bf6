"""How much room chosen options leave in each part of the teams' seasons."""

from __future__ import annotations

import numpy as np

from hazardrank.priority.plan_calendar import ROUNDING_DAYS
from hazardrank.priority.plan_options import Options
from hazardrank.priority.plan_problem import FloatArray, IndexArray, SeasonProblem


class Room:
    """Team-days left, for every part of a team's season that options open or end with.

    What lies within a part must fit into it. So an option takes room in every part that
    holds its own.

    Parameters
    ----------
    problem : SeasonProblem
        The teams.
    options : Options
        The options that may be chosen.
    """

    def __init__(self, problem: SeasonProblem, options: Options) -> None:
        n_teams = len(problem.teams)
        self.left = [team.capacity for team in problem.teams]
        self._parts: list[FloatArray] = []
        self._opens = np.zeros(len(options), np.int64)
        self._due = np.zeros(len(options), np.int64)
        for team in range(n_teams):
            ours = options.team == team
            opens, self._opens[ours] = np.unique(options.opens[ours], return_inverse=True)
            dues, self._due[ours] = np.unique(options.due[ours], return_inverse=True)
            self._parts.append(dues[np.newaxis, :] - opens[:, np.newaxis])
        self._team = options.team.tolist()
        self._days = options.days.tolist()
        self._simple = [part.shape == (1, 1) for part in self._parts]

    def fits(self, option: int) -> bool:
        """Whether there is room for an option."""
        team, days = self._team[option], self._days[option] - ROUNDING_DAYS
        if days > self.left[team]:
            return False
        return self._simple[team] or bool((self._around(option) >= days).all())

    def take(self, option: int) -> None:
        """Take the room of an option."""
        self._change(option, -self._days[option])

    def give_back(self, option: int) -> None:
        """Give back the room of an option taken before."""
        self._change(option, self._days[option])

    def _change(self, option: int, days: float) -> None:
        self.left[self._team[option]] += days
        around = self._around(option)
        around += days

    def _around(self, option: int) -> FloatArray:
        """Return the parts of the season that hold that of an option."""
        part = self._parts[self._team[option]]
        around: FloatArray = part[: self._opens[option] + 1, self._due[option] :]
        return around


def parts_of(options: Options, team: int) -> tuple[IndexArray, FloatArray, FloatArray]:
    """Return a team's options, and when parts of its season open and end among them."""
    ours = np.flatnonzero(options.team == team)
    return ours, np.unique(options.opens[ours]), np.unique(options.due[ours])
