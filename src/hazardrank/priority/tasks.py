"""Clearance tasks: contiguous, compact land that is one job for a team.

A task keeps to the following, whatever the land:

- its cells share edges, and no barrier lies between the two of any pair that joins it;
- it lies in one district, and either in one hazard area on record or outside all;
- its area is at most ``max_area_ha``, and at least ``min_area_ha`` unless borders and
  barriers leave no more than that: such a task is marked ``undersized``.

Its id is that of its middle cell, ``T-CRS32638RES100mN4412300E601200``: the same land gets
the same id whatever the run, the region or the scores, and no two tasks share one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.errors import GridError, PriorityError
from hazardrank.grid import SurveyGrid
from hazardrank.priority.tasks_compartments import (
    Compartments,
    IntRaster,
    compartments_of,
    neighbour,
)
from hazardrank.priority.tasks_split import middle_cell, split
from hazardrank.settings import CandidateSettings, TaskSettings

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

M2_PER_HA = 10_000.0
ID_PREFIX = "T-"

#: Number of land in no hazard area, and of cells in no task.
NONE = -1


@dataclass(frozen=True, eq=False)
class Tasks:
    """Clearance tasks on a survey grid, in the order of their middle cells, row by row.

    Parameters
    ----------
    grid : SurveyGrid
        The grid.
    labels : ndarray of int32, shape (rows, cols)
        Number of each cell's task, 0 … n - 1; -1 for cells in none.
    n_cells : ndarray of int64, shape (n_tasks,)
        Cells of each task.
    perimeter_cells : ndarray of int64, shape (n_tasks,)
        Length of each task's edge, holes included, in sides of cells.
    middle : ndarray of int64, shape (n_tasks,)
        Middle cell, row · cols + col: the one nearest to the centroid.
    district, hazard_id : ndarray of int32, shape (n_tasks,)
        District and hazard area each task lies in, -1 for none.
    undersized : ndarray of bool, shape (n_tasks,)
        Whether the task is smaller than asked, because no land is left to join it with.
    """

    grid: SurveyGrid
    labels: IntRaster
    n_cells: NDArray[np.int64]
    perimeter_cells: NDArray[np.int64]
    middle: NDArray[np.int64]
    district: NDArray[np.int32]
    hazard_id: NDArray[np.int32]
    undersized: BoolArray

    def __len__(self) -> int:
        return len(self.n_cells)

    @cached_property
    def ids(self) -> NDArray[np.object_]:
        """Stable, unique id of each task."""
        cells = self.grid.cell_ids(*np.divmod(self.middle, self.grid.n_cols))
        return np.array([f"{ID_PREFIX}{cell}" for cell in cells], dtype=object)

    @property
    def area_m2(self) -> FloatArray:
        """Area of each task in m²."""
        return self.n_cells.astype(np.float64) * self.grid.cell_area_m2

    @property
    def middles(self) -> FloatArray:
        """Easting and northing of each task's middle cell in metres, shape (n_tasks, 2)."""
        return np.column_stack(self.grid.centres(*np.divmod(self.middle, self.grid.n_cols)))

    @property
    def compactness(self) -> FloatArray:
        """Isoperimetric quotient of each task on cell edges, 16 · area / perimeter².

        1 for a square, 0.89 for two squares side by side, towards 0 for a thread. It is the
        measure of Polsby & Popper (1991), 4π · area / perimeter², scaled by 4/π since
        nothing made of squares is rounder than a square.
        """
        quotient: FloatArray = 16.0 * self.n_cells / np.square(self.perimeter_cells)
        return quotient


def make_tasks(
    grid: SurveyGrid,
    score: NDArray[np.floating],
    candidate: BoolArray,
    settings: TaskSettings,
    *,
    district: IntRaster | None = None,
    hazard_id: IntRaster | None = None,
    blocked: NDArray[np.uint8] | None = None,
) -> Tasks:
    """Draw clearance tasks.

    Parameters
    ----------
    grid : SurveyGrid
        The grid of all rasters.
    score : ndarray of float, shape (rows, cols)
        What draws cells together, such as expected harm per m²; not negative. NaN where
        unknown: such cells count as the average of all candidates, and so neither attract
        nor repel others.
    candidate : ndarray of bool, shape (rows, cols)
        Cells that become part of a task; every one does.
    settings : TaskSettings
        Limits of the area, and ``contrast``.
    district, hazard_id : ndarray of int32, shape (rows, cols), optional
        Number of the district, and of the hazard area (-1 outside all). Tasks stay within
        one of each; all land is one when left out.
    blocked : ndarray of uint8, shape (rows, cols), optional
        Borders between cells that no task may join across
        (:func:`~hazardrank.priority.tasks_barriers.barrier_edges`).

    Returns
    -------
    Tasks

    Raises
    ------
    GridError
        If a raster does not have the grid's shape.
    PriorityError
        If cells are too large for the limits.
    """
    min_cells, max_cells = cell_limits(grid, settings)
    nowhere = np.full(grid.shape, NONE, np.int32)
    district = nowhere if district is None else np.ascontiguousarray(district, np.int32)
    hazard_id = nowhere if hazard_id is None else np.ascontiguousarray(hazard_id, np.int32)
    if blocked is None:
        blocked = np.zeros(grid.shape, np.uint8)
    blocked = np.ascontiguousarray(blocked, np.uint8)
    rasters = {"score": score, "candidate": candidate, "district": district}
    for name, raster in {**rasters, "hazard_id": hazard_id, "blocked": blocked}.items():
        if raster.shape != grid.shape:
            raise GridError(f"{name} has the shape {raster.shape}, the grid {grid.shape}")
    filled, average = _without_unknown(score, candidate)
    compartments = compartments_of(candidate, district, hazard_id, blocked)
    labels = split(
        compartments,
        filled,
        blocked,
        min_cells=min_cells,
        max_cells=max_cells,
        contrast=math.inf if settings.contrast is None else settings.contrast,
        worth=average,
    )
    return _in_order(grid, labels, compartments, district, hazard_id, blocked, min_cells)


def cell_limits(grid: SurveyGrid, settings: TaskSettings) -> tuple[int, int]:
    """Return the smallest and largest number of cells of a task.

    Raises
    ------
    PriorityError
        If a cell is larger than the largest task, or the limits leave no room between them
        at this cell size.
    """
    cell_ha = grid.cell_area_m2 / M2_PER_HA
    min_cells = math.ceil(settings.min_area_ha / cell_ha - 1e-9)
    max_cells = math.floor(settings.max_area_ha / cell_ha + 1e-9)
    if max_cells < 1:
        raise PriorityError(
            f"one cell of {grid.cell_size_m} m has {cell_ha:g} ha, more than the largest task, "
            f"{settings.max_area_ha:g} ha",
            where="tasks.max_area_ha",
            remedy=f"Set tasks.max_area_ha to {cell_ha:g} or more, or use smaller cells.",
        )
    if max_cells < 4 * min_cells - 3:
        needed_ha = (4 * min_cells - 3) * cell_ha
        raise PriorityError(
            f"cells of {grid.cell_size_m} m make tasks of {min_cells} to {max_cells} cells, "
            f"between which some land cannot be cut",
            where="tasks.max_area_ha",
            remedy=f"Set tasks.max_area_ha to {needed_ha:g} or more, lower tasks.min_area_ha, or "
            "use smaller cells.",
        )
    return min_cells, max_cells


def candidate_cells(
    settings: CandidateSettings,
    likelihood: NDArray[np.floating],
    *,
    inside: BoolArray,
    in_hazard_area: BoolArray,
    released: BoolArray,
) -> BoolArray:
    """Return which cells become part of clearance tasks.

    Parameters
    ----------
    settings : CandidateSettings
        The rules.
    likelihood : ndarray of float, shape (rows, cols)
        Contamination likelihood; NaN where the model cannot judge.
    inside : ndarray of bool, shape (rows, cols)
        Cells of the area of interest.
    in_hazard_area : ndarray of bool, shape (rows, cols)
        Cells of hazard areas that still stand.
    released : ndarray of bool, shape (rows, cols)
        Cells released by survey or clearance.
    """
    unknown = np.isnan(likelihood)
    chosen = likelihood >= settings.min_likelihood
    if settings.outside_domain:
        chosen |= unknown
    if settings.hazard_areas:
        chosen |= in_hazard_area
    if not settings.released:
        chosen &= ~released
    return chosen & inside


def _without_unknown(
    score: NDArray[np.floating], candidate: BoolArray
) -> tuple[NDArray[np.float32], float]:
    """Return the scores with the average in place of unknown ones, and the average."""
    known = candidate & np.isfinite(score)
    average = float(score[known].mean(dtype=np.float64)) if known.any() else 0.0
    return np.where(known, score, average).astype(np.float32), average


def _in_order(
    grid: SurveyGrid,
    labels: IntRaster,
    compartments: Compartments,
    district: IntRaster,
    hazard_id: IntRaster,
    blocked: NDArray[np.uint8],
    min_cells: int,
) -> Tasks:
    """Give the parts numbers in the order of their middle cells, and measure them."""
    cells, flat = compartments.cells, labels.reshape(-1)
    starts = np.flatnonzero(np.diff(flat[cells], prepend=-1))
    ends = np.append(starts[1:], len(cells))
    middle = _middles(cells, starts, ends, grid.n_cols)
    order = np.argsort(middle)
    numbers = np.empty(len(order), np.int32)
    numbers[order] = np.arange(len(order), dtype=np.int32)
    flat[cells] = np.repeat(numbers, ends - starts)
    middle, n_cells = middle[order], (ends - starts)[order]
    return Tasks(
        grid,
        labels,
        n_cells,
        _perimeters(flat, blocked.reshape(-1), grid.n_cols, len(order)),
        middle,
        district.reshape(-1)[middle],
        hazard_id.reshape(-1)[middle],
        n_cells < min_cells,
    )


@njit(cache=True, nogil=True)
def _middles(
    cells: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], n_cols: int
) -> NDArray[np.int64]:
    middle = np.empty(len(starts), np.int64)
    for k in range(len(starts)):
        middle[k] = middle_cell(cells[starts[k] : ends[k]], n_cols)
    return middle


@njit(cache=True, nogil=True)
def _perimeters(
    labels: NDArray[np.int32], blocked: NDArray[np.uint8], n_cols: int, n_tasks: int
) -> NDArray[np.int64]:
    """Count each task's sides of cells to other land, and to itself across a barrier."""
    edges = np.zeros(n_tasks, np.int64)
    for cell in range(len(labels)):
        if labels[cell] < 0:
            continue
        for side in range(4):
            other = neighbour(cell, side, n_cols, len(labels), blocked)
            if other < 0 or labels[other] != labels[cell]:
                edges[labels[cell]] += 1
    return edges
