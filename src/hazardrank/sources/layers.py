"""How everything above reads a region's layers: by key, for any block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from hazardrank.grid import Bounds, SurveyGrid
from hazardrank.settings import LayerSettings

#: Class that counts every code the catalogue does not name.
OTHER_CLASS = "other"


class LayerReader(Protocol):
    """The layers of a region, read a block at a time and never whole.

    Values do not depend on how the region is cut into blocks. Blocks may reach beyond
    the region (halos): what the layer's file holds there is returned.
    """

    @property
    def grid(self) -> SurveyGrid:
        """The whole region's survey grid."""

    @property
    def catalogue(self) -> Mapping[str, LayerSettings]:
        """The layers by key."""

    def continuous(self, key: str, grid: SurveyGrid) -> NDArray[np.float32]:
        """Return a continuous raster on `grid`, shape (rows, cols), NaN where missing."""

    def class_names(self, key: str) -> tuple[str, ...]:
        """Return the class names of a categorical raster in code order, ``other`` last."""

    def fractions(self, key: str, grid: SurveyGrid) -> NDArray[np.float32]:
        """Return the share of each cell each class covers, shape (n_classes, rows, cols).

        Shares refer to the part of the cell that has data; NaN where it has none.
        """

    def vectors(self, key: str, bounds: Bounds) -> gpd.GeoDataFrame:
        """Return the features that touch `bounds` (metres, region's CRS), whole, in file order.

        Geometries are valid, non-empty and in the region's CRS. Columns are our words
        (``class``, ``start``, ``end``, ``side``, ``people`` …) as far as the catalogue
        maps them; dates are ``datetime64``, unknown ``NaT``.
        """

    def inside(self, grid: SurveyGrid) -> NDArray[np.bool_]:
        """Return which cells' centres lie in the area of interest, shape (rows, cols)."""


def all_class_names(layer: LayerSettings) -> tuple[str, ...]:
    """Return a categorical layer's class names in code order, ``other`` last."""
    names = [layer.classes[code] for code in sorted(layer.classes)]
    return (*dict.fromkeys(names), OTHER_CLASS)
