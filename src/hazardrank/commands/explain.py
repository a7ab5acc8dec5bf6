"""``python -m explain``: why cells of a training run score as they do."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from hazardrank.commands.hydra_app import run_app
from hazardrank.commands.prepare import data_dir_of, make_simulated_data, open_region
from hazardrank.errors import OutputError, SettingsError
from hazardrank.features.base import FeatureFamily, FeatureSpec, HistoryFamily
from hazardrank.features.feature_set import FeatureSet, build_features
from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import grid_of, read_block
from hazardrank.model.bundle import BUNDLE_JSON, Bundle
from hazardrank.model.explain import Reason, reasons
from hazardrank.records import OUTCOME_CODES
from hazardrank.reporting.explanation import ExplainedCell, print_explanations, write_explanations
from hazardrank.reporting.phrases import Place, phrase
from hazardrank.reporting.progress import Progress
from hazardrank.reporting.run_files import LIKELIHOOD_TIF, SETTINGS_YAML, STATUS_TIF, read_settings
from hazardrank.scoring.cells import OUTSIDE_DOMAIN, ScoredCells, score_cells
from hazardrank.scoring.table import RowFinder
from hazardrank.settings import ExplainSettings, TrainSettings, validate
from hazardrank.sources.hazard_records import read_records
from hazardrank.sources.layers import LayerReader
from hazardrank.sources.region import region_grid
from hazardrank.sources.tables import read_table
from hazardrank.validation.training_set import Matrix

BUNDLE_FOLDER = "bundle"
_CELL_ID = re.compile(r"CRS(\w+)RES(\d+)mN(-?\d+)E(-?\d+)")
_STATUS_WORDS = {code: outcome.value for outcome, code in OUTCOME_CODES.items()}

Cells = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows and columns of the cells in the region's grid."""


def main() -> None:
    """Run ``python -m explain``; ``model=PATH`` is understood as ``run=PATH``.

    ``model`` is the name of a group of settings, which Hydra would look for among the configs.
    """
    sys.argv[1:] = [re.sub(r"^model=", "run=", text) for text in sys.argv[1:]]
    run_app("explain", ExplainSettings, run)


def run(settings: ExplainSettings) -> None:
    """Explain the cells that were named, or the likeliest of the run's map.

    Raises
    ------
    HazardRankError
        If the run, its data or a cell cannot be found, or the features are not those the
        model learned.
    """
    folder, bundle = open_run_folder(settings.run)
    trained = run_settings(folder, settings)
    progress = Progress(settings.compute.progress)
    make_simulated_data(trained, progress)
    with progress.stage("Computing the cells' features", None, "cells"):
        found = _cells_of_region(trained, folder, settings)
    bundle.check_features(found.specs)
    threads = settings.compute.n_threads
    scored = score_cells(bundle, found.matrix, threads)
    contributions = bundle.contributions(found.matrix, threads)
    why = reasons(contributions, found.matrix, bundle.specs, settings.reasons)
    explained = _explained(found, scored, why, folder)
    files = write_explanations(
        settings.output_dir.absolute(),
        explained,
        found.grid.crs,
        found.grid.cell_size_m,
        settings.reasons,
    )
    print_explanations(
        explained,
        files,
        trained.region.shown_name,
        simulated=trained.region.simulated is not None,
    )


def open_run_folder(run_or_bundle: Path) -> tuple[Path, Bundle]:
    """Return the folder of a training run and its bundle, from either's path.

    Raises
    ------
    OutputError
        If it is neither, or the run's settings are not there.
    BundleError
        If the bundle cannot be read.
    """
    path = run_or_bundle.expanduser().absolute()
    bundle = path if (path / BUNDLE_JSON).is_file() else path / BUNDLE_FOLDER
    if not (bundle / BUNDLE_JSON).is_file():
        raise OutputError(
            "is neither a bundle nor the folder of a training run",
            where=path,
            remedy="Give run=PATH of the folder that train wrote.",
        )
    if not (bundle.parent / SETTINGS_YAML).is_file():
        raise OutputError(
            f"has no {SETTINGS_YAML} beside it, so the region cannot be opened again",
            where=bundle,
            remedy="Keep the bundle in the folder of its training run.",
        )
    return bundle.parent, Bundle.load(bundle)


def run_settings(folder: Path, settings: ExplainSettings) -> TrainSettings:
    """Return the settings of a training run, with this command's folders and threads."""
    values = read_settings(folder / SETTINGS_YAML)
    values |= {"output_dir": str(settings.output_dir)}
    values |= {"compute": settings.compute.model_dump(mode="json")}
    if settings.data_dir is not None:
        values |= {"data_dir": str(settings.data_dir)}
    return validate(TrainSettings, values, prefix=str(folder / SETTINGS_YAML))


# ------------------------------------------------------------------ which cells


def parse_cell(cell_id: str, grid: SurveyGrid) -> tuple[int, int]:
    """Return row and column of a cell by its INSPIRE code.

    Raises
    ------
    SettingsError
        If it is no code, or of another grid, or outside the region.
    """
    found = _CELL_ID.fullmatch(cell_id.strip())
    example = grid.cell_ids(np.array([0]), np.array([0]))[0]
    if found is None:
        raise SettingsError(
            f"'{cell_id}' is no cell code", where="cells", remedy=f"A cell reads {example}."
        )
    crs, size_m, northing, easting = found[1], *map(int, found.groups()[1:])
    if crs != grid.crs.removeprefix("EPSG:") or size_m != grid.cell_size_m:
        raise SettingsError(
            f"{cell_id} is of another grid", where="cells", remedy=f"A cell here reads {example}."
        )
    rows, cols = grid.cells_of(np.array([easting + size_m / 2]), np.array([northing + size_m / 2]))
    row, col = int(rows[0]), int(cols[0])
    if not (0 <= row < grid.shape[0] and 0 <= col < grid.shape[1]):
        raise SettingsError(f"{cell_id} lies outside the region", where="cells")
    return row, col


def likeliest_cells(likelihood_tif: Path, n_cells: int, block_cells: int) -> Cells:
    """Return the cells of a map with the highest likelihood, the highest first.

    Ties go to the northern, then the western cell. Memory is bounded by the block.

    Raises
    ------
    OutputError
        If there is no map, or nothing on it has a likelihood.
    """
    if not likelihood_tif.is_file():
        raise OutputError(
            "there is no such map", where=likelihood_tif, remedy="Name the cells: cells=[…]."
        )
    grid = grid_of(likelihood_tif)
    best = np.empty((0, 3))
    for block in grid.blocks(block_cells):
        values = read_block(likelihood_tif, block).astype(np.float64)
        row, col = np.nonzero(~np.isnan(values))
        first_row, first_col = block.offset_in(grid)
        more = np.column_stack([-values[row, col], row + first_row, col + first_col])
        best = np.concatenate([best, more])
        best = best[np.lexsort((best[:, 2], best[:, 1], best[:, 0]))][:n_cells]
    if not len(best):
        raise OutputError("no cell has a likelihood", where=likelihood_tif)
    return best[:, 1].astype(np.int64), best[:, 2].astype(np.int64)


def _chosen(grid: SurveyGrid, folder: Path, settings: ExplainSettings) -> Cells:
    if settings.cells:
        places = np.array([parse_cell(cell, grid) for cell in settings.cells], np.int64)
        return places[:, 0], places[:, 1]
    return likeliest_cells(folder / LIKELIHOOD_TIF, settings.top, settings.compute.block_cells)


# ------------------------------------------------------------------ their features


@dataclass(frozen=True)
class _Found:
    """Cells with their features, and what phrases need to know of their places."""

    grid: SurveyGrid
    cells: Cells
    matrix: Matrix
    specs: tuple[FeatureSpec, ...]
    places: list[Place]


def _cells_of_region(trained: TrainSettings, folder: Path, settings: ExplainSettings) -> _Found:
    if trained.region.table is not None:
        return _cells_of_table(trained, folder, settings)
    features = build_features(trained.features, trained.region.layers)
    with open_region(trained, features) as layers:
        row, col = _chosen(layers.grid, folder, settings)
        matrix = features.at_cells(row, col, layers, settings.compute.block_cells)
        if features.history_specs:
            records = read_records(trained.region, data_dir_of(trained))
            easting, northing = layers.grid.centres(row, col)
            history = features.history_at(easting, northing, layers.grid.cell_size_m, records)
            matrix = np.hstack([matrix, history.T])
        places = _places(features, layers, row, col)
        return _Found(layers.grid, (row, col), np.ascontiguousarray(matrix), features.specs, places)


def _cells_of_table(trained: TrainSettings, folder: Path, settings: ExplainSettings) -> _Found:
    source = trained.region.table
    assert source is not None
    table = read_table(source, data_dir_of(trained))
    grid = region_grid(trained.region, data_dir_of(trained))
    row, col = _chosen(grid, folder, settings)
    finder = RowFinder(table, grid.crs)
    index = np.array(
        [finder.rows_of(grid.part(r, c, 1, 1))[0, 0] for r, c in zip(row, col, strict=True)]
    )
    if (index < 0).any():
        lost = grid.cell_ids(row[index < 0][:1], col[index < 0][:1])[0]
        raise SettingsError(f"{lost} lies in no row of the table", where="cells")
    specs = tuple(
        FeatureSpec(name, unit, source.path, "table", f"Column {name}.", source.as_of)
        for name, unit in zip(table.names, table.units, strict=True)
    )
    return _Found(grid, (row, col), table.features[index], specs, [Place()] * len(row))


def _places(
    features: FeatureSet, layers: LayerReader, row: NDArray[np.int64], col: NDArray[np.int64]
) -> list[Place]:
    families: list[FeatureFamily[Any] | HistoryFamily[Any]] = [
        *features.families,
        *features.histories,
    ]
    caps_m = {
        spec.name: float(family.settings.cap_m)
        for family in families
        if hasattr(family.settings, "cap_m")
        for spec in family.specs
        if spec.name.endswith("distance_m")
    }
    periods: dict[str, NDArray[np.object_]] = {}
    for family in features.families:
        if family.name == "front_lines":
            layer = family.settings.layer
            reach_m = family.halo_m
            west, south, east, north = layers.grid.bounds
            lines = layers.vectors(
                layer, (west - reach_m, south - reach_m, east + reach_m, north + reach_m)
            )
            periods[layer] = nearest_periods(lines, *layers.grid.centres(row, col))
    return [
        Place(caps_m, {layer: str(words[cell]) for layer, words in periods.items()})
        for cell in range(len(row))
    ]


def nearest_periods(
    lines: gpd.GeoDataFrame, easting: NDArray[np.float64], northing: NDArray[np.float64]
) -> NDArray[np.object_]:
    """Return the period of the line nearest to each point, ``"1994–2020"``; ``""`` if undated."""
    words = np.full(len(easting), "", dtype=object)
    if not len(lines) or not {"start", "end"} <= set(lines.columns):
        return words
    tree = shapely.STRtree(lines.geometry.to_numpy())
    nearest = np.atleast_1d(tree.nearest(shapely.points(easting, northing)))
    for cell, line in enumerate(nearest):
        start, end = lines["start"].iloc[line], lines["end"].iloc[line]
        if not (pd.isna(start) or pd.isna(end)):
            first, last = pd.Timestamp(start).year, pd.Timestamp(end).year
            words[cell] = f"{first}–{last}" if first != last else f"{first}"
    return words


# ------------------------------------------------------------------ put together


def _explained(
    found: _Found, scored: ScoredCells, why: list[list[Reason]], folder: Path
) -> list[ExplainedCell]:
    row, col = found.cells
    easting, northing = found.grid.centres(row, col)
    ids = found.grid.cell_ids(row, col)
    status_tif = folder / STATUS_TIF
    return [
        ExplainedCell(
            str(ids[cell]),
            float(easting[cell]),
            float(northing[cell]),
            _number(scored.likelihood[cell]),
            _status(status_tif, found.grid.part(int(row[cell]), int(col[cell]), 1, 1)),
            bool(scored.outside_domain[cell] == OUTSIDE_DOMAIN),
            _number(scored.dissimilarity[cell]),
            [
                (phrase(found.specs[one.feature], one.value, found.places[cell]), one.effect)
                for one in why[cell]
            ],
        )
        for cell in range(len(row))
    ]


def _number(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)


def _status(status_tif: Path, cell: SurveyGrid) -> str:
    if not status_tif.is_file():
        return ""
    return _STATUS_WORDS.get(int(read_block(status_tif, cell)[0, 0]), "outside the area")
