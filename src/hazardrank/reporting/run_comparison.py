"""Two runs side by side: read back, put into one table, written down."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hazardrank.errors import OutputError
from hazardrank.reporting.run_files import METRICS_JSON, PREDICTIONS, read_metrics, write_whole
from hazardrank.reporting.words import METRIC_NAMES, gap_text, interval_text, metric_text
from hazardrank.validation.comparison import EvaluatedRun, RunComparison

COMPARISON_JSON = "comparison.json"
_COLUMNS = ("cell_id", "outcome", "fold", "unit", "likelihood")
_VERDICTS = {"better": "b is better", "worse": "a is better"}


def read_evaluated_run(folder: Path) -> EvaluatedRun:
    """Read what a run's output folder says of its labelled cells.

    Parameters
    ----------
    folder : Path
        ``output_dir`` of the run.

    Raises
    ------
    OutputError
        If the folder holds no run, or one that an earlier version wrote.
    """
    predictions = folder / PREDICTIONS
    if not predictions.is_file():
        raise OutputError(
            f"there is no run here: no {PREDICTIONS}",
            where=folder,
            remedy="Give the output_dir of `python -m train`.",
        )
    table = pd.read_parquet(predictions)
    missing = [column for column in _COLUMNS if column not in table]
    if missing:
        raise OutputError(
            f"the predictions lack {', '.join(missing)}: an earlier version wrote them",
            where=predictions,
            remedy="Train again.",
        )
    return EvaluatedRun.of(str(folder), read_metrics(folder / METRICS_JSON).protocol, table)


def write_comparison(path: Path, first: str, second: str, comparison: RunComparison) -> Path:
    """Write ``comparison.json``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    values = {"run_a": first, "run_b": second, **comparison.as_dict()}
    return write_whole(path, (json.dumps(values, indent=2) + "\n").encode())


def print_comparison(
    first: str, second: str, comparison: RunComparison, console: Console | None = None
) -> None:
    """Print one table: figures of both runs, their difference and what it shows."""
    console = console or Console()
    console.print(f"a  {escape(first)}", soft_wrap=True, highlight=False)
    console.print(f"b  {escape(second)}", soft_wrap=True, highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("held-out cells")
    for title in ("a", "b", "b − a", "95 % interval"):
        table.add_column(title, justify="right")
    table.add_column("")
    values = (comparison.first.skill.values, comparison.second.skill.values)
    for name in METRIC_NAMES:
        if name not in comparison.differences:
            continue
        found = comparison.differences[name]
        ends = None if found.low is None or found.high is None else (found.low, found.high)
        table.add_row(
            METRIC_NAMES[name],
            *(metric_text(name, value[name]) for value in values),
            gap_text(found.difference, name),
            interval_text(name, ends, signed=True),
            _VERDICTS.get(found.verdict, "–"),
        )
    console.print(table)
    console.print("–: no difference shown, the interval holds zero.", highlight=False)
    note = comparison.bootstrap["note"]
    if note:
        console.print(f"{note[0].upper()}{note[1:]}.", highlight=False)
