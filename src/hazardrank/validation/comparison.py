"""Two models on the same held-out cells: one is better, or no difference is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hazardrank.validation.bootstrap import Bootstrap, Draws, interval, intervals
from hazardrank.validation.metrics import (
    CAPTURE_SHARES,
    Flags,
    Skill,
    Values,
    lower_is_better,
    skill,
)

Verdict = Literal["better", "worse", "no difference shown"]
#: What lift is measured over.
LIFT_OVER = "distance_to_known_hazard"


@dataclass(frozen=True)
class Difference:
    """A figure of one model minus that of another.

    Parameters
    ----------
    difference : float
        First minus second.
    low, high : float or None
        95 % interval over the same draws of both; ``None`` where there is none.
    verdict : str
        What the first is beside the second: ``better`` or ``worse`` where the interval
        excludes zero, else ``no difference shown``.
    """

    difference: float
    low: float | None
    high: float | None
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """Return the difference as ``metrics.json`` has it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Measured:
    """One model's figures and their values in every draw."""

    skill: Skill
    draws: Draws

    @classmethod
    def of(
        cls, bootstrap: Bootstrap, contaminated: Flags, score: Values, likelihood: Values | None
    ) -> Measured:
        """Measure predictions, with intervals."""
        plain = skill(contaminated, score, likelihood)
        draws = bootstrap.figures(contaminated, score, likelihood) if len(score) else {}
        ends = intervals(plain.values, draws)
        return cls(Skill(plain.values, plain.undefined, plain.ece_bins, ends), draws)

    @property
    def plain(self) -> Measured:
        """The figures without draws."""
        return Measured(self.skill, {})


def paired_differences(first: Measured, second: Measured) -> dict[str, Difference]:
    """Return first minus second for every figure that both have.

    Parameters
    ----------
    first, second : Measured
        Two models measured on the same cells with the same draws.
    """
    differences = {}
    for name, value in first.skill.values.items():
        other = second.skill.values.get(name)
        if value is None or other is None:
            continue
        draws = np.empty(0)
        if name in first.draws and name in second.draws:
            draws = first.draws[name] - second.draws[name]
        differences[name] = _difference(name, value - other, draws)
    return differences


def _difference(name: str, difference: float, draws: Values) -> Difference:
    ends = interval(difference, draws)
    if ends is None:
        return Difference(difference, None, None, "no difference shown")
    low, high = ends
    if low <= 0 <= high:
        return Difference(difference, low, high, "no difference shown")
    gained = (low > 0) != lower_is_better(name)
    return Difference(difference, low, high, "better" if gained else "worse")


def as_dicts(differences: Mapping[str, Difference]) -> dict[str, dict[str, Any]]:
    """Return differences as plain values."""
    return {name: difference.as_dict() for name, difference in differences.items()}


def lift(model: Measured, baseline: Measured) -> dict[str, Any]:
    """Return how many times the baseline's finds the model finds in the same share of area.

    Parameters
    ----------
    model, baseline : Measured
        Two rankings of the same cells with the same draws.

    Returns
    -------
    dict
        ``over``, ``at_1pct_area`` and so on (``None`` where the baseline finds nothing),
        and their ``intervals``.
    """
    values: dict[str, Any] = {"over": LIFT_OVER}
    ends: dict[str, list[float]] = {}
    for share in CAPTURE_SHARES:
        name, key = f"capture_at_{100 * share:.0f}pct_area", f"at_{100 * share:.0f}pct_area"
        found, other = model.skill.values[name], baseline.skill.values[name]
        values[key] = found / other if found is not None and other else None
        if name not in model.draws:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            both = interval(values[key], model.draws[name] / baseline.draws[name])
        if both is not None:
            ends[key] = list(both)
    return {**values, "intervals": ends}
