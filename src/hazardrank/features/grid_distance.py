"""Exact distance from the cells of a block to the nearest segment, fast.

The block is cut into squares, squares into smaller ones. In a square with centre *c* and half
diagonal *h*, let *u* be the distance from *c* to the nearest segment. Every cell of the square
has a segment within ``u + h``, and a segment at distance *d* from *c* is at least ``d - h`` away
from each: one with ``d > u + 2h`` is nearest to no cell and is dropped, so is one beyond the
cap. What is left for a square of 8 × 8 cells is measured from every cell. Nothing that could be
nearest is ever dropped, and every distance is the one expression of
:func:`~hazardrank.features.candidates.squared_distance`: the result is exact, the same to the
bit however blocks are cut, and ties go to the segment that comes first in the file.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.candidates import squared_distance
from hazardrank.features.distance import Nearest
from hazardrank.features.segments import FloatArray, IndexArray, Segments
from hazardrank.grid import SurveyGrid

SQUARES = np.array([512, 128, 32, 8], np.int64)
"""Sides of the squares in cells, each a part of the one before."""
_LEVELS = len(SQUARES)
_CELLS = 64
#: Slack added when dropping, far above rounding (relative, and metres).
_SLACK = 1e-9
_SLACK_M = 1e-6


def distance_on_grid(grid: SurveyGrid, segments: Segments, cap_m: float) -> NDArray[np.float32]:
    """Return the distance (m, at most `cap_m`) from the cells of a block, shape (rows, cols).

    Parameters as for :func:`nearest_on_grid`.
    """
    distance_m = np.full(grid.shape, cap_m, np.float32)
    _run(grid, segments, cap_m, distance_m, np.empty((0, 0), np.int64))
    return distance_m


def nearest_on_grid(grid: SurveyGrid, segments: Segments, cap_m: float) -> Nearest:
    """Return each cell's distance to the nearest segment, and which one that is.

    Parameters
    ----------
    grid : SurveyGrid
        The block.
    segments : Segments
        All segments within `cap_m` of any of the cells; more do no harm.
    cap_m : float
        Largest distance reported.

    Returns
    -------
    Nearest
        Cells row by row.
    """
    distance_m = np.full(grid.shape, cap_m, np.float64)
    index = np.full(grid.shape, -1, np.int64)
    _run(grid, segments, cap_m, distance_m, index)
    return Nearest(distance_m.ravel(), index.ravel())


def _run(
    grid: SurveyGrid,
    segments: Segments,
    cap_m: float,
    distance_m: NDArray[np.floating],
    index: IndexArray,
) -> None:
    if len(segments):
        columns = np.ascontiguousarray(segments.packed.T)
        _fill(grid.eastings(), grid.northings(), columns, float(cap_m), distance_m, index)


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    eastings: FloatArray,
    northings: FloatArray,
    segments: FloatArray,
    cap_m: float,
    distance_m: NDArray[np.floating],
    index: IndexArray,
) -> None:
    """Fill in distances and, where `index` is not empty, segment numbers.

    `segments` has shape (5, n_segments): the columns of ``Segments.packed``.
    """
    n_rows, n_cols = distance_m.shape
    with_index = index.size > 0
    n_segments = segments.shape[1]
    lists = np.empty((_LEVELS + 1, 5, n_segments))
    numbers = np.empty((_LEVELS + 1, n_segments), np.int64)
    lists[0] = segments
    numbers[0] = np.arange(n_segments)
    counts = np.zeros(_LEVELS + 1, np.int64)
    counts[0] = n_segments
    apart = np.empty(n_segments)
    east, north, best = np.empty(_CELLS), np.empty(_CELLS), np.empty(_CELLS)
    who = np.empty(_CELLS, np.int64)
    # The squares still to be looked at: level, first row, first column.
    stack = np.empty((4096, 3), np.int64)
    for top in range(0, n_rows, SQUARES[0]):
        for left in range(0, n_cols, SQUARES[0]):
            stack[0, 0], stack[0, 1], stack[0, 2] = 0, top, left
            height = 1
            while height:
                height -= 1
                level, row, col = stack[height, 0], stack[height, 1], stack[height, 2]
                side = SQUARES[level]
                bottom, right = min(row + side, n_rows), min(col + side, n_cols)
                n = counts[level]
                kept = _narrow(
                    lists[level], numbers[level], n,
                    (eastings[col] + eastings[right - 1]) / 2,
                    (northings[row] + northings[bottom - 1]) / 2,
                    np.hypot(
                        eastings[right - 1] - eastings[col], northings[row] - northings[bottom - 1]
                    ) / 2,
                    cap_m, apart, lists[level + 1], numbers[level + 1],
                )  # fmt: skip
                counts[level + 1] = kept
                if not kept:
                    continue
                if level + 1 < _LEVELS:
                    step = SQUARES[level + 1]
                    for r in range(row, bottom, step):
                        for c in range(col, right, step):
                            stack[height, 0], stack[height, 1] = level + 1, r
                            stack[height, 2] = c
                            height += 1
                    continue
                _place(eastings[col:right], northings[row:bottom], east, north)
                if with_index:
                    _measure(lists[level + 1], numbers[level + 1], kept, east, north, best, who)
                else:
                    _measure_only(lists[level + 1], kept, east, north, best)
                k = 0
                for r in range(row, bottom):
                    for c in range(col, right):
                        away_m = np.sqrt(best[k])
                        if away_m <= cap_m:
                            distance_m[r, c] = away_m
                            if with_index:
                                index[r, c] = who[k]
                        k += 1


@njit(nogil=True, error_model="numpy")
def _narrow(
    segments: FloatArray,
    numbers: IndexArray,
    n: int,
    easting: float,
    northing: float,
    half_m: float,
    cap_m: float,
    apart: FloatArray,
    kept: FloatArray,
    kept_numbers: IndexArray,
) -> int:
    """Copy the first `n` segments that can be nearest within a square; return how many."""
    start_e, start_n, d_e, d_n, inverse = (
        segments[0, :n],
        segments[1, :n],
        segments[2, :n],
        segments[3, :n],
        segments[4, :n],
    )
    squared = apart[:n]
    for s in range(n):
        squared[s] = squared_distance(
            start_e[s], start_n[s], d_e[s], d_n[s], inverse[s], easting, northing
        )
    lowest = np.inf
    for s in range(n):
        lowest = squared[s] if squared[s] < lowest else lowest
    limit = min(cap_m + half_m, np.sqrt(lowest) + 2 * half_m) * (1 + _SLACK) + _SLACK_M
    limit *= limit
    m = 0
    for s in range(n):
        if squared[s] <= limit:
            kept[0, m], kept[1, m], kept[2, m] = start_e[s], start_n[s], d_e[s]
            kept[3, m], kept[4, m], kept_numbers[m] = d_n[s], inverse[s], numbers[s]
            m += 1
    return m


@njit(nogil=True, error_model="numpy")
def _place(
    eastings: FloatArray, northings: FloatArray, east: FloatArray, north: FloatArray
) -> None:
    """Lay out the cells of a small square in a row; the first stands for those it lacks."""
    k = 0
    for northing in northings:
        for easting in eastings:
            east[k], north[k] = easting, northing
            k += 1
    for rest in range(k, _CELLS):
        east[rest], north[rest] = east[0], north[0]


@njit(nogil=True, error_model="numpy")
def _measure(
    segments: FloatArray,
    numbers: IndexArray,
    n: int,
    east: FloatArray,
    north: FloatArray,
    best: FloatArray,
    who: IndexArray,
) -> None:
    """Keep each cell's least squared distance and its segment, in the order of the segments."""
    best[:] = np.inf
    who[:] = -1
    for s in range(n):
        start_e, start_n = segments[0, s], segments[1, s]
        d_e, d_n, inverse, number = segments[2, s], segments[3, s], segments[4, s], numbers[s]
        for k in range(_CELLS):
            d2 = squared_distance(start_e, start_n, d_e, d_n, inverse, east[k], north[k])
            closer = d2 < best[k]
            best[k] = d2 if closer else best[k]
            who[k] = number if closer else who[k]


@njit(nogil=True, error_model="numpy")
def _measure_only(
    segments: FloatArray, n: int, east: FloatArray, north: FloatArray, best: FloatArray
) -> None:
    """Keep each cell's least squared distance."""
    best[:] = np.inf
    for s in range(n):
        start_e, start_n = segments[0, s], segments[1, s]
        d_e, d_n, inverse = segments[2, s], segments[3, s], segments[4, s]
        for k in range(_CELLS):
            d2 = squared_distance(start_e, start_n, d_e, d_n, inverse, east[k], north[k])
            best[k] = d2 if d2 < best[k] else best[k]
