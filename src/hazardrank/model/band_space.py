"""Cells that come band by band as points of the weighted space, a tile at a time.

The same numbers as :func:`hazardrank.model.feature_space.embed`, to the bit, without a copy of
the bands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.model.feature_space import APART, Axis
from hazardrank.model.nearest import Singles

Floats = NDArray[np.float64]

TILE = 64
"""Cells of a tile."""
FARTHEST = np.float32(np.finfo(np.float32).max)
_ZERO = np.float32(0)

SpaceArrays = tuple[
    NDArray[np.int64],  # axis → band
    Floats,  # axis → mean
    Floats,  # axis → what a unit of the feature is in the space
    Singles,  # axis → coordinate of a class, or of a missing value
    NDArray[np.bool_],  # axis → whether some training cell does not know it
    Floats,  # axis → what an unseen class or gap adds to squared distances
    NDArray[np.int64],  # axis → first of its classes
    Singles,  # class → code
]
"""How bands become coordinates."""


@dataclass(frozen=True)
class BandSpace:
    """Axes of the weighted space as arrays.

    Parameters
    ----------
    features : tuple of str
        Feature of each axis.
    """

    features: tuple[str, ...]
    _arrays: tuple[NDArray[Any], ...]

    @classmethod
    def of(cls, axes: Sequence[Axis]) -> BandSpace:
        """Describe the axes."""
        classes = [axis.classes for axis in axes]
        return cls(
            tuple(axis.feature for axis in axes),
            (
                np.array([axis.mean for axis in axes], np.float64),
                np.array([axis.factor for axis in axes], np.float64),
                np.array([axis.weight for axis in axes], np.float64).astype(np.float32),
                np.array([axis.has_missing for axis in axes], np.bool_),
                np.array([axis.weight**2 * (APART / 2) for axis in axes], np.float64),
                np.cumsum([0, *(len(codes) for codes in classes)]).astype(np.int64),
                np.array([code for codes in classes for code in codes], np.float32),
            ),
        )

    def arrays(self, columns: Mapping[str, int]) -> SpaceArrays:
        """Return the arrays for bands that stand at `columns`."""
        band = np.array([columns[feature] for feature in self.features], np.int64)
        arrays: SpaceArrays = (band, *self._arrays)  # type: ignore[assignment]
        return arrays


@njit(nogil=True, error_model="numpy")
def place_strip(
    bands: Singles,
    space: SpaceArrays,
    start: int,
    size: int,
    extra: Floats,
    filled: Singles,
    tiles: Singles,
    base: Singles,
) -> None:
    """Place cells that follow each other; the last tile is filled up with copies of the last.

    Parameters
    ----------
    bands : ndarray of float32, shape (n_bands, n_cells)
        Features.
    space : tuple of ndarray
        The axes.
    start, size : int
        The cells, no more than the tiles hold.
    extra, filled : ndarray, shape (n_tiles, TILE) and (TILE,)
        Memory to work in.
    tiles : ndarray of float32, shape (n_tiles, n_dimensions or more, TILE)
        Receives coordinates.
    base : ndarray of float32, shape (n_tiles, TILE)
        Receives what to add to each squared distance to a training cell.
    """
    band, mean, factor, weight, has_missing, lost, first_class, code = space
    n_tiles = -(-size // TILE)
    extra[:] = 0.0
    d = 0
    for axis in range(len(band)):
        row = bands[band[axis]]
        codes = code[first_class[axis] : first_class[axis + 1]]
        n_dimensions = max(1, len(codes)) + has_missing[axis]
        for number in range(n_tiles):
            at = start + number * TILE
            values = row[at : at + TILE]
            if at + TILE > start + size:
                for c in range(TILE):
                    filled[c] = row[min(at + c, start + size - 1)]
                values = filled[:]
            lines = tiles[number, d : d + n_dimensions]
            if len(codes):
                n_placed = _place_classes(values, codes, weight[axis], lines)
            else:
                n_placed = _place_numbers(values, mean[axis], factor[axis], lines[0])
            if n_placed < TILE:
                _place_others(
                    values, codes, weight[axis], has_missing[axis], lost[axis], lines, extra[number]
                )
            elif has_missing[axis]:
                lines[n_dimensions - 1, :] = np.float32(0)
        d += n_dimensions
    for number in range(n_tiles):
        for c in range(TILE):
            base[number, c] = np.float32(extra[number, c])


@njit(nogil=True, error_model="numpy")
def _place_numbers(values: Singles, mean: float, factor: float, line: Singles) -> int:
    """Place values on their axis, 0 where missing; return how many are known."""
    n_known = np.int32(0)
    for c in range(TILE):
        known = abs(values[c]) <= FARTHEST
        line[c] = np.float32((np.float64(values[c]) - mean) * factor) if known else _ZERO
        n_known += np.int32(known)
    return int(n_known)


@njit(nogil=True, error_model="numpy")
def _place_classes(values: Singles, codes: Singles, weight: np.float32, lines: Singles) -> int:
    """Place class codes, each on an axis of its own; return how many are among `codes`."""
    n_known = np.int32(0)
    for number in range(len(codes)):
        line, code = lines[number], codes[number]
        for c in range(TILE):
            line[c] = weight if values[c] == code else _ZERO
            n_known += np.int32(values[c] == code)
    return int(n_known)


@njit(nogil=True, error_model="numpy")
def _place_others(
    values: Singles,
    codes: Singles,
    weight: np.float32,
    has_missing: bool,
    lost: float,
    lines: Singles,
    extra: Floats,
) -> None:
    """Place missing values on their axis; what has none, unseen classes too, goes to `extra`."""
    for c in range(TILE):
        known = abs(values[c]) <= FARTHEST
        placed = known and not len(codes)
        for code in codes:
            placed = placed or values[c] == code
        if has_missing:
            lines[len(lines) - 1, c] = _ZERO if known else weight
            placed = placed or not known
        if not placed:
            extra[c] += lost
