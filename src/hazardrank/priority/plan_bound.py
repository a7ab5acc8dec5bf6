"""A bound that no plan can beat, for any number of tasks.

Lagrangian relaxation: team-days get a price, whoever uses them pays, and each task takes the
option that leaves it most, if any. Whatever the prices, nothing a season can hold averts more
than the harm left to the tasks plus the worth of all team-days at these prices. The prices
that make this least are found by cutting planes (Kelley 1960); at best it equals the bound
of the linear relaxation, in which tasks may be done in part. That tasks wait for others, and
districts have shares, is left out, which can only make the bound higher.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from hazardrank.priority.plan_options import Options
from hazardrank.priority.plan_problem import BoolArray, FloatArray, IndexArray, SeasonProblem
from hazardrank.priority.plan_room import parts_of

#: Parts of a team's season that have a price of their own, at most.
_MOST_PARTS = 6
#: Cutting planes at most, and the share of the bound they have to gain.
_MOST_STEPS, _TOLERANCE = 80, 1e-4


@dataclass(frozen=True, eq=False)
class Bound:
    """A bound, and what the prices behind it say of each option.

    Parameters
    ----------
    value : float
        No plan averts more.
    loss : ndarray of float64, shape (n_options,)
        A plan that uses the option averts less than the bound by at least so much.
    """

    value: float
    loss: FloatArray

    def promising(self, reached: float) -> BoolArray:
        """Return which options a plan may use that averts more than `reached`."""
        return self.value - self.loss > reached * (1 - 1e-9)


@dataclass(frozen=True, eq=False)
class _Parts:
    """The parts of the teams' seasons that have a price, and which options need them.

    Parameters
    ----------
    room : ndarray of float64, shape (n_parts,)
        Team-days of each.
    needs : sparse array, shape (n_options, n_parts)
        Team-days each option takes of each.
    """

    room: FloatArray
    needs: csr_array


@dataclass(frozen=True, eq=False)
class _Relaxation:
    """The options by task, the parts they need, and the tasks that must be done."""

    options: Options
    parts: _Parts
    first: IndexArray
    forced: BoolArray

    @classmethod
    def of(cls, problem: SeasonProblem, options: Options) -> _Relaxation:
        first = np.flatnonzero(np.diff(options.task, prepend=-1))
        forced = problem.locked_in[options.task[first]]
        return cls(options, _priced_parts(problem, options), first, forced)

    def at(self, price: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Return the bound at some prices, how it changes with them, and each option's loss."""
        left = self.options.harm - self.parts.needs @ price
        most = np.maximum.reduceat(left, self.first)
        task = np.repeat(np.arange(len(most)), np.diff(self.first, append=len(left)))
        taken = self.forced | (most > 0)
        # The first option of each task that leaves it the most.
        best = np.flatnonzero(left == most[task])
        best = best[np.unique(task[best], return_index=True)[1]][taken]
        slope = self.parts.room - self.parts.needs[best].sum(axis=0)
        gained = np.where(taken, most, 0.0)
        return float(gained.sum() + self.parts.room @ price), slope, gained[task] - left


def season_bound(problem: SeasonProblem, options: Options, reached: float = 0.0) -> Bound:
    """Return a number that the harm averted by any plan cannot exceed.

    Parameters
    ----------
    problem : SeasonProblem
        Tasks and teams.
    options : Options
        All options of the tasks.
    reached : float, optional
        Harm that a plan is known to avert; the search ends when the bound has come so near
        that no better one matters.
    """
    scale = float(options.harm.max(initial=0.0))
    if scale <= 0:
        return Bound(max(reached, 0.0), np.zeros(len(options)))
    scaled = replace(options, harm=options.harm / scale)
    found = _bound(problem, scaled, reached / scale)
    return Bound(found.value * scale, found.loss * scale)


def _bound(problem: SeasonProblem, options: Options, reached: float) -> Bound:
    relaxation = _Relaxation.of(problem, options)
    highest = _highest_prices(options, relaxation.parts)
    price = np.zeros(len(highest))
    value, slope, loss = relaxation.at(price)
    cuts, best = [(value, slope)], Bound(value, loss)
    for _ in range(_MOST_STEPS):
        price, floor = _cheapest(cuts, highest)
        if floor >= best.value * (1 - _TOLERANCE):
            break
        value, slope, loss = relaxation.at(price)
        cuts.append((value - float(slope @ price), slope))
        if value < best.value:
            best = Bound(value, loss)
        if best.value <= reached * (1 + _TOLERANCE):
            break
    return Bound(max(best.value, reached), best.loss)


def _priced_parts(problem: SeasonProblem, options: Options) -> _Parts:
    """Choose parts of the teams' seasons: each whole season, and some that end with deadlines."""
    room: list[float] = []
    columns, rows, days = [], [], []
    for team in range(len(problem.teams)):
        ours, opens, dues = parts_of(options, team)
        if not len(ours):
            continue
        pairs = [(begin, end) for begin in opens for end in dues if end > begin]
        chosen = {*np.linspace(0, len(pairs) - 1, min(len(pairs), _MOST_PARTS)).astype(int)}
        whole = pairs.index((opens[0], dues[-1]))
        for begin, end in (pairs[k] for k in sorted(chosen | {whole})):
            inside = ours[(options.opens[ours] >= begin) & (options.due[ours] <= end)]
            columns.append(np.full(len(inside), len(room)))
            rows.append(inside)
            days.append(options.days[inside])
            room.append(float(end - begin))
    needs = csr_array(
        (np.concatenate(days), (np.concatenate(rows), np.concatenate(columns))),
        shape=(len(options), len(room)),
    )
    return _Parts(np.array(room), needs)


def _highest_prices(options: Options, parts: _Parts) -> FloatArray:
    """Return prices above which no part of the season would be used."""
    columns = parts.needs.tocoo()
    highest = np.zeros(len(parts.room))
    np.maximum.at(highest, columns.coords[1], options.rate[columns.coords[0]])
    return highest


def _cheapest(
    cuts: list[tuple[float, FloatArray]], highest: FloatArray
) -> tuple[FloatArray, float]:
    """Return the prices at which the cutting planes allow the least, and how little that is."""
    n = len(highest)
    found: Any = linprog(
        [*np.zeros(n), 1.0],
        A_ub=np.array([[*slope, -1.0] for _, slope in cuts]),
        b_ub=[-level for level, _ in cuts],
        bounds=[*((0.0, high) for high in highest), (None, None)],
        method="highs",
    )
    if found.x is None:
        return np.zeros(n), np.inf
    return found.x[:n], float(found.x[n])
