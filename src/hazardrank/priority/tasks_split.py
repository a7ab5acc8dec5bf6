"""Cutting compartments into parts within a smallest and a largest number of cells.

A part that is too large is cut in two along a row or a column, then its pieces in turn. Of
all such cuts that one is tried first for which

    (1 + share of the score's variance that lies between the two sides)
    × √(compactness of one side · compactness of the other)
    × (tasks that are needed at least / tasks that the sides need at least)

is largest: it draws apart land that scores high and low, leaves compact pieces and no odd
rests. Compactness is the isoperimetric quotient on cell edges, 16 · area / perimeter², 1
for a square. A cut may leave pieces on either side that are not connected: each becomes a
part of its own, and slivers below the smallest size go over to the other side, which they
always touch.

Land of odd shape has no such cut. There the spanning tree that grows from its middle is cut
at the edge that leaves the most even halves. A tree in which no cell has more than 4
neighbours has an edge with at least (n - 1) / 4 cells on either side (go to the centroid:
its largest branch holds that many, and at most half). So if the largest size is at least 4
times the smallest, less 3, every part ends within both limits, whatever the shape; only
compartments below the smallest size stay as they are.

Every part is cut by its own cells alone, so neither the order of the cells nor land
elsewhere changes it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.priority.tasks_compartments import Compartments, neighbour

Cells = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Cuts along rows or columns that are tried before the spanning tree is cut.
MOST_TRIES = 8
#: Parts of more than so many times the largest size are cut near the middle only: each side
#: keeps at least this share, so that the work grows with the logarithm of the size.
_FAR_TOO_LARGE, _LEAST_SHARE = 4, 0.25
#: How often slivers change sides before a cut is given up.
_MOST_PASSES = 4
#: Merits nearer than this are equal; the more even cut is then taken.
_ROUNDING = 1e-9


class _Land(NamedTuple):
    """What cuts go by: one value a cell, and the number of the part each cell is in now."""

    score: NDArray[np.float32]
    blocked: NDArray[np.uint8]
    label: NDArray[np.int32]
    n_cols: int


class _Limits(NamedTuple):
    """What a part has to keep to."""

    min_cells: int
    max_cells: int
    contrast: float
    worth: float


class _Scratch(NamedTuple):
    """Memory used again for every part: one value a cell, then by place in a queue or line."""

    side: NDArray[np.int8]
    piece: NDArray[np.int32]
    before: NDArray[np.int32]
    queue: Cells
    sizes: Cells
    sums: FloatArray
    merit: FloatArray


def split(
    compartments: Compartments,
    score: NDArray[np.float32],
    blocked: NDArray[np.uint8],
    *,
    min_cells: int,
    max_cells: int,
    contrast: float,
    worth: float,
) -> NDArray[np.int32]:
    """Cut compartments into parts.

    Parameters
    ----------
    compartments : Compartments
        The land; its cells are put in another order, compartment by compartment as before.
    score : ndarray of float32, shape (rows, cols)
        What draws cells together; finite for every cell of a compartment.
    blocked : ndarray of uint8, shape (rows, cols)
        Borders that barriers lie across.
    min_cells, max_cells : int
        Limits; ``max_cells >= 4 * min_cells - 3``.
    contrast : float
        Parts within the limits are cut again where one side's mean score is so many times
        the other's; infinite for never.
    worth : float
        … and at least this high.

    Returns
    -------
    ndarray of int32, shape (rows, cols)
        Number of each cell's part, in no particular order, -1 for none.
    """
    n_rows, n_cols = score.shape
    n_candidates = len(compartments.cells)
    land = _Land(
        np.ascontiguousarray(score).reshape(-1),
        np.ascontiguousarray(blocked).reshape(-1),
        np.full(score.size, -1, np.int32),
        n_cols,
    )
    scratch = _Scratch(
        side=np.zeros(score.size, np.int8),
        piece=np.full(score.size, -1, np.int32),
        before=np.full(score.size, -1, np.int32),
        queue=np.empty(n_candidates, np.int64),
        sizes=np.empty(n_candidates + 1, np.int64),
        sums=np.empty((4, n_rows + n_cols)),
        merit=np.empty((2, n_rows + n_cols)),
    )
    limits = _Limits(min_cells, max_cells, float(contrast), float(worth))
    _split_all(compartments.cells, compartments.first, land, limits, scratch)
    return land.label.reshape(score.shape)


@njit(cache=True, nogil=True)
def _split_all(cells: Cells, first: Cells, land: _Land, limits: _Limits, scratch: _Scratch) -> None:
    stack = [(0, 0)]
    stack.pop()
    n_parts = 0
    for k in range(len(first) - 1):
        for j in range(first[k], first[k + 1]):
            land.label[cells[j]] = n_parts
        stack.append((first[k], first[k + 1]))
        n_parts += 1
        while len(stack) > 0:
            start, end = stack.pop()
            n_pieces = _cut(cells[start:end], land, limits, scratch)
            if n_pieces == 0:
                continue
            _gather(cells[start:end], n_pieces, n_parts, land, scratch)
            n_parts += n_pieces
            for p in range(n_pieces):
                stack.append((start, start + scratch.sizes[p]))
                start += scratch.sizes[p]


@njit(cache=True, nogil=True)
def _cut(part: Cells, land: _Land, limits: _Limits, scratch: _Scratch) -> int:
    """Cut a part if it must or should be; return the pieces, 0 if it stays whole."""
    n = len(part)
    too_large = n > limits.max_cells
    if not too_large and (limits.contrast == np.inf or n < 2 * limits.min_cells):
        return 0
    _weigh_cuts(part, land, limits, scratch)
    n_pieces = _try_cuts(part, land, limits, scratch)
    if n_pieces == 0 and too_large:
        _cut_tree(part, land, limits, scratch)
        n_pieces = _pieces(part, land, scratch)
    return n_pieces


@njit(cache=True, nogil=True)
def _gather(part: Cells, n_pieces: int, n_parts: int, land: _Land, scratch: _Scratch) -> None:
    """Order a part's cells by piece, and give each piece the number of a part."""
    place = np.zeros(n_pieces, np.int64)
    for p in range(1, n_pieces):
        place[p] = place[p - 1] + scratch.sizes[p - 1]
    for j in range(len(part)):
        scratch.queue[j] = part[j]
    for j in range(len(part)):
        cell = scratch.queue[j]
        p = scratch.piece[cell]
        part[place[p]] = cell
        place[p] += 1
        land.label[cell] = n_parts + p


@njit(cache=True, nogil=True)
def _box(part: Cells, n_cols: int) -> tuple[int, int, int, int]:
    """Return the first and last row and the first and last column of a part."""
    row_0 = row_1 = part[0] // n_cols
    col_0 = col_1 = part[0] % n_cols
    for j in range(len(part)):
        row, col = part[j] // n_cols, part[j] % n_cols
        row_0, row_1 = min(row_0, row), max(row_1, row)
        col_0, col_1 = min(col_0, col), max(col_1, col)
    return row_0, row_1, col_0, col_1


@njit(cache=True, nogil=True)
def _weigh_cuts(part: Cells, land: _Land, limits: _Limits, scratch: _Scratch) -> None:
    """Write the merit of each cut along rows, then along columns.

    Row 0 of ``merit`` has the merits, -1 for cuts that may not be made and -2 at the end of
    the list; row 1 how uneven each cut is.
    """
    row_0, row_1, col_0, col_1 = _box(part, land.n_cols)
    mean = 0.0
    for j in range(len(part)):
        mean += land.score[part[j]]
    mean /= len(part)
    squared = _add_up(part, row_0, row_1 - row_0 + 1, True, mean, land, scratch.sums)
    k = _merits(0, row_1 - row_0 + 1, len(part), mean, squared, limits, scratch)
    squared = _add_up(part, col_0, col_1 - col_0 + 1, False, mean, land, scratch.sums)
    k = _merits(k, col_1 - col_0 + 1, len(part), mean, squared, limits, scratch)
    scratch.merit[0, k] = -2.0


@njit(cache=True, nogil=True)
def _add_up(
    part: Cells,
    low: int,
    length: int,
    by_row: bool,
    mean: float,
    land: _Land,
    sums: FloatArray,
) -> float:
    """Sum over the rows (columns) up to each; return the sum of squares about the mean.

    Rows of `sums`: cells; score about the mean; edges to land outside the part; and, of each
    row (column) alone, edges to the next.
    """
    n_cells, number = len(land.label), land.label[part[0]]
    onward = 3 if by_row else 2
    sums[:, :length] = 0.0
    squared = 0.0
    for j in range(len(part)):
        cell = part[j]
        place = (cell // land.n_cols if by_row else cell % land.n_cols) - low
        value = land.score[cell] - mean
        squared += value * value
        sums[0, place] += 1.0
        sums[1, place] += value
        for s in range(4):
            other = neighbour(cell, s, land.n_cols, n_cells, land.blocked)
            if other < 0 or land.label[other] != number:
                sums[2, place] += 1.0
            elif s == onward:
                sums[3, place] += 1.0
    for place in range(1, length):
        for s in range(3):
            sums[s, place] += sums[s, place - 1]
    return squared


@njit(cache=True, nogil=True)
def _merits(
    k: int,
    length: int,
    n: int,
    mean: float,
    squared: float,
    limits: _Limits,
    scratch: _Scratch,
) -> int:
    """Write the merits of the cuts after each row (column) but the last, from `k` on."""
    sums, merit, largest = scratch.sums, scratch.merit, limits.max_cells
    least = limits.min_cells
    if n > _FAR_TOO_LARGE * largest:
        least = max(least, int(n * _LEAST_SHARE))
    total, edges = sums[1, length - 1], sums[2, length - 1]
    for place in range(length - 1):
        one = sums[0, place]
        other = n - one
        merit[0, k], merit[1, k] = -1.0, abs(one - other)
        if one >= least and other >= least:
            mean_one, mean_other = sums[1, place] / one, (total - sums[1, place]) / other
            high, low = max(mean_one, mean_other) + mean, min(mean_one, mean_other) + mean
            apart = high >= limits.worth and high > 0.0 and high >= limits.contrast * low
            if n > largest or apart:
                between = one * other / n * (mean_one - mean_other) ** 2
                gain = between / squared if squared > 0.0 else 0.0
                edges_one = sums[2, place] + sums[3, place]
                edges_other = edges - sums[2, place] + sums[3, place]
                shape = 16.0 * np.sqrt(one * other) / (edges_one * edges_other)
                needed = np.ceil(one / largest) + np.ceil(other / largest)
                merit[0, k] = (1.0 + gain) * shape * np.ceil(n / largest) / needed
        k += 1
    return k


@njit(cache=True, nogil=True)
def _try_cuts(part: Cells, land: _Land, limits: _Limits, scratch: _Scratch) -> int:
    """Make the best cut that leaves no piece too small; return the pieces, 0 if none does."""
    row_0, row_1, col_0, _ = _box(part, land.n_cols)
    n_row_cuts = row_1 - row_0
    for _ in range(MOST_TRIES):
        best = _best_cut(scratch.merit)
        if best < 0:
            return 0
        scratch.merit[0, best] = -1.0
        by_row = best < n_row_cuts
        last = row_0 + best if by_row else col_0 + best - n_row_cuts
        for j in range(len(part)):
            place = part[j] // land.n_cols if by_row else part[j] % land.n_cols
            scratch.side[part[j]] = 1 if place > last else 0
        n_pieces = _without_slivers(part, land, limits, scratch)
        if n_pieces > 1:
            return n_pieces
    return 0


@njit(cache=True, nogil=True)
def _best_cut(merit: FloatArray) -> int:
    """Return the cut of the highest merit, of equals the most even; -1 if none is left."""
    best, k = -1, 0
    while merit[0, k] > -1.5:
        if merit[0, k] > 0.0:
            ahead = merit[0, k] - merit[0, best] if best >= 0 else np.inf
            if ahead > _ROUNDING or (ahead > -_ROUNDING and merit[1, k] < merit[1, best]):
                best = k
        k += 1
    return best


@njit(cache=True, nogil=True)
def _without_slivers(part: Cells, land: _Land, limits: _Limits, scratch: _Scratch) -> int:
    """Give pieces below the smallest size to the other side; return the pieces, 0 if some stay.

    The sides take turns, the smaller one first.
    """
    n_far = 0
    for j in range(len(part)):
        n_far += scratch.side[part[j]]
    first = 1 if 2 * n_far < len(part) else 0
    for turn in range(first, first + _MOST_PASSES):
        n_pieces = _pieces(part, land, scratch)
        if scratch.sizes[:n_pieces].min() >= limits.min_cells:
            return n_pieces
        for j in range(len(part)):
            cell = part[j]
            sliver = scratch.sizes[scratch.piece[cell]] < limits.min_cells
            if sliver and scratch.side[cell] == turn % 2:
                scratch.side[cell] = 1 - scratch.side[cell]
    return 0


@njit(cache=True, nogil=True)
def _pieces(part: Cells, land: _Land, scratch: _Scratch) -> int:
    """Tell apart the connected pieces of a part's two sides; return how many there are."""
    n_cells, number = len(land.label), land.label[part[0]]
    side, piece, queue = scratch.side, scratch.piece, scratch.queue
    for j in range(len(part)):
        piece[part[j]] = -1
    n = 0
    for j in range(len(part)):
        if piece[part[j]] >= 0:
            continue
        piece[part[j]] = n
        queue[0] = part[j]
        k, end = 0, 1
        while k < end:
            cell = queue[k]
            k += 1
            for s in range(4):
                other = neighbour(cell, s, land.n_cols, n_cells, land.blocked)
                if (
                    other >= 0
                    and land.label[other] == number
                    and piece[other] < 0
                    and side[other] == side[cell]
                ):
                    piece[other] = n
                    queue[end] = other
                    end += 1
        scratch.sizes[n] = end
        n += 1
    return n


@njit(cache=True, nogil=True)
def _cut_tree(part: Cells, land: _Land, limits: _Limits, scratch: _Scratch) -> None:
    """Cut the spanning tree that grows from the middle where its halves are most even."""
    n_cells, number, n = len(land.label), land.label[part[0]], len(part)
    before, below, queue, side = scratch.before, scratch.piece, scratch.queue, scratch.side
    for j in range(n):
        before[part[j]] = -2
    queue[0] = middle_cell(part, land.n_cols)
    before[queue[0]] = -1
    k, end = 0, 1
    while k < end:
        cell = queue[k]
        k += 1
        below[cell] = 1
        for s in range(4):
            other = neighbour(cell, s, land.n_cols, n_cells, land.blocked)
            if other >= 0 and land.label[other] == number and before[other] == -2:
                before[other] = cell
                queue[end] = other
                end += 1
    best, best_uneven = -1, n + 1
    for k in range(n - 1, 0, -1):
        cell = queue[k]
        one = below[cell]
        below[before[cell]] += one
        uneven, smaller = abs(n - 2 * one), min(one, n - one)
        if smaller >= limits.min_cells and uneven < best_uneven:
            best, best_uneven = cell, uneven
    # Whatever grew from the best cell is on the far side.
    side[queue[0]] = 0
    for k in range(1, n):
        cell = queue[k]
        side[cell] = 1 if cell == best else side[before[cell]]


@njit(cache=True, nogil=True)
def middle_cell(part: Cells, n_cols: int) -> int:
    """Return the cell nearest to the centroid of a part; of equals the first in the grid.

    Distances are multiplied by the number of cells: whole numbers, exact for any task.
    """
    n, rows, cols = len(part), 0, 0
    for j in range(n):
        rows += part[j] // n_cols
        cols += part[j] % n_cols
    best, nearest = int(part[0]), np.inf
    for j in range(n):
        south = float(n * (part[j] // n_cols) - rows)
        east = float(n * (part[j] % n_cols) - cols)
        distance = south * south + east * east
        if distance < nearest or (distance == nearest and part[j] < best):
            best, nearest = int(part[j]), distance
    return best
