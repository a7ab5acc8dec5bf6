"""Whether intervals of the likelihood hold: checked on units of land, not on cells.

A cell holds ordnance or does not, so no single cell can lie in an interval of a
probability. A unit of land (a square block, a group) has a number of contaminated cells,
and that number should lie between the sums of the lower and of the upper ends over its
cells, each rounded outwards to whole cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIN_UNIT_CELLS = 20
"""Units with fewer labelled cells say too little of a share to count."""

COVERAGE_NOTE = (
    "coverage: share of held-out units of land (units of at least "
    f"{MIN_UNIT_CELLS} labelled cells) whose number of contaminated cells lies between the "
    "sums of the lower and of the upper ends over those cells, rounded outwards to whole cells; "
    "it speaks of surveyed land"
)


@dataclass(frozen=True)
class UnitCounts:
    """Units with enough labelled cells, and how many of these are contaminated.

    Parameters
    ----------
    cells : ndarray of int64, shape (n,)
        The cells in such units.
    unit : ndarray of int64, shape (n,)
        Unit of each, 0 … n_units - 1.
    n_contaminated : ndarray of int64, shape (n_units,)
        Contaminated cells of each unit.
    """

    cells: NDArray[np.int64]
    unit: NDArray[np.int64]
    n_contaminated: NDArray[np.int64]

    @classmethod
    def of(cls, unit: NDArray[np.int64], contaminated: NDArray[np.bool_]) -> UnitCounts:
        """Count; units of fewer than :data:`MIN_UNIT_CELLS` cells are left out."""
        _, number, n_cells = np.unique(unit, return_inverse=True, return_counts=True)
        cells = np.flatnonzero(n_cells[number] >= MIN_UNIT_CELLS)
        _, kept = np.unique(number[cells], return_inverse=True)
        found = np.bincount(kept[contaminated[cells]], minlength=int(kept.max(initial=-1)) + 1)
        return cls(cells, kept.astype(np.int64), found.astype(np.int64))

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.n_contaminated)

    def expected(self, likelihood: Floats) -> Floats:
        """Return the sum of the likelihoods of each unit's cells, shape (n_units,)."""
        return np.bincount(self.unit, likelihood[self.cells], self.n_units).astype(np.float64)

    def below(self, low: Floats) -> NDArray[np.bool_]:
        """Say which units hold fewer contaminated cells than the lower ends allow."""
        return self.n_contaminated < np.floor(self.expected(low) + 1e-9)

    def above(self, high: Floats) -> NDArray[np.bool_]:
        """Say which units hold more contaminated cells than the upper ends allow."""
        return self.n_contaminated > np.ceil(self.expected(high) - 1e-9)


def coverage(
    unit: NDArray[np.int64], contaminated: NDArray[np.bool_], low: Floats, high: Floats
) -> dict[str, Any]:
    """Return how often the interval holds; arrays of shape (n,), of held-out cells.

    Returns
    -------
    dict
        ``coverage`` (``None`` without units), ``n_units``, ``n_below`` and ``n_above``: units
        with fewer and with more contaminated cells than the interval allows; ``mean_width``
        of the interval over the cells, 0–1.
    """
    units = UnitCounts.of(unit, contaminated)
    n_below, n_above = int(units.below(low).sum()), int(units.above(high).sum())
    share = (units.n_units - n_below - n_above) / units.n_units if units.n_units else None
    return {
        "coverage": share,
        "n_units": units.n_units,
        "n_below": n_below,
        "n_above": n_above,
        "mean_width": float(np.mean(high - low)) if len(low) else None,
    }
