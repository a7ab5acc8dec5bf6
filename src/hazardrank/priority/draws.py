"""Random draws of what a rank rests on: weights, likelihoods, effort."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

FloatArray = NDArray[np.float64]
WeightDraws = Literal["around", "uniform", "fixed"]

#: Likelihoods are kept this far from 0 and 1, where the logit ends.
_EDGE = 1e-9
#: Smallest parameter of a Dirichlet draw; a weight of 0 stays 0.
_SMALLEST_ALPHA = 1e-3


def weight_draws(
    rng: np.random.Generator,
    n_draws: int,
    weights: FloatArray,
    kind: WeightDraws,
    concentration: float,
) -> FloatArray:
    """Draw weights.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    n_draws : int
        How many.
    weights : ndarray of float64, shape (n,)
        The chosen weights; they add up to 1.
    kind : {"around", "uniform", "fixed"}
        Dirichlet(concentration · w), with the chosen weights as its mean and a weight of 0
        always 0; Dirichlet(1, …, 1), all weights with equal chance; or the weights as they are.
    concentration : float
        Of the draws around the chosen weights.

    Returns
    -------
    ndarray of float64, shape (n_draws, n)
        Each row adds up to 1.
    """
    if kind == "fixed" or len(weights) == 0:
        return np.tile(weights, (n_draws, 1))
    if kind == "uniform":
        return rng.dirichlet(np.ones(len(weights)), n_draws)
    drawn = np.zeros((n_draws, len(weights)))
    counts = weights > 0
    alpha = np.maximum(concentration * weights[counts], _SMALLEST_ALPHA)
    drawn[:, counts] = rng.dirichlet(alpha, n_draws)
    return drawn


class LikelihoodDraws:
    """Draws of likelihoods within their intervals.

    On the log-odds scale each likelihood is normal, with one spread below and another above
    (a two-piece normal, Wallis 2004), so that the likelihood is the median and the interval's
    ends are the matching quantiles. Each piece of land is drawn for itself, which
    leaves more ranks undecided than errors that neighbours share.

    Parameters
    ----------
    likelihood : ndarray of float64, shape (n,)
        Likelihoods, 0–1.
    low, high : ndarray of float64, shape (n,)
        Ends of their intervals; an interval that does not hold its likelihood is widened
        to it.
    level : float
        Share of the draws between the ends.
    """

    def __init__(
        self, likelihood: FloatArray, low: FloatArray, high: FloatArray, level: float
    ) -> None:
        middle, below, above = (
            logit(np.clip(ends, _EDGE, 1 - _EDGE))
            for ends in (likelihood, np.minimum(low, likelihood), np.maximum(high, likelihood))
        )
        end = float(ndtri(0.5 + level / 2))
        self._middle = middle
        self._below, self._above = (middle - below) / end, (above - middle) / end

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """Draw one likelihood for each piece of land, shape (n,)."""
        steps = rng.standard_normal(len(self._middle))
        spread = np.where(steps < 0, self._below, self._above)
        drawn: FloatArray = expit(self._middle + steps * spread)
        return drawn


def effort_spread(factor: float) -> float:
    """Return σ of the log-normal of which 90 % lies between 1 / factor and factor."""
    return float(np.log(factor) / ndtri(0.95))
