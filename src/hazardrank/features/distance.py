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

from hazardrank.features.candidates import Exclusions, candidates, squared_distance
from hazardrank.features.segments import FloatArray, IndexArray, Segments
from hazardrank.features.tiles import CellTiles


@dataclass(frozen=True)
class Nearest:
    """The nearest segment of each cell.

    Parameters
    ----------
    distance_m : ndarray of float64, shape (n_cells,)
        Distance in metres, the cap where nothing lies within it.
    segment : ndarray of int64, shape (n_cells,)
        Number of the nearest segment, -1 where nothing lies within the cap.
    """

    distance_m: FloatArray
    segment: IndexArray


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
    squared = np.full(len(tiles), np.inf)
    index = np.full(len(tiles), -1, np.int64)
    left_out = exclusions or Exclusions.none(len(segments), len(tiles))
    first, lists = candidates(tiles, segments, cap_m, nearest=True, exclusions=exclusions)
    _nearest(
        tiles.first,
        tiles.easting,
        tiles.northing,
        first,
        lists,
        segments.packed,
        left_out.owner,
        left_out.n_owners,
        left_out.first,
        left_out.excluded,
        squared,
        index,
    )
    distance_m = np.sqrt(squared)
    beyond = distance_m > cap_m
    distance_m[beyond] = cap_m
    index[beyond] = -1
    return Nearest(tiles.restored(distance_m), tiles.restored(index))


@njit(cache=True, nogil=True)
def _nearest(
    tile_first: IndexArray,
    easting: FloatArray,
    northing: FloatArray,
    list_first: IndexArray,
    lists: NDArray[np.int32],
    segments: FloatArray,
    owner: IndexArray,
    n_owners: int,
    exclusion_first: IndexArray,
    excluded: IndexArray,
    squared: FloatArray,
    index: IndexArray,
) -> None:
    """Keep for each cell the nearest segment of its tile's list, squared distances in m²."""
    left_out_here = np.full(n_owners, -1, np.int64)
    for tile in range(len(tile_first) - 1):
        a, b = tile_first[tile], tile_first[tile + 1]
        for k in range(exclusion_first[a], exclusion_first[b]):
            left_out_here[excluded[k]] = tile
        east, north, best, nearest = easting[a:b], northing[a:b], squared[a:b], index[a:b]
        for s in lists[list_first[tile] : list_first[tile + 1]]:
            start_e, start_n = segments[s, 0], segments[s, 1]
            d_e, d_n, inverse = segments[s, 2], segments[s, 3], segments[s, 4]
            if left_out_here[owner[s]] == tile:
                for k in range(len(east)):
                    d2 = squared_distance(start_e, start_n, d_e, d_n, inverse, east[k], north[k])
                    if d2 < best[k] and not is_excluded(owner[s], a + k, exclusion_first, excluded):
                        best[k], nearest[k] = d2, s
                continue
            for k in range(len(east)):
                d2 = squared_distance(start_e, start_n, d_e, d_n, inverse, east[k], north[k])
                closer = d2 < best[k]
                best[k] = d2 if closer else best[k]
                nearest[k] = s if closer else nearest[k]


@njit(cache=True, nogil=True)
def is_excluded(owner: int, cell: int, exclusion_first: IndexArray, excluded: IndexArray) -> bool:
    """Return whether the cell leaves out the owner."""
    for k in range(exclusion_first[cell], exclusion_first[cell + 1]):
        if excluded[k] == owner:
            return True
    return False
