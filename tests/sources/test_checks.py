"""A region's files and settings, checked together."""

from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hazardrank.settings import AnyFamilySettings, RegionSettings, validate
from hazardrank.sources.check_report import CheckReport, Finding, LabelCounts, Severity
from hazardrank.sources.check_tables import roc_auc
from hazardrank.sources.checks import check_region, with_label_counts

UTM = "EPSG:32638"
WEST, SOUTH = 500_000.0, 4_000_000.0
TODAY = date(2025, 6, 1)


def square(east, north, side=100.0):
    return shapely.box(WEST + east, SOUTH + north, WEST + east + side, SOUTH + north + side)


def write(folder, name, geometries, **columns):
    gpd.GeoDataFrame(columns, geometry=list(geometries), crs=UTM).to_file(folder / name)
    return {"path": name}


def region(**changes):
    plain = {"name": "valley", "crs": UTM, "cell_size_m": 100}
    extent = {"bbox": (WEST, SOUTH, WEST + 2000, SOUTH + 1000)}
    return RegionSettings(**{**plain, "extent": extent, **changes})


def check(folder, records=None, features=None, **changes):
    some = {kind: [source] for kind, source in (records or {}).items()}
    return check_region(
        region(records=some, **changes), folder, features=features or {}, today=TODAY
    )


def said(report, severity=None):
    return " | ".join(
        f"{one.where}: {one.problem} {one.remedy}"
        for one in report.findings
        if severity in (None, one.severity)
    )


@pytest.fixture
def areas(tmp_path):
    return write(
        tmp_path,
        "areas.gpkg",
        [square(0, 0), square(500, 0)],
        record_id=["A", "B"],
        kind=["CHA", "SHA"],
        reported=["2010-05-06", "2012-01-01"],
    )


@pytest.fixture
def cleared(tmp_path):
    return write(
        tmp_path,
        "cleared.gpkg",
        [square(1000, 0)],
        method=["cleared"],
        completed=["2015-01-01"],
        devices_found=[0],
    )


# ---------------------------------------------------------------------- records


def test_a_region_with_nothing_wrong(tmp_path, areas, cleared):
    report = check(tmp_path, {"hazard_areas": areas, "clearance": cleared})
    assert report.findings == ()
    assert report.exit_status == 0
    row = report.rows[0]
    assert (row.key, row.found, row.count, row.missing) == ("hazard_areas.0", True, 2, 0.0)
    assert row.coverage == pytest.approx(0.01)
    assert row.dates == (date(2010, 5, 6), date(2012, 1, 1))


def test_absent_data_is_one_finding_a_file(tmp_path):
    gone = tmp_path / "gone"
    report = check(
        gone,
        {"hazard_areas": {"path": "areas.gpkg", "source": "the authority"}},
        extent={"mask": "land.gpkg"},
        country="land.gpkg",
        layers={"land": {"path": "land.gpkg", "kind": "polygons", "source": "geoBoundaries"}},
    )
    assert report.exit_status == 2
    assert [row.found for row in report.rows] == [False, False]
    assert len(report.findings) == 2
    land, records = report.findings
    assert land.where == "region.extent, region.layers.land, region.country"
    assert str(gone / "land.gpkg") in land.problem
    assert f"data_dir is {gone}, which does not exist" in land.remedy
    assert "geoBoundaries" in land.remedy
    assert "the authority" in records.remedy


def test_a_file_that_cannot_be_understood_is_an_error_with_its_remedy(tmp_path):
    source = write(tmp_path, "a.gpkg", [square(0, 0)], kind=["odd"])
    report = check(tmp_path, {"hazard_areas": source})
    assert report.exit_status == 2
    assert "'odd' are no kind known here; allowed are SHA, CHA" in said(report, Severity.ERROR)
    assert report.rows[0].count == 1


def test_impossible_dates(tmp_path):
    source = write(
        tmp_path,
        "a.gpkg",
        [square(200 * k, 0) for k in range(4)],
        kind=["SHA"] * 4,
        reported=["1899-12-30", "2031-01-01", "2020-01-01", None],
        closed=[None, None, "2019-01-01", None],
    )
    report = check(tmp_path, {"hazard_areas": source}, records_as_of="2018-01-01")
    errors, warnings = said(report, Severity.ERROR), said(report, Severity.WARNING)
    assert "1 dates lie in the future, such as 2031-01-01" in errors
    assert "3 dates are later than 2018-01-01" in errors
    assert "1 dates lie before 1914, such as 1899-12-30" in warnings
    assert "1 hazard areas were closed before they were reported" in warnings
    assert "3 of the 4 records have a date" in warnings


def test_records_outside_the_country_are_counted_and_measured(tmp_path, areas):
    write(tmp_path, "land.gpkg", [square(0, 0, 300)])
    report = check(tmp_path, {"hazard_areas": areas}, country="land.gpkg")
    assert report.rows[0].outside == 1
    assert "1 of 2 records lie outside the country, the farthest 0.2 km" in said(report)


def test_records_that_lie_elsewhere(tmp_path):
    source = write(tmp_path, "a.gpkg", [shapely.box(0, 0, 9, 9)], kind=["SHA"])
    report = check(tmp_path, {"hazard_areas": source})
    assert "no record lies in the region's extent" in said(report, Severity.ERROR)


def test_repeated_ids_are_told(tmp_path):
    source = write(
        tmp_path, "a.gpkg", [square(0, 0), square(200, 0)], kind=["SHA"] * 2, record_id=["X", "X"]
    )
    assert "1 record ids occur more than once, such as 'X'" in said(
        check(tmp_path, {"hazard_areas": source})
    )


def test_nothing_contaminated_or_nothing_released(tmp_path, areas, cleared):
    only_cleared = check(tmp_path, {"clearance": cleared})
    assert "no record tells of contaminated land" in said(only_cleared, Severity.ERROR)
    only_areas = check(tmp_path, {"hazard_areas": areas})
    assert "no land is recorded as released" in said(only_areas, Severity.WARNING)


def test_clearance_that_does_not_say_what_was_found(tmp_path, areas):
    source = write(tmp_path, "c.gpkg", [square(0, 0)], method=["cleared"])
    report = check(tmp_path, {"hazard_areas": areas, "clearance": source})
    assert "none of the 1 clearance records says what was found" in said(report, Severity.WARNING)


# --------------------------------------------------------------------- settings


def test_a_mask_that_misses_the_box(tmp_path):
    write(tmp_path, "land.gpkg", [square(90_000, 0)])
    box = {"bbox": (WEST, SOUTH, WEST + 1000, SOUTH + 1000), "mask": "land.gpkg"}
    report = check(tmp_path, extent=box)
    assert "region.extent" in said(report, Severity.ERROR)


def layer(folder, **changes):
    write(folder, "roads.gpkg", [shapely.LineString([(WEST, SOUTH), (WEST + 2000, SOUTH + 1000)])])
    return {"roads": {"path": "roads.gpkg", "kind": "lines", "as_of": "2005-01-01", **changes}}


def test_layers_are_compared_with_the_dates_of_records(tmp_path, areas, cleared):
    records = {"hazard_areas": areas, "clearance": cleared}
    older = check(tmp_path, records, layers=layer(tmp_path))
    assert older.exit_status == 0
    younger = check(tmp_path, records, layers=layer(tmp_path, as_of="2011-01-01"))
    assert "younger than 33% of the dated records (the oldest is of 2010-05-06)" in said(
        younger, Severity.WARNING
    )
    accepted = check_region(
        region(records={"hazard_areas": [areas]}, layers=layer(tmp_path, as_of="2011-01-01")),
        tmp_path,
        accept_younger_layers=["roads"],
        today=TODAY,
    )
    assert "younger" not in said(accepted)
    undated = check(tmp_path, records, layers=layer(tmp_path, as_of=None))
    assert "1 layers do not say what date they describe (roads)" in said(undated)
    consequence = check(
        tmp_path, records, layers=layer(tmp_path, as_of="2020-01-01", role="consequence")
    )
    assert consequence.exit_status == 0


def test_an_old_layer_is_only_a_note(tmp_path, areas, cleared):
    report = check(
        tmp_path,
        {"hazard_areas": areas, "clearance": cleared},
        layers=layer(tmp_path, as_of="1990-01-01"),
    )
    assert report.exit_status == 0
    assert "25 years before the newest record" in said(report, Severity.OK)


def test_roles_and_features_must_agree(tmp_path, areas, cleared):
    features = {
        "near_roads": AnyFamilySettings(family="proximity", layer="roads"),
        "near_rail": AnyFamilySettings(family="proximity", layer="rail"),
        "near_ports": AnyFamilySettings(family="proximity", layers=["p"], when_absent="skip"),
        "off": None,
    }
    records = {"hazard_areas": areas, "clearance": cleared}
    report = check(tmp_path, records, features, layers=layer(tmp_path, role="consequence"))
    assert [one.where for one in report.of(Severity.ERROR)] == [
        "features.near_roads",
        "features.near_rail",
    ]
    assert "for consequence only" in said(report)
    assert "asks for the layer 'rail', which the region does not have" in said(report)


def test_return_plans_never_tell_of_hazard(tmp_path, areas, cleared):
    write(tmp_path, "r.gpkg", [square(0, 0).centroid], planned=["2027-01-01"])
    plan = {"path": "r.gpkg", "kind": "points", "columns": {"planned": "planned"}}
    records = {"hazard_areas": areas, "clearance": cleared}
    hazard = check(tmp_path, records, layers={"returns": {**plan, "as_of": "2001-01-01"}})
    assert "holds planned returns and has the role 'hazard'" in said(hazard, Severity.ERROR)
    asked = check(tmp_path, records, layers={"returns": {**plan, "role": "consequence"}})
    assert asked.exit_status == 0


# ----------------------------------------------------------------------- report


@pytest.mark.parametrize(
    ("counts", "severity", "words"),
    [
        (LabelCounts(100, 0, 50, 50), Severity.ERROR, "no cell is known to be contaminated"),
        (LabelCounts(100, 50, 0, 50), Severity.ERROR, "no cell is known to be released"),
        (LabelCounts(100, 50, 0, 50, 20), Severity.OK, "unlabelled background stand in"),
        (LabelCounts(900, 99, 500, 301), Severity.WARNING, "only 99 contaminated"),
    ],
)
def test_label_counts_are_judged(tmp_path, counts, severity, words):
    [finding] = with_label_counts(CheckReport("r", tmp_path), counts).findings
    assert finding.severity == severity
    assert words in finding.problem


def test_enough_labels_are_no_finding(tmp_path):
    report = with_label_counts(CheckReport("r", tmp_path), LabelCounts(1000, 100, 200, 700))
    assert report.findings == ()
    assert report.label_counts.released == 200


def test_the_worst_comes_first_and_decides(tmp_path):
    kinds = [Severity.OK, Severity.ERROR, Severity.WARNING]
    report = CheckReport("r", tmp_path)
    assert report.exit_status == 0
    for number, severity in enumerate(kinds):
        report = report.with_findings([Finding(severity, "x", f"p{number}")])
    assert [one.severity for one in report.findings] == [kinds[1], kinds[2], kinds[0]]
    assert report.exit_status == 2


# ----------------------------------------------------------------------- tables


TABLE = {
    "path": "cells.csv",
    "easting": "east",
    "northing": "north",
    "crs": UTM,
    "spacing": 100,
    "outcome": "mined",
    "group": "town",
    "units": {"slope": "deg"},
}


def table(folder, **columns):
    rng = np.random.default_rng(3)
    n = 200
    frame = {
        "east": WEST + 50 + 100 * np.arange(n) % 2000,
        "north": SOUTH + 50 + 100 * (np.arange(n) // 20),
        "mined": np.arange(n) % 2,
        "town": np.where(np.arange(n) < 100, "A", "B"),
        "slope": rng.uniform(0, 40, n),
    }
    pd.DataFrame({**frame, **columns}).to_csv(folder / "cells.csv", index=False)
    return frame


def test_a_table_with_nothing_wrong(tmp_path):
    table(tmp_path)
    report = check(tmp_path, table=TABLE)
    assert report.findings == ()
    assert report.label_counts == LabelCounts(200, 100, 100, 0)
    [row] = report.rows
    assert (row.count, row.coverage, row.outside, row.missing) == (200, 1.0, 0, 0.0)
    assert report.features[0].name == "slope"


def test_columns_that_cannot_be_trusted(tmp_path):
    frame = table(tmp_path)
    mined = frame["mined"]
    table(
        tmp_path,
        leak=mined + 0.01 * frame["slope"] / 40,
        constant=5,
        gaps=np.where(np.arange(200) % 2, np.nan, 1.0) * frame["slope"],
        empty=np.nan,
        victims=np.where(np.arange(200) < 100, 7, 9),
        slope=frame["slope"] * 10,
    )
    report = check(tmp_path, table=TABLE)
    errors, warnings = said(report, Severity.ERROR), said(report, Severity.WARNING)
    assert "column leak: alone separates contaminated from released cells (ROC-AUC 1.000)" in errors
    assert "column slope: runs from" in errors
    assert "column constant: holds one value" in warnings
    assert "column empty: is empty" in warnings
    assert "column gaps: is missing in 50% of the rows" in warnings
    assert "1 features have one value for each group (victims)" in warnings


def test_groups_of_one_outcome_and_rows_outside(tmp_path):
    frame = table(tmp_path)
    mined = np.where(frame["town"] == "A", frame["mined"], 0)
    table(tmp_path, mined=mined, east=np.asarray(frame["east"]) + 1000)
    report = check(tmp_path, table=TABLE)
    assert "1 of 2 groups have one outcome only (B)" in said(report, Severity.ERROR)
    assert "100 of 200 rows lie outside the region's extent" in said(report, Severity.WARNING)


def test_a_table_that_cannot_be_read(tmp_path):
    report = check(tmp_path, table={**TABLE, "source": "the study"})
    assert report.exit_status == 2
    assert report.rows[0].found is False
    assert "the study" in said(report)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({positive for _, positive in rows}) == 2
    )
)
@settings(max_examples=80, deadline=None)
def test_the_area_under_the_curve_is_that_of_scikit_learn(rows):
    values = np.array([value for value, _ in rows], dtype=float)
    positive = np.array([flag for _, flag in rows])
    assert roc_auc(values, positive) == pytest.approx(roc_auc_score(positive, values))


def test_one_outcome_has_no_curve():
    assert roc_auc(np.array([1.0, 2.0]), np.array([True, True])) is None


# ------------------------------------------------------------------------- real


def test_the_real_regions(real_data, project):

    expected = {
        "bosnia": {"hazard_areas.0": 2533, "settlements": 4111},
        "antioquia": {"table": 7019},
    }
    for name, counts in expected.items():
        tree = yaml.safe_load((project / f"configs/region/{name}.yaml").read_text())
        report = check_region(validate(RegionSettings, tree["region"]), real_data, today=TODAY)
        assert report.exit_status == 1
        assert counts.items() <= {row.key: row.count for row in report.rows}.items()
