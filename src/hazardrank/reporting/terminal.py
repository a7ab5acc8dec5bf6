"""What a command prints at its end: one screen, and errors in one line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hazardrank.reporting.run_files import RunMetrics, interval_of
from hazardrank.reporting.words import (
    baseline_name,
    gap_sentence,
    interval_text,
    metric_text,
    percent,
    verdict_sentence,
    whole,
)

#: The columns of the comparison, with titles short enough for 80 characters.
COMPARED = (
    ("roc_auc", "ROC-AUC"),
    ("pr_auc", "PR-AUC"),
    ("brier", "Brier"),
    ("ece", "ECE"),
    ("capture_at_10pct_area", "found in\n10 % area"),
    ("area_for_90pct", "area for\n90 %"),
)
#: The columns where figures have intervals: two with, two without.
WITH_INTERVALS = ("roc_auc", "pr_auc")
COMPARED_WITH_INTERVALS = (
    *COMPARED[:2],
    ("capture_at_10pct_area", "found in\n10 %"),
    ("area_for_90pct", "area for\n90 %"),
)
#: Baselines shown at most, so that the screen stays one screen.
MAX_BASELINES = 6


def print_error(error: Exception, console: Console | None = None) -> None:
    """Print an error as one clear line on standard error."""
    console = console or Console(stderr=True)
    text = " ".join(str(error).split())
    console.print(f"[bold red]error[/] {escape(text)}", soft_wrap=True, highlight=False)


def print_heading(text: str, console: Console | None = None) -> None:
    """Print a line that begins a new grid."""
    (console or Console()).print(f"\n[bold]{escape(text)}[/]", highlight=False, soft_wrap=True)


def print_outcomes(
    outcomes: Sequence[tuple[str, int, str]], n_grids: int, console: Console | None = None
) -> None:
    """Print what became of several grids of one call.

    Parameters
    ----------
    outcomes : sequence of (str, int, str)
        Name, exit status and problem of each grid that was begun.
    n_grids : int
        How many there are.
    """
    console = console or Console()
    failed = sum(status != 0 for _, status, _ in outcomes)
    console.print(
        f"\n[bold]{len(outcomes) - failed} of {n_grids} grids are done, {failed} failed[/]",
        highlight=False,
    )
    for name, status, problem in outcomes:
        word = "[bold red]failed[/]" if status else "done  "
        text = f"  {word}  {escape(name)}  {escape(problem)}".rstrip()
        console.print(text, highlight=False, soft_wrap=True)


def print_summary(
    metrics: RunMetrics,
    output_dir: Path,
    outputs: Sequence[tuple[str, Path]],
    *,
    title: str,
    simulated: bool,
    notes: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print the result of a training run on one screen.

    Parameters
    ----------
    metrics : RunMetrics
        The run's figures.
    output_dir : Path
        Folder of the outputs.
    outputs : sequence of (str, Path)
        What was written, by a word or two and its path.
    title : str
        Name of the area.
    simulated : bool
        Whether the land is imaginary.
    notes : sequence of str, optional
        Lines at the end, such as how to open MLflow.
    console : Console, optional
        Where to print; standard output when left out.
    """
    console = console or Console()
    console.print(f"[bold]{escape(title)}[/]", highlight=False)
    console.print(_counts(metrics), highlight=False)
    if simulated:
        console.print("[bold red]SIMULATED – says nothing of skill on real land[/]")
    for shown in (_comparison(metrics), *_what_it_shows(metrics)):
        console.print(shown, highlight=False)
    gap = gap_sentence(metrics.random_gap("roc_auc"))
    if gap:
        console.print(gap, highlight=False)
    if metrics.comparison_note:
        console.print(f"[bold]{metrics.comparison_note}[/]", highlight=False)
    console.print(f"In [bold]{escape(_near(output_dir))}[/]", soft_wrap=True, highlight=False)
    width = max((len(word) for word, _ in outputs), default=0)
    for word, path in outputs:
        shown = _near(path, output_dir)
        console.print(
            f"  {escape(word):<{width}}  {escape(shown)}", soft_wrap=True, highlight=False
        )
    for note in notes:
        console.print(escape(note), soft_wrap=True, highlight=False)


def _counts(metrics: RunMetrics) -> str:
    share = percent(metrics.n_unsurveyed / max(metrics.n_cells, 1))
    return (
        f"{whole(metrics.n_cells)} cells: {whole(metrics.n_contaminated)} contaminated, "
        f"{whole(metrics.n_released)} released, {share} unsurveyed"
    )


def _comparison(metrics: RunMetrics) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(f"held out: {metrics.protocol.replace('_', ' ')}", no_wrap=True)
    columns = COMPARED_WITH_INTERVALS if interval_of(metrics.pooled, "roc_auc") else COMPARED
    for _, name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("model", *_cells(metrics.pooled, columns), style="bold")
    for name in list(metrics.baselines)[:MAX_BASELINES]:
        table.add_row(baseline_name(name), *_cells(metrics.baselines[name], columns))
    if metrics.random_split is not None:
        table.add_row("model, random split", *_cells(metrics.random_split, columns), style="dim")
    return table


def _cells(values: Mapping[str, float | None], columns: Sequence[tuple[str, str]]) -> list[str]:
    return [_with_interval(key, values) if key in values else "" for key, _ in columns]


def _with_interval(key: str, values: Mapping[str, float | None]) -> str:
    """Return ``0.71 [0.66–0.75]`` where there is an interval and room for it."""
    ends, value = interval_of(values, key), values[key]
    if ends is None or value is None or key not in WITH_INTERVALS:
        return metric_text(key, value)
    return f"{value:.2f} \\[{interval_text(key, ends)}]"


def _what_it_shows(metrics: RunMetrics) -> list[str]:
    """Return what intervals say in words: calibration, verdicts, what is absent or rough."""
    lines = []
    ends = {key: interval_of(metrics.pooled, key) for key in ("brier", "ece")}
    if all(ends.values()):
        brier, error = (
            f"{metric_text(key, metrics.pooled[key])} \\[{interval_text(key, ends[key])}]"
            for key in ends
        )
        lines.append(f"Calibration of the model: Brier {brier}, error {error}")
    lines += [verdict_sentence(metrics.verdicts()), metrics.few_units_note]
    lines += [
        f"No {baseline_name(name)}: {escape(reason)}."
        for name, reason in metrics.baselines_absent.items()
    ]
    return [line for line in lines if line]


def _near(path: Path, folder: Path | None = None) -> str:
    """Return the path from `folder`, or from here, where that is shorter."""
    relative = os.path.relpath(path, folder)
    return str(path) if relative.startswith("..") else relative
