"""What a model must be compared with: prevalence, distance to known hazard, logistic regression.

A new baseline is a function from a :class:`FoldView` to :class:`BaselineScores` and one
line in :data:`BASELINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hazardrank.labels.cells import LabelledCells
from hazardrank.validation.training_set import Matrix, TrainingSet

#: Neighbours looked at together before a cell's own large hazard is left out by itself.
NEAR_CELLS = 16


@dataclass(frozen=True)
class FoldView:
    """One fold as a baseline sees it.

    Parameters
    ----------
    training : TrainingSet
        All labelled cells.
    matrix : ndarray of float32, shape (n_cells, n_features)
        Features of all cells with the fold's held-out land unknown.
    train, test : ndarray of int64
        Cells to learn from and cells to score.
    protocol : str
        ``new_district`` or ``infill``.
    """

    training: TrainingSet
    matrix: Matrix
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    protocol: Literal["new_district", "infill"]


@dataclass(frozen=True)
class BaselineScores:
    """Scores of a fold's held-out cells, and likelihoods if the baseline gives any."""

    score: NDArray[np.float64]
    likelihood: NDArray[np.float64] | None


Baseline = Callable[[FoldView], BaselineScores]


def prevalence(view: FoldView) -> BaselineScores:
    """Give every cell the share of contaminated cells on the training side."""
    share = float(view.training.cells.contaminated[view.train].mean())
    same = np.full(len(view.test), share)
    return BaselineScores(same, same)


def logistic_regression(view: FoldView) -> BaselineScores:
    """Fit a logistic regression with L2 penalty on standardised features.

    Missing values become the training side's median, with a column that says so.
    """
    cells = view.training.cells
    values = view.matrix.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    model = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(max_iter=5000),
    )
    model.fit(
        values[view.train],
        cells.contaminated[view.train],
        logisticregression__sample_weight=cells.weight[view.train],
    )
    likelihood = model.predict_proba(values[view.test])[:, 1]
    return BaselineScores(likelihood, likelihood)


def distance_to_known_hazard(view: FoldView) -> BaselineScores:
    """Rank cells by nearness to the nearest cell known to be contaminated.

    Known are the contaminated cells of the training side; under ``infill`` also those of
    the held-out land, but never the cell's own hazard.
    """
    cells = view.training.cells
    known = np.zeros(len(cells), bool)
    known[view.train] = True
    if view.protocol == "infill":
        known[view.test] = True
    known &= cells.contaminated
    distance_m = _distance_to_other(cells, np.flatnonzero(known), view.test)
    return BaselineScores(-distance_m, None)


def _distance_to_other(
    cells: LabelledCells, known: NDArray[np.int64], asked: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each asked cell's distance to the nearest known cell of another hazard.

    A cell without a hazard id is its own hazard. Cells with no other hazard get the
    longest distance of all.
    """
    hazard = np.where(cells.hazard_id >= 0, cells.hazard_id, -1 - np.arange(len(cells)))
    places = np.column_stack([cells.easting, cells.northing])
    distance_m = np.full(len(asked), np.inf)
    if len(known) == 0:
        return np.zeros(len(asked))
    n_near = min(NEAR_CELLS, len(known))
    answer = KDTree(places[known]).query(places[asked], k=list(range(1, n_near + 1)))
    far_m, near = np.asarray(answer[0]), np.asarray(answer[1])
    other = hazard[known[near]] != hazard[asked, None]
    found = other.any(axis=1)
    distance_m[found] = far_m[found, other[found].argmax(axis=1)]
    for own in np.unique(hazard[asked[~found]]):
        here = ~found & (hazard[asked] == own)
        rest = known[hazard[known] != own]
        if len(rest):
            distance_m[here] = KDTree(places[rest]).query(places[asked[here]])[0]
    longest_m = distance_m[np.isfinite(distance_m)].max(initial=0.0)
    return np.where(np.isfinite(distance_m), distance_m, longest_m)


BASELINES: Mapping[str, Baseline] = {
    "prevalence": prevalence,
    "distance_to_known_hazard": distance_to_known_hazard,
    "logistic_regression": logistic_regression,
}
