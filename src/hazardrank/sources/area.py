"""The area of interest: which cells of the survey grid a region is about."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.grid import SurveyGrid
from hazardrank.grid.prepared_shapes import PreparedShapes


class Area:
    """The cells of a grid whose centre lies in the area of interest.

    Several threads may ask at once.

    Parameters
    ----------
    grid : SurveyGrid
        The region's grid; cells outside it are outside the area.
    polygons : shapely geometry or None
        The area in the grid's CRS; the whole grid when ``None``. Its edge belongs to it.
    """

    def __init__(self, grid: SurveyGrid, polygons: shapely.Geometry | None = None) -> None:
        self._grid = grid
        self.polygons = polygons
        self._prepared = PreparedShapes(polygons)

    def inside(self, grid: SurveyGrid) -> NDArray[np.bool_]:
        """Return which cells' centres lie in the area, shape (rows, cols).

        Raises
        ------
        GridError
            If `grid` does not nest in the region's grid.
        """
        row, col = grid.offset_in(self._grid)
        rows, cols = row + np.arange(grid.n_rows), col + np.arange(grid.n_cols)
        in_rows = (rows >= 0) & (rows < self._grid.n_rows)
        in_cols = (cols >= 0) & (cols < self._grid.n_cols)
        inside: NDArray[np.bool_] = in_rows[:, None] & in_cols[None, :]
        if self.polygons is None or not inside.any():
            return inside
        block, polygons = shapely.box(*grid.bounds), self._prepared.here()
        if not shapely.intersects(polygons, block):
            return np.zeros(grid.shape, bool)
        if shapely.contains_properly(polygons, block):
            return inside
        easting, northing = np.meshgrid(grid.eastings(), grid.northings())
        return inside & shapely.intersects_xy(polygons, easting, northing)
