"""What ``python -m prioritize`` writes and says."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib.colors import to_rgb

import hazardrank
from hazardrank.commands.prepare import data_dir_of
from hazardrank.commands.prioritize_case import Case, RankedTasks
from hazardrank.commands.prioritize_plan import PlanOutcome
from hazardrank.errors import OutputError
from hazardrank.priority.priority_maps import BANDS_TIF, write_band_map, write_priority_map
from hazardrank.priority.ranked_table import band_labels, column_meanings, ranked_table
from hazardrank.reporting.map_page import MapText
from hazardrank.reporting.priority_files import (
    BAND_COLOURS,
    COLUMNS_MD,
    CSV,
    GEOJSON,
    GPKG,
    XLSX,
    Layer,
    as_columns_md,
    as_xlsx,
    band_style,
    csv_parts,
    geojson_parts,
    sheet_of,
    write_files,
    write_gpkg,
)
from hazardrank.reporting.priority_map import priority_map
from hazardrank.reporting.priority_terminal import PrioritySummary, print_priorities
from hazardrank.reporting.progress import Progress
from hazardrank.settings import PrioritizeSettings
from hazardrank.sources.digests import digest_inputs, digest_path
from hazardrank.versions import code_digest

PRIORITY_PNG = "clearance_priority.png"
SUMMARY_JSON = "priority_summary.json"
LIBRARIES = ("numpy", "pandas", "rasterio", "geopandas", "shapely", "scipy", "pymcdm")

#: Folders of the package whose code decides what a prioritization writes.
ROOMS = ("features", "grid", "priority", "sources")
#: Settings that decide what comes out. Where files lie and how the machine is used do not.
_DECISIVE = ("seed", "region", "priority", "tasks", "plan")

#: Tasks marked on the map.
_MARKED = 10

CELL_COLUMNS = {
    "cell_id": "INSPIRE code of the cell",
    "task_id": "the task it is part of",
    "rank": "rank of the task; empty where it waits",
    "band": "band of the task",
    "likelihood": "contamination likelihood; empty where the model cannot judge",
    "likelihood_low": "low end of its interval",
    "likelihood_high": "high end of its interval",
    "survey_status": "-1 unsurveyed, 0 released, 1 contaminated, as recorded",
}


def check_writable(folder: Path) -> None:
    """Raise an OutputError, before any work is done, if a folder cannot be written to."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise OutputError(
            "cannot be written to",
            where=there,
            remedy="Give output_dir=PATH, a folder that may be written.",
        )


def write_priorities(
    case: Case, ranked: RankedTasks, plan: PlanOutcome, progress: Progress, seconds: float
) -> None:
    """Write maps, tasks and tables, then print what came out.

    Parameters
    ----------
    case : Case
        The region and the choices.
    ranked : RankedTasks
        The tasks.
    plan : PlanOutcome
        What was planned.
    progress : Progress
        What the user sees meanwhile.
    seconds : float
        Time that ranking took.

    Raises
    ------
    OutputError
        If a file cannot be written; files already written are whole.
    """
    settings = case.settings
    folder = settings.output_dir.expanduser().absolute()
    origin = Origin.of(case)
    table = ranked_table(
        ranked.table,
        ranked.totals,
        ranked.gathered,
        ranked.priorities,
        case.consequence.specs,
        settings.tasks.reasons,
        origin.run_id,
    )
    written = _Writer(case, ranked, plan, origin, folder, progress, table).write_all()
    summary = summary_of(case, ranked, table)
    facts = _facts(case, ranked, origin, summary, written, seconds) | {"plan": dict(plan.facts)}
    write_files(folder, {SUMMARY_JSON: json.dumps(facts, indent=1, ensure_ascii=False).encode()})
    files = [*written, SUMMARY_JSON]
    print_priorities(summary, settings.shown, str(folder), files, plan.lines)


# ----------------------------------------------------------------------------- provenance


@dataclass(frozen=True)
class Origin:
    """What the numbers come from. Holds no time, so that equal runs give equal bytes.

    Parameters
    ----------
    run_id : str
        First 16 hex digits of the SHA-256 over all the rest.
    settings : mapping
        The settings that decide what comes out.
    settings_digest : str
        SHA-256 over them.
    data, maps : mapping of str to str
        Input → SHA-256.
    code : str
        SHA-256 over the package's source files.
    versions : mapping of str to str
        Library → version.
    text : mapping of str to str
        What is written into every file.
    """

    run_id: str
    settings: Mapping[str, Any]
    settings_digest: str
    data: Mapping[str, str]
    maps: Mapping[str, str]
    code: str
    versions: Mapping[str, str]
    text: Mapping[str, str]

    @classmethod
    def of(cls, case: Case) -> Origin:
        """Digest settings, inputs, maps and code."""
        given, data_dir = case.settings, data_dir_of(case.settings)
        values = given.model_dump(mode="json")
        decisive = {name: values[name] for name in _DECISIVE}
        data = digest_inputs(given.region, data_dir)
        if given.attributes is not None:
            data["attributes"] = digest_path(str(given.attributes.expanduser().absolute()))
        maps, code = case.maps.digests(), code_digest(ROOMS)
        versions = {name: version(name) for name in LIBRARIES}
        settings_digest = _digest(decisive)
        inputs = sorted(data.values()), maps
        run_id = _digest([settings_digest, *inputs, code, versions])[:16]
        text = _text(given, case, run_id, settings_digest, maps, code, versions)
        return cls(run_id, decisive, settings_digest, data, maps, code, versions, text)


def _text(
    settings: PrioritizeSettings,
    case: Case,
    run_id: str,
    settings_digest: str,
    maps: Mapping[str, str],
    code: str,
    versions: Mapping[str, str],
) -> dict[str, str]:
    region, priority = settings.region, settings.priority
    as_of = region.records_as_of
    return {
        "run_id": run_id,
        "region": region.name,
        "data": "simulated district" if region.simulated is not None else "records of the region",
        "seen_from": f"{case.today:%Y-%m-%d}",
        "records_as_of": "unknown" if as_of is None else as_of.isoformat(),
        "priority": priority.label,
        "priority_source": priority.source,
        "method": priority.method,
        "weights": _weights_words(case),
        "settings_sha256": settings_digest,
        "maps_sha256": _digest(maps),
        **{f"maps_{name}": value for name, value in sorted(case.maps.origin.items())},
        "code": f"hazardrank {hazardrank.__version__} ({code[:12]})",
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "warning": "No value here means that land is safe.",
    }


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


# ---------------------------------------------------------------------------------- files


@dataclass(frozen=True)
class _Writer:
    """Writes every output of a run."""

    case: Case
    ranked: RankedTasks
    plan: PlanOutcome
    origin: Origin
    folder: Path
    progress: Progress
    table: gpd.GeoDataFrame

    def write_all(self) -> list[str]:
        """Write maps, tables and the picture; return their names."""
        n_blocks = self.case.layers.grid.n_blocks(self._block_cells)
        with self.progress.stage("Writing maps", 2 * n_blocks, "blocks") as advance:
            maps = self._maps(advance)
        with self.progress.stage("Writing tasks", None, "files"):
            tables = self._tables()
        with self.progress.stage("Drawing the map", None, "pages"):
            self._picture()
        return [*maps, *tables, PRIORITY_PNG]

    @property
    def _block_cells(self) -> int:
        return self.case.settings.compute.block_cells

    def _maps(self, advance: Callable[[int], None]) -> list[str]:
        tasks, found = self.ranked.land.tasks, self.ranked.priorities
        tags, side = self.origin.text, self._block_cells
        colours = {band: _colour(code) for band, code in BAND_COLOURS.items()}
        priority = write_priority_map(self.folder, tasks, found.rank, side, tags, advance)
        bands = write_band_map(self.folder, tasks, found.band, colours, side, tags, advance)
        return [priority.name, bands.name]

    def _tables(self) -> list[str]:
        meanings = self._meanings()
        layers = {"tasks": Layer(self.table, meanings, band_style("tasks", "rank"))}
        n_cells = int(self.ranked.land.tasks.n_cells.sum())
        if 0 < n_cells <= self.case.settings.cells_up_to:
            layers["cells"] = Layer(self._cells(), CELL_COLUMNS, band_style("cells", None))
        text, plan = self.origin.text, self.plan
        packages = {GPKG: {**layers, **plan.layers}, **plan.own_layers}
        for name, content in packages.items():
            write_gpkg(self.folder / name, content, text)
        described = {**meanings, **plan.columns}
        contents: dict[str, bytes | Iterator[bytes]] = {
            GEOJSON: geojson_parts(self.table, text),
            CSV: csv_parts(self.table),
            XLSX: as_xlsx({"tasks": self._sheet(), **plan.sheets}, described, self._about_sheets()),
            COLUMNS_MD: as_columns_md(described, text),
            **plan.contents(text),
        }
        return [*packages, *write_files(self.folder, contents)]

    def _sheet(self) -> pd.DataFrame:
        return sheet_of(self.table, self.case.settings.sheet_up_to)

    def _about_sheets(self) -> dict[str, str]:
        n_tasks, n_shown = len(self.table), len(self._sheet())
        if n_shown == n_tasks:
            return dict(self.origin.text)
        left = f"the first {n_shown:,} in rank of {n_tasks:,}; {CSV} has all"
        return {**self.origin.text, "tasks in the sheet": left}

    def _meanings(self) -> dict[str, str]:
        priority = self.case.settings.priority
        return column_meanings(
            list(self.table.columns),
            self.case.consequence.specs,
            tuple(priority.effort.used),
            self.ranked.priorities.unit,
            priority.robustness,
        )

    def _cells(self) -> gpd.GeoDataFrame:
        tasks = self.ranked.land.tasks
        parts = [self._cells_of(block) for block in tasks.grid.blocks(self._block_cells)]
        cells: gpd.GeoDataFrame = pd.concat([part for part in parts if len(part)])
        return cells.reset_index(drop=True)

    def _cells_of(self, block: Any) -> gpd.GeoDataFrame:
        tasks, found = self.ranked.land.tasks, self.ranked.priorities
        first_row, first_col = block.offset_in(tasks.grid)
        labels = tasks.labels[
            first_row : first_row + block.n_rows, first_col : first_col + block.n_cols
        ]
        row, col = np.nonzero(labels >= 0)
        task = labels[row, col]
        maps = self.case.maps.read(block)
        easting, northing = block.centres(row, col)
        half_m = block.cell_size_m / 2
        data: dict[str, Any] = {
            "cell_id": block.cell_ids(row, col),
            "task_id": tasks.ids[task],
            "rank": pd.arrays.IntegerArray(found.rank[task], found.rank[task] == 0),
            "band": band_labels(found.band[task]),
        }
        for name, values in (
            ("likelihood", maps.likelihood),
            ("likelihood_low", maps.low),
            ("likelihood_high", maps.high),
            ("survey_status", maps.status),
        ):
            if values is not None:
                data[name] = values[row, col]
        squares = shapely.box(
            easting - half_m, northing - half_m, easting + half_m, northing + half_m
        )
        return gpd.GeoDataFrame(data, geometry=squares, crs=block.crs)

    def _picture(self) -> None:
        region, text = self.case.settings.region, self.origin.text
        first = self.table[self.table["rank"].notna()].head(_MARKED)
        priority_map(
            self.folder / BANDS_TIF,
            Path(self.case.maps.scored.status),
            self.folder / PRIORITY_PNG,
            MapText(
                region.shown_name,
                f"{text['priority']} · {text['method']} · {text['weights']} · "
                f"seen from {text['seen_from']} · run {self.origin.run_id}",
                [
                    "A band is a proposed order of work, not a degree of safety. It releases no "
                    "land, cancels no hazard area and creates none.",
                    f"Numbers: the first {len(first)} tasks in rank order; see their ranges.",
                ],
                region.simulated is not None,
            ),
            first,
        )


def _colour(code: str) -> tuple[int, int, int, int]:
    red, green, blue = (round(255 * part) for part in to_rgb(code))
    return red, green, blue, 255


# ---------------------------------------------------------------------------------- words


def summary_of(case: Case, ranked: RankedTasks, table: gpd.GeoDataFrame) -> PrioritySummary:
    """Return what people should know of a ranking."""
    region, priority, land = case.settings.region, case.settings.priority, ranked.land
    weights = ranked.priorities.weights
    warnings = [] if weights is None or weights.warning is None else [weights.warning]
    return PrioritySummary(
        region.shown_name,
        region.simulated is not None,
        priority.label,
        priority.source,
        f"{priority.method}, {ranked.priorities.unit}",
        _weights_words(case),
        table,
        ranked.decision.counts(),
        land.n_area,
        land.n_released,
        land.n_unjudged,
        land.n_left_out,
        case.notes(ranked),
        warnings,
    )


def _weights_words(case: Case) -> str:
    """Return the weights as they are, whatever the choices' label says."""
    weights = case.weights
    if weights is None:
        return f"none; the order is {' > '.join(case.settings.priority.order)}"
    return weights.words


def _facts(
    case: Case,
    ranked: RankedTasks,
    origin: Origin,
    summary: PrioritySummary,
    files: list[str],
    seconds: float,
) -> dict[str, Any]:
    """Return the content of ``priority_summary.json``."""
    weights, table = ranked.priorities.weights, summary.tasks
    by_band = table.groupby("band")["area_m2"].agg(["size", "sum"])
    return {
        "run_id": origin.run_id,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "provenance": dict(origin.text),
        "settings": dict(origin.settings),
        "data_sha256": dict(origin.data),
        "maps": {"folder": str(case.maps.folder), "sha256": dict(origin.maps)},
        "code_sha256": origin.code,
        "versions": dict(origin.versions),
        "cells": {
            "area": summary.area_cells,
            "released": summary.released_cells,
            "without_likelihood": summary.unjudged_cells,
            "in_no_task_though_not_released": summary.left_out_cells,
        },
        "unjudged_likelihood": vars(ranked.land.unjudged),
        "tasks": len(table),
        "bands": {
            str(band): {"tasks": int(row["size"]), "area_m2": float(row["sum"])}
            for band, row in by_band.iterrows()
        },
        "waiting": dict(summary.waiting),
        "criteria": [
            {"name": spec.name, "unit": spec.unit, "layers": list(spec.layers)}
            | {"holds": spec.description, "as_of": None if spec.as_of is None else str(spec.as_of)}
            for spec in case.consequence.specs
        ],
        "weights": None
        if weights is None
        else {
            "source": weights.source,
            "consistency_ratio": weights.consistency_ratio,
            "values": dict(zip(weights.names, weights.values.tolist(), strict=True)),
        },
        "notes": list(summary.notes),
        "warnings": list(summary.warnings),
        "files": files,
        "warning": "No value here means that land is safe.",
    }
