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
#: Cells drawn at random for each background cell wanted, of which `hard` and
#: `propensity_matched` choose.
POOL = 20
#: Strata of distance in which background matches contaminated cells.
N_STRATA = 5
MAX_HASH = 2**64 - 1

InsideTest = Callable[[SurveyGrid], NDArray[np.bool_]]
DistanceTo = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Easting and northing of points → their distance in metres to the nearest of a layer."""

#: What a block's labels and labelled cells have in common.
_LABELS = ("outcome", "weight", "hazard_id", "decided", "rule", "historical")

#: Streams of the hash, so that one draw says nothing of another.
_BACKGROUND, _THINNING, _CHOICE, _SAMPLE = 1, 2, 3, 4


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
    match_distance: DistanceTo | None = None,
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
    match_distance : callable, optional
        Distance to the layer that ``propensity_matched`` background goes by.

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
            cells, n_cells, inside, labeller, settings.background, block_cells, seed, match_distance
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
    match_distance: DistanceTo | None,
) -> LabelledCells:
    """Return the wanted number of background cells.

    Uniform and buffered: those of the smallest hashes. The other kinds choose among a pool
    of :data:`POOL` times as many drawn so.
    """
    wanted = round(settings.per_contaminated * int(known.contaminated.sum()))
    furthest_m = settings.max_distance_m if settings.sampling == "buffered" else None
    ever = _EverSuspected(labeller, settings.min_distance_m, furthest_m)
    chooses = settings.sampling in ("hard", "propensity_matched")
    pool = (POOL if chooses else 1) * wanted
    drawn = _pool(known, n_cells, inside, ever, block_cells, seed, pool)
    if settings.sampling == "hard":
        drawn = _nearest_likeliest(known.grid, drawn, ever, settings.hard_distance_m, seed, wanted)
    elif settings.sampling == "propensity_matched":
        if match_distance is None:
            raise LabelError(
                "background is to be matched on the distance to a layer, and none is given",
                where="labels.background.match_layer",
            )
        drawn = _matched(known, drawn, match_distance, wanted)
    row, col, _ = drawn
    return replace(
        _nothing(known.grid, len(row)),
        row=row.astype(np.int32),
        col=col.astype(np.int32),
        weight=np.full(len(row), settings.weight, np.float32),
    )


def sample_cells(
    grid: SurveyGrid, inside: InsideTest, n_cells: int, block_cells: int, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return row and column of at most `n_cells` cells of the area, drawn at random.

    The cells of the smallest hashes, in order of row and column, whatever the tiling.
    """
    drawn = np.empty((3, 0), np.int64)
    for block in grid.blocks(block_cells):
        row, col = np.nonzero(inside(block))
        rank = cell_hash(block, row, col, seed, _SAMPLE)
        down, across = block.offset_in(grid)
        here = np.stack([row + down, col + across, rank.view(np.int64)])
        drawn = _smallest(np.concatenate([drawn, here], axis=1), n_cells)
    row, col = drawn[:2, np.lexsort((drawn[1], drawn[0]))]
    return row.astype(np.int32), col.astype(np.int32)


def _nearest_likeliest(
    grid: SurveyGrid,
    pool: NDArray[np.int64],
    ever: _EverSuspected,
    distance_m: float,
    seed: int,
    wanted: int,
) -> NDArray[np.int64]:
    """Return cells drawn without replacement with weights ``exp(-distance / distance_m)``.

    Efraimidis & Spirakis 2006, *Weighted random sampling with a reservoir*, Information
    Processing Letters 97: the smallest of ``-log(u) / weight``, here in logarithms.
    """
    row, col, _ = pool
    uniform = (cell_hash(grid, row, col, seed, _CHOICE) + 0.5) / 2.0**64
    away_m = ever.distance_m(*grid.centres(row, col))
    key = np.log(-np.log(np.clip(uniform, 1e-300, 1 - 1e-16))) + away_m / distance_m
    return pool[:, np.lexsort((col, row, key))[:wanted]]


def _matched(
    known: LabelledCells, pool: NDArray[np.int64], distance_to: DistanceTo, wanted: int
) -> NDArray[np.int64]:
    """Return the cells of the smallest hashes in each stratum of distance to a layer.

    Strata hold equal numbers of contaminated cells, so equal numbers are drawn from each.
    Where a stratum has fewer, all of it is taken and the others do not make up for it.
    """
    contaminated = known.take(np.flatnonzero(known.contaminated))
    own_m = distance_to(contaminated.easting, contaminated.northing)
    edges = np.quantile(own_m, np.linspace(0, 1, N_STRATA + 1)[1:-1])
    share = np.bincount(np.searchsorted(edges, own_m), minlength=N_STRATA) / len(own_m)
    away_m = distance_to(*known.grid.centres(pool[0], pool[1]))
    stratum = np.searchsorted(edges, away_m)
    # No contaminated cell lies further than the last of them: nor does background.
    stratum[away_m > own_m.max()] = N_STRATA
    return np.concatenate(
        [
            _smallest(pool[:, stratum == number], round(wanted * share[number]))
            for number in range(N_STRATA)
        ],
        axis=1,
    )


def _pool(
    known: LabelledCells,
    n_cells: int,
    inside: InsideTest,
    ever: _EverSuspected,
    block_cells: int,
    seed: int,
    wanted: int,
) -> NDArray[np.int64]:
    """Return row, column and hash of the `wanted` cells of the smallest hashes.

    Cells are first looked for among the smallest hashes only, as far as should suffice,
    and among all if that was not enough: the answer is the same.
    """
    likely = ENOUGH_CANDIDATES * wanted / max(n_cells, 1)
    chosen = np.empty((3, 0), np.int64)
    for share in (likely, 1.0) if likely < 1 else (1.0,):
        if chosen.shape[1] < wanted:
            below = np.uint64(int(share * MAX_HASH) if share < 1 else MAX_HASH)
            chosen = _candidates(known, inside, ever, block_cells, seed, wanted, below)
    return chosen


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
        may = ever.allows(block, row, col)
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

    def __init__(
        self, labeller: Labeller, min_distance_m: float, max_distance_m: float | None = None
    ) -> None:
        records = labeller.records
        tables = (records.hazard_areas, records.accidents, records.clearance)
        geometries = np.concatenate([np.asarray(t.geometry.array, dtype=object) for t in tables])
        self.tree = shapely.STRtree(geometries[~shapely.is_missing(geometries)])
        self.min_distance_m = min_distance_m
        self.max_distance_m = max_distance_m

    def allows(
        self, grid: SurveyGrid, row: NDArray[np.int64], col: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return which cells may be background: neither too near nor too far."""
        may = ~self.near(grid, row, col)
        if self.max_distance_m is not None:
            may &= self.distance_m(*grid.centres(row, col)) <= self.max_distance_m
        return may

    def distance_m(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the distance of points to the nearest such land; infinite where there is none."""
        if len(self.tree) == 0 or len(easting) == 0:
            return np.full(len(easting), np.inf)
        points = shapely.points(easting, northing)
        found, distance_m = self.tree.query_nearest(points, all_matches=False, return_distance=True)
        away_m = np.full(len(easting), np.inf)
        away_m[found[0]] = distance_m
        return away_m

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
