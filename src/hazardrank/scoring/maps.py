"""The two maps every scoring writes, and what is counted while they are written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import BlockRasterWriter
from hazardrank.model.bundle import Bundle
from hazardrank.validation.training_set import Matrix

LIKELIHOOD_TIF = "contamination_likelihood.tif"
STATUS_TIF = "survey_status.tif"

LIKELIHOOD_NODATA = float("nan")
"""Outside the area, and where no feature is known."""

STATUS_NODATA = -128
"""Outside the area. Inside: -1 unsurveyed, 0 released, 1 contaminated."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_N_BINS = 10_000
_FIXED_POINT = 2**30
_LOWEST, _HIGHEST = np.float32(1e-9), np.nextafter(np.float32(1), np.float32(0))


@dataclass(frozen=True)
class ScoreSummary:
    """What a scoring wrote.

    Parameters
    ----------
    likelihood_map, status_map : Path
        The Cloud-Optimized GeoTIFFs.
    n_cells : int
        Cells in the area.
    n_scored : int
        Cells with a likelihood.
    n_without_features : int
        Cells in the area none of whose features is known; they have no likelihood.
    mean_likelihood : float
        Over the scored cells, to 1e-9; NaN if there are none.
    quantiles : dict of float to float
        Quantile → likelihood, to 1e-4, from a histogram.
    seconds : dict of str to float
        Time by stage: features, scoring, status, writing.
    """

    likelihood_map: Path
    status_map: Path
    n_cells: int
    n_scored: int
    n_without_features: int
    mean_likelihood: float
    quantiles: dict[float, float]
    seconds: dict[str, float]


@dataclass
class Tally:
    """Counts likelihoods as they come; no total depends on the order of blocks."""

    n_cells: int = 0
    n_scored: int = 0
    _fixed_sum: int = 0
    _histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_N_BINS, np.int64))

    def add(self, likelihood: NDArray[np.float32], inside: NDArray[np.bool_]) -> None:
        """Count the cells of a block, both arrays of one shape; NaN is not scored."""
        known = likelihood[inside & ~np.isnan(likelihood)].astype(np.float64)
        self.n_cells += int(inside.sum())
        self.n_scored += len(known)
        self._fixed_sum += int(np.rint(known * _FIXED_POINT).astype(np.int64).sum())
        bins = np.minimum((known * _N_BINS).astype(np.int64), _N_BINS - 1)
        self._histogram += np.bincount(bins, minlength=_N_BINS)

    @property
    def mean(self) -> float:
        """Mean likelihood, NaN if nothing was scored."""
        if not self.n_scored:
            return float("nan")
        return self._fixed_sum / _FIXED_POINT / self.n_scored

    def quantiles(self) -> dict[float, float]:
        """Return the middle of the histogram bin each quantile falls in; empty if none."""
        if not self.n_scored:
            return {}
        reached = np.cumsum(self._histogram)
        ranks = [max(1, int(np.ceil(quantile * self.n_scored))) for quantile in QUANTILES]
        bins = np.searchsorted(reached, ranks)
        return {q: (int(b) + 0.5) / _N_BINS for q, b in zip(QUANTILES, bins, strict=True)}


class Maps:
    """Writes likelihood and survey status together, block by block.

    A context manager: no file appears, and older ones stay, if the scoring fails.

    Parameters
    ----------
    output_dir : Path
        Folder the maps go to.
    grid : SurveyGrid
        The region's grid.
    bundle : Bundle
        Its digest goes into the tags.
    tags : mapping of str to str
        Further provenance.
    """

    def __init__(
        self, output_dir: Path, grid: SurveyGrid, bundle: Bundle, tags: Mapping[str, str]
    ) -> None:
        own_tags = {**tags, "bundle_sha256": bundle.digest}
        self._likelihood = BlockRasterWriter(
            Path(output_dir) / LIKELIHOOD_TIF,
            grid,
            "float32",
            LIKELIHOOD_NODATA,
            ["contamination likelihood: calibrated probability that a cell holds ordnance"],
            ["1"],
            own_tags,
        )
        self._status = BlockRasterWriter(
            Path(output_dir) / STATUS_TIF,
            grid,
            "int8",
            STATUS_NODATA,
            ["survey status: -1 unsurveyed, 0 released, 1 contaminated"],
            ["class"],
            own_tags,
        )
        self._files = ExitStack()
        self.tally = Tally()
        self.seconds = dict.fromkeys(("features", "scoring", "status", "writing"), 0.0)

    def __enter__(self) -> Maps:
        with ExitStack() as files:
            files.enter_context(self._likelihood)
            files.enter_context(self._status)
            self._files = files.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.timed("writing"):
            self._files.__exit__(kind, error, trace)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the ``with`` block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def write(
        self,
        block: SurveyGrid,
        likelihood: NDArray[np.float32],
        status: NDArray[np.int8],
        inside: NDArray[np.bool_],
    ) -> None:
        """Write a block; arrays of shape (rows, cols), cells not `inside` become nodata."""
        self.tally.add(likelihood, inside)
        with self.timed("writing"):
            shown = np.where(inside, likelihood, np.float32(LIKELIHOOD_NODATA))
            self._likelihood.write(block, shown)
            self._status.write(block, np.where(inside, status, np.int8(STATUS_NODATA)))

    def summary(self) -> ScoreSummary:
        """Return what was written."""
        tally = self.tally
        return ScoreSummary(
            self._likelihood.path,
            self._status.path,
            tally.n_cells,
            tally.n_scored,
            tally.n_cells - tally.n_scored,
            tally.mean,
            tally.quantiles(),
            dict(self.seconds),
        )


def likelihood_of_rows(bundle: Bundle, matrix: Matrix, threads: int) -> NDArray[np.float32]:
    """Return likelihoods as maps hold them.

    Parameters
    ----------
    bundle : Bundle
        The model.
    matrix : ndarray of float32, shape (n_rows, n_features)
        Features in the bundle's order.
    threads : int
        Threads to use.

    Returns
    -------
    ndarray of float32, shape (n_rows,)
        Strictly between 0 and 1; NaN where every feature is missing, for there the model
        would only repeat what it knows of land in general.
    """
    likelihood = np.full(len(matrix), np.nan, np.float32)
    known = ~np.isnan(matrix).all(axis=1)
    scored = bundle.likelihood(matrix[known], threads).astype(np.float32)
    likelihood[known] = np.clip(scored, _LOWEST, _HIGHEST)
    return likelihood
