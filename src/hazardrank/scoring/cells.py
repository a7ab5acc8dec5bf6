"""What scoring says of a cell: its likelihood, or why it has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.model.applicability import Applicability
from hazardrank.model.bundle import Bundle
from hazardrank.validation.training_set import Matrix

INSIDE_DOMAIN, OUTSIDE_DOMAIN, DOMAIN_NODATA = 0, 1, 255
"""Codes of ``outside_domain.tif``; nodata outside the area and where no feature is known."""

_LOWEST, _HIGHEST = np.float32(1e-9), np.nextafter(np.float32(1), np.float32(0))
#: Share of cells to be scored above which leaving out the others costs more than it saves.
_NEARLY_ALL = 0.95
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


def cells_inside(values: Singles, inside: NDArray[np.bool_]) -> tuple[Singles, int | None]:
    """Return the cells of a block that lie in the area, as :func:`score_bands` takes them.

    Parameters
    ----------
    values : ndarray of float32, shape (n_features, rows, cols)
        Features of the block.
    inside : ndarray of bool, shape (rows, cols)
        Whether a cell lies in the area.

    Returns
    -------
    bands : ndarray of float32, shape (n_features, n_cells)
    row_cells : int or None
        Cells in a row, where the whole block lies in the area.
    """
    if inside.all():
        return values.reshape(len(values), -1), inside.shape[1]
    return np.ascontiguousarray(values[:, inside]), None


def score_bands(
    bundle: Bundle,
    bands: Singles,
    threads: int,
    row_cells: int | None = None,
    *,
    want_dissimilarity: bool = True,
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
    row_cells : int, optional
        Cells in a row, where the cells are those of a raster row by row: faster.
    want_dissimilarity : bool, optional
        Whether to measure how far cells are from the training cells, not only whether they
        lie outside the domain: many times slower.
    """
    n_cells = bands.shape[1]
    code = np.full(n_cells, DOMAIN_NODATA, np.uint8)
    measured = np.broadcast_to(np.float32(np.nan), (3, n_cells))
    shown = ~_nothing_known(bands)
    if bundle.applicability is not None:
        if want_dissimilarity:
            outside, measured = _measured(bundle.applicability, bands, bundle.names, shown, threads)
        else:
            outside = bundle.applicability.outside(bands, bundle.names, threads)
        # The codes are those of false and true.
        np.copyto(code, outside.view(np.uint8), where=shown)
        shown &= ~outside
    places = _Places(shown, int(np.count_nonzero(shown)))
    if places.gathered:
        bands, row_cells = np.take(bands, np.flatnonzero(shown), axis=1), None
    found = bundle.estimate_bands(bands, threads, row_cells)
    return ScoredCells(
        places.of(found.likelihood, _LOWEST),
        code,
        measured[0],
        measured[1],
        measured[2],
        spread=places.maybe(found.spread, np.float32(0)),
        low=places.maybe(found.low, _LOWEST),
        high=places.maybe(found.high, _LOWEST),
    )


def _nothing_known(bands: Singles) -> NDArray[np.bool_]:
    """Return which cells have no feature at all."""
    missing: NDArray[np.bool_] = np.isnan(bands[0])
    for band in bands[1:]:
        if not missing.any():
            break
        missing &= np.isnan(band)
    return missing


def _measured(
    domain: Applicability, bands: Singles, names: list[str], known: NDArray[np.bool_], threads: int
) -> tuple[NDArray[np.bool_], Singles]:
    """Return which cells are outside, and dissimilarity, density and expected error."""
    found = domain.judge(bands.T, names, threads)
    expected = domain.error_at(found.dissimilarity).astype(np.float32)
    measured = np.stack([found.dissimilarity, found.density, expected])
    measured[:, ~known] = np.nan
    return found.outside, measured


@dataclass(frozen=True)
class _Places:
    """Puts values of the cells that were scored among all cells."""

    shown: NDArray[np.bool_]
    n_shown: int

    @property
    def gathered(self) -> bool:
        """Whether only the shown cells are scored; else all are, which spares a copy."""
        return self.n_shown < _NEARLY_ALL * len(self.shown)

    def of(self, values: NDArray[np.float64], lowest: np.float32) -> Singles:
        """Return values of all cells, NaN where not shown."""
        singles: Singles = values.astype(np.float32)
        np.clip(singles, lowest, _HIGHEST, out=singles)
        if self.gathered:
            whole = np.full(len(self.shown), np.nan, np.float32)
            whole[self.shown] = singles
            return whole
        if self.n_shown < len(self.shown):
            singles[~self.shown] = np.nan
        return singles

    def maybe(self, values: NDArray[np.float64] | None, lowest: np.float32) -> Singles | None:
        """Return values as :meth:`of` does where there are any."""
        return None if values is None else self.of(values, lowest)
