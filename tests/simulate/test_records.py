"""Records as they come in life."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import shapely

from hazardrank.records import RECORD_NOUNS, Accident, HazardKind, columns_of
from hazardrank.simulate.frame import DIFFICULTIES
from hazardrank.simulate.mines import Minefields
from hazardrank.simulate.records import (
    FIRST_DAY,
    LAST_DAY,
    Truth,
    hazard_row,
    map_rows,
    table,
)
from hazardrank.simulate.release import Job, release
from hazardrank.simulate.release import _divide as divide
from hazardrank.simulate.returns import make_districts, make_returns
from hazardrank.simulate.survey import COVERED_SHARE, _evidence

DAY = np.datetime64("2022-05-01")


def minefields_of(*polygons):
    n = len(polygons)
    return Minefields(
        np.array(polygons, dtype=object),
        np.array(["belt"] * n, dtype=object),
        np.array(["AP"] * n, dtype=object),
        np.array(["1995-01-01"] * n, dtype="datetime64[D]"),
    )


@pytest.fixture
def corner(scene):
    """Easting and northing of a spot inside the district."""
    west, south, _, _ = scene.frame.district.bounds
    return west + 3000.0, south + 3000.0


def square(corner, east_m, north_m, side_m):
    west, south = corner[0] + east_m, corner[1] + north_m
    return shapely.box(west, south, west + side_m, south + side_m)


# ------------------------------------------------------------------------ tables


def test_every_kind_of_record_has_its_columns_and_is_not_empty(district):
    for name, noun in RECORD_NOUNS.items():
        records = getattr(district.records, name)
        assert tuple(records.columns) == (*columns_of(noun), "geometry")
        assert len(records) > 2
        assert records["record_id"].is_unique
        assert records.geometry.is_valid.all()
        assert not records.geometry.is_empty.any()


def test_rows_are_numbered_by_date_and_unknown_dates_come_last():
    days = ["2022-03-01", "NaT", "2021-03-01"]
    rows = [
        {"occurred": np.datetime64(day), "victims": n, "geometry": shapely.Point(n, 0)}
        for n, day in enumerate(days)
    ]
    accidents = table(rows, Accident, "EPSG:32638", "AC", "occurred")
    assert accidents["record_id"].tolist() == ["AC-0001", "AC-0002", "AC-0003"]
    assert accidents["victims"].tolist() == [2, 0, 1]
    assert pd.isna(accidents["occurred"].iloc[2])
    assert accidents["device"].isna().all()


def test_all_records_are_younger_than_the_conflict_and_end_with_2024(district):
    records = district.records
    days = pd.concat(
        [
            records.hazard_areas["reported"],
            records.hazard_areas["closed"],
            records.clearance["completed"],
            records.accidents["occurred"],
            records.survey["visited"],
        ]
    ).dropna()
    assert days.min() >= pd.Timestamp(FIRST_DAY)
    assert days.max() <= pd.Timestamp(LAST_DAY)
    assert 0 < records.hazard_areas["reported"].isna().mean() < 0.15


def test_records_lie_in_the_country(district):
    country = district.country.geometry.iloc[0]
    for name in RECORD_NOUNS:
        assert getattr(district.records, name).within(country).all()


# ------------------------------------------------------------------ hazard areas


def right_share(scene, minefields):
    """Return the share of maps that cover what they were drawn from."""
    maps = [row["geometry"] for row in map_rows(scene, minefields)]
    true = shapely.union_all(minefields.polygon)
    held = np.array([shapely.intersection(area, true).area / area.area for area in maps])
    return (held > 0.75).mean()


def test_about_a_quarter_of_minefield_maps_are_right(scene):
    west, south, _, _ = scene.frame.district.bounds
    polygons = [
        shapely.box(
            west + 500 * col, south + 500 * row, west + 500 * col + 90, south + 500 * row + 90
        )
        for row in range(1, 19)
        for col in range(1, 19)
    ]
    minefields = minefields_of(*polygons)
    standard = right_share(scene, minefields)
    # A few maps show nothing at all, so a quarter of the others is 22 % of all.
    assert standard == pytest.approx(0.22, abs=0.09)
    frame = dataclasses.replace(scene.frame, difficulty=DIFFICULTIES["easy"])
    assert right_share(dataclasses.replace(scene, frame=frame), minefields) > standard


def test_confirmed_areas_hold_ordnance_and_few_suspected_ones_do(district):
    hazards = district.records.hazard_areas
    true = shapely.union_all(district.minefields.polygon)
    held = shapely.area(shapely.intersection(hazards.geometry.to_numpy(), true)) / hazards.area
    confirmed = (hazards["kind"] == "CHA").to_numpy()
    assert held[confirmed].min() > 0.1
    assert held[confirmed].mean() > 2 * held[~confirmed].mean()
    assert set(hazards["kind"]) == {"SHA", "CHA"}
    assert set(hazards.loc[confirmed, "evidence"]) == {"direct evidence"}


def test_closed_areas_have_a_closing_date_after_their_report_and_open_ones_none(district):
    hazards = district.records.hazard_areas
    closed = hazards["status"] == "closed"
    assert closed.any()
    assert (~closed).any()
    assert hazards.loc[~closed, "closed"].isna().all()
    done = hazards[closed & hazards["reported"].notna()]
    assert (done["closed"] > done["reported"]).all()


# --------------------------------------------------------------------- clearance


def test_ordnance_in_a_confirmed_area_is_found_and_the_rest_reduced(corner):
    truth = Truth.of(minefields_of(square(corner, 0, 0, 100)))
    area = square(corner, -200, -200, 600)
    rows = divide(truth, area, Job(area, DAY, confirmed=True), np.random.default_rng(1))
    by_method = {row["method"]: row for row in rows}
    assert set(by_method) == {"cleared", "reduced"}
    assert by_method["cleared"]["devices_found"] >= 1
    assert by_method["cleared"]["geometry"].contains(square(corner, 1, 1, 98))
    assert by_method["reduced"]["devices_found"] == 0
    assert sum(row["geometry"].area for row in rows) == pytest.approx(area.area, rel=1e-3)


def test_an_area_that_holds_nothing_is_released_whole_without_finds(corner):
    truth = Truth.of(minefields_of(square(corner, 5000, 0, 100)))
    area = square(corner, 0, 0, 300)
    rows = divide(truth, area, Job(area, DAY, confirmed=False), np.random.default_rng(1))
    assert [(row["geometry"], row["devices_found"]) for row in rows] == [(area, 0.0)]


def test_finds_are_where_ordnance_is_and_most_released_land_held_none(district):
    clearance = district.records.clearance
    found = district.records.found()
    true = shapely.union_all(district.minefields.polygon)
    held = shapely.area(shapely.intersection(clearance.geometry.to_numpy(), true)) / clearance.area
    assert held[found].min() > 0
    assert held[~found].max() < 0.2
    assert clearance.loc[found, "method"].eq("cleared").all()
    assert clearance.area[found].sum() < 0.4 * clearance.area.sum()
    cleared = (clearance["method"] == "cleared").to_numpy()
    assert clearance.area[cleared & ~found].sum() > clearance.area[cleared & found].sum()


def test_no_land_is_released_twice(district):
    polygons = district.records.clearance.geometry.to_numpy()
    assert shapely.union_all(polygons).area == pytest.approx(shapely.area(polygons).sum(), rel=0.01)


def test_working_off_two_areas_on_one_spot_releases_it_once(scene, corner):
    area = square(corner, 0, 0, 200)
    rows = [
        hazard_row(area, HazardKind.SHA, "AP", "minefield map", np.datetime64("2021-02-01"))
        for _ in range(40)
    ]
    truth = Truth.of(minefields_of(square(corner, 50, 50, 60)))
    after, clearance = release(scene, truth, rows)
    here = clearance[clearance.intersects(area.buffer(-1.0))]
    assert sum(row["status"] == "closed" for row in after) > 2
    assert here.intersection(area).area.sum() == pytest.approx(area.area, rel=0.02)
    assert (here["devices_found"] > 0).sum() == 1


# ------------------------------------------------------------------------ survey


def test_survey_covers_about_its_share_and_follows_roads(scene, district):
    survey = district.records.survey
    inner = scene.frame.district_box
    covered = shapely.intersection(survey.union_all(), inner)
    assert covered.area / inner.area == pytest.approx(COVERED_SHARE, abs=0.05)
    draws = np.random.default_rng(0)
    west, south, east, north = inner.bounds
    points = np.column_stack([draws.uniform(west, east, 4000), draws.uniform(south, north, 4000)])
    visited = shapely.contains_xy(covered, points)
    to_road_m = scene.to_roads_m(points)
    assert to_road_m[visited].mean() < 0.6 * to_road_m[~visited].mean()


def test_a_visit_meets_evidence_the_likelier_the_more_it_sees(scene, corner):
    large, small = square(corner, 0, 0, 600), square(corner, 2000, 0, 20)
    truth = Truth.of(minefields_of(large, small))
    draws = np.random.default_rng(0)
    area = square(corner, -200, -200, 4000)
    met = [_evidence(scene, truth, area, DAY, draws) for _ in range(60)]
    assert sum(0 in evidence for evidence in met) == 60
    assert sum(1 in evidence for evidence in met) < 15
    confirmed = met[0][0]
    assert confirmed["kind"] == "CHA"
    assert confirmed["geometry"].buffer(0.2).contains(large)
    assert confirmed["reported"] > DAY


def test_visits_without_evidence_exist_beside_those_with(district):
    share = district.records.survey["evidence_found"].astype(bool).mean()
    assert 0.05 < share < 0.95


# --------------------------------------------------------------------- accidents


def test_accidents_happen_at_minefields_that_people_come_near(scene, district):
    accidents = district.records.accidents
    points = shapely.get_coordinates(accidents.geometry.to_numpy())
    true = shapely.union_all(district.minefields.polygon)
    assert shapely.distance(accidents.geometry.to_numpy(), true).max() < 200
    inner = scene.frame.in_district(
        *shapely.get_coordinates(shapely.centroid(district.minefields.polygon)).T
    )
    all_centres = shapely.get_coordinates(shapely.centroid(district.minefields.polygon[inner]))
    assert scene.to_roads_m(points).mean() < scene.to_roads_m(all_centres).mean()
    assert (accidents["victims"] >= 1).all()


# ----------------------------------------------------------- returns and districts


def test_people_return_to_abandoned_places_only(scene):
    returns = make_returns(scene)
    places = scene.settlements
    abandoned = set(places.name[places.abandoned])
    assert set(returns["name"]) <= abandoned
    people = dict(zip(places.name, places.people, strict=True))
    assert all(row.people <= 0.9 * people[row.name] + 25 for row in returns.itertuples(index=False))
    assert set(returns["status"]) <= {"completed", "under way", "planned"}
    late = returns[returns["planned"] > pd.Timestamp(LAST_DAY)]
    assert late["status"].eq("planned").all()


def test_districts_share_out_the_land_without_overlap(scene):
    districts = make_districts(scene)
    inner = scene.frame.district_box
    assert 8 <= len(districts) <= 16
    assert districts["name"].is_unique
    assert districts.area.sum() == pytest.approx(inner.area)
    assert districts.union_all().area == pytest.approx(inner.area)
    assert tuple(districts.total_bounds) == inner.bounds
    for border in shapely.get_parts(shapely.boundary(districts.geometry.to_numpy())):
        steps_m = np.hypot(*np.diff(shapely.get_coordinates(border), axis=0).T)
        assert steps_m.max() < 2001
