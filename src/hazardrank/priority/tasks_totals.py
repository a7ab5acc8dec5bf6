"""What cells hold, added up by clearance task, block by block.

A value that is not finite is not known: it is left out of sums and means and counted apart,
never taken for zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Totals:
    """One value of the cells, by task; all arrays have the shape (n_tasks,).

    Parameters
    ----------
    total : ndarray of float64
        Sum over the cells where it is known; 0 where none is.
    n_known : ndarray of int64
        Cells where it is known.
    largest : ndarray of float64
        Largest value, NaN where none is known.
    """

    total: FloatArray
    n_known: NDArray[np.int64]
    largest: FloatArray

    @classmethod
    def none(cls, n_tasks: int) -> Totals:
        """Return the totals of no cells."""
        return cls(
            np.zeros(n_tasks), np.zeros(n_tasks, np.int64), np.full(n_tasks, np.nan, np.float64)
        )

    def add(self, labels: NDArray[np.int32], values: NDArray[np.generic]) -> None:
        """Add the cells of a block.

        Parameters
        ----------
        labels : ndarray of int32, shape (rows, cols)
            Task of each cell, -1 for none.
        values : ndarray of float or bool, shape (rows, cols)
            Their values.
        """
        if values.shape != labels.shape:
            raise ValueError(f"values of shape {values.shape} for labels of {labels.shape}")
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float32)
        _add(
            np.ascontiguousarray(labels).reshape(-1),
            np.ascontiguousarray(values).reshape(-1),
            self.total,
            self.n_known,
            self.largest,
        )

    @property
    def mean(self) -> FloatArray:
        """Mean over the cells where it is known, NaN where none is."""
        mean = np.full(len(self.total), np.nan)
        np.divide(self.total, self.n_known, out=mean, where=self.n_known > 0)
        return mean

    @property
    def sum_of_known(self) -> FloatArray:
        """Sum over the cells where it is known, NaN where none is."""
        return np.where(self.n_known > 0, self.total, np.nan)


@njit(cache=True, nogil=True)
def _add(
    labels: NDArray[np.int32],
    values: NDArray[np.floating],
    total: FloatArray,
    n_known: NDArray[np.int64],
    largest: FloatArray,
) -> None:
    for cell in range(len(labels)):
        task, value = labels[cell], values[cell]
        if task >= 0 and np.isfinite(value):
            total[task] += value
            n_known[task] += 1
            if not largest[task] >= value:
                largest[task] = value
