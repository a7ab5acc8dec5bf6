"""What the model learned, measured on the folds: permutation importance and effects.

* Permutation importance (Breiman 2001) of groups of features on held-out cells: a fold's
  cells are cut into square blocks, and the blocks' values are exchanged as wholes, so that
  values keep their neighbours and only lose their place.
* Partial dependence (Friedman 2001): the mean likelihood if all cells had one value.
* Accumulated local effects (Apley & Zhu 2020): the same question asked only between
  neighbouring values a cell really has nearby, so that features that go together do not
  lead to land that does not exist.

Each curve is drawn for every fold's own model over the same cells; the band is what the
folds' models disagree about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hazardrank.features.base import FeatureSpec
from hazardrank.labels.cells import LabelledCells
from hazardrank.model.explain import feature_groups
from hazardrank.settings import ExplanationSettings
from hazardrank.validation.learner import FittedModel
from hazardrank.validation.training_set import Matrix

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

MAX_PERMUTED_CELLS = 20_000
"""Held-out cells permuted, over all folds; more are sampled."""
ROWS_AT_ONCE = 20_000
"""Rows predicted in one call: many small calls cost more than they compute."""
MAX_CURVE_FOLDS = 20
"""Folds' models of which curves are drawn."""


@dataclass
class FoldEffects:
    """Watches folds as they are done and measures what their models learned.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        The features, in column order.
    cells : LabelledCells
        The labelled cells.
    tests : sequence of ndarray of int64
        Held-out rows of each fold.
    settings : ExplanationSettings
        How much is measured.
    block_m : float
        Side of the blocks that are permuted as wholes.
    seed : int
        Seed of samples and permutations.
    """

    specs: Sequence[FeatureSpec]
    cells: LabelledCells
    tests: Sequence[Rows]
    settings: ExplanationSettings
    block_m: float
    seed: int
    _drops: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _models: list[tuple[FittedModel, Matrix]] = field(default_factory=list)

    def see(self, k: int, model: FittedModel, matrix: Matrix) -> None:
        """Take note of the model of fold `k` and its features of all labelled cells."""
        if self._curve_fold(k):
            self._models.append((model, matrix[self._curve_rows()]))
        test = self.tests[k]
        share = MAX_PERMUTED_CELLS / max(sum(len(rows) for rows in self.tests), 1)
        wanted = max(1, int(np.ceil(min(1.0, share) * len(test))))
        draw = np.random.default_rng([self.seed, 31, k])
        some = test if wanted >= len(test) else np.sort(draw.choice(test, wanted, replace=False))
        self._permute(model, matrix[some], some, draw)

    def _permute(
        self, model: FittedModel, matrix: Matrix, rows: Rows, draw: np.random.Generator
    ) -> None:
        contaminated = self.cells.contaminated[rows]
        if contaminated.all() or not contaminated.any():
            return
        plain = _skill(model.likelihood(matrix), contaminated)
        blocks = blocks_of(self.cells.easting[rows], self.cells.northing[rows], self.block_m)
        groups = feature_groups(self.specs)
        repeated = [name for name in groups for _ in range(self.settings.n_repeats)]
        at_once = max(1, ROWS_AT_ONCE // len(rows))
        found: dict[str, list[Floats]] = {name: [] for name in groups}
        for first in range(0, len(repeated), at_once):
            names = repeated[first : first + at_once]
            mixed = np.tile(matrix, (len(names), 1)).reshape(len(names), *matrix.shape)
            for place, name in enumerate(names):
                columns = groups[name]
                mixed[place][:, columns] = matrix[permuted_blocks(blocks, draw)][:, columns]
            likelihood = model.likelihood(mixed.reshape(-1, matrix.shape[1]))
            for name, one in zip(names, likelihood.reshape(len(names), -1), strict=True):
                found[name].append(plain - _skill(one, contaminated))
        for name, drops in found.items():
            drop = np.mean(drops, axis=0)
            self._drops.setdefault(name, []).append((float(drop[0]), float(-drop[1])))

    def _curve_fold(self, k: int) -> bool:
        n_folds = len(self.tests)
        return k in np.linspace(0, n_folds - 1, min(n_folds, MAX_CURVE_FOLDS)).astype(int)

    def _curve_rows(self) -> Rows:
        n_cells, n_wanted = len(self.cells), self.settings.n_cells
        if n_cells <= n_wanted:
            return np.arange(n_cells)
        draw = np.random.default_rng([self.seed, 32])
        return np.sort(draw.choice(n_cells, n_wanted, replace=False))

    def importance(self) -> list[dict[str, Any]]:
        """Return permutation importance by group, the largest loss of ROC-AUC first.

        ``roc_auc`` is by how much ROC-AUC falls, ``brier`` by how much the Brier score
        rises when the group's values lose their place; ``low`` and ``high`` are the
        smallest and largest loss of ROC-AUC in any fold.
        """
        groups = feature_groups(self.specs)
        found = []
        for name, drops in self._drops.items():
            auc, brier = np.array(drops).T
            found.append(
                {
                    "group": name,
                    "features": [self.specs[column].name for column in groups[name]],
                    "roc_auc": float(auc.mean()),
                    "low": float(auc.min()),
                    "high": float(auc.max()),
                    "brier": float(brier.mean()),
                    "n_folds": len(drops),
                }
            )
        return sorted(found, key=lambda one: (-one["roc_auc"], one["group"]))

    def curves(
        self, importance: Mapping[str, float], categorical: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Return the effects of the most important features.

        Parameters
        ----------
        importance : mapping of str to float
            Feature name → importance.
        categorical : sequence of str, optional
            Features whose values are class codes; they have no accumulated effects.

        Returns
        -------
        list of dict
            Name and unit, ``values``, and for ``partial_dependence`` and ``ale`` the mean
            over the folds' models with ``low`` and ``high``, the lowest and highest.
        """
        names = [spec.name for spec in self.specs]
        chosen = sorted(importance, key=lambda name: (-importance[name], name))
        chosen = [name for name in chosen if importance[name] > 0 and name in names]
        found = []
        for name in chosen[: self.settings.n_features]:
            column = names.index(name)
            curve = self._curve(column, name in categorical)
            if curve:
                found.append({"feature": name, "unit": self.specs[column].unit, **curve})
        return found

    def _curve(self, column: int, is_class: bool) -> dict[str, Any]:
        if not self._models:
            return {}
        seen = self._models[0][1][:, column]
        seen = seen[np.isfinite(seen)]
        values = np.unique(seen)
        if not is_class and len(values) > self.settings.n_values:
            steps = np.linspace(0, 1, self.settings.n_values)
            values = np.unique(np.quantile(seen, steps, method="inverted_cdf"))
        if len(values) < 2:
            return {}
        dependence = [partial_dependence(m.likelihood, x, column, values) for m, x in self._models]
        curve = {"values": [float(v) for v in values], "partial_dependence": _band(dependence)}
        if not is_class:
            local = [
                accumulated_local_effects(m.likelihood, x, column, values) for m, x in self._models
            ]
            curve["ale"] = _band(local)
        return curve


def blocks_of(easting: Floats, northing: Floats, block_m: float) -> Rows:
    """Return the number of the square block each cell lies in, shape (n_cells,)."""
    corners = np.column_stack([np.floor(easting / block_m), np.floor(northing / block_m)])
    return np.asarray(np.unique(corners, axis=0, return_inverse=True)[1], np.int64).ravel()


def permuted_blocks(blocks: Rows, draw: np.random.Generator) -> Rows:
    """Return whose values each cell takes when blocks change places as wholes.

    Parameters
    ----------
    blocks : ndarray of int64, shape (n_cells,)
        Block of each cell, from 0.
    draw : Generator
        Where the new order comes from.

    Returns
    -------
    ndarray of int64, shape (n_cells,)
        A permutation. Blocks are laid end to end in a random order, so that where they
        differ in size one may end up in two. With a single block the cells are shuffled.
    """
    n_blocks = int(blocks.max()) + 1
    if n_blocks == 1:
        return draw.permutation(len(blocks))
    place = draw.permutation(n_blocks)
    permutation = np.empty(len(blocks), np.int64)
    permutation[np.argsort(blocks, kind="stable")] = np.argsort(place[blocks], kind="stable")
    return permutation


def partial_dependence(predict: Any, matrix: Matrix, column: int, values: Matrix) -> Floats:
    """Return the mean prediction if all cells had one value (Friedman 2001).

    Parameters
    ----------
    predict : callable
        Matrix → prediction of each row.
    matrix : ndarray of float32, shape (n_cells, n_features)
        The cells.
    column : int
        The feature.
    values : ndarray, shape (n_values,)
        What it is set to.

    Returns
    -------
    ndarray of float64, shape (n_values,)
    """
    stacked = np.tile(matrix, (len(values), 1))
    stacked[:, column] = np.repeat(values, len(matrix))
    return np.asarray(predict(stacked).reshape(len(values), -1).mean(axis=1), np.float64)


def accumulated_local_effects(predict: Any, matrix: Matrix, column: int, edges: Matrix) -> Floats:
    """Return accumulated local effects at the edges of intervals (Apley & Zhu 2020, eq. 15–16).

    Parameters as in :func:`partial_dependence`; `edges` rise. Cells whose value is missing
    or beyond the edges have no say. The mean over the cells is 0; an interval without
    cells adds nothing.

    Returns
    -------
    ndarray of float64, shape (n_edges,)
    """
    value = matrix[:, column]
    with np.errstate(invalid="ignore"):
        used = np.isfinite(value) & (value >= edges[0]) & (value <= edges[-1])
    cells = matrix[used]
    interval = np.clip(np.searchsorted(edges, value[used], side="left") - 1, 0, len(edges) - 2)
    ends = np.tile(cells, (2, 1))
    ends[: len(cells), column] = edges[interval]
    ends[len(cells) :, column] = edges[interval + 1]
    below, above = predict(ends).reshape(2, -1)
    count = np.bincount(interval, minlength=len(edges) - 1)
    total = np.bincount(interval, weights=above - below, minlength=len(edges) - 1)
    effect = np.concatenate([[0.0], np.cumsum(total / np.maximum(count, 1))])
    centre = (count * (effect[:-1] + effect[1:]) / 2).sum() / max(count.sum(), 1)
    return np.asarray(effect - centre, np.float64)


def _skill(likelihood: Floats, contaminated: NDArray[np.bool_]) -> Floats:
    """Return ROC-AUC (as the rank sum of Mann & Whitney 1947) and Brier score."""
    n_cells, n_contaminated = len(contaminated), int(contaminated.sum())
    rank_sum = rankdata(likelihood)[contaminated].sum()
    above = rank_sum - n_contaminated * (n_contaminated + 1) / 2
    area = above / (n_contaminated * (n_cells - n_contaminated))
    return np.array([area, np.mean((likelihood - contaminated) ** 2)])


def _band(curves: Sequence[Floats]) -> dict[str, list[float]]:
    stacked = np.stack(curves)
    return {
        "mean": [float(v) for v in stacked.mean(axis=0)],
        "low": [float(v) for v in stacked.min(axis=0)],
        "high": [float(v) for v in stacked.max(axis=0)],
    }
