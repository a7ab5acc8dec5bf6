"""What makes one piece of land more urgent to clear than another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from hazardrank.settings.base import Key, PositiveShare, Settings, Share
from hazardrank.settings.curves import CurveSettings
from hazardrank.settings.effort import EffortSettings

ScoringMethodName = Literal["harm_averted", "weighted_sum", "topsis", "promethee", "lexicographic"]

#: Names in weights that are no consequence criterion: how likely, and how little work.
LIKELIHOOD, EFFORT = "likelihood", "effort"

Ratio = Annotated[float, Field(ge=1 / 9, le=9)]


class CriterionSettings(Settings):
    """What every consequence criterion's settings share. Criteria add their own keys."""

    criterion: str
    """Name of the criterion in the registry."""
    when_absent: Literal["error", "skip"] = "error"
    """What to do when the region has no layer, or no records, that the criterion asks for."""
    missing: Share = 0.5
    """Value of a cell for which the layer has no data: neither none nor all."""


class AnyCriterionSettings(CriterionSettings):
    """A criterion's settings before the criterion itself has validated them."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class WeightSettings(Settings):
    """How much each criterion counts. Weights are scaled to add up to 1."""

    source: Literal["given", "equal", "pairwise", "rank_order"] = "given"
    """`given` numbers; `equal`; `pairwise` comparisons (AHP, Saaty 1980); `rank_order`: from
    the order alone, by rank-order centroids (Barron & Barrett 1996)."""
    given: Mapping[Key, Annotated[float, Field(ge=0, le=1e6)]] = Field(default_factory=dict)
    """Criterion → weight."""
    pairwise: list[tuple[Key, Key, Ratio]] = Field(default_factory=list)
    """Triples: the first criterion is so many times (1/9 to 9) as important as the second."""
    order: list[Key] = Field(default_factory=list)
    """Criteria, the most important first."""

    @model_validator(mode="after")
    def _what_the_source_needs(self) -> WeightSettings:
        needed = {"given": "given", "pairwise": "pairwise", "rank_order": "order"}
        field = needed.get(self.source)
        if field is not None and not getattr(self, field):
            raise ValueError(f"source {self.source} needs weights.{field}")
        if len(set(self.order)) < len(self.order):
            raise ValueError("order names a criterion twice")
        pairs = [frozenset(pair[:2]) for pair in self.pairwise]
        if any(len(pair) < 2 for pair in pairs) or len(set(pairs)) < len(pairs):
            raise ValueError("pairwise compares two criteria twice, or one with itself")
        return self


class GateSettings(Settings):
    """A condition that must hold before land may be tasked: area secure, consent, funded."""

    label: str
    """What the gate asks for, in plain words; shown with the land it closes."""
    layer: Key | None = None
    """Polygon layer; cells are open `inside` or `outside` of its polygons."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only polygons whose columns (our words) hold one of these values."""
    opens: Literal["inside", "outside"] = "inside"
    """Whether the polygons open land or close it."""
    min_share: PositiveShare = 0.5
    """Share of a task's area that must be open."""
    attribute: str | None = None
    """Instead of a layer: column of the table of tasks."""
    open_values: list[str] = Field(default_factory=list)
    """Values of `attribute` that open the gate; all others, and unknown ones, close it."""
    when_absent: Literal["error", "skip"] = "error"
    """What to do when there is no such layer or column; `skip` leaves the gate open."""

    @model_validator(mode="after")
    def _layer_or_attribute(self) -> GateSettings:
        if (self.layer is None) == (self.attribute is None):
            raise ValueError("a gate needs a layer or an attribute, and not both")
        if self.attribute is not None and not self.open_values:
            raise ValueError("a gate on an attribute needs open_values")
        if self.layer is not None and self.open_values:
            raise ValueError("open_values are for a gate on an attribute; a layer takes where")
        return self


class BandSettings(Settings):
    """How open tasks fall into bands: urgent, high, medium, lowest priority (NOT cleared)."""

    by: Literal["area_share", "score"] = "area_share"
    """`area_share`: the first so many of the ranked area; `score`: scores of so much or more."""
    urgent: Annotated[float, Field(ge=0)] = 0.05
    """Share of the area in rank order, or least score, of the urgent band."""
    high: Annotated[float, Field(ge=0)] = 0.20
    """The same for urgent and high together."""
    medium: Annotated[float, Field(ge=0)] = 0.50
    """The same for urgent, high and medium together."""
    survey_first_share: PositiveShare = 0.5
    """Tasks of which the model cannot judge this share (outside its domain) never fall into the
    lowest band: they are put forward for survey."""

    @model_validator(mode="after")
    def _in_order(self) -> BandSettings:
        limits = (self.urgent, self.high, self.medium)
        if self.by == "area_share":
            if not limits[0] <= limits[1] <= limits[2] <= 1:
                raise ValueError("shares must rise from urgent to medium, and be 1 at most")
        elif not limits[0] >= limits[1] >= limits[2]:
            raise ValueError("scores must fall from urgent to medium")
        return self


class RobustnessSettings(Settings):
    """How ranks move with what is not known: weights, likelihoods and effort."""

    draws: Annotated[int, Field(ge=0, le=100_000)] = 1000
    """Monte Carlo draws; 0: none."""
    weights: tuple[Literal["around", "uniform", "fixed"], ...] = ("around", "uniform")
    """One set of draws for each: weights drawn `around` the chosen ones (Dirichlet), any weights
    with equal chance (`uniform`: what holds whatever the weights), or `fixed`."""
    concentration: Annotated[float, Field(gt=0, le=1e6)] = 50.0
    """`around`: how near to the chosen weights; a weight w has standard deviation
    √(w (1 − w) / (concentration + 1))."""
    interval_level: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of the draws of a likelihood that lie within its interval."""
    effort_factor: Annotated[float, Field(ge=1, le=100)] = 2.0
    """90 % of the draws of a task's effort lie between effort / factor and effort · factor."""
    rank_range: tuple[Share, Share] = (0.05, 0.95)
    """Quantiles of a task's rank that are given as its range."""
    top: Annotated[int, Field(ge=1)] = 50
    """How often is a task among this many first?"""
    decided_from: Annotated[float, Field(gt=0.5, le=1)] = 0.8
    """The order of two tasks is decided if it is the same in this share of the draws."""

    @model_validator(mode="after")
    def _range_rises(self) -> RobustnessSettings:
        if not self.rank_range[0] < self.rank_range[1]:
            raise ValueError("rank_range must rise")
        if len(set(self.weights)) < len(self.weights) or not self.weights:
            raise ValueError("weights names a kind of draws twice, or none")
        return self


class PrioritySettings(Settings):
    """Consequence, effort, gates, weights and how they become ranks."""

    label: str
    """Name of this set of choices, shown with every rank."""
    source: str
    """Where the choices come from, shown with every rank."""
    today: date | None = None
    """The day that returns, plans and accidents are seen from; `region.records_as_of` when left
    out, so that the same inputs give the same ranks."""
    method: ScoringMethodName = "harm_averted"
    """`harm_averted`: likelihood × consequence ÷ effort, per team-day; `weighted_sum`; `topsis`
    (Hwang & Yoon 1981); `promethee` (PROMETHEE II, Brans & Vincke 1985); `lexicographic`: by
    the first criterion, among equals by the next, and so on."""
    criteria: Mapping[Key, AnyCriterionSettings | None] = Field(default_factory=dict)
    """Consequence criteria by name; `NAME: null` switches one off."""
    weights: WeightSettings = WeightSettings(source="equal")
    """Weights of the criteria. All methods but `harm_averted` also weigh `likelihood` and
    `effort`; `lexicographic` reads `order` instead."""
    effort: EffortSettings
    """Team-days and cost by method."""
    effort_curve: CurveSettings = CurveSettings(shape="exponential", half_at=30.0)
    """Value of little work, from team-days per hectare, where effort is weighed like a criterion
    (not in `harm_averted`)."""
    order: list[Key] = Field(default_factory=list)
    """`lexicographic`: criteria, `likelihood` and `effort`, the first to look at first."""
    step: Annotated[float, Field(gt=0, le=1)] = 0.1
    """`lexicographic`: values in the same step of this width count as equal."""
    indifference: Share = 0.05
    """`promethee`: a difference in value up to this is none."""
    preference: PositiveShare = 0.3
    """`promethee`: from this difference on the better is preferred fully."""
    gates: Mapping[Key, GateSettings | None] = Field(default_factory=dict)
    """Conditions by name, in the order they are asked; `NAME: null` switches one off."""
    bands: BandSettings = BandSettings()
    robustness: RobustnessSettings = RobustnessSettings()

    @model_validator(mode="after")
    def _names_and_limits(self) -> PrioritySettings:
        reserved = sorted({LIKELIHOOD, EFFORT} & set(self.criteria))
        if reserved:
            raise ValueError(f"criteria.{reserved[0]}: this name is taken; choose another")
        if (self.method == "lexicographic") != bool(self.order):
            raise ValueError("order is for method lexicographic, which needs it")
        if len(set(self.order)) < len(self.order):
            raise ValueError("order names a criterion twice")
        if self.indifference > self.preference:
            raise ValueError("indifference must not be above preference")
        return self
