"""What a training run wrote, read back for the people who read about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from hazardrank.errors import OutputError

LIKELIHOOD_TIF = "contamination_likelihood.tif"
STATUS_TIF = "survey_status.tif"
DOMAIN_TIF = "outside_domain.tif"
METRICS_JSON = "metrics.json"
EXPLANATION_JSON = "model_explanation.json"
PREDICTIONS = "out_of_fold_predictions.parquet"
SETTINGS_YAML = "settings.yaml"

#: Keys every ``metrics.json`` has; docs/metrics.md says what they mean.
REQUIRED_METRICS = (
    *("protocol", "pooled", "folds", "baselines"),
    *("n_cells", "n_contaminated", "n_released", "n_unsurveyed"),
)


@dataclass(frozen=True)
class RunMetrics:
    """The figures of ``metrics.json``.

    Parameters
    ----------
    protocol : str
        ``new_district`` or ``infill``.
    pooled : mapping of str to float or None
        Metrics over the predictions of all folds together; ``None`` where undefined.
    folds : tuple of mapping
        The same per fold, with its name and counts.
    baselines : mapping of str to mapping
        Metrics of what the model is compared with, by name.
    random_split : mapping of str to float, or None
        The same model under a random split; ``None`` if that was not asked for.
    n_cells, n_contaminated, n_released, n_unsurveyed : int
        Cells of the area, and what they are known to be.
    n_background : int
        Unlabelled cells drawn to stand beside the contaminated ones.
    differences : mapping of str to mapping of str to mapping
        By baseline and metric: ``difference``, ``low``, ``high`` and ``verdict``.
    baselines_absent : mapping of str to str
        Baselines that the features do not allow, and why.
    lift : mapping, or None
        What the model finds over the distance to known hazards.
    bootstrap : mapping
        Units, draws and the note of the intervals; empty if there are none.
    """

    protocol: str
    pooled: Mapping[str, float | None]
    folds: tuple[Mapping[str, Any], ...]
    baselines: Mapping[str, Mapping[str, float | None]]
    random_split: Mapping[str, float | None] | None
    n_cells: int
    n_contaminated: int
    n_released: int
    n_unsurveyed: int
    n_background: int = 0
    differences: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    baselines_absent: Mapping[str, str] = field(default_factory=dict)
    lift: Mapping[str, Any] | None = None
    bootstrap: Mapping[str, Any] = field(default_factory=dict)
    fold_diagnostics: Mapping[str, Any] = field(default_factory=dict)
    """What the folds asked beside what the map is asked; empty if that was not measured."""

    @property
    def interval_note(self) -> str:
        """What the intervals are, in one sentence; empty if there are none."""
        if not self.bootstrap.get("n_draws"):
            return ""
        return (
            f"Intervals: 95 %, from {self.bootstrap['n_draws']} draws of "
            f"{self.bootstrap['n_units']} {self.bootstrap['units']}."
        )

    @property
    def few_units_note(self) -> str:
        """Why the intervals are rough, as a sentence; empty if they are not."""
        note = self.bootstrap.get("note") or ""
        return f"{note[:1].upper()}{note[1:]}." if note else ""

    def verdicts(self, metric: str = "roc_auc") -> dict[str, list[str]]:
        """Return baselines by what the model is beside them in `metric`."""
        found: dict[str, list[str]] = {}
        for name, difference in self.differences.items():
            if metric in difference and difference[metric]["low"] is not None:
                found.setdefault(str(difference[metric]["verdict"]), []).append(name)
        return found

    @property
    def negatives(self) -> str:
        """What contaminated cells were compared with, in words."""
        return "unlabelled background" if self.n_background else "released land"

    @property
    def comparison_note(self) -> str:
        """The sentence that every figure carries when there is no released land, or nothing."""
        if not self.n_background:
            return ""
        return "Compared with unlabelled background: not known to be uncontaminated."

    @property
    def share_contaminated(self) -> float:
        """Share of the held-out cells that are contaminated: the PR-AUC of no skill."""
        n_cells = sum(int(fold.get("n_cells") or 0) for fold in self.folds)
        n_contaminated = sum(int(fold.get("n_contaminated") or 0) for fold in self.folds)
        return n_contaminated / max(n_cells, 1)

    def random_gap(self, metric: str) -> float | None:
        """Return how much better the random split looks than the held-out land."""
        honest = self.pooled.get(metric)
        random = None if self.random_split is None else self.random_split.get(metric)
        return None if honest is None or random is None else random - honest


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of the labelled cells; arrays of shape (n_cells,).

    Parameters
    ----------
    contaminated : ndarray of bool
        Known to be contaminated; False is released land or unlabelled background.
    likelihood : ndarray of float64
        Calibrated likelihood in 0–1; also what ranks the cells.
    fold : ndarray of int64
        The fold each cell was held out in.
    baselines : mapping of str to ndarray
        Scores of baselines, where the file has columns ``baseline_NAME``.
    unit : ndarray of int64 or None
        Unit of land of each cell, where the file says it.
    """

    contaminated: NDArray[np.bool_]
    likelihood: NDArray[np.float64]
    fold: NDArray[np.int64]
    baselines: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    unit: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.contaminated)


def read_metrics(path: Path) -> RunMetrics:
    """Read ``metrics.json``.

    Raises
    ------
    OutputError
        If the file is absent, is no JSON, or lacks keys.
    """
    values = _read_json(path)
    missing = [key for key in REQUIRED_METRICS if key not in values]
    if missing:
        raise OutputError(
            f"the metrics lack {', '.join(missing)}", where=path, remedy="Train again."
        )
    return RunMetrics(
        protocol=str(values["protocol"]),
        pooled=values["pooled"],
        folds=tuple(values["folds"]),
        baselines=values["baselines"],
        random_split=values.get("random_split"),
        n_cells=int(values["n_cells"]),
        n_contaminated=int(values["n_contaminated"]),
        n_released=int(values["n_released"]),
        n_unsurveyed=int(values["n_unsurveyed"]),
        fold_diagnostics=values.get("fold_diagnostics") or {},
        n_background=int(values.get("n_background") or 0),
        differences=values.get("differences") or {},
        baselines_absent=values.get("baselines_absent") or {},
        lift=values.get("lift"),
        bootstrap=values.get("bootstrap") or {},
    )


def interval_of(figures: Mapping[str, Any], metric: str) -> tuple[float, float] | None:
    """Return the 95 % interval of a metric among the figures of one model, if it has one."""
    ends = (figures.get("intervals") or {}).get(metric)
    return None if ends is None else (float(ends[0]), float(ends[1]))


def read_predictions(path: Path) -> Predictions:
    """Read the out-of-fold predictions.

    Cells that no fold held out (fold below 0) or that have no likelihood are left out.

    Raises
    ------
    OutputError
        If the file is absent or lacks columns.
    """
    if not path.is_file():
        raise OutputError("there is no such file", where=path, remedy="Train again.")
    table = pd.read_parquet(path)
    missing = {"fold", "outcome", "likelihood"} - set(table.columns)
    if missing:
        raise OutputError(f"the predictions lack the columns {sorted(missing)}", where=path)
    table = table[(table["fold"] >= 0) & table["likelihood"].notna()]
    return Predictions(
        contaminated=table["outcome"].to_numpy() == 1,
        likelihood=table["likelihood"].to_numpy(np.float64),
        fold=table["fold"].to_numpy(np.int64),
        baselines={
            str(column).removeprefix("baseline_"): table[column].to_numpy(np.float64)
            for column in table.columns
            if str(column).startswith("baseline_")
        },
        unit=table["unit"].to_numpy(np.int64) if "unit" in table else None,
    )


def read_settings(path: Path) -> dict[str, Any]:
    """Read the composed settings of the run as plain values; empty if absent.

    Raises
    ------
    OutputError
        If the file is no YAML mapping.
    """
    if not path.is_file():
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise OutputError(f"is no YAML ({error})".replace("\n", " "), where=path) from None
    if not isinstance(values, dict):
        raise OutputError("holds no settings", where=path)
    return values


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OutputError("there is no such file", where=path, remedy="Train again.") from None
    except json.JSONDecodeError as error:
        raise OutputError(f"is no JSON ({error})", where=path) from None
    if not isinstance(values, dict):
        raise OutputError("holds no metrics", where=path)
    return values


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file beside its place and rename it there: nobody reads half a file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot be written ({error.strerror})", where=path) from None
    return path


def base_rate_sentence(
    n_contaminated: int,
    n_released: int,
    n_background: int,
    prevalence: float | None,
    model: Mapping[str, Any] | None = None,
) -> str:
    """Return to what land likelihoods are calibrated.

    Parameters
    ----------
    n_contaminated, n_released : int
        Surveyed cells of the area, by what they are known to be.
    n_background : int
        Unlabelled cells drawn; the share of contaminated ones is then no share of land.
    prevalence : float or None
        Share contaminated that the maps were shifted to, 0–1.
    model : mapping, optional
        Settings of the model: how unlabelled land was taken, and how surveyed land weighed.
    """
    if prevalence is not None:
        return (
            f"Likelihood is shifted to land of which {100 * prevalence:.2g} % of cells are "
            "contaminated, as the settings say; the shift holds where contaminated cells look "
            "alike there."
        )
    if n_background and (model or {}).get("unlabelled", "as_negative") != "as_negative":
        return (
            "Likelihood is that of unlabelled land, if recorded contamination is a fair sample "
            "of all contamination; recorded along roads or where people reported it, it is not."
        )
    if n_background or not n_contaminated + n_released:
        return ""
    if (model or {}).get("propensity", "none") != "none":
        return (
            "Likelihood is calibrated to surveyed land, weighted to look like the whole area; "
            "land never surveyed may differ in what no layer shows."
        )
    share = n_contaminated / (n_contaminated + n_released)
    return (
        f"Likelihood is calibrated to surveyed land, where {100 * share:.0f} % of cells were "
        "contaminated; land never surveyed may differ."
    )


def base_rate_of(metrics: RunMetrics, settings: Mapping[str, Any]) -> str:
    """Return :func:`base_rate_sentence` for a run."""
    return base_rate_sentence(
        metrics.n_contaminated,
        metrics.n_released,
        metrics.n_background,
        (settings.get("model") or {}).get("prevalence"),
        settings.get("model"),
    )


#: How land was held out, by method of the folds.
HELD_OUT_BY = {
    "groups": "Land was held out district by district (or group by group).",
    "kmeans": "Land was held out in clusters of neighbouring cells; a recorded hazard is never "
    "split between folds.",
    "knndm": "Land was held out in clusters merged so that held-out cells lie about as far from "
    "training cells as the area's cells lie from labelled ones.",
    "leave_one_out": "One recorded hazard, or one square of land without hazards, was held out "
    "at a time.",
    "temporal": "Records were held out by period: each cell was scored by a model that knew only "
    "records decided before its period began.",
    "spatio_temporal": "Later records of held-out squares were scored by a model that knew only "
    "earlier records of other squares.",
}


def method_line(settings: Mapping[str, Any]) -> str:
    """Return in a few words how likelihoods were calibrated; empty if unknown."""
    calibration = (settings.get("model") or {}).get("calibration")
    if not calibration:
        return ""
    if calibration == "none":
        return "scores not calibrated"
    return f"boosted trees, {calibration} calibration on {_held_out(settings)}"


def _held_out(settings: Mapping[str, Any]) -> str:
    folds = (settings.get("validation") or {}).get("folds") or {}
    return {
        "groups": "held-out districts",
        "kmeans": "held-out clusters",
        "knndm": "held-out clusters",
        "leave_one_out": "held-out clusters",
        "temporal": "held-out periods",
        "spatio_temporal": "held-out blocks and periods",
    }.get(str(folds.get("method")), "held-out blocks")


def fold_sentences(settings: Mapping[str, Any]) -> list[str]:
    """Return in plain words how land was held out; empty if unknown."""
    validation = settings.get("validation") or {}
    folds = validation.get("folds") or {}
    sentences = []
    if folds.get("method") == "blocks":
        sentences.append(
            f"Land was held out in squares of {float(folds['size_m']) / 1000:g} km, dealt to "
            f"{folds.get('n_folds') or 'as many as possible'} folds; a recorded hazard is never "
            "split between folds."
        )
    elif folds.get("method") in HELD_OUT_BY:
        sentences.append(HELD_OUT_BY[folds["method"]])
    if folds.get("buffer_m"):
        sentences.append(
            f"Cells within {float(folds['buffer_m']):g} m of held-out land were left out of "
            "training."
        )
    if validation.get("inner_folds"):
        sentences.append(
            f"The number of trees and the calibration were chosen on {validation['inner_folds']} "
            "inner folds that never saw the land held out."
        )
    return sentences
