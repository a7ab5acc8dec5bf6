"""How unlike the training cells new land is, feature by feature.

The population stability index of a feature compares the shares of cells that fall into bins:
``Σ (here − there) · ln(here / there)`` (Siddiqi 2006, *Credit Risk Scorecards*, ch. 8; it is the
symmetrised Kullback–Leibler divergence of Jeffreys 1946). The bins are tenths of the training
cells, classes where the feature is one, and one for missing. By rule of thumb, and no more than
that, an index below 0.1 is little, one above 0.25 is much.

Training cells are land that was surveyed. Survey goes where ordnance is expected, so that new
land may differ from them without being unlike the district they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.errors import BundleError
from hazardrank.features.base import FeatureSpec
from hazardrank.validation.training_set import Matrix

Counts = NDArray[np.int64]
"""Cells by feature and bin, shape (n_features, most bins + 1); the last bin is missing."""

N_BINS = 10
FLOOR = 1e-4
"""Least share of a bin in the index, so that an empty bin does not make it infinite."""
LITTLE, MUCH = 0.1, 0.25


@dataclass(frozen=True)
class ReferenceDistribution:
    """How features are distributed over the training cells.

    Parameters
    ----------
    names : tuple of str
        Features in the model's order.
    edges : tuple of tuple of float
        Upper ends of all bins but the last (a value on an edge lies below it); of a class
        feature, its codes, and the last bin is every other code.
    is_class : tuple of bool
        Which features are classes.
    counts : tuple of tuple of int
        Training cells in each bin, missing last.
    """

    names: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...]
    is_class: tuple[bool, ...]
    own_counts: tuple[tuple[int, ...], ...]

    @classmethod
    def fit(
        cls, matrix: Matrix, specs: Sequence[FeatureSpec], categorical: Sequence[str] = ()
    ) -> ReferenceDistribution:
        """Describe the training cells.

        Parameters
        ----------
        matrix : ndarray of float32, shape (n_cells, n_features)
            Features of the training cells.
        specs : sequence of FeatureSpec
            The features, in column order.
        categorical : sequence of str, optional
            Features whose values are class codes.
        """
        names = tuple(spec.name for spec in specs)
        is_class = tuple(name in categorical for name in names)
        edges = tuple(
            _edges(matrix[:, column], of_classes) for column, of_classes in enumerate(is_class)
        )
        empty = cls(names, edges, is_class, ())
        counted = empty.counts(np.ascontiguousarray(matrix.T))
        return cls(names, edges, is_class, tuple(map(tuple, counted.tolist())))

    @cached_property
    def _packed(self) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
        most = max((len(one) for one in self.edges), default=0)
        edges = np.full((len(self.edges), most), np.inf, np.float32)
        for number, one in enumerate(self.edges):
            edges[number, : len(one)] = one
        n_edges = np.array([len(one) for one in self.edges], np.int64)
        return edges, n_edges, np.array(self.is_class, np.bool_)

    def counts(self, bands: NDArray[np.float32]) -> Counts:
        """Count cells by feature and bin; counts of parts add up.

        Parameters
        ----------
        bands : ndarray of float32, shape (n_features, n_cells)
            Features of some cells.
        """
        edges, n_edges, is_class = self._packed
        counts = np.zeros((len(self.names), edges.shape[1] + 2), np.int64)
        _count(np.ascontiguousarray(bands), edges, n_edges, is_class, counts)
        return counts

    def stability(self, counts: Counts) -> dict[str, float]:
        """Return each feature's population stability index, in the model's order.

        Parameters
        ----------
        counts : ndarray of int64
            Cells of the new land, from :meth:`counts`. NaN where there are none.
        """
        there = _shares(np.array(self.own_counts, np.int64))
        here = _shares(np.asarray(counts, np.int64))
        if not counts.sum():
            return dict.fromkeys(self.names, float("nan"))
        index = ((here - there) * np.log(here / there)).sum(axis=1)
        return dict(zip(self.names, index.tolist(), strict=True))

    def missing(self, counts: Counts) -> dict[str, tuple[float, float]]:
        """Return the shares of cells that lack each feature, here and among training cells."""
        shares = []
        for counted in (np.asarray(counts), np.array(self.own_counts)):
            shares.append(counted[:, -1] / np.maximum(counted.sum(axis=1), 1))
        pairs = zip(shares[0].tolist(), shares[1].tolist(), strict=True)
        return dict(zip(self.names, pairs, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` rebuilds this."""
        return {
            name: {"classes" if of_classes else "edges": list(edges), "counts": list(counts)}
            for name, edges, of_classes, counts in zip(
                self.names, self.edges, self.is_class, self.own_counts, strict=True
            )
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ReferenceDistribution:
        """Rebuild what :meth:`to_json` gave.

        Raises
        ------
        BundleError
            If a value is missing or impossible.
        """
        try:
            is_class = tuple("classes" in one for one in values.values())
            edges = tuple(
                tuple(float(edge) for edge in one["classes" if of_classes else "edges"])
                for one, of_classes in zip(values.values(), is_class, strict=True)
            )
            counts = tuple(tuple(int(n) for n in one["counts"]) for one in values.values())
            most = max((len(one) for one in edges), default=0)
            if any(len(one) != most + 2 or min(one) < 0 for one in counts):
                raise ValueError("the counts do not fit the bins")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(
                f"the distribution of the training cells cannot be read ({error!r})"
            ) from None
        return cls(tuple(values), edges, is_class, counts)


def reading(index: float) -> str:
    """Return how an index is usually read."""
    if np.isnan(index):
        return "not measured"
    return "little" if index < LITTLE else "some" if index <= MUCH else "much"


def _edges(values: NDArray[np.float32], of_classes: bool) -> tuple[float, ...]:
    known = values[~np.isnan(values)]
    if of_classes:
        return tuple(np.unique(known).tolist())
    if not len(known):
        return ()
    shares = np.linspace(0, 1, N_BINS + 1)[1:-1]
    edges = np.unique(np.quantile(known, shares, method="lower"))
    return tuple(float(edge) for edge in edges if np.isfinite(edge))


def _shares(counts: Counts) -> NDArray[np.float64]:
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares: NDArray[np.float64] = np.maximum(counts / total, FLOOR)
    return shares


@njit(cache=True, nogil=True, error_model="numpy")
def _count(
    bands: NDArray[np.float32],
    edges: NDArray[np.float32],
    n_edges: NDArray[np.int64],
    is_class: NDArray[np.bool_],
    counts: Counts,
) -> None:
    """Count one feature after the other: a pass over its cells for each edge, which vectorises.

    Cells above an edge less those above the next are those of the bin between the two.
    """
    for feature in range(len(bands)):
        if is_class[feature]:
            _count_classes(bands[feature], edges[feature, : n_edges[feature]], counts[feature])
            continue
        band, of_feature = bands[feature], counts[feature]
        left = 0
        for cell in range(len(band)):
            left += band[cell] == band[cell]
        of_feature[-1] += len(band) - left
        for number in range(n_edges[feature]):
            edge, above = edges[feature, number], 0
            for cell in range(len(band)):
                above += band[cell] > edge
            of_feature[number] += left - above
            left = above
        of_feature[n_edges[feature]] += left


@njit(cache=True, nogil=True, error_model="numpy")
def _count_classes(
    band: NDArray[np.float32], codes: NDArray[np.float32], of_feature: NDArray[np.int64]
) -> None:
    for value in band:
        place = 0
        if np.isnan(value):
            place = len(of_feature) - 1
        else:
            while place < len(codes) and value != codes[place]:
                place += 1
        of_feature[place] += 1
