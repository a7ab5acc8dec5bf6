"""The maps every scoring writes, and what is counted while they are written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import BlockRasterWriter
from hazardrank.model.bundle import Bundle
from hazardrank.scoring.cells import DOMAIN_NODATA, OUTSIDE_DOMAIN, ScoredCells

LIKELIHOOD_TIF = "contamination_likelihood.tif"
STATUS_TIF = "survey_status.tif"
DOMAIN_TIF = "outside_domain.tif"
DISSIMILARITY_TIF = "dissimilarity.tif"

LIKELIHOOD_NODATA = float("nan")
"""Outside the area, outside the model's domain, and where no feature is known."""

STATUS_NODATA = -128
"""Outside the area. Inside: -1 unsurveyed, 0 released, 1 contaminated."""

UNCERTAINTY = {
    "spread": (
        "likelihood_spread.tif",
        "standard deviation of the likelihood over the members of the ensemble",
    ),
    "low": ("likelihood_low.tif", "lower end of the likelihood's interval"),
    "high": ("likelihood_high.tif", "upper end of the likelihood's interval"),
}
"""Maps of how sure the likelihood is: name in ``ScoredCells`` → file, what it holds."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_N_BINS = 10_000
_FIXED_POINT = 2**30


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
    n_outside_domain : int or None
        Cells the model abstains from, since they are unlike its training cells; ``None``
        where the bundle does not know its domain.
    n_near_limit : int or None
        Those of them that the sampling of reference cells alone may have put outside.
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
    n_outside_domain: int | None
    n_near_limit: int | None
    mean_likelihood: float
    quantiles: dict[float, float]
    seconds: dict[str, float]


@dataclass
class Tally:
    """Counts likelihoods as they come; no total depends on the order of blocks."""

    n_cells: int = 0
    n_scored: int = 0
    n_outside_domain: int = 0
    n_near_limit: int = 0
    _fixed_sum: int = 0
    _histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_N_BINS, np.int64))

    def add(self, likelihood: NDArray[np.float32]) -> None:
        """Count cells of the area, shape (n_cells,); NaN is not scored."""
        known = likelihood[~np.isnan(likelihood)].astype(np.float64)
        self.n_cells += len(likelihood)
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
    map_dissimilarity : bool, optional
        Whether ``dissimilarity.tif`` is written too, where the bundle knows its domain.
    """

    def __init__(
        self,
        output_dir: Path,
        grid: SurveyGrid,
        bundle: Bundle,
        tags: Mapping[str, str],
        map_dissimilarity: bool = True,
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
        self._domain = bundle.applicability
        self._outside = self._dissimilarity = None
        if self._domain is not None:
            folder = Path(output_dir)
            self._outside = _outside_writer(folder, grid, own_tags, self._domain.threshold)
            if map_dissimilarity:
                self._dissimilarity = _dissimilarity_writer(folder, grid, own_tags)
        self._uncertain = _uncertainty_writers(Path(output_dir), grid, own_tags, bundle)
        self._files = ExitStack()
        self.tally = Tally()
        self.seconds = dict.fromkeys(("features", "scoring", "status", "writing"), 0.0)

    def __enter__(self) -> Maps:
        with ExitStack() as files:
            files.enter_context(self._likelihood)
            files.enter_context(self._status)
            for writer in (self._outside, self._dissimilarity, *self._uncertain.values()):
                if writer is not None:
                    files.enter_context(writer)
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
        if kind is None:
            self._drop_older_maps()

    def _drop_older_maps(self) -> None:
        """Remove optional maps of an earlier scoring that this one does not write."""
        folder = self._likelihood.path.parent
        for name, writer in ((DOMAIN_TIF, self._outside), (DISSIMILARITY_TIF, self._dissimilarity)):
            if writer is None:
                (folder / name).unlink(missing_ok=True)
        for name, (file_name, _) in UNCERTAINTY.items():
            if name not in self._uncertain:
                (folder / file_name).unlink(missing_ok=True)

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
        cells: ScoredCells,
        index: NDArray[np.integer],
        status: NDArray[np.int8],
    ) -> None:
        """Write a block.

        Parameters
        ----------
        block : SurveyGrid
            The block.
        cells : ScoredCells
            The scored cells.
        index : ndarray of int, shape (rows, cols)
            Which of `cells` lies in each place; -1 outside the area, which becomes nodata.
        status : ndarray of int8, shape (rows, cols)
            Survey status.
        """
        inside = index >= 0
        shown = index[inside]
        self.tally.add(cells.likelihood[shown])
        self._count_domain(cells, shown)
        with self.timed("writing"):
            self._likelihood.write(block, _placed(cells.likelihood, index, LIKELIHOOD_NODATA))
            self._status.write(block, np.where(inside, status, np.int8(STATUS_NODATA)))
            if self._outside is not None:
                self._outside.write(block, _placed(cells.outside_domain, index, DOMAIN_NODATA))
            if self._dissimilarity is not None:
                self._dissimilarity.write(block, _placed(cells.domain, index, float("nan")))
            for name, writer in self._uncertain.items():
                writer.write(block, _placed(getattr(cells, name), index, LIKELIHOOD_NODATA))

    def _count_domain(self, cells: ScoredCells, shown: NDArray[np.integer]) -> None:
        if self._domain is None:
            return
        outside = cells.outside_domain[shown] == OUTSIDE_DOMAIN
        surely = cells.dissimilarity[shown] > self._domain.threshold + self._domain.sampling_bound
        self.tally.n_outside_domain += int(outside.sum())
        self.tally.n_near_limit += int((outside & ~surely).sum())

    def summary(self) -> ScoreSummary:
        """Return what was written."""
        tally = self.tally
        return ScoreSummary(
            self._likelihood.path,
            self._status.path,
            tally.n_cells,
            tally.n_scored,
            tally.n_cells - tally.n_scored - tally.n_outside_domain,
            None if self._domain is None else tally.n_outside_domain,
            None if self._domain is None else tally.n_near_limit,
            tally.mean,
            tally.quantiles(),
            dict(self.seconds),
        )


def _outside_writer(
    folder: Path, grid: SurveyGrid, tags: Mapping[str, str], threshold: float
) -> BlockRasterWriter:
    return BlockRasterWriter(
        folder / DOMAIN_TIF,
        grid,
        "uint8",
        DOMAIN_NODATA,
        ["outside the model's domain: 0 no, 1 yes (the likelihood map abstains)"],
        ["class"],
        {**tags, "dissimilarity_threshold": repr(threshold)},
    )


def _dissimilarity_writer(
    folder: Path, grid: SurveyGrid, tags: Mapping[str, str]
) -> BlockRasterWriter:
    return BlockRasterWriter(
        folder / DISSIMILARITY_TIF,
        grid,
        "float32",
        float("nan"),
        [
            "dissimilarity index: distance to the nearest training cell in weighted features",
            "local point density: training cells no farther than the threshold",
            "expected squared error of the likelihood at this dissimilarity",
        ],
        ["1", "cells", "1"],
        tags,
        count=3,
    )


def _uncertainty_writers(
    folder: Path, grid: SurveyGrid, tags: Mapping[str, str], bundle: Bundle
) -> dict[str, BlockRasterWriter]:
    """Return a writer for each map of how sure the likelihood is that the bundle can give."""
    wanted = ["spread"] if bundle.has_spread else []
    own = dict(tags)
    if bundle.interval is not None:
        wanted += ["low", "high"]
        own["interval"] = f"{bundle.interval.method}, {bundle.interval.level:g} of units of land"
    return {
        name: BlockRasterWriter(
            folder / file_name, grid, "float32", LIKELIHOOD_NODATA, [about], ["1"], own
        )
        for name, (file_name, about) in UNCERTAINTY.items()
        if name in wanted
    }


def _placed(values: NDArray[Any], index: NDArray[np.integer], nodata: float) -> NDArray[Any]:
    """Return values, shape (…, n_cells), at their places, shape (…, rows, cols)."""
    if not values.shape[-1]:
        return np.full((*values.shape[:-1], *index.shape), nodata, values.dtype)
    return np.where(index >= 0, values[..., index], values.dtype.type(nodata))
