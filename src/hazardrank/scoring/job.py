"""A scoring as a plan that can travel: grid, blocks, maps, and what each map depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hazardrank.grid import SurveyGrid
from hazardrank.scoring.map_files import MapFile, Part
from hazardrank.settings import AnyFamilySettings, LabelSettings, RegionSettings

PARTS: tuple[Part, ...] = ("likelihood", "status")
STATE_FOLDER = "blocks"
"""Where finished blocks lie in the output folder until the maps are put together."""


@dataclass(frozen=True)
class BlockPlan:
    """The blocks of a grid, numbered row by row.

    Parameters
    ----------
    grid : SurveyGrid
        The grid.
    block_cells : int
        Side of a block; those at the southern and eastern edge are smaller.
    """

    grid: SurveyGrid
    block_cells: int

    @property
    def n_across(self) -> int:
        """Blocks in a row of blocks."""
        return -(-self.grid.n_cols // self.block_cells)

    def __len__(self) -> int:
        return self.n_across * -(-self.grid.n_rows // self.block_cells)

    def offset(self, number: int) -> tuple[int, int]:
        """Return row and column of a block's first cell."""
        down, across = divmod(number, self.n_across)
        return down * self.block_cells, across * self.block_cells

    def block(self, number: int) -> SurveyGrid:
        """Return the grid of a block."""
        row, col = self.offset(number)
        return self.grid.part(
            row,
            col,
            min(self.block_cells, self.grid.n_rows - row),
            min(self.block_cells, self.grid.n_cols - col),
        )


@dataclass(frozen=True)
class ScoreJob:
    """All that a worker needs to score a block, on this machine or on another.

    Parameters
    ----------
    plan : BlockPlan
        Grid and blocks.
    region : RegionSettings
        The region: layers, records, extent.
    data_dir : Path
        Folder that its paths start from.
    cache_dir : Path or None
        Where prepared vectors are kept; a folder of the worker's own when ``None``.
    features : mapping of str to AnyFamilySettings
        Feature settings of the bundle.
    labels : LabelSettings
        Which record makes a cell contaminated or released.
    bundle_files : mapping of str to bytes
        The bundle: file name → content.
    files : tuple of MapFile
        The maps.
    contributions : tuple of str
        Features whose contribution is mapped.
    depends : mapping of Part to mapping of str to str
        What the maps of each part depend on: in words → digest.
    tags : mapping of Part to mapping of str to str
        Provenance of the maps of each part.
    output_url : str
        Folder of the outputs.
    cog_blocks : bool
        Whether a block's files are kept as maps of their own.
    drift_step : int
        Every so many rows and columns, cells are compared with the training cells.
    threads_per_block : int
        Threads inside a block.
    """

    plan: BlockPlan
    region: RegionSettings
    data_dir: Path
    cache_dir: Path | None
    features: Mapping[str, AnyFamilySettings]
    labels: LabelSettings
    bundle_files: Mapping[str, bytes]
    files: tuple[MapFile, ...]
    contributions: tuple[str, ...]
    depends: Mapping[Part, Mapping[str, str]]
    tags: Mapping[Part, Mapping[str, str]]
    output_url: str
    cog_blocks: bool
    drift_step: int
    threads_per_block: int = 1

    def key(self, part: Part) -> str:
        """Return the digest of all that the maps of a part depend on."""
        return digest_of(self.depends[part])

    def files_of(self, part: Part) -> tuple[MapFile, ...]:
        """Return the maps of a part."""
        return tuple(one for one in self.files if one.part == part)


def digest_of(values: Any) -> str:
    """Return the SHA-256 of plain values, in hex."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def block_name(part: Part, number: int, ending: str) -> str:
    """Return the name of a block's file in the store."""
    return f"{STATE_FOLDER}/{part}/{number:07d}.{ending}"
