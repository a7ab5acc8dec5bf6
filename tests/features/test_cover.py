import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.features.cover import (
    cells_inside,
    cells_touched,
    inside_of_block,
    rows_of_grid,
    rows_of_points,
)
from hazardrank.features.segments import segments_of
from tests.features.vector_cases import (
    grid_of,
    random_lines,
    random_points,
    random_polygons,
    seeds,
)


def squares_of(grid):
    easting, northing = grid.centres(*np.divmod(np.arange(grid.n_cells), grid.n_cols))
    half = grid.cell_size_m / 2
    return shapely.box(easting - half, northing - half, easting + half, northing + half)


def test_a_square_of_two_by_two_cells():
    grid = grid_of(4, 4)
    west, north = grid.west_m, grid.north_m
    square = shapely.box(west + 100, north - 300, west + 300, north - 100)
    cell, feature = cells_inside(rows_of_grid(grid), segments_of([square]))
    assert sorted(cell.tolist()) == [5, 6, 9, 10]
    assert set(feature.tolist()) == {0}
    touched = np.unique(cells_touched(rows_of_grid(grid), segments_of([square]))[0])
    assert touched.tolist() == list(range(16))


def test_a_hole_is_outside():
    grid = grid_of(3, 3)
    west, north = grid.west_m, grid.north_m
    ring = shapely.box(west, north - 300, west + 300, north).difference(
        shapely.box(west + 100, north - 200, west + 200, north - 100)
    )
    cell, _ = cells_inside(rows_of_grid(grid), segments_of([ring]))
    assert sorted(cell.tolist()) == [0, 1, 2, 3, 5, 6, 7, 8]


def test_a_point_in_a_cell_touches_it_and_on_a_corner_four():
    grid = grid_of(2, 2)
    corner = shapely.Point(grid.west_m + 100, grid.north_m - 100)
    within = shapely.Point(grid.west_m + 101, grid.north_m - 99)
    cell, segment = cells_touched(rows_of_grid(grid), segments_of([corner, within]))
    assert sorted(cell[segment == 0].tolist()) == [0, 1, 2, 3]
    assert cell[segment == 1].tolist() == [1]


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n=st.integers(0, 9))
def test_the_inside_of_a_block_is_that_of_its_cells(seed, n):
    rng = np.random.default_rng(seed)
    grid = grid_of(14, 18)
    rings = segments_of(random_polygons(rng, n, grid))
    expected = np.zeros(grid.n_cells, bool)
    expected[cells_inside(rows_of_grid(grid), rings)[0]] = True
    assert inside_of_block(grid, rings).ravel().tolist() == expected.tolist()


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_inside_equals_shapely(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(14, 18)
    polygons = random_polygons(rng, 6, grid)
    found = np.zeros((grid.n_cells, len(polygons)), bool)
    found[cells_inside(rows_of_grid(grid), segments_of(polygons))] = True
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    points = shapely.points(easting.ravel(), northing.ravel())[:, None]
    assert (found == shapely.contains(np.array(polygons, dtype=object), points)).all()


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_touched_equals_shapely(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(14, 18)
    shapes = random_lines(rng, 6, grid) + random_points(rng, 5, grid)
    segments = segments_of(shapes)
    found = np.zeros((grid.n_cells, len(shapes)), bool)
    cell, segment = cells_touched(rows_of_grid(grid), segments)
    found[cell, segments.feature[segment]] = True
    expected = shapely.intersects(squares_of(grid)[:, None], np.array(shapes, dtype=object))
    assert (found == expected).all()


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_scattered_cells_give_what_the_block_gives(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(9, 12, west=-6, north=4)
    polygons = random_polygons(rng, 5, grid)
    segments = segments_of(polygons)
    cells = rng.integers(0, grid.n_cells, 40)
    scattered = rows_of_points(*grid.centres(*np.divmod(cells, grid.n_cols)), 100.0)
    for pairs in (cells_inside, cells_touched):
        whole = np.unique(np.stack(pairs(rows_of_grid(grid), segments), axis=1), axis=0)
        here = np.unique(np.stack(pairs(scattered, segments), axis=1), axis=0)
        expected = [
            [k, other] for k, cell in enumerate(cells) for other in whole[whole[:, 0] == cell, 1]
        ]
        assert here.tolist() == expected


def test_no_cells_and_no_shapes():
    nowhere = rows_of_points(np.empty(0), np.empty(0), 100.0)
    square = segments_of([shapely.box(0, 0, 1, 1)])
    assert len(cells_inside(nowhere, square)[0]) == 0
    assert len(cells_touched(rows_of_grid(grid_of(1, 1)), segments_of([]))[0]) == 0
