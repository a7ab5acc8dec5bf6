"""The table that planners get: tasks in rank order, with everything that stands behind a rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.priority.alternatives import Alternatives
from hazardrank.priority.bands import BAND_LABELS, Band
from hazardrank.priority.criteria.base import CriterionSpec
from hazardrank.priority.gather import GatheredTasks
from hazardrank.priority.methods import Ranking
from hazardrank.priority.priorities import Priorities
from hazardrank.priority.reasons import parts_of, phrases_of, plain_reasons
from hazardrank.priority.tasks_table import COLUMNS, TaskTotals
from hazardrank.priority.weights import Weights
from hazardrank.settings import RobustnessSettings

FloatArray = NDArray[np.float64]
AnyTable = TypeVar("AnyTable", bound=pd.DataFrame)

#: Column → what it holds, for the columns that ranking adds to those of the tasks.
RANK_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "rank": "clearance priority, 1 is first; empty for tasks that wait at a gate",
        "rank_low": "low end of the rank's range when weights near the chosen ones, likelihoods "
        "and efforts are drawn again",
        "rank_high": "high end of it",
        "top_share": "share of those draws in which the task is among the first TOP",
        "tied": "whether the draws do not decide between the task and a neighbour in rank",
        "tie_group": "tasks of one number are as good as equal; numbered in rank order",
        "band": "urgent, high, medium or lowest clearance priority (NOT cleared), survey first, "
        "or waits",
        "waits_for": "the first closed gate; empty where all are open",
        "score": "what the method gives, in SCORE_UNIT; empty for tasks that wait",
        "reason_N": "what moves the rank most, beside the median of all ranked tasks",
        "method": "method that is best on most of the task; empty if none can be used",
        "team_days": "team-days to clear it, each cell by its best method, follow-up included",
        "cost_usd": "cost of that in USD",
        "unworkable_share": "share of the area on which no method can be used; it counts neither "
        "as harm averted nor as work",
        "ranked_likelihood": "mean contamination likelihood that the rank rests on: land that the "
        "model cannot judge counts as the mean of what it can",
        "harm_ha": "expected harm: likelihood × consequence × area, in hectares of full "
        "consequence; consequence with the chosen weights of the criteria alone",
        "rank_low_ANY": "low end of the rank's range whatever the weights (all with equal chance)",
        "rank_high_ANY": "high end of it",
        "top_share_ANY": "share of those draws in which the task is among the first TOP",
        "run_id": "digest of settings, inputs, maps and code that the numbers come from",
    }
)

#: Suffix of the columns of each kind of draws; those around the chosen weights have none.
SUFFIXES = {"around": "", "uniform": "_any_weights", "fixed": "_fixed_weights"}

_DIGITS = 6

_FIRST = (
    *("task_id", "rank", "rank_low", "rank_high", "top_share", "tied", "tie_group"),
    *("band", "waits_for", "score", "location", "district", "hazard_id", "area_m2"),
    *("likelihood_mean", "likelihood_max", "expected_m2", "expected_low_m2", "expected_high_m2"),
    *("outside_domain_share", "unsurveyed_share", "method", "team_days", "cost_usd"),
)


def ranked_table(
    table: gpd.GeoDataFrame,
    totals: TaskTotals,
    gathered: GatheredTasks,
    priorities: Priorities,
    specs: Sequence[CriterionSpec],
    n_reasons: int,
    run_id: str,
) -> gpd.GeoDataFrame:
    """Return the tasks in rank order, those that wait last, by id.

    Parameters
    ----------
    table : GeoDataFrame, n rows
        The tasks (:func:`~hazardrank.priority.tasks_table.task_table`).
    totals : TaskTotals
        What their cells hold.
    gathered : GatheredTasks
        What the ranking rests on.
    priorities : Priorities
        Ranks, bands, what tasks wait for.
    specs : sequence of CriterionSpec
        The criteria.
    n_reasons : int
        Reasons for each task.
    run_id : str
        Written into every row.

    Returns
    -------
    GeoDataFrame
        The columns of :data:`RANK_COLUMNS` and
        :data:`~hazardrank.priority.tasks_table.COLUMNS`.

    Raises
    ------
    PriorityError
        If a criterion bears the name of a column.
    """
    land, opened = gathered.alternatives, priorities.rank > 0
    data: dict[str, object] = {
        "rank": _whole(priorities.rank, opened),
        "band": band_labels(priorities.band),
        "waits_for": priorities.closed_by,
        "score": priorities.score,
        "method": best_methods(gathered, totals.methods),
        "team_days": _finite(land.team_days),
        "cost_usd": _finite(gathered.cost_usd),
        "unworkable_share": gathered.unworkable_share,
        "ranked_likelihood": land.likelihood,
        "harm_ha": harm_ha(land, priorities),
    }
    for kind, drawn in priorities.robustness.items():
        suffix = SUFFIXES[kind]
        data[f"rank_low{suffix}"] = _whole(drawn.low, opened)
        data[f"rank_high{suffix}"] = _whole(drawn.high, opened)
        data[f"top_share{suffix}"] = drawn.top_share
    if priorities.robustness:
        drawn = next(iter(priorities.robustness.values()))
        data["tied"] = _yes_no(drawn.tied, opened)
        data["tie_group"] = _whole(drawn.tie_group, opened)
    reasons = _reasons(totals, priorities.ranking, specs, opened, n_reasons)
    data |= {f"reason_{k + 1}": reasons[:, k] for k in range(n_reasons)}
    data["run_id"] = np.full(len(table), run_id, dtype=object)
    _check_names(specs, data)
    whole = table.assign(**data)
    order = np.lexsort((whole["task_id"].astype(str), np.where(opened, priorities.rank, np.inf)))
    names = [name for name in _FIRST if name in whole.columns]
    reasons_given = [f"reason_{k + 1}" for k in range(n_reasons)]
    rest = [c for c in whole.columns if c not in (*names, *reasons_given, "geometry", "run_id")]
    ordered: gpd.GeoDataFrame = whole[[*names, *reasons_given, *rest, "run_id", "geometry"]]
    return rounded(ordered.iloc[order].reset_index(drop=True))


def _check_names(specs: Sequence[CriterionSpec], columns: Mapping[str, object]) -> None:
    taken = [spec.name for spec in specs if spec.name in columns]
    if taken:
        raise PriorityError(
            f"the criterion '{taken[0]}' has the name of a column of the tasks",
            where=f"priority.criteria.{taken[0]}",
            remedy="Give it another name.",
        )


def rounded(table: AnyTable) -> AnyTable:
    """Return a table with its numbers to six significant digits, and a tenth at least.

    So all files hold the same numbers, and none pretends to know more.
    """
    names = [name for name in table.columns if table[name].dtype.kind == "f"]
    return table.assign(**{name: significant(table[name].to_numpy()) for name in names})


def significant(values: FloatArray) -> FloatArray:
    """Return numbers to six significant digits; those above 99,999.9 to a tenth."""
    size = np.abs(np.where(np.isfinite(values) & (values != 0), values, 1.0))
    decimals = np.maximum(_DIGITS - 1 - np.floor(np.log10(size)), 1.0)
    scale = 10.0 ** np.minimum(decimals, 300.0)
    return np.where(np.isfinite(values), np.rint(values * scale) / scale, values)


def band_labels(codes: NDArray[np.int8]) -> NDArray[np.object_]:
    """Return what people read, for codes of bands."""
    words = np.array(["", *(BAND_LABELS[band] for band in sorted(Band))], dtype=object)
    labels: NDArray[np.object_] = words[codes]
    return labels


def best_methods(gathered: GatheredTasks, methods: Sequence[str]) -> NDArray[np.object_]:
    """Return the method that is best on most of each task's cells, empty where none can be."""
    if not len(gathered.alternatives):
        return np.empty(0, dtype=object)
    share = gathered.method_share
    names = np.array([*methods, ""], dtype=object)
    chosen: NDArray[np.object_] = names[np.where(share.max(axis=0) > 0, share.argmax(axis=0), -1)]
    return chosen


def harm_ha(land: Alternatives, priorities: Priorities) -> FloatArray:
    """Return the expected harm of tasks, in hectares of full consequence.

    Consequence is the sum of the criteria by their weights, scaled to add up to 1 where the
    method also weighs likelihood and effort; all criteria alike where it weighs nothing.
    """
    weights = criterion_weights(land.criteria, priorities.weights)
    harm: FloatArray = land.area_ha * land.likelihood * (land.consequence @ weights)
    return harm


def criterion_weights(criteria: Sequence[str], weights: Weights | None) -> FloatArray:
    """Return the weights of the criteria alone, scaled to add up to 1.

    Where nothing is weighed, or only likelihood and effort are, all criteria weigh the same.
    """
    if weights is not None:
        by_name = dict(zip(weights.names, weights.values, strict=True))
        values = np.array([by_name[name] for name in criteria], np.float64)
        if values.sum() > 0:
            scaled: FloatArray = values / values.sum()
            return scaled
    return np.full(len(criteria), 1.0 / max(len(criteria), 1))


def _reasons(
    totals: TaskTotals,
    ranking: Ranking,
    specs: Sequence[CriterionSpec],
    opened: NDArray[np.bool_],
    n_reasons: int,
) -> NDArray[np.object_]:
    land = ranking.method.alternatives
    measured = [part.mean[opened] for part in totals.quantities]
    quantities = np.column_stack([*measured, land.likelihood, land.team_days / land.area_ha])
    texts = np.full((len(opened), n_reasons), "", dtype=object)
    texts[opened] = plain_reasons(parts_of(ranking), quantities, phrases_of(specs), n_reasons)
    return texts


def _whole(values: NDArray[np.integer], known: NDArray[np.bool_]) -> pd.arrays.IntegerArray:
    return pd.arrays.IntegerArray(values.astype(np.int64), ~known)


def _yes_no(values: NDArray[np.bool_], known: NDArray[np.bool_]) -> pd.arrays.BooleanArray:
    return pd.arrays.BooleanArray(values.astype(bool), ~known)


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.nan)


def column_meanings(
    columns: Sequence[str],
    specs: Sequence[CriterionSpec],
    methods: Sequence[str],
    score_unit: str,
    robustness: RobustnessSettings,
) -> dict[str, str]:
    """Return column → what it holds, for the columns of a table.

    Parameters
    ----------
    columns : sequence of str
        The columns.
    specs : sequence of CriterionSpec
        The criteria.
    methods : sequence of str
        The clearance methods.
    score_unit : str
        Unit of the score.
    robustness : RobustnessSettings
        What ranges and shares refer to.
    """
    low, high = (f"{100 * end:g} %" for end in robustness.rank_range)
    known = {
        name.replace("ANY", "any_weights"): text.replace("TOP", str(robustness.top))
        .replace("SCORE_UNIT", score_unit)
        .replace("of the rank's range", f"({low if 'low' in name else high}) of the rank's range")
        for name, text in RANK_COLUMNS.items()
    }
    known |= {
        name.replace("any_weights", "fixed_weights"): text.replace(
            "whatever the weights (all with equal chance)", "with the weights as they are"
        )
        for name, text in known.items()
        if "any_weights" in name
    }
    for place in range(1, 11):
        known[f"reason_{place}"] = known["reason_N"]
    for name, text in COLUMNS.items():
        if "METHOD" in name:
            known |= {name.replace("METHOD", m): f"{m}: {text}" for m in methods}
        elif "CRITERION" in name:
            known |= {name.replace("CRITERION", s.name): _said(name, text, s) for s in specs}
        else:
            known[name] = text
    return {column: known[column] for column in columns if column != "geometry"}


def _said(name: str, text: str, spec: CriterionSpec) -> str:
    if name == "CRITERION":
        return f"{text}. {spec.description}"
    unit = "a pure number or share" if spec.unit == "1" else spec.unit
    return f"{text.replace('in its own unit', f'in {unit}')}"
