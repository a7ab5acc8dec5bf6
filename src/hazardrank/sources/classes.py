"""Categorical rasters: from class codes to the share of each cell each class covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
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
    cells = np.arange(n_rows * n_cols, dtype=np.int64).reshape(n_rows, n_cols)
    cells = cells.repeat(factor, axis=0).repeat(factor, axis=1)
    known = places >= 0
    slots = places[known].astype(np.int64) * (n_rows * n_cols) + cells[known]
    counts = np.bincount(slots, minlength=n_classes * n_rows * n_cols)
    counts = counts.reshape(n_classes, n_rows, n_cols)
    total = counts.sum(axis=0)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, total, out=shares, where=total > 0)
    return shares.astype(np.float32)
