"""The model card: what a model was made from, how good it is, where and for what it is not.

After Mitchell et al. 2019, "Model cards for model reporting" (doi 10.1145/3287560.3287596).
Written as Markdown and as one HTML file that asks the network for nothing, with every
training run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hazardrank.reporting import palette, run_files, words
from hazardrank.reporting.map_page import SIMULATED_BANNER
from hazardrank.reporting.run_files import RunMetrics, fold_sentences, interval_of, write_whole
from hazardrank.reporting.summary_page import (
    RECORD_NAMES,
    difference_rows,
    lift_sentence,
)

MODEL_CARD_MD, MODEL_CARD_HTML = "model_card.md", "model_card.html"
RUN_JSON = "run.json"
#: Figures of the card, with titles short enough for a column.
FIGURES = (
    ("roc_auc", "ROC-AUC"),
    ("pr_auc", "PR-AUC"),
    ("brier", "Brier"),
    ("ece", "calibration error"),
    ("capture_at_10pct_area", "found in 10 % of land"),
    ("area_for_90pct", "land for 90 %"),
    ("reverse_height", "others ranked above"),
)
#: What no output of hazardrank may be used for.
NOT_FOR = (
    "To release, use or cross land. No likelihood, however low, means that land is safe.",
    "To cancel a suspected hazardous area or to create a confirmed one. Survey does that.",
    "To leave land unsurveyed for good. Unsurveyed land with a low likelihood resembles land "
    "where nothing was found; nothing is known of it.",
    "To decide on its own which community waits. A likelihood is not a risk: it says nothing of "
    "who is exposed and what is lost.",
    "In another area, or of another period, without measuring anew on held-out land there.",
    "To draw conclusions about who laid mines, or about any party to a conflict.",
)
_MODELS = {
    "gbdt": "gradient boosted trees (LightGBM)",
    "rf": "a random forest (LightGBM's random forest mode)",
}


def write_model_card(
    folder: Path, context: Mapping[str, Any], domain: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write ``model_card.md`` and ``model_card.html`` into a run's folder.

    Parameters
    ----------
    folder : Path
        Folder of the run, holding ``metrics.json``; ``settings.yaml`` and ``run.json``
        where data, protocol and map shall be described.
    context : mapping
        The fields of :class:`~hazardrank.reporting.report.ReportContext`.
    domain : mapping, optional
        Where the model does not apply: ``outside_domain_share`` and
        ``outside_domain_share_by_fold`` (shares of held-out cells, 0–1). What
        ``metrics.json`` has under ``applicability`` when left out.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    OutputError
        If the metrics are absent or unreadable, or a file cannot be written.
    """
    card = _card(folder, context, domain)
    environment = Environment(
        loader=PackageLoader("hazardrank.reporting"),
        autoescape=lambda name: bool(name and "html" in name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    return [
        write_whole(folder / name, _rendered(environment, f"{name}.j2", card))
        for name in (MODEL_CARD_MD, MODEL_CARD_HTML)
    ]


def _rendered(environment: Environment, template: str, card: Mapping[str, Any]) -> bytes:
    return (environment.get_template(template).render(**card).strip() + "\n").encode("utf-8")


def _cell(text: object) -> str:
    """Return text that cannot break a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def _card(
    folder: Path, context: Mapping[str, Any], domain: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return everything on the card, as plain text in lists."""
    metrics = run_files.read_metrics(folder / run_files.METRICS_JSON)
    values = json.loads((folder / run_files.METRICS_JSON).read_text(encoding="utf-8"))
    settings = run_files.read_settings(folder / run_files.SETTINGS_YAML)
    region = settings.get("region") or {}
    known_domain = domain if domain is not None else values.get("applicability")
    return {
        "run": context,
        "metrics": metrics,
        "colours": palette,
        "simulated_banner": SIMULATED_BANNER if context["simulated"] else "",
        "model": _model_sentence(settings),
        "not_for": NOT_FOR,
        "counts": _counts(metrics),
        "records": _records(region),
        "rules": _rules(settings),
        "layers": _layers(region),
        "negatives": _negatives(metrics),
        "protocol": [words.PROTOCOLS.get(metrics.protocol, ""), *fold_sentences(settings)],
        "fold_notes": list(values.get("fold_notes") or ()),
        "columns": [title for key, title in FIGURES if key in metrics.pooled],
        "rows": _figure_rows(metrics),
        "gap": words.gap_sentence(metrics.random_gap("roc_auc")),
        "verdict": words.verdict_sentence(metrics.verdicts()),
        "lift": lift_sentence(metrics),
        "differences": difference_rows(metrics),
        "folds": _fold_sentence(metrics),
        "no_skill_pr": words.percent(metrics.share_contaminated),
        "domain": _domain(known_domain, _map_facts(folder)),
    }


def _model_sentence(settings: Mapping[str, Any]) -> str:
    """Say what the model is, how it was chosen and calibrated, as far as that is known."""
    model = settings.get("model") or {}
    parts = [_MODELS.get(str(model.get("boosting")), "trees")]
    if (model.get("tuning") or {}).get("enabled"):
        parts.append("settings searched on inner folds alone")
    if int(model.get("members") or 1) > 1:
        parts.append(f"the mean of {model['members']} members")
    calibration = run_files.method_line(settings)
    if calibration:
        parts.append(calibration.removeprefix("boosted trees, "))
    return ", ".join(parts)


def _counts(metrics: RunMetrics) -> list[tuple[str, str]]:
    counts = [
        ("cells of the area", words.whole(metrics.n_cells)),
        ("recorded as contaminated, now or before clearance", words.whole(metrics.n_contaminated)),
        ("recorded as released", words.whole(metrics.n_released)),
        (
            "unsurveyed: nothing is known of them",
            f"{words.whole(metrics.n_unsurveyed)} "
            f"({words.percent(metrics.n_unsurveyed / max(metrics.n_cells, 1))})",
        ),
    ]
    if metrics.n_background:
        drawn = "unlabelled background, drawn from them"
        counts.append((drawn, words.whole(metrics.n_background)))
    return counts


def _records(region: Mapping[str, Any]) -> list[list[str]]:
    """Return kind, licence and source of each file of records."""
    records = region.get("records") or {}
    return [
        [
            name,
            str(source.get("licence") or "not stated"),
            str(source.get("source") or "not stated"),
        ]
        for kind, name in RECORD_NAMES.items()
        for source in records.get(kind) or ()
    ]


def _layers(region: Mapping[str, Any]) -> list[list[str]]:
    """Return key, kind, as-of date, licence and source of each layer that feeds the model."""
    layers = {
        key: layer
        for key, layer in (region.get("layers") or {}).items()
        if layer.get("role") != "consequence"
    }
    if region.get("table"):
        layers["feature table"] = {**region["table"], "kind": "table of cells"}
    return [
        [
            key,
            str(layer.get("kind") or ""),
            str(layer.get("as_of") or "unknown"),
            str(layer.get("licence") or "not stated"),
            str(layer.get("source") or "not stated"),
        ]
        for key, layer in layers.items()
    ]


def _rules(settings: Mapping[str, Any]) -> list[str]:
    """Return in plain words which record makes a cell what; empty for a ready table."""
    if (settings.get("region") or {}).get("table"):
        return []
    sentences = []
    for rule in (settings.get("labels") or {}).get("rules") or ():
        where = [
            f"{column} {' or '.join(str(value) for value in values)}"
            for column, values in (rule.get("where") or {}).items()
        ]
        found = {True: ["ordnance found"], False: ["nothing found"]}.get(rule.get("found"), [])
        limits = ", ".join([*where, *found])
        name = RECORD_NAMES.get(str(rule["record"]), str(rule["record"]))
        weight = float(rule.get("weight") or 1.0)
        sentences.append(
            f"{name}{f' ({limits})' if limits else ''}: {rule['outcome']}"
            f"{f', evidence weight {weight:g}' if weight != 1 else ''}"
        )
    return sentences


def _negatives(metrics: RunMetrics) -> str:
    if metrics.n_background:
        return (
            "No land is recorded as released here. Contaminated cells were compared with "
            "unlabelled background, some of which is contaminated too: every figure below, "
            "calibration included, speaks of that comparison. Read the order of the cells, not "
            "their values."
        )
    return (
        "Contaminated cells were compared with land recorded as released. Unsurveyed land was "
        "never taken for uncontaminated."
    )


def _figure_rows(metrics: RunMetrics) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return value and interval, as text, of model, baselines and random split."""
    rows: list[tuple[str, Mapping[str, Any]]] = [("model, held-out land", metrics.pooled)]
    rows += [(words.baseline_name(name), figures) for name, figures in metrics.baselines.items()]
    if metrics.random_split is not None:
        rows.append(("model, random split (flatters)", metrics.random_split))
    keys = [key for key, _ in FIGURES if key in metrics.pooled]
    return [(name, [_figure(key, figures) for key in keys]) for name, figures in rows]


def _figure(key: str, figures: Mapping[str, Any]) -> tuple[str, str]:
    if key not in figures:
        return "", ""
    interval = words.interval_text(key, interval_of(figures, key))
    return words.metric_text(key, figures[key]), interval


def _fold_sentence(metrics: RunMetrics) -> str:
    """Say how far apart the folds are, empty with fewer than two that have a figure."""
    known = [
        (float(fold["roc_auc"]), str(fold.get("name")))
        for fold in metrics.folds
        if fold.get("roc_auc") is not None
    ]
    if len(known) < 2:
        return ""
    (low, worst), (high, best) = min(known), max(known)
    return (
        f"Fold by fold, ROC-AUC runs from {low:.2f} ({worst}) to {high:.2f} ({best}) over "
        f"{len(known)} folds that have both outcomes, of {len(metrics.folds)}."
    )


def _map_facts(folder: Path) -> Mapping[str, Any]:
    path = folder / RUN_JSON
    if not path.is_file():
        return {}
    facts = json.loads(path.read_text(encoding="utf-8")).get("map")
    return facts if isinstance(facts, dict) else {}


def _domain(domain: Mapping[str, Any] | None, map_facts: Mapping[str, Any]) -> list[str]:
    """Return where the model does not apply, in sentences; empty if that was not measured."""
    if not domain:
        return []
    sentences = []
    n_cells, n_outside = map_facts.get("n_cells"), map_facts.get("n_outside_domain")
    if n_cells and n_outside is not None:
        sentences.append(
            f"On the map, {words.percent(n_outside / n_cells)} of the cells "
            f"({words.whole(int(n_outside))}) are unlike any land the model learned from: there "
            "it gives no likelihood."
        )
    share = domain.get("outside_domain_share")
    if share is not None:
        sentences.append(
            f"Of the held-out cells {words.percent(float(share))} were outside the domain of the "
            "model that scored them."
        )
    by_fold: Mapping[str, float | None] = domain.get("outside_domain_share_by_fold") or {}
    worst = _most(by_fold)
    if worst:
        sentences.append(f"Most in {worst}.")
    return sentences


def _most(by_fold: Mapping[str, float | None], n_named: int = 3) -> str:
    known = [(share, name) for name, share in by_fold.items() if share]
    named: Sequence[tuple[float, str]] = sorted(known, key=lambda pair: (-pair[0], pair[1]))
    return ", ".join(f"{name} ({words.percent(share)})" for share, name in named[:n_named])
