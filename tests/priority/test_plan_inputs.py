from datetime import date

import geopandas as gpd
import numpy as np
import pytest
import shapely

from hazardrank.errors import PriorityError
from hazardrank.priority.plan_inputs import season_problem
from hazardrank.settings import (
    ClearanceMethodSettings,
    EffortSettings,
    PlanSettings,
    Role,
    TeamSettings,
    TravelSettings,
)
from tests.priority.cases import CRS, grid_of, layers_of, line, table_of

METHOD = ClearanceMethodSettings(
    unit="deminer", units_per_team=10, m2_per_unit_day=20, usd_per_m2=1
)
EFFORT = EffortSettings(methods={"manual": METHOD, "dogs": METHOD})
GRID = grid_of(40, 40)
WEST, NORTH = GRID.west_m, GRID.north_m
#: One kilometre apart along the northern edge, from 500 m on.
CENTRES = np.array([[WEST + 500 + 1000 * k, NORTH - 500] for k in range(3)])


def plan(**more) -> PlanSettings:
    team = {"method": "manual", "start": date(2025, 3, 1), "end": date(2025, 6, 30)}
    teams = {"one": TeamSettings(**team), "two": TeamSettings(**{**team, "method": "dogs"})}
    return PlanSettings(**{"teams": teams, **more})


def problem(settings: PlanSettings, **more):
    given = {
        "effort": EFFORT,
        "harm": [3.0, 2.0, 1.0],
        "area_m2": [1e4, 1e4, 1e4],
        "easting_m": CENTRES[:, 0],
        "northing_m": CENTRES[:, 1],
        "methods": ["dogs", "manual"],
        "team_days": [[1.0, 2.0, np.nan], [10.0, np.inf, 30.0]],
        "crs": CRS,
    }
    return season_problem(["a", "b", "c"], settings=settings, **{**given, **more})


def test_team_days_go_to_the_teams_of_each_method():
    found = problem(plan())
    np.testing.assert_allclose(found.team_days, [[10, 1], [np.inf, 2], [30, np.inf]])
    assert [team.name for team in found.teams] == ["one", "two"]
    assert np.isnat(found.deadline).all()
    assert not found.closed_months.any()
    assert found.district.tolist() == ["", "", ""]
    assert found.notes == ()


def test_base_makes_far_tasks_take_longer_in_any_crs():
    base = (CENTRES[0, 0], CENTRES[0, 1])
    lonlat = gpd.GeoSeries([shapely.Point(base)], crs=CRS).to_crs("EPSG:4326").iloc[0]
    travel = TravelSettings(speed_km_per_h=4, detour=1, hours_per_day=8, most_hours=0.9)
    team = {"method": "manual", "start": date(2025, 3, 1), "end": date(2025, 6, 30)}
    for place, crs in ((base, None), ((lonlat.x, lonlat.y), "EPSG:4326")):
        teams = {"one": TeamSettings(**team, base=place, base_crs=crs)}
        found = problem(plan(teams=teams, travel=travel), team_days=[[1, 1, 1], [10, 10, 10]])
        # A kilometre away half an hour of eight is lost; two kilometres are out of reach.
        np.testing.assert_allclose(found.team_days[:, 0], [10, 10 * 8 / 7.5, np.inf], rtol=1e-6)
        assert found.distance_m is not None
        np.testing.assert_allclose(found.distance_m[:, 0], [0, 1000, 2000], atol=1e-3)


def test_without_a_base_nearest_goes_by_the_distance_given():
    found = problem(plan(), distance_m=[5, 6, 7])
    assert found.distance_m is not None
    assert found.distance_m.tolist() == [[5, 5], [6, 6], [7, 7]]


def test_high_land_is_closed_in_winter_and_unknown_altitude_is_told():
    winter = [{"above_m": 1000, "months": [1, 12]}, {"above_m": 2000, "months": [2]}]
    found = problem(plan(winter=winter), altitude_m=[999, 2000, np.nan])
    assert [np.flatnonzero(row).tolist() for row in found.closed_months] == [[], [0, 1, 11], []]
    assert found.notes == ("1 of 3 tasks of unknown altitude: closed in no month for winter",)


def test_unknown_harm_is_told_and_not_planned():
    found = problem(plan(), harm=[3, np.nan, 1])
    assert found.harm.tolist() == [3, 0, 1]
    assert found.notes == ("1 of 3 tasks without known harm: planned only where locked in",)


def test_locks_go_by_id():
    found = problem(plan(locked_in=["c"], locked_out=["a"]))
    assert found.locked_in.tolist() == [False, False, True]
    assert found.locked_out.tolist() == [True, False, False]
    with pytest.raises(PriorityError, match="there is no task 'd'"):
        problem(plan(locked_in=["d"]))


def test_teams_are_needed_and_their_methods_known():
    with pytest.raises(PriorityError, match="there are no teams"):
        problem(plan(teams={}))
    with pytest.raises(PriorityError, match="'manual' is no clearance method"):
        problem(plan(), methods=["dogs"], team_days=[[1, 1, 1]])


def test_deadlines_come_from_the_layer_of_returns():
    place = [shapely.Point(CENTRES[0])]
    layers = layers_of(GRID, returns=table_of(place, planned=["2025-05-31"]))
    found = problem(plan(deadlines={"reach_m": 1200, "late_share": 0.25}), layers=layers)
    assert found.deadline.astype(str).tolist() == ["2025-05-31", "2025-05-31", "NaT"]
    assert found.late_share == 0.25


def test_returns_before_the_season_are_told():
    place = [shapely.Point(CENTRES[0])]
    layers = layers_of(GRID, returns=table_of(place, planned=["2024-05-31"]))
    found = problem(plan(deadlines={"reach_m": 10}), layers=layers)
    assert np.isnat(found.deadline).all()
    assert found.notes == (
        "1 of 3 tasks near returns due before the season: no deadline can be kept there",
    )


def test_layers_that_are_not_there():
    for rule in ("deadlines", "access"):
        with pytest.raises(PriorityError, match=f"plan.{rule}: there is no layer"):
            problem(plan(**{rule: {}}), layers=layers_of(GRID))
        skipped = problem(plan(**{rule: {"when_absent": "skip"}}))
        assert f"{rule} left out of account" in skipped.notes[0]


def test_layers_for_the_likelihood_alone_are_refused():
    place = [shapely.Point(CENTRES[0])]
    layers = layers_of(GRID, role=Role.HAZARD, returns=table_of(place, planned=["2025-05-31"]))
    with pytest.raises(PriorityError, match="role 'hazard'"):
        problem(plan(deadlines={}), layers=layers)


def test_road_access_puts_tasks_in_order_and_tells_of_those_without_a_way():
    outlines = shapely.buffer(shapely.points(CENTRES), 100, cap_style="square")
    outlines[2] = shapely.box(WEST + 3000, NORTH - 3600, WEST + 3200, NORTH - 3400)
    layers = layers_of(
        GRID,
        roads=table_of([line(GRID, (0, 500), (1800, 500))]),
        settlements=table_of([line(GRID, (0, 500), (0, 510)).centroid]),
    )
    settings = plan(access={"reach_m": 500})
    found = problem(settings, layers=layers, outlines=outlines)
    assert found.before.tolist() == [[0, 1]]
    assert np.isinf(found.team_days[2]).all()
    assert found.notes == ("1 of 3 tasks without a way in by road: not planned",)
    with pytest.raises(PriorityError, match="needs the outlines"):
        problem(settings, layers=layers)
