"""``python -m score``: a bundle and any survey grid in, its maps out."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd

import hazardrank
from hazardrank.commands.check_output import sentence
from hazardrank.commands.hydra_app import run_app, run_for_each
from hazardrank.commands.prepare import CACHE_FOLDER, data_dir_of, make_simulated_data
from hazardrank.commands.provenance import LIBRARIES
from hazardrank.commands.score_output import (
    ScoreFacts,
    draw_maps,
    print_dry_run,
    print_scoring,
    versions_of,
)
from hazardrank.commands.score_plan import expect, fitting_block_cells
from hazardrank.errors import LayerError, SettingsError
from hazardrank.features.feature_set import FeatureSet, build_features
from hazardrank.model.bundle import Bundle
from hazardrank.reporting.progress import Progress
from hazardrank.scoring.depends import dependencies
from hazardrank.scoring.engine import (
    assemble,
    assembled_name,
    block_cells_before,
    drop_older_maps,
    read_state,
    score_blocks,
)
from hazardrank.scoring.fit import check_fit, features_of, region_as_trained
from hazardrank.scoring.job import BlockPlan, ScoreJob, digest_of
from hazardrank.scoring.manifest import MANIFEST_JSON, manifest
from hazardrank.scoring.map_files import MapFile, Part, map_files
from hazardrank.scoring.store import Store, open_store
from hazardrank.scoring.tables import (
    DISTRICTS_CSV,
    RANKED_PARQUET,
    READ_CELLS,
    ScoredMaps,
    as_csv,
    as_parquet,
    district_table,
    ranked_cells,
)
from hazardrank.scoring.worker import margin_of
from hazardrank.settings import AnyFamilySettings, ScoreSettings
from hazardrank.sources.check_report import Finding, Severity
from hazardrank.sources.region import FileLayers, open_layers
from hazardrank.tracking.models import resolve_model
from hazardrank.versions import code_digest

SCORING_ROOMS = ("features", "grid", "labels", "model", "scoring", "sources")
"""Folders of the package whose code decides what a scoring writes."""


def main() -> None:
    """Run ``python -m score``, once for each region file where several are named.

    ``model`` is the name of a group of settings, which Hydra would look for among the
    configs: ``model=…`` is understood as ``bundle=…``.
    """
    arguments = [_as_setting(text) for text in sys.argv[1:]]
    grids = region_files(arguments)
    if grids is None:
        sys.argv[1:] = arguments
        run_app("score", ScoreSettings, run)
    rest = [text for text in arguments if not text.startswith("region_file=")]
    run_for_each("score", ScoreSettings, run, [(path.stem, path, rest) for path in grids])


def _as_setting(text: str) -> str:
    """Turn what people write into settings that Hydra takes as values."""
    text = re.sub(r"^model=(?!['\"])(.*)$", r"bundle='\1'", text)
    text = re.sub(r"^model=", "bundle=", text)
    return re.sub(r"^output_dir=(['\"]?)(/vsi|[a-z0-9]+://)", r"output_url=\1\2", text)


def region_files(arguments: list[str]) -> list[Path] | None:
    """Return the region files where a list or a folder of them is named, else ``None``.

    Raises
    ------
    LayerError
        If the folder holds none.
    """
    given = [text.split("=", 1)[1] for text in arguments if text.startswith("region_file=")]
    if not given:
        return None
    value = given[-1].strip("'\"")
    if value.startswith("["):
        return [Path(part.strip(" '\"")).expanduser() for part in value.strip("[]").split(",")]
    folder = Path(value).expanduser()
    if not folder.is_dir():
        return None
    found = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not found:
        raise LayerError("holds no region file (*.yaml)", where=folder)
    return found


def run(settings: ScoreSettings) -> int:
    """Check, plan, score what is missing, put the maps together, report.

    Returns
    -------
    int
        Exit status, 0.

    Raises
    ------
    HazardRankError
        Whatever makes it impossible. Blocks already scored stay, and the same command goes on
        with the others.
    """
    begun = time.perf_counter()
    progress = Progress(settings.compute.progress)
    make_simulated_data(settings, progress)
    prepared = prepare(settings, progress)
    if settings.dry_run:
        print_dry_run(expect(prepared.job, prepared.layers, settings.compute), settings)
        return 0
    state = read_state(prepared.job, settings.resume)
    scoring = time.perf_counter()
    plan, kept = prepared.job.plan, {part: len(done) for part, done in state.done.items()}
    left = sum(plan.block(number).n_cells for number, _ in state.missing(plan))
    with progress.stage("Scoring the region", left, "cells") as advance:
        score_blocks(prepared.job, state, settings.compute, advance)
    with progress.stage("Putting the maps together", None, "maps") as advance:
        names = assemble(prepared.job, state, settings.compute.n_threads, advance)
    scored_s = time.perf_counter() - scoring
    drop_older_maps(prepared.store, names)
    files = [
        *names,
        *write_tables(prepared, settings, progress),
        *draw_maps(prepared.store, settings, names),
    ]
    facts = ScoreFacts.of(prepared.job, prepared.bundle, state, kept, scored_s)
    content = manifest(
        prepared.job,
        prepared.bundle,
        state,
        settings=settings.model_dump(mode="json"),
        findings=prepared.findings,
        drift=facts.drift,
        versions={"hazardrank": hazardrank.__version__, **versions_of(LIBRARIES)},
        kept=kept,
        seconds={
            "maps": round(scored_s, 3),
            "before_the_first_block": round(scoring - begun, 3),
            "all": round(time.perf_counter() - begun, 3),
        },
        files=files,
    )
    prepared.store.put(MANIFEST_JSON, content)
    print_scoring(
        facts,
        settings,
        prepared.findings,
        prepared.bundle.forest_note,
        prepared.store.url,
        [*files, MANIFEST_JSON],
    )
    return 0


# ---------------------------------------------------------------------------- prepared


@dataclass(frozen=True)
class Prepared:
    """A scoring ready to begin."""

    bundle: Bundle
    features: FeatureSet
    layers: FileLayers
    job: ScoreJob
    store: Store
    findings: list[Finding]


def prepare(settings: ScoreSettings, progress: Progress) -> Prepared:
    """Find the bundle, open the region, check that the two fit, and plan the blocks.

    Raises
    ------
    HazardRankError
        If bundle or region cannot be read, or do not fit.
    """
    folder = resolve_model(settings.bundle, settings.tracking, Path(CACHE_FOLDER).absolute())
    bundle = Bundle.load(folder)
    if settings.region.table is not None:
        raise LayerError(
            "the region is a ready table of cells, which has no layers to compute features from",
            where=f"region {settings.region.name}",
            remedy="Train with the new table as its region: the map of that run is its score.",
        )
    data_dir = data_dir_of(settings)
    with progress.stage("Checking that bundle and region fit", None, "layers"):
        findings = check_fit(bundle, settings.region, data_dir)
    stop_on(findings, settings.strict_checks)
    region = region_as_trained(bundle, settings.region)
    settings = settings.model_copy(update={"region": region})
    named = features_of(bundle)
    features = build_features(named, settings.region.layers)
    layers = open_layers(
        settings.region, data_dir, Path(CACHE_FOLDER).absolute(), margin_of(features)
    )
    bundle.check_features(features.specs)
    files = map_files(
        bundle, contributions=settings.contributions, packed=settings.storage == "uint16"
    )
    _check_contributions(settings, bundle)
    job = _job(settings, bundle, folder, features, layers, files, named)
    return Prepared(bundle, features, layers, job, open_store(job.output_url), findings)


def stop_on(findings: list[Finding], strict: bool) -> None:
    """Raise if a finding forbids scoring; with `strict`, warnings do too."""
    stopping = [one for one in findings if one.severity == Severity.ERROR]
    if strict:
        stopping += [one for one in findings if one.severity == Severity.WARNING]
    if stopping:
        raise LayerError(
            " ".join(f"({n}) {sentence(one)}" for n, one in enumerate(stopping, start=1)),
            where="bundle and region do not fit",
        )


def _check_contributions(settings: ScoreSettings, bundle: Bundle) -> None:
    unknown = sorted(set(settings.contributions) - set(bundle.names))
    if unknown:
        raise SettingsError(
            f"the model has no feature {', '.join(unknown)}",
            where="contributions",
            remedy=f"Features: {', '.join(bundle.names)}.",
        )


def _job(
    settings: ScoreSettings,
    bundle: Bundle,
    folder: Path,
    features: FeatureSet,
    layers: FileLayers,
    files: tuple[MapFile, ...],
    named: dict[str, AnyFamilySettings],
) -> ScoreJob:
    region, grid, data_dir = settings.region, layers.grid, data_dir_of(settings)
    output_url = settings.output_url or str(settings.output_dir.absolute())
    block_cells = block_cells_before(output_url, grid) if settings.resume else None
    if block_cells is None:
        block_cells = fitting_block_cells(grid, settings.compute, len(bundle.specs))
    plan = BlockPlan(grid, block_cells)
    drift_step = max(1, round((grid.n_cells / settings.drift_cells) ** 0.5))
    depends = dependencies(
        bundle,
        region,
        data_dir,
        grid,
        features,
        settings.labels,
        files,
        code_digest(SCORING_ROOMS),
        {"contributions": list(settings.contributions), "drift_step": drift_step},
    )
    return ScoreJob(
        plan,
        region,
        data_dir,
        Path(CACHE_FOLDER).absolute() if settings.compute.backend != "dask" else None,
        named,
        settings.labels,
        {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()},
        files,
        settings.contributions,
        depends,
        _tags(settings, bundle, depends),
        output_url,
        settings.assembly == "vrt",
        drift_step,
        max(1, settings.compute.n_threads // len(plan)),
    )


def _tags(
    settings: ScoreSettings, bundle: Bundle, depends: dict[Part, dict[str, str]]
) -> dict[Part, dict[str, str]]:
    """Return the provenance of the maps of each part: only what they depend on."""
    region = settings.region
    as_of = "unknown" if region.records_as_of is None else region.records_as_of.isoformat()
    common = {
        "region": region.name,
        "code": f"hazardrank {hazardrank.__version__} ({code_digest(SCORING_ROOMS)[:12]})",
        "data": "simulated district" if region.simulated is not None else "records of the region",
        "warning": "No value on this map means that land is safe.",
    }
    negatives = bundle.provenance.get("negatives")
    scored = {
        **common,
        "bundle_sha256": bundle.digest,
        **({} if negatives is None else {"negatives": str(negatives)}),
    }
    digests = {part: {"inputs_sha256": digest_of(of_part)} for part, of_part in depends.items()}
    return {
        "likelihood": {**scored, **digests["likelihood"]},
        "status": {**common, "records_as_of": as_of, **digests["status"]},
    }


# ------------------------------------------------------------------------------ tables


def write_tables(prepared: Prepared, settings: ScoreSettings, progress: Progress) -> list[str]:
    """Write the tables that the maps give; return their names."""
    maps = scored_maps(prepared)
    n_blocks = prepared.layers.grid.n_blocks(READ_CELLS)
    with progress.stage("Summing up by district", n_blocks, "blocks") as advance:
        table = district_table(maps, _districts(settings, prepared.layers), advance)
    prepared.store.put(DISTRICTS_CSV, as_csv(table))
    written = [DISTRICTS_CSV]
    if settings.ranked_cells is None:
        prepared.store.remove(RANKED_PARQUET)
        return written
    with progress.stage("Ranking cells", n_blocks, "blocks") as advance:
        ranked = ranked_cells(maps, settings.ranked_cells, advance)
    prepared.store.put(RANKED_PARQUET, as_parquet(ranked))
    return [*written, RANKED_PARQUET]


def scored_maps(prepared: Prepared) -> ScoredMaps:
    """Return the paths of the finished maps."""
    job = prepared.job
    paths = {file.name: prepared.store.gdal_path(assembled_name(file, job)) for file in job.files}
    return ScoredMaps(
        paths["likelihood"],
        paths["status"],
        paths.get("low"),
        paths.get("high"),
        paths.get("outside_domain"),
    )


def _districts(settings: ScoreSettings, layers: FileLayers) -> gpd.GeoDataFrame | None:
    key = settings.districts
    layer = None if key is None else settings.region.layers.get(key)
    if key is None or layer is None or layer.kind != "polygons":
        return None
    return layers.vectors(key, layers.grid.bounds)
