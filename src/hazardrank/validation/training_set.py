"""What learning and evaluation work on: labelled cells with their features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.features.base import FeatureSpec
from hazardrank.labels.cells import LabelledCells

Matrix = NDArray[np.float32]
LocationTest = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]
"""Easting and northing of points → which of them lie in land that is held out."""

HistoryBuilder = Callable[[NDArray[np.int64], LocationTest | None], Matrix]
"""(held-out hazard ids, held-out land) → history features of all cells.

Rebuilds the history features, shape (n_cells, n_history), from the records that remain
when the named hazards, and every record inside the held-out land, are unknown. With no
ids and ``None`` all records are known; with :class:`DatedLand` those of its day and later,
and those without a date, are unknown too. Each cell's own hazards are always left out.
"""


@dataclass(frozen=True)
class DatedLand:
    """Land and time that are held out together: a :data:`LocationTest` with a day.

    Parameters
    ----------
    land : callable
        Which points lie in land whose records are unknown, whatever their date.
    known_before : datetime64[D]
        Only records of earlier days are known anywhere.
    """

    land: LocationTest
    known_before: np.datetime64

    def __call__(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return which points lie in the held-out land."""
        return self.land(easting, northing)


def known_before(land: LocationTest | None) -> np.datetime64 | None:
    """Return the day from which records are unknown; ``None`` where time is not held out."""
    return land.known_before if isinstance(land, DatedLand) else None


@dataclass(frozen=True)
class TrainingSet:
    """Labelled cells and everything needed to give them features, fold by fold.

    Parameters
    ----------
    cells : LabelledCells
        The cells.
    specs : tuple of FeatureSpec
        Layer features first, history features last; the column order of every matrix.
    layer_features : ndarray of float32, shape (n_cells, n_layer_features)
        Features that do not depend on records.
    history : HistoryBuilder or None
        Builds the history features; ``None`` if there are none.
    groups : ndarray of object, shape (n_cells,), or None
        Name of the district or group of each cell (``""`` outside all), where there is one.
    survey_weight : ndarray of float32, shape (n_cells,), or None
        Multiplies the evidence weight in learning: how much land each cell stands for.
    """

    cells: LabelledCells
    specs: tuple[FeatureSpec, ...]
    layer_features: Matrix
    history: HistoryBuilder | None = None
    groups: NDArray[np.object_] | None = None
    survey_weight: NDArray[np.float32] | None = None

    @property
    def names(self) -> list[str]:
        """Feature names in column order."""
        return [spec.name for spec in self.specs]

    @property
    def weight(self) -> NDArray[np.float32]:
        """Weight of each cell in learning: evidence, and the land it stands for."""
        evidence = self.cells.weight
        return evidence if self.survey_weight is None else evidence * self.survey_weight

    def matrix(
        self,
        held_out_hazards: NDArray[np.int64] | None = None,
        held_out_land: LocationTest | None = None,
    ) -> Matrix:
        """Return the features of all cells, shape (n_cells, n_features).

        Parameters
        ----------
        held_out_hazards : ndarray of int64, optional
            Hazards that history features must not know.
        held_out_land : callable, optional
            Land whose records history features must not know.
        """
        if self.history is None:
            return self.layer_features
        unknown = np.empty(0, np.int64) if held_out_hazards is None else held_out_hazards
        return np.hstack([self.layer_features, self.history(unknown, held_out_land)])
