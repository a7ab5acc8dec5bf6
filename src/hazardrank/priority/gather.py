"""From cells to tasks: what ranking, gates and plans need to know of each task.

Sums are taken block by block, so that no raster of criteria has to be held whole. The
expected harm of a task is that of its cells, ``Σ p·v·area``: likelihood and consequence are
multiplied cell by cell, since where they go together a task's means would hide it.

Cells where no method can be used are not worked: they add neither harm averted nor effort,
and their share is told. Cells that the model cannot judge have the likelihood given for such
land; their share is told too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.priority.alternatives import Alternatives
from hazardrank.priority.effort import BestBy, Effort

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Unjudged:
    """What a cell counts as that the model cannot judge.

    Parameters
    ----------
    likelihood : float
        Such as the mean of the map. Never 0: what cannot be judged is not harmless.
    low, high : float
        What its likelihood may be.

    Raises
    ------
    PriorityError
        If it is given no likelihood, or the likelihood does not lie within its ends.
    """

    likelihood: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.likelihood <= 1:
            raise PriorityError(
                f"the likelihood of land that cannot be judged is {self.likelihood:g}; it must "
                "be above 0 and at most 1"
            )
        if not 0 <= self.low <= self.likelihood <= self.high <= 1:
            raise PriorityError(
                f"the likelihood of land that cannot be judged, {self.likelihood:g}, does not lie "
                f"between {self.low:g} and {self.high:g}"
            )


@dataclass(frozen=True)
class GatheredTasks:
    """What is known of each of n tasks.

    Parameters
    ----------
    alternatives : Alternatives
        For ranking: each task's workable land, each cell by its best method.
    likelihood_low, likelihood_high : ndarray of float64, shape (n,)
        Ends of the interval of the alternatives' likelihood; the likelihood itself where none
        was given. All cells lie low, or high, together, so that it is on the wide side.
    cost_usd : ndarray of float64, shape (n,)
        Cost of the workable land, each cell by its best method; infinite if there is none.
    method_share : ndarray of float64, shape (n_methods, n)
        Share of the task's cells for which each method is the best.
    unworkable_share : ndarray of float64, shape (n,)
        Share of the task's cells on which no method can be used.
    unjudged_share : ndarray of float64, shape (n,)
        Share of the task's cells that the model cannot judge.
    open_share : ndarray of float64, shape (n, n_gates)
        Share of the task's cells that each polygon gate leaves open.
    """

    alternatives: Alternatives
    likelihood_low: FloatArray
    likelihood_high: FloatArray
    cost_usd: FloatArray
    method_share: FloatArray
    unworkable_share: FloatArray
    unjudged_share: FloatArray
    open_share: FloatArray


class TaskGatherer:
    """Adds up cells by task, block after block.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    criteria : tuple of str
        Names of the criteria.
    methods : tuple of str
        Names of the clearance methods.
    n_gates : int
        Number of polygon gates.
    cell_area_m2 : float
        Area of a cell.
    unjudged : Unjudged
        What cells count as that the model cannot judge.
    best_by : {"team_days", "cost"}
        What the best method of a cell has least of.
    """

    def __init__(
        self,
        n_tasks: int,
        criteria: tuple[str, ...],
        methods: tuple[str, ...],
        n_gates: int,
        cell_area_m2: float,
        unjudged: Unjudged,
        best_by: BestBy = "team_days",
    ) -> None:
        self._n = n_tasks
        self._criteria, self._methods = criteria, methods
        self._cell_area_m2, self._best_by = cell_area_m2, best_by
        self._unjudged = unjudged
        self._count = np.zeros((3, n_tasks))
        self._likelihood = np.zeros((2, n_tasks))
        self._ends = np.zeros((2, 2, n_tasks))
        self._value = np.zeros((3, len(criteria), n_tasks))
        self._best = np.zeros((2, n_tasks))
        self._share = np.zeros((len(methods), n_tasks))
        self._open = np.zeros((n_gates, n_tasks))

    def add(
        self,
        labels: NDArray[np.integer],
        likelihood: NDArray[np.floating],
        consequence: NDArray[np.floating],
        effort: Effort,
        open_cells: NDArray[np.bool_],
        interval: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    ) -> None:
        """Add the cells of a block.

        Parameters
        ----------
        labels : ndarray of int, shape (rows, cols)
            Number of each cell's task from 0; below 0 for cells in none.
        likelihood : ndarray of float, shape (rows, cols)
            NaN where the model cannot judge.
        consequence : ndarray of float, shape (n_criteria, rows, cols)
            Values of the criteria, 0–1.
        effort : Effort
            Arrays of shape (n_methods, rows, cols).
        open_cells : ndarray of bool, shape (n_gates, rows, cols)
            Cells that each polygon gate leaves open.
        interval : two ndarrays of float, shape (rows, cols), optional
            Low and high end of the likelihood's interval; the likelihood where left out.
        """
        here = labels >= 0
        task = labels[here].astype(np.int64)
        found = likelihood[here].astype(np.float64)
        unjudged = np.isnan(found)
        found[unjudged] = self._unjudged.likelihood
        best = effort.best(self._best_by)
        method, days = best.method[here], best.team_days[here]
        workable = method >= 0
        self._count += self._sums(task, np.ones(len(task)), workable, unjudged)
        self._likelihood += self._sums(task, found, found * workable)
        ends = (likelihood, likelihood) if interval is None else interval
        limits = (self._unjudged.low, self._unjudged.high)
        for number, (end, limit) in enumerate(zip(ends, limits, strict=True)):
            reached = np.where(unjudged, limit, end[here].astype(np.float64))
            self._ends[number] += self._sums(task, reached, reached * workable)
        for number, plane in enumerate(consequence):
            value = plane[here].astype(np.float64)
            harm = found * value
            self._value[:, number] += self._sums(task, value, harm, harm * workable)
        cost = np.where(workable, best.cost_usd[here], 0.0)
        self._best += self._sums(task, np.where(workable, days, 0.0), cost)
        for number in range(len(self._methods)):
            self._share[number] += self._sums(task, method == number)[0]
        for number, opened in enumerate(open_cells):
            self._open[number] += self._sums(task, opened[here])[0]

    def result(self, ids: NDArray[np.object_] | NDArray[np.str_]) -> GatheredTasks:
        """Return what was added up.

        Parameters
        ----------
        ids : ndarray of str, shape (n,)
            Ids of the tasks.

        Raises
        ------
        PriorityError
            If a task has no cell.
        """
        cells, n_workable, n_unjudged = self._count
        if (cells == 0).any():
            raise PriorityError(f"task '{ids[int(np.argmin(cells))]}' has no cell")
        some = n_workable > 0
        land = np.where(some, n_workable, cells)
        likelihood = np.where(some, self._likelihood[1], self._likelihood[0])
        low, high = np.where(some, self._ends[:, 1], self._ends[:, 0])
        harm = np.where(some, self._value[2], self._value[1])
        mean = self._value[0] / cells
        weighed = np.divide(harm, likelihood, out=mean.copy(), where=likelihood > 0)
        alternatives = Alternatives(
            np.asarray(ids, dtype=np.str_),
            self._criteria,
            np.clip(weighed, 0.0, 1.0).T,
            np.clip(likelihood / land, 0.0, 1.0),
            land * self._cell_area_m2,
            np.where(some, self._best[0], np.inf),
        )
        return GatheredTasks(
            alternatives,
            np.minimum(low / land, alternatives.likelihood),
            np.maximum(high / land, alternatives.likelihood),
            np.where(some, self._best[1], np.inf),
            self._share / cells,
            1.0 - n_workable / cells,
            n_unjudged / cells,
            (self._open / cells).T,
        )

    def _sums(self, task: NDArray[np.int64], *weights: NDArray[np.generic]) -> FloatArray:
        """Return the sum of each weight by task, shape (n_weights, n_tasks)."""
        return np.array(
            [np.bincount(task, weight.astype(np.float64), self._n) for weight in weights]
        )
