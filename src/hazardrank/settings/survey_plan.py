"""A plan for non-technical survey: where to look next, and what is drawn at random."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hazardrank.settings.base import Key, Metres, PositiveMetres, PositiveShare, Settings, Share
from hazardrank.settings.plan import PlanSettings


class SurveyPlanSettings(Settings):
    """Where non-technical survey would change decisions most, and a share drawn at random."""

    kind: Literal["survey"] = "survey"
    """`survey`: units of land for non-technical survey teams."""
    label: str = "survey"
    """Name of the plan, shown with it."""
    by: Literal["squares", "villages", "tasks"] = "squares"
    """What a team is sent to: `squares` of `unit_m`; `villages`: the land that is nearer to one
    settlement than to any other; `tasks`: clearance tasks."""
    unit_m: PositiveMetres = 1_000.0
    """Side of the squares; a whole number of cells."""
    settlements: Key = "settlements"
    """Layer of settlements (points or polygons) for `by: villages`."""
    reach_m: Metres | None = None
    """Land farther than this from every settlement belongs to no village and is not in the plan;
    empty: all land belongs to one."""
    measure: Literal["entropy", "perfect_information"] = "entropy"
    """What not knowing costs, 0–1 per cell: `entropy` of the likelihood, most at 0.5; or the
    expected value of `perfect_information` for the choice to clear or not, most at `clear_from`."""
    clear_from: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Likelihood from which land would be cleared (`perfect_information`)."""
    unjudged_likelihood: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Likelihood of cells that the model cannot judge, which says how much they are worth a
    visit; never 0. Empty: the mean of the cells that it can judge, 0.01 at least and 0.5
    at most."""
    unjudged_factor: Annotated[float, Field(ge=1, le=100)] = 2.0
    """A cell that the model cannot judge counts so many times: what is found there also tells
    where the model may be used."""
    least_consequence: Share = 0.05
    """Consequence counts as this at least, so that land of which no use is known is not worth
    nothing."""
    surveyed_weight: Share = 0.2
    """Land that was surveyed before counts this much: most of what would be asked is known."""
    budget_units: Annotated[int, Field(ge=1)] | None = 40
    """Units to survey; or else give `budget_team_days`."""
    budget_team_days: Annotated[float, Field(gt=0)] | None = None
    """Team-days to spend; or else give `budget_units`."""
    km2_per_team_day: Annotated[float, Field(gt=0)] = 1.0
    """Land that a team covers in a day. An assumption, to be replaced by your own."""
    least_team_days: Annotated[float, Field(gt=0)] = 0.5
    """A visit takes so many team-days at least. An assumption, to be replaced by your own."""
    random_share: Share = 0.15
    """Share of the budget drawn at random, by strata of likelihood and of land never surveyed:
    only these units say without bias what the ranking misses. 0: none, and nothing can."""
    likelihood_strata: Annotated[int, Field(ge=1, le=20)] = 4
    """Strata of likelihood, of equal numbers of units; fewer where few units are drawn."""
    unsurveyed_from: PositiveShare = 0.5
    """A unit counts as never surveyed where this share of it is."""

    @model_validator(mode="after")
    def _one_budget(self) -> SurveyPlanSettings:
        if (self.budget_units is None) == (self.budget_team_days is None):
            raise ValueError("give budget_units or budget_team_days, and set the other to null")
        return self


AnyPlanSettings = Annotated[PlanSettings | SurveyPlanSettings, Field(discriminator="kind")]
"""A season of clearance, or survey: as ``kind`` says."""
