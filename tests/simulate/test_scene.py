"""Settlements, roads, bridges and front lines."""

import dataclasses

import numpy as np
import pytest
import shapely
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist

from hazardrank.simulate.conflict import height_beside, phases_of
from hazardrank.simulate.roads import Lines, make_bridges
from hazardrank.simulate.scene import distance_to_lines
from hazardrank.simulate.settlements import abandon, make_names


def lines_of(kinds, *coordinates):
    line = np.empty(len(coordinates), dtype=object)
    line[:] = [shapely.LineString(points) for points in coordinates]
    return Lines(line, np.array(kinds, dtype=object))


# ------------------------------------------------------------------ settlements


def test_names_are_made_up_and_differ():
    names = make_names(np.random.default_rng(0), 500)
    assert len(set(names)) == 500
    assert all(name.isalpha() and name.istitle() for name in names)


def test_settlements_keep_apart_and_some_lie_in_the_district(scene):
    places = scene.settlements
    assert pdist(places.points).min() >= 1300
    assert scene.frame.in_district(places.easting, places.northing).sum() >= 3
    assert len(set(places.name)) == len(places)


def test_few_settlements_are_large_and_they_lie_on_gentle_ground(scene):
    places = scene.settlements
    assert (places.people >= 60).all()
    assert places.people.max() > 5 * np.median(places.people)
    slope = scene.at(scene.terrain.slope_deg, places.points)
    assert np.median(slope) < 0.6 * np.median(scene.terrain.slope_deg)


def test_people_left_where_the_front_was_near(scene):
    places = scene.settlements
    inner = scene.frame.in_district(places.easting, places.northing)
    far = np.full(len(places), 40_000.0)
    far[np.flatnonzero(inner)[1]] = 30_000.0
    left = abandon(scene.frame, places, far)
    assert np.flatnonzero(left.abandoned).tolist() == [np.flatnonzero(inner)[1]]
    near = abandon(scene.frame, places, np.zeros(len(places)))
    assert 0.7 < near.abandoned.mean() < 1
    assert not near.abandoned[inner].all()


def test_distance_to_chosen_settlements_is_infinite_without_any(scene):
    places = scene.settlements
    first = np.arange(len(places)) == 0
    away = places.distance_to(np.add(places.points[:1], (300.0, 400.0)), first)
    assert away.tolist() == [500.0]
    nowhere = places.distance_to(places.points[:1], np.zeros(len(places), bool))
    assert nowhere.tolist() == [np.inf]


# ------------------------------------------------------------------------ roads


def test_roads_join_all_settlements(scene):
    roads = scene.roads.of("primary", "secondary")
    ends = [shapely.get_point(roads, 0), shapely.get_point(roads, -1)]
    points = np.round(np.concatenate([shapely.get_coordinates(end) for end in ends]))
    nodes, index = np.unique(points, axis=0, return_inverse=True)
    half = len(roads)
    graph = sparse.coo_array((np.ones(half), (index[:half], index[half:])), (len(nodes),) * 2)
    assert connected_components(graph, directed=False)[0] == 1
    assert distance_to_lines(scene.settlements.points, roads).max() < 1.0


def test_no_stretch_of_road_occurs_twice(scene):
    total_m = shapely.length(scene.roads.line).sum()
    assert shapely.length(shapely.union_all(scene.roads.line)) == pytest.approx(total_m, rel=0.02)
    assert set(scene.roads.kind) == {"primary", "secondary", "track"}


def test_roads_climb_less_than_the_land(scene):
    def gradient(lines):
        return np.concatenate(
            [
                np.abs(np.diff(scene.at(scene.terrain.elevation_m, points)))
                / np.hypot(*np.diff(points, axis=0).T)
                for points in map(shapely.get_coordinates, lines)
            ]
        ).mean()

    east = np.abs(np.diff(scene.terrain.elevation_m)).mean() / 100.0
    assert gradient(scene.roads.of("primary", "secondary")) < 0.7 * east


def test_a_bridge_stands_where_a_road_crosses_a_river_and_tracks_ford():
    rivers = lines_of(["river"], [(0, 0), (5000, 0)])
    roads = lines_of(
        ["primary", "secondary", "secondary", "track"],
        [(1000, -500), (1000, 500)],
        [(1100, -500), (1100, 500)],  # too near to be another bridge
        [(3000, -500), (3000, 500)],
        [(4000, -500), (4000, 500)],
    )
    points, kinds = make_bridges(roads, rivers)
    assert points.tolist() == [[1000.0, 0.0], [3000.0, 0.0]]
    assert kinds.tolist() == ["primary", "secondary"]


def test_no_crossing_no_bridge():
    rivers = lines_of(["river"], [(0, 0), (5000, 0)])
    points, kinds = make_bridges(lines_of(["primary"], [(0, 100), (5000, 100)]), rivers)
    assert points.shape == (0, 2)
    assert kinds.shape == (0,)


def test_bridges_lie_on_road_and_river(scene):
    assert len(scene.bridges)
    assert distance_to_lines(scene.bridges, scene.rivers.line).max() < 0.01
    assert scene.to_roads_m(scene.bridges, "primary", "secondary").max() < 0.01


def test_spots_along_lines_are_no_farther_apart_than_asked():
    lines = lines_of(["track", "primary"], [(0, 0), (1000, 0)], [(0, 9), (10, 9)])
    spots = lines.spots(300.0, "track")
    assert spots[:, 0].tolist() == [0.0, 250.0, 500.0, 750.0, 1000.0]
    assert len(lines.spots(300.0)) == 7


# ------------------------------------------------------------------------ fronts


@pytest.mark.parametrize("side_m", [4000.0, 40_000.0, 80_000.0])
def test_phases_follow_each_other_without_gaps(side_m):
    phases = sorted(phases_of(side_m), key=lambda phase: phase.start)
    assert phases[0].start == "1992-03-01"
    assert phases[-1].end == "2020-11-01"
    assert [one.end for one in phases[:-1]] == [other.start for other in phases[1:]]
    assert all(phase.start < phase.end for phase in phases)
    longest = max(phases, key=lambda phase: np.datetime64(phase.end) - np.datetime64(phase.start))
    assert longest.laying == max(phase.laying for phase in phases)


def test_every_stretch_has_dates_and_the_side_that_dug_in(scene):
    fronts = scene.fronts
    assert (fronts.start < fronts.end).all()
    assert set(fronts.side) <= {"left", "right"}
    assert {geometry.geom_type for geometry in fronts.line} == {"LineString"}
    assert shapely.is_simple(fronts.line).all()


def test_each_phase_crosses_the_world_and_the_long_one_the_middle(scene):
    fronts, frame = scene.fronts, scene.frame
    middle = shapely.Point(frame.district_box.centroid)
    for start in np.unique(fronts.start):
        line = shapely.union_all(fronts.line[fronts.start == start])
        west, south, east, north = line.bounds
        assert max(east - west, north - south) > frame.side_m + 6000
    held = shapely.union_all(fronts.line[fronts.start == np.datetime64("1994-06-01")])
    assert held.distance(middle) < 0.15 * frame.side_m


def test_fronts_prefer_ridges_and_rivers(scene):
    terrain = scene.terrain
    points = shapely.get_coordinates(scene.fronts.line)
    holds = (terrain.position_m > 45) | terrain.is_river
    assert scene.at(holds, points).mean() > 1.3 * holds.mean()


def test_height_beside_a_line_looks_left_and_right(scene):
    west, south, east, _ = scene.frame.district.bounds
    line = shapely.LineString([(west + 1000, south + 5000), (east - 1000, south + 5000)])
    ramp = dataclasses.replace(
        scene.terrain,
        elevation_m=np.tile(scene.terrain.grid.northings()[:, None], (1, 180)),
    )
    left, right = (height_beside(line, ramp, offset) for offset in (300.0, -300.0))
    assert left - right == pytest.approx(600.0)
    assert height_beside(line.reverse(), ramp, 300.0) == pytest.approx(right)
