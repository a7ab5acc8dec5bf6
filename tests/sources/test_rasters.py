"""Rasters come out right, and the same to the bit however the region is cut."""

import threading

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.transform import Affine

from hazardrank.errors import GridError, LayerError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.rasters import RasterStore, choose_method, samples_per_side

CRS = "EPSG:32638"
GRID = SurveyGrid(CRS, 100, 5000, 45000, 60, 70)  # 500–507 km E, 4494–4500 km N
NAN = np.nan


def from_origin(west, north, width, height):
    """As rasterio's own, which warns with affine 3."""
    return Affine(width, 0, west, 0, -height, north)


def write(path, values, transform, crs=CRS, nodata=None, **more):
    values = np.atleast_3d(values.T).T  # one band or several
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=values.shape[0],
        height=values.shape[1],
        width=values.shape[2],
        dtype=values.dtype,
        crs=crs,
        transform=transform,
        nodata=nodata,
        **more,
    ) as target:
        target.write(values)


def store(folder, grid=GRID, kind="continuous", **layer):
    catalogue = {"it": LayerSettings(path="it.tif", kind=kind, **layer)}
    return RasterStore(catalogue, folder, grid)


def at(row, col, n_rows=1, n_cols=1):
    return GRID.part(row, col, n_rows, n_cols)


# ---------------------------------------------------------------- known answers


def test_a_raster_on_the_grid_is_read_as_it_is(tmp_path):
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    values[1, 1] = -9999
    write(tmp_path / "it.tif", values, from_origin(500_000, 4_500_000, 100, 100), nodata=-9999)
    block = store(tmp_path).continuous("it", at(-1, -1, 3, 4))
    expected = [[NAN, NAN, NAN, NAN], [NAN, 0, 1, 2], [NAN, 4, NAN, 6]]
    np.testing.assert_array_equal(block, expected)
    assert block.dtype == np.float32


def test_finer_pixels_are_averaged_by_area(tmp_path):
    # 80 m pixels over 100 m cells: the first cell holds 1, ¼, ¼ and 1/16 of four pixels.
    values = np.array([[1, 2, 9], [3, 4, 9], [9, 9, 9]], np.float32)
    write(tmp_path / "it.tif", values, from_origin(500_000, 4_500_000, 80, 80))
    found = store(tmp_path).continuous("it", at(0, 0))[0, 0]
    expected = (1 + 2 / 4 + 3 / 4 + 4 / 16) / (1 + 1 / 4 + 1 / 4 + 1 / 16)
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_average_is_of_the_pixels_with_data(tmp_path):
    values = np.array([[1, -1, -1, -1], [5, -1, -1, -1]], np.int32)
    write(tmp_path / "it.tif", values, from_origin(500_000, 4_500_000, 50, 50), nodata=-1)
    np.testing.assert_array_equal(store(tmp_path).continuous("it", at(0, 0, 1, 2)), [[3, NAN]])


def test_coarser_pixels_are_interpolated(tmp_path):
    # pixel centres at 500,200 and 500,600 m E hold 0 and 40; a cell centre at 500,250 m holds 5
    values = np.array([[0, 40], [0, 40]], np.float64)
    write(tmp_path / "it.tif", values, from_origin(500_000, 4_500_000, 400, 400))
    found = store(tmp_path).continuous("it", at(3, 2, 1, 4))
    np.testing.assert_allclose(found, [[5, 15, 25, 35]], rtol=1e-6)


def test_resampling_can_be_set(tmp_path):
    values = np.array([[0, 40], [0, 40]], np.float64)
    write(tmp_path / "it.tif", values, from_origin(500_000, 4_500_000, 400, 400))
    found = store(tmp_path, resampling="nearest").continuous("it", at(3, 2, 1, 4))
    np.testing.assert_array_equal(found, [[0, 0, 40, 40]])
    assert choose_method(LayerSettings(path="", kind="continuous"), 99.0, 100) == "average"
    assert choose_method(LayerSettings(path="", kind="continuous"), 100.0, 100) == "bilinear"


def test_degrees_are_reprojected_exactly(tmp_path):
    """Bilinear interpolation reproduces a plane: each cell must hold its own longitude."""
    step = 0.01
    west, north = 44.9, 40.7
    longitude = west + (np.arange(30) + 0.5) * step
    write(
        tmp_path / "it.tif",
        np.tile(longitude, (20, 1)),
        from_origin(west, north, step, step),
        crs="EPSG:4326",
    )
    found = store(tmp_path, grid=GRID).continuous("it", GRID)
    easting, northing = np.meshgrid(GRID.eastings(), GRID.northings())
    expected, _ = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(
        easting, northing
    )
    np.testing.assert_allclose(found, expected, atol=4e-6, rtol=0)  # float32 at 45


def test_scale_offset_band_and_nodata_of_the_settings(tmp_path):
    values = np.stack([np.full((2, 2), 7), np.array([[1, 2], [3, 255]])]).astype(np.uint8)
    write(tmp_path / "it.tif", values, from_origin(500_000, 4_500_000, 100, 100))
    with rasterio.open(tmp_path / "it.tif", "r+") as target:
        target.scales, target.offsets = (1, 0.5), (0, 10)
    found = store(tmp_path, band=2, nodata=255).continuous("it", at(0, 0, 2, 2))
    np.testing.assert_array_equal(found, [[10.5, 11], [11.5, NAN]])


@pytest.mark.parametrize("size_m", [100, 40])
def test_a_mask_in_the_file_counts(tmp_path, size_m):
    n = 400 // size_m
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            tmp_path / "it.tif",
            "w",
            driver="GTiff",
            count=1,
            height=n,
            width=n,
            dtype="float32",
            crs=CRS,
            transform=from_origin(500_000, 4_500_000, size_m, size_m),
        ) as target,
    ):
        target.write(np.ones((1, n, n), np.float32))
        mask = np.ones((n, n), bool)
        mask[:, : n // 2] = False
        target.write_mask(mask)
    found = store(tmp_path).continuous("it", at(0, 0, 1, 4))
    np.testing.assert_array_equal(found, [[NAN, NAN, 1, 1]])


def test_values_that_cannot_be_are_left_for_the_checks(tmp_path):
    write(
        tmp_path / "it.tif",
        np.full((2, 2), 400, np.float32),
        from_origin(500_000, 4_500_000, 100, 100),
    )
    found = store(tmp_path, unit="deg", valid_range=(0, 90)).continuous("it", at(0, 0))
    assert found[0, 0] == 400


# ------------------------------------------------------------- whatever the tiling

RNG = np.random.default_rng(5)
WGS = "EPSG:4326"
SOURCES = {
    "coarse_degrees_nan": (
        np.where(RNG.random((8, 10)) < 0.1, NAN, RNG.normal(500, 99, (8, 10))).astype(np.float32),
        from_origin(44.995, 40.64, 0.0083, 0.0083),
        WGS,
        NAN,
    ),
    "fine_degrees_int": (
        np.where(RNG.random((180, 220)) < 0.2, -32768, RNG.integers(0, 900, (180, 220))).astype(
            np.int16
        ),
        from_origin(44.999, 40.645, 0.00027, 0.00027),
        WGS,
        -32768,
    ),
    "fine_same_crs": (
        RNG.random((90, 120)).astype(np.float32),
        from_origin(500_111.3, 4_499_777.7, 33.3, 33.3),
        CRS,
        None,
    ),
    "coarse_other_zone_int": (
        np.where(RNG.random((30, 30)) < 0.1, 255, RNG.integers(0, 200, (30, 30))).astype(np.uint8),
        from_origin(1_000_000 + 9_000, 4_514_000, 450, 450),
        "EPSG:32637",
        255,
    ),
    "turned": (
        RNG.random((60, 60)),
        Affine(75, 27, 501_000, 27, -75, 4_499_500),
        CRS,
        None,
    ),
}
HALO = 25


@pytest.fixture(params=sorted(SOURCES))
def source(request, tmp_path):
    values, transform, crs, nodata = SOURCES[request.param]
    write(tmp_path / "it.tif", values, transform, crs, nodata)
    return tmp_path


@pytest.mark.parametrize("resampling", [None, "nearest", "bilinear", "average"])
def test_blocks_hold_the_same_bits_as_the_whole(source, resampling):
    outer = GRID.expanded(HALO)
    whole = store(source, resampling=resampling).continuous("it", outer)
    assert 0.05 < np.isfinite(whole).mean() < 1
    for block_cells in (16, 37, 64):
        layers = store(source, resampling=resampling)
        for block in GRID.blocks(block_cells):
            block = block.expanded(11)
            row, col = block.offset_in(outer)
            np.testing.assert_array_equal(
                layers.continuous("it", block),
                whole[row : row + block.n_rows, col : col + block.n_cols],
            )


def test_single_cells_hold_the_same_bits(source):
    outer = GRID.expanded(HALO)
    whole = store(source).continuous("it", outer)
    layers = store(source)
    for row, col in RNG.integers(0, 60, (25, 2)):  # far apart: the dataset grows on the way
        np.testing.assert_array_equal(
            layers.continuous("it", outer.part(row, col, 1, 1)), whole[row : row + 1, col : col + 1]
        )


def test_another_region_holds_the_same_bits_in_the_same_cells(source):
    other = GRID.part(13, 7, 91, 45)
    row, col = other.offset_in(GRID)
    ours = store(source).continuous("it", GRID)[row:60, col : col + 45]
    theirs = store(source, grid=other).continuous("it", other)[: 60 - row]
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("row", "col"), [(5000, 0), (-5000, 0), (0, 5000), (0, -4000)])
def test_far_outside_everything_is_missing(source, row, col):
    layers = store(source)
    near = layers.continuous("it", GRID)
    assert np.isnan(layers.continuous("it", GRID.part(row, col, 20, 20))).all()
    np.testing.assert_array_equal(layers.continuous("it", GRID), near)


def test_shares_hold_the_same_bits_whatever_the_blocks(source):
    layer = {"kind": "categorical", "classes": {1: "one", 7: "seven", 150: "some"}}
    whole = store(source, **layer).fractions("it", GRID)
    for block_cells in (23, 64):
        layers = store(source, **layer)
        for block in GRID.blocks(block_cells):
            row, col = block.offset_in(GRID)
            np.testing.assert_array_equal(
                layers.fractions("it", block),
                whole[:, row : row + block.n_rows, col : col + block.n_cols],
            )
    known = np.isfinite(whole[0])
    np.testing.assert_allclose(whole.sum(axis=0)[known], 1, rtol=1e-6)
    assert known.any()


# -------------------------------------------------------------------- class shares


def test_shares_of_pixels_that_divide_the_cell_are_exact(tmp_path):
    codes = np.array([[1, 1, 0, 0], [2, 9, 0, 0]], np.uint8)
    write(tmp_path / "it.tif", codes, from_origin(500_000, 4_500_000, 50, 50), nodata=0)
    layers = store(tmp_path, kind="categorical", classes={1: "forest", 2: "crops"})
    assert layers.class_names("it") == ("forest", "crops", "other")
    shares = layers.fractions("it", at(0, 0, 1, 2))
    np.testing.assert_array_equal(shares[:, 0, 0], [0.5, 0.25, 0.25])
    assert np.isnan(shares[:, 0, 1]).all()


def test_nodata_of_the_settings_counts_for_codes(tmp_path):
    codes = np.array([[1, 3], [3, 3]], np.uint8)
    write(tmp_path / "it.tif", codes, from_origin(500_000, 4_500_000, 50, 50))
    layers = store(tmp_path, kind="categorical", classes={1: "forest"}, nodata=3)
    np.testing.assert_array_equal(layers.fractions("it", at(0, 0))[:, 0, 0], [1, 0])


def test_shares_follow_area_where_pixels_lie_across_cells(tmp_path):
    # pixels of 100 m, shifted by 25 m: the cell holds 3/4 of one and 1/4 of the other column
    codes = np.tile(np.array([1, 2, 1], np.uint8), (4, 1))
    write(tmp_path / "it.tif", codes, from_origin(499_925, 4_500_025, 100, 100))
    layers = store(tmp_path, kind="categorical", classes={1: "forest", 2: "crops"})
    np.testing.assert_array_equal(layers.fractions("it", at(1, 0))[:, 0, 0], [0.25, 0.75, 0])


@pytest.mark.parametrize(
    ("pixel_m", "cell_size_m", "samples"),
    [(10, 100, 10), (100, 100, 4), (50, 100, 4), (1, 100, 16), (5000, 250, 4), (9.1, 97, 8)],
)
def test_samples_per_side(pixel_m, cell_size_m, samples):
    assert samples_per_side(pixel_m, cell_size_m) == samples


# ------------------------------------------------------------------- many, and none


def test_threads_read_side_by_side(source):
    layers = store(source)
    expected = store(source).continuous("it", GRID)
    found = {}

    def read(number):
        found[number] = layers.continuous("it", GRID)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_array_equal(found[number], expected)


def test_a_closed_store_opens_again(source):
    layers = store(source)
    before = layers.continuous("it", GRID)
    layers.close()
    np.testing.assert_array_equal(layers.continuous("it", GRID), before)


def test_a_missing_raster_says_where_to_get_it(tmp_path):
    layers = store(tmp_path, source="Copernicus GLO-30")
    with pytest.raises(LayerError, match=r"region\.layers\.it: .*it\.tif is missing.*GLO-30"):
        layers.continuous("it", GRID)


def test_what_is_no_raster_is_refused(tmp_path):
    (tmp_path / "it.tif").write_text("no raster")
    with pytest.raises(LayerError, match="cannot be read as a raster"):
        store(tmp_path).continuous("it", GRID)


def test_a_band_that_is_not_there_is_refused(tmp_path):
    write(tmp_path / "it.tif", np.ones((2, 2)), from_origin(500_000, 0, 9, 9))
    with pytest.raises(LayerError, match="has no band 3; it has 1"):
        store(tmp_path, band=3).continuous("it", GRID)


def test_a_raster_without_crs_needs_one_in_the_settings(tmp_path):
    write(
        tmp_path / "it.tif",
        np.ones((2, 2)),
        from_origin(500_000, 4_500_000, 100, 100),
        crs=None,
    )
    with pytest.raises(LayerError, match="does not say its CRS"):
        store(tmp_path).continuous("it", GRID)
    assert store(tmp_path, crs=CRS).continuous("it", at(0, 0))[0, 0] == 1


def test_a_raster_without_a_place_is_refused(tmp_path):
    png = {"driver": "PNG", "width": 2, "height": 2, "count": 1, "dtype": "uint8"}
    unplaced = pytest.warns(rasterio.errors.NotGeoreferencedWarning, match="no geotransform")
    with unplaced, rasterio.open(tmp_path / "it.png", "w", **png) as target:
        target.write(np.ones((1, 2, 2), np.uint8))
    layers = RasterStore(
        {"it": LayerSettings(path="it.png", kind="continuous", crs=CRS)}, tmp_path, GRID
    )
    with pytest.raises(LayerError, match="has no georeference"):
        layers.continuous("it", GRID)


def test_complex_values_are_refused(tmp_path):
    write(tmp_path / "it.tif", np.ones((2, 2), np.complex64), from_origin(500_000, 0, 9, 9))
    with pytest.raises(LayerError, match="complex64, which are no numbers"):
        store(tmp_path).continuous("it", GRID)


def test_a_grid_that_does_not_nest_is_refused(tmp_path):
    write(tmp_path / "it.tif", np.ones((2, 2)), from_origin(500_000, 4_500_000, 100, 100))
    with pytest.raises(GridError, match="grids do not match"):
        store(tmp_path).continuous("it", SurveyGrid(CRS, 50, 0, 0, 2, 2))
