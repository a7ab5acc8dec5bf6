"""Likelihood maps on disk for the tests of priorities."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np

from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import BlockRasterWriter
from hazardrank.records import HazardArea, HazardRecords, columns_of
from hazardrank.scoring.map_files import DOMAIN_TIF, LIKELIHOOD_TIF, STATUS_TIF
from tests.priority.cases import CRS

KINDS = {
    LIKELIHOOD_TIF: ("float32", np.nan),
    "likelihood_low.tif": ("float32", np.nan),
    "likelihood_high.tif": ("float32", np.nan),
    DOMAIN_TIF: ("uint8", 255),
    STATUS_TIF: ("int8", -128),
}


def write_maps(folder: Path, grid: SurveyGrid, **maps) -> Path:
    """Write maps named by their file without ``.tif``."""
    folder.mkdir(exist_ok=True)
    for name, values in maps.items():
        dtype, nodata = KINDS[f"{name}.tif"]
        path = folder / f"{name}.tif"
        with BlockRasterWriter(
            path, grid, dtype, nodata, [name], ["1"], {"run_digest": "r"}
        ) as out:
            out.write(grid, np.asarray(values).astype(dtype))
    return folder


def areas_of(shapes, kind=None, status=None) -> HazardRecords:
    n = len(shapes)
    data = {name: [None] * n for name in columns_of(HazardArea)}
    data["record_id"] = [f"HA-{k}" for k in range(n)]
    data["kind"] = kind or ["SHA"] * n
    data["status"] = status or ["open"] * n
    return HazardRecords(CRS, hazard_areas=gpd.GeoDataFrame(data, geometry=list(shapes), crs=CRS))
