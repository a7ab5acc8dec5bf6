import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import GridError
from hazardrank.grid import SurveyGrid
from hazardrank.grid.survey_grid import utm_code

GRIDS = st.builds(
    SurveyGrid,
    crs=st.just("EPSG:32638"),
    cell_size_m=st.sampled_from([1, 30, 100, 250]),
    west_cell=st.integers(-500, 500),
    north_cell=st.integers(-500, 500),
    n_rows=st.integers(1, 40),
    n_cols=st.integers(1, 40),
)


@pytest.fixture
def grid():
    """Return 3 rows × 4 columns; its north-west corner is 601,200 m east, 4,412,600 m north."""
    return SurveyGrid("EPSG:32638", 100, 6012, 44126, 3, 4)


def test_extent_in_metres(grid):
    assert grid.bounds == (601_200, 4_412_300, 601_600, 4_412_600)
    assert (grid.shape, grid.n_cells, grid.cell_area_m2) == ((3, 4), 12, 10_000)
    assert (grid.transform @ (1, 1)) == (601_300, 4_412_500)


def test_centres(grid):
    np.testing.assert_array_equal(grid.eastings(), [601_250, 601_350, 601_450, 601_550])
    np.testing.assert_array_equal(grid.northings(), [4_412_550, 4_412_450, 4_412_350])
    easting, northing = grid.centres(np.array([2]), np.array([0]))
    assert (easting[0], northing[0]) == (601_250, 4_412_350)


def test_inspire_codes_name_the_lower_left_corner(grid):
    ids = grid.cell_ids(np.array([2, 0]), np.array([0, 3]))
    assert ids.tolist() == ["CRS32638RES100mN4412300E601200", "CRS32638RES100mN4412500E601500"]


def test_covering_takes_in_every_cell_the_bounds_touch():
    grid = SurveyGrid.covering("EPSG:32638", 100, (601_201, 4_412_301, 601_599, 4_412_599))
    assert grid.bounds == (601_200, 4_412_300, 601_600, 4_412_600)
    exact = SurveyGrid.covering("EPSG:32638", 100, grid.bounds)
    assert exact == grid


def test_negative_coordinates():
    grid = SurveyGrid.covering("EPSG:32638", 100, (-250, -150, -50, 50))
    assert grid.bounds == (-300, -200, 0, 100)
    assert grid.cell_ids(np.array([2]), np.array([0]))[0] == "CRS32638RES100mN-200E-300"


@pytest.mark.parametrize(
    ("point", "cell"),
    [
        ((601_250, 4_412_550), (0, 0)),
        ((601_300, 4_412_550), (0, 1)),  # on a vertical line: the cell to the east
        ((601_250, 4_412_500), (1, 0)),  # on a horizontal line: the cell to the south
        ((601_300, 4_412_500), (1, 1)),  # on a corner: south-east
        ((601_199, 4_412_601), (-1, -1)),  # outside comes back as it is
    ],
)
def test_points_on_a_grid_line_belong_to_the_cell_south_and_east(grid, point, cell):
    rows, cols = grid.cells_of(np.array([point[0]]), np.array([point[1]]))
    assert (rows[0], cols[0]) == cell


@settings(max_examples=60, deadline=None)
@given(grid=GRIDS, data=st.data())
def test_every_point_even_on_a_line_lies_in_exactly_one_cell(grid, data):
    half_m = grid.cell_size_m / 2
    easting = grid.west_m + half_m * data.draw(st.integers(0, 2 * grid.n_cols - 1))
    northing = grid.north_m - half_m * data.draw(st.integers(0, 2 * grid.n_rows - 1))
    holders = [
        (row, col)
        for row in range(grid.n_rows)
        for col in range(grid.n_cols)
        if 0 <= easting - grid.west_m - col * grid.cell_size_m < grid.cell_size_m
        and 0 <= grid.north_m - row * grid.cell_size_m - northing < grid.cell_size_m
    ]
    rows, cols = grid.cells_of(np.array([easting]), np.array([northing]))
    assert holders == [(rows[0], cols[0])]


@settings(max_examples=60, deadline=None)
@given(grid=GRIDS)
def test_centres_lie_in_their_own_cell(grid):
    rows, cols = (part.ravel() for part in np.indices(grid.shape))
    found_rows, found_cols = grid.cells_of(*grid.centres(rows, cols))
    np.testing.assert_array_equal(found_rows, rows)
    np.testing.assert_array_equal(found_cols, cols)


@settings(max_examples=60, deadline=None)
@given(grid=GRIDS, block_cells=st.integers(1, 50))
def test_blocks_cover_every_cell_once(grid, block_cells):
    covered = np.zeros(grid.shape, int)
    blocks = list(grid.blocks(block_cells))
    for block in blocks:
        row, col = block.offset_in(grid)
        covered[row : row + block.n_rows, col : col + block.n_cols] += 1
        assert max(block.shape) <= block_cells
    assert (covered == 1).all()
    assert len(blocks) == grid.n_blocks(block_cells)


@settings(max_examples=60, deadline=None)
@given(grid=GRIDS, data=st.data())
def test_nested_grids_agree_on_the_ids_of_shared_cells(grid, data):
    row = data.draw(st.integers(-5, grid.n_rows - 1))
    col = data.draw(st.integers(-5, grid.n_cols - 1))
    part = grid.part(row, col, 4, 3)
    assert part.offset_in(grid) == (row, col)
    assert grid.offset_in(part) == (-row, -col)
    rows, cols = (index.ravel() for index in np.indices(part.shape))
    assert part.cell_ids(rows, cols).tolist() == grid.cell_ids(rows + row, cols + col).tolist()


@settings(max_examples=40, deadline=None)
@given(
    # Below the smallest normal number a division by the cell size is no longer exact.
    west=st.floats(-9e5, 9e5, allow_subnormal=False),
    north=st.floats(-9e6, 9e6, allow_subnormal=False),
    size=st.sampled_from([25, 100]),
)
def test_grids_of_overlapping_areas_nest(west, north, size):
    first = SurveyGrid.covering("EPSG:32638", size, (west, north - 5000, west + 5000, north))
    second = SurveyGrid.covering("EPSG:32638", size, (west + 7, north - 5003, west + 4000, north))
    row, col = second.offset_in(first)
    assert second.west_m == first.west_m + col * size
    assert second.north_m == first.north_m - row * size
    assert first.west_m <= west < first.west_m + size
    assert first.bounds[1] <= north - 5000 < first.bounds[1] + size


def test_a_halo_grows_on_every_side(grid):
    halo = grid.expanded(2)
    assert halo.shape == (7, 8)
    assert grid.offset_in(halo) == (2, 2)
    assert halo.part(2, 2, 3, 4) == grid


def test_grids_of_another_size_or_crs_do_not_nest(grid):
    with pytest.raises(GridError, match="EPSG:32638 at 100 m and EPSG:32638 at 200 m"):
        grid.offset_in(SurveyGrid("EPSG:32638", 200, 3006, 22063, 3, 4))
    with pytest.raises(GridError, match=r"grids do not match.*EPSG:32637"):
        grid.offset_in(SurveyGrid("EPSG:32637", 100, 6012, 44126, 3, 4))


@pytest.mark.parametrize(
    ("crs", "message"),
    [
        ("EPSG:4326", "geographic .degrees.*EPSG:326NN north or EPSG:327NN south"),
        # RGF93 Réunion, around 55.5° E 21° S: UTM zone 40 south.
        ("EPSG:4627", "Use its UTM zone, EPSG:32740"),
        ("EPSG:2263", "not a projected CRS in metres"),  # New York, feet
        ("EPSG:999999", "not a known CRS.*EPSG:32638"),
        ("somewhere", "'somewhere' is not a known CRS"),
    ],
)
def test_crs_that_is_not_in_metres_is_refused_with_advice(crs, message):
    with pytest.raises(GridError, match=message):
        SurveyGrid(crs, 100, 0, 0, 1, 1)


@pytest.mark.parametrize(
    ("bounds_deg", "code"),
    [((44, 33, 46, 36), "EPSG:32638"), ((-76, -2.5, -75, -2), "EPSG:32718")],
)
def test_utm_zone_of_an_area(bounds_deg, code):
    assert utm_code(bounds_deg) == code


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SurveyGrid("EPSG:32638", 12.5, 0, 0, 1, 1), "12.5 m is not a whole number"),
        (lambda: SurveyGrid("EPSG:32638", 0, 0, 0, 1, 1), "0 m is not a whole number"),
        (lambda: SurveyGrid("EPSG:32638", 100, 0, 0, 0, 5), "0 rows and 5 columns"),
        (lambda: SurveyGrid.covering("EPSG:32638", 100, (1, 1, 1, 2)), "are empty"),
        (
            lambda: SurveyGrid.covering("EPSG:32638", 100, (float("nan"), 1, 2, 2)),
            "empty or not finite",
        ),
    ],
)
def test_grids_that_cannot_be(build, message):
    with pytest.raises(GridError, match=message):
        build()


def test_grids_are_values(grid):
    assert grid == SurveyGrid("epsg:32638", 100.0, 6012, 44126, 3, 4)
    assert hash(grid) == hash(pickle.loads(pickle.dumps(grid)))
    with pytest.raises(AttributeError, match="cannot assign"):
        grid.n_rows = 5
