"""What scoring says of a cell: its likelihood, or why it has none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hazardrank.model.bundle import Bundle
from hazardrank.validation.training_set import Matrix

INSIDE_DOMAIN, OUTSIDE_DOMAIN, DOMAIN_NODATA = 0, 1, 255
"""Codes of ``outside_domain.tif``; nodata outside the area and where no feature is known."""

_LOWEST, _HIGHEST = np.float32(1e-9), np.nextafter(np.float32(1), np.float32(0))
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class ScoredCells:
    """Cells scored; arrays of shape (n_cells,).

    Parameters
    ----------
    likelihood : ndarray of float32
        Strictly between 0 and 1; NaN where no feature is known and outside the domain.
    outside_domain : ndarray of uint8
        Codes :data:`INSIDE_DOMAIN`, :data:`OUTSIDE_DOMAIN`, :data:`DOMAIN_NODATA`. All
        nodata where the bundle knows no domain.
    dissimilarity, density, expected_error : ndarray of float32
        Dissimilarity index, training cells within its threshold, and the squared error to
        expect; NaN where no feature is known, or no domain.
    spread, low, high : ndarray of float32 or None
        Standard deviation of the likelihood over the members of an ensemble, and the ends of
        its interval; NaN where there is no likelihood, ``None`` where the bundle has none.
    """

    likelihood: Singles
    outside_domain: NDArray[np.uint8]
    dissimilarity: Singles
    density: Singles
    expected_error: Singles
    spread: Singles | None = None
    low: Singles | None = None
    high: Singles | None = None

    @property
    def domain(self) -> Singles:
        """The bands of ``dissimilarity.tif``, shape (3, n_cells)."""
        return np.stack([self.dissimilarity, self.density, self.expected_error])


def score_cells(bundle: Bundle, matrix: Matrix, threads: int) -> ScoredCells:
    """Score cells; outside the model's domain there is no likelihood.

    Parameters
    ----------
    bundle : Bundle
        The model.
    matrix : ndarray of float32, shape (n_cells, n_features)
        Features in the bundle's order.
    threads : int
        Threads to use; no result depends on it.
    """
    missing = np.full((4, len(matrix)), np.nan, np.float32)
    cells = ScoredCells(missing[0], np.full(len(matrix), DOMAIN_NODATA, np.uint8), *missing[1:])
    known = np.flatnonzero(~np.isnan(matrix).all(axis=1))
    seen = matrix[known]
    inside = np.ones(len(known), bool)
    if bundle.applicability is not None:
        domain = bundle.applicability.judge(seen, bundle.names, threads)
        inside = ~domain.outside
        cells.outside_domain[known] = np.where(inside, INSIDE_DOMAIN, OUTSIDE_DOMAIN)
        cells.dissimilarity[known] = domain.dissimilarity
        cells.density[known] = domain.density
        cells.expected_error[known] = bundle.applicability.error_at(domain.dissimilarity)
    estimate = bundle.estimate(seen[inside], threads)

    def placed(values: NDArray[np.float64] | None, lowest: np.float32) -> Singles | None:
        if values is None:
            return None
        whole = np.full(len(matrix), np.nan, np.float32)
        whole[known[inside]] = np.clip(values.astype(np.float32), lowest, _HIGHEST)
        return whole

    likelihood = placed(estimate.likelihood, _LOWEST)
    assert likelihood is not None
    return replace(
        cells,
        likelihood=likelihood,
        spread=placed(estimate.spread, np.float32(0)),
        low=placed(estimate.low, _LOWEST),
        high=placed(estimate.high, _LOWEST),
    )
