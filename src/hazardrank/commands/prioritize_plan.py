"""What ``python -m prioritize`` plans with ranked tasks: nothing, a season, or survey."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.priority.criteria.base import check_consequence_layer
from hazardrank.priority.land import TaskLand
from hazardrank.priority.measure import MeasuredBlock, labels_of
from hazardrank.priority.plan_compare import table_changes
from hazardrank.priority.plan_inputs import season_problem
from hazardrank.priority.plan_season import SeasonPlan, plan_season
from hazardrank.priority.ranked_table import criterion_weights, harm_ha, rounded
from hazardrank.priority.survey_plan import COLUMNS as SURVEY_COLUMNS
from hazardrank.priority.survey_plan import SurveyTotals, plan_survey, plan_words
from hazardrank.priority.survey_units import (
    SurveyUnits,
    square_units,
    task_units,
    village_units,
)
from hazardrank.priority.tasks_totals import Totals
from hazardrank.reporting import palette
from hazardrank.reporting.priority_files import Layer, csv_parts, geojson_parts
from hazardrank.reporting.qgis_styles import LayerStyle, StyleClass
from hazardrank.settings import PlanSettings, SurveyPlanSettings

if TYPE_CHECKING:
    from hazardrank.commands.prioritize_case import Case, RankedTasks

SEASON_CSV, CHANGES_CSV = "season_plan.csv", "season_plan_changes.csv"
SURVEY_GPKG, SURVEY_CSV, SURVEY_GEOJSON = (
    "survey_plan.gpkg",
    "survey_plan.csv",
    "survey_plan.geojson",
)

#: Column → what it holds, in the layer and sheet ``plan`` of a season.
SEASON_COLUMNS = {
    "task_id": "the task",
    "team": "team that does it",
    "method": "its clearance method",
    "place": "1 for the team's first task, and so on",
    "start": "first day of work",
    "end": "last day of work",
    "team_days": "team-days by this team, with season and the daily way",
    "harm_averted": "expected harm that the plan averts there, in hectares of full consequence",
    "deadline": "day of the nearest return plan, where deadlines are asked for",
    "late": "whether it is finished after the deadline",
    "district": "district of the task",
    "area_m2": "area of the task",
    "rank": "rank of the task",
    "band": "band of the task",
}


@dataclass(frozen=True)
class PlanOutcome:
    """What planning adds to the outputs; nothing unless something is planned.

    Parameters
    ----------
    layers : mapping of str to Layer
        Further layers of the tasks' GeoPackage.
    sheets : mapping of str to DataFrame
        Further sheets of the spreadsheet.
    columns : mapping of str to str
        What their columns hold.
    own_layers : mapping of str to mapping of str to Layer
        Further GeoPackages by file name.
    tables : mapping of str to DataFrame
        Further tables by file name; those for GeoJSON have a geometry.
    lines : tuple of str
        What to print.
    facts : mapping
        What goes into the summary file.
    """

    layers: Mapping[str, Layer] = field(default_factory=dict)
    sheets: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    own_layers: Mapping[str, Mapping[str, Layer]] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def contents(self, provenance: Mapping[str, str]) -> dict[str, Iterator[bytes]]:
        """Return the further tables as files."""
        return {
            name: geojson_parts(table, provenance)
            if isinstance(table, gpd.GeoDataFrame) and name.endswith(".geojson")
            else csv_parts(table)
            for name, table in self.tables.items()
        }


class Planner(Protocol):
    """Looks on while tasks are measured, then plans."""

    everywhere: bool
    """Whether land in no task is measured too."""

    def begin(self, case: Case, land: TaskLand) -> None:
        """Look at the tasks that have been drawn."""

    def add(self, block: MeasuredBlock) -> None:
        """Look at a block that has been measured."""

    def plan(self, case: Case, ranked: RankedTasks) -> PlanOutcome:
        """Plan with the ranked tasks."""


def planner_of(settings: PlanSettings | SurveyPlanSettings) -> Planner:
    """Return what plans as the settings ask."""
    if isinstance(settings, SurveyPlanSettings):
        return SurveyPlanner(settings)
    return SeasonPlanner(settings) if settings.used_teams else NoPlan()


class NoPlan:
    """Ranks are all that is asked for."""

    everywhere = False

    def begin(self, case: Case, land: TaskLand) -> None:
        """Do nothing."""

    def add(self, block: MeasuredBlock) -> None:
        """Do nothing."""

    def plan(self, case: Case, ranked: RankedTasks) -> PlanOutcome:
        """Return nothing to add."""
        return PlanOutcome()


# ------------------------------------------------------------------------------- a season


class SeasonPlanner:
    """Teams, dates and tasks of a season.

    Parameters
    ----------
    settings : PlanSettings
        The plan.
    """

    everywhere = False

    def __init__(self, settings: PlanSettings) -> None:
        self.settings = settings
        self._altitude: Totals | None = None

    def begin(self, case: Case, land: TaskLand) -> None:
        """Make room for altitudes, where winter closes high land.

        Raises
        ------
        PriorityError
            If altitudes are asked for and there is no elevation.
        """
        self._land, self._layers = land, case.layers
        self._elevation = case.settings.priority.effort.elevation
        if self.settings.winter:
            if self._elevation is None or self._elevation not in case.layers.catalogue:
                raise PriorityError(
                    "high land closes in winter, but the region has no layer "
                    f"'{self._elevation or 'elevation'}'",
                    where="plan.winter",
                    remedy="Set plan.winter=[], or name the layer in priority.effort.elevation.",
                )
            self._altitude = Totals.none(len(land.tasks))

    def add(self, block: MeasuredBlock) -> None:
        """Add up the altitudes of a block."""
        if self._altitude is not None and self._elevation is not None:
            altitude_m = self._layers.continuous(self._elevation, block.grid)
            self._altitude.add(labels_of(self._land.tasks, block.grid), altitude_m)

    def plan(self, case: Case, ranked: RankedTasks) -> PlanOutcome:
        """Plan the tasks whose gates are open.

        Raises
        ------
        PriorityError
            If a team, a locked task or a district is not known, or locked-in tasks do not fit.
        """
        earlier = _earlier_plan(case.settings.compare_with, ranked)
        season = self._season(case, ranked)
        table = _planned(season, ranked)
        changes = None if earlier is None else rounded(table_changes(earlier, season.tasks()))
        teams = {name: k for k, name in enumerate(dict.fromkeys(self.settings.used_teams))}
        colours = palette.TEAM_COLOURS
        classes = [StyleClass(name, name, colours[k % len(colours)]) for name, k in teams.items()]
        layer = Layer(table, SEASON_COLUMNS, LayerStyle("plan", "team", classes, "place"))
        sheets = {
            "plan": pd.DataFrame(table.drop(columns="geometry")),
            "plan teams": rounded(season.teams()),
            "plan compared": rounded(season.comparison()),
            **({} if changes is None else {"plan changes": changes}),
        }
        return PlanOutcome(
            {"plan": layer} if len(table) else {},
            sheets,
            {f"plan: {name}": text for name, text in SEASON_COLUMNS.items()},
            tables={SEASON_CSV: table, **({} if changes is None else {CHANGES_CSV: changes})},
            lines=(*_season_words(season, self.settings.label), *_change_words(changes)),
            facts=_season_facts(season, self.settings.label),
        )

    def _season(self, case: Case, ranked: RankedTasks) -> SeasonPlan:
        opened = np.flatnonzero(ranked.decision.open)
        table, land = ranked.table.iloc[opened], ranked.gathered.alternatives
        effort = ranked.totals.effort(case.settings.tasks.min_usable_share)
        distance = table.get("place_distance_m")
        problem = season_problem(
            table["task_id"].to_numpy(),
            settings=self.settings,
            effort=case.settings.priority.effort,
            harm=harm_ha(land, ranked.priorities)[opened],
            area_m2=table["area_m2"].to_numpy(),
            easting_m=table["easting_m"].to_numpy(),
            northing_m=table["northing_m"].to_numpy(),
            methods=effort.methods,
            team_days=effort.total_days[:, opened],
            crs=case.layers.grid.crs,
            district=table["district"].to_numpy(),
            altitude_m=None if self._altitude is None else self._altitude.mean[opened],
            distance_m=None if distance is None else distance.to_numpy(),
            outlines=table.geometry.to_numpy(),
            layers=case.layers,
        )
        return plan_season(problem, self.settings, rank=ranked.priorities.rank[opened])


def _planned(season: SeasonPlan, ranked: RankedTasks) -> gpd.GeoDataFrame:
    """Return the planned tasks with rank, band and outline."""
    plan = season.tasks()
    place = pd.Index(ranked.table["task_id"]).get_indexer(pd.Index(plan["task_id"]))
    table = plan.assign(
        rank=ranked.priorities.rank[place],
        band=ranked.bands[place],
        deadline=plan["deadline"].dt.strftime("%Y-%m-%d").fillna(""),
        start=plan["start"].dt.strftime("%Y-%m-%d"),
        end=plan["end"].dt.strftime("%Y-%m-%d"),
    )
    geometry = ranked.table.geometry.to_numpy()[place]
    return gpd.GeoDataFrame(rounded(table), geometry=geometry, crs=ranked.table.crs)


def _earlier_plan(folder: Path | None, ranked: RankedTasks) -> pd.DataFrame | None:
    """Read the plan of an earlier run, if one is named."""
    if folder is None:
        return None
    path = folder.expanduser() / SEASON_CSV
    remedy = "Give compare_with=DIR, the output folder of a run with plan=season."
    if not path.is_file():
        raise PriorityError("there is no such file", where=path, remedy=remedy)
    table = pd.read_csv(path, keep_default_na=False)
    missing = [name for name in SEASON_COLUMNS if name not in table]
    if missing:
        raise PriorityError(f"lacks the columns {', '.join(missing)}", where=path, remedy=remedy)
    n_foreign = int((~table["task_id"].isin(ranked.table["task_id"])).sum())
    if n_foreign:
        raise PriorityError(
            f"{n_foreign} of {len(table)} planned tasks are no tasks of this run",
            where=path,
            remedy="Compare plans of runs with the same maps and the same settings of tasks.",
        )
    return table


def _change_words(changes: pd.DataFrame | None) -> list[str]:
    """Say who gains and who waits by going from the earlier plan to this one."""
    if changes is None:
        return []
    lines = ["From the earlier plan to this one:"]
    for row in changes.to_dict("records"):
        lines.append(
            f"  {row['district'] or 'no district'} {row['verdict']}: {row['tasks_gained']} tasks "
            f"more, {row['tasks_waiting']} wait, {row['harm_change']:+.3g} ha of full consequence"
        )
    return lines


def _season_words(season: SeasonPlan, label: str) -> list[str]:
    plan = season.tasks()
    lines = [
        f"Plan '{label}': {len(plan)} tasks, {plan['area_m2'].sum() / 1e4:,.0f} ha, averting "
        f"{season.averted:.3g} ha of full consequence; no plan averts more than {season.bound:.3g} "
        f"(gap {season.gap:.2%})"
    ]
    for row in season.comparison().to_dict("records"):
        lines.append(
            f"  {str(row['plan']).replace('_', ' ')}: {row['tasks']} tasks, averts "
            f"{row['harm_averted']:.3g}, {row['share_of_bound']:.0%} of the bound"
        )
    for row in season.teams().to_dict("records"):
        lines.append(
            f"  {row['team']} ({row['method']}): {row['tasks']} tasks, {row['team_days']:,.0f} of "
            f"{row['capacity']:,.0f} team-days"
        )
    return [*lines, *(f"Plan: {note}" for note in season.notes)]


def _season_facts(season: SeasonPlan, label: str) -> dict[str, Any]:
    return {
        "kind": "season",
        "label": label,
        "solver": season.solver,
        "averted_ha": season.averted,
        "bound_ha": season.bound,
        "gap": season.gap,
        "comparison": season.comparison().to_dict("records"),
        "teams": season.teams().to_dict("records"),
        "notes": list(season.notes),
    }


# --------------------------------------------------------------------------------- survey


class SurveyPlanner:
    """Where non-technical survey would change decisions most, and a share drawn at random.

    Parameters
    ----------
    settings : SurveyPlanSettings
        The plan.
    """

    everywhere = True

    def __init__(self, settings: SurveyPlanSettings) -> None:
        self.settings = settings

    def begin(self, case: Case, land: TaskLand) -> None:
        """Cut the area into units.

        Raises
        ------
        PriorityError
            If squares are no whole number of cells, or there is no settlement.
        """
        grid = case.layers.grid
        self._totals = SurveyTotals(self._units(case, land), self.settings, grid.cell_area_m2)
        self._weights = criterion_weights(case.consequence.names, case.weights)

    def add(self, block: MeasuredBlock) -> None:
        """Add up the units' cells of a block."""
        consequence = np.tensordot(self._weights, block.values, 1)
        self._totals.add(
            block.grid, block.maps.likelihood, block.unsurveyed, consequence, block.inside
        )

    def plan(self, case: Case, ranked: RankedTasks) -> PlanOutcome:
        """Choose units by what survey could tell, and at random.

        Raises
        ------
        PriorityError
            If no unit holds land.
        """
        seed = case.settings.seed
        table = plan_survey(self._totals, self.settings, case.layers.grid.crs, seed=seed)
        classes = [
            StyleClass("value", "for what survey could tell", palette.URGENT),
            StyleClass("random", "drawn at random: survey all of them", palette.MEDIUM),
            StyleClass("none", "not selected – NOT released", palette.IN_NO_TASK),
        ]
        style = LayerStyle("survey_plan", "selected_by", classes, "value_rank")
        chosen = table[table["selected_by"] != "none"]
        words = plan_words(table, self.settings)
        return PlanOutcome(
            sheets={"survey plan": pd.DataFrame(chosen.drop(columns="geometry"))},
            columns={f"survey plan: {name}": text for name, text in SURVEY_COLUMNS.items()},
            own_layers={SURVEY_GPKG: {"survey_plan": Layer(table, SURVEY_COLUMNS, style)}},
            tables={SURVEY_CSV: chosen, SURVEY_GEOJSON: chosen},
            lines=tuple(f"Plan '{self.settings.label}': {word}" for word in words),
            facts={"kind": "survey", "label": self.settings.label, "words": words},
        )

    def _units(self, case: Case, land: TaskLand) -> SurveyUnits:
        if self.settings.by == "tasks":
            return task_units(land.tasks)
        if self.settings.by == "squares":
            return square_units(case.layers.grid, self.settings.unit_m)
        places, names = _settlements(case, self.settings.settlements)
        return village_units(case.layers.grid, places, names, self.settings.reach_m)


def _settlements(case: Case, key: str) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    check_consequence_layer("plan.settlements", key, case.layers.catalogue)
    table = case.layers.vectors(key, case.layers.grid.bounds)
    places = shapely.get_coordinates(shapely.centroid(table.geometry.to_numpy()))
    named = table["name"] if "name" in table else pd.Series([""] * len(table), dtype=object)
    names = np.array([name if isinstance(name, str) else "" for name in named], dtype=object)
    return places, names
