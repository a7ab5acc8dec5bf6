"""Points in boxes within boxes: which lies nearest, looked at 32 boxes or points at a time.

A k-d tree (Bentley 1975, *Multidimensional binary search trees used for associative
searching*, Communications of the ACM 18) splits in two and looks at one box after the other.
Here a node has 32 children, whose boxes are looked at together in vector instructions.

All that is compared are sums of float32 squares in the order of the dimensions. Rounding never
turns the order of two numbers around, so the sum for a box, made in the same way as the sums
for its points, is never above any of them, to the bit: no room for rounding is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.model.nearest import Singles

LANES = 32
"""Children of a node, points of a leaf."""
STEP = 4
"""Dimensions summed before the next look at whether it is worth going on."""
BOX_DIMENSIONS = 16
"""Dimensions, the widest, in which boxes are looked at."""
STACK = 256
"""Nodes that may wait, 31 for each level of the tree: enough for 32 to the power of 8 points."""
FARTHEST = np.float32(np.finfo(np.float32).max)

Nodes = tuple[Singles, Singles, NDArray[np.int64], Singles]
"""Lowest and highest corners of the children of each node, shape (n_nodes, n_box_dimensions,
LANES); the first child of each node, -1 - its number where the children are leaves; the points
of each leaf, shape (n_leaves, n_dimensions, LANES)."""


@dataclass(frozen=True)
class PointTree:
    """Points, ready to be searched.

    Parameters
    ----------
    points : ndarray of float32, shape (n_points, n_dimensions)
        Coordinates, leaf by leaf; dimensions are filled up with zeros to a multiple of
        :data:`STEP`.
    order : ndarray of int64, shape (n_points,)
        Where each stood among the points given.
    nodes : tuple of ndarray
        The tree; the last node is its root.
    """

    points: Singles
    order: NDArray[np.int64]
    nodes: Nodes

    @classmethod
    def of(cls, points: Singles) -> PointTree:
        """Build the tree.

        Parameters
        ----------
        points : ndarray of float32, shape (n_points, n_dimensions)
            Coordinates, the widest first. Points that are not finite lie near no cell and are
            left out.
        """
        finite = np.flatnonzero(np.isfinite(points).all(axis=1))
        n_dimensions = -(-max(points.shape[1], 1) // STEP) * STEP
        filled = np.zeros((len(finite), n_dimensions), np.float32)
        filled[:, : points.shape[1]] = points[finite]
        order = _leaf_by_leaf(filled)
        filled = filled[order]
        leaves = _in_groups(filled, np.inf)
        low, high, first = [], [], []
        lowest = leaves.min(axis=2)
        highest = np.where(np.isinf(leaves), -np.inf, leaves).max(axis=2)
        below, n_nodes = -1, 0
        while True:
            low.append(_in_groups(lowest, np.inf))
            high.append(_in_groups(highest, -np.inf))
            here = np.arange(len(low[-1])) * LANES
            first.append(-1 - here if below < 0 else below + here)
            if len(here) <= 1:
                break
            below, n_nodes = n_nodes, n_nodes + len(here)
            lowest, highest = low[-1].min(axis=2), high[-1].max(axis=2)
        nodes = (_corners(low), _corners(high), np.concatenate(first), leaves)
        return cls(filled, finite[order], nodes)


def _corners(levels: list[Singles]) -> Singles:
    return np.ascontiguousarray(np.concatenate(levels)[:, :BOX_DIMENSIONS])


def _leaf_by_leaf(points: Singles) -> NDArray[np.int64]:
    """Return an order of points in which every run of :data:`LANES` lies together.

    Splits at the median of the widest dimension, but so that all leaves and nodes are full.
    """
    done, waiting = [np.empty(0, np.int64)], [np.arange(len(points))]
    while waiting:
        part = waiting.pop()
        if len(part) <= LANES:
            done.append(part)
            continue
        run = LANES
        while run * LANES < len(part):
            run *= LANES
        half = -(-len(part) // run) // 2 * run
        widest = int(np.argmax(np.ptp(points[part], axis=0)))
        part = part[np.argsort(points[part, widest], kind="stable")]
        waiting += [part[half:], part[:half]]
    return np.concatenate(done)


def _in_groups(values: Singles, filling: float) -> Singles:
    """Return values of shape (n, n_dimensions) as (n_groups, n_dimensions, LANES)."""
    n_groups = max(1, -(-len(values) // LANES))
    filled = np.full((n_groups * LANES, values.shape[1]), filling, np.float32)
    filled[: len(values)] = values
    return np.ascontiguousarray(filled.reshape(n_groups, LANES, -1).transpose(0, 2, 1))


@njit(nogil=True, error_model="numpy")
def search(
    cell: Singles,
    base: np.float32,
    nodes: Nodes,
    limit: np.float32,
    slack: np.float32,
    waiting: NDArray[np.int64],
    least: Singles,
    total: Singles,
) -> tuple[np.float32, int]:
    """Look for the nearest point, exactly where it matters.

    Parameters
    ----------
    cell : ndarray of float32, shape (n_dimensions,)
        Coordinates of a cell.
    base : float32
        Added to its squared distance to every point.
    nodes : tuple of ndarray
        The tree.
    limit : float32
        Whether a point is nearer than this is found out surely.
    slack : float32
        In 0–1. Once that is known, no point is looked for whose squared distance may be above
        this share of the smallest found; above its square, if that is not above `limit`.
    waiting, least, total : ndarray, shape (STACK,), (STACK,), (LANES,)
        Memory to work in.

    Returns
    -------
    float32
        The smallest squared distance found. It is above `limit` only if all are; then none is
        below the larger of `limit` and `slack` times it.
    int
        That point's place; -1 where all are infinitely far.
    """
    low, high, first, leaves = nodes
    best, place = FARTHEST, -1
    waiting[0], least[0] = len(first) - 1, base
    n_waiting = 1
    while n_waiting:
        n_waiting -= 1
        node = waiting[n_waiting]
        reach = slack * slack * best if best <= limit else max(limit, slack * best)
        if not least[n_waiting] <= reach:
            continue
        if node < 0:
            if _to_points(cell, base, leaves[-1 - node], best, total):
                for lane in range(LANES):
                    if total[lane] < best:
                        best, place = total[lane], (-1 - node) * LANES + lane
        elif _to_boxes(cell, base, low[node], high[node], reach, total):
            child, step = (first[node], 1) if first[node] >= 0 else (first[node], -1)
            nearest = n_waiting
            for lane in range(LANES):
                if total[lane] <= reach:
                    waiting[n_waiting], least[n_waiting] = child + step * lane, total[lane]
                    nearest = n_waiting if total[lane] < least[nearest] else nearest
                    n_waiting += 1
            # The nearest child comes next; most others need not be looked at then.
            top = n_waiting - 1
            waiting[nearest], waiting[top] = waiting[top], waiting[nearest]
            least[nearest], least[top] = least[top], least[nearest]
    return best, place


@njit(nogil=True, error_model="numpy")
def _to_points(
    cell: Singles, base: np.float32, points: Singles, most: np.float32, total: Singles
) -> bool:
    """Sum squared distances to a leaf's points; return whether one may be at most `most`."""
    for lane in range(LANES):
        total[lane] = base
    for d in range(0, len(cell), STEP):
        p0, p1, p2, p3 = points[d], points[d + 1], points[d + 2], points[d + 3]
        c0, c1, c2, c3 = cell[d], cell[d + 1], cell[d + 2], cell[d + 3]
        for lane in range(LANES):
            apart = c0 - p0[lane]
            added = total[lane] + apart * apart
            apart = c1 - p1[lane]
            added += apart * apart
            apart = c2 - p2[lane]
            added += apart * apart
            apart = c3 - p3[lane]
            total[lane] = added + apart * apart
        near = np.int32(0)
        for lane in range(LANES):
            near |= np.int32(total[lane] <= most)
        if not near:
            return False
    return True


@njit(nogil=True, error_model="numpy")
def _to_boxes(
    cell: Singles,
    base: np.float32,
    low: Singles,
    high: Singles,
    most: np.float32,
    total: Singles,
) -> bool:
    """Sum squared distances to boxes; return whether one may be at most `most`."""
    zero = np.float32(0)
    for lane in range(LANES):
        total[lane] = base
    for d in range(0, len(low), STEP):
        l0, l1, l2, l3 = low[d], low[d + 1], low[d + 2], low[d + 3]
        h0, h1, h2, h3 = high[d], high[d + 1], high[d + 2], high[d + 3]
        c0, c1, c2, c3 = cell[d], cell[d + 1], cell[d + 2], cell[d + 3]
        for lane in range(LANES):
            apart = max(max(l0[lane] - c0, c0 - h0[lane]), zero)
            added = total[lane] + apart * apart
            apart = max(max(l1[lane] - c1, c1 - h1[lane]), zero)
            added += apart * apart
            apart = max(max(l2[lane] - c2, c2 - h2[lane]), zero)
            added += apart * apart
            apart = max(max(l3[lane] - c3, c3 - h3[lane]), zero)
            total[lane] = added + apart * apart
        near = np.int32(0)
        for lane in range(LANES):
            near |= np.int32(total[lane] <= most)
        if not near:
            return False
    return True
