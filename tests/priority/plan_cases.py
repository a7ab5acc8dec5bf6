"""Small seasons for the tests of plans, and the best plan by trying all of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, permutations, product

import numpy as np

from hazardrank.priority.plan_calendar import Team
from hazardrank.priority.plan_problem import SeasonProblem

FIRST_DAY = np.datetime64("2025-01-01")


def day(number: int) -> np.datetime64:
    """So many days after the first."""
    return FIRST_DAY + np.timedelta64(number, "D")


def team(name: str, n_days: int, gives: float = 1.0) -> Team:
    """A team that works every day from the first on."""
    return Team(name, "manual", FIRST_DAY + np.arange(n_days), np.full(n_days, gives))


def season(
    harm,
    days,
    capacity=(10,),
    *,
    before=(),
    deadline: Mapping[int, int] | None = None,
    closed: Mapping[int, list[int]] | None = None,
    district=None,
    locked_in=(),
    locked_out=(),
    **more,
) -> SeasonProblem:
    """Tasks with harm and team-days (one number a task, or one a task and team)."""
    n, teams = len(harm), tuple(team(f"team{k}", size) for k, size in enumerate(capacity))
    takes = np.asarray(days, float)
    takes = np.repeat(takes[:, None], len(teams), axis=1) if takes.ndim == 1 else takes
    due = np.full(n, "NaT", "datetime64[D]")
    for task, number in (deadline or {}).items():
        due[task] = day(number)
    months = np.zeros((n, 12), bool)
    for task, numbers in (closed or {}).items():
        months[task, np.array(numbers) - 1] = True
    return SeasonProblem(
        teams=teams,
        ids=np.array([f"T{k}" for k in range(n)], object),
        harm=np.asarray(harm, float),
        team_days=takes,
        area_m2=more.pop("area_m2", np.full(n, 1000.0)),
        district=np.array(district if district is not None else [""] * n, object),
        deadline=due,
        closed_months=months,
        before=np.array(before, np.int64).reshape(-1, 2),
        locked_in=np.isin(np.arange(n), locked_in),
        locked_out=np.isin(np.arange(n), locked_out),
        **more,
    )


def names(plan) -> list[str]:
    """Ids of the planned tasks, sorted."""
    return sorted(plan.problem.ids[plan.task].tolist())


def check_rules(plan) -> None:
    """Assert that a plan of :func:`season` keeps all rules, day by day."""
    problem = plan.problem
    assert len(set(plan.task.tolist())) == len(plan)
    assert not problem.locked_out[plan.task].any()
    spans = {}
    for task, number, start, end in zip(
        plan.task.tolist(), plan.team.tolist(), plan.start, plan.end, strict=True
    ):
        assert np.isclose(end - start, problem.team_days[task, number])
        assert start >= -1e-6
        assert end <= problem.teams[number].capacity + 1e-6
        spans[task] = (number, start, end)
    for number in range(len(problem.teams)):
        ours = sorted(span[1:] for span in spans.values() if span[0] == number)
        assert all(one[1] <= other[0] + 1e-6 for one, other in pairwise(ours))
    for first, then in problem.before.tolist():
        if then in spans:
            assert spans[first][2] <= spans[then][1] + 1e-6
    for k, task in enumerate(plan.task.tolist()):
        worked = np.arange(plan.first_day[k], plan.last_day[k] + np.timedelta64(1, "D"))
        months = worked.astype("datetime64[M]").astype(int) % 12
        assert not problem.closed_months[task, months].any()
        late = plan.last_day[k] > problem.deadline[task]
        share = problem.late_share if late else 1.0
        assert np.isclose(plan.harm[k], problem.harm[task] * share)


def best_by_trying(problem: SeasonProblem) -> float:
    """Most harm that any plan averts, for few tasks of whole days: by every order and team."""
    n, n_teams = len(problem), len(problem.teams)
    must = set(np.flatnonzero(problem.locked_in).tolist())
    best = -np.inf
    for who in product(range(-1, n_teams), repeat=n):
        done = [task for task in range(n) if who[task] >= 0 and not problem.locked_out[task]]
        if not must <= set(done):
            continue
        for order in permutations(done):
            best = max(best, _averted(problem, order, who))
    return best


def _averted(problem: SeasonProblem, order, who) -> float:
    """Harm averted by doing tasks in this order, each as early as it can be; -inf if none can."""
    busy_until = [0] * len(problem.teams)
    ends: dict[int, int] = {}
    total = 0.0
    for task in order:
        needed = [first for first, then in problem.before.tolist() if then == task]
        if not set(needed) <= set(ends) or not np.isfinite(problem.team_days[task, who[task]]):
            return -np.inf
        length = int(problem.team_days[task, who[task]])
        start = max([busy_until[who[task]], *(ends[first] for first in needed)])
        while not _open(problem, task, start, length):
            start += 1
        end = start + length
        if end > len(problem.teams[who[task]].days):
            return -np.inf
        ends[task] = busy_until[who[task]] = end
        late = day(end - 1) > problem.deadline[task]
        total += problem.harm[task] * (problem.late_share if late else 1.0)
    return total


def _open(problem: SeasonProblem, task: int, start: int, length: int) -> bool:
    if start > 1000:
        return True
    months = np.array([int(str(day(start + k))[5:7]) for k in range(length)])
    return not problem.closed_months[task, months - 1].any()


def random_season(rng: np.random.Generator, n: int, *, plain: bool) -> SeasonProblem:
    """A season of whole days; `plain`: without order, closed months and locked tasks."""
    capacity = tuple(rng.integers(5, 50, rng.integers(1, 3)))
    days = rng.integers(1, 20, (n, len(capacity))).astype(float)
    days[rng.random(days.shape) < 0.15] = np.inf
    return season(
        rng.integers(0, 30, n),
        days,
        capacity,
        deadline={task: int(rng.integers(1, 45)) for task in range(n) if rng.random() < 0.5},
        closed={} if plain else {t: [1] for t in range(n) if rng.random() < 0.3},
        before=[]
        if plain
        else [(a, b) for a in range(n) for b in range(a + 1, n) if rng.random() < 0.2],
        locked_out=() if plain else [t for t in range(n) if rng.random() < 0.1],
        late_share=float(rng.choice([0.0, 0.5, 1.0])),
    )
