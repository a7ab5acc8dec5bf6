"""Folds in time: learn from what was decided before a date, be tested on what came after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import FoldError
from hazardrank.labels.cells import LabelledCells
from hazardrank.settings import FoldSettings
from hazardrank.validation.folds.blocks import BlockFolds, InBlocks, block_codes, block_name
from hazardrank.validation.folds.maker import (
    ALWAYS_TRAINS,
    Assignment,
    FoldMaker,
    Groups,
    assign_units,
    nowhere,
)
from hazardrank.validation.folds.places import drawn, places_of
from hazardrank.validation.training_set import DatedLand, LocationTest

#: Period of cells whose date is unknown.
UNDATED = -1
ONE_DAY = np.timedelta64(1, "D")


class TemporalFolds(FoldMaker):
    """Periods are held out in turn, learned from what was decided before they began.

    The periods begin at ``split_dates``; what was decided before the first trains in every
    fold. A hazard belongs to the period of its latest decision, so that none is both learned
    from and tested. Cells without a date neither train nor are held out, which is said;
    background cells, which no record decides, are dealt to the periods as contaminated ones
    are. Features of hazard history know only records of days before the period, those
    without a date not at all.

    Training sides are split in time too, at dates that part their contaminated cells evenly;
    where that cannot be done, by square blocks of ``size_m``.
    """

    name: ClassVar[str] = "temporal"
    fewest_folds: ClassVar[int] = 1

    def inner_makers(self) -> tuple[FoldMaker, ...]:
        """Return folds in time at dates of the training side's own, then blocks."""
        return (type(self)(undated(self.settings), None), BlockFolds(self.settings, None))

    def assign(
        self, cells: LabelledCells, groups: Groups | None, n_folds: int | None, seed: list[int]
    ) -> Assignment:
        """Assign cells to the period in which they were decided."""
        del groups
        time = Periods.of(cells, self.settings, n_folds or 1, seed)

        def land(number: int) -> LocationTest:
            return DatedLand(nowhere, time.starts[number])

        def may_train(number: int) -> NDArray[np.bool_]:
            return np.isin(time.period, range(number + 1))

        fold = np.where(time.period == UNDATED, ALWAYS_TRAINS, time.period - 1)
        skipped = list(time.notes)
        n_always = int((time.period == 0).sum())
        if n_always:
            skipped.append(
                f"{n_always} cells decided before {time.starts[0]} train in every fold and are "
                "never held out"
            )
        return Assignment(fold, time.names, land, tuple(skipped), may_train)


class SpatioTemporalFolds(FoldMaker):
    """Later records of held-out squares, learned from earlier records of other squares.

    Squares of ``size_m`` are dealt to folds so that later contaminated cells balance. Each
    later cell is held out once; an earlier one trains wherever its square is not held out.
    Hazards, dates unknown and background are treated as by :class:`TemporalFolds`.
    """

    name: ClassVar[str] = "spatio_temporal"

    def inner_makers(self) -> tuple[FoldMaker, ...]:
        """Return folds in space and time at a date of the training side's own, then blocks."""
        return (type(self)(undated(self.settings), None), BlockFolds(self.settings, None))

    def assign(
        self, cells: LabelledCells, groups: Groups | None, n_folds: int | None, seed: list[int]
    ) -> Assignment:
        """Assign later cells to folds by the block they lie in."""
        del groups
        size_m = self.settings.size_m
        time = Periods.of(cells, self.settings, 1, seed)
        later = time.period == 1
        block = block_codes(cells.easting, cells.northing, size_m)
        codes, unit = np.unique(block[later], return_inverse=True)
        fold_of_block, _ = assign_units(unit, cells.contaminated[later], n_folds, seed, "block")
        fold = np.full(len(cells), ALWAYS_TRAINS, np.int64)
        fold[later] = fold_of_block[unit]
        if n_folds is None:
            names = tuple(
                block_name(code, size_m)
                for code, number in zip(codes, fold_of_block, strict=True)
                if number != ALWAYS_TRAINS
            )
        else:
            names = tuple(f"fold {number + 1}" for number in range(n_folds))

        def squares(number: int) -> InBlocks:
            return InBlocks(codes[fold_of_block == number], size_m)

        def land(number: int) -> LocationTest:
            return DatedLand(squares(number), time.starts[0])

        def may_train(number: int) -> NDArray[np.bool_]:
            in_square = squares(number)(cells.easting, cells.northing)
            return np.equal(time.period, 0) & ~in_square

        return Assignment(fold, names, land, (*time.notes, *_earlier(time, later, fold)), may_train)


def _earlier(time: Periods, later: NDArray[np.bool_], fold: NDArray[np.int64]) -> list[str]:
    notes = [
        f"{int((time.period == 0).sum())} cells decided before {time.starts[0]} are never held "
        "out: they train in every fold but those that hold out their square"
    ]
    n_left = int((later & (fold == ALWAYS_TRAINS)).sum())
    if n_left:
        notes.append(
            f"{n_left} later cells lie in squares with one outcome only: they neither train nor "
            "are held out"
        )
    return notes


def undated(settings: FoldSettings) -> FoldSettings:
    """Return the settings without dates, so that they follow from the cells."""
    return settings.model_copy(update={"split_dates": []})


@dataclass(frozen=True)
class Periods:
    """When each cell was decided.

    Parameters
    ----------
    starts : ndarray of datetime64[D], shape (n_periods - 1,)
        First day of each period but the first, rising.
    period : ndarray of int64, shape (n_cells,)
        0 before the first start, then 1, 2 …; -1 where the date is unknown.
    notes : tuple of str
        What is to be said.
    """

    starts: NDArray[np.datetime64]
    period: NDArray[np.int64]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each period that is held out."""
        ends = [f"until {end - ONE_DAY}" for end in self.starts[1:]]
        return tuple(
            f"{start} {end}" for start, end in zip(self.starts, [*ends, "and later"], strict=True)
        )

    @classmethod
    def of(
        cls, cells: LabelledCells, settings: FoldSettings, n_starts: int, seed: list[int]
    ) -> Periods:
        """Part the cells in time.

        Raises
        ------
        FoldError
            If too few outcomes have a date, or no date parts them.
        """
        decided = _by_hazard(cells)
        known = ~np.isnat(decided)
        asked = np.array(settings.split_dates, "datetime64[D]")
        starts = asked if len(asked) else _even_starts(cells, decided, n_starts)
        period = np.full(len(cells), UNDATED, np.int64)
        period[known] = np.searchsorted(starts, decided[known], side="right")
        notes = []
        n_undated = int((~known & (cells.outcome >= 0)).sum())
        if n_undated:
            notes.append(f"{n_undated} cells have no date: they neither train nor are held out")
        background = np.flatnonzero(cells.outcome == -1)
        if len(background):
            _deal(background, cells, period, len(starts) + 1, seed)
            notes.append(
                f"{len(background)} background cells were dealt to the periods at random, as "
                "many as contaminated ones in proportion"
            )
        n_early = int((known & (cells.decided < _start_of(starts, period)) & (period > 0)).sum())
        if n_early:
            notes.append(
                f"{n_early} cells decided earlier are held out with the rest of their hazard"
            )
        if not len(asked) and len(starts) < n_starts:
            notes.append(f"the dates of the records part them at {len(starts)} days only")
        return cls(starts, period, tuple(notes))


def _by_hazard(cells: LabelledCells) -> NDArray[np.datetime64]:
    """Return when each cell was decided; cells of a hazard by their latest known date."""
    decided = cells.decided.astype("datetime64[D]").copy()
    decided[cells.outcome == -1] = np.datetime64("NaT")
    member = np.flatnonzero(cells.hazard_id >= 0)
    if len(member) == 0:
        return decided
    _, hazard = np.unique(cells.hazard_id[member], return_inverse=True)
    days = np.where(np.isnat(decided[member]), np.iinfo(np.int64).min, decided[member].astype(int))
    latest = np.full(int(hazard.max()) + 1, np.iinfo(np.int64).min)
    np.maximum.at(latest, hazard, days)
    # The smallest integer is numpy's NaT.
    decided[member] = latest[hazard].astype("datetime64[D]")
    return decided


def _even_starts(
    cells: LabelledCells, decided: NDArray[np.datetime64], n_starts: int
) -> NDArray[np.datetime64]:
    """Return days that part the dated contaminated cells evenly, both outcomes before each."""
    known = ~np.isnat(decided)
    of_both = [decided[known & (cells.contaminated == outcome)] for outcome in (True, False)]
    has_background = cells.has_background
    if len(of_both[0]) == 0 or (len(of_both[1]) == 0 and not has_background):
        raise FoldError(
            f"{int((~known).sum())} of {len(cells)} labelled cells have no date, so that time "
            "cannot part both outcomes",
            where="validation.folds.method",
            remedy="Hold out land (blocks, groups, kmeans, knndm), or give the records dates.",
        )
    earliest = max(days.min() for days in of_both if len(days)) + ONE_DAY
    shares = np.arange(1, n_starts + 1) / (n_starts + 1)
    days = np.quantile(of_both[0].astype(int), shares, method="higher").astype("datetime64[D]")
    starts: NDArray[np.datetime64] = np.unique(np.maximum(days, earliest))
    starts = starts[starts <= decided[known].max()]
    if len(starts) == 0:
        raise FoldError(
            "no date has both outcomes before it and any after it",
            where="validation.folds.split_dates",
            remedy="Hold out land (blocks, groups, kmeans, knndm) instead.",
        )
    return starts


def _deal(
    background: NDArray[np.int64],
    cells: LabelledCells,
    period: NDArray[np.int64],
    n_periods: int,
    seed: list[int],
) -> None:
    """Deal background cells to periods, as contaminated ones are; changes `period`."""
    dated = cells.contaminated & (period != UNDATED)
    shares = np.cumsum(np.bincount(period[dated], minlength=n_periods) / max(dated.sum(), 1))
    order = background[drawn(places_of(cells)[background], len(background), seed)]
    rank = np.random.default_rng([*seed, 3]).permutation(len(order))
    dealt = np.searchsorted(shares, (rank + 0.5) / len(order))
    period[order] = np.minimum(dealt, n_periods - 1)


def _start_of(starts: NDArray[np.datetime64], period: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Return the first day of each cell's period; of the first one where there is none."""
    first_day: NDArray[np.datetime64] = starts[np.maximum(period, 1) - 1]
    return first_day
