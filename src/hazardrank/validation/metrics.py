"""Figures of skill. Each is ``None`` where it is undefined, never 0.

``contaminated`` is the outcome (bool), ``score`` anything that ranks (higher is
likelier), ``likelihood`` a probability in 0–1. All arrays have shape (n_cells,).
Weights, where taken, count a cell as that many cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]

#: Shares of area at which capture is reported.
CAPTURE_SHARES = (0.01, 0.05, 0.10, 0.20)
#: Shares of contaminated cells for which the area needed is reported.
FOUND_SHARES = (0.90, 0.95, 0.99)
#: Likelihoods are kept this far from 0 and 1 in the log loss.
LOG_LOSS_EPS = 1e-6
MIN_CELLS_PER_BIN, MAX_BINS = 20, 15


@dataclass(frozen=True)
class Skill:
    """Figures of skill, and why some are missing.

    Parameters
    ----------
    values : mapping of str to float or None
        Figure by name.
    undefined : mapping of str to str
        For each figure that is ``None``, the reason.
    ece_bins : int
        Number of bins behind ``ece``; 0 without likelihoods.
    intervals : mapping of str to (float, float)
        95 % interval of a figure, where it has one.
    """

    values: Mapping[str, float | None]
    undefined: Mapping[str, str] = field(default_factory=dict)
    ece_bins: int = 0
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, with what else is known of them where it says something."""
        result: dict[str, Any] = dict(self.values)
        if self.ece_bins:
            result["ece_bins"] = self.ece_bins
        if self.undefined:
            result["undefined"] = dict(self.undefined)
        if self.intervals:
            result["intervals"] = {name: list(ends) for name, ends in self.intervals.items()}
        return result


def skill(contaminated: Flags, score: Values, likelihood: Values | None) -> Skill:
    """Return all figures of one set of predictions.

    Parameters
    ----------
    contaminated : ndarray of bool
        Outcomes.
    score : ndarray of float64
        What ranks the cells.
    likelihood : ndarray of float64 or None
        Probabilities; without them Brier score, log loss and ECE are undefined.
    """
    values: dict[str, float | None] = {
        "roc_auc": roc_auc(contaminated, score),
        "pr_auc": pr_auc(contaminated, score),
    }
    for name, figure in {"brier": brier, "ece": ece, "log_loss": log_loss}.items():
        values[name] = None if likelihood is None else figure(contaminated, likelihood)
    for share in CAPTURE_SHARES:
        values[f"capture_at_{100 * share:.0f}pct_area"] = capture(contaminated, score, share)
    for share in FOUND_SHARES:
        values[f"area_for_{100 * share:.0f}pct"] = area_needed(contaminated, score, share)
    values["reverse_height"] = reverse_height(contaminated, score)
    reason = _why_missing(contaminated) or "it ranks only and gives no likelihood"
    undefined = {name: reason for name, value in values.items() if value is None}
    if likelihood is None or len(likelihood) == 0:
        return Skill(values, undefined)
    return Skill(values, undefined, len(reliability_bins(likelihood)))


def _why_missing(contaminated: Flags) -> str | None:
    if len(contaminated) == 0:
        return "there are no cells"
    if not contaminated.any():
        return "no cell is contaminated"
    return "every cell is contaminated" if contaminated.all() else None


def roc_auc(contaminated: Flags, score: Values, weight: Values | None = None) -> float | None:
    """Return the chance that a contaminated cell ranks above another one; ties count half."""
    if _why_missing(contaminated) is not None:
        return None
    return float(roc_auc_score(contaminated, score, sample_weight=weight))


def reverse_height(contaminated: Flags, score: Values) -> float | None:
    """Return how many other cells rank above a contaminated one, on average; ties count half.

    The reverse height of RELand (Dulce Rubio et al. 2024, doi 10.1145/3648437; heights after
    Rudin 2009). It is (1 - ROC-AUC) times the number of other cells, so it grows with the
    land that was held out: compare it on the same cells only. Their own program counts
    ties whole, which differs where likelihoods are tied.
    """
    area = roc_auc(contaminated, score)
    return None if area is None else (1 - area) * int((~contaminated).sum())


def lower_is_better(name: str) -> bool:
    """Return whether less of the figure `name` is better."""
    return name in ("brier", "ece", "log_loss", "reverse_height") or name.startswith("area_for_")


def pr_auc(contaminated: Flags, score: Values, weight: Values | None = None) -> float | None:
    """Return the average precision (area under the precision–recall steps)."""
    if _why_missing(contaminated) is not None:
        return None
    return float(average_precision_score(contaminated, score, sample_weight=weight))


def brier(contaminated: Flags, likelihood: Values, weight: Values | None = None) -> float | None:
    """Return the mean squared difference of likelihood and outcome (Brier 1950)."""
    if len(contaminated) == 0:
        return None
    return float(np.average((likelihood - contaminated) ** 2, weights=weight))


def log_loss(contaminated: Flags, likelihood: Values, weight: Values | None = None) -> float | None:
    """Return the mean negative log-likelihood, likelihoods clipped to 1e-6 … 1 - 1e-6."""
    if len(contaminated) == 0:
        return None
    kept = np.clip(likelihood, LOG_LOSS_EPS, 1 - LOG_LOSS_EPS)
    return float(-np.average(np.log(np.where(contaminated, kept, 1 - kept)), weights=weight))


def reliability_bins(
    likelihood: Values, weight: Values | None = None, n_bins: int | None = None
) -> list[NDArray[np.int64]]:
    """Split cells into bins of about equal mass by likelihood.

    Cells of one likelihood share a bin, so there can be fewer bins than asked for.

    Parameters
    ----------
    likelihood : ndarray of float64
        Values to bin.
    weight : ndarray of float64, optional
        Mass of each cell; 1 when left out.
    n_bins : int, optional
        Bins wanted; one for every 20 cells when left out, at most 15.

    Returns
    -------
    list of ndarray of int64
        Cells of each bin, in order of likelihood.
    """
    wanted = n_bins or int(np.clip(len(likelihood) // MIN_CELLS_PER_BIN, 1, MAX_BINS))
    mass = np.ones(len(likelihood)) if weight is None else weight
    _, level = np.unique(likelihood, return_inverse=True)
    level_mass = np.bincount(level, mass)
    middle = np.cumsum(level_mass) - level_mass / 2
    bin_of_level = np.minimum((middle / level_mass.sum() * wanted).astype(np.int64), wanted - 1)
    order = np.argsort(level, kind="stable")
    edges = np.flatnonzero(np.diff(bin_of_level[level[order]])) + 1
    return np.split(order, edges)


def ece(
    contaminated: Flags,
    likelihood: Values,
    weight: Values | None = None,
    n_bins: int | None = None,
) -> float | None:
    """Return the expected calibration error over bins of equal mass.

    The mean over bins, by mass, of |mean likelihood - share contaminated| (Naeini et al.
    2015, with the equal-mass bins of Nguyen & O'Connor 2015).
    """
    if len(contaminated) == 0:
        return None
    mass = np.ones(len(likelihood)) if weight is None else weight
    gaps = [
        abs(float(np.dot(mass[cells], likelihood[cells] - contaminated[cells])))
        for cells in reliability_bins(likelihood, weight, n_bins)
    ]
    return float(sum(gaps) / mass.sum())


def capture(contaminated: Flags, score: Values, share: float) -> float | None:
    """Return the share of contaminated cells found in the best-ranked `share` of area.

    Cells are of one size. Among cells of equal score any order is as likely as another:
    this is the expected value, which is linear within a tie.
    """
    if not contaminated.any():
        return None
    n_ranked, n_found = _ranking(contaminated, score)
    return float(np.interp(share * len(score), n_ranked, n_found) / n_found[-1])


def area_needed(contaminated: Flags, score: Values, share: float) -> float | None:
    """Return the best-ranked share of area in which `share` of contaminated cells lie.

    The expected place of the last cell needed: among `n` cells of equal score, `h` of
    them contaminated, the j-th is met at place ``j (n + 1) / (h + 1)`` on average (mean
    of the negative hypergeometric distribution).
    """
    if not contaminated.any():
        return None
    n_ranked, n_found = _ranking(contaminated, score)
    wanted = int(np.ceil(share * n_found[-1] * (1 - 1e-12)))
    tie = int(np.searchsorted(n_found, wanted))
    n_tied = n_ranked[tie] - n_ranked[tie - 1]
    n_hits = n_found[tie] - n_found[tie - 1]
    place = n_ranked[tie - 1] + (wanted - n_found[tie - 1]) * (n_tied + 1) / (n_hits + 1)
    return float(place / len(score))


def _ranking(contaminated: Flags, score: Values) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return cells ranked and contaminated cells found after each tie, from 0 on."""
    _, level = np.unique(-score, return_inverse=True)
    n_ranked = np.cumsum(np.bincount(level))
    n_found = np.cumsum(np.bincount(level[contaminated], minlength=len(n_ranked)))
    return np.insert(n_ranked, 0, 0), np.insert(n_found, 0, 0)
