"""Classes of contamination likelihood, with round limits that fit the map's own values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: Round limits in percent: a 1-2-5 series below 10 %, then steps of five, then of ten.
ROUND_LIMITS_PERCENT = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    *(15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 99.0),
)
#: Shares of the map's area that limits aim to leave below them. Steps narrow towards the
#: top, because the rare high values are what a planner looks for.
AREA_SHARES = (0.30, 0.55, 0.75, 0.90, 0.96, 0.99)


@dataclass(frozen=True)
class LikelihoodClasses:
    """Classes between limits; a value on a limit belongs to the class above it.

    Parameters
    ----------
    limits_percent : tuple of float
        Rising limits between neighbouring classes, in percent. One limit makes two classes.
    """

    limits_percent: tuple[float, ...]

    @classmethod
    def fitting(cls, likelihood: NDArray[np.floating]) -> LikelihoodClasses:
        """Return classes that spread over the values of a map.

        Quantiles of the finite values at :data:`AREA_SHARES` are moved to the nearest
        round limit on a logarithmic scale, so that a map with 2 % of its land
        contaminated is as readable as one with 40 %.

        Parameters
        ----------
        likelihood : ndarray
            Likelihoods in 0–1; NaN is left out.
        """
        values = np.asarray(likelihood)[np.isfinite(likelihood)]
        ladder = np.array(ROUND_LIMITS_PERCENT)
        if values.size == 0:
            return cls((1.0, 10.0, 50.0))
        quantiles = np.clip(np.quantile(values, AREA_SHARES) * 100, ladder[0], ladder[-1])
        nearest = np.abs(np.log(quantiles)[:, None] - np.log(ladder)[None, :]).argmin(axis=1)
        return cls(tuple(float(limit) for limit in ladder[np.unique(nearest)]))

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.limits_percent) + 1

    @property
    def labels(self) -> list[str]:
        """The classes' names from low to high, such as ``2–5 %``."""
        limits = [f"{limit:g}" for limit in self.limits_percent]
        between = [f"{low}–{high} %" for low, high in pairwise(limits)]
        return [f"below {limits[0]} %", *between, f"{limits[-1]} % or more"]

    def index(self, likelihood: NDArray[np.floating]) -> NDArray[np.intp]:
        """Return the class of each value, 0 lowest. NaN falls in the highest: mask it."""
        # Likelihoods are float32: a stored 5 % is a hair above or below 0.05.
        limits = (np.array(self.limits_percent) / 100).astype(np.float32)
        return np.searchsorted(limits, np.asarray(likelihood, dtype=np.float32), side="right")

    def shares(self, likelihood: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the share of the finite values that fall in each class, shape (n_classes,)."""
        values = np.asarray(likelihood)[np.isfinite(likelihood)]
        counts = np.bincount(self.index(values), minlength=self.n_classes)
        shares: NDArray[np.float64] = counts / max(values.size, 1)
        return shares
