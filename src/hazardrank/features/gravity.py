"""People around each cell, added by distance: a sum over all places within reach.

How exact: weights are computed in float32 and added up in float64, in the order of the
file. Places are first moved to the nearest multiple of a step, 1 mm at most for reaches up
to 32 km, so fine that the way from any cell centre is exact in float32. What a place adds
to a cell therefore depends on these two alone, whatever the block. Each weight is within
``1e-6 + beta · step / d0`` (relative) of the formula in float64; a place within two steps
of the largest distance may count or not.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.candidates import Candidates, candidates
from hazardrank.features.segments import FloatArray, Segments
from hazardrank.features.tiles import (
    TILE_CELLS,
    TILE_SIZE,
    CellTiles,
    TileCells,
    load_tile,
    store_tile,
)

_FLOAT32_BITS = 24
#: Lists of places are long and differ little from tile to tile: so many share one.
_TILES_PER_LIST = 4


def gravity_sum(
    tiles: CellTiles,
    places: Segments,
    weight: FloatArray,
    cap_m: float,
    d0_m: float,
    beta: float,
) -> FloatArray:
    """Return ``Σ weight · (d0 / (d + d0))^beta`` over the places within the cap.

    The population potential of Stewart (1947), scaled by ``d0^beta`` so that what lies at
    the cell itself counts in full. Summed in the order of the places.

    Parameters
    ----------
    tiles : CellTiles
        The cells of a block.
    places : Segments
        Points; *d* is measured to them.
    weight : ndarray of float64, shape (n_places,)
        What each place adds at no distance.
    cap_m : float
        Places farther away add nothing.
    d0_m : float
        Distance added to every distance, above 0.
    beta : float
        How fast places count less with distance; a multiple of a half, at most 7.5.

    Returns
    -------
    ndarray of float64, shape (n_cells,)
        In the caller's order of cells.
    """
    total = np.empty(len(tiles))
    fill_gravity(tiles, places, weight, cap_m, d0_m, beta, total)
    return total


def fill_gravity(
    tiles: CellTiles,
    places: Segments,
    weight: FloatArray,
    cap_m: float,
    d0_m: float,
    beta: float,
    total: NDArray[np.floating],
) -> None:
    """Write what :func:`gravity_sum` returns to `total`, float32 or float64, (n_cells,)."""
    near = candidates(tiles, places, cap_m, nearest=False, shared=_TILES_PER_LIST)
    step_m = step_of(cap_m, tiles.cell_size_m)
    _add_gravity(
        tiles.cells,
        tiles.boxes,
        near,
        np.rint(places.ends[:, :2] / step_m) * step_m,
        weight.astype(np.float32),
        np.float32(cap_m),
        np.float32(d0_m),
        round(2 * beta),
        total,
    )


def step_of(cap_m: float, cell_size_m: float) -> float:
    """Return the step in metres, a power of two, to which places are rounded.

    The way from a cell to a place listed for its tile is at most 2²⁴ steps; the centres
    of a block's cells lie on multiples of half a metre.
    """
    farthest_m = cap_m + 2 * _TILES_PER_LIST * TILE_CELLS * cell_size_m
    return float(min(2.0 ** (math.ceil(math.log2(farthest_m)) - _FLOAT32_BITS), 0.5))


# Numpy's way with division: one by zero would be no error, but there is none.
@njit(cache=True, nogil=True, error_model="numpy")
def _add_gravity(
    cells: TileCells,
    boxes: FloatArray,
    near: Candidates,
    places: FloatArray,
    weight: NDArray[np.float32],
    cap_m: np.float32,
    d0_m: np.float32,
    twice_beta: int,
    total: NDArray[np.floating],
) -> None:
    """Add what each place gives, in the order of the places."""
    easting, northing, sums = np.empty(TILE_SIZE), np.empty(TILE_SIZE), np.empty(TILE_SIZE)
    east, north = np.empty(TILE_SIZE, np.float32), np.empty(TILE_SIZE, np.float32)
    for tile in range(len(near.start)):
        corner_e, corner_n = boxes[tile, 0], boxes[tile, 1]
        load_tile(cells, tile, easting, northing)
        for k in range(TILE_SIZE):
            east[k] = easting[k] - corner_e
            north[k] = northing[k] - corner_n
            sums[k] = 0.0
        for j in range(near.start[tile], near.stop[tile]):
            s = np.uint64(near.numbers[j])
            place_e = np.float32(places[s, 0] - corner_e)
            place_n = np.float32(places[s, 1] - corner_n)
            _add_place(east, north, place_e, place_n, weight[s], cap_m, d0_m, twice_beta, sums)
        store_tile(cells, tile, sums, total)


@njit(cache=True, nogil=True, error_model="numpy")
def _add_place(
    east: NDArray[np.float32],
    north: NDArray[np.float32],
    place_e: np.float32,
    place_n: np.float32,
    weight: np.float32,
    cap_m: np.float32,
    d0_m: np.float32,
    twice_beta: int,
    sums: FloatArray,
) -> None:
    """Add what one place gives; the power is put together from its bits."""
    for k in range(TILE_SIZE):
        east_m, north_m = east[k] - place_e, north[k] - place_n
        squared = east_m * east_m + north_m * north_m
        near = d0_m / (np.sqrt(squared) + d0_m)
        added = weight
        if twice_beta & 2:
            added *= near
        if twice_beta & 1:
            added *= np.sqrt(near)
        if twice_beta & 4:
            added *= near * near
        if twice_beta & 8:
            added *= (near * near) * (near * near)
        sums[k] += added if squared <= cap_m * cap_m else np.float32(0.0)
