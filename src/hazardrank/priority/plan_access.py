"""Road access: which tasks have to be cleared before a team can get to others.

Roads that cross a task are closed there until it is done. A team comes from the nearest
entrance, a place that can be reached today, by the way on which a metre across a task counts
as much as many metres of open road. All tasks that this way crosses come before the task it
leads to. A task is reached where the way first touches a road across it, or at the road
nearest to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.priority.road_graph import RoadGraph, Ways, graph_of, wanted_ways
from hazardrank.settings import AccessSettings

IndexArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Geometries = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class TaskOrder:
    """What has to come before what.

    Parameters
    ----------
    before : ndarray of int64, shape (n_pairs, 2)
        The first task of each pair comes before the second. There are no circles.
    no_way_in : ndarray of bool, shape (n_tasks,)
        Tasks that no road leads to.
    """

    before: IndexArray
    no_way_in: BoolArray


def task_order(
    outlines: Geometries, roads: Geometries, entrances: Geometries, settings: AccessSettings
) -> TaskOrder:
    """Return which tasks come before which, for the sake of road access.

    Parameters
    ----------
    outlines : ndarray of shapely polygons, shape (n_tasks,)
        Tasks, in metres.
    roads : ndarray of shapely lines
        Roads, in metres.
    entrances : ndarray of shapely geometries
        Places that can be reached today, in metres.
    settings : AccessSettings
        Reach, and how much closed road is shunned.
    """
    n_tasks = len(outlines)
    graph = graph_of(roads, settings.piece_m, settings.join_m)
    centres = shapely.get_coordinates(shapely.centroid(entrances)).reshape(-1, 2)
    goals = np.unique(graph.nearest_nodes(centres, settings.reach_m))
    goals = goals[goals >= 0]
    if not len(goals):
        return TaskOrder(np.zeros((0, 2), np.int64), np.ones(n_tasks, bool))
    task_of_piece = _tasks_of_pieces(graph, outlines)
    ways = wanted_ways(graph, task_of_piece >= 0, goals, settings.closed_factor)
    arrival = _arrivals(graph, ways, task_of_piece, outlines, settings.reach_m)
    no_way_in = arrival < 0
    no_way_in[~no_way_in] = np.isinf(ways.lengths_m[arrival[~no_way_in]])
    return TaskOrder(_pairs(ways, task_of_piece, np.where(no_way_in, -1, arrival)), no_way_in)


def _tasks_of_pieces(graph: RoadGraph, outlines: Geometries) -> IndexArray:
    """Return the task each piece of road lies on, -1 for none."""
    task = np.full(len(graph), -1, np.int64)
    piece, found = shapely.STRtree(outlines).query(
        shapely.points(graph.middles), predicate="intersects"
    )
    last_first = np.lexsort((-found, piece))  # on a common border: the task with the lower number
    task[piece[last_first]] = found[last_first]
    return task


def _arrivals(
    graph: RoadGraph, ways: Ways, task_of_piece: IndexArray, outlines: Geometries, reach_m: float
) -> IndexArray:
    """Return the node at which each task is reached, -1 where there is no road."""
    arrival = np.full(len(outlines), -1, np.int64)
    task, node = shapely.STRtree(np.asarray(shapely.points(graph.nodes))).query_nearest(
        outlines, max_distance=reach_m, all_matches=False
    )
    arrival[task] = node
    place = np.empty(len(graph.nodes), np.int64)
    place[ways.order] = np.arange(len(graph.nodes))
    across = np.flatnonzero(task_of_piece >= 0)
    first = np.full(len(outlines), len(graph.nodes), np.int64)
    for end in graph.ends[across].T:
        np.minimum.at(first, task_of_piece[across], place[end])
    crossed = first < len(graph.nodes)
    arrival[crossed] = ways.order[first[crossed]]
    return arrival


def _pairs(ways: Ways, task_of_piece: IndexArray, arrival: IndexArray) -> IndexArray:
    """Return each task crossed on the way to another, with that other."""
    # What is crossed on the way to a node: a chain of links (task, number of the link before).
    links: list[tuple[int, int]] = [(-1, -1)]
    link_of = [0] * len(ways.before)
    before, step = ways.before.tolist(), ways.step.tolist()
    for node in ways.order.tolist():
        if step[node] < 0:
            continue
        link, task = link_of[before[node]], int(task_of_piece[step[node]])
        if task >= 0 and task != links[link][0]:
            links.append((task, link))
            link = len(links) - 1
        link_of[node] = link
    pairs: set[tuple[int, int]] = set()
    for task, node in enumerate(arrival.tolist()):
        link = link_of[node] if node >= 0 else 0
        while link > 0:
            pairs.add((links[link][0], task))
            link = links[link][1]
    return np.array(sorted(pair for pair in pairs if pair[0] != pair[1]), np.int64).reshape(-1, 2)
