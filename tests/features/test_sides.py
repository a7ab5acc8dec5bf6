import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hazardrank.features.distance import nearest_segments
from hazardrank.features.segments import segments_of
from hazardrank.features.sides import nearest_points, side_of
from hazardrank.features.tiles import tiles_of_points


def side(line, *points):
    easting, northing = np.array(points, dtype=float).T
    segments = segments_of([line])
    nearest = nearest_segments(tiles_of_points(easting, northing, 1.0), segments, 1e6)
    return side_of(easting, northing, nearest.segment, segments).tolist()


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


def test_nearest_points_on_a_bend_and_nowhere():
    segments = segments_of([shapely.LineString([(0, 0), (10, 0), (10, 10)])])
    easting, northing = np.array([4.0, 12.0, 15.0, 1.0]), np.array([3.0, -2.0, 5.0, 1.0])
    points = nearest_points(easting, northing, np.array([0, 0, 1, -1]), segments)
    assert points[:3].tolist() == [[4, 0], [10, 0], [10, 5]]
    assert np.isnan(points[3]).all()
    assert np.isnan(
        nearest_points(easting[:1], northing[:1], np.array([-1]), segments_of([]))
    ).all()


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
