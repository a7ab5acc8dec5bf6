"""The summary page: one self-contained HTML file that a planner can read and pass on.

Images travel inside the file; it asks the network for nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hazardrank.reporting import palette, words
from hazardrank.reporting.map_page import SIMULATED_BANNER
from hazardrank.reporting.run_files import (
    RunMetrics,
    base_rate_of,
    fold_sentences,
    interval_of,
    write_whole,
)

#: What each picture shows, by the stem of its file.
CAPTIONS = {
    "contamination_likelihood": "Contamination likelihood, and what is known",
    "survey_status": "What the records say of each cell",
    "skill": "Skill beside its baselines and a random split",
    "capture": "Contaminated cells found against land searched",
    "reliability": "Whether likelihoods mean what they say",
    "roc_pr": "Ranking, fold by fold",
    "fold_diagnostics": "What the folds asked, beside what the map is asked",
    "importance": "What the trees split on",
    "permutation_importance": "What is lost when a group of features loses its place",
    "partial_dependence": "Mean likelihood if all cells had one value",
    "ale": "How the likelihood changes with a feature, others as they are",
}
RECORD_NAMES = {
    "hazard_areas": "hazard areas",
    "clearance": "clearance and land release",
    "accidents": "accidents",
    "survey": "survey coverage",
}


@dataclass(frozen=True)
class PageContent:
    """Everything on the page.

    Parameters
    ----------
    context : mapping
        The fields of :class:`~hazardrank.reporting.report.ReportContext`.
    metrics : RunMetrics
        The figures.
    settings : mapping
        The composed settings, empty if unknown.
    maps, figures : sequence of Path
        PNG files to embed, in order.
    """

    context: Mapping[str, Any]
    metrics: RunMetrics
    settings: Mapping[str, Any]
    maps: Sequence[Path]
    figures: Sequence[Path]


def write_summary_page(html: Path, content: PageContent) -> Path:
    """Write the page.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("hazardrank.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["whole"] = words.whole
    metrics = content.metrics
    region = content.settings.get("region") or {}
    text = environment.get_template("summary.html.j2").render(
        run=content.context,
        metrics=metrics,
        colours=palette,
        simulated_banner=SIMULATED_BANNER,
        protocol=words.PROTOCOLS.get(metrics.protocol, metrics.protocol),
        fold_sentences=fold_sentences(content.settings),
        base_rate=base_rate_of(content.metrics, content.settings),
        gap=words.gap_sentence(metrics.random_gap("roc_auc")),
        verdict=words.verdict_sentence(metrics.verdicts()),
        differences=difference_rows(metrics),
        lift=lift_sentence(metrics),
        no_skill_pr=words.percent(metrics.share_contaminated),
        unsurveyed=words.percent(metrics.n_unsurveyed / max(metrics.n_cells, 1)),
        area_km2=_area_km2(region, metrics),
        grid=_grid(region),
        comparison=_comparison(metrics),
        folds=_folds(metrics),
        fold_diagnostics=metrics.fold_diagnostics,
        layers=_layers(region),
        records=_records(region),
        maps=[_picture(path) for path in content.maps],
        figures=[_picture(path) for path in content.figures],
        folder=html.parent.name,
    )
    return write_whole(html, text.encode("utf-8"))


def _picture(path: Path) -> dict[str, str]:
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    return {
        "source": f"data:image/png;base64,{encoded}",
        "caption": CAPTIONS.get(path.stem, path.stem),
    }


def _area_km2(region: Mapping[str, Any], metrics: RunMetrics) -> str:
    """Return the area of all cells in km², empty where the cell size is not known."""
    if "cell_size_m" not in region:
        return ""
    return f"{metrics.n_cells * float(region['cell_size_m']) ** 2 / 1e6:,.0f}"


def _grid(region: Mapping[str, Any]) -> str:
    if not {"cell_size_m", "crs"} <= region.keys():
        return ""
    return f"cells of {float(region['cell_size_m']):g} m, {region['crs']}"


def _comparison(metrics: RunMetrics) -> list[dict[str, Any]]:
    """Return a row for each metric: value and interval of model, baselines, random split."""
    columns = [metrics.pooled, *metrics.baselines.values()]
    if metrics.random_split is not None:
        columns.append(metrics.random_split)
    return [
        {
            "name": name,
            "values": [
                (
                    words.metric_text(key, values.get(key)) if key in values else "",
                    words.interval_text(key, interval_of(values, key)),
                )
                for values in columns
            ],
        }
        for key, name in words.METRIC_NAMES.items()
        if key in metrics.pooled
    ]


def difference_rows(metrics: RunMetrics) -> list[list[str]]:
    """Return baseline, gains in ROC-AUC and PR-AUC with intervals, and the verdict of each."""
    rows = []
    for name, found in metrics.differences.items():
        row = [words.baseline_name(name)]
        for key in ("roc_auc", "pr_auc"):
            if key in found:
                ends = (found[key]["low"], found[key]["high"])
                row += [
                    words.gap_text(found[key]["difference"], key),
                    words.interval_text(key, None if None in ends else ends, signed=True),
                    "–" if found[key]["low"] is None else str(found[key]["verdict"]),
                ]
        if len(row) == 7:
            rows.append(row)
    return rows


def lift_sentence(metrics: RunMetrics) -> str:
    """Say what the model finds beside the distance to known hazards; empty if unknown."""
    lift = metrics.lift or {}
    if lift.get("at_10pct_area") is None:
        return ""
    ends = (lift.get("intervals") or {}).get("at_10pct_area")
    interval = f" (95 % interval {ends[0]:.1f}–{ends[1]:.1f})" if ends else ""
    return (
        f"In the best-ranked 10 % of held-out land the model finds {lift['at_10pct_area']:.1f} "
        f"times{interval} the contaminated cells that nearness to known hazards finds there."
    )


def _folds(metrics: RunMetrics) -> list[list[str]]:
    """Return name, cells, contaminated cells, ROC-AUC and PR-AUC of each fold."""
    return [
        [
            str(fold.get("name", f"fold {place + 1}")),
            words.whole(int(fold.get("n_cells") or 0)),
            words.whole(int(fold.get("n_contaminated") or 0)),
            words.metric_text("roc_auc", fold.get("roc_auc")),
            words.metric_text("pr_auc", fold.get("pr_auc")),
            words.metric_text("brier", fold.get("brier")),
        ]
        for place, fold in enumerate(metrics.folds)
    ]


def _layers(region: Mapping[str, Any]) -> list[list[str]]:
    """Return key, kind, as-of date, role and licence of each layer, or of the table."""
    layers = dict(region.get("layers") or {})
    if region.get("table"):
        layers["feature table"] = {**region["table"], "kind": "table of cells", "role": "hazard"}
    return [
        [
            key,
            str(layer.get("kind") or ""),
            str(layer.get("as_of") or "unknown"),
            str(layer.get("role") or "hazard"),
            str(layer.get("licence") or "not stated"),
            str(layer.get("source") or ""),
        ]
        for key, layer in layers.items()
    ]


def _records(region: Mapping[str, Any]) -> list[str]:
    """Return which kinds of records the region has, and from how many files."""
    records = region.get("records") or {}
    return [
        f"{name} ({len(records[kind])} {'file' if len(records[kind]) == 1 else 'files'})"
        for kind, name in RECORD_NAMES.items()
        if records.get(kind)
    ]
