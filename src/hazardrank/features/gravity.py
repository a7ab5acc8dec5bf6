"""Sums over places, each counting less with distance: population potentials and the like."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.candidates import candidates
from hazardrank.features.segments import FloatArray, IndexArray, Segments
from hazardrank.features.tiles import CellTiles


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
        The cells.
    places : Segments
        Points; *d* is measured to them.
    weight : ndarray of float64, shape (n_places,)
        What each place adds at no distance.
    cap_m : float
        Places farther away add nothing.
    d0_m : float
        Distance added to every distance, above 0.
    beta : float
        How fast places count less with distance; a multiple of a half.

    Returns
    -------
    ndarray of float64, shape (n_cells,)
        In the caller's order of cells.
    """
    first, lists = candidates(tiles, places, cap_m, nearest=False)
    total = np.zeros(len(tiles))
    _add_gravity(
        tiles.first,
        tiles.easting,
        tiles.northing,
        first,
        lists,
        places.ends,
        weight,
        cap_m,
        d0_m,
        round(2 * beta),
        total,
    )
    return tiles.restored(total)


@njit(cache=True, nogil=True)
def _add_gravity(
    tile_first: IndexArray,
    easting: FloatArray,
    northing: FloatArray,
    list_first: IndexArray,
    lists: NDArray[np.int32],
    places: FloatArray,
    weight_of: FloatArray,
    cap_m: float,
    d0_m: float,
    twice_beta: int,
    total: FloatArray,
) -> None:
    """Add each place's weight, less with distance, in the order of the places."""
    for tile in range(len(tile_first) - 1):
        cells = slice(tile_first[tile], tile_first[tile + 1])
        east, north, sums = easting[cells], northing[cells], total[cells]
        near, weight = np.empty(len(east)), np.empty(len(east))
        for s in lists[list_first[tile] : list_first[tile + 1]]:
            place_e, place_n, weight_there = places[s, 0], places[s, 1], weight_of[s]
            for k in range(len(east)):
                east_m, north_m = east[k] - place_e, north[k] - place_n
                distance_m = np.sqrt(east_m * east_m + north_m * north_m)
                near[k] = d0_m / (distance_m + d0_m)
                weight[k] = weight_there if distance_m <= cap_m else 0.0
            for _ in range(twice_beta // 2):
                for k in range(len(east)):
                    weight[k] *= near[k]
            if twice_beta % 2:
                for k in range(len(east)):
                    weight[k] *= np.sqrt(near[k])
            for k in range(len(east)):
                sums[k] += weight[k]
