import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError, SettingsError
from hazardrank.features.settlements import SettlementsFamily, SettlementsSettings
from hazardrank.settings import validate
from tests.features.vector_cases import (
    grid_of,
    layers_of,
    random_points,
    random_polygons,
    same_in_blocks,
    seeds,
    table_of,
)


def family_of(layers, **values) -> SettlementsFamily:
    values = {"family": "settlements", "layer": "places", **values}
    return SettlementsFamily("places", SettlementsSettings(**values), layers.catalogue)


def row_of_places(grid, *eastings, **columns):
    points = [shapely.Point(grid.west_m + e, grid.north_m - 50) for e in eastings]
    return layers_of(grid, places=table_of(points, **columns))


def test_distance_and_people_weighted_by_hand():
    grid = grid_of(1, 2)
    layers = row_of_places(grid, 50, 250, people=[100.0, 36.0])
    family = family_of(layers, d0_m=100, beta=2)
    distance_m, people = family.compute(grid, layers)
    assert distance_m.tolist() == [[0, 100]]
    assert people[0].tolist() == pytest.approx([100 + 36 / 9, 100 / 4 + 36 / 4])
    assert [(s.name, s.unit) for s in family.specs] == [
        ("places_distance_m", "m"),
        ("places_gravity_people", "people"),
    ]


@pytest.mark.parametrize("beta", [0.5, 1, 1.5, 3])
def test_every_power(beta):
    grid = grid_of(1, 1)
    layers = row_of_places(grid, 350, households=[7])
    family = family_of(layers, d0_m=100, beta=beta, population="households")
    assert family.compute(grid, layers)[1, 0, 0] == pytest.approx(7 * 0.25**beta)
    assert family.specs[1].name == "places_gravity_households"


def test_people_beyond_the_cap_do_not_count_and_unknown_add_nothing():
    grid = grid_of(1, 1)
    layers = row_of_places(grid, 50, 150, 350, people=[np.nan, 4, 1000])
    family = family_of(layers, d0_m=100, beta=1, cap_m=200)
    assert family.compute(grid, layers)[1, 0, 0] == pytest.approx(2)


def test_distance_alone_needs_no_people():
    grid = grid_of(1, 1)
    layers = row_of_places(grid, 150, name=["A"])
    family = family_of(layers, population=None)
    assert family.compute(grid, layers).tolist() == [[[100]]]
    with pytest.raises(FeatureError, match=r"places\.population: .* no column 'people'"):
        family_of(layers).compute(grid, layers)


def test_where_keeps_only_some():
    grid = grid_of(1, 1)
    layers = row_of_places(grid, 50, 150, people=[1, 2], status=["abandoned", "inhabited"])
    family = family_of(layers, where={"status": ["inhabited"]}, d0_m=100, beta=1)
    assert family.compute(grid, layers)[:, 0, 0].tolist() == pytest.approx([100, 1])


def test_inside_a_polygon_the_distance_is_zero():
    grid = grid_of(1, 5)
    town = shapely.box(grid.west_m, grid.north_m - 100, grid.west_m + 200, grid.north_m)
    layers = layers_of(grid, places=table_of([town], people=[8]))
    distance_m, people = family_of(layers, d0_m=100, beta=1).compute(grid, layers)
    assert distance_m[0].tolist() == pytest.approx([0, 0, 50, 150, 250])
    assert people[0, 0] == pytest.approx(8 * 100 / 150)


def test_an_odd_power_is_refused():
    with pytest.raises(SettingsError, match=r"features\.places\.beta = 1\.3: .*multiple of 0\.5"):
        validate(
            SettlementsSettings,
            {"family": "settlements", "layer": "places", "beta": 1.3},
            "features.places",
        )


@settings(max_examples=15, deadline=None)
@given(seed=seeds, block_cells=st.integers(3, 16), polygons=st.booleans())
def test_the_tiling_changes_no_bit(seed, block_cells, polygons):
    rng = np.random.default_rng(seed)
    grid = grid_of(15, 19)
    shapes = random_polygons(rng, 9, grid) if polygons else random_points(rng, 30, grid)
    people = rng.integers(0, 5000, len(shapes)).astype(float)
    layers = layers_of(grid, places=table_of(shapes, people=people))
    family = family_of(layers, cap_m=1200, beta=1.5)
    assert same_in_blocks(family, grid, layers, block_cells)


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_gravity_equals_the_plain_sum(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(12, 10)
    points = random_points(rng, 40, grid)
    people = rng.integers(0, 5000, len(points)).astype(float)
    layers = layers_of(grid, places=table_of(points, people=people))
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    distance_m = shapely.distance(shapely.points(easting, northing)[..., None], points)
    weight = np.where(distance_m <= 900, (1000 / (distance_m + 1000)) ** 2, 0)
    found = family_of(layers, cap_m=900).compute(grid, layers)[1]
    assert found == pytest.approx((people * weight).sum(axis=2), rel=1e-6)
