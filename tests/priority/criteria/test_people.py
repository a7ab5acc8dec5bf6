import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError
from tests.priority.cases import (
    at,
    criterion_of,
    grid_of,
    layers_of,
    random_places,
    table_of,
    values_of,
)


def test_people_count_half_at_the_half_distance():
    grid = grid_of(1, 5)
    home = table_of([at(grid, 50, 50)], people=[800.0])
    found = values_of("people", layers_of(grid, settlements=home), half_distance_m=200)
    assert found.quantity[0, 0] == 800
    assert found.quantity[0, 2] == pytest.approx(400)
    assert found.value[0, [0, 2]] == pytest.approx([0.8, 0.4])


def test_people_add_up_and_many_count_fully():
    grid = grid_of(1, 1)
    homes = table_of([at(grid, 50, 50)] * 3, people=[700.0, 600.0, np.nan])
    found = values_of("people", layers_of(grid, settlements=homes))
    assert found.quantity[0, 0] == 1300
    assert found.value[0, 0] == 1


def test_nobody_beyond_the_cap():
    grid = grid_of(1, 1)
    homes = table_of([at(grid, 950, 50)], people=[500.0])
    assert values_of("people", layers_of(grid, settlements=homes), cap_m=899).quantity == 0
    assert values_of("people", layers_of(grid, settlements=homes), cap_m=901).quantity > 0


def test_where_chooses_settlements():
    grid = grid_of(1, 1)
    homes = table_of([at(grid, 50, 50)] * 2, people=[500.0, 70.0], status=["village", "town"])
    layers = layers_of(grid, settlements=homes)
    assert values_of("people", layers, where={"status": ["town"]}).quantity == 70


def test_nobody_lives_in_deserted_places():
    grid = grid_of(1, 1)
    homes = table_of(
        [at(grid, 50, 50)] * 3, people=[500.0, 70.0, 8.0], status=["abandoned", None, "inhabited"]
    )
    layers = layers_of(grid, settlements=homes)
    assert values_of("people", layers).quantity == 78
    assert values_of("people", layers, deserted=[]).quantity == 578


def test_a_layer_without_people_says_so():
    grid = grid_of(1, 1)
    layers = layers_of(grid, settlements=table_of([at(grid, 50, 50)], name=["A"]))
    with pytest.raises(FeatureError, match=r"criteria\.this\.population: .* no column 'people'"):
        values_of("people", layers)


def test_returns_by_date_at_the_place_itself():
    grid = grid_of(1, 1)
    plans = table_of(
        [at(grid, 50, 50)] * 5,
        households=[40.0, 40.0, 40.0, 40.0, np.nan],
        planned=["2024-06-01", "2027-01-01", "2029-01-01", "2024-01-01", "2024-01-01"],
        status=["planned", "planned", "planned", "cancelled", "planned"],
    )
    found = values_of("returns", layers_of(grid, returns=plans))
    # Overdue 40, due in two years 20, in four 10; cancelled and unknown add nothing.
    assert found.quantity[0, 0] == pytest.approx(70, rel=1e-3)
    assert found.value[0, 0] == pytest.approx(0.7, rel=1e-3)


def test_returns_by_discount_rate():
    grid = grid_of(1, 1)
    plans = table_of([at(grid, 50, 50)], households=[100.0], planned=["2026-01-01"])
    found = values_of("returns", layers_of(grid, returns=plans), discount_rate=0.25)
    assert found.quantity[0, 0] == pytest.approx(80, rel=1e-3)


def test_the_nearer_a_return_the_more_it_counts():
    grid = grid_of(1, 1)
    values = []
    for planned in ("2030-01-01", "2027-01-01", "2025-06-01", "2020-01-01"):
        plans = table_of([at(grid, 50, 50)], households=[90.0], planned=[planned])
        values.append(float(values_of("returns", layers_of(grid, returns=plans)).value[0, 0]))
    assert values == sorted(values)
    assert values[-1] == pytest.approx(0.9)


def test_specs_say_what_is_measured():
    grid = grid_of(1, 1)
    plans = table_of([at(grid, 50, 50)], households=[1.0], planned=["2026-01-01"])
    layers = layers_of(grid, returns=plans, settlements=table_of([at(grid, 5, 5)], people=[1.0]))
    spec = criterion_of("returns", layers).spec
    assert (spec.unit, spec.layers) == ("households", ("returns",))
    assert "half if due in 2 years, overdue ones fully" in spec.description
    assert (
        "discounted by 0.1 a year"
        in criterion_of("returns", layers, discount_rate=0.1).spec.description
    )
    assert criterion_of("people", layers).spec.unit == "people"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_people_equal_the_plain_sum(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(7, 9)
    points = random_places(rng, 20, grid)
    people = rng.integers(0, 900, len(points)).astype(float)
    layers = layers_of(grid, settlements=table_of(points, people=people))
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    distance_m = shapely.distance(shapely.points(easting, northing)[..., None], points)
    weight = np.where(distance_m <= 900, (1 + distance_m * (2**0.5 - 1) / 300) ** -2, 0)
    found = values_of("people", layers, cap_m=900, half_distance_m=300)
    assert found.quantity == pytest.approx((people * weight).sum(axis=2), rel=1e-6)
