"""Where the model applies: how unlike the training cells a cell is, and what to expect there.

The dissimilarity index and the area of applicability are those of Meyer & Pebesma (2021,
*Predicting into unknown space? Estimating the area of applicability of spatial prediction
models*, Methods in Ecology and Evolution 12), written from the paper:

* features are standardised and multiplied by their importance;
* the dissimilarity of a cell is its distance to the nearest training cell, divided by the
  mean distance between training cells;
* the threshold comes from the training cells, each measured to the nearest one that its
  fold learned from: min(Q75 + 1.5 IQR, max). Cells above it are outside the domain.

Local point density (Schumacher et al. 2024, *Assessing the area of applicability of spatial
prediction models through a local data point density approach*, Geoscientific Model
Development) is the number of training cells no farther than the threshold.

How missing values and classes enter the distance: :mod:`hazardrank.model.feature_space`.

Cells in memory. At most ``max_reference_cells`` training cells are kept, chosen so that none
of the others is far from all of them (Gonzalez 1985). By the triangle inequality the
dissimilarity measured to them is never below that to all training cells, and above it by no
more than the largest distance of a training cell to its nearest kept one:
``sampling_bound``. With no more training cells than that it is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from hazardrank.errors import BundleError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.feature_space import Axis, embed, make_axes, mean_distance, sample
from hazardrank.model.membership import Membership, largest_inside
from hazardrank.model.nearest import Neighbours, Singles, nearest, spread_out
from hazardrank.settings import ApplicabilitySettings
from hazardrank.validation.training_set import Matrix

Floats = NDArray[np.float64]
Split = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Training cells and held-out cells of a fold, as rows."""

MAX_MEASURED_CELLS = 10_000
"""Held-out cells measured for the threshold and the expected error; more are sampled."""
MAX_CHOSEN_FROM = 50_000
"""Training cells the reference cells are chosen from; more are sampled. The bound is always
measured to all of them."""
NO_LIMIT = 1e9
"""Threshold where no cell was held out: nothing is known of the domain's edge."""
MAX_ERROR_BINS = 20
CELLS_PER_ERROR_BIN = 30
_COUNT_COLUMN = "stands_for"


@dataclass(frozen=True)
class Domain:
    """How far some cells are from what the model knows; arrays of shape (n_cells,).

    Parameters
    ----------
    dissimilarity : ndarray of float32
        Distance to the nearest training cell over the mean distance between training cells;
        0 for a training cell, 1 as far as two of them are on average.
    density : ndarray of float32
        Training cells no farther than the threshold.
    outside : ndarray of bool
        Which cells are outside the domain.
    """

    dissimilarity: Singles
    density: Singles
    outside: NDArray[np.bool_]


@dataclass(frozen=True)
class Applicability:
    """The model's domain, and all that is needed to say whether a cell lies in it.

    Parameters
    ----------
    axes : tuple of Axis
        Features by falling weight; features without importance are not among them.
    reference : ndarray of float32, shape (n_reference, n_axes)
        Features of the kept training cells in their own units, NaN where missing.
    stands_for : ndarray of float32, shape (n_reference,)
        Training cells for which each is the nearest kept one, itself included.
    mean_distance : float
        Between training cells, in the weighted space.
    threshold : float
        Largest dissimilarity inside the domain.
    sampling_bound : float
        No dissimilarity is too large by more than this; none is too small. Up to rounding
        to float32.
    training_dissimilarity : mapping of str to float
        Median, quartiles and largest dissimilarity of the held-out training cells.
    error_dissimilarity, expected_error : tuple of float
        Knots of the expected squared error of the likelihood (Brier score), which never
        falls with dissimilarity; empty where nothing was held out.
    n_cells : int
        Training cells.
    """

    axes: tuple[Axis, ...]
    reference: Matrix
    stands_for: Singles
    mean_distance: float
    threshold: float
    sampling_bound: float
    training_dissimilarity: Mapping[str, float]
    error_dissimilarity: tuple[float, ...]
    expected_error: tuple[float, ...]
    n_cells: int

    def __post_init__(self) -> None:
        if self.reference.shape != (len(self.stands_for), len(self.axes)):
            raise BundleError(
                f"the reference cells have shape {self.reference.shape} for {len(self.axes)} "
                f"features and {len(self.stands_for)} counts"
            )

    @cached_property
    def _points(self) -> Singles:
        return embed(self.axes, self.reference)[0].T.copy()

    def judge(self, matrix: Matrix, names: Sequence[str], threads: int = 1) -> Domain:
        """Say how far cells are from the training cells.

        Parameters
        ----------
        matrix : ndarray of float32, shape (n_cells, n_features)
            Features of the cells.
        names : sequence of str
            Names of the columns of `matrix`.
        threads : int, optional
            Threads to use; no result depends on it.
        """
        columns = [list(names).index(axis.feature) for axis in self.axes]
        cells, extra = embed(self.axes, matrix[:, columns])
        within = float(np.float32(self.threshold * self.mean_distance))
        found = nearest(cells, extra, self._points, self.stands_for, within, threads)
        dissimilarity = self._index(found)
        return Domain(dissimilarity, found.count, dissimilarity > np.float32(self.threshold))

    @cached_property
    def _membership(self) -> Membership:
        limit = largest_inside(self.threshold, self.mean_distance)
        return Membership.of(self.axes, self._points, limit)

    def outside(self, bands: Singles, names: Sequence[str], threads: int = 1) -> NDArray[np.bool_]:
        """Return which cells lie outside the domain: ``judge(…).outside``, to the bit and fast.

        Parameters
        ----------
        bands : ndarray of float32, shape (n_features, n_cells)
            Features of the cells, band by band.
        names : sequence of str
            Names of the bands.
        threads : int, optional
            Threads to use; no result depends on it.

        Returns
        -------
        ndarray of bool, shape (n_cells,)
        """
        columns = {name: band for band, name in enumerate(names)}
        return self._membership.outside(bands, columns, threads)

    def _index(self, found: Neighbours) -> Singles:
        index: Singles = (found.distance / self.mean_distance).astype(np.float32)
        return index

    def error_at(self, dissimilarity: Singles | Floats) -> Floats:
        """Return the expected squared error of the likelihood at each dissimilarity.

        Constant below the first and above the last knot: nothing is known there. NaN where
        no cell was held out, and where `dissimilarity` is.
        """
        if not self.expected_error:
            return np.full(np.shape(dissimilarity), np.nan)
        at: Floats = np.interp(dissimilarity, self.error_dissimilarity, self.expected_error)
        return at

    # ------------------------------------------------------------------- as text

    def to_json(self) -> dict[str, Any]:
        """Return all but the reference cells as JSON values."""
        return {
            "n_cells": self.n_cells,
            "mean_distance": self.mean_distance,
            "threshold": self.threshold,
            "sampling_bound": self.sampling_bound,
            "training_dissimilarity": dict(self.training_dissimilarity),
            "error_dissimilarity": list(self.error_dissimilarity),
            "expected_error": list(self.expected_error),
            "axes": [{**vars(axis), "classes": list(axis.classes)} for axis in self.axes],
        }

    def reference_csv(self) -> str:
        """Return the reference cells as CSV: their features in their own units."""
        table = pd.DataFrame(self.reference, columns=[axis.feature for axis in self.axes])
        table.insert(0, _COUNT_COLUMN, self.stands_for.astype(np.int64))
        # Nine digits bring every float32 back to the bit.
        text: str = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
        return text

    @classmethod
    def from_text(cls, values: Mapping[str, Any], csv: str) -> Applicability:
        """Return what :meth:`to_json` and :meth:`reference_csv` gave, to the bit.

        Raises
        ------
        BundleError
            If the two do not belong together.
        """
        axes = tuple(Axis(**{**axis, "classes": tuple(axis["classes"])}) for axis in values["axes"])
        table = pd.read_csv(StringIO(csv), dtype=np.float64)
        if list(table.columns) != [_COUNT_COLUMN, *(axis.feature for axis in axes)]:
            raise BundleError("the reference cells have other features than the domain describes")
        numbers = table.to_numpy(np.float64)
        return cls(
            axes,
            np.ascontiguousarray(numbers[:, 1:], np.float32),
            numbers[:, 0].astype(np.float32),
            float(values["mean_distance"]),
            float(values["threshold"]),
            float(values["sampling_bound"]),
            {name: float(value) for name, value in values["training_dissimilarity"].items()},
            tuple(values["error_dissimilarity"]),
            tuple(values["expected_error"]),
            int(values["n_cells"]),
        )


@dataclass(frozen=True)
class HeldOutDomain:
    """Dissimilarity of held-out cells to the cells their fold learned from.

    Parameters
    ----------
    row : ndarray of int64, shape (n_measured,)
        Rows of the cells.
    fold : ndarray of int64, shape (n_measured,)
        The fold each was held out in.
    dissimilarity : ndarray of float32, shape (n_measured,)
    outside : ndarray of bool, shape (n_measured,)
    """

    row: NDArray[np.int64]
    fold: NDArray[np.int64]
    dissimilarity: Singles
    outside: NDArray[np.bool_]

    def metrics(self, domain: Applicability, fold_names: Sequence[str]) -> dict[str, Any]:
        """Return what ``metrics.json`` says of the domain: JSON values."""
        shares = {
            fold_names[k]: float(self.outside[self.fold == k].mean())
            for k in sorted(set(self.fold.tolist()))
        }
        return {
            "outside_domain_share": float(self.outside.mean()) if len(self.outside) else None,
            "outside_domain_share_by_fold": shares,
            "threshold": domain.threshold,
            "sampling_bound": domain.sampling_bound,
            "n_measured": len(self.row),
            "n_reference_cells": len(domain.stands_for),
            "expected_brier": [
                {"dissimilarity": at, "brier": error}
                for at, error in zip(domain.error_dissimilarity, domain.expected_error, strict=True)
            ],
        }


def fit_applicability(
    matrix: Matrix,
    specs: Sequence[FeatureSpec],
    importance: Mapping[str, float],
    splits: Iterable[Split],
    squared_error: Floats,
    settings: ApplicabilitySettings,
    seed: int,
    categorical: Sequence[str] = (),
    threads: int = 1,
) -> tuple[Applicability, HeldOutDomain]:
    """Learn the domain of a model from its training cells.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_cells, n_features)
        Features of the training cells as the final model sees them.
    specs : sequence of FeatureSpec
        The features, in column order.
    importance : mapping of str to float
        Feature name → importance, 0 or more. All count alike if there is none above 0.
    splits : iterable of (train, test)
        Rows of each fold.
    squared_error : ndarray of float64, shape (n_cells,)
        Of the held-out likelihood; NaN for cells never held out.
    settings : ApplicabilitySettings
        How many cells are kept.
    seed : int
        Seed of every sample.
    categorical : sequence of str, optional
        Features whose values are class codes.
    threads : int, optional
        Threads to use; no result depends on it.

    Returns
    -------
    Applicability
        The domain.
    HeldOutDomain
        Where the held-out cells lie.

    Raises
    ------
    ModelError
        If no feature tells training cells apart.
    """
    names = [spec.name for spec in specs]
    axes = make_axes(matrix, names, importance, categorical)
    columns = [names.index(axis.feature) for axis in axes]
    cells, extra = embed(axes, matrix[:, columns])
    assert not extra.any(), "training cells know their own classes and gaps"
    mean = mean_distance(cells, seed)
    row, fold, distance = _held_out_distance(cells, splits, seed, threads)
    held_out = (distance / mean).astype(np.float32)
    threshold = threshold_of(held_out)
    kept, stands_for, bound = _reference(cells, settings.max_reference_cells, seed, threads)
    knots, errors = expected_error(held_out, squared_error[row])
    domain = Applicability(
        axes,
        np.ascontiguousarray(matrix[kept][:, columns]),
        stands_for,
        mean,
        threshold,
        bound / mean,
        _described(held_out),
        knots,
        errors,
        matrix.shape[0],
    )
    outside = held_out > np.float32(threshold)
    return domain, HeldOutDomain(row, fold, held_out, outside)


def threshold_of(dissimilarity: Singles) -> float:
    """Return min(Q75 + 1.5 IQR, max); :data:`NO_LIMIT` if nothing was measured.

    Meyer & Pebesma 2021, section 2.4; quantiles are interpolated linearly.
    """
    if not len(dissimilarity):
        return NO_LIMIT
    low, high = np.quantile(dissimilarity.astype(np.float64), [0.25, 0.75])
    return float(min(high + 1.5 * (high - low), dissimilarity.max()))


def expected_error(
    dissimilarity: Singles, squared_error: Floats
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return how the squared error grows with dissimilarity: a line that never falls.

    Cells are put into bins of about equal size by dissimilarity; the bins' mean errors are
    made monotone by isotonic regression (after Meyer & Pebesma 2021, section 2.6, who fit a
    monotone spline to windows).

    Returns
    -------
    tuple of float
        Mean dissimilarity of each bin, rising.
    tuple of float
        Expected squared error there.
    """
    known = np.isfinite(squared_error)
    at, error = dissimilarity[known].astype(np.float64), squared_error[known]
    if not len(at):
        return (), ()
    n_bins = int(np.clip(len(at) // CELLS_PER_ERROR_BIN, 1, MAX_ERROR_BINS))
    edges = np.unique(np.quantile(at, np.linspace(0, 1, n_bins + 1)))
    bins = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, max(len(edges) - 2, 0))
    number, count = np.unique(bins, return_counts=True)
    middle = np.array([at[bins == b].mean() for b in number])
    mean = np.array([error[bins == b].mean() for b in number])
    rising = IsotonicRegression().fit_transform(middle, mean, sample_weight=count)
    return tuple(middle.tolist()), tuple(np.asarray(rising, np.float64).tolist())


def _held_out_distance(
    cells: Singles, splits: Iterable[Split], seed: int, threads: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Singles]:
    """Return row, fold and distance to the nearest cell learned from, of held-out cells."""
    splits = [(train, test) for train, test in splits]
    n_held_out = sum(len(test) for _, test in splits)
    share = min(1.0, MAX_MEASURED_CELLS / max(n_held_out, 1))
    rows, folds, distances = [], [], []
    for k, (train, test) in enumerate(splits):
        some = test[sample(len(test), int(np.ceil(share * len(test))), seed, 2, k)]
        if not len(train) or not len(some):
            continue
        no_extra = np.zeros(len(some), np.float32)
        found = nearest(cells[:, some], no_extra, cells[:, train].T.copy(), threads=threads)
        rows.append(some)
        folds.append(np.full(len(some), k, np.int64))
        distances.append(found.distance)
    if not rows:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    return np.concatenate(rows), np.concatenate(folds), np.concatenate(distances)


def _reference(
    cells: Singles, n_kept: int, seed: int, threads: int
) -> tuple[NDArray[np.int64], Singles, float]:
    """Return kept cells, how many cells each stands for, and the farthest any is from them."""
    n_cells = cells.shape[1]
    if n_cells <= n_kept:
        return np.arange(n_cells), np.ones(n_cells, np.float32), 0.0
    pool = sample(n_cells, MAX_CHOSEN_FROM, seed, 3)
    kept = np.sort(pool[spread_out(cells[:, pool], n_kept)])
    no_extra = np.zeros(n_cells, np.float32)
    found = nearest(cells, no_extra, cells[:, kept].T.copy(), threads=threads)
    stands_for = np.bincount(found.point, minlength=len(kept)).astype(np.float32)
    return kept, stands_for, float(found.distance.max())


def _described(dissimilarity: Singles) -> dict[str, float]:
    if not len(dissimilarity):
        return {}
    quarters = np.quantile(dissimilarity.astype(np.float64), [0.25, 0.5, 0.75, 1.0])
    return dict(zip(("q25", "median", "q75", "max"), quarters.tolist(), strict=True))
