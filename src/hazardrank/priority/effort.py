"""Effort: team-days and cost to clear land, by method.

A method's time for a cell is ``area / (m² per team-day)`` times a factor for slope,
vegetation, device category and season, which multiply. Vegetation goes by shares: a cell
half of which takes three times as long takes twice as long. Where a method cannot be used
its effort is infinite. A method with a follow-up, such as a machine whose ground dogs or
deminers have to go over, also needs the follow-up's time for its share of the area, and
cannot be used where the follow-up cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hazardrank.priority.ground import Ground
from hazardrank.settings import ClearanceMethodSettings, EffortSettings

FloatArray = NDArray[np.float64]
BestBy = Literal["team_days", "cost"]

#: A class excludes a method from a cell of which it covers more than this.
_HALF = 0.5


@dataclass(frozen=True)
class Effort:
    """What it takes to clear each of several pieces of land (cells or tasks), by method.

    Infinite where a method cannot be used. Arrays add up: the effort of a task in which one
    method is used throughout is the sum over its cells.

    Parameters
    ----------
    methods : tuple of str
        Names of the methods.
    team_days : ndarray of float64, shape (n_methods, …)
        Days of one team of the method itself.
    follow_up_days : ndarray of float64, shape (n_methods, …)
        Days of one team of the method that follows up; 0 where none does.
    cost_usd : ndarray of float64, shape (n_methods, …)
        Cost of both.
    """

    methods: tuple[str, ...]
    team_days: FloatArray
    follow_up_days: FloatArray
    cost_usd: FloatArray

    @property
    def total_days(self) -> FloatArray:
        """Team-days of method and follow-up together."""
        return self.team_days + self.follow_up_days

    def best(self, by: BestBy) -> BestEffort:
        """Return the method that takes least of each piece of land.

        Parameters
        ----------
        by : {"team_days", "cost"}
            What is to be least; equal ones go to the method named first.
        """
        wanted = self.total_days if by == "team_days" else self.cost_usd
        method = np.argmin(wanted, axis=0)
        chosen = method[np.newaxis]
        days = np.take_along_axis(self.total_days, chosen, axis=0)[0]
        cost = np.take_along_axis(self.cost_usd, chosen, axis=0)[0]
        method = np.where(np.isfinite(days), method, -1).astype(np.int8)
        return BestEffort(self.methods, method, days, cost)


@dataclass(frozen=True)
class BestEffort:
    """The best method of each piece of land.

    Parameters
    ----------
    methods : tuple of str
        Names of the methods.
    method : ndarray of int8
        Number of the best one; -1 where none can be used.
    team_days : ndarray of float64
        Team-days with follow-up; infinite where no method can be used.
    cost_usd : ndarray of float64
        Cost with follow-up; infinite where no method can be used.
    """

    methods: tuple[str, ...]
    method: NDArray[np.int8]
    team_days: FloatArray
    cost_usd: FloatArray

    @property
    def names(self) -> NDArray[np.object_]:
        """Name of the best method of each piece of land, empty where there is none."""
        words = np.array([*self.methods, ""], dtype=object)
        chosen: NDArray[np.object_] = words[self.method]
        return chosen


def effort_of(ground: Ground, settings: EffortSettings, month: int | None = None) -> Effort:
    """Return the effort to clear each cell of a block.

    Parameters
    ----------
    ground : Ground
        The block's ground.
    settings : EffortSettings
        The methods.
    month : int, optional
        Month of the work, 1–12; ``settings.month`` when left out, and no season at all if
        that is empty too.

    Returns
    -------
    Effort
        Arrays of shape (n_methods, rows, cols).
    """
    month = settings.month if month is None else month
    factors = {
        name: _time_factor(method, ground) * season_factor(method, month)
        for name, method in settings.used.items()
    }
    shape = (len(factors), *ground.shape)
    days, after, cost = np.empty(shape), np.zeros(shape), np.empty(shape)
    for number, (name, method) in enumerate(settings.used.items()):
        factor, area_m2 = factors[name], ground.cell_area_m2
        days[number] = area_m2 / method.m2_per_team_day * factor
        cost[number] = area_m2 * method.usd_per_m2 * factor
        if method.follow_up is not None:
            other, share_m2 = settings.used[method.follow_up], area_m2 * method.follow_up_share
            after[number] = share_m2 / other.m2_per_team_day * factors[method.follow_up]
            cost[number] += share_m2 * other.usd_per_m2 * factors[method.follow_up]
        unusable = np.isinf(days[number]) | np.isinf(after[number])
        for values in (days, after, cost):
            values[number, unusable] = np.inf
    return Effort(tuple(factors), days, after, cost)


def season_factor(method: ClearanceMethodSettings, month: int | None) -> float:
    """Return how many times as long the work takes in a month; infinite if it cannot be done."""
    if month is None:
        return 1.0
    return np.inf if month in method.closed_months else method.season_time.get(month, 1.0)


def _time_factor(method: ClearanceMethodSettings, ground: Ground) -> FloatArray:
    """Return how many times as long each cell takes for its ground, shape (rows, cols)."""
    slopes, factors = np.array(method.slope_time).T
    slope_deg = ground.slope_deg.astype(np.float64)
    factor: FloatArray = np.interp(slope_deg, slopes, factors)
    grown = np.ones(ground.shape)
    for name, times in method.vegetation_time.items():
        if name in ground.vegetation:
            grown += ground.vegetation[name].astype(np.float64) * (times - 1.0)
    factor = factor * grown * _device_factor(method, ground)
    factor[_excluded(method, ground)] = np.inf
    return factor


def _device_factor(method: ClearanceMethodSettings, ground: Ground) -> FloatArray:
    """Return the largest factor of the categories on record, 1 where there is none."""
    largest = np.full(ground.shape, -np.inf)
    for name, times in method.device_time.items():
        if name in ground.devices:
            np.maximum(largest, times, out=largest, where=ground.devices[name])
    return np.where(np.isinf(largest), 1.0, largest)


def _excluded(method: ClearanceMethodSettings, ground: Ground) -> NDArray[np.bool_]:
    excluded = np.zeros(ground.shape, bool)
    if method.max_slope_deg is not None:
        excluded |= ground.slope_deg > method.max_slope_deg
    covered = np.zeros(ground.shape)
    for name in method.excluded_vegetation:
        if name in ground.vegetation:
            covered += ground.vegetation[name]
    excluded |= covered > _HALF
    for name in method.excluded_devices:
        if name in ground.devices:
            excluded |= ground.devices[name]
    return excluded
