"""Ready feature tables: one row a cell, with coordinates, features, outcome and group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from hazardrank.errors import LabelError, LayerError
from hazardrank.records import OUTCOME_CODES, Outcome
from hazardrank.settings import TableSettings
from hazardrank.sources.dates import rows_text
from hazardrank.sources.paths import must_exist
from hazardrank.sources.record_columns import near_matches, present_text
from hazardrank.sources.table_context import ContextFeatures, context_features, places_m

_PARQUET = (".parquet", ".pq", ".geoparquet")


@dataclass(frozen=True)
class FeatureTable:
    """A feature table, read and checked.

    Parameters
    ----------
    crs : str
        CRS of the coordinates.
    spacing : float
        Distance between neighbouring cell centres, in units of `crs`.
    easting, northing : ndarray of float64, shape (n,)
        Cell centres in `crs`; longitude and latitude where it is geographic.
    features : ndarray of float32, shape (n, p)
        NaN where missing.
    names, units : tuple of str, length p
        The features' columns and units (``"1"`` where the settings name none).
    outcome : ndarray of int8, shape (n,)
        1 contaminated, 0 released, -1 unsurveyed.
    group : ndarray of object, shape (n,), or None
        Name of each cell's group, ``""`` where the file has none.
    as_of : date or None
        The date the features describe.
    descriptions : tuple of str, length p
        One plain sentence for each feature.
    """

    crs: str
    spacing: float
    easting: NDArray[np.float64]
    northing: NDArray[np.float64]
    features: NDArray[np.float32]
    names: tuple[str, ...]
    units: tuple[str, ...]
    outcome: NDArray[np.int8]
    group: NDArray[np.object_] | None = None
    as_of: date | None = None
    descriptions: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.easting)


def read_frame(settings: TableSettings, data_dir: Path) -> pd.DataFrame:
    """Return the table's file as it is.

    Raises
    ------
    LayerError
        If the file is missing or is no CSV or Parquet.
    """
    path = must_exist(settings.path, data_dir, "region.table", settings.source)
    name = path.lower()
    try:
        if name.endswith(_PARQUET):
            return pd.read_parquet(path)
        if name.endswith((".csv", ".csv.gz")):
            return pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise LayerError(f"cannot be read as a table: {error}", where=settings.path) from None
    raise LayerError(
        "is neither .csv nor .parquet",
        where=settings.path,
        remedy="Save the table as CSV with a header line, or as Parquet.",
    )


def read_table(settings: TableSettings, data_dir: Path) -> FeatureTable:
    """Read a feature table.

    Parameters
    ----------
    settings : TableSettings
        Which columns are what. ``features`` and ``exclude`` may hold patterns (``*_dist``).
        Neighbourhood features of ``context`` follow the columns.
    data_dir : Path
        Folder that a relative path starts from.

    Raises
    ------
    LayerError
        If the file is missing, a column is missing or not numeric, a coordinate or
        feature is infinite or a coordinate missing, or two rows are one cell.
    LabelError
        If no row is contaminated.
    """
    frame = read_frame(settings, data_dir)
    require_columns(settings, frame.columns)
    known_crs(settings.crs, settings.path)
    easting, northing = (_coordinate(frame, name, settings) for name in _coordinates(settings))
    _refuse_duplicates(easting, northing, settings)
    names = feature_columns(settings, frame)
    columns = ContextFeatures(
        _features(frame, names, settings),
        names,
        tuple(unit_of(name, settings.units) for name in names),
        tuple(f"Column {name}." for name in names),
    )
    features = _with_context(columns, frame, settings, easting, northing)
    return FeatureTable(
        crs=settings.crs,
        spacing=settings.spacing,
        easting=easting,
        northing=northing,
        features=features.values,
        names=features.names,
        units=features.units,
        outcome=_outcome(frame, settings),
        group=None if settings.group is None else _group(frame[settings.group]),
        as_of=settings.as_of,
        descriptions=features.descriptions,
    )


def _with_context(
    columns: ContextFeatures,
    frame: pd.DataFrame,
    settings: TableSettings,
    easting: NDArray[np.float64],
    northing: NDArray[np.float64],
) -> ContextFeatures:
    """Put the neighbourhood features behind the columns."""
    if not settings.context:
        return columns
    place_m = places_m(easting, northing, settings.crs)
    parts = [columns]
    for context in settings.context:
        asked = settings.model_copy(update={"features": context.columns})
        require_columns(asked, frame.columns)
        names = feature_columns(asked, frame)
        units = tuple(unit_of(name, settings.units) for name in names)
        values = _features(frame, names, settings).astype(np.float64)
        parts.append(context_features(place_m, values, names, units, context))
    joined = ContextFeatures(
        np.hstack([part.values for part in parts]),
        *(
            tuple(text for part in parts for text in getattr(part, kind))
            for kind in ("names", "units", "descriptions")
        ),
    )
    twice = sorted({name for name in joined.names if joined.names.count(name) > 1})
    if twice:
        raise LayerError(
            f"{', '.join(twice)} would be there twice",
            where="region.table.context",
            remedy="Ask for each column, radius and statistic once.",
        )
    return joined


def _coordinates(settings: TableSettings) -> tuple[str, str]:
    return settings.easting, settings.northing


def _named(settings: TableSettings) -> list[str]:
    """Return the columns with a part of their own: coordinates, outcome, group."""
    named = [settings.easting, settings.northing, settings.outcome]
    return named if settings.group is None else [*named, settings.group]


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def require_columns(settings: TableSettings, columns: Iterable[str]) -> None:
    """Refuse settings that name columns the file does not have.

    Raises
    ------
    LayerError
        Naming the first such column, its setting, and the columns that come near.
    """
    there = [str(column) for column in columns]
    wanted = [("easting", [settings.easting]), ("northing", [settings.northing])]
    wanted += [("outcome", [settings.outcome])]
    wanted += [("group", [settings.group] if settings.group else [])]
    wanted += [("features", settings.features), ("exclude", settings.exclude)]
    for setting, names in wanted:
        for name in names:
            if not matching([name], there):
                raise LayerError(
                    f"there is no column {'like ' if _is_pattern(name) else ''}'{name}' "
                    f"(region.table.{setting})",
                    where=settings.path,
                    remedy=near_matches(name, there),
                )


def matching(patterns: Sequence[str], columns: Iterable[str]) -> list[str]:
    """Return the columns that equal a name or match a pattern, in the order of `patterns`."""
    there = [str(column) for column in columns]
    hits = [
        column
        for pattern in patterns
        for column in there
        if column == pattern or (_is_pattern(pattern) and fnmatchcase(column, pattern))
    ]
    return list(dict.fromkeys(hits))


def known_crs(code: str, where: str) -> CRS:
    """Return the CRS of a code.

    Raises
    ------
    LayerError
        If it is unknown.
    """
    try:
        return CRS.from_user_input(code)
    except CRSError:
        raise LayerError(
            f"'{code}' is not a known CRS", where=where, remedy="Give a code such as EPSG:4326."
        ) from None


def feature_columns(settings: TableSettings, frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the feature columns: those named, else all numeric ones not named elsewhere.

    Raises
    ------
    LayerError
        If a named feature is not numeric, is a coordinate, outcome or group, or if
        none is left.
    """
    taken = set(_named(settings))
    left_out = taken | set(matching(settings.exclude, frame.columns))
    numeric = [str(c) for c in frame.columns if pd.api.types.is_numeric_dtype(frame[c])]
    if not settings.features:
        names = [column for column in numeric if column not in left_out]
    else:
        names = [c for c in matching(settings.features, frame.columns) if c not in left_out]
        _refuse_features(settings, frame, taken, names, numeric)
    if not names:
        raise LayerError("has no feature columns", where=settings.path)
    return tuple(names)


def _refuse_features(
    settings: TableSettings,
    frame: pd.DataFrame,
    taken: set[str],
    names: list[str],
    numeric: list[str],
) -> None:
    for name in settings.features:
        if name in taken:
            raise LayerError(
                f"'{name}' is a coordinate, the outcome or the group, so no feature",
                where=settings.path,
                remedy="Take it out of region.table.features.",
            )
    for name in names:
        if name not in numeric:
            texts = pd.to_numeric(frame[name], errors="coerce").isna() & frame[name].notna()
            example = frame[name][texts].iloc[0] if texts.any() else frame[name].iloc[0]
            raise LayerError(
                f"the feature '{name}' is not numeric: '{example}' "
                f"({rows_text(np.flatnonzero(texts))})",
                where=settings.path,
                remedy="Write it as numbers (one column per class), or leave it out.",
            )


def unit_of(name: str, units: Mapping[str, str]) -> str:
    """Return the unit of a column: its own entry, else the first matching pattern, else ``1``."""
    if name in units:
        return units[name]
    return next((unit for pattern, unit in units.items() if fnmatchcase(name, pattern)), "1")


def _coordinate(frame: pd.DataFrame, column: str, settings: TableSettings) -> NDArray[np.float64]:
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        raise LayerError(
            f"the coordinate '{column}' is missing or not a finite number in {bad.sum()} rows "
            f"({rows_text(np.flatnonzero(bad))})",
            where=settings.path,
        )
    return values


def duplicated_cells(
    easting: NDArray[np.float64], northing: NDArray[np.float64], spacing: float
) -> NDArray[np.bool_]:
    """Return which rows lie on a lattice position that an earlier row holds, shape (n,)."""
    if len(easting) == 0:
        return np.empty(0, bool)
    cells = np.column_stack(
        [np.round((values - values.min()) / spacing) for values in (easting, northing)]
    )
    return pd.DataFrame(cells).duplicated().to_numpy()


def _refuse_duplicates(
    easting: NDArray[np.float64], northing: NDArray[np.float64], settings: TableSettings
) -> None:
    again = duplicated_cells(easting, northing, settings.spacing)
    if again.any():
        raise LayerError(
            f"{again.sum()} rows lie on cells that an earlier row holds "
            f"({rows_text(np.flatnonzero(again))}), at a spacing of {settings.spacing:g}",
            where=settings.path,
            remedy="Keep one row a cell, or correct region.table.spacing.",
        )


def _features(
    frame: pd.DataFrame, names: tuple[str, ...], settings: TableSettings
) -> NDArray[np.float32]:
    values = np.ascontiguousarray(frame[list(names)].to_numpy(np.float32, na_value=np.nan))
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise LayerError(
            f"the feature '{names[column]}' is infinite in {infinite[:, column].sum()} rows "
            f"(first in {rows_text([int(row)])})",
            where=settings.path,
            remedy="Leave missing values empty.",
        )
    return values


def _outcome(frame: pd.DataFrame, settings: TableSettings) -> NDArray[np.int8]:
    """Return outcome codes: what is listed, the rest unsurveyed."""
    texts = frame[settings.outcome].map(present_text)
    contaminated = {present_text(value) for value in settings.contaminated}
    released = {present_text(value) for value in settings.released}
    if contaminated & released:
        raise LabelError(
            f"the outcome values {sorted(contaminated & released)} mean both contaminated "
            "and released",
            where="region.table",
        )
    outcome = np.full(len(frame), OUTCOME_CODES[Outcome.UNSURVEYED], np.int8)
    outcome[texts.isin(released)] = OUTCOME_CODES[Outcome.RELEASED]
    outcome[texts.isin(contaminated)] = OUTCOME_CODES[Outcome.CONTAMINATED]
    if not (outcome == OUTCOME_CODES[Outcome.CONTAMINATED]).any():
        raise LabelError(
            f"no row of '{settings.outcome}' is contaminated: it holds "
            f"{', '.join(repr(value) for value in sorted(set(texts))[:8])}, contaminated is "
            f"{', '.join(repr(value) for value in sorted(contaminated))}",
            where=settings.path,
            remedy="Say which values mean contaminated under region.table.contaminated.",
        )
    return outcome


def _group(values: pd.Series) -> NDArray[np.object_]:
    return values.map(present_text).to_numpy(dtype=object)
