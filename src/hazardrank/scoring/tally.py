"""What is counted while cells are scored; no total depends on the order of blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.scoring.cells import OUTSIDE_DOMAIN

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_N_BINS = 10_000
_FIXED_POINT = 2**30


@dataclass
class Tally:
    """Counts likelihoods as they come.

    Parameters
    ----------
    n_cells, n_scored, n_outside_domain, n_near_limit : int
        Cells of the area, those with a likelihood, those outside the model's domain, and
        those of them that the sampling of reference cells alone may have put there.
    """

    n_cells: int = 0
    n_scored: int = 0
    n_outside_domain: int = 0
    n_near_limit: int = 0
    _fixed_sum: int = 0
    _histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_N_BINS, np.int64))

    def add(self, likelihood: NDArray[np.float32]) -> None:
        """Count cells of the area, shape (n_cells,); NaN is not scored."""
        n_scored, fixed_sum = _count(likelihood, self._histogram)
        self.n_cells += len(likelihood)
        self.n_scored += n_scored
        self._fixed_sum += fixed_sum

    def add_domain(self, outside_domain: NDArray[np.uint8]) -> None:
        """Count cells of the area outside the domain, shape (n_cells,)."""
        self.n_outside_domain += int(np.count_nonzero(outside_domain == OUTSIDE_DOMAIN))

    def merge(self, other: Tally) -> None:
        """Add another tally's counts."""
        self.n_cells += other.n_cells
        self.n_scored += other.n_scored
        self.n_outside_domain += other.n_outside_domain
        self.n_near_limit += other.n_near_limit
        self._fixed_sum += other._fixed_sum
        self._histogram += other._histogram

    @property
    def n_without_features(self) -> int:
        """Cells of the area none of whose features is known."""
        return self.n_cells - self.n_scored - self.n_outside_domain

    @property
    def sum(self) -> float:
        """Sum of the likelihoods: the number of cells expected to be contaminated."""
        return self._fixed_sum / _FIXED_POINT

    @property
    def mean(self) -> float:
        """Mean likelihood, NaN if nothing was scored."""
        return self.sum / self.n_scored if self.n_scored else float("nan")

    def quantiles(self) -> dict[float, float]:
        """Return the middle of the histogram bin each quantile falls in; empty if none."""
        if not self.n_scored:
            return {}
        reached = np.cumsum(self._histogram)
        ranks = [max(1, int(np.ceil(quantile * self.n_scored))) for quantile in QUANTILES]
        bins = np.searchsorted(reached, ranks)
        return {q: (int(b) + 0.5) / _N_BINS for q, b in zip(QUANTILES, bins, strict=True)}

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` rebuilds the tally."""
        bins = np.flatnonzero(self._histogram)
        return {
            "n_cells": self.n_cells,
            "n_scored": self.n_scored,
            "n_outside_domain": self.n_outside_domain,
            "n_near_limit": self.n_near_limit,
            "fixed_sum": self._fixed_sum,
            "bins": bins.tolist(),
            "counts": self._histogram[bins].tolist(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Tally:
        """Rebuild a tally from :meth:`to_json`."""
        tally = cls(
            values["n_cells"],
            values["n_scored"],
            values["n_outside_domain"],
            values["n_near_limit"],
            values["fixed_sum"],
        )
        tally._histogram[np.array(values["bins"], np.int64)] = values["counts"]
        return tally


@njit(cache=True, nogil=True)
def _count(likelihood: NDArray[np.float32], histogram: NDArray[np.int64]) -> tuple[int, int]:
    """Add likelihoods to the histogram; return how many there are, and their sum in 2⁻³⁰."""
    n_scored, fixed_sum = 0, 0
    for value in likelihood:
        if value == value:
            exact = float(value)
            n_scored += 1
            fixed_sum += int(np.rint(exact * _FIXED_POINT))
            histogram[min(int(exact * _N_BINS), _N_BINS - 1)] += 1
    return n_scored, fixed_sum
