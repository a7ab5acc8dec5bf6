"""Calibration: from a model's scores to contamination likelihoods.

A calibrator is fitted on out-of-fold scores with evidence weights only. Class weights
distort what trees call a probability; calibration on scores without them mends that.

Scores are the trees' own probabilities in 0–1. Every calibrator is non-decreasing, so
it never changes a ranking except by ties, and returns likelihoods strictly between 0
and 1: no number of cells looked at shows that a cell cannot be contaminated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from hazardrank.errors import BundleError, ModelError
from hazardrank.model.venn_abers import (
    SCORES_AT_ONCE,
    bounds_by_place,
    count_not_above,
    merged,
    places,
    venn_abers_steps,
)

Floats = NDArray[np.float64]
Parameters = Mapping[str, tuple[float, ...]]
_Numbers = Mapping[str, Floats]

EDGE = 1e-9
"""Scores and likelihoods are kept this far from 0 and 1."""

_FAR = 40.0
"""Log-odds beyond which likelihoods are at their edges, and exponentials might overflow."""

PREVALENCE = "prevalence"
"""The fall-back: one likelihood for all cells."""

AUTO = "auto"
"""Choose among :data:`CANDIDATES` by inner Brier score."""

CANDIDATES = ("logistic", "beta", "venn_abers", "isotonic")
"""What ``auto`` chooses among, the smoothest first; of equals the first is taken."""


@dataclass(frozen=True)
class Calibrator:
    """A non-decreasing map from scores to likelihoods.

    Parameters
    ----------
    method : str
        ``isotonic``, ``beta``, ``logistic``, ``venn_abers``, ``none``, or ``prevalence``
        (the fall-back).
    parameters : mapping of str to tuple of float
        The fitted numbers, by name.
    reason : str or None
        Why another method than the one asked for stands here.
    judged : mapping of str to float
        Inner Brier score of each candidate, where ``auto`` chose.
    shift : float
        Added to the log-odds of every likelihood: the change of base rate, see
        :meth:`shifted`.
    label_frequency : float or None
        Where the trees tell labelled from unlabelled cells, the share of contaminated cells
        that is labelled, ``c``: calibrated scores ``g`` are then probabilities to be labelled
        and likelihoods ``(1 - c) / c · g / (1 - g)`` (Elkan & Noto 2008, equation 3).
    """

    method: str
    parameters: Parameters
    reason: str | None = None
    judged: Mapping[str, float] = field(default_factory=dict)
    shift: float = 0.0
    label_frequency: float | None = None

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
        return self.finished(_APPLY[self.method](inner, self._numbers))

    def finished(self, likelihood: Floats) -> Floats:
        """Return what becomes of likelihoods that the method itself gave; overwrites them."""
        likelihood = np.clip(likelihood, EDGE, 1 - EDGE, out=likelihood)
        if self.label_frequency is not None:
            likelihood = among_unlabelled(likelihood, self.label_frequency)
        return shift_log_odds(likelihood, self.shift)

    @cached_property
    def _numbers(self) -> _Numbers:
        """The parameters as arrays; for ``venn_abers`` also what is merged, by place."""
        numbers = {name: np.array(values, np.float64) for name, values in self.parameters.items()}
        if self.method == "venn_abers":
            numbers["merged"] = merged(*bounds_by_place(numbers["p0"], numbers["p1"]))
        return numbers

    def shifted(self, prevalence: float, target: float) -> Calibrator:
        """Return this calibrator for land of another base rate.

        Saerens, Latinne & Decaestecker 2002, *Adjusting the outputs of a classifier to new
        a priori probabilities*, Neural Computation 14, equation 2.4. For two outcomes it
        adds ``logit(target) - logit(prevalence)`` to the log-odds. It holds where
        contaminated cells look the same in both lands, and other cells too: only their
        shares may differ.

        Parameters
        ----------
        prevalence : float
            Share contaminated of the land the calibrator was fitted on, in 0–1.
        target : float
            Share contaminated of the land to be mapped, in 0–1, both ends excluded.

        Raises
        ------
        ModelError
            If a share is not strictly between 0 and 1.
        """
        for share in (prevalence, target):
            if not 0 < share < 1:
                raise ModelError(
                    f"a base rate of {share:g} is not strictly between 0 and 1",
                    where="model.prevalence",
                )
        return replace(self, shift=self.shift + float(logit(target) - logit(prevalence)))

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :func:`calibrator_from_json` rebuilds this to the bit."""
        parameters = {name: list(values) for name, values in sorted(self.parameters.items())}
        values = {
            "method": self.method,
            "parameters": parameters,
            "reason": self.reason,
            "judged": dict(self.judged),
            "shift": self.shift,
        }
        if self.label_frequency is not None:
            values["label_frequency"] = self.label_frequency
        return values


def shift_log_odds(likelihood: Floats, shift: float) -> Floats:
    """Return likelihoods with `shift` added to their log-odds, strictly between 0 and 1.

    Parameters
    ----------
    likelihood : ndarray of float64, shape (n,)
        Strictly between 0 and 1; NaN stays NaN.
    shift : float
        0 changes no bit.
    """
    if shift == 0:
        return likelihood
    return from_log_odds(to_log_odds(likelihood) + shift)


def to_log_odds(likelihood: Floats) -> Floats:
    """Return log-odds of likelihoods strictly between 0 and 1; NaN stays NaN.

    Not scipy's ``logit``: numpy's logarithm is several times faster, and 0 and 1 never come.
    """
    odds = np.subtract(1.0, likelihood)
    np.divide(likelihood, odds, out=odds)
    return np.log(odds, out=odds)


def from_log_odds(log_odds: Floats) -> Floats:
    """Return likelihoods, kept :data:`EDGE` from 0 and 1; overwrites `log_odds` with them."""
    np.clip(log_odds, -_FAR, _FAR, out=log_odds)
    np.negative(log_odds, out=log_odds)
    np.exp(log_odds, out=log_odds)
    np.add(log_odds, 1.0, out=log_odds)
    np.divide(1.0, log_odds, out=log_odds)
    return np.clip(log_odds, EDGE, 1 - EDGE, out=log_odds)


def among_unlabelled(labelled: Floats, label_frequency: float) -> Floats:
    """Return how likely unlabelled cells are contaminated, strictly between 0 and 1.

    Elkan & Noto 2008, *Learning classifiers from only positive and unlabeled data*, KDD,
    equation 3; clipped, because estimates may exceed 1.

    Parameters
    ----------
    labelled : ndarray of float64, shape (n,)
        Probabilities to be labelled, strictly between 0 and 1; NaN stays NaN.
    label_frequency : float
        Share of the contaminated cells that is labelled, in 0–1, both ends excluded.
    """
    odds = (1 - label_frequency) / label_frequency
    return np.clip(odds * (labelled / (1 - labelled)), EDGE, 1 - EDGE)


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
            {str(name): float(brier) for name, brier in values.get("judged", {}).items()},
            float(values.get("shift", 0.0)),
            None if (given := values.get("label_frequency")) is None else float(given),
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
    if not np.isfinite(calibrator.shift):
        raise ValueError("the shift is not finite")
    if calibrator.label_frequency is not None and not 0 < calibrator.label_frequency < 1:
        raise ValueError("the label frequency is not strictly between 0 and 1")
    if calibrator.method == "isotonic":
        knots, values = calibrator.parameters["score"], calibrator.parameters["likelihood"]
        if len(knots) != len(values) or len(knots) < 2 or (np.diff(knots) <= 0).any():
            raise ValueError("scores of the knots do not rise")
    if calibrator.method == "venn_abers":
        at, p0, p1 = (np.array(calibrator.parameters[name]) for name in _STEPS)
        if not 0 < len(at) == len(p0) == len(p1) or (np.diff(at) <= 0).any():
            raise ValueError("scores of the knots do not rise")
        if (np.diff(p0) < 0).any() or (np.diff(p1) < 0).any() or (p0 > p1).any():
            raise ValueError("p0 and p1 do not rise together")
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
        on the log-odds of the score), ``venn_abers`` (see :mod:`~hazardrank.model.venn_abers`)
        or ``none``.
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


@dataclass(frozen=True)
class HeldOutScores:
    """Scores of training cells by models that never saw them; arrays of shape (n,).

    Parameters
    ----------
    score : ndarray of float64
        Scores in 0–1.
    contaminated : ndarray of bool
        What the cells turned out to be.
    weight : ndarray of float64
        Evidence weight, without class weights.
    fold : ndarray of int64
        The inner fold each cell was held out in.
    unit : ndarray of int64
        The piece of land each cell lies in; the inner fold where that is not known.
    """

    score: Floats
    contaminated: NDArray[np.bool_]
    weight: Floats
    fold: NDArray[np.int64]
    unit: NDArray[np.int64]

    def take(self, chosen: NDArray[np.bool_]) -> HeldOutScores:
        """Return the chosen cells."""
        return HeldOutScores(*(values[chosen] for values in vars(self).values()))


def calibrate(method: str, held_out: HeldOutScores) -> Calibrator:
    """Fit a calibrator on held-out scores; ``auto`` chooses the method too.

    ``auto`` is nested: each candidate is fitted on all inner folds but one and judged by
    the Brier score on that one, in turn; the candidate with the lowest score over all cells
    is then fitted on all of them. With a single inner fold the smoothest is taken.

    Parameters
    ----------
    method : str
        ``auto``, or a method of :func:`fit_calibrator`.
    held_out : HeldOutScores
        Scores of the inner folds.
    """
    if method != AUTO:
        return fit_calibrator(method, held_out.score, held_out.contaminated, held_out.weight)
    judged = _judge(held_out)
    chosen = min(judged, key=lambda name: judged[name]) if judged else CANDIDATES[0]
    return replace(calibrate(chosen, held_out), judged=judged)


def _judge(held_out: HeldOutScores) -> dict[str, float]:
    """Return the Brier score of each candidate on inner folds that did not fit it."""
    folds = np.unique(held_out.fold)
    if len(folds) < 2 or not held_out.weight.sum() > 0:
        return {}
    judged = {}
    for name in CANDIDATES:
        loss = 0.0
        for fold in folds:
            looked_at = held_out.take(held_out.fold == fold)
            fitted = calibrate(name, held_out.take(held_out.fold != fold))
            gap = fitted.apply(looked_at.score) - looked_at.contaminated
            loss += float((looked_at.weight * gap**2).sum())
        judged[name] = loss / float(held_out.weight.sum())
    return judged


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


def _apply_isotonic(score: Floats, numbers: _Numbers) -> Floats:
    likelihood = np.empty(len(score))
    _interpolate(score, numbers["score"], numbers["likelihood"], likelihood)
    return likelihood


@njit(cache=True, nogil=True, error_model="numpy")
def _interpolate(score: Floats, knot: Floats, value: Floats, likelihood: Floats) -> None:
    """Interpolate between knots in steps that each round upwards monotonically."""
    count = np.empty(SCORES_AT_ONCE, np.int64)
    for first in range(0, len(score), SCORES_AT_ONCE):
        some = score[first : first + SCORES_AT_ONCE]
        count_not_above(knot, some, count[: len(some)])
        for c in range(len(some)):
            k = min(max(count[c] - 1, 0), len(knot) - 2)
            share = min(max((some[c] - knot[k]) / (knot[k + 1] - knot[k]), 0.0), 1.0)
            between = min(value[k] + share * (value[k + 1] - value[k]), value[k + 1])
            likelihood[first + c] = between if some[c] == some[c] else np.nan


def _fit_venn_abers(score: Floats, outcome: Floats, weight: Floats) -> Parameters:
    steps = venn_abers_steps(score, outcome, weight)
    return {name: tuple(part.tolist()) for name, part in zip(_STEPS, steps, strict=True)}


def _apply_venn_abers(score: Floats, numbers: _Numbers) -> Floats:
    return numbers["merged"].take(places(score, numbers["score"]))


def _fit_beta(score: Floats, outcome: Floats, weight: Floats) -> Parameters:
    a, b, c = _logistic_regression([np.log(score), -np.log1p(-score)], outcome, weight)
    return {"a": (a,), "b": (b,), "c": (c,)}


def _apply_beta(score: Floats, numbers: _Numbers) -> Floats:
    a, b, c = (numbers[name][0] for name in "abc")
    log_odds, other = np.log(score), _log_of_rest(score)
    log_odds *= a
    other *= b
    log_odds -= other
    log_odds += c
    return from_log_odds(log_odds)


def _fit_logistic(score: Floats, outcome: Floats, weight: Floats) -> Parameters:
    slope, offset = _logistic_regression([np.log(score) - np.log1p(-score)], outcome, weight)
    return {"slope": (slope,), "offset": (offset,)}


def _apply_logistic(score: Floats, numbers: _Numbers) -> Floats:
    log_odds = np.log(score)
    log_odds -= _log_of_rest(score)
    log_odds *= numbers["slope"][0]
    log_odds += numbers["offset"][0]
    return from_log_odds(log_odds)


def _log_of_rest(score: Floats) -> Floats:
    """Return ``log(1 - score)``."""
    rest = np.negative(score)
    return np.log1p(rest, out=rest)


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


_STEPS = ("score", "p0", "p1")

_FIT: Mapping[str, Callable[[Floats, Floats, Floats], Parameters]] = {
    "isotonic": _fit_isotonic,
    "beta": _fit_beta,
    "logistic": _fit_logistic,
    "venn_abers": _fit_venn_abers,
    "none": lambda score, outcome, weight: {},
}

_APPLY: Mapping[str, Callable[[Floats, _Numbers], Floats]] = {
    "isotonic": _apply_isotonic,
    "beta": _apply_beta,
    "logistic": _apply_logistic,
    "venn_abers": _apply_venn_abers,
    "none": lambda score, numbers: score,
    PREVALENCE: lambda score, numbers: np.where(np.isnan(score), score, numbers["likelihood"][0]),
}
