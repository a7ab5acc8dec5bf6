import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hazardrank.features.distance import nearest_segments
from hazardrank.features.segments import segments_of
from hazardrank.features.sides import fill_facing, fill_signed
from hazardrank.features.tiles import tiles_of_points


def side(line, *points):
    easting, northing = np.array(points, dtype=float).T
    segments = segments_of([line])
    nearest = nearest_segments(tiles_of_points(easting, northing, 1.0), segments, 1e6)
    signed_m, named = np.empty((1, len(easting))), np.ones(len(segments))
    one_row = (easting, northing, nearest.distance_m, nearest.segment)
    fill_signed(*(row[None] for row in one_row), segments, named, signed_m)
    known = ~np.isnan(signed_m[0])
    assert np.abs(signed_m[0][known]) == pytest.approx(nearest.distance_m[known])
    return np.sign(signed_m[0]).tolist()


def test_left_is_positive_in_the_direction_of_digitising():
    northwards = shapely.LineString([(0, 0), (0, 10)])
    assert side(northwards, (-1, 5), (1, 5)) == [1, -1]
    assert side(northwards.reverse(), (-1, 5), (1, 5)) == [-1, 1]


def test_beyond_an_end_the_line_is_thought_to_go_on():
    line = shapely.LineString([(0, 0), (0, 10)])
    assert side(line, (-1, 15), (1, 15), (-1, -5), (1, -5)) == [1, -1, 1, -1]
    assert np.isnan(side(line, (0, 15), (0, -5))).all()


@pytest.mark.parametrize("vertices", [[(0, 0), (10, 0), (0, 1)], [(0, 1), (10, 0), (0, 0)]])
def test_a_sharp_bend_has_its_tip_on_the_outside(vertices):
    line = shapely.LineString(vertices)
    within = side(line, (5, 0.3))[0]
    assert side(line, (12, 0.1), (12, -3), (12, 3), (5, -1), (5, 2)) == [-within] * 5


def test_a_ring_has_an_inside_all_round_its_first_vertex():
    anticlockwise = shapely.LinearRing([(0, 0), (10, 0), (10, 10), (0, 10)])
    assert side(anticlockwise, (5, 5), (1, 1), (-1, -1), (-1, 1), (1, -1)) == [1, 1, -1, -1, -1]


def test_a_point_has_no_sides():
    assert np.isnan(side(shapely.Point(0, 0), (1, 1))).all()


def facing(elevation_m, segment, line, easting, northing):
    """How the slope under the middle cell of 3 × 3 faces its nearest segment."""
    cosine = np.empty((1, 1), np.float32)
    segments = segments_of([line] if line else [])
    cell = np.array([[easting]]), np.array([[northing]]), np.array([[segment]])
    fill_facing(*cell, segments, np.asarray(elevation_m, np.float32), cosine)
    return float(cosine[0, 0])


def test_the_way_down_is_horns_and_the_way_to_the_line_the_shortest():
    falls_north = np.arange(9).reshape(3, 3)  # down: 1 west, 3 north
    bend = shapely.LineString([(0, 0), (10, 0), (10, 10)])
    assert facing(falls_north, 0, bend, 4.0, -3.0) == pytest.approx(3 / np.sqrt(10))
    assert facing(falls_north, 1, bend, 15.0, 5.0) == pytest.approx(1 / np.sqrt(10))
    assert facing(falls_north, 0, bend, 12.0, -2.0) == pytest.approx(4 / np.sqrt(20))
    assert facing(falls_north, 1, bend, 13.0, 11.0) == pytest.approx(0.0, abs=1e-7)


def test_nothing_faces_a_line_on_flat_land_on_it_or_without_one():
    line = shapely.LineString([(0, 0), (10, 0)])
    slope, hole = np.arange(9.0).reshape(3, 3), np.arange(9.0).reshape(3, 3)
    hole[0, 0] = np.nan
    assert np.isnan(facing(np.ones((3, 3)), 0, line, 5.0, 5.0))
    assert np.isnan(facing(hole, 0, line, 5.0, 5.0))
    assert np.isnan(facing(slope, 0, line, 5.0, 0.0))
    assert np.isnan(facing(slope, -1, None, 5.0, 5.0))


@settings(max_examples=60, deadline=None)
@given(
    angles=st.lists(st.floats(0.2, 2.5), min_size=3, max_size=8),
    radii=st.lists(st.floats(5, 100), min_size=8, max_size=8),
    east=st.floats(-150, 150),
    north=st.floats(-150, 150),
)
def test_the_sides_of_any_ring_are_inside_and_outside(angles, radii, east, north):
    turns = np.cumsum(angles) * (2 * np.pi / (sum(angles) + 0.2))
    vertices = (
        np.stack([np.cos(turns), np.sin(turns)], axis=1) * np.array(radii)[: len(turns), None]
    )
    polygon = shapely.Polygon(vertices)
    point = shapely.Point(east, north)
    assume(polygon.is_valid and polygon.area > 1 and polygon.boundary.distance(point) > 1e-3)
    left = polygon.contains(point) == polygon.exterior.is_ccw
    assert side(polygon.exterior, (east, north)) == [1.0 if left else -1.0]
