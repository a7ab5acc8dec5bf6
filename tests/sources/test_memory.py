"""Layers in memory keep the contract of the layer reader."""

import geopandas as gpd
import numpy as np
import pytest
import shapely

from hazardrank.errors import GridError, LayerError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.memory import MemoryLayers

GRID = SurveyGrid("EPSG:32638", 100, 5000, 45000, 3, 4)
CATALOGUE = {
    "elevation": LayerSettings(path="", kind="continuous", unit="m", nodata=-9999),
    "cover": LayerSettings(
        path="", kind="categorical", nodata=0, classes={1: "forest", 5: "crops", 6: "crops"}
    ),
    "roads": LayerSettings(path="", kind="lines"),
}
HEIGHTS = np.arange(12, dtype=np.int16).reshape(3, 4)


def test_continuous_is_nan_outside_the_array_and_at_nodata():
    heights = HEIGHTS.copy()
    heights[0, 0] = -9999
    layers = MemoryLayers(GRID, CATALOGUE, rasters={"elevation": (GRID, heights)})
    block = layers.continuous("elevation", GRID.part(-1, -1, 3, 3))
    nan = np.nan
    np.testing.assert_array_equal(block, [[nan, nan, nan], [nan, nan, 1], [nan, 4, 5]])
    assert block.dtype == np.float32


def test_continuous_far_outside_is_all_nan():
    layers = MemoryLayers(GRID, CATALOGUE, rasters={"elevation": (GRID, HEIGHTS)})
    for far in (GRID.part(50, 0, 2, 2), GRID.part(-50, 0, 2, 2), GRID.part(0, -50, 2, 2)):
        assert np.isnan(layers.continuous("elevation", far)).all()


def test_fractions_count_the_part_with_data():
    fine = SurveyGrid("EPSG:32638", 50, 10000, 90000, 2, 4)
    codes = np.array([[1, 5, 0, 0], [6, 9, 0, 0]])  # cell 0: forest, crops ×2, other; cell 1: none
    layers = MemoryLayers(GRID, CATALOGUE, categorical={"cover": (fine, codes)})
    assert layers.class_names("cover") == ("forest", "crops", "other")
    shares = layers.fractions("cover", GRID.part(0, 0, 1, 3))
    np.testing.assert_array_equal(shares[:, 0, 0], [0.25, 0.5, 0.25])
    assert np.isnan(shares[:, 0, 1:]).all()


def test_fractions_leave_missing_samples_out_of_the_whole():
    fine = SurveyGrid("EPSG:32638", 50, 10000, 90000, 2, 2)
    layers = MemoryLayers(
        GRID, CATALOGUE, categorical={"cover": (fine, np.array([[1, 0], [0, 5]]))}
    )
    np.testing.assert_array_equal(
        layers.fractions("cover", GRID.part(0, 0, 1, 1))[:, 0, 0], [0.5, 0.5, 0]
    )


def test_vectors_that_touch_the_bounds_come_whole_in_order():
    lines = [
        shapely.LineString([(500_000, 4_499_000), (509_000, 4_499_000)]),
        shapely.LineString([(0, 0), (1, 1)]),
        shapely.LineString([(500_200, 4_499_500), (500_300, 4_499_500)]),
    ]
    roads = gpd.GeoDataFrame({"class": ["a", "b", "c"]}, geometry=lines, crs="EPSG:32638")
    layers = MemoryLayers(GRID, CATALOGUE, vectors={"roads": roads})
    found = layers.vectors("roads", (500_100.0, 4_499_000.0, 500_200.0, 4_500_000.0))
    assert found["class"].tolist() == ["a", "c"]  # "c" only touches the eastern edge
    assert found.geometry.iloc[0].length == 9000


def test_inside_is_the_grid_unless_told():
    block = GRID.part(2, 3, 2, 2)
    np.testing.assert_array_equal(
        MemoryLayers(GRID, CATALOGUE).inside(block), [[True, False], [False, False]]
    )
    nowhere = MemoryLayers(GRID, CATALOGUE, inside=np.zeros(GRID.shape, bool))
    assert not nowhere.inside(block).any()
    everywhere = MemoryLayers(GRID, CATALOGUE, inside=lambda grid: np.ones(grid.shape, bool))
    assert everywhere.inside(block).all()


def test_a_layer_must_be_in_the_catalogue_and_of_the_kind_asked_for():
    layers = MemoryLayers(GRID, CATALOGUE)
    with pytest.raises(LayerError, match=r"no layer 'rivers'.*cover, elevation, roads"):
        layers.vectors("rivers", GRID.bounds)
    with pytest.raises(LayerError, match="kind 'lines'; asked for continuous"):
        layers.continuous("roads", GRID)
    with pytest.raises(LayerError, match="no data in memory"):
        layers.continuous("elevation", GRID)


def test_arrays_and_tables_must_fit():
    with pytest.raises(GridError, match=r"shape \(2, 4\), its grid \(3, 4\)"):
        MemoryLayers(GRID, CATALOGUE, rasters={"elevation": (GRID, HEIGHTS[:2])})
    roads = gpd.GeoDataFrame(geometry=[shapely.Point(0, 0).buffer(1)], crs="EPSG:4326")
    with pytest.raises(LayerError, match="EPSG:4326, not EPSG:32638"):
        MemoryLayers(GRID, CATALOGUE, vectors={"roads": roads})
    thirds = SurveyGrid("EPSG:32638", 30, 0, 0, 1, 1)
    layers = MemoryLayers(GRID, CATALOGUE, categorical={"cover": (thirds, np.array([[1]]))})
    with pytest.raises(GridError, match="30 m codes do not divide 100 m"):
        layers.fractions("cover", GRID)
