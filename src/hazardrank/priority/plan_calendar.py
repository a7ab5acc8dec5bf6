"""A team's season: its working days, and how many team-days each of them gives.

Time in plans is counted in team-days from the team's first working day on, so that a task of
n team-days always takes n, whatever the number of teams that share it, the share of days that
weather takes, and the season's effect on the method. The calendar turns it into dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hazardrank.priority.effort import season_factor
from hazardrank.settings import ClearanceMethodSettings, TeamSettings

Days = NDArray[np.datetime64]
FloatArray = NDArray[np.float64]

#: Parts of a day below this are rounding.
ROUNDING_DAYS = 1e-7


@dataclass(frozen=True, eq=False)
class Team:
    """Teams that work together on one task after the other.

    Parameters
    ----------
    name : str
        Name of the entry in the settings.
    method : str
        Clearance method.
    days : ndarray of datetime64[D], shape (n_days,)
        Working days, ascending.
    gives : ndarray of float64, shape (n_days,)
        Team-days done on each of them, above 0.
    """

    name: str
    method: str
    days: Days
    gives: FloatArray

    @cached_property
    def done(self) -> FloatArray:
        """Team-days done before each working day, and in all, shape (n_days + 1,)."""
        return np.concatenate([[0.0], np.cumsum(self.gives)])

    @property
    def capacity(self) -> float:
        """Team-days of the season."""
        return float(self.done[-1])

    def day_of_start(self, start: float) -> np.datetime64:
        """Return the date of work that starts after so many team-days."""
        day = int(np.searchsorted(self.done, start + ROUNDING_DAYS, "right")) - 1
        found: np.datetime64 = self.days[min(day, len(self.days) - 1)]
        return found

    def day_of_end(self, end: float) -> np.datetime64:
        """Return the date on which work ends that takes until so many team-days."""
        day = int(np.searchsorted(self.done, end - ROUNDING_DAYS, "left")) - 1
        found: np.datetime64 = self.days[max(day, 0)]
        return found

    def until(self, day: np.datetime64) -> float:
        """Return the team-days done by the evening of a date."""
        return float(self.done[np.searchsorted(self.days, day, "right")])

    def stretches(self, closed_months: NDArray[np.bool_]) -> list[tuple[float, float]]:
        """Return the parts of the season outside some months, from and to in team-days.

        Parameters
        ----------
        closed_months : ndarray of bool, shape (12,)
            Months in which nothing is done, January first.
        """
        months = self.days.astype("datetime64[M]").astype(np.int64) % 12
        is_open = np.concatenate([[False], ~closed_months[months], [False]])
        edges = np.flatnonzero(np.diff(is_open.astype(np.int8)))
        pairs = edges.reshape(-1, 2)
        return [(float(self.done[first]), float(self.done[last])) for first, last in pairs]


def team_of(name: str, settings: TeamSettings, method: ClearanceMethodSettings) -> Team:
    """Return a team's season.

    Parameters
    ----------
    name : str
        Name of the entry.
    settings : TeamSettings
        Dates, working days, number of teams.
    method : ClearanceMethodSettings
        The method; its closed months give no working days, and months in which work takes
        longer give fewer team-days.
    """
    days = np.arange(
        np.datetime64(settings.start), np.datetime64(settings.end) + np.timedelta64(1, "D")
    )
    # The first day of 1970 was a Thursday, three days after Monday.
    weekday = (days.astype(np.int64) + 3) % 7
    month = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
    factor = np.array([season_factor(method, number) for number in range(1, 13)])[month - 1]
    works = (weekday < settings.days_per_week) & np.isfinite(factor)
    works &= ~np.isin(month, settings.closed_months)
    for first, last in settings.closed:
        works &= (days < np.datetime64(first)) | (days > np.datetime64(last))
    gives = settings.teams * settings.productive_share / factor[works]
    return Team(name, settings.method, days[works], gives)


def closed_months_of(months: Sequence[int]) -> NDArray[np.bool_]:
    """Return which months, January first, are among those numbered 1–12; shape (12,)."""
    return np.isin(np.arange(1, 13), months)
