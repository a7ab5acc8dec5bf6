import numpy as np
import pytest

from hazardrank.errors import FeatureError, PriorityError
from hazardrank.grid import SurveyGrid
from tests.priority.cases import CRS, at, criterion_of, grid_of, layers_of, table_of, values_of

CLASSES = {1: "cropland", 2: "grassland", 3: "forest"}


@pytest.fixture
def layers():
    grid = grid_of(1, 3)
    fine = SurveyGrid(CRS, 50, 12000, 88000, 2, 6)
    codes = np.array([[1, 1, 1, 2, 0, 0], [1, 1, 3, 3, 0, 0]], np.uint8)
    return layers_of(grid, classes=CLASSES, categorical={"land_cover": (fine, codes)})


def test_shares_times_their_numbers(layers):
    found = values_of("land_use", layers, classes={"cropland": 1.0, "grassland": 0.5})
    # All cropland; a quarter cropland and a quarter grassland; no data.
    assert found.quantity[0].tolist() == pytest.approx([1, 0.375, np.nan], nan_ok=True)
    assert found.value[0].tolist() == pytest.approx([1, 0.375, np.nan], nan_ok=True)


def test_a_class_that_is_not_there_is_named(layers):
    message = r"classes: layer 'land_cover' has no class 'pasture' \(classes: cropland, grass"
    with pytest.raises(PriorityError, match=message):
        values_of("land_use", layers, classes={"pasture": 1})


def test_a_raster_goes_through_its_curve():
    grid = grid_of(1, 3)
    density = np.array([[0, 25, np.nan]], np.float32)
    layers = layers_of(grid, rasters={"density": (grid, density)})
    curve = {"shape": "linear", "zero_at": 0, "one_at": 50}
    found = values_of("raster", layers, layer="density", curve=curve)
    assert found.value[0].tolist() == pytest.approx([0, 0.5, np.nan], nan_ok=True)
    assert criterion_of("raster", layers, layer="density", curve=curve).spec.unit == "1"


def test_the_kind_of_the_layer_is_checked():
    grid = grid_of(1, 1)
    layers = layers_of(grid, land_cover=table_of([at(grid, 5, 5)]))
    with pytest.raises(FeatureError, match=r"criteria\.this: .*is a layer of points"):
        values_of("land_use", layers, classes={"cropland": 1})
