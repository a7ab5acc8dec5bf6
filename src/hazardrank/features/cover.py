"""Which cell centres lie in a polygon, and which segments touch a cell's square.

Both work on cells gathered in rows, so that a polygon meets only the rows it spans and
a segment only the cells it passes. Every test is a float64 expression of the geometry
and the cell alone: the same whatever the block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.segments import FloatArray, IndexArray, Segments
from hazardrank.grid import SurveyGrid

#: A segment this near to a cell's square touches it: far above rounding, in metres.
TOUCH_M = 1e-6


@dataclass(frozen=True)
class CellRows:
    """Cell centres gathered in rows from south to north, west to east within a row.

    Parameters
    ----------
    order : ndarray of int64, shape (n_cells,)
        Position, in the caller's order, of each cell here.
    easting : ndarray of float64, shape (n_cells,)
        Eastings of the cell centres in metres.
    first : ndarray of int64, shape (n_rows + 1,)
        Where each row's cells start.
    south_row : int
        Number of the first row, counted in cells from the CRS origin.
    cell_size_m : float
        Side of the cells.
    """

    order: IndexArray
    easting: FloatArray
    first: IndexArray
    south_row: int
    cell_size_m: float


def rows_of_grid(grid: SurveyGrid) -> CellRows:
    """Gather the cells of a block; the caller's order is row by row from the north."""
    order = np.arange(grid.n_cells).reshape(grid.shape)[::-1].ravel()
    first = np.arange(grid.n_rows + 1, dtype=np.int64) * grid.n_cols
    south_row = grid.north_cell - grid.n_rows
    easting = np.tile(grid.eastings(), grid.n_rows)
    return CellRows(order, easting, first, south_row, float(grid.cell_size_m))


def rows_of_points(easting: FloatArray, northing: FloatArray, cell_size_m: float) -> CellRows:
    """Gather cells that lie anywhere on the grid of `cell_size_m`, in any order."""
    row = np.floor(northing / cell_size_m).astype(np.int64)
    south_row = int(row.min(initial=np.iinfo(np.int64).max)) if len(row) else 0
    order = np.lexsort((easting, row))
    count = np.bincount(row - south_row)
    first = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    return CellRows(order, easting[order], first, south_row, float(cell_size_m))


def cells_inside(cells: CellRows, rings: Segments) -> tuple[IndexArray, IndexArray]:
    """Return the pairs of cell and polygon such that the cell's centre lies inside.

    Parameters
    ----------
    cells : CellRows
        The cells.
    rings : Segments
        Segments of valid polygons; other features are inside of nothing.

    Returns
    -------
    cell, feature : ndarray of int64, shape (n_pairs,)
        Positions in the caller's order of cells, and features of `rings`. A centre
        exactly on an edge may fall on either side (even-odd rule, Shimrat 1962).
    """
    bounds = np.flatnonzero(np.diff(rings.feature, prepend=-1, append=-1))
    cell, start = _inside(
        cells.easting, cells.first, cells.south_row, cells.cell_size_m, rings.ends, bounds
    ).T
    return cells.order[cell], rings.feature[start]


def inside_of_block(grid: SurveyGrid, rings: Segments) -> NDArray[np.bool_]:
    """Return which cells of a block have their centre inside some polygon, (rows, cols).

    The same as :func:`cells_inside` of its cells, without listing pairs.
    """
    inside = np.zeros(grid.shape, np.bool_)
    bounds = np.flatnonzero(np.diff(rings.feature, prepend=-1, append=-1))
    south_row, cell_size_m = grid.north_cell - grid.n_rows, float(grid.cell_size_m)
    _mark_inside(grid.eastings(), south_row, cell_size_m, rings.ends, bounds, inside)
    return inside


def cells_touched(cells: CellRows, segments: Segments) -> tuple[IndexArray, IndexArray]:
    """Return the pairs of cell and segment such that the segment touches the cell's square.

    Returns
    -------
    cell, segment : ndarray of int64, shape (n_pairs,)
        Positions in the caller's order of cells, and segment numbers. Touching a side
        or corner counts, within :data:`TOUCH_M`.
    """
    cell, segment = _touched(
        cells.easting, cells.first, cells.south_row, cells.cell_size_m, segments.ends
    ).T
    return cells.order[cell], segment


@njit(cache=True, nogil=True)
def _with_room(pairs: IndexArray, n: int) -> IndexArray:
    """Return `pairs`, or a longer copy, with room for one more than `n`."""
    if n < len(pairs):
        return pairs
    longer = np.empty((2 * n + 64, 2), np.int64)
    for k in range(n):
        longer[k, 0], longer[k, 1] = pairs[k, 0], pairs[k, 1]
    return longer


@njit(cache=True, nogil=True)
def _first_from(easting: FloatArray, low: int, high: int, west: float) -> int:
    """Return the first of the cells low…high whose easting is at least `west`."""
    while low < high:
        middle = (low + high) // 2
        if easting[middle] < west:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _sort(values: FloatArray, a: int, b: int) -> None:
    """Sort the few values a…b in place, by insertion."""
    for k in range(a + 1, b):
        value = values[k]
        j = k
        while j > a and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@njit(cache=True, nogil=True)
def _inside(
    easting: FloatArray,
    row_first: IndexArray,
    south_row: int,
    cell_size_m: float,
    ends: FloatArray,
    bounds: IndexArray,
) -> IndexArray:
    n_rows = len(row_first) - 1
    pairs = np.empty((64, 2), np.int64)
    n = 0
    crossing_first = np.empty(n_rows + 1, np.int64)
    for p in range(len(bounds) - 1):
        ring = ends[bounds[p] : bounds[p + 1]]
        lowest, highest = _row_span(ring, south_row, n_rows, cell_size_m)
        if lowest > highest:
            continue
        crossings = _crossings(ring, south_row, cell_size_m, lowest, highest, crossing_first)
        for row in range(lowest, highest + 1):
            a, b = crossing_first[row - lowest], crossing_first[row - lowest + 1]
            _sort(crossings, a, b)
            stop = row_first[row + 1]
            cell = row_first[row]
            for k in range(a, b - 1, 2):
                cell = _first_from(easting, cell, stop, crossings[k])
                while cell < stop and easting[cell] < crossings[k + 1]:
                    pairs = _with_room(pairs, n)
                    pairs[n, 0], pairs[n, 1] = cell, bounds[p]
                    n += 1
                    cell += 1
    return pairs[:n]


@njit(cache=True, nogil=True)
def _mark_inside(
    eastings: FloatArray,
    south_row: int,
    cell_size_m: float,
    ends: FloatArray,
    bounds: IndexArray,
    inside: NDArray[np.bool_],
) -> None:
    """Mark the cells of a block between a ring's crossings of their row; row 0 is north."""
    n_rows, n_cols = inside.shape
    crossing_first = np.empty(n_rows + 1, np.int64)
    for p in range(len(bounds) - 1):
        ring = ends[bounds[p] : bounds[p + 1]]
        if not _meets_columns(ring, eastings):
            continue
        lowest, highest = _row_span(ring, south_row, n_rows, cell_size_m)
        if lowest > highest:
            continue
        crossings = _crossings(ring, south_row, cell_size_m, lowest, highest, crossing_first)
        for row in range(lowest, highest + 1):
            a, b = crossing_first[row - lowest], crossing_first[row - lowest + 1]
            _sort(crossings, a, b)
            marked = inside[n_rows - 1 - row]
            for k in range(a, b - 1, 2):
                first = _first_from(eastings, 0, n_cols, crossings[k])
                marked[first : _first_from(eastings, first, n_cols, crossings[k + 1])] = True


@njit(cache=True, nogil=True)
def _meets_columns(ring: FloatArray, eastings: FloatArray) -> bool:
    """Return whether the ring's bounds reach the columns."""
    low, high = np.inf, -np.inf
    for s in range(len(ring)):
        low = min(low, ring[s, 0], ring[s, 2])
        high = max(high, ring[s, 0], ring[s, 2])
    meets: bool = low <= eastings[-1] and high >= eastings[0]
    return meets


@njit(cache=True, nogil=True)
def _row_span(ends: FloatArray, south_row: int, n_rows: int, cell_size_m: float) -> tuple[int, int]:
    """Return the first and last of the rows that the segments may reach."""
    low, high = np.inf, -np.inf
    for s in range(len(ends)):
        low = min(low, ends[s, 1], ends[s, 3])
        high = max(high, ends[s, 1], ends[s, 3])
    lowest = int(np.floor(low / cell_size_m)) - south_row - 1
    highest = int(np.floor(high / cell_size_m)) - south_row + 1
    return max(lowest, 0), min(highest, n_rows - 1)


@njit(cache=True, nogil=True)
def _crossings(
    ring: FloatArray,
    south_row: int,
    cell_size_m: float,
    lowest: int,
    highest: int,
    first: IndexArray,
) -> FloatArray:
    """Return the eastings at which the ring crosses each row's centre line, row by row."""
    first[: highest - lowest + 2] = 0
    crossings = np.empty(0)
    for filling in (False, True):
        for s in range(len(ring)):
            start_n, end_n = ring[s, 1], ring[s, 3]
            a, b = _row_span(ring[s : s + 1], south_row, highest + 1, cell_size_m)
            for row in range(max(a, lowest), b + 1):
                northing = (south_row + row + 0.5) * cell_size_m
                if (start_n <= northing) == (end_n <= northing):
                    continue
                if filling:
                    slope = (ring[s, 2] - ring[s, 0]) / (end_n - start_n)
                    crossings[first[row - lowest]] = ring[s, 0] + (northing - start_n) * slope
                first[row - lowest] += 1
        if not filling:
            total = 0
            for k in range(highest - lowest + 2):
                count = first[k]
                first[k] = total
                total += count
            crossings = np.empty(total)
    for k in range(highest - lowest + 1, 0, -1):
        first[k] = first[k - 1]
    first[0] = 0
    return crossings


@njit(cache=True, nogil=True)
def _touched(
    easting: FloatArray,
    row_first: IndexArray,
    south_row: int,
    cell_size_m: float,
    ends: FloatArray,
) -> IndexArray:
    n_rows = len(row_first) - 1
    reach = cell_size_m / 2 + TOUCH_M
    pairs = np.empty((64, 2), np.int64)
    n = 0
    for s in range(len(ends)):
        start_e, start_n, end_e, end_n = ends[s, 0], ends[s, 1], ends[s, 2], ends[s, 3]
        low, high = min(start_n, end_n), max(start_n, end_n)
        lowest, highest = _row_span(ends[s : s + 1], south_row, n_rows, cell_size_m)
        for row in range(lowest, highest + 1):
            northing = (south_row + row + 0.5) * cell_size_m
            south, north = northing - reach, northing + reach
            if high < south or low > north:
                continue
            west, east = min(start_e, end_e), max(start_e, end_e)
            if start_n != end_n:
                slope = (end_e - start_e) / (end_n - start_n)
                at_south = start_e + (max(south, low) - start_n) * slope
                at_north = start_e + (min(north, high) - start_n) * slope
                west = max(west, min(at_south, at_north))
                east = min(east, max(at_south, at_north))
            stop = row_first[row + 1]
            cell = _first_from(easting, row_first[row], stop, west - reach)
            while cell < stop and easting[cell] <= east + reach:
                pairs = _with_room(pairs, n)
                pairs[n, 0], pairs[n, 1] = cell, s
                n += 1
                cell += 1
    return pairs[:n]
