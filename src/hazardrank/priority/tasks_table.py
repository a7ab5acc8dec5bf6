"""The table of clearance tasks: one row a task, everything with its unit in the name.

A cell that the model cannot judge has no likelihood, which is not a likelihood of zero. A
task's likelihood and expected contaminated area are those of its other cells alone,
``outside_domain_share`` says how much of it that leaves out, and a task without any other
cells has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.grid import SurveyGrid
from hazardrank.priority.effort import Effort
from hazardrank.priority.tasks import Tasks
from hazardrank.priority.tasks_outline import outlines
from hazardrank.priority.tasks_totals import Totals
from hazardrank.priority.tasks_words import NearestPlace

FloatArray = NDArray[np.float64]
Raster = NDArray[np.floating]

#: Column → what it holds. ``CRITERION`` and ``METHOD`` stand for each criterion and method.
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "task_id": "stable id: that of the task's middle cell",
        "area_m2": "area",
        "compactness": "16 · area / perimeter²: 1 for a square, towards 0 for a thread",
        "undersized": "whether borders and barriers leave less than the smallest area",
        "hazard_id": "hazard area on record in which the whole task lies; empty outside all",
        "district": "district in which the whole task lies",
        "easting_m": "easting of the middle cell's centre",
        "northing_m": "northing of the middle cell's centre",
        "location": "distance and direction of the task from the nearest named place",
        "place": "nearest named place",
        "place_distance_m": "distance from there to the task's middle cell",
        "place_bearing_deg": "direction from there to the task, clockwise from grid north",
        "likelihood_mean": "mean contamination likelihood of the cells the model can judge",
        "likelihood_max": "largest contamination likelihood of a cell",
        "expected_m2": "expected contaminated area: likelihood · cell area, summed over the "
        "cells the model can judge",
        "expected_low_m2": "the same from the lower ends of the likelihoods' intervals: as if "
        "all cells lay low together, so that the interval is on the wide side",
        "expected_high_m2": "the same from the upper ends",
        "outside_domain_share": "share of the area that the model cannot judge",
        "unsurveyed_share": "share of the area that was never surveyed",
        "CRITERION": "value of the consequence criterion, 0–1, mean over the area",
        "CRITERION_quantity": "what the criterion measures, in its own unit, mean over the cells "
        "where it is known",
        "days_METHOD": "team-days of the method itself; empty if it is not offered",
        "rest_days_METHOD": "team-days of its follow-up, and of other methods on ground it "
        "cannot go to",
        "cost_usd_METHOD": "cost of all of these in USD",
        "usable_METHOD": "share of the area on which the method can be used",
    }
)


@dataclass(frozen=True)
class TaskCells:
    """What is known of the cells of a block.

    Parameters
    ----------
    grid : SurveyGrid
        The block; it lies in the tasks' grid.
    likelihood : ndarray of float, shape (rows, cols)
        Contamination likelihood, NaN where the model cannot judge.
    unsurveyed : ndarray of bool, shape (rows, cols)
        Cells never surveyed.
    values : ndarray of float, shape (n_criteria, rows, cols)
        Consequence criteria, 0–1.
    quantities : ndarray of float, shape (n_criteria, rows, cols)
        What they measure, in their own units; NaN where not known.
    effort : Effort
        Arrays of shape (n_methods, rows, cols).
    likelihood_low, likelihood_high : ndarray of float, shape (rows, cols), optional
        Ends of the likelihood's interval.
    """

    grid: SurveyGrid
    likelihood: Raster
    unsurveyed: NDArray[np.bool_]
    values: Raster
    quantities: Raster
    effort: Effort
    likelihood_low: Raster | None = None
    likelihood_high: Raster | None = None


class TaskTotals:
    """What the cells of tasks hold, added up block by block.

    Parameters
    ----------
    tasks : Tasks
        The tasks.
    criteria : sequence of str
        Names of the consequence criteria.
    methods : sequence of str
        Names of the clearance methods.
    """

    def __init__(self, tasks: Tasks, criteria: Sequence[str], methods: Sequence[str]) -> None:
        self.tasks = tasks
        self.criteria = tuple(criteria)
        self.methods = tuple(methods)
        n = len(tasks)
        self.likelihood, self.low, self.high = (Totals.none(n) for _ in range(3))
        self.unsurveyed = Totals.none(n)
        self.values = [Totals.none(n) for _ in self.criteria]
        self.quantities = [Totals.none(n) for _ in self.criteria]
        self.own_days, self.rest_days, self.cost_usd = (
            [Totals.none(n) for _ in self.methods] for _ in range(3)
        )

    def add(self, cells: TaskCells) -> None:
        """Add the cells of a block; every cell of the tasks is to be added once."""
        row, col = cells.grid.offset_in(self.tasks.grid)
        rows, cols = slice(row, row + cells.grid.n_rows), slice(col, col + cells.grid.n_cols)
        labels = np.ascontiguousarray(self.tasks.labels[rows, cols])
        self.likelihood.add(labels, cells.likelihood)
        if cells.likelihood_low is not None:
            self.low.add(labels, cells.likelihood_low)
        if cells.likelihood_high is not None:
            self.high.add(labels, cells.likelihood_high)
        self.unsurveyed.add(labels, cells.unsurveyed)
        for number in range(len(self.criteria)):
            self.values[number].add(labels, cells.values[number])
            self.quantities[number].add(labels, cells.quantities[number])
        self._add_effort(labels, cells.effort)

    def _add_effort(self, labels: NDArray[np.int32], effort: Effort) -> None:
        best = effort.best("team_days")
        for number in range(len(self.methods)):
            usable = np.isfinite(effort.total_days[number])
            self.own_days[number].add(labels, effort.team_days[number])
            rest = np.where(usable, effort.follow_up_days[number], best.team_days)
            self.rest_days[number].add(labels, rest)
            cost = np.where(usable, effort.cost_usd[number], best.cost_usd)
            self.cost_usd[number].add(labels, cost)

    def effort(self, min_usable_share: float) -> Effort:
        """Return the effort to clear each task, by the method that does most of it.

        Parameters
        ----------
        min_usable_share : float
            A method is offered for a task if it can be used on this share of its area. The
            rest is done by the best other method of each cell, whose days count as
            follow-up. Ground on which nothing can be used adds nothing; ``usable_METHOD``
            shows it.

        Returns
        -------
        Effort
            Arrays of shape (n_methods, n_tasks); infinite where a method is not offered.
        """
        offered = self.usable_share >= min_usable_share
        days, rest, cost = (
            np.array([totals.total for totals in part]).reshape(offered.shape)
            for part in (self.own_days, self.rest_days, self.cost_usd)
        )
        never = np.full(offered.shape, np.inf)
        return Effort(
            self.methods,
            np.where(offered, days, never),
            np.where(offered, rest, never),
            np.where(offered, cost, never),
        )

    @property
    def usable_share(self) -> FloatArray:
        """Share of each task on which a method can be used, shape (n_methods, n_tasks)."""
        usable = np.array([totals.n_known for totals in self.own_days], np.float64)
        return usable.reshape(len(self.methods), len(self.tasks)) / self.tasks.n_cells


def task_table(
    totals: TaskTotals,
    effort: Effort,
    *,
    district_names: Mapping[int, str] = MappingProxyType({}),
    hazard_names: Mapping[int, str] = MappingProxyType({}),
    places: NearestPlace | None = None,
) -> gpd.GeoDataFrame:
    """Return the table of tasks, in their order.

    Parameters
    ----------
    totals : TaskTotals
        What their cells hold, all blocks added.
    effort : Effort
        Effort by task (:meth:`TaskTotals.effort`).
    district_names, hazard_names : mapping of int to str, optional
        Number in the rasters → what people call it; the number itself where left out.
    places : NearestPlace, optional
        Nearest named place of each task.

    Returns
    -------
    GeoDataFrame
        The columns of :data:`COLUMNS` and the outlines; what is not known is NaN or empty.

    Raises
    ------
    PriorityError
        If a criterion bears the name of another column.
    """
    tasks = totals.tasks
    data: dict[str, NDArray[np.generic]] = {
        "task_id": tasks.ids,
        "area_m2": tasks.area_m2,
        "compactness": tasks.compactness,
        "undersized": tasks.undersized,
        "hazard_id": _named(tasks.hazard_id, hazard_names),
        "district": _named(tasks.district, district_names),
        "easting_m": tasks.middles[:, 0],
        "northing_m": tasks.middles[:, 1],
    }
    if places is not None:
        data |= {
            "location": places.words,
            "place": places.name,
            "place_distance_m": places.distance_m,
            "place_bearing_deg": places.bearing_deg,
        }
    data |= _likelihood_columns(totals)
    data |= _effort_columns(totals, effort)
    for number, name in enumerate(totals.criteria):
        if name in data or name == "geometry":
            raise PriorityError(
                f"the criterion '{name}' has the name of a column of the tasks",
                where=f"priority.criteria.{name}",
                remedy="Give it another name.",
            )
        data[name] = totals.values[number].mean
        data[f"{name}_quantity"] = totals.quantities[number].mean
    return gpd.GeoDataFrame(data, geometry=outlines(tasks), crs=tasks.grid.crs)


def _likelihood_columns(totals: TaskTotals) -> dict[str, NDArray[np.generic]]:
    tasks, cell_m2 = totals.tasks, totals.tasks.grid.cell_area_m2
    return {
        "likelihood_mean": totals.likelihood.mean,
        "likelihood_max": totals.likelihood.largest,
        "expected_m2": totals.likelihood.sum_of_known * cell_m2,
        "expected_low_m2": totals.low.sum_of_known * cell_m2,
        "expected_high_m2": totals.high.sum_of_known * cell_m2,
        "outside_domain_share": 1.0 - totals.likelihood.n_known / tasks.n_cells,
        "unsurveyed_share": totals.unsurveyed.total / tasks.n_cells,
    }


def _effort_columns(totals: TaskTotals, effort: Effort) -> dict[str, NDArray[np.generic]]:
    data: dict[str, NDArray[np.generic]] = {}
    for number, name in enumerate(totals.methods):
        data[f"days_{name}"] = _finite(effort.team_days[number])
        data[f"rest_days_{name}"] = _finite(effort.follow_up_days[number])
        data[f"cost_usd_{name}"] = _finite(effort.cost_usd[number])
        data[f"usable_{name}"] = totals.usable_share[number]
    return data


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.nan)


def _named(numbers: NDArray[np.int32], names: Mapping[int, str]) -> NDArray[np.object_]:
    """Return what numbers are called; empty for -1."""
    words = {int(n): names.get(int(n), str(n)) if n >= 0 else "" for n in np.unique(numbers)}
    return np.array([words[n] for n in numbers.tolist()], dtype=object)
