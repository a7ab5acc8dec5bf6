"""What ``python -m score`` prints and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from hazardrank.commands.check_output import sentence
from hazardrank.commands.score_plan import Expectation
from hazardrank.model.bundle import Bundle
from hazardrank.reporting.drift import print_drift
from hazardrank.reporting.map_page import MapText
from hazardrank.reporting.maps import likelihood_map, survey_status_map
from hazardrank.reporting.progress import duration
from hazardrank.reporting.report import LIKELIHOOD_PNG, STATUS_PNG
from hazardrank.reporting.words import percent, whole
from hazardrank.scoring.drift_report import drift_report
from hazardrank.scoring.engine import ScoringState, total_drift, total_tally
from hazardrank.scoring.job import ScoreJob
from hazardrank.scoring.map_files import DOMAIN_TIF, LIKELIHOOD_TIF, STATUS_TIF, Part
from hazardrank.scoring.store import FolderStore, Store
from hazardrank.scoring.tally import Tally
from hazardrank.settings import ScoreSettings
from hazardrank.sources.check_report import Finding, Severity


@dataclass(frozen=True)
class ScoreFacts:
    """What a scoring found.

    Parameters
    ----------
    tally : Tally
        Counts of all blocks.
    drift : mapping or None
        How unlike the training cells the region is, as plain values.
    knows_domain : bool
        Whether the bundle knows its domain.
    notes : tuple of str
        What was kept and what was done anew.
    n_blocks, n_kept : int
        Blocks, and those kept from before.
    seconds : float
        From the start to the finished maps.
    """

    tally: Tally
    drift: Mapping[str, Any] | None
    knows_domain: bool
    notes: tuple[str, ...]
    n_blocks: int
    n_kept: int
    seconds: float

    @classmethod
    def of(
        cls,
        job: ScoreJob,
        bundle: Bundle,
        state: ScoringState,
        kept: Mapping[Part, int],
        seconds: float,
    ) -> ScoreFacts:
        """Sum up all blocks."""
        tally = total_tally(state)
        return cls(
            tally,
            drift_report(bundle, total_drift(state), tally.n_cells, tally.n_outside_domain),
            bundle.applicability is not None,
            tuple(state.notes),
            len(job.plan),
            min(kept.values()),
            seconds,
        )


def versions_of(libraries: Sequence[str]) -> dict[str, str]:
    """Return library → version."""
    return {name: version(name) for name in libraries}


def print_dry_run(expected: Expectation, settings: ScoreSettings) -> None:
    """Print what a scoring would cost."""
    console = Console()
    lines = [
        f"[bold]{escape(settings.region.shown_name)}[/]: a dry run; nothing was written",
        f"Cells   {whole(expected.n_cells)} in the grid, about "
        f"{whole(expected.n_cells_in_area)} in the area",
        f"Blocks  {whole(expected.n_blocks)} of {expected.block_cells} × {expected.block_cells} "
        f"cells, {expected.n_workers} at a time",
        f"Time    about {duration(expected.seconds)}, from {_probed(expected)}",
        f"Disk    about {_size(expected.map_bytes)} for the maps"
        + (
            ""
            if settings.assembly == "vrt"
            else f", and {_size(expected.block_bytes)} more until they are put together"
        ),
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def _probed(expected: Expectation) -> str:
    n_cells = sum(cells for _, cells, _ in expected.probed)
    seconds = sum(took for *_, took in expected.probed)
    if not seconds:
        return "no block: none lies in the area"
    return (
        f"{len(expected.probed)} blocks scored to find out "
        f"({whole(round(n_cells / seconds))} cells/s on one of {expected.n_workers})"
    )


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print what does not quite fit between bundle and region."""
    for one in findings:
        colour = "yellow" if one.severity == Severity.WARNING else "dim"
        word = "warning" if one.severity == Severity.WARNING else "note"
        console.print(
            f"[{colour}]{word}[/] {escape(sentence(one))}", soft_wrap=True, highlight=False
        )


def print_scoring(
    facts: ScoreFacts,
    settings: ScoreSettings,
    findings: Sequence[Finding],
    forest_note: str | None,
    folder: str,
    files: Sequence[str],
) -> None:
    """Print the result of a scoring on one screen."""
    console = Console()
    for line in _headline(facts, settings):
        console.print(line, soft_wrap=True, highlight=False)
    print_findings(findings, console)
    if forest_note:
        console.print(f"[yellow]note[/] {escape(forest_note)}", soft_wrap=True, highlight=False)
    for note in facts.notes:
        console.print(escape(note), soft_wrap=True, highlight=False)
    if facts.drift is not None:
        print_drift(facts.drift, console)
    console.print(f"In [bold]{escape(folder)}[/]", soft_wrap=True, highlight=False)
    for name in files:
        console.print(f"  {escape(name)}", soft_wrap=True, highlight=False)


def _headline(facts: ScoreFacts, settings: ScoreSettings) -> list[str]:
    tally = facts.tally
    share = tally.n_scored / max(tally.n_cells, 1)
    lines = [f"[bold]{escape(settings.region.shown_name)}[/]"]
    if settings.region.simulated is not None:
        lines.append("[bold red]SIMULATED – says nothing of skill on real land[/]")
    new = facts.n_blocks - facts.n_kept
    rate = whole(round(tally.n_cells / facts.seconds)) if new == facts.n_blocks else None
    speed = f", {rate} cells/s" if rate else f"; {facts.n_kept} of the blocks stood already"
    lines.append(
        f"{whole(tally.n_cells)} cells of the area in {whole(facts.n_blocks)} blocks, "
        f"{duration(facts.seconds)}{speed}"
    )
    if tally.n_scored:
        quantiles = tally.quantiles()
        lines.append(
            f"Likelihood on {percent(share)} of it: mean {tally.mean:.3f}, median "
            f"{quantiles[0.5]:.3f}, highest twentieth above {quantiles[0.95]:.3f}"
        )
    if facts.knows_domain and tally.n_outside_domain:
        lines.append(
            f"Outside the model's domain: {percent(tally.n_outside_domain / tally.n_cells)} of the "
            "area. There the map gives no likelihood, which does not mean that it is low."
        )
    if tally.n_without_features:
        lines.append(f"{whole(tally.n_without_features)} cells have no feature and no likelihood")
    lines.append("No output of this command says that land is safe.")
    return lines


def draw_maps(store: Store, settings: ScoreSettings, names: Sequence[str]) -> list[str]:
    """Draw likelihood and survey status as pages, where the maps are files on disk."""
    if not isinstance(store, FolderStore):
        return []
    region = settings.region
    as_of = "unknown date" if region.records_as_of is None else region.records_as_of.isoformat()
    simulated = region.simulated is not None
    provenance = f"Records as of {as_of} · scored with a model trained elsewhere or earlier"
    notes = [
        "Likelihood is estimated from what records say elsewhere. It releases no land, cancels "
        "no hazard area and creates none."
    ]

    def path(file: str) -> Path:
        vrt = file.replace(".tif", ".vrt")
        return store.folder / (vrt if vrt in names else file)

    domain = path(DOMAIN_TIF)
    likelihood_map(
        path(LIKELIHOOD_TIF),
        path(STATUS_TIF),
        store.folder / LIKELIHOOD_PNG,
        MapText(region.shown_name, provenance, notes, simulated),
        domain_tif=domain if domain.name in names else None,
    )
    survey_status_map(
        path(STATUS_TIF),
        store.folder / STATUS_PNG,
        MapText(region.shown_name, provenance, (), simulated),
    )
    return [LIKELIHOOD_PNG, STATUS_PNG]
