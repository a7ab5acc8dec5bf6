"""The bench on which candidates are compared: the inner folds of one training side.

Features are put into bins once for each inner fold and set of columns, and every candidate
trains on the same bins. Nothing outside the training side is reachable from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import ModelError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.boosted import BoostedTrees
from hazardrank.model.calibration import HeldOutScores, fit_calibrator
from hazardrank.model.candidates import Candidate
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import InnerFold, TrainingSide
from hazardrank.validation.metrics import log_loss, pr_auc, roc_auc
from hazardrank.validation.training_set import Matrix

Floats = NDArray[np.float64]

#: Scores are looked at after every so many rounds.
STEP = 10
#: A fold's boosting ends once its own loss has not fallen for so many rounds.
PATIENCE = 60
#: Inner folds trained at a time. Fixed, so that what is pruned does not depend on threads.
BATCH = 2


@dataclass(frozen=True)
class InnerScores:
    """What a candidate gave the inner held-out cells.

    Parameters
    ----------
    candidate : Candidate
        Who.
    scores : ndarray of float64, shape (n_looked_at,)
        Scores at `rounds`, in the order of :attr:`InnerBench.rows`.
    rounds : int
        Rounds at which all folds together score best.
    value : float
        The objective there; higher is better.
    """

    candidate: Candidate
    scores: Floats
    rounds: int
    value: float


@dataclass(frozen=True)
class _Steps:
    """Scores of one fold's held-out cells after every :data:`STEP` rounds, (n_steps, n_test)."""

    rounds: tuple[int, ...]
    scores: Floats


@dataclass(frozen=True)
class TrainedFold:
    """Trees of one inner fold and the features of the cells it holds out."""

    booster: lgb.Booster
    matrix: Matrix

    def scores(self, matrix: Matrix) -> Floats:
        """Return the trees' scores of some rows, shape (n_rows,)."""
        return np.asarray(self.booster.predict(matrix, num_threads=1), np.float64)


class InnerBench:
    """Trains candidates on the inner folds of a training side and scores what they hold out.

    Parameters
    ----------
    side : TrainingSide
        The training side.
    specs : sequence of FeatureSpec
        The features, in column order.
    objective : str
        ``ranking`` or ``log_loss``; see ``model.tuning.objective``.
    threads : int
        Threads to use; no result depends on it.
    seed : int
        Seed of every random draw.

    Raises
    ------
    ModelError
        If no inner fold has both outcomes to learn from.
    """

    def __init__(
        self,
        side: TrainingSide,
        specs: Sequence[FeatureSpec],
        objective: str,
        threads: int,
        seed: int,
    ) -> None:
        self.side, self.specs = side, tuple(specs)
        self.objective, self.threads, self.seed = objective, threads, seed
        self.folds = [fold for fold in side.inner if _teaches(fold, side.contaminated)]
        if not self.folds:
            raise ModelError(
                f"none of the {len(side.inner)} inner folds has both outcomes to learn from, "
                "so there is nothing to choose by",
                where="validation.inner_folds",
                remedy="Use fewer inner folds or smaller blocks, or label more land.",
            )
        self._datasets: dict[tuple[int, bytes, int, str], tuple[lgb.Dataset, Matrix]] = {}

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the training side that inner folds hold out, fold after fold."""
        return np.concatenate([fold.test for fold in self.folds])

    def held_out(self, scores: Floats) -> HeldOutScores:
        """Return scores of the inner held-out cells as calibration and intervals take them."""
        rows, side = self.rows, self.side
        fold = np.repeat(np.arange(len(self.folds)), [len(part.test) for part in self.folds])
        return HeldOutScores(
            scores,
            side.contaminated[rows],
            side.weight[rows].astype(np.float64),
            fold,
            fold if side.unit is None else side.unit[rows],
        )

    def trees(self, settings: ModelSettings) -> BoostedTrees:
        """Return the learner of some settings."""
        return BoostedTrees(settings, self.specs, self.threads, self.seed)

    def judge(self, scores: Floats, n_folds: int | None = None) -> float:
        """Return the objective of scores of the first `n_folds` folds' held-out cells."""
        rows = np.concatenate([fold.test for fold in self.folds[:n_folds]])
        contaminated = self.side.contaminated[rows]
        weight = self.side.weight[rows].astype(np.float64)
        if self.objective == "log_loss":
            calibrated = fit_calibrator("logistic", scores, contaminated, weight).apply(scores)
            return -(log_loss(contaminated, calibrated, weight) or 0.0)
        roc, pr = roc_auc(contaminated, scores, weight), pr_auc(contaminated, scores, weight)
        return 0.5 if roc is None or pr is None else (roc + pr) / 2

    def run(
        self,
        candidate: Candidate,
        columns: NDArray[np.bool_],
        go_on: Callable[[int, float], bool] = lambda _, __: True,
        keep_bins: bool = True,
    ) -> InnerScores | None:
        """Score every inner fold's held-out cells.

        Parameters
        ----------
        candidate : Candidate
            What to train.
        columns : ndarray of bool, shape (n_features,)
            Features it may see.
        go_on : callable, optional
            Asked after every :data:`BATCH` folds with the number of folds done and the
            objective so far; ``False`` gives the candidate up.
        keep_bins : bool, optional
            Keep these columns' bins for other candidates.

        Returns
        -------
        InnerScores or None
            ``None`` if it was given up.
        """
        trees = self.trees(candidate.settings)
        done: list[_Steps] = []
        best = (0, 0, float("-inf"))
        for start in range(0, len(self.folds), BATCH):
            batch = range(start, min(start + BATCH, len(self.folds)))
            # Bins are made one after the other: they are shared.
            held = [self._data(number, trees, columns) for number in batch]
            if self.threads > 1 and len(held) > 1:
                with ThreadPoolExecutor(len(held)) as pool:
                    done += pool.map(lambda data: _train(trees, *data), held)
            else:
                done += [_train(trees, *data) for data in held]
            best = self._best_step(done)
            if not go_on(len(done), best[2]) and len(done) < len(self.folds):
                return None
        if not keep_bins:
            self._datasets.clear()
        step, rounds, value = best
        return InnerScores(candidate, _at(done, step), rounds, value)

    def trained(self, candidate: Candidate, columns: NDArray[np.bool_]) -> list[TrainedFold]:
        """Return the candidate trained on every inner fold, with the cells each holds out."""
        trees = self.trees(candidate.settings)
        parts = []
        for number in range(len(self.folds)):
            data, looked_at, _ = self._data(number, trees, columns)
            booster = lgb.Booster(trees.params(data.num_data()), data)
            for _ in range(candidate.settings.max_rounds):
                booster.update()
            parts.append(TrainedFold(booster, looked_at))
        return parts

    def _best_step(self, done: Sequence[_Steps]) -> tuple[int, int, float]:
        longest = max(done, key=lambda steps: len(steps.rounds)).rounds
        values = [self.judge(_at(done, step), len(done)) for step in range(len(longest))]
        step = int(np.argmax(values))
        return step, longest[step], values[step]

    def _data(
        self, number: int, trees: BoostedTrees, columns: NDArray[np.bool_]
    ) -> tuple[lgb.Dataset, Matrix, NDArray[np.bool_]]:
        """Return a fold's training cells in bins, and the cells it holds out."""
        fold, side = self.folds[number], self.side
        key = (number, columns.tobytes(), trees.settings.max_bin, str(trees.settings.class_weight))
        if key not in self._datasets:
            seen = np.where(columns, fold.matrix, np.float32(0))
            train, weight = fold.train, trees.weights(side)
            data = trees.dataset(seen[train], side.contaminated[train], weight[train])
            data.free_raw_data = False
            self._datasets[key] = (data.construct(), seen[fold.test])
        data, looked_at = self._datasets[key]
        return data, looked_at, side.contaminated[fold.test]


def _train(
    trees: BoostedTrees, data: lgb.Dataset, looked_at: Matrix, contaminated: NDArray[np.bool_]
) -> _Steps:
    """Train on a fold and score its held-out cells every few rounds."""
    chosen = trees.settings
    booster = lgb.Booster(trees.params(data.num_data()), data)
    if chosen.boosting == "rf":
        for _ in range(chosen.max_rounds):
            booster.update()
        scores = booster.predict(looked_at, num_threads=1)
        return _Steps((chosen.max_rounds,), np.asarray(scores, np.float64)[None, :])
    return _boost(booster, chosen, looked_at, contaminated)


def _boost(
    booster: lgb.Booster,
    chosen: ModelSettings,
    looked_at: Matrix,
    contaminated: NDArray[np.bool_],
) -> _Steps:
    raw = np.zeros(len(looked_at))
    rounds, scores, losses = [], [], []
    while booster.current_iteration() < chosen.max_rounds:
        start = booster.current_iteration()
        for _ in range(min(STEP, chosen.max_rounds - start)):
            finished = booster.update()
            if finished:
                break
        if booster.current_iteration() > start:
            added = booster.predict(looked_at, start_iteration=start, raw_score=True, num_threads=1)
            raw += np.asarray(added, np.float64)
        rounds.append(max(1, booster.current_iteration()))
        scores.append(1 / (1 + np.exp(-raw)))
        losses.append(log_loss(contaminated, scores[-1]) or 0.0)
        stopped = chosen.early_stopping_rounds and (
            (len(losses) - 1 - int(np.argmin(losses))) * STEP >= PATIENCE
        )
        if finished or stopped:
            break
    return _Steps(tuple(rounds), np.array(scores))


def _at(done: Sequence[_Steps], step: int) -> Floats:
    """Return all folds' scores at a step; a fold that ended earlier keeps its last."""
    return np.concatenate([part.scores[min(step, len(part.scores) - 1)] for part in done])


def _teaches(fold: InnerFold, contaminated: NDArray[np.bool_]) -> bool:
    learned = contaminated[fold.train]
    return bool(len(fold.test) and learned.any() and not learned.all())
