"""Folds at random: the foil that shows what ignoring geography hides."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hazardrank.errors import FoldError
from hazardrank.labels.cells import LabelledCells
from hazardrank.validation.folds.maker import Assignment, FoldMaker, Groups, nowhere


class RandomFolds(FoldMaker):
    """Cells dealt at random within each outcome, neighbours and hazards torn apart.

    Never a measure of skill: its figures are reported beside the honest ones, with the
    gap between them.
    """

    name: ClassVar[str] = "random"
    keeps_hazards_whole: ClassVar[bool] = False

    def assign(
        self, cells: LabelledCells, groups: Groups | None, n_folds: int | None, seed: list[int]
    ) -> Assignment:
        """Assign cells to folds at random."""
        del groups
        if n_folds is None:
            raise FoldError("random folds need a number of folds", where="validation.folds.n_folds")
        rng = np.random.default_rng(seed)
        fold = np.empty(len(cells), np.int64)
        for outcome in (True, False):
            members = np.flatnonzero(cells.contaminated == outcome)
            fold[rng.permutation(members)] = np.arange(len(members)) % n_folds
        names = tuple(f"random {number + 1}" for number in range(n_folds))
        return Assignment(fold, names, lambda _: nowhere)
