import numpy as np
import pytest

from hazardrank.errors import PriorityError
from tests.priority.cases import accidents_of, at, criterion_of, grid_of, layers_of, values_of


@pytest.fixture
def grid():
    return grid_of(1, 21)


def test_decay_in_distance_and_time(grid):
    records = accidents_of(
        [at(grid, 50, 50)] * 2, occurred=["2025-01-01", "2023-01-01"], victims=[1.0, 2.0]
    )
    found = values_of("accidents", layers_of(grid), records=records)
    # Today one, two years ago two at half; at 500 m half of that.
    assert found.quantity[0, [0, 5]] == pytest.approx([2, 1], rel=1e-3)
    assert found.value[0, [0, 5]] == pytest.approx([1, 0.5], rel=1e-3)


def test_accidents_or_victims(grid):
    records = accidents_of(
        [at(grid, 50, 50)] * 3, occurred=["2025-01-01"] * 3, victims=[4.0, np.nan, 0.0]
    )
    by_victims = values_of("accidents", layers_of(grid), records=records)
    by_accidents = values_of("accidents", layers_of(grid), records=records, count="accidents")
    assert by_victims.quantity[0, 0] == 5
    assert by_accidents.quantity[0, 0] == 3


def test_undated_ones_count_as_old_and_later_ones_not_at_all(grid):
    records = accidents_of([at(grid, 50, 50)] * 2, occurred=[None, "2025-01-02"])
    found = values_of(
        "accidents", layers_of(grid), records=records, undated_years=4, half_life_years=4
    )
    assert found.quantity[0, 0] == 0.5


def test_no_accident_is_no_value(grid):
    found = values_of("accidents", layers_of(grid), records=accidents_of([]))
    assert not found.value.any()


def test_records_must_be_there(grid):
    with pytest.raises(PriorityError, match=r"criteria\.this: accidents are read from"):
        values_of("accidents", layers_of(grid))


def test_spec(grid):
    spec = criterion_of("accidents", layers_of(grid)).spec
    assert (spec.unit, spec.layers, spec.as_of) == ("victims", ("hazard_records",), None)
