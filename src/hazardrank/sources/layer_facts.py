"""What a layer's file says of itself: CRS, datum, resolution. Kept with a model, compared later."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS
from pyproj.exceptions import ProjError
from pyproj.transformer import AreaOfInterest, TransformerGroup

from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings, RegionSettings
from hazardrank.sources.geometries import reproject_bounds
from hazardrank.sources.paths import must_exist
from hazardrank.sources.raster_facts import RasterFacts
from hazardrank.sources.region import region_grid
from hazardrank.sources.vector_files import VectorFile


def layer_facts(
    region: RegionSettings,
    data_dir: Path,
    keys: Iterable[str],
    grid: SurveyGrid | None = None,
) -> dict[str, Any]:
    """Return what is known of some layers of a region, as plain values.

    Parameters
    ----------
    region : RegionSettings
        The region.
    data_dir : Path
        Folder that its paths start from.
    keys : iterable of str
        Keys of its catalogue.
    grid : SurveyGrid, optional
        The region's survey grid, where the caller has it.

    Returns
    -------
    dict of str to dict
        Key → ``kind``, ``unit``, ``classes``, ``role``, ``as_of``, ``resampling``, ``where``
        (which features are kept), ``crs``, ``datum`` and, for rasters, ``resolution_m``: the
        side of a pixel in the middle of the region.

    Raises
    ------
    LayerError
        If a file is missing or cannot be read.
    """
    grid = region_grid(region, data_dir) if grid is None else grid
    return {key: _facts(key, region.layers[key], data_dir, grid) for key in keys}


def _facts(key: str, layer: LayerSettings, data_dir: Path, grid: SurveyGrid) -> dict[str, Any]:
    where = f"region.layers.{key}"
    path = must_exist(layer.path, data_dir, where, layer.source)
    resolution_m = None
    if layer.is_raster:
        raster = RasterFacts.of(path, layer, key)
        crs, resolution_m = raster.crs, round(raster.pixel_m(grid), 3)
    else:
        crs = VectorFile.open(path, layer.layer, where, layer.crs).crs
    return {
        "kind": layer.kind,
        "unit": layer.unit,
        "classes": {str(code): name for code, name in sorted(layer.classes.items())},
        "role": layer.role.value,
        "as_of": None if layer.as_of is None else layer.as_of.isoformat(),
        "resampling": layer.resampling,
        "where": {column: list(values) for column, values in sorted(layer.where.items())},
        "crs": _short(crs),
        "datum": datum_of(crs),
        "resolution_m": resolution_m,
    }


def datum_of(crs: str) -> str:
    """Return the name of a CRS's datum; one of a datum ensemble and of its usual member."""
    known = CRS.from_user_input(crs)
    datum = known.datum
    return "unknown" if datum is None else str(datum.name).removesuffix(" ensemble")


def accuracy_m(from_crs: str, grid: SurveyGrid) -> float:
    """Return how exactly a layer's CRS can be brought to that of a grid, in metres.

    The accuracy that PROJ's database states of the best operation for the grid's area.

    Returns
    -------
    float
        0 on one datum; NaN where nothing is known, as where PROJ can but set one datum for the
        other; infinite where there is no way at all.
    """
    source, target = CRS.from_user_input(from_crs), CRS.from_user_input(grid.crs)
    try:
        if source.equals(target, ignore_axis_order=True):
            return 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of better ones, whose grids are not installed
            found = TransformerGroup(
                source, target, always_xy=True, area_of_interest=_area_of_use(grid)
            ).transformers
        middle = (grid.bounds[0] + grid.bounds[2]) / 2, (grid.bounds[1] + grid.bounds[3]) / 2
        place = found[0].transform(*middle, direction="INVERSE") if found else (math.inf,)
    except ProjError:
        return math.inf
    if not np.isfinite(place).all():
        return math.inf
    stated = float(found[0].accuracy)
    return stated if stated >= 0 else math.nan


def _area_of_use(grid: SurveyGrid) -> AreaOfInterest | None:
    lonlat = reproject_bounds(grid.bounds, grid.crs, "EPSG:4326")
    return None if lonlat is None else AreaOfInterest(*lonlat)


def _short(crs: str) -> str:
    """Return a CRS by its authority code where it has one."""
    found = CRS.from_user_input(crs).to_authority()
    return crs if found is None else ":".join(found)
