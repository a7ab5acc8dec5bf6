import numpy as np
import pytest

from hazardrank.errors import PriorityError
from hazardrank.features.segments import segments_of
from hazardrank.features.tiles import tiles_of_grid
from hazardrank.priority.criteria.access import largest_within
from hazardrank.priority.criteria.base import ConsequenceInputs
from tests.priority.cases import (
    TODAY,
    at,
    criterion_of,
    grid_of,
    layers_of,
    line,
    table_of,
    values_of,
)


@pytest.fixture
def grid():
    return grid_of(5, 30)


@pytest.fixture
def layers(grid):
    """A road along the middle row: town in the west, a village in the east."""
    road = table_of([line(grid, (0, 250), (3000, 250))])
    homes = table_of([at(grid, 50, 250), at(grid, 2950, 250)], people=[5000.0, 600.0])
    return layers_of(grid, roads=road, settlements=homes)


@pytest.fixture
def land(grid):
    marked = np.zeros(grid.shape, bool)
    marked[:, 10:13] = True
    return marked


def test_only_the_closed_stretch_and_its_cells_have_value(layers, land):
    found = values_of("access", layers, land=land)
    assert found.quantity[2, 10:13].tolist() == [600] * 3
    assert found.value[2, 11] == pytest.approx(0.6)
    # Pieces of 50 m end on the border of the cells, 50 m from the next cells' centres.
    assert (found.quantity > 0).sum() == 5
    assert not found.quantity[[0, 1, 3, 4]].any()


def test_a_wider_corridor_reaches_the_rows_beside_the_road(layers, land):
    found = values_of("access", layers, land=land, corridor_m=250)
    assert found.quantity[1:4, 11].tolist() == [600] * 3
    assert not found.quantity[[0, 4]].any()


def test_deserted_places_gain_nothing(grid, land):
    road = table_of([line(grid, (0, 250), (3000, 250))])
    homes = table_of(
        [at(grid, 50, 250), at(grid, 2950, 250)],
        people=[5000.0, 600.0],
        status=["inhabited", "abandoned"],
    )
    layers = layers_of(grid, roads=road, settlements=homes)
    assert not values_of("access", layers, land=land).value.any()
    assert values_of("access", layers, land=land, deserted=[]).value.any()


def test_an_open_road_gives_nothing(layers, grid):
    assert not values_of("access", layers, land=np.zeros(grid.shape, bool)).value.any()


def test_destinations_may_be_a_layer_of_their_own(layers, grid, land):
    clinics = table_of([at(grid, 2000, 250)], name=["clinic"])
    both = layers_of(
        grid,
        roads=layers.vectors("roads", grid.bounds),
        settlements=layers.vectors("settlements", grid.bounds),
        clinics=clinics,
    )
    found = values_of("access", both, land=land, destinations="clinics")
    assert found.quantity[2, 11] == 5000


def test_what_the_network_says(layers, land):
    inputs = ConsequenceInputs(layers, TODAY, candidate_land=land)
    graph, closed, access = criterion_of("access", layers).network(inputs)
    assert graph.lengths_m[closed].sum() == pytest.approx(300)
    assert access.people_cut_off == 600
    assert access.reconnected.max() == 600


def test_candidate_land_and_a_destination_are_needed(layers, land):
    with pytest.raises(PriorityError, match=r"criteria\.this: it is not known which land"):
        values_of("access", layers)
    with pytest.raises(PriorityError, match="no settlement has 9000 people or more"):
        values_of("access", layers, land=land, town_people=9000)


def test_largest_within_by_hand():
    grid = grid_of(1, 3)
    segments = segments_of([at(grid, 50, 50), at(grid, 160, 50), at(grid, 150, 50)])
    found = largest_within(tiles_of_grid(grid), segments, np.array([3.0, 1.0, 2.0]), 100.0)
    assert found.tolist() == [3, 3, 2]
