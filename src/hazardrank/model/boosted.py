"""Boosted trees: LightGBM under settings that give the same bytes every time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import ModelError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.calibration import Calibrator, HeldOutScores, calibrate
from hazardrank.model.distributed import Cells, Grower, loss_by_round
from hazardrank.model.intervals import Interval, estimate, fit_interval
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import Estimate, InnerFold, TrainingSide
from hazardrank.validation.training_set import Matrix

Floats = NDArray[np.float64]

CELLS_PER_THREAD = 50_000
"""Fewer training cells than this are not worth a second thread: threads meet several times
for each split, and where cores are shared (other programs, other runs) they wait for one
another. 30 rounds on 3,000 cells beside busy neighbours: 0.2 s with one thread, 3–24 s
with two."""


@dataclass(frozen=True)
class BoostedModel:
    """Trees and the calibrator of their scores.

    Parameters
    ----------
    booster : lightgbm.Booster
        The trees.
    calibrator : Calibrator
        From scores to likelihoods.
    rounds : int
        Boosting rounds, chosen on the inner folds.
    inner_loss : tuple of float
        Log loss on the inner held-out cells after each round; empty where rounds were fixed.
    n_cells, n_contaminated : int
        What the trees learned from.
    threads : int
        Threads for prediction; no result depends on it.
    held_out : HeldOutScores or None
        Scores of the inner folds that calibrated; ``None`` where none were needed.
    interval : Interval or None
        How wide the interval is; ``None`` where none was asked for.
    """

    booster: lgb.Booster
    calibrator: Calibrator
    rounds: int
    inner_loss: tuple[float, ...]
    n_cells: int
    n_contaminated: int
    threads: int
    held_out: HeldOutScores | None = None
    interval: Interval | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The trees as LightGBM texts: one."""
        return (self.text(),)

    @property
    def prevalence(self) -> float:
        """Share of the cells that calibrated, by evidence weight, that is contaminated."""
        if self.held_out is None:
            return self.n_contaminated / self.n_cells
        return float(np.average(self.held_out.contaminated, weights=self.held_out.weight))

    def estimate(self, matrix: Matrix) -> Estimate:
        """Return likelihoods, with an interval where one was asked for."""
        score = self.scores(matrix)
        return estimate(score, [score], self.calibrator, self.interval)

    def scores(self, matrix: Matrix) -> Floats:
        """Return uncalibrated scores in 0–1, shape (n_rows,)."""
        return predict_scores(self.booster, matrix, self.threads)

    def likelihood(self, matrix: Matrix) -> Floats:
        """Return contamination likelihoods in 0–1, shape (n_rows,)."""
        return self.calibrator.apply(self.scores(matrix))

    def text(self) -> str:
        """Return the trees as LightGBM text, free of traces of the machine."""
        return re.sub(r"\[num_threads: \d+\]", "[num_threads: 0]", self.booster.model_to_string())

    def summary(self) -> dict[str, Any]:
        """Return how training went, as plain values for the bundle."""
        return {
            "rounds": self.rounds,
            "inner_loss": min(self.inner_loss, default=None),
            "n_cells": self.n_cells,
            "n_contaminated": self.n_contaminated,
            "calibration_note": self.calibrator.reason,
            "n_calibrated_on": 0 if self.held_out is None else len(self.held_out.score),
            "prevalence": self.prevalence,
        }


@dataclass(frozen=True)
class BoostedTrees:
    """Learns boosted trees from a training side; rounds and calibration on inner folds only.

    Parameters
    ----------
    settings : ModelSettings
        Trees, weights, constraints, calibration.
    specs : sequence of FeatureSpec
        The features, in column order.
    threads : int
        Threads LightGBM may use; the result does not depend on it.
    seed : int
        Seed of every random draw.
    grower : Grower, optional
        Grows the trees in place of this process: a cluster.

    Raises
    ------
    ModelError
        If a constraint or categorical names no feature, or the random forest is told to
        show every tree all cells and all features.
    """

    settings: ModelSettings
    specs: tuple[FeatureSpec, ...]
    threads: int
    seed: int
    grower: Grower | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "specs", tuple(self.specs))
        names = [spec.name for spec in self.specs]
        _check_names("model.monotone", self.settings.monotone, names)
        _check_names("model.categorical", self.settings.categorical, names)
        both = sorted(set(self.settings.categorical) & set(self.settings.monotone))
        if both:
            raise ModelError(
                f"{', '.join(both)} cannot be categorical and monotone at once", where="model"
            )
        chosen = self.settings
        whole = min(chosen.feature_fraction, chosen.node_feature_fraction) == 1
        whole = whole and chosen.cell_fraction == 1
        if self.settings.boosting == "rf" and whole:
            raise ModelError(
                "a random forest whose trees all see every cell and feature is one tree",
                where="model",
                remedy="Set model.cell_fraction or model.feature_fraction below 1.",
            )

    def fit(self, side: TrainingSide, times: NDArray[np.int64] | None = None) -> BoostedModel:
        """Learn from a training side.

        The number of rounds is the one that minimises the log loss over all inner held-out
        cells; the scores of those cells at that number fit the calibrator; then all cells
        train the trees for as many rounds. A random forest, and ``early_stopping_rounds:
        0``, take ``max_rounds``.

        Parameters
        ----------
        side : TrainingSide
            All that may be seen.
        times : ndarray of int64, shape (n_rows,), optional
            How often the trees see each row, once when left out. Inner held-out cells are
            looked at once each, whatever their number.

        Raises
        ------
        ModelError
            If one outcome is missing, on the whole side or in every inner fold.
        """
        _check_side(side, len(self.specs))
        weight = self.weights(side)
        folds = self._inner_folds(side, weight, times)
        losses = self._grow(folds)
        rounds = 1 + int(np.argmin(losses)) if self._stops_early else self.settings.max_rounds
        seen = slice(None) if times is None else _repeated(np.arange(len(weight)), times)
        matrix, contaminated = side.matrix[seen], side.contaminated[seen]
        booster = self._grown(matrix, contaminated, weight[seen], rounds)
        held_out = self._held_out(folds, rounds)
        calibrator = self.calibrator(held_out)
        return BoostedModel(
            booster,
            calibrator,
            rounds,
            tuple(losses),
            len(side.contaminated),
            int(side.contaminated.sum()),
            self.threads,
            held_out,
            self.interval(calibrator, held_out),
        )

    def _grown(
        self, matrix: Matrix, contaminated: NDArray[np.bool_], weight: Floats, rounds: int
    ) -> lgb.Booster:
        """Return trees grown for so many rounds, here or where the grower does it."""
        params = self.params(len(matrix))
        if self.grower is not None:
            return self.grower(self._cells(matrix, contaminated, weight), params, rounds)
        booster = lgb.Booster(params, self.dataset(matrix, contaminated, weight))
        _update(booster, rounds)
        return booster

    def _cells(self, matrix: Matrix, contaminated: NDArray[np.bool_], weight: Floats) -> Cells:
        names = tuple(column_names(self.specs))
        return Cells(matrix, contaminated, weight, names, tuple(self._categorical))

    @property
    def _categorical(self) -> list[int]:
        names = [spec.name for spec in self.specs]
        return [names.index(name) for name in self.settings.categorical]

    @property
    def _stops_early(self) -> bool:
        return self.settings.boosting == "gbdt" and self.settings.early_stopping_rounds > 0

    def params(self, n_cells: int) -> dict[str, Any]:
        """Return LightGBM's parameters for training on `n_cells` cells."""
        chosen = self.settings
        names = [spec.name for spec in self.specs]
        params: dict[str, Any] = {
            "objective": "binary",
            "metric": "binary_logloss",
            "boosting": chosen.boosting,
            "learning_rate": chosen.learning_rate,
            "num_leaves": chosen.num_leaves,
            "max_depth": chosen.max_depth,
            "min_data_in_leaf": chosen.min_cells_in_leaf,
            "feature_fraction": chosen.feature_fraction,
            "feature_fraction_bynode": chosen.node_feature_fraction,
            "extra_trees": chosen.random_thresholds,
            "bagging_fraction": chosen.cell_fraction,
            "bagging_freq": 1 if chosen.cell_fraction < 1 else 0,
            "lambda_l1": chosen.l1,
            "lambda_l2": chosen.l2,
            "max_bin": chosen.max_bin,
            "feature_pre_filter": False,
            "deterministic": True,
            "force_row_wise": True,
            "seed": self.seed,
            "num_threads": min(self.threads, 1 + n_cells // CELLS_PER_THREAD),
            "verbosity": -1,
        }
        if any(chosen.monotone.values()):
            params["monotone_constraints"] = [chosen.monotone.get(name, 0) for name in names]
        return params

    def dataset(
        self,
        matrix: Matrix,
        contaminated: NDArray[np.bool_],
        weight: Floats,
        reference: lgb.Dataset | None = None,
    ) -> lgb.Dataset:
        """Return cells as LightGBM holds them: features in bins, those of `reference` if given."""
        return lgb.Dataset(
            np.ascontiguousarray(matrix, np.float32),
            label=contaminated.astype(np.float32),
            weight=weight,
            reference=reference,
            feature_name=column_names(self.specs),
            categorical_feature=self._categorical,
            params=self.params(len(matrix)),
        )

    def weights(self, side: TrainingSide) -> Floats:
        """Return evidence × class weight, shape (n_rows,)."""
        evidence = side.weight.astype(np.float64)
        contaminated, kind = side.contaminated, self.settings.class_weight
        if kind == "none":
            return evidence
        if kind == "balanced":
            ratio = float(evidence[~contaminated].sum() / evidence[contaminated].sum())
        else:
            ratio = float(kind)
        weighted: Floats = evidence * np.where(contaminated, ratio, 1.0)
        # The sum of the evidence stays, so that penalties keep their meaning.
        return np.asarray(weighted * (evidence.sum() / weighted.sum()), np.float64)

    def _inner_folds(
        self, side: TrainingSide, weight: Floats, times: NDArray[np.int64] | None
    ) -> list[_Inner]:
        chosen = self.settings
        needs_none = chosen.calibration == "none" and chosen.interval == "none"
        if not self._stops_early and needs_none:
            return []
        folds = [
            self._inner(number, fold, side, weight, times)
            for number, fold in enumerate(usable(side))
        ]
        if not folds:
            raise ModelError(
                f"none of the {len(side.inner)} inner folds has both outcomes to learn from",
                where="validation.inner_folds",
                remedy="Use fewer inner folds or smaller blocks, or label more land.",
            )
        return folds

    def _inner(
        self,
        number: int,
        fold: InnerFold,
        side: TrainingSide,
        weight: Floats,
        times: NDArray[np.int64] | None,
    ) -> _Inner:
        train, test = _repeated(fold.train, times), fold.test
        learned = fold.matrix[train], side.contaminated[train], weight[train]
        looked_at = fold.matrix[test], side.contaminated[test], weight[test]
        if self.grower is None:
            booster = self._watched(learned, looked_at)
        else:
            booster = self._grown(*learned, self.settings.max_rounds)
        return _Inner(
            booster,
            fold.matrix[test],
            side.contaminated[test],
            side.weight[test].astype(np.float64),
            weight[test],
            self.grower is not None,
            np.full(len(test), number),
            np.full(len(test), number) if side.unit is None else side.unit[test],
        )

    def _watched(
        self,
        learned: tuple[Matrix, NDArray[np.bool_], Floats],
        looked_at: tuple[Matrix, NDArray[np.bool_], Floats],
    ) -> lgb.Booster:
        """Return a booster without trees yet that will tell its loss on other cells."""
        cells = self.dataset(*learned)
        booster = lgb.Booster(self.params(len(learned[0])), cells)
        booster.add_valid(self.dataset(*looked_at, cells), "inner")
        return booster

    def _grow(self, folds: Sequence[_Inner]) -> list[float]:
        """Grow the inner folds' trees together until their common loss stops falling.

        Returns
        -------
        list of float
            Log loss over all inner held-out cells after each round; empty if not looked at.
        """
        if not self._stops_early:
            for fold in folds:
                if not fold.whole:
                    _update(fold.booster, self.settings.max_rounds)
            return []
        losses: list[float] = []
        shares = np.array([float(fold.weight.sum()) for fold in folds])
        shares = shares / shares.sum()
        growing = [fold.by_round() for fold in folds]
        for _ in range(self.settings.max_rounds):
            per_fold, finished = zip(*(next(rounds) for rounds in growing), strict=True)
            losses.append(float((shares * np.array(per_fold)).sum()))
            since_best = len(losses) - 1 - int(np.argmin(losses))
            if all(finished) or since_best >= self.settings.early_stopping_rounds:
                break
        return losses

    def _held_out(self, folds: Sequence[_Inner], rounds: int) -> HeldOutScores | None:
        if not folds:
            return None
        scores = [predict_scores(f.booster, f.matrix, self.threads, rounds) for f in folds]
        return HeldOutScores(
            np.concatenate(scores),
            np.concatenate([fold.contaminated for fold in folds]),
            np.concatenate([fold.evidence for fold in folds]),
            np.concatenate([fold.number for fold in folds]),
            np.concatenate([fold.unit for fold in folds]),
        )

    def calibrator(self, held_out: HeldOutScores | None) -> Calibrator:
        """Return the calibrator that the settings ask for, from scores of the inner folds."""
        if held_out is None:
            return Calibrator("none", {})
        return calibrate(self.settings.calibration, held_out)

    def interval(
        self,
        calibrator: Calibrator,
        held_out: HeldOutScores | None,
        spread: Floats | None = None,
    ) -> Interval | None:
        """Return the interval that the settings ask for, from scores of the inner folds."""
        chosen = self.settings
        if chosen.interval == "none" or held_out is None:
            return None
        return fit_interval(chosen.interval, chosen.interval_level, calibrator, held_out, spread)


@dataclass(frozen=True)
class _Inner:
    """The trees of one inner fold and the cells they are looked at with.

    ``whole`` trees are all there already; others grow as their losses are asked for.
    """

    booster: lgb.Booster
    matrix: Matrix
    contaminated: NDArray[np.bool_]
    evidence: Floats
    weight: Floats
    whole: bool
    number: NDArray[np.int64]
    unit: NDArray[np.int64]

    def by_round(self) -> Iterator[tuple[float, bool]]:
        """Yield the loss after each round, and whether it changed nothing."""
        if self.whole:
            yield from loss_by_round(self.booster, self.matrix, self.contaminated, self.weight)
            return
        while True:
            finished = self.booster.update()
            yield self.booster.eval_valid()[0][2], finished


def predict_scores(
    booster: lgb.Booster, matrix: Matrix, threads: int, rounds: int | None = None
) -> Floats:
    """Return the trees' probabilities, shape (n_rows,).

    Parameters
    ----------
    booster : lightgbm.Booster
        The trees.
    matrix : ndarray of float32, shape (n_rows, n_features)
        Features, in the order the trees learned them.
    threads : int
        Threads to use.
    rounds : int, optional
        Use the first trees only.

    Raises
    ------
    ModelError
        If the matrix has another number of columns or another type.
    """
    if matrix.ndim != 2 or matrix.shape[1] != booster.num_feature():
        raise ModelError(
            f"the matrix has shape {matrix.shape}, the model has {booster.num_feature()} features"
        )
    if matrix.dtype != np.float32:
        raise ModelError(f"the matrix is {matrix.dtype}, the model reads float32")
    if not len(matrix):
        return np.empty(0)
    scores = booster.predict(
        np.ascontiguousarray(matrix), num_iteration=rounds, num_threads=threads
    )
    return np.asarray(scores, np.float64)


def blend(parts: Sequence[Floats], weights: Sequence[float] = ()) -> Floats:
    """Return the mean of several scores of the same rows, shape (n_rows,).

    Parameters
    ----------
    parts : sequence of ndarray of float64, shape (n_rows,)
        One score for each model.
    weights : sequence of float, optional
        Share of each; equal when empty.
    """
    if not len(parts[0]):
        return np.empty(0)
    return np.asarray(np.average(parts, axis=0, weights=list(weights) or None), np.float64)


def column_names(specs: Sequence[FeatureSpec]) -> list[str]:
    """Return feature names as LightGBM can store them, in column order.

    A name may hold letters, digits and ``_.-``; anything else becomes ``_``, and names
    that thereby meet get their column number.
    """
    names = [re.sub(r"[^A-Za-z0-9_.-]", "_", spec.name) for spec in specs]
    return [
        name if names.count(name) == 1 else f"{name}_{column}" for column, name in enumerate(names)
    ]


def _update(booster: lgb.Booster, rounds: int) -> None:
    for _ in range(rounds):
        if booster.update():
            break


def _repeated(rows: NDArray[np.int64], times: NDArray[np.int64] | None) -> NDArray[np.int64]:
    return rows if times is None else np.repeat(rows, times[rows])


def usable(side: TrainingSide) -> list[InnerFold]:
    """Return the inner folds with both outcomes to learn from and something to look at."""
    return [
        fold
        for fold in side.inner
        if len(fold.test)
        and side.contaminated[fold.train].any()
        and not side.contaminated[fold.train].all()
    ]


def _check_side(side: TrainingSide, n_features: int) -> None:
    n_cells, n_contaminated = len(side.contaminated), int(side.contaminated.sum())
    if side.matrix.shape != (n_cells, n_features):
        raise ModelError(
            f"the matrix has shape {side.matrix.shape} for {n_cells} cells and "
            f"{n_features} features"
        )
    if n_contaminated in (0, n_cells):
        raise ModelError(
            f"{n_contaminated} of {n_cells} training cells are contaminated: there is nothing "
            "to tell apart",
            remedy="Label more land, or hold out less at once.",
        )
    if not (np.isfinite(side.weight).all() and (side.weight > 0).all()):
        raise ModelError("evidence weights must be finite and above 0")


def _check_names(where: str, given: Sequence[str] | Any, names: Sequence[str]) -> None:
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise ModelError(
            f"there is no feature {', '.join(unknown)}",
            where=where,
            remedy=f"Features: {', '.join(sorted(names))}.",
        )
