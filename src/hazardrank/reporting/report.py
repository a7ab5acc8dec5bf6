"""The report of a training run: maps, figures and the summary page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from hazardrank.reporting import figures, run_files
from hazardrank.reporting.effect_figures import effect_figures
from hazardrank.reporting.figures import FigureText
from hazardrank.reporting.fold_figures import fold_diagnostics_figure
from hazardrank.reporting.map_page import MapText
from hazardrank.reporting.maps import likelihood_map, survey_status_map
from hazardrank.reporting.model_card import write_model_card
from hazardrank.reporting.run_files import RunMetrics
from hazardrank.reporting.summary_page import PageContent, write_summary_page

LIKELIHOOD_PNG = "contamination_likelihood.png"
STATUS_PNG = "survey_status.png"
SUMMARY_HTML = "summary.html"
FIGURES = "figures"
BACKGROUND_NOTE = "Read the order of the classes, not their values."


@dataclass(frozen=True)
class ReportContext:
    """What a report says that the run's files do not.

    Parameters
    ----------
    title : str
        Name of the area as shown.
    simulated : bool
        Whether the land is imaginary: every page then says so.
    run_id : str
        Identifies the run.
    settings_digest : str
        Digest of settings, data and code.
    command : str
        The command that repeats the run.
    as_of : date or None
        The date to which the records are complete.
    importance : sequence of (str, float)
        Feature name and gain.
    skipped : sequence of str
        Feature families left out, and folds or checks worth a reader's eye.
    """

    title: str
    simulated: bool
    run_id: str
    settings_digest: str = ""
    command: str = ""
    as_of: date | None = None
    importance: Sequence[tuple[str, float]] = ()
    skipped: Sequence[str] = ()


def write_report(output_dir: Path, context: ReportContext) -> list[Path]:
    """Draw the maps and figures of a run and write its summary page and model card.

    Parameters
    ----------
    output_dir : Path
        Folder of the run, holding the two rasters, ``metrics.json`` and the out-of-fold
        predictions; ``settings.yaml`` too where data and protocol shall be described.
    context : ReportContext
        What the files do not say.

    Returns
    -------
    list of Path
        The files written; the summary page first, then the maps, the figures, the model card.

    Raises
    ------
    OutputError
        If a file of the run is absent or unreadable, or nothing can be written.
    """
    metrics = run_files.read_metrics(output_dir / run_files.METRICS_JSON)
    settings = run_files.read_settings(output_dir / run_files.SETTINGS_YAML)
    maps = _draw_maps(output_dir, context, metrics, settings)
    drawn = _draw_figures(output_dir, context, metrics)
    content = PageContent(
        context=vars(context), metrics=metrics, settings=settings, maps=maps, figures=drawn
    )
    page = write_summary_page(output_dir / SUMMARY_HTML, content)
    return [page, *maps, *drawn, *write_model_card(output_dir, vars(context))]


def _draw_maps(
    output_dir: Path, context: ReportContext, metrics: RunMetrics, settings: Mapping[str, Any]
) -> list[Path]:
    method, base_rate = run_files.method_line(settings), run_files.base_rate_of(metrics, settings)
    as_of = "unknown date" if context.as_of is None else context.as_of.isoformat()
    provenance = " · ".join(
        part for part in (f"Records as of {as_of}", method, f"run {context.run_id}") if part
    )
    notes = [
        "Likelihood is estimated from what records say elsewhere. It releases no land, cancels "
        "no hazard area and creates none.",
        *([base_rate] if base_rate else []),
        *([f"{metrics.comparison_note} {BACKGROUND_NOTE}"] if metrics.comparison_note else []),
    ]
    text = MapText(context.title, provenance, notes, context.simulated)
    status_text = MapText(context.title, provenance, (), context.simulated)
    likelihood_tif = output_dir / run_files.LIKELIHOOD_TIF
    status_tif = output_dir / run_files.STATUS_TIF
    domain_tif = output_dir / run_files.DOMAIN_TIF
    return [
        likelihood_map(
            likelihood_tif,
            status_tif,
            output_dir / LIKELIHOOD_PNG,
            text,
            domain_tif=domain_tif if domain_tif.is_file() else None,
        ),
        survey_status_map(status_tif, output_dir / STATUS_PNG, status_text),
    ]


def _draw_figures(output_dir: Path, context: ReportContext, metrics: RunMetrics) -> list[Path]:
    predictions = run_files.read_predictions(output_dir / run_files.PREDICTIONS)
    text = FigureText(context.title, context.simulated, metrics.comparison_note)
    folder = output_dir / FIGURES
    drawn = [figures.skill_figure(metrics, folder / "skill.png", text)]
    if len(predictions):
        drawn += [
            figures.capture_figure(predictions, folder / "capture.png", text),
            figures.reliability_figure(predictions, metrics, folder / "reliability.png", text),
            figures.roc_pr_figure(predictions, metrics, folder / "roc_pr.png", text),
        ]
    asked = fold_diagnostics_figure(metrics, folder / "fold_diagnostics.png", text)
    drawn += [] if asked is None else [asked]
    if context.importance:
        drawn.append(figures.importance_figure(context.importance, folder / "importance.png", text))
    return drawn + effect_figures(output_dir / run_files.EXPLANATION_JSON, folder, text)
