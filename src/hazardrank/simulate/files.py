"""Writing GeoTIFF, GeoPackage and CSV so that equal content gives equal bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import from_origin

from hazardrank.grid import SurveyGrid

NOTICE = "SIMULATED - a made-up district for checking software; not a real place"

#: GeoPackage stores the time of writing; this one is written instead.
FIXED_TIME = "2025-01-01T00:00:00.000Z"

TRUTH_PARTS = 5
"""Each cell of the truth raster is measured by 5 × 5 points."""


@contextmanager
def fixed_time() -> Iterator[None]:
    """Let GDAL write :data:`FIXED_TIME` instead of the time of writing."""
    before = os.environ.get("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": FIXED_TIME})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def write_vectors(path: Path, features: gpd.GeoDataFrame) -> None:
    """Write a GeoPackage whose one layer is called like the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with fixed_time():
        pyogrio.write_dataframe(
            features, path, layer=path.stem, driver="GPKG", layer_options={"DESCRIPTION": NOTICE}
        )


def write_csv(path: Path, points: gpd.GeoDataFrame) -> None:
    """Write points as CSV with longitude and latitude in degrees (WGS 84), dates ISO 8601."""
    degrees = points.to_crs("EPSG:4326").geometry
    plain = points.drop(columns="geometry").assign(
        longitude=degrees.x.round(6), latitude=degrees.y.round(6)
    )
    plain.to_csv(path, index=False, date_format="%Y-%m-%d", lineterminator="\n")


def write_raster(
    path: Path,
    grid: SurveyGrid,
    values: NDArray[np.generic],
    nodata: float,
    unit: str,
    description: str,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a tiled, compressed GeoTIFF on `grid`.

    Parameters
    ----------
    path : Path
        File to write.
    grid : SurveyGrid
        Where the values lie.
    values : ndarray, shape of `grid`
        Values; their dtype is the file's.
    nodata : float
        Value that means missing.
    unit, description : str
        Written into the band.
    tags : mapping, optional
        Further tags of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tile = {"tiled": True, "blockxsize": 256, "blockysize": 256} if min(grid.shape) > 256 else {}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype=values.dtype,
        count=1,
        height=grid.n_rows,
        width=grid.n_cols,
        crs=grid.crs,
        transform=grid.transform,
        nodata=nodata,
        compress="deflate",
        predictor=3 if values.dtype.kind == "f" else 2,
        **tile,
    ) as raster:
        raster.write(values, 1)
        raster.set_band_description(1, description)
        raster.set_band_unit(1, unit)
        raster.update_tags(notice=NOTICE, **(tags or {}))


def covered_share(
    grid: SurveyGrid, polygons: NDArray[np.object_], block_cells: int = 512
) -> NDArray[np.float32]:
    """Return the share of each cell that polygons cover, shape of `grid`, in steps of 1/25."""
    share = np.zeros(grid.shape, np.float32)
    tree = shapely.STRtree(polygons)
    step_m = grid.cell_size_m / TRUTH_PARTS
    for block in grid.blocks(block_cells):
        row, col = block.offset_in(grid)
        touched = polygons[np.sort(tree.query(shapely.box(*block.bounds)))]
        if not len(touched):
            continue
        fine = rasterize(
            touched,
            out_shape=(block.n_rows * TRUTH_PARTS, block.n_cols * TRUTH_PARTS),
            transform=from_origin(block.west_m, block.north_m, step_m, step_m),
            dtype="uint8",
        ).reshape(block.n_rows, TRUTH_PARTS, block.n_cols, TRUTH_PARTS)
        share[row : row + block.n_rows, col : col + block.n_cols] = fine.mean(
            axis=(1, 3), dtype=np.float32
        )
    return share
