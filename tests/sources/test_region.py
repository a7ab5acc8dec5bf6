"""A region on files: its grid loses nothing, its area is the mask, its layers are read."""

import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.transform import Affine
from shapely import Polygon, box

from hazardrank.errors import GridError, LayerError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import ExtentSettings, LayerSettings, RegionSettings
from hazardrank.sources.area import Area
from hazardrank.sources.region import area_of_interest, open_layers, region_grid

CRS = "EPSG:32638"


def region(cell_size_m=100, layers=(), **extent):
    return RegionSettings(
        name="here",
        crs=CRS,
        cell_size_m=cell_size_m,
        extent=ExtentSettings(**extent),
        layers=dict(layers),
    )


def write_mask(folder, polygons, crs=CRS, name="mask.gpkg"):
    names = [f"district {k}" for k in range(len(polygons))]
    gpd.GeoDataFrame({"name": names}, geometry=polygons, crs=crs).to_file(folder / name)


# ---------------------------------------------------------------------------- grid


def test_a_bbox_in_the_regions_crs_is_the_grid(tmp_path):
    grid = region_grid(region(bbox=(500_000, 4_490_000, 501_000, 4_492_050)), tmp_path)
    assert grid == SurveyGrid(CRS, 100, 5000, 44921, 21, 10)


@settings(max_examples=30, deadline=None)
@given(
    west=st.floats(42, 47),
    south=st.floats(36, 60),
    width=st.floats(0.01, 3),
    height=st.floats(0.01, 3),
    side=st.sampled_from(["west", "south", "east", "north"]),
    along=st.floats(0, 1),
)
def test_nothing_of_a_bbox_in_degrees_is_lost(west, south, width, height, side, along):
    bbox = (west, south, west + width, south + height)
    grid = region_grid(region(cell_size_m=500, bbox=bbox, bbox_crs="EPSG:4326"), Path())
    longitude = {"west": west, "east": west + width}.get(side, west + along * width)
    latitude = {"south": south, "north": south + height}.get(side, south + along * height)
    easting, northing = Transformer.from_crs(4326, CRS, always_xy=True).transform(
        longitude, latitude
    )
    grid_west, grid_south, grid_east, grid_north = grid.bounds
    assert grid_west - 0.01 <= easting <= grid_east + 0.01
    assert grid_south - 0.01 <= northing <= grid_north + 0.01


def test_the_northern_edge_bulges_beyond_its_corners(tmp_path):
    """East and west of the central meridian a parallel curves north: corners are not enough."""
    bbox = (42.0, 40.0, 48.0, 41.0)
    grid = region_grid(region(cell_size_m=10, bbox=bbox, bbox_crs="EPSG:4326"), tmp_path)
    to_metres = Transformer.from_crs(4326, CRS, always_xy=True)
    _, middle = to_metres.transform(45.0, 40.0)  # the southern edge is lowest in the middle
    _, corner = to_metres.transform(42.0, 40.0)
    assert corner - middle > 1000
    assert grid.bounds[1] == pytest.approx(middle, abs=10)


def test_a_mask_alone_bounds_the_grid(tmp_path):
    write_mask(tmp_path, [box(500_050, 4_490_050, 500_420, 4_490_180)])
    grid = region_grid(region(mask="mask.gpkg"), tmp_path)
    assert grid.bounds == (500_000, 4_490_000, 500_500, 4_490_200)


def test_bbox_and_mask_share_the_grid(tmp_path):
    write_mask(tmp_path, [box(500_000, 4_490_000, 502_000, 4_492_000)])
    both = region(mask="mask.gpkg", bbox=(501_000, 4_480_000, 509_000, 4_491_000))
    assert region_grid(both, tmp_path).bounds == (501_000, 4_490_000, 502_000, 4_491_000)
    apart = region(mask="mask.gpkg", bbox=(600_000, 4_480_000, 609_000, 4_491_000))
    with pytest.raises(GridError, match="bbox and mask have nothing in common"):
        region_grid(apart, tmp_path)


def test_only_the_masks_chosen_features_count(tmp_path):
    write_mask(tmp_path, [box(0, 0, 300, 300), box(1000, 0, 1200, 100)], name="m.gpkg")
    chosen = region(mask="m.gpkg", mask_where={"name": ["district 1"]})
    assert region_grid(chosen, tmp_path).bounds == (1000, 0, 1200, 100)
    none = region(mask="m.gpkg", mask_where={"name": ["district 9"]})
    with pytest.raises(LayerError, match=r"no polygon is left where name in \['district 9'\]"):
        region_grid(none, tmp_path)


def test_what_makes_no_region_is_refused(tmp_path):
    with pytest.raises(LayerError, match=r"region\.extent\.mask: .*mask\.gpkg is missing"):
        region_grid(region(mask="mask.gpkg"), tmp_path)
    gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=CRS).to_file(tmp_path / "p.gpkg")
    with pytest.raises(LayerError, match="declared as polygons but holds points"):
        region_grid(region(mask="p.gpkg"), tmp_path)
    beyond = region(bbox=(500_000, 4_490_000, 600_000, 4_500_000), bbox_crs="EPSG:4326")
    with pytest.raises(GridError, match="has no place in EPSG:32638"):
        region_grid(beyond, tmp_path)


# ------------------------------------------------------------------------ the area


GRID = SurveyGrid(CRS, 100, 5000, 44900, 4, 5)


def test_without_a_mask_the_area_is_the_grid():
    inside = Area(GRID).inside(GRID.part(-1, -2, 3, 4))
    np.testing.assert_array_equal(
        inside, [[False] * 4, [False, False, True, True], [False, False, True, True]]
    )


def test_a_cell_is_inside_if_its_centre_is():
    # covers the centres of the first two columns, the second exactly on its edge
    polygons = box(500_000, 4_489_600, 500_150, 4_490_000)
    inside = Area(GRID, polygons).inside(GRID)
    np.testing.assert_array_equal(inside, [[True, True, False, False, False]] * 4)


def test_holes_are_outside_and_halos_too():
    hole = box(500_200, 4_489_800, 500_300, 4_489_900)
    polygons = box(490_000, 4_480_000, 510_000, 4_500_000).difference(hole)
    area = Area(GRID, polygons)
    expected = np.ones(GRID.shape, bool)
    expected[1, 2] = False
    np.testing.assert_array_equal(area.inside(GRID), expected)
    halo = area.inside(GRID.expanded(2))
    np.testing.assert_array_equal(halo[2:-2, 2:-2], expected)
    assert halo.sum() == expected.sum()
    assert not area.inside(GRID.part(100, 100, 3, 3)).any()
    with pytest.raises(GridError, match="grids do not match"):
        area.inside(SurveyGrid(CRS, 50, 0, 0, 1, 1))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), block_cells=st.sampled_from([1, 3, 7, 16]))
def test_the_area_is_the_same_whatever_the_blocks(seed, block_cells):
    rng = np.random.default_rng(seed)
    grid = SurveyGrid(CRS, 100, 5000, 44900, 20, 23)
    corners = rng.uniform([500_000, 4_488_000], [502_300, 4_490_000], (7, 2))
    polygons = shapely.make_valid(Polygon(corners))
    area = Area(grid, polygons)
    whole = area.inside(grid)
    points = shapely.points(*np.meshgrid(grid.eastings(), grid.northings()))
    np.testing.assert_array_equal(whole, shapely.intersects(polygons, points))
    for block in grid.blocks(block_cells):
        row, col = block.offset_in(grid)
        np.testing.assert_array_equal(
            area.inside(block), whole[row : row + block.n_rows, col : col + block.n_cols]
        )


def test_a_mask_in_degrees_is_reprojected_and_united(tmp_path):
    halves = [box(45.0, 40.0, 45.1, 40.1), box(45.1, 40.0, 45.2, 40.1)]
    write_mask(tmp_path, halves, crs="EPSG:4326")
    united = area_of_interest(region(mask="mask.gpkg"), tmp_path)
    middle = Transformer.from_crs(4326, CRS, always_xy=True).transform(45.1, 40.05)
    assert united.contains(shapely.Point(middle))
    assert area_of_interest(region(bbox=(0, 0, 1, 1)), tmp_path) is None


# ---------------------------------------------------------------------- the layers


@pytest.fixture
def layers(tmp_path):
    values = np.arange(20, dtype=np.float32).reshape(4, 5)
    with rasterio.open(
        tmp_path / "dem.tif",
        "w",
        driver="GTiff",
        count=1,
        height=4,
        width=5,
        dtype="float32",
        crs=CRS,
        transform=Affine(100, 0, 500_000, 0, -100, 4_490_000),
    ) as target:
        target.write(values, 1)
    write_mask(tmp_path, [box(500_000, 4_489_600, 500_500, 4_490_000)])
    catalogue = {
        "dem": LayerSettings(path="dem.tif", kind="continuous", unit="m"),
        "codes": LayerSettings(path="dem.tif", kind="categorical", classes={3: "three"}),
        "mask": LayerSettings(path="mask.gpkg", kind="polygons", columns={"name": "name"}),
        "gone": LayerSettings(path="gone.gpkg", kind="lines"),
    }
    with open_layers(
        region(mask="mask.gpkg", layers=catalogue), tmp_path, tmp_path / "cache", margin_m=500
    ) as opened:
        yield opened


def test_file_layers_keep_the_contract(layers):
    assert layers.grid == GRID
    assert sorted(layers.catalogue) == ["codes", "dem", "gone", "mask"]
    assert layers.area.area == pytest.approx(200_000)
    assert layers.margin_m == 500
    np.testing.assert_array_equal(layers.continuous("dem", GRID.part(1, 1, 1, 2)), [[6, 7]])
    assert layers.class_names("codes") == ("three", "other")
    np.testing.assert_array_equal(layers.fractions("codes", GRID.part(0, 3, 1, 1))[:, 0, 0], [1, 0])
    assert layers.vectors("mask", GRID.bounds)["name"].tolist() == ["district 0"]
    assert layers.inside(GRID).all()


def test_layers_are_looked_into_when_they_are_asked_for(layers):
    with pytest.raises(LayerError, match=r"region\.layers\.gone: .*gone\.gpkg is missing"):
        layers.vectors("gone", GRID.bounds)
    with pytest.raises(LayerError, match="kind 'continuous'; asked for points or lines"):
        layers.vectors("dem", GRID.bounds)
    with pytest.raises(LayerError, match="no layer 'rivers' in the catalogue"):
        layers.continuous("rivers", GRID)


def test_real_elevation_lies_within_the_range_of_its_pixels(tmp_path):
    folder = os.environ.get("HAZARDRANK_DATA")
    if not folder or not Path(folder).exists():
        pytest.skip("the real data are not here: HAZARDRANK_DATA names no folder")
    bosnia = RegionSettings(
        name="bosnia",
        crs="EPSG:32633",
        cell_size_m=250,
        extent=ExtentSettings(bbox=(16.0, 43.5, 16.8, 44.2), bbox_crs="EPSG:4326"),
        layers={
            "dem": LayerSettings(path="elevation_5arcmin.tif", kind="continuous"),
            "places": LayerSettings(
                path="settlements.geojson", kind="points", columns={"people": "pop1991"}
            ),
        },
    )
    with open_layers(bosnia, Path(folder) / "bosnia", tmp_path) as layers:
        block = layers.grid.part(0, 0, 64, 64)
        heights = layers.continuous("dem", block)
        assert np.isfinite(heights).all()
        assert 100 < heights.min() < heights.max() < 2400  # Bosnia's highest peak: 2,386 m
        places = layers.vectors("places", layers.grid.bounds)
        raw = gpd.read_file(Path(folder) / "bosnia" / "settlements.geojson").to_crs(32633)
        west, south, east, north = layers.grid.bounds
        raw = raw.cx[west:east, south:north]
        assert len(places) == len(raw) > 10
        assert places["people"].sum() == raw["pop1991"].sum()
