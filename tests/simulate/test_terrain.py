"""Heights, drainage and land cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hazardrank.grid import SurveyGrid
from hazardrank.simulate.terrain import CODE, LAND_COVER, drain, erode, fractal, slope_of

HEIGHTS = arrays(
    np.float64,
    st.tuples(st.integers(3, 9), st.integers(3, 9)),
    elements=st.floats(-50, 50, width=32),
)


def test_a_hollow_fills_to_its_lowest_outlet():
    heights = np.full((5, 5), 9.0)
    heights[2, 2] = 1.0
    heights[1, 2], heights[0, 2] = 5.0, 4.0  # the way out, northwards
    filled, receiver, upstream, order = drain(heights, np.full((5, 5), 0.5))
    assert filled[2, 2] == 5.5
    assert receiver[2, 2] == 1 * 5 + 2
    assert receiver[1, 2] == 0 * 5 + 2
    assert receiver[0, 2] == -1
    # All nine inner cells leave through the one gap: the others are higher than the way out.
    assert upstream[0, 2] == 10
    assert sorted(order.tolist()) == list(range(25))


def test_a_ramp_drains_straight_down_and_is_left_as_it_is():
    heights = np.tile(np.arange(6.0)[:, None], (1, 5))
    filled, receiver, upstream, _ = drain(heights, np.full((6, 5), 0.01))
    np.testing.assert_array_equal(filled, heights)
    inner = receiver[1:-1, 1:-1] // 5
    np.testing.assert_array_equal(inner, np.tile(np.arange(4)[:, None], (1, 3)))
    assert upstream.min() == 1


@given(HEIGHTS)
@settings(max_examples=40, deadline=None)
def test_every_cell_drains_downwards_to_the_edge(heights):
    fall = np.full(heights.shape, 0.01)
    filled, receiver, upstream, order = drain(heights, fall)
    flat, below = filled.ravel(), receiver.ravel()
    has_one = below >= 0
    edge = np.ones(heights.shape, bool)
    edge[1:-1, 1:-1] = False
    np.testing.assert_array_equal(has_one, ~edge.ravel())
    assert (flat[has_one] > flat[below[has_one]]).all()
    assert (filled >= heights).all()
    assert upstream.ravel()[~has_one].sum() == heights.size
    rank = np.empty(heights.size, int)
    rank[order] = np.arange(heights.size)
    assert (rank[has_one] > rank[below[has_one]]).all()


def test_erosion_leaves_no_slope_steeper_than_allowed_along_the_drainage():
    draws = np.random.default_rng(0)
    start = draws.uniform(0, 400, (30, 30))
    fall = np.full(start.shape, 0.01)
    uplift = np.pad(np.full((28, 28), 10.0), 1)
    _, receiver, _, _ = drain(start + uplift, fall)
    eroded = erode(start, uplift, fall, cell_size_m=100.0, rounds=1)
    below = receiver.ravel()
    upper = below >= 0
    drop = eroded.ravel()[upper] - eroded.ravel()[below[upper]]
    assert drop.max() <= 55.0 + 1e-9
    assert drop.min() > 0
    assert erode(start, uplift, fall, 100.0, rounds=3).mean() < (start + 3 * uplift).mean()


def test_the_slope_of_a_plane():
    plane = np.tile(np.arange(5) * 100.0, (4, 1))
    np.testing.assert_allclose(slope_of(plane, 100.0), 45.0)


def test_a_fractal_field_is_standard_smooth_and_drawn_from_its_generator():
    grid = SurveyGrid("EPSG:32638", 100, 0, 200, 200, 200)
    rough, smooth, again = (
        fractal(grid, np.random.default_rng(5), exponent, 8000.0) for exponent in (1.0, 4.0, 1.0)
    )
    assert rough.mean() == pytest.approx(0, abs=1e-12)
    assert smooth.std() == pytest.approx(1)
    np.testing.assert_array_equal(rough, again)
    assert np.abs(np.diff(smooth)).mean() < 0.3 * np.abs(np.diff(rough)).mean()


def test_the_power_of_a_fractal_field_falls_with_the_exponent_asked_for():
    grid = SurveyGrid("EPSG:32638", 100, 0, 512, 512, 512)
    field = fractal(grid, np.random.default_rng(1), exponent=3.0, longest_m=1e6)
    window = np.hanning(512)
    power = np.abs(np.fft.fft2(field * np.outer(window, window))) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(512, 100.0), np.fft.fftfreq(512, 100.0)))
    band = (frequency > 4e-4) & (frequency < 3e-3)
    fitted = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert fitted == pytest.approx(-3.0, abs=0.3)


def test_the_land_has_valleys_with_rivers_in_them(scene):
    terrain = scene.terrain
    assert terrain.elevation_m.min() >= 100
    assert 200 < np.ptp(terrain.elevation_m) < 3000
    assert 0 <= terrain.slope_deg.min() < 2
    assert terrain.slope_deg.max() < 60
    assert 0.005 < terrain.is_river.mean() < 0.06
    assert terrain.position_m[terrain.is_river].mean() < -10


def test_river_edges_lead_down_and_rivers_carry_more_than_streams(scene):
    terrain = scene.terrain
    edges, rank = terrain.river_edges()
    heights, upstream = terrain.elevation_m.ravel(), terrain.upstream_km2.ravel()
    assert (heights[edges[:, 0]] > heights[edges[:, 1]]).all()
    assert upstream[edges[rank == 1, 0]].max() < 60
    assert upstream[edges[:, 0]].min() >= 6


def test_land_cover_uses_the_named_codes_and_puts_people_on_gentle_ground(scene):
    cover = scene.land_cover
    assert set(np.unique(cover)) <= set(LAND_COVER)
    slope = scene.terrain.slope_deg
    assert slope[cover == CODE["cropland"]].max() < 7
    assert slope[cover == CODE["bare_ground"]].mean() > slope[cover == CODE["cropland"]].mean()
    shares = np.bincount(cover.ravel(), minlength=8)[1:] / cover.size
    assert shares.max() < 0.6
    assert (shares > 0.01).sum() >= 4
