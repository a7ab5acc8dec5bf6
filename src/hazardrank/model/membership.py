"""Whether cells lie in the model's domain: yes or no, and no more than that takes.

:meth:`Applicability.judge` measures how far each cell is from the nearest training cell. A map
of the domain only asks whether any is near enough. Two kinds of witness settle most cells:

* a training cell: who is near enough to it lies inside the domain;
* a cell that was found to lie well outside: who is nearer to it than it is outside cannot lie
  inside, by the triangle inequality, with room for rounding.

What settled the cells above and beside in the raster settles most cells of a tile. For the
others the nearest training cell is looked for in a tree, and becomes a witness itself. Every
comparison with a training cell adds the same float32 squares in the same order as the measuring
does, so that yes and no are those of the measured distance, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.model.band_space import TILE, BandSpace, SpaceArrays, place_strip
from hazardrank.model.feature_space import Axis
from hazardrank.model.nearest import Singles
from hazardrank.model.point_tree import FARTHEST, LANES, STACK, STEP, Nodes, PointTree, search

_PENDING, _INSIDE, _OUTSIDE = 0, 1, 2
_N_WITNESSES = 12
"""Witnesses kept for each tile of a row."""
_SLACK = np.float32(0.9)
"""How well the nearest training cell must be known: a share of its squared distance."""
_STRIP_TILES = 8
"""Tiles placed together: bands are read 2 kB at a time."""
_MIN_CELLS_PER_JOB = 16_384


@dataclass(frozen=True)
class Membership:
    """Training cells as points, and how near is near enough.

    Parameters
    ----------
    space : BandSpace
        How bands become coordinates.
    tree : PointTree
        The training cells.
    limit : float32
        Largest squared distance inside the domain.
    """

    space: BandSpace
    tree: PointTree
    limit: np.float32

    @classmethod
    def of(cls, axes: Sequence[Axis], points: Singles, limit: np.float32) -> Membership:
        """Build the tree.

        Parameters
        ----------
        axes : sequence of Axis
            The features of the space.
        points : ndarray of float32, shape (n_points, n_dimensions)
            Training cells in the space.
        limit : float32
            Largest squared distance inside the domain.
        """
        return cls(BandSpace.of(axes), PointTree.of(points), limit)

    def outside(
        self,
        bands: Singles,
        columns: Mapping[str, int],
        threads: int,
        row_cells: int | None = None,
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
        row_cells : int, optional
            Cells of a row of the raster; that of a square when left out. No result depends
            on it, but cells below each other settle each other's case.

        Returns
        -------
        ndarray of bool, shape (n_cells,)
        """
        n_cells = bands.shape[1]
        if self.limit < 0 or np.isinf(self.limit):
            return np.full(n_cells, self.limit < 0)
        outside = np.empty(n_cells, np.bool_)
        bands = np.ascontiguousarray(bands)
        space = self.space.arrays(columns)
        row_cells = max(row_cells or math.isqrt(n_cells), TILE)
        n_rows = -(-n_cells // row_cells)
        n_jobs = max(1, min(threads, n_rows, n_cells // _MIN_CELLS_PER_JOB))
        firsts = [n_rows * job // n_jobs * row_cells for job in range(n_jobs + 1)]

        def job(number: int) -> None:
            begin, end = firsts[number], min(firsts[number + 1], n_cells)
            _mark_outside(
                bands,
                space,
                self.tree.points,
                self.tree.nodes,
                self.limit,
                begin,
                end,
                row_cells,
                outside,
            )

        if n_jobs > 1:
            with ThreadPoolExecutor(n_jobs) as pool:
                list(pool.map(job, range(n_jobs)))
        else:
            job(0)
        return outside


def largest_inside(threshold: float, mean_distance: float) -> np.float32:
    """Return the largest squared distance that does not lie outside.

    A cell lies outside if ``sqrt(squared) / mean_distance > threshold``, all in float32. That
    never falls with the square, so the last square for which it does not hold is found by
    bisection over the float32 numbers in their order.

    Returns
    -------
    float32
        Below 0 where even 0 lies outside; infinite where nothing does.
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
    space: SpaceArrays,
    points: Singles,
    nodes: Nodes,
    limit: np.float32,
    begin: int,
    end: int,
    row_cells: int,
    outside: NDArray[np.bool_],
) -> None:
    """Mark the cells from `begin`, the first of a row, to `end`."""
    n_dimensions = points.shape[1]
    n_columns = -(-row_cells // TILE)
    # The witnesses that settled most cells of each tile of a row, above or in this row: the
    # number of a training cell, or -1 - the place of a cell well outside. A cell overwritten
    # by a newer one leaves a witness as true as any.
    witness = np.zeros((n_columns, _N_WITNESSES), np.int64)
    n_witnesses = np.zeros(n_columns, np.int64)
    far = np.zeros((n_columns * _N_WITNESSES + TILE, n_dimensions), np.float32)
    far_reach = np.full(len(far), -1, np.float32)
    n_far = 0
    used = np.zeros(3 * _N_WITNESSES + TILE, np.int64)
    settled = np.zeros(len(used), np.int64)
    tiles = np.zeros((_STRIP_TILES, n_dimensions, TILE), np.float32)
    bases = np.zeros((_STRIP_TILES, TILE), np.float32)
    extra = np.zeros((_STRIP_TILES, TILE), np.float64)
    state, total = np.zeros(TILE, np.int32), np.zeros(TILE, np.float32)
    cell = np.zeros(n_dimensions, np.float32)
    waiting, least = np.zeros(STACK, np.int64), np.zeros(STACK, np.float32)
    lanes = np.zeros(LANES, np.float32)
    for row in range(begin, end, row_cells):
        row_end = min(row + row_cells, end)
        for column in range(n_columns):
            start = row + column * TILE
            size = min(TILE, row_end - start)
            if size <= 0:
                break
            in_strip = column % _STRIP_TILES
            if in_strip == 0:
                n_strip = min(_STRIP_TILES * TILE, row_end - start)
                place_strip(bands, space, start, n_strip, extra, total, tiles, bases)
            tile, base = tiles[in_strip], bases[in_strip]
            for c in range(TILE):
                state[c] = _PENDING if c < size else _OUTSIDE
            n_left, n_used = size, 0
            for beside in (column, column - 1, column + 1):
                for w in range(n_witnesses[beside] if 0 <= beside < n_columns else 0):
                    if n_left == 0:
                        break
                    who = witness[beside, w]
                    if who >= 0:
                        new = _settle(tile, base, points[who], limit, _INSIDE, total, state)
                    else:
                        near = far_reach[-1 - who]
                        new = _settle(tile, base, far[-1 - who], near, _OUTSIDE, total, state)
                    if new:
                        used[n_used], settled[n_used] = who, new
                        n_left, n_used = n_left - new, n_used + 1
            for c in range(size):
                if state[c] != _PENDING:
                    continue
                for d in range(n_dimensions):
                    cell[d] = tile[d, c]
                best, who = search(cell, base[c], nodes, limit, _SLACK, waiting, least, lanes)
                if best <= limit:
                    new = _settle(tile, base, points[who], limit, _INSIDE, total, state)
                else:
                    state[c] = _OUTSIDE
                    near = _reach_outside(best, base[c], limit, n_dimensions)
                    if near < 0:
                        continue
                    far[n_far], far_reach[n_far] = cell, near
                    new = 1 + _settle(tile, base, cell, near, _OUTSIDE, total, state)
                    who = -1 - n_far
                    n_far = (n_far + 1) % len(far)
                used[n_used], settled[n_used] = who, new
                n_used += 1
            for c in range(size):
                outside[start + c] = state[c] == _OUTSIDE
            if n_used:
                n_witnesses[column] = _most_useful(used[:n_used], settled, witness[column])


@njit(nogil=True, error_model="numpy")
def _most_useful(
    used: NDArray[np.int64], settled: NDArray[np.int64], witness: NDArray[np.int64]
) -> int:
    """Keep the witnesses that settled most cells; return how many."""
    n_kept = min(len(witness), len(used))
    for w in range(n_kept):
        most = 0
        for u in range(len(used)):
            most = u if settled[u] > settled[most] else most
        settled[most] = -1
        witness[w] = used[most]
    return n_kept


@njit(nogil=True, error_model="numpy")
def _settle(
    tile: Singles,
    base: Singles,
    witness: Singles,
    reach: np.float32,
    says: int,
    total: Singles,
    state: NDArray[np.int32],
) -> int:
    """Settle the pending cells within reach of a witness; return how many."""
    for c in range(TILE):
        total[c] = base[c]
    for d in range(0, len(witness), STEP):
        t0, t1, t2, t3 = tile[d], tile[d + 1], tile[d + 2], tile[d + 3]
        w0, w1, w2, w3 = witness[d], witness[d + 1], witness[d + 2], witness[d + 3]
        for c in range(TILE):
            apart = t0[c] - w0
            added = total[c] + apart * apart
            apart = t1[c] - w1
            added += apart * apart
            apart = t2[c] - w2
            added += apart * apart
            apart = t3[c] - w3
            total[c] = added + apart * apart
        near = np.int32(0)
        for c in range(TILE):
            near |= np.int32(total[c] <= reach) & np.int32(state[c] == _PENDING)
        if not near:
            return 0
    n_settled = np.int32(0)
    for c in range(TILE):
        new = np.int32(total[c] <= reach) & np.int32(state[c] == _PENDING)
        state[c] = says if new else state[c]
        n_settled += new
    return int(n_settled)


@njit(nogil=True, error_model="numpy")
def _reach_outside(best: np.float32, base: np.float32, limit: np.float32, n: int) -> np.float32:
    """Return within what squared distance of a cell outside no cell lies inside; -1 for none.

    No training cell is nearer to it than the square root of ``max(limit, _SLACK * best)``, so
    none is near enough to a cell less far from it than that exceeds the root of `limit`. A sum
    of `n` float32 squares is right to ``(n + 3) 2**-24`` of itself, or to 1e-37 where squares
    vanish; twice that and more is allowed for.
    """
    if best == FARTHEST or base > 0:
        return np.float32(-1)
    room = (n + 8) * 2.0**-23
    nearest = math.sqrt(max(np.float64(limit), np.float64(_SLACK) * best) * (1 - room))
    reach = nearest - math.sqrt(limit * (1 + room)) - 1e-15
    return np.float32(reach * reach * (1 - 2 * room) if reach > 1e-14 else -1.0)
