"""How long, and in how many separate periods, something dated stood near each cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.candidates import Candidates, candidates
from hazardrank.features.segments import FloatArray, IndexArray, Segments
from hazardrank.features.tiles import (
    TILE_SIZE,
    CellTiles,
    TileCells,
    fill_tile,
    load_tile,
    store_tile,
)
from hazardrank.features.within import (
    ALL_CELLS,
    NO_CELL,
    half_diagonal,
    mark_within,
    measure_from_centre,
)

#: Mean length of a year of the Gregorian calendar, in days.
DAYS_PER_YEAR = 365.2425


def fill_held_nearby(
    tiles: CellTiles,
    segments: Segments,
    first_day: IndexArray,
    last_day: IndexArray,
    radii_m: Sequence[float],
    unit_days: float,
    held: NDArray[np.floating],
) -> None:
    """Write how long lines were held within radii of each cell, and in how many periods.

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
    unit_days : float
        Unit of the time held, in days.
    held : ndarray of float32 or float64, shape (n_radii, 2, n_cells)
        Filled in: for each radius the length of the union of the times of all features
        that pass within it, and the number of its parts that are at least a day apart.
        In the caller's order of cells.
    """
    starts, ends = first_day[segments.feature], last_day[segments.feature] + 1
    in_time = segments.take(np.lexsort((ends, starts)))
    near = candidates(tiles, in_time, max(radii_m), nearest=False)
    _sweep(
        tiles.cells,
        tiles.boxes,
        near,
        in_time.packed,
        first_day[in_time.feature].astype(float),
        last_day[in_time.feature].astype(float) + 1,
        np.asarray(radii_m, dtype=float),
        float(unit_days),
        held,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _sweep(
    cells: TileCells,
    boxes: FloatArray,
    near: Candidates,
    packed: FloatArray,
    start_day: FloatArray,
    end_day: FloatArray,
    radii_m: FloatArray,
    unit_days: float,
    result: NDArray[np.floating],
) -> None:
    """Sweep each tile's segments in the order of time, those of one time together.

    As long as a radius holds all cells of a tile or none, its first place stands for all.
    """
    n_radii = len(radii_m)
    east, north, squared = np.empty(TILE_SIZE), np.empty(TILE_SIZE), np.empty(TILE_SIZE)
    from_centre, how_many = np.empty(len(packed)), np.empty(n_radii, np.int8)
    within = np.empty((n_radii, TILE_SIZE), np.bool_)
    held = np.empty((3, n_radii, TILE_SIZE))
    alike = np.empty(n_radii, np.bool_)
    for tile in range(len(near.start)):
        start, stop = near.start[tile], near.stop[tile]
        alike[:] = True
        for r in range(n_radii):
            held[0, r, 0], held[1, r, 0], held[2, r, 0] = -np.inf, 0.0, 0.0
        if start < stop:
            load_tile(cells, tile, east, north)
            measure_from_centre(packed, near, tile, boxes[tile], from_centre)
        half_m, k = half_diagonal(boxes[tile]), start
        while k < stop:
            first, group = near.numbers[k], k
            from_day, until_day = start_day[first], end_day[first]
            while (
                k < stop
                and start_day[near.numbers[k]] == from_day
                and end_day[near.numbers[k]] == until_day
            ):
                k += 1
            mark_within(
                packed,
                near.numbers[group:k],
                from_centre[group - start : k - start],
                half_m,
                east,
                north,
                radii_m,
                squared,
                how_many,
                within,
            )
            for r in range(n_radii):
                if how_many[r] == NO_CELL:
                    continue
                if how_many[r] == ALL_CELLS:
                    _hold(held[:, r, : 1 if alike[r] else TILE_SIZE], from_day, until_day)
                    continue
                if alike[r]:
                    alike[r] = False
                    _spread(held[:, r])
                _hold_some(held[:, r], within[r], from_day, until_day)
        for r in range(n_radii):
            if alike[r]:
                fill_tile(cells, tile, held[1, r, 0] / unit_days, result[r, 0])
                fill_tile(cells, tile, held[2, r, 0], result[r, 1])
            else:
                held[1, r] /= unit_days
                store_tile(cells, tile, held[1, r], result[r, 0])
                store_tile(cells, tile, held[2, r], result[r, 1])


@njit(cache=True, nogil=True)
def _spread(held: FloatArray) -> None:
    """Give all places what the first one holds."""
    for row in range(3):
        held[row, :] = held[row, 0]


@njit(cache=True, nogil=True)
def _hold(held: FloatArray, start: float, end: float) -> None:
    """Add the days from `start` until `end` that are new: rows last day, days, periods."""
    for k in range(held.shape[1]):
        held[2, k] += 1.0 if start > held[0, k] else 0.0
        held[1, k] += max(0.0, end - max(start, held[0, k]))
        held[0, k] = max(held[0, k], end)


@njit(cache=True, nogil=True)
def _hold_some(held: FloatArray, within: NDArray[np.bool_], start: float, end: float) -> None:
    """Do the same where the line is within reach."""
    for k in range(TILE_SIZE):
        if within[k]:
            held[2, k] += 1.0 if start > held[0, k] else 0.0
            held[1, k] += max(0.0, end - max(start, held[0, k]))
            held[0, k] = max(held[0, k], end)
