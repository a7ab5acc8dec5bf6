"""Amounts per km² in discs around cells, counting only what lies inside the region.

Line length is split exactly over the cells it crosses and counted in whole millimetres,
so that sums over discs are sums of integers and no tiling changes a bit.

How exact: a disc of radius *r* holds the cells whose centre lies within *r*. What a cell
holds counts whole or not at all, so it is counted exactly for a radius between
``r - 0.71`` and ``r + 0.71`` cells; numerator and area use the same cells, which keeps a
uniform density exact. The length of each cell is rounded to 0.5 mm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.focal import discs_of, widest
from hazardrank.features.segments import FloatArray, Segments
from hazardrank.grid import SurveyGrid
from hazardrank.sources.layers import LayerReader

RunningSums = NDArray[np.uint32] | NDArray[np.int64]

_UINT32 = 2**32
_MM_PER_M = 1000.0
_M2_PER_KM2 = 1e6
_MM_PER_KM = 1e6


def halo_m(radii_m: Sequence[int]) -> float:
    """Return how far around a block the discs read, in metres."""
    return float(max(radii_m, default=0))


def counting_grid(grid: SurveyGrid, radii_m: Sequence[int]) -> SurveyGrid:
    """Return the block with the halo that the discs need."""
    return grid.expanded(widest(discs_of(radii_m, grid.cell_size_m)))


def inside_region(outer: SurveyGrid, layers: LayerReader) -> NDArray[np.bool_]:
    """Return which cells lie in the region's grid and area of interest, (rows, cols)."""
    row, col = outer.offset_in(layers.grid)
    rows, cols = np.arange(outer.n_rows) + row, np.arange(outer.n_cols) + col
    in_grid = ((rows >= 0) & (rows < layers.grid.n_rows))[:, None]
    in_grid = in_grid & ((cols >= 0) & (cols < layers.grid.n_cols))
    return in_grid & layers.inside(outer)


def length_of_cells(grid: SurveyGrid, segments: Segments) -> FloatArray:
    """Return the length of line in each cell.

    Returns
    -------
    ndarray of float64, shape (rows, cols)
        Metres. What runs along a cell's border counts in the cell east or south of it, as
        :meth:`SurveyGrid.cells_of` has it.
    """
    length_m = np.zeros(grid.shape)
    _add_lengths(segments.ends, grid.west_cell, grid.north_cell, grid.cell_size_m, length_m)
    return length_m


def points_of_cells(
    grid: SurveyGrid, easting: FloatArray, northing: FloatArray
) -> NDArray[np.int64]:
    """Return the number of points in each cell, int64 of shape (rows, cols)."""
    rows, cols = grid.cells_of(easting, northing)
    here = (rows >= 0) & (rows < grid.n_rows) & (cols >= 0) & (cols < grid.n_cols)
    cell = rows[here] * grid.n_cols + cols[here]
    return np.bincount(cell, minlength=grid.n_cells).reshape(grid.shape)


def fill_length_per_km2(
    length_m: FloatArray,
    inside: NDArray[np.bool_],
    grid: SurveyGrid,
    radii_m: Sequence[int],
    result: NDArray[np.float32],
) -> None:
    """Write km of line per km² of the part of each disc that lies inside the region.

    Parameters
    ----------
    length_m : ndarray of float64, shape of :func:`counting_grid`
        Metres of line in each cell.
    inside : ndarray of bool, same shape
        Which cells count.
    grid : SurveyGrid
        The block.
    radii_m : sequence of int
        Radii in metres.
    result : ndarray of float32, shape (n_radii, rows, cols)
        Filled in; NaN where no cell of the disc lies inside the region.
    """
    _fill_per_km2(length_m, inside, grid, radii_m, result, _MM_PER_M, 1.0 / _MM_PER_KM)


def fill_count_per_km2(
    count: NDArray[np.int64],
    inside: NDArray[np.bool_],
    grid: SurveyGrid,
    radii_m: Sequence[int],
    result: NDArray[np.float32],
) -> None:
    """Write points per km² of the part of each disc that lies inside the region.

    Parameters as of :func:`fill_length_per_km2`.
    """
    _fill_per_km2(count, inside, grid, radii_m, result, 1.0, 1.0)


def _fill_per_km2(
    amount: NDArray[np.float64 | np.int64],
    inside: NDArray[np.bool_],
    grid: SurveyGrid,
    radii_m: Sequence[int],
    result: NDArray[np.float32],
    wholes: float,
    unit: float,
) -> None:
    discs = discs_of(radii_m, grid.cell_size_m)
    halo, complete = widest(discs), bool(inside.all())
    amounts = _running_sums(amount, inside, complete, wholes, 2 * halo + 1)
    cells: RunningSums = np.empty((0, 0), np.uint32)
    if not complete:
        cells = _running_sums(inside, inside, complete, 1.0, 1)
    for number, disc in enumerate(discs):
        _disc_densities(
            amounts,
            cells,
            np.array(disc.half_widths, np.int64),
            halo,
            unit,
            grid.cell_area_m2 / _M2_PER_KM2,
            result[number],
        )


def _running_sums(
    amount: NDArray[np.float64 | np.int64 | np.bool_],
    inside: NDArray[np.bool_],
    complete: bool,
    wholes: float,
    n_rows: int,
) -> RunningSums:
    """Return sums along rows of amounts in whole units, shape (rows, cols + 1).

    In uint32, which is quicker, if the sum over any `n_rows` rows together fits in it, and
    so the sum over any disc in them: a running sum may wrap around then, the difference
    of two does not.
    """
    n_whole = np.zeros(len(amount) + 1, np.int64)
    sums: RunningSums = np.empty((amount.shape[0], amount.shape[1] + 1), np.uint32)
    _add_up(amount, inside, complete, wholes, sums, n_whole[1:])
    rows = np.cumsum(n_whole)
    n_rows = min(n_rows, len(amount))
    if (rows[n_rows:] - rows[: len(rows) - n_rows]).max() >= _UINT32:
        sums = np.empty(sums.shape, np.int64)
        _add_up(amount, inside, complete, wholes, sums, n_whole[1:])
    return sums


@njit(cache=True, nogil=True)
def _add_up(
    amount: NDArray[np.float64 | np.int64 | np.bool_],
    inside: NDArray[np.bool_],
    complete: bool,
    wholes: float,
    sums: RunningSums,
    totals: NDArray[np.int64],
) -> None:
    for row in range(len(amount)):
        total = np.int64(0)
        sums[row, 0] = 0
        for col in range(amount.shape[1]):
            if complete or inside[row, col]:
                total += np.int64(np.rint(amount[row, col] * wholes))
            sums[row, col + 1] = total
        totals[row] = total


@njit(cache=True, nogil=True, error_model="numpy")
def _disc_densities(
    amounts: RunningSums,
    cells: RunningSums,
    half_widths: NDArray[np.int64],
    halo: int,
    unit: float,
    cell_area_km2: float,
    result: NDArray[np.float32],
) -> None:
    """Write the density in each disc; `cells` is empty if all lie inside the region."""
    n_cols = result.shape[1]
    total, n_cells = np.empty(n_cols, amounts.dtype), np.empty(n_cols, cells.dtype)
    n_cells[:] = 2 * half_widths.sum() + len(half_widths)
    for row in range(len(result)):
        _disc_sums(amounts, row, half_widths, halo, total)
        if len(cells):
            _disc_sums(cells, row, half_widths, halo, n_cells)
        density = result[row]
        for col in range(n_cols):
            amount = np.float64(total[col]) * unit / (np.float64(n_cells[col]) * cell_area_km2)
            density[col] = amount if n_cells[col] > 0 else np.nan


@njit(cache=True, nogil=True)
def _disc_sums(
    sums: RunningSums, row: int, half_widths: NDArray[np.int64], halo: int, total: RunningSums
) -> None:
    """Fill `total` with the sums over the discs around one row of the block, chord by chord."""
    first = row + halo - len(half_widths) // 2
    total[:] = 0
    for step in range(len(half_widths)):
        chords = sums[first + step]
        west = chords[halo - half_widths[step] :]
        east = chords[halo + half_widths[step] + 1 :]
        for col in range(len(total)):
            total[col] += east[col] - west[col]


@njit(cache=True, nogil=True)
def _span(a: float, b: float, low: float, high: float) -> tuple[float, float]:
    """Return between which shares of the way from `a` to `b` one is between low and high."""
    if a == b:
        return (0.0, 1.0) if low <= a < high else (1.0, 0.0)
    to_low, to_high = (low - a) / (b - a), (high - a) / (b - a)
    return max(0.0, min(to_low, to_high)), min(1.0, max(to_low, to_high))


@njit(cache=True, nogil=True)
def _add_lengths(
    ends: FloatArray, west_cell: int, north_cell: int, cell_size_m: int, length_m: FloatArray
) -> None:
    """Add each segment's length in each cell: clipped to columns, then to rows.

    What a cell gets depends on the segment and the cell's edges alone, in the order of
    the segments. Southings are used instead of northings, so that a cell owns its upper
    and left edge.
    """
    n_rows, n_cols = length_m.shape
    for s in range(len(ends)):
        start_e, start_s = ends[s, 0], -ends[s, 1]
        end_e, end_s = ends[s, 2], -ends[s, 3]
        segment_m = np.hypot(end_e - start_e, end_s - start_s)
        first = int(np.floor(min(start_e, end_e) / cell_size_m)) - west_cell
        last = int(np.floor(max(start_e, end_e) / cell_size_m)) - west_cell
        for col in range(max(first, 0), min(last, n_cols - 1) + 1):
            west = float((west_cell + col) * cell_size_m)
            enter, leave = _span(start_e, end_e, west, west + cell_size_m)
            if leave < enter:
                continue
            here, there = start_s + enter * (end_s - start_s), start_s + leave * (end_s - start_s)
            top = int(np.floor(min(here, there) / cell_size_m)) + north_cell - 1
            bottom = int(np.floor(max(here, there) / cell_size_m)) + north_cell + 1
            for row in range(max(top, 0), min(bottom, n_rows - 1) + 1):
                north = float((row - north_cell) * cell_size_m)
                low, high = _span(start_s, end_s, north, north + cell_size_m)
                share = min(leave, high) - max(enter, low)
                if share > 0:
                    length_m[row, col] += share * segment_m
