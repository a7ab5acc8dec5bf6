"""A season's plan: what planning costs, and how near it comes to what any plan could avert."""

from __future__ import annotations

import os
from datetime import date

import numpy as np

from benchmarks.report import Row, Section
from hazardrank.priority.plan_calendar import team_of
from hazardrank.priority.plan_problem import SeasonProblem
from hazardrank.priority.plan_season import SeasonPlan, plan_season
from hazardrank.settings import ClearanceMethodSettings, PlanSettings, TeamSettings

SIDE_KM = 40
#: Team-days of a season, for each task there is: about a quarter of the tasks get done.
DAYS_PER_TASK = 12.0
METHOD = ClearanceMethodSettings(
    unit="deminer", units_per_team=10, m2_per_unit_day=25, usd_per_m2=1
)
#: m² per team-day of the teams, and the share of the tasks they can do.
TEAMS = {"one": (250, 1.0), "two": (250, 1.0), "dogs": (1700, 0.8), "machine": (6900, 0.4)}


def run() -> Section:
    rows = []
    for n_tasks, solver in [(300, "exact"), (2000, "exact"), (10_000, "greedy")]:
        for access in (False, True):
            rows.append(_planned(n_tasks, solver, access))
    return Section("A season's plan: CPU seconds, gap and what other orders avert", rows)


def _planned(n_tasks: int, solver: str, access: bool) -> Row:
    problem = made_up_season(n_tasks, access)
    rank = np.argsort(np.argsort(-problem.harm / problem.team_days.min(axis=1))) + 1
    settings = PlanSettings(solver=solver, time_limit_s=60)
    begun = _cpu_s()
    season = plan_season(problem, settings, rank=rank)
    seconds = _cpu_s() - begun
    ways = ", road access" if access else ""
    return Row(
        f"{n_tasks} tasks, {len(problem.teams)} teams{ways}: {season.solver}",
        f"{seconds:.1f} s",
        f"gap {season.gap:.2%}; {_beside(season)}",
    )


def _cpu_s() -> float:
    """CPU seconds of this process and of its children, in one of which HiGHS works."""
    return sum(os.times()[:4])


def _beside(season: SeasonPlan) -> str:
    table = season.comparison().iloc[1:]
    shares = table["harm_averted"] / season.averted
    return ", ".join(
        f"{name} {share:.0%}" for name, share in zip(table["plan"], shares, strict=True)
    )


def made_up_season(n_tasks: int, access: bool, seed: int = 5) -> SeasonProblem:
    """Tasks of 0.5–20 ha with deadlines, winter closures and, if asked for, roads behind roads."""
    draws = np.random.default_rng(seed)
    area_m2 = 5000 * 40 ** draws.beta(1, 2, n_tasks)
    days, teams = np.empty((n_tasks, len(TEAMS))), []
    for number, (name, (m2_per_day, share)) in enumerate(TEAMS.items()):
        days[:, number] = area_m2 / m2_per_day * draws.uniform(1, 3, n_tasks)
        days[draws.random(n_tasks) > share, number] = np.inf
        settings = TeamSettings(
            method="manual", start=date(2025, 3, 1), end=date(2025, 11, 30), teams=1
        )
        team = team_of(name, settings, METHOD)
        gives = team.gives * DAYS_PER_TASK * n_tasks / len(TEAMS) / team.capacity
        teams.append(type(team)(name, name, team.days, gives))
    deadline = np.full(n_tasks, "NaT", "datetime64[D]")
    dates = np.datetime64("2025-03-15") + np.arange(0, 240, 15)
    due = draws.random(n_tasks) < 0.3
    deadline[due] = draws.choice(dates, due.sum())
    winter = np.isin(np.arange(1, 13), [11, 12, 1, 2, 3])
    places = draws.uniform(0, SIDE_KM * 1000.0, (n_tasks, 2))
    from_town_m = np.hypot(*(places - SIDE_KM * 500.0).T)
    return SeasonProblem(
        teams=tuple(teams),
        ids=np.array([f"T{number}" for number in range(n_tasks)], object),
        harm=draws.lognormal(0, 1, n_tasks) * area_m2 / 1e4,
        team_days=days,
        area_m2=area_m2,
        district=np.full(n_tasks, "", object),
        deadline=deadline,
        closed_months=(draws.random(n_tasks) < 0.2)[:, np.newaxis] & winter,
        before=_ways(draws, from_town_m) if access else np.zeros((0, 2), np.int64),
        locked_in=np.zeros(n_tasks, bool),
        locked_out=np.zeros(n_tasks, bool),
        late_share=0.5,
        distance_m=np.repeat(from_town_m[:, np.newaxis], len(TEAMS), axis=1),
    )


def _ways(draws: np.random.Generator, from_town_m: np.ndarray) -> np.ndarray:
    """A fifth of the tasks wait for one somewhat nearer to the town."""
    order = np.argsort(from_town_m)
    behind = np.sort(draws.choice(np.arange(50, len(order)), len(order) // 5, replace=False))
    before = behind - draws.integers(1, 50, len(behind))
    return np.column_stack([order[before], order[behind]]).astype(np.int64)
