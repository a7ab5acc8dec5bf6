"""Values brought onto cells: against plain numpy on exact places, and around the world."""

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.transform import Affine
from scipy import ndimage

from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources import rasters
from hazardrank.sources.rasters import RasterStore
from tests.sources.test_rasters import CRS, GRID, from_origin, store, write

GLOBE = "EPSG:4326"
STEP = 0.003
#: Wider than GRID on every side, so that no cell is at an edge.
NOISE = np.random.default_rng(8).normal(200, 30, (60, 80))


@pytest.fixture
def noise(tmp_path):
    write(tmp_path / "it.tif", NOISE, from_origin(44.95, 40.7, STEP, STEP), GLOBE)
    return tmp_path


def exact_places(n_inside=1):
    """Column and row in `noise` of n × n points in each cell, reprojected one by one."""
    spacing = GRID.cell_size_m / n_inside
    easting = GRID.west_m + (np.arange(GRID.n_cols * n_inside) + 0.5) * spacing
    northing = GRID.north_m - (np.arange(GRID.n_rows * n_inside) + 0.5) * spacing
    there = Transformer.from_crs(CRS, GLOBE, always_xy=True).transform(
        *np.meshgrid(easting, northing)
    )
    return (there[0] - 44.95) / STEP, (40.7 - there[1]) / STEP


def test_nearest_is_the_pixel_at_the_exact_place(noise):
    across, down = exact_places()
    expected = NOISE[np.floor(down).astype(int), np.floor(across).astype(int)]
    found = store(noise, resampling="nearest").continuous("it", GRID)
    sure = np.abs(across - np.rint(across)) > 1e-4
    sure &= np.abs(down - np.rint(down)) > 1e-4
    assert sure.mean() > 0.999
    np.testing.assert_array_equal(found[sure], expected[sure].astype(np.float32))


def test_bilinear_is_what_scipy_interpolates_at_the_exact_place(noise):
    across, down = exact_places()
    expected = ndimage.map_coordinates(NOISE, [down - 0.5, across - 0.5], order=1)
    found = store(noise, resampling="bilinear").continuous("it", GRID)
    # Pixels of 250 m or more: 0.04 m is 1.6e-4 of one, times the steps of the noise.
    assert np.abs(found - expected).max() < 1.6e-4 * 2 * np.ptp(NOISE)


def test_the_average_is_that_of_many_points_in_the_cell(tmp_path):
    fine = np.random.default_rng(9).normal(0, 1, (600, 800))
    step = STEP / 10
    write(tmp_path / "it.tif", fine, from_origin(44.95, 40.7, step, step), GLOBE)
    across, down = (10 * place for place in exact_places(24))
    points = fine[np.floor(down).astype(int), np.floor(across).astype(int)]
    expected = points.reshape(GRID.n_rows, 24, GRID.n_cols, 24).mean(axis=(1, 3))
    off = np.abs(store(tmp_path).continuous("it", GRID) - expected)
    # White noise is the worst case: the cell is turned by 0.5° against the rows of pixels.
    assert np.median(off) < 0.05 * expected.std()
    assert off.max() < 0.5 * expected.std()


def test_a_turned_raster_is_averaged_over_the_cells_own_area(tmp_path):
    """A raster turned by 45°: its columns run to the south-east."""
    size = 20 * np.sqrt(0.5)
    turned = Affine(size, -size, 503_000, -size, -size, 4_505_000)
    plane = np.add.outer(3.0 * np.arange(400), 2.0 * np.arange(400))
    write(tmp_path / "it.tif", plane, turned)
    easting, northing = np.meshgrid(GRID.eastings(), GRID.northings())
    back = ~turned
    col = back.a * easting + back.b * northing + back.c
    row = back.d * easting + back.e * northing + back.f
    expected = 3 * (row - 0.5) + 2 * (col - 0.5)
    inside = (col > 5) & (col < 395) & (row > 5) & (row < 395)
    assert inside.mean() > 0.2
    found = store(tmp_path).continuous("it", GRID)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-6)


# ------------------------------------------------------------------- around the world

#: 60 km on both sides of 180° in the south-west Pacific.
PACIFIC = SurveyGrid("EPSG:32760", 2000, 380, 4060, 20, 60)


def longitude():
    change = Transformer.from_crs(PACIFIC.crs, GLOBE, always_xy=True)
    found = change.transform(*np.meshgrid(PACIFIC.eastings(), PACIFIC.northings()))[0]
    assert found.min() < -179
    assert found.max() > 179
    return found


@pytest.mark.parametrize("west", [-180, 0, 170, -200])
def test_the_antimeridian_is_a_line_like_any_other(tmp_path, west):
    centres = west + np.arange(1440) * 0.25 + 0.125
    wave = np.tile(100 * np.sin(np.deg2rad(centres)), (720, 1))
    write(tmp_path / "it.tif", wave, from_origin(west, 90, 0.25, 0.25), GLOBE)
    layers = store(tmp_path, grid=PACIFIC)
    whole = layers.continuous("it", PACIFIC)
    np.testing.assert_allclose(whole, 100 * np.sin(np.deg2rad(longitude())), atol=3e-4)
    for block in PACIFIC.blocks(7):
        row, col = block.offset_in(PACIFIC)
        np.testing.assert_array_equal(
            layers.continuous("it", block),
            whole[row : row + block.n_rows, col : col + block.n_cols],
        )


def test_codes_on_both_sides_of_the_antimeridian(tmp_path):
    codes = np.tile(np.arange(360, dtype=np.int16), (180, 1))
    write(tmp_path / "it.tif", codes, from_origin(-180, 90, 1, 1), GLOBE)
    classes = {0: "first", 359: "last"}
    layers = store(tmp_path, grid=PACIFIC, kind="categorical", classes=classes)
    first, last, other = layers.fractions("it", PACIFIC)
    east = longitude()
    assert (last[(east > 179.02) & (east < 179.98)] == 1).all()
    assert (first[(east > -179.98) & (east < -179.02)] == 1).all()
    assert (other[np.abs(east) < 178.98] == 1).all()


# ------------------------------------------------------------------------- bounded


def test_no_window_is_larger_than_allowed_and_no_value_depends_on_it(noise, monkeypatch):
    before = store(noise).continuous("it", GRID)
    catalogue = {"it": LayerSettings(path="it.tif", kind="continuous")}
    layers = RasterStore(catalogue, noise, GRID)
    read = []
    pixels = rasters._Source.pixels
    monkeypatch.setattr(
        rasters._Source,
        "pixels",
        lambda source, *window: read.append(window[2] * window[3]) or pixels(source, *window),
    )
    monkeypatch.setattr(rasters, "MOST_PIXELS", 150)
    np.testing.assert_array_equal(layers.continuous("it", GRID), before)
    assert len(read) > 4
    assert max(read) <= 150


def test_a_file_is_opened_once_for_all_blocks(noise, monkeypatch):
    layers = store(noise)
    opened = []
    open_file = rasterio.open
    monkeypatch.setattr(
        rasterio,
        "open",
        lambda *path, **options: opened.append(path) or open_file(*path, **options),
    )
    for block in GRID.blocks(20):
        layers.continuous("it", block)
    assert len(opened) == 2  # to look into it, and to read


# ------------------------------------------------------------------------ class shares


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32"])
def test_codes_of_any_type_are_counted_alike(tmp_path, dtype):
    codes = np.array([[1, 7, 9, 9], [7, 7, 100, 9]]).astype(dtype)
    write(tmp_path / "it.tif", codes, from_origin(500_000, 4_500_000, 50, 50), nodata=9)
    layers = store(tmp_path, kind="categorical", classes={1: "one", 7: "seven"})
    shares = layers.fractions("it", GRID.part(0, 0, 1, 3))
    np.testing.assert_array_equal(shares[:, 0, 0], [0.25, 0.75, 0])
    np.testing.assert_array_equal(shares[:, 0, 1], [0, 0, 1])
    assert np.isnan(shares[:, 0, 2]).all()


def test_codes_below_zero_are_codes(tmp_path):
    codes = np.array([[-1, -1], [-128, 3]], np.int8)
    write(tmp_path / "it.tif", codes, from_origin(500_000, 4_500_000, 50, 50), nodata=-128)
    layers = store(tmp_path, kind="categorical", classes={-1: "below", 3: "above"})
    shares = layers.fractions("it", GRID.part(0, 0, 1, 1))[:, 0, 0]
    np.testing.assert_allclose(shares, [2 / 3, 1 / 3, 0])


def test_every_pixel_counts_once_where_cells_are_made_of_whole_pixels(tmp_path):
    codes = np.random.default_rng(3).integers(1, 4, (60, 60)).astype(np.uint8)
    write(tmp_path / "it.tif", codes, from_origin(500_000, 4_500_000, 5, 5))  # 20 × 20 a cell
    layers = store(tmp_path, kind="categorical", classes={1: "a", 2: "b", 3: "c"})
    shares = layers.fractions("it", GRID.part(0, 0, 3, 3))
    for code in (1, 2, 3):
        expected = (codes == code).reshape(3, 20, 3, 20).sum(axis=(1, 3)) / 400
        np.testing.assert_array_equal(shares[code - 1], expected.astype(np.float32))


def test_pixels_of_the_cells_size_are_counted_as_samples_of_them_would_be(tmp_path):
    codes = np.random.default_rng(4).integers(0, 4, (90, 90)).astype(np.uint8)
    write(tmp_path / "it.tif", codes, from_origin(499_500, 4_500_500, 100, 100), nodata=0)
    layers = store(tmp_path, kind="categorical", classes={1: "a", 2: "b", 3: "c"})
    shares = layers.fractions("it", GRID)
    own = codes[5:65, 5:75]
    np.testing.assert_array_equal(shares[1], np.where(own == 0, np.nan, own == 2))
