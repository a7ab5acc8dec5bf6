import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError
from hazardrank.features.density import DensityFamily, DensitySettings
from tests.features.vector_cases import (
    grid_of,
    layers_of,
    random_lines,
    random_points,
    same_in_blocks,
    seeds,
    table_of,
)


def family_of(layers, **values) -> DensityFamily:
    values = {"family": "density", "layer": "shapes", **values}
    return DensityFamily("near", DensitySettings(**values), layers.catalogue)


def test_a_road_across_the_region_has_the_same_density_at_its_border():
    grid = grid_of(1, 9)
    west, north = grid.west_m, grid.north_m
    road = shapely.LineString([(west - 5000, north - 50), (west + 5000, north - 50)])
    layers = layers_of(grid, shapes=table_of([road]))
    family = family_of(layers, radii_m=[100, 300])
    assert [s.name for s in family.specs] == ["near_100m_km_per_km2", "near_300m_km_per_km2"]
    assert family.compute(grid, layers) == pytest.approx(np.full((2, 1, 9), 10.0))
    assert family.halo_m == 300


def test_points_by_class():
    grid = grid_of(1, 5)
    points = [shapely.Point(grid.west_m + e, grid.north_m - 50) for e in (50, 60, 450)]
    layers = layers_of(grid, shapes=table_of(points, **{"class": ["well", "well", "ford"]}))
    family = family_of(layers, classes=["well", "ford"], radii_m=[100])
    assert [(s.name, s.unit) for s in family.specs] == [
        ("near_well_100m_per_km2", "1/km²"),
        ("near_ford_100m_per_km2", "1/km²"),
    ]
    wells, fords = family.compute(grid, layers)
    assert wells[0].tolist() == pytest.approx([100, 200 / 3, 0, 0, 0])
    assert fords[0].tolist() == pytest.approx([0, 0, 0, 100 / 3, 50])


def test_features_outside_the_area_of_interest_do_not_count():
    grid = grid_of(1, 3)
    points = [shapely.Point(grid.west_m + e, grid.north_m - 50) for e in (50, 250)]
    inside = np.array([[False, True, True]])
    layers = layers_of(grid, inside=inside, shapes=table_of(points))
    values = family_of(layers, radii_m=[100]).compute(grid, layers)
    assert values[0, 0].tolist() == pytest.approx([0, 50, 50])


def test_where_keeps_only_some():
    grid = grid_of(1, 1)
    point = shapely.Point(grid.west_m + 50, grid.north_m - 50)
    layers = layers_of(grid, shapes=table_of([point, point], status=["a", "b"]))
    family = family_of(layers, where={"status": ["b"]}, radii_m=[100])
    assert family.compute(grid, layers).tolist() == [[[100]]]


def test_polygons_and_radii_below_a_cell_are_refused():
    grid = grid_of(1, 1)
    polygons = layers_of(grid, shapes=table_of([shapely.box(0, 0, 1, 1)]))
    with pytest.raises(FeatureError, match="layer of polygons; this family reads lines or points"):
        family_of(polygons)
    points = layers_of(grid, shapes=table_of([shapely.Point(0, 0)]))
    with pytest.raises(FeatureError, match="radius of 50 m is shorter than the 100 m cells"):
        family_of(points, radii_m=[50]).compute(grid, points)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, block_cells=st.integers(3, 16), points=st.booleans())
def test_the_tiling_changes_no_bit(seed, block_cells, points):
    rng = np.random.default_rng(seed)
    grid = grid_of(15, 19)
    shapes = (random_points if points else random_lines)(rng, 9, grid)
    layers = layers_of(grid, inside=rng.random(grid.shape) < 0.8, shapes=table_of(shapes))
    family = family_of(layers, radii_m=[100, 450])
    assert same_in_blocks(family, grid, layers, block_cells)
