"""Tables of a scored region: by district, and the cells of the highest likelihood."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import grid_of, read_block, read_values
from hazardrank.records import OUTCOME_CODES, Outcome
from hazardrank.scoring.cells import OUTSIDE_DOMAIN
from hazardrank.scoring.map_files import STATUS_NODATA

DISTRICTS_CSV = "districts.csv"
RANKED_PARQUET = "ranked_cells.parquet"
WHOLE_REGION = "whole region"
NO_DISTRICT = "in no district"

#: Side of the blocks in which finished maps are read.
READ_CELLS = 1024

_M2_PER_KM2 = 1e6


@dataclass(frozen=True)
class ScoredMaps:
    """Finished maps of a scoring, as paths that GDAL opens.

    Parameters
    ----------
    likelihood, status : str
        Contamination likelihood and survey status.
    low, high, outside_domain : str or None
        Interval and domain, where the bundle has them.
    """

    likelihood: str
    status: str
    low: str | None = None
    high: str | None = None
    outside_domain: str | None = None

    @property
    def grid(self) -> SurveyGrid:
        """The grid of the maps."""
        return grid_of(Path(self.likelihood))

    def blocks(self) -> Iterator[SurveyGrid]:
        """Yield the blocks in which the maps are read."""
        yield from self.grid.blocks(READ_CELLS)

    def read(self, block: SurveyGrid) -> ScoredBlock:
        """Read all maps of a block."""
        domain = self.outside_domain

        def values(path: str | None) -> NDArray[np.float32] | None:
            return None if path is None else read_values(Path(path), block)

        likelihood = values(self.likelihood)
        assert likelihood is not None
        return ScoredBlock(
            likelihood,
            read_block(Path(self.status), block),
            values(self.low),
            values(self.high),
            None if domain is None else read_block(Path(domain), block) == OUTSIDE_DOMAIN,
        )


@dataclass(frozen=True)
class ScoredBlock:
    """Maps of a block, each of shape (rows, cols); likelihoods NaN where there is none."""

    likelihood: NDArray[np.float32]
    status: NDArray[np.int8]
    low: NDArray[np.float32] | None
    high: NDArray[np.float32] | None
    outside_domain: NDArray[np.bool_] | None


# --------------------------------------------------------------------------- districts


def district_table(
    maps: ScoredMaps, districts: gpd.GeoDataFrame | None, on_block: Callable[[int], None]
) -> pd.DataFrame:
    """Return one row a district: what is known there, and what is expected.

    A cell belongs to the district that its centre lies in, the last in the file where
    districts overlap. Where no cell has a likelihood, what is expected is missing, not zero.

    Parameters
    ----------
    maps : ScoredMaps
        The maps.
    districts : GeoDataFrame or None
        Polygons with a column ``name``; ``None``: one row for the whole region.
    on_block : callable
        Called with 1 after each block.

    Returns
    -------
    DataFrame
        ``district``; ``cells``, ``area_km2``; ``scored_share``, ``outside_domain_share``,
        ``unsurveyed_share`` of the cells; ``contaminated_cells``, ``released_cells`` as
        recorded; ``likelihood_mean``, ``likelihood_max``; ``expected_km2``, the sum of the
        likelihoods as an area, and ``expected_low_km2``, ``expected_high_km2`` from the sums of
        the intervals' ends.
    """
    names = _names(districts)
    sums = {name: np.zeros(len(names)) for name in (*_COUNTS, "likelihood", "low", "high")}
    largest = np.full(len(names), -np.inf)
    for block in maps.blocks():
        read = maps.read(block)
        number = _district_of(block, districts, len(names) - 1)
        area = read.status != STATUS_NODATA
        if area.any():
            _add(sums, largest, number[area], _in_area(read, area), len(names))
        on_block(1)
    return _district_rows(names, sums, largest, maps)


_COUNTS = ("cells", "scored", "outside", "unsurveyed", "contaminated", "released")


def _in_area(read: ScoredBlock, area: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    likelihood, status = read.likelihood[area], read.status[area]
    found = {
        "cells": np.ones(len(status)),
        "scored": ~np.isnan(likelihood),
        "unsurveyed": status == OUTCOME_CODES[Outcome.UNSURVEYED],
        "contaminated": status == OUTCOME_CODES[Outcome.CONTAMINATED],
        "released": status == OUTCOME_CODES[Outcome.RELEASED],
        "likelihood": likelihood,
    }
    for name, values in (("low", read.low), ("high", read.high), ("outside", read.outside_domain)):
        if values is not None:
            found[name] = values[area]
    return found


def _add(
    sums: dict[str, NDArray[np.float64]],
    largest: NDArray[np.float64],
    number: NDArray[np.intp],
    values: dict[str, NDArray[Any]],
    n_names: int,
) -> None:
    for name, one in values.items():
        weights = np.nan_to_num(one.astype(np.float64))
        sums[name] += np.bincount(number, weights=weights, minlength=n_names)
    known = ~np.isnan(values["likelihood"])
    np.maximum.at(largest, number[known], values["likelihood"][known])


def _district_rows(
    names: list[str],
    sums: dict[str, NDArray[np.float64]],
    largest: NDArray[np.float64],
    maps: ScoredMaps,
) -> pd.DataFrame:
    cells, scored = sums["cells"], sums["scored"]
    cell_km2 = maps.grid.cell_area_m2 / _M2_PER_KM2
    some = np.where(scored > 0, scored, np.nan)
    table = pd.DataFrame(
        {
            "district": names,
            "cells": cells.astype(np.int64),
            "area_km2": cells * cell_km2,
            "scored_share": scored / np.where(cells > 0, cells, np.nan),
            "outside_domain_share": sums["outside"] / np.where(cells > 0, cells, np.nan),
            "unsurveyed_share": sums["unsurveyed"] / np.where(cells > 0, cells, np.nan),
            "contaminated_cells": sums["contaminated"].astype(np.int64),
            "released_cells": sums["released"].astype(np.int64),
            "likelihood_mean": sums["likelihood"] / some,
            "likelihood_max": np.where(scored > 0, largest, np.nan),
            "expected_km2": np.where(scored > 0, sums["likelihood"] * cell_km2, np.nan),
        }
    )
    if maps.outside_domain is None:
        table = table.drop(columns="outside_domain_share")
    if maps.low is not None and maps.high is not None:
        for end in ("low", "high"):
            table[f"expected_{end}_km2"] = np.where(scored > 0, sums[end] * cell_km2, np.nan)
    kept: pd.DataFrame = table[table["cells"] > 0].reset_index(drop=True)
    return kept


def _names(districts: gpd.GeoDataFrame | None) -> list[str]:
    """Return the districts' names, and last the name of what lies in none."""
    if districts is None:
        return [WHOLE_REGION]
    if "name" in districts:
        return [*districts["name"].astype(str), NO_DISTRICT]
    return [*(f"district {k}" for k in range(len(districts))), NO_DISTRICT]


def _district_of(
    block: SurveyGrid, districts: gpd.GeoDataFrame | None, none: int
) -> NDArray[np.intp]:
    """Return the number of each cell's district, shape (rows, cols)."""
    number = np.full(block.shape, none, np.int32)
    if districts is not None:
        shapes = districts.geometry.to_numpy()
        near = np.flatnonzero(shapely.intersects(shapes, shapely.box(*block.bounds)))
        if len(near):
            pairs = [(shapes[k], int(k)) for k in near]
            rasterize(pairs, out=number, transform=block.transform)
    return number.astype(np.intp)


# ------------------------------------------------------------------------ ranked cells


def ranked_cells(
    maps: ScoredMaps, n_cells: int, on_block: Callable[[int], None]
) -> gpd.GeoDataFrame:
    """Return the cells of the highest likelihood, the highest first.

    Cells without a likelihood (outside the model's domain among them) have no rank and are
    not in the table. Cells of equal likelihood share a rank; they stand from north to south
    and from west to east.

    Parameters
    ----------
    maps : ScoredMaps
        The maps.
    n_cells : int
        Cells wanted; memory grows with it.
    on_block : callable
        Called with 1 after each block.

    Returns
    -------
    GeoDataFrame
        ``cell_id``, ``rank`` (1 is the highest), ``likelihood``, ``likelihood_low`` and
        ``likelihood_high`` where there is an interval, ``outside_domain``, ``survey_status``;
        the cells' squares.
    """
    grid = maps.grid
    best = np.empty(0, _RANKED)
    for block in maps.blocks():
        best = _highest(
            np.concatenate([best, _candidates(maps, block, grid, best, n_cells)]), n_cells
        )
        on_block(1)
    return _ranked_rows(best, grid, maps)


_RANKED = np.dtype(
    [
        ("likelihood", "f4"),
        ("row", "i8"),
        ("col", "i8"),
        ("low", "f4"),
        ("high", "f4"),
        ("outside_domain", "?"),
        ("survey_status", "i1"),
    ]
)


def _candidates(
    maps: ScoredMaps, block: SurveyGrid, grid: SurveyGrid, best: NDArray[Any], n_cells: int
) -> NDArray[Any]:
    """Return the cells of a block that may still be among the highest."""
    read = maps.read(block)
    least = best["likelihood"][-1] if len(best) == n_cells else -np.inf
    row, col = np.nonzero(read.likelihood >= least)
    found = np.zeros(len(row), _RANKED)
    first_row, first_col = block.offset_in(grid)
    found["row"], found["col"] = row + first_row, col + first_col
    found["likelihood"] = read.likelihood[row, col]
    found["survey_status"] = read.status[row, col]
    for name in ("low", "high", "outside_domain"):
        values = getattr(read, name)
        if values is not None:
            found[name] = values[row, col]
    return found


def _highest(cells: NDArray[Any], n_cells: int) -> NDArray[Any]:
    order = np.lexsort((cells["col"], cells["row"], -cells["likelihood"]))
    return cells[order[:n_cells]]


def _ranked_rows(best: NDArray[Any], grid: SurveyGrid, maps: ScoredMaps) -> gpd.GeoDataFrame:
    easting, northing = grid.centres(best["row"], best["col"])
    half_m = grid.cell_size_m / 2
    columns: dict[str, Any] = {
        "cell_id": grid.cell_ids(best["row"], best["col"]),
        "rank": pd.Series(-best["likelihood"]).rank(method="min").astype(np.int64).to_numpy(),
        "likelihood": best["likelihood"],
    }
    if maps.low is not None:
        columns["likelihood_low"] = best["low"]
    if maps.high is not None:
        columns["likelihood_high"] = best["high"]
    if maps.outside_domain is not None:
        columns["outside_domain"] = best["outside_domain"]
    columns["survey_status"] = best["survey_status"]
    squares = shapely.box(easting - half_m, northing - half_m, easting + half_m, northing + half_m)
    return gpd.GeoDataFrame(columns, geometry=squares, crs=grid.crs)


def as_parquet(table: gpd.GeoDataFrame) -> bytes:
    """Return a table as GeoParquet."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def as_csv(table: pd.DataFrame) -> bytes:
    """Return a table as CSV, figures to six significant digits."""
    text: str = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text.encode()
