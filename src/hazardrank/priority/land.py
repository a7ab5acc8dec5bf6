"""From likelihood maps to clearance tasks: which land is in, and what tasks keep to.

Tasks are drawn by likelihood alone. Weights, criteria, effort and gates do not move their
outlines, so that two ways to set priorities rank the same tasks and can be compared one by
one; only a new likelihood map, or new borders, draws tasks anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from hazardrank.errors import PriorityError
from hazardrank.features.segments import chosen, require_kind
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import check_consequence_layer
from hazardrank.priority.gather import Unjudged
from hazardrank.priority.likelihood_maps import LikelihoodMaps
from hazardrank.priority.tasks import NONE, Tasks, candidate_cells, make_tasks
from hazardrank.priority.tasks_barriers import barrier_edges
from hazardrank.priority.tasks_compartments import IntRaster
from hazardrank.records import OUTCOME_CODES, HazardKind, HazardRecords, HazardStatus, Outcome
from hazardrank.scoring.map_files import STATUS_NODATA
from hazardrank.settings import TaskSettings
from hazardrank.sources.layers import LayerReader

#: Land that the model cannot judge may be as likely as this share of the judged land is.
UNJUDGED_RANGE = (0.05, 0.95)
#: Likelihood of land that cannot be judged, at least.
LEAST_UNJUDGED = 0.01


@dataclass(frozen=True, eq=False)
class TaskLand:
    """The tasks, and the land that they were drawn on.

    Parameters
    ----------
    tasks : Tasks
        The tasks.
    on_record : ndarray of bool, shape (rows, cols)
        Land in an open hazard area and not released: roads across it count as closed.
    district_names, hazard_names : mapping of int to str
        What the tasks' districts and hazard areas are called.
    unjudged : Unjudged
        What land counts as that the model cannot judge.
    n_area, n_released, n_unjudged, n_left_out : int
        Cells of the area; released ones; those that the model cannot judge; those that are in
        no task though not released.
    skipped : tuple of str
        One sentence for each thing that was not looked at.
    """

    tasks: Tasks
    on_record: NDArray[np.bool_]
    district_names: Mapping[int, str]
    hazard_names: Mapping[int, str]
    unjudged: Unjudged
    n_area: int
    n_released: int
    n_unjudged: int
    n_left_out: int
    skipped: tuple[str, ...]


def draw_tasks(
    maps: LikelihoodMaps,
    layers: LayerReader,
    records: HazardRecords,
    settings: TaskSettings,
    block_cells: int,
    on_block: Callable[[int], None],
) -> TaskLand:
    """Choose the land and draw tasks on it.

    Parameters
    ----------
    maps : LikelihoodMaps
        Likelihood and survey status, read block by block.
    layers : LayerReader
        Districts, roads, rivers.
    records : HazardRecords
        Hazard areas.
    settings : TaskSettings
        Every choice.
    block_cells : int
        Side of the blocks in which maps are read.
    on_block : callable
        Called with 1 after each block.

    Raises
    ------
    PriorityError
        If no cell is left for a task, or a layer is absent or for the likelihood only.
    """
    grid = layers.grid
    skipped: list[str] = []
    areas = open_areas(records)
    hazard_id = _numbered(grid, areas, keep_small=True)
    likelihood, candidate, counts = _choose(maps, settings, hazard_id, block_cells, on_block)
    if not candidate.any():
        raise PriorityError(
            f"of {counts['area']:,} cells of the area none is left for a task "
            f"({counts['released']:,} are released)",
            where="tasks.candidates",
            remedy="Lower tasks.candidates.min_likelihood, or set tasks.candidates.released: "
            "true to task released land again.",
        )
    districts = _districts(settings, layers, skipped)
    tasks = make_tasks(
        grid,
        likelihood,
        candidate,
        settings,
        district=None if districts is None else _numbered(grid, districts),
        hazard_id=hazard_id if settings.hazard_areas else None,
        blocked=barrier_edges(grid, _barriers(settings, layers, skipped)),
    )
    return TaskLand(
        tasks,
        candidate & (hazard_id != NONE),
        {} if districts is None else dict(enumerate(_names(districts))),
        dict(enumerate(areas["record_id"].astype(str))),
        _unjudged(likelihood[candidate]),
        counts["area"],
        counts["released"],
        counts["unjudged"],
        counts["left_out"],
        tuple(skipped),
    )


def open_areas(records: HazardRecords) -> gpd.GeoDataFrame:
    """Return the hazard areas that still stand, confirmed ones first, else as recorded.

    Areas of which the status is not known stand.
    """
    table = records.hazard_areas
    table = table[(table["status"] != HazardStatus.CLOSED).to_numpy(dtype=bool)]
    order = np.argsort((table["kind"] != HazardKind.CHA).to_numpy(dtype=bool), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def _choose(
    maps: LikelihoodMaps,
    settings: TaskSettings,
    hazard_id: IntRaster,
    block_cells: int,
    on_block: Callable[[int], None],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], dict[str, int]]:
    """Read the maps; return likelihood, candidates and counts of cells."""
    likelihood = np.full(maps.grid.shape, np.nan, np.float32)
    candidate = np.zeros(maps.grid.shape, bool)
    counts = dict.fromkeys(("area", "released", "unjudged", "left_out"), 0)
    for block in maps.grid.blocks(block_cells):
        row, col = block.offset_in(maps.grid)
        here = np.s_[row : row + block.n_rows, col : col + block.n_cols]
        read = maps.read(block)
        inside = read.status != STATUS_NODATA
        released = inside & (read.status == OUTCOME_CODES[Outcome.RELEASED])
        candidate[here] = candidate_cells(
            settings.candidates,
            read.likelihood,
            inside=inside,
            in_hazard_area=hazard_id[here] != NONE,
            released=released,
        )
        likelihood[here] = read.likelihood
        counts["area"] += int(inside.sum())
        counts["released"] += int(released.sum())
        counts["unjudged"] += int((inside & np.isnan(read.likelihood)).sum())
        counts["left_out"] += int((inside & ~released & ~candidate[here]).sum())
        on_block(1)
    return likelihood, candidate, counts


def _unjudged(likelihood: NDArray[np.float32]) -> Unjudged:
    """Return what land counts as that the model cannot judge: the mean of what it can."""
    known = likelihood[~np.isnan(likelihood)]
    if not len(known):
        raise PriorityError(
            "the map gives no land a likelihood, so nothing tells tasks apart",
            where="maps",
            remedy="Score the region with a model that knows land like it.",
        )
    mean = max(float(known.mean(dtype=np.float64)), LEAST_UNJUDGED)
    low, high = (float(end) for end in np.quantile(known, UNJUDGED_RANGE))
    return Unjudged(min(mean, 1.0), min(low, mean), max(high, mean))


# ---------------------------------------------------------------------- what tasks keep to


def _numbered(grid: SurveyGrid, table: gpd.GeoDataFrame, keep_small: bool = False) -> IntRaster:
    """Return the number of the polygon that each cell's centre lies in, the first of several.

    With `keep_small`, polygons that hold no centre have the cell they lie in, if it is in no
    other.
    """
    number = np.full(grid.shape, NONE, np.int32)
    shapes = table.geometry.to_numpy()
    near = np.flatnonzero(shapely.intersects(shapes, shapely.box(*grid.bounds)))
    if len(near):
        pairs = [(shapes[k], int(k)) for k in near[::-1]]
        rasterize(pairs, out=number, transform=grid.transform)
    if keep_small and len(near):
        _keep_small(grid, shapes, np.setdiff1d(near, number), number)
    return number


def _keep_small(
    grid: SurveyGrid, shapes: NDArray[np.object_], small: NDArray[np.integer], number: IntRaster
) -> None:
    points = shapely.get_coordinates(shapely.point_on_surface(shapes[small]))
    row, col = grid.cells_of(points[:, 0], points[:, 1])
    inside = (row >= 0) & (row < grid.n_rows) & (col >= 0) & (col < grid.n_cols)
    for r, c, k in zip(row[inside], col[inside], small[inside], strict=True):
        if number[r, c] == NONE:
            number[r, c] = k


def _districts(
    settings: TaskSettings, layers: LayerReader, skipped: list[str]
) -> gpd.GeoDataFrame | None:
    key = settings.districts
    if key is None:
        return None
    if key not in layers.catalogue:
        skipped.append(f"tasks may lie across district borders: the region has no layer {key}")
        return None
    check_consequence_layer("tasks.districts", key, layers.catalogue)
    require_kind("tasks.districts", layers.catalogue[key], "polygons")
    return layers.vectors(key, layers.grid.bounds).reset_index(drop=True)


def _names(districts: gpd.GeoDataFrame) -> list[str]:
    if "name" in districts:
        return [str(name) for name in districts["name"]]
    return [f"district {number}" for number in range(len(districts))]


def _barriers(
    settings: TaskSettings, layers: LayerReader, skipped: list[str]
) -> NDArray[np.object_]:
    """Return all lines and polygons that no task may lie across."""
    found = []
    for name, barrier in settings.barriers.items():
        if barrier is None:
            continue
        path, key = f"tasks.barriers.{name}", barrier.layer
        if key not in layers.catalogue and barrier.when_absent == "skip":
            skipped.append(f"tasks may lie across {name}: the region has no layer {key}")
            continue
        check_consequence_layer(path, key, layers.catalogue)
        require_kind(path, layers.catalogue[key], "lines", "polygons")
        table = layers.vectors(key, layers.grid.bounds)
        kept = chosen(table, barrier.where, f"{path}.where")
        found.append(table.geometry.to_numpy()[kept])
    return np.concatenate(found) if found else np.empty(0, dtype=object)
