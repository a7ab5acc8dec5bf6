"""What scoring says of a cell: its likelihood, or why it has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        expect; NaN where no feature is known, or no domain, or where not asked for.
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
    """Score cells that come row by row, with all that is known of their domain.

    Parameters
    ----------
    bundle : Bundle
        The model.
    matrix : ndarray of float32, shape (n_cells, n_features)
        Features in the bundle's order.
    threads : int
        Threads to use; no result depends on it.
    """
    return score_bands(bundle, np.ascontiguousarray(matrix.T), threads)


def score_bands(
    bundle: Bundle, bands: Singles, threads: int, *, want_dissimilarity: bool = True
) -> ScoredCells:
    """Score cells; outside the model's domain there is no likelihood.

    Parameters
    ----------
    bundle : Bundle
        The model.
    bands : ndarray of float32, shape (n_features, n_cells)
        Features in the bundle's order, band by band.
    threads : int
        Threads to use; no result depends on it.
    want_dissimilarity : bool, optional
        Whether to measure how far cells are from the training cells, not only whether they
        lie outside the domain: many times slower.
    """
    n_cells = bands.shape[1]
    known: NDArray[np.bool_] = np.ones(n_cells, bool)
    if np.isnan(bands[0]).any():
        known = ~np.isnan(bands).all(axis=0)
    if not bundle.applicability:
        domain = {"outside_domain": np.full(n_cells, DOMAIN_NODATA, np.uint8)} | _unmeasured(
            n_cells
        )
        inside = known
    else:
        domain = _domain(bundle, bands, known, threads, want_dissimilarity)
        inside = domain["outside_domain"] == INSIDE_DOMAIN
    every = bool(inside.all())
    some = bands if every else np.ascontiguousarray(bands[:, inside])
    estimate = bundle.estimate_bands(some, threads)

    def placed(values: NDArray[np.float64] | None, lowest: np.float32) -> Singles | None:
        if values is None:
            return None
        singles = np.clip(values.astype(np.float32), lowest, _HIGHEST)
        if every:
            return singles
        whole = np.full(n_cells, np.nan, np.float32)
        whole[inside] = singles
        return whole

    likelihood = placed(estimate.likelihood, _LOWEST)
    assert likelihood is not None
    return ScoredCells(
        likelihood,
        **domain,
        spread=placed(estimate.spread, np.float32(0)),
        low=placed(estimate.low, _LOWEST),
        high=placed(estimate.high, _LOWEST),
    )


def _unmeasured(n_cells: int) -> dict[str, NDArray[Any]]:
    missing = np.full(n_cells, np.nan, np.float32)
    return {"dissimilarity": missing, "density": missing, "expected_error": missing}


def _domain(
    bundle: Bundle, bands: Singles, known: NDArray[np.bool_], threads: int, want_dissimilarity: bool
) -> dict[str, NDArray[Any]]:
    """Return what is said of each cell's place in the domain, by attribute."""
    applicability = bundle.applicability
    assert applicability is not None
    n_cells = bands.shape[1]
    code = np.full(n_cells, DOMAIN_NODATA, np.uint8)
    if not want_dissimilarity:
        outside = applicability.outside(bands, bundle.names, threads)
        code[known] = np.where(outside[known], OUTSIDE_DOMAIN, INSIDE_DOMAIN)
        return {"outside_domain": code} | _unmeasured(n_cells)
    seen = np.ascontiguousarray(bands[:, known].T)
    domain = applicability.judge(seen, bundle.names, threads)
    code[known] = np.where(domain.outside, OUTSIDE_DOMAIN, INSIDE_DOMAIN)
    measured = {
        "dissimilarity": domain.dissimilarity,
        "density": domain.density,
        "expected_error": applicability.error_at(domain.dissimilarity),
    }
    placed = {}
    for name, values in measured.items():
        placed[name] = np.full(n_cells, np.nan, np.float32)
        placed[name][known] = values
    return {"outside_domain": code} | placed
