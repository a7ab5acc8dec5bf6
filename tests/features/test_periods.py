import numpy as np
import pytest
import shapely
from hypothesis import given, settings

from hazardrank.features.periods import fill_held_nearby
from hazardrank.features.segments import segments_of
from hazardrank.features.tiles import tiles_of_grid
from tests.features.vector_cases import grid_of, random_lines, seeds


def held_nearby(grid, shapes, first, last, radii_m, unit_days=1.0):
    """Time held and periods, each of shape (n_radii, n_cells)."""
    held, tiles = np.empty((len(radii_m), 2, grid.n_cells)), tiles_of_grid(grid)
    fill_held_nearby(tiles, segments_of(shapes), first, last, radii_m, unit_days, held)
    return held[:, 0], held[:, 1]


def held_at_origin(times, offsets_m=None, radii_m=(500.0,)):
    """Days and periods at one cell of points held at these times, at these offsets."""
    grid = grid_of(1, 1)
    offsets_m = offsets_m or [0.0] * len(times)
    points = [shapely.Point(grid.west_m + 50 + o, grid.north_m - 50) for o in offsets_m]
    first, last = np.array(times, dtype=np.int64).reshape(-1, 2).T
    days, periods = held_nearby(grid, points, first, last, radii_m)
    return days[:, 0].tolist(), periods[:, 0].tolist()


@pytest.mark.parametrize(
    ("times", "days", "periods"),
    [
        ([(10, 10)], 1, 1),
        ([(10, 19), (30, 39)], 20, 2),
        ([(10, 19), (15, 29)], 20, 1),
        ([(10, 19), (20, 29)], 20, 1),
        ([(10, 19), (21, 29)], 19, 2),
        ([(10, 99), (20, 29), (40, 49)], 90, 1),
        ([(30, 39), (10, 19), (10, 19)], 20, 2),
        ([], 0, 0),
    ],
)
def test_the_union_of_times(times, days, periods):
    assert held_at_origin(times) == ([days], [periods])


def test_only_what_is_within_each_radius():
    times, offsets_m = [(0, 9), (100, 119)], [200.0, 500.0]
    assert held_at_origin(times, offsets_m, (100.0, 200.0, 499.0, 500.0)) == (
        [0, 10, 10, 30],
        [0, 1, 1, 2],
    )


def test_time_in_another_unit():
    grid = grid_of(1, 1)
    point = shapely.Point(grid.west_m, grid.north_m)
    weeks, _ = held_nearby(grid, [point], np.array([0]), np.array([20]), (500.0,), 7.0)
    assert weeks.tolist() == [[3]]


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_equals_counting_days_one_by_one(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(7, 9)
    lines = random_lines(rng, 8, grid)
    first = rng.integers(0, 40, 8)
    last = first + rng.integers(0, 15, 8)
    radii_m = (150.0, 700.0)
    days, periods = held_nearby(grid, lines, first, last, radii_m)
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    points = shapely.points(easting.ravel(), northing.ravel())
    distance_m = shapely.distance(points[:, None], np.array(lines, dtype=object))
    day = np.arange(60)
    standing = (first[:, None] <= day) & (day <= last[:, None])
    for r, radius_m in enumerate(radii_m):
        held = ((distance_m <= radius_m)[:, :, None] & standing).any(axis=1)
        assert days[r].tolist() == held.sum(axis=1).tolist()
        starts = np.diff(held.astype(int), axis=1, prepend=0) == 1
        assert periods[r].tolist() == starts.sum(axis=1).tolist()
