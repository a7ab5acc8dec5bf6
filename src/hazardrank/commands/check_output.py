"""How a check reads on the screen: one table, numbered findings, a verdict."""

from __future__ import annotations

import math

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table

from hazardrank.sources.check_report import CheckReport, CheckRow, Finding, Severity

#: Width of the table where the output is no terminal, and below which a terminal gets lines.
PLAIN_WIDTH = 120
LEAST_TABLE_WIDTH = 112
LONGEST_KEY = 24
LONGEST_CRS = 10

_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.OK: "bold"}
_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.OK: "note"}
_LEGEND = (
    "covers: share of the region with data (points and lines: inside their bounding box) · "
    "missing: share without data; of records, without a date · invalid: or without geometry · "
    "twice: geometry seen before · >5 km: between neighbouring vertices · outside: the country "
    "(rows of a table: the extent)"
)


def print_report(report: CheckReport, console: Console | None = None) -> None:
    """Print a report: table, label counts, findings as numbered sentences, verdict.

    Where the output is no terminal the table is 120 characters wide at most, and every
    finding is one line, so that it can be searched.
    """
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=PLAIN_WIDTH, no_color=True)
    heading = f"[bold]Region {escape(report.region)}[/], data in {escape(str(report.data_dir))}"
    console.print(heading, soft_wrap=True, highlight=False)
    if console.width >= LEAST_TABLE_WIDTH:
        table = _table(report.rows)
        if _natural_width(table, console) > console.width:
            table = _table(report.rows, gap=0)
        console.print(table, highlight=False)
        console.print(f"[dim]{_LEGEND}[/]\n", highlight=False)
    else:
        for row in report.rows:
            _print_lines(row, console)
    _print_details(report, console)
    for number, finding in enumerate(report.findings, start=1):
        _print_finding(number, finding, console)
    console.print(f"[bold]{verdict(report)}[/]", highlight=False, soft_wrap=True)


def verdict(report: CheckReport) -> str:
    """Return the last line: how many errors and warnings, and what follows."""
    n_errors, n_warnings = (len(report.of(s)) for s in (Severity.ERROR, Severity.WARNING))
    counted = f"{_some(n_errors, 'error')}, {_some(n_warnings, 'warning')}"
    if n_errors:
        return f"{counted}: training would stop. Exit status 2."
    if n_warnings:
        return f"{counted}: training runs; read the warnings before trusting it. Exit status 1."
    return f"{counted}: training runs. Exit status 0."


def sentence(finding: Finding) -> str:
    """Return a finding as one or two sentences."""
    problem = f"{finding.where}: {finding.problem}".rstrip(".") + "."
    return f"{problem} {finding.remedy}".strip()


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# ------------------------------------------------------------------------ table


def _natural_width(table: Table, console: Console) -> int:
    """Return the width a table would take if it could."""
    return Measurement.get(console, console.options.update(width=1000), table).maximum


def _table(rows: tuple[CheckRow, ...], gap: int = 1) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("file", no_wrap=True, max_width=LONGEST_KEY, overflow="ellipsis")
    table.add_column("kind", no_wrap=True)
    table.add_column("found", no_wrap=True)
    table.add_column("CRS", no_wrap=True, max_width=LONGEST_CRS, overflow="ellipsis")
    table.add_column("size", no_wrap=True, justify="right")
    for heading in ("covers", "missing"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("dates", no_wrap=True)
    for heading in ("invalid", "twice", ">5 km", "outside"):
        table.add_column(heading, no_wrap=True, justify="right")
    for row in rows:
        cells = [escape(cell) for cell in _cells(row)]
        table.add_row(*cells, style=None if row.found else "red")
    return table


def _cells(row: CheckRow) -> list[str]:
    return [
        row.key,
        row.kind.replace("_", " "),
        "yes" if row.found else "NO",
        row.crs or "–",
        _size(row),
        percent(row.coverage),
        percent(row.missing),
        _dates(row),
        *(_count(n) for n in (row.invalid, row.duplicates, row.far_vertices, row.outside)),
    ]


def _size(row: CheckRow) -> str:
    if row.count is not None:
        return _count(row.count)
    return row.resolution or "–"


def _count(count: int | None) -> str:
    """Return a count; from 100,000 on to three digits, so that the table keeps its width."""
    if count is None:
        return "–"
    if count < 99_950:
        return f"{count:,}"
    return f"{count / 1e6:.3g} M" if count >= 999_500 else f"{count / 1e3:.0f} k"


def _dates(row: CheckRow) -> str:
    if row.dates is None:
        return "unknown" if row.found else "–"
    first, last = row.dates
    return str(first.year) if first.year == last.year else f"{first.year}–{last.year}"


def percent(part: float | None) -> str:
    """Return a share in percent; small ones as ``<0.1 %``, never rounded to nothing or all."""
    if part is None:
        return "–"
    if 0 < part < 0.001:
        return "<0.1 %"
    if part in (0.0, 1.0) or 0.1 <= part < 0.995:
        return f"{part:.0%}".replace("%", " %")
    return f"{math.floor(part * 1000) / 10:g} %"


def _print_lines(row: CheckRow, console: Console) -> None:
    """Print a row as lines, for terminals too narrow for the table."""
    _, kind, found, crs, size, covers, missing, dates, *counts = _cells(row)
    words = ("invalid", "twice", "over 5 km apart", "outside")
    facts = [kind, crs, size, f"covers {covers}", f"missing {missing}", f"dates {dates}"]
    facts += [f"{count} {word}" for count, word in zip(counts, words, strict=True) if count != "–"]
    told = " · ".join(facts) if row.found else f"{kind} · NOT FOUND"
    console.print(f"[bold]{escape(row.key)}[/] ({found})", highlight=False)
    console.print(Padding(escape(told), (0, 0, 0, 2)), highlight=False)


# ---------------------------------------------------------------------- details


def _print_details(report: CheckReport, console: Console) -> None:
    """Print how figures were obtained, the columns of a table, and the label counts."""
    for how, keys in _obtained(report).items():
        console.print(escape(f"{', '.join(keys)}: {how}"), style="dim", highlight=False)
    if report.features:
        console.print(_feature_table(report), highlight=False)
    counts = report.label_counts
    if counts is not None:
        background = f" ({counts.background:,} drawn as background)" if counts.background else ""
        console.print(
            f"\nCells: {counts.cells:,}. Contaminated {counts.contaminated:,}, released "
            f"{counts.released:,}, unsurveyed {counts.unsurveyed:,}{background}.",
            highlight=False,
        )
    console.print()


def _obtained(report: CheckReport) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for row in report.rows:
        if row.obtained:
            told.setdefault(row.obtained, []).append(row.key)
    return told


def _feature_table(report: CheckReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("column", no_wrap=True, max_width=60, overflow="ellipsis")
    table.add_column("unit", no_wrap=True)
    for heading in ("from", "to", "missing", "ROC-AUC alone"):
        table.add_column(heading, no_wrap=True, justify="right")
    for feature in report.features:
        auc = "–" if feature.auc is None else f"{max(feature.auc, 1 - feature.auc):.3f}"
        low, high = (f"{value:.4g}" for value in (feature.low, feature.high))
        table.add_row(escape(feature.name), escape(feature.unit), low, high,
                      percent(feature.missing), auc)  # fmt: skip
    return table


def _print_finding(number: int, finding: Finding, console: Console) -> None:
    colour, word = _COLOURS[finding.severity], _WORDS[finding.severity]
    text = f"{number:>2}. [{colour}]{word}[/] {escape(sentence(finding))}"
    console.print(text, highlight=False, soft_wrap=not console.is_terminal)
