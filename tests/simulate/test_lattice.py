"""Least-cost paths and lines traced along edges."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.grid import SurveyGrid
from hazardrank.simulate.lattice import (
    Lattice,
    edges_of,
    least_cost_path,
    line_of,
    smooth,
    trace,
    walk,
)

GRID = SurveyGrid("EPSG:32638", 100, 0, 10, 10, 12)
LATTICE = Lattice.over(GRID)


def test_nodes_stand_in_the_middle_of_their_cells():
    assert LATTICE.step == 2
    assert LATTICE.shape == (5, 6)
    assert LATTICE.points(np.array([0, 7])).tolist() == [[100.0, 900.0], [300.0, 700.0]]
    assert LATTICE.nodes_at(np.array([399.0, -50.0]), np.array([601.0, 5000.0])).tolist() == [7, 0]


def test_thinning_takes_means():
    values = np.arange(120.0).reshape(10, 12)
    assert LATTICE.thin(values)[0, 0] == np.mean([0, 1, 12, 13])
    assert LATTICE.thin(values).shape == (5, 6)


def test_costs_on_flat_and_steep_ground():
    flat = LATTICE.graph(np.ones(LATTICE.shape))
    assert flat[0, 1] == 200.0
    assert flat[0, 7] == pytest.approx(200 * np.sqrt(2))
    assert flat[1, 6] == pytest.approx(200 * np.sqrt(2))
    assert flat[0, 2] == 0
    assert flat[1, 0] == flat[0, 1]
    heights = np.zeros(LATTICE.shape)
    heights[0, 1] = 20.0  # gradient 0.1: twice the grade that doubles the cost
    steep = LATTICE.graph(np.ones(LATTICE.shape), heights, grade=0.05)
    assert steep[0, 1] == pytest.approx(200 * (1 + 4))
    heights[0, 1] = 2000.0
    assert LATTICE.graph(np.ones(LATTICE.shape), heights)[0, 1] == pytest.approx(2000)


def test_a_path_goes_round_costly_ground():
    friction = np.ones(LATTICE.shape)
    friction[:4, 3] = 50.0
    path = least_cost_path(LATTICE.graph(friction), [0, 5])
    assert path[0] == 0
    assert path[-1] == 5
    crossing = [node for node in path if node % 6 == 3]
    assert crossing == [4 * 6 + 3]


def test_a_detour_to_a_way_point_and_back_is_cut_off():
    friction = np.full(LATTICE.shape, 100.0)
    friction[0] = 1.0  # the road along the north
    friction[:, 2] = 1.0  # and a dead end to the south
    path = least_cost_path(LATTICE.graph(friction), [0, 4 * 6 + 2, 5])
    assert len(set(path)) == len(path)
    assert max(path) < 12
    assert (path[0], path[-1]) == (0, 5)


def test_walking_back_ends_at_the_source():
    assert walk(np.array([-9999, 0, 1]), 2) == [2, 1, 0]
    assert edges_of([2, 1, 0]).tolist() == [[2, 1], [1, 0]]


def test_lines_end_at_junctions_and_where_the_class_changes():
    # 0-1-2 then a fork at 2 to 3 and to 4-5; the last step is of another class.
    edges = np.array([[0, 1], [2, 1], [2, 3], [2, 4], [5, 4], [1, 0]])
    rank = np.array([1, 1, 1, 1, 0, 2])
    lines = {(tuple(nodes), level) for nodes, level in trace(edges, rank)}
    assert lines == {((0, 1, 2), 1), ((2, 3), 1), ((2, 4), 1), ((4, 5), 0)}


def test_lines_end_at_stops_too():
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    lines = trace(edges, np.zeros(3, int), stops={2})
    assert lines == [([0, 1, 2], 0), ([2, 3], 0)]


def test_a_ring_without_junction_is_one_closed_line():
    edges = np.array([[0, 1], [1, 2], [2, 0]])
    [(nodes, level)] = trace(edges, np.zeros(3, int))
    assert nodes[0] == nodes[-1]
    assert sorted(nodes[:-1]) == [0, 1, 2]
    assert level == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 2)), min_size=1, max_size=30
    )
)
@settings(max_examples=60, deadline=None)
def test_every_edge_becomes_part_of_exactly_one_line_of_its_lowest_class(steps):
    edges = np.array([step[:2] for step in steps])
    rank = np.array([step[2] for step in steps])
    wanted = {}
    for a, b, level in steps:
        if a != b:
            key = (min(a, b), max(a, b))
            wanted[key] = min(level, wanted.get(key, level))
    traced = [
        ((min(pair), max(pair)), level)
        for nodes, level in trace(edges, rank)
        for pair in pairwise(nodes)
    ]
    assert len(traced) == len(wanted)
    assert dict(traced) == wanted


def test_smoothing_keeps_the_ends():
    points = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 100.0]])
    rounded = smooth(points, times=1)
    assert rounded.tolist() == [[0.0, 0.0], [75.0, 25.0], [100.0, 100.0]]
    assert line_of(points).coords[-1] == (100.0, 100.0)
