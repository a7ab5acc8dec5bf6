import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError
from hazardrank.features.crossings import CrossingsFamily, CrossingsSettings
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


def family_of(layers, **values) -> CrossingsFamily:
    values = {"family": "crossings", "layer": "roads", "across": "rivers", **values}
    return CrossingsFamily("fords", CrossingsSettings(**values), layers.catalogue)


def cross(grid):
    """A road along the first row and a river down the second column."""
    west, north = grid.west_m, grid.north_m
    road = shapely.LineString([(west - 900, north - 50), (west + 900, north - 50)])
    river = shapely.LineString([(west + 150, north + 900), (west + 150, north - 900)])
    return {"roads": table_of([road]), "rivers": table_of([river])}


def test_distance_to_where_road_and_river_meet():
    grid = grid_of(1, 3)
    layers = layers_of(grid, **cross(grid))
    assert family_of(layers).compute(grid, layers) == pytest.approx(
        np.array([[[100, 0, 100]]]), abs=1e-6
    )


def test_bridges_and_densities_come_after():
    grid = grid_of(1, 3)
    bridge = shapely.Point(grid.west_m + 50, grid.north_m - 50)
    layers = layers_of(grid, **cross(grid), bridges=table_of([bridge]))
    family = family_of(layers, bridges="bridges", radii_m=[100], cap_m=150)
    assert [s.name for s in family.specs] == [
        "fords_distance_m",
        "fords_bridge_distance_m",
        "fords_100m_per_km2",
    ]
    assert family.needs == ("roads", "rivers", "bridges")
    found = family.compute(grid, layers)
    assert found[1].tolist() == [[0, 100, 150]]
    assert found[2, 0].tolist() == pytest.approx([50, 100 / 3, 50])


def test_lines_that_never_meet_give_the_cap():
    grid = grid_of(1, 2)
    tables = cross(grid)
    tables["rivers"] = table_of([shapely.LineString([(0, 0), (1, 1)])])
    layers = layers_of(grid, **tables)
    found = family_of(layers, cap_m=700, radii_m=[100]).compute(grid, layers)
    assert found.tolist() == [[[700, 700]], [[0, 0]]]


def test_a_shared_stretch_counts_whole_for_distance_and_once_for_density():
    grid = grid_of(1, 3)
    west, north = grid.west_m, grid.north_m
    along = shapely.LineString([(west + 150, north - 50), (west + 290, north - 50)])
    layers = layers_of(grid, roads=cross(grid)["roads"], rivers=table_of([along]))
    found = family_of(layers, radii_m=[100]).compute(grid, layers)
    assert found[0, 0].tolist() == pytest.approx([100, 0, 0])
    assert found[1, 0].tolist() == pytest.approx([50, 100 / 3, 50])


def test_a_lake_is_met_at_its_shore():
    grid = grid_of(1, 3)
    west, north = grid.west_m, grid.north_m
    lake = shapely.box(west - 50, north - 200, west + 150, north + 200)
    layers = layers_of(grid, roads=cross(grid)["roads"], rivers=table_of([lake]))
    assert family_of(layers).compute(grid, layers)[0, 0].tolist() == pytest.approx([100, 0, 100])


def test_points_do_not_cross():
    grid = grid_of(1, 1)
    layers = layers_of(grid, roads=cross(grid)["roads"], rivers=table_of([shapely.Point(0, 0)]))
    with pytest.raises(FeatureError, match=r"features\.fords\.across: .* layer of points"):
        family_of(layers)


@settings(max_examples=12, deadline=None)
@given(seed=seeds, block_cells=st.integers(4, 16), lakes=st.booleans())
def test_the_tiling_changes_no_bit(seed, block_cells, lakes):
    rng = np.random.default_rng(seed)
    grid = grid_of(15, 19)
    waters = random_polygons(rng, 6, grid) if lakes else random_lines(rng, 8, grid)
    layers = layers_of(
        grid,
        roads=table_of(random_lines(rng, 8, grid)),
        rivers=table_of(waters),
        bridges=table_of(random_points(rng, 3, grid)),
    )
    family = family_of(layers, bridges="bridges", cap_m=900, radii_m=[300])
    assert same_in_blocks(family, grid, layers, block_cells)
