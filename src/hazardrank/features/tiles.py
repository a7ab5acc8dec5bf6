"""Cells gathered in small square tiles: the unit in which distances are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.segments import FloatArray, IndexArray
from hazardrank.grid import SurveyGrid

Value = TypeVar("Value", bound=np.generic)

#: Side of a tile in cells.
TILE_CELLS = 8


@dataclass(frozen=True)
class CellTiles:
    """Cell centres gathered in small square tiles, tiles in Morton order.

    Parameters
    ----------
    order : ndarray of int64, shape (n_cells,)
        Position, in the caller's order, of each cell here.
    easting, northing : ndarray of float64, shape (n_cells,)
        Cell centres in metres, tile by tile.
    first : ndarray of int64, shape (n_tiles + 1,)
        Where each tile's cells start.
    codes : ndarray of int64, shape (n_tiles,)
        Morton codes of the tiles, ascending.
    boxes : ndarray of float64, shape (n_tiles, 4)
        West, south, east, north of each tile's cell centres.
    """

    order: IndexArray
    easting: FloatArray
    northing: FloatArray
    first: IndexArray
    codes: IndexArray
    boxes: FloatArray

    def __len__(self) -> int:
        return len(self.order)

    @property
    def largest(self) -> int:
        """Number of cells of the largest tile."""
        return int(np.diff(self.first).max(initial=0))

    def restored(self, values: NDArray[Value]) -> NDArray[Value]:
        """Return values, one a cell on the last axis, in the caller's order of cells."""
        result = np.empty_like(values)
        _scatter(np.atleast_2d(values), self.order, np.atleast_2d(result))
        return result


@njit(cache=True, nogil=True)
def _scatter(values, order, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for row in range(len(values)):
        for k in range(len(order)):
            result[row, order[k]] = values[row, k]


def tiles_of_grid(grid: SurveyGrid) -> CellTiles:
    """Gather the cells of a block; the caller's order is row by row."""
    tile_rows = -(-grid.n_rows // TILE_CELLS)
    tile_cols = -(-grid.n_cols // TILE_CELLS)
    row, col = np.divmod(np.arange(tile_rows * tile_cols), tile_cols)
    codes = _morton(row, col)
    sequence = np.argsort(codes, kind="stable")
    order, first = _tile_order(row[sequence], col[sequence], grid.n_rows, grid.n_cols)
    easting = grid.eastings()[order % grid.n_cols]
    northing = grid.northings()[order // grid.n_cols]
    return _tiles(order, easting, northing, first, codes[sequence])


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
    tile_codes, first = np.unique(codes[order], return_index=True)
    first = np.append(first, len(order)).astype(np.int64)
    return _tiles(order, easting[order], northing[order], first, tile_codes)


def _tiles(
    order: IndexArray,
    easting: FloatArray,
    northing: FloatArray,
    first: IndexArray,
    codes: IndexArray,
) -> CellTiles:
    if len(order) == 0:
        return CellTiles(order, easting, northing, first, codes, np.empty((0, 4)))
    starts = first[:-1]
    boxes = np.stack(
        [
            np.minimum.reduceat(easting, starts),
            np.minimum.reduceat(northing, starts),
            np.maximum.reduceat(easting, starts),
            np.maximum.reduceat(northing, starts),
        ],
        axis=1,
    )
    return CellTiles(order, easting, northing, first, codes, boxes)


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
def _tile_order(
    tile_row: IndexArray, tile_col: IndexArray, n_rows: int, n_cols: int
) -> tuple[IndexArray, IndexArray]:
    order = np.empty(n_rows * n_cols, np.int64)
    first = np.empty(len(tile_row) + 1, np.int64)
    n = 0
    for tile in range(len(tile_row)):
        first[tile] = n
        row, col = tile_row[tile] * TILE_CELLS, tile_col[tile] * TILE_CELLS
        for r in range(row, min(row + TILE_CELLS, n_rows)):
            for c in range(col, min(col + TILE_CELLS, n_cols)):
                order[n] = r * n_cols + c
                n += 1
    first[len(tile_row)] = n
    return order, first
