"""``python -m check``."""

import io
from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from rich.console import Console

from hazardrank.commands.check import check, run, stop_on_errors
from hazardrank.commands.check_output import percent, print_report, verdict
from hazardrank.errors import LayerError
from hazardrank.reporting.progress import Progress
from hazardrank.settings import CheckSettings
from hazardrank.sources.check_report import (
    CheckReport,
    CheckRow,
    FeatureRow,
    Finding,
    LabelCounts,
    Severity,
)

UTM = "EPSG:32638"
RULES = [
    {"record": "hazard_areas", "outcome": "contaminated"},
    {"record": "clearance", "found": False, "outcome": "released"},
]


def report_of(*findings, **changes):
    rows = (
        CheckRow(
            "a_layer_with_quite_a_long_key_indeed",
            "continuous",
            "long.tif",
            crs="Some custom Lambert conic of the survey",
            resolution="1.25 km",
            coverage=0.9996,
            missing=0.0004,
            dates=(date(1992, 4, 6), date(1995, 12, 14)),
            obtained="nearest cell at 50,498 points 744 m apart",
        ),
        CheckRow("hazard_areas.0", "hazard_areas", "h.gpkg", crs="EPSG:32638", count=1_234_567,
                 coverage=0.011, missing=1.0, invalid=123_456, duplicates=12_345,
                 far_vertices=1_234, outside=123_456),
        CheckRow("gone", "lines", "gone.gpkg", found=False),
    )  # fmt: skip
    return CheckReport("valley", "/data", rows=rows, **changes).with_findings(findings)


def printed(report, width=None):
    out = io.StringIO()
    terminal = width is not None
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    print_report(report, console)
    return out.getvalue()


# ----------------------------------------------------------------------- output


def test_a_pipe_gets_plain_text_of_120_characters_with_one_line_a_row():
    text = printed(report_of(label_counts=LabelCounts(1000, 100, 200, 700, 50)))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert "\x1b" not in text
    [row] = [line for line in lines if line.startswith("hazard_areas.0")]
    assert " ".join(row.split()) == (
        "hazard_areas.0 hazard areas yes EPSG:32638 1.23 M 1.1 % 100 % unknown "
        "123 k 12,345 1,234 123 k"
    )
    [missing] = [line for line in lines if line.startswith("gone")]
    assert " NO " in missing
    assert "1992–1995" in text
    assert "Cells: 1,000. Contaminated 100, released 200, unsurveyed 700 (50 drawn" in text


def test_findings_are_numbered_lines_and_the_verdict_is_last():
    long = "is wrong in many ways " * 12
    text = printed(
        report_of(
            Finding(Severity.WARNING, "region.layers.b", "is old", "Get a newer one."),
            Finding(Severity.ERROR, "region.layers.a", long.strip(), "Look."),
        )
    )
    lines = text.splitlines()
    assert f" 1. error region.layers.a: {long.strip()}. Look." in lines
    assert " 2. warning region.layers.b: is old. Get a newer one." in lines
    assert lines[-1] == "1 error, 1 warning: training would stop. Exit status 2."


def test_a_narrow_terminal_gets_lines_instead_of_a_broken_table():
    text = printed(report_of(), width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert "NOT FOUND" in text
    assert "a_layer_with_quite_a_long_key_indeed" in text


def test_a_table_shows_its_columns():
    features = (FeatureRow("road_dist", "km", 0.5, 12.0, 0.25, 0.3),)
    text = printed(CheckReport("r", "/data", features=features))
    [line] = [line for line in text.splitlines() if line.startswith("road_dist")]
    assert line.split() == ["road_dist", "km", "0.5", "12", "25", "%", "0.700"]


def test_square_brackets_are_shown_as_they_are():
    finding = Finding(Severity.WARNING, "x", "is odd", "Set accept: [roads].")
    assert "Set accept: [roads]." in printed(report_of(finding))


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "–"), (0.0, "0 %"), (1.0, "100 %"), (0.0004, "<0.1 %"), (0.9996, "99.9 %"),
     (0.25, "25 %"), (0.011, "1.1 %")],
)  # fmt: skip
def test_shares_are_never_rounded_to_nothing_or_all(share, text):
    assert percent(share) == text


def test_the_verdict_names_the_exit_status():
    assert verdict(report_of()).endswith("training runs. Exit status 0.")
    warned = report_of(Finding(Severity.WARNING, "x", "y"))
    assert verdict(warned).endswith("Exit status 1.")


# --------------------------------------------------------------------- training


def test_errors_stop_training_and_warnings_only_when_strict():
    warning = Finding(Severity.WARNING, "region.layers.a", "is old", "Get a newer one.")
    assert stop_on_errors(report_of(warning)) == ["region.layers.a: is old. Get a newer one."]
    with pytest.raises(LayerError, match=r"region valley: \(1\) region.layers.a: is old"):
        stop_on_errors(report_of(warning), strict=True)
    error = Finding(Severity.ERROR, "region.layers.b", "is gone")
    with pytest.raises(LayerError, match=r"\(1\) region.layers.b: is gone. .*python -m check"):
        stop_on_errors(report_of(warning, error))


# -------------------------------------------------------------------------- run


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    west, south = 500_000, 4_000_000

    def save(name, geometry, **columns):
        gpd.GeoDataFrame(columns, geometry=[geometry], crs=UTM).to_file(tmp_path / name)

    save("areas.gpkg", shapely.box(west, south, west + 2000, south + 1000), kind=["CHA"],
         reported=["2010-01-01"])  # fmt: skip
    save("cleared.gpkg", shapely.box(west + 2000, south, west + 4000, south + 1000),
         method=["cleared"], completed=["2012-01-01"], devices_found=[0])  # fmt: skip
    return tmp_path


def settings(folder, **region):
    plain = {
        "name": "valley",
        "crs": UTM,
        "cell_size_m": 100,
        "extent": {"bbox": (500_000, 4_000_000, 504_000, 4_002_000)},
        "records": {
            "hazard_areas": [{"path": "areas.gpkg"}],
            "clearance": [{"path": "cleared.gpkg"}],
        },
    }
    return CheckSettings(
        region={**plain, **region},
        labels={"rules": RULES},
        output_dir=folder / "out",
        data_dir=folder,
        compute={"progress": False},
    )


def test_a_good_region_counts_its_labels_and_exits_0(files, capsys):
    assert run(settings(files)) == 0
    text = capsys.readouterr().out
    assert "Cells: 800. Contaminated 200, released 200, unsurveyed 400." in text
    assert text.splitlines()[-1] == "0 errors, 0 warnings: training runs. Exit status 0."
    assert not (files / "out").exists()


def test_warnings_exit_1(files, capsys):
    areas_only = {"hazard_areas": [{"path": "areas.gpkg"}]}
    checked = settings(files, records=areas_only).model_copy(
        update={"labels": settings(files).labels.model_copy(update={"background": None})}
    )
    assert run(checked) == 2  # nothing released, and no background asked for
    assert "no cell is known to be released" in capsys.readouterr().out


def test_undated_records_exit_1(files, capsys):
    changed = {"hazard_areas": [{"path": "areas.gpkg", "columns": {"reported": "none"},
               "values": {}}], "clearance": [{"path": "cleared.gpkg"}]}  # fmt: skip
    assert run(settings(files, records=changed)) == 2
    assert "no column 'none' (given for reported)" in capsys.readouterr().out
    undated = {"hazard_areas": [{"path": "areas.gpkg", "values": {"reported": {"2010-01-01": ""}}}],
               "clearance": [{"path": "cleared.gpkg"}]}  # fmt: skip
    assert run(settings(files, records=undated)) == 1
    assert "none of the 1 records have a date" in capsys.readouterr().out


def test_absent_data_exits_2_and_labels_nothing(files, capsys):
    missing = settings(files).model_copy(update={"data_dir": files / "elsewhere"})
    assert run(missing) == 2
    text = capsys.readouterr().out
    assert str(files / "elsewhere" / "areas.gpkg") in text
    assert "Cells:" not in text


def test_labels_that_cannot_be_made_are_a_finding(files, capsys):
    late = settings(files, records_as_of="2011-01-01")
    assert run(late) == 2
    assert "later than 2011-01-01" in capsys.readouterr().out


def test_a_table_brings_its_own_counts(files, capsys):
    n = np.arange(400)
    pd.DataFrame(
        {
            "east": 500_050 + 100 * (n % 40),
            "north": 4_000_050 + 100 * (n // 40),
            "mined": n % 2,
            "slope": np.random.default_rng(1).uniform(0, 9, 400),
        }
    ).to_csv(files / "cells.csv", index=False)
    table = {"path": "cells.csv", "easting": "east", "northing": "north", "crs": UTM,
             "spacing": 100, "outcome": "mined"}  # fmt: skip
    assert run(settings(files, table=table, records={})) == 0
    assert "Cells: 400. Contaminated 200, released 200, unsurveyed 0." in capsys.readouterr().out


def test_train_gets_the_report_without_print(files, capsys):
    report = check(settings(files), Progress(enabled=False))
    assert report.exit_status == 0
    assert report.label_counts is None
    assert capsys.readouterr().out == ""
