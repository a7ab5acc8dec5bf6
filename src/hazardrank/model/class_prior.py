"""How much of the unlabelled land is contaminated, from scores of cells held out.

Nothing but positive and unlabelled cells is known, so the share can only be had by
assumption: that recorded contamination is a fair sample of all contamination (selected
completely at random). Where hazards were recorded along roads only, it is not, and the
estimate says what share of the land looks like *recorded* contamination.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import ModelError
from hazardrank.model.calibration import HeldOutScores

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

N_DRAWS = 200
"""Bootstrap draws of units of land behind the interval."""
LEAST, MOST = 1e-4, 1 - 1e-4
"""An estimate is kept within these: no sample shows that a share is 0 or 1."""
_GAMMA, _DELTA = 0.01, 0.1


@dataclass(frozen=True)
class ClassPrior:
    """Share of the unlabelled land that is contaminated.

    Parameters
    ----------
    share : float
        In 0–1, both ends excluded.
    low, high : float or None
        95 % interval by bootstrap over units of land; ``None`` where the share was given,
        or there are too few units to draw from.
    estimator : str
        ``given``, ``elkan_noto`` or ``best_bin``.
    """

    share: float
    low: float | None
    high: float | None
    estimator: str


def class_prior(
    held_out: HeldOutScores, given: float | None, estimator: str, seed: int
) -> ClassPrior:
    """Return the class prior: as given, or estimated on held-out scores with its interval.

    Parameters
    ----------
    held_out : HeldOutScores
        Calibrated probabilities to be labelled, of labelled and unlabelled cells.
    given : float or None
        Share that is known from elsewhere.
    estimator : str
        Name in :data:`ESTIMATORS`.
    seed : int
        Seed of the bootstrap.
    """
    if given is not None:
        return ClassPrior(given, None, None, "given")
    if estimator not in ESTIMATORS:
        raise ModelError(
            f"there is no estimator of the class prior '{estimator}'",
            where="model.class_prior_estimator",
            remedy=f"Known: {', '.join(ESTIMATORS)}.",
        )
    estimate = ESTIMATORS[estimator]
    share = estimate(held_out.score, held_out.contaminated, held_out.weight)
    _, unit = np.unique(held_out.unit, return_inverse=True)
    n_units = int(unit.max()) + 1
    rng = np.random.default_rng([seed, 41])
    drawn = []
    for _ in range(N_DRAWS if n_units > 1 else 0):
        weight = held_out.weight * rng.multinomial(n_units, np.full(n_units, 1 / n_units))[unit]
        if _both(held_out.contaminated, weight):
            drawn.append(estimate(held_out.score, held_out.contaminated, weight))
    if len(drawn) < N_DRAWS // 2:
        return ClassPrior(share, None, None, estimator)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return ClassPrior(share, min(float(low), share), max(float(high), share), estimator)


def elkan_noto_prior(score: Floats, labelled: Flags, weight: Floats) -> float:
    """Return the share of unlabelled cells that are contaminated, after Elkan & Noto (2008).

    Elkan & Noto 2008, *Learning classifiers from only positive and unlabeled data*, KDD,
    estimator e1: the label frequency ``c = P(labelled | contaminated)`` is the mean of
    ``P(labelled | cell)`` over held-out labelled cells. Of ``n_u`` unlabelled cells then
    ``n_p (1 - c) / c`` are contaminated. It assumes that contaminated cells can be told
    apart surely; where they cannot, it is too high.

    Parameters
    ----------
    score : ndarray of float64, shape (n,)
        Probabilities to be labelled, by models that did not see the cell.
    labelled : ndarray of bool, shape (n,)
        Which cells are labelled (contaminated); the others are unlabelled.
    weight : ndarray of float64, shape (n,)
        Evidence weight.
    """
    frequency = float(np.average(score[labelled], weights=weight[labelled]))
    return prior_of(frequency, _odds_labelled(labelled, weight))


def best_bin_prior(score: Floats, labelled: Flags, weight: Floats) -> float:
    """Return an upper bound of the share of unlabelled cells that are contaminated.

    Best bin estimation of Garg, Wu, Smola, Balakrishnan & Lipton 2021, *Mixture proportion
    estimation and PU learning: a modern approach*, NeurIPS, algorithm 1: of all thresholds,
    take the one where the share of unlabelled over the share of labelled cells above it is
    least, with a margin for the size of the sample. It assumes only that among the cells of
    the highest scores nearly all are contaminated. Sample sizes are effective ones (Kish).

    Parameters
    ----------
    score, labelled, weight
        As for :func:`elkan_noto_prior`; any score will do that rises with the likelihood.
    """
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    weights = weight[order]
    above_p = np.cumsum(np.where(labelled[order], weights, 0.0))[last]
    above_u = np.cumsum(np.where(labelled[order], 0.0, weights))[last]
    above_p, above_u = above_p / above_p[-1], above_u / above_u[-1]
    slack = sum(
        np.sqrt(np.log(4 / _DELTA) / (2 * _effective(weight[rows])))
        for rows in (labelled, ~labelled)
    )
    some = above_p > 0
    bound = (above_u[some] + (1 + _GAMMA) * slack) / above_p[some]
    best = int(np.argmin(bound))
    return float(np.clip(above_u[some][best] / above_p[some][best], LEAST, MOST))


ESTIMATORS: Mapping[str, Callable[[Floats, Flags, Floats], float]] = {
    "best_bin": best_bin_prior,
    "elkan_noto": elkan_noto_prior,
}


def label_frequency(prior: float, labelled: Flags, weight: Floats) -> float:
    """Return ``c = P(labelled | contaminated)`` in the sample, from the class prior.

    ``c = n_p / (n_p + prior n_u)``: the labelled cells over all contaminated cells.
    """
    odds = _odds_labelled(labelled, weight)
    return odds / (odds + prior)


def prior_of(frequency: float, odds: float) -> float:
    """Return the class prior from the label frequency and ``n_p / n_u``."""
    return float(np.clip((1 - frequency) / frequency * odds, LEAST, MOST))


def _odds_labelled(labelled: Flags, weight: Floats) -> float:
    return float(weight[labelled].sum() / weight[~labelled].sum())


def _effective(weight: Floats) -> float:
    return float(weight.sum() ** 2 / (weight**2).sum())


def _both(labelled: Flags, weight: Floats) -> bool:
    return bool(weight[labelled].sum() > 0 and weight[~labelled].sum() > 0)
