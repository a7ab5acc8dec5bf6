"""Outlines of clearance tasks: their cells' squares, dissolved."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes

from hazardrank.priority.tasks import Tasks


def outlines(tasks: Tasks) -> NDArray[np.object_]:
    """Return the outline of each task in the grid's CRS.

    Returns
    -------
    ndarray of shapely polygons, shape (n_tasks,)
        Valid polygons with holes where other land lies inside. Their edges are those of the
        cells, so that neighbours share them exactly and areas add up.
    """
    found = np.full(len(tasks), None, dtype=object)
    inside = tasks.labels >= 0
    parts = shapes(tasks.labels, mask=inside, connectivity=4, transform=tasks.grid.transform)
    for part, number in parts:
        shell, *holes = part["coordinates"]
        found[int(number)] = shapely.Polygon(shell, holes)
    return found
