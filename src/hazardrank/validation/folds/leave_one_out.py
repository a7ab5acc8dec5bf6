"""Folds that each hold out one hazard, or one square of land without hazards."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import FoldError
from hazardrank.labels.cells import LabelledCells
from hazardrank.validation.folds.blocks import block_codes, block_name
from hazardrank.validation.folds.kmeans import KMeansFolds
from hazardrank.validation.folds.maker import ALWAYS_TRAINS, Assignment, FoldMaker, Groups
from hazardrank.validation.folds.places import along_the_land, land_of, places_of
from hazardrank.validation.training_set import LocationTest

#: Squares are at least so many cells wide: single cells are no land.
FEWEST_CELLS_ACROSS = 5


class LeaveOneOutFolds(FoldMaker):
    """One hazard at a time, or one square of ``square_m`` of land without hazards.

    With ``buffer_m`` no cell nearer than that is learned from (Le Rest et al. 2014). The
    held-out land is the held-out cells and their buffer. At most ``n_folds`` are held out,
    drawn evenly: hazards and squares in their proportion, at even steps along the land; the
    rest trains in every fold, which is said. With ``n_folds`` empty all are held out.

    Training sides are split by k-means clusters with the same buffer: single hazards would
    be too few cells to choose rounds and calibration by.
    """

    name: ClassVar[str] = "leave_one_out"

    def inner_makers(self) -> tuple[FoldMaker, ...]:
        """Return k-means clusters."""
        return (KMeansFolds(self.settings, self.district_of, self.prediction_points),)

    def assign(
        self, cells: LabelledCells, groups: Groups | None, n_folds: int | None, seed: list[int]
    ) -> Assignment:
        """Assign the cells of each drawn hazard or square to a fold of its own."""
        del groups, seed
        square_m = max(self.settings.square_m, FEWEST_CELLS_ACROSS * cells.grid.cell_size_m)
        unit, names = _units(cells, square_m)
        chosen = _drawn(unit, cells, n_folds)
        fold_of_unit = np.full(len(names), ALWAYS_TRAINS, np.int64)
        fold_of_unit[chosen] = np.arange(len(chosen))
        fold = fold_of_unit[unit]

        def land(number: int) -> LocationTest:
            return land_of(cells, fold == number, self.settings.buffer_m)

        skipped: tuple[str, ...] = ()
        if len(chosen) < len(names):
            skipped = (
                f"{len(chosen)} of {len(names)} hazards and squares are held out, one at a time "
                f"and drawn evenly; the {int((fold == ALWAYS_TRAINS).sum())} cells of the others "
                "train in every fold and are never held out",
            )
        return Assignment(fold, tuple(names[number] for number in chosen), land, skipped)


def _units(cells: LabelledCells, square_m: float) -> tuple[NDArray[np.int64], list[str]]:
    """Return the unit of each cell, and what the units are called: hazards first."""
    unit = np.empty(len(cells), np.int64)
    on_hazard = cells.hazard_id >= 0
    hazards, unit[on_hazard] = np.unique(cells.hazard_id[on_hazard], return_inverse=True)
    codes = block_codes(cells.easting[~on_hazard], cells.northing[~on_hazard], square_m)
    squares, position = np.unique(codes, return_inverse=True)
    unit[~on_hazard] = len(hazards) + position
    names = [f"hazard {hazard}" for hazard in hazards]
    return unit, names + [block_name(code, square_m) for code in squares]


def _drawn(unit: NDArray[np.int64], cells: LabelledCells, n_folds: int | None) -> NDArray[np.int64]:
    """Return the units that are held out, ascending."""
    n_cells = np.bincount(unit)
    n_units = len(n_cells)
    if n_units < 2:
        raise FoldError(
            "the labelled cells are one hazard or square: nothing is left to learn from",
            where="validation.folds",
            remedy="Use a smaller square_m.",
        )
    if n_folds is None or n_folds >= n_units:
        return np.arange(n_units)
    places = places_of(cells)
    middle = np.stack([np.bincount(unit, places[:, k]) / n_cells for k in (0, 1)], axis=1)
    contaminated = np.bincount(unit[cells.contaminated], minlength=n_units) > 0
    n_with = int(contaminated.sum())
    share = round(n_folds * n_with / n_units)
    lowest = max(1 if n_with else 0, n_folds - (n_units - n_with))
    highest = min(n_with, n_folds - (1 if n_with < n_units else 0))
    take_with = int(np.clip(share, lowest, highest))
    parts = []
    for members, take in (
        (np.flatnonzero(contaminated), take_with),
        (np.flatnonzero(~contaminated), n_folds - take_with),
    ):
        if take:
            steps = ((np.arange(take) + 0.5) * len(members) / take).astype(np.int64)
            parts.append(members[along_the_land(middle[members])][steps])
    return np.sort(np.concatenate(parts))
