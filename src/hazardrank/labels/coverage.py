"""How much of each cell a set of record polygons covers, exactly and whatever the tiling.

Every area comes from clipping one polygon with one cell, so it depends on those two
alone and never on the block in which the cell was met. Large polygons are first cut
along a lattice of cells that is fixed to the CRS origin; a cell lies in one tile of it,
so cutting changes the cost and not the answer. (A raster-walking algorithm such as
exactextract's carries rounding from cell to cell, so its last bits depend on the window;
the tests hold these areas against it.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.grid import SurveyGrid
from hazardrank.grid.prepared_shapes import PreparedShapes

Geometries = NDArray[np.object_]

#: Side in cells of the lattice tiles that large polygons are cut into.
TILE_CELLS = 64
#: Polygons with more vertices than this are cut, so that clipping a cell stays cheap.
MAX_VERTICES = 256
#: Cell–polygon pairs clipped in one go; bounds the memory of a block.
PAIRS_AT_ONCE = 65_536


@dataclass(frozen=True)
class CoveredCells:
    """Pairs of a record and a cell it covers in part or whole, sorted by cell and record.

    All arrays have shape (n_pairs,).

    Parameters
    ----------
    cell : ndarray of int64
        Flat index of the cell in the block (row × columns + column).
    record : ndarray of int64
        Position of the record among the shapes.
    area_m2 : ndarray of float64
        Covered area, above 0.
    piece : ndarray of int64
        The piece of the record that covers the cell; -1 where the cell is covered whole.
    """

    cell: NDArray[np.int64]
    record: NDArray[np.int64]
    area_m2: NDArray[np.float64]
    piece: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cell)


class RecordShapes:
    """Polygons of records, prepared for asking which cells they cover, from any thread.

    Parameters
    ----------
    polygons : ndarray of geometry, shape (n_records,)
        Valid polygons or multipolygons in a grid's CRS; empty ones cover nothing.
    cell_size_m : int
        Side of the cells that will be asked for.
    """

    def __init__(self, polygons: Geometries, cell_size_m: int) -> None:
        self.cell_size_m = cell_size_m
        self.pieces, self.record = _cut(polygons, cell_size_m)
        self._prepared = PreparedShapes(self.pieces)
        self.tree = shapely.STRtree(self.pieces)

    def covered(self, grid: SurveyGrid) -> CoveredCells:
        """Return which cells of a block the records cover, and by how much.

        Parameters
        ----------
        grid : SurveyGrid
            The block; its cell size must be the one given at construction.
        """
        touching = np.sort(self.tree.query(shapely.box(*grid.bounds)))
        found = [
            self._clip(grid, piece, row, col)
            for piece, row, col in _candidates(grid, self.pieces, touching)
        ]
        if not found:
            nothing = np.empty(0, np.int64)
            return CoveredCells(nothing, nothing, np.empty(0), nothing)
        cell, piece, area_m2, whole = (np.concatenate(part) for part in zip(*found, strict=True))
        record = self.record[piece]
        order = np.lexsort((record, cell))
        piece = np.where(whole, -1, piece)
        return CoveredCells(cell[order], record[order], area_m2[order], piece[order])

    def union_area_m2(self, grid: SurveyGrid, cell: int, pieces: NDArray[np.int64]) -> float:
        """Return the area of one cell that several pieces cover together.

        Parameters
        ----------
        grid : SurveyGrid
            The block.
        cell : int
            Flat index of the cell.
        pieces : ndarray of int64
            Pieces as in :class:`CoveredCells`; -1 covers the whole cell.
        """
        if (pieces < 0).any():
            return grid.cell_area_m2
        square = _squares(grid, *np.divmod(np.array([cell]), grid.n_cols))[0]
        return float(shapely.union_all(shapely.intersection(self.pieces[pieces], square)).area)

    def _clip(
        self,
        grid: SurveyGrid,
        piece: NDArray[np.int64],
        row: NDArray[np.int64],
        col: NDArray[np.int64],
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return cell, piece, area and "whole" of the candidate pairs that really overlap."""
        squares = _squares(grid, row, col)
        geometry = self._prepared.here()[piece]
        whole = shapely.covers(geometry, squares)
        partly = ~whole
        partly[partly] = shapely.intersects(geometry[partly], squares[partly])
        area_m2 = np.where(whole, grid.cell_area_m2, 0.0)
        area_m2[partly] = shapely.area(shapely.intersection(geometry[partly], squares[partly]))
        keep = area_m2 > 0
        return row[keep] * grid.n_cols + col[keep], piece[keep], area_m2[keep], whole[keep]


def _squares(grid: SurveyGrid, row: NDArray[Any], col: NDArray[Any]) -> Geometries:
    west_m = ((grid.west_cell + col) * grid.cell_size_m).astype(float)
    north_m = ((grid.north_cell - row) * grid.cell_size_m).astype(float)
    size_m = float(grid.cell_size_m)
    squares: Geometries = shapely.box(west_m, north_m - size_m, west_m + size_m, north_m)
    return squares


def _candidates(
    grid: SurveyGrid, pieces: Geometries, touching: NDArray[np.int64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Return (piece, row, column) of the cells in each piece's bounds, in bounded chunks."""
    if len(touching) == 0:
        return []
    west, south, east, north = shapely.bounds(pieces[touching]).T / grid.cell_size_m
    first_col = np.clip(np.floor(west) - grid.west_cell, 0, grid.n_cols).astype(np.int64)
    last_col = np.clip(np.ceil(east) - grid.west_cell, 0, grid.n_cols).astype(np.int64)
    first_row = np.clip(grid.north_cell - np.ceil(north), 0, grid.n_rows).astype(np.int64)
    last_row = np.clip(grid.north_cell - np.floor(south), 0, grid.n_rows).astype(np.int64)
    width, height = last_col - first_col, last_row - first_row
    n_pairs = width * height
    chunk = np.cumsum(n_pairs) // PAIRS_AT_ONCE
    chunks = []
    for number in np.unique(chunk[n_pairs > 0]):
        these = np.flatnonzero((chunk == number) & (n_pairs > 0))
        owner = np.repeat(these, n_pairs[these])
        start = np.cumsum(n_pairs[these]) - n_pairs[these]
        within = np.arange(len(owner)) - np.repeat(start, n_pairs[these])
        down, across = np.divmod(within, width[owner])
        chunks.append((touching[owner], first_row[owner] + down, first_col[owner] + across))
    return chunks


def _cut(polygons: Geometries, cell_size_m: int) -> tuple[Geometries, NDArray[np.int64]]:
    """Return the pieces of all polygons and the polygon each piece belongs to."""
    pieces: list[Any] = []
    owner: list[int] = []
    for number, polygon in enumerate(polygons):
        if polygon is None or polygon.is_empty or polygon.area == 0:
            continue
        parts = _tiles(polygon, TILE_CELLS * cell_size_m)
        pieces.extend(parts)
        owner.extend([number] * len(parts))
    array = np.empty(len(pieces), dtype=object)
    array[:] = pieces
    return array, np.array(owner, np.int64)


def _tiles(polygon: Any, tile_m: int) -> list[Any]:
    """Return the polygon, halved along lattice lines until its pieces are small."""
    west, south, east, north = (float(edge) for edge in polygon.bounds)
    n_across = int(np.ceil(east / tile_m) - np.floor(west / tile_m))
    n_up = int(np.ceil(north / tile_m) - np.floor(south / tile_m))
    small = shapely.get_num_coordinates(polygon) <= MAX_VERTICES and max(n_across, n_up) <= 2
    if small or max(n_across, n_up) <= 1:
        return [polygon]
    if n_across >= n_up:
        middle = (np.floor(west / tile_m) + n_across // 2) * tile_m
        halves = (west - 1, south - 1, middle, north + 1), (middle, south - 1, east + 1, north + 1)
    else:
        middle = (np.floor(south / tile_m) + n_up // 2) * tile_m
        halves = (west - 1, south - 1, east + 1, middle), (west - 1, middle, east + 1, north + 1)
    parts = [_polygonal(shapely.intersection(polygon, shapely.box(*half))) for half in halves]
    return [tile for part in parts if not part.is_empty for tile in _tiles(part, tile_m)]


def _polygonal(geometry: Any) -> Any:
    """Return the polygons of a geometry, without the lines and points of mere touching."""
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts)
