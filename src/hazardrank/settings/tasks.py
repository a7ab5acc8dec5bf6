"""How cells become clearance tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hazardrank.settings.base import Key, Metres, PositiveShare, Settings, Share

Hectares = Annotated[float, Field(gt=0, le=1e6)]

#: Fewer times the smallest area, and some land could not be cut within both limits.
_LEAST_RATIO = 4.0


class BarrierSettings(Settings):
    """A layer that no clearance task may lie across: roads, rivers."""

    layer: Key
    """Catalogue key of lines, or of polygons (their edges count)."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only features whose columns (our words) hold one of these values."""
    when_absent: Literal["error", "skip"] = "error"
    """What to do when the region has no such layer."""


class CandidateSettings(Settings):
    """Which cells become part of a clearance task at all."""

    min_likelihood: Share = 0.0
    """Cells that the model finds less likely than this are left out. They are not cleared."""
    hazard_areas: bool = True
    """Cells in an open hazard area are always in, whatever their likelihood."""
    outside_domain: bool = True
    """Whether cells that the model cannot judge are in. Otherwise only hazard areas bring them
    in, and all others need survey first."""
    released: bool = False
    """Whether land released by survey or clearance is in."""


class TaskSettings(Settings):
    """How cells become clearance tasks: contiguous, compact land that is one job for a team."""

    min_area_ha: Hectares = 0.5
    """Smallest task in hectares. Land cut off by borders and barriers may be smaller: it stays
    a task of its own and is marked."""
    max_area_ha: Hectares = 20.0
    """Largest task in hectares; at least 4 times the smallest."""
    candidates: CandidateSettings = CandidateSettings()
    districts: Key | None = None
    """Polygon layer that no task lies across; empty: none."""
    hazard_areas: bool = True
    """Whether tasks follow the hazard areas on record: land inside and outside never mix."""
    barriers: Mapping[Key, BarrierSettings | None] = Field(default_factory=dict)
    """Lines that no task lies across, by name; `NAME: null` switches one off."""
    contrast: Annotated[float, Field(gt=1, le=1000)] | None = 3.0
    """Land small enough for one task is cut again where one side's mean score is so many times
    the other's; empty: never."""
    settlements: Key | None = None
    """Layer of named places (points or polygons) that tasks are described from."""
    settlement_reach_m: Metres = 30_000.0
    """No place farther than this is named."""
    min_usable_share: PositiveShare = 0.9
    """A method is offered for a task if it can be used on this share of its area; the rest goes
    to the best other method and its days are added."""
    reasons: Annotated[int, Field(ge=0, le=10)] = 3
    """Reasons given for each task's score."""

    @model_validator(mode="after")
    def _room_between_the_limits(self) -> TaskSettings:
        if self.max_area_ha < _LEAST_RATIO * self.min_area_ha:
            raise ValueError(
                f"max_area_ha {self.max_area_ha:g} must be at least {_LEAST_RATIO:g} times "
                f"min_area_ha {self.min_area_ha:g}: otherwise land of some shapes cannot be cut "
                "within both"
            )
        return self
