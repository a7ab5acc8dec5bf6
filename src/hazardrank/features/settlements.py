"""Settlements: how near people live, and how many of them.

.. code-block:: yaml

    features:
      settlements:
        family: settlements
        layer: settlements             # points or polygons; column `people` or `households`
        where: {status: [inhabited]}   # optional
        cap_m: 20000                   # → settlements_distance_m
        population: people             # → settlements_gravity_people; null: distance only
        d0_m: 1000
        beta: 2
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.features.base import FeatureFamily, FeatureSpec, FloatBlock
from hazardrank.features.cover import inside_of_block
from hazardrank.features.distance import fill_distances
from hazardrank.features.gravity import fill_gravity
from hazardrank.features.segments import (
    chosen,
    grown,
    require_column,
    require_kind,
    segments_of,
)
from hazardrank.features.tiles import tiles_of_grid
from hazardrank.grid import SurveyGrid
from hazardrank.settings import FamilySettings, Key, LayerSettings, PositiveMetres
from hazardrank.sources.layers import LayerReader


class SettlementsSettings(FamilySettings):
    """Settings of the settlements family."""

    layer: Key
    """Layer of settlements: points, or polygons."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only settlements whose columns (our words) hold one of these values."""
    cap_m: PositiveMetres = 20_000.0
    """Largest distance reported, and how far people count."""
    population: Literal["people", "households"] | None = "people"
    """Column that is weighed by distance; empty: only the distance is computed."""
    d0_m: PositiveMetres = 1000.0
    """Distance added to every distance, so that a settlement at the cell counts finitely."""
    beta: Annotated[float, Field(ge=0.5, le=4, multiple_of=0.5)] = 2.0
    """How fast people count less with distance; a multiple of a half."""


class SettlementsFamily(FeatureFamily[SettlementsSettings]):
    """Distance to the nearest settlement (m), and gravity-weighted population (people).

    The distance is to the point or polygon (0 inside), exact, capped, never NaN. The weighted
    population is ``Σ people · (d0 / (d + d0))^beta`` over settlements within the cap,
    *d* to the point or the polygon's centroid: the population potential of Stewart (1947),
    scaled by ``d0^beta`` so that people at the cell itself count in full. A settlement of
    unknown population adds nothing. How exact it is: :mod:`hazardrank.features.gravity`.
    Source: the layer named.
    """

    name: ClassVar[str] = "settlements"
    settings_type: ClassVar[type[FamilySettings]] = SettlementsSettings

    def __init__(
        self, key: str, settings: SettlementsSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        require_kind(f"features.{key}", self.catalogue[settings.layer], "points", "polygons")

    @property
    def needs(self) -> tuple[str, ...]:
        """Catalogue keys of the layers the family reads."""
        return (self.settings.layer,)

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """Distance, and weighted population if asked for."""
        settings = self.settings
        text = f"Distance to the nearest of {settings.layer}."
        specs = [self.spec("distance_m", "m", settings.layer, text)]
        if settings.population is not None:
            text = (
                f"{settings.population.capitalize()} of {settings.layer} within "
                f"{settings.cap_m:g} m, weighted by (d0 / (d + d0))^{settings.beta:g} with "
                f"d0 = {settings.d0_m:g} m."
            )
            unit = settings.population
            specs.append(self.spec(f"gravity_{unit}", unit, settings.layer, text))
        return tuple(specs)

    @property
    def halo_m(self) -> float:
        """How far around a block the family reads, in metres."""
        return self.settings.cap_m

    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute distance and weighted population of a block, (n_features, rows, cols)."""
        settings = self.settings
        table = layers.vectors(settings.layer, grown(grid.bounds, settings.cap_m))
        table = table[chosen(table, settings.where, f"features.{self.key}.where")]
        result = np.empty((len(self.specs), grid.n_cells), np.float32)
        segments = segments_of(table.geometry.to_numpy())
        fill_distances(tiles_of_grid(grid), segments, settings.cap_m, result[0])
        if self.catalogue[settings.layer].kind == "polygons":
            result[0, inside_of_block(grid, segments).reshape(-1)] = 0.0
        if settings.population is not None:
            self._gravity(grid, table, settings.population, result[1])
        return result.reshape(-1, *grid.shape)

    def _gravity(
        self, grid: SurveyGrid, table: gpd.GeoDataFrame, column: str, total: NDArray[np.float32]
    ) -> None:
        require_column(table, column, f"features.{self.key}.population")
        places = segments_of(shapely.centroid(table.geometry.to_numpy()))
        people = np.nan_to_num(table[column].to_numpy(dtype=float))[places.feature]
        settings = self.settings
        fill_gravity(
            tiles_of_grid(grid),
            places,
            people,
            settings.cap_m,
            settings.d0_m,
            settings.beta,
            total,
        )
