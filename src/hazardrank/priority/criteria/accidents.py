"""Accidents: how often, how near and how lately ordnance harmed people.

.. code-block:: yaml

    priority:
      criteria:
        accidents:
          criterion: accidents
          half_distance_m: 500
          half_life_years: 2
          count: victims
          curve: {shape: linear, zero_at: 0, one_at: 2}
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.errors import PriorityError
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import (
    BlockValues,
    CellValues,
    ConsequenceInputs,
    Criterion,
    CriterionSpec,
    valued,
)
from hazardrank.priority.criteria.people import NearSettings, near_sum
from hazardrank.priority.criteria.timing import years_between
from hazardrank.priority.value_curves import describe
from hazardrank.settings import CriterionSettings, CurveSettings, PositiveMetres


class AccidentsSettings(NearSettings):
    """Settings of the criterion ``accidents``."""

    half_distance_m: PositiveMetres = 500.0
    """Distance at which an accident counts half."""
    half_life_years: Annotated[float, Field(gt=0, le=100)] = 2.0
    """An accident so many years ago counts half."""
    undated_years: Annotated[float, Field(ge=0, le=100)] = 10.0
    """Accidents without a date count as if so many years ago."""
    count: Literal["accidents", "victims"] = "victims"
    """`victims`: each victim counts; an accident of unknown victims counts as one."""
    curve: CurveSettings = CurveSettings(shape="linear", zero_at=0, one_at=2)
    """Value of so many accidents or victims near, after both decays."""


class AccidentsCriterion(Criterion[AccidentsSettings]):
    """Accidents or victims near, each counting less with distance and with time.

    ``Σ victims · ½^(years ago / half-life) · (d0 / (d + d0))^exponent``. Accidents after
    today are not known yet and add nothing. Source: the region's accident records.
    """

    name: ClassVar[str] = "accidents"
    settings_type: ClassVar[type[CriterionSettings]] = AccidentsSettings
    needs_records: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[str, ...]:
        """No layer."""
        return ()

    @property
    def spec(self) -> CriterionSpec:
        """Accidents near."""
        settings = self.settings
        curve = describe(settings.curve, settings.count)
        return self._spec(
            settings.count,
            f"{settings.count.capitalize()} within {settings.cap_m:g} m, half at "
            f"{settings.half_distance_m:g} m and {settings.half_life_years:g} years ago; "
            f"value {curve}.",
        )

    @property
    def halo_m(self) -> float:
        """How far accidents count; records are read whole."""
        return 0.0

    def prepare(self, inputs: ConsequenceInputs) -> BlockValues:
        """Weigh the accidents; return what adds them up near the cells of a block.

        Raises
        ------
        PriorityError
            If there are no records to read.
        """
        if inputs.records is None:
            raise PriorityError(
                "accidents are read from the hazard records, and the region has none",
                where=self.path,
                remedy="Name region.records.accidents, or set when_absent: skip.",
            )
        table = inputs.records.accidents
        known = ~(table["occurred"] > pd.Timestamp(inputs.today)).to_numpy(dtype=bool)
        table = table[known]
        return partial(self._values, table, self._weight(table, inputs))

    def _weight(self, table: gpd.GeoDataFrame, inputs: ConsequenceInputs) -> NDArray[np.float64]:
        settings = self.settings
        years = years_between(table["occurred"].to_numpy(), inputs.today)
        years = np.where(np.isnan(years), settings.undated_years, years)
        weight = np.exp2(-years / settings.half_life_years)
        if settings.count == "victims":
            victims = table["victims"].to_numpy(dtype=float)
            weight *= np.where(np.isnan(victims), 1.0, victims)
        return weight

    def _values(
        self, table: gpd.GeoDataFrame, weight: NDArray[np.float64], grid: SurveyGrid
    ) -> CellValues:
        return valued(near_sum(grid, table, weight, self.settings), self.settings.curve)
