"""``python -m review``: last season's ranking against what teams then found."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import rasterio
from rich.console import Console
from rich.markdown import Markdown

from hazardrank.commands.hydra_app import run_app
from hazardrank.commands.prepare import data_dir_of, make_simulated_data
from hazardrank.commands.provenance import provenance_of
from hazardrank.errors import LabelError, LeakageError, SettingsError
from hazardrank.grid.raster_io import TAG_PREFIX, grid_of
from hazardrank.priority.review import review
from hazardrank.priority.review_ground import Season, WorkedGround, read_plan, worked_ground
from hazardrank.priority.review_verdict import decide
from hazardrank.reporting.progress import Progress
from hazardrank.reporting.review_files import REVIEW_MD, review_lines, write_review
from hazardrank.settings import ReviewSettings
from hazardrank.sources.hazard_records import read_records


def main() -> None:
    """Run ``python -m review``."""
    run_app("review", ReviewSettings, run)


def run(settings: ReviewSettings) -> None:
    """Review a season, print it in plain words and write it.

    Raises
    ------
    HazardRankError
        If the map, the records or the survey plan cannot be used, or no outcome is dated in
        the season.
    """
    progress = Progress(settings.compute.progress)
    make_simulated_data(settings, progress)
    grid = grid_of(settings.ranking)
    if grid.crs != settings.region.crs:
        raise SettingsError(
            f"the map is in {grid.crs} and region '{settings.region.name}' in "
            f"{settings.region.crs}",
            where=str(settings.ranking),
            remedy="Give the region that the map was made for.",
        )
    notes = _made_before(settings)
    plan = None if settings.survey_plan is None else read_plan(settings.survey_plan, grid.crs)
    ground, season = _gather(settings, plan, progress)
    with progress.stage("Reviewing the season", None, "draws"):
        result = review(ground, settings, _is_likelihood(settings), plan)
    result.notes.extend([*_notes(season), *notes])
    verdict, facts = decide(result, settings.verdict), _facts(settings)
    paths = write_review(settings.output_dir.absolute(), result, verdict, facts)
    Console().print(Markdown("\n".join(review_lines(result, verdict, facts))))
    print(f"Files: {', '.join(str(path) for path in paths)}; to read: {REVIEW_MD}")


def _made_before(settings: ReviewSettings) -> list[str]:
    """Refuse a map made from records of the season, which it would be judged by.

    Raises
    ------
    LeakageError
        If the map says that its records reach into the season.
    """
    with rasterio.open(settings.ranking) as dataset:
        as_of = dataset.tags().get(f"{TAG_PREFIX}records_as_of", "unknown")
    if as_of == "unknown":
        return ["The map does not say to which day its records reach: if it was made from records "
                "of this season, it is judged by what it was told."]  # fmt: skip
    if date.fromisoformat(as_of) >= settings.since:
        raise LeakageError(
            f"its records reach to {as_of}, into the season since {settings.since}: it would be "
            "judged by what it was told",
            where=settings.ranking,
            remedy="Give the map that was made before the season, or a later day.",
        )
    return []


def _gather(
    settings: ReviewSettings, plan: gpd.GeoDataFrame | None, progress: Progress
) -> tuple[WorkedGround, Season]:
    """Read the records and gather the cells that teams worked."""
    season = Season.of(read_records(settings.region, data_dir_of(settings)), settings.since)
    block_cells = settings.compute.block_cells
    n_blocks = grid_of(settings.ranking).n_blocks(block_cells)
    with progress.stage("Gathering what was found", n_blocks, "blocks") as advance:
        ground = worked_ground(
            settings.ranking, season, settings.labels, block_cells, plan, advance
        )
    if len(ground) == 0:
        raise LabelError(
            f"no record of {settings.since} or later says of any cell of the map what it is "
            f"({season.n_undated} records have no date)",
            where="since",
            remedy="Give an earlier day, or add the season's records to the region.",
        )
    return ground, season


def _is_likelihood(settings: ReviewSettings) -> bool:
    if settings.is_likelihood is not None:
        return settings.is_likelihood
    with rasterio.open(settings.ranking) as dataset:
        return str(dataset.descriptions[0] or "").startswith("contamination likelihood")


def _notes(season: Season) -> list[str]:
    found = ", ".join(
        f"{n:,} {name.replace('_', ' ')}" for name, n in season.found.counts().items()
    )
    notes = [f"Records of the season: {found}."]
    if season.n_undated:
        notes.append(
            f"{season.n_undated:,} records have no date: they are no find of the season, and the "
            "ranking by distance may know them."
        )
    return notes


def _facts(settings: ReviewSettings) -> dict[str, Any]:
    """Return what the review was made from, so that every figure can be traced."""
    provenance = provenance_of(settings, data_dir_of(settings))
    with rasterio.open(settings.ranking) as dataset:
        tags = dataset.tags()
    region = settings.region
    return {
        "region": region.shown_name,
        "simulated": region.simulated is not None,
        "since": settings.since.isoformat(),
        "ranking": _file(settings.ranking),
        "ranking_run": tags.get(f"{TAG_PREFIX}run_digest"),
        "survey_plan": None if settings.survey_plan is None else _file(settings.survey_plan),
        "thresholds": settings.verdict.model_dump(mode="json"),
        "run_digest": provenance.run_digest,
        "code": provenance.code,
        "versions": provenance.versions,
        "data": provenance.data,
    }


def _file(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return {"path": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
