"""What ``python -m prioritize`` prints at its end: the first tasks with reasons, and what waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from rich.console import Console
from rich.markup import escape

from hazardrank.priority.bands import BAND_LABELS
from hazardrank.priority.ranked_table import SUFFIXES
from hazardrank.reporting.priority_files import NOT_SAID
from hazardrank.reporting.words import percent, whole

M2_PER_HA = 10_000.0


@dataclass(frozen=True)
class PrioritySummary:
    """What a ranking found, for people.

    Parameters
    ----------
    title : str
        Name of the area.
    simulated : bool
        Whether the land is imaginary.
    choices : str
        Label of the choices behind the ranks.
    source : str
        Where the choices come from.
    method : str
        Scoring method and unit of its score.
    weights : str
        The weights as they are.
    tasks : DataFrame
        The ranked table.
    waiting : mapping of str to int
        Gate → tasks that wait at it.
    area_cells, released_cells, unjudged_cells, left_out_cells : int
        Cells of the area; released; without a likelihood; in no task though not released.
    notes : sequence of str
        What was not looked at, one sentence each.
    warnings : sequence of str
        What to think over before using the ranks.
    """

    title: str
    simulated: bool
    choices: str
    source: str
    method: str
    weights: str
    tasks: pd.DataFrame
    waiting: Mapping[str, int]
    area_cells: int
    released_cells: int
    unjudged_cells: int
    left_out_cells: int
    notes: Sequence[str]
    warnings: Sequence[str]


def print_priorities(
    summary: PrioritySummary,
    n_shown: int,
    folder: str,
    files: Sequence[str],
    plan_lines: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print the result of a ranking.

    Parameters
    ----------
    summary : PrioritySummary
        What was found.
    n_shown : int
        Tasks printed.
    folder : str
        Folder of the outputs.
    files : sequence of str
        What was written.
    plan_lines : sequence of str, optional
        What to say of a plan.
    console : Console, optional
        Where to print; standard output when left out.
    """
    console = console or Console()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False)

    say(f"[bold]{escape(summary.title)}[/]")
    if summary.simulated:
        say("[bold red]SIMULATED – says nothing of skill on real land[/]")
    for line in (*_choices(summary), *_counts(summary)):
        say(line)
    for row in summary.tasks.head(n_shown).to_dict("records"):
        for line in task_lines(row):
            say(line)
    for line in (*_not_judged(summary), *(escape(text) for text in summary.notes)):
        say(line)
    for text in summary.warnings:
        say(f"[yellow]warning[/] {escape(text)}")
    for text in plan_lines:
        say(escape(text))
    say(f"[bold]{NOT_SAID}[/]")
    say(f"In [bold]{escape(folder)}[/]")
    for name in files:
        say(f"  {escape(name)}")


def _choices(summary: PrioritySummary) -> list[str]:
    return [
        f"Choices  [bold]{escape(summary.choices)}[/] – {escape(summary.source)}",
        f"Method   {escape(summary.method)}",
        f"Weights  {escape(summary.weights)}",
    ]


def _counts(summary: PrioritySummary) -> list[str]:
    tasks = summary.tasks
    lines = [f"{whole(len(tasks))} clearance tasks, {_hectares(tasks['area_m2'].sum())}"]
    for label in BAND_LABELS.values():
        band = tasks[tasks["band"] == label]
        if len(band):
            share = percent(band["area_m2"].sum() / tasks["area_m2"].sum())
            lines.append(f"  {whole(len(band)):>7}  {label} ({share} of their area)")
    for gate, count in summary.waiting.items():
        lines.append(f"  {whole(count):>7}  wait: {escape(gate)}")
    if "tied" not in tasks:
        return [*lines, "Nothing was drawn again: how far ranks can be trusted is not known."]
    tied = tasks["tied"].sum()
    if tied:
        lines.append(
            f"{whole(int(tied))} ranks are tied with a neighbour's: the evidence does not decide "
            "between them. Read the range, not the rank."
        )
    return lines


def task_lines(row: Mapping[object, object]) -> list[str]:
    """Return a task in a few lines: rank, range, band, size, likelihood, method, reasons."""
    head = f"[bold]{_rank(row)}[/] {escape(str(row['task_id']))}  {escape(str(row['band']))}"
    facts = [
        str(row.get("location") or ""),
        _hectares(row["area_m2"]),
        f"likelihood {_number(row['likelihood_mean'])}",
        f"{row['method'] or 'no method'}, {_number(row['team_days'])} team-days",
    ]
    if row["hazard_id"]:
        facts.insert(1, f"in {row['hazard_id']}")
    if row["waits_for"]:
        facts.append(f"waits: {row['waits_for']}")
    lines = [head, "    " + escape(", ".join(fact for fact in facts if fact))]
    reasons = [str(row[name]) for name in row if str(name).startswith("reason_") and row[name]]
    return lines + [f"    – {escape(reason)}" for reason in reasons]


def _rank(row: Mapping[object, object]) -> str:
    if pd.isna(row["rank"]):  # type: ignore[call-overload]
        return "–"
    text = f"{row['rank']}."
    suffix = next((suffix for suffix in SUFFIXES.values() if f"rank_low{suffix}" in row), None)
    if suffix is None:
        return text
    tied = ", tied" if row["tied"] is True or row["tied"] == 1 else ""
    return f"{text} (range {row[f'rank_low{suffix}']}–{row[f'rank_high{suffix}']}{tied})"


def _not_judged(summary: PrioritySummary) -> list[str]:
    lines = []
    if summary.unjudged_cells:
        share = percent(summary.unjudged_cells / max(summary.area_cells, 1))
        lines.append(
            f"The model cannot judge {share} of the area. There tasks rank as if their likelihood "
            "were the mean, which is not known."
        )
    if summary.left_out_cells:
        share = percent(summary.left_out_cells / max(summary.area_cells, 1))
        lines.append(
            f"{share} of the area is in no task by the settings (tasks.candidates). It is NOT "
            "cleared."
        )
    if summary.released_cells:
        share = percent(summary.released_cells / max(summary.area_cells, 1))
        lines.append(f"{share} of the area is in no task because records say it was released.")
    return lines


def _hectares(area_m2: object) -> str:
    area_ha = float(area_m2) / M2_PER_HA  # type: ignore[arg-type]
    return f"{area_ha:,.1f} ha" if area_ha < 1000 else f"{area_ha / 100:,.1f} km²"


def _number(value: object) -> str:
    number = float(value)  # type: ignore[arg-type]
    if number != number:
        return "not known"
    return f"{number:.2g}" if number < 1 else f"{number:,.1f}"
