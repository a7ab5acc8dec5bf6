"""Which cells of a tile lie within radii of a group of segments, exactly and quickly.

A group is what is one thing: a record, or all lines of one period. Seen from the centre
of a tile with half diagonal *h*, a group at distance *d* is within *r* of every cell if
``d + h ≤ r`` and of none if ``d - h > r``; only in between are cells measured, and then
only from the group's segments that are at most ``d + 2h`` from the centre, since no other
can be the group's nearest to any cell.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.candidates import squared_distance
from hazardrank.features.segments import FloatArray

#: Room for rounding where the tile as a whole decides, in metres.
_SLACK_M = 1e-3


@njit(cache=True, nogil=True)
def mark_within(
    segments: FloatArray,
    group: NDArray[np.int32],
    easting: FloatArray,
    northing: FloatArray,
    box: FloatArray,
    radii_m: FloatArray,
    from_centre: FloatArray,
    squared: FloatArray,
    within: NDArray[np.bool_],
) -> None:
    """Mark which cells lie within each radius of the group's nearest segment.

    Parameters
    ----------
    segments : ndarray of float64, shape (n_segments, 5)
        Packed segments.
    group : ndarray of int32
        The group's segments.
    easting, northing : ndarray of float64, shape (n_cells,)
        Cell centres of the tile in metres.
    box : ndarray of float64, shape (4,)
        West, south, east, north of the cell centres.
    radii_m : ndarray of float64, shape (n_radii,)
        Radii in metres.
    from_centre, squared : ndarray of float64
        Room for one number a segment of the group, and one a cell.
    within : ndarray of bool, shape (n_radii, n_cells)
        Filled in.
    """
    centre_e, centre_n = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    half_m = np.hypot(box[2] - box[0], box[3] - box[1]) / 2 + _SLACK_M
    lowest = np.inf
    for k in range(len(group)):
        s = np.uint64(group[k])
        from_centre[k] = squared_distance(
            segments[s, 0],
            segments[s, 1],
            segments[s, 2],
            segments[s, 3],
            segments[s, 4],
            centre_e,
            centre_n,
        )
        lowest = min(lowest, from_centre[k])
    nearest_m = np.sqrt(lowest)
    measured = False
    for r in range(len(radii_m)):
        all_within = nearest_m + half_m <= radii_m[r]
        if all_within or nearest_m - half_m > radii_m[r]:
            for k in range(len(easting)):
                within[r, k] = all_within
            continue
        if not measured:
            limit = (nearest_m + 2 * half_m) ** 2
            _measure(segments, group, easting, northing, from_centre, limit, squared)
            measured = True
        for k in range(len(easting)):
            within[r, k] = squared[k] <= radii_m[r] * radii_m[r]


@njit(cache=True, nogil=True)
def _measure(
    segments: FloatArray,
    group: NDArray[np.int32],
    easting: FloatArray,
    northing: FloatArray,
    from_centre: FloatArray,
    limit: float,
    squared: FloatArray,
) -> None:
    """Fill `squared` with each cell's squared distance to the nearest segment of the group."""
    for k in range(len(easting)):
        squared[k] = np.inf
    for j in range(len(group)):
        if from_centre[j] > limit:
            continue
        s = np.uint64(group[j])
        start_e, start_n = segments[s, 0], segments[s, 1]
        d_e, d_n, inverse = segments[s, 2], segments[s, 3], segments[s, 4]
        for k in range(len(easting)):
            d2 = squared_distance(start_e, start_n, d_e, d_n, inverse, easting[k], northing[k])
            squared[k] = d2 if d2 < squared[k] else squared[k]
