"""Cells gathered in small square tiles: the unit in which distances are computed.

Tiles of 8 × 8 cells are the leaves of a tree: four neighbouring tiles make a node, four
of those the next, up to all cells. What can be said of a node's box need not be said of
its cells one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.segments import FloatArray, IndexArray
from hazardrank.grid import SurveyGrid

#: Side of a tile in cells.
TILE_CELLS = 8
#: Places for cells in a tile: kernels always compute as many, so that loops have a fixed
#: length. Places without a cell of their own repeat one.
TILE_SIZE = TILE_CELLS**2
#: Blocks whose tiles are kept, for the layers that are measured on them one after another.
_KEPT_BLOCKS = 4


class TileCells(NamedTuple):
    """The cells of each tile, as kernels read them.

    A block keeps the centres of its columns and rows, and where each tile begins. Cells
    that lie anywhere keep their centres one by one, tile after tile.

    Parameters
    ----------
    easting, northing : ndarray of float64
        In metres: of a block's columns, shape (n_cols,), and rows, shape (n_rows,); or
        of the cells, shape (n_cells,).
    row, col : ndarray of int64, shape (n_tiles,)
        First row and column of each tile of a block; else empty.
    first : ndarray of int64, shape (n_tiles + 1,)
        Where each tile's cells start; for a block empty.
    order : ndarray of int64, shape (n_cells,)
        Place, in the caller's order, of each cell; for a block empty.
    """

    easting: FloatArray
    northing: FloatArray
    row: IndexArray
    col: IndexArray
    first: IndexArray
    order: IndexArray


class TileTree(NamedTuple):
    """The tree above the tiles: root first, level by level, the tiles last.

    Parameters
    ----------
    boxes : ndarray of float64, shape (n_nodes, 4)
        West, south, east, north of the cell centres below each node.
    first_child : ndarray of int64, shape (n_nodes - n_tiles + 1,)
        Where the children of each node that is no tile start; they lie together.
    tiles : ndarray of int64, shape (n_nodes, 2)
        First tile below each node, and the one after the last.
    """

    boxes: FloatArray
    first_child: IndexArray
    tiles: IndexArray


@dataclass(frozen=True)
class CellTiles:
    """Cell centres gathered in small square tiles, neighbouring tiles close together.

    Parameters
    ----------
    cells : TileCells
        The cells of each tile.
    tree : TileTree
        The boxes of the tiles and of the nodes above them.
    n_cells : int
        Number of cells.
    cell_size_m : float
        Side of the cells.
    """

    cells: TileCells
    tree: TileTree
    n_cells: int
    cell_size_m: float

    def __len__(self) -> int:
        return self.n_cells

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return max(len(self.cells.row), len(self.cells.first) - 1)

    @property
    def boxes(self) -> FloatArray:
        """West, south, east, north of each tile's cell centres, shape (n_tiles, 4)."""
        return self.tree.boxes[len(self.tree.boxes) - self.n_tiles :]

    def tile_of(self, cell: IndexArray) -> IndexArray:
        """Return the number of the tile that holds each of the cells (caller's order)."""
        cells = self.cells
        if len(cells.row):
            n_cols = len(cells.easting)
            across = -(-n_cols // TILE_CELLS)
            number = np.empty(self.n_tiles, np.int64)
            number[cells.row // TILE_CELLS * across + cells.col // TILE_CELLS] = np.arange(
                self.n_tiles
            )
            row, col = np.divmod(cell, n_cols)
            found: IndexArray = number[row // TILE_CELLS * across + col // TILE_CELLS]
            return found
        tile = np.empty(self.n_cells, np.int64)
        tile[cells.order] = np.repeat(np.arange(self.n_tiles), np.diff(cells.first))
        return tile[cell]


@lru_cache(maxsize=_KEPT_BLOCKS)
def tiles_of_grid(grid: SurveyGrid) -> CellTiles:
    """Gather the cells of a block; the caller's order is row by row."""
    down, across = -(-grid.n_rows // TILE_CELLS), -(-grid.n_cols // TILE_CELLS)
    tile_row, tile_col = np.divmod(np.arange(down * across), across)
    codes = _morton(tile_row, tile_col)
    sequence = np.argsort(codes)
    row, col = tile_row[sequence] * TILE_CELLS, tile_col[sequence] * TILE_CELLS
    easting, northing = grid.eastings(), grid.northings()
    last_row = np.minimum(row + TILE_CELLS, grid.n_rows) - 1
    last_col = np.minimum(col + TILE_CELLS, grid.n_cols) - 1
    boxes = np.stack([easting[col], northing[last_row], easting[last_col], northing[row]], axis=1)
    none = np.empty(0, np.int64)
    cells = TileCells(easting, northing, row, col, none, none)
    return CellTiles(cells, _tree(codes[sequence], boxes), grid.n_cells, float(grid.cell_size_m))


def tiles_of_points(easting: FloatArray, northing: FloatArray, cell_size_m: float) -> CellTiles:
    """Gather cells that lie anywhere, in any order.

    Parameters
    ----------
    easting, northing : ndarray of float64, shape (n_cells,)
        Cell centres in metres.
    cell_size_m : float
        Side of the cells; only sets the size of the tiles.
    """
    side_m = TILE_CELLS * cell_size_m
    row = np.floor(northing / side_m).astype(np.int64)
    col = np.floor(easting / side_m).astype(np.int64)
    codes = _morton(row - row.min(initial=0), col - col.min(initial=0))
    order = np.argsort(codes, kind="stable")
    first = _starts(codes[order])
    east, north, none = easting[order], northing[order], np.empty(0, np.int64)
    cells = TileCells(east, north, none, none, np.append(first, len(order)), order)
    if len(order) == 0:
        boxes = np.empty((0, 4))
    else:
        low = [np.minimum.reduceat(values, first) for values in (east, north)]
        high = [np.maximum.reduceat(values, first) for values in (east, north)]
        boxes = np.stack([*low, *high], axis=1)
    return CellTiles(cells, _tree(codes[order][first], boxes), len(order), float(cell_size_m))


def _starts(codes: IndexArray) -> IndexArray:
    """Return where each tile starts: where the code changes, or a tile would be too full."""
    position = np.arange(len(codes))
    new = np.flatnonzero(np.diff(codes, prepend=-1))
    in_run = position - np.repeat(new, np.diff(np.append(new, len(codes))))
    return np.flatnonzero(in_run % TILE_SIZE == 0)


def _tree(codes: IndexArray, boxes: FloatArray) -> TileTree:
    """Return the tree above tiles, whose Morton codes ascend."""
    tiles = np.arange(len(codes))[:, None] + [0, 1]
    levels, children = [(boxes, tiles)], []
    while len(codes) > 1:
        codes = codes >> 2
        first = np.flatnonzero(np.diff(codes, prepend=-1))
        if len(first) == len(codes):
            continue
        codes = codes[first]
        last = np.append(first[1:], len(boxes)) - 1
        tiles = np.stack([tiles[first, 0], tiles[last, 1]], axis=1)
        low = np.minimum.reduceat(boxes[:, :2], first)
        boxes = np.concatenate([low, np.maximum.reduceat(boxes[:, 2:], first)], axis=1)
        levels.append((boxes, tiles))
        children.append(first)
    n_nodes, starts = 0, []
    for (level, _), first in zip(levels[:0:-1], children[::-1], strict=True):
        n_nodes += len(level)
        starts.append(n_nodes + first)
    starts.append(np.array([n_nodes + len(levels[0][0])]))
    return TileTree(
        np.concatenate([level for level, _ in levels[::-1]]),
        np.concatenate(starts),
        np.concatenate([below for _, below in levels[::-1]]),
    )


def _morton(row: IndexArray, col: IndexArray) -> IndexArray:
    """Interleave the bits of rows and columns (Morton 1966), each below 2³¹."""
    return (_spread(row.astype(np.int64)) << 1) | _spread(col.astype(np.int64))


def _spread(number: IndexArray) -> IndexArray:
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        number = (number | (number << shift)) & mask
    return number


@njit(cache=True, nogil=True)
def load_tile(cells: TileCells, tile: int, east: FloatArray, north: FloatArray) -> None:
    """Write the cell centres of a tile to `east` and `north`, of :data:`TILE_SIZE` places."""
    if len(cells.row) == 0:
        start, last = cells.first[tile], cells.first[tile + 1] - 1
        for k in range(TILE_SIZE):
            east[k] = cells.easting[min(start + k, last)]
            north[k] = cells.northing[min(start + k, last)]
        return
    row, col = np.uint64(cells.row[tile]), np.uint64(cells.col[tile])
    last_row, last_col = np.uint64(len(cells.northing) - 1), np.uint64(len(cells.easting) - 1)
    whole = row + np.uint64(7) <= last_row and col + np.uint64(7) <= last_col
    for r in range(TILE_CELLS):
        northing = cells.northing[min(row + np.uint64(r), last_row)]
        for c in range(TILE_CELLS):
            k = r * TILE_CELLS + c
            north[k] = northing
            if whole:
                east[k] = cells.easting[col + np.uint64(c)]
            else:
                east[k] = cells.easting[min(col + np.uint64(c), last_col)]


@njit(cache=True, nogil=True)
def cell_at(cells: TileCells, tile: int, place: int) -> int:
    """Return which cell (caller's order) a place of a tile holds, -1 if none of its own."""
    if len(cells.row) == 0:
        k = cells.first[tile] + place
        return cells.order[k] if k < cells.first[tile + 1] else -1
    row, col = cells.row[tile] + place // TILE_CELLS, cells.col[tile] + place % TILE_CELLS
    n_cols = len(cells.easting)
    return row * n_cols + col if row < len(cells.northing) and col < n_cols else -1


@njit(cache=True, nogil=True)
def store_tile(cells: TileCells, tile: int, values: NDArray[Any], result: NDArray[Any]) -> None:
    """Write the values of a tile's places to where its cells are in `result`."""
    if len(cells.row) == 0:
        start = cells.first[tile]
        for k in range(cells.first[tile + 1] - start):
            result[cells.order[start + k]] = values[k]
        return
    n_cols = len(cells.easting)
    rows = min(TILE_CELLS, len(cells.northing) - cells.row[tile])
    cols = min(TILE_CELLS, n_cols - cells.col[tile])
    for r in range(rows):
        start = np.uint64((cells.row[tile] + r) * n_cols + cells.col[tile])
        if cols == TILE_CELLS:
            for c in range(TILE_CELLS):
                result[start + np.uint64(c)] = values[r * TILE_CELLS + c]
        else:
            for c in range(cols):
                result[start + np.uint64(c)] = values[r * TILE_CELLS + c]


@njit(cache=True, nogil=True)
def fill_tile(cells: TileCells, tile: int, value: float, result: NDArray[Any]) -> None:
    """Write one value to where a tile's cells are in `result`."""
    if len(cells.row) == 0:
        for k in range(cells.first[tile], cells.first[tile + 1]):
            result[cells.order[k]] = value
        return
    n_cols = len(cells.easting)
    cols = min(TILE_CELLS, n_cols - cells.col[tile])
    for row in range(cells.row[tile], min(cells.row[tile] + TILE_CELLS, len(cells.northing))):
        start = np.uint64(row * n_cols + cells.col[tile])
        for c in range(cols):
            result[start + np.uint64(c)] = value
