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
class GatheredTasks:
    """What is known of each of n tasks.

    Parameters
    ----------
    alternatives : Alternatives
        For ranking: each task's workable land, each cell by its best method.
    consequence : ndarray of float64, shape (n, n_criteria)
        Mean value of each criterion over all cells of the task, 0–1.
    cost_usd : ndarray of float64, shape (n,)
        Cost of the workable land, each cell by its best method; infinite if there is none.
    by_method : Effort
        Arrays of shape (n_methods, n): effort if one method is used on the whole task;
        infinite if some cell rules it out.
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
    consequence: FloatArray
    cost_usd: FloatArray
    by_method: Effort
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
    unjudged_likelihood : float
        Likelihood of cells that the model cannot judge, such as the mean of the map. Never 0:
        what cannot be judged is not harmless.
    best_by : {"team_days", "cost"}
        What the best method of a cell has least of.

    Raises
    ------
    PriorityError
        If unjudged land is given no likelihood.
    """

    def __init__(
        self,
        n_tasks: int,
        criteria: tuple[str, ...],
        methods: tuple[str, ...],
        n_gates: int,
        cell_area_m2: float,
        unjudged_likelihood: float,
        best_by: BestBy = "team_days",
    ) -> None:
        if not 0 < unjudged_likelihood <= 1:
            raise PriorityError(
                f"the likelihood of land that cannot be judged is {unjudged_likelihood:g}; it "
                "must be above 0 and at most 1"
            )
        self._n = n_tasks
        self._criteria, self._methods = criteria, methods
        self._cell_area_m2, self._best_by = cell_area_m2, best_by
        self._unjudged = unjudged_likelihood
        self._count = np.zeros((3, n_tasks))
        self._likelihood = np.zeros((2, n_tasks))
        self._value = np.zeros((3, len(criteria), n_tasks))
        self._best = np.zeros((2, n_tasks))
        self._effort = np.zeros((3, len(methods), n_tasks))
        self._share = np.zeros((len(methods), n_tasks))
        self._open = np.zeros((n_gates, n_tasks))

    def add(
        self,
        labels: NDArray[np.integer],
        likelihood: NDArray[np.floating],
        consequence: NDArray[np.floating],
        effort: Effort,
        open_cells: NDArray[np.bool_],
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
        """
        here = labels >= 0
        task = labels[here].astype(np.int64)
        found = likelihood[here].astype(np.float64)
        unjudged = np.isnan(found)
        found[unjudged] = self._unjudged
        best = effort.best(self._best_by)
        method, days = best.method[here], best.team_days[here]
        workable = method >= 0
        self._count += self._sums(task, np.ones(len(task)), workable, unjudged)
        self._likelihood += self._sums(task, found, found * workable)
        for number, plane in enumerate(consequence):
            value = plane[here].astype(np.float64)
            harm = found * value
            self._value[:, number] += self._sums(task, value, harm, harm * workable)
        cost = np.where(workable, best.cost_usd[here], 0.0)
        self._best += self._sums(task, np.where(workable, days, 0.0), cost)
        parts = (effort.team_days, effort.follow_up_days, effort.cost_usd)
        for number in range(len(self._methods)):
            planes = (part[number][here] for part in parts)
            self._effort[:, number] += self._sums(task, *planes)
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
            mean.T,
            np.where(some, self._best[1], np.inf),
            Effort(self._methods, *self._effort.copy()),
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
