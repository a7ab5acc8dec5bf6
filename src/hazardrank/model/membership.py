"""Whether cells lie in the model's domain: yes or no, and no more than that takes.

:meth:`Applicability.judge` measures how far each cell is from the nearest training cell. A map
of the domain only asks whether any is near enough. A training cell that was near enough for one
of the cells before often is for the next one too, and settles it. A cell that no such witness
settles is compared with the training cells of those leaves of a k-d tree (Bentley 1975) whose
box lies near enough in the heaviest dimensions, a leaf at a time. Every comparison adds the same
float32 squares in the same order as the measuring does, so that yes and no are those of the
measured distance, to the bit.
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
LEAF_POINTS = 16
"""Training cells in a leaf at most: as many float32 as the widest registers hold."""
_BOX_DIMENSIONS = 10
"""Dimensions, the heaviest, in which a leaf's box is looked at."""
_STEP = 4
"""Dimensions summed before the next look at whether it is worth going on."""
_CELLS_PER_JOB = 16_384
#: Room for rounding where a box rules out all training cells in it.
_SLACK = 1.0001

_STANDARDISED, _CLASS, _GAP = 0, 1, 2

_Tree = tuple[Singles, Singles, Singles]
"""Leaf, dimension, point → coordinate; and box dimension, leaf → least and largest of them."""

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
    leaves : ndarray of float32, shape (n_leaves, n_dimensions, LEAF_POINTS)
        Training cells by leaf; infinite where a leaf has fewer.
    lowest, highest : ndarray of float32, shape (n_box_dimensions, n_leaves)
        The box of each leaf in the heaviest dimensions.
    limit : float32
        Largest squared distance inside the domain.
    """

    axes: tuple[Axis, ...]
    leaves: Singles
    lowest: Singles
    highest: Singles
    limit: np.float32
    _dimensions: tuple[NDArray[Any], ...]
    _lost: Floats

    @classmethod
    def of(cls, axes: Sequence[Axis], points: Singles, limit: np.float32) -> Membership:
        """Sort the points into leaves and describe the axes for the kernel."""
        parts = _leaves_of(points)
        n_box = min(_BOX_DIMENSIONS, points.shape[1])
        leaves = np.full((len(parts), points.shape[1], LEAF_POINTS), np.inf, np.float32)
        for leaf, part in enumerate(parts):
            leaves[leaf, :, : len(part)] = points[part].T
        box = [
            [points[part, :n_box].min(axis=0), points[part, :n_box].max(axis=0)] for part in parts
        ]
        boxes = np.array(box, np.float32).reshape(len(parts), 2, n_box)
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
        return cls(
            tuple(axes),
            leaves,
            np.ascontiguousarray(boxes[:, 0].T),
            np.ascontiguousarray(boxes[:, 1].T),
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
        space: Any = (
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
            tree = self.leaves, self.lowest, self.highest
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
        if len(part) <= LEAF_POINTS:
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
    """Mark the cells from `begin` to `end`: by witnesses, and the rest by the tree."""
    leaves = tree[0]
    n_leaves, n_dimensions = leaves.shape[0], leaves.shape[1]
    tile = np.zeros((n_dimensions, TILE), np.float32)
    base, total = np.zeros(TILE, np.float32), np.zeros(TILE, np.float32)
    extra = np.zeros(TILE, np.float64)
    near = np.zeros(TILE, np.bool_)
    cell = np.zeros(n_dimensions, np.float32)
    gap = np.zeros(n_leaves, np.float32)
    of_leaf = np.zeros(LEAF_POINTS, np.float32)
    witnesses = np.full((_N_WITNESSES, n_dimensions), np.inf, np.float32)
    for start in range(begin, end, TILE):
        size = min(TILE, end - start)
        _embed(bands, start, size, space, tile, base, extra)
        near[:] = False
        n_left = TILE
        for w in range(_N_WITNESSES):
            settled = _accept(tile, base, witnesses[w], limit, total, near)
            if settled and w:
                for d in range(n_dimensions):
                    ahead = witnesses[w - 1, d]
                    witnesses[w - 1, d], witnesses[w, d] = witnesses[w, d], ahead
            n_left -= settled
            if not n_left:
                break
        for c in range(size):
            if not near[c]:
                for d in range(n_dimensions):
                    cell[d] = tile[d, c]
                leaf, point = _find(cell, base[c], tree, limit, gap, of_leaf)
                if leaf >= 0:
                    for d in range(n_dimensions):
                        cell[d] = leaves[leaf, d, point]
                    _remember(witnesses, cell)
                    _accept(tile, base, cell, limit, total, near)
            outside[start + c] = not near[c]


@njit(nogil=True, error_model="numpy")
def _remember(witnesses: Singles, point: Singles) -> None:
    """Put a point before all witnesses; the last one is forgotten."""
    for w in range(len(witnesses) - 1, 0, -1):
        for d in range(len(point)):
            witnesses[w, d] = witnesses[w - 1, d]
    witnesses[0] = point


@njit(nogil=True, error_model="numpy")
def _find(
    cell: Singles,
    base: np.float32,
    tree: _Tree,
    limit: np.float32,
    gap: Singles,
    of_leaf: Singles,
) -> tuple[int, int]:
    """Return leaf and place of a point near enough to a cell, -1 where there is none."""
    leaves, lowest, highest = tree
    most = limit * np.float32(_SLACK)
    nothing = np.float32(0)
    gap[:] = base
    for d in range(len(lowest)):
        value, low, high = cell[d], lowest[d], highest[d]
        for leaf in range(len(gap)):
            below, above = low[leaf] - value, value - high[leaf]
            apart = below if below > above else above
            apart = apart if apart > nothing else nothing
            gap[leaf] += apart * apart
    n_dimensions = len(cell)
    for leaf in range(len(gap)):
        if gap[leaf] > most:
            continue
        points = leaves[leaf]
        of_leaf[:] = base
        d = 0
        hopeful = 1
        while d < n_dimensions and hopeful:
            stop = min(n_dimensions, d + _STEP)
            for k in range(d, stop):
                value = cell[k]
                for p in range(LEAF_POINTS):
                    apart = value - points[k, p]
                    of_leaf[p] += apart * apart
            d = stop
            hopeful = 0
            for p in range(LEAF_POINTS):
                hopeful |= of_leaf[p] <= limit
        if hopeful:
            for p in range(LEAF_POINTS):
                if of_leaf[p] <= limit:
                    return leaf, p
    return -1, -1


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
