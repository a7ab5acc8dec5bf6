"""Nearness: water, roads, planned lines and sites, schools, clinics, heritage.

.. code-block:: yaml

    priority:
      criteria:
        water:
          criterion: nearness
          layer: rivers
          curve: {shape: exponential, half_at: 300}
        services:
          criterion: nearness
          layer: public_sites
          classes: {school: 1.0, clinic: 1.0, market: 0.5}
        planned_lines:
          criterion: nearness
          layer: projects
          where: {status: [funded, under way]}
          half_life_years: 2            # column `planned`: due later counts less
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.errors import PriorityError
from hazardrank.features.cover import cells_inside, rows_of_grid
from hazardrank.features.distance import nearest_segments
from hazardrank.features.segments import (
    Segments,
    chosen,
    grown,
    require_column,
    require_kind,
    segments_of,
)
from hazardrank.features.tiles import CellTiles, tiles_of_grid
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import (
    BlockValues,
    CellValues,
    ConsequenceInputs,
    Criterion,
    CriterionSpec,
)
from hazardrank.priority.criteria.timing import PlanSettings, plan_factors
from hazardrank.priority.value_curves import curve_values, describe
from hazardrank.settings import (
    CriterionSettings,
    CurveSettings,
    Key,
    LayerSettings,
    PositiveMetres,
    Share,
)

FloatArray = NDArray[np.float64]
#: Time is counted in steps of so many years, so that few distances have to be measured.
_STEP_YEARS = 1 / 12


class NearnessSettings(PlanSettings):
    """Settings of the criterion ``nearness``."""

    layer: Key
    """Layer of points, lines or polygons."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only features whose columns (our words) hold one of these values."""
    classes: Mapping[str, Share] = Field(default_factory=dict)
    """Value of the column `class` → how much a feature of it counts; others do not. Empty: all
    count fully."""
    curve: CurveSettings = CurveSettings(shape="exponential", half_at=500)
    """Value of the distance, in metres; it must fall."""
    cap_m: PositiveMetres = 10_000.0
    """Features farther away do not count."""


class NearnessCriterion(Criterion[NearnessSettings]):
    """How near the cell is to something people need or plan: the largest value of any feature.

    A feature's value is that of its distance (exact, 0 inside polygons) times the number of
    its class, and, where a half-life or discount rate is given, less the later it is planned
    for (in whole months; overdue counts fully). The quantity is the distance to the feature
    that counts most.

    Raises
    ------
    PriorityError
        If the curve rises with distance.
    """

    name: ClassVar[str] = "nearness"
    settings_type: ClassVar[type[CriterionSettings]] = NearnessSettings

    def __init__(
        self, key: str, settings: NearnessSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        require_kind(self.path, self.catalogue[settings.layer], "points", "lines", "polygons")
        near, far = curve_values(settings.curve, np.array([0.0, settings.cap_m]))
        if far > near:
            raise PriorityError(
                f"the value rises with distance, from {near:.3g} at 0 m to {far:.3g} at "
                f"{settings.cap_m:g} m",
                where=f"{self.path}.curve",
                remedy="Give a curve that falls: exponential, power, or one_at below zero_at.",
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """The features' layer."""
        return (self.settings.layer,)

    @property
    def spec(self) -> CriterionSpec:
        """Distance to the feature that counts most."""
        settings = self.settings
        what = f"feature of {settings.layer}"
        if settings.classes:
            what += f" ({', '.join(settings.classes)})"
        curve = describe(settings.curve, "m")
        return self._spec("m", f"Distance to the {what} that counts most; value {curve}.")

    @property
    def halo_m(self) -> float:
        """How far features count."""
        return self.settings.cap_m

    def prepare(self, inputs: ConsequenceInputs) -> BlockValues:
        """Return what measures distances for the cells of a block."""
        return partial(self._values, inputs)

    def _values(self, inputs: ConsequenceInputs, grid: SurveyGrid) -> CellValues:
        settings = self.settings
        table = inputs.layers.vectors(settings.layer, grown(grid.bounds, settings.cap_m))
        table = table[chosen(table, settings.where, f"{self.path}.where")]
        weight = self._weight(table, inputs)
        segments, tiles = segments_of(table.geometry.to_numpy()), tiles_of_grid(grid)
        quantity = np.full(grid.n_cells, settings.cap_m)
        value = np.zeros(grid.n_cells)
        for number in np.unique(weight[weight > 0])[::-1]:
            distance_m = self._distance_m(grid, tiles, segments.of_features(weight == number))
            worth = number * curve_values(settings.curve, distance_m)
            worth[distance_m >= settings.cap_m] = 0.0
            more = worth > value
            value[more], quantity[more] = worth[more], distance_m[more]
        shape = grid.shape
        return CellValues(
            quantity.reshape(shape).astype(np.float32), value.reshape(shape).astype(np.float32)
        )

    def _distance_m(self, grid: SurveyGrid, tiles: CellTiles, segments: Segments) -> FloatArray:
        distance_m = nearest_segments(tiles, segments, self.settings.cap_m).distance_m
        distance_m[cells_inside(rows_of_grid(grid), segments)[0]] = 0.0
        return distance_m

    def _weight(self, table: gpd.GeoDataFrame, inputs: ConsequenceInputs) -> FloatArray:
        """Return how much each feature counts at no distance, 0–1."""
        settings = self.settings
        weight = np.ones(len(table))
        if settings.classes:
            require_column(table, "class", f"{self.path}.classes")
            of_class = table["class"].map(dict(settings.classes))
            weight = np.nan_to_num(of_class.to_numpy(dtype=float))
        factors = plan_factors(table, settings, inputs.today, self.path, step_years=_STEP_YEARS)
        return weight * factors
