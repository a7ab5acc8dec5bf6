"""A region opened for ``python -m prioritize``, and its tasks ranked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from hazardrank.commands.prepare import CACHE_FOLDER, data_dir_of
from hazardrank.commands.prioritize_plan import Planner
from hazardrank.errors import LayerError, PriorityError
from hazardrank.priority.alternatives import Alternatives
from hazardrank.priority.consequence import ConsequenceSet, build_consequence
from hazardrank.priority.criteria.base import ConsequenceInputs
from hazardrank.priority.gates import GateDecision, GateSet, build_gates
from hazardrank.priority.gather import GatheredTasks
from hazardrank.priority.ground import GroundReader
from hazardrank.priority.land import TaskLand, draw_tasks
from hazardrank.priority.likelihood_maps import LikelihoodMaps, open_maps
from hazardrank.priority.measure import MeasuredBlock, Measures, measure_tasks
from hazardrank.priority.methods import rank
from hazardrank.priority.priorities import Priorities, prioritize
from hazardrank.priority.ranked_table import band_labels
from hazardrank.priority.tasks_table import TaskTotals, task_table
from hazardrank.priority.tasks_words import NearestPlace, nearest_places
from hazardrank.priority.weights import Weights
from hazardrank.records import HazardRecords
from hazardrank.reporting.progress import Progress
from hazardrank.settings import PlanSettings, PrioritizeSettings, SurveyPlanSettings
from hazardrank.sources.hazard_records import read_records
from hazardrank.sources.region import FileLayers, open_layers
from hazardrank.sources.vectors import MARGIN_M

TASK_ID = "task_id"


@dataclass(frozen=True)
class Case:
    """A region opened, with maps and choices that fit it."""

    settings: PrioritizeSettings
    layers: FileLayers
    records: HazardRecords
    maps: LikelihoodMaps
    consequence: ConsequenceSet
    ground: GroundReader
    gates: GateSet

    @classmethod
    def of(cls, settings: PrioritizeSettings) -> Case:
        """Open the region and its maps, and build criteria, effort and gates.

        Raises
        ------
        HazardRankError
            If something is missing or does not fit.
        """
        region, data_dir = settings.region, data_dir_of(settings)
        if region.table is not None:
            raise LayerError(
                "the region is a ready table of cells, without layers of who or what is affected",
                where=f"region {region.name}",
                remedy="Describe the region by layers, as in configs/region/simulated.yaml.",
            )
        _day_of(settings)
        records = read_records(region, data_dir)
        consequence = build_consequence(
            settings.priority.criteria, region.layers, has_records=len(records.accidents) > 0
        )
        margin_m = max(MARGIN_M, consequence.halo_m + 1000.0, _reach_m(settings.plan) + 1000.0)
        layers = open_layers(region, data_dir, Path(CACHE_FOLDER).absolute(), margin_m)
        return cls(
            settings,
            layers,
            records,
            open_maps(settings.maps.expanduser().absolute(), layers.grid),
            consequence,
            GroundReader(settings.priority.effort, region.layers, records),
            build_gates(settings.priority.gates, region.layers),
        )

    def __enter__(self) -> Case:
        return self

    def __exit__(self, *_: object) -> None:
        self.layers.close()

    @property
    def today(self) -> pd.Timestamp:
        """The day that returns, plans and accidents are seen from."""
        return _day_of(self.settings)

    @property
    def weights(self) -> Weights | None:
        """Weights of what the method weighs, ``None`` if it weighs nothing.

        Raises
        ------
        PriorityError
            If they do not fit the criteria.
        """
        names = self.consequence.names
        nothing = Alternatives(
            np.empty(0, np.str_), names, np.empty((0, len(names))), *np.empty((3, 0))
        )
        return rank(
            nothing, self.settings.priority, skipped=tuple(self.consequence.skipped)
        ).weights

    def notes(self, ranked: RankedTasks) -> list[str]:
        """Return what was not looked at, one sentence each."""
        skipped = [f"Not weighed: {text}" for text in self.consequence.skipped.values()]
        skipped += [f"Note: {text}" for text in (*self.ground.skipped, *ranked.land.skipped)]
        skipped += [f"Note: {text}" for text in (*self.gates.skipped, *ranked.unasked)]
        against = self.maps.origin.get("negatives", "")
        if "unlabelled" in against:
            skipped.append(
                f"Note: likelihood was learned against {against}, not against released land: its "
                "order counts, its size less"
            )
        if not self.maps.has_interval:
            skipped.append(
                "Note: the maps have no interval (model.interval), so that ranges of ranks come "
                "from weights and effort alone"
            )
        return skipped


def _day_of(settings: PrioritizeSettings) -> pd.Timestamp:
    day = settings.priority.today or settings.region.records_as_of
    if day is None:
        raise PriorityError(
            "it is not known from which day returns and accidents are to be seen",
            where="priority.today",
            remedy="Set priority.today=YYYY-MM-DD, or region.records_as_of.",
        )
    return pd.Timestamp(day)


def _reach_m(plan: PlanSettings | SurveyPlanSettings) -> float:
    """Return how far beyond the region a plan looks, in metres."""
    if isinstance(plan, SurveyPlanSettings):
        return 0.0
    return max([one.reach_m for one in (plan.deadlines, plan.access) if one is not None] or [0.0])


# -------------------------------------------------------------------------------- ranking


@dataclass(frozen=True)
class RankedTasks:
    """Tasks, what they hold, and their ranks."""

    land: TaskLand
    gathered: GatheredTasks
    totals: TaskTotals
    decision: GateDecision
    priorities: Priorities
    table: gpd.GeoDataFrame
    unasked: tuple[str, ...]

    @property
    def bands(self) -> NDArray[np.object_]:
        """Band of each task, as people read it."""
        return band_labels(self.priorities.band)


def rank_tasks(case: Case, planner: Planner, progress: Progress) -> RankedTasks:
    """Draw tasks, add up what they hold, ask the gates, and rank what is open.

    `planner` looks on, so that no block is measured twice.

    Raises
    ------
    HazardRankError
        If there is no task, or weights do not fit the criteria.
    """
    settings = case.settings
    land = _land(case, progress)
    planner.begin(case, land)
    gathered, totals = _measured(case, land, planner, progress)
    table = _table(case, land, totals)
    decision, unasked = _decide(case, gathered, table)
    skipped = tuple(case.consequence.skipped)
    with progress.stage("Ranking and drawing again", None, "draws"):
        priorities = prioritize(
            gathered.alternatives,
            settings.priority,
            decision,
            gathered.likelihood_low,
            gathered.likelihood_high,
            seed=settings.seed,
            unjudged_share=gathered.unjudged_share,
            skipped=skipped,
            threads=settings.compute.n_threads,
        )
    return RankedTasks(land, gathered, totals, decision, priorities, table, unasked)


def _land(case: Case, progress: Progress) -> TaskLand:
    block_cells = case.settings.compute.block_cells
    n_blocks = case.layers.grid.n_blocks(block_cells)
    with progress.stage("Drawing clearance tasks", n_blocks, "blocks") as advance:
        return draw_tasks(
            case.maps, case.layers, case.records, case.settings.tasks, block_cells, advance
        )


def _measured(
    case: Case, land: TaskLand, planner: Planner, progress: Progress
) -> tuple[GatheredTasks, TaskTotals]:
    settings = case.settings
    inputs = ConsequenceInputs(case.layers, case.today.date(), case.records, land.on_record)
    with progress.stage("Preparing consequence", None, "criteria"):
        consequence = case.consequence.prepare(inputs)
    measures = Measures(
        case.maps, case.layers, consequence, case.ground, settings.priority.effort, case.gates
    )
    block_cells, threads = settings.compute.block_cells, settings.compute.n_threads
    n_blocks = case.layers.grid.n_blocks(block_cells)
    with progress.stage("Measuring tasks", n_blocks, "blocks") as advance:

        def on_block(block: MeasuredBlock) -> None:
            planner.add(block)
            advance(1)

        return measure_tasks(
            land, measures, block_cells, threads, on_block, everywhere=planner.everywhere
        )


def _table(case: Case, land: TaskLand, totals: TaskTotals) -> gpd.GeoDataFrame:
    tasks = case.settings.tasks
    return task_table(
        totals,
        totals.effort(tasks.min_usable_share),
        district_names=land.district_names,
        hazard_names=land.hazard_names,
        places=_places(case, land),
    )


def _places(case: Case, land: TaskLand) -> NearestPlace | None:
    tasks = case.settings.tasks
    if tasks.settlements is None or tasks.settlements not in case.layers.catalogue:
        return None
    west, south, east, north = case.layers.grid.bounds
    reach_m = min(tasks.settlement_reach_m, case.layers.margin_m)
    around = (west - reach_m, south - reach_m, east + reach_m, north + reach_m)
    table = case.layers.vectors(tasks.settlements, around)
    if "name" not in table:
        return None
    names = [str(name) if isinstance(name, str) else None for name in table["name"]]
    shapes = np.asarray(shapely.force_2d(table.geometry.to_numpy()), dtype=object)
    return nearest_places(land.tasks.middles, shapes, names, tasks.settlement_reach_m)


def _decide(
    case: Case, gathered: GatheredTasks, table: gpd.GeoDataFrame
) -> tuple[GateDecision, tuple[str, ...]]:
    """Ask the gates; also say which ones could not be asked."""
    attributes = _attributes(case.settings.attributes, table)
    decision = case.gates.decide(
        gathered.open_share, attributes, np.isfinite(gathered.alternatives.team_days)
    )
    unasked = tuple(
        f"gate '{gate.label}' is not asked: tasks have no column {gate.attribute} (attributes=FILE)"
        for gate in case.gates.gates.values()
        if gate.attribute is not None and gate.attribute not in attributes.columns
    )
    return decision, unasked


def _attributes(path: Path | None, table: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return the table of tasks with the columns of a CSV file, by id."""
    plain = pd.DataFrame(table.drop(columns="geometry"))
    if path is None:
        return plain
    try:
        given = pd.read_csv(path.expanduser(), dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise PriorityError(
            f"cannot be read as CSV ({error})".replace("\n", " "), where=path
        ) from None
    if TASK_ID not in given or given[TASK_ID].duplicated().any():
        found = "names a task twice" if TASK_ID in given else f"has no column '{TASK_ID}'"
        raise PriorityError(
            found,
            where=path,
            remedy="Start from clearance_tasks.csv: one row for each task, with its task_id.",
        )
    if not given[TASK_ID].isin(plain[TASK_ID]).any():
        raise PriorityError(
            "names no task of this region and these maps",
            where=path,
            remedy="Take ids from clearance_tasks.csv of a run with the same maps and tasks.",
        )
    own = [name for name in given.columns if name not in plain.columns]
    merged: pd.DataFrame = plain.merge(given[[TASK_ID, *own]], on=TASK_ID, how="left")
    return merged.fillna({name: "" for name in own})
