import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.features.gravity import fill_gravity, gravity_sum, step_of
from hazardrank.features.segments import segments_of
from hazardrank.features.tiles import tiles_of_grid
from tests.features.vector_cases import grid_of, random_points, seeds


def test_by_hand():
    grid = grid_of(1, 2)
    places = [shapely.Point(grid.west_m + e, grid.north_m - 50) for e in (50, 350)]
    weight = np.array([9.0, 16.0])
    found = gravity_sum(tiles_of_grid(grid), segments_of(places), weight, 300.0, 100.0, 2.0)
    assert found.tolist() == pytest.approx([9 + 16 / 16, 9 / 4 + 16 / 9])


def test_no_place_is_no_weight():
    tiles = tiles_of_grid(grid_of(2, 3))
    assert gravity_sum(tiles, segments_of([]), np.empty(0), 300.0, 100.0, 2.0).tolist() == [0] * 6


def test_the_step_to_which_places_are_rounded():
    assert step_of(20_000, 100) == 2**-9
    assert step_of(20_000, 1000) == 2**-7
    assert step_of(2e7, 1000) == 0.5


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    cell_size_m=st.sampled_from([1, 25, 100, 1000]),
    cap_cells=st.sampled_from([3, 40]),
    d0_m=st.sampled_from([1.0, 50.0, 1000.0]),
    beta=st.sampled_from([0.5, 1.0, 1.5, 2.0, 2.5, 4.0]),
)
def test_is_within_the_stated_bound_of_the_formula(seed, cell_size_m, cap_cells, d0_m, beta):
    rng = np.random.default_rng(seed)
    grid = grid_of(17, 30, cell_size_m)
    margin_m, cap_m = 20.0 * cell_size_m, float(cap_cells * cell_size_m)
    places = segments_of(random_points(rng, 60, grid, margin_m))
    weight = rng.uniform(0, 5000, 60)
    easting, northing = grid.centres(*np.divmod(np.arange(grid.n_cells), grid.n_cols))
    way_e, way_n = easting[:, None] - places.ends[:, 0], northing[:, None] - places.ends[:, 1]
    distance_m, step_m = np.hypot(way_e, way_n), step_of(cap_m, cell_size_m)
    full = weight * (d0_m / (distance_m + d0_m)) ** beta
    at_the_cap = np.abs(distance_m - cap_m) <= 2 * step_m
    expected = np.where(distance_m <= cap_m, full, 0.0).sum(axis=1)
    room = expected * (1e-6 + beta * step_m / d0_m) + np.where(at_the_cap, full, 0.0).sum(axis=1)
    tiles = tiles_of_grid(grid)
    found = gravity_sum(tiles, places, weight, cap_m, d0_m, beta)
    assert (np.abs(found - expected) <= room).all()
    stored = np.empty(grid.n_cells, np.float32)
    fill_gravity(tiles, places, weight, cap_m, d0_m, beta, stored)
    assert stored.tobytes() == found.astype(np.float32).tobytes()


@settings(max_examples=20, deadline=None)
@given(seed=seeds, row=st.integers(0, 20), col=st.integers(0, 20), rows=st.integers(1, 20))
def test_a_part_of_a_block_has_the_same_bits(seed, row, col, rows):
    rng = np.random.default_rng(seed)
    grid = grid_of(41, 43, 30)
    places, weight = segments_of(random_points(rng, 80, grid)), rng.uniform(0, 5000, 80)
    whole, part = (
        gravity_sum(tiles_of_grid(block), places, weight, 900.0, 200.0, 1.5).reshape(block.shape)
        for block in (grid, grid.part(row, col, rows, 22))
    )
    expected = np.ascontiguousarray(whole[row : row + rows, col : col + 22])
    assert expected.tobytes() == part.tobytes()
