"""Exact distance from cell centres to the nearest segment, in float64.

The distance is that of shapely (GEOS) to rounding (tested to 1e-6 m), capped, and the
same to the bit whatever the block: it is the minimum, over all segments that can be
nearest (:mod:`hazardrank.features.candidates`), of one float64 expression of absolute
coordinates. Equal distances go to the segment that comes first in the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.candidates import (
    Candidates,
    Exclusions,
    candidates,
    is_excluded,
    squared_distance,
)
from hazardrank.features.segments import FloatArray, IndexArray, Segments
from hazardrank.features.tiles import (
    TILE_SIZE,
    CellTiles,
    TileCells,
    cell_at,
    fill_tile,
    load_tile,
    store_tile,
    tiles_of_grid,
)
from hazardrank.grid import SurveyGrid


@dataclass(frozen=True)
class Nearest:
    """The nearest segment of each cell.

    Parameters
    ----------
    distance_m : ndarray of float64, shape (n_cells,)
        Distance in metres, the cap where nothing lies within it.
    segment : ndarray of int32, shape (n_cells,)
        Number of the nearest segment, -1 where nothing lies within the cap.
    """

    distance_m: FloatArray
    segment: NDArray[np.int32]


def nearest_segments(
    tiles: CellTiles, segments: Segments, cap_m: float, exclusions: Exclusions | None = None
) -> Nearest:
    """Return each cell's distance to the nearest segment, and which one that is.

    Parameters
    ----------
    tiles : CellTiles
        The cells.
    segments : Segments
        All segments within `cap_m` of any of the cells; more do no harm.
    cap_m : float
        Largest distance reported.
    exclusions : Exclusions, optional
        Owners whose segments a cell leaves out.

    Returns
    -------
    Nearest
        In the caller's order of cells. Ties go to the lowest segment number.
    """
    distance_m, segment = np.empty(len(tiles)), np.empty(len(tiles), np.int32)
    fill_nearest(tiles, segments, cap_m, distance_m, segment, exclusions)
    return Nearest(distance_m, segment)


def fill_nearest(
    tiles: CellTiles,
    segments: Segments,
    cap_m: float,
    distance_m: NDArray[np.floating],
    segment: NDArray[np.int32],
    exclusions: Exclusions | None = None,
) -> None:
    """Write what :func:`nearest_segments` returns.

    Parameters
    ----------
    distance_m : ndarray of float32 or float64, shape (n_cells,)
        Filled in; contiguous, in the caller's order of cells.
    segment : ndarray of int32, shape (n_cells,)
        Filled in.
    """
    near = candidates(tiles, segments, cap_m, nearest=True, exclusions=exclusions)
    left_out = exclusions or Exclusions.none()
    cells, packed = tiles.cells, segments.packed
    _nearest(cells, near, packed, float(cap_m), left_out, distance_m, segment)


def fill_distances(
    tiles: CellTiles,
    segments: Segments,
    cap_m: float,
    distance_m: NDArray[np.floating],
    exclusions: Exclusions | None = None,
) -> None:
    """Write the distances alone, which is quicker, as :func:`fill_nearest`."""
    if exclusions is not None:
        segment = np.empty(len(tiles), np.int32)
        fill_nearest(tiles, segments, cap_m, distance_m, segment, exclusions)
        return
    near = candidates(tiles, segments, cap_m, nearest=True)
    _distances(tiles.cells, near, segments.packed, float(cap_m), distance_m)


def distance_block(grid: SurveyGrid, segments: Segments, cap_m: float) -> FloatArray:
    """Return the distance (m, at most `cap_m`) from the cells of a block, (rows, cols)."""
    distance_m = np.empty(grid.n_cells)
    fill_distances(tiles_of_grid(grid), segments, cap_m, distance_m)
    return distance_m.reshape(grid.shape)


@njit(cache=True, nogil=True)
def _distances(
    cells: TileCells,
    near: Candidates,
    packed: FloatArray,
    cap_m: float,
    distance_m: NDArray[np.floating],
) -> None:
    """Measure each cell's distance to the nearest segment of its tile's list."""
    east, north, squared = np.empty(TILE_SIZE), np.empty(TILE_SIZE), np.empty(TILE_SIZE)
    for tile in range(len(near.start)):
        start, stop = near.start[tile], near.stop[tile]
        if start == stop:
            fill_tile(cells, tile, cap_m, distance_m)
            continue
        load_tile(cells, tile, east, north)
        for k in range(TILE_SIZE):
            squared[k] = np.inf
        for j in range(start, stop):
            measure(packed, near.numbers[j], east, north, squared)
        for k in range(TILE_SIZE):
            squared[k] = min(np.sqrt(squared[k]), cap_m)
        store_tile(cells, tile, squared, distance_m)


@njit(cache=True, nogil=True)
def _nearest(
    cells: TileCells,
    near: Candidates,
    packed: FloatArray,
    cap_m: float,
    left_out: Exclusions,
    distance_m: NDArray[np.floating],
    segment: NDArray[np.int32],
) -> None:
    """Keep for each cell the nearest segment of its tile's list, and its distance."""
    east, north, squared = np.empty(TILE_SIZE), np.empty(TILE_SIZE), np.empty(TILE_SIZE)
    nearest = np.empty(TILE_SIZE, np.int64)
    left_out_here = np.full(left_out.n_owners, -1, np.int64)
    excluding = len(left_out.excluded) > 0
    for tile in range(len(near.start)):
        load_tile(cells, tile, east, north)
        for k in range(TILE_SIZE):
            squared[k] = np.inf
            nearest[k] = -1
        if excluding:
            for k in range(left_out.tile_first[tile], left_out.tile_first[tile + 1]):
                left_out_here[left_out.tile_excluded[k]] = tile
        for j in range(near.start[tile], near.stop[tile]):
            s = near.numbers[j]
            if excluding and left_out_here[left_out.owner[s]] == tile:
                _measure_for_others(packed, s, cells, tile, east, north, left_out, squared, nearest)
            else:
                _measure_numbered(packed, s, east, north, squared, nearest)
        for k in range(TILE_SIZE):
            squared[k] = np.sqrt(squared[k])
            nearest[k] = -1 if squared[k] > cap_m else nearest[k]
            squared[k] = min(squared[k], cap_m)
        store_tile(cells, tile, squared, distance_m)
        store_tile(cells, tile, nearest, segment)


@njit(cache=True, nogil=True)
def measure(
    packed: FloatArray, s: int, east: FloatArray, north: FloatArray, squared: FloatArray
) -> None:
    """Lower the squared distances of a tile's places to those to a segment."""
    row = np.uint64(s)
    start_e, start_n = packed[row, 0], packed[row, 1]
    d_e, d_n, inverse = packed[row, 2], packed[row, 3], packed[row, 4]
    for k in range(TILE_SIZE):
        d2 = squared_distance(start_e, start_n, d_e, d_n, inverse, east[k], north[k])
        squared[k] = min(squared[k], d2)


@njit(cache=True, nogil=True)
def _measure_numbered(
    packed: FloatArray,
    s: int,
    east: FloatArray,
    north: FloatArray,
    squared: FloatArray,
    nearest: IndexArray,
) -> None:
    """Lower the squared distances to those to a segment, and note where it is nearer."""
    row = np.uint64(s)
    start_e, start_n = packed[row, 0], packed[row, 1]
    d_e, d_n, inverse = packed[row, 2], packed[row, 3], packed[row, 4]
    for k in range(TILE_SIZE):
        d2 = squared_distance(start_e, start_n, d_e, d_n, inverse, east[k], north[k])
        closer = d2 < squared[k]
        squared[k] = d2 if closer else squared[k]
        nearest[k] = s if closer else nearest[k]


@njit(cache=True, nogil=True)
def _measure_for_others(
    packed: FloatArray,
    s: int,
    cells: TileCells,
    tile: int,
    east: FloatArray,
    north: FloatArray,
    left_out: Exclusions,
    squared: FloatArray,
    nearest: IndexArray,
) -> None:
    """Do the same for those cells of the tile that do not leave out the segment's owner."""
    for k in range(TILE_SIZE):
        d2 = squared_distance(
            packed[s, 0],
            packed[s, 1],
            packed[s, 2],
            packed[s, 3],
            packed[s, 4],
            east[k],
            north[k],
        )
        if d2 < squared[k]:
            cell = cell_at(cells, tile, k)
            if cell >= 0 and not is_excluded(left_out.owner[s], cell, left_out):
                squared[k], nearest[k] = d2, s
