"""Roads by least cost between settlements, tracks into the hills, bridges over rivers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from hazardrank.simulate.frame import Frame
from hazardrank.simulate.lattice import Lattice, edges_of, line_of, trace, walk
from hazardrank.simulate.settlements import Settlements
from hazardrank.simulate.terrain import Terrain

ROAD_CLASSES = ("primary", "secondary", "track")
RIVER_CLASSES = ("river", "stream")

BRIDGE_SPACING_M = 400.0
TRACKS_PER_SETTLEMENT = 4


@dataclass(frozen=True)
class Lines:
    """Lines of a network and their classes.

    Parameters
    ----------
    line : ndarray of LineString, shape (n,)
        The lines; every stretch occurs once.
    kind : ndarray of object, shape (n,)
        Class of each line.
    """

    line: NDArray[np.object_]
    kind: NDArray[np.object_]

    def of(self, *kinds: str) -> NDArray[np.object_]:
        """Return the lines of some classes."""
        picked: NDArray[np.object_] = self.line[np.isin(self.kind, kinds)]
        return picked

    def spots(self, spacing_m: float, *kinds: str) -> NDArray[np.float64]:
        """Return points every `spacing_m` along the lines, shape (n, 2)."""
        lines = self.of(*kinds) if kinds else self.line
        return shapely.get_coordinates(shapely.segmentize(lines, spacing_m))


def make_rivers(terrain: Terrain) -> Lines:
    """Return the drainage as lines between confluences."""
    edges, rank = terrain.river_edges()
    grid = terrain.grid
    lines, kinds = [], []
    for nodes, level in trace(edges, rank):
        easting, northing = grid.centres(*np.divmod(np.array(nodes), grid.n_cols))
        lines.append(line_of(np.column_stack([easting, northing])))
        kinds.append(RIVER_CLASSES[level])
    return Lines(_objects(lines), np.array(kinds, dtype=object))


def make_roads(frame: Frame, terrain: Terrain, lattice: Lattice, settlements: Settlements) -> Lines:
    """Return roads and tracks.

    One search from all settlements at once divides the land among them; where two shares
    meet, their cheapest crossing joins the two settlements. The cheapest tree of these
    joins, and the shorter ones of the rest, are roads; those on the ways between the
    larger towns are primary. Tracks lead from the hills down to the nearest road.
    """
    friction = np.ones(lattice.shape) + 12.0 * lattice.thin(terrain.is_river)
    graph = lattice.graph(friction, lattice.thin(terrain.elevation_m))
    edges, rank = _roads(graph, settlements)
    track_edges = _tracks(frame, terrain, lattice, graph, edges, len(settlements))
    edges = np.concatenate([edges, track_edges])
    rank = np.concatenate([rank, np.full(len(track_edges), 2)])
    traced = trace(edges, rank, set(settlements.node.tolist()))
    lines = [line_of(lattice.points(np.array(nodes))) for nodes, _ in traced]
    return Lines(_objects(lines), np.array([ROAD_CLASSES[k] for _, k in traced], dtype=object))


def _roads(
    graph: sparse.csr_array, settlements: Settlements
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the edges of roads and their rank: 0 primary, 1 secondary."""
    joins = _joins(graph, settlements)
    n_places = len(settlements)
    one, other = (joins[side].to_numpy(np.int32) for side in ("one", "other"))
    places = sparse.csr_array((joins["cost"].to_numpy(), (one, other)), shape=(n_places, n_places))
    tree = csgraph.minimum_spanning_tree(places)
    built = set(zip(*(part.tolist() for part in tree.nonzero()), strict=True))
    short = joins["cost"] <= joins["cost"].quantile(0.45)
    built |= set(zip(joins.loc[short, "one"], joins.loc[short, "other"], strict=True))
    trunk = _trunk(places, n_places)
    edges, ranks = [], []
    for join, path in zip(
        zip(one.tolist(), other.tolist(), strict=True), joins["path"], strict=True
    ):
        if join in built or join in trunk:
            steps = edges_of(path)
            edges.append(steps)
            ranks.append(np.full(len(steps), 0 if join in trunk else 1))
    return np.concatenate(edges), np.concatenate(ranks)


def _joins(graph: sparse.csr_array, settlements: Settlements) -> pd.DataFrame:
    """Return the cheapest way between each two settlements whose shares of land meet."""
    cost, before, source = csgraph.dijkstra(
        graph, indices=settlements.node, min_only=True, return_predecessors=True
    )
    place = np.full(graph.shape[0], -1)
    place[settlements.node] = np.arange(len(settlements))
    owner = place[source]
    edge = sparse.coo_array(sparse.triu(graph))
    start, end = (part.astype(np.int64) for part in edge.coords)
    border = owner[start] != owner[end]
    start, end = start[border], end[border]
    meeting = pd.DataFrame(
        {
            "one": np.minimum(owner[start], owner[end]),
            "other": np.maximum(owner[start], owner[end]),
            "cost": cost[start] + edge.data[border] + cost[end],
            "start": start,
            "end": end,
        }
    ).sort_values(["one", "other", "cost", "start", "end"])
    joins = meeting.drop_duplicates(["one", "other"]).reset_index(drop=True)
    joins["path"] = [
        walk(before, start)[::-1] + walk(before, end)
        for start, end in zip(joins["start"], joins["end"], strict=True)
    ]
    return joins


def _trunk(places: sparse.csr_array, n_places: int) -> set[tuple[int, int]]:
    """Return the joins on the ways between the largest towns."""
    n_towns = max(2, n_places // 8)
    _, before = csgraph.dijkstra(
        places, directed=False, indices=np.arange(n_towns), return_predecessors=True
    )
    trunk = set()
    for town in range(n_towns):
        for other in range(town):
            way = walk(before[town], other)
            trunk |= {(min(pair), max(pair)) for pair in pairwise(way)}
    return trunk


def _tracks(
    frame: Frame,
    terrain: Terrain,
    lattice: Lattice,
    graph: sparse.csr_array,
    road_edges: NDArray[np.int64],
    n_settlements: int,
) -> NDArray[np.int64]:
    """Return the edges of tracks: the ways from chosen spots to the nearest road."""
    draws = frame.draws("tracks")
    _, before, _ = csgraph.dijkstra(
        graph, indices=np.unique(road_edges), min_only=True, return_predecessors=True
    )
    gentle = np.exp(-lattice.thin(terrain.slope_deg).ravel() / 10.0)
    n_tracks = TRACKS_PER_SETTLEMENT * n_settlements
    ends = draws.choice(len(gentle), n_tracks, replace=False, p=gentle / gentle.sum())
    ways = [edges_of(walk(before, end)) for end in ends]
    return np.concatenate(ways)


def make_bridges(roads: Lines, rivers: Lines) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Return where roads cross rivers, shape (n, 2), and the class of the road.

    Tracks ford. Crossings nearer to each other than :data:`BRIDGE_SPACING_M` are one.
    """
    kinds = roads.kind[roads.kind != "track"]
    lines = roads.of("primary", "secondary")
    road, river = shapely.STRtree(rivers.line).query(lines, predicate="crosses")
    crossing = shapely.intersection(lines[road], rivers.line[river])
    points, pair = shapely.get_coordinates(crossing, return_index=True)
    order = np.lexsort((points[:, 1], points[:, 0]))
    points, pair = points[order], pair[order]
    keep = _apart(points, BRIDGE_SPACING_M)
    return points[keep], kinds[road[pair[keep]]]


def _apart(points: NDArray[np.float64], spacing_m: float) -> NDArray[np.bool_]:
    """Return which points remain when each drops the later ones that are too near."""
    keep = np.ones(len(points), bool)
    if not len(points):
        return keep
    for first, second in sorted(cKDTree(points).query_pairs(spacing_m)):
        if keep[first]:
            keep[second] = False
    return keep


def _objects(lines: list[shapely.LineString]) -> NDArray[np.object_]:
    array = np.empty(len(lines), dtype=object)
    array[:] = lines
    return array


def distance_on(grid_mask: NDArray[np.bool_], cell_size_m: float) -> NDArray[np.float64]:
    """Return each cell's distance in metres to the nearest marked cell."""
    distance: NDArray[np.float64] = cell_size_m * ndimage.distance_transform_edt(~grid_mask)
    return distance
