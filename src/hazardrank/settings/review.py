"""What ``python -m review`` can be told."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from hazardrank.settings.base import PositiveMetres, PositiveShare, Settings, Share
from hazardrank.settings.commands import RegionCommandSettings


class VerdictSettings(Settings):
    """When a season's finds say that a model should be trained anew."""

    drift_factor: Annotated[float, Field(gt=1, le=100)] = 1.5
    """Contaminated cells found over those expected may lie between 1 / this and this."""
    slope_range: tuple[float, float] = (0.6, 1.7)
    """Calibration slope that is accepted: below 1 likelihoods are too extreme, above too flat."""
    least_recall: Share = 0.5
    """Least share of all contaminated land that should lie in the first `recall_share`."""
    least_units: Annotated[int, Field(ge=2)] = 20
    """Squares of land with finds below which nothing is concluded."""
    least_random_units: Annotated[int, Field(ge=2)] = 5
    """Units drawn at random with finds below which nothing is concluded on recall."""

    @model_validator(mode="after")
    def _slope_range_holds_one(self) -> VerdictSettings:
        if not 0 < self.slope_range[0] < 1 < self.slope_range[1]:
            raise ValueError("slope_range must rise and hold 1")
        return self


class ReviewSettings(RegionCommandSettings):
    """Settings of ``python -m review``. Features are not read."""

    ranking: Path
    """Map the season went by: `contamination_likelihood.tif` or `clearance_priority.tif`."""
    since: date
    """First day of the season: what records of this day and later say is what teams found."""
    survey_plan: Path | None = None
    """`survey_plan.gpkg` the season went by, with its selection probabilities; empty: what the
    ranking missed is not estimated."""
    is_likelihood: bool | None = None
    """Whether the map's values are likelihoods, whose calibration can be judged; empty: as the
    map itself says."""
    budget_shares: Annotated[tuple[PositiveShare, ...], Field(min_length=1)] = (
        *(0.1, 0.25),
        *(0.5, 1.0),
    )
    """Budgets as shares of the worked ground that the ranking ranks."""
    recall_share: PositiveShare = 0.1
    """Share of the mapped land, first in rank, in which contaminated land should lie."""
    surveyed_from: PositiveShare = 0.5
    """A unit of the survey plan counts as surveyed if outcomes are known on this share of it."""
    block_m: PositiveMetres = 1_000.0
    """Side of the squares of land that are drawn again for intervals."""
    bootstrap: Annotated[int, Field(ge=100, le=100_000)] = 1_000
    """Draws of whole squares behind the intervals."""
    verdict: VerdictSettings = VerdictSettings()

    @field_validator("ranking", "since", mode="before")
    @classmethod
    def _given(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("give ranking=MAP.tif since=YYYY-MM-DD")
        return value
