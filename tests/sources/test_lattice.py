"""Where cells lie in a raster, and which pixels a block needs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.transform import Affine

from hazardrank.sources.lattice import NODES_M, Lattice, Net, window_of
from hazardrank.sources.raster_facts import RasterFacts
from hazardrank.sources.warp import _locate_row

CRS = "EPSG:32638"
GLOBE = "EPSG:4326"
#: The latitude of the northern edge of UTM's use, and of land where mines lie.
NORTHINGS_M = (200_000, 4_500_000, 6_650_000, 9_300_000)


def facts(transform, crs=CRS, width=100, height=100):
    return RasterFacts(
        "it.tif", 1, crs, transform, width, height, "float32", None, False, 1.0, 0.0, "it"
    )


def degrees(step=1 / 3600, west=40.0, north=84.0, width=10**5, height=10**6):
    return facts(Affine(step, 0, west, 0, -step, north), GLOBE, width, height)


def places(lattice, north, west, n_rows, n_cols):
    """Column and row of the cells' centres in the raster, each of shape (n_rows, n_cols)."""
    net = lattice.net(north, west, n_rows, n_cols)
    found = np.empty((2, n_rows, n_cols))
    place = np.empty((4, n_cols))
    for row in range(n_rows):
        _locate_row(net.across, net.down, net.shift, net.period, net.south + row, net.east, place)
        found[:, row] = place[:2]
    return found


def test_places_in_a_raster_of_the_same_crs_by_hand():
    # 40 m pixels from 500,010 m E and 4,500,020 m N; the cell's centre is 40 m E and 70 m S.
    lattice = Lattice(facts(Affine(40, 0, 500_010, 0, -40, 4_500_020)), CRS, 100)
    across, down = places(lattice, 45_000, 5000, 1, 2)
    np.testing.assert_array_equal(across, [[1, 3.5]])
    np.testing.assert_array_equal(down, [[1.75, 1.75]])


def test_places_in_a_turned_raster_by_hand():
    # Columns run north, rows run east: a pixel of 50 m and the transform's own inverse.
    lattice = Lattice(facts(Affine(0, 50, 500_000, 50, 0, 4_499_000)), CRS, 100)
    across, down = places(lattice, 45_000, 5000, 1, 1)
    assert (across[0, 0], down[0, 0]) == pytest.approx((19, 1), abs=1e-9)


@pytest.mark.parametrize("northing_m", NORTHINGS_M)
@pytest.mark.parametrize("cell_m", [10, 100, 400])
def test_places_between_nodes_are_exact_to_centimetres(northing_m, cell_m):
    lattice = Lattice(degrees(), CRS, cell_m)
    assert NODES_M / 2 < cell_m << lattice.shift <= NODES_M or lattice.shift == 6
    west, north = 300_000 // cell_m, northing_m // cell_m
    across, down = places(lattice, north, west, 90, 70)
    easting, northing = np.meshgrid(
        (west + np.arange(70) + 0.5) * cell_m, (north - np.arange(90) - 0.5) * cell_m
    )
    exact = Transformer.from_crs(CRS, GLOBE, always_xy=True)
    there = exact.transform(easting, northing)
    found = 40 + across / 3600, 84 - down / 3600
    back = exact.transform(*found, direction="INVERSE")
    assert np.abs(np.array(found) - np.array(there)).max() < 1e-5
    off_m = np.hypot(back[0] - easting, back[1] - northing)
    assert off_m.max() < (0.04 if northing_m < 7e6 else 0.2)


@settings(max_examples=40)
@given(
    row=st.integers(-300, 300),
    col=st.integers(-300, 300),
    rows=st.integers(1, 90),
    cols=st.integers(1, 90),
    cell_m=st.sampled_from([25.0, 100.0, 6.25]),
    crs=st.sampled_from([CRS, GLOBE]),
)
def test_a_cell_has_its_place_whatever_the_block(row, col, rows, cols, cell_m, crs):
    raster = degrees() if crs == GLOBE else facts(Affine(33.3, 7, 499_000, 5, -31, 4_503_000))
    lattice = Lattice(raster, CRS, cell_m)
    north, west = int(4_500_000 / cell_m) - row, int(500_000 / cell_m) + col
    block = places(lattice, north, west, rows, cols)
    at_row, at_col = rows // 2, cols // 3
    one = places(lattice, north - at_row, west + at_col, 1, 1)
    np.testing.assert_array_equal(one[:, 0, 0], block[:, at_row, at_col])


@settings(max_examples=60)
@given(
    row=st.integers(-4000, 4000),
    col=st.integers(-4000, 4000),
    rows=st.integers(1, 200),
    cols=st.integers(1, 200),
    turned=st.booleans(),
)
def test_the_window_holds_every_place(row, col, rows, cols, turned):
    turn = 9 if turned else 0
    raster = facts(Affine(30, turn, 499_000, turn, -30, 4_503_000), width=400, height=300)
    lattice = Lattice(raster, CRS, 25.0)
    north, west = 180_000 - row, 20_000 + col
    top, left, n_rows, n_cols = window_of(lattice.net(north, west, rows, cols), raster)
    across, down = places(lattice, north, west, rows, cols)
    needed = (across > -1) & (across < 401) & (down > -1) & (down < 301)
    at_col, at_row = np.floor(across[needed]).clip(0, 399), np.floor(down[needed]).clip(0, 299)
    assert ((at_col >= left) & (at_col < left + n_cols)).all()
    assert ((at_row >= top) & (at_row < top + n_rows)).all()
    # and little else: a few pixels more than the block spans
    assert n_rows <= max(np.ptp(down) + 10, 0)
    assert n_cols <= max(np.ptp(across) + 10, 0)


@pytest.mark.parametrize(
    ("step", "west", "period"),
    [(0.25, -180, 1440), (0.25, 0, 1440), (1 / 120, -180, 43_200), (0.7, -180, 0)],
)
def test_a_raster_in_degrees_closes_where_its_pixels_fit(step, west, period):
    globe = facts(Affine(step, 0, west, 0, -step, 90), GLOBE, 1440, 720)
    assert Lattice(globe, CRS, 100).period == period
    assert Lattice(facts(Affine(step, 0, west, 0, -step, 90)), CRS, 100).period == 0


def test_only_cells_with_a_place_ask_for_pixels():
    raster = facts(Affine(100, 0, 0, 0, -100, 9_000_000))
    nowhere = np.full((3, 2), np.inf)
    assert window_of(Net(nowhere, nowhere, 2, 0, 0, 0, (8, 4)), raster)[2:] == (0, 0)
    some = np.array([[10.0, 14.0], [10.0, 14.0], [np.inf, np.inf]])
    down = np.array([[20.0, 20.0], [24.0, 24.0], [np.inf, np.inf]])
    # Cells of one pixel: two of margin and one of the cell on each side.
    assert window_of(Net(some, down, 2, 0, 0, 0, (8, 4)), raster) == (17, 7, 10, 10)


@pytest.mark.parametrize(
    ("size", "west", "nests"),
    [(100, 500_000, True), (100, 500_300, True), (100, 500_050, False), (50, 500_000, False)],
)
def test_only_pixels_that_are_cells_nest(size, west, nests):
    lattice = Lattice(facts(Affine(size, 0, west, 0, -size, 4_500_000)), CRS, 100)
    assert lattice.nested_origin() == ((45_000, west // 100) if nests else None)
