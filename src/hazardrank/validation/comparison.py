"""Two models on the same held-out cells: one is better, or no difference is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hazardrank.errors import FoldError
from hazardrank.validation.bootstrap import Bootstrap, Draws, Units, interval, intervals
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


# ------------------------------------------------------------------ two runs


@dataclass(frozen=True)
class EvaluatedRun:
    """What a run says of its labelled cells; arrays of shape (n_cells,).

    Parameters
    ----------
    name : str
        What to call the run in messages.
    protocol : str
        ``new_district`` or ``infill``.
    cell_id : ndarray of object
        INSPIRE codes.
    outcome : ndarray of int64
        1 contaminated, 0 released, -1 unlabelled background.
    fold, unit : ndarray of int64
        Fold that held each cell out (-1: none), and its unit of the bootstrap.
    likelihood : ndarray of float64
        Held-out likelihood; NaN where never held out, or not yet known.
    """

    name: str
    protocol: str
    cell_id: NDArray[np.object_]
    outcome: NDArray[np.int64]
    fold: NDArray[np.int64]
    unit: NDArray[np.int64]
    likelihood: Values

    @classmethod
    def of(cls, name: str, protocol: str, table: pd.DataFrame) -> EvaluatedRun:
        """Take a run from its out-of-fold predictions, in order of cell."""
        ordered = table.sort_values("cell_id", kind="stable")
        return cls(
            name,
            protocol,
            ordered["cell_id"].to_numpy(dtype=object),
            ordered["outcome"].to_numpy(np.int64),
            ordered["fold"].to_numpy(np.int64),
            ordered["unit"].to_numpy(np.int64),
            ordered["likelihood"].to_numpy(np.float64),
        )


def require_same_evaluation(first: EvaluatedRun, second: EvaluatedRun) -> None:
    """Let only runs pass that were measured on the same cells with the same folds.

    Raises
    ------
    FoldError
        Naming what differs.
    """
    found = _what_differs(first, second)
    if found:
        raise FoldError(
            f"cannot be compared with {first.name}: {'; '.join(found)}",
            where=second.name,
            remedy="Train both with the same region, labels, validation settings and seed.",
        )


def _what_differs(first: EvaluatedRun, second: EvaluatedRun) -> list[str]:
    found = []
    if first.protocol != second.protocol:
        found.append(f"the protocols are {first.protocol} and {second.protocol}")
    lost = len(np.setdiff1d(first.cell_id, second.cell_id))
    new = len(np.setdiff1d(second.cell_id, first.cell_id))
    if lost or new:
        return [
            *found,
            f"the labelled cells differ ({lost} only in the first, {new} only in the second)",
        ]
    n_changed = int((first.outcome != second.outcome).sum())
    if n_changed:
        found.append(f"{n_changed} labelled cells have another outcome")
    never = int(((first.fold < 0) != (second.fold < 0)).sum())
    if never:
        found.append(f"the folds differ ({never} cells are held out in one run only)")
    elif not _same_parts(first.fold, second.fold):
        found.append(
            "the folds differ (cells are held out together in one run and not in the other)"
        )
    elif not _same_parts(first.unit, second.unit):
        found.append("the blocks or groups that the bootstrap draws differ")
    return found


def _same_parts(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Return whether two divisions of the same cells are one, whatever the parts' numbers."""
    n_pairs = np.unique(np.stack([first, second]), axis=1).shape[1]
    return bool(n_pairs == len(np.unique(first)) == len(np.unique(second)))


@dataclass(frozen=True)
class RunComparison:
    """Two runs side by side.

    Parameters
    ----------
    first, second : Measured
        Their figures.
    differences : mapping of str to Difference
        Second minus first; verdicts are of the second.
    bootstrap : dict
        Units, draws and seed.
    """

    first: Measured
    second: Measured
    differences: Mapping[str, Difference]
    bootstrap: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as ``comparison.json`` has it, but for the runs' names."""
        return {
            "figures": {
                name: {
                    "run_a": self.first.skill.values[name],
                    "run_b": self.second.skill.values[name],
                    **difference.as_dict(),
                }
                for name, difference in self.differences.items()
            },
            "note": "difference: run_b minus run_a; verdict: of run_b",
            "bootstrap": self.bootstrap,
        }


def compare_runs(
    first: EvaluatedRun, second: EvaluatedRun, n_draws: int, seed: int
) -> RunComparison:
    """Compare two runs cell by cell with one set of draws.

    Raises
    ------
    FoldError
        If their folds or labelled cells differ.
    """
    require_same_evaluation(first, second)
    held_out = first.fold >= 0
    contaminated = first.outcome[held_out] == 1
    unit = np.unique(first.unit[held_out], return_inverse=True)[1]
    bootstrap = Bootstrap.of(Units(unit, "blocks or groups"), n_draws, seed)
    both = [
        Measured.of(bootstrap, contaminated, run.likelihood[held_out], run.likelihood[held_out])
        for run in (first, second)
    ]
    return RunComparison(
        both[0], both[1], paired_differences(both[1], both[0]), bootstrap.about(contaminated, seed)
    )
