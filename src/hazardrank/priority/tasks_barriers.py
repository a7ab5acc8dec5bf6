"""Which neighbouring cells a road or river separates.

Two neighbours are separated if a line passes between their centres, that is, if it crosses
the straight way from one centre to the other. Whatever the way from cell to cell, it then
crosses no line: a task lies on one side of the road, as seen from the centres of its cells.
A cell that a line cuts in two belongs to the side of its centre. Of a polygon, such as a
wide river, the edge separates, so that cells in the river stay apart from both banks.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.features.segments import FloatArray, segments_of
from hazardrank.grid import SurveyGrid

#: Bits of a cell: cut off from its neighbour in the east, in the south.
EAST, SOUTH = 1, 2

#: Lines are moved by so much (metres east and north), so that none runs exactly through a
#: centre: of such a line it would be undefined on which side the cell lies.
_MOVED_M = (1e-3, 0.618e-3)


def barrier_edges(grid: SurveyGrid, geometries: NDArray[np.object_]) -> NDArray[np.uint8]:
    """Return the borders between cells that lines lie across.

    Parameters
    ----------
    grid : SurveyGrid
        The grid.
    geometries : ndarray of shapely geometries
        Lines or polygons in the grid's CRS.

    Returns
    -------
    ndarray of uint8, shape (rows, cols)
        Sum of :data:`EAST` and :data:`SOUTH` where the way from the cell's centre to that of
        its eastern, southern neighbour crosses a line.
    """
    blocked = np.zeros(grid.shape, np.uint8)
    if len(geometries):
        ends = segments_of(geometries).ends + np.tile(_MOVED_M, 2)
        # In cells from the centre of the first cell, to the east and to the south.
        places = np.empty_like(ends)
        places[:, 0::2] = (ends[:, 0::2] - grid.west_m) / grid.cell_size_m - 0.5
        places[:, 1::2] = (grid.north_m - ends[:, 1::2]) / grid.cell_size_m - 0.5
        _block(places, blocked)
    return blocked


@njit(cache=True, nogil=True)
def _block(places: FloatArray, blocked: NDArray[np.uint8]) -> None:
    n_rows, n_cols = blocked.shape
    for k in range(len(places)):
        u0, v0, u1, v1 = places[k]
        # Lines through centres from north to south that the segment crosses.
        first = max(int(np.floor(min(u0, u1))) + 1, 0)
        last = min(int(np.floor(max(u0, u1))), n_cols - 1)
        for col in range(first, last + 1):
            row = int(np.floor(v0 + (col - u0) / (u1 - u0) * (v1 - v0)))
            if 0 <= row < n_rows - 1:
                blocked[row, col] |= SOUTH
        first = max(int(np.floor(min(v0, v1))) + 1, 0)
        last = min(int(np.floor(max(v0, v1))), n_rows - 1)
        for row in range(first, last + 1):
            col = int(np.floor(u0 + (row - v0) / (v1 - v0) * (u1 - u0)))
            if 0 <= col < n_cols - 1:
                blocked[row, col] |= EAST
