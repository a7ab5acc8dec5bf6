"""Calibration: from a model's scores to contamination likelihoods.

A calibrator is fitted on out-of-fold scores with evidence weights only. Class weights
distort what trees call a probability; calibration on scores without them mends that.

Scores are the trees' own probabilities in 0–1. Every calibrator is non-decreasing, so
it never changes a ranking except by ties, and returns likelihoods strictly between 0
and 1: no number of cells looked at shows that a cell cannot be contaminated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from hazardrank.errors import BundleError, ModelError

Floats = NDArray[np.float64]
Parameters = Mapping[str, tuple[float, ...]]

EDGE = 1e-9
"""Scores and likelihoods are kept this far from 0 and 1."""

PREVALENCE = "prevalence"
"""The fall-back: one likelihood for all cells."""


@dataclass(frozen=True)
class Calibrator:
    """A non-decreasing map from scores to likelihoods.

    Parameters
    ----------
    method : str
        ``isotonic``, ``beta``, ``logistic``, ``none``, or ``prevalence`` (the fall-back).
    parameters : mapping of str to tuple of float
        The fitted numbers, by name.
    reason : str or None
        Why another method than the one asked for stands here.
    """

    method: str
    parameters: Parameters
    reason: str | None = None

    def apply(self, scores: NDArray[np.floating]) -> Floats:
        """Return likelihoods.

        Parameters
        ----------
        scores : ndarray of float, shape (n,)
            Scores in 0–1; NaN stays NaN.

        Returns
        -------
        ndarray of float64, shape (n,)
            Strictly between 0 and 1.
        """
        inner = np.clip(np.ascontiguousarray(scores, np.float64), EDGE, 1 - EDGE)
        return np.clip(_APPLY[self.method](inner, self.parameters), EDGE, 1 - EDGE)

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :func:`calibrator_from_json` rebuilds this to the bit."""
        parameters = {name: list(values) for name, values in sorted(self.parameters.items())}
        return {"method": self.method, "parameters": parameters, "reason": self.reason}


def calibrator_from_json(values: Mapping[str, Any]) -> Calibrator:
    """Rebuild a calibrator from :meth:`Calibrator.to_json`.

    Raises
    ------
    BundleError
        If the method is unknown, or its parameters are missing, not finite or decreasing.
    """
    try:
        calibrator = Calibrator(
            str(values["method"]),
            {
                str(name): tuple(float(number) for number in numbers)
                for name, numbers in values["parameters"].items()
            },
            values.get("reason"),
        )
        _check(calibrator)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"the calibrator cannot be read ({error!r})") from None
    return calibrator


def _check(calibrator: Calibrator) -> None:
    if calibrator.method not in _APPLY:
        raise ValueError(f"method {calibrator.method!r} is not one of {sorted(_APPLY)}")
    if not all(np.isfinite(numbers).all() for numbers in calibrator.parameters.values()):
        raise ValueError("parameters are not finite")
    if calibrator.method == "isotonic":
        knots, values = calibrator.parameters["score"], calibrator.parameters["likelihood"]
        if len(knots) != len(values) or len(knots) < 2 or (np.diff(knots) <= 0).any():
            raise ValueError("scores of the knots do not rise")
    likelihoods = calibrator.apply(np.linspace(0, 1, 101))
    if (np.diff(likelihoods) < -1e-12).any():
        raise ValueError("likelihoods fall as scores rise")


def fit_calibrator(
    method: str,
    scores: NDArray[np.floating],
    contaminated: NDArray[np.bool_],
    weight: NDArray[np.floating],
) -> Calibrator:
    """Fit a calibrator on out-of-fold scores.

    Where nothing can be fitted (no cells, one outcome only, all scores equal) the
    prevalence stands in, and the calibrator says why.

    Parameters
    ----------
    method : str
        ``isotonic`` (pool adjacent violators, linear between the pools), ``beta`` (Kull,
        Silva Filho & Flach 2017, *Beta calibration*, AISTATS), ``logistic`` (Platt 1999,
        on the log-odds of the score) or ``none``.
    scores : ndarray of float, shape (n,)
        Scores in 0–1.
    contaminated : ndarray of bool, shape (n,)
        What the cells turned out to be.
    weight : ndarray of float, shape (n,)
        Evidence weight, without class weights.

    Raises
    ------
    ModelError
        If the method is unknown, or a score is not in 0–1.
    """
    if method not in _FIT:
        raise ModelError(
            f"there is no calibration '{method}'",
            where="model.calibration",
            remedy=f"Known: {', '.join(_FIT)}.",
        )
    score = np.ascontiguousarray(scores, np.float64)
    if not ((score >= 0) & (score <= 1)).all():
        raise ModelError("scores to calibrate must lie in 0–1 and none may be missing")
    outcome = np.ascontiguousarray(contaminated, np.float64)
    evidence = np.ascontiguousarray(weight, np.float64)
    score = np.clip(score, EDGE, 1 - EDGE)
    reason = None if method == "none" else _degenerate(score, outcome, evidence)
    if reason is not None:
        return Calibrator(PREVALENCE, {"likelihood": (_prevalence(outcome, evidence),)}, reason)
    return Calibrator(method, _FIT[method](score, outcome, evidence))


def _degenerate(score: Floats, outcome: Floats, weight: Floats) -> str | None:
    if not weight.sum() > 0:
        return "there was no out-of-fold score to calibrate on"
    seen = outcome[weight > 0]
    if seen.min() == seen.max():
        only = "contaminated" if seen[0] else "released or unlabelled"
        return f"all {len(seen)} out-of-fold cells were {only}"
    if np.ptp(score[weight > 0]) < 1e-12:
        return "all out-of-fold scores were equal"
    return None


def _prevalence(outcome: Floats, weight: Floats) -> float:
    """Return the share contaminated by Laplace's rule of succession: never 0 or 1."""
    return float(((weight * outcome).sum() + 1) / (weight.sum() + 2))


# --------------------------------------------------------------- the methods


def _fit_isotonic(score: Floats, outcome: Floats, weight: Floats) -> Parameters:
    lowest = float(1 / (weight.sum() + 2))
    fitted = IsotonicRegression(y_min=lowest, y_max=1 - lowest, out_of_bounds="clip")
    fitted.fit(score, outcome, sample_weight=weight)
    return {
        "score": tuple(fitted.X_thresholds_.tolist()),
        "likelihood": tuple(fitted.y_thresholds_.tolist()),
    }


def _apply_isotonic(score: Floats, parameters: Parameters) -> Floats:
    """Interpolate between knots in steps that each round upwards monotonically."""
    knots, values = (np.array(parameters[name]) for name in ("score", "likelihood"))
    at = np.clip(np.searchsorted(knots, score, side="right") - 1, 0, len(knots) - 2)
    share = np.clip((score - knots[at]) / (knots[at + 1] - knots[at]), 0, 1)
    likelihood = values[at] + share * (values[at + 1] - values[at])
    return np.asarray(np.minimum(likelihood, values[at + 1]), np.float64)


def _fit_beta(score: Floats, outcome: Floats, weight: Floats) -> Parameters:
    a, b, c = _logistic_regression([np.log(score), -np.log1p(-score)], outcome, weight)
    return {"a": (a,), "b": (b,), "c": (c,)}


def _apply_beta(score: Floats, parameters: Parameters) -> Floats:
    a, b, c = (parameters[name][0] for name in "abc")
    return np.asarray(expit(a * np.log(score) - b * np.log1p(-score) + c), np.float64)


def _fit_logistic(score: Floats, outcome: Floats, weight: Floats) -> Parameters:
    slope, offset = _logistic_regression([np.log(score) - np.log1p(-score)], outcome, weight)
    return {"slope": (slope,), "offset": (offset,)}


def _apply_logistic(score: Floats, parameters: Parameters) -> Floats:
    log_odds = np.log(score) - np.log1p(-score)
    return np.asarray(
        expit(parameters["slope"][0] * log_odds + parameters["offset"][0]), np.float64
    )


def _logistic_regression(
    columns: list[Floats], outcome: Floats, weight: Floats
) -> tuple[float, ...]:
    """Return non-negative coefficients and an offset, by weighted maximum likelihood.

    Outcomes are smoothed towards the middle as in Platt (1999), so that the optimum is
    finite where scores separate the outcomes. Sums are numpy's own rather than a
    threaded library's, so that the result does not depend on the number of threads.
    """
    n_contaminated, n_other = (weight * outcome).sum(), (weight * (1 - outcome)).sum()
    target = np.where(outcome > 0, (n_contaminated + 1) / (n_contaminated + 2), 1 / (n_other + 2))
    share = weight / weight.sum()
    terms = [*columns, np.ones_like(outcome)]

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        logit = np.sum([c * term for c, term in zip(coefficients, terms, strict=True)], axis=0)
        residual = share * (expit(logit) - target)
        value = (share * (np.logaddexp(0, logit) - target * logit)).sum()
        return float(value), np.array([(residual * term).sum() for term in terms])

    start = np.array([1.0] * len(columns) + [0.0])
    bounds: list[tuple[float | None, float | None]] = [(0, None)] * len(columns) + [(None, None)]
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-10},
    )
    return tuple(float(coefficient) for coefficient in found.x)


_FIT: Mapping[str, Callable[[Floats, Floats, Floats], Parameters]] = {
    "isotonic": _fit_isotonic,
    "beta": _fit_beta,
    "logistic": _fit_logistic,
    "none": lambda score, outcome, weight: {},
}

_APPLY: Mapping[str, Callable[[Floats, Parameters], Floats]] = {
    "isotonic": _apply_isotonic,
    "beta": _apply_beta,
    "logistic": _apply_logistic,
    "none": lambda score, parameters: score,
    PREVALENCE: lambda score, parameters: np.where(
        np.isnan(score), score, parameters["likelihood"][0]
    ),
}
