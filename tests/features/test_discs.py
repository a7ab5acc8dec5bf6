import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.features.discs import (
    counting_grid,
    fill_count_per_km2,
    fill_length_per_km2,
    inside_region,
    length_of_cells,
    points_of_cells,
)
from hazardrank.features.segments import segments_of
from tests.features.vector_cases import grid_of, layers_of, random_lines, seeds, table_of


def lengths(grid, *lines):
    return np.rint(length_of_cells(grid, segments_of(lines)) * 1000).tolist()


def density(fill, amount, inside, grid, radii_m=(100,)):
    result = np.empty((len(radii_m), *grid.shape), np.float32)
    fill(amount, inside, grid, radii_m, result)
    return result


def test_a_line_through_the_middle_of_two_cells():
    grid = grid_of(2, 2)
    west, north = grid.west_m, grid.north_m
    line = shapely.LineString([(west + 25, north - 50), (west + 200, north - 50)])
    assert lengths(grid, line) == [[75_000, 100_000], [0, 0]]


def test_a_diagonal_passes_two_cells_and_reaches_outside():
    grid = grid_of(2, 2)
    west, north = grid.west_m, grid.north_m
    line = shapely.LineString([(west - 100, north + 100), (west + 500, north - 500)])
    assert lengths(grid, line) == [[141_421, 0], [0, 141_421]]


def test_what_runs_along_a_border_counts_once_east_and_south_of_it():
    grid = grid_of(2, 2)
    west, north = grid.west_m, grid.north_m
    down = shapely.LineString([(west + 100, north), (west + 100, north - 200)])
    across = shapely.LineString([(west, north - 100), (west + 200, north - 100)])
    assert lengths(grid, down) == [[0, 100_000], [0, 100_000]]
    assert lengths(grid, across) == [[0, 0], [100_000, 100_000]]


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_lengths_equal_shapely_and_add_up(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(9, 11)
    lines = random_lines(rng, 5, grid)
    found = length_of_cells(grid, segments_of(lines))
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    squares = shapely.box(easting - 50, northing - 50, easting + 50, northing + 50)
    expected = sum(shapely.length(shapely.intersection(squares, line)) for line in lines)
    assert found == pytest.approx(expected, abs=2e-3)
    whole = sum(shapely.intersection(line, shapely.box(*grid.bounds)).length for line in lines)
    assert found.sum() == pytest.approx(whole, abs=0.1)


def test_points_on_grid_lines_fall_in_one_cell():
    grid = grid_of(2, 2)
    corner = (grid.west_m + 100, grid.north_m - 100)
    count = points_of_cells(grid, np.array([corner[0], 0.0]), np.array([corner[1], 0.0]))
    assert count.tolist() == [[0, 0], [0, 1]]


def test_densities_in_a_disc_of_five_cells():
    grid = grid_of(1, 1)
    outer = counting_grid(grid, [100])
    assert outer.shape == (3, 3)
    inside = np.ones((3, 3), bool)
    length_m = np.full((3, 3), 100.0)
    lengths = density(fill_length_per_km2, length_m, inside, grid)
    assert lengths.tolist() == [[[pytest.approx(10)]]]
    count = np.arange(9).reshape(3, 3)
    counts = density(fill_count_per_km2, count, inside, grid)
    assert counts[0, 0, 0] == pytest.approx(20 / 0.05)


def test_only_the_part_inside_the_region_counts():
    grid = grid_of(1, 1)
    inside = np.array([[True, False, True], [False, True, True], [True, True, True]])
    count = np.ones((3, 3), np.int64)
    assert density(fill_count_per_km2, count, inside, grid)[0, 0, 0] == pytest.approx(100)
    nowhere = density(fill_count_per_km2, count, np.zeros((3, 3), bool), grid)
    assert np.isnan(nowhere).all()


@settings(max_examples=20, deadline=None)
@given(seed=seeds, largest=st.sampled_from([3, 2**31, 2**40]), partly=st.booleans())
def test_sums_are_exact_where_32_bits_do_not_hold_them(seed, largest, partly):
    rng = np.random.default_rng(seed)
    grid = grid_of(6, 7)
    outer = counting_grid(grid, [100, 320])
    count = rng.integers(0, largest, outer.shape)
    inside = (rng.random(outer.shape) < 0.8) | (not partly)
    found = density(fill_count_per_km2, count, inside, grid, (100, 320))
    down, across = np.mgrid[-3:4, -3:4]
    for number, radius in enumerate((1.0, 3.2)):
        disc = np.hypot(down, across) <= radius
        for row, col in np.ndindex(grid.shape):
            here = inside[row : row + 7, col : col + 7] & disc
            total = int(count[row : row + 7, col : col + 7][here].sum())
            expected = np.float32(total / (here.sum() * 0.01)) if here.any() else np.nan
            assert found[number, row, col] == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_inside_is_bounded_by_the_regions_grid():
    grid = grid_of(2, 2)
    layers = layers_of(
        grid, inside=lambda g: np.ones(g.shape, bool), points=table_of([shapely.Point(0, 0)])
    )
    assert inside_region(grid.expanded(1), layers).astype(int).tolist() == [
        [0, 0, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
    ]
