"""Roads as a graph, and what opening the closed ones would change for people.

Lines are joined wherever they meet and cut into short pieces; a piece whose middle lies on
candidate land is *closed*. For each settlement two ways to the nearest destination are
compared:

- the *open* way: the shortest that uses no closed piece; there may be none;
- the *wanted* way: the cheapest if a metre of closed road costs as much as `closed_factor`
  metres of open road, so that a short stretch to clear is preferred to a long one.

If the wanted way uses closed pieces, clearing all of them would save each person there the
difference in length, at most `most_m`; whoever has no open way is reconnected and saves
`most_m`. That saving is credited in full to every closed piece of the way, since the way
opens only when all of them are cleared. In units of people: one whose way would be shorter
by `most_m` or more, or who is reconnected, counts as one.

This is the importance of road links by increase in travel and by unsatisfied demand of
Jenelius, Petersen & Mattsson (2006, Transportation Research A 40: 537–560), turned from
closing an open link to opening closed ones, with all-or-nothing assignment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from hazardrank.grid import SurveyGrid

#: Savings below this are rounding, in metres.
_ROUNDING_M = 1e-6

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class RoadGraph:
    """Roads cut into straight pieces between nodes.

    Parameters
    ----------
    nodes : ndarray of float64, shape (n_nodes, 2)
        Easting and northing in metres.
    ends : ndarray of int64, shape (n_pieces, 2)
        The two nodes of each piece.
    """

    nodes: FloatArray
    ends: IndexArray

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths_m(self) -> FloatArray:
        """Length of each piece."""
        start, end = self.nodes[self.ends[:, 0]], self.nodes[self.ends[:, 1]]
        lengths_m: FloatArray = np.hypot(*(end - start).T)
        return lengths_m

    @property
    def middles(self) -> FloatArray:
        """Easting and northing of the middle of each piece, shape (n_pieces, 2)."""
        return (self.nodes[self.ends[:, 0]] + self.nodes[self.ends[:, 1]]) / 2

    def matrix(self, data: FloatArray) -> csr_array:
        """Return one number a piece as a symmetric matrix between nodes."""
        one, other = self.ends.T
        rows, cols = np.concatenate([one, other]), np.concatenate([other, one])
        n_nodes = len(self.nodes)
        return csr_array((np.concatenate([data, data]), (rows, cols)), shape=(n_nodes, n_nodes))

    def nearest_nodes(self, points: FloatArray, reach_m: float) -> IndexArray:
        """Return the node nearest to each point, -1 where none lies within `reach_m`."""
        if not len(self.nodes):
            return np.full(len(points), -1, dtype=np.int64)
        distance_m, node = cKDTree(self.nodes).query(points)
        return np.where(distance_m <= reach_m, node, -1).astype(np.int64)


def graph_of(lines: NDArray[np.object_], piece_m: float, join_m: float) -> RoadGraph:
    """Join lines wherever they meet and cut them into pieces.

    Parameters
    ----------
    lines : ndarray of shapely lines
        Roads in metres.
    piece_m : float
        Longest piece.
    join_m : float
        Coordinates are moved to multiples of this, so that ends that nearly meet do.
    """
    if not len(lines):
        return RoadGraph(np.empty((0, 2)), np.empty((0, 2), np.int64))
    joined = shapely.get_parts(shapely.union_all(lines, grid_size=join_m))
    joined = joined[shapely.get_type_id(joined) == 1]
    coordinates, line = shapely.get_coordinates(
        shapely.segmentize(joined, piece_m), return_index=True
    )
    goes_on = np.flatnonzero(line[1:] == line[:-1])
    nodes, node = np.unique(coordinates, axis=0, return_inverse=True)
    node = node.reshape(-1).astype(np.int64)
    pairs = np.sort(np.column_stack([node[goes_on], node[goes_on + 1]]), axis=1)
    ends = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return RoadGraph(nodes, ends.reshape(-1, 2))


def pieces_on(graph: RoadGraph, grid: SurveyGrid, land: BoolArray) -> BoolArray:
    """Return which pieces have their middle on marked cells of a grid.

    Parameters
    ----------
    graph : RoadGraph
        The roads.
    grid : SurveyGrid
        The grid of `land`. Pieces outside it are not on marked land.
    land : ndarray of bool, shape of the grid
        Marked cells.
    """
    easting, northing = graph.middles.T
    row, col = grid.cells_of(easting, northing)
    inside = (row >= 0) & (row < grid.n_rows) & (col >= 0) & (col < grid.n_cols)
    on = np.zeros(len(graph), bool)
    on[inside] = land[row[inside], col[inside]]
    return on


@dataclass(frozen=True)
class Access:
    """What clearing closed roads would give, and what is out of reach now.

    Parameters
    ----------
    gain : ndarray of float64, shape (n_pieces,)
        People who would gain by clearing the way that each closed piece is part of; whoever
        gains less than the most counts in proportion. 0 for open pieces.
    reconnected : ndarray of float64, shape (n_pieces,)
        People among them who have no open way now.
    saved_km : ndarray of float64, shape (n_pieces,)
        Person-kilometres saved on one trip, of those who have an open way now.
    people_cut_off : float
        People at a road but without an open way to any destination.
    people_off_road : float
        People farther from every road than the reach.
    """

    gain: FloatArray
    reconnected: FloatArray
    saved_km: FloatArray
    people_cut_off: float
    people_off_road: float


def access_gains(
    graph: RoadGraph,
    closed: BoolArray,
    homes: IndexArray,
    people: FloatArray,
    destinations: IndexArray,
    *,
    closed_factor: float,
    most_m: float,
) -> Access:
    """Return what clearing each closed piece's way would give.

    Parameters
    ----------
    graph : RoadGraph
        The roads.
    closed : ndarray of bool, shape (n_pieces,)
        Pieces on candidate land.
    homes : ndarray of int64, shape (n_settlements,)
        Node of each settlement, -1 where there is none.
    people : ndarray of float64, shape (n_settlements,)
        People there.
    destinations : ndarray of int64, shape (n_destinations,)
        Nodes that people need to reach; -1 is left out.
    closed_factor : float
        Metres of open road that a metre of closed road is worth, at least 1.
    most_m : float
        Most that one person can save; what reconnecting saves.

    Returns
    -------
    Access
    """
    off_road = float(people[homes < 0].sum())
    at_node = np.bincount(homes[homes >= 0], people[homes >= 0], minlength=len(graph.nodes))
    goals = np.unique(destinations[destinations >= 0])
    if not len(goals) or not len(graph):
        nothing = np.zeros(len(graph))
        return Access(nothing, nothing, nothing, float(at_node.sum()), off_road)
    open_m = _lengths_to(graph, np.where(closed, np.inf, graph.lengths_m), goals)
    ways = wanted_ways(graph, closed, goals, closed_factor)
    cut_off = np.isinf(open_m)
    reconnected = cut_off & np.isfinite(ways.lengths_m)
    detour_m = np.zeros(len(open_m))
    detour_m[~cut_off] = open_m[~cut_off] - ways.lengths_m[~cut_off]
    detour_m[detour_m < _ROUNDING_M] = 0.0
    share = np.where(reconnected, 1.0, np.minimum(detour_m / most_m, 1.0))
    per_node = at_node[:, None] * np.column_stack([share, reconnected, detour_m / 1000.0])
    on_piece = np.zeros((len(graph), 3))
    _send_down(ways.order, ways.before, ways.step, per_node, on_piece)
    on_piece[~closed] = 0.0
    gain, back, saved_km = np.ascontiguousarray(on_piece.T)
    return Access(gain, back, saved_km, float(at_node[cut_off].sum()), off_road)


@dataclass(frozen=True)
class Ways:
    """The tree of ways to the goals: by node, its length, the next node, and the piece there.

    ``order`` has the nodes from the goals outward.
    """

    lengths_m: FloatArray
    before: IndexArray
    step: IndexArray
    order: IndexArray


def wanted_ways(
    graph: RoadGraph, closed: BoolArray, goals: IndexArray, closed_factor: float
) -> Ways:
    """Return the ways that are cheapest with closed road dearer than open road."""
    cost, before, _ = dijkstra(
        graph.matrix(np.where(closed, closed_factor, 1.0) * graph.lengths_m),
        directed=True,
        indices=goals,
        min_only=True,
        return_predecessors=True,
    )
    step, order = _steps(graph, before), np.argsort(cost, kind="stable")
    lengths_m = np.full(len(graph.nodes), np.inf)
    lengths_m[goals] = 0.0
    _add_up(order, before.astype(np.int64), step, graph.lengths_m, lengths_m)
    return Ways(lengths_m, before.astype(np.int64), step, order)


def _lengths_to(graph: RoadGraph, weight: FloatArray, goals: IndexArray) -> FloatArray:
    """Return the shortest length from each node to a goal along pieces of finite weight."""
    usable = np.isfinite(weight)
    part = RoadGraph(graph.nodes, graph.ends[usable])
    found = dijkstra(part.matrix(weight[usable]), directed=True, indices=goals, min_only=True)
    lengths_m: FloatArray = found
    return lengths_m


def _steps(graph: RoadGraph, before: NDArray[np.int32]) -> IndexArray:
    """Return the piece between each node and the one before it on its way, -1 for none."""
    step = np.full(len(graph.nodes), -1, dtype=np.int64)
    node = np.flatnonzero(before >= 0)
    if len(node):
        pair = np.sort(np.column_stack([node, before[node]]), axis=1).astype(np.int64)
        n_nodes = len(graph.nodes)
        keys = graph.ends[:, 0] * n_nodes + graph.ends[:, 1]
        step[node] = np.searchsorted(keys, pair[:, 0] * n_nodes + pair[:, 1])
    return step


@njit(cache=True, nogil=True)
def _add_up(
    order: IndexArray,
    before: IndexArray,
    step: IndexArray,
    lengths_m: FloatArray,
    total_m: FloatArray,
) -> None:
    """Add lengths along the tree of ways, from the goals outward."""
    for node in order:
        if step[node] >= 0:
            total_m[node] = total_m[before[node]] + lengths_m[step[node]]


@njit(cache=True, nogil=True)
def _send_down(
    order: IndexArray,
    before: IndexArray,
    step: IndexArray,
    per_node: FloatArray,
    on_piece: FloatArray,
) -> None:
    """Carry what each node has along its way to the goal, and note it on every piece."""
    for k in range(len(order) - 1, -1, -1):
        node = order[k]
        if step[node] >= 0:
            for c in range(per_node.shape[1]):
                on_piece[step[node], c] = per_node[node, c]
                per_node[before[node], c] += per_node[node, c]
