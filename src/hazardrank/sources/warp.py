"""Kernels that bring pixels of a raster onto cells: nearest, bilinear, average.

Where a cell lies in the raster comes from a net of nodes (:mod:`.lattice`), between which
places are interpolated. Every value is a float64 expression of the cell's own place and of
the pixels around it: the same to the bit whatever the block.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Places nearer than this to a pixel's edge lie on it (in pixels): far above rounding.
TIE = 1e-6
#: Places farther than this are nowhere (in pixels).
_FAR = 1e9


@njit(cache=True, nogil=True, error_model="numpy")
def _beside(place: float, reference: float, period: int) -> float:
    """Return the place once around the world from `place` that is next to the reference."""
    if period > 0:
        if place - reference > period / 2:
            return place - period
        if reference - place > period / 2:
            return place + period
    return place


@njit(cache=True, nogil=True, error_model="numpy")
def _locate_row(
    across: Floats,
    down: Floats,
    shift: int,
    period: int,
    south: int,
    east: int,
    place: Floats,
) -> None:
    """Fill `place` (column, row, width, height; each of shape (n_cols,)) for a row of cells.

    Parameters
    ----------
    across, down : ndarray of float64, shape (node rows, node columns)
        Column and row in the raster of nodes that are ``2**shift`` cells apart.
    period : int
        Columns once around the world, 0 if the raster does not close.
    south, east : int
        Cells between the first node and the first cell of the row.
    place : ndarray of float64, shape (4, n_cols)
        Column and row of the centres, and the cells' extent along columns and rows, in
        pixels. NaN where the cell has no place in the raster's CRS.
    """
    side = 1 << shift
    node_row = south >> shift
    share_south = ((south & (side - 1)) + 0.5) / side
    n_cols = place.shape[1]
    col = 0
    while col < n_cols:
        node_col = (east + col) >> shift
        first = (node_col << shift) - east
        stop = min(n_cols, first + side)
        nw = across[node_row, node_col]
        ne = _beside(across[node_row, node_col + 1], nw, period)
        sw = _beside(across[node_row + 1, node_col], nw, period)
        se = _beside(across[node_row + 1, node_col + 1], nw, period)
        top_nw, top_ne = down[node_row, node_col], down[node_row, node_col + 1]
        top_sw, top_se = down[node_row + 1, node_col], down[node_row + 1, node_col + 1]
        west, far_east = nw + share_south * (sw - nw), ne + share_south * (se - ne)
        left = top_nw + share_south * (top_sw - top_nw)
        right = top_ne + share_south * (top_se - top_ne)
        width = math.hypot(ne - nw, sw - nw) / side
        height = math.hypot(top_ne - top_nw, top_sw - top_nw) / side
        for k in range(col, stop):
            share_east = (k - first + 0.5) / side
            place[0, k] = west + share_east * (far_east - west)
            place[1, k] = left + share_east * (right - left)
            place[2, k] = width
            place[3, k] = height
        col = stop


@njit(cache=True, nogil=True, error_model="numpy")
def _somewhere(place: Floats, col: int) -> bool:
    near: bool = abs(place[0, col]) < _FAR and abs(place[1, col]) < _FAR
    return near


@njit(cache=True, nogil=True, error_model="numpy")
def _around(col: int, period: int) -> int:
    """Return the column once around the world that lies in the raster's first turn."""
    if period > 0:
        while col < 0:
            col += period
        while col >= period:
            col -= period
    return col


@njit(cache=True, nogil=True, error_model="numpy")
def nearest(
    pixels: NDArray[Any],
    top: int,
    left: int,
    across: Floats,
    down: Floats,
    shift: int,
    period: int,
    south: int,
    east: int,
    missing: Any,
    out: NDArray[Any],
) -> None:
    """Fill `out` with the pixel each cell's centre lies in, `missing` outside of the raster.

    Parameters
    ----------
    pixels : ndarray, shape (pixel rows, pixel columns)
        A window of the raster that holds all pixels needed.
    top, left : int
        Row and column of its first pixel in the raster.
    across, down, shift, period, south, east
        Where the cells lie, see :func:`_locate_row`.
    out : ndarray, shape (rows, cols)
        Of the type of `pixels`.
    """
    n_rows, n_cols = pixels.shape
    place = np.empty((4, out.shape[1]))
    at = np.empty(out.shape[1], np.int64)
    flat = pixels.reshape(-1)
    for row in range(out.shape[0]):
        _locate_row(across, down, shift, period, south + row, east, place)
        if period > 0:
            _turn_row(place, period)
        _pixels_of_row(place, top, left, n_rows, n_cols, at)
        for col in range(out.shape[1]):
            out[row, col] = flat[at[col]] if at[col] >= 0 else missing


@njit(cache=True, nogil=True, error_model="numpy")
def _turn_row(place: Floats, period: int) -> None:
    """Take the columns of a row once around the world into the raster's first turn."""
    for col in range(place.shape[1]):
        if place[0, col] + TIE < 0.0:
            place[0, col] += period
        elif place[0, col] + TIE >= period:
            place[0, col] -= period


@njit(cache=True, nogil=True, error_model="numpy")
def _pixels_of_row(
    place: Floats, top: int, left: int, n_rows: int, n_cols: int, at: NDArray[np.int64]
) -> None:
    """Fill `at` with the pixel of each cell of a row, counted through the window; -1 outside.

    Written without branches, so that the loop becomes vector instructions.
    """
    for col in range(place.shape[1]):
        line = np.floor(place[1, col] + TIE) - top
        column = np.floor(place[0, col] + TIE) - left
        inside = (line >= 0.0) & (line < n_rows) & (column >= 0.0) & (column < n_cols)
        at[col] = np.int64(line * n_cols + column if inside else -1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _on_edge(place: float) -> float:
    """Return the nearest whole number where `place` is within :data:`TIE` of it."""
    whole = math.floor(place + 0.5)
    return whole if abs(place - whole) < TIE else place


@njit(cache=True, nogil=True, error_model="numpy")
def average(
    pixels: NDArray[Any],
    top: int,
    left: int,
    across: Floats,
    down: Floats,
    shift: int,
    period: int,
    south: int,
    east: int,
    out: NDArray[np.float64],
) -> None:
    """Fill `out` with the mean of the pixels under each cell, by the area they share.

    The cell counts as a rectangle along the raster's rows and columns, of the cell's size
    and around its centre. Missing pixels (NaN) are left out; NaN where there is none.
    Parameters as for :func:`nearest`.
    """
    n_rows, n_cols = pixels.shape
    place = np.empty((4, out.shape[1]))
    for row in range(out.shape[0]):
        _locate_row(across, down, shift, period, south + row, east, place)
        for col in range(out.shape[1]):
            out[row, col] = np.nan
            if not _somewhere(place, col):
                continue
            west = _on_edge(place[0, col] - place[2, col] / 2)
            far_east = _on_edge(place[0, col] + place[2, col] / 2)
            north = _on_edge(place[1, col] - place[3, col] / 2)
            far_south = _on_edge(place[1, col] + place[3, col] / 2)
            total = 0.0
            weight = 0.0
            for at_row in range(math.floor(north), math.ceil(far_south)):
                if not 0 <= at_row - top < n_rows:
                    continue
                tall = min(at_row + 1.0, far_south) - max(float(at_row), north)
                for at_col in range(math.floor(west), math.ceil(far_east)):
                    from_left = _around(at_col, period) - left
                    if not 0 <= from_left < n_cols:
                        continue
                    value = np.float64(pixels[at_row - top, from_left])
                    if value == value:
                        wide = min(at_col + 1.0, far_east) - max(float(at_col), west)
                        total += tall * wide * value
                        weight += tall * wide
            if weight > 0.0:
                out[row, col] = total / weight


@njit(cache=True, nogil=True, error_model="numpy")
def bilinear(
    pixels: NDArray[Any],
    top: int,
    left: int,
    across: Floats,
    down: Floats,
    shift: int,
    period: int,
    south: int,
    east: int,
    out: NDArray[np.float64],
) -> None:
    """Fill `out` with values interpolated between pixel centres.

    Weights fall linearly to nothing at one pixel from the cell's centre, or at one cell
    where pixels are finer. Missing pixels (NaN) are left out; NaN where the centre lies
    outside of the raster or in a missing pixel. Parameters as for :func:`nearest`.
    """
    n_rows, n_cols = pixels.shape
    place = np.empty((4, out.shape[1]))
    for row in range(out.shape[0]):
        _locate_row(across, down, shift, period, south + row, east, place)
        for col in range(out.shape[1]):
            out[row, col] = np.nan
            if not _somewhere(place, col):
                continue
            middle_col, middle_row = place[0, col], place[1, col]
            own_col = _around(math.floor(middle_col + TIE), period) - left
            own_row = math.floor(middle_row + TIE) - top
            if not (0 <= own_row < n_rows and 0 <= own_col < n_cols):
                continue
            if pixels[own_row, own_col] != pixels[own_row, own_col]:
                continue
            wide = place[2, col] if place[2, col] > 1.0 + TIE else 1.0
            tall = place[3, col] if place[3, col] > 1.0 + TIE else 1.0
            total = 0.0
            weight = 0.0
            first_row = math.floor(middle_row - 0.5 - tall) + 1
            first_col = math.floor(middle_col - 0.5 - wide) + 1
            for at_row in range(first_row, math.ceil(middle_row - 0.5 + tall)):
                if not 0 <= at_row - top < n_rows:
                    continue
                share_row = 1.0 - abs(at_row + 0.5 - middle_row) / tall
                for at_col in range(first_col, math.ceil(middle_col - 0.5 + wide)):
                    from_left = _around(at_col, period) - left
                    if not 0 <= from_left < n_cols:
                        continue
                    value = np.float64(pixels[at_row - top, from_left])
                    if value == value:
                        share = share_row * (1.0 - abs(at_col + 0.5 - middle_col) / wide)
                        total += share * value
                        weight += share
            if weight > 0.0:
                out[row, col] = total / weight
