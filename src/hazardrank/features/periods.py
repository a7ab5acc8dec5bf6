"""How long, and in how many separate periods, something dated stood near each cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.candidates import candidates
from hazardrank.features.segments import FloatArray, IndexArray, Segments
from hazardrank.features.tiles import CellTiles
from hazardrank.features.within import mark_within

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
        tiles.largest,
        tiles.first,
        tiles.boxes,
        tiles.easting,
        tiles.northing,
        first,
        lists,
        in_time.packed,
        first_day[in_time.feature].astype(float),
        last_day[in_time.feature].astype(float) + 1,
        np.asarray(radii_m, dtype=float),
        days,
        periods,
    )
    return tiles.restored(days), tiles.restored(periods)


@njit(cache=True, nogil=True)
def _sweep(
    largest: int,
    tile_first: IndexArray,
    boxes: FloatArray,
    easting: FloatArray,
    northing: FloatArray,
    list_first: IndexArray,
    lists: NDArray[np.int32],
    segments: FloatArray,
    start_day: FloatArray,
    end_day: FloatArray,
    radii_m: FloatArray,
    days: FloatArray,
    periods: FloatArray,
) -> None:
    """Sweep each tile's segments in the order of time, those of one time together."""
    from_centre = np.empty(len(segments))
    squared, held_until = np.empty(largest), np.empty((len(radii_m), largest))
    within = np.empty((len(radii_m), largest), np.bool_)
    for tile in range(len(tile_first) - 1):
        a, b = tile_first[tile], tile_first[tile + 1]
        for r in range(len(radii_m)):
            for k in range(largest):
                held_until[r, k] = -np.inf
        k, stop = list_first[tile], list_first[tile + 1]
        while k < stop:
            start, end = start_day[lists[k]], end_day[lists[k]]
            group = k
            while k < stop and start_day[lists[k]] == start and end_day[lists[k]] == end:
                k += 1
            mark_within(
                segments,
                lists[group:k],
                easting[a:b],
                northing[a:b],
                boxes[tile],
                radii_m,
                from_centre,
                squared,
                within,
            )
            for r in range(len(radii_m)):
                _hold(within[r], start, end, held_until[r], days[r, a:b], periods[r, a:b])


@njit(cache=True, nogil=True)
def _hold(
    within: NDArray[np.bool_],
    start: float,
    end: float,
    held_until: FloatArray,
    days: FloatArray,
    periods: FloatArray,
) -> None:
    """Add the days from `start` until `end` that are new, where the line is within reach."""
    for k in range(len(days)):
        if within[k]:
            periods[k] += 1.0 if start > held_until[k] else 0.0
            days[k] += max(0.0, end - max(start, held_until[k]))
            held_until[k] = max(held_until[k], end)
