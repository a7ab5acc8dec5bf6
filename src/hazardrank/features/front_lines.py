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
from hazardrank.features.distance import Nearest
from hazardrank.features.grid_distance import nearest_on_grid
from hazardrank.features.periods import DAYS_PER_YEAR, held_nearby
from hazardrank.features.segments import (
    FloatArray,
    IndexArray,
    Segments,
    as_block,
    chosen,
    grown,
    metres_word,
    require_column,
    require_kind,
    segments_of,
)
from hazardrank.features.sides import nearest_points, side_of
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
        segments = segments_of(table.geometry.to_numpy())
        nearest = nearest_on_grid(grid, segments, settings.cap_m)
        found: list[FloatArray] = [nearest.distance_m]
        if settings.at or settings.radii_m:
            first_day, last_day, dated = self._days(table)
            for day in settings.at:
                number = np.datetime64(day, "D").astype(np.int64)
                standing = segments.of_features(
                    dated & (first_day <= number) & (number <= last_day)
                )
                found.append(nearest_on_grid(grid, standing, settings.cap_m).distance_m)
        if settings.radii_m:
            known = segments.of_features(dated)
            days, periods = held_nearby(
                tiles_of_grid(grid), known, first_day, last_day, settings.radii_m
            )
            for radius in range(len(settings.radii_m)):
                found += [days[radius] / DAYS_PER_YEAR, periods[radius]]
        cells = np.divmod(np.arange(grid.n_cells), grid.n_cols)
        if settings.side:
            found.append(self._signed(grid.centres(*cells), nearest, segments, table))
        if settings.elevation is not None:
            points = nearest_points(*grid.centres(*cells), nearest.segment, segments)
            downhill = downhill_of(layers.continuous(settings.elevation, grid.expanded(1)))
            found.append(_facing(grid.centres(*cells), points, downhill.reshape(2, -1)))
        return as_block(found, grid)

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

    def _signed(
        self,
        centres: tuple[FloatArray, FloatArray],
        nearest: Nearest,
        segments: Segments,
        table: gpd.GeoDataFrame,
    ) -> FloatArray:
        require_column(table, "side", f"features.{self.key}.side")
        words = table["side"].astype(str).str.strip().str.lower()
        named = words.map(_SIDES).to_numpy(dtype=float)
        signed = np.full(len(nearest.segment), np.nan)
        some = nearest.segment >= 0
        line = segments.feature[nearest.segment[some]]
        easting, northing = centres[0][some], centres[1][some]
        side = side_of(easting, northing, nearest.segment[some], segments)
        signed[some] = nearest.distance_m[some] * side * named[line]
        return signed


def downhill_of(elevation_m: NDArray[np.float32]) -> FloatArray:
    """Return the direction down the slope (Horn 1981).

    Parameters
    ----------
    elevation_m : ndarray of float32, shape (rows + 2, cols + 2)
        Elevation with a halo of one cell.

    Returns
    -------
    ndarray of float64, shape (2, rows, cols)
        Easting and northing of a vector of length 1; NaN on flat land and where a
        neighbour is missing.
    """
    z = elevation_m.astype(np.float64)
    north, middle, south = z[:-2], z[1:-1], z[2:]
    along = north + 2 * middle + south
    to_east = along[:, 2:] - along[:, :-2]
    rise = north - south
    to_north = rise[:, :-2] + 2 * rise[:, 1:-1] + rise[:, 2:]
    steepness = np.hypot(to_east, to_north)
    steepness[steepness == 0] = np.nan
    return np.stack([-to_east / steepness, -to_north / steepness])


def _facing(
    centres: tuple[FloatArray, FloatArray], points: FloatArray, downhill: FloatArray
) -> FloatArray:
    """Return the cosine between the way down and the way to the points, NaN where neither is."""
    way_e, way_n = points[:, 0] - centres[0], points[:, 1] - centres[1]
    distance_m = np.hypot(way_e, way_n)
    distance_m[distance_m == 0] = np.nan
    cosine: FloatArray = (way_e * downhill[0] + way_n * downhill[1]) / distance_m
    return cosine
