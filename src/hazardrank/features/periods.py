"""How long, and in how many separate periods, something dated stood near each cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.candidates import CellTiles, candidates
from hazardrank.features.distance import approach
from hazardrank.features.segments import FloatArray, IndexArray, Segments

#: Mean length of a year of the Gregorian calendar, in days.
DAYS_PER_YEAR = 365.2425


def held_nearby(
    tiles: CellTiles,
    segments: Segments,
    first_day: IndexArray,
    last_day: IndexArray,
    radii_m: Sequence[float],
) -> tuple[FloatArray, FloatArray]:
    """Return days held within radii of each cell, and the number of separate periods.

    Parameters
    ----------
    tiles : CellTiles
        The cells.
    segments : Segments
        All segments within the largest radius of any cell; more do no harm.
    first_day, last_day : ndarray of int64, shape (n_features,)
        First and last day of each feature, both counted as held.
    radii_m : sequence of float
        Radii in metres.

    Returns
    -------
    days, periods : ndarray of float64, shape (n_radii, n_cells)
        Length of the union of the times of all features that pass within the radius,
        and the number of its parts that are at least a day apart. In the caller's order
        of cells.
    """
    starts, ends = first_day[segments.feature], last_day[segments.feature] + 1
    in_time = segments.take(np.lexsort((ends, starts)))
    first, lists = candidates(tiles, in_time, max(radii_m), nearest=False)
    days = np.zeros((len(radii_m), len(tiles)))
    periods = np.zeros((len(radii_m), len(tiles)))
    _sweep(
        tiles.first,
        tiles.easting,
        tiles.northing,
        first,
        lists,
        in_time.packed(),
        first_day[in_time.feature],
        last_day[in_time.feature] + 1,
        np.asarray(radii_m, dtype=float),
        days,
        periods,
    )
    return tiles.restored(days), tiles.restored(periods)


@njit(cache=True, nogil=True)
def _sweep(
    tile_first: IndexArray,
    easting: FloatArray,
    northing: FloatArray,
    list_first: IndexArray,
    lists: NDArray[np.int32],
    segments: FloatArray,
    start_day: IndexArray,
    end_day: IndexArray,
    radii_m: FloatArray,
    days: FloatArray,
    periods: FloatArray,
) -> None:
    """Sweep each tile's segments in the order of time, those of one time together."""
    largest = 0
    for tile in range(len(tile_first) - 1):
        largest = max(largest, tile_first[tile + 1] - tile_first[tile])
    squared = np.empty(largest)
    held_until = np.empty((len(radii_m), largest))
    for tile in range(len(tile_first) - 1):
        cells = slice(tile_first[tile], tile_first[tile + 1])
        east, north = easting[cells], northing[cells]
        held_until[:] = -np.inf
        a, stop = list_first[tile], list_first[tile + 1]
        while a < stop:
            start, end = start_day[lists[a]], end_day[lists[a]]
            squared[:] = np.inf
            while a < stop and start_day[lists[a]] == start and end_day[lists[a]] == end:
                approach(segments[lists[a]], east, north, squared)
                a += 1
            for r in range(len(radii_m)):
                _hold(
                    squared,
                    radii_m[r],
                    float(start),
                    float(end),
                    held_until[r],
                    days[r, cells],
                    periods[r, cells],
                )


@njit(cache=True, nogil=True)
def _hold(
    squared: FloatArray,
    radius_m: float,
    start: float,
    end: float,
    held_until: FloatArray,
    days: FloatArray,
    periods: FloatArray,
) -> None:
    """Add the days from `start` until `end` that are new, where the line is within reach."""
    for k in range(len(days)):
        if np.sqrt(squared[k]) <= radius_m:
            periods[k] += 1.0 if start > held_until[k] else 0.0
            days[k] += max(0.0, end - max(start, held_until[k]))
            held_until[k] = max(held_until[k], end)
