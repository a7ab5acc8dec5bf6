from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pytest
import shapely

from hazardrank.errors import OutputError
from hazardrank.priority.bands import BAND_LABELS, Band
from hazardrank.reporting import priority_files
from hazardrank.reporting.palette import is_green
from hazardrank.reporting.priority_files import (
    BAND_COLOURS,
    NOT_SAID,
    Layer,
    as_xlsx,
    band_style,
    csv_parts,
    geojson_parts,
    sheet_of,
    write_files,
    write_gpkg,
)
from hazardrank.reporting.qgis_styles import LayerStyle, StyleClass

ORIGIN = {"run_id": "0123456789abcdef"}


def tasks(n: int = 5) -> gpd.GeoDataFrame:
    """Squares with a hole; the outer ring runs clockwise, as rasters are outlined."""
    east = 600_000 + 1000.0 * np.arange(n)
    ring = np.array([(0, 0), (0, 300), (300, 300), (300, 0)])
    hole = ring / 3 + 100
    corners = np.column_stack([east, np.full(n, 4_400_000.0)])
    shapes = [shapely.Polygon(np.add(ring, c), [np.add(hole[::-1], c)]) for c in corners]
    names = np.array([f"T\u2028{k}" for k in range(n)], dtype=object)
    names[-1] = None
    table = {
        "task_id": names,
        "rank": pd.array([*range(1, n), None], "Int64"),
        "tied": pd.array([True, False, *[None] * (n - 2)], "boolean"),
        "likelihood": np.append(np.linspace(0, 1, n - 1), np.nan),
        "band": [BAND_LABELS[band] for band in list(Band)[:n]],
    }
    return gpd.GeoDataFrame(table, geometry=shapes, crs="EPSG:32638")


@pytest.mark.parametrize("part_rows", [2, 100])
def test_geojson_is_that_of_rfc_7946_however_it_is_cut(monkeypatch, part_rows):
    monkeypatch.setattr(priority_files, "_PART_ROWS", part_rows)
    read = json.loads(b"".join(geojson_parts(tasks(), ORIGIN)))
    assert read["provenance"] == {**ORIGIN, "warning": NOT_SAID}
    assert "crs" not in read
    first, *_, last = read["features"]
    assert len(read["features"]) == 5
    assert first["properties"]["task_id"] == "T\u20280"
    assert last["properties"] == {
        "task_id": None,
        "rank": None,
        "tied": None,
        "likelihood": None,
        "band": BAND_LABELS[Band.SURVEY_FIRST],
    }
    for feature in read["features"]:
        shell, hole = (shapely.LinearRing(ring) for ring in feature["geometry"]["coordinates"])
        assert shell.is_ccw
        assert not hole.is_ccw
        assert 45 < shell.coords[0][0] < 47
        assert 39 < shell.coords[0][1] < 41


def test_no_rows_are_geojson_too():
    read = json.loads(b"".join(geojson_parts(tasks().head(0), ORIGIN)))
    assert read["features"] == []


def test_csv_reads_back_however_it_is_cut(monkeypatch):
    whole = b"".join(csv_parts(tasks()))
    monkeypatch.setattr(priority_files, "_PART_ROWS", 2)
    assert b"".join(csv_parts(tasks())) == whole
    read = pd.read_csv(io.BytesIO(whole))
    np.testing.assert_allclose(read["likelihood"], tasks()["likelihood"])
    assert read["rank"].tolist()[:4] == [1, 2, 3, 4]


def test_a_file_that_fails_leaves_the_older_one(tmp_path):
    def broken():
        yield b"new"
        raise OSError(28, "No space left on device")

    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(OutputError, match=r"a\.csv: cannot be written \(No space left"):
        write_files(tmp_path, {"a.csv": broken()})
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def test_a_geopackage_has_its_style_inside_and_the_same_bytes_again(tmp_path):
    layers = {"tasks": Layer(tasks(), {"rank": "1 is first"}, band_style("tasks", "rank"))}
    first = write_gpkg(tmp_path / "a.gpkg", layers, ORIGIN).read_bytes()
    assert write_gpkg(tmp_path / "a.gpkg", layers, ORIGIN).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["a.gpkg"]
    read = gpd.read_file(tmp_path / "a.gpkg", layer="tasks")
    assert read["likelihood"].isna().tolist() == [False] * 4 + [True]
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as database:
        rows = database.execute("SELECT f_table_name, f_geometry_column FROM layer_styles")
        assert rows.fetchall() == [("tasks", "geom")]


def test_a_geopackage_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    layers = {"tasks": Layer(tasks(), {}, band_style("tasks", None))}
    with pytest.raises(OutputError, match=r"a\.gpkg: cannot be written"):
        write_gpkg(tmp_path / "file" / "a.gpkg", layers, ORIGIN)


def test_sheets_hold_numbers_and_leave_out_what_is_not_known():
    content = as_xlsx({"tasks": sheet_of(tasks(), 4)}, {"rank": "1 is first"}, ORIGIN)
    assert content == as_xlsx({"tasks": sheet_of(tasks(), 4)}, {"rank": "1 is first"}, ORIGIN)
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert book.sheetnames == ["tasks", "columns", "provenance"]
    rows = list(book["tasks"].iter_rows(min_row=2, values_only=True))
    assert len(rows) == 4
    assert rows[0][1:4] == (1, True, 0)
    assert rows[2][2] is None
    assert ("rank", "1 is first") in list(book["columns"].iter_rows(values_only=True))
    assert ("run_id", ORIGIN["run_id"]) in list(book["provenance"].iter_rows(values_only=True))


def test_every_band_has_a_colour_of_its_own_and_none_is_green():
    assert set(BAND_COLOURS) == set(Band)
    assert len(set(BAND_COLOURS.values())) == len(Band)
    assert not any(map(is_green, BAND_COLOURS.values()))


def test_a_style_keeps_letters_that_xml_reserves():
    style = LayerStyle("a", 'b"c', [StyleClass("<x>", "a & b", "#ff0000", hatched=True)], "d<e")
    assert "&lt;x&gt;" in style.qml()
    assert "a &amp; b" in style.qml()
    assert 'value="f_diagonal"' in style.qml()
    assert 'fieldName="d&lt;e"' in style.qml()
