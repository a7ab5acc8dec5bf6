"""Weights of criteria: given, equal, from pairwise comparisons, or from an order alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.settings import WeightSettings

FloatArray = NDArray[np.float64]

#: Mean consistency index of random comparisons, by the number of criteria (Saaty 1980).
RANDOM_INDEX = (
    *(0.0, 0.0, 0.0, 0.58, 0.90, 1.12, 1.24, 1.32),
    *(1.41, 1.45, 1.49, 1.51, 1.48, 1.56, 1.57, 1.59),
)
#: Comparisons less consistent than this should be thought over again (Saaty 1980).
CONSISTENT_BELOW = 0.1


@dataclass(frozen=True)
class Weights:
    """Weights of named criteria; they add up to 1.

    Parameters
    ----------
    names : tuple of str
        The criteria.
    values : ndarray of float64, shape (n_criteria,)
        Their weights, 0 or more.
    source : str
        How they came about, in words.
    consistency_ratio : float or None
        Of pairwise comparisons: 0 is perfect, above 0.1 they contradict each other.
    """

    names: tuple[str, ...]
    values: FloatArray
    source: str
    consistency_ratio: float | None = None

    @property
    def words(self) -> str:
        """Return source and weights, the largest first: ``given weights: people 60 %, …``."""
        order = sorted(range(len(self.names)), key=lambda k: -self.values[k])
        shares = ", ".join(f"{self.names[k]} {100 * self.values[k]:.0f} %" for k in order)
        return f"{self.source}: {shares}"

    @property
    def warning(self) -> str | None:
        """What a planner should know before trusting the weights, if anything."""
        ratio = self.consistency_ratio
        if ratio is None or ratio <= CONSISTENT_BELOW:
            return None
        return (
            f"The pairwise comparisons contradict each other: consistency ratio {ratio:.2f}, "
            f"above {CONSISTENT_BELOW:g} (Saaty 1980). Think them over before using the ranks."
        )


def weights_of(
    settings: WeightSettings, names: Sequence[str], skipped: Sequence[str] = ()
) -> Weights:
    """Return the weights of criteria as the settings ask.

    Parameters
    ----------
    settings : WeightSettings
        ``priority.weights``.
    names : sequence of str
        The criteria to weigh, in order.
    skipped : sequence of str, optional
        Criteria left out because the region lacks their layer; the rest share their weight.

    Raises
    ------
    PriorityError
        If a criterion has no weight, a weight no criterion, or all weights are 0.
    """
    if settings.source == "equal":
        values = np.full(len(names), 1.0 / len(names))
        return Weights(tuple(names), values, "equal weights")
    if settings.source == "given":
        _check_names(settings.given, names, skipped, "given")
        values = np.array([settings.given[name] for name in names])
        if values.sum() <= 0:
            raise PriorityError("all weights are 0", where="priority.weights.given")
        return Weights(tuple(names), values / values.sum(), "given weights")
    if settings.source == "rank_order":
        _check_names(settings.order, names, skipped, "order")
        order = [name for name in settings.order if name in names]
        by_name = dict(zip(order, rank_order_centroid(len(order)), strict=True))
        values = np.array([by_name[name] for name in names])
        source = f"rank-order centroids of {' > '.join(order)} (Barron & Barrett 1996)"
        return Weights(tuple(names), values, source)
    values, ratio = analytic_hierarchy(_comparisons(settings, names, skipped))
    source = "pairwise comparisons (AHP, Saaty 1980)"
    return Weights(tuple(names), values, source, ratio)


def rank_order_centroid(n_criteria: int) -> FloatArray:
    """Return rank-order centroid weights, the largest first.

    ``w_k = (1/n) Σ_{i=k…n} 1/i``: the mean of all weights that keep the order and add up to 1
    (Barron & Barrett 1996, Management Science 42(11)).
    """
    reciprocals = 1.0 / np.arange(1, n_criteria + 1)
    weights: FloatArray = np.cumsum(reciprocals[::-1])[::-1] / n_criteria
    return weights


def analytic_hierarchy(comparisons: FloatArray) -> tuple[FloatArray, float]:
    """Return the weights that pairwise comparisons imply, and their consistency ratio.

    The principal right eigenvector, scaled to add up to 1, and CR = CI / RI with
    CI = (λ_max − n) / (n − 1) (Saaty 1980, The Analytic Hierarchy Process).

    Parameters
    ----------
    comparisons : ndarray of float64, shape (n, n)
        ``[i, j]``: how many times as important *i* is as *j*; ``[j, i]`` is its reciprocal.

    Returns
    -------
    weights : ndarray of float64, shape (n,)
    consistency_ratio : float
        0 for one or two criteria.

    Raises
    ------
    PriorityError
        If there are more criteria than Saaty's random index is known for (15), or the matrix
        is not reciprocal.
    """
    n_criteria = len(comparisons)
    if n_criteria >= len(RANDOM_INDEX):
        raise PriorityError(
            f"{n_criteria} criteria are compared in pairs; consistency is known for up to "
            f"{len(RANDOM_INDEX) - 1}",
            where="priority.weights.pairwise",
            remedy="Group criteria, or use source: rank_order.",
        )
    if not np.allclose(comparisons * comparisons.T, 1.0):
        raise PriorityError("the comparisons are not reciprocal", where="priority.weights.pairwise")
    values, vectors = np.linalg.eig(comparisons)
    largest = int(np.argmax(values.real))
    principal = np.abs(vectors[:, largest].real)
    weights = principal / principal.sum()
    if n_criteria < 3:
        return weights, 0.0
    index = (values[largest].real - n_criteria) / (n_criteria - 1)
    return weights, max(float(index / RANDOM_INDEX[n_criteria]), 0.0)


def _comparisons(
    settings: WeightSettings, names: Sequence[str], skipped: Sequence[str]
) -> FloatArray:
    """Return the settings' triples as a reciprocal matrix between the criteria in use."""
    compared = list(dict.fromkeys(name for pair in settings.pairwise for name in pair[:2]))
    _check_names(compared, names, skipped, "pairwise")
    place = {name: k for k, name in enumerate(names)}
    matrix = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(matrix, 1.0)
    for one, other, ratio in settings.pairwise:
        if one in place and other in place:
            matrix[place[one], place[other]] = ratio
            matrix[place[other], place[one]] = 1.0 / ratio
    if np.isnan(matrix).any():
        one, other = (names[k] for k in np.argwhere(np.isnan(matrix))[0])
        raise PriorityError(
            f"{one} and {other} are not compared; every pair must be",
            where="priority.weights.pairwise",
            remedy=f"Add [{one}, {other}, RATIO].",
        )
    return matrix


def _check_names(
    weighed: Iterable[str],
    names: Sequence[str],
    skipped: Sequence[str],
    field: str,
) -> None:
    given = list(weighed)
    lacking = [name for name in names if name not in given]
    foreign = [name for name in given if name not in names and name not in skipped]
    where = f"priority.weights.{field}"
    if lacking:
        raise PriorityError(
            f"there is no weight for {', '.join(lacking)}",
            where=where,
            remedy="Weigh every criterion in use; a weight of 0 leaves one out of the score.",
        )
    if foreign:
        raise PriorityError(
            f"{', '.join(foreign)} has a weight but is no criterion in use",
            where=where,
            remedy=f"Criteria in use: {', '.join(names)}.",
        )
