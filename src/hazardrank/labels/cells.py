"""Labelled cells: what is known of each cell, how well, since when and from which record."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import LabelError
from hazardrank.grid import SurveyGrid


@dataclass(frozen=True)
class LabelledCells:
    """Cells of one survey grid that learning and evaluation may use.

    All arrays have shape (n_cells,).

    Parameters
    ----------
    grid : SurveyGrid
        The grid that rows and columns refer to.
    row, col : ndarray of int32
        Position in `grid`.
    outcome : ndarray of int8
        1 contaminated, 0 released, -1 unlabelled background. Background is never a
        negative: reports that include it say "unlabelled".
    weight : ndarray of float32
        Evidence weight, 0–1.
    hazard_id : ndarray of int64
        The hazard that labels the cell, -1 for none.
    decided : ndarray of datetime64[D]
        Date of the deciding record, NaT if unknown.
    rule : ndarray of int16
        Index of the deciding rule in the label settings, -1 for background.
    historical : ndarray of bool
        Contaminated in the past: ordnance was found and the land since cleared.
    """

    grid: SurveyGrid
    row: NDArray[np.int32]
    col: NDArray[np.int32]
    outcome: NDArray[np.int8]
    weight: NDArray[np.float32]
    hazard_id: NDArray[np.int64]
    decided: NDArray[np.datetime64]
    rule: NDArray[np.int16]
    historical: NDArray[np.bool_]

    def __post_init__(self) -> None:
        lengths = {f.name: len(getattr(self, f.name)) for f in fields(self) if f.name != "grid"}
        if len(set(lengths.values())) != 1:
            raise LabelError(f"labelled cells have arrays of different lengths: {lengths}")

    def __len__(self) -> int:
        return len(self.row)

    @property
    def easting(self) -> NDArray[np.float64]:
        """Eastings of the cell centres in metres."""
        return self.grid.centres(self.row, self.col)[0]

    @property
    def northing(self) -> NDArray[np.float64]:
        """Northings of the cell centres in metres."""
        return self.grid.centres(self.row, self.col)[1]

    @property
    def contaminated(self) -> NDArray[np.bool_]:
        """Which cells are known to be contaminated."""
        return np.equal(self.outcome, 1)

    @property
    def has_background(self) -> bool:
        """Whether unlabelled background stands in for released land."""
        return bool((self.outcome == -1).any())

    def cell_ids(self) -> NDArray[np.object_]:
        """Return the INSPIRE codes of the cells."""
        return self.grid.cell_ids(self.row, self.col)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> LabelledCells:
        """Return the cells at `index`."""
        arrays = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "grid"}
        return LabelledCells(grid=self.grid, **arrays)
