"""Vector layers: read whole, or prepared once and then read by bounds.

Reading means: keep what ``where`` asks for, rename columns to our words, reproject, make
valid, and keep the parts of the declared kind.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from hazardrank.errors import LayerError, RecordError
from hazardrank.grid import Bounds, SurveyGrid
from hazardrank.records import DATE_COLUMNS, NUMBER_COLUMNS
from hazardrank.settings import LayerSettings
from hazardrank.sources.catalogue import VECTOR_KINDS, layer_of_kind
from hazardrank.sources.dates import parse_dates
from hazardrank.sources.geometries import (
    Geometries,
    are_finite,
    cut_far,
    kinds_found,
    of_kind,
    repaired,
    reproject,
    reproject_bounds,
    single_points,
)
from hazardrank.sources.paths import must_exist
from hazardrank.sources.prepared import PreparedFile
from hazardrank.sources.vector_files import VectorFile, as_texts

#: Our words for dates and numbers in layers; every other word is text unless the file's
#: column is numeric.
DATE_WORDS = DATE_COLUMNS | {"start", "end", "event_date"}
NUMBER_WORDS = NUMBER_COLUMNS
TEXT_WORDS = frozenset({"class", "name", "status"})

#: How far beyond the region vectors are prepared by default.
MARGIN_M = 50_000.0
#: Reads kept for families that ask for the same bounds one after the other.
KEPT_READS = 8

_LOG = logging.getLogger(__name__)
_YEAR = re.compile(r"(1[89]|20)\d{2}")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class ReadPlan:
    """What to read from a vector file and how it is to come out.

    Parameters
    ----------
    file : VectorFile
        The opened file.
    crs : str
        CRS to return.
    where : mapping of str to list of str
        The file's column → values to keep.
    columns : mapping of str to str, or None
        Our word → the file's column; all columns under their own names when ``None``.
    kind : {"points", "lines", "polygons"} or None
        Kind to keep; all kinds when ``None``.
    bounds : tuple of float or None
        Only features that touch these bounds, in `crs`.
    """

    file: VectorFile
    crs: str
    where: Mapping[str, list[str]]
    columns: Mapping[str, str] | None
    kind: str | None
    bounds: Bounds | None

    def __post_init__(self) -> None:
        self.file.require([*self.where, *(self.columns or {}).values()])

    def chunks(self) -> Iterator[gpd.GeoDataFrame]:
        """Yield features ready for use, indexed by their place among those read.

        Raises
        ------
        LayerError
            If no feature is of the declared kind though there are some, or a value cannot
            be read as the date or number its word stands for.
        """
        wanted = None
        if self.columns is not None:
            wanted = list(dict.fromkeys([*self.where, *self.columns.values()]))
        near = self._near()
        n_read = n_kept = n_other = 0
        found: set[str] = set()
        for raw in self.file.chunks(wanted, near):
            raw.index = pd.RangeIndex(n_read, n_read + len(raw))
            n_read += len(raw)
            ready, others = self._ready(raw[self._chosen(raw)], near)
            n_kept += len(ready)
            n_other += len(others)
            found |= kinds_found(others)
            yield ready
        if n_other:
            self._report_others(n_kept, n_other, " and ".join(sorted(found)))

    def _report_others(self, n_kept: int, n_other: int, found: str) -> None:
        if not n_kept:
            raise LayerError(
                f"is declared as {self.kind} but holds {found}",
                where=self.file.where,
                remedy="Set the layer's kind to what it holds, or name another layer of the file.",
            )
        _LOG.warning(
            "%s: %d features are no %s and are left out", self.file.where, n_other, self.kind
        )

    def _near(self) -> Bounds | None:
        """Return the bounds in the file's CRS, a little wider, ``None`` for everything."""
        if self.bounds is None:
            return None
        near = reproject_bounds(self.bounds, self.crs, self.file.crs)
        if near is None:
            return None
        west, south, east, north = near
        spare = 0.01 * max(east - west, north - south)
        return west - spare, south - spare, east + spare, north + spare

    def _chosen(self, raw: gpd.GeoDataFrame) -> pd.Series:
        chosen: pd.Series = raw.geometry.notna() & ~raw.geometry.is_empty
        for column, values in self.where.items():
            chosen &= as_texts(raw[column]).isin([str(value) for value in values])
        return chosen

    def _ready(
        self, chosen: gpd.GeoDataFrame, near: Bounds | None
    ) -> tuple[gpd.GeoDataFrame, Geometries]:
        """Return the chosen features made ready, and the geometries of other kinds."""
        geometries = self._moved(shapely.force_2d(chosen.geometry.to_numpy()), near)
        geometries, _ = repaired(geometries)
        keep = ~shapely.is_empty(geometries)
        if self.bounds is not None:
            keep &= shapely.intersects(geometries, shapely.box(*self.bounds))
        kinds = geometries if self.kind is None else of_kind(geometries, self.kind)
        other = keep & shapely.is_missing(kinds)
        keep &= ~other
        if self.kind == "points":
            single_points(kinds[keep], self.file.where)
        kept = chosen[keep]
        if self.columns is None:
            data = kept.drop(columns=kept.geometry.name)
        else:
            data = pd.DataFrame(
                {word: self._words(word, kept[name]) for word, name in self.columns.items()},
                index=kept.index,
            )
        return gpd.GeoDataFrame(data, geometry=kinds[keep], crs=self.crs), geometries[other]

    def _moved(self, geometries: Geometries, near: Bounds | None) -> Geometries:
        """Reproject; what reaches some 1,000 km beyond the bounds is cut there."""
        if near is not None:
            geometries = cut_far(geometries, near, self.file.crs, self.crs)
        moved = reproject(geometries, self.file.crs, self.crs)
        lost = ~are_finite(moved)
        if lost.any():
            raise LayerError(
                f"{int(lost.sum())} features lie where {self.crs} is not defined (the first: "
                f"feature {int(np.flatnonzero(lost)[0]) + 1})",
                where=self.file.where,
                remedy="Check that the file's CRS is right and x is the longitude.",
            )
        return moved

    def _words(self, word: str, values: pd.Series) -> pd.Series:
        """Return a column as its word is meant: dates, numbers or text."""
        where = f"{self.file.where}, column '{values.name}'"
        if word in DATE_WORDS:
            return _dates(values, where, year_ends=word == "end")
        if word in NUMBER_WORDS:
            return _numbers(values, where)
        if word in TEXT_WORDS:
            texts = as_texts(values)
            return texts.where(texts != "", None)
        if pd.api.types.is_datetime64_any_dtype(values):
            return _dates(values, where, year_ends=False)
        if pd.api.types.is_numeric_dtype(values):
            return values.astype("float64")
        return values.astype(object).where(values.notna(), None)


def _dates(values: pd.Series, where: str, year_ends: bool) -> pd.Series:
    """Read dates; a year alone is its first day, or its last where it ends something."""
    if not pd.api.types.is_datetime64_any_dtype(values):
        day = "12-31" if year_ends else "01-01"
        texts = as_texts(values).str.strip()
        years = texts.map(lambda text: bool(_YEAR.fullmatch(text))).astype(bool)
        values = texts.where(~years, texts + f"-{day}")
    try:
        return parse_dates(values, where)
    except RecordError as error:
        raise LayerError(error.problem, where=error.where, remedy=error.remedy) from None


def _numbers(values: pd.Series, where: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    bad = numbers.isna() & (as_texts(values).str.strip() != "")
    if bad.any():
        raise LayerError(f"'{values[bad].iloc[0]}' is not a number", where=where)
    return numbers


def read_vector_file(
    path: str,
    layer: str | None,
    crs: str,
    where: Mapping[str, list[str]] = _NOTHING,
    columns: Mapping[str, str] | None = None,
    bounds: Bounds | None = None,
    kind: str | None = None,
    key: str = "",
    file_crs: str | None = None,
) -> gpd.GeoDataFrame:
    """Read a whole vector file.

    Parameters
    ----------
    path : str
        Resolved path (see :mod:`hazardrank.sources.paths`).
    layer : str or None
        Layer inside it; needed if it has several.
    crs : str
        CRS to return.
    where : mapping of str to list of str, optional
        The file's column → values to keep, as text.
    columns : mapping of str to str, optional
        Our word → the file's column. Dates become ``datetime64[s]``, numbers float64,
        ``class``, ``name`` and ``status`` text. All columns, under their own names and as
        they are, when left out.
    bounds : tuple of float, optional
        Only features that touch these bounds, in `crs`.
    kind : {"points", "lines", "polygons"}, optional
        Keep only geometries of this kind.
    key : str, optional
        The settings key that names the file, for messages.
    file_crs : str, optional
        CRS of a file that does not say it itself.

    Returns
    -------
    GeoDataFrame
        Valid, non-empty geometries in `crs`, in file order, indexed by their place among
        the features read. Features without geometry are left out.

    Raises
    ------
    LayerError
        If the file cannot be read as asked.
    """
    file = VectorFile.open(path, layer, key, file_crs)
    chunks = list(ReadPlan(file, crs, where, columns, kind, bounds).chunks())
    return chunks[0] if len(chunks) == 1 else pd.concat(chunks)


class VectorStore:
    """The vector layers of a region, each prepared once and then read by bounds.

    Parameters
    ----------
    catalogue : mapping of str to LayerSettings
        The layers by key.
    data_dir : Path
        Folder that relative paths start from.
    cache_dir : Path
        Folder the prepared files are kept in and found again by the next run.
    grid : SurveyGrid
        The region's grid.
    margin_m : float
        How far beyond the region features are prepared.
    """

    def __init__(
        self,
        catalogue: Mapping[str, LayerSettings],
        data_dir: Path,
        cache_dir: Path,
        grid: SurveyGrid,
        margin_m: float = MARGIN_M,
    ) -> None:
        self._catalogue = catalogue
        self._data_dir = data_dir
        self._cache_dir = cache_dir
        self._grid = grid
        self.margin_m = margin_m
        west, south, east, north = grid.bounds
        self._extent = (west - margin_m, south - margin_m, east + margin_m, north + margin_m)
        self._prepared: dict[str, PreparedFile] = {}
        self._reads: OrderedDict[tuple[str, Bounds], gpd.GeoDataFrame] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, key: str, bounds: Bounds) -> gpd.GeoDataFrame:
        """Return the features that touch `bounds`, whole, in file order.

        Raises
        ------
        LayerError
            If the layer is missing or not what the catalogue says, or `bounds` reach
            farther beyond the region than the layer was prepared.
        """
        self._check_reach(key, bounds)
        with self._lock:
            if (key, bounds) in self._reads:
                self._reads.move_to_end((key, bounds))
                return self._reads[key, bounds].copy(deep=False)
            prepared = self._prepared_layer(key)
        found = prepared.read(bounds)
        with self._lock:
            self._reads[key, bounds] = found
            while len(self._reads) > KEPT_READS:
                self._reads.popitem(last=False)
        return found.copy(deep=False)

    def _check_reach(self, key: str, bounds: Bounds) -> None:
        west, south, east, north = self._extent
        if west <= bounds[0] and south <= bounds[1] and bounds[2] <= east and bounds[3] <= north:
            return
        beyond_m = max(west - bounds[0], south - bounds[1], bounds[2] - east, bounds[3] - north)
        raise LayerError(
            f"features {self.margin_m + beyond_m:.0f} m beyond the region are asked for, but the "
            f"layer was prepared with a margin of {self.margin_m:.0f} m",
            where=f"region.layers.{key}",
            remedy="Lower the distance cap or radius of the feature that reads it.",
        )

    def _prepared_layer(self, key: str) -> PreparedFile:
        if key not in self._prepared:
            layer = layer_of_kind(self._catalogue, key, VECTOR_KINDS)
            where = f"region.layers.{key}"
            path = must_exist(layer.path, self._data_dir, where, layer.source)
            settings = layer.model_dump(
                mode="json", include={"path", "kind", "layer", "crs", "columns", "where"}
            )
            self._prepared[key] = PreparedFile.of(
                self._cache_dir,
                key,
                path,
                {"settings": settings, "crs": self._grid.crs, "extent": self._extent},
                lambda: self._plan(key, path, layer),
            )
        return self._prepared[key]

    def _plan(self, key: str, path: str, layer: LayerSettings) -> Iterator[gpd.GeoDataFrame]:
        file = VectorFile.open(path, layer.layer, f"region.layers.{key}", layer.crs)
        plan = ReadPlan(file, self._grid.crs, layer.where, layer.columns, layer.kind, self._extent)
        return plan.chunks()
