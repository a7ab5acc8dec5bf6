"""A scoring from its plan to its maps: what stands is kept, what is missing is done.

The output folder always tells how far a scoring has come. A block's files and then its
report are renamed into ``blocks/``; maps are put together from them and renamed into their
place. So a scoring that was interrupted at any moment goes on with the blocks that have no
report, and its maps are the same to the byte.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hazardrank.grid import SurveyGrid
from hazardrank.scoring.backends import BACKENDS
from hazardrank.scoring.block_files import mosaic_xml, write_cog
from hazardrank.scoring.depends import changed
from hazardrank.scoring.job import PARTS, STATE_FOLDER, BlockPlan, ScoreJob, block_name
from hazardrank.scoring.map_files import ALL_FILES, MapFile, Part
from hazardrank.scoring.store import FolderStore, Store, open_store
from hazardrank.scoring.tally import Tally
from hazardrank.scoring.worker import BlockReport, Work, reports_of
from hazardrank.settings import ComputeSettings

STATE_JSON = f"{STATE_FOLDER}/state.json"

OnCells = Callable[[int], None]
"""Called with the number of cells just done."""


@dataclass
class ScoringState:
    """How far a scoring has come, and what is left.

    Parameters
    ----------
    done : mapping of Part to mapping of int to BlockReport
        Blocks that are whole.
    notes : list of str
        What was kept, what was dropped and why.
    """

    done: dict[Part, dict[int, BlockReport]]
    notes: list[str] = field(default_factory=list)

    def missing(self, plan: BlockPlan) -> list[Work]:
        """Return the blocks that lack a part, with the parts they lack."""
        works = []
        for number in range(len(plan)):
            parts = tuple(part for part in PARTS if number not in self.done[part])
            if parts:
                works.append((number, parts))
        return works


def read_state(job: ScoreJob, resume: bool = True) -> ScoringState:
    """Return what of a job is already done, and drop what no longer holds.

    Parameters
    ----------
    job : ScoreJob
        The job.
    resume : bool, optional
        ``False``: drop everything.
    """
    store = open_store(job.output_url)
    before = _state_before(store)
    if not resume or before is None or before["shape"] != _shape(job):
        notes = []
        if before is not None:
            why = "blocks, maps or storage are others than before" if resume else "resume=false"
            notes.append(f"Everything is scored anew: {why}.")
        store.remove(STATE_FOLDER)
        store.put(STATE_JSON, _state_bytes(job))
        return ScoringState({part: {} for part in PARTS}, notes)
    state = ScoringState({})
    for part in PARTS:
        differs = changed(before["depends"][part], job.depends[part])
        if differs:
            store.remove(f"{STATE_FOLDER}/{part}")
            state.notes.append(f"{_maps_of(part)} anew, for a change of {', '.join(differs)}.")
        state.done[part] = {} if differs else _whole_blocks(job, store, part)
    store.put(STATE_JSON, _state_bytes(job))
    return state


def _maps_of(part: Part) -> str:
    what = {"likelihood": "The likelihood maps are made", "status": "The survey status is mapped"}
    return what[part]


def block_cells_before(output_url: str, grid: SurveyGrid) -> int | None:
    """Return the block size of an earlier scoring of the same grid in the same folder."""
    before = _state_before(open_store(output_url))
    if before is None or before["shape"]["grid"] != _described(grid):
        return None
    return int(before["shape"]["block_cells"])


def _state_before(store: Store) -> dict[str, Any] | None:
    content = store.get(STATE_JSON)
    if content is None:
        return None
    values: dict[str, Any] = json.loads(content)
    return values


def _shape(job: ScoreJob) -> dict[str, Any]:
    return {
        "grid": _described(job.plan.grid),
        "block_cells": job.plan.block_cells,
        "cog_blocks": job.cog_blocks,
        "maps": [[one.name, one.packed] for one in job.files],
    }


def _described(grid: SurveyGrid) -> list[Any]:
    return [grid.crs, grid.cell_size_m, grid.west_cell, grid.north_cell, *grid.shape]


def _state_bytes(job: ScoreJob) -> bytes:
    state = {"shape": _shape(job), "depends": {part: dict(job.depends[part]) for part in PARTS}}
    return (json.dumps(state, indent=1, sort_keys=True) + "\n").encode()


def _whole_blocks(job: ScoreJob, store: Store, part: Part) -> dict[int, BlockReport]:
    """Return the reports of blocks whose files are there, whole, or already put together."""
    present = store.sizes(f"{STATE_FOLDER}/{part}")
    numbers = [int(name.removesuffix(".json")) for name in present if name.endswith(".json")]
    finished = _is_assembled(job, store, part)
    reports = reports_of(store, part, sorted(numbers))
    return {
        number: report
        for number, report in reports.items()
        if report.key == job.key(part)
        and (
            (finished and not job.cog_blocks)
            or all(
                present.get(f"{number:07d}.{name}.tif") == size
                for name, size in report.sizes.items()
            )
        )
    }


# ------------------------------------------------------------------------------ blocks


def score_blocks(
    job: ScoreJob, state: ScoringState, compute: ComputeSettings, told: OnCells
) -> None:
    """Score what is missing, by the backend that ``compute`` names.

    Raises
    ------
    HazardRankError
        What the first block that failed raised; finished blocks stay.
    """

    def keep(reports: list[BlockReport]) -> None:
        for report in reports:
            state.done[report.part][report.number] = report
        told(job.plan.block(reports[0].number).n_cells)

    works = state.missing(job.plan)
    if works:
        BACKENDS[compute.backend](job, works, compute, keep)


# -------------------------------------------------------------------------- assembling


def assembled_name(file: MapFile, job: ScoreJob) -> str:
    """Return the file name of a finished map."""
    return file.file.replace(".tif", ".vrt") if job.cog_blocks else file.file


def _mark(part: Part) -> str:
    return f"{STATE_FOLDER}/{part}.assembled.json"


def _is_assembled(job: ScoreJob, store: Store, part: Part) -> bool:
    content = store.get(_mark(part))
    if content is None:
        return False
    mark = json.loads(content)
    sizes = store.sizes("")
    return bool(mark["key"] == job.key(part)) and all(
        sizes.get(name) == size for name, size in mark["sizes"].items()
    )


def assemble(job: ScoreJob, state: ScoringState, threads: int, told: OnCells) -> list[str]:
    """Put the blocks together into maps; maps that still hold are left alone.

    Returns
    -------
    list of str
        Names of all finished maps.
    """
    store = open_store(job.output_url)
    names = []
    for part in PARTS:
        files = job.files_of(part)
        names += [assembled_name(file, job) for file in files]
        if _is_assembled(job, store, part):
            continue
        for file in files:
            _assemble_one(job, store, part, file, state.done[part], threads)
            told(1)
        sizes = store.sizes("")
        made = {name: sizes[name] for name in (assembled_name(file, job) for file in files)}
        mark = {"key": job.key(part), "sizes": made}
        store.put(_mark(part), json.dumps(mark).encode())
        if not job.cog_blocks:
            _drop_block_maps(job, store, part, state.done[part])
    return names


def _assemble_one(
    job: ScoreJob,
    store: Store,
    part: Part,
    file: MapFile,
    reports: Mapping[int, BlockReport],
    threads: int,
) -> None:
    have = [number for number in sorted(reports) if file.name in reports[number].sizes]
    mosaic = partial(mosaic_xml, file, job.plan, job.tags[part])
    named = [(number, block_name(part, number, f"{file.name}.tif")) for number in have]
    if job.cog_blocks:
        store.put(assembled_name(file, job), mosaic(named, relative=True).encode())
        return
    paths = [(number, store.gdal_path(name)) for number, name in named]
    if isinstance(store, FolderStore):
        scratch = store.folder / STATE_FOLDER
        target = scratch / f"{file.file}.partial"
        write_cog(file, mosaic(paths, relative=False), target, scratch, threads)
        store.put_file(file.file, target)
        return
    with tempfile.TemporaryDirectory(prefix="hazardrank-assembly-") as folder:
        target = Path(folder) / file.file
        write_cog(file, mosaic(paths, relative=False), target, Path(folder), threads)
        store.put_file(file.file, target)


def _drop_block_maps(
    job: ScoreJob, store: Store, part: Part, reports: Mapping[int, BlockReport]
) -> None:
    """Remove the blocks' files once their map is whole; their reports stay."""
    for number, report in reports.items():
        for name in report.sizes:
            store.remove(block_name(part, number, f"{name}.tif"))


def drop_older_maps(store: Store, names: Sequence[str]) -> None:
    """Remove maps of an earlier scoring that this one does not make."""
    vrts = [name.replace(".tif", ".vrt") for name in ALL_FILES]
    for name in {*ALL_FILES, *vrts} - set(names):
        store.remove(name)


# ------------------------------------------------------------------------------ totals


def total_tally(state: ScoringState) -> Tally:
    """Return the counts of all blocks together."""
    total = Tally()
    for report in state.done["likelihood"].values():
        if report.tally is not None:
            total.merge(Tally.from_json(report.tally))
    return total


def total_drift(state: ScoringState) -> Any:
    """Return the sums of the blocks' drift counts, ``None`` where nothing was counted."""
    counted = [r.drift for r in state.done["likelihood"].values() if r.drift is not None]
    return None if not counted else np.sum([np.array(one, np.int64) for one in counted], axis=0)


def seconds_by_stage(state: ScoringState) -> dict[str, float]:
    """Return the time of all blocks together by stage, over all threads."""
    total: dict[str, float] = {}
    for part in PARTS:
        for report in state.done[part].values():
            for stage, seconds in report.seconds.items():
                total[stage] = total.get(stage, 0.0) + seconds
    return {stage: round(seconds, 3) for stage, seconds in total.items()}
