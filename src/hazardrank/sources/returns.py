"""Settlements and return plans, in the domain's terms. For consequence, never for hazard."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pandas as pd

from hazardrank.errors import LayerError
from hazardrank.records import DATE_COLUMNS, NUMBER_COLUMNS, SettlementReturn, columns_of
from hazardrank.settings import LayerSettings
from hazardrank.sources.hazard_records import record_ids
from hazardrank.sources.mappings import find_column
from hazardrank.sources.paths import must_exist
from hazardrank.sources.vector_files import VectorFile, as_texts
from hazardrank.sources.vectors import read_vector_file


def read_returns(
    layer: LayerSettings, crs: str, data_dir: Path, key: str = "returns"
) -> gpd.GeoDataFrame:
    """Read settlements or return plans.

    Parameters
    ----------
    layer : LayerSettings
        A layer of points or polygons. ``columns`` maps our words to the file's columns;
        a column that bears our own name needs no mapping.
    crs : str
        CRS to return.
    data_dir : Path
        Folder that a relative path starts from.
    key : str, optional
        Key of the layer in the catalogue, for messages.

    Returns
    -------
    GeoDataFrame
        The columns of :class:`~hazardrank.records.SettlementReturn` and ``geometry``.
        Dates are ``datetime64[s]``, counts float64; what is unknown is ``NaT``, NaN or
        ``None``.

    Raises
    ------
    LayerError
        If the layer is no points or polygons, its file is missing, or a date or number
        in it cannot be read.
    """
    where = f"region.layers.{key}"
    if layer.kind not in ("points", "polygons"):
        raise LayerError(
            f"return plans are points or polygons, this layer is {layer.kind}", where=where
        )
    path = must_exist(layer.path, data_dir, where, layer.source)
    file = VectorFile.open(path, layer.layer, where, layer.crs)
    columns = _columns(layer, file)
    read = read_vector_file(
        path,
        layer.layer,
        crs,
        layer.where,
        columns,
        kind=layer.kind,
        key=where,
        file_crs=layer.crs,
    ).reset_index(drop=True)
    data = {name: _column(name, read) for name in columns_of(SettlementReturn)}
    stem = Path(layer.path).name.split(".")[0]
    data["record_id"] = pd.Series(
        record_ids(data["record_id"], read.geometry.to_numpy(), stem), dtype=object
    )
    return gpd.GeoDataFrame(data, geometry=read.geometry, crs=crs)


def _columns(layer: LayerSettings, file: VectorFile) -> dict[str, str]:
    """Return our word → the file's column, as far as the file has one."""
    columns = {}
    for name in columns_of(SettlementReturn):
        found = layer.columns.get(name) or find_column([name], file.columns)
        if found is not None:
            columns[name] = found
    return columns


def _column(name: str, read: gpd.GeoDataFrame) -> pd.Series:
    """Return a column in the type of its word, all unknown where the file has none."""
    if name in DATE_COLUMNS:
        return read[name] if name in read else pd.Series(pd.NaT, read.index, "datetime64[s]")
    if name in NUMBER_COLUMNS:
        return read[name] if name in read else pd.Series(float("nan"), read.index, "float64")
    if name not in read:
        return pd.Series([None] * len(read), index=read.index, dtype=object)
    return pd.Series([text or None for text in as_texts(read[name])], read.index, dtype=object)
