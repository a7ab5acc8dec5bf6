"""Opening vector files of every format as chunks of raw features, in file order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet
import pyogrio
from pyproj import CRS

from hazardrank.errors import LayerError
from hazardrank.grid import Bounds
from hazardrank.sources.paths import is_remote

#: Features read at a time.
CHUNK_FEATURES = 50_000

#: How a CSV file names its coordinates; longitude and latitude are WGS 84.
CSV_OPTIONS: Mapping[str, str] = {
    "X_POSSIBLE_NAMES": "longitude,lon,lng,long",
    "Y_POSSIBLE_NAMES": "latitude,lat",
    "GEOM_POSSIBLE_NAMES": "wkt,geometry,geom",
    "KEEP_GEOM_COLUMNS": "NO",
    "AUTODETECT_TYPE": "YES",
}
_PARQUET = (".parquet", ".geoparquet", ".pq")


@dataclass(frozen=True)
class VectorFile:
    """One layer of a vector file: what it holds, before any feature is read.

    Parameters
    ----------
    path : str
        Resolved path.
    layer : str or None
        Layer inside the file.
    crs : str
        CRS of the geometries.
    columns : tuple of str
        The file's columns, geometry apart.
    where : str
        What messages name: the settings key and the path.
    """

    path: str
    layer: str | None
    crs: str
    columns: tuple[str, ...]
    where: str

    @classmethod
    def open(
        cls, path: str, layer: str | None = None, where: str = "", crs: str | None = None
    ) -> VectorFile:
        """Look into a file.

        Parameters
        ----------
        path : str
            Resolved path (see :mod:`hazardrank.sources.paths`).
        layer : str, optional
            Layer inside it; needed if it has several.
        where : str, optional
            The settings key that names the file, for messages.
        crs : str, optional
            CRS of a file that does not say it itself.

        Raises
        ------
        LayerError
            If it cannot be read, has no such layer, no geometry or no CRS.
        """
        shown = f"{where} ({path})" if where else path
        if path.lower().endswith(_PARQUET):
            return cls(path, None, *_look_into_parquet(path, shown, crs), shown)
        try:
            layer = _layer_name(path, layer, shown)
            info = pyogrio.read_info(path, layer=layer, **_options(path))
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
            raise LayerError(
                f"cannot be read as a vector file ({error})",
                where=shown,
                remedy="GeoPackage, GeoJSON, Shapefile, FlatGeobuf, GeoParquet and CSV are read.",
            ) from None
        if info["geometry_type"] is None:
            raise LayerError(
                "has no geometry",
                where=shown,
                remedy="A CSV file needs the columns longitude and latitude, or wkt.",
            )
        columns = tuple(str(name) for name in info["fields"])
        return cls(path, layer, _known_crs(_csv_crs(path, info["crs"]), crs, shown), columns, shown)

    def require(self, columns: Sequence[str]) -> None:
        """Raise unless the file has all of `columns`.

        Raises
        ------
        LayerError
            Naming those missing and those there are.
        """
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise LayerError(
                f"has no column {', '.join(repr(name) for name in missing)}",
                where=self.where,
                remedy=f"Its columns are: {', '.join(self.columns) or 'none'}.",
            )

    def chunks(
        self,
        columns: Sequence[str] | None = None,
        bounds: Bounds | None = None,
        chunk_features: int = CHUNK_FEATURES,
    ) -> Iterator[gpd.GeoDataFrame]:
        """Yield the features in file order, some thousand at a time.

        Parameters
        ----------
        columns : sequence of str, optional
            Columns to read; all when left out.
        bounds : tuple of float, optional
            Only features whose box meets these bounds, in the file's CRS.
        chunk_features : int
            Most features in a chunk.
        """
        if self.path.lower().endswith(_PARQUET):
            whole = _read_parquet(self.path, columns, bounds)
            yield whole.set_crs(self.crs, allow_override=True)
            return
        start = 0
        while True:
            chunk = self._read(columns, bounds, start, chunk_features)
            yield chunk.set_crs(self.crs, allow_override=True)
            if len(chunk) < chunk_features:
                return
            start += chunk_features

    def _read(
        self, columns: Sequence[str] | None, bounds: Bounds | None, start: int, count: int
    ) -> gpd.GeoDataFrame:
        try:
            return pyogrio.read_dataframe(
                self.path,
                layer=self.layer,
                columns=None if columns is None else list(columns),
                bbox=bounds,
                skip_features=start,
                max_features=count,
                on_invalid="fix",
                **_options(self.path),
            )
        except (pyogrio.errors.DataSourceError, pyogrio.errors.FeatureError) as error:
            raise LayerError(f"cannot be read ({error})", where=self.where) from None


def _is_csv(path: str) -> bool:
    return path.lower().endswith((".csv", ".csv.gz", ".tsv"))


def _options(path: str) -> dict[str, str]:
    return dict(CSV_OPTIONS) if _is_csv(path) else {}


def _csv_crs(path: str, crs: str | None) -> str | None:
    return "EPSG:4326" if crs is None and _is_csv(path) else crs


def _layer_name(path: str, layer: str | None, shown: str) -> str | None:
    """Return the one layer with geometry, unless one is named."""
    listed = pyogrio.list_layers(path)
    names = [str(name) for name, kind in listed if kind is not None] or [
        str(name) for name, _ in listed
    ]
    if layer is None and len(names) > 1 and not _is_csv(path):
        raise LayerError(
            f"holds {len(names)} layers ({', '.join(names)}) and none is named",
            where=shown,
            remedy="Name one under `layer`.",
        )
    if layer is not None and layer not in [str(name) for name, _ in listed]:
        raise LayerError(f"has no layer '{layer}'; it has {', '.join(names)}", where=shown)
    return layer if layer is not None else names[0]


def _known_crs(found: str | None, given: str | None, shown: str) -> str:
    if found is None and given is None:
        raise LayerError(
            "does not say its CRS",
            where=shown,
            remedy="Write it into the file (a Shapefile needs its .prj beside it), or give `crs` "
            "in the layer's settings.",
        )
    if found is None or given is None:
        return str(found or given)
    if not CRS.from_user_input(found).equals(CRS.from_user_input(given), ignore_axis_order=True):
        raise LayerError(
            f"says its CRS is {CRS.from_user_input(found).name}, the settings say {given}",
            where=shown,
            remedy="Remove `crs` from the settings, or correct the file.",
        )
    return str(found)


def _look_into_parquet(path: str, shown: str, crs: str | None) -> tuple[str, tuple[str, ...]]:
    if is_remote(path) or path.startswith("/vsi"):
        raise LayerError(
            "GeoParquet is read from disk only", where=shown, remedy="Download or unpack it."
        )
    schema = pyarrow.parquet.read_schema(path)
    described = (schema.metadata or {}).get(b"geo")
    if described is None:
        raise LayerError(
            "is a Parquet file without geometry", where=shown, remedy="Write it with geopandas."
        )
    geo: dict[str, Any] = json.loads(described)
    primary = geo["columns"][geo["primary_column"]]
    found = primary.get("crs", "OGC:CRS84")  # absent means CRS84; null means unknown
    text = json.dumps(found) if isinstance(found, dict) else found
    covered = {"bbox", *geo["columns"]}
    columns = tuple(name for name in schema.names if name not in covered)
    return _known_crs(text, crs, shown), columns


def _read_parquet(
    path: str, columns: Sequence[str] | None, bounds: Bounds | None
) -> gpd.GeoDataFrame:
    frame = gpd.read_parquet(Path(path))
    geometry = frame.geometry.name
    if bounds is not None:
        boxes = frame.bounds.to_numpy()
        west, south, east, north = bounds
        meets = (boxes[:, 0] <= east) & (boxes[:, 2] >= west)
        frame = frame[meets & (boxes[:, 1] <= north) & (boxes[:, 3] >= south)]
    if columns is not None:
        frame = frame[[*columns, geometry]]
    return frame.rename_geometry("geometry") if geometry != "geometry" else frame


def as_texts(values: pd.Series) -> pd.Series:
    """Return values as settings write them: ``3`` for 3.0, ``true``, ``2019-03-01``; "" missing."""
    if pd.api.types.is_bool_dtype(values):
        texts = values.map({True: "true", False: "false"})
    elif pd.api.types.is_datetime64_any_dtype(values):
        texts = values.dt.strftime("%Y-%m-%d")
    elif pd.api.types.is_float_dtype(values):
        texts = values.map(lambda value: f"{value:.15g}" if np.isfinite(value) else "")
    else:
        texts = values.astype(object).map(str, na_action="ignore")
    return texts.astype(object).where(values.notna(), "")
