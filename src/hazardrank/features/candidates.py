"""Which segments can matter to which cells: exact culling of tiles against segments.

Cells are gathered in tiles of 8 × 8. A binary tree over the tiles (Morton order) is
walked from the root with the list of segments that may still matter. At a node with
centre *c* and half diagonal *h*, let *u* be the distance from *c* to the nearest segment.
Every cell *p* of the node has a segment within ``u + |pc| ≤ u + h``, and a segment at
distance *d* from *c* is at least ``d - h`` away from *p*: segments with ``d > u + 2h``
are nearest to no cell of the node and are dropped. Nothing that could be nearest is ever
dropped, so what is computed from the remaining few is exact and does not depend on how
cells were gathered or blocks cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.segments import FloatArray, IndexArray, Segments
from hazardrank.features.tiles import CellTiles

#: Slack added when culling, far above rounding (relative, and metres).
_SLACK = 1e-9
_SLACK_M = 1e-6


@dataclass(frozen=True)
class Exclusions:
    """Owners whose segments each cell leaves out.

    Parameters
    ----------
    owner : ndarray of int64, shape (n_segments,)
        Owner of each segment, from 0.
    n_owners : int
        Number of owners.
    first : ndarray of int64, shape (n_cells + 1,)
        Where each cell's list starts; cells in the order of the tiles.
    excluded : ndarray of int64
        The lists: owners each cell leaves out.
    """

    owner: IndexArray
    n_owners: int
    first: IndexArray
    excluded: IndexArray

    @classmethod
    def none(cls, n_segments: int, n_cells: int) -> Exclusions:
        """Return exclusions that leave out nothing."""
        zeros = np.zeros(max(n_segments, n_cells + 1), np.int64)
        return cls(zeros[:n_segments], 1, zeros[: n_cells + 1], zeros[:0])

    @classmethod
    def of_pairs(
        cls, owner: IndexArray, n_owners: int, tiles: CellTiles, cell: IndexArray, left: IndexArray
    ) -> Exclusions:
        """Return exclusions from pairs of cell (caller's order) and owner to leave out."""
        position = np.empty(len(tiles), np.int64)
        position[tiles.order] = np.arange(len(tiles))
        pairs = np.unique(position[cell] * n_owners + left)
        count = np.bincount(pairs // n_owners, minlength=len(tiles))
        first = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        return cls(owner, n_owners, first, pairs % n_owners)


def candidates(
    tiles: CellTiles,
    segments: Segments,
    reach_m: float,
    *,
    nearest: bool,
    exclusions: Exclusions | None = None,
) -> tuple[IndexArray, NDArray[np.int32]]:
    """Return, for each tile, the segments that can matter to its cells.

    Parameters
    ----------
    tiles : CellTiles
        The cells.
    segments : Segments
        The segments.
    reach_m : float
        Segments farther than this from every cell of a tile are dropped.
    nearest : bool
        Drop also those that are nearest to no cell of the tile.
    exclusions : Exclusions, optional
        What each cell leaves out; "nearest" is then nearest of the rest.

    Returns
    -------
    first : ndarray of int64, shape (n_tiles + 1,)
        Where each tile's list starts.
    lists : ndarray of int32
        Segment numbers, ascending within a tile.
    """
    left_out = exclusions or Exclusions.none(len(segments), len(tiles))
    n_tiles, n_segments = len(tiles.codes), len(segments)
    first = np.zeros(n_tiles + 1, np.int64)
    lists = np.empty(4 * n_tiles + 64, np.int32)
    if n_tiles == 0 or n_segments == 0:
        return first, lists[:0]
    bounds_m = np.full(n_tiles, float(reach_m))
    if nearest and len(left_out.excluded) == 0:
        _lower_bounds(tiles.boxes, segments.packed, bounds_m)
    arena = np.empty(4 * n_segments, np.int32)
    arena[:n_segments] = np.arange(n_segments)
    lists = _candidates(
        tiles.boxes,
        bounds_m,
        tiles.codes,
        tiles.first,
        segments.packed,
        nearest,
        left_out.owner,
        left_out.first,
        left_out.excluded,
        np.full(left_out.n_owners, -1, np.int64),
        arena,
        lists,
        first,
    )
    return first, lists[: first[-1]]


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
    share = (east_m * d_e + north_m * d_n) * inverse
    share = 0.0 if share < 0.0 else (1.0 if share > 1.0 else share)
    east_m -= share * d_e
    north_m -= share * d_n
    return east_m * east_m + north_m * north_m


@njit(cache=True, nogil=True)
def _split(codes: IndexArray, a: int, b: int) -> int:
    """Return where the tiles a…b part at the highest bit in which their codes differ."""
    differing = codes[a] ^ codes[b - 1]
    bit = 0
    while differing >> (bit + 1):
        bit += 1
    threshold = (codes[b - 1] >> bit) << bit
    while a < b:
        middle = (a + b) // 2
        if codes[middle] < threshold:
            a = middle + 1
        else:
            b = middle
    return a


@njit(cache=True, nogil=True)
def _with_room(numbers: NDArray[np.int32], used: int, needed: int) -> NDArray[np.int32]:
    """Return `numbers`, or a longer copy of its first `used`, with room for `needed`."""
    if needed <= len(numbers):
        return numbers
    longer = np.empty(2 * needed, np.int32)
    for k in range(used):
        longer[k] = numbers[k]
    return longer


@njit(cache=True, nogil=True)
def _narrow(
    segments: FloatArray,
    parent: NDArray[np.int32],
    box: FloatArray,
    limit_m: float,
    nearest: bool,
    owner: IndexArray,
    stamp: IndexArray,
    node: int,
    squared: FloatArray,
    result: NDArray[np.int32],
) -> int:
    """Write to `result` the segments of `parent` that can matter in `box`; return how many."""
    easting, northing = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    half_m = np.hypot(box[2] - box[0], box[3] - box[1]) / 2
    lowest = np.inf
    for k in range(len(parent)):
        s = np.uint64(parent[k])
        squared[k] = squared_distance(
            segments[s, 0],
            segments[s, 1],
            segments[s, 2],
            segments[s, 3],
            segments[s, 4],
            easting,
            northing,
        )
    for k in range(len(parent)):
        if squared[k] < lowest and stamp[owner[parent[k]]] != node:
            lowest = squared[k]
    limit = limit_m + half_m
    if nearest:
        limit = min(limit, np.sqrt(lowest) + 2 * half_m)
    limit = limit * (1 + _SLACK) + _SLACK_M
    limit *= limit
    n = np.uint64(0)
    for k in range(len(parent)):
        result[n] = parent[k]
        n += np.uint64(squared[k] <= limit)
    return int(n)


@njit(cache=True, nogil=True)
def _box(boxes: FloatArray, bounds_m: FloatArray, a: int, b: int) -> tuple[FloatArray, float]:
    """Return the box of the tiles a…b and the largest of their bounds."""
    box, bound_m = boxes[a].copy(), bounds_m[a]
    for tile in range(a + 1, b):
        box[0] = min(box[0], boxes[tile, 0])
        box[1] = min(box[1], boxes[tile, 1])
        box[2] = max(box[2], boxes[tile, 2])
        box[3] = max(box[3], boxes[tile, 3])
        bound_m = max(bound_m, bounds_m[tile])
    return box, bound_m


def _lower_bounds(boxes: FloatArray, segments: FloatArray, bounds_m: FloatArray) -> None:
    """Lower each tile's bound to a distance within which each of its cells has a segment.

    Some segment near each cell of a coarse lattice is found by spreading segments from
    neighbour to neighbour (Danielsson 1980). It need not be the nearest: any gives a bound.
    """
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
    np.minimum(bounds_m, np.hypot(way[:, 0], way[:, 1]) + half_m, out=bounds_m)


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


@njit(cache=True, nogil=True)
def _candidates(
    boxes: FloatArray,
    bounds_m: FloatArray,
    codes: IndexArray,
    first: IndexArray,
    segments: FloatArray,
    nearest: bool,
    owner: IndexArray,
    exclusion_first: IndexArray,
    excluded: IndexArray,
    stamp: IndexArray,
    arena: NDArray[np.int32],
    lists: NDArray[np.int32],
    list_first: IndexArray,
) -> NDArray[np.int32]:
    """Walk the tree of tiles from the root; return the lists, `list_first` is filled in.

    The lists of the nodes on the path from the root lie one after another in `arena`,
    that of depth d from ``arena_end[d - 1]`` to ``arena_end[d]``; it starts with all
    segments. `stamp` (one number an owner) marks the owners that some cell of the node
    at hand leaves out.
    """
    arena_end = np.zeros(66, np.int64)
    arena_end[1] = len(segments)
    squared = np.empty(len(segments))
    stack = np.empty((130, 3), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2] = 0, len(boxes), 1
    height, node = 1, 0
    while height:
        height -= 1
        a, b, depth = stack[height, 0], stack[height, 1], stack[height, 2]
        node += 1
        for k in range(exclusion_first[first[a]], exclusion_first[first[b]]):
            stamp[excluded[k]] = node
        start, end = arena_end[depth - 1], arena_end[depth]
        arena = _with_room(arena, end, 2 * end - start)
        box, bound_m = _box(boxes, bounds_m, a, b)
        parent, narrowed = arena[start:end], arena[end:]
        n = _narrow(segments, parent, box, bound_m, nearest, owner, stamp, node, squared, narrowed)
        if b - a > 1 and n:
            arena_end[depth + 1] = end + n
            middle = _split(codes, a, b)
            stack[height, 0], stack[height, 1], stack[height, 2] = middle, b, depth + 1
            height += 1
            stack[height, 0], stack[height, 1], stack[height, 2] = a, middle, depth + 1
            height += 1
            continue
        written = list_first[a]
        lists = _with_room(lists, written, written + n)
        for k in range(n):
            lists[written + k] = arena[end + k]
        for tile in range(a, b):
            list_first[tile + 1] = written + n
    return lists
