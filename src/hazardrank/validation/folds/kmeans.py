"""Folds of clusters of neighbouring cells."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hazardrank.errors import FoldError
from hazardrank.labels.cells import LabelledCells
from hazardrank.validation.folds.maker import (
    ALWAYS_TRAINS,
    Assignment,
    FoldMaker,
    Groups,
    assign_units,
)
from hazardrank.validation.folds.places import Clusters, InClusters, places_of
from hazardrank.validation.training_set import LocationTest


class KMeansFolds(FoldMaker):
    """Clusters of neighbouring cells (k-means of their places), dealt to folds.

    One cluster for each fold, or ``n_clusters`` dealt so that contaminated cells balance.
    Clusters follow where labelled land is dense, unlike squares. A point belongs to the
    cluster with the nearest centre, to exactly one.
    """

    name: ClassVar[str] = "kmeans"

    def assign(
        self, cells: LabelledCells, groups: Groups | None, n_folds: int | None, seed: list[int]
    ) -> Assignment:
        """Assign cells to folds by the cluster they lie in."""
        del groups
        n_clusters = self.settings.n_clusters or n_folds
        if n_clusters is None:
            raise FoldError(
                "k-means folds need a number of clusters or of folds",
                where="validation.folds.n_clusters",
                remedy="Give validation.folds.n_clusters or validation.folds.n_folds.",
            )
        places = places_of(cells)
        clusters = Clusters(places, n_clusters, seed)
        unit = clusters.of(places)
        fold_of, _ = assign_units(unit, cells.contaminated, n_folds, seed, "cluster")
        # Clusters at the end of the numbering may hold no cell of this sample.
        fold_of_cluster = np.full(n_clusters, ALWAYS_TRAINS, np.int64)
        fold_of_cluster[: len(fold_of)] = fold_of

        def land(number: int) -> LocationTest:
            return InClusters(clusters, fold_of_cluster == number)

        skipped = []
        if n_folds is None:
            names = tuple(
                f"cluster around N{north:.0f} E{east:.0f}"
                for (east, north), fold in zip(clusters.centres, fold_of_cluster, strict=True)
                if fold != ALWAYS_TRAINS
            )
            n_always = int((fold_of == ALWAYS_TRAINS).sum())
            if n_always:
                skipped.append(
                    f"{n_always} clusters have one outcome only: their cells train in every fold "
                    "and are never held out"
                )
        else:
            names = tuple(f"fold {number + 1}" for number in range(n_folds))
        return Assignment(fold_of_cluster[unit], names, land, tuple(skipped))
