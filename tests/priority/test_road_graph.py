"""A valley road from home to town, part of it on candidate land, and a way round."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.priority.road_graph import RoadGraph, access_gains, graph_of, pieces_on
from tests.priority.cases import at, grid_of, line


def gains(graph, closed, homes, people, goals, closed_factor=10.0, most_m=20_000.0):
    return access_gains(
        graph,
        np.array(closed, bool),
        np.array(homes),
        np.array(people, float),
        np.array(goals),
        closed_factor=closed_factor,
        most_m=most_m,
    )


def chain(*eastings: float) -> RoadGraph:
    """A straight road with nodes at these eastings (km)."""
    nodes = np.array([[1000.0 * east, 0.0] for east in eastings])
    return RoadGraph(nodes, np.array([[n, n + 1] for n in range(len(nodes) - 1)]))


def test_people_behind_closed_road_are_reconnected_by_every_closed_piece():
    # town 0 – 1 – [closed] – 2 – 3 – [closed] – 4 home
    graph = chain(0, 1, 2, 3, 4)
    access = gains(graph, [0, 1, 0, 1], homes=[4], people=[300], goals=[0])
    assert access.gain.tolist() == [0, 300, 0, 300]
    assert access.reconnected.tolist() == [0, 300, 0, 300]
    assert access.saved_km.tolist() == [0, 0, 0, 0]
    assert access.people_cut_off == 300


def test_homes_in_between_need_only_their_own_stretch():
    graph = chain(0, 1, 2, 3, 4)
    access = gains(graph, [0, 1, 0, 1], homes=[4, 2, 1], people=[300, 50, 7], goals=[0])
    assert access.gain.tolist() == [0, 350, 0, 300]
    assert access.people_cut_off == 350


def detour(way_round_km: float) -> RoadGraph:
    """Home 0 and town 1, 2 km apart, and a way round through node 2."""
    half = way_round_km / 2
    nodes = np.array([[0.0, 0.0], [2000.0, 0.0], [1000.0, 1000 * np.sqrt(half**2 - 1)]])
    return RoadGraph(nodes, np.array([[0, 1], [0, 2], [1, 2]]))


def test_a_detour_saved_counts_in_proportion():
    access = gains(detour(12), [1, 0, 0], [0], [100], [1], closed_factor=5, most_m=20_000)
    # 12 km open, 2 km when cleared: 10 of at most 20 km saved by each of 100 people.
    assert access.gain == pytest.approx([50, 0, 0])
    assert access.saved_km == pytest.approx([1000, 0, 0])
    assert access.people_cut_off == 0
    assert not access.reconnected.any()


def test_a_short_detour_is_not_worth_clearing():
    access = gains(detour(12), [1, 0, 0], [0], [100], [1], closed_factor=7)
    assert not access.gain.any()


def test_nobody_gains_more_than_the_most():
    access = gains(detour(90), [1, 0, 0], [0], [100], [1], most_m=20_000)
    assert access.gain == pytest.approx([100, 0, 0])


def test_people_away_from_roads_are_counted_and_gain_nothing():
    access = gains(chain(0, 1), [1], homes=[-1, 1], people=[80, 20], goals=[0])
    assert access.people_off_road == 80
    assert access.gain.tolist() == [20]


def test_without_a_destination_on_the_network_nobody_gains():
    access = gains(chain(0, 1), [1], homes=[1], people=[20], goals=[-1])
    assert access.people_cut_off == 20
    assert not access.gain.any()


def test_lines_are_joined_where_they_meet():
    grid = grid_of(10, 10)
    cross = [line(grid, (0, 500), (1000, 500)), line(grid, (500, 0), (500, 1000))]
    graph = graph_of(np.array(cross), piece_m=10_000, join_m=1)
    assert len(graph) == 4
    assert len(graph.nodes) == 5
    assert graph.lengths_m.tolist() == [500] * 4


def test_ends_that_nearly_meet_are_joined_and_lines_cut_short():
    grid = grid_of(10, 10)
    lines = [line(grid, (0, 0), (500, 0)), line(grid, (500.3, 0), (900, 0))]
    graph = graph_of(np.array(lines), piece_m=100, join_m=1)
    assert len(graph) == 9
    assert graph.lengths_m.max() <= 100 + 1e-9
    assert len(graph.nodes) == 10


def test_no_roads():
    graph = graph_of(np.empty(0, object), 100, 1)
    assert len(graph) == 0
    assert graph.nearest_nodes(np.zeros((2, 2)), 10).tolist() == [-1, -1]
    assert gains(graph, [], [-1], [5], [-1]).people_off_road == 5


def test_pieces_on_marked_cells():
    grid = grid_of(1, 4)
    graph = graph_of(np.array([line(grid, (-100, 50), (400, 50))]), 100, 1)
    land = np.array([[True, False, True, False]])
    on = pieces_on(graph, grid, land)
    middles = graph.middles[on][:, 0] - grid.west_m
    assert sorted(middles.tolist()) == [50, 250]


def test_nearest_nodes_within_reach():
    grid = grid_of(1, 1)
    graph = graph_of(np.array([line(grid, (0, 0), (100, 0))]), 100, 1)
    points = shapely.get_coordinates([at(grid, 90, 30), at(grid, 90, 300)])
    found = graph.nearest_nodes(points, 50)
    assert graph.nodes[found[0], 0] == grid.west_m + 100
    assert found[1] == -1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_gains_equal_those_of_networkx_way_by_way(seed):
    rng = np.random.default_rng(seed)
    n_nodes = 14
    nodes = rng.uniform(0, 9000, (n_nodes, 2))
    pairs = np.unique(np.sort(rng.integers(0, n_nodes, (24, 2)), axis=1), axis=0)
    graph = RoadGraph(nodes, pairs[pairs[:, 0] != pairs[:, 1]])
    closed = rng.random(len(graph)) < 0.4
    homes = rng.integers(0, n_nodes, 6)
    people = rng.integers(1, 90, 6).astype(float)
    access = gains(graph, closed, homes, people, [0, 1], closed_factor=4, most_m=5000)

    whole, still_open = nx.Graph(), nx.Graph()
    for piece, (pair, length_m) in enumerate(zip(graph.ends, graph.lengths_m, strict=True)):
        cost = length_m * (4 if closed[piece] else 1)
        whole.add_edge(*pair, length=length_m, cost=cost, piece=piece)
        if not closed[piece]:
            still_open.add_edge(*pair, length=length_m)
    expected = np.zeros(len(graph))
    for home, count in zip(homes, people, strict=True):
        wanted = way_to_a_goal(whole, home, "cost")
        if wanted is None:
            continue
        open_way = way_to_a_goal(still_open, home, "length")
        open_m = np.inf if open_way is None else length_of(still_open, open_way)
        saved_m = min(open_m - length_of(whole, wanted), 5000)
        for pair in pairwise(wanted):
            piece = whole.edges[pair]["piece"]
            expected[piece] += count * saved_m / 5000 * closed[piece]
    assert access.gain == pytest.approx(expected, abs=1e-6)


def way_to_a_goal(graph: nx.Graph, home: int, weight: str) -> list[int] | None:
    ways = []
    for goal in (0, 1):
        if home in graph and goal in graph and nx.has_path(graph, home, goal):
            cost, way = nx.single_source_dijkstra(graph, home, goal, weight=weight)
            ways.append((cost, way))
    if home in (0, 1):
        return [home]
    return min(ways)[1] if ways else None


def length_of(graph: nx.Graph, way: list[int]) -> float:
    return sum(graph.edges[pair]["length"] for pair in pairwise(way))
