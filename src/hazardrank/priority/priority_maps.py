"""Clearance priority as maps: each cell has what its task has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hazardrank.grid.raster_io import BlockRasterWriter, Colour
from hazardrank.priority.bands import BAND_LABELS, Band
from hazardrank.priority.tasks import Tasks

PRIORITY_TIF = "clearance_priority.tif"
BANDS_TIF = "clearance_bands.tif"
BAND_NODATA = 0


def rank_scores(ranks: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return ranks as shares: 1 for the first, falling evenly to 1/n for the last of n.

    Tasks without a rank (0) have NaN.
    """
    n_ranked = int((ranks > 0).sum())
    scores = (n_ranked + 1 - ranks) / max(n_ranked, 1)
    return np.where(ranks > 0, scores, np.nan).astype(np.float32)


def write_priority_map(
    folder: Path,
    tasks: Tasks,
    ranks: NDArray[np.int64],
    block_cells: int,
    tags: Mapping[str, str],
    on_block: Callable[[int], None],
) -> Path:
    """Write the priority of each cell's task, 0–1, 1 for the first in rank.

    Parameters
    ----------
    folder : Path
        Where to.
    tasks : Tasks
        The tasks.
    ranks : ndarray of int64, shape (n_tasks,)
        Ranks; 0 for tasks that wait, which are nodata like land in no task.
    block_cells : int
        Side of the blocks.
    tags : mapping of str to str
        Provenance.
    on_block : callable
        Called with 1 after each block.
    """
    description = (
        "clearance priority of the cell's task: 1 is first in rank; nodata: waits, or in no task"
    )
    values = np.append(rank_scores(ranks), np.float32(np.nan))
    path = folder / PRIORITY_TIF
    with BlockRasterWriter(path, tasks.grid, "float32", np.nan, [description], ["1"], tags) as out:
        _write(out, tasks, values, block_cells, on_block)
    return path


def write_band_map(
    folder: Path,
    tasks: Tasks,
    bands: NDArray[np.int8],
    colours: Mapping[Band, Colour],
    block_cells: int,
    tags: Mapping[str, str],
    on_block: Callable[[int], None],
) -> Path:
    """Write the band of each cell's task, with its colour; 0 for land in no task.

    Parameters as for :func:`write_priority_map`, and `bands`: codes of
    :class:`~hazardrank.priority.bands.Band`, shape (n_tasks,).
    """
    words = "; ".join(f"{int(band)} {label}" for band, label in BAND_LABELS.items())
    values = np.append(bands.astype(np.uint8), np.uint8(BAND_NODATA))
    shown = {BAND_NODATA: (255, 255, 255, 0)} | {int(b): c for b, c in colours.items()}
    path = folder / BANDS_TIF
    with BlockRasterWriter(
        path,
        tasks.grid,
        "uint8",
        BAND_NODATA,
        ["band of clearance priority"],
        ["code"],
        {**tags, "bands": words},
        colours=shown,
    ) as out:
        _write(out, tasks, values, block_cells, on_block)
    return path


def _write(
    out: BlockRasterWriter,
    tasks: Tasks,
    values: NDArray[np.generic],
    block_cells: int,
    on_block: Callable[[int], None],
) -> None:
    """Write `values` by task number; the last one stands for land in no task."""
    for block in tasks.grid.blocks(block_cells):
        row, col = block.offset_in(tasks.grid)
        labels = tasks.labels[row : row + block.n_rows, col : col + block.n_cols]
        out.write(block, values[labels])
        on_block(1)
