"""What a layer's file says of itself: CRS, datum, resolution. Kept with a model, compared later."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyogrio
import rasterio
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.errors import RasterioIOError

from hazardrank.errors import LayerError
from hazardrank.settings import LayerSettings, RegionSettings
from hazardrank.sources.paths import must_exist

_M_PER_DEGREE = 111_320.0


def layer_facts(region: RegionSettings, data_dir: Path, keys: Iterable[str]) -> dict[str, Any]:
    """Return what is known of some layers of a region, as plain values.

    Parameters
    ----------
    region : RegionSettings
        The region.
    data_dir : Path
        Folder that its paths start from.
    keys : iterable of str
        Keys of its catalogue.

    Returns
    -------
    dict of str to dict
        Key → ``kind``, ``unit``, ``classes``, ``role``, ``as_of``, ``crs``, ``datum`` and, for
        rasters, ``resolution_m``: the side of a cell, across and along averaged.

    Raises
    ------
    LayerError
        If a file is missing or cannot be read.
    """
    return {key: _facts(key, region.layers[key], data_dir) for key in keys}


def _facts(key: str, layer: LayerSettings, data_dir: Path) -> dict[str, Any]:
    where = f"region.layers.{key}"
    path = must_exist(layer.path, data_dir, where, layer.source)
    crs, resolution_m = (_raster if layer.is_raster else _vector)(path, layer, where)
    return {
        "kind": layer.kind,
        "unit": layer.unit,
        "classes": {str(code): name for code, name in sorted(layer.classes.items())},
        "role": layer.role.value,
        "as_of": None if layer.as_of is None else layer.as_of.isoformat(),
        "crs": crs,
        "datum": datum_of(crs),
        "resolution_m": resolution_m,
    }


def datum_of(crs: str | None) -> str | None:
    """Return the name of a CRS's datum, ``None`` where it cannot be told."""
    if crs is None:
        return None
    try:
        datum = CRS.from_user_input(crs).datum
    except CRSError:
        return None
    return None if datum is None else str(datum.name)


def _raster(path: str, layer: LayerSettings, where: str) -> tuple[str | None, float | None]:
    try:
        with rasterio.open(path) as dataset:
            own = layer.crs or (None if dataset.crs is None else _short(dataset.crs.to_wkt()))
            across, along = (abs(side) for side in dataset.res)
            middle = (dataset.bounds.top + dataset.bounds.bottom) / 2
    except RasterioIOError as error:
        raise LayerError(f"cannot be read ({error})", where=f"{where} ({path})") from error
    if own is not None and CRS.from_user_input(own).is_geographic:
        across *= _M_PER_DEGREE * math.cos(math.radians(middle))
        along *= _M_PER_DEGREE
    return own, round((across + along) / 2, 3)


def _vector(path: str, layer: LayerSettings, where: str) -> tuple[str | None, float | None]:
    try:
        info = pyogrio.read_info(path, layer=layer.layer)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise LayerError(f"cannot be read ({error})", where=f"{where} ({path})") from error
    return layer.crs or (None if info["crs"] is None else _short(info["crs"])), None


def _short(crs: str) -> str:
    """Return a CRS by its authority code where it has one."""
    found = CRS.from_user_input(crs).to_authority()
    return crs if found is None else ":".join(found)
