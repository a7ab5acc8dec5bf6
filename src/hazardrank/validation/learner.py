"""What cross-validation asks of a learner; ``model/`` provides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hazardrank.validation.training_set import Matrix


@dataclass(frozen=True)
class InnerFold:
    """One split of a training side, for early stopping, tuning and calibration.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_rows, n_features)
        Features of all rows of the training side, with history features rebuilt as if
        the inner held-out land were unknown too.
    train, test : ndarray of int64
        Rows to learn from and rows to look at.
    """

    matrix: Matrix
    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class TrainingSide:
    """All that a learner may see: never a held-out cell.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_rows, n_features)
        Features.
    contaminated : ndarray of bool, shape (n_rows,)
        Outcome to learn. False means released, or unlabelled background.
    weight : ndarray of float32, shape (n_rows,)
        Evidence weight.
    inner : tuple of InnerFold
        Splits for choices that must not see the reported fold.
    unit : ndarray of int64, shape (n_rows,), or None
        Piece of land each cell lies in (block, group), for intervals; ``None``: not known.
    """

    matrix: Matrix
    contaminated: NDArray[np.bool_]
    weight: NDArray[np.float32]
    inner: tuple[InnerFold, ...]
    unit: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Estimate:
    """Likelihoods and how sure they are; arrays of shape (n_rows,).

    Parameters
    ----------
    likelihood : ndarray of float64
        Calibrated contamination likelihoods in 0–1.
    spread : ndarray of float64, optional
        Standard deviation of the likelihood over the members of an ensemble.
    low, high : ndarray of float64, optional
        Ends of the interval; ``low <= likelihood <= high``.
    """

    likelihood: NDArray[np.float64]
    spread: NDArray[np.float64] | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


class FittedModel(Protocol):
    """A trained model."""

    @property
    def rounds(self) -> int:
        """Boosting rounds (trees) the inner folds chose; 0 where that means nothing."""

    def scores(self, matrix: Matrix) -> NDArray[np.float64]:
        """Return uncalibrated scores, shape (n_rows,); higher is likelier."""

    def likelihood(self, matrix: Matrix) -> NDArray[np.float64]:
        """Return calibrated contamination likelihoods in 0–1, shape (n_rows,)."""


@runtime_checkable
class UncertainModel(Protocol):
    """A trained model that also says how sure it is."""

    def estimate(self, matrix: Matrix) -> Estimate:
        """Return likelihoods, with spread and interval where the model has them."""


class Learner(Protocol):
    """Something that learns from a training side."""

    def fit(self, side: TrainingSide) -> FittedModel:
        """Learn, choosing rounds and calibration on the inner folds only."""
