"""On which side of a line a cell lies, and whether the slope under it faces the line.

Kernels take cells as arrays of two dimensions: a block's rows and columns, or one row of
cells that lie anywhere. Centres may be broadcast from a block's columns and rows.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.segments import FloatArray, IndexArray, Segments


def fill_signed(
    easting: FloatArray,
    northing: FloatArray,
    distance_m: NDArray[np.floating],
    segment: NDArray[np.integer],
    segments: Segments,
    named: FloatArray,
    signed_m: NDArray[np.floating],
) -> None:
    """Write the distance to the nearest segment, signed by the side that it names.

    Within the reach of a segment its own direction decides. Where the nearest point is a
    vertex, the normals of the two segments that meet there are added (the pseudo-normal
    of Bærentzen & Aanæs 2005, in the plane), so that both sides of a sharp bend come out
    right. Beyond the end of a line its last segment is thought to go on.

    Parameters
    ----------
    easting, northing : ndarray of float64, shape (rows, cols)
        Cell centres in metres.
    distance_m : ndarray of float, shape (rows, cols)
        Distance to the nearest segment.
    segment : ndarray of int, shape (rows, cols)
        Nearest segment of each cell, -1 for none.
    segments : Segments
        The segments, with their links.
    named : ndarray of float64, shape (n_segments,)
        Side that is positive: 1 for the left of the direction in which the line was
        digitised, -1 for the right, NaN for neither.
    signed_m : ndarray of float, shape (rows, cols)
        Filled in; NaN where neither side holds: no segment, no side named, a point, or
        straight ahead of a line's end.
    """
    packed, links = segments.packed, (segments.previous, segments.following)
    with np.errstate(invalid="ignore"):  # a point has no direction
        along = packed[:, 2:4] / segments.lengths_m[:, None]
    _signed(easting, northing, distance_m, segment, packed, along, *links, named, signed_m)


def fill_facing(
    easting: FloatArray,
    northing: FloatArray,
    segment: NDArray[np.integer],
    segments: Segments,
    elevation_m: NDArray[np.float32],
    facing: NDArray[np.floating],
) -> None:
    """Write the cosine between the way down the slope and the way to the nearest point.

    Parameters
    ----------
    easting, northing : ndarray of float64, shape (rows, cols)
        Cell centres in metres.
    segment : ndarray of int, shape (rows, cols)
        Nearest segment of each cell, -1 for none.
    segments : Segments
        The segments.
    elevation_m : ndarray of float32, shape (rows + 2, cols + 2)
        Elevation with a halo of one cell; the way down is that of Horn (1981).
    facing : ndarray of float, shape (rows, cols)
        Filled in; NaN on flat land, where a neighbour is missing, on the segment itself,
        and where there is none.
    """
    _facing(easting, northing, segment, segments.packed, elevation_m, facing)


@njit(cache=True, nogil=True, error_model="numpy")
def _signed(
    easting: FloatArray,
    northing: FloatArray,
    distance_m: NDArray[np.floating],
    segment: NDArray[np.integer],
    packed: FloatArray,
    along: FloatArray,
    previous: IndexArray,
    following: IndexArray,
    named: FloatArray,
    signed_m: NDArray[np.floating],
) -> None:
    for row in range(segment.shape[0]):
        for col in range(segment.shape[1]):
            s = segment[row, col]
            signed_m[row, col] = np.nan
            if s < 0:
                continue
            east_m, north_m = easting[row, col] - packed[s, 0], northing[row, col] - packed[s, 1]
            d_e, d_n = packed[s, 2], packed[s, 3]
            share = (east_m * d_e + north_m * d_n) * packed[s, 4]
            other = previous[s] if share <= 0.0 else (following[s] if share >= 1.0 else -1)
            if other >= 0:
                if share >= 1.0:
                    east_m, north_m = east_m - d_e, north_m - d_n
                d_e, d_n = along[s, 0] + along[other, 0], along[s, 1] + along[other, 1]
            to_left = d_e * north_m - d_n * east_m
            if to_left != 0.0:
                side = named[s] if to_left > 0.0 else -named[s]
                signed_m[row, col] = distance_m[row, col] * side


@njit(cache=True, nogil=True, error_model="numpy")
def _facing(
    easting: FloatArray,
    northing: FloatArray,
    segment: NDArray[np.integer],
    packed: FloatArray,
    elevation_m: NDArray[np.float32],
    facing: NDArray[np.floating],
) -> None:
    z = elevation_m
    for row in range(segment.shape[0]):
        for col in range(segment.shape[1]):
            s = segment[row, col]
            facing[row, col] = np.nan
            if s < 0:
                continue
            west = np.float64(z[row, col]) + 2.0 * z[row + 1, col] + z[row + 2, col]
            east = np.float64(z[row, col + 2]) + 2.0 * z[row + 1, col + 2] + z[row + 2, col + 2]
            north = np.float64(z[row, col]) + 2.0 * z[row, col + 1] + z[row, col + 2]
            south = np.float64(z[row + 2, col]) + 2.0 * z[row + 2, col + 1] + z[row + 2, col + 2]
            down_e, down_n = west - east, south - north
            east_m, north_m = packed[s, 0] - easting[row, col], packed[s, 1] - northing[row, col]
            share = -(east_m * packed[s, 2] + north_m * packed[s, 3]) * packed[s, 4]
            share = min(max(share, 0.0), 1.0)
            east_m += share * packed[s, 2]
            north_m += share * packed[s, 3]
            steepness = np.sqrt(down_e * down_e + down_n * down_n)
            distance_m = np.sqrt(east_m * east_m + north_m * north_m)
            if steepness > 0.0 and distance_m > 0.0:
                cosine = (east_m * down_e + north_m * down_n) / (steepness * distance_m)
                facing[row, col] = min(max(cosine, -1.0), 1.0)
