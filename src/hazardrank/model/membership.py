"""Whether cells lie in the model's domain: yes or no, and no more than that takes.

:meth:`Applicability.judge` measures how far each cell is from the nearest training cell. A map
of the domain only asks whether any is near enough. A training cell that was near enough for one
of the cells before often is for the next one too, and settles it. Cells that no such witness
settles are gathered and compared with the training cells of those leaves of a k-d tree (Bentley
1975) whose box lies near enough to theirs, the nearest leaf first. Every comparison adds the
same float32 squares in the same order as the measuring does, so that yes and no are those of
the measured distance, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.model.feature_space import APART, Axis
from hazardrank.model.nearest import Singles

Floats = NDArray[np.float64]

TILE = 64
"""Cells looked at together."""
_N_WITNESSES = 64
_LEAF_POINTS = 32
_STEP = 4
"""Dimensions summed before the next look at whether it is worth going on."""
_CELLS_PER_JOB = 16_384
#: Room for rounding where a box rules out all training cells in it.
_SLACK = 1.0001

_STANDARDISED, _CLASS, _GAP = 0, 1, 2

_Tree = tuple[Singles, NDArray[np.int64], Singles]
"""Points leaf by leaf, where each leaf begins, and the leaves' boxes."""

_Space = tuple[
    NDArray[np.int64],  # axis → band
    Floats,  # axis → weight
    Floats,  # axis → mean
    Floats,  # axis → standard deviation
    NDArray[np.bool_],  # axis → whether it holds classes
    NDArray[np.bool_],  # axis → whether some training cell does not know it
    Floats,  # axis → what an unseen class or gap adds to squared distances
    NDArray[np.int64],  # dimension → kind
    NDArray[np.int64],  # dimension → axis
    Singles,  # dimension → class code
]
"""How bands become coordinates."""


@dataclass(frozen=True)
class Membership:
    """Training cells as points, and how near is near enough.

    Parameters
    ----------
    axes : tuple of Axis
        The features of the space.
    points : ndarray of float32, shape (n_points, n_dimensions)
        Training cells, leaf by leaf.
    leaves : ndarray of int64, shape (n_leaves + 1,)
        Where each leaf's points begin.
    boxes : ndarray of float32, shape (n_leaves, 2, n_dimensions)
        Least and largest coordinates of each leaf.
    limit : float32
        Largest squared distance inside the domain.
    """

    axes: tuple[Axis, ...]
    points: Singles
    leaves: NDArray[np.int64]
    boxes: Singles
    limit: np.float32
    _dimensions: tuple[NDArray[Any], ...]
    _lost: Floats

    @classmethod
    def of(cls, axes: Sequence[Axis], points: Singles, limit: np.float32) -> Membership:
        """Sort the points into leaves and describe the axes for the kernel."""
        parts = _leaves_of(points)
        order = np.concatenate([np.empty(0, np.int64), *parts])
        kind, axis_of, code = [], [], []
        for number, axis in enumerate(axes):
            for value in axis.classes or (0.0,):
                kind.append(_CLASS if axis.classes else _STANDARDISED)
                axis_of.append(number)
                code.append(value)
            if axis.has_missing:
                kind.append(_GAP)
                axis_of.append(number)
                code.append(0.0)
        dimensions = (
            np.array(kind, np.int64),
            np.array(axis_of, np.int64),
            np.array(code, np.float32),
        )
        lost = np.array([axis.weight**2 * (APART / 2) for axis in axes])
        boxes = [[points[part].min(axis=0), points[part].max(axis=0)] for part in parts]
        return cls(
            tuple(axes),
            np.ascontiguousarray(points[order]),
            np.cumsum([0, *(len(part) for part in parts)]).astype(np.int64),
            np.array(boxes, np.float32).reshape(len(parts), 2, points.shape[1]),
            limit,
            dimensions,
            lost,
        )

    def outside(
        self, bands: Singles, columns: Mapping[str, int], threads: int
    ) -> NDArray[np.bool_]:
        """Return which cells lie outside the domain.

        Parameters
        ----------
        bands : ndarray of float32, shape (n_bands, n_cells)
            Features of the cells.
        columns : mapping of str to int
            Feature → its band.
        threads : int
            Threads to use; no result depends on it.

        Returns
        -------
        ndarray of bool, shape (n_cells,)
        """
        n_cells = bands.shape[1]
        outside = np.empty(n_cells, np.bool_)
        bands = np.ascontiguousarray(bands)
        space = (
            np.array([columns[axis.feature] for axis in self.axes], np.int64),
            np.array([axis.weight for axis in self.axes]),
            np.array([axis.mean for axis in self.axes]),
            np.array([axis.sd for axis in self.axes]),
            np.array([bool(axis.classes) for axis in self.axes]),
            np.array([axis.has_missing for axis in self.axes]),
            self._lost,
            *self._dimensions,
        )

        def job(first: int) -> None:
            last = min(n_cells, first + _CELLS_PER_JOB)
            tree = self.points, self.leaves, self.boxes
            _mark_outside(bands, space, tree, self.limit, first, last, outside)

        firsts = range(0, n_cells, _CELLS_PER_JOB)
        if threads > 1 and len(firsts) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(job, firsts))
        else:
            for first in firsts:
                job(first)
        return outside


def _leaves_of(points: Singles) -> list[NDArray[np.int64]]:
    """Split points at the median of their widest coordinate until few are left together."""
    waiting, leaves = [np.arange(len(points))], []
    while waiting:
        part = waiting.pop()
        if len(part) <= _LEAF_POINTS:
            leaves += [part] if len(part) else []
            continue
        widest = int(np.argmax(np.ptp(points[part], axis=0)))
        by_value = part[np.argsort(points[part, widest], kind="stable")]
        waiting += [by_value[len(part) // 2 :], by_value[: len(part) // 2]]
    return leaves


def largest_inside(threshold: float, mean_distance: float) -> np.float32:
    """Return the largest squared distance that does not lie outside.

    A cell lies outside if ``sqrt(squared) / mean_distance > threshold``, all in float32. That
    never falls with the square, so the last square for which it does not hold is found by
    bisection over the float32 numbers in their order.
    """

    def is_outside(bits: int) -> bool:
        squared = np.array([bits], np.uint32).view(np.float32)
        index = (np.sqrt(squared) / mean_distance).astype(np.float32)
        return bool(index[0] > np.float32(threshold))

    low, high = 0, int(np.array([np.inf], np.float32).view(np.uint32)[0])
    if is_outside(low):
        return np.float32(-1)
    if not is_outside(high):
        return np.float32(np.inf)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_outside(middle) else (middle, high)
    return np.float32(np.array([low], np.uint32).view(np.float32)[0])


@njit(cache=True, nogil=True, error_model="numpy")
def _mark_outside(
    bands: Singles,
    space: _Space,
    tree: _Tree,
    limit: np.float32,
    begin: int,
    end: int,
    outside: NDArray[np.bool_],
) -> None:
    """Mark the cells from `begin` to `end`: by witnesses, and those that wait by the tree."""
    points = tree[0]
    n_dimensions = points.shape[1]
    tile = np.zeros((n_dimensions, TILE), np.float32)
    pool = np.zeros((n_dimensions, TILE), np.float32)
    base, pool_base = np.zeros(TILE, np.float32), np.zeros(TILE, np.float32)
    total = np.zeros(TILE, np.float32)
    extra = np.zeros(TILE, np.float64)
    near, pool_near = np.zeros(TILE, np.bool_), np.zeros(TILE, np.bool_)
    waiting = np.zeros(TILE, np.int64)
    witnesses = np.zeros(_N_WITNESSES, np.int64)
    for w in range(_N_WITNESSES):
        witnesses[w] = w * len(points) // _N_WITNESSES
    n_waiting = 0
    for start in range(begin, end, TILE):
        size = min(TILE, end - start)
        _embed(bands, start, size, space, tile, base, extra)
        _ask_witnesses(tile, base, points, witnesses, limit, total, near)
        for c in range(size):
            outside[start + c] = False
            if near[c]:
                continue
            waiting[n_waiting] = start + c
            pool_base[n_waiting] = base[c]
            for d in range(n_dimensions):
                pool[d, n_waiting] = tile[d, c]
            n_waiting += 1
            if n_waiting == TILE:
                _ask_tree(pool, pool_base, TILE, tree, witnesses, limit, total, pool_near)
                for k in range(TILE):
                    outside[waiting[k]] = not pool_near[k]
                n_waiting = 0
    if n_waiting:
        _ask_tree(pool, pool_base, n_waiting, tree, witnesses, limit, total, pool_near)
        for k in range(n_waiting):
            outside[waiting[k]] = not pool_near[k]


@njit(nogil=True, error_model="numpy")
def _ask_witnesses(
    tile: Singles,
    base: Singles,
    points: Singles,
    witnesses: NDArray[np.int64],
    limit: np.float32,
    total: Singles,
    near: NDArray[np.bool_],
) -> None:
    """Mark the cells that a witness settles; it moves one place ahead."""
    near[:] = False
    if not len(points):
        return
    n_left = TILE
    for w in range(_N_WITNESSES):
        settled = _accept(tile, base, points[witnesses[w]], limit, total, near)
        if settled and w:
            witnesses[w], witnesses[w - 1] = witnesses[w - 1], witnesses[w]
        n_left -= settled
        if not n_left:
            return


@njit(nogil=True, error_model="numpy")
def _ask_tree(
    tile: Singles,
    base: Singles,
    size: int,
    tree: _Tree,
    witnesses: NDArray[np.int64],
    limit: np.float32,
    total: Singles,
    near: NDArray[np.bool_],
) -> None:
    """Mark the cells near to any point, looking into the nearest leaves first.

    A point that settles cells becomes a witness.
    """
    points, first_point, boxes = tree
    for c in range(TILE):
        near[c] = c >= size
    n_left = size
    low, high = np.empty(len(tile), np.float32), np.empty(len(tile), np.float32)
    for d in range(len(tile)):
        low[d], high[d] = tile[d, :size].min(), tile[d, :size].max()
    apart = np.empty(len(boxes), np.float64)
    lowest = np.float64(base[:size].min())
    for leaf in range(len(boxes)):
        apart[leaf] = _between(low, high, boxes[leaf], lowest, limit * _SLACK)
    for leaf in np.argsort(apart):
        if apart[leaf] > limit * _SLACK or not n_left:
            return
        for p in range(first_point[leaf], first_point[leaf + 1]):
            settled = _accept(tile, base, points[p], limit, total, near)
            if settled:
                n_left -= settled
                for w in range(_N_WITNESSES - 1, 0, -1):
                    witnesses[w] = witnesses[w - 1]
                witnesses[0] = p


@njit(nogil=True, error_model="numpy")
def _between(low: Singles, high: Singles, box: Singles, begun: float, most: float) -> float:
    """Return the squared distance between two boxes, or more than `most` once that is sure."""
    total = begun
    for d in range(len(low)):
        gap = max(np.float64(box[0, d]) - high[d], np.float64(low[d]) - box[1, d], 0.0)
        total += gap * gap
        if total > most:
            return total
    return total


@njit(nogil=True, error_model="numpy")
def _accept(tile, base, point, limit, total, near):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Mark the cells for which a point is near enough; return how many are new."""
    n_dimensions = len(point)
    for c in range(TILE):
        total[c] = base[c]
    d = 0
    while d < n_dimensions:
        stop = min(n_dimensions, d + _STEP)
        for k in range(d, stop):
            value = point[k]
            for c in range(TILE):
                apart = tile[k, c] - value
                total[c] += apart * apart
        d = stop
        hopeful = 0
        for c in range(TILE):
            hopeful |= (total[c] <= limit) & (not near[c])
        if not hopeful:
            return 0
    new = 0
    for c in range(TILE):
        if total[c] <= limit and not near[c]:
            near[c] = True
            new += 1
    return new


@njit(nogil=True, error_model="numpy")
def _embed(
    bands: Singles,
    start: int,
    size: int,
    space: _Space,
    tile: Singles,
    base: Singles,
    extra: Floats,
) -> None:
    """Place cells in the space as :func:`~hazardrank.model.feature_space.embed` does.

    The last tile is filled up with copies of its first cell.
    """
    band_of, weight, mean, sd, is_class, has_missing, lost, kind, axis_of, code = space
    for d in range(len(kind)):
        axis = axis_of[d]
        values = bands[band_of[axis]]
        for c in range(TILE):
            value = values[start + (c if c < size else 0)]
            known = np.isfinite(value)
            if kind[d] == _STANDARDISED:
                standard = (np.float64(value) - mean[axis]) / sd[axis]
                tile[d, c] = np.float32(weight[axis] * standard) if known else np.float32(0)
            elif kind[d] == _CLASS:
                here = 1.0 if known and value == code[d] else 0.0
                tile[d, c] = np.float32(weight[axis] * here)
            else:
                tile[d, c] = np.float32(0.0 if known else weight[axis])
    extra[:] = 0.0
    for axis in range(len(band_of)):
        if has_missing[axis] and not is_class[axis]:
            continue
        values = bands[band_of[axis]]
        for c in range(TILE):
            value = values[start + (c if c < size else 0)]
            gone = not has_missing[axis]
            if np.isfinite(value):
                gone = is_class[axis]
                if gone:
                    for d in range(len(kind)):
                        if axis_of[d] == axis and kind[d] == _CLASS and value == code[d]:
                            gone = False
            if gone:
                extra[c] += lost[axis]
    for c in range(TILE):
        base[c] = np.float32(extra[c])
