"""What a fold maker is, and what several of them need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import FoldError
from hazardrank.labels.cells import LabelledCells
from hazardrank.settings import FoldSettings
from hazardrank.validation.training_set import LocationTest

Groups = NDArray[np.object_]
DistrictOf = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.object_]]
"""Easting and northing of points → name of the district each lies in, ``""`` for none."""

#: Fold of cells that are never held out and train in every fold.
ALWAYS_TRAINS = -1

PredictionPoints = NDArray[np.float64] | Callable[[], NDArray[np.float64]]
"""Easting and northing of places where the model will be asked, shape (n_points, 2)."""


@dataclass(frozen=True)
class Assignment:
    """Which fold each cell is held out in.

    Parameters
    ----------
    fold : ndarray of int64, shape (n_cells,)
        0 … n_folds - 1, or -1 for cells that train in every fold.
    names : tuple of str
        Name of each fold.
    land : callable
        Fold → test of which points lie in its held-out land.
    skipped : tuple of str
        What is not held out, and why.
    """

    fold: NDArray[np.int64]
    names: tuple[str, ...]
    land: Callable[[int], LocationTest]
    skipped: tuple[str, ...] = ()
    may_train: Callable[[int], NDArray[np.bool_]] | None = None
    """Fold → which cells may train when it is held out, shape (n_cells,); all that are not
    held out when ``None``. What may neither train nor is held out is counted as withheld."""


class FoldMaker(ABC):
    """Splits cells into folds. Every cell gets exactly one fold, or is said not to.

    Parameters
    ----------
    settings : FoldSettings
        Size, layer, and the like; the number of folds is given to ``assign``.
    district_of : callable or None
        Names the district of any point, where districts are known.
    prediction_points : ndarray of shape (n_points, 2), or callable that returns it, optional
        Easting and northing of places where the model will be asked.
    """

    name: ClassVar[str]
    fewest_folds: ClassVar[int] = 2
    """Fewest folds that make a plan. One is enough where time parts the cells."""
    keeps_hazards_whole: ClassVar[bool] = True
    """Whether all cells of a hazard must share a fold (only the random foil says no)."""

    def __init__(
        self,
        settings: FoldSettings,
        district_of: DistrictOf | None,
        prediction_points: PredictionPoints | None = None,
    ) -> None:
        self.settings = settings
        self.district_of = district_of
        self.prediction_points = prediction_points

    def inner_makers(self) -> tuple[FoldMaker, ...]:
        """Return what splits training sides: the first that can, in this order."""
        return (self,)

    @abstractmethod
    def assign(
        self, cells: LabelledCells, groups: Groups | None, n_folds: int | None, seed: list[int]
    ) -> Assignment:
        """Assign cells to folds, before hazards are brought together.

        Parameters
        ----------
        cells : LabelledCells
            The cells: all of them, or one training side for inner folds.
        groups : ndarray of object, shape (n_cells,), or None
            Group of each cell, ``""`` outside all.
        n_folds : int or None
            Number of folds; ``None``: one for every unit that has both outcomes.
        seed : list of int
            Seed of the draws that break ties.

        Raises
        ------
        FoldError
            If the cells cannot be split so.
        """


def assign_units(
    unit: NDArray[np.int64],
    contaminated: NDArray[np.bool_],
    n_folds: int | None,
    seed: list[int],
    what: str,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Assign units (blocks, districts) to folds.

    Parameters
    ----------
    unit : ndarray of int64, shape (n_cells,)
        Unit of each cell, 0 … n_units - 1.
    contaminated : ndarray of bool, shape (n_cells,)
        Outcome of each cell.
    n_folds : int or None
        Number of folds to balance; ``None`` for one fold per unit with both outcomes.
    seed : list of int
        Seed of the order of units that are alike.
    what : str
        What a unit is called, for messages.

    Returns
    -------
    fold : ndarray of int64, shape (n_units,)
        Fold of each unit, -1 for those without both outcomes when `n_folds` is ``None``.
    both : ndarray of bool, shape (n_units,)
        Which units have both outcomes.

    Raises
    ------
    FoldError
        If there are fewer units than folds, or fewer than two with both outcomes.
    """
    n_units = int(unit.max(initial=-1)) + 1
    n_contaminated = np.bincount(unit[contaminated], minlength=n_units)
    n_other = np.bincount(unit[~contaminated], minlength=n_units)
    both = (n_contaminated > 0) & (n_other > 0)
    if n_folds is None:
        if both.sum() < 2:
            raise FoldError(
                f"only {int(both.sum())} of {n_units} {what}s has both outcomes, so there are "
                f"no two folds with one {what} each",
                where="validation.folds.n_folds",
                remedy=f"Give a number of folds, so that {what}s are held out together.",
            )
        return np.where(both, np.cumsum(both) - 1, ALWAYS_TRAINS), both
    if n_units < n_folds:
        raise FoldError(
            f"the labelled cells lie in {n_units} {what}s, too few for {n_folds} folds",
            where="validation.folds",
            remedy=f"Use smaller {what}s or fewer folds.",
        )
    return _balanced(n_contaminated, n_other, n_folds, seed), both


def _balanced(
    n_contaminated: NDArray[np.int64], n_other: NDArray[np.int64], n_folds: int, seed: list[int]
) -> NDArray[np.int64]:
    """Give each unit, largest first, to the fold that has least so far.

    Units with contaminated cells go where contaminated cells are fewest, then the others
    where cells are fewest (longest processing time first; Graham 1969).
    """
    shuffled = np.random.default_rng(seed).permutation(len(n_other))
    order = np.lexsort((shuffled, -n_other, -n_contaminated))
    in_fold_contaminated = np.zeros(n_folds, np.int64)
    in_fold_cells = np.zeros(n_folds, np.int64)
    fold = np.empty(len(n_other), np.int64)
    for unit in order:
        first = in_fold_contaminated if n_contaminated[unit] else in_fold_cells
        chosen = np.lexsort((in_fold_cells, first))[0]
        fold[unit] = chosen
        in_fold_contaminated[chosen] += n_contaminated[unit]
        in_fold_cells[chosen] += n_contaminated[unit] + n_other[unit]
    return fold


def hazards_together(
    fold: NDArray[np.int64], hazard_id: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Move every hazard's cells to the fold that holds most of them.

    Parameters
    ----------
    fold : ndarray of int64, shape (n_cells,)
        Fold of each cell.
    hazard_id : ndarray of int64, shape (n_cells,)
        Hazard of each cell, -1 for none.

    Returns
    -------
    fold : ndarray of int64, shape (n_cells,)
        With hazards whole; of equally full folds the first.
    n_moved : int
        Cells that changed fold.
    """
    labelled = np.flatnonzero(hazard_id >= 0)
    settled = fold.copy()
    if len(labelled) == 0:
        return settled, 0
    _, hazard = np.unique(hazard_id[labelled], return_inverse=True)
    pairs, n_pair = np.unique(np.stack([hazard, fold[labelled]]), axis=1, return_counts=True)
    order = np.lexsort((pairs[1], -n_pair, pairs[0]))
    first = order[np.flatnonzero(np.diff(pairs[0][order], prepend=-1))]
    settled[labelled] = pairs[1][first][hazard]
    return settled, int((settled != fold).sum())


def nowhere(easting: NDArray[np.float64], northing: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of every point that it lies in no held-out land."""
    return np.zeros(np.broadcast(easting, northing).shape, bool)
