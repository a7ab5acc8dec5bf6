"""Places of cells: clusters of neighbours, an order along the land, land near some cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sklearn.cluster import kmeans_plusplus

from hazardrank.errors import FoldError
from hazardrank.labels.cells import LabelledCells

#: Clusters are found on at most this many cells, drawn at random.
MOST_CLUSTERED = 10_000
#: Lloyd's steps at most.
MOST_STEPS = 50

Places = NDArray[np.float64]
"""Easting and northing in metres, shape (n, 2)."""


def places_of(cells: LabelledCells) -> Places:
    """Return easting and northing of the cell centres, shape (n_cells, 2)."""
    return np.column_stack([cells.easting, cells.northing])


def drawn(places: Places, most: int, seed: list[int]) -> NDArray[np.int64]:
    """Draw at most `most` places; the same ones whatever their order.

    Returns
    -------
    ndarray of int64
        Positions in `places`, ordered by northing, then easting.
    """
    order = np.lexsort((places[:, 0], places[:, 1]))
    if len(order) <= most:
        return order
    chosen = np.random.default_rng(seed).choice(len(order), most, replace=False)
    return order[np.sort(chosen)]


class Clusters:
    """Clusters of neighbouring places: each point belongs to the nearest centre, to one only.

    Parameters
    ----------
    places : ndarray, shape (n, 2)
        What is clustered, by k-means (Lloyd 1982; k-means++ start).
    n_clusters : int
        Number of clusters.
    seed : list of int
        Seed of the start.

    Raises
    ------
    FoldError
        If there are fewer distinct places than clusters.
    """

    def __init__(self, places: Places, n_clusters: int, seed: list[int]) -> None:
        sample = places[drawn(places, MOST_CLUSTERED, seed)]
        n_distinct = len(np.unique(sample, axis=0))
        if n_distinct < n_clusters:
            raise FoldError(
                f"{n_distinct} distinct places cannot make {n_clusters} clusters",
                where="validation.folds",
                remedy="Ask for fewer clusters or folds.",
            )
        self.centres = _centres(sample, n_clusters, seed)
        self._tree = KDTree(self.centres)

    def of(self, places: Places) -> NDArray[np.int64]:
        """Return the cluster of each place, shape (n,)."""
        _, nearest = self._tree.query(places)
        return np.asarray(nearest, np.int64)


def _centres(sample: Places, n_clusters: int, seed: list[int]) -> Places:
    """Return the centres of clusters, shape (n_clusters, 2).

    Lloyd's steps on one thread, with sums in one order: scikit-learn's own run on several,
    whose order could move a cell that lies between two clusters.
    """
    origin = sample.mean(axis=0)
    local = sample - origin
    state = int(np.random.default_rng(seed).integers(2**31))
    centres, _ = kmeans_plusplus(local, n_clusters, random_state=state)
    nearest = np.full(len(local), -1)
    for _ in range(MOST_STEPS):
        previous, nearest = nearest, np.asarray(KDTree(centres).query(local)[1])
        if (nearest == previous).all():
            break
        n_there = np.bincount(nearest, minlength=n_clusters)
        some = n_there > 0
        sums = [np.bincount(nearest, local[:, k], minlength=n_clusters) for k in (0, 1)]
        centres[some] = (np.column_stack(sums)[some].T / n_there[some]).T
    moved: Places = centres + origin
    return moved


class InClusters:
    """Tells which points lie in some of the clusters."""

    def __init__(self, clusters: Clusters, chosen: NDArray[np.bool_]) -> None:
        self.clusters = clusters
        self.chosen = chosen

    def __call__(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return which points lie there."""
        if np.size(easting) == 0:
            return np.zeros(np.shape(easting), bool)
        return self.chosen[self.clusters.of(np.column_stack([easting, northing]))]


class NearCells:
    """Tells which points lie within some metres of any of the given cells' centres."""

    def __init__(self, places: Places, distance_m: float) -> None:
        self._tree = KDTree(places)
        self.distance_m = distance_m

    def __call__(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return which points lie there."""
        if np.size(easting) == 0:
            return np.zeros(np.shape(easting), bool)
        points = np.column_stack([easting, northing])
        return np.isfinite(self._tree.query(points, distance_upper_bound=self.distance_m)[0])


def land_of(cells: LabelledCells, chosen: NDArray[np.bool_], buffer_m: float) -> NearCells:
    """Return the land of some cells: the cells themselves, and what lies in the buffer."""
    half_diagonal_m = 0.7072 * cells.grid.cell_size_m
    return NearCells(places_of(cells)[chosen], max(buffer_m, half_diagonal_m))


def along_the_land(places: Places) -> NDArray[np.int64]:
    """Order places so that neighbours in the order are neighbours on the land.

    Places are ranked by their Morton code (Morton 1966): the bits of row and column of a
    lattice of 65,536 × 65,536 over their extent, interleaved.
    """
    extent_m = np.maximum(np.ptp(places, axis=0), 1.0)
    lattice = ((places - places.min(axis=0)) / extent_m * 65_535).astype(np.int64)
    code = np.zeros(len(places), np.int64)
    for bit in range(16):
        for axis in (0, 1):
            code |= ((lattice[:, axis] >> bit) & 1) << (2 * bit + axis)
    return np.lexsort((places[:, 0], places[:, 1], code))
