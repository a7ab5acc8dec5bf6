"""Scoring a ready feature table, and drawing its rows on a survey grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.spatial import KDTree

from hazardrank.errors import BundleError, OutputError
from hazardrank.grid import SurveyGrid
from hazardrank.model.bundle import Bundle
from hazardrank.scoring.cells import DOMAIN_NODATA, OUTSIDE_DOMAIN, ScoredCells, score_cells
from hazardrank.scoring.map_files import STATUS_NODATA
from hazardrank.scoring.maps import Maps, ScoreSummary
from hazardrank.settings import ComputeSettings
from hazardrank.sources.tables import FeatureTable

CELLS_FILE = "table_likelihood.parquet"

#: Coordinates are often rounded: a centre this share of half a spacing outside still counts.
_TOLERANCE = 1e-3


def score_table(
    bundle: Bundle,
    table: FeatureTable,
    grid: SurveyGrid,
    output_dir: Path,
    compute: ComputeSettings,
    tags: Mapping[str, str],
    map_dissimilarity: bool = True,
) -> ScoreSummary:
    """Score every row of a table and write the maps of its cells.

    A cell of the survey grid takes the row in whose square its centre lies: squares of the
    table's spacing around each row's coordinates, in the table's CRS. Nothing is
    interpolated; cells in no square are nodata.

    Parameters
    ----------
    bundle : Bundle
        The model.
    table : FeatureTable
        The rows; ``names`` must be the model's features in order.
    grid : SurveyGrid
        The grid of the maps.
    output_dir : Path
        Folder of the maps of :func:`~hazardrank.scoring.stream.score_region`, and of
        ``table_likelihood.parquet``: a GeoParquet of all rows with their likelihood.
    compute : ComputeSettings
        Block size and threads; no value depends on them.
    tags : mapping of str to str
        Provenance for the maps.
    map_dissimilarity : bool, optional
        Whether ``dissimilarity.tif`` is wanted.

    Returns
    -------
    ScoreSummary
        Its counts are of survey grid cells in some row's square.

    Raises
    ------
    BundleError
        If the table's features are not the ones the model learned.
    OutputError
        If a file cannot be written.
    """
    _check_names(bundle, table)
    finder = RowFinder(table, grid.crs)
    with Maps(output_dir, grid, bundle, tags, map_dissimilarity) as maps:
        with maps.timed("scoring"):
            cells = score_cells(bundle, table.features, compute.n_threads)
        for block in grid.blocks(compute.block_cells):
            row = finder.rows_of(block)
            status = np.where(row >= 0, table.outcome[row], np.int8(STATUS_NODATA))
            maps.write(block, cells, row, status)
        with maps.timed("writing"):
            _write_rows(Path(output_dir) / CELLS_FILE, table, cells)
    return maps.summary()


class RowFinder:
    """Finds the row of a table in whose lattice square a point lies.

    Parameters
    ----------
    table : FeatureTable
        The rows.
    crs : str
        CRS of the points to come.
    """

    def __init__(self, table: FeatureTable, crs: str) -> None:
        self._spacing = table.spacing
        self._tree = KDTree(np.column_stack([table.easting, table.northing]) / table.spacing)
        self._to_table = Transformer.from_crs(crs, table.crs, always_xy=True)

    def rows_of(self, block: SurveyGrid) -> NDArray[np.int64]:
        """Return the row of each cell's centre, shape (rows, cols); -1 where there is none."""
        easting, northing = np.meshgrid(block.eastings(), block.northings())
        across, along = self._to_table.transform(easting.ravel(), northing.ravel())
        points = np.column_stack([across, along]) / self._spacing
        found = np.full(len(points), -1, np.int64)
        there = np.isfinite(points).all(axis=1)
        reach = 0.5 * (1 + _TOLERANCE)
        _, nearest = self._tree.query(points[there], p=np.inf, distance_upper_bound=reach)
        found[there] = np.where(nearest == self._tree.n, -1, nearest)
        return found.reshape(block.shape)


def _check_names(bundle: Bundle, table: FeatureTable) -> None:
    if list(table.names) != bundle.names:
        missing = sorted(set(bundle.names) - set(table.names)) or "none"
        unexpected = sorted(set(table.names) - set(bundle.names)) or "none"
        raise BundleError(
            f"the table's features are not those of the model, or stand in another order: "
            f"missing {missing}, unexpected {unexpected}",
            remedy="Score a table with the columns the model was trained on.",
        )


def _write_rows(path: Path, table: FeatureTable, cells: ScoredCells) -> None:
    columns = {
        "easting": table.easting,
        "northing": table.northing,
        "outcome": table.outcome,
        "likelihood": cells.likelihood,
    }
    if (cells.outside_domain != DOMAIN_NODATA).any():
        columns["outside_domain"] = cells.outside_domain == OUTSIDE_DOMAIN
        columns["dissimilarity"] = cells.dissimilarity
    if table.group is not None:
        columns["group"] = table.group
    points = gpd.points_from_xy(table.easting, table.northing)
    rows = gpd.GeoDataFrame(pd.DataFrame(columns), geometry=points, crs=table.crs)
    partial = path.with_name(path.name + ".partial")
    try:
        rows.to_parquet(partial, index=False)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot be written ({error})", where=path) from error
