"""Statistics of a raster in discs around each cell, the same to the bit whatever the tiling.

Sums run over whole numbers: values are rounded to a fixed quantum, prefix sums along each
row are int64 and therefore exact, and a disc is the sum of its rows' chords. Floating
point enters only after the exact sums, in one fixed order a cell. A cell costs two reads
for each row of the disc, where a plain loop would read the whole disc.

The disc of radius *r* around a cell holds the cells whose centres lie within *r* of its
centre, itself included. Missing cells are left out; where the centre itself is missing,
so is the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.errors import FeatureError

FloatRaster = NDArray[np.float32]
IntRaster = NDArray[np.int64]
RadiusM = Annotated[int, Field(ge=1, le=100_000)]
"""A radius in settings: whole metres, so that which cells a disc holds is exact."""


@dataclass(frozen=True)
class Disc:
    """The cells within a radius of a cell, as one chord for each row.

    Parameters
    ----------
    radius_m : int
        Radius in metres.
    half_widths : tuple of int
        For each row from north to south, how many cells the chord reaches to either
        side; ``2 * radius + 1`` rows.
    """

    radius_m: int
    half_widths: tuple[int, ...]

    @classmethod
    def of(cls, radius_m: int, cell_size_m: int, where: str | None = None) -> Disc:
        """Return the disc of a radius in whole metres on cells of `cell_size_m`.

        Parameters
        ----------
        radius_m, cell_size_m : int
            Radius, and side of a cell, in metres.
        where : str, optional
            Settings path of the radius, for the message.

        Raises
        ------
        FeatureError
            If the radius is shorter than a cell, so that the disc holds nothing else.
        """
        if radius_m < cell_size_m:
            raise FeatureError(
                f"a radius of {radius_m} m is shorter than the {cell_size_m} m cells",
                where=where,
                remedy="Give radii of at least one cell in the feature's radii_m.",
            )
        reach = radius_m // cell_size_m
        chords = (
            math.isqrt(radius_m**2 - (step * cell_size_m) ** 2) // cell_size_m
            for step in range(-reach, reach + 1)
        )
        return cls(radius_m, tuple(chords))

    @property
    def radius(self) -> int:
        """Radius in whole cells."""
        return len(self.half_widths) // 2

    @property
    def n_cells(self) -> int:
        """Number of cells, the centre included."""
        return sum(2 * half + 1 for half in self.half_widths)


def discs_of(
    radii_m: Sequence[int], cell_size_m: int, where: str | None = None
) -> tuple[Disc, ...]:
    """Return the disc of each radius, see :meth:`Disc.of`."""
    return tuple(Disc.of(radius_m, cell_size_m, where) for radius_m in radii_m)


def inner(values: FloatRaster, halo: int) -> FloatRaster:
    """Return `values` without `halo` cells on every side."""
    return values[halo : values.shape[0] - halo, halo : values.shape[1] - halo]


def widest(discs: Sequence[Disc]) -> int:
    """Return the halo in cells that the discs need, 0 for none."""
    return max((disc.radius for disc in discs), default=0)


@dataclass(frozen=True)
class DiscStatistics:
    """What a disc holds, compared with its centre. Arrays of shape (rows, cols).

    Parameters
    ----------
    difference : ndarray of float32
        Mean of the disc minus the centre.
    sd : ndarray of float32
        Standard deviation (of the disc as a population).
    rms_difference : ndarray of float32
        Root mean square of the differences between the other cells and the centre.
    """

    difference: FloatRaster
    sd: FloatRaster
    rms_difference: FloatRaster


def disc_statistics(
    values: FloatRaster, halo: int, discs: Sequence[Disc], quantum: float
) -> list[DiscStatistics]:
    """Compute mean, deviation and differences in discs around each cell.

    Parameters
    ----------
    values : ndarray of float32, shape (rows + 2 * halo, cols + 2 * halo)
        The raster with its halo, NaN where missing.
    halo : int
        Width of the halo in cells, at least the radius of every disc.
    discs : sequence of Disc
        The windows.
    quantum : float
        Values are rounded to multiples of it, in the raster's unit.

    Returns
    -------
    list of DiscStatistics
        One for each disc, in order.

    Raises
    ------
    FeatureError
        If the values are too far apart for exact sums at this quantum.
    """
    planes = _disc_planes(values, halo, discs, quantum, n_planes=3)
    return [DiscStatistics(*three) for three in planes]


def disc_means(
    values: FloatRaster, halo: int, discs: Sequence[Disc], quantum: float
) -> list[FloatRaster]:
    """Compute the mean alone, in about half the time; see :func:`disc_statistics`.

    Returns
    -------
    list of ndarray of float32, shape (rows, cols)
        One for each disc, in order; NaN where the centre is missing.
    """
    centre = inner(values, halo)
    planes = _disc_planes(values, halo, discs, quantum, n_planes=1)
    return [centre + difference for (difference,) in planes]


def _disc_planes(
    values: FloatRaster, halo: int, discs: Sequence[Disc], quantum: float, n_planes: int
) -> Iterator[FloatRaster]:
    """Yield difference (and sd, rms difference) for each disc, shape (n_planes, rows, cols)."""
    if not discs:
        return
    present = np.isfinite(values)
    quantised = _quantise(values, present, quantum, discs)
    sums, squares, counts = _prefix_sums(quantised, present)
    complete = bool(present.all())
    for disc in discs:
        out = np.empty((n_planes, *inner(values, halo).shape), np.float32)
        halves = np.array(disc.half_widths, np.int64)
        _disc_statistics(
            sums, squares, counts, quantised, present, halves, halo, quantum, complete, out
        )
        yield out


def disc_extremes(
    values: FloatRaster, halo: int, discs: Sequence[Disc]
) -> list[tuple[FloatRaster, FloatRaster]]:
    """Return lowest and highest value in discs around each cell.

    Parameters
    ----------
    values : ndarray of float32, shape (rows + 2 * halo, cols + 2 * halo)
        The raster with its halo, NaN where missing.
    halo : int
        Width of the halo in cells, at least the radius of every disc.
    discs : sequence of Disc
        The windows.

    Returns
    -------
    list of (ndarray, ndarray)
        Lowest and highest for each disc, each of shape (rows, cols); NaN where the
        centre is missing.
    """
    missing = np.isnan(values)
    no_centre = inner(missing, halo)
    levels = max((2 * max(disc.half_widths) + 1).bit_length() for disc in discs) if discs else 1
    highest_of = _doubling_maxima(np.where(missing, -np.inf, values).astype(np.float32), levels)
    lowest_of = _doubling_maxima(np.where(missing, -np.inf, -values).astype(np.float32), levels)
    found = []
    for disc in discs:
        halves = np.array(disc.half_widths, np.int64)
        highest = _disc_highest(highest_of, halves, halo)
        lowest = -_disc_highest(lowest_of, halves, halo)
        highest[no_centre] = np.nan
        lowest[no_centre] = np.nan
        found.append((lowest, highest))
    return found


def _quantise(
    values: FloatRaster, present: NDArray[np.bool_], quantum: float, discs: Sequence[Disc]
) -> IntRaster:
    """Return values in whole quanta, 0 where missing, if sums of their squares are exact."""
    scaled = np.rint(values.astype(np.float64) / quantum)
    known = scaled[present]
    spread = float(known.max() - known.min()) if known.size else 0.0
    largest = float(np.abs(known).max(initial=0.0))
    n_cells = max((disc.n_cells for disc in discs), default=1)
    if spread**2 * n_cells >= 2.0**63 or largest >= 2.0**62:
        raise FeatureError(
            f"values from {known.min() * quantum:g} to {known.max() * quantum:g} are too far apart "
            f"for exact sums over {n_cells} cells at a precision of {quantum:g}",
            remedy="Set a coarser precision or smaller radii_m, or check the layer's nodata value.",
        )
    return np.where(present, scaled, 0).astype(np.int64)


@njit(cache=True, nogil=True)
def _prefix_sums(
    quantised: IntRaster, present: NDArray[np.bool_]
) -> tuple[IntRaster, IntRaster, IntRaster]:
    """Return running sums along rows of values, squares and presence; first column 0."""
    n_rows, n_cols = quantised.shape
    sums = np.zeros((n_rows, n_cols + 1), np.int64)
    squares = np.zeros((n_rows, n_cols + 1), np.int64)
    counts = np.zeros((n_rows, n_cols + 1), np.int64)
    for row in range(n_rows):
        for col in range(n_cols):
            value = quantised[row, col]
            sums[row, col + 1] = sums[row, col] + value
            squares[row, col + 1] = squares[row, col] + value * value
            counts[row, col + 1] = counts[row, col] + np.int64(present[row, col])
    return sums, squares, counts


@njit(cache=True, nogil=True)
def _add_chord(
    totals: NDArray[np.int64], right: NDArray[np.int64], left: NDArray[np.int64]
) -> None:
    for col in range(len(totals)):
        totals[col] += right[col] - left[col]


@njit(cache=True, nogil=True)
def _disc_totals(
    prefix: IntRaster,
    centre_row: int,
    half_widths: NDArray[np.int64],
    halo: int,
    totals: NDArray[np.int64],
) -> None:
    """Fill `totals` with the sums over the discs around one row, chord by chord."""
    n_cols = len(totals)
    first_row = centre_row - len(half_widths) // 2
    totals[:] = 0
    for step in range(len(half_widths)):
        left, right = halo - half_widths[step], halo + half_widths[step] + 1
        chords = prefix[first_row + step]
        _add_chord(totals, chords[right : right + n_cols], chords[left : left + n_cols])


@njit(cache=True, nogil=True, error_model="numpy")
def _disc_statistics(
    sums: IntRaster,
    squares: IntRaster,
    counts: IntRaster,
    quantised: IntRaster,
    present: NDArray[np.bool_],
    half_widths: NDArray[np.int64],
    halo: int,
    quantum: float,
    complete: bool,
    out: NDArray[np.float32],
) -> None:
    """Fill `out` (difference, or difference, sd and rms difference) from the running sums.

    Squares are taken about the centre: Σ(v-c)² = Σv² - 2cΣv + nc². In int64 the parts
    may wrap around, the result (checked to be below 2⁶³) does not.
    """
    n_cols = out.shape[2]
    total = np.empty(n_cols, np.int64)
    square = np.empty(n_cols, np.int64)
    count = np.full(n_cols, 2 * half_widths.sum() + len(half_widths), np.int64)
    for row in range(out.shape[1]):
        centres = quantised[row + halo, halo : halo + n_cols]
        known = present[row + halo, halo : halo + n_cols]
        _disc_totals(sums, row + halo, half_widths, halo, total)
        if not complete:
            _disc_totals(counts, row + halo, half_widths, halo, count)
        for col in range(n_cols):
            about_centre = total[col] - count[col] * centres[col]
            mean = about_centre / count[col]
            out[0, row, col] = mean * quantum if known[col] else np.nan
        if out.shape[0] == 1:
            continue
        _disc_totals(squares, row + halo, half_widths, halo, square)
        for col in range(n_cols):
            n, centre = count[col], centres[col]
            squared = square[col] - 2 * centre * total[col] + n * centre * centre
            mean = (total[col] - n * centre) / n
            variance = max(squared / n - mean * mean, 0.0)
            others = max(n - 1, 1)
            out[1, row, col] = math.sqrt(variance) * quantum if known[col] else np.nan
            out[2, row, col] = math.sqrt(squared / others) * quantum if known[col] else np.nan


@njit(cache=True, nogil=True)
def _doubling_maxima(values: FloatRaster, levels: int) -> NDArray[np.float32]:
    """Return maxima over 1, 2, 4 … cells from each cell eastwards, shape (levels, rows, cols)."""
    n_rows, n_cols = values.shape
    table = np.empty((levels, n_rows, n_cols), np.float32)
    table[0] = values
    for level in range(1, levels):
        shift = 1 << (level - 1)
        for row in range(n_rows):
            near = table[level - 1, row]
            out = table[level, row]
            for col in range(n_cols - shift):
                out[col] = near[col] if near[col] > near[col + shift] else near[col + shift]
            for col in range(max(n_cols - shift, 0), n_cols):
                out[col] = near[col]
    return table


@njit(cache=True, nogil=True)
def _raise_to(
    highest: NDArray[np.float32], west: NDArray[np.float32], east: NDArray[np.float32]
) -> None:
    for col in range(len(highest)):
        chord = west[col] if west[col] > east[col] else east[col]
        highest[col] = highest[col] if highest[col] > chord else chord


@njit(cache=True, nogil=True)
def _disc_highest(
    table: NDArray[np.float32], half_widths: NDArray[np.int64], halo: int
) -> NDArray[np.float32]:
    """Return the highest value in the disc around each cell inside the halo.

    Each chord is covered by two overlapping runs whose length is a power of two.
    """
    n_rows, n_cols = table.shape[1] - 2 * halo, table.shape[2] - 2 * halo
    radius = len(half_widths) // 2
    out = np.full((n_rows, n_cols), -np.inf, np.float32)
    for row in range(n_rows):
        for step in range(len(half_widths)):
            source = row + halo - radius + step
            length = 2 * half_widths[step] + 1
            level = 0
            while (2 << level) <= length:
                level += 1
            west = halo - half_widths[step]
            east = west + length - (1 << level)
            _raise_to(
                out[row],
                table[level, source, west : west + n_cols],
                table[level, source, east : east + n_cols],
            )
    return out
