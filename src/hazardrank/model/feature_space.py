"""Cells as points of a space in which distance means unlikeness to the model.

Features are standardised and multiplied by their importance (Meyer & Pebesma 2021).

Missing values and classes. Neither paper treats them. Ignoring what is missing (Gower 1971;
Dixon 1979) calls a cell near of which little is known, and breaks the triangle inequality on
which the bound below rests. Here "missing" is a value of its own, as it is to the trees: in
each feature, missing and known lie as far apart as two cells drawn at random lie on average
(mean square 2 in standardised units; missing takes the mean's place and one unit along an
axis of its own), and two missing values lie at 0. Different classes lie as far apart (square
2) as well, and so does a class that no training cell has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from hazardrank.errors import ModelError
from hazardrank.model.nearest import Singles
from hazardrank.validation.training_set import Matrix

Floats = NDArray[np.float64]

MAX_PAIRED_CELLS = 4_000
"""Cells between which all distances are averaged; more are sampled."""
APART = 2.0
"""Square of the distance between two classes, or between missing and known."""


@dataclass(frozen=True)
class Axis:
    """How a feature enters the distance.

    Parameters
    ----------
    feature : str
        Name of the feature.
    weight : float
        Its importance, relative to the largest.
    mean, sd : float
        Over the training cells that know it; unused for classes.
    has_missing : bool
        Whether some training cell does not know it.
    classes : tuple of float, optional
        Codes among the training cells, where the feature is a class; else empty.
    """

    feature: str
    weight: float
    mean: float
    sd: float
    has_missing: bool
    classes: tuple[float, ...] = ()

    @property
    def factor(self) -> float:
        """What a unit of the feature is in the space."""
        return self.weight / self.sd

    def coordinates(self, values: Matrix) -> tuple[list[Floats], Floats]:
        """Return coordinates, each of shape (n_cells,), and what to add to squared distances.

        Parameters
        ----------
        values : ndarray of float32, shape (n_cells,)
            The feature.
        """
        known = np.isfinite(values)
        missing = (~known).astype(np.float64)
        if self.classes:
            where = [known & (values == np.float32(code)) for code in self.classes]
            placed = [self.weight * mark.astype(np.float64) for mark in where]
            lost = known & ~np.logical_or.reduce(where)
        else:
            from_mean = np.where(known, values, 0).astype(np.float64) - self.mean
            placed = [np.where(known, from_mean * self.factor, 0.0)]
            lost = np.zeros(len(values), bool)
        if self.has_missing:
            placed.append(self.weight * missing)
        else:
            lost = lost | ~known
        return placed, self.weight**2 * (APART / 2) * lost


def make_axes(
    matrix: Matrix,
    names: Sequence[str],
    importance: Mapping[str, float],
    categorical: Sequence[str] = (),
) -> tuple[Axis, ...]:
    """Return the axes of the weighted space, the heaviest first.

    Raises
    ------
    ModelError
        If no feature tells training cells apart.
    """
    axes = []
    largest = max(importance.values(), default=0.0)
    for column, name in enumerate(names):
        values = matrix[:, column]
        known = values[np.isfinite(values)].astype(np.float64)
        weight = importance.get(name, 0.0) / largest if largest > 0 else 1.0
        has_missing = len(known) < len(values)
        classes = tuple(np.unique(known).tolist()) if name in categorical else ()
        sd = float(known.std(ddof=1)) if len(known) > 1 else 0.0
        tells_apart = len(classes) > 1 or sd > 0 or (has_missing and len(known))
        if weight > 0 and tells_apart:
            mean = float(known.mean())
            axes.append(
                Axis(name, float(weight), mean, sd if sd > 0 else 1.0, has_missing, classes)
            )
    if not axes:
        raise ModelError("no feature tells training cells apart, so there is no domain to measure")
    return tuple(sorted(axes, key=lambda axis: -axis.weight))


def embed(axes: Sequence[Axis], values: Matrix) -> tuple[Singles, Singles]:
    """Return cells as points of the weighted space.

    Parameters
    ----------
    axes : sequence of Axis
        The features.
    values : ndarray of float32, shape (n_cells, n_axes)
        Feature values in the order of `axes`.

    Returns
    -------
    ndarray of float32, shape (n_dimensions, n_cells)
        Coordinates.
    ndarray of float32, shape (n_cells,)
        What to add to each squared distance to a training cell.
    """
    placed: list[Singles] = []
    extra = np.zeros(len(values))
    for number, axis in enumerate(axes):
        coordinates, lost = axis.coordinates(values[:, number])
        with np.errstate(over="ignore"):
            placed += [line.astype(np.float32) for line in coordinates]
        extra += lost
    return np.stack(placed), extra.astype(np.float32)


def mean_distance(cells: Singles, seed: int) -> float:
    """Return the mean distance between cells, all pairs or those of a sample; 1 if it is 0.

    Parameters
    ----------
    cells : ndarray of float32, shape (n_dimensions, n_cells)
        Coordinates.
    seed : int
        Seed of the sample.
    """
    points = cells[:, sample(cells.shape[1], MAX_PAIRED_CELLS, seed, 1)].T.astype(np.float64)
    total = sum(
        float(cdist(points[first : first + 500], points).sum())
        for first in range(0, len(points), 500)
    )
    n_pairs = len(points) * (len(points) - 1)
    return total / n_pairs if total > 0 else 1.0


def sample(n: int, n_wanted: int, *seed: int) -> NDArray[np.int64]:
    """Return rising indices below `n`: all of them, or `n_wanted` drawn at random."""
    if n <= n_wanted:
        return np.arange(n)
    return np.sort(np.random.default_rng([*seed, 404]).choice(n, n_wanted, replace=False))
