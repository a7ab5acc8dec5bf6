"""Which cells of a tile lie within radii of a group of segments, exactly and quickly.

A group is what is one thing: a record, or all lines of one period. Seen from the centre
of a tile with half diagonal *h*, a group at distance *d* is within *r* of every cell if
``d + h ≤ r`` and of none if ``d - h > r``; only in between are cells measured, and then
only from the group's segments that are at most ``d + 2h`` from the centre, since no other
can be the group's nearest to any cell.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.candidates import Candidates, squared_distance
from hazardrank.features.distance import measure
from hazardrank.features.segments import FloatArray
from hazardrank.features.tiles import TILE_SIZE

#: Room for rounding where the tile as a whole decides, in metres.
_SLACK_M = 1e-3

#: How many of a tile's cells lie within a radius.
NO_CELL, SOME_CELLS, ALL_CELLS = 0, 1, 2


@njit(cache=True, nogil=True)
def half_diagonal(box: FloatArray) -> float:
    """Return half the diagonal of a tile's box in metres, with room for rounding."""
    return math.hypot(box[2] - box[0], box[3] - box[1]) / 2 + _SLACK_M


@njit(cache=True, nogil=True)
def measure_from_centre(
    packed: FloatArray, near: Candidates, tile: int, box: FloatArray, from_centre: FloatArray
) -> None:
    """Fill `from_centre` with the squared distances of a tile's list from its centre."""
    centre_e, centre_n = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    first = np.uint64(near.start[tile])
    for k in range(near.stop[tile] - near.start[tile]):
        s = np.uint64(near.numbers[first + np.uint64(k)])
        from_centre[k] = squared_distance(
            packed[s, 0],
            packed[s, 1],
            packed[s, 2],
            packed[s, 3],
            packed[s, 4],
            centre_e,
            centre_n,
        )


@njit(cache=True, nogil=True)
def mark_within(
    packed: FloatArray,
    group: NDArray[np.int32],
    from_centre: FloatArray,
    half_m: float,
    east: FloatArray,
    north: FloatArray,
    radii_m: FloatArray,
    squared: FloatArray,
    how_many: NDArray[np.int8],
    within: NDArray[np.bool_],
) -> None:
    """Mark which cells lie within each radius of the group's nearest segment.

    Parameters
    ----------
    packed : ndarray of float64, shape (n_segments, 5)
        Packed segments.
    group : ndarray of int32
        The group's segments.
    from_centre : ndarray of float64, shape of `group`
        Their squared distances from the tile's centre.
    half_m : float
        The tile's :func:`half_diagonal`.
    east, north : ndarray of float64, shape (TILE_SIZE,)
        Cell centres of the tile in metres.
    radii_m : ndarray of float64, shape (n_radii,)
        Radii in metres.
    squared : ndarray of float64, shape (TILE_SIZE,)
        Room to work in.
    how_many : ndarray of int8, shape (n_radii,)
        Filled in: no cell, some or all cells of the tile lie within the radius.
    within : ndarray of bool, shape (n_radii, TILE_SIZE)
        Filled in for radii within which some lie.
    """
    lowest = np.inf
    for k in range(len(group)):
        lowest = min(lowest, from_centre[k])
    nearest_m = np.sqrt(lowest)
    measured = False
    for r in range(len(radii_m)):
        if nearest_m + half_m <= radii_m[r]:
            how_many[r] = ALL_CELLS
        elif nearest_m - half_m > radii_m[r]:
            how_many[r] = NO_CELL
        else:
            how_many[r] = SOME_CELLS
            if not measured:
                limit = (nearest_m + 2 * half_m) ** 2
                squared[:] = np.inf
                for j in range(len(group)):
                    if from_centre[j] <= limit:
                        measure(packed, group[j], east, north, squared)
                measured = True
            for k in range(TILE_SIZE):
                within[r, k] = squared[k] <= radii_m[r] * radii_m[r]
