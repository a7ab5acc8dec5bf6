"""``python -m prioritize``: likelihood maps and consequence layers in, ranked tasks out."""

from __future__ import annotations

import time

from hazardrank.commands.hydra_app import run_app
from hazardrank.commands.prepare import make_simulated_data
from hazardrank.commands.prioritize_case import Case, rank_tasks
from hazardrank.commands.prioritize_output import check_writable, write_priorities
from hazardrank.commands.prioritize_plan import planner_of
from hazardrank.reporting.progress import Progress
from hazardrank.settings import PrioritizeSettings


def main() -> None:
    """Run ``python -m prioritize``."""
    run_app("prioritize", PrioritizeSettings, run)


def run(settings: PrioritizeSettings) -> None:
    """Draw tasks, measure them, rank them, plan, write and say what came out.

    Raises
    ------
    HazardRankError
        Whatever makes it impossible; outputs already written are whole.
    """
    begun = time.perf_counter()
    progress = Progress(settings.compute.progress)
    make_simulated_data(settings, progress)
    check_writable(settings.output_dir.expanduser().absolute())
    with Case.of(settings) as case:
        planner = planner_of(settings.plan)
        ranked = rank_tasks(case, planner, progress)
        with progress.stage("Planning", None, "plans"):
            plan = planner.plan(case, ranked)
        write_priorities(case, ranked, plan, progress, time.perf_counter() - begun)
