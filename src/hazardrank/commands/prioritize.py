"""``python -m prioritize``: likelihood maps and consequence layers in, ranked tasks out."""

from __future__ import annotations

import time

from hazardrank.commands.hydra_app import run_app
from hazardrank.commands.prepare import make_simulated_data
from hazardrank.commands.prioritize_case import Case, rank_tasks
from hazardrank.commands.prioritize_output import write_priorities
from hazardrank.reporting.progress import Progress
from hazardrank.settings import PrioritizeSettings


def main() -> None:
    """Run ``python -m prioritize``."""
    run_app("prioritize", PrioritizeSettings, run)


def run(settings: PrioritizeSettings) -> None:
    """Draw tasks, measure them, rank them, write and say what came out.

    Raises
    ------
    HazardRankError
        Whatever makes it impossible; outputs already written are whole.
    """
    begun = time.perf_counter()
    progress = Progress(settings.compute.progress)
    make_simulated_data(settings, progress)
    with Case.of(settings) as case:
        ranked = rank_tasks(case, progress)
        write_priorities(case, ranked, progress, time.perf_counter() - begun)
