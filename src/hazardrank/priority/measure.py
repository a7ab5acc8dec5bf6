"""Consequence, effort and gates of tasks, added up block by block."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.grid import SurveyGrid
from hazardrank.priority.consequence import PreparedConsequence
from hazardrank.priority.effort import Effort, effort_of
from hazardrank.priority.gates import GateSet
from hazardrank.priority.gather import GatheredTasks, TaskGatherer
from hazardrank.priority.ground import GroundReader
from hazardrank.priority.land import TaskLand
from hazardrank.priority.likelihood_maps import LikelihoodMaps
from hazardrank.priority.tasks import Tasks
from hazardrank.priority.tasks_table import TaskCells, TaskTotals
from hazardrank.records import OUTCOME_CODES, Outcome
from hazardrank.scoring.map_files import STATUS_NODATA
from hazardrank.scoring.tables import ScoredBlock
from hazardrank.settings import EffortSettings
from hazardrank.sources.layers import LayerReader


@dataclass(frozen=True)
class Measures:
    """What is asked of every cell.

    Parameters
    ----------
    maps : LikelihoodMaps
        Likelihood, its interval, survey status.
    layers : LayerReader
        The region's layers.
    consequence : PreparedConsequence
        The criteria.
    ground : GroundReader
        Slope, vegetation and devices.
    effort : EffortSettings
        The methods.
    gates : GateSet
        The gates.
    """

    maps: LikelihoodMaps
    layers: LayerReader
    consequence: PreparedConsequence
    ground: GroundReader
    effort: EffortSettings
    gates: GateSet


@dataclass(frozen=True)
class MeasuredBlock:
    """What is known of the cells of a block."""

    grid: SurveyGrid
    maps: ScoredBlock
    values: NDArray[np.float32]
    quantities: NDArray[np.float32]
    effort: Effort
    open_cells: NDArray[np.bool_]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Cells of the area."""
        inside: NDArray[np.bool_] = self.maps.status != STATUS_NODATA
        return inside

    @property
    def unsurveyed(self) -> NDArray[np.bool_]:
        """Cells never surveyed, as far as recorded."""
        unsurveyed: NDArray[np.bool_] = self.maps.status == OUTCOME_CODES[Outcome.UNSURVEYED]
        return unsurveyed


def measured_blocks(
    measures: Measures, blocks: list[SurveyGrid], threads: int
) -> Iterator[MeasuredBlock]:
    """Yield what is known of blocks, in their order, however many threads work on them."""
    waiting: deque[Future[MeasuredBlock]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            waiting.append(pool.submit(_measure, measures, block))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _measure(measures: Measures, block: SurveyGrid) -> MeasuredBlock:
    consequence = measures.consequence.block(block)
    ground = measures.ground.block(block, measures.layers)
    return MeasuredBlock(
        block,
        measures.maps.read(block),
        consequence.value,
        consequence.quantity,
        effort_of(ground, measures.effort),
        measures.gates.open_cells(block, measures.layers),
    )


def measure_tasks(
    land: TaskLand,
    measures: Measures,
    block_cells: int,
    threads: int,
    on_block: Callable[[MeasuredBlock], None],
    everywhere: bool = False,
) -> tuple[GatheredTasks, TaskTotals]:
    """Add up what the cells of tasks hold.

    Parameters
    ----------
    land : TaskLand
        The tasks.
    measures : Measures
        What is asked of every cell.
    block_cells : int
        Side of the blocks.
    threads : int
        Blocks measured at a time. Sums are taken in the order of the blocks, so that they
        never depend on it.
    on_block : callable
        Called with each block that was measured.
    everywhere : bool, optional
        Whether blocks without a task are measured too, for `on_block`.

    Returns
    -------
    GatheredTasks
        What ranking needs.
    TaskTotals
        What the table shows.
    """
    tasks, names = land.tasks, measures.consequence.names
    methods = tuple(measures.effort.used)
    gatherer = TaskGatherer(
        len(tasks),
        names,
        methods,
        len(measures.gates.layer_gates),
        tasks.grid.cell_area_m2,
        land.unjudged,
        measures.effort.best_by,
    )
    totals = TaskTotals(tasks, names, methods)
    blocks = list(tasks.grid.blocks(block_cells))
    if not everywhere:
        blocks = [block for block in blocks if (labels_of(tasks, block) >= 0).any()]
    for cells in measured_blocks(measures, blocks, threads):
        labels, maps = labels_of(tasks, cells.grid), cells.maps
        ends = None if maps.low is None or maps.high is None else (maps.low, maps.high)
        gatherer.add(labels, maps.likelihood, cells.values, cells.effort, cells.open_cells, ends)
        totals.add(
            TaskCells(
                cells.grid,
                maps.likelihood,
                cells.unsurveyed,
                cells.values,
                cells.quantities,
                cells.effort,
                maps.low,
                maps.high,
            )
        )
        on_block(cells)
    return gatherer.result(tasks.ids), totals


def labels_of(tasks: Tasks, block: SurveyGrid) -> NDArray[np.int32]:
    """Return the number of each cell's task in a block, -1 for none; shape (rows, cols)."""
    row, col = block.offset_in(tasks.grid)
    labels: NDArray[np.int32] = tasks.labels[row : row + block.n_rows, col : col + block.n_cols]
    return labels
