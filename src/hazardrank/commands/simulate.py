"""``python -m simulate``: write a simulated district and say what it is."""

from __future__ import annotations

from contextlib import ExitStack

from rich.console import Console
from rich.markup import escape

from hazardrank.commands.hydra_app import run_app
from hazardrank.reporting.progress import Progress
from hazardrank.settings import SimulateSettings
from hazardrank.simulate.district import DistrictSummary, write_district


def main() -> None:
    """Run ``python -m simulate``."""
    run_app("simulate", SimulateSettings, run)


def run(settings: SimulateSettings) -> None:
    """Write the district to ``settings.output_dir`` and print a summary.

    Raises
    ------
    HazardRankError
        If the settings do not go together or the folder cannot be written.
    """
    progress = Progress(settings.compute.progress)
    with ExitStack() as stages:

        def show(stage: str) -> None:
            stages.close()
            stages.enter_context(progress.stage(stage, None, "steps"))

        summary = write_district(settings.district, settings.output_dir, show)
    Console().print(_readable(settings, summary), soft_wrap=True, highlight=False)


def _readable(settings: SimulateSettings, summary: DistrictSummary) -> str:
    """Return the summary in a few lines."""
    district = settings.district
    share = summary.contaminated_m2 / summary.area_m2
    records = ", ".join(
        f"{count:,} {kind.replace('_', ' ')}" for kind, count in summary.record_counts.items()
    )
    folder = escape(str(summary.folder))
    return "\n".join(
        (
            f"[bold]SIMULATED district[/] – made up, of no real place. {district.size_km:g} km × "
            f"{district.size_km:g} km at {district.cell_size_m:g} m, seed {district.seed}, "
            f"{district.difficulty}.",
            f"True contamination  {summary.contaminated_m2 / 1e6:.2f} km² in "
            f"{summary.n_minefields:,} minefields ({share:.1%} of the land); in truth/, apart "
            "from the records",
            f"Records             {records}",
            f"Files               {len(summary.files)} in {folder}",
            f"Next                python -m train region_file={folder}/region.yaml",
        )
    )
