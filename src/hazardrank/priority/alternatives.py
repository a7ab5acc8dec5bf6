"""What is ranked: pieces of land with their likelihood, consequence and effort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError

FloatArray = NDArray[np.float64]
M2_PER_HA = 10_000.0


@dataclass(frozen=True)
class Alternatives:
    """Pieces of land to rank against each other; usually clearance tasks.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Stable, unique; ties go to the id that sorts first.
    criteria : tuple of str
        Names of the consequence criteria.
    consequence : ndarray of float64, shape (n, n_criteria)
        How much each criterion counts, 0–1. For a task of several cells: the mean over its
        cells weighed by likelihood, ``Σ p·v / Σ p``, so that likelihood × consequence ×
        area is the expected harm, ``Σ p·v·cell area``, to the bit of rounding.
    likelihood : ndarray of float64, shape (n,)
        Mean contamination likelihood, 0–1.
    area_m2 : ndarray of float64, shape (n,)
        Area.
    team_days : ndarray of float64, shape (n,)
        Team-days to clear it, follow-up included; infinite where no method can be used.

    Raises
    ------
    PriorityError
        If shapes do not fit, a value is missing or out of its range, or an id comes twice.
    """

    ids: NDArray[np.str_]
    criteria: tuple[str, ...]
    consequence: FloatArray
    likelihood: FloatArray
    area_m2: FloatArray
    team_days: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=np.str_))
        n = len(self.ids)
        for name in ("consequence", "likelihood", "area_m2", "team_days"):
            values = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            wanted = (n, len(self.criteria)) if name == "consequence" else (n,)
            if values.shape != wanted:
                raise PriorityError(f"{name} has the shape {values.shape}, not {wanted}")
            object.__setattr__(self, name, values)
        _check_range("consequence", self.consequence, 0.0, 1.0, self.ids)
        _check_range("likelihood", self.likelihood, 0.0, 1.0, self.ids)
        _check_range("area_m2", self.area_m2, np.nextafter(0, 1), np.finfo(float).max, self.ids)
        _check_range("team_days", self.team_days, np.nextafter(0, 1), np.inf, self.ids)
        if len(np.unique(self.ids)) < n:
            ids, count = np.unique(self.ids, return_counts=True)
            raise PriorityError(f"the id '{ids[count > 1][0]}' comes twice")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def area_ha(self) -> FloatArray:
        """Area in hectares."""
        return self.area_m2 / M2_PER_HA

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Alternatives:
        """Return some of them, in the order of `index`."""
        return Alternatives(
            self.ids[index],
            self.criteria,
            self.consequence[index],
            self.likelihood[index],
            self.area_m2[index],
            self.team_days[index],
        )


def _check_range(
    name: str, values: FloatArray, low: float, high: float, ids: NDArray[np.str_]
) -> None:
    rows = values if values.ndim == 2 else values[:, np.newaxis]
    wrong = ~((rows >= low) & (rows <= high))
    if wrong.any():
        row, col = np.argwhere(wrong)[0]
        rule = "above 0" if low > 0 else f"in {low:g}–{high:g}"
        raise PriorityError(f"{name} of '{ids[row]}' is {rows[row, col]:g}; it must be {rule}")


def ranks_of(scores: FloatArray, ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the rank of each alternative, 1 for the highest score.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
        Higher is better.
    ids : ndarray of str, shape (n,)
        Equal scores are ranked by id.

    Returns
    -------
    ndarray of int64, shape (n,)
        A permutation of 1 … n.
    """
    order = np.lexsort((ids, -scores))
    ranks = np.empty(len(ids), np.int64)
    ranks[order] = np.arange(1, len(ids) + 1)
    return ranks
