"""Crossings: where two kinds of lines meet (roads × rivers), and bridges.

.. code-block:: yaml

    features:
      crossings:
        family: crossings
        layer: roads
        across: rivers
        bridges: bridges           # optional layer of points or lines
        cap_m: 20000               # → crossings_distance_m, crossings_bridge_distance_m
        radii_m: [2000]            # optional → crossings_2000m_per_km2
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.features.base import FeatureFamily, FeatureSpec, FloatBlock
from hazardrank.features.discs import (
    counting_grid,
    fill_count_per_km2,
    inside_region,
    points_of_cells,
)
from hazardrank.features.distance import fill_distances
from hazardrank.features.focal import RadiusM
from hazardrank.features.segments import grown, metres_word, require_kind, segments_of
from hazardrank.features.tiles import tiles_of_grid
from hazardrank.grid import Bounds, SurveyGrid
from hazardrank.settings import FamilySettings, Key, LayerSettings, PositiveMetres
from hazardrank.sources.layers import LayerReader


class CrossingsSettings(FamilySettings):
    """Settings of the crossings family."""

    layer: Key
    """Layer of lines, such as roads."""
    across: Key
    """Layer of lines or polygons that they cross, such as rivers."""
    bridges: Key | None = None
    """Layer of bridges (points or lines), if there is one."""
    cap_m: PositiveMetres = 20_000.0
    """Largest distance reported; also the value where nothing lies within it."""
    radii_m: tuple[RadiusM, ...] = ()
    """Also count crossings per km² within these radii (whole metres, at least one cell)."""


class CrossingsFamily(FeatureFamily[CrossingsSettings]):
    """Distance in metres to the nearest crossing and bridge; crossings per km².

    A crossing is where a feature of `layer` meets one of `across`; where they run
    together, the whole shared stretch (counted once, where
    it starts; places at the very same point count once). Polygons are met
    at their edge. Distances are exact and capped, never NaN; densities as in the density
    family. Source: the layers named.
    """

    name: ClassVar[str] = "crossings"
    settings_type: ClassVar[type[FamilySettings]] = CrossingsSettings

    def __init__(
        self, key: str, settings: CrossingsSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        require_kind(f"features.{key}.layer", self.catalogue[settings.layer], "lines")
        require_kind(f"features.{key}.across", self.catalogue[settings.across], "lines", "polygons")
        if settings.bridges is not None:
            bridges = self.catalogue[settings.bridges]
            require_kind(f"features.{key}.bridges", bridges, "points", "lines")

    @property
    def needs(self) -> tuple[str, ...]:
        """Catalogue keys of the layers the family reads."""
        layers = (self.settings.layer, self.settings.across, self.settings.bridges)
        return tuple(layer for layer in layers if layer is not None)

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """Distance to a crossing, to a bridge if asked for, and densities."""
        settings = self.settings
        where = f"where {settings.layer} meets {settings.across}"
        specs = [
            self.spec("distance_m", "m", settings.layer, f"Distance to the nearest place {where}.")
        ]
        if settings.bridges is not None:
            text = f"Distance to the nearest of {settings.bridges}."
            specs.append(self.spec("bridge_distance_m", "m", settings.bridges, text))
        for radius_m in settings.radii_m:
            text = f"Places {where} per km² within {radius_m} m."
            suffix = f"{metres_word(radius_m)}_per_km2"
            specs.append(self.spec(suffix, "1/km²", settings.layer, text))
        return tuple(specs)

    @property
    def halo_m(self) -> float:
        """How far around a block the family reads, in metres."""
        return max(self.settings.cap_m, *map(float, self.settings.radii_m), 0.0)

    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute distances and densities of a block, shape (n_features, rows, cols)."""
        settings = self.settings
        bounds = grown(grid.bounds, self.halo_m)
        places = self._places(bounds, layers)
        tiles, result = tiles_of_grid(grid), np.empty((len(self.specs), *grid.shape), np.float32)
        fill_distances(tiles, segments_of(places), settings.cap_m, result[0].reshape(-1))
        if settings.bridges is not None:
            bridges = segments_of(layers.vectors(settings.bridges, bounds).geometry.to_numpy())
            fill_distances(tiles, bridges, settings.cap_m, result[1].reshape(-1))
        if settings.radii_m:
            outer = counting_grid(grid, settings.radii_m)
            starts = _starts(places)
            count = points_of_cells(outer, starts[:, 0], starts[:, 1])
            densities = result[len(result) - len(settings.radii_m) :]
            inside = inside_region(outer, layers)
            fill_count_per_km2(count, inside, grid, settings.radii_m, densities)
        return result

    def _places(self, bounds: Bounds, layers: LayerReader) -> NDArray[np.object_]:
        """Return where whole features meet: points, and the lines they share."""
        lines = layers.vectors(self.settings.layer, bounds).geometry.to_numpy()
        across = layers.vectors(self.settings.across, bounds).geometry.to_numpy()
        polygons = shapely.get_dimensions(across) == 2
        across = np.where(polygons, shapely.boundary(across), across)
        line, other = shapely.STRtree(across).query(lines, predicate="intersects")
        met = shapely.get_parts(shapely.intersection(lines[line], across[other]))
        parts: NDArray[np.object_] = shapely.get_parts(met)
        return parts


def _starts(places: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return one point for each distinct place, shape (n_places, 2): its first vertex."""
    coordinates, place = shapely.get_coordinates(places, return_index=True)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    distinct: NDArray[np.float64] = np.unique(coordinates[first], axis=0)
    return distinct
