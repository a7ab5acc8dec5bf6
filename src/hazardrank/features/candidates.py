"""Which segments can matter to which cells: exact culling, from the whole down to tiles.

The tree over the tiles (:mod:`hazardrank.features.tiles`) is walked from the root with the
list of segments that may still matter. At a node whose cells lie in a box with centre *c*,
half sides *a*, *b* and half diagonal *h*, let *u* be the distance from *c* to the nearest
segment, *q* the point of it nearest to *c*, and *g* the unit vector from *q* to *c*; let
another segment lie at distance *d* from *c* in the direction *k*. Then for a cell
*p* = *c* + *δ* of the box:

* some segment lies within ``u + h`` of *p*, and the other at least ``d - h`` away: it is
  nearest to no cell if ``d > u + 2h``;
* the distance to a segment, a convex set, is nowhere below its tangent plane, so that the
  other lies at least ``d + k·δ`` away; and ``|p - q| ≤ u + g·δ + h²/2u``: it is nearest to
  no cell if ``d - u > a|g₁ - k₁| + b|g₂ - k₂| + h²/2u``. Far from all segments this leaves
  one or two, where the first rule keeps a whole arc of them;
* where all cells have some segment within *v*, found beforehand on a coarse lattice, it is
  nearest to none if ``d > v + h``: among many segments this clears the upper levels.

Nothing that could be nearest is ever dropped, so what is computed from the remaining few
is exact and does not depend on how cells were gathered or blocks cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.segments import FloatArray, IndexArray, Segments
from hazardrank.features.tiles import CellTiles, TileTree

#: Slack added when culling, far above rounding (relative, and metres).
_SLACK = 1e-9
_SLACK_M = 1e-6
#: As few segments as this are not culled further: measuring them costs less.
_FEW = 4
#: From so many segments a node upwards, bounds found on a lattice pay off.
_MANY_PER_NODE = 8
#: Numbers computed at once: lists are measured in steps of it.
_PAD = 8


class Exclusions(NamedTuple):
    """Owners whose segments each cell leaves out.

    Parameters
    ----------
    owner : ndarray of int64, shape (n_segments,)
        Owner of each segment, from 0.
    n_owners : int
        Number of owners.
    first : ndarray of int64, shape (n_cells + 1,)
        Where each cell's list starts; cells in the caller's order.
    excluded : ndarray of int64
        The lists: owners each cell leaves out. Empty: nothing is left out anywhere.
    tile_first, tile_excluded : ndarray of int64
        The same for whole tiles: owners that some cell of the tile leaves out.
    """

    owner: IndexArray
    n_owners: int
    first: IndexArray
    excluded: IndexArray
    tile_first: IndexArray
    tile_excluded: IndexArray

    @classmethod
    def none(cls) -> Exclusions:
        """Return exclusions that leave out nothing."""
        nothing = np.empty(0, np.int64)
        return cls(nothing, 1, nothing, nothing, nothing, nothing)

    @classmethod
    def of_pairs(
        cls, owner: IndexArray, n_owners: int, tiles: CellTiles, cell: IndexArray, left: IndexArray
    ) -> Exclusions:
        """Return exclusions from pairs of cell (caller's order) and owner to leave out."""
        by_cell = _lists(cell, left, len(tiles), n_owners)
        by_tile = _lists(tiles.tile_of(cell), left, tiles.n_tiles, n_owners)
        return cls(owner, n_owners, *by_cell, *by_tile)


def _lists(
    number: IndexArray, left: IndexArray, n_numbers: int, n_owners: int
) -> tuple[IndexArray, IndexArray]:
    pairs = np.unique(number * n_owners + left)
    count = np.bincount(pairs // n_owners, minlength=n_numbers)
    return np.concatenate([[0], np.cumsum(count)]).astype(np.int64), pairs % n_owners


class Candidates(NamedTuple):
    """The segments that can matter to each tile.

    Parameters
    ----------
    start, stop : ndarray of int64, shape (n_tiles,)
        Where each tile's list starts and stops; tiles may share one.
    numbers : ndarray of int32
        The lists: segment numbers, ascending within each.
    """

    start: IndexArray
    stop: IndexArray
    numbers: NDArray[np.int32]

    def of_tile(self, tile: int) -> NDArray[np.int32]:
        """Return the segment numbers of a tile."""
        return self.numbers[self.start[tile] : self.stop[tile]]


def candidates(
    tiles: CellTiles,
    segments: Segments,
    reach_m: float,
    *,
    nearest: bool,
    exclusions: Exclusions | None = None,
    shared: int = 1,
) -> Candidates:
    """Return, for each tile, the segments that can matter to its cells.

    Parameters
    ----------
    tiles : CellTiles
        The cells.
    segments : Segments
        The segments.
    reach_m : float
        Segments farther than this from every cell of a tile may be dropped; without
        `nearest` they are, but for those within a micrometre of it.
    nearest : bool
        Drop also those that are nearest to no cell of the tile.
    exclusions : Exclusions, optional
        What each cell leaves out; "nearest" is then nearest of the rest.
    shared : int
        So many neighbouring tiles may share a list that serves them all.
    """
    left_out = exclusions or Exclusions.none()
    start, stop = np.zeros((2, tiles.n_tiles), np.int64)
    if len(tiles) == 0 or len(segments) == 0:
        return Candidates(start, stop, np.empty(0, np.int32))
    bounds_m = np.full(len(tiles.tree.boxes), np.inf)
    if nearest and len(left_out.excluded) == 0:
        _lower_bounds(tiles.tree, segments.packed, bounds_m)
    numbers = _candidates(
        tiles.tree,
        bounds_m,
        segments.packed,
        float(reach_m),
        nearest,
        shared,
        left_out,
        start,
        stop,
    )
    return Candidates(start, stop, numbers)


@njit(cache=True, nogil=True)
def squared_distance(
    start_e: float,
    start_n: float,
    d_e: float,
    d_n: float,
    inverse: float,
    easting: float,
    northing: float,
) -> float:
    """Return the squared distance (m²) from a point to a segment: the one expression.

    Inlined into every kernel; in float64 from absolute coordinates, so the same to the
    bit whatever the block.
    """
    east_m = easting - start_e
    north_m = northing - start_n
    share = min(max((east_m * d_e + north_m * d_n) * inverse, 0.0), 1.0)
    east_m -= share * d_e
    north_m -= share * d_n
    return east_m * east_m + north_m * north_m


@njit(cache=True, nogil=True)
def is_excluded(owner: int, cell: int, left_out: Exclusions) -> bool:
    """Return whether the cell (caller's order) leaves out the owner."""
    for k in range(left_out.first[cell], left_out.first[cell + 1]):
        if left_out.excluded[k] == owner:
            return True
    return False


@njit(cache=True, nogil=True)
def _candidates(
    tree: TileTree,
    bounds_m: FloatArray,
    packed: FloatArray,
    reach_m: float,
    nearest: bool,
    shared: int,
    left_out: Exclusions,
    start: IndexArray,
    stop: IndexArray,
) -> NDArray[np.int32]:
    """Walk the tree from the root; fill in `start` and `stop`, return the lists.

    The lists of the nodes on the path from the root lie one after another in `arena`
    (columns as in `packed`) and `number`; it starts with all segments. A node's parent's
    list lies between the two places noted for it on the stack, and whatever comes after
    is free. `stamp` (one number an owner) marks owners that some cell of the node at hand
    leaves out.
    """
    n_segments, n_inner = len(packed), len(tree.first_child) - 1
    arena, number = _arena(packed)
    room = n_segments + _PAD
    squared, east_m, north_m = np.empty(room), np.empty(room), np.empty(room)
    kept, found = np.empty(n_segments, np.int32), np.empty(4 * len(start) + 64, np.int32)
    stamp = np.full(left_out.n_owners, -1, np.int64)
    stack = np.empty((_most_waiting(tree), 3), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2] = 0, 0, n_segments
    height, written, excluding = 1, 0, len(left_out.excluded) > 0
    while height:
        height -= 1
        node, a, b = stack[height, 0], stack[height, 1], stack[height, 2]
        while node < n_inner and tree.first_child[node + 1] == tree.first_child[node] + 1:
            node = tree.first_child[node]
        west, south = tree.boxes[node, 0], tree.boxes[node, 1]
        east, north = tree.boxes[node, 2], tree.boxes[node, 3]
        _measure_centre(
            arena, a, b - a, (west + east) / 2, (south + north) / 2, squared, east_m, north_m
        )
        best = -1
        if nearest and excluding:
            for k in range(
                left_out.tile_first[tree.tiles[node, 0]], left_out.tile_first[tree.tiles[node, 1]]
            ):
                stamp[left_out.tile_excluded[k]] = node
            best = _nearest_of_others(number, a, b - a, squared, left_out.owner, stamp, node)
        elif nearest:
            best = _place_of(_lowest(squared, b - a), squared, b - a)
        n = _keep(
            squared, east_m, north_m, b - a, best, (east - west) / 2, (north - south) / 2,
            bounds_m[node], reach_m, kept,
        )  # fmt: skip
        if n == 0:
            continue
        n_tiles = tree.tiles[node, 1] - tree.tiles[node, 0]
        if n_tiles <= shared or (nearest and n <= _FEW):
            if written + n > len(found):
                found = _with_room(found, written, written + n)
            _copy_numbers(number, a, kept, n, found, written)
            for tile in range(tree.tiles[node, 0], tree.tiles[node, 1]):
                start[tile], stop[tile] = written, written + n
            written += n
            continue
        if b + n > len(number):
            arena, number = _longer(arena, number, b, b + n)
        _copy_kept(arena, number, a, b, kept, n)
        for child in range(tree.first_child[node], tree.first_child[node + 1]):
            stack[height, 0], stack[height, 1], stack[height, 2] = child, b, b + n
            height += 1
    return found[:written]


@njit(cache=True, nogil=True)
def _most_waiting(tree: TileTree) -> int:
    """Return how many nodes may wait at once: all children on every level of a path."""
    levels, most, node = 2, 1, 0
    while node < len(tree.first_child) - 1:
        node = tree.first_child[node]
        levels += 1
    for node in range(len(tree.first_child) - 1):
        most = max(most, tree.first_child[node + 1] - tree.first_child[node])
    return levels * most


@njit(cache=True, nogil=True)
def _arena(packed: FloatArray) -> tuple[FloatArray, NDArray[np.int32]]:
    """Return all segments column by column, and their numbers, with room for as many more."""
    n_segments = len(packed)
    room = 2 * n_segments + 64
    arena, number = np.zeros((5, room + _PAD)), np.empty(room, np.int32)
    for s in range(n_segments):
        number[s] = s
        for column in range(5):
            arena[column, s] = packed[s, column]
    return arena, number


@njit(cache=True, nogil=True)
def _longer(
    arena: FloatArray, number: NDArray[np.int32], used: int, needed: int
) -> tuple[FloatArray, NDArray[np.int32]]:
    """Return copies of both with room for twice what is needed."""
    longer = np.zeros((5, 2 * needed + _PAD))
    longer[:, :used] = arena[:, :used]
    return longer, _with_room(number, used, needed)


@njit(cache=True, nogil=True)
def _with_room(numbers: NDArray[np.int32], used: int, needed: int) -> NDArray[np.int32]:
    """Return a copy of the first `used` numbers with room for twice what is needed."""
    longer = np.empty(2 * needed, np.int32)
    longer[:used] = numbers[:used]
    return longer


@njit(cache=True, nogil=True)
def _measure_centre(
    arena: FloatArray,
    start: int,
    n: int,
    easting: float,
    northing: float,
    squared: FloatArray,
    east_m: FloatArray,
    north_m: FloatArray,
) -> None:
    """Fill the way from each segment to the centre of a box, and its squared length.

    Whole vectors are computed; what they hold beyond the list means nothing.
    """
    first = np.uint64(start)
    for k in range((n + _PAD - 1) // _PAD * _PAD):
        s = first + np.uint64(k)
        east = easting - arena[0, s]
        north = northing - arena[1, s]
        share = min(max((east * arena[2, s] + north * arena[3, s]) * arena[4, s], 0.0), 1.0)
        east -= share * arena[2, s]
        north -= share * arena[3, s]
        east_m[k] = east
        north_m[k] = north
        squared[k] = east * east + north * north


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _lowest(values: FloatArray, n: int) -> float:
    """Return the lowest of the first `n` values (no NaN): in any order, hence quickly."""
    lowest = np.inf
    for k in range(n):
        lowest = min(lowest, values[k])
    return lowest


@njit(cache=True, nogil=True)
def _place_of(value: float, values: FloatArray, n: int) -> int:
    """Return the first place of a value among the first `n`, which hold it."""
    for k in range(n):
        if values[k] == value:
            return k
    return -1


@njit(cache=True, nogil=True)
def _nearest_of_others(
    number: NDArray[np.int32],
    start: int,
    n: int,
    squared: FloatArray,
    owner: IndexArray,
    stamp: IndexArray,
    node: int,
) -> int:
    """Return the place of the nearest segment that no cell of the node leaves out, or -1."""
    lowest, best = np.inf, -1
    for k in range(n):
        if squared[k] < lowest and stamp[owner[number[start + k]]] != node:
            lowest, best = squared[k], k
    return best


@njit(cache=True, nogil=True)
def _keep(
    squared: FloatArray,
    east_m: FloatArray,
    north_m: FloatArray,
    n_listed: int,
    best: int,
    half_e: float,
    half_n: float,
    bound_m: float,
    reach_m: float,
    kept: NDArray[np.int32],
) -> int:
    """Write the places of the segments that can matter in the box; return how many.

    See the head of the module. `best` is the place of the nearest segment, -1 for none.
    """
    half_m = np.sqrt(half_e * half_e + half_n * half_n)
    nearest_m = np.sqrt(squared[best]) if best >= 0 else np.inf
    limit = min(nearest_m + 2 * half_m, bound_m + half_m, reach_m + half_m)
    limit = limit * (1 + _SLACK) + _SLACK_M
    limit *= limit
    n = np.uint64(0)
    for k in range(n_listed):
        kept[n] = k
        n += np.uint64(squared[k] <= limit)
    if best < 0 or nearest_m <= half_m / 4 or n <= np.uint64(_FEW):
        return int(n)
    room_m = half_m * half_m / (2 * nearest_m) * (1 + _SLACK) + _SLACK_M
    to_east, to_north = east_m[best] / nearest_m, north_m[best] / nearest_m
    listed, n = n, np.uint64(0)
    for j in range(listed):
        k = kept[j]
        distance_m = np.sqrt(squared[k])
        turn = half_e * abs(to_east * distance_m - east_m[k])
        turn += half_n * abs(to_north * distance_m - north_m[k])
        kept[n] = k
        n += np.uint64(distance_m * (distance_m - nearest_m - room_m) <= turn)
    return int(n)


@njit(cache=True, nogil=True)
def _copy_numbers(
    number: NDArray[np.int32],
    start: int,
    kept: NDArray[np.int32],
    n: int,
    found: NDArray[np.int32],
    written: int,
) -> None:
    """Append the numbers of the segments kept from the list at `start` to those found."""
    source, target = np.uint64(start), np.uint64(written)
    for k in range(n):
        found[target + np.uint64(k)] = number[source + np.uint64(kept[k])]


@njit(cache=True, nogil=True)
def _copy_kept(
    arena: FloatArray,
    number: NDArray[np.int32],
    start: int,
    stop: int,
    kept: NDArray[np.int32],
    n: int,
) -> None:
    """Copy the segments kept from the list at `start` to the place at `stop`."""
    source, target = np.uint64(start), np.uint64(stop)
    for k in range(n):
        number[target + np.uint64(k)] = number[source + np.uint64(kept[k])]
    for column in range(5):
        for k in range(n):
            arena[column, target + np.uint64(k)] = arena[column, source + np.uint64(kept[k])]


def _lower_bounds(tree: TileTree, segments: FloatArray, bounds_m: FloatArray) -> None:
    """Lower the nodes' bounds to distances within which each of their cells has a segment.

    Some segment near each cell of a coarse lattice is found by spreading segments from
    neighbour to neighbour (Danielsson 1980). It need not be the nearest: any gives a
    bound. Done for nodes of 4 × 4 tiles, where there are many segments to each of them; a
    node higher up takes the largest bound below.
    """
    n_inner = len(tree.first_child) - 1
    above_tiles = int(np.searchsorted(tree.first_child[:-1], n_inner))
    first = int(np.searchsorted(tree.first_child[:-1], above_tiles))
    boxes = tree.boxes[first:above_tiles]
    if len(segments) < _MANY_PER_NODE * len(boxes) or len(boxes) == 0:
        return
    west, south = boxes[:, :2].min(axis=0)
    east_m, north_m = boxes[:, 2:].max(axis=0) - (west, south)
    step = max(np.sqrt(east_m * north_m / len(boxes)), east_m / 2000, north_m / 2000, 1.0)
    shape = (int(north_m / step) + 1, int(east_m / step) + 1)
    seed, squared = np.full(shape, -1, np.int64), np.full(shape, np.inf)
    _spread_segments(segments, west, south, step, seed, squared)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half_m = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    col, row = ((centres - (west, south)) / step).astype(np.int64).T
    near = segments[seed[row, col]]
    way = centres - near[:, :2]
    share = np.clip((way * near[:, 2:4]).sum(axis=1) * near[:, 4], 0.0, 1.0)
    way -= share[:, None] * near[:, 2:4]
    bounds_m[first:above_tiles] = np.hypot(way[:, 0], way[:, 1]) + half_m
    _largest_below(tree, first, bounds_m)


@njit(cache=True, nogil=True)
def _largest_below(tree: TileTree, first: int, bounds_m: FloatArray) -> None:
    """Give each node before `first` the largest bound of its children."""
    for node in range(first - 1, -1, -1):
        bounds_m[node] = 0.0
        for child in range(tree.first_child[node], tree.first_child[node + 1]):
            bounds_m[node] = max(bounds_m[node], bounds_m[child])


@njit(cache=True, nogil=True)
def _spread_segments(
    segments: FloatArray,
    west: float,
    south: float,
    step: float,
    seed: IndexArray,
    squared: FloatArray,
) -> None:
    """Fill `seed` with a segment near each lattice cell: in four sweeps, there and back."""
    n_rows, n_cols = seed.shape
    for s in range(len(segments)):
        col = int((segments[s, 0] + segments[s, 2] / 2 - west) / step)
        row = int((segments[s, 1] + segments[s, 3] / 2 - south) / step)
        row, col = min(max(row, 0), n_rows - 1), min(max(col, 0), n_cols - 1)
        _offer(segments, s, row, col, west, south, step, seed, squared)
    for sweep in range(4):
        down, right = 1 if sweep < 2 else -1, 1 if sweep % 2 == 0 else -1
        for i in range(n_rows):
            row = i if down == 1 else n_rows - 1 - i
            for j in range(n_cols):
                col = j if right == 1 else n_cols - 1 - j
                for k in range(4):
                    near_row = row if k == 0 else row - down
                    near_col = col - right if k == 0 else col + k - 2
                    if 0 <= near_row < n_rows and 0 <= near_col < n_cols:
                        s = seed[near_row, near_col]
                        if s >= 0:
                            _offer(segments, s, row, col, west, south, step, seed, squared)


@njit(cache=True, nogil=True)
def _offer(
    segments: FloatArray,
    s: int,
    row: int,
    col: int,
    west: float,
    south: float,
    step: float,
    seed: IndexArray,
    squared: FloatArray,
) -> None:
    """Let a lattice cell keep segment `s` if it is nearer than the one it holds."""
    d2 = squared_distance(
        segments[s, 0],
        segments[s, 1],
        segments[s, 2],
        segments[s, 3],
        segments[s, 4],
        west + (col + 0.5) * step,
        south + (row + 0.5) * step,
    )
    if d2 < squared[row, col]:
        squared[row, col] = d2
        seed[row, col] = s
