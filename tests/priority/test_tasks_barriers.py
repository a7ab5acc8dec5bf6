import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.grid import SurveyGrid
from hazardrank.priority.tasks_barriers import EAST, SOUTH, barrier_edges
from tests.priority.cases import at, grid_of, line


def test_a_road_between_two_columns_separates_them():
    grid = grid_of(3, 4)
    blocked = barrier_edges(grid, np.array([line(grid, (220, -50), (220, 350))]))
    assert blocked.tolist() == [[0, EAST, 0, 0]] * 3


def test_a_cell_that_a_road_cuts_lies_on_the_side_of_its_centre():
    grid = grid_of(1, 3)
    # The centre of the second cell is at 150 m.
    west = barrier_edges(grid, np.array([line(grid, (140, -50), (140, 150))]))
    east = barrier_edges(grid, np.array([line(grid, (160, -50), (160, 150))]))
    assert west.tolist() == [[EAST, 0, 0]]
    assert east.tolist() == [[0, EAST, 0]]


def test_a_road_that_ends_separates_only_where_it_lies():
    grid = grid_of(4, 2)
    blocked = barrier_edges(grid, np.array([line(grid, (100, -50), (100, 200))]))
    assert blocked.tolist() == [[EAST, 0], [EAST, 0], [0, 0], [0, 0]]


def test_a_river_bank_keeps_the_river_apart():
    grid = grid_of(3, 3)
    corners = [at(grid, 90, -100), at(grid, 210, -100), at(grid, 210, 400), at(grid, 90, 400)]
    blocked = barrier_edges(grid, np.array([shapely.Polygon(corners)]))
    assert blocked.tolist() == [[EAST, EAST, 0]] * 3


def test_no_lines():
    assert not barrier_edges(grid_of(2, 2), np.empty(0, object)).any()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_borders_are_blocked_where_the_way_between_centres_meets_a_line(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(6, 5)
    west, south, east, north = grid.bounds
    lines = shapely.linestrings(
        rng.uniform((west - 100, south - 100), (east + 100, north + 100), (3, 5, 2))
    )
    blocked = barrier_edges(grid, lines)
    moved = shapely.transform(lines, lambda places: places + np.array([1e-3, 0.618e-3]))
    for row in range(6):
        for col in range(5):
            for bit, (other_row, other_col) in ((EAST, (row, col + 1)), (SOUTH, (row + 1, col))):
                if other_row < 6 and other_col < 5:
                    way = shapely.linestrings(
                        np.column_stack(
                            grid.centres(np.array([row, other_row]), np.array([col, other_col]))
                        )
                    )
                    assert bool(blocked[row, col] & bit) == shapely.intersects(way, moved).any()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_leaks_through_roads_with_corners_on_centres(seed):
    rng = np.random.default_rng(seed)
    grid = SurveyGrid("EPSG:32638", 100, 6000, 44000, 9, 9)
    # From west to east and never back, so that each centre lies either north or south of it.
    steps = np.array([(0, 100), (100, 0), (100, 100), (100, -100), (200, 100), (100, 200)])
    start = (-250, rng.integers(0, 9) * 100 + 50)
    places = np.cumsum(np.vstack([start, steps[rng.integers(0, len(steps), 20)]]), axis=0)
    places = np.vstack([places, places[-1] + (2000, 0)])
    blocked = barrier_edges(grid, np.array([line(grid, *map(tuple, places.tolist()))]))
    centres = 100 * np.arange(9) + 50
    south_of_road = centres[:, None] > np.interp(centres, places[:, 0] + 1e-3, places[:, 1] - 6e-4)
    apart = south_of_road[:, :-1] != south_of_road[:, 1:]
    assert (blocked[:, :-1] & EAST)[apart].all()
    apart = south_of_road[:-1] != south_of_road[1:]
    assert (blocked[:-1] & SOUTH)[apart].all()
