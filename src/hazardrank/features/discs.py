"""Amounts per km² in discs around cells, counting only what lies inside the region.

Line length is split exactly over the cells it crosses and kept in whole millimetres, so
that sums over discs are sums of integers and no tiling changes a bit.

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

from hazardrank.features.focal import Disc, discs_of, widest
from hazardrank.features.segments import FloatArray, Segments
from hazardrank.grid import SurveyGrid
from hazardrank.sources.layers import LayerReader

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


def length_of_cells(grid: SurveyGrid, segments: Segments) -> NDArray[np.int64]:
    """Return the length of line in each cell.

    Returns
    -------
    ndarray of int64, shape (rows, cols)
        Millimetres. What runs along a cell's border counts in the cell east or south
        of it, as :meth:`SurveyGrid.cells_of` has it.
    """
    length_m = np.zeros(grid.shape)
    _add_lengths(segments.ends, grid.west_cell, grid.north_cell, grid.cell_size_m, length_m)
    return np.rint(length_m * _MM_PER_M).astype(np.int64)


def points_of_cells(
    grid: SurveyGrid, easting: FloatArray, northing: FloatArray
) -> NDArray[np.int64]:
    """Return the number of points in each cell, int64 of shape (rows, cols)."""
    rows, cols = grid.cells_of(easting, northing)
    here = (rows >= 0) & (rows < grid.n_rows) & (cols >= 0) & (cols < grid.n_cols)
    cell = rows[here] * grid.n_cols + cols[here]
    return np.bincount(cell, minlength=grid.n_cells).reshape(grid.shape).astype(np.int64)


def km_per_km2(
    length_mm: NDArray[np.int64],
    inside: NDArray[np.bool_],
    grid: SurveyGrid,
    radii_m: Sequence[int],
) -> NDArray[np.float32]:
    """Return km of line per km² of the part of each disc that lies inside the region.

    Parameters
    ----------
    length_mm, inside : ndarray, shape of :func:`counting_grid`
        Millimetres of line in each cell, and which cells count.
    grid : SurveyGrid
        The block.
    radii_m : sequence of int
        Radii in metres.

    Returns
    -------
    ndarray of float32, shape (n_radii, rows, cols)
        NaN where no cell of the disc lies inside the region.
    """
    return _per_km2(length_mm, inside, grid, radii_m, 1.0 / _MM_PER_KM)


def count_per_km2(
    count: NDArray[np.int64], inside: NDArray[np.bool_], grid: SurveyGrid, radii_m: Sequence[int]
) -> NDArray[np.float32]:
    """Return points per km² of the part of each disc inside the region; see `km_per_km2`."""
    return _per_km2(count, inside, grid, radii_m, 1.0)


def _per_km2(
    amount: NDArray[np.int64],
    inside: NDArray[np.bool_],
    grid: SurveyGrid,
    radii_m: Sequence[int],
    unit: float,
) -> NDArray[np.float32]:
    discs = discs_of(radii_m, grid.cell_size_m)
    halo = widest(discs)
    amounts = _running_sums(np.where(inside, amount, 0))
    cells = _running_sums(inside.astype(np.int64))
    result = np.full((len(discs), *grid.shape), np.nan, np.float32)
    for number, disc in enumerate(discs):
        total, n_cells = _disc_sums(amounts, disc, halo), _disc_sums(cells, disc, halo)
        area_km2 = n_cells * (grid.cell_area_m2 / _M2_PER_KM2)
        some = n_cells > 0
        result[number][some] = total[some] * unit / area_km2[some]
    return result


def _running_sums(values: NDArray[np.int64]) -> NDArray[np.int64]:
    sums = np.zeros((values.shape[0], values.shape[1] + 1), np.int64)
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _disc_sums(sums: NDArray[np.int64], disc: Disc, halo: int) -> NDArray[np.int64]:
    return _chords(sums, np.array(disc.half_widths, np.int64), halo)


@njit(cache=True, nogil=True)
def _chords(
    sums: NDArray[np.int64], half_widths: NDArray[np.int64], halo: int
) -> NDArray[np.int64]:
    """Return disc sums from running sums along rows; int64, so exact."""
    n_rows, n_cols = sums.shape[0] - 2 * halo, sums.shape[1] - 1 - 2 * halo
    radius = len(half_widths) // 2
    total = np.zeros((n_rows, n_cols), np.int64)
    for row in range(n_rows):
        for step in range(len(half_widths)):
            chords = sums[row + halo - radius + step]
            left = chords[halo - half_widths[step] :]
            right = chords[halo + half_widths[step] + 1 :]
            out = total[row]
            for col in range(n_cols):
                out[col] += right[col] - left[col]
    return total


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
