"""Boosted trees that lower the non-negative risk of positive and unlabelled cells.

Kiryo, Niu, du Plessis & Sugiyama 2017, *Positive-unlabeled learning with non-negative risk
estimator*, NeurIPS, equation 6, with the logistic loss.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hazardrank.errors import ModelError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.boosted import BoostedModel, BoostedTrees, predict_scores, usable
from hazardrank.model.calibration import Calibrator, HeldOutScores
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import InnerFold, TrainingSide

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_LEAST_CURVATURE = 1e-6


@dataclass(frozen=True)
class NonNegativeRisk:
    """The risk of log-odds on a sample of labelled and unlabelled cells.

    ``R(f) = π E_p[l(f)] + max(0, E_u[l(-f)] - π E_p[l(-f)])`` with ``l(z) = log(1 + e^-z)``,
    means by evidence weight. The second part estimates the loss on cells that are not
    contaminated; it cannot be negative, and where its estimate is, trees have begun to
    learn the unlabelled cells by heart: they then gain nothing by lowering it further.

    Parameters
    ----------
    labelled : ndarray of bool, shape (n,)
        Which cells are known to be contaminated.
    weight : ndarray of float64, shape (n,)
        Evidence weight, above 0.
    prior : float
        Share of the unlabelled cells that are contaminated, ``π``.
    """

    labelled: Flags
    weight: Floats
    prior: float

    @property
    def _shares(self) -> tuple[Floats, Floats]:
        """Each cell's part in the mean over the labelled, and over the unlabelled."""
        of_p = np.where(self.labelled, self.weight, 0.0)
        of_u = np.where(self.labelled, 0.0, self.weight)
        return of_p / of_p.sum(), of_u / of_u.sum()

    def value(self, log_odds: Floats) -> float:
        """Return the risk, at least 0."""
        of_p, _ = self._shares
        return float(self.prior * (of_p * np.logaddexp(0, -log_odds)).sum()) + max(
            0.0, self._rest(log_odds)
        )

    def gradient(self, log_odds: Floats) -> tuple[Floats, Floats]:
        """Return the (sub)gradient and an upper bound of the curvature, each of shape (n,)."""
        of_p, of_u = self._shares
        likelihood = expit(log_odds)
        gradient = self.prior * of_p * (likelihood - 1)
        curvature = self.prior * of_p
        if self._rest(log_odds) > 0:
            gradient = gradient + of_u * likelihood - self.prior * of_p * likelihood
            curvature = curvature + of_u
        return gradient, curvature * likelihood * (1 - likelihood)

    def objective(self, log_odds: Floats, _: lgb.Dataset) -> tuple[Floats, Floats]:
        """Return gradient and curvature as LightGBM asks, scaled to one a unit of weight."""
        gradient, curvature = self.gradient(np.asarray(log_odds, np.float64))
        scale = self.weight.sum()
        return gradient * scale, np.maximum(curvature * scale, _LEAST_CURVATURE)

    def _rest(self, log_odds: Floats) -> float:
        of_p, of_u = self._shares
        return float(((of_u - self.prior * of_p) * np.logaddexp(0, log_odds)).sum())


@dataclass(frozen=True)
class NonNegativeTrees:
    """Learns trees by the non-negative risk; rounds on inner folds, no calibration.

    Parameters
    ----------
    settings, specs, threads, seed
        As for :class:`~hazardrank.model.boosted.BoostedTrees`; ``class_weight`` has no part.
    prior : float
        Share of the unlabelled land that is contaminated.

    Raises
    ------
    ModelError
        If the settings ask for a random forest.
    """

    settings: ModelSettings
    specs: tuple[FeatureSpec, ...]
    threads: int
    seed: int
    prior: float

    def __post_init__(self) -> None:
        if self.settings.boosting != "gbdt":
            raise ModelError(
                "the non-negative risk is lowered step by step, which a random forest does not",
                where="model.boosting",
                remedy="Set model.boosting=gbdt, or model.unlabelled=bagging.",
            )

    @property
    def _trees(self) -> BoostedTrees:
        return BoostedTrees(self.settings, self.specs, self.threads, self.seed)

    def fit(self, side: TrainingSide) -> BoostedModel:
        """Learn from a training side whose cells not contaminated are unlabelled.

        Raises
        ------
        ModelError
            If no inner fold has labelled and unlabelled cells on both its sides.
        """
        folds = [fold for fold in usable(side) if _both(side.contaminated[fold.test])]
        if not folds:
            raise ModelError(
                f"none of the {len(side.inner)} inner folds has labelled and unlabelled cells",
                where="validation.inner_folds",
                remedy="Use fewer inner folds or smaller blocks.",
            )
        growing = [_Growing.of(self, side, number, fold) for number, fold in enumerate(folds)]
        risks = self._grow(growing)
        early = self.settings.early_stopping_rounds > 0
        rounds = 1 + int(np.argmin(risks)) if early else self.settings.max_rounds
        rows = np.arange(len(side.contaminated))
        booster = self._started(side, side.matrix, rows)
        risk = self._risk(side, rows)
        for _ in range(rounds):
            if booster.update(fobj=risk.objective):
                break
        return BoostedModel(
            as_probabilities(booster),
            Calibrator("none", {}),
            rounds,
            tuple(risks),
            len(side.contaminated),
            int(side.contaminated.sum()),
            self.threads,
            self._held_out(growing, side, rounds),
        )

    def _grow(self, growing: list[_Growing]) -> list[float]:
        risks: list[float] = []
        patience = self.settings.early_stopping_rounds
        for number in range(self.settings.max_rounds):
            finished = [fold.step(number) for fold in growing]
            shares = [fold.test_risk.weight.sum() for fold in growing]
            risks.append(float(np.average([f.risk() for f in growing], weights=shares)))
            since_best = len(risks) - 1 - int(np.argmin(risks))
            if all(finished) or (patience and since_best >= patience):
                break
        return risks

    def _held_out(self, growing: list[_Growing], side: TrainingSide, rounds: int) -> HeldOutScores:
        rows = [grown.fold.test for grown in growing]
        scores = [
            predict_scores(
                as_probabilities(grown.booster), grown.fold.matrix[test], self.threads, rounds
            )
            for grown, test in zip(growing, rows, strict=True)
        ]
        number = np.concatenate([np.full(len(test), k) for k, test in enumerate(rows)])
        test = np.concatenate(rows)
        return HeldOutScores(
            np.concatenate(scores),
            side.contaminated[test],
            side.weight[test].astype(np.float64),
            number,
            number if side.unit is None else side.unit[test],
        )

    def _risk(self, side: TrainingSide, rows: NDArray[np.int64]) -> NonNegativeRisk:
        return NonNegativeRisk(
            side.contaminated[rows], side.weight[rows].astype(np.float64), self.prior
        )

    def _started(
        self, side: TrainingSide, matrix: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> lgb.Booster:
        params = {**self._trees.params(len(rows)), "objective": "none", "metric": "none"}
        weight = side.weight[rows].astype(np.float64)
        return lgb.Booster(
            params, self._trees.dataset(matrix[rows], side.contaminated[rows], weight)
        )


@dataclass
class _Growing:
    """The trees of one inner fold while they grow, with log-odds of the cells held out."""

    booster: lgb.Booster
    fold: InnerFold
    train_risk: NonNegativeRisk
    test_risk: NonNegativeRisk
    log_odds: Floats

    @classmethod
    def of(
        cls, trees: NonNegativeTrees, side: TrainingSide, number: int, fold: InnerFold
    ) -> _Growing:
        return cls(
            trees._started(side, fold.matrix, fold.train),
            fold,
            trees._risk(side, fold.train),
            trees._risk(side, fold.test),
            np.zeros(len(fold.test)),
        )

    def step(self, number: int) -> bool:
        finished = bool(self.booster.update(fobj=self.train_risk.objective))
        if not finished:
            self.log_odds = self.log_odds + np.asarray(
                self.booster.predict(
                    np.ascontiguousarray(self.fold.matrix[self.fold.test]),
                    start_iteration=number,
                    num_iteration=1,
                    raw_score=True,
                    num_threads=1,
                ),
                np.float64,
            )
        return finished

    def risk(self) -> float:
        return self.test_risk.value(self.log_odds)


def as_probabilities(booster: lgb.Booster) -> lgb.Booster:
    """Return the same trees as a model that gives probabilities: the logistic of their sum."""
    text = re.sub(r"\nobjective=[^\n]*", "", booster.model_to_string())
    text = text.replace("\nfeature_names=", "\nobjective=binary sigmoid:1\nfeature_names=", 1)
    return lgb.Booster(model_str=text)


def _both(labelled: Flags) -> bool:
    return bool(labelled.any() and not labelled.all())
