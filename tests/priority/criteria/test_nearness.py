import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError, PriorityError
from tests.priority.cases import (
    at,
    criterion_of,
    grid_of,
    layers_of,
    line,
    random_places,
    table_of,
    values_of,
)


def test_value_halves_with_every_half_distance():
    grid = grid_of(1, 11)
    river = table_of([line(grid, (50, -1000), (50, 1000))])
    found = values_of("nearness", layers_of(grid, rivers=river), layer="rivers")
    assert found.quantity[0, [0, 5, 10]].tolist() == [0, 500, 1000]
    assert found.value[0, [0, 5, 10]].tolist() == [1, 0.5, 0.25]


def test_beyond_the_cap_nothing_counts():
    grid = grid_of(1, 3)
    river = table_of([line(grid, (50, -1000), (50, 1000))])
    found = values_of("nearness", layers_of(grid, rivers=river), layer="rivers", cap_m=150)
    assert found.value[0] == pytest.approx([1, 2**-0.2, 0])
    assert found.quantity[0].tolist() == [0, 100, 150]


def test_inside_a_polygon_the_distance_is_zero():
    grid = grid_of(1, 3)
    site = table_of([shapely.box(grid.west_m, grid.north_m - 100, grid.west_m + 200, grid.north_m)])
    found = values_of("nearness", layers_of(grid, heritage=site), layer="heritage")
    assert found.quantity[0].tolist() == [0, 0, 50]


def test_classes_weigh_and_the_feature_that_counts_most_decides():
    grid = grid_of(1, 1)
    places = [at(grid, 50, 50), at(grid, 550, 50), at(grid, 51, 50)]
    sites = table_of(places, **{"class": ["market", "school", "kiosk"]})
    layers = layers_of(grid, sites=sites)
    near = values_of("nearness", layers, layer="sites", classes={"school": 1.0, "market": 0.4})
    # The school 500 m away counts 0.5, the market here 0.4, the kiosk nothing.
    assert (near.value[0, 0], near.quantity[0, 0]) == (0.5, 500)
    other = values_of("nearness", layers, layer="sites", classes={"school": 1.0, "market": 0.6})
    assert (other.value[0, 0], other.quantity[0, 0]) == (pytest.approx(0.6), 0)


def test_what_is_planned_for_later_counts_less():
    grid = grid_of(1, 1)
    lines = table_of(
        [line(grid, (50, 50), (50, 90)), line(grid, (51, 50), (51, 90))],
        planned=["2027-01-01", "2040-01-01"],
        status=["planned", "cancelled"],
    )
    layers = layers_of(grid, projects=lines)
    found = values_of("nearness", layers, layer="projects", half_life_years=2)
    assert found.value[0, 0] == pytest.approx(0.5, rel=1e-3)
    assert values_of("nearness", layers, layer="projects").value[0, 0] == 1


def test_where_and_columns():
    grid = grid_of(1, 1)
    sites = table_of([at(grid, 50, 50)], status=["idea"])
    layers = layers_of(grid, sites=sites)
    assert values_of("nearness", layers, layer="sites", where={"status": ["funded"]}).value == 0
    with pytest.raises(FeatureError, match=r"this\.classes: the layer has no column 'class'"):
        values_of("nearness", layers, layer="sites", classes={"school": 1})


def test_a_value_that_rises_with_distance_is_refused():
    grid = grid_of(1, 1)
    layers = layers_of(grid, sites=table_of([at(grid, 50, 50)]))
    curve = {"shape": "linear", "zero_at": 0, "one_at": 500}
    with pytest.raises(PriorityError, match=r"this\.curve: the value rises with distance, from 0"):
        criterion_of("nearness", layers, layer="sites", curve=curve)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_value_is_the_largest_of_all_features(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(6, 8)
    points = random_places(rng, 12, grid)
    worth = {"a": 1.0, "b": 0.6, "c": 0.3}
    kinds = rng.choice([*worth, "d"], 12)
    layers = layers_of(grid, sites=table_of(points, **{"class": kinds}))
    found = values_of("nearness", layers, layer="sites", classes=worth, cap_m=800)
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    distance_m = shapely.distance(shapely.points(easting, northing)[..., None], points)
    single = np.where(distance_m < 800, 0.5 ** (distance_m / 500), 0)
    single *= [worth.get(kind, 0.0) for kind in kinds]
    assert found.value == pytest.approx(single.max(axis=2), rel=1e-6)
