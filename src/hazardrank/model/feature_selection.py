"""Choosing features on inner folds, by what helps on land held out."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from hazardrank.model.candidates import Candidate, forest
from hazardrank.model.inner_bench import InnerBench
from hazardrank.settings import ModelSettings
from hazardrank.validation.training_set import Matrix

Columns = NDArray[np.bool_]
Selection = Literal["none", "forward", "permutation"]

#: Trees of the forest that features are compared with.
ROUNDS = 40
#: Forward selection ends when no feature raises the objective by this much.
LEAST_GAIN = 2e-3
#: Features whose rank correlation reaches this are permuted together.
ALIKE = 0.8
#: Permutations of each group.
REPEATS = 3


def choose_features(selection: Selection, bench: InnerBench) -> Columns:
    """Return which features to keep, shape (n_features,), chosen on inner folds.

    Parameters
    ----------
    selection : str
        ``none`` keeps all, ``forward`` see :func:`forward`, ``permutation`` see
        :func:`by_permutation`.
    bench : InnerBench
        The inner folds.
    """
    if selection == "forward":
        return forward(bench)
    if selection == "permutation":
        return by_permutation(bench)
    return np.ones(len(bench.specs), bool)


def forward(bench: InnerBench) -> Columns:
    """Add the feature that helps held-out cells most, as long as one helps.

    Meyer et al. 2018, *Improving performance of spatio-temporal machine learning models
    using forward feature selection and target-oriented validation*, started from single
    features rather than pairs. Takes about ``n_features × n_chosen`` small forests for
    each inner fold.
    """
    probe = _probe()
    kept = np.zeros(len(bench.specs), bool)
    best = 0.0 if bench.objective == "ranking" else float("-inf")
    while not kept.all():
        values = {}
        for column in np.flatnonzero(~kept).tolist():
            tried = kept.copy()
            tried[column] = True
            run = bench.run(probe, tried, keep_bins=False)
            values[column] = float("-inf") if run is None else run.value
        chosen = max(values, key=lambda column: (values[column], -column))
        if kept.any() and values[chosen] < best + LEAST_GAIN:
            break
        best, kept[chosen] = values[chosen], True
    return kept


def by_permutation(bench: InnerBench) -> Columns:
    """Drop groups of like features whose permutation does not hurt on held-out cells.

    Features of a rank correlation of 0.8 and more form a group (average linkage) and are
    permuted together, for a feature looks useless as long as its likes stand by. A group
    stays if the objective falls by more than nothing on average over the permutations.
    At least the most important group stays.
    """
    everything = np.ones(len(bench.specs), bool)
    groups = groups_of_like(bench.side.matrix)
    parts = bench.trained(_probe(), everything)
    intact = bench.judge(np.concatenate([part.scores(part.matrix) for part in parts]))
    losses = np.zeros(groups.max() + 1)
    for group in range(len(losses)):
        rng = np.random.default_rng([bench.seed, group, 5])
        columns = np.flatnonzero(groups == group)
        for _ in range(REPEATS):
            scores = []
            for part in parts:
                shuffled = part.matrix.copy()
                order = rng.permutation(len(shuffled))
                shuffled[:, columns] = shuffled[np.ix_(order, columns)]
                scores.append(part.scores(shuffled))
            losses[group] += (intact - bench.judge(np.concatenate(scores))) / REPEATS
    useful = losses > 0
    useful[np.argmax(losses)] = True
    return np.asarray(useful[groups], bool)


def groups_of_like(matrix: Matrix) -> NDArray[np.int64]:
    """Return the group of each feature, shape (n_features,), numbered from 0.

    Average linkage on 1 - |Spearman's rank correlation|, missing values as the lowest.
    """
    if matrix.shape[1] == 1:
        return np.zeros(1, np.int64)
    ranks = rankdata(np.nan_to_num(matrix, nan=-np.inf), axis=0)
    ranks = ranks - ranks.mean(axis=0)
    norm = np.sqrt((ranks**2).sum(axis=0))
    correlation = ranks.T @ ranks / np.maximum(np.outer(norm, norm), 1e-12)
    distance = np.clip(1 - np.abs(correlation), 0, 1)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform((distance + distance.T) / 2, checks=False), "average")
    _, group = np.unique(fcluster(tree, 1 - ALIKE, "distance"), return_inverse=True)
    return group.astype(np.int64)


def _probe() -> Candidate:
    quick = forest(ModelSettings(), ROUNDS)
    return Candidate(
        "forest",
        quick.settings.model_copy(
            update={"num_leaves": 31, "min_cells_in_leaf": 5, "node_feature_fraction": 0.4}
        ),
    )
