"""Folds of districts, or of the groups of a feature table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from hazardrank.errors import FoldError
from hazardrank.labels.cells import LabelledCells
from hazardrank.validation.folds.maker import (
    ALWAYS_TRAINS,
    Assignment,
    DistrictOf,
    FoldMaker,
    Groups,
    assign_units,
)
from hazardrank.validation.training_set import LocationTest


class GroupFolds(FoldMaker):
    """Whole districts are held out: each alone, or several together in ``n_folds``."""

    name: ClassVar[str] = "groups"

    def assign(
        self, cells: LabelledCells, groups: Groups | None, n_folds: int | None, seed: list[int]
    ) -> Assignment:
        """Assign cells to folds by their group; cells in no group train in every fold."""
        named = self._groups(cells, groups)
        member = named != ""
        names, unit = np.unique(named[member].astype(str), return_inverse=True)
        fold_of_group, both = assign_units(unit, cells.contaminated[member], n_folds, seed, "group")
        fold = np.full(len(cells), ALWAYS_TRAINS, np.int64)
        fold[member] = fold_of_group[unit]
        district_of = self.district_of or _NearestGroup(cells, named)

        def land(number: int) -> LocationTest:
            return _InDistricts(district_of, names[fold_of_group == number].tolist())

        if n_folds is None:
            fold_names = tuple(names[both].tolist())
            skipped = _one_outcome(names[~both], unit, both, cells.contaminated[member])
        else:
            fold_names = tuple(f"fold {number + 1}" for number in range(n_folds))
            skipped = ()
        n_outside = int((~member).sum())
        if n_outside:
            skipped = (
                *skipped,
                f"{n_outside} cells lie in no group: they train in every fold and are never "
                "held out",
            )
        return Assignment(fold, fold_names, land, skipped)

    def _groups(self, cells: LabelledCells, groups: Groups | None) -> Groups:
        if groups is not None:
            return groups
        if self.district_of is None:
            raise FoldError(
                "folds by group need the group of each cell, and there is none",
                where="validation.folds.method",
                remedy="Name a polygon layer in validation.folds.layer (or the group column of "
                "the table in region.table.group), or use blocks.",
            )
        return self.district_of(cells.easting, cells.northing)


def _one_outcome(
    names: NDArray[np.str_],
    unit: NDArray[np.int64],
    both: NDArray[np.bool_],
    contaminated: NDArray[np.bool_],
) -> tuple[str, ...]:
    """Say of each group that is not held out why."""
    reasons = []
    for name, number in zip(names, np.flatnonzero(~both), strict=True):
        cells = contaminated[unit == number]
        lacking = "no contaminated cell" if not cells.any() else "contaminated cells only"
        reasons.append(
            f"group '{name}' has {lacking} ({len(cells)} cells): it trains in every fold and "
            "is never held out"
        )
    return tuple(reasons)


class _NearestGroup:
    """Names the group of the labelled cell nearest to each point."""

    def __init__(self, cells: LabelledCells, groups: Groups) -> None:
        self.tree = KDTree(np.column_stack([cells.easting, cells.northing]))
        self.groups = groups

    def __call__(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.object_]:
        points = np.column_stack([np.atleast_1d(easting), np.atleast_1d(northing)])
        return self.groups[self.tree.query(points)[1]]


class _InDistricts:
    """Tells which points lie in some districts."""

    def __init__(self, district_of: DistrictOf, names: Iterable[str]) -> None:
        self.district_of = district_of
        self.names = frozenset(names)

    def __call__(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        districts = self.district_of(easting, northing)
        return np.array([str(name) in self.names for name in districts], dtype=bool)
