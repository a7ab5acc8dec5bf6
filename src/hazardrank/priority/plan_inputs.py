"""From tasks, settings and layers to what a season's plan has to decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from numpy.typing import ArrayLike, NDArray

from hazardrank.errors import PriorityError
from hazardrank.features.segments import grown
from hazardrank.priority.criteria.base import check_consequence_layer
from hazardrank.priority.plan_access import TaskOrder, task_order
from hazardrank.priority.plan_calendar import Team, closed_months_of, team_of
from hazardrank.priority.plan_deadlines import Deadlines, deadlines_of
from hazardrank.priority.plan_problem import SeasonProblem
from hazardrank.priority.travel import travel_factor
from hazardrank.settings import AccessSettings, DeadlineSettings, EffortSettings, PlanSettings
from hazardrank.sources.layers import LayerReader

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Geometries = NDArray[np.object_]


def season_problem(
    ids: ArrayLike,
    *,
    settings: PlanSettings,
    effort: EffortSettings,
    harm: ArrayLike,
    area_m2: ArrayLike,
    easting_m: ArrayLike,
    northing_m: ArrayLike,
    methods: Sequence[str],
    team_days: ArrayLike,
    crs: str,
    district: ArrayLike | None = None,
    altitude_m: ArrayLike | None = None,
    distance_m: ArrayLike | None = None,
    outlines: ArrayLike | None = None,
    layers: LayerReader | None = None,
) -> SeasonProblem:
    """Return what a season's plan has to decide, from plain arrays of one entry a task.

    Parameters
    ----------
    ids : array of str, shape (n_tasks,)
        Stable, unique ids.
    settings : PlanSettings
        The plan.
    effort : EffortSettings
        The clearance methods; their closed months and season factors shape the teams' year.
    harm : array of float, shape (n_tasks,)
        Expected harm averted by clearing the task. NaN where it is not known: such a task
        is planned only if it is locked in, and a note says how many there are.
    area_m2 : array of float, shape (n_tasks,)
        Areas.
    easting_m, northing_m : array of float, shape (n_tasks,)
        Centres, from which the way to the teams' bases is measured.
    methods : sequence of str, length n_methods
        Clearance methods, in the order of `team_days`.
    team_days : array of float, shape (n_methods, n_tasks)
        Team-days to clear each task by each method, without season; infinite or NaN where
        the method cannot be used. With the days of a follow-up (``Effort.total_days``) a
        team is taken to follow up itself, so that no other team's days are promised twice.
    crs : str
        CRS of all coordinates, in metres.
    district : array of str, shape (n_tasks,), optional
        Districts, empty for none.
    altitude_m : array of float, shape (n_tasks,), optional
        Mean altitudes, NaN where not known; for winter closures.
    distance_m : array of float, shape (n_tasks,), optional
        Distance to the nearest settlement or known hazard area. The comparison with
        nearest-first planning goes by it for teams that have no base.
    outlines : array of shapely polygons, shape (n_tasks,), optional
        Tasks in metres; needed for road access. Deadlines go by the centres without them.
    layers : LayerReader, optional
        The region's layers, for deadlines and road access.

    Returns
    -------
    SeasonProblem
        Its ``notes`` say what could not be respected.

    Raises
    ------
    PriorityError
        If a team's method, a locked task or a district is not known, no team is given, or
        a layer is missing and ``when_absent`` is ``error``.
    """
    names = np.asarray(ids, dtype=object)
    n_tasks = len(names)
    teams = _teams(settings, effort, methods)
    centres = np.column_stack([_floats(easting_m), _floats(northing_m)])
    places = np.asarray(shapely.points(centres) if outlines is None else outlines, dtype=object)
    facts = _Facts(names, places, settings, layers, outlines is not None)
    known_harm = _floats(harm)
    facts.note(np.isnan(known_harm), "without known harm: planned only where locked in")
    days, way_m = _days_of_teams(settings, teams, methods, _floats(team_days), centres, crs)
    nearness = None if distance_m is None else _floats(distance_m)[:, np.newaxis]
    if nearness is not None:
        way_m = np.where(np.isnan(way_m), nearness, way_m)
    order = facts.order()
    days[order.no_way_in] = np.inf
    return SeasonProblem(
        teams=teams,
        ids=names,
        harm=np.nan_to_num(known_harm, nan=0.0),
        team_days=days,
        area_m2=_floats(area_m2),
        district=_words(district, n_tasks),
        deadline=facts.deadlines().day,
        closed_months=facts.closed_months(altitude_m),
        before=order.before,
        locked_in=_marked(names, settings.locked_in, "plan.locked_in"),
        locked_out=_marked(names, settings.locked_out, "plan.locked_out"),
        late_share=1.0 if settings.deadlines is None else settings.deadlines.late_share,
        district_shares=settings.district_shares,
        share_of=settings.district_share_of,
        distance_m=way_m,
        notes=tuple(facts.notes),
    )


class _Facts:
    """What layers and altitudes say of the tasks, and notes on what they do not."""

    def __init__(
        self,
        ids: NDArray[np.object_],
        places: Geometries,
        settings: PlanSettings,
        layers: LayerReader | None,
        has_outlines: bool,
    ) -> None:
        self.ids, self.places, self.settings, self.layers = ids, places, settings, layers
        self.has_outlines = has_outlines
        self.notes: list[str] = []

    def note(self, tasks: BoolArray, words: str) -> None:
        """Add a note on some tasks, if there are any."""
        if tasks.any():
            self.notes.append(f"{int(tasks.sum())} of {len(tasks)} tasks {words}")

    def closed_months(self, altitude_m: ArrayLike | None) -> BoolArray:
        """Return the months in which each task is closed, shape (n_tasks, 12)."""
        closed = np.zeros((len(self.ids), 12), bool)
        if not self.settings.winter:
            return closed
        unknown = np.full(len(self.ids), np.nan)
        altitude = unknown if altitude_m is None else _floats(altitude_m)
        self.note(np.isnan(altitude), "of unknown altitude: closed in no month for winter")
        for winter in self.settings.winter:
            closed[altitude >= winter.above_m] |= closed_months_of(winter.months)
        return closed

    def deadlines(self) -> Deadlines:
        """Return the deadlines of the tasks."""
        n_tasks, settings = len(self.ids), self.settings.deadlines
        none = Deadlines(np.full(n_tasks, "NaT", "datetime64[D]"), np.zeros(n_tasks, bool))
        if settings is None or not self._there("deadlines", settings, settings.returns):
            return none
        first_day = min(team.start for team in self.settings.used_teams.values())
        returns = self._read(settings.returns, settings.reach_m)
        found = deadlines_of(self.places, returns, settings.reach_m, first_day)
        self.note(
            found.overdue, "near returns due before the season: no deadline can be kept there"
        )
        return found

    def order(self) -> TaskOrder:
        """Return the order that road access asks for."""
        n_tasks, settings = len(self.ids), self.settings.access
        none = TaskOrder(np.zeros((0, 2), np.int64), np.zeros(n_tasks, bool))
        if settings is None or not self._there(
            "access", settings, settings.roads, settings.entrances
        ):
            return none
        if not self.has_outlines:
            raise PriorityError("road access needs the outlines of the tasks", where="plan.access")
        roads, entrances = (
            self._read(key, settings.reach_m).geometry.to_numpy()
            for key in (settings.roads, settings.entrances)
        )
        found = task_order(self.places, roads, entrances, settings)
        self.note(found.no_way_in, "without a way in by road: not planned")
        return found

    def _there(self, name: str, settings: DeadlineSettings | AccessSettings, *keys: str) -> bool:
        """Whether the layers are there; if not, that is said, as an error or a note."""
        catalogue = {} if self.layers is None else self.layers.catalogue
        missing = [key for key in keys if key not in catalogue]
        if missing and settings.when_absent == "skip":
            self.notes.append(f"no layer '{missing[0]}': {name} left out of account")
            return False
        for key in keys:
            check_consequence_layer(f"plan.{name}", key, catalogue)
        return True

    def _read(self, key: str, reach_m: float) -> gpd.GeoDataFrame:
        """Return the features of a layer in the region and within reach of it."""
        layers = cast(LayerReader, self.layers)
        return layers.vectors(key, grown(layers.grid.bounds, reach_m))


def _teams(
    settings: PlanSettings, effort: EffortSettings, methods: Sequence[str]
) -> tuple[Team, ...]:
    if not settings.used_teams:
        raise PriorityError(
            "there are no teams", where="plan.teams", remedy="Give teams, or use plan=none."
        )
    for name, team in settings.used_teams.items():
        if team.method not in methods or team.method not in effort.used:
            raise PriorityError(
                f"'{team.method}' is no clearance method (methods: {', '.join(methods)})",
                where=f"plan.teams.{name}.method",
                remedy="Name one of priority.effort.methods.",
            )
    return tuple(
        team_of(name, team, effort.used[team.method]) for name, team in settings.used_teams.items()
    )


def _days_of_teams(
    settings: PlanSettings,
    teams: tuple[Team, ...],
    methods: Sequence[str],
    team_days: FloatArray,
    centres: FloatArray,
    crs: str,
) -> tuple[FloatArray, FloatArray]:
    """Return team-days with the way there, and metres from base, shape (n_tasks, n_teams)."""
    shape = (len(centres), len(teams))
    days, way_m = np.empty(shape), np.full(shape, np.nan)
    for number, (team, own) in enumerate(zip(teams, settings.used_teams.values(), strict=True)):
        of_method = team_days[list(methods).index(team.method)]
        days[:, number] = np.where(np.isnan(of_method), np.inf, of_method)
        if own.base is not None:
            base = _in_crs(own.base, own.base_crs, crs)
            way_m[:, number] = np.hypot(*(centres - base).T)
            days[:, number] *= travel_factor(way_m[:, number], settings.travel)
    return days, way_m


def _in_crs(place: tuple[float, float], own_crs: str | None, crs: str) -> FloatArray:
    if own_crs is None:
        return np.array(place)
    transformer = pyproj.Transformer.from_crs(own_crs, crs, always_xy=True)
    return np.array(transformer.transform(*place))


def _marked(ids: NDArray[np.object_], wanted: Sequence[str], where: str) -> BoolArray:
    unknown = sorted(set(wanted) - set(ids.tolist()))
    if unknown:
        raise PriorityError(f"there is no task '{unknown[0]}'", where=where)
    marked: BoolArray = np.isin(ids.astype(str), np.array(wanted, dtype=str))
    return marked


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _words(values: ArrayLike | None, n: int) -> NDArray[np.object_]:
    if values is None:
        return np.full(n, "", dtype=object)
    found: Any = np.asarray(values, dtype=object)
    return np.array(["" if word is None or word != word else str(word) for word in found], object)
