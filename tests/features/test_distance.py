import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.features.candidates import Exclusions, candidates
from hazardrank.features.distance import distance_block, fill_distances, nearest_segments
from hazardrank.features.segments import segments_of
from hazardrank.features.tiles import (
    TILE_SIZE,
    cell_at,
    load_tile,
    store_tile,
    tiles_of_grid,
    tiles_of_points,
)
from tests.features.vector_cases import grid_of, random_lines, random_points, seeds


def test_distances_of_a_3_by_3_block_to_a_vertical_line():
    grid = grid_of(3, 3)
    east = grid.west_m + 50
    line = shapely.LineString([(east, grid.north_m), (east, grid.north_m - 300)])
    distance_m = distance_block(grid, segments_of([line]), 1000.0)
    assert distance_m == pytest.approx(np.array([[0, 100, 200]] * 3), abs=1e-9)


def test_a_point_and_the_cap():
    grid = grid_of(1, 5)
    point = shapely.Point(grid.west_m + 50, grid.north_m - 50)
    distance_m = distance_block(grid, segments_of([point]), 250.0)
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
    assert np.abs(distance_block(grid, segments_of(lines), cap_m) - expected).max() < 1e-6


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
    near = candidates(tiles, segments, 1000.0, nearest=nearest)
    assert (near.stop - near.start).mean() < len(segments) / (20 if nearest else 5)
    drawn = shapely.linestrings(segments.ends.reshape(-1, 2, 2))
    for tile in range(0, tiles.n_tiles, 5):
        kept = near.of_tile(tile)
        assert (np.diff(kept) > 0).all()
        east, north = np.empty((2, TILE_SIZE))
        load_tile(tiles.cells, tile, east, north)
        distance_m = shapely.distance(shapely.points(east, north)[:, None], drawn)
        within = np.flatnonzero((distance_m <= 1000).any(axis=0))
        needed = np.unique(distance_m.argmin(axis=1)) if nearest else within
        assert np.isin(np.intersect1d(needed, within), kept).all()


any_segment = st.tuples(coordinate, coordinate, coordinate, coordinate, st.booleans()).map(
    lambda ends: shapely.Point(ends[:2]) if ends[4] else shapely.LineString([ends[:2], ends[2:4]])
)


@settings(max_examples=80, deadline=None)
@given(
    shapes=st.lists(any_segment, min_size=1, max_size=30),
    rows=st.integers(1, 40),
    cols=st.integers(1, 40),
    cap_m=st.sampled_from([0.0, 70.0, 400.0, 1e9]),
    cell_size_m=st.sampled_from([1, 30, 100, 5000]),
)
def test_equals_trying_every_segment_to_the_bit(shapes, rows, cols, cap_m, cell_size_m):
    """Points, lines, segments of no length and huge ones, twice the same: ties to the first."""
    grid = grid_of(rows, cols, cell_size_m, west=-cols // 2, north=rows // 2)
    segments = segments_of(shapes + shapes[::-1])
    easting, northing = grid.centres(*np.divmod(np.arange(grid.n_cells), cols))
    expected_m, expected = every_segment(easting, northing, segments, cap_m)
    tiles = tiles_of_grid(grid)
    found = nearest_segments(tiles, segments, cap_m)
    assert found.segment.tolist() == expected.tolist()
    assert found.distance_m.tobytes() == expected_m.tobytes()
    alone = np.empty(grid.n_cells, np.float32)
    fill_distances(tiles, segments, cap_m, alone)
    assert alone.tobytes() == expected_m.astype(np.float32).tobytes()


@pytest.mark.parametrize(("n_lines", "block_cells"), [(3, 97), (300, 211), (3000, 97)])
def test_many_segments_and_large_blocks_too(n_lines, block_cells):
    """Blocks of an odd size, through all levels of the tree: to the bit, ties to the first."""
    rng = np.random.default_rng(n_lines)
    grid = grid_of(block_cells, block_cells + 3)
    lines = random_lines(rng, n_lines, grid, margin_m=5000.0)
    segments = segments_of(lines + lines[:50])
    easting, northing = grid.centres(*np.divmod(np.arange(grid.n_cells), grid.n_cols))
    some = rng.integers(0, grid.n_cells, 400)
    expected_m, expected = every_segment(easting[some], northing[some], segments, 4000.0)
    found = nearest_segments(tiles_of_grid(grid), segments, 4000.0)
    assert found.segment[some].tolist() == expected.tolist()
    assert found.distance_m[some].tobytes() == expected_m.tobytes()


def every_segment(easting, northing, segments, cap_m):
    """Distance and number of the nearest by the plain expression, one segment at a time."""
    best, nearest = np.full(len(easting), np.inf), np.full(len(easting), -1)
    for s, (start_e, start_n, d_e, d_n, inverse) in enumerate(segments.packed):
        east_m, north_m = easting - start_e, northing - start_n
        share = np.clip((east_m * d_e + north_m * d_n) * inverse, 0.0, 1.0)
        east_m, north_m = east_m - share * d_e, north_m - share * d_n
        squared = east_m * east_m + north_m * north_m
        nearest[squared < best] = s
        best = np.minimum(best, squared)
    distance_m = np.sqrt(best)
    nearest[distance_m > cap_m] = -1
    return np.minimum(distance_m, cap_m), nearest


@given(rows=st.integers(1, 30), cols=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_tiles_hold_every_cell_once_inside_their_boxes(rows, cols):
    grid = grid_of(rows, cols)
    easting, northing = grid.centres(*np.divmod(np.arange(grid.n_cells), cols))
    for tiles in (tiles_of_grid(grid), tiles_of_points(easting, northing, 100.0)):
        held, number = [], np.empty(grid.n_cells)
        for tile in range(tiles.n_tiles):
            east, north = np.empty((2, TILE_SIZE))
            load_tile(tiles.cells, tile, east, north)
            west, south, east_m, north_m = tiles.boxes[tile]
            assert (west, east_m) == (east.min(), east.max())
            assert (south, north_m) == (north.min(), north.max())
            for place in range(TILE_SIZE):
                cell = cell_at(tiles.cells, tile, place)
                if cell >= 0:
                    held.append(cell)
                    assert (east[place], north[place]) == (easting[cell], northing[cell])
            store_tile(tiles.cells, tile, np.full(TILE_SIZE, float(tile)), number)
        assert sorted(held) == list(range(grid.n_cells))
        assert number.tolist() == tiles.tile_of(np.arange(grid.n_cells)).tolist()


@given(rows=st.integers(1, 50), cols=st.integers(1, 50), scattered=st.booleans())
@settings(max_examples=30, deadline=None)
def test_nodes_hold_the_boxes_and_tiles_below_them(rows, cols, scattered):
    grid = grid_of(rows, cols)
    tiles = tiles_of_grid(grid)
    if scattered:
        spread_m = np.random.default_rng(rows).uniform(-1e6, 1e6, (2, 20 * cols))
        tiles = tiles_of_points(*spread_m, 100.0)
    tree, n_inner = tiles.tree, len(tiles.tree.first_child) - 1
    assert len(tree.boxes) == n_inner + tiles.n_tiles
    assert tree.tiles[0].tolist() == [0, tiles.n_tiles]
    for node in range(n_inner):
        below = slice(tree.first_child[node], tree.first_child[node + 1])
        first, stop = tree.tiles[node]
        assert tree.tiles[below].ravel()[1:-1:2].tolist() == tree.tiles[below, 0][1:].tolist()
        assert (first, stop) == (tree.tiles[below][0, 0], tree.tiles[below][-1, 1])
        for boxes in (tree.boxes[below], tiles.boxes[first:stop]):
            assert tree.boxes[node, :2].tolist() == boxes[:, :2].min(axis=0).tolist()
            assert tree.boxes[node, 2:].tolist() == boxes[:, 2:].max(axis=0).tolist()


def test_the_same_cell_many_times():
    grid = grid_of(1, 3)
    easting, northing = np.repeat(grid.eastings(), 5000), np.full(15_000, grid.northings()[0])
    segments = segments_of([shapely.Point(easting[0] + s, northing[0]) for s in (30, 140, 250)])
    found = nearest_segments(tiles_of_points(easting, northing, 100.0), segments, 1000.0)
    assert found.distance_m.tolist() == [30] * 5000 + [40] * 5000 + [50] * 5000
    assert found.segment.tolist() == [0] * 5000 + [1] * 5000 + [2] * 5000


def test_no_cells_at_all():
    tiles = tiles_of_points(np.empty(0), np.empty(0), 100.0)
    assert len(nearest_segments(tiles, segments_of([shapely.Point(0, 0)]), 10.0).segment) == 0


@pytest.mark.parametrize("cut", [(0, 0, 300, 70), (5, 3, 41, 600), (299, 649, 1, 1)])
def test_cutting_a_block_changes_no_bit(cut):
    rng = np.random.default_rng(1)
    grid = grid_of(300, 650)
    segments = segments_of(random_lines(rng, 300, grid))
    whole = nearest_segments(tiles_of_grid(grid), segments, 9000.0)
    row, col, n_rows, n_cols = cut
    part = nearest_segments(tiles_of_grid(grid.part(row, col, n_rows, n_cols)), segments, 9000.0)
    for name in ("distance_m", "segment"):
        inside = getattr(whole, name).reshape(grid.shape)[row : row + n_rows, col : col + n_cols]
        assert np.ascontiguousarray(inside).tobytes() == getattr(part, name).tobytes()
