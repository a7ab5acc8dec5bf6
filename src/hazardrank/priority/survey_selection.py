"""Which units are surveyed: some for their value, some drawn at random with known chances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hazardrank.settings import SurveyPlanSettings
from hazardrank.validation.random_share import allocate, draw

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Selection:
    """Which units are selected and with what chance; arrays of shape (n_units,).

    Parameters
    ----------
    by : ndarray of object
        ``value``, ``random`` or ``none``.
    stratum : ndarray of object
        Name of the stratum; ``""`` for units chosen for their value.
    probability : ndarray of float64
        Selection probability.
    """

    by: NDArray[np.object_]
    stratum: NDArray[np.object_]
    probability: FloatArray

    @classmethod
    def of(
        cls, table: pd.DataFrame, prior: float, settings: SurveyPlanSettings, seed: int
    ) -> Selection:
        """Select units of a table that is in order of value."""
        n_units = len(table)
        n_value, n_random = _numbers(table["team_days"].to_numpy(), settings)
        by = np.full(n_units, "none", dtype=object)
        by[:n_value] = "value"
        probability = np.where(np.arange(n_units) < n_value, 1.0, 0.0)
        names = np.full(n_units, "", dtype=object)
        if n_random == 0:
            return cls(by, names, probability)
        rest = table.iloc[n_value:]
        expected = rest["likelihood_mean"].fillna(prior).to_numpy()
        new = rest["unsurveyed_share"].to_numpy() >= settings.unsurveyed_from
        stratum, names[n_value:] = _strata(expected, new, settings.likelihood_strata, n_random)
        sizes = np.bincount(stratum)
        drawn_of = allocate(sizes, np.bincount(stratum, expected) / sizes, n_random)
        rng = np.random.default_rng([seed, 61_803])
        by[n_value:][draw(stratum, drawn_of, rng)] = "random"
        probability[n_value:] = (drawn_of / sizes)[stratum]
        return cls(by, names, probability)


def _numbers(team_days: FloatArray, settings: SurveyPlanSettings) -> tuple[int, int]:
    """Return how many units are chosen for value, and how many drawn at random.

    In team-days, the first units in order of value until the next does not fit; the number
    drawn is what the days left pay for at the mean of all others. It is fixed before the draw,
    since to stop when the days are spent would make chances depend on the units.
    """
    n_units, share = len(team_days), settings.random_share
    if settings.budget_units is not None:
        budget = min(settings.budget_units, n_units)
        n_random = _at_least_one(share * budget, share, budget)
        return budget - n_random, n_random
    days = float(settings.budget_team_days or 0.0)
    spent = np.cumsum(team_days)
    n_value = int(np.searchsorted(spent, (1 - share) * days * (1 + 1e-12), side="right"))
    rest = team_days[n_value:]
    if len(rest) == 0:
        return n_units, 0
    left = days - float(spent[n_value - 1] if n_value else 0.0)
    paid = np.floor(left / float(rest.mean()) * (1 + 1e-12))
    return n_value, _at_least_one(float(paid), share, len(rest))


def _at_least_one(wanted: float, share: float, most: int) -> int:
    """Return a whole number of units: 1 at least where any share is reserved."""
    return min(max(round(wanted), 1), most) if share > 0 else 0


def _strata(
    expected: FloatArray, new: NDArray[np.bool_], n_levels: int, n_random: int
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Return the stratum of each unit, 0 … n - 1, and what it is called.

    Land never surveyed and other land, each in levels of likelihood of equal numbers of units.
    There are no more strata than units drawn, so that no unit's chance is 0.
    """
    kinds = [kind for kind in (True, False) if (new == kind).any()]
    if len(kinds) > n_random:
        return np.zeros(len(new), np.int64), np.full(len(new), "all others", dtype=object)
    levels = max(1, min(n_levels, n_random // (2 * len(kinds))))
    stratum = np.zeros(len(new), np.int64)
    names = np.full(len(new), "", dtype=object)
    for kind in kinds:
        here = np.flatnonzero(new == kind)
        place = np.argsort(np.argsort(expected[here], kind="stable"), kind="stable")
        n_here = min(levels, len(here))
        level = place * n_here // len(here)
        stratum[here] = level + int(stratum.max(initial=-1) + 1 if kind != kinds[0] else 0)
        words = "never surveyed" if kind else "surveyed"
        names[here] = [f"{words}, likelihood level {k + 1} of {n_here}" for k in level]
    return stratum, names
