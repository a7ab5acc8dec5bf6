"""Vector features prepared once: kept in a spatially indexed file and read by bounds."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyogrio
import shapely

from hazardrank.grid import Bounds
from hazardrank.sources.digests import digest_path

#: Change it when preparation changes, so that older files are not taken for new ones.
VERSION = 1
#: Prepared files up to this size are held in memory; larger ones are read by bounds.
HELD_BYTES = 16 * 2**20

_PLACE = "place_"
_ARROW_GEOMETRY = {b"ARROW:extension:name": b"geoarrow.wkb"}


@dataclass
class PreparedFile:
    """Features in the region's CRS, valid, in a FlatGeobuf file with a spatial index.

    Parameters
    ----------
    path : Path
        The file.
    crs : str
        CRS of its features.
    dates : tuple of str
        Its date columns.
    """

    path: Path
    crs: str
    dates: tuple[str, ...]
    _held: tuple[gpd.GeoDataFrame, shapely.STRtree] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(
        cls,
        cache_dir: Path,
        key: str,
        source: str,
        settings: Mapping[str, Any],
        chunks: Callable[[], Iterator[gpd.GeoDataFrame]],
    ) -> PreparedFile:
        """Return the prepared file of a layer, writing it if the cache does not hold it.

        Parameters
        ----------
        cache_dir : Path
            Folder of prepared files, made if need be.
        key : str
            The layer's key; the file's name begins with it.
        source : str
            Resolved path of the source file. Its content is part of the file's name, so a
            changed source is prepared anew (a remote one only when its path changes).
        settings : mapping
            Everything else the result depends on; must hold ``crs``.
        chunks : callable
            Yields the features, all with the same columns, indexed by place.
        """
        described = {"version": VERSION, "source": [source, digest_path(source)], **settings}
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:20]
        path = cache_dir / f"{key}_{digest}.fgb"
        if not path.exists():
            cache_dir.mkdir(parents=True, exist_ok=True)
            _write(path, settings["crs"], chunks())
        info = pyogrio.read_info(path)
        dates = [
            name
            for name, dtype in zip(info["fields"], info["dtypes"], strict=True)
            if str(dtype).startswith("datetime64")
        ]
        return cls(path, settings["crs"], tuple(dates))

    def read(self, bounds: Bounds) -> gpd.GeoDataFrame:
        """Return the features that touch `bounds`, whole, in the source's order."""
        if self.path.stat().st_size > HELD_BYTES:
            found = self._load(bounds)
            touching = shapely.intersects(found.geometry.to_numpy(), shapely.box(*bounds))
            return found[touching]
        with self._lock:
            if self._held is None:
                features = self._load(None)
                self._held = features, shapely.STRtree(features.geometry.to_numpy())
                self._held[1].query(shapely.box(*bounds))  # builds the tree
        features, tree = self._held
        return features.iloc[np.sort(tree.query(shapely.box(*bounds), predicate="intersects"))]

    def _load(self, bounds: Bounds | None) -> gpd.GeoDataFrame:
        features = pyogrio.read_dataframe(self.path, bbox=bounds)
        features = features.sort_values(_PLACE, kind="stable").set_index(_PLACE)
        features.index.name = None
        features.columns = features.columns.astype(object)  # quicker to compare than strings
        for name in self.dates:
            features[name] = features[name].astype("datetime64[s]")
        return features.set_crs(self.crs, allow_override=True)


def _write(path: Path, crs: str, chunks: Iterator[gpd.GeoDataFrame]) -> None:
    """Stream chunks into a FlatGeobuf file beside `path`, then rename it into place."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.{uuid.uuid4().hex[:8]}.fgb")
    first = next(chunks)
    schema = _schema(first)
    failures: list[Exception] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield _batch(first, schema)
            for chunk in chunks:
                yield _batch(chunk, schema)
        except Exception as error:  # the writer would put a vaguer one in its place
            failures.append(error)
            raise

    try:
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(schema, batches()),
            partial,
            driver="FlatGeobuf",
            geometry_name="geometry",
            geometry_type="Unknown",
            crs=crs,
            SPATIAL_INDEX="YES",
        )
        partial.replace(path)
    except Exception as error:
        raise (failures[0] if failures else error) from None
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _schema(features: gpd.GeoDataFrame) -> pa.Schema:
    types: list[pa.Field] = [pa.field(_PLACE, pa.int64())]
    for name, dtype in features.dtypes.items():
        if name == features.geometry.name:
            continue
        if pd.api.types.is_datetime64_any_dtype(dtype):
            types.append(pa.field(str(name), pa.timestamp("ms")))
        elif pd.api.types.is_numeric_dtype(dtype):
            types.append(pa.field(str(name), pa.float64()))
        else:
            types.append(pa.field(str(name), pa.string()))
    types.append(pa.field("geometry", pa.binary(), metadata=_ARROW_GEOMETRY))
    return pa.schema(types)


def _batch(features: gpd.GeoDataFrame, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [pa.array(features.index.to_numpy(), pa.int64())]
    for column in schema.names[1:-1]:
        arrays.append(pa.Array.from_pandas(features[column], type=schema.field(column).type))
    arrays.append(pa.array(shapely.to_wkb(features.geometry.to_numpy()), pa.binary()))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
