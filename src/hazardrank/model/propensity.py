"""Survey propensity: which land ever got surveyed, and weights that make up for it.

Land is surveyed where people live and roads lead, not at random. Where survey depended
only on what the features know, labelled cells weighted by the inverse of their propensity
to be surveyed stand for the whole area (Rosenbaum & Rubin 1983, *The central role of the
propensity score in observational studies for causal effects*, Biometrika 70). Where it
depended on something else, such as a report of mines, no weight can mend that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import ModelError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.boosted import BoostedTrees
from hazardrank.model.calibration import fit_calibrator
from hazardrank.settings import ModelSettings
from hazardrank.validation.folds.blocks import block_codes
from hazardrank.validation.learner import TrainingSide
from hazardrank.validation.metrics import roc_auc
from hazardrank.validation.training_set import Matrix

Floats = NDArray[np.float64]

N_PARTS = 5
"""Parts of the land; the propensity of each comes from the others."""
TREES = {
    "max_rounds": 60,
    "num_leaves": 8,
    "learning_rate": 0.1,
    "early_stopping_rounds": 0,
    "class_weight": "balanced",
    "calibration": "none",
    "forest_below_cells": 0,
}
"""A small model: propensities that are too sharp make weights that are too wild."""


@dataclass(frozen=True)
class Sample:
    """Some cells with their layer features.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_cells, n_layer_features)
        Layer features.
    easting, northing : ndarray of float64, shape (n_cells,)
        Cell centres in metres.
    """

    matrix: Matrix
    easting: Floats
    northing: Floats


@dataclass(frozen=True)
class SurveyWeights:
    """Weights of labelled cells by how seldom land like them was surveyed.

    Parameters
    ----------
    weight : ndarray of float32, shape (n_labelled,)
        Above 0, mean 1.
    facts : dict
        What a reader should know of them, as plain values: ``n_cells``, ``effective_cells``
        (Kish: the square of the sum over the sum of squares), ``smallest``, ``largest``,
        ``n_truncated``, ``n_area_cells``, and ``roc_auc``: how well features tell surveyed
        land from the area in land the propensity did not learn from (0.5: not at all).
    """

    weight: NDArray[np.float32]
    facts: dict[str, Any]


def survey_weights(
    labelled: Sample,
    area: Sample,
    specs: Sequence[FeatureSpec],
    truncation: tuple[float, float],
    block_m: float,
    seed: int,
    threads: int = 1,
) -> SurveyWeights:
    """Return stabilised, truncated weights by inverse propensity, cross-fitted by blocks.

    Trees tell labelled cells from a sample of the area, each part of the land judged by
    trees that learned from the other parts; their scores are calibrated by logistic
    regression with both kinds of equal weight. See :func:`inverse_propensity` for the rest.
    Outcomes are not looked at. Survey of held-out land is, here and in cross-validation:
    that land was surveyed is known before what was found there.

    Parameters
    ----------
    labelled, area : Sample
        Cells that got surveyed, and cells drawn from the whole area.
    specs : sequence of FeatureSpec
        The layer features, in column order.
    truncation : (float, float)
        Quantiles of the weights beyond which they are cut.
    block_m : float
        Side of the square blocks that are kept together, in metres.
    seed : int
        Seed of the trees and of the parts.
    threads : int, optional
        Threads to use; the result does not depend on it.

    Raises
    ------
    ModelError
        If labelled cells and area do not both lie in two blocks at least.
    """
    matrix = np.vstack([labelled.matrix, area.matrix])
    surveyed = np.arange(len(matrix)) < len(labelled.matrix)
    part = _parts(
        np.concatenate([labelled.easting, area.easting]),
        np.concatenate([labelled.northing, area.northing]),
        block_m,
        seed,
    )
    score = np.full(len(matrix), np.nan)
    trees = BoostedTrees(ModelSettings.model_validate(TREES), tuple(specs), threads, seed)
    for number in np.unique(part):
        test, train = part == number, part != number
        if not surveyed[train].any() or surveyed[train].all():
            raise ModelError(
                f"surveyed land and area cannot be parted into blocks of {block_m:g} m",
                where="model.propensity",
                remedy="Use smaller blocks (validation.folds.size_m), or propensity=none.",
            )
        ones = np.ones(int(train.sum()), np.float32)
        side = TrainingSide(matrix[train], surveyed[train], ones, ())
        score[test] = trees.fit(side).scores(matrix[test])
    even = np.where(surveyed, 0.5 / surveyed.sum(), 0.5 / (~surveyed).sum()) * len(matrix)
    propensity = fit_calibrator("logistic", score, surveyed, even).apply(score)
    weight, n_truncated = inverse_propensity(propensity[surveyed], truncation)
    facts = {
        "n_cells": len(weight),
        "effective_cells": effective_size(weight),
        "smallest": float(weight.min()),
        "largest": float(weight.max()),
        "n_truncated": n_truncated,
        "n_area_cells": len(area.matrix),
        "roc_auc": roc_auc(surveyed, score),
    }
    return SurveyWeights(weight.astype(np.float32), facts)


def inverse_propensity(propensity: Floats, truncation: tuple[float, float]) -> tuple[Floats, int]:
    """Return weights of mean 1 and how many were cut.

    With ``h`` the probability that a cell comes from the labelled cells rather than from an
    equally heavy sample of the area, ``(1 - h) / h`` is the density of the area over that of
    the labelled cells: the inverse of the propensity times its mean, a stabilised weight
    (Robins, Hernán & Brumback 2000, *Marginal structural models and causal inference in
    epidemiology*, Epidemiology 11). Cut at quantiles after Cole & Hernán 2008,
    *Constructing inverse probability weights for marginal structural models*, American
    Journal of Epidemiology 168.

    Parameters
    ----------
    propensity : ndarray of float64, shape (n,)
        ``h`` of the labelled cells, strictly between 0 and 1.
    truncation : (float, float)
        Lower and upper quantile.
    """
    weight = (1 - propensity) / propensity
    low, high = np.quantile(weight, truncation)
    cut = np.clip(weight, low, high)
    return cut / cut.mean(), int(((weight < low) | (weight > high)).sum())


def effective_size(weight: Floats) -> float:
    """Return the number of equally weighted cells that would say as much (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def _parts(easting: Floats, northing: Floats, block_m: float, seed: int) -> NDArray[np.int64]:
    """Return the part of each cell: whole blocks, dealt out in an order drawn by the seed."""
    _, block = np.unique(block_codes(easting, northing, block_m), return_inverse=True)
    n_blocks = int(block.max()) + 1
    dealt = np.random.default_rng([seed, 47]).permutation(n_blocks) % min(N_PARTS, n_blocks)
    return np.asarray(dealt[block], np.int64)
