import dataclasses

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import BundleError, OutputError
from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import read_block
from hazardrank.scoring.table import RowFinder, score_table
from hazardrank.settings import ComputeSettings
from hazardrank.sources.tables import FeatureTable

COMPUTE = ComputeSettings(block_cells=16, threads=1)


def table_at(easting, northing, spacing, crs="EPSG:32638", **changes):
    n = len(easting)
    values = {
        "crs": crs,
        "spacing": spacing,
        "easting": np.array(easting, float),
        "northing": np.array(northing, float),
        "features": np.column_stack([np.linspace(0, 999, n), np.zeros(n)]).astype(np.float32),
        "names": ("height_m", "easting_m"),
        "units": ("m", "m"),
        "outcome": (np.arange(n) % 3 - 1).astype(np.int8),
    }
    return FeatureTable(**(values | changes))


@pytest.fixture
def three():
    """Return three rows of 200 m squares: side by side in the north, one in the south-west."""
    return table_at([100, 300, 100], [500, 500, 100], 200)


@pytest.fixture
def small_grid():
    return SurveyGrid("EPSG:32638", 100, 0, 6, 6, 4)


def test_cells_take_the_row_whose_square_holds_their_centre(three, small_grid):
    np.testing.assert_array_equal(
        RowFinder(three, "EPSG:32638").rows_of(small_grid),
        [
            [0, 0, 1, 1],
            [0, 0, 1, 1],
            [-1, -1, -1, -1],
            [-1, -1, -1, -1],
            [2, 2, -1, -1],
            [2, 2, -1, -1],
        ],
    )


def test_maps_and_rows_are_written(bundle, three, small_grid, tmp_path):
    summary = score_table(bundle, three, small_grid, tmp_path, COMPUTE, {"region": "table"})

    expected = bundle.likelihood(three.features).astype(np.float32)
    likelihood = read_block(summary.likelihood_map, small_grid)
    status = read_block(summary.status_map, small_grid)
    np.testing.assert_array_equal(likelihood[0], expected[[0, 0, 1, 1]])
    np.testing.assert_array_equal(likelihood[4, :2], expected[[2, 2]])
    assert np.isnan(likelihood[2:4]).all()
    np.testing.assert_array_equal(status[0], [-1, -1, 0, 0])
    np.testing.assert_array_equal(status[4], [1, 1, -128, -128])
    assert (summary.n_cells, summary.n_scored) == (12, 12)

    rows = gpd.read_parquet(tmp_path / "table_likelihood.parquet")
    np.testing.assert_array_equal(rows["likelihood"], expected)
    assert rows.crs == "EPSG:32638"
    assert rows["outcome"].tolist() == [-1, 0, 1]
    assert "group" not in rows
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "contamination_likelihood.tif",
        "survey_status.tif",
        "table_likelihood.parquet",
    ]


def test_rows_without_any_feature_have_no_likelihood(bundle, three, small_grid, tmp_path):
    features = three.features.copy()
    features[0] = np.nan
    groups = np.array(["a", "b", ""], object)
    table = dataclasses.replace(three, features=features, group=groups)
    summary = score_table(bundle, table, small_grid, tmp_path, COMPUTE, {})
    assert (summary.n_cells, summary.n_without_features) == (12, 4)
    assert np.isnan(read_block(summary.likelihood_map, small_grid)[:2, :2]).all()
    assert read_block(summary.status_map, small_grid)[0, 0] == -1
    rows = gpd.read_parquet(tmp_path / "table_likelihood.parquet")
    assert rows["group"].tolist() == ["a", "b", ""]
    assert np.isnan(rows["likelihood"]).tolist() == [True, False, False]


def test_rounded_degrees_leave_no_gaps(tmp_path):
    # A lattice of 0.0083° rounded to four places, as tables have it, on a metric grid.
    steps = np.arange(12)
    longitude, latitude = np.meshgrid(np.round(44 + steps / 120, 5), np.round(33 + steps / 120, 5))
    table = table_at(longitude.ravel(), latitude.ravel(), 1 / 120, "EPSG:4326")
    middle = SurveyGrid.covering("EPSG:32638", 100, (408_000, 3_653_000, 414_000, 3_659_000))
    rows = RowFinder(table, "EPSG:32638").rows_of(middle)
    assert (rows >= 0).all()
    # Every square is 780 m × 924 m, so about 72 cells.
    counts = np.bincount(rows.ravel())
    assert 60 <= counts[counts > 0].max() <= 85


@settings(max_examples=25, deadline=None)
@given(
    cells=st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=30, unique=True
    ),
    block_cells=st.integers(1, 12),
)
def test_rows_found_by_hand_whatever_the_blocks(cells, block_cells):
    # Squares of 300 m: cell (row, col) of the grid lies in square (row // 3, col // 3).
    easting = [150 + 300 * col for _, col in cells]
    northing = [2700 - 150 - 300 * row for row, _ in cells]
    finder = RowFinder(table_at(easting, northing, 300), "EPSG:32638")
    grid = SurveyGrid("EPSG:32638", 100, 0, 27, 27, 27)
    expected = np.full((27, 27), -1)
    for number, (row, col) in enumerate(cells):
        expected[3 * row : 3 * row + 3, 3 * col : 3 * col + 3] = number
    for block in grid.blocks(block_cells):
        row, col = block.offset_in(grid)
        here = expected[row : row + block.n_rows, col : col + block.n_cols]
        np.testing.assert_array_equal(finder.rows_of(block), here)


def test_other_columns_are_refused(bundle, three, small_grid, tmp_path):
    other = dataclasses.replace(three, names=("height_m", "slope_deg"))
    with pytest.raises(BundleError, match=r"missing \['easting_m'\], unexpected \['slope_deg'\]"):
        score_table(bundle, other, small_grid, tmp_path, COMPUTE, {})
    swapped = dataclasses.replace(three, names=("easting_m", "height_m"))
    with pytest.raises(BundleError, match="stand in another order"):
        score_table(bundle, swapped, small_grid, tmp_path, COMPUTE, {})
    assert list(tmp_path.iterdir()) == []


def test_rows_that_cannot_be_written_leave_no_map(bundle, three, small_grid, tmp_path):
    (tmp_path / "table_likelihood.parquet").mkdir()
    with pytest.raises(OutputError, match=r"table_likelihood\.parquet: cannot be written"):
        score_table(bundle, three, small_grid, tmp_path, COMPUTE, {})
    assert [path.name for path in tmp_path.iterdir()] == ["table_likelihood.parquet"]
