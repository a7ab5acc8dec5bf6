"""Labelled cells of a whole region, gathered block by block.

Only cells of which something is known are kept, so memory grows with the records and
not with the area. Draws at random are by a hash of each cell's place (the numbers of its
INSPIRE code) and the seed: which cells are drawn depends neither on the tiling nor on
the order in which blocks come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.errors import LabelError
from hazardrank.grid import SurveyGrid
from hazardrank.labels.cells import LabelledCells
from hazardrank.labels.outcomes import CONTAMINATED, RELEASED, BlockLabels, Labeller
from hazardrank.settings import BackgroundSettings, LabelSettings

#: Cells looked at for each background cell wanted, before all are.
ENOUGH_CANDIDATES = 3
MAX_HASH = 2**64 - 1

InsideTest = Callable[[SurveyGrid], NDArray[np.bool_]]

#: What a block's labels and labelled cells have in common.
_LABELS = ("outcome", "weight", "hazard_id", "decided", "rule", "historical")

#: Streams of the hash, so that one draw says nothing of another.
_BACKGROUND, _THINNING = 1, 2


@dataclass(frozen=True)
class LabelledRegion:
    """The labelled cells of a region, and counts over its whole area.

    Parameters
    ----------
    cells : LabelledCells
        Cells to learn from, row by row; after ``max_cells`` where that is set.
    n_cells : int
        Cells inside the area.
    n_contaminated, n_released, n_unsurveyed : int
        Cells by outcome, before ``max_cells``; together they are `n_cells`. Background
        cells are unsurveyed.
    n_background : int
        Unsurveyed cells drawn as unlabelled background.
    """

    cells: LabelledCells
    n_cells: int
    n_contaminated: int
    n_released: int
    n_unsurveyed: int
    n_background: int

    def require_learnable(self) -> None:
        """Raise unless there is something to tell apart.

        Raises
        ------
        LabelError
            If no cell is contaminated, or none released or drawn as background.
        """
        if self.n_contaminated == 0:
            raise LabelError(
                f"none of the {self.n_cells} cells is known to be contaminated",
                where="labels.rules",
                remedy="Check that the records lie inside the extent, and lower min_cover (or "
                "set min_area_m2) where they are smaller than a cell.",
            )
        if self.n_released == 0 and self.n_background == 0:
            raise LabelError(
                f"{self.n_contaminated} cells are contaminated and none is released: there is "
                "nothing to tell them apart from",
                where="labels.rules",
                remedy="Add records of released land, or use labels=background to draw "
                "unlabelled background cells.",
            )


def label_region(
    grid: SurveyGrid,
    inside: InsideTest,
    labeller: Labeller,
    settings: LabelSettings,
    block_cells: int,
    seed: int,
    on_block: Callable[[int], None] | None = None,
) -> LabelledRegion:
    """Collect what is known of every cell of a region.

    Parameters
    ----------
    grid : SurveyGrid
        The region's grid.
    inside : callable
        Block → which of its cells lie in the area.
    labeller : Labeller
        Says what each cell is known to be.
    settings : LabelSettings
        Background and thinning.
    block_cells : int
        Side of the blocks; changes memory and not the result.
    seed : int
        Seed of the background draw and of thinning.
    on_block : callable, optional
        Told of each block done (called with 1).

    Returns
    -------
    LabelledRegion

    Raises
    ------
    LabelError
        If background is asked for although land is released.
    """
    n_cells = 0
    parts = [_nothing(grid)]
    for block in grid.blocks(block_cells):
        area = inside(block)
        n_cells += int(area.sum())
        if area.any():
            parts.append(_known_cells(grid, block, labeller.block(block), area))
        if on_block is not None:
            on_block(1)
    cells = _in_order(_concatenate(parts))
    n_contaminated = int((cells.outcome == CONTAMINATED).sum())
    n_released = int((cells.outcome == RELEASED).sum())
    background = _nothing(grid)
    if settings.background is not None:
        _no_released_land(n_released)
        background = _draw_background(
            cells, n_cells, inside, labeller, settings.background, block_cells, seed
        )
    everything = _in_order(_concatenate([cells, background]))
    return LabelledRegion(
        cells=_thinned(everything, settings.max_cells, seed),
        n_cells=n_cells,
        n_contaminated=n_contaminated,
        n_released=n_released,
        n_unsurveyed=n_cells - n_contaminated - n_released,
        n_background=len(background),
    )


def cell_hash(
    grid: SurveyGrid, row: NDArray[np.integer], col: NDArray[np.integer], seed: int, stream: int
) -> NDArray[np.uint64]:
    """Return a hash of each cell's place, uniform over the 64-bit integers.

    The place is the cell's position counted from the CRS origin, so a cell hashes alike
    in every grid that holds it. Mixing is SplitMix64 (Steele, Lea & Flood 2014,
    doi 10.1145/2714064.2660195).
    """
    east = (np.asarray(col, np.int64) + grid.west_cell).view(np.uint64)
    north = (grid.north_cell - 1 - np.asarray(row, np.int64)).view(np.uint64)
    start = _mix(np.array([seed], np.uint64) ^ _mix(np.array([stream], np.uint64)))
    return _mix(_mix(start ^ east) ^ north)


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = value + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _known_cells(
    grid: SurveyGrid, block: SurveyGrid, labels: BlockLabels, area: NDArray[np.bool_]
) -> LabelledCells:
    row, col = np.nonzero(area & (labels.outcome != -1))
    down, across = block.offset_in(grid)
    return LabelledCells(
        grid=grid,
        row=(row + down).astype(np.int32),
        col=(col + across).astype(np.int32),
        **{name: getattr(labels, name)[row, col] for name in _LABELS},
    )


def _nothing(grid: SurveyGrid, n_cells: int = 0) -> LabelledCells:
    """Return cells, placed nowhere yet, of which nothing is known."""
    labels = BlockLabels.unsurveyed((n_cells, 1))
    return LabelledCells(
        grid=grid,
        row=np.zeros(n_cells, np.int32),
        col=np.zeros(n_cells, np.int32),
        **{name: getattr(labels, name)[:, 0] for name in _LABELS},
    )


def _concatenate(parts: list[LabelledCells]) -> LabelledCells:
    names = [f.name for f in fields(LabelledCells) if f.name != "grid"]
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return LabelledCells(grid=parts[0].grid, **arrays)


def _in_order(cells: LabelledCells) -> LabelledCells:
    return cells.take(np.lexsort((cells.col, cells.row)))


# ------------------------------------------------------------------------ background


def _no_released_land(n_released: int) -> None:
    if n_released:
        raise LabelError(
            f"{n_released} cells are released, so there are true negatives to learn from; "
            "unlabelled background is for regions without released land",
            where="labels.background",
            remedy="Set labels.background: null, or drop the rules that release land.",
        )


def _draw_background(
    known: LabelledCells,
    n_cells: int,
    inside: InsideTest,
    labeller: Labeller,
    settings: BackgroundSettings,
    block_cells: int,
    seed: int,
) -> LabelledCells:
    """Return the wanted number of background cells: those of the smallest hashes.

    Cells are first looked for among the smallest hashes only, as far as should suffice,
    and among all if that was not enough: the answer is the same.
    """
    wanted = round(settings.per_contaminated * int(known.contaminated.sum()))
    ever = _EverSuspected(labeller, settings.min_distance_m)
    likely = ENOUGH_CANDIDATES * wanted / max(n_cells, 1)
    chosen = np.empty((3, 0), np.int64)
    for share in (likely, 1.0) if likely < 1 else (1.0,):
        if chosen.shape[1] < wanted:
            below = np.uint64(int(share * MAX_HASH) if share < 1 else MAX_HASH)
            chosen = _candidates(known, inside, ever, block_cells, seed, wanted, below)
    row, col, _ = chosen
    return replace(
        _nothing(known.grid, len(row)),
        row=row.astype(np.int32),
        col=col.astype(np.int32),
        weight=np.full(len(row), settings.weight, np.float32),
    )


def _candidates(
    known: LabelledCells,
    inside: InsideTest,
    ever: _EverSuspected,
    block_cells: int,
    seed: int,
    wanted: int,
    below: np.uint64,
) -> NDArray[np.int64]:
    """Return row, column and hash of up to `wanted` cells whose hash is not above `below`."""
    grid = known.grid
    taken = known.row.astype(np.int64) * grid.n_cols + known.col
    drawn = [np.empty((3, 0), np.int64)]
    for block in grid.blocks(block_cells):
        row, col = np.nonzero(inside(block))
        rank = cell_hash(block, row, col, seed, _BACKGROUND)
        low = rank <= below
        row, col, rank = row[low], col[low], rank[low]
        may = ~ever.near(block, row, col)
        down, across = block.offset_in(grid)
        row, col, rank = row[may] + down, col[may] + across, rank[may]
        free = ~_in_sorted(row * grid.n_cols + col, taken)
        drawn.append(np.stack([row[free], col[free], rank[free].view(np.int64)]))
        if sum(part.shape[1] for part in drawn) > 2 * wanted + 1:
            drawn = [_smallest(np.concatenate(drawn, axis=1), wanted)]
            below = drawn[0][2].view(np.uint64).max(initial=np.uint64(0))
    return _smallest(np.concatenate(drawn, axis=1), wanted)


def _in_sorted(values: NDArray[np.int64], ascending: NDArray[np.int64]) -> NDArray[np.bool_]:
    if len(ascending) == 0:
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.equal(ascending[place], values)


def _smallest(drawn: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Return the `wanted` columns of the smallest hashes (row 2, unsigned)."""
    order = np.lexsort((drawn[1], drawn[0], drawn[2].view(np.uint64)))
    return drawn[:, order[:wanted]]


class _EverSuspected:
    """Tells which cells lie on, or too near to, land that was ever suspected.

    Such land is every hazard area, accident and clearance record (land is released only
    because it was once suspected), whatever the label rules make of it.
    """

    def __init__(self, labeller: Labeller, min_distance_m: float) -> None:
        records = labeller.records
        tables = (records.hazard_areas, records.accidents, records.clearance)
        geometries = np.concatenate([np.asarray(t.geometry.array, dtype=object) for t in tables])
        self.tree = shapely.STRtree(geometries[~shapely.is_missing(geometries)])
        self.min_distance_m = min_distance_m

    def near(
        self, grid: SurveyGrid, row: NDArray[np.int64], col: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return which cells such land touches, or comes nearer to their centre."""
        answer = np.zeros(len(row), bool)
        around = shapely.box(*grid.expanded(1).bounds).buffer(self.min_distance_m)
        if len(row) == 0 or len(self.tree.query(around)) == 0:
            return answer
        easting, northing = grid.centres(row, col)
        half_m = grid.cell_size_m / 2
        squares = shapely.box(
            easting - half_m, northing - half_m, easting + half_m, northing + half_m
        )
        answer[self.tree.query(squares, predicate="intersects")[0]] = True
        if self.min_distance_m > 0:
            centres = shapely.points(easting, northing)
            near = self.tree.query(centres, predicate="dwithin", distance=self.min_distance_m)
            answer[near[0]] = True
        return answer


# -------------------------------------------------------------------------- thinning


def _thinned(cells: LabelledCells, max_cells: int | None, seed: int) -> LabelledCells:
    """Return at most `max_cells`, drawn at random within outcome, in the same order."""
    if max_cells is None or len(cells) <= max_cells:
        return cells
    rank = cell_hash(cells.grid, cells.row, cells.col, seed, _THINNING)
    outcomes, n_each = np.unique(cells.outcome, return_counts=True)
    share = n_each * (max_cells / len(cells))
    n_kept = np.maximum(np.floor(share).astype(int), 1)
    n_kept[n_kept.argmax()] -= max(int(n_kept.sum()) - max_cells, 0)
    spare = max_cells - int(n_kept.sum())
    n_kept[np.argsort(np.floor(share) - share, kind="stable")[:spare]] += 1
    keep = np.zeros(len(cells), bool)
    for outcome, n in zip(outcomes, n_kept, strict=True):
        members = np.flatnonzero(cells.outcome == outcome)
        keep[members[np.argsort(rank[members], kind="stable")[:n]]] = True
    return cells.take(keep)
