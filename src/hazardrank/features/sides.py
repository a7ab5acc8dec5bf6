"""On which side of a line a cell lies, and where its nearest point is."""

from __future__ import annotations

import numpy as np
from numba import njit

from hazardrank.features.segments import FloatArray, IndexArray, Segments


def side_of(
    easting: FloatArray, northing: FloatArray, segment: IndexArray, segments: Segments
) -> FloatArray:
    """Return on which side of its nearest segment's line each cell lies.

    Within the reach of a segment its own direction decides. Where the nearest point is a
    vertex, the normals of the two segments that meet there are added (the pseudo-normal
    of Bærentzen & Aanæs 2005, in the plane), so that both sides of a sharp bend come out
    right. Beyond the end of a line its last segment is thought to go on.

    Parameters
    ----------
    easting, northing : ndarray of float64, shape (n_cells,)
        Cell centres in metres.
    segment : ndarray of int64, shape (n_cells,)
        Nearest segment of each cell, -1 for none.
    segments : Segments
        The segments, with their links.

    Returns
    -------
    ndarray of float64, shape (n_cells,)
        1 on the left of the direction in which the line was digitised, -1 on the right,
        NaN where neither holds: no segment, a point, or straight ahead of a line's end.
    """
    side = np.full(len(segment), np.nan)
    _sides(easting, northing, segment, segments.packed, segments.previous, segments.following, side)
    return side


def nearest_points(
    easting: FloatArray, northing: FloatArray, segment: IndexArray, segments: Segments
) -> FloatArray:
    """Return the point of its nearest segment that is nearest to each cell.

    Returns
    -------
    ndarray of float64, shape (n_cells, 2)
        Easting and northing in metres, NaN where `segment` is -1.
    """
    packed = segments.packed[segment] if len(segments) else np.full((len(segment), 5), np.nan)
    east_m, north_m = easting - packed[:, 0], northing - packed[:, 1]
    share = np.clip((east_m * packed[:, 2] + north_m * packed[:, 3]) * packed[:, 4], 0.0, 1.0)
    points: FloatArray = packed[:, :2] + share[:, None] * packed[:, 2:4]
    points[segment < 0] = np.nan
    return points


@njit(cache=True, nogil=True)
def _sides(
    easting: FloatArray,
    northing: FloatArray,
    segment: IndexArray,
    segments: FloatArray,
    previous: IndexArray,
    following: IndexArray,
    side: FloatArray,
) -> None:
    for cell in range(len(segment)):
        s = segment[cell]
        if s < 0:
            continue
        east_m, north_m = easting[cell] - segments[s, 0], northing[cell] - segments[s, 1]
        d_e, d_n = segments[s, 2], segments[s, 3]
        share = (east_m * d_e + north_m * d_n) * segments[s, 4]
        other = previous[s] if share <= 0.0 else (following[s] if share >= 1.0 else -1)
        if other >= 0:
            if share >= 1.0:
                east_m, north_m = east_m - d_e, north_m - d_n
            own, others = np.hypot(d_e, d_n), np.hypot(segments[other, 2], segments[other, 3])
            d_e = d_e / own + segments[other, 2] / others
            d_n = d_n / own + segments[other, 3] / others
        to_left = d_e * north_m - d_n * east_m
        if to_left != 0.0:
            side[cell] = 1.0 if to_left > 0.0 else -1.0
