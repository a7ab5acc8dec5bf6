"""The maps every scoring writes, and what is counted while they are written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import BlockRasterWriter
from hazardrank.model.bundle import Bundle
from hazardrank.scoring.cells import OUTSIDE_DOMAIN, ScoredCells
from hazardrank.scoring.map_files import (
    DISSIMILARITY_TIF,
    DOMAIN_TIF,
    LIKELIHOOD_TIF,
    STATUS_NODATA,
    STATUS_TIF,
    UNCERTAINTY,
    map_files,
)
from hazardrank.scoring.tally import Tally


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
        self._folder = Path(output_dir)
        self._domain = bundle.applicability
        self._writers = {
            file: BlockRasterWriter(
                self._folder / file.file,
                grid,
                file.dtype,
                file.nodata,
                file.descriptions,
                file.units,
                {**own_tags, **file.tags},
                count=file.count,
            )
            for file in map_files(bundle, dissimilarity=map_dissimilarity)
        }
        self._files = ExitStack()
        self.tally = Tally()
        self.seconds = dict.fromkeys(("features", "scoring", "status", "writing"), 0.0)

    def __enter__(self) -> Maps:
        with ExitStack() as files:
            for writer in self._writers.values():
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
        written = {file.file for file in self._writers}
        optional = [name for name, _ in UNCERTAINTY.values()]
        for name in (DOMAIN_TIF, DISSIMILARITY_TIF, *optional):
            if name not in written:
                (self._folder / name).unlink(missing_ok=True)

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
            for file, writer in self._writers.items():
                if file.part == "status":
                    writer.write(block, np.where(inside, status, np.int8(STATUS_NODATA)))
                else:
                    writer.write(block, _placed(getattr(cells, file.name), index, file.nodata))

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
            self._folder / LIKELIHOOD_TIF,
            self._folder / STATUS_TIF,
            tally.n_cells,
            tally.n_scored,
            tally.n_without_features,
            None if self._domain is None else tally.n_outside_domain,
            None if self._domain is None else tally.n_near_limit,
            tally.mean,
            tally.quantiles(),
            dict(self.seconds),
        )


def _placed(values: NDArray[Any], index: NDArray[np.integer], nodata: float) -> NDArray[Any]:
    """Return values, shape (…, n_cells), at their places, shape (…, rows, cols)."""
    if not values.shape[-1]:
        return np.full((*values.shape[:-1], *index.shape), nodata, values.dtype)
    return np.where(index >= 0, values[..., index], values.dtype.type(nodata))
