"""Folds of square blocks anchored to the CRS origin."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hazardrank.labels.cells import LabelledCells
from hazardrank.validation.folds.maker import (
    ALWAYS_TRAINS,
    Assignment,
    FoldMaker,
    Groups,
    assign_units,
)
from hazardrank.validation.training_set import LocationTest


class BlockFolds(FoldMaker):
    """Squares of ``size_m``, dealt to folds so that contaminated cells balance.

    Squares start at multiples of their size from the CRS origin, whatever the extent. A
    point on a line between two squares belongs to the one east and south of it, as with
    cells of the survey grid: to exactly one.
    """

    name: ClassVar[str] = "blocks"

    def assign(
        self, cells: LabelledCells, groups: Groups | None, n_folds: int | None, seed: list[int]
    ) -> Assignment:
        """Assign cells to folds by the block their centre lies in."""
        del groups
        size_m = self.settings.size_m
        codes, unit = np.unique(
            block_codes(cells.easting, cells.northing, size_m), return_inverse=True
        )
        fold_of_block, _ = assign_units(unit, cells.contaminated, n_folds, seed, "block")
        skipped = []
        if n_folds is None:
            names = tuple(
                block_name(code, size_m)
                for code, fold in zip(codes, fold_of_block, strict=True)
                if fold != ALWAYS_TRAINS
            )
            n_always = int((fold_of_block == ALWAYS_TRAINS).sum())
            if n_always:
                skipped.append(
                    f"{n_always} blocks have one outcome only: their cells train in every fold "
                    "and are never held out"
                )
        else:
            names = tuple(f"fold {number + 1}" for number in range(n_folds))

        def land(number: int) -> LocationTest:
            return InBlocks(codes[fold_of_block == number], size_m)

        return Assignment(fold_of_block[unit], names, land, tuple(skipped))


class InBlocks:
    """Tells which points lie in some blocks."""

    def __init__(self, codes: NDArray[np.int64], size_m: float) -> None:
        self.codes = codes
        self.size_m = size_m

    def __call__(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return which points lie there."""
        return np.isin(block_codes(easting, northing, self.size_m), self.codes)


def block_codes(
    easting: NDArray[np.float64], northing: NDArray[np.float64], size_m: float
) -> NDArray[np.int64]:
    """Return one whole number for the block each point lies in."""
    col = np.floor(np.asarray(easting) / size_m).astype(np.int64)
    row = np.ceil(np.asarray(northing) / size_m).astype(np.int64)
    return (row << np.int64(32)) + col


def block_name(code: int, size_m: float) -> str:
    """Name a block by its lower-left corner."""
    row = (int(code) + 2**31) >> 32
    col = int(code) - (row << 32)
    return f"block N{(row - 1) * size_m:.0f} E{col * size_m:.0f}"
