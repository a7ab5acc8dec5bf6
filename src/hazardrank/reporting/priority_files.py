"""Clearance tasks as files: GeoPackage, GeoJSON, CSV, spreadsheet. Each is whole or not there.

Equal runs give equal files: no time of writing is in them; the manifest has it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyogrio.errors import DataSourceError
from xlsxwriter import Workbook  # type: ignore[import-untyped]

from hazardrank.errors import OutputError
from hazardrank.priority.bands import BAND_LABELS, Band
from hazardrank.reporting import palette
from hazardrank.reporting.qgis_styles import LayerStyle, StyleClass, write_styles
from hazardrank.reporting.run_files import write_whole

GPKG, GEOJSON = "clearance_tasks.gpkg", "clearance_tasks.geojson"
CSV, XLSX, COLUMNS_MD = "clearance_tasks.csv", "clearance_tasks.xlsx", "columns.md"

#: What no figure in these files says.
NOT_SAID = (
    "No rank, band or likelihood says that land is safe, releases land, or cancels a hazard area. "
    "The lowest band is NOT cleared."
)
#: Rows turned into text at a time.
_PART_ROWS = 5000
#: Time of every file, so that equal runs give equal files.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

AnyTable = TypeVar("AnyTable", bound=pd.DataFrame)

BAND_COLOURS: Mapping[Band, str] = {
    Band.URGENT: palette.URGENT,
    Band.HIGH: palette.HIGH,
    Band.MEDIUM: palette.MEDIUM,
    Band.LOWEST: palette.LOWEST,
    Band.SURVEY_FIRST: palette.SURVEY_FIRST,
    Band.WAITS: palette.WAITS,
}


@dataclass(frozen=True)
class Layer:
    """A layer of a GeoPackage: its table, what its columns hold, and how it is drawn."""

    table: gpd.GeoDataFrame
    columns: Mapping[str, str]
    style: LayerStyle


def band_style(layer: str, label_column: str | None) -> LayerStyle:
    """Return the style of tasks or cells by band."""
    classes = [
        StyleClass(label, label, BAND_COLOURS[band], band in (Band.SURVEY_FIRST, Band.WAITS))
        for band, label in BAND_LABELS.items()
    ]
    return LayerStyle(layer, "band", classes, label_column)


def write_gpkg(path: Path, layers: Mapping[str, Layer], provenance: Mapping[str, str]) -> Path:
    """Write layers with their styles and provenance into one GeoPackage.

    Parameters
    ----------
    path : Path
        The file.
    layers : mapping of str to Layer
        By name, in order.
    provenance : mapping of str to str
        Written as metadata of the file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    partial = path.with_name(f"{path.stem}.partial.gpkg")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with _fixed_time():
            for name, layer in layers.items():
                _written(layer.table).to_file(
                    partial,
                    driver="GPKG",
                    layer=name,
                    engine="pyogrio",
                    dataset_metadata=dict(provenance),
                    layer_metadata={"columns": json.dumps(dict(layer.columns))},
                    mode="a" if partial.exists() else "w",
                )
        geometry_columns = dict.fromkeys(layers, "geom")
        write_styles(partial, [layer.style for layer in layers.values()], geometry_columns)
        partial.replace(path)
    except (OSError, DataSourceError, sqlite3.Error) as error:
        raise OutputError(f"cannot be written ({error})", where=path) from None
    finally:
        for left in path.parent.glob(f"{partial.name}*"):
            left.unlink(missing_ok=True)
    return path


@contextmanager
def _fixed_time() -> Iterator[None]:
    """Let GDAL write one and the same time of change."""
    before = os.environ.get("OGR_CURRENT_DATE")
    os.environ["OGR_CURRENT_DATE"] = f"{_EPOCH:%Y-%m-%dT%H:%M:%S.000Z}"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OGR_CURRENT_DATE"]
        else:
            os.environ["OGR_CURRENT_DATE"] = before


def _written(table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a table with missing texts as empty ones, as every reader understands them."""
    texts = {name: table[name].fillna("") for name in table if table[name].dtype == object}
    texts.pop(str(table.geometry.name), None)
    changed: gpd.GeoDataFrame = table.assign(**texts)
    return changed


def geojson_parts(table: gpd.GeoDataFrame, provenance: Mapping[str, str]) -> Iterator[bytes]:
    """Yield a table as GeoJSON (RFC 7946), in parts: WGS 84, seven decimals, a line a feature.

    Outer rings run anticlockwise. Provenance stands beside the features, as a member of its
    own.
    """
    beside = json.dumps({**provenance, "warning": NOT_SAID}, ensure_ascii=False)
    yield f'{{"type":"FeatureCollection","provenance":{beside},"features":['.encode()
    for part in _parts_of(table):
        lead = "\n" if part.index[0] == table.index[0] else ",\n"
        yield (lead + ",\n".join(_features(part))).encode()
    yield b"\n]}\n"


def _features(table: gpd.GeoDataFrame) -> Iterator[str]:
    placed = table.to_crs("EPSG:4326")
    exact = shapely.transform(placed.geometry.to_numpy(), lambda places: np.round(places, 7))
    shapes = shapely.to_geojson(shapely.orient_polygons(exact, exterior_cw=False))
    rows = pd.DataFrame(placed.drop(columns=placed.geometry.name))
    text = rows.to_json(orient="records", lines=True, double_precision=12, force_ascii=False)
    for row, shape in zip(text.rstrip("\n").split("\n"), shapes, strict=True):
        yield f'{{"type":"Feature","properties":{row},"geometry":{shape}}}'


def csv_parts(table: pd.DataFrame) -> Iterator[bytes]:
    """Yield a table as CSV without geometry, in parts."""
    plain = pd.DataFrame(table.drop(columns="geometry", errors="ignore"))
    yield plain.head(0).to_csv(index=False, lineterminator="\n").encode()
    for part in _parts_of(plain):
        yield part.to_csv(index=False, header=False, lineterminator="\n").encode()


def _parts_of(table: AnyTable) -> Iterator[AnyTable]:
    """Yield a table in parts, so that no text of the whole of it is ever held."""
    for start in range(0, len(table), _PART_ROWS):
        yield table.iloc[start : start + _PART_ROWS]


def as_columns_md(columns: Mapping[str, str], provenance: Mapping[str, str]) -> bytes:
    """Return what columns hold, as Markdown."""
    lines = ["# Columns of clearance_tasks", "", NOT_SAID, "", "| column | holds |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in columns.items()]
    lines += ["", "## Provenance", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in provenance.items()]
    return ("\n".join(lines) + "\n").encode("utf-8")


def as_xlsx(
    sheets: Mapping[str, pd.DataFrame],
    columns: Mapping[str, str],
    provenance: Mapping[str, str],
) -> bytes:
    """Return tables as a spreadsheet, with sheets for columns and provenance.

    Parameters
    ----------
    sheets : mapping of str to DataFrame
        Tables by the name of their sheet; geometry is left out.
    columns : mapping of str to str
        Column → what it holds.
    provenance : mapping of str to str
        Where the numbers come from.
    """
    buffer = BytesIO()
    workbook = Workbook(buffer, {"in_memory": True, "nan_inf_to_errors": False})
    workbook.set_properties({"title": "Clearance tasks", "created": _EPOCH, "comments": NOT_SAID})
    bold = workbook.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    for name, table in sheets.items():
        _sheet(workbook, name, table, bold)
    described = pd.DataFrame({"column": list(columns), "holds": list(columns.values())})
    _sheet(workbook, "columns", described, bold)
    facts = {**provenance, "warning": NOT_SAID}
    origin = pd.DataFrame({"": list(facts), "value": list(facts.values())})
    _sheet(workbook, "provenance", origin, bold)
    workbook.close()
    return buffer.getvalue()


def _sheet(workbook: Any, name: str, table: pd.DataFrame, bold: Any) -> None:
    sheet = workbook.add_worksheet(name)
    shown = [column for column in table.columns if column != "geometry"]
    sheet.write_row(0, 0, shown, bold)
    sheet.freeze_panes(1, 1)
    if len(shown):
        sheet.autofilter(0, 0, max(len(table), 1), len(shown) - 1)
    for place, column in enumerate(shown):
        cells = [_cell(value) for value in table[column].tolist()]
        sheet.write_column(1, place, cells)
        longest = max((len(str(cell)) for cell in cells[:200]), default=0)
        sheet.set_column(place, place, min(max(longest, len(column) * 0.6, 8), 60))


def _cell(value: Any) -> Any:
    """Return what a spreadsheet shows of a value: nothing for what is not known."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)


def write_files(folder: Path, contents: Mapping[str, bytes | Iterator[bytes]]) -> list[str]:
    """Write files, at once or part by part; return their names. Each is whole or not there."""
    for name, content in contents.items():
        if isinstance(content, bytes):
            write_whole(folder / name, content)
        else:
            _write_parts(folder / name, content)
    return list(contents)


def _write_parts(path: Path, parts: Iterator[bytes]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.writelines(parts)
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", where=path) from None
    finally:
        partial.unlink(missing_ok=True)


def sheet_of(table: gpd.GeoDataFrame, n_rows: int) -> pd.DataFrame:
    """Return the first rows of a table without its geometry."""
    return pd.DataFrame(table.head(n_rows).drop(columns=table.geometry.name))
