"""Categorical rasters: from class codes to the share of each cell each class covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.settings import LayerSettings
from hazardrank.sources.layers import all_class_names

#: Place of a code that is missing.
MISSING = np.int16(-1)


@dataclass(frozen=True)
class ClassTable:
    """Which place in :func:`all_class_names` each code of a layer counts for.

    Parameters
    ----------
    codes : ndarray of int64, shape (n_codes,)
        Codes the catalogue names, ascending.
    code_places : ndarray of int16, shape (n_codes,)
        Place of each; two codes of one name share a place.
    n_classes : int
        Number of class names, ``other`` (the last place) included.
    nodata : float or None
        Value that means missing.
    """

    codes: NDArray[np.int64]
    code_places: NDArray[np.int16]
    n_classes: int
    nodata: float | None
    _by_type: dict[str, NDArray[np.int16]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, layer: LayerSettings, nodata: float | None = None) -> ClassTable:
        """Return the table of a layer; its own ``nodata`` goes before the file's."""
        names = all_class_names(layer)
        codes = sorted(layer.classes)
        return cls(
            np.array(codes, np.int64),
            np.array([names.index(layer.classes[code]) for code in codes], np.int16),
            len(names),
            nodata if layer.nodata is None else layer.nodata,
        )

    def places(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return the place of each value, -1 where missing (nodata or NaN)."""
        if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
            places = np.empty(values.shape, np.int16)
            bits = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")
            _look_up(bits.reshape(-1), self._of_every(values.dtype), places.reshape(-1))
            return places
        return self._search(values)

    def _of_every(self, dtype: np.dtype[Any]) -> NDArray[np.int16]:
        """Return the place of each value of a small type, in the order of its bits."""
        if dtype.name not in self._by_type:
            bits = np.arange(256**dtype.itemsize).astype(f"u{dtype.itemsize}")
            self._by_type[dtype.name] = self._search(bits.view(dtype))
        return self._by_type[dtype.name]

    def _search(self, values: NDArray[Any]) -> NDArray[np.int16]:
        places = np.full(values.shape, self.n_classes - 1, np.int16)
        if len(self.codes):
            at = np.clip(np.searchsorted(self.codes, values), 0, len(self.codes) - 1)
            named = self.codes[at] == values
            places[named] = self.code_places[at[named]]
        if np.issubdtype(values.dtype, np.floating):
            places[np.isnan(values)] = MISSING
        if self.nodata is not None:
            places[values == self.nodata] = MISSING
        return places


def fractions_of_codes(
    places: NDArray[np.int16], factor: int, n_classes: int
) -> NDArray[np.float32]:
    """Return the share of each class in squares of `factor` × `factor` samples.

    Parameters
    ----------
    places : ndarray of int16, shape (rows * factor, cols * factor)
        Place of each sample's class, -1 where missing.
    factor : int
        Samples along a cell's side.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of float32, shape (n_classes, rows, cols)
        Shares of the samples that have data, 0–1; NaN in cells without any.
    """
    n_rows, n_cols = places.shape[0] // factor, places.shape[1] // factor
    shares = np.empty((n_classes, n_rows, n_cols), np.float32)
    _count(places, factor, shares)
    return shares


@njit(cache=True, nogil=True)
def _look_up(bits: NDArray[Any], table: NDArray[np.int16], out: NDArray[np.int16]) -> None:
    for k in range(len(bits)):
        out[k] = table[bits[k]]


@njit(cache=True, nogil=True, error_model="numpy")
def _count(places: NDArray[np.int16], factor: int, shares: NDArray[np.float32]) -> None:
    n_classes, n_rows, n_cols = shares.shape
    counts = np.empty((n_cols, n_classes + 1), np.int32)  # the first for missing
    for row in range(n_rows):
        counts[:] = 0
        for line in range(row * factor, (row + 1) * factor):
            for col in range(n_cols):
                for sample in range(col * factor, (col + 1) * factor):
                    counts[col, np.uint16(places[line, sample] + 1)] += 1
        for col in range(n_cols):
            known = factor * factor - counts[col, 0]
            for place in range(n_classes):
                share = counts[col, place + 1] / known if known else np.nan
                shares[place, row, col] = share
