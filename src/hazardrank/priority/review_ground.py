"""What teams found in a season, beside what the ranking had said of the same cells.

Outcomes come from records of the season alone, by the label rules. What was known before
is for the ranking by distance to known hazard, which is asked of the same ground. Records
without a date cannot be placed: they are no outcome of the season, but open to the distance
ranking, so that it is not made to look worse than it would have been.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from hazardrank.errors import LayerError
from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import grid_of, read_values
from hazardrank.labels.cells import LabelledCells
from hazardrank.labels.outcomes import Labeller
from hazardrank.records import EVENT_DATES, HazardRecords
from hazardrank.settings import LabelSettings
from hazardrank.validation.baselines import FoldView, distance_to_known_hazard
from hazardrank.validation.training_set import TrainingSet

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Index = NDArray[np.int64]

#: Layer of a survey plan's GeoPackage, and its columns that the review needs.
PLAN_LAYER = "survey_plan"
PLAN_COLUMNS = ("unit_id", "selected_by", "stratum", "selection_probability")


@dataclass(frozen=True)
class Season:
    """A season's records, and all before it.

    Parameters
    ----------
    found : HazardRecords
        Records of the season.
    known : HazardRecords
        Records of earlier days, and those without a date.
    n_undated : int
        Records without a date.
    """

    found: HazardRecords
    known: HazardRecords
    n_undated: int

    @classmethod
    def of(cls, records: HazardRecords, since: date) -> Season:
        """Part records by the day they say something happened."""
        first, found, known, n_undated = pd.Timestamp(since), {}, {}, 0
        for name, column in EVENT_DATES.items():
            table = getattr(records, name)
            later = (table[column] >= first).to_numpy(dtype=bool)
            found[name], known[name] = table[later], table[~later]
            n_undated += int(table[column].isna().sum())
        return cls(
            HazardRecords(records.crs, **found), HazardRecords(records.crs, **known), n_undated
        )


@dataclass(frozen=True)
class WorkedGround:
    """Cells whose outcome teams found; arrays of shape (n_cells,) unless said otherwise.

    Parameters
    ----------
    cell_area_m2 : float
        Area of a cell.
    contaminated : ndarray of bool
        What was found.
    score : ndarray of float64
        The ranking's value, NaN where it has none.
    by_distance : ndarray of float64
        Nearness to the nearest cell that was known to be contaminated before the season.
    easting, northing : ndarray of float64
        Cell centres in metres.
    unit : ndarray of int64
        Unit of the survey plan each cell lies in; -1 for none.
    mapped : ndarray of float32, shape (n_mapped,)
        All values of the ranking, in ascending order.
    unit_cells : ndarray of int64, shape (n_units,)
        Cells of each unit of the survey plan.
    """

    cell_area_m2: float
    contaminated: Flags
    score: Values
    by_distance: Values
    easting: Values
    northing: Values
    unit: Index
    mapped: NDArray[np.float32]
    unit_cells: Index

    def __len__(self) -> int:
        return len(self.score)

    @property
    def ranked(self) -> Flags:
        """Cells that the ranking has a value for."""
        return ~np.isnan(self.score)


def read_plan(path: Path, crs: str) -> gpd.GeoDataFrame:
    """Read a survey plan.

    Raises
    ------
    LayerError
        If it cannot be read, is in another CRS, lacks a column or a probability.
    """
    try:
        plan = gpd.read_file(path, layer=PLAN_LAYER)
    except Exception as error:  # pyogrio raises several kinds
        raise LayerError(f"cannot be read ({error})", where=path) from None
    missing = [name for name in PLAN_COLUMNS if name not in plan]
    if missing:
        raise LayerError(
            f"there is no column '{missing[0]}'",
            where=path,
            remedy="Give survey_plan.gpkg as `python -m prioritize plan=survey` wrote it.",
        )
    if plan.crs is None or plan.crs != crs:
        raise LayerError(f"is in {plan.crs}, and the ranking in {crs}", where=path)
    chance = plan["selection_probability"].to_numpy(dtype=float)
    selected = (plan["selected_by"] != "none").to_numpy()
    if not ((chance >= 0) & (chance <= 1)).all() or (chance[selected] == 0).any():
        raise LayerError(
            "selection_probability must lie in 0–1, and above 0 for selected units", where=path
        )
    return plan


def worked_ground(
    ranking: Path,
    season: Season,
    labels: LabelSettings,
    block_cells: int,
    plan: gpd.GeoDataFrame | None = None,
    on_block: Callable[[int], None] | None = None,
) -> WorkedGround:
    """Gather the cells whose outcome teams found, block by block.

    Memory: 4 bytes for each cell of the map, and the worked cells.

    Parameters
    ----------
    ranking : Path
        Map that ranks; NaN where it says nothing.
    season : Season
        Records.
    labels : LabelSettings
        Rules from records to outcomes.
    block_cells : int
        Side of the blocks.
    plan : GeoDataFrame, optional
        Units of the survey plan, in the map's CRS.
    on_block : callable, optional
        Told of each block done.
    """
    grid = grid_of(ranking)
    found, known = Labeller(season.found, labels), Labeller(season.known, labels)
    n_units = 0 if plan is None else len(plan)
    mapped, unit_cells = [np.empty(0, np.float32)], np.zeros(n_units, np.int64)
    columns: list[NDArray[np.float64]] = [np.empty((5, 0))]
    hazards: list[Index] = [np.empty((2, 0), np.int64)]
    for block in grid.blocks(block_cells):
        values, outcome = read_values(ranking, block), found.block(block).outcome
        mapped.append(values[np.isfinite(values)])
        units = _units(plan, block)
        unit_cells += np.bincount(units[units >= 0], minlength=n_units)
        down, across = block.offset_in(grid)
        row, col = np.nonzero(outcome >= 0)
        columns.append(
            np.stack([row + down, col + across, outcome[row, col], values[row, col],
                      units[row, col]]).astype(np.float64)
        )  # fmt: skip
        there = np.nonzero(known.block(block).outcome == 1)
        hazards.append(np.stack([there[0] + down, there[1] + across]))
        if on_block is not None:
            on_block(1)
    row, col, outcome, score, unit = np.concatenate(columns, axis=1)
    places = np.stack([row, col]).astype(np.int64)
    easting, northing = grid.centres(places[0], places[1])
    return WorkedGround(
        grid.cell_area_m2,
        outcome == 1,
        score,
        nearness_to_known(grid, np.concatenate(hazards, axis=1), places),
        easting,
        northing,
        unit.astype(np.int64),
        np.sort(np.concatenate(mapped)),
        unit_cells,
    )


def _units(plan: gpd.GeoDataFrame | None, block: SurveyGrid) -> Index:
    """Return the plan's unit of each cell of a block, by its centre."""
    none = np.full(block.shape, -1, np.int64)
    if plan is None:
        return none
    near = np.sort(plan.sindex.query(shapely.box(*block.bounds)))
    if len(near) == 0:
        return none
    shapes = zip(plan.geometry.iloc[near], (near + 1).tolist(), strict=True)
    burnt = rasterize(shapes, block.shape, transform=block.transform, dtype="int32")
    units: Index = burnt.astype(np.int64) - 1
    return units


def nearness_to_known(grid: SurveyGrid, hazards: Index, asked: Index) -> Values:
    """Rank cells by nearness to cells known to be contaminated, as the baseline does.

    Parameters
    ----------
    grid : SurveyGrid
        The grid.
    hazards, asked : ndarray of int64, shape (2, n)
        Rows and columns of cells known to be contaminated, and of cells to rank.

    Returns
    -------
    ndarray of float64, shape (n_asked,)
        Higher is nearer; all alike where no cell is known to be contaminated.
    """
    places = np.concatenate([hazards, asked], axis=1)
    outcome = np.arange(places.shape[1]) < hazards.shape[1]
    cells = plain_cells(grid, places, outcome)
    training = TrainingSet(cells, (), np.empty((len(cells), 0), np.float32))
    number, n_known = np.arange(len(cells)), hazards.shape[1]
    view = FoldView(
        training, training.layer_features, number[:n_known], number[n_known:], "new_district"
    )
    return distance_to_known_hazard(view).score


def plain_cells(grid: SurveyGrid, places: Index, contaminated: Flags) -> LabelledCells:
    """Return cells of full weight that belong to no recorded hazard, without a date."""
    n_cells = places.shape[1]
    return LabelledCells(
        grid,
        places[0].astype(np.int32),
        places[1].astype(np.int32),
        outcome=contaminated.astype(np.int8),
        weight=np.ones(n_cells, np.float32),
        hazard_id=np.full(n_cells, -1, np.int64),
        decided=np.full(n_cells, np.datetime64("NaT"), "datetime64[D]"),
        rule=np.zeros(n_cells, np.int16),
        historical=np.zeros(n_cells, bool),
    )
