"""What it takes to clear land: team-days and cost by method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hazardrank.settings.base import Key, Settings, Share

SlopeDeg = Annotated[float, Field(ge=0, le=90)]
TimeFactor = Annotated[float, Field(gt=0, le=100)]
Month = Annotated[int, Field(ge=1, le=12)]


class ClearanceMethodSettings(Settings):
    """One way to clear land. All factors say how many times as long the work takes."""

    unit: str
    """What works: `deminer`, `pair of dogs`, `machine`."""
    units_per_team: Annotated[float, Field(gt=0, le=1000)]
    """Units in a team; a team-day is one day's work of one team."""
    m2_per_unit_day: Annotated[float, Field(gt=0, le=1e6)]
    """Square metres one unit does in a day on good, level ground."""
    usd_per_m2: Annotated[float, Field(ge=0, le=1e4)]
    """Cost in USD/m² on good, level ground; grows with the time the work takes."""
    max_slope_deg: SlopeDeg | None = None
    """The method cannot be used on steeper ground."""
    slope_time: tuple[tuple[SlopeDeg, TimeFactor], ...] = ((0.0, 1.0),)
    """Pairs of slope (degrees) and time factor, straight lines between them."""
    vegetation_time: Mapping[str, TimeFactor] = Field(default_factory=dict)
    """Class of the vegetation layer → time factor; classes not named have 1."""
    excluded_vegetation: list[str] = Field(default_factory=list)
    """The method cannot be used where these classes cover more than half of a cell."""
    device_time: Mapping[str, TimeFactor] = Field(default_factory=dict)
    """Device category of the hazard area on the cell → time factor; the largest counts.
    Categories not named, and land with no record, have 1."""
    excluded_devices: list[str] = Field(default_factory=list)
    """The method cannot be used where a hazard area names one of these categories."""
    season_time: Mapping[Month, TimeFactor] = Field(default_factory=dict)
    """Month → time factor; months not named have 1."""
    closed_months: list[Month] = Field(default_factory=list)
    """Months in which the method cannot be used."""
    follow_up: Key | None = None
    """Method that has to go over part of the ground afterwards."""
    follow_up_share: Share = 0.0
    """Share of the area that the follow-up has to go over."""

    @field_validator("slope_time")
    @classmethod
    def _slopes_rise(
        cls, pairs: tuple[tuple[float, float], ...]
    ) -> tuple[tuple[float, float], ...]:
        slopes = [slope for slope, _ in pairs]
        if not slopes or sorted(set(slopes)) != slopes:
            raise ValueError("slopes must rise from pair to pair, and there must be one at least")
        return pairs

    @model_validator(mode="after")
    def _follow_up_is_whole(self) -> ClearanceMethodSettings:
        if (self.follow_up is None) != (self.follow_up_share == 0):
            raise ValueError("follow_up and follow_up_share above 0 go together")
        return self

    @property
    def m2_per_team_day(self) -> float:
        """Square metres one team does in a day on good, level ground."""
        return self.units_per_team * self.m2_per_unit_day


class EffortSettings(Settings):
    """What it takes to clear a cell, by method."""

    methods: Mapping[Key, ClearanceMethodSettings | None] = Field(default_factory=dict)
    """Methods by name; `NAME: null` switches one off."""
    elevation: Key | None = "elevation"
    """Continuous layer that slopes are taken from; empty: all ground counts as level."""
    unknown_slope_deg: SlopeDeg = 10.0
    """Slope assumed where the elevation is missing."""
    vegetation: Key | None = "land_cover"
    """Categorical layer of the vegetation; empty: none."""
    when_absent: Literal["error", "skip"] = "error"
    """What to do when the catalogue lacks the layer of elevation or vegetation, or that layer a
    class that a method names."""
    month: Month | None = None
    """Month whose season factors hold; empty: none do."""
    best_by: Literal["team_days", "cost"] = "team_days"
    """What the best method of a cell has least of."""

    @model_validator(mode="after")
    def _follow_ups_exist(self) -> EffortSettings:
        if not self.used:
            raise ValueError("effort.methods names no method")
        for name, method in self.used.items():
            if method.follow_up is None:
                continue
            after = self.used.get(method.follow_up)
            if after is None:
                raise ValueError(f"{name}.follow_up = {method.follow_up}: there is no such method")
            if after.follow_up is not None:
                raise ValueError(
                    f"{name}.follow_up = {method.follow_up}, which needs a follow-up itself"
                )
        return self

    @property
    def used(self) -> dict[str, ClearanceMethodSettings]:
        """Return the methods that are not switched off, in the order of the settings."""
        return {name: method for name, method in self.methods.items() if method is not None}
