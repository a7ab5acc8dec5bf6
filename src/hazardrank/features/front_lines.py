"""Front lines: how near, when and how long a dated line between forces ran by a cell.

.. code-block:: yaml

    features:
      front:
        family: front_lines
        layer: front_lines                # lines; columns `start`, `end`, optional `side`
        cap_m: 20000                      # → front_distance_m: nearest line of any date
        at: [1993-06-01, 2016-05-01]      # → front_19930601_distance_m, …
        radii_m: [500, 1000, 2000, 5000]  # → front_500m_held_years, front_500m_periods, …
        side: true                        # → front_signed_distance_m (needs `side`)
        elevation: elevation              # → front_slope_toward (needs an elevation raster)

A layer without dates takes ``radii_m: []`` and no ``at``.

A line counts from its first to its last day, both included. A line of which one day or
both are unknown counts for "any date" only: neither at given dates nor for years and
periods, which then say what is known, not what was.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import ClassVar

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.errors import FeatureError
from hazardrank.features.base import FeatureFamily, FeatureSpec, FloatBlock
from hazardrank.features.distance import fill_distances, fill_nearest
from hazardrank.features.periods import DAYS_PER_YEAR, fill_held_nearby
from hazardrank.features.segments import (
    FloatArray,
    IndexArray,
    Segments,
    chosen,
    grown,
    metres_word,
    require_column,
    require_kind,
    segments_of,
)
from hazardrank.features.sides import fill_facing, fill_signed
from hazardrank.features.tiles import tiles_of_grid
from hazardrank.grid import SurveyGrid
from hazardrank.settings import FamilySettings, Key, LayerSettings, PositiveMetres
from hazardrank.sources.layers import LayerReader

_SIDES = {"left": 1.0, "right": -1.0}


class FrontLinesSettings(FamilySettings):
    """Settings of the front_lines family."""

    layer: Key
    """Layer of lines with the columns `start` and `end` (dates), and `side` if known."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only lines whose columns (our words) hold one of these values."""
    cap_m: PositiveMetres = 20_000.0
    """Largest distance reported; also the value where nothing lies within it."""
    at: tuple[date, ...] = ()
    """Also the distance to the nearest line that stood at each of these dates."""
    radii_m: tuple[PositiveMetres, ...] = (500.0, 1000.0, 2000.0, 5000.0)
    """Years held and number of separate periods within these radii; empty for none."""
    side: bool = False
    """Also the distance signed by the side the line names."""
    elevation: Key | None = None
    """Elevation raster: also how much the slope faces the line."""


class FrontLinesFamily(FeatureFamily[FrontLinesSettings]):
    """Distances to dated lines (m), years and periods they were held nearby.

    * distance to the nearest line of any date, and of those that stood at given dates:
      exact, capped, never NaN;
    * years held within a radius: the union of the times of all lines passing within it
      (years of 365.2425 days); periods: its parts at least a day apart;
    * signed distance: positive on the side that ``side`` names (``left`` or ``right`` of
      the direction in which the line was digitised), negative on the other; NaN where
      the nearest line names none, where none is within the cap, and straight ahead of a
      line's end. Lines of equal distance: the first in the file decides;
    * slope toward: cosine of the angle between the way down the slope (Horn 1981) and
      the bearing to the nearest point of a line: 1 faces it, -1 turns away; NaN on flat
      land, on the line, and where none is within the cap.

    Source: the layers named.
    """

    name: ClassVar[str] = "front_lines"
    settings_type: ClassVar[type[FamilySettings]] = FrontLinesSettings

    def __init__(
        self, key: str, settings: FrontLinesSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        require_kind(f"features.{key}.layer", self.catalogue[settings.layer], "lines")
        if settings.elevation is not None:
            elevation = self.catalogue[settings.elevation]
            require_kind(f"features.{key}.elevation", elevation, "continuous")

    @property
    def needs(self) -> tuple[str, ...]:
        """Catalogue keys of the layers the family reads."""
        elevation = self.settings.elevation
        return (self.settings.layer,) if elevation is None else (self.settings.layer, elevation)

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """Distances, then years and periods by radius, then side and slope."""
        settings, layer = self.settings, self.settings.layer
        specs = [self.spec("distance_m", "m", layer, f"Distance to the nearest of {layer}.")]
        for day in settings.at:
            text = f"Distance to the nearest of {layer} that stood on {day}."
            specs.append(self.spec(f"{day:%Y%m%d}_distance_m", "m", layer, text))
        for radius_m in settings.radii_m:
            word, within = metres_word(radius_m), f"within {radius_m:g} m"
            text = f"Years in which one of {layer} ran {within}."
            specs.append(self.spec(f"{word}_held_years", "year", layer, text))
            text = f"Separate periods in which one of {layer} ran {within}."
            specs.append(self.spec(f"{word}_periods", "1", layer, text))
        if settings.side:
            text = f"Distance to the nearest of {layer}, positive on the side it names."
            specs.append(self.spec("signed_distance_m", "m", layer, text))
        if settings.elevation is not None:
            text = f"Cosine between the way down the slope and the way to {layer}."
            specs.append(self.spec("slope_toward", "1", layer, text))
        return tuple(specs)

    @property
    def halo_m(self) -> float:
        """How far around a block the family reads, in metres."""
        return max(self.settings.cap_m, *self.settings.radii_m, 0.0)

    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute the features of a block, shape (n_features, rows, cols)."""
        settings = self.settings
        table = layers.vectors(settings.layer, grown(grid.bounds, self.halo_m))
        table = table[chosen(table, settings.where, f"features.{self.key}.where")]
        segments, tiles = segments_of(table.geometry.to_numpy()), tiles_of_grid(grid)
        block = np.empty((len(self.specs), grid.n_cells), np.float32)
        planes, segment = iter(block), np.empty(grid.n_cells, np.int32)
        if settings.side or settings.elevation is not None:
            fill_nearest(tiles, segments, settings.cap_m, next(planes), segment)
        else:
            fill_distances(tiles, segments, settings.cap_m, next(planes))
        if settings.at or settings.radii_m:
            first_day, last_day, dated = self._days(table)
            for day in settings.at:
                number = np.datetime64(day, "D").astype(np.int64)
                standing = dated & (first_day <= number) & (number <= last_day)
                part = segments.of_features(standing)
                fill_distances(tiles, part, settings.cap_m, next(planes))
        if settings.radii_m:
            known, start = segments.of_features(dated), 1 + len(settings.at)
            held = block[start : start + 2 * len(settings.radii_m)]
            held = held.reshape(len(settings.radii_m), 2, -1)
            radii_m = settings.radii_m
            fill_held_nearby(tiles, known, first_day, last_day, radii_m, DAYS_PER_YEAR, held)
        result = block.reshape(-1, *grid.shape)
        self._fill_ways(grid, layers, table, segments, segment.reshape(grid.shape), result)
        return result

    def _fill_ways(
        self,
        grid: SurveyGrid,
        layers: LayerReader,
        table: gpd.GeoDataFrame,
        segments: Segments,
        segment: NDArray[np.int32],
        result: FloatBlock,
    ) -> None:
        """Write the features that need to know which segment is nearest: the last ones."""
        easting = np.broadcast_to(grid.eastings(), grid.shape)
        northing = np.broadcast_to(grid.northings()[:, None], grid.shape)
        elevation = self.settings.elevation
        if self.settings.side:
            named = self._named(table)[segments.feature]
            signed = result[-1 if elevation is None else -2]
            fill_signed(easting, northing, result[0], segment, segments, named, signed)
        if elevation is not None:
            height_m = layers.continuous(elevation, grid.expanded(1))
            fill_facing(easting, northing, segment, segments, height_m, result[-1])

    def _days(self, table: gpd.GeoDataFrame) -> tuple[IndexArray, IndexArray, NDArray[np.bool_]]:
        """Return first and last day of each line as day numbers, and which know both."""
        days = []
        for column in ("start", "end"):
            require_column(table, column, f"features.{self.key}")
            days.append(table[column].to_numpy(dtype="datetime64[D]"))
        known = ~(np.isnat(days[0]) | np.isnat(days[1]))
        if (days[0][known] > days[1][known]).any():
            worst = int(np.flatnonzero(known & (days[0] > days[1]))[0])
            raise FeatureError(
                f"a line of layer '{self.settings.layer}' ends before it starts "
                f"({days[0][worst]} to {days[1][worst]})",
                where=f"features.{self.key}",
                remedy="Correct its start and end, or leave unknown dates empty.",
            )
        return days[0].astype(np.int64), days[1].astype(np.int64), known

    def _named(self, table: gpd.GeoDataFrame) -> FloatArray:
        """Return the side each line names: 1 left, -1 right, NaN none."""
        require_column(table, "side", f"features.{self.key}.side")
        words = table["side"].astype(str).str.strip().str.lower()
        named: FloatArray = words.map(_SIDES).to_numpy(dtype=float)
        return named
