"""What scores a block: layers and bundle opened once, then one block after the other."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.features.base import FloatBlock
from hazardrank.features.feature_set import FeatureSet, build_features
from hazardrank.grid import SurveyGrid
from hazardrank.labels.outcomes import Labeller
from hazardrank.model.bundle import Bundle
from hazardrank.records import HazardRecords
from hazardrank.scoring.block_files import encode_block
from hazardrank.scoring.cells import cells_inside, score_bands
from hazardrank.scoring.job import PARTS, ScoreJob, block_name
from hazardrank.scoring.map_files import STATUS_NODATA, MapFile, Part
from hazardrank.scoring.store import Store, open_store
from hazardrank.scoring.tally import Tally
from hazardrank.sources.hazard_records import read_records
from hazardrank.sources.region import FileLayers, open_layers
from hazardrank.sources.vectors import MARGIN_M

#: A block's part: which block, and which maps of it.
Work = tuple[int, tuple[Part, ...]]


@dataclass(frozen=True)
class BlockReport:
    """What became of one part of a block.

    Parameters
    ----------
    number : int
        The block.
    part : Part
        Which maps.
    key : str
        Digest of all they depend on.
    n_cells : int
        Cells of the block that lie in the area.
    sizes : mapping of str to int
        Map → size of its file in bytes; empty where no cell lies in the area.
    seconds : mapping of str to float
        Time by stage.
    tally : mapping or None
        Counts of the likelihood maps, as :meth:`Tally.to_json` gives them.
    drift : list of list of int, or None
        Cells by feature and bin, as :mod:`hazardrank.model.drift` counts them.
    """

    number: int
    part: Part
    key: str
    n_cells: int
    sizes: Mapping[str, int]
    seconds: Mapping[str, float]
    tally: Mapping[str, Any] | None = None
    drift: list[list[int]] | None = None

    def to_bytes(self) -> bytes:
        """Return the report as JSON."""
        return json.dumps(vars(self)).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> BlockReport:
        """Read a report from JSON."""
        return cls(**json.loads(content))


class BlockWorker:
    """Scores blocks of a job. Safe to use from several threads at once.

    Parameters
    ----------
    job : ScoreJob
        The job.

    Raises
    ------
    HazardRankError
        Whatever layers, records or bundle make impossible.
    """

    def __init__(self, job: ScoreJob) -> None:
        self.job = job
        self.store: Store = open_store(job.output_url)
        self.bundle = bundle_of(job.bundle_files)
        self.features: FeatureSet = build_features(job.features, job.region.layers)
        self.bundle.check_features(self.features.specs)
        self.layers: FileLayers = open_job_layers(job, self.features)
        self._lock = threading.Lock()

    @cached_property
    def _records(self) -> HazardRecords:
        return read_records(self.job.region, self.job.data_dir)

    @cached_property
    def _labeller(self) -> Labeller:
        return Labeller(self._records, self.job.labels, self.job.region.records_as_of)

    def score(self, work: Work) -> list[BlockReport]:
        """Compute the wanted parts of a block and put its files into the store.

        The files come first and the report after them, so that a block with a report is
        whole; a block done twice is written twice with the same bytes.
        """
        number, parts = work
        block = self.job.plan.block(number)
        inside = self.layers.inside(block)
        reports = []
        for part in parts:
            clock = _Clock()
            maps = self._maps(part, block, inside, clock) if inside.any() else None
            reports.append(self._put(number, part, block, int(inside.sum()), maps, clock))
        return reports

    def measure(self, number: int) -> tuple[int, int]:
        """Compute a block without keeping it; return its cells in the area, and its bytes."""
        block = self.job.plan.block(number)
        inside = self.layers.inside(block)
        if not inside.any():
            return 0, 0
        n_bytes = 0
        for part in PARTS:
            values = self._maps(part, block, inside, _Clock()).values
            n_bytes += sum(len(content) for _, content in self._encoded(part, block, values))
        return int(inside.sum()), n_bytes

    def _encoded(
        self, part: Part, block: SurveyGrid, values: Mapping[str, NDArray[Any]]
    ) -> Iterator[tuple[str, bytes]]:
        for file in self.job.files_of(part):
            tags, cog = self.job.tags[part], self.job.cog_blocks
            yield file.name, encode_block(file, block, values[file.name], tags, cog=cog)

    def _put(
        self,
        number: int,
        part: Part,
        block: SurveyGrid,
        n_cells: int,
        maps: _BlockMaps | None,
        clock: _Clock,
    ) -> BlockReport:
        sizes = {}
        if maps is not None:
            with clock.stage("writing"):
                for name, content in self._encoded(part, block, maps.values):
                    self.store.put(block_name(part, number, f"{name}.tif"), content)
                    sizes[name] = len(content)
        report = BlockReport(
            number,
            part,
            self.job.key(part),
            n_cells,
            sizes,
            clock.seconds,
            None if maps is None or maps.tally is None else maps.tally.to_json(),
            None if maps is None or maps.drift is None else maps.drift.tolist(),
        )
        self.store.put(block_name(part, number, "json"), report.to_bytes())
        return report

    def _maps(
        self, part: Part, block: SurveyGrid, inside: NDArray[np.bool_], clock: _Clock
    ) -> _BlockMaps:
        if part == "status":
            with clock.stage("status"):
                self._load_labels()
                status = self._labeller.status(block)
            shown = np.where(inside, status, np.int8(STATUS_NODATA))
            return _BlockMaps({"status": shown})
        with clock.stage("features"):
            values = self.block_features(block)
        with clock.stage("scoring"):
            return self._likelihood(values, inside, block)

    def _load_labels(self) -> None:
        """Read the records once, whichever thread comes first."""
        with self._lock:
            _ = self._labeller

    def block_features(self, block: SurveyGrid) -> FloatBlock:
        """Return the features of a block, shape (n_features, rows, cols)."""
        if not self.features.histories:
            return self.features.block(block, self.layers, None)
        with self._lock:
            records = self._records
        return self.features.block(block, self.layers, records)

    def _likelihood(
        self, values: FloatBlock, inside: NDArray[np.bool_], block: SurveyGrid
    ) -> _BlockMaps:
        bands, row_cells = cells_inside(values, inside)
        cells = score_bands(
            self.bundle, bands, self.job.threads_per_block, row_cells, want_dissimilarity=False
        )
        tally = Tally()
        tally.add(cells.likelihood)
        tally.add_domain(cells.outside_domain)
        maps = {}
        for file in self.job.files_of("likelihood"):
            if file.name == "contributions":
                found = self._contributions(bands)
                found[:, np.isnan(cells.likelihood)] = np.nan
            else:
                found = np.atleast_2d(getattr(cells, file.name))
            maps[file.name] = found if row_cells else _placed(found, inside, file)
        return _BlockMaps(maps, tally, self._drift(values, inside, block))

    def _contributions(self, bands: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what each named feature adds to the log-odds, shape (n_named, n_cells)."""
        columns = [self.bundle.names.index(name) for name in self.job.contributions]
        matrix = np.ascontiguousarray(bands.T)
        added = self.bundle.contributions(matrix, self.job.threads_per_block)
        return np.ascontiguousarray(added[:, columns].T.astype(np.float32))

    def _drift(
        self, values: FloatBlock, inside: NDArray[np.bool_], block: SurveyGrid
    ) -> NDArray[np.int64] | None:
        """Count the features of the block's cells on the lattice of the whole grid."""
        if self.bundle.reference is None:
            return None
        step = self.job.drift_step
        row, col = block.offset_in(self.job.plan.grid)
        lattice = np.s_[-row % step :: step, -col % step :: step]
        sample = values[(slice(None), *lattice)][:, inside[lattice]]
        return self.bundle.reference.counts(np.ascontiguousarray(sample))

    def close(self) -> None:
        """Close every open file."""
        self.layers.close()


@dataclass(frozen=True)
class _BlockMaps:
    """Map → its values in the block; with what was counted of the likelihood."""

    values: Mapping[str, NDArray[Any]]
    tally: Tally | None = None
    drift: NDArray[np.int64] | None = None


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - begun, 4)


def _placed(values: NDArray[Any], inside: NDArray[np.bool_], file: MapFile) -> NDArray[np.generic]:
    """Return values, shape (n_bands, n_cells), at the cells of the area."""
    placed = file.empty((inside.shape[0], inside.shape[1]))
    placed[:, inside] = values
    return placed


def bundle_of(files: Mapping[str, bytes]) -> Bundle:
    """Return the bundle whose files these are, checked like any other."""
    with tempfile.TemporaryDirectory(prefix="hazardrank-bundle-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return Bundle.load(Path(folder))


def open_job_layers(job: ScoreJob, features: FeatureSet) -> FileLayers:
    """Open the layers of a job with a margin as wide as the widest feature reaches."""
    return open_layers(
        job.region,
        job.data_dir,
        job.cache_dir or Path(tempfile.gettempdir()) / "hazardrank_cache",
        margin_m=margin_of(features),
    )


def margin_of(features: FeatureSet) -> float:
    """Return how far beyond the region vectors are read, in metres."""
    reach_m = max((family.halo_m for family in features.families), default=0.0)
    return max(MARGIN_M, reach_m + 1000.0)


def reports_of(store: Store, part: Part, numbers: Sequence[int]) -> dict[int, BlockReport]:
    """Read the reports of blocks from the store."""
    found = {}
    for number in numbers:
        content = store.get(block_name(part, number, "json"))
        if content is not None:
            found[number] = BlockReport.from_bytes(content)
    return found
