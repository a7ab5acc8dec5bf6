"""Compartments: land that borders and barriers leave in one piece.

Cells belong together if they share an edge that no barrier lies across, and have the same
district and the same hazard area. Whatever is decided later, no task leaves its compartment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.priority.tasks_barriers import EAST, SOUTH

IntRaster = NDArray[np.int32]


@dataclass(frozen=True)
class Compartments:
    """Candidate cells gathered by compartment.

    Parameters
    ----------
    cells : ndarray of int64, shape (n_candidates,)
        Cells (row · cols + col), compartment by compartment.
    first : ndarray of int64, shape (n_compartments + 1,)
        Where each compartment starts in `cells`.
    """

    cells: NDArray[np.int64]
    first: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first) - 1


def compartments_of(
    candidate: NDArray[np.bool_],
    district: IntRaster,
    hazard: IntRaster,
    blocked: NDArray[np.uint8],
) -> Compartments:
    """Gather candidate cells that nothing separates.

    Parameters
    ----------
    candidate : ndarray of bool, shape (rows, cols)
        Cells that become part of tasks.
    district, hazard : ndarray of int32, shape (rows, cols)
        Numbers that must be the same within a compartment.
    blocked : ndarray of uint8, shape (rows, cols)
        Borders that barriers lie across (:mod:`~hazardrank.priority.tasks_barriers`).
    """
    cells = np.empty(int(candidate.sum()), np.int64)
    first = np.empty(len(cells) + 1, np.int64)
    n = _gather(
        candidate.reshape(-1).copy(),
        district.reshape(-1),
        hazard.reshape(-1),
        blocked.reshape(-1),
        candidate.shape[1],
        cells,
        first,
    )
    return Compartments(cells, first[: n + 1].copy())


@njit(cache=True, nogil=True)
def _gather(
    waiting: NDArray[np.bool_],
    district: IntRaster,
    hazard: IntRaster,
    blocked: NDArray[np.uint8],
    n_cols: int,
    cells: NDArray[np.int64],
    first: NDArray[np.int64],
) -> int:
    """Flood from each cell still waiting; `cells` itself is the queue. Return the count."""
    n_cells = len(waiting)
    n, end = 0, 0
    first[0] = 0
    for start in range(n_cells):
        if not waiting[start]:
            continue
        waiting[start] = False
        cells[end] = start
        k, end = end, end + 1
        while k < end:
            cell = cells[k]
            k += 1
            for side in range(4):
                other = neighbour(cell, side, n_cols, n_cells, blocked)
                if (
                    other >= 0
                    and waiting[other]
                    and district[other] == district[cell]
                    and hazard[other] == hazard[cell]
                ):
                    waiting[other] = False
                    cells[end] = other
                    end += 1
        n += 1
        first[n] = end
    return n


@njit(cache=True, nogil=True, inline="always")
def neighbour(cell: int, side: int, n_cols: int, n_cells: int, blocked: NDArray[np.uint8]) -> int:
    """Return the cell to the north, west, east, south (0–3); -1 beyond a barrier or the edge."""
    if side == 0:
        other = cell - n_cols
        if other < 0 or blocked[other] & SOUTH:
            return -1
        return other
    if side == 1:
        if cell % n_cols == 0 or blocked[cell - 1] & EAST:
            return -1
        return cell - 1
    if side == 2:
        if cell % n_cols == n_cols - 1 or blocked[cell] & EAST:
            return -1
        return cell + 1
    other = cell + n_cols
    if other >= n_cells or blocked[cell] & SOUTH:
        return -1
    return other
