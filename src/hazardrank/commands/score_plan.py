"""How a scoring is cut into blocks, and what it will cost."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import shapely

from hazardrank.grid import SurveyGrid
from hazardrank.scoring.job import ScoreJob
from hazardrank.scoring.worker import BlockWorker
from hazardrank.settings import ComputeSettings
from hazardrank.sources.region import FileLayers

BASE_GB = 0.45
"""Memory of the process before any block: libraries, bundle, prepared vectors."""
LEAST_BLOCK_CELLS = 128
_PROBED_BLOCKS = 3
_BYTES_PER_FEATURE = 8
_BYTES_PER_CELL = 160
"""What a cell takes beside its features while it is scored: distances in float64, scores, maps."""


def fitting_block_cells(grid: SurveyGrid, compute: ComputeSettings, n_features: int) -> int:
    """Return the side of the blocks: as set, smaller where memory or a small grid ask for it.

    A grid is cut into at least four blocks for each thread, so that all have work to the
    end, unless blocks would become smaller than 256 cells.
    """
    side = compute.block_cells
    n_workers = compute.n_threads if compute.backend == "threads" else 1
    while side > 256 and grid.n_blocks(side) < 4 * compute.n_threads:
        side //= 2
    if compute.memory_gb is not None:
        per_cell = _BYTES_PER_FEATURE * n_features + _BYTES_PER_CELL
        bound = max(compute.memory_gb - BASE_GB, 0.01) * 1e9 / (n_workers * per_cell)
        while side > LEAST_BLOCK_CELLS and side**2 > bound:
            side //= 2
    return side


@dataclass(frozen=True)
class Expectation:
    """What a scoring will cost.

    Parameters
    ----------
    n_cells, n_cells_in_area : int
        Cells of the grid, and about how many lie in the area.
    n_blocks, block_cells : int
        Blocks, and their side.
    n_workers : int
        Threads or processes that score at the same time.
    seconds : float
        Expected time, from the blocks that were scored to find out; on a cluster, as if its
        workers were as fast as this machine.
    map_bytes, block_bytes : float
        Disk for the finished maps, and for the blocks until they are put together.
    probed : list of (int, int, float)
        Blocks scored to find out: number, cells in the area, seconds.
    """

    n_cells: int
    n_cells_in_area: int
    n_blocks: int
    block_cells: int
    n_workers: int
    seconds: float
    map_bytes: float
    block_bytes: float
    probed: list[tuple[int, int, float]]


def expect(job: ScoreJob, layers: FileLayers, compute: ComputeSettings) -> Expectation:
    """Score a few blocks without writing anything, and say what all would cost."""
    plan, grid = job.plan, job.plan.grid
    worker = BlockWorker(job)
    probed, n_bytes = [], 0
    for number in _spread(layers, job):
        worker.measure(number)  # compiles kernels and prepares layers
        begun = time.perf_counter()
        n_cells, size = worker.measure(number)
        probed.append((number, n_cells, time.perf_counter() - begun))
        n_bytes += size
    worker.close()
    n_probed = max(1, sum(n_cells for _, n_cells, _ in probed))
    in_area = _cells_in_area(layers)
    n_workers = compute.workers if compute.backend != "threads" else None
    n_workers = min(n_workers or compute.n_threads, len(plan))
    scale = in_area / n_probed
    return Expectation(
        grid.n_cells,
        in_area,
        len(plan),
        plan.block_cells,
        n_workers,
        scale * sum(seconds for _, _, seconds in probed) / n_workers,
        # Overviews add a third, deflate takes a little less room than the blocks' own way.
        scale * n_bytes * 4 / 3,
        scale * n_bytes,
        probed,
    )


def _spread(layers: FileLayers, job: ScoreJob) -> list[int]:
    """Return a few blocks in the area, spread evenly over it."""
    plan = job.plan
    tried = np.unique(np.linspace(0, len(plan) - 1, min(len(plan), 60)).round().astype(int))
    inside = [int(number) for number in tried if layers.inside(plan.block(int(number))).any()]
    picked = np.unique(np.linspace(0, len(inside) - 1, _PROBED_BLOCKS + 2).round().astype(int))
    middle = picked[1:-1] if len(picked) > _PROBED_BLOCKS else picked
    return [inside[place] for place in middle] if inside else []


def _cells_in_area(layers: FileLayers) -> int:
    grid = layers.grid
    if layers.area is None:
        return grid.n_cells
    area = shapely.intersection(layers.area, shapely.box(*grid.bounds))
    return min(grid.n_cells, round(shapely.area(area) / grid.cell_area_m2))
