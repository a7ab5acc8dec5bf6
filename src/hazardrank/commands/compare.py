"""``python -m compare``: is one run better than another, or is no difference shown."""

from __future__ import annotations

from hazardrank.commands.hydra_app import run_app
from hazardrank.reporting.run_comparison import (
    COMPARISON_JSON,
    print_comparison,
    read_evaluated_run,
    write_comparison,
)
from hazardrank.settings import CompareSettings
from hazardrank.validation.comparison import compare_runs


def main() -> None:
    """Run ``python -m compare``."""
    run_app("compare", CompareSettings, run)


def run(settings: CompareSettings) -> None:
    """Compare two runs cell by cell, print one table and write ``comparison.json``.

    Raises
    ------
    HazardRankError
        If a folder holds no run, or the runs' folds or labelled cells differ.
    """
    first, second = (read_evaluated_run(run) for run in (settings.run_a, settings.run_b))
    comparison = compare_runs(first, second, settings.bootstrap, settings.seed)
    print_comparison(first.name, second.name, comparison)
    path = settings.output_dir / COMPARISON_JSON
    print(write_comparison(path, first.name, second.name, comparison))
