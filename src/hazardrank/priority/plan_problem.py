"""What a season's plan has to decide: tasks, teams, and what the plan has to respect.

**What is averted.** A task averts its expected harm in full when it is finished by its
deadline, and ``late_share`` of it afterwards; nothing unless it is finished within the season.
Tasks are not left half done.

**Who works.** A team works on one task at a time, from start to end, with pauses only where
it does not work at all; it may wait. A task is done by one team. A task that is closed in
some months (winter) is started and finished outside them.

**Order.** If task A is before task B, B is planned only if A is, and starts when A is
finished: right then in the same team, from the next day on in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.priority.plan_calendar import Team

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ShareOf = Literal["team_days", "area"]


@dataclass(frozen=True, eq=False)
class SeasonProblem:
    """Tasks and teams of a season.

    Parameters
    ----------
    teams : tuple of Team
        The teams.
    ids : ndarray of str, shape (n_tasks,)
        Stable, unique.
    harm : ndarray of float64, shape (n_tasks,)
        Expected harm averted by clearing the task, 0 or more.
    team_days : ndarray of float64, shape (n_tasks, n_teams)
        Team-days each team needs, above 0; infinite where it cannot do the task.
    area_m2 : ndarray of float64, shape (n_tasks,)
        Areas.
    district : ndarray of str, shape (n_tasks,)
        District of each task; ``""`` for none.
    deadline : ndarray of datetime64[D], shape (n_tasks,)
        Day by which the task is to be finished, NaT for none.
    closed_months : ndarray of bool, shape (n_tasks, 12)
        Months in which the task cannot be worked, January first.
    before : ndarray of int64, shape (n_pairs, 2)
        The first task of each pair comes before the second.
    locked_in, locked_out : ndarray of bool, shape (n_tasks,)
        Tasks that must, and must not, be in the plan.
    late_share : float
        Share of the harm averted by finishing after the deadline.
    district_shares : mapping of str to float
        District → least share of the plan.
    share_of : {"team_days", "area"}
        Shares of all team-days of the season, or of the area that is planned.
    distance_m : ndarray of float64, shape (n_tasks, n_teams), optional
        How far each task is from each team, to compare with planning the nearest first; NaN
        where not known. It does not count otherwise.
    notes : tuple of str
        What could not be taken into account, in plain words.

    Raises
    ------
    PriorityError
        If shapes, values, names or the order do not fit.
    """

    teams: tuple[Team, ...]
    ids: NDArray[np.object_]
    harm: FloatArray
    team_days: FloatArray
    area_m2: FloatArray
    district: NDArray[np.object_]
    deadline: NDArray[np.datetime64]
    closed_months: BoolArray
    before: IndexArray
    locked_in: BoolArray
    locked_out: BoolArray
    late_share: float = 1.0
    district_shares: Mapping[str, float] = field(default_factory=dict)
    share_of: ShareOf = "team_days"
    distance_m: FloatArray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, k = len(self.ids), len(self.teams)
        shapes = {
            "harm": (n,),
            "team_days": (n, k),
            "area_m2": (n,),
            "district": (n,),
            "deadline": (n,),
            "closed_months": (n, 12),
            "locked_in": (n,),
            "locked_out": (n,),
            "before": (len(self.before), 2),
        }
        if self.distance_m is not None:
            shapes["distance_m"] = (n, k)
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                found = getattr(self, name).shape
                raise PriorityError(f"{name} of the plan has the shape {found}, not {shape}")
        self._check_values()
        self._check_names()

    def _check_values(self) -> None:
        if not (np.isfinite(self.harm) & (self.harm >= 0)).all():
            raise PriorityError("expected harm must be 0 or more, and known, for every task")
        if not (self.team_days > 0).all():
            raise PriorityError("team-days must be above 0 for every task and team")
        both = self.locked_in & self.locked_out
        if both.any():
            raise PriorityError(
                f"task '{self.ids[both][0]}' is locked in and locked out", where="plan.locked_in"
            )

    def _check_names(self) -> None:
        if len(set(self.ids.tolist())) < len(self.ids):
            raise PriorityError("two tasks of the plan have the same id")
        known = sorted(set(self.district.tolist()) - {""})
        foreign = sorted(set(self.district_shares) - set(known))
        if foreign:
            raise PriorityError(
                f"no task lies in a district '{foreign[0]}' (districts: "
                f"{', '.join(known) or 'none'})",
                where="plan.district_shares",
            )
        names = [team.name for team in self.teams]
        if len(set(names)) < len(names):
            raise PriorityError("two teams of the plan have the same name", where="plan.teams")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def capacity(self) -> float:
        """Team-days of all teams."""
        return sum(team.capacity for team in self.teams)

    @cached_property
    def previous(self) -> dict[int, tuple[int, ...]]:
        """Tasks right before each task that waits for any."""
        return _grouped(self.before[:, 1], self.before[:, 0])

    @cached_property
    def following(self) -> dict[int, tuple[int, ...]]:
        """Tasks right behind each task that others wait for."""
        return _grouped(self.before[:, 0], self.before[:, 1])

    @cached_property
    def depth(self) -> dict[int, int]:
        """Place of each ordered task in an order that respects all pairs.

        Raises
        ------
        PriorityError
            If tasks wait for each other in a circle.
        """
        sorter = TopologicalSorter({task: before for task, before in self.previous.items()})
        try:
            order = list(sorter.static_order())
        except CycleError as error:
            names = " before ".join(str(self.ids[task]) for task in error.args[1])
            raise PriorityError(f"tasks wait for each other in a circle: {names}") from None
        return {task: place for place, task in enumerate(order)}

    def all_before(self, task: int) -> list[int]:
        """Return every task that has to come before a task, nearest first."""
        return _reached(task, self.previous)

    def all_behind(self, task: int) -> list[int]:
        """Return every task that waits for a task, nearest first."""
        return _reached(task, self.following)

    def harm_averted(self, task: int, last_day: np.datetime64) -> float:
        """Return the harm averted if a task is finished on a date."""
        late = bool(last_day > self.deadline[task])  # never later than NaT
        return float(self.harm[task]) * (self.late_share if late else 1.0)


def _grouped(keys: IndexArray, values: IndexArray) -> dict[int, tuple[int, ...]]:
    groups: dict[int, list[int]] = {}
    for key, value in zip(keys.tolist(), values.tolist(), strict=True):
        groups.setdefault(key, []).append(value)
    return {key: tuple(sorted(set(group))) for key, group in groups.items()}


def _reached(task: int, ways: Mapping[int, tuple[int, ...]]) -> list[int]:
    found: list[int] = []
    waiting = list(ways.get(task, ()))
    seen = set(waiting)
    while waiting:
        other = waiting.pop(0)
        found.append(other)
        fresh = [more for more in ways.get(other, ()) if more not in seen]
        seen.update(fresh)
        waiting += fresh
    return found
