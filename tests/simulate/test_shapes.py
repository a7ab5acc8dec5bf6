"""Polygons as people draw them."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.simulate.shapes import moved, patch, stretch, strip, tidy

LINE = shapely.LineString([(0, 0), (1000, 0)])


def test_a_strip_lies_at_its_offset_to_the_left():
    belt = strip(LINE, 300.0, 100.0)
    assert belt.bounds == (0, 250, 1000, 350)
    assert belt.area == pytest.approx(100_000)
    assert strip(LINE, -300.0, 100.0).bounds == (0, -350, 1000, -250)


@given(st.integers(0, 10_000), st.floats(20, 500), st.floats(1, 4))
@settings(max_examples=50, deadline=None)
def test_a_patch_is_a_valid_polygon_of_about_its_radius(seed, radius_m, length_over_width):
    polygon = patch(np.random.default_rng(seed), 1000.0, 2000.0, radius_m, length_over_width)
    assert polygon.is_valid
    assert polygon.contains(shapely.Point(1000, 2000))
    assert 0.45 < polygon.area / (np.pi * radius_m**2) < 1.5


def test_a_patch_stretches_along_its_bearing():
    draws = np.random.default_rng(0)
    west, south, east, north = patch(draws, 0.0, 0.0, 100.0, 4.0, bearing_rad=np.pi / 2).bounds
    assert north - south > 2 * (east - west)


def test_moving_turns_about_the_middle_and_keeps_the_area():
    square = shapely.box(0, 0, 100, 50)
    shifted = moved(square, np.array([10.0, 20.0]), 90.0)
    assert shifted.bounds == pytest.approx((35, -5, 85, 95))
    assert shifted.area == pytest.approx(5000)


def test_a_stretch_of_a_line():
    assert list(stretch(LINE, 100.0, 250.0).coords) == [(100, 0), (250, 0)]


def test_tidying_keeps_the_largest_polygon_and_rounds():
    two = shapely.MultiPolygon([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 50.04, 30)])
    assert tidy(two).bounds == (20, 0, 50, 30)
    assert tidy(LINE).is_empty
