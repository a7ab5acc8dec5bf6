"""Folds whose distances to training cells match the distances met when predicting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.stats import wasserstein_distance

from hazardrank.errors import FoldError
from hazardrank.labels.cells import LabelledCells
from hazardrank.validation.folds.maker import (
    Assignment,
    FoldMaker,
    Groups,
    PredictionPoints,
    hazards_together,
)
from hazardrank.validation.folds.places import (
    Clusters,
    InClusters,
    Places,
    drawn,
    land_of,
    places_of,
)
from hazardrank.validation.training_set import LocationTest

#: Numbers of clusters tried, from one for each fold to the most, at even ratios.
N_TRIED = 16
MOST_CLUSTERS = 300
#: Held-out cells whose distance is measured for each trial.
MOST_MEASURED = 2000
#: No fold may hold more than this share of the cells.
MOST_IN_A_FOLD = 0.5
#: Points along the longer side of the extent, where no prediction points are given.
POINTS_ALONG = 40
#: Points nearer than this to a labelled cell's centre are that cell.
SAME_PLACE_M = 0.5


class NearestNeighbourFolds(FoldMaker):
    """k-fold nearest neighbour distance matching (kNNDM; Linnenbrink et al. 2024).

    The distance from a held-out cell to the nearest training cell should be distributed as
    the distance from a place where the model will be asked to the nearest labelled cell
    (Milà et al. 2022). Cells are clustered by k-means into ever more clusters; each time the
    clusters are merged into folds, in turn along the first principal axis of their centres,
    a cluster with a fold's share of the cells making one alone. Hazards dealt at random are
    tried too. The folds with the smallest Wasserstein distance between the two
    distributions are taken; those in which every fold has both outcomes on both sides, and
    none more than half of the cells, come first. The buffer is left for after.

    Prediction points are given by the command (a sample of the area's cells); without them
    a lattice over the extent of the labelled cells stands in, which is said.
    """

    name: ClassVar[str] = "knndm"

    def assign(
        self, cells: LabelledCells, groups: Groups | None, n_folds: int | None, seed: list[int]
    ) -> Assignment:
        """Assign cells to the folds that match best."""
        del groups
        if n_folds is None:
            raise FoldError(
                "nearest neighbour distance matching needs a number of folds",
                where="validation.folds.n_folds",
            )
        places = places_of(cells)
        points = prediction_places(self.prediction_points, places)
        asked_m = np.asarray(KDTree(places).query(points)[0])
        measured = drawn(places, MOST_MEASURED, [*seed, 1])
        trials = [
            trial.weighed(cells, places, measured, asked_m, n_folds)
            for trial in _trials(cells, places, n_folds, seed)
        ]
        best = min(trials, key=lambda trial: trial.rank)
        if best.n_folds < n_folds:
            raise FoldError(
                f"{len(cells)} labelled cells cannot be merged into {n_folds} folds of whole "
                "hazards",
                where="validation.folds.n_folds",
                remedy="Ask for fewer folds.",
            )

        def land(number: int) -> LocationTest:
            if best.clusters is None:
                return land_of(cells, best.fold == number, 0.0)
            return InClusters(best.clusters, best.fold_of_cluster == number)

        what = "hazards at random" if best.clusters is None else f"{best.n_units} clusters"
        notes = [
            f"folds matched to the distances of prediction: {what}, Wasserstein distance "
            f"{best.distance_m:.0f} m ({trials[-1].distance_m:.0f} m at random)"
        ]
        if self.prediction_points is None:
            notes.append("no prediction points were given: a lattice over the labelled cells' "
                         "extent stood in")  # fmt: skip
        names = tuple(f"fold {number + 1}" for number in range(n_folds))
        return Assignment(best.fold, names, land, tuple(notes))


def prediction_places(given: PredictionPoints | None, places: Places) -> Places:
    """Return where the model will be asked: the given points, or a lattice over the extent.

    Points on labelled cells are left out, unless all are.

    Parameters
    ----------
    given : ndarray of shape (n_points, 2), callable that returns it, or None
        Easting and northing in metres.
    places : ndarray, shape (n_cells, 2)
        The labelled cells; without points a square lattice covers their bounding box.

    Raises
    ------
    FoldError
        If the points given are none, or have another shape.
    """
    if given is not None:
        points = np.asarray(given() if callable(given) else given, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
            raise FoldError(
                f"prediction points have shape {points.shape}",
                where="validation.folds",
                remedy="Give easting and northing of at least one point, shape (n_points, 2).",
            )
        return _unlabelled(points, places)
    low, high = places.min(axis=0), places.max(axis=0)
    step_m = max(float((high - low).max()) / POINTS_ALONG, 1.0)
    east = np.arange(low[0], high[0] + step_m / 2, step_m)
    north = np.arange(low[1], high[1] + step_m / 2, step_m)
    return _unlabelled(np.stack(np.meshgrid(east, north), axis=-1).reshape(-1, 2), places)


def _unlabelled(points: Places, places: Places) -> Places:
    """Leave out points on labelled cells: records say more of those than a model."""
    distance_m, _ = KDTree(places).query(points)
    apart = np.asarray(distance_m) > SAME_PLACE_M
    return points[apart] if apart.any() else points


def held_out_distance_m(
    places: Places, fold: NDArray[np.int64], measured: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the distance from held-out places to the nearest place of another fold, m.

    Parameters
    ----------
    places : ndarray, shape (n, 2)
        All places.
    fold : ndarray of int64, shape (n,)
        Fold of each.
    measured : ndarray of int64
        Which places to measure from.
    """
    distances = []
    for number in np.unique(fold[measured]):
        others = places[fold != number]
        if len(others):
            held_out = places[measured[fold[measured] == number]]
            distances.append(KDTree(others).query(held_out)[0])
    return np.concatenate(distances) if distances else np.empty(0)


@dataclass(frozen=True)
class _Trial:
    """One way to merge cells into folds, and how well it matches."""

    clusters: Clusters | None
    fold_of_cluster: NDArray[np.int64]
    fold: NDArray[np.int64]
    n_folds: int = 0
    lacks: bool = True
    distance_m: float = float("inf")

    @property
    def n_units(self) -> int:
        return len(self.fold_of_cluster)

    @property
    def rank(self) -> tuple[int, bool, float]:
        return (-self.n_folds, self.lacks, self.distance_m)

    def weighed(
        self,
        cells: LabelledCells,
        places: Places,
        measured: NDArray[np.int64],
        asked_m: NDArray[np.float64],
        n_folds: int,
    ) -> _Trial:
        """Return the trial with its match to the distances met when predicting."""
        fold, _ = hazards_together(self.fold, cells.hazard_id)
        n_cells = np.bincount(fold, minlength=n_folds)
        n_contaminated = np.bincount(fold[cells.contaminated], minlength=n_folds)
        n_other = n_cells - n_contaminated
        lacks = bool(
            (n_contaminated == 0).any()
            or (n_other == 0).any()
            or n_cells.max() > MOST_IN_A_FOLD * len(fold)
        )
        distances = held_out_distance_m(places, fold, measured)
        return _Trial(
            self.clusters,
            self.fold_of_cluster,
            self.fold,
            int((n_cells > 0).sum()),
            lacks,
            float(wasserstein_distance(distances, asked_m)) if len(distances) else float("inf"),
        )


def _trials(
    cells: LabelledCells, places: Places, n_folds: int, seed: list[int]
) -> Iterator[_Trial]:
    """Return merged clusters, ever finer, and at last hazards dealt at random."""
    n_distinct = len(np.unique(places, axis=0))
    most = min(MOST_CLUSTERS, n_distinct // 2)
    tried = np.geomspace(n_folds, max(most, n_folds), N_TRIED).round().astype(int)
    for n_clusters in np.unique(tried[tried <= n_distinct]).tolist():
        clusters = Clusters(places, n_clusters, [*seed, n_clusters])
        cluster = clusters.of(places)
        n_cells = np.bincount(cluster, minlength=n_clusters)
        fold_of_cluster = merged(clusters.centres, n_cells, n_folds)
        yield _Trial(clusters, fold_of_cluster, fold_of_cluster[cluster])
    order = drawn(places, len(places), seed)
    shuffled = np.random.default_rng([*seed, 2]).permutation(len(order))
    fold = np.empty(len(order), np.int64)
    fold[order] = shuffled % n_folds
    # A hazard follows its cell of smallest place, so that hazards are dealt, not cells.
    hazard = cells.hazard_id[order]
    _, first, position = np.unique(hazard, return_index=True, return_inverse=True)
    fold[order] = np.where(hazard >= 0, fold[order][first][position], fold[order])
    yield _Trial(None, np.empty(0, np.int64), fold)


def merged(centres: Places, n_cells: NDArray[np.int64], n_folds: int) -> NDArray[np.int64]:
    """Merge clusters into folds.

    Parameters
    ----------
    centres : ndarray, shape (n_clusters, 2)
        Where the clusters lie.
    n_cells : ndarray of int64, shape (n_clusters,)
        How many cells they hold.
    n_folds : int
        Number of folds.

    Returns
    -------
    ndarray of int64, shape (n_clusters,)
        Fold of each: a cluster with at least a fold's share of the cells is one by itself
        (the last fold is left for the others), the others are dealt in turn along the first
        principal axis.
    """
    fold = np.full(len(centres), -1, np.int64)
    large = np.argsort(-n_cells, kind="stable")[: n_folds - 1]
    large = large[n_cells[large] >= n_cells.sum() / n_folds]
    fold[large] = np.arange(len(large))
    rest = np.flatnonzero(fold < 0)
    if len(rest):
        _, _, axes = np.linalg.svd(centres - centres.mean(axis=0), full_matrices=False)
        axis = axes[0] * (1 if axes[0][np.abs(axes[0]).argmax()] > 0 else -1)
        along = rest[np.argsort(centres[rest] @ axis, kind="stable")]
        fold[along] = len(large) + np.arange(len(along)) % (n_folds - len(large))
    return fold
