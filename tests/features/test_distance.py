import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.features.candidates import Exclusions, candidates, squared_distance
from hazardrank.features.distance import nearest_segments
from hazardrank.features.grid_distance import distance_on_grid, nearest_on_grid
from hazardrank.features.segments import segments_of
from hazardrank.features.tiles import CellTiles, tiles_of_grid, tiles_of_points
from hazardrank.grid import SurveyGrid
from tests.features.vector_cases import grid_of, random_lines, random_points, seeds


def test_distances_of_a_3_by_3_block_to_a_vertical_line():
    grid = grid_of(3, 3)
    east = grid.west_m + 50
    line = shapely.LineString([(east, grid.north_m), (east, grid.north_m - 300)])
    distance_m = nearest_on_grid(grid, segments_of([line]), 1000.0).distance_m.reshape(grid.shape)
    assert distance_m == pytest.approx(np.array([[0, 100, 200]] * 3), abs=1e-9)


def test_a_point_and_the_cap():
    grid = grid_of(1, 5)
    point = shapely.Point(grid.west_m + 50, grid.north_m - 50)
    distance_m = nearest_on_grid(grid, segments_of([point]), 250.0).distance_m.reshape(grid.shape)
    assert distance_m.tolist() == [[0, 100, 200, 250, 250]]


def test_nothing_near_gives_the_cap_and_no_segment():
    tiles = tiles_of_grid(grid_of(2, 2))
    nearest = nearest_segments(tiles, segments_of([]), 500.0)
    assert nearest.distance_m.tolist() == [500] * 4
    assert nearest.segment.tolist() == [-1] * 4


def test_exactly_at_the_cap_still_counts():
    grid = grid_of(1, 1)
    point = shapely.Point(grid.west_m + 50, grid.north_m + 50)
    nearest = nearest_segments(tiles_of_grid(grid), segments_of([point]), 100.0)
    assert (nearest.distance_m[0], nearest.segment[0]) == (100, 0)


def test_ties_go_to_the_segment_that_comes_first():
    grid = grid_of(1, 1)
    east, north = grid.west_m + 50, grid.north_m - 50
    around = [shapely.Point(east + de, north + dn) for de, dn in ((30, 0), (0, 30), (-30, 0))]
    nearest = nearest_segments(tiles_of_grid(grid), segments_of(around), 100.0)
    assert nearest.segment.tolist() == [0]
    reverse = nearest_segments(tiles_of_grid(grid), segments_of(around[::-1]), 100.0)
    assert reverse.segment.tolist() == [0]


coordinate = st.one_of(
    st.integers(-40, 40).map(lambda cells: cells * 50.0),
    # Shapely itself divides by zero on segments so short that their squared length is 0.
    st.floats(-2000, 2000, allow_nan=False).map(lambda metres: round(metres, 9)),
    st.sampled_from([0.0, 1e-12, -1e-160, 3e6, -4e6]),
)
line = st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=4).map(shapely.LineString)


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(line, min_size=1, max_size=6))
def test_distance_equals_shapely(lines):
    grid = grid_of(13, 11, west=-5, north=7)
    cap_m = 1e7
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    expected = shapely.distance(
        shapely.points(easting, northing)[..., None], np.array(lines, dtype=object)
    ).min(axis=2)
    assert (
        np.abs(
            nearest_on_grid(grid, segments_of(lines), cap_m).distance_m.reshape(grid.shape)
            - expected
        ).max()
        < 1e-6
    )


@settings(max_examples=25, deadline=None)
@given(seed=seeds, block_cells=st.integers(1, 20), cap_m=st.sampled_from([150.0, 900.0, 20_000.0]))
def test_blocks_and_scattered_cells_agree_to_the_bit(seed, block_cells, cap_m):
    rng = np.random.default_rng(seed)
    grid = grid_of(19, 23)
    segments = segments_of(random_lines(rng, 8, grid) + random_points(rng, 4, grid))
    whole = nearest_segments(tiles_of_grid(grid), segments, cap_m)
    rows, cols = np.divmod(np.arange(grid.n_cells), grid.n_cols)
    for block in grid.blocks(block_cells):
        row, col = block.offset_in(grid)
        here = (rows >= row) & (rows < row + block.n_rows)
        here &= (cols >= col) & (cols < col + block.n_cols)
        part = nearest_segments(tiles_of_grid(block), segments, cap_m)
        assert part.distance_m.tobytes() == whole.distance_m[here].tobytes()
        assert part.segment.tobytes() == whole.segment[here].tobytes()
    cells = rng.integers(0, grid.n_cells, 50)
    easting, northing = grid.centres(rows[cells], cols[cells])
    scattered = nearest_segments(tiles_of_points(easting, northing, 100.0), segments, cap_m)
    assert scattered.distance_m.tobytes() == whole.distance_m[cells].tobytes()
    assert scattered.segment.tobytes() == whole.segment[cells].tobytes()


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_left_out_owners_are_as_if_they_were_not_there(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(12, 17)
    segments = segments_of(random_lines(rng, 10, grid))
    owner = rng.integers(0, 4, 10)[segments.feature]
    tiles = tiles_of_grid(grid)
    cell, left = rng.integers(0, grid.n_cells, 300), rng.integers(0, 4, 300)
    found = nearest_segments(
        tiles, segments, 3000.0, Exclusions.of_pairs(owner, 4, tiles, cell, left)
    )
    for this in rng.integers(0, grid.n_cells, 40):
        keep = ~np.isin(owner, left[cell == this])
        easting, northing = grid.centres(*np.divmod(this, grid.n_cols))
        alone = tiles_of_points(np.array([easting]), np.array([northing]), 100.0)
        expected = nearest_segments(alone, segments.take(np.flatnonzero(keep)), 3000.0)
        assert found.distance_m[this] == expected.distance_m[0]
        kept = np.append(np.flatnonzero(keep), -1)
        assert found.segment[this] == kept[expected.segment[0]]


def test_all_owners_left_out_gives_the_cap():
    grid = grid_of(2, 2)
    segments = segments_of([shapely.Point(grid.west_m, grid.north_m)])
    tiles = tiles_of_grid(grid)
    owner, cells = np.zeros(1, np.int64), np.arange(3)
    exclusions = Exclusions.of_pairs(owner, 1, tiles, cells, np.zeros(3, np.int64))
    nearest = nearest_segments(tiles, segments, 900.0, exclusions)
    assert nearest.segment.tolist() == [-1, -1, -1, 0]
    assert nearest.distance_m[:3].tolist() == [900] * 3


@pytest.mark.parametrize("nearest", [True, False])
def test_culling_keeps_all_that_can_matter_and_drops_most(nearest):
    rng = np.random.default_rng(1)
    grid = grid_of(128, 128)
    segments = segments_of(random_lines(rng, 200, grid))
    tiles = tiles_of_grid(grid)
    first, lists = candidates(tiles, segments, 1000.0, nearest=nearest)
    assert np.diff(first).mean() < len(segments) / 4
    for tile in (0, 100, 255):
        kept = lists[first[tile] : first[tile + 1]]
        assert (np.diff(kept) > 0).all()
        cells = slice(tiles.first[tile], tiles.first[tile + 1])
        points = shapely.points(tiles.easting[cells], tiles.northing[cells])
        drawn = shapely.linestrings(segments.ends.reshape(-1, 2, 2))
        distance_m = shapely.distance(points[:, None], drawn)
        within = np.flatnonzero((distance_m <= 1000).any(axis=0))
        needed = np.unique(distance_m.argmin(axis=1)) if nearest else within
        assert np.isin(np.intersect1d(needed, within), kept).all()


@given(rows=st.integers(1, 30), cols=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_tiles_hold_every_cell_once_inside_their_boxes(rows, cols):
    grid = grid_of(rows, cols)
    easting, northing = grid.centres(*np.divmod(np.arange(grid.n_cells), cols))
    for tiles in (tiles_of_grid(grid), tiles_of_points(easting, northing, 100.0)):
        assert sorted(tiles.order.tolist()) == list(range(grid.n_cells))
        assert (np.diff(tiles.codes) > 0).all()
        assert (tiles.easting == easting[tiles.order]).all()
        assert _within_boxes(tiles)


def _within_boxes(tiles: CellTiles) -> bool:
    box = np.repeat(tiles.boxes, np.diff(tiles.first), axis=0)
    east_west = (box[:, 0] <= tiles.easting) & (tiles.easting <= box[:, 2])
    return bool((east_west & (box[:, 1] <= tiles.northing) & (tiles.northing <= box[:, 3])).all())


def test_no_cells_at_all():
    tiles = tiles_of_points(np.empty(0), np.empty(0), 100.0)
    assert len(nearest_segments(tiles, segments_of([shapely.Point(0, 0)]), 10.0).segment) == 0


# ------------------------------------------------------------------- cells of a whole block


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_rows=st.sampled_from([1, 7, 8, 9, 33, 130]),
    n_cols=st.sampled_from([1, 8, 31, 129]),
    n_lines=st.sampled_from([0, 1, 2, 60]),
    cap_m=st.sampled_from([50.0, 700.0, 20_000.0]),
)
def test_squares_drop_nothing_that_could_be_nearest(seed, n_rows, n_cols, n_lines, cap_m):
    rng = np.random.default_rng(seed)
    grid = SurveyGrid("EPSG:32638", 100, 5000, 44000, n_rows, n_cols)
    west, south, east, north = grid.bounds
    corners = rng.uniform([west - 900, south - 900], [east + 900, north + 900], (n_lines, 3, 2))
    corners[::7, 1:] = corners[::7, :1]  # points
    corners[::5] = np.rint(corners[::5] / 50) * 50  # ties
    segments = segments_of(shapely.linestrings(corners))
    found = nearest_on_grid(grid, segments, cap_m)
    every = np.full((grid.n_cells, 1), np.inf)
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    if len(segments):
        every = np.stack(
            [
                [squared_distance(*s, e, n) for s in segments.packed]
                for e, n in zip(easting.ravel()[:300], northing.ravel()[:300], strict=True)
            ]
        )
    least = np.sqrt(every.min(axis=1))[:300]
    who = np.where(least <= cap_m, every.argmin(axis=1)[:300], -1)
    np.testing.assert_array_equal(found.distance_m[:300], np.minimum(least, cap_m))
    np.testing.assert_array_equal(found.segment[:300], who)
    only = distance_on_grid(grid, segments, cap_m)
    np.testing.assert_array_equal(only.ravel(), found.distance_m.astype(np.float32))


@pytest.mark.parametrize("cut", [(0, 0, 300, 70), (5, 3, 41, 600), (299, 649, 1, 1)])
def test_cutting_a_block_changes_no_bit(cut):
    rng = np.random.default_rng(1)
    grid = SurveyGrid("EPSG:32638", 100, 5000, 44000, 300, 650)
    west, south, east, north = grid.bounds
    lines = shapely.linestrings(rng.uniform([west, south], [east, north], (300, 4, 2)))
    segments = segments_of(lines)
    whole = nearest_on_grid(grid, segments, 9000.0)
    row, col, n_rows, n_cols = cut
    part = nearest_on_grid(grid.part(row, col, n_rows, n_cols), segments, 9000.0)
    for name in ("distance_m", "segment"):
        inside = getattr(whole, name).reshape(grid.shape)[row : row + n_rows, col : col + n_cols]
        np.testing.assert_array_equal(getattr(part, name).reshape(n_rows, n_cols), inside)
