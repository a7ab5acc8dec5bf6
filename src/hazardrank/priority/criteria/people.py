"""People: who lives near, who is to return, and when.

.. code-block:: yaml

    priority:
      criteria:
        people:
          criterion: people
          layer: settlements            # points or polygons; column `people` or `households`
          half_distance_m: 500
          curve: {shape: linear, zero_at: 0, one_at: 1000}
        returns:
          criterion: returns
          layer: returns                # columns households, planned, status
          half_life_years: 2
          curve: {shape: linear, zero_at: 0, one_at: 100}
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Annotated, ClassVar, Literal, TypeVar

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.features.gravity import gravity_sum
from hazardrank.features.segments import (
    chosen,
    grown,
    require_column,
    require_kind,
    segments_of,
)
from hazardrank.features.tiles import tiles_of_grid
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import (
    BlockValues,
    CellValues,
    ConsequenceInputs,
    Criterion,
    CriterionSpec,
    valued,
)
from hazardrank.priority.criteria.timing import PlanSettings, plan_factors
from hazardrank.priority.value_curves import describe, power_scale
from hazardrank.settings import (
    CriterionSettings,
    CurveSettings,
    Key,
    LayerSettings,
    PositiveMetres,
)

FloatArray = NDArray[np.float64]
#: Status of places nobody lives in now.
DESERTED = ("abandoned", "deserted", "destroyed", "empty", "uninhabited")

Exponent = Annotated[float, Field(ge=0.5, le=4, multiple_of=0.5)]


class NearSettings(CriterionSettings):
    """Settings of criteria that add up what is near, less with distance."""

    half_distance_m: PositiveMetres = 500.0
    """Distance at which somebody counts half."""
    exponent: Exponent = 2.0
    """How fast people count less beyond that; a multiple of a half."""
    cap_m: PositiveMetres = 3000.0
    """Nobody farther away counts."""

    @property
    def d0_m(self) -> float:
        """The d0 of ``(d0 / (d + d0))^exponent``."""
        return power_scale(self.half_distance_m, self.exponent)


class PlacesSettings(NearSettings):
    """Settings of criteria that add up who is at the places of a layer."""

    layer: Key
    """Layer of places: points, or polygons."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only places whose columns (our words) hold one of these values."""
    population: Literal["people", "households"]
    """Column that is added up."""
    curve: CurveSettings
    """Value of so many near, in `population`."""


class PeopleSettings(PlacesSettings):
    """Settings of the criterion ``people``."""

    layer: Key = "settlements"
    """Layer of settlements: points, or polygons."""
    population: Literal["people", "households"] = "people"
    """Column that is added up."""
    deserted: list[str] = Field(default_factory=lambda: list(DESERTED))
    """Values of the column `status`, where there is one, of places nobody lives in now."""
    curve: CurveSettings = CurveSettings(shape="linear", zero_at=0, one_at=1000)
    """Value of so many people near, in `population`."""


class ReturnsSettings(PlacesSettings, PlanSettings):
    """Settings of the criterion ``returns``."""

    layer: Key = "returns"
    """Layer of return plans (points or polygons): `households` or `people`, `planned`, `status`."""
    population: Literal["people", "households"] = "households"
    """Column that is added up."""
    half_life_years: Annotated[float, Field(gt=0, le=100)] | None = None
    """Households due in so many years count half; 2 if no discount rate is given."""
    curve: CurveSettings = CurveSettings(shape="linear", zero_at=0, one_at=100)
    """Value of so many returning households near, in `population`."""

    @property
    def discounts(self) -> bool:
        """Time always counts."""
        return True

    def model_post_init(self, _: object) -> None:
        """Fill in the half-life of two years where nothing else is said."""
        if self.half_life_years is None and self.discount_rate is None:
            object.__setattr__(self, "half_life_years", 2.0)


S = TypeVar("S", bound=PlacesSettings)


class _PlacesCriterion(Criterion[S]):
    """Adds up who counts at the places of a layer, less with distance."""

    def __init__(self, key: str, settings: S, catalogue: Mapping[str, LayerSettings]) -> None:
        super().__init__(key, settings, catalogue)
        require_kind(self.path, self.catalogue[settings.layer], "points", "polygons")

    @property
    def needs(self) -> tuple[str, ...]:
        """The layer of places."""
        return (self.settings.layer,)

    @property
    def halo_m(self) -> float:
        """How far anybody counts."""
        return self.settings.cap_m

    def prepare(self, inputs: ConsequenceInputs) -> BlockValues:
        """Return what adds up who is near the cells of a block."""
        return partial(self._values, inputs)

    @abstractmethod
    def _counted(self, table: gpd.GeoDataFrame, today: date) -> FloatArray:
        """Return how many count at each place, shape (n_places,)."""

    def _values(self, inputs: ConsequenceInputs, grid: SurveyGrid) -> CellValues:
        settings = self.settings
        table = inputs.layers.vectors(settings.layer, grown(grid.bounds, settings.cap_m))
        table = table[chosen(table, settings.where, f"{self.path}.where")]
        require_column(table, settings.population, f"{self.path}.population")
        counted = self._counted(table, inputs.today)
        return valued(near_sum(grid, table, counted, settings), settings.curve)

    def _spec_of_places(self, in_time: str) -> CriterionSpec:
        settings = self.settings
        curve = describe(settings.curve, settings.population)
        return self._spec(
            settings.population,
            f"{settings.population.capitalize()} of {settings.layer} within {settings.cap_m:g} m, "
            f"{in_time}half at {settings.half_distance_m:g} m; value {curve}.",
        )


class PeopleCriterion(_PlacesCriterion[PeopleSettings]):
    """People exposed now: those who live near, each counting less with distance.

    ``Σ people · (d0 / (d + d0))^exponent`` (Stewart 1947), with d0 such that people at
    `half_distance_m` count half; *d* to the point or the polygon's centroid. Settlements of
    unknown population, and deserted ones, add nothing: who is to return there is counted by
    the criterion ``returns``.
    """

    name: ClassVar[str] = "people"
    settings_type: ClassVar[type[CriterionSettings]] = PeopleSettings

    @property
    def spec(self) -> CriterionSpec:
        """Weighted people near."""
        return self._spec_of_places("")

    def _counted(self, table: gpd.GeoDataFrame, today: date) -> FloatArray:
        return people_now(table, self.settings.population, self.settings.deserted)


class ReturnsCriterion(_PlacesCriterion[ReturnsSettings]):
    """Households that return near, less with the time until then and with distance.

    A household due in *t* years counts ½^(t / half-life), or (1 + rate)^−t. Overdue returns
    count fully, and so do those that have taken place: whoever waits for land, or is back on
    it, is exposed now. Distance as in the criterion ``people``. Source: return plans; never
    used for the likelihood.
    """

    name: ClassVar[str] = "returns"
    settings_type: ClassVar[type[CriterionSettings]] = ReturnsSettings

    @property
    def spec(self) -> CriterionSpec:
        """Discounted households near."""
        settings = self.settings
        if settings.discount_rate is None:
            time = f"half if due in {settings.half_life_years:g} years"
        else:
            time = f"discounted by {settings.discount_rate:.3g} a year"
        return self._spec_of_places(f"{time}, overdue ones fully, ")

    def _counted(self, table: gpd.GeoDataFrame, today: date) -> FloatArray:
        households = np.nan_to_num(table[self.settings.population].to_numpy(dtype=float))
        discounted: FloatArray = households * plan_factors(table, self.settings, today, self.path)
        return discounted


def people_now(table: gpd.GeoDataFrame, column: str, deserted: Sequence[str]) -> FloatArray:
    """Return who lives in each settlement now: 0 where unknown or deserted.

    Parameters
    ----------
    table : GeoDataFrame
        Settlements; ``status`` is read where there is such a column.
    column : str
        Column of people or households.
    deserted : sequence of str
        Values of ``status`` of places nobody lives in now.
    """
    people: FloatArray = np.nan_to_num(table[column].to_numpy(dtype=float))
    if "status" in table.columns:
        people[chosen(table, {"status": deserted}, "status")] = 0.0
    return people


def near_sum(
    grid: SurveyGrid, table: gpd.GeoDataFrame, weight: FloatArray, settings: NearSettings
) -> FloatArray:
    """Return the weights of a table's places near each cell, shape (rows, cols)."""
    places = segments_of(shapely.centroid(table.geometry.to_numpy()))
    total = gravity_sum(
        tiles_of_grid(grid),
        places,
        np.ascontiguousarray(weight[places.feature]),
        settings.cap_m,
        settings.d0_m,
        settings.exponent,
    )
    return total.reshape(grid.shape)
