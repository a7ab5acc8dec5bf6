"""A plan of folds: who trains and who is held out, with a buffer between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from hazardrank.errors import FoldError
from hazardrank.labels.cells import LabelledCells
from hazardrank.settings import FoldSettings
from hazardrank.validation.folds.maker import (
    ALWAYS_TRAINS,
    Assignment,
    FoldMaker,
    Groups,
    hazards_together,
)
from hazardrank.validation.training_set import DatedLand, LocationTest, known_before

#: Folds of one outcome that are named one by one.
MOST_NAMED = 3

Index = NDArray[np.int64]
InnerSplit = tuple[Index, Index, LocationTest]
"""Rows of a training side to learn from and to look at, and all land held out then."""


class FoldPlan:
    """Folds of labelled cells.

    All cells of a hazard share a fold. No cell is dropped: each is held out once, or
    :attr:`skipped` says that it trains in every fold, and why.

    Parameters
    ----------
    cells : LabelledCells
        The cells that are split.
    groups : ndarray of object, shape (n_cells,), or None
        Group of each cell.
    maker : FoldMaker
        Splits the cells, and again the training sides into inner folds.
    settings : FoldSettings
        Number of folds and buffer.
    seed : int
        Seed of the draws that break ties.

    Attributes
    ----------
    fold : ndarray of int64, shape (n_cells,)
        Fold in which each cell is held out; -1 for cells that train in every fold.
    names : tuple of str
        Name of each fold.
    skipped : list of str
        What is not as asked, and why: cells never held out, folds with one outcome.

    Raises
    ------
    FoldError
        If fewer than two folds can be made, or a training side would lack an outcome.
    """

    def __init__(
        self,
        cells: LabelledCells,
        groups: Groups | None,
        maker: FoldMaker,
        settings: FoldSettings,
        seed: int,
    ) -> None:
        self.cells = cells
        self.groups = groups
        self.maker = maker
        self.buffer_m = settings.buffer_m
        self.seed = seed
        assignment = maker.assign(cells, groups, settings.n_folds, [seed, 0])
        self.fold, kept, notes = _settled(assignment, cells, maker)
        self.names = tuple(assignment.names[number] for number in kept)
        self._land = [assignment.land(int(number)) for number in kept]
        self._may_train = [
            _candidates(assignment, int(original), self.fold == number)
            for number, original in enumerate(kept)
        ]
        self._sides = [
            buffered(cells, self._may_train[number], self.fold == number, self.buffer_m)
            for number in range(self.n_folds)
        ]
        self.skipped = [*assignment.skipped, *notes]
        withheld = [self.n_withheld(number) for number in range(self.n_folds)]
        if any(withheld):
            self.skipped.append(
                f"{min(withheld)} to {max(withheld)} cells a fold neither train nor are held out: "
                "decided later, without a date, or in held-out squares"
            )
        self._require_outcomes()

    @property
    def method(self) -> str:
        """Name of the fold maker."""
        return self.maker.name

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return len(self.names)

    def train(self, k: int) -> Index:
        """Return the cells that fold `k` learns from, ascending."""
        return self._sides[k][0]

    def test(self, k: int) -> Index:
        """Return the cells that fold `k` holds out, ascending."""
        return np.flatnonzero(self.fold == k)

    def n_buffered(self, k: int) -> int:
        """Return how many cells fold `k` leaves out of training for being too near."""
        return self._sides[k][1]

    def n_withheld(self, k: int) -> int:
        """Return how many cells fold `k` neither trains on nor holds out, buffer apart."""
        return int((~self._may_train[k] & (self.fold != k)).sum())

    def unknown(self, k: int) -> Index:
        """Return the cells whose hazards fold `k` must not know: held out or withheld."""
        return np.flatnonzero(~self._may_train[k])

    def held_out_land(self, k: int) -> LocationTest:
        """Return the test of which points lie in the land that fold `k` holds out."""
        return self._land[k]

    def inner(self, k: int | None, n_inner: int, seed: int) -> list[InnerSplit]:
        """Split a training side by the same method, or the nearest to it that can.

        Parameters
        ----------
        k : int or None
            Fold whose training side is split; ``None`` for all cells (the final model).
        n_inner : int
            Number of inner folds wanted. Fewer are made where the training side cannot
            give every one of them both outcomes on both sides.
        seed : int
            Seed of the draws that break ties.

        Returns
        -------
        list of (train, test, land)
            Rows of the training side (positions in ``train(k)``), and which points lie
            in land held out by the inner or the outer fold.

        Raises
        ------
        FoldError
            If not even two inner folds can be made.
        """
        rows = np.arange(len(self.cells)) if k is None else self.train(k)
        cells = self.cells.take(rows)
        groups = None if self.groups is None else self.groups[rows]
        outer = None if k is None else self.held_out_land(k)
        for maker in self.maker.inner_makers():
            for n_folds in range(n_inner, 1, -1):
                seeds = [seed, 1 if k is None else 2 + k, n_folds]
                splits = self._try_inner(maker, cells, groups, n_folds, seeds, outer)
                if splits is not None:
                    return splits
        side = "all cells" if k is None else f"the training side of '{self.names[k]}'"
        raise FoldError(
            f"{side} ({int(cells.contaminated.sum())} contaminated of {len(cells)}) cannot be "
            "split into inner folds that all have both outcomes",
            where="validation.folds",
            remedy="Use smaller blocks, a smaller buffer, or fewer folds.",
        )

    def _try_inner(
        self,
        maker: FoldMaker,
        cells: LabelledCells,
        groups: Groups | None,
        n_folds: int,
        seeds: list[int],
        outer: LocationTest | None,
    ) -> list[InnerSplit] | None:
        try:
            assignment = maker.assign(cells, groups, n_folds, seeds)
        except FoldError:
            return None
        fold, kept, _ = _settled(assignment, cells, maker)
        splits: list[InnerSplit] = []
        for number, original in enumerate(kept):
            held_out = fold == number
            candidates = _candidates(assignment, int(original), held_out)
            train, _ = buffered(cells, candidates, held_out, self.buffer_m)
            test = np.flatnonzero(held_out)
            if not (_both(cells, train) and _both(cells, test)):
                return None
            splits.append((train, test, _either(assignment.land(int(original)), outer)))
        return splits if len(splits) >= maker.fewest_folds else None

    def _require_outcomes(self) -> None:
        if self.n_folds < self.maker.fewest_folds:
            raise FoldError(
                f"only {self.n_folds} fold has cells once every hazard lies in one fold",
                where="validation.folds",
                remedy="Use smaller blocks or fewer folds.",
            )
        one_outcome = []
        for number, name in enumerate(self.names):
            if not _both(self.cells, self.train(number)):
                near = f" and {self.n_buffered(number)} nearer than the buffer of "
                near = f"{near}{self.buffer_m:g} m are left out" if self.buffer_m else ""
                raise FoldError(
                    f"when '{name}' is held out{near}, the remaining cells have one outcome only",
                    where="validation.folds",
                    remedy="Use smaller blocks, a smaller buffer, or fewer folds.",
                )
            if not _both(self.cells, self.test(number)):
                some = self.cells.contaminated[self.test(number)].any()
                lacking = "contaminated cells only" if some else "no contaminated cell"
                one_outcome.append(f"'{name}' has {lacking}")
        if len(one_outcome) > MOST_NAMED:
            self.skipped.append(
                f"{len(one_outcome)} of {self.n_folds} folds have one outcome only: they count "
                "in pooled figures and have no ROC or PR of their own"
            )
            return
        self.skipped += [
            f"{fact}: it counts in pooled figures and has no ROC or PR of its own"
            for fact in one_outcome
        ]


def _candidates(
    assignment: Assignment, number: int, held_out: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which cells may train when a fold of the assignment is held out."""
    if assignment.may_train is None:
        return ~held_out
    return assignment.may_train(number) & ~held_out


def buffered(
    cells: LabelledCells,
    candidates: NDArray[np.bool_],
    held_out: NDArray[np.bool_],
    buffer_m: float,
) -> tuple[Index, int]:
    """Leave out candidates nearer than `buffer_m` to any held-out cell.

    Returns
    -------
    train : ndarray of int64
        Candidates that remain, ascending.
    n_left_out : int
        Candidates left out.
    """
    train = np.flatnonzero(candidates)
    if buffer_m == 0 or not held_out.any() or len(train) == 0:
        return train, 0
    places = np.column_stack([cells.easting, cells.northing])
    distance_m, _ = KDTree(places[held_out]).query(places[train], distance_upper_bound=buffer_m)
    far = np.isinf(distance_m)
    return train[far], int((~far).sum())


def _settled(
    assignment: Assignment, cells: LabelledCells, maker: FoldMaker
) -> tuple[Index, Index, list[str]]:
    """Bring hazards together; return folds renumbered without gaps, those kept, and notes."""
    fold = assignment.fold
    notes = []
    if maker.keeps_hazards_whole:
        fold, n_moved = hazards_together(fold, cells.hazard_id)
        if n_moved:
            notes.append(f"{n_moved} cells were moved to the fold with most of their hazard")
    kept = np.unique(fold[fold != ALWAYS_TRAINS])
    for number in sorted(set(range(len(assignment.names))) - set(kept.tolist())):
        notes.append(
            f"'{assignment.names[number]}' is no fold: all its cells belong to hazards that "
            "lie mostly in other folds"
        )
    renumbered = np.full(len(fold), ALWAYS_TRAINS, np.int64)
    held_out = fold != ALWAYS_TRAINS
    renumbered[held_out] = np.searchsorted(kept, fold[held_out])
    return renumbered, kept, notes


def _both(cells: LabelledCells, index: Index) -> bool:
    contaminated = cells.contaminated[index]
    return bool(contaminated.any() and not contaminated.all())


def _either(inner: LocationTest, outer: LocationTest | None) -> LocationTest:
    """Return land that either holds out, known before the earlier of their days."""
    if outer is None:
        return inner

    def land(easting: NDArray[np.float64], northing: NDArray[np.float64]) -> NDArray[np.bool_]:
        return inner(easting, northing) | outer(easting, northing)

    days = [day for day in (known_before(inner), known_before(outer)) if day is not None]
    return DatedLand(land, min(days)) if days else land
