import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError, LeakageError
from hazardrank.features.proximity import ProximityFamily, ProximitySettings
from hazardrank.settings import LayerSettings
from tests.features.vector_cases import (
    grid_of,
    layers_of,
    random_lines,
    random_points,
    random_polygons,
    same_in_blocks,
    seeds,
    table_of,
)


def family_of(layers, key="near", **values) -> ProximityFamily:
    values = {"family": "proximity", "layer": "shapes", **values}
    return ProximityFamily(key, ProximitySettings(**values), layers.catalogue)


def test_one_distance_for_all_features_and_its_spec():
    grid = grid_of(1, 3)
    point = shapely.Point(grid.west_m + 50, grid.north_m - 50)
    layers = layers_of(grid, shapes=table_of([point]))
    family = family_of(layers, key="bridges", cap_m=150)
    assert family.compute(grid, layers).tolist() == [[[0, 100, 150]]]
    (spec,) = family.specs
    assert (spec.name, spec.unit, spec.layer) == ("bridges_distance_m", "m", "shapes")
    assert family.halo_m == 150


def test_one_distance_for_each_class():
    grid = grid_of(1, 2)
    points = [shapely.Point(grid.west_m + e, grid.north_m - 50) for e in (50, 150, 150)]
    layers = layers_of(grid, shapes=table_of(points, **{"class": ["Main road", "track", "path"]}))
    family = family_of(layers, classes=["Main road", "track"])
    assert [s.name for s in family.specs] == ["near_main_road_distance_m", "near_track_distance_m"]
    assert family.compute(grid, layers).tolist() == [[[0, 100]], [[100, 0]]]


def test_where_keeps_only_some_features():
    grid = grid_of(1, 2)
    points = [shapely.Point(grid.west_m + e, grid.north_m - 50) for e in (50, 150)]
    layers = layers_of(grid, shapes=table_of(points, status=["lived in", "abandoned"]))
    family = family_of(layers, where={"status": ["abandoned"]})
    assert family.compute(grid, layers).tolist() == [[[100, 0]]]


def test_signed_is_negative_inside_and_the_edge_counts_otherwise():
    grid = grid_of(5, 5)
    west, north = grid.west_m, grid.north_m
    square = shapely.box(west + 100, north - 400, west + 400, north - 100)
    layers = layers_of(grid, shapes=table_of([square]))
    signed = family_of(layers, signed=True).compute(grid, layers)[0]
    assert signed[2].tolist() == [50, -50, -150, -50, 50]
    unsigned = family_of(layers).compute(grid, layers)[0]
    assert unsigned[2].tolist() == [50, 50, 150, 50, 50]


def test_signed_is_capped_on_both_sides():
    grid = grid_of(9, 9)
    west, north = grid.west_m, grid.north_m
    layers = layers_of(grid, shapes=table_of([shapely.box(west, north - 900, west + 900, north)]))
    values = family_of(layers, signed=True, cap_m=120).compute(grid, layers)
    assert values.min() == -120


def test_no_feature_within_the_cap_is_the_cap_never_nan():
    grid = grid_of(2, 2)
    layers = layers_of(grid, shapes=table_of([shapely.Point(0, 0)]))
    assert (family_of(layers, cap_m=700).compute(grid, layers) == 700).all()


def test_a_feature_just_outside_the_block_counts():
    grid = grid_of(1, 1)
    point = shapely.Point(grid.west_m + 50, grid.north_m - 50 + 300)
    layers = layers_of(grid, shapes=table_of([point]))
    assert family_of(layers, cap_m=300).compute(grid, layers).tolist() == [[[300]]]


def test_settings_that_cannot_be_are_refused():
    grid = grid_of(1, 1)
    line = shapely.LineString([(0, 0), (1, 1)])
    layers = layers_of(grid, shapes=table_of([line]))
    with pytest.raises(FeatureError, match="layer of lines; this family reads polygons"):
        family_of(layers, signed=True)
    with pytest.raises(FeatureError, match="no layer 'rivers'"):
        family_of(layers, layer="rivers")
    everywhere = family_of(layers_of(grid, shapes=table_of([shapely.Point(600050, 4399950)])))
    with pytest.raises(FeatureError, match="no column 'class'"):
        family_of(layers, classes=["a"]).compute(
            grid, layers_of(grid, shapes=table_of([shapely.LineString([(6e5, 4.4e6), (6e5, 4e6)])]))
        )
    assert everywhere.specs
    returns = {"shapes": LayerSettings(path="r.gpkg", kind="points", role="consequence")}
    with pytest.raises(LeakageError, match="role 'consequence'"):
        ProximityFamily("near", ProximitySettings(family="proximity", layer="shapes"), returns)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, block_cells=st.integers(3, 16), kind=st.sampled_from("plg"))
def test_the_tiling_changes_no_bit(seed, block_cells, kind):
    rng = np.random.default_rng(seed)
    grid = grid_of(17, 21)
    make = {"p": random_points, "l": random_lines, "g": random_polygons}[kind]
    shapes = make(rng, 9, grid)
    names = rng.choice(["a", "b"], len(shapes))
    layers = layers_of(grid, shapes=table_of(shapes, **{"class": names}))
    family = family_of(layers, classes=["a", "b"], signed=kind == "g", cap_m=900)
    assert same_in_blocks(family, grid, layers, block_cells)


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_signed_equals_shapely(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(11, 13)
    polygons = random_polygons(rng, 5, grid)
    layers = layers_of(grid, shapes=table_of(polygons))
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    points = shapely.points(easting, northing)
    edges = shapely.union_all([polygon.boundary for polygon in polygons])
    inside = np.logical_or.reduce([shapely.contains(p, points) for p in polygons])
    expected = shapely.distance(points, edges) * np.where(inside, -1, 1)
    found = family_of(layers, signed=True).compute(grid, layers)[0]
    assert np.abs(found - expected).max() < 1e-3
