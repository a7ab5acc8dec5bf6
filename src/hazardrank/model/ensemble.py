"""An ensemble: the same trees grown several times, from other seeds and from other land.

Scores are averaged over the members and the average is calibrated, on the average of the
members' inner held-out scores. How far the members lie apart is how much the likelihood
owes to chance: to the draws inside the trees, and with ``model.member_land=drawn`` also to
which units of land happened to be surveyed (a bootstrap of units, not of cells).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.features.base import FeatureSpec
from hazardrank.model.boosted import BoostedModel, BoostedTrees, blend, usable
from hazardrank.model.calibration import Calibrator, HeldOutScores, to_log_odds
from hazardrank.model.distributed import Grower
from hazardrank.model.intervals import Interval, deviation, estimate
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import Estimate, TrainingSide
from hazardrank.validation.training_set import Matrix

Floats = NDArray[np.float64]

_DRAWS_TRIED = 100
_SEED_STEP = 1_000_003


@dataclass(frozen=True)
class EnsembleModel:
    """Several models whose mean score is calibrated.

    Parameters
    ----------
    members : tuple of BoostedModel
        The models.
    calibrator : Calibrator
        From mean scores to likelihoods.
    interval : Interval or None
        How wide the interval is; ``None`` where none was asked for.
    """

    members: tuple[BoostedModel, ...]
    calibrator: Calibrator
    interval: Interval | None

    @property
    def rounds(self) -> int:
        """Boosting rounds: the rounded mean over the members."""
        return round(float(np.mean([member.rounds for member in self.members])))

    @property
    def texts(self) -> tuple[str, ...]:
        """The members as LightGBM texts."""
        return tuple(member.text() for member in self.members)

    @property
    def prevalence(self) -> float:
        """Share of the cells that calibrated, by evidence weight, that is contaminated."""
        return self.members[0].prevalence

    @cached_property
    def held_out(self) -> HeldOutScores | None:
        """Mean scores of the inner folds that calibrated; ``None`` where none were needed."""
        return mean_held_out(self.members)

    def scores(self, matrix: Matrix) -> Floats:
        """Return uncalibrated scores in 0–1, shape (n_rows,): the mean over the members."""
        return blend([member.scores(matrix) for member in self.members])

    def likelihood(self, matrix: Matrix) -> Floats:
        """Return contamination likelihoods in 0–1, shape (n_rows,)."""
        return self.calibrator.apply(self.scores(matrix))

    def estimate(self, matrix: Matrix) -> Estimate:
        """Return likelihoods with their spread, and an interval where one was asked for."""
        parts = [member.scores(matrix) for member in self.members]
        return estimate(blend(parts), parts, self.calibrator, self.interval)

    def summary(self) -> dict[str, Any]:
        """Return how training went, as plain values for the bundle."""
        losses = [min(member.inner_loss) for member in self.members if member.inner_loss]
        return {
            **self.members[0].summary(),
            "rounds": self.rounds,
            "inner_loss": float(np.mean(losses)) if losses else None,
            "calibration_note": self.calibrator.reason,
            "members": [
                {"rounds": member.rounds, "inner_loss": min(member.inner_loss, default=None)}
                for member in self.members
            ],
        }


@dataclass(frozen=True)
class Ensemble:
    """Learns ``settings.members`` boosted models from a training side.

    Parameters
    ----------
    settings, specs, threads, seed, grower
        As for :class:`~hazardrank.model.boosted.BoostedTrees`; the first member has `seed`
        itself, so that an ensemble of one is the single model.

    Raises
    ------
    ModelError
        As :class:`~hazardrank.model.boosted.BoostedTrees`.
    """

    settings: ModelSettings
    specs: tuple[FeatureSpec, ...]
    threads: int
    seed: int
    grower: Grower | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "specs", tuple(self.specs))
        self._trees(self.seed)

    def fit(self, side: TrainingSide) -> EnsembleModel:
        """Learn from a training side; every member, and their calibration, on its inner folds."""
        members = tuple(
            self._trees(seed).fit(side, self._times(side, seed)) for seed in self._seeds()
        )
        trees = BoostedTrees(self.settings, self.specs, self.threads, self.seed)
        held_out = mean_held_out(members)
        calibrator = trees.calibrator(held_out)
        spread = _held_out_spread(members, calibrator)
        return EnsembleModel(members, calibrator, trees.interval(calibrator, held_out, spread))

    def _seeds(self) -> list[int]:
        """Return each member's seed; seeds of an ensemble are not those of the run beside it."""
        return [
            (self.seed + number * _SEED_STEP) % 2**31 for number in range(self.settings.members)
        ]

    def _trees(self, seed: int) -> BoostedTrees:
        """Return what grows one member; smooth calibration of its own is quick and unused."""
        chosen = self.settings
        calibrated = chosen.calibration != "none" or chosen.interval != "none"
        own = {"interval": "none", "calibration": "logistic" if calibrated else "none"}
        settings = chosen.model_copy(update=own)
        return BoostedTrees(settings, self.specs, self.threads, seed, self.grower)

    def _times(self, side: TrainingSide, seed: int) -> NDArray[np.int64] | None:
        """Return how often a member sees each row; ``None``: each row once.

        Draws as many units as there are, with replacement, until the whole side and every
        inner training side hold both outcomes; after 100 vain draws the member sees all.
        """
        if self.settings.member_land == "all" or side.unit is None:
            return None
        _, unit = np.unique(side.unit, return_inverse=True)
        n_units = int(unit.max()) + 1
        rng = np.random.default_rng([seed, 7_919])
        for _ in range(_DRAWS_TRIED):
            drawn = rng.multinomial(n_units, np.full(n_units, 1 / n_units))
            times = drawn[unit].astype(np.int64)
            sides = [np.arange(len(unit)), *(fold.train for fold in usable(side))]
            if all(_both(side.contaminated[rows][times[rows] > 0]) for rows in sides):
                return times
        return None


def learner_of(
    settings: ModelSettings,
    specs: Sequence[FeatureSpec],
    threads: int,
    seed: int,
    grower: Grower | None = None,
) -> BoostedTrees | Ensemble:
    """Return what learns under these settings: a single model, or an ensemble of several."""
    kind = BoostedTrees if settings.members == 1 else Ensemble
    return kind(settings, tuple(specs), threads, seed, grower)


def _both(contaminated: NDArray[np.bool_]) -> bool:
    return bool(contaminated.any() and not contaminated.all())


def mean_held_out(members: Sequence[BoostedModel]) -> HeldOutScores | None:
    """Return the inner held-out cells with the members' mean score."""
    first = members[0].held_out
    if first is None:
        return None
    return replace(first, score=blend(_held_out_scores(members)))


def _held_out_spread(members: Sequence[BoostedModel], calibrator: Calibrator) -> Floats | None:
    """Return how far the members' log-odds lie apart on the cells that calibrated."""
    scores = _held_out_scores(members)
    if len(scores) < 2:
        return None
    return deviation([to_log_odds(calibrator.apply(score)) for score in scores])


def _held_out_scores(members: Sequence[BoostedModel]) -> list[Floats]:
    return [member.held_out.score for member in members if member.held_out is not None]
