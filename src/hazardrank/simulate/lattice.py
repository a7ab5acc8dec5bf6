"""A coarser lattice for least-cost paths, and lines traced along its edges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from hazardrank.grid import SurveyGrid

FloatGrid = NDArray[np.float64]
Index = NDArray[np.int64]

LATTICE_M = 200.0
"""Spacing of the lattice, as near as whole cells allow."""


@dataclass(frozen=True)
class Lattice:
    """Nodes every few cells of a grid; a node's number counts row by row.

    Parameters
    ----------
    grid : SurveyGrid
        The grid it thins out.
    step : int
        Cells between neighbouring nodes.
    """

    grid: SurveyGrid
    step: int

    @classmethod
    def over(cls, grid: SurveyGrid) -> Lattice:
        """Return the lattice of about :data:`LATTICE_M` over `grid`."""
        return cls(grid, max(1, round(LATTICE_M / grid.cell_size_m)))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of nodes."""
        return self.grid.n_rows // self.step, self.grid.n_cols // self.step

    @property
    def spacing_m(self) -> float:
        """Distance between neighbouring nodes in metres."""
        return float(self.step * self.grid.cell_size_m)

    def thin(self, values: NDArray[np.generic]) -> FloatGrid:
        """Return the means of a grid's values around the nodes."""
        n_rows, n_cols = self.shape
        whole = np.asarray(values, np.float64)[: n_rows * self.step, : n_cols * self.step]
        means: FloatGrid = whole.reshape(n_rows, self.step, n_cols, self.step).mean(axis=(1, 3))
        return means

    def points(self, nodes: Index) -> FloatGrid:
        """Return easting and northing of nodes, shape (n, 2)."""
        rows, cols = np.divmod(nodes, self.shape[1])
        return np.column_stack(
            [
                self.grid.west_m + (cols + 0.5) * self.spacing_m,
                self.grid.north_m - (rows + 0.5) * self.spacing_m,
            ]
        )

    def all_points(self) -> FloatGrid:
        """Return easting and northing of every node, shape (n_nodes, 2)."""
        return self.points(np.arange(self.shape[0] * self.shape[1], dtype=np.int64))

    def nodes_at(self, easting: FloatGrid, northing: FloatGrid) -> Index:
        """Return the nodes nearest to points; the outermost ones for points outside."""
        n_rows, n_cols = self.shape
        cols = np.floor((np.asarray(easting) - self.grid.west_m) / self.spacing_m)
        rows = np.floor((self.grid.north_m - np.asarray(northing)) / self.spacing_m)
        picked: Index = (
            np.clip(rows, 0, n_rows - 1) * n_cols + np.clip(cols, 0, n_cols - 1)
        ).astype(np.int64)
        return picked

    def graph(
        self, friction: FloatGrid, elevation_m: FloatGrid | None = None, grade: float = 0.05
    ) -> sparse.csr_array:
        """Return the graph of the eight neighbours, weighted by the cost of the way.

        Parameters
        ----------
        friction : ndarray, shape of the lattice
            Cost per metre at the nodes, > 0.
        elevation_m : ndarray, shape of the lattice, optional
            Heights; the cost grows by ``1 + (gradient / grade) ** 2``, at most tenfold.
        grade : float
            Gradient (rise over run) that doubles the cost.
        """
        n_rows, n_cols = self.shape
        node = np.arange(n_rows * n_cols).reshape(n_rows, n_cols)
        heights = np.zeros(self.shape) if elevation_m is None else elevation_m
        starts, ends, costs = [], [], []
        for d_row, d_col in ((0, 1), (1, 0), (1, 1), (1, -1)):
            here = (slice(0, n_rows - d_row), slice(max(0, -d_col), n_cols - max(0, d_col)))
            there = (slice(d_row, n_rows), slice(max(0, d_col), n_cols - max(0, -d_col)))
            length_m = self.spacing_m * np.hypot(d_row, d_col)
            gradient = np.abs(heights[there] - heights[here]) / length_m
            steep = np.minimum(1.0 + (gradient / grade) ** 2, 10.0)
            costs.append((0.5 * length_m * (friction[here] + friction[there]) * steep).ravel())
            starts.append(node[here].ravel())
            ends.append(node[there].ravel())
        start, end, cost = map(np.concatenate, (starts, ends, costs))
        half = sparse.coo_array((cost, (start, end)), shape=(node.size, node.size))
        return sparse.csr_array(half + half.T)


def walk(predecessor: NDArray[np.integer], node: int) -> list[int]:
    """Return the nodes from `node` back to the source of a search."""
    path = [int(node)]
    while predecessor[path[-1]] >= 0:
        path.append(int(predecessor[path[-1]]))
    return path


def least_cost_path(graph: sparse.csr_array, nodes: list[int]) -> list[int]:
    """Return the cheapest path past `nodes` in their order, as node numbers.

    Detours that come back to a node they left are cut off, so that no node occurs twice.
    """
    path = [nodes[0]]
    for start, end in pairwise(nodes):
        _, predecessor = csgraph.dijkstra(graph, indices=np.array(start), return_predecessors=True)
        path.extend(walk(predecessor, end)[::-1][1:])
    direct: list[int] = []
    place: dict[int, int] = {}
    for node in path:
        if node in place:
            direct = direct[: place[node] + 1]
            place = {kept: where for where, kept in enumerate(direct)}
        else:
            place[node] = len(direct)
            direct.append(node)
    return direct


def edges_of(path: list[int]) -> Index:
    """Return the edges of a path, shape (n, 2)."""
    return np.column_stack([path[:-1], path[1:]]).astype(np.int64)


def trace(
    edges: Index, rank: Index, stops: Collection[int] = frozenset()
) -> list[tuple[list[int], int]]:
    """Join edges to lines that end at junctions, stops and where the rank changes.

    Parameters
    ----------
    edges : ndarray of int64, shape (n, 2)
        Pairs of nodes, in any direction, repeated or not.
    rank : ndarray of int64, shape (n,)
        Class of each edge; the lowest wins where an edge is repeated.
    stops : collection of int
        Further nodes at which lines end.

    Returns
    -------
    list of (nodes, rank)
        Every edge is part of exactly one line.
    """
    best: dict[tuple[int, int], int] = {}
    for (a, b), r in zip(np.sort(edges, axis=1).tolist(), rank.tolist(), strict=True):
        if a != b:
            best[a, b] = min(r, best.get((a, b), r))
    beside: dict[int, list[int]] = defaultdict(list)
    for a, b in sorted(best):
        beside[a].append(b)
        beside[b].append(a)

    def rank_of(a: int, b: int) -> int:
        return best[min(a, b), max(a, b)]

    def passes(node: int) -> bool:
        near = beside[node]
        if len(near) != 2 or node in stops:
            return False
        return rank_of(node, near[0]) == rank_of(node, near[1])

    unused = set(best)
    lines = []
    closed_rings = sorted(beside)
    for start in [n for n in sorted(beside) if not passes(n)] + closed_rings:
        for first in beside[start]:
            if (min(start, first), max(start, first)) not in unused:
                continue
            line = [start, first]
            unused.discard((min(start, first), max(start, first)))
            while passes(line[-1]) and line[-1] != start:
                ahead = [n for n in beside[line[-1]] if n != line[-2]]
                if not ahead:
                    break
                unused.discard((min(line[-1], ahead[0]), max(line[-1], ahead[0])))
                line.append(ahead[0])
            lines.append((line, rank_of(line[0], line[1])))
    return lines


def smooth(points: FloatGrid, times: int = 2) -> FloatGrid:
    """Round the corners of a line, shape (n, 2); its ends stay where they are."""
    rounded = points.copy()
    for _ in range(times):
        rounded[1:-1] = (rounded[:-2] + 2 * rounded[1:-1] + rounded[2:]) / 4
    return rounded


def line_of(points: FloatGrid) -> shapely.LineString:
    """Return a smoothed line through points, coordinates to the decimetre."""
    return shapely.LineString(np.round(smooth(points), 1))
