"""A season's plan: who works, when, from where, and what the plan has to respect."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hazardrank.settings.base import Key, Metres, PositiveMetres, PositiveShare, Settings, Share
from hazardrank.settings.effort import Month

Hours = Annotated[float, Field(gt=0, le=24)]
LONGEST_DAYS = 366 * 5


class TeamSettings(Settings):
    """Teams that work together on one task after the other."""

    method: Key
    """Clearance method, one of `priority.effort.methods`."""
    teams: Annotated[int, Field(ge=1, le=1000)] = 1
    """Teams that share each task. So many team-days pass in a working day. Teams that are to
    work apart get entries of their own."""
    start: date
    """First day of the season."""
    end: date
    """Last day of the season."""
    days_per_week: Annotated[int, Field(ge=1, le=7)] = 5
    """Working days in a week, from Monday."""
    closed: list[tuple[date, date]] = Field(default_factory=list)
    """Periods without work, first and last day: holidays, rain, training."""
    closed_months: list[Month] = Field(default_factory=list)
    """Months without work."""
    productive_share: PositiveShare = 1.0
    """Share of the working days that is worked in the end; weather and sickness take the rest."""
    base: tuple[float, float] | None = None
    """Where the teams set out each day, in `base_crs`; empty: travel is not counted."""
    base_crs: str | None = None
    """CRS of `base`; the region's own when left out."""

    @model_validator(mode="after")
    def _dates_rise(self) -> TeamSettings:
        if self.end < self.start:
            raise ValueError(f"end {self.end} lies before start {self.start}")
        if (self.end - self.start).days > LONGEST_DAYS:
            raise ValueError(f"{self.start} to {self.end} is longer than five years")
        for first, last in self.closed:
            if last < first:
                raise ValueError(f"closed: {last} lies before {first}")
        return self


class TravelSettings(Settings):
    """The daily way from base to task and back, which shortens the working day."""

    speed_km_per_h: Annotated[float, Field(gt=0, le=200)] = 30.0
    """Mean speed on the way."""
    detour: Annotated[float, Field(ge=1, le=10)] = 1.4
    """Length of the way over the straight line."""
    hours_per_day: Hours = 8.0
    """Working day with the way to the task and back."""
    most_hours: Hours = 3.0
    """Tasks to which there and back takes longer are out of reach from the base."""

    @model_validator(mode="after")
    def _some_work_left(self) -> TravelSettings:
        if self.most_hours >= self.hours_per_day:
            raise ValueError(
                f"most_hours {self.most_hours:g} leaves nothing of hours_per_day "
                f"{self.hours_per_day:g}"
            )
        return self


class WinterSettings(Settings):
    """Months in which high land cannot be worked."""

    above_m: Annotated[float, Field(ge=-500, le=9000)]
    """Mean altitude of a task from which on it is closed."""
    months: Annotated[list[Month], Field(min_length=1)]
    """Months in which it is closed."""


class DeadlineSettings(Settings):
    """Return dates as deadlines."""

    returns: Key = "returns"
    """Layer of return plans: points or polygons with the word `planned`. Returns due before the
    season set no deadline, since none could be kept."""
    reach_m: Metres = 2_000.0
    """A return plan sets the deadline of tasks within this distance."""
    late_share: Share = 0.5
    """Share of a task's harm that still counts as averted when it is finished after its
    deadline: 0: only work in time counts; 1: deadlines do not matter."""
    when_absent: Literal["error", "skip"] = "error"
    """What to do when the region has no such layer."""


class AccessSettings(Settings):
    """Road access before what lies behind it."""

    roads: Key = "roads"
    """Layer of lines."""
    entrances: Key = "settlements"
    """Layer of points or polygons that can be reached today."""
    reach_m: PositiveMetres = 2_000.0
    """Tasks and entrances farther from every road than this have no way in."""
    closed_factor: Annotated[float, Field(ge=1, le=1000)] = 10.0
    """So many metres of open road are preferred to one metre across a task."""
    piece_m: PositiveMetres = 100.0
    """Roads are cut into pieces of this length at most."""
    join_m: PositiveMetres = 1.0
    """Ends of roads nearer than this are joined."""
    when_absent: Literal["error", "skip"] = "error"
    """What to do when the region lacks one of the layers."""


class PlanSettings(Settings):
    """A season's plan: which tasks, by whom, in what order."""

    kind: Literal["season"] = "season"
    """`season`: teams and their tasks."""
    label: str = "season"
    """Name of the plan, shown with it."""
    teams: Mapping[Key, TeamSettings | None] = Field(default_factory=dict)
    """Teams by name; `NAME: null` switches one off."""
    solver: Literal["auto", "exact", "greedy"] = "auto"
    """`greedy`: by harm averted per team-day, led by the linear relaxation (HiGHS), with a bound
    on what any plan could avert; `exact`: mixed-integer optimisation (HiGHS); `auto`: exact up
    to `exact_up_to` tasks."""
    exact_up_to: Annotated[int, Field(ge=0, le=100_000)] = 2_000
    """Tasks up to which `auto` plans exactly."""
    time_limit_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """Seconds after which HiGHS stops with the best it has; it is ended by force soon after if it
    does not. Without a result the plan is the greedy one."""
    gap: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """The exact planner stops when no plan can be better by more than this share."""
    locked_in: list[str] = Field(default_factory=list)
    """Task ids that must be in the plan."""
    locked_out: list[str] = Field(default_factory=list)
    """Task ids that must not."""
    district_shares: Mapping[str, Share] = Field(default_factory=dict)
    """District → least share of the plan; together 1 at most. Met as far as its tasks allow."""
    district_share_of: Literal["team_days", "area"] = "team_days"
    """What the shares are of: all team-days there are, or the area that is planned."""
    travel: TravelSettings = TravelSettings()
    winter: list[WinterSettings] = Field(default_factory=list)
    """Months in which land above an altitude cannot be worked."""
    deadlines: DeadlineSettings | None = None
    """Return dates as deadlines; empty: none."""
    access: AccessSettings | None = None
    """Tasks on the way in come before those behind them; empty: no order is asked for."""

    @model_validator(mode="after")
    def _fits_together(self) -> PlanSettings:
        both = sorted(set(self.locked_in) & set(self.locked_out))
        if both:
            raise ValueError(f"{both[0]} is both in locked_in and in locked_out")
        total = sum(self.district_shares.values())
        if total > 1 + 1e-9:
            raise ValueError(f"district_shares add up to {total:g}, more than 1")
        return self

    @property
    def used_teams(self) -> dict[str, TeamSettings]:
        """Return the teams that are not switched off, in the order of the settings."""
        return {name: team for name, team in self.teams.items() if team is not None}
