"""Several trained trees whose mean score is calibrated as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.model.boosted import BoostedModel, blend
from hazardrank.model.calibration import Calibrator, HeldOutScores
from hazardrank.model.intervals import Interval, estimate
from hazardrank.validation.learner import Estimate
from hazardrank.validation.training_set import Matrix


@dataclass(frozen=True)
class Member:
    """One trained model of a blend and its share in the score, above 0."""

    model: BoostedModel
    share: float


@dataclass(frozen=True)
class BlendedModel:
    """A weighted mean of trained trees, with one calibrator.

    Parameters
    ----------
    members : tuple of Member
        The trees; shares sum to 1.
    calibrator : Calibrator
        From blended scores to likelihoods.
    n_cells, n_contaminated : int
        What the trees learned from.
    threads : int
        Threads for prediction; no result depends on it.
    choice : mapping
        What was chosen, from what, and how well it did on the inner folds; plain values.
    held_out : HeldOutScores or None
        Blended scores of the inner held-out cells, which calibrated.
    interval : Interval or None
        How wide the interval is; ``None`` where none was asked for.
    """

    members: tuple[Member, ...]
    calibrator: Calibrator
    n_cells: int
    n_contaminated: int
    threads: int
    choice: Mapping[str, Any] = field(default_factory=dict)
    held_out: HeldOutScores | None = None
    interval: Interval | None = None

    @property
    def rounds(self) -> int:
        """Trees in all members together."""
        return sum(member.model.rounds for member in self.members)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each member in the score; empty where there is one."""
        return tuple(member.share for member in self.members) if len(self.members) > 1 else ()

    @property
    def prevalence(self) -> float:
        """Share of the cells that calibrated, by evidence weight, that is contaminated."""
        if self.held_out is None:
            return self.n_contaminated / self.n_cells
        return float(np.average(self.held_out.contaminated, weights=self.held_out.weight))

    def scores(self, matrix: Matrix) -> NDArray[np.float64]:
        """Return uncalibrated scores in 0–1, shape (n_rows,)."""
        parts = [member.model.scores(matrix) for member in self.members]
        return parts[0] if len(parts) == 1 else blend(parts, self.shares)

    def likelihood(self, matrix: Matrix) -> NDArray[np.float64]:
        """Return contamination likelihoods in 0–1, shape (n_rows,)."""
        return self.calibrator.apply(self.scores(matrix))

    def estimate(self, matrix: Matrix) -> Estimate:
        """Return likelihoods, with an interval where one was asked for."""
        score = self.scores(matrix)
        return estimate(score, [score], self.calibrator, self.interval)

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the members as LightGBM texts, free of traces of the machine."""
        return tuple(member.model.text() for member in self.members)

    def summary(self) -> dict[str, Any]:
        """Return how training went, as plain values for the bundle."""
        return {
            "rounds": self.rounds,
            "n_cells": self.n_cells,
            "n_contaminated": self.n_contaminated,
            "calibration_note": self.calibrator.reason,
            "n_calibrated_on": 0 if self.held_out is None else len(self.held_out.score),
            "prevalence": self.prevalence,
            "choice": dict(self.choice),
        }
