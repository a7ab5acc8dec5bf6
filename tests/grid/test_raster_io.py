import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine
from rio_cogeo.cogeo import cog_validate

from hazardrank.errors import GridError, LayerError, OutputError
from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import BlockRasterWriter, grid_of, read_block

NAN = float("nan")


@pytest.fixture
def grid():
    return SurveyGrid("EPSG:32638", 100, west_cell=4000, north_cell=44000, n_rows=3, n_cols=4)


def written(path, grid, values, block_cells=256, nodata=NAN, **options):
    options = {"descriptions": ["a band"], "units": ["1"], "tags": {"seed": "7"}} | options
    with BlockRasterWriter(path, grid, values.dtype, nodata, **options) as writer:
        for block in grid.blocks(block_cells):
            row, col = block.offset_in(grid)
            writer.write(block, values[..., row : row + block.n_rows, col : col + block.n_cols])
    return path


def test_twelve_cells_come_back_where_they_were_put(tmp_path, grid):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = written(tmp_path / "new folder" / "map.tif", grid, values, block_cells=2)

    assert grid_of(path) == grid
    np.testing.assert_array_equal(read_block(path, grid), values)
    np.testing.assert_array_equal(read_block(path, grid.part(1, 2, 2, 1)), [[6], [10]])
    with rasterio.open(path) as dataset:
        # 400 km east; 4,400 km north is the top edge; the middle of row 2 is 250 m below it.
        assert list(dataset.sample([(400_350, 4_399_750)])) == [11]


def test_description_unit_provenance_and_nodata_travel_with_the_file(tmp_path, grid):
    values = np.zeros((2, 3, 4), np.float32)
    path = written(
        tmp_path / "map.tif",
        grid,
        values,
        count=2,
        descriptions=["slope", "height"],
        units=["deg", "m"],
        tags={"seed": "7", "hazardrank_version": "0.1"},
    )
    with rasterio.open(path) as dataset:
        assert dataset.descriptions == ("slope", "height")
        assert dataset.units == ("deg", "m")
        assert dataset.tags(2)["hazardrank_unit"] == "m"
        assert dataset.tags()["hazardrank_seed"] == "7"
        assert dataset.tags()["hazardrank_version"] == "0.1"
        assert np.isnan(dataset.nodata)
        assert dataset.crs.to_epsg() == 32638


def test_cells_never_written_hold_nodata(tmp_path, grid):
    path = tmp_path / "status.tif"
    with BlockRasterWriter(path, grid, "int8", -128, ["status"], ["class"], {}) as writer:
        writer.write(grid.part(0, 0, 1, 2), np.array([[1, -1]], np.int8))

    expected = np.full((3, 4), -128)
    expected[0, :2] = 1, -1
    np.testing.assert_array_equal(read_block(path, grid), expected)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "uint16"])
def test_large_files_are_valid_cloud_optimized_geotiffs(tmp_path, dtype):
    grid = SurveyGrid("EPSG:32638", 100, 0, 0, 700, 600)
    values = np.full(grid.shape, 3, dtype)
    values[:, 300:] = 5
    path = written(tmp_path / "map.tif", grid, values, nodata=NAN if dtype == "float32" else 0)

    valid, errors, warnings = cog_validate(path, strict=True)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(path) as dataset:
        assert dataset.overviews(1) == [2, 4]
        overview = dataset.read(1, out_shape=(175, 150))
    assert set(np.unique(overview)) == {3, 5}


def test_overviews_average_floats_and_never_mix_classes(tmp_path):
    grid = SurveyGrid("EPSG:32638", 100, 0, 0, 1024, 1024)
    chequers = np.indices(grid.shape).sum(axis=0) % 2
    likelihood = written(tmp_path / "f.tif", grid, chequers.astype(np.float32))
    status = written(tmp_path / "i.tif", grid, chequers.astype(np.int8), nodata=-128)
    for path, values in ((likelihood, {0.5}), (status, {0, 1})):
        with rasterio.open(path) as dataset:
            assert set(np.unique(dataset.read(1, out_shape=(512, 512)))) <= values


def test_colours_are_kept(tmp_path, grid):
    values = np.ones((3, 4), np.uint8)
    path = written(tmp_path / "map.tif", grid, values, nodata=0, colours={1: (200, 30, 30, 255)})
    with rasterio.open(path) as dataset:
        assert dataset.colormap(1)[1] == (200, 30, 30, 255)


def test_same_values_give_the_same_bytes(tmp_path, grid):
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    first = written(tmp_path / "a.tif", grid, values).read_bytes()
    assert written(tmp_path / "b.tif", grid, values, block_cells=2).read_bytes() == first


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    n_rows=st.integers(1, 40),
    n_cols=st.integers(1, 40),
    block_cells=st.integers(1, 50),
    data=st.data(),
)
def test_any_tiling_reads_back_in_any_part(tmp_path, n_rows, n_cols, block_cells, data):
    grid = SurveyGrid("EPSG:32638", 50, -3, 7, n_rows, n_cols)
    values = np.arange(grid.n_cells, dtype=np.float32).reshape(grid.shape)
    row = data.draw(st.integers(0, n_rows - 1))
    col = data.draw(st.integers(0, n_cols - 1))
    path = written(tmp_path / "map.tif", grid, values, block_cells)
    part = grid.part(row, col, n_rows - row, n_cols - col)
    np.testing.assert_array_equal(read_block(path, part), values[row:, col:])


def test_an_exception_leaves_the_older_file_and_nothing_else(tmp_path, grid):
    path = written(tmp_path / "map.tif", grid, np.full((3, 4), 2, np.float32))
    before = path.read_bytes()
    writer = BlockRasterWriter(path, grid, "float32", NAN, ["a"], ["1"], {})
    with pytest.raises(RuntimeError, match="power cut"), writer:  # noqa: PT012
        writer.write(grid, np.zeros((3, 4), np.float32))
        raise RuntimeError("power cut")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_carries_the_final_name_before_the_end(tmp_path, grid):
    path = tmp_path / "map.tif"
    with BlockRasterWriter(path, grid, "float32", NAN, ["a"], ["1"], {}) as writer:
        writer.write(grid, np.zeros((3, 4), np.float32))
        assert not path.exists()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("part", "shape", "message"),
    [
        ((0, 0, 4, 4), (4, 4), "reaches beyond the grid of 3 × 4"),
        ((-1, 0, 2, 2), (2, 2), "at row -1, column 0 reaches beyond"),
        ((0, 0, 2, 2), (2, 3), r"values of shape \(2, 3\) do not fit 1 bands of a block of 2 × 2"),
        ((0, 0, 2, 2), (2, 2, 2), "do not fit 1 bands"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(tmp_path, grid, part, shape, message):
    writer = BlockRasterWriter(tmp_path / "map.tif", grid, "float32", NAN, ["a"], ["1"], {})
    with pytest.raises(GridError, match=message), writer:
        writer.write(grid.part(*part), np.zeros(shape, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_another_cell_size_is_refused(tmp_path, grid):
    writer = BlockRasterWriter(tmp_path / "map.tif", grid, "float32", NAN, ["a"], ["1"], {})
    coarse = SurveyGrid("EPSG:32638", 200, 2000, 22000, 1, 1)
    with pytest.raises(GridError, match="grids do not match: EPSG:32638 at 200 m"), writer:
        writer.write(coarse, np.zeros((1, 1), np.float32))


def test_floats_are_not_cut_to_integers_silently(tmp_path, grid):
    writer = BlockRasterWriter(tmp_path / "map.tif", grid, "int8", -128, ["a"], ["1"], {})
    with pytest.raises(GridError, match="float64 values in a int8 raster"), writer:
        writer.write(grid, np.full((3, 4), 0.5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"descriptions": ["a", "b"]}, "2 descriptions for 1 bands"),
        ({"units": []}, "0 units for 1 bands"),
        ({"colours": {1: (0, 0, 0, 255)}}, "colours need one band of uint8"),
    ],
)
def test_bands_that_are_not_described_are_refused(tmp_path, grid, options, message):
    with pytest.raises(GridError, match=message):
        written(tmp_path / "map.tif", grid, np.zeros((3, 4), np.float32), **options)


def test_a_folder_that_cannot_be_made_is_named(tmp_path, grid):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"file/map\.tif: cannot be written .*Check that"):
        written(tmp_path / "file" / "map.tif", grid, np.zeros((3, 4), np.float32))


def test_writing_outside_the_context_is_refused(tmp_path, grid):
    writer = BlockRasterWriter(tmp_path / "map.tif", grid, "float32", NAN, ["a"], ["1"], {})
    with pytest.raises(OutputError, match="the writer is not open"):
        writer.write(grid, np.zeros((3, 4), np.float32))


def test_reading_what_is_not_there(tmp_path, grid):
    with pytest.raises(LayerError, match=r"none\.tif: cannot be read"):
        grid_of(tmp_path / "none.tif")
    path = written(tmp_path / "map.tif", grid, np.zeros((3, 4), np.float32))
    with pytest.raises(LayerError, match="there is no band 2; it has 1"):
        read_block(path, grid, band=2)
    with pytest.raises(GridError, match="reaches beyond the grid"):
        read_block(path, grid.expanded(1))


@pytest.mark.parametrize(
    ("crs", "transform", "message"),
    [
        (None, Affine(100, 0, 0, 0, -100, 0), "no CRS"),
        ("EPSG:4326", Affine(0.5, 0, 10, 0, -0.5, 50), "geographic"),
        ("EPSG:32638", Affine(100, 0, 0, 0, -50, 0), "not square"),
        ("EPSG:32638", Affine(100, 0, 30, 0, -100, 0), "not a multiple of the cell size"),
        ("EPSG:32638", Affine(12.5, 0, 0, 0, -12.5, 0), "not a whole number of metres"),
    ],
)
def test_rasters_that_are_no_survey_grid_are_refused(tmp_path, crs, transform, message):
    path = tmp_path / "other.tif"
    options = {"driver": "GTiff", "width": 2, "height": 2, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", crs=crs, transform=transform, **options) as dataset:
        dataset.write(np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(GridError, match=message):
        grid_of(path)
