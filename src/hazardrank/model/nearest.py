"""Nearest points in a space of many dimensions, compiled.

Trees of boxes (KD-trees) look at nearly every point once there are more than about ten
dimensions. These kernels look at every point too, but at 64 cells at a time and no further
into a point's dimensions than it takes to know that none of the 64 is near it. Dimensions
should therefore come with the widest first. Squares are summed in the order of the
dimensions, so that no result depends on which cells are looked at together.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Singles = NDArray[np.float32]

TILE = 64
"""Cells looked at together."""
STEP = 4
"""Dimensions summed before the next look at whether it is worth going on."""
_CELLS_PER_JOB = 16_384


@dataclass(frozen=True)
class Neighbours:
    """What lies nearest to each cell.

    Parameters
    ----------
    distance : ndarray of float32, shape (n_cells,)
        To the nearest point; infinite where there is no point.
    point : ndarray of int32, shape (n_cells,)
        The nearest point, the first of equally near ones; -1 where there is none.
    count : ndarray of float32, shape (n_cells,)
        Sum of the weights of the points no farther than asked for; 0 where not asked.
    """

    distance: Singles
    point: NDArray[np.int32]
    count: Singles


def nearest(
    cells: Singles,
    extra: Singles,
    points: Singles,
    weight: Singles | None = None,
    within: float | None = None,
    threads: int = 1,
) -> Neighbours:
    """Find the nearest point of every cell.

    Parameters
    ----------
    cells : ndarray of float32, shape (n_dimensions, n_cells)
        Coordinates of the cells.
    extra : ndarray of float32, shape (n_cells,)
        Added to each cell's squared distance to every point.
    points : ndarray of float32, shape (n_points, n_dimensions)
        Coordinates of the points.
    weight : ndarray of float32, shape (n_points,), optional
        What each point counts for; 1 when left out.
    within : float, optional
        Also count the points no farther than this.
    threads : int, optional
        Threads to use; no result depends on it.
    """
    n_cells = cells.shape[1]
    cells, points = np.ascontiguousarray(cells), np.ascontiguousarray(points)
    weight = np.ones(len(points), np.float32) if weight is None else weight
    limit = np.float32(-1 if within is None else within**2)
    squared = np.full(n_cells, np.inf, np.float32)
    point = np.full(n_cells, -1, np.int32)
    count = np.zeros(n_cells, np.float32)

    def look(first: int) -> None:
        last = min(n_cells, first + _CELLS_PER_JOB)
        _nearest(cells, extra, points, weight, limit, first, last, squared, point, count)

    starts = range(0, n_cells, _CELLS_PER_JOB)
    if threads > 1 and len(starts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(look, starts))
    else:
        for first in starts:
            look(first)
    return Neighbours(np.sqrt(squared), point, count)


def spread_out(points: Singles, n_chosen: int) -> NDArray[np.int64]:
    """Choose points that leave no other point far away (Gonzalez 1985).

    Starts with the point nearest the mean and adds, time and again, the point farthest from
    all chosen. The largest distance that remains is at most twice the smallest that any
    choice of as many points could reach.

    Parameters
    ----------
    points : ndarray of float32, shape (n_dimensions, n_points)
        Coordinates.
    n_chosen : int
        How many to choose.

    Returns
    -------
    ndarray of int64, shape (min(n_chosen, number of distinct points),)
        In the order chosen.
    """
    points = np.ascontiguousarray(points)
    middle = points.mean(axis=1, dtype=np.float64)
    from_middle = ((points - middle[:, None]) ** 2).sum(axis=0)
    chosen = np.empty(min(n_chosen, points.shape[1]), np.int64)
    n_distinct = _spread_out(points, int(np.argmin(from_middle)), chosen)
    return chosen[:n_distinct]


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest(
    cells: Singles,
    extra: Singles,
    points: Singles,
    weight: Singles,
    limit: np.float32,
    first: int,
    last: int,
    squared: Singles,
    point: NDArray[np.int32],
    count: Singles,
) -> None:
    n_dimensions = cells.shape[0]
    tile = np.zeros((n_dimensions, TILE), np.float32)
    base = np.zeros(TILE, np.float32)
    total = np.zeros(TILE, np.float32)
    best = np.empty(TILE, np.float32)
    reach = np.empty(TILE, np.float32)
    who = np.empty(TILE, np.int32)
    counted = np.empty(TILE, np.float32)
    for start in range(first, last, TILE):
        size = min(TILE, last - start)
        for d in range(n_dimensions):
            for c in range(TILE):
                # The last tile is filled up with copies of its first cell.
                tile[d, c] = cells[d, start + (c if c < size else 0)]
        for c in range(TILE):
            base[c] = extra[start + (c if c < size else 0)]
            best[c] = np.inf
            reach[c] = np.inf
            who[c] = -1
            counted[c] = 0
        for p in range(points.shape[0]):
            for c in range(TILE):
                total[c] = base[c]
            near = 1
            d = 0
            while d < n_dimensions and near:
                stop = min(n_dimensions, d + STEP)
                for k in range(d, stop):
                    value = points[p, k]
                    for c in range(TILE):
                        apart = tile[k, c] - value
                        total[c] += apart * apart
                d = stop
                near = 0
                for c in range(TILE):
                    near |= total[c] <= reach[c]
            if near:
                for c in range(TILE):
                    if total[c] < best[c]:
                        best[c] = total[c]
                        who[c] = p
                        reach[c] = max(total[c], limit)
                    if total[c] <= limit:
                        counted[c] += weight[p]
        for c in range(size):
            squared[start + c] = best[c]
            point[start + c] = who[c]
            count[start + c] = counted[c]


@njit(cache=True, nogil=True, error_model="numpy")
def _spread_out(points: Singles, start: int, chosen: NDArray[np.int64]) -> int:
    n_dimensions, n_points = points.shape
    squared = np.full(n_points, np.inf, np.float32)
    total = np.zeros(TILE, np.float32)
    newest = start
    for n in range(len(chosen)):
        chosen[n] = newest
        farthest = np.float32(0)
        following = -1
        for first in range(0, n_points, TILE):
            size = min(TILE, n_points - first)
            for c in range(TILE):
                total[c] = 0
            near = 1
            d = 0
            while d < n_dimensions and near:
                stop = min(n_dimensions, d + STEP)
                for k in range(d, stop):
                    value = points[k, newest]
                    for c in range(size):
                        apart = points[k, first + c] - value
                        total[c] += apart * apart
                d = stop
                near = 0
                for c in range(size):
                    near |= total[c] < squared[first + c]
            if near:
                for c in range(size):
                    squared[first + c] = min(squared[first + c], total[c])
            for c in range(size):
                if squared[first + c] > farthest:
                    farthest = squared[first + c]
                    following = first + c
        if following < 0:
            return n + 1
        newest = following
    return len(chosen)
