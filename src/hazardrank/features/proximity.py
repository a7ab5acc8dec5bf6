"""Proximity: exact distance from cell centres to the nearest feature of a vector layer.

.. code-block:: yaml

    features:
      roads:                       # prefix of the feature names
        family: proximity
        layer: roads               # key of a layer of points, lines or polygons
        classes: [main, track]     # → roads_main_distance_m, roads_track_distance_m
        cap_m: 20000
      abandoned:
        family: proximity
        layer: settlements
        where: {status: [abandoned]}   # → abandoned_distance_m
      forest_edge:
        family: proximity
        layer: forest
        signed: true               # negative inside polygons
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.features.base import FeatureFamily, FeatureSpec, FloatBlock
from hazardrank.features.cover import inside_of_block
from hazardrank.features.distance import fill_distances
from hazardrank.features.segments import (
    chosen,
    class_words,
    grown,
    require_kind,
    segments_of,
)
from hazardrank.features.tiles import tiles_of_grid
from hazardrank.grid import SurveyGrid
from hazardrank.settings import FamilySettings, Key, LayerSettings, PositiveMetres
from hazardrank.sources.layers import LayerReader


class ProximitySettings(FamilySettings):
    """Settings of the proximity family."""

    layer: Key
    """Layer of points, lines or polygons."""
    classes: list[str] = Field(default_factory=list)
    """One feature for each of these values of the layer's `class` column; empty: one
    feature for all features together."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only features whose columns (our words) hold one of these values."""
    cap_m: PositiveMetres = 20_000.0
    """Largest distance reported; also the value where nothing lies within it."""
    signed: bool = False
    """Polygons only: distances inside are negative. Otherwise the distance to the edge is
    positive on both sides of it."""


class ProximityFamily(FeatureFamily[ProximitySettings]):
    """Distance to the nearest point, line or polygon edge, in metres.

    Equal to shapely's distance to rounding (≤ 1e-6 m in float64, then stored as float32),
    capped at ``cap_m`` and never NaN. Source: the vector layer named.
    """

    name: ClassVar[str] = "proximity"
    settings_type: ClassVar[type[FamilySettings]] = ProximitySettings

    def __init__(
        self, key: str, settings: ProximitySettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        kinds = ("polygons",) if settings.signed else ("points", "lines", "polygons")
        require_kind(f"features.{key}", self.catalogue[settings.layer], *kinds)
        self._words = class_words(settings.classes, f"features.{key}.classes")

    @property
    def needs(self) -> tuple[str, ...]:
        """Catalogue keys of the layers the family reads."""
        return (self.settings.layer,)

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """One distance for each class, or one for all."""
        layer = self.settings.layer
        what = f"Distance to the nearest feature of {layer}"
        if not self._words:
            return (self.spec("distance_m", "m", layer, f"{what}."),)
        return tuple(
            self.spec(f"{word}_distance_m", "m", layer, f"{what}, class {name}.")
            for name, word in self._words.items()
        )

    @property
    def halo_m(self) -> float:
        """How far around a block the family reads, in metres."""
        return self.settings.cap_m

    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute the distances of a block, shape (n_features, rows, cols), in metres."""
        settings, path = self.settings, f"features.{self.key}"
        table = layers.vectors(settings.layer, grown(grid.bounds, settings.cap_m))
        keep = chosen(table, settings.where, f"{path}.where")
        segments = segments_of(table.geometry.to_numpy())
        tiles, result = tiles_of_grid(grid), np.empty((len(self.specs), *grid.shape), np.float32)
        for number, of_class in enumerate(self._choices(table, keep)):
            part = segments.of_features(of_class)
            distance_m = result[number].reshape(-1)
            fill_distances(tiles, part, settings.cap_m, distance_m)
            if settings.signed:
                inside = inside_of_block(grid, part)
                np.subtract(0, result[number], out=result[number], where=inside)
        return result

    def _choices(self, table: gpd.GeoDataFrame, keep: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        if not self._words:
            return [keep]
        path = f"features.{self.key}.classes"
        return [keep & chosen(table, {"class": [name]}, path) for name in self._words]
