"""Which record makes a cell contaminated or released."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hazardrank.settings.base import Key, Metres, PositiveMetres, PositiveShare, Settings


class LabelRule(Settings):
    """Which record gives which outcome, and how sure that evidence is."""

    record: Literal["hazard_areas", "clearance", "accidents", "survey"]
    """Kind of record the rule reads."""
    where: Mapping[str, list[str | bool]] = Field(default_factory=dict)
    """Only records whose columns hold one of these values, e.g. `kind: [CHA]`."""
    found: bool | None = None
    """Clearance only: with (`true`) or without (`false`) ordnance found. A record that
    does not say is neither; it matches when this is left out."""
    outcome: Literal["contaminated", "released"]
    """What a covered cell is then known to be."""
    weight: PositiveShare = 1.0
    """Evidence weight in learning, 0–1."""
    min_cover: PositiveShare = 0.5
    """Share of the cell that must be covered by the record's polygons."""
    min_area_m2: Annotated[float, Field(ge=0)] | None = None
    """Or: this many covered m² are enough, for records smaller than a cell."""
    buffer_m: Metres = 0.0
    """Radius drawn around points (accidents) before covering."""

    @model_validator(mode="after")
    def _keys_of_the_record(self) -> LabelRule:
        if self.found is not None and self.record != "clearance":
            raise ValueError(f"found is for clearance records, not for {self.record}")
        if self.buffer_m and self.record != "accidents":
            raise ValueError(f"buffer_m is for accidents, not for {self.record}")
        return self


class BackgroundSettings(Settings):
    """Unlabelled cells for regions without released land. Never negatives in a report."""

    per_contaminated: Annotated[float, Field(gt=0, le=1000)] = 5.0
    """Background cells drawn for each contaminated cell."""
    min_distance_m: Metres = 0.0
    """Keep background cells at least this far from any recorded hazard."""
    weight: PositiveShare = 1.0
    """Weight in learning."""
    sampling: Literal["uniform", "buffered", "hard", "propensity_matched"] = "uniform"
    """Where background is drawn: `uniform` anywhere at least `min_distance_m` from recorded
    hazards; `buffered` no further than `max_distance_m` either; `hard` the likelier the nearer
    to recorded hazards, where it is hardest to tell apart; `propensity_matched` as near to
    `match_layer` as contaminated cells are, so that access tells nothing."""
    max_distance_m: PositiveMetres = 5000.0
    """`buffered`: background lies within this distance of a recorded hazard."""
    hard_distance_m: PositiveMetres = 1000.0
    """`hard`: the chance to be drawn falls to 37 % over this distance from recorded hazards."""
    match_layer: Key | None = None
    """`propensity_matched`: vector layer that access goes by, such as `roads`."""

    @model_validator(mode="after")
    def _sampling_is_possible(self) -> BackgroundSettings:
        if self.sampling == "buffered" and self.max_distance_m <= self.min_distance_m:
            raise ValueError("max_distance_m must be larger than min_distance_m")
        if self.sampling == "propensity_matched" and self.match_layer is None:
            raise ValueError("sampling=propensity_matched needs match_layer, such as roads")
        return self


class LabelSettings(Settings):
    """From records to what each cell is known to be."""

    rules: Annotated[list[LabelRule], Field(min_length=1)]
    """Rules in order; ties of date and precedence go to the earlier rule."""
    precedence: Literal["finds_then_latest", "latest", "finds_then_weight"] = "finds_then_latest"
    """On conflict: finds beat release, then the later record beats the earlier one."""
    background: BackgroundSettings | None = None
    """Draw unlabelled background cells (only where no released land exists)."""
    max_cells: Annotated[int, Field(ge=100)] | None = None
    """Learn from at most this many labelled cells, drawn at random within outcome."""
