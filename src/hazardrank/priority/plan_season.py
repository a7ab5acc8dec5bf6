"""A season's plan, beside what the same teams would avert without one."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hazardrank.errors import PriorityError
from hazardrank.priority.plan_baselines import nearest_first, rank_order
from hazardrank.priority.plan_bound import season_bound
from hazardrank.priority.plan_compare import changes, totals_of
from hazardrank.priority.plan_exact import choices_of, without_idle
from hazardrank.priority.plan_greedy import greedy_choice
from hazardrank.priority.plan_inputs import season_problem
from hazardrank.priority.plan_options import Options, options_of
from hazardrank.priority.plan_problem import IndexArray, SeasonProblem
from hazardrank.priority.plan_schedule import Plan
from hazardrank.priority.plan_sequence import schedule_of
from hazardrank.priority.plan_solver import Solved, solve
from hazardrank.settings import PlanSettings

__all__ = ["SeasonPlan", "compare_plans", "plan_season", "season_problem"]

#: Gaps below this are rounding.
_NO_GAP = 1e-9
#: Share of the time limit for the linear relaxation.
_SHARE_OF_RELAXATION = 0.5
#: Options of which a solution takes more than this share are taken.
_MOST_OF_IT = 0.5


@dataclass(frozen=True, eq=False)
class SeasonPlan:
    """A season's plan and how good it is.

    Parameters
    ----------
    plan : Plan
        Who does what, when.
    others : tuple of Plan
        What the same teams would do in rank order, and the nearest first, as far as ranks
        and distances are known.
    notes : tuple of str
        What the reader has to know, in plain words.
    """

    plan: Plan
    others: tuple[Plan, ...]
    notes: tuple[str, ...]

    @property
    def solver(self) -> str:
        """What chose the tasks: ``exact``, ``greedy``, or the order that beat it."""
        return self.plan.how

    @property
    def averted(self) -> float:
        """Expected harm averted in all."""
        return self.plan.averted

    @property
    def bound(self) -> float:
        """No plan averts more than this."""
        return self.plan.bound

    @property
    def gap(self) -> float:
        """Share of the bound by which a better plan could beat this one, at most; 0–1."""
        return self.plan.gap

    def tasks(self) -> pd.DataFrame:
        """Return the planned tasks; see :meth:`Plan.table`."""
        return self.plan.table()

    def teams(self) -> pd.DataFrame:
        """Return what each team does; see :meth:`Plan.use`."""
        return self.plan.use()

    def comparison(self) -> pd.DataFrame:
        """Return the totals of this plan, of rank order and of nearest-first, a row each.

        Returns
        -------
        DataFrame
            ``plan``, ``tasks``, ``harm_averted``, ``share_of_bound``, ``team_days``,
            ``area_m2``, ``in_time`` and ``with_deadline`` (tasks with a deadline, finished
            by it and in all).
        """
        return pd.DataFrame([totals_of(plan, self.bound) for plan in (self.plan, *self.others)])


def plan_season(
    problem: SeasonProblem, settings: PlanSettings, *, rank: IndexArray | None = None
) -> SeasonPlan:
    """Plan a season.

    If one of the plans it is compared with averts more than the greedy one, that is the plan.

    Parameters
    ----------
    problem : SeasonProblem
        Tasks and teams; see :func:`~hazardrank.priority.plan_inputs.season_problem`.
    settings : PlanSettings
        Solver, time limit and gap.
    rank : ndarray of int64, shape (n_tasks,), optional
        Rank of each task, 1 first, less than 1 for none; to compare with.

    Raises
    ------
    PriorityError
        If locked-in tasks do not fit into the season, or tasks wait for each other in a
        circle.
    """
    if rank is not None and rank.shape != problem.ids.shape:
        raise PriorityError(f"{rank.shape} ranks for {problem.ids.shape} tasks")
    options = options_of(problem)
    chosen = greedy_choice(problem, options)
    plan = schedule_of(problem, options, chosen).plan("greedy")
    others = [] if rank is None else [rank_order(problem, rank)]
    by_distance = nearest_first(problem)
    others += [] if by_distance is None else [by_distance]
    plan = max([plan, *filter(_may_replace, others)], key=lambda one: one.averted)
    plan = plan.bounded(season_bound(problem, options, plan.averted).value)
    limit_s = settings.time_limit_s
    begun = time.monotonic()
    plan = _guided(problem, options, chosen, plan, limit_s * _SHARE_OF_RELAXATION)
    words: list[str] = []
    if settings.solver == "exact" or (
        settings.solver == "auto" and len(problem) <= settings.exact_up_to
    ):
        left_s = max(limit_s - (time.monotonic() - begun), 0.0)
        solved, plan = _exact(problem, options, chosen, plan, (left_s, settings.gap))
        words = _ended_words(solved, plan, limit_s)
    notes = (*problem.notes, *words, _quality_words(plan))
    notes += (*_share_words(plan), *_deadline_words(plan))
    if problem.district_shares and others:
        notes += ("the plans it is compared with do not keep to districts' shares",)
    return SeasonPlan(plan, tuple(others), notes)


def _may_replace(plan: Plan) -> bool:
    """Whether a plan made without regard to districts and locked tasks keeps to both."""
    problem = plan.problem
    return not problem.district_shares and bool(
        np.isin(np.flatnonzero(problem.locked_in), plan.task).all()
    )


def _guided(
    problem: SeasonProblem, options: Options, chosen: IndexArray, known: Plan, limit_s: float
) -> Plan:
    """Return the better of a plan that follows the linear relaxation and another plan."""
    choices = choices_of(problem, options, _shares_met(problem, options, chosen))
    solved = solve(replace(choices, whole=False), limit_s, 0.0)
    if solved.ended != "solved" or solved.taken is None:
        return known
    order = np.argsort(-solved.taken, kind="stable")
    favoured = order[solved.taken[order] > _MOST_OF_IT]
    chosen = greedy_choice(problem, options, favoured)
    plan = _best_of(problem, options, chosen, known, "greedy")
    plan = plan if len(_share_words(plan)) <= len(_share_words(known)) else known
    return plan.bounded(max(plan.averted, min(known.bound, solved.bound)))


def _exact(
    problem: SeasonProblem,
    options: Options,
    chosen: IndexArray,
    known: Plan,
    limits: tuple[float, float],
) -> tuple[Solved, Plan]:
    """Return what came of optimising within seconds and a gap, and the better plan."""
    bound = season_bound(problem, options, known.averted)
    # Of the other options, no plan that averts more than the known one can make use.
    use = np.flatnonzero(bound.promising(known.averted))
    choices = choices_of(problem, options.take(use), _shares_met(problem, options, chosen))
    solved = solve(choices, *limits)
    # Without any choice that is better, the known plan is the best.
    most = known.averted if solved.ended == "infeasible" else solved.bound
    plan = known
    if solved.taken is not None:
        best = without_idle(problem, options, use[solved.taken > _MOST_OF_IT])
        plan = _best_of(problem, options, best, known, "exact")
    highest = max(known.averted, plan.averted, min(bound.value, known.bound, most))
    return solved, plan.bounded(highest)


def _best_of(
    problem: SeasonProblem, options: Options, chosen: IndexArray, known: Plan, how: str
) -> Plan:
    """Return the better of a known plan and that of chosen options."""
    try:
        plan = schedule_of(problem, options, chosen).plan(how)
    except PriorityError:
        # The choice has room for the locked-in tasks, but the schedule has none.
        return known
    return plan if plan.averted >= known.averted else known


def _shares_met(problem: SeasonProblem, options: Options, chosen: IndexArray) -> dict[str, float]:
    """Return the districts' shares as far as a choice of options meets them."""
    by_days = problem.share_of == "team_days"
    size = options.days[chosen] if by_days else problem.area_m2[options.task[chosen]]
    whole = problem.capacity if by_days else float(size.sum())
    district = problem.district[options.task[chosen]]
    met = {}
    for name, share in problem.district_shares.items():
        reached = float(size[district == name].sum())
        wanted = min(share * whole, reached)
        met[name] = wanted if by_days else wanted / whole if whole else 0.0
    return met


def _ended_words(solved: Solved, plan: Plan, limit_s: float) -> list[str]:
    if solved.ended in ("solved", "infeasible"):
        return []
    kept = "the best plan found so far" if plan.how == "exact" else f"the {plan.how} plan"
    if solved.ended == "time limit":
        return [f"exact planning ended at its limit of {limit_s:g} s: {kept} is kept"]
    return [f"exact planning failed before its end: {kept} is kept"]


def _quality_words(plan: Plan) -> str:
    if plan.gap <= _NO_GAP:
        return f"{plan.how}: no plan could avert more"
    return f"{plan.how}: within {max(plan.gap, 1e-4):.2%} of what any plan could avert"


def _share_words(plan: Plan) -> list[str]:
    """Say which districts have less than their share."""
    problem = plan.problem
    by_days = problem.share_of == "team_days"
    size = plan.team_days if by_days else problem.area_m2[plan.task]
    whole = problem.capacity if by_days else float(size.sum())
    what = "team-days" if by_days else "planned area"
    words = []
    for name, share in problem.district_shares.items():
        reached = float(size[problem.district[plan.task] == name].sum())
        if reached < share * whole * (1 - 1e-9):
            words.append(
                f"district '{name}' has {reached / whole:.1%} of the {what}, less than the "
                f"{share:.1%} asked for: as far as its tasks could be fitted in"
            )
    return words


def _deadline_words(plan: Plan) -> list[str]:
    totals = totals_of(plan, plan.bound)
    if not totals["with_deadline"]:
        return []
    return [f"{totals['in_time']} of {totals['with_deadline']} tasks with a deadline are in time"]


def compare_plans(plan_a: SeasonPlan | Plan, plan_b: SeasonPlan | Plan) -> pd.DataFrame:
    """Compare two plans: which districts gain by going from A to B, and which wait.

    Parameters
    ----------
    plan_a, plan_b : SeasonPlan or Plan
        Plans for tasks with the same ids; teams and settings may differ.

    Returns
    -------
    DataFrame
        As :func:`~hazardrank.priority.plan_compare.changes` returns it.
    """
    first, then = (plan.plan if isinstance(plan, SeasonPlan) else plan for plan in (plan_a, plan_b))
    return changes(first, then)
