"""What ``python -m seasons`` can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hazardrank.settings.base import Share
from hazardrank.settings.commands import TrainSettings

PolicyName = Literal[
    "combined", "retrained", "retrained_random_share", "static", "distance", "random"
]


class SeasonsSettings(TrainSettings):
    """Settings of ``python -m seasons``: what ``train`` takes, and seasons to play."""

    seasons: Annotated[int, Field(ge=1, le=50)] = 5
    """Seasons played one after the other."""
    hectares: Annotated[float, Field(gt=0)] = 250.0
    """Land cleared in a season, by every policy."""
    district_seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=100)] = (0, 1, 2)
    """One simulated district for each; more show more of the spread."""
    policies: Annotated[tuple[PolicyName, ...], Field(min_length=1)] = (
        *("combined", "retrained", "retrained_random_share"),
        *("static", "distance", "random"),
    )
    """`retrained`: by a model of the layers, trained anew each season; `retrained_random_share`:
    the same with `random_share` of the budget drawn at random; `static`: by the first season's
    model; `distance`: nearest first to hazards on record and to finds; `combined`: by the mean
    of the ranks of `retrained` and `distance`; `random`: any land."""
    random_share: Share = 0.15
    """Share of the budget of `retrained_random_share` that is drawn by strata of likelihood."""

    @model_validator(mode="after")
    def _simulated(self) -> SeasonsSettings:
        if self.region.simulated is None:
            raise ValueError("seasons are played on a simulated region: only there is all known")
        if self.model.unlabelled != "as_negative" or self.labels.background is not None:
            raise ValueError("seasons need released land to learn from: use labels=standard")
        if len(set(self.policies)) < len(self.policies):
            raise ValueError("policies names one twice")
        if len(set(self.district_seeds)) < len(self.district_seeds):
            raise ValueError("district_seeds names one twice")
        return self
