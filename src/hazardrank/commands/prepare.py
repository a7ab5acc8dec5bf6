"""From settings to a case: a region opened, checked, labelled and given features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from hazardrank.errors import FoldError, LabelError
from hazardrank.features.base import FeatureSpec
from hazardrank.features.feature_set import FeatureSet, build_features
from hazardrank.grid import SurveyGrid
from hazardrank.labels.cells import LabelledCells
from hazardrank.labels.collect import DistanceTo, LabelledRegion, label_region, sample_cells
from hazardrank.labels.outcomes import Labeller
from hazardrank.model.bundle import Bundle
from hazardrank.records import HazardRecords
from hazardrank.reporting.progress import Progress
from hazardrank.scoring.stream import ScoreSummary, score_region
from hazardrank.scoring.table import score_table
from hazardrank.settings import FoldSettings, RegionCommandSettings, RegionSettings
from hazardrank.simulate.district import district_folder, ensure_district, is_whole
from hazardrank.sources.hazard_records import read_records
from hazardrank.sources.layer_facts import layer_facts
from hazardrank.sources.layers import LayerReader
from hazardrank.sources.region import FileLayers, open_layers, region_grid
from hazardrank.sources.tables import FeatureTable, read_table
from hazardrank.sources.vectors import MARGIN_M
from hazardrank.validation.training_set import (
    LocationTest,
    Matrix,
    TrainingSet,
    known_before,
)

DistrictOf = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.object_]]
"""Easting and northing of points → name of the district each lies in, ``""`` for none."""

#: Cells of the area that stand for all of them where distances of prediction are measured.
MOST_POINTS = 2000
CACHE_FOLDER = ".hazardrank_cache"


@dataclass(frozen=True)
class Counts:
    """How many cells of the area are known to be what."""

    n_cells: int
    n_contaminated: int
    n_released: int
    n_unsurveyed: int


class Case(Protocol):
    """A region ready to learn from and to map."""

    @property
    def training(self) -> TrainingSet:
        """Labelled cells with their features."""

    @property
    def counts(self) -> Counts:
        """Cells of the area by what they are known to be."""

    @property
    def skipped(self) -> list[str]:
        """Feature families left out, with the reason."""

    @property
    def district_of(self) -> DistrictOf | None:
        """District of any point, where the folds name a layer of districts."""

    @property
    def prediction_points(self) -> NDArray[np.float64]:
        """Where the model will be asked: easting and northing of some cells of the area."""

    @property
    def origin(self) -> dict[str, dict[str, Any]]:
        """What a bundle keeps of the land it learned from: features, layers, land."""

    def area_sample(self, n_cells: int, progress: Progress) -> tuple[Matrix, NDArray[np.float64]]:
        """Layer features of cells drawn from the whole area, and their easting and northing."""

    def score(
        self, bundle: Bundle, output_dir: Path, tags: dict[str, str], progress: Progress
    ) -> ScoreSummary:
        """Write the likelihood and survey status maps of the whole region."""


def data_dir_of(settings: RegionCommandSettings) -> Path:
    """Return the folder that relative paths start from.

    ``data_dir`` where it is given, else the folder of the region file, else ``data``.
    """
    if settings.data_dir is not None:
        return settings.data_dir.expanduser().absolute()
    if settings.region_file is not None:
        return settings.region_file.absolute().parent
    return Path("data").absolute()


def make_simulated_data(settings: RegionCommandSettings, progress: Progress) -> None:
    """Write the simulated district of a simulated region, unless it is there already."""
    if settings.region.simulated is None:
        return
    folder = district_folder(settings.region, data_dir_of(settings))
    if not is_whole(settings.region.simulated, folder):
        with progress.stage("Simulating the district", None, "files"):
            ensure_district(settings.region.simulated, folder)


def prepare_case(settings: RegionCommandSettings, progress: Progress) -> LayerCase | TableCase:
    """Open the region and build its training set.

    Raises
    ------
    HazardRankError
        Whatever the layers, records, labels or features make impossible.
    """
    if settings.region.table is not None:
        return _table_case(settings)
    return _layer_case(settings, progress)


def land_facts(region: RegionSettings) -> dict[str, Any]:
    """Return what a bundle keeps of the region it learned from, as plain values."""
    as_of = region.records_as_of
    return {
        "region": region.name,
        "simulated": region.simulated is not None,
        "crs": region.crs,
        "cell_size_m": region.cell_size_m,
        "records_as_of": None if as_of is None else as_of.isoformat(),
    }


# ------------------------------------------------------------------ from layers


@dataclass(frozen=True)
class LayerCase:
    """A region of layers and records."""

    settings: RegionCommandSettings
    layers: FileLayers
    records: HazardRecords
    features: FeatureSet
    labeller: Labeller
    labelled: LabelledRegion
    training: TrainingSet
    district_of: DistrictOf | None

    @property
    def counts(self) -> Counts:
        """Cells of the area by what they are known to be."""
        region = self.labelled
        return Counts(region.n_cells, region.n_contaminated, region.n_released, region.n_unsurveyed)

    @property
    def skipped(self) -> list[str]:
        """Feature families and cells left out, with the reason."""
        region = self.labelled
        n_known = region.n_contaminated + region.n_released + region.n_background
        thinned = [
            f"learned from {len(region.cells):,} of {n_known:,} labelled cells (labels.max_cells)"
        ]
        return [*self.features.skipped, *(thinned if len(region.cells) < n_known else [])]

    @property
    def origin(self) -> dict[str, dict[str, Any]]:
        """What a bundle keeps: settings of the features, facts of their layers, the land."""
        families: list[Any] = [*self.features.families, *self.features.histories]
        keys = sorted({layer for family in self.features.families for layer in family.needs})
        region, data_dir = self.settings.region, data_dir_of(self.settings)
        return {
            "features": {one.key: one.settings.model_dump(mode="json") for one in families},
            "layers": layer_facts(region, data_dir, keys, self.layers.grid),
            "land": land_facts(self.settings.region),
        }

    @property
    def prediction_points(self) -> NDArray[np.float64]:
        """Cells of the area on an even lattice, about :data:`MOST_POINTS` of them."""
        return cells_on_a_lattice(self.layers.grid, self.layers.area)

    def area_sample(self, n_cells: int, progress: Progress) -> tuple[Matrix, NDArray[np.float64]]:
        """Return layer features of at most `n_cells` cells drawn from the area, and places.

        Every block that holds one of them is computed; memory grows with `n_cells` alone.
        """
        grid, block_cells = self.layers.grid, self.settings.compute.block_cells
        row, col = sample_cells(grid, self.layers.inside, n_cells, block_cells, self.settings.seed)
        with progress.stage("Computing features of the area", None, "blocks") as advance:
            matrix = self.features.at_cells(row, col, self.layers, block_cells, on_block=advance)
        return matrix, np.column_stack(grid.centres(row, col))

    def score(
        self, bundle: Bundle, output_dir: Path, tags: dict[str, str], progress: Progress
    ) -> ScoreSummary:
        """Write the maps through the block path that made the training features."""
        grid = self.layers.grid
        n_blocks = grid.n_blocks(self.settings.compute.block_cells)
        with progress.stage("Mapping the region", n_blocks, "blocks") as advance:
            return score_region(
                bundle,
                self.features,
                self.layers,
                self.records,
                self.labeller.status,
                output_dir,
                self.settings.compute,
                tags,
                on_block=advance,
                map_dissimilarity=self.settings.applicability.map_dissimilarity,
            )


def cells_on_a_lattice(
    grid: SurveyGrid, area: shapely.Geometry | None, most: int = MOST_POINTS
) -> NDArray[np.float64]:
    """Return centres of cells of the area, evenly spaced: where a model will be asked.

    Parameters
    ----------
    grid : SurveyGrid
        The region's grid.
    area : shapely geometry or None
        The area of interest; the whole grid when ``None``.
    most : int, optional
        About how many cells, more or fewer as the area's shape has it.

    Returns
    -------
    ndarray of float64, shape (n_points, 2)
        Easting and northing in metres.
    """
    share = (
        1.0 if area is None else min(1.0, shapely.area(area) / (grid.n_cells * grid.cell_area_m2))
    )
    step = max(1, round((grid.n_cells * max(share, 1e-4) / most) ** 0.5))
    row, col = np.meshgrid(
        np.arange(min(step // 2, grid.n_rows - 1), grid.n_rows, step),
        np.arange(min(step // 2, grid.n_cols - 1), grid.n_cols, step),
        indexing="ij",
    )
    points = np.column_stack(grid.centres(row.ravel(), col.ravel()))
    if area is None:
        return points
    shapely.prepare(area)
    inside = points[shapely.intersects_xy(area, points[:, 0], points[:, 1])]
    return inside if len(inside) else points


def open_region(settings: RegionCommandSettings, features: FeatureSet | None = None) -> FileLayers:
    """Open the region's layers, with a margin as wide as the widest feature reaches.

    Vectors are prepared once, in ``.hazardrank_cache`` under the working folder.
    """
    reach_m = 0.0 if features is None else max((f.halo_m for f in features.families), default=0.0)
    return open_layers(
        settings.region,
        data_dir_of(settings),
        Path(CACHE_FOLDER).absolute(),
        margin_m=max(MARGIN_M, reach_m + 1000.0),
    )


def label_layers(
    settings: RegionCommandSettings, layers: FileLayers, records: HazardRecords, progress: Progress
) -> tuple[Labeller, LabelledRegion]:
    """Derive what each cell of the region is known to be."""
    labeller = Labeller(records, settings.labels, settings.region.records_as_of)
    with progress.stage("Labelling cells", None, "blocks") as advance:
        labelled = label_region(
            layers.grid,
            layers.inside,
            labeller,
            settings.labels,
            settings.compute.block_cells,
            settings.seed,
            on_block=advance,
            match_distance=_match_distance(settings, layers),
        )
    return labeller, labelled


def _match_distance(settings: RegionCommandSettings, layers: FileLayers) -> DistanceTo | None:
    """Return the distance to the layer that background is matched on, where there is one."""
    background = settings.labels.background
    if background is None or background.sampling != "propensity_matched":
        return None
    key = str(background.match_layer)
    found = layers.catalogue.get(key)
    if found is None or found.is_raster:
        raise LabelError(
            f"there is no vector layer '{key}' in the region's catalogue",
            where="labels.background.match_layer",
            remedy=f"Layers: {', '.join(sorted(layers.catalogue))}.",
        )
    tree = shapely.STRtree(np.asarray(layers.vectors(key, layers.grid.bounds).geometry.array))
    if len(tree) == 0:
        raise LabelError(f"layer '{key}' is empty", where="labels.background.match_layer")

    def distance_m(
        easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        points = shapely.points(easting, northing)
        found = tree.query_nearest(points, all_matches=False, return_distance=True)
        return np.asarray(found[1], np.float64)

    return distance_m


def _layer_case(settings: RegionCommandSettings, progress: Progress) -> LayerCase:
    features = build_features(settings.features, settings.region.layers)
    layers = open_region(settings, features)
    records = read_records(settings.region, data_dir_of(settings))
    labeller, labelled = label_layers(settings, layers, records, progress)
    district_of = _districts(settings.validation.folds, layers)
    training = _training_set(settings, layers, features, records, labelled, district_of, progress)
    return LayerCase(settings, layers, records, features, labeller, labelled, training, district_of)


def _training_set(
    settings: RegionCommandSettings,
    layers: FileLayers,
    features: FeatureSet,
    records: HazardRecords,
    labelled: LabelledRegion,
    district_of: DistrictOf | None,
    progress: Progress,
) -> TrainingSet:
    cells = labelled.cells
    labelled.require_learnable()
    with progress.stage("Computing features", None, "blocks") as advance:
        layer_features = features.at_cells(
            cells.row,
            cells.col,
            layers,
            settings.compute.block_cells,
            on_block=advance,
        )

    def history(hazards: NDArray[np.int64], land: LocationTest | None) -> Matrix:
        known = records.without(hazards, land)
        if (day := known_before(land)) is not None:
            known = known.known_before(day)
        values = features.history_at(cells.easting, cells.northing, layers.grid.cell_size_m, known)
        return np.ascontiguousarray(values.T)

    return TrainingSet(
        cells,
        features.specs,
        layer_features,
        history if features.history_specs else None,
        None if district_of is None else district_of(cells.easting, cells.northing),
    )


def _districts(folds: FoldSettings, layers: LayerReader) -> DistrictOf | None:
    """Return the district of any point, from the polygon layer the folds name."""
    if folds.layer is None:
        if folds.method == "groups":
            raise FoldError(
                "folds by group need the polygon layer of the districts",
                where="validation.folds.layer",
                remedy="Name a polygons layer of the region's catalogue.",
            )
        return None
    if folds.layer not in layers.catalogue:
        raise FoldError(
            f"there is no layer '{folds.layer}' in the region's catalogue",
            where="validation.folds.layer",
            remedy=f"Layers: {', '.join(sorted(layers.catalogue))}.",
        )
    polygons = layers.vectors(folds.layer, layers.grid.bounds)
    if "name" in polygons:
        names = polygons["name"].astype(str)
    else:
        names = pd.Series([f"district {k}" for k in range(len(polygons))])
    return _PolygonNames(polygons.geometry.reset_index(drop=True), names.to_numpy(dtype=object))


@dataclass(frozen=True)
class _PolygonNames:
    """Names of the polygons that points lie in; the first in file order where they overlap."""

    polygons: gpd.GeoSeries
    names: NDArray[np.object_]

    def __call__(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.object_]:
        points = gpd.points_from_xy(easting, northing)
        point, polygon = self.polygons.sindex.query(points, predicate="intersects")
        order = np.lexsort((polygon, point))[::-1]
        name = np.full(len(points), "", dtype=object)
        name[point[order]] = self.names[polygon[order]]
        return name


# -------------------------------------------------------------- from a table


@dataclass(frozen=True)
class TableCase:
    """A region given as a ready table of cells."""

    settings: RegionCommandSettings
    grid: SurveyGrid
    table: FeatureTable
    training: TrainingSet
    district_of: DistrictOf | None = None

    @property
    def counts(self) -> Counts:
        """Rows of the table by what they are known to be."""
        outcome = self.table.outcome
        return Counts(
            len(outcome),
            int((outcome == 1).sum()),
            int((outcome == 0).sum()),
            int((outcome == -1).sum()),
        )

    @property
    def skipped(self) -> list[str]:
        """Nothing is skipped: the table's columns are the features."""
        return []

    @property
    def origin(self) -> dict[str, dict[str, Any]]:
        """What a bundle keeps: a table's features are its columns, without settings."""
        return {"features": {}, "layers": {}, "land": land_facts(self.settings.region)}

    @property
    def prediction_points(self) -> NDArray[np.float64]:
        """Rows of the table at even steps, at most :data:`MOST_POINTS`."""
        n_rows = len(self.table.outcome)
        steps = np.linspace(0, n_rows - 1, min(n_rows, MOST_POINTS)).round().astype(np.int64)
        source = self.settings.region.table
        assert source is not None
        row, col = _positions(self.grid, self.table, steps, source.crs)
        return np.column_stack(self.grid.centres(row, col))

    def area_sample(self, n_cells: int, progress: Progress) -> tuple[Matrix, NDArray[np.float64]]:
        """Return features of at most `n_cells` rows drawn from the table, and their places."""
        n_rows = len(self.table.outcome)
        rng = np.random.default_rng([self.settings.seed, 53])
        rows = np.sort(rng.choice(n_rows, min(n_cells, n_rows), replace=False))
        source = self.settings.region.table
        assert source is not None
        row, col = _positions(self.grid, self.table, rows, source.crs)
        return self.table.features[rows], np.column_stack(self.grid.centres(row, col))

    def score(
        self, bundle: Bundle, output_dir: Path, tags: dict[str, str], progress: Progress
    ) -> ScoreSummary:
        """Score every row and draw the rows on the survey grid."""
        with progress.stage("Mapping the table", None, "cells"):
            return score_table(
                bundle,
                self.table,
                self.grid,
                output_dir,
                self.settings.compute,
                tags,
                self.settings.applicability.map_dissimilarity,
            )


def _table_case(settings: RegionCommandSettings) -> TableCase:
    source = settings.region.table
    assert source is not None
    data_dir = data_dir_of(settings)
    table = read_table(source, data_dir)
    grid = region_grid(settings.region, data_dir)
    known = np.flatnonzero(table.outcome >= 0)
    outcome = table.outcome[known]
    if outcome.min(initial=1) == outcome.max(initial=0):
        raise LabelError("the table's known cells all have one outcome", where=source.path)
    row, col = _positions(grid, table, known, source.crs)
    n_known = len(known)
    cells = LabelledCells(
        grid=grid,
        row=row,
        col=col,
        outcome=outcome,
        weight=np.ones(n_known, np.float32),
        hazard_id=np.full(n_known, -1, np.int64),
        decided=np.full(n_known, np.datetime64("NaT"), "datetime64[D]"),
        rule=np.zeros(n_known, np.int16),
        historical=np.zeros(n_known, bool),
    )
    specs = tuple(
        FeatureSpec(name, unit, source.path, "table", description, source.as_of)
        for name, unit, description in zip(
            table.names, table.units, table.descriptions, strict=True
        )
    )
    groups = None if table.group is None else table.group[known]
    return TableCase(
        settings, grid, table, TrainingSet(cells, specs, table.features[known], None, groups)
    )


def _positions(
    grid: SurveyGrid, table: FeatureTable, known: NDArray[np.int64], crs: str
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    points = gpd.GeoSeries(
        gpd.points_from_xy(table.easting[known], table.northing[known]), crs=crs
    ).to_crs(grid.crs)
    row, col = grid.cells_of(points.x.to_numpy(), points.y.to_numpy())
    return row.astype(np.int32), col.astype(np.int32)
