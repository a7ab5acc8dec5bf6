"""Hazard records from files, in our terms."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from hazardrank.errors import LayerError, RecordError
from hazardrank.records import HazardRecords
from hazardrank.settings import RegionSettings
from hazardrank.sources.hazard_records import read_records, record_ids

UTM = "EPSG:32638"
BOWTIE = shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])


def square(west, south, side=100.0):
    return shapely.box(west, south, west + side, south + side)


def write(folder, name, geometries, crs=UTM, **columns):
    """Write a GeoPackage (or the format of the name's ending) and return its name."""
    table = gpd.GeoDataFrame(columns, geometry=list(geometries), crs=crs)
    table.to_file(folder / name)
    return name


def region(**records):
    return RegionSettings(
        name="valley",
        crs=UTM,
        cell_size_m=100,
        extent={"bbox": (0, 0, 1000, 1000)},
        records={kind: [source] for kind, source in records.items()},
    )


def test_all_kinds_come_in_our_terms_with_hazards(tmp_path):
    areas = write(
        tmp_path,
        "areas.gpkg",
        [square(0, 0), square(50, 0), square(500, 0)],
        record_id=["H1", None, "H3"],
        kind=["SHA", "cha", "Confirmed"],
        status=["Open", "closed", None],
        reported=["2001-02-03", None, "2003-01-01"],
    )
    cleared = write(
        tmp_path,
        "cleared.geojson",
        [square(60, 10, 20), square(0, 500)],
        method=["Clearance", "cancelled"],
        devices_found=[3, None],
    )
    accidents = write(tmp_path, "acc.gpkg", [shapely.Point(550, 50), shapely.Point(900, 900)])
    survey = write(tmp_path, "nts.gpkg", [square(0, 0, 900)], evidence_found=["no"])
    records = read_records(
        region(
            hazard_areas={"path": areas},
            clearance={"path": cleared},
            accidents={"path": accidents, "constants": {"occurred": "1999-12-31"}},
            survey={"path": survey},
        ),
        tmp_path,
    )
    assert records.counts() == {"hazard_areas": 3, "clearance": 2, "accidents": 2, "survey": 1}
    assert records.hazard_areas["kind"].tolist() == ["SHA", "CHA", "CHA"]
    assert records.hazard_areas["status"].tolist() == ["open", "closed", "unknown"]
    assert records.hazard_areas["reported"].isna().tolist() == [False, True, False]
    assert records.hazard_areas["hazard_id"].tolist() == [0, 0, 1]
    assert records.clearance["hazard_id"].tolist() == [0, -1]
    assert records.accidents["hazard_id"].tolist() == [1, 2]
    assert records.accidents["occurred"].dt.year.tolist() == [1999, 1999]
    assert records.found().tolist() == [True, False]
    assert records.survey["evidence_found"].tolist() == [False]
    ids = records.hazard_areas["record_id"].tolist()
    assert ids[0] == "H1"
    assert ids[1].startswith("areas-")


def test_no_records_are_empty_tables_with_hazards(tmp_path):
    records = read_records(region(), tmp_path)
    assert isinstance(records, HazardRecords)
    assert set(records.counts().values()) == {0}
    for table in (records.hazard_areas, records.clearance, records.accidents):
        assert table["hazard_id"].dtype == np.int64


def test_other_crs_is_reprojected(tmp_path):
    corner = gpd.GeoSeries([square(500_000, 4_000_000)], crs=UTM).to_crs("EPSG:4326")
    name = write(tmp_path, "a.gpkg", corner, crs="EPSG:4326", kind=["SHA"])
    [area] = read_records(region(hazard_areas={"path": name}), tmp_path).hazard_areas.geometry
    assert area.bounds == pytest.approx((500_000, 4_000_000, 500_100, 4_000_100), abs=0.01)


def test_broken_polygons_are_repaired_and_missing_ones_left_out(tmp_path):
    name = write(tmp_path, "a.gpkg", [BOWTIE, None, square(0, 0)], kind=["SHA"] * 3)
    areas = read_records(region(hazard_areas={"path": name}), tmp_path).hazard_areas
    assert len(areas) == 2
    assert areas.geometry.is_valid.all()
    assert areas.area.tolist() == pytest.approx([5000, 10_000])


def test_several_files_of_a_kind_are_joined(tmp_path):
    first = write(tmp_path, "a.gpkg", [square(0, 0)], kind=["SHA"])
    second = write(tmp_path, "b.gpkg", [square(0, 0)], nothing=[1])
    settings = RegionSettings(
        **region().model_dump(exclude={"records"}),
        records={"hazard_areas": [{"path": first}, {"path": second, "constants": {"kind": "CHA"}}]},
    )
    areas = read_records(settings, tmp_path).hazard_areas
    assert areas["kind"].tolist() == ["SHA", "CHA"]
    assert areas["hazard_id"].tolist() == [0, 0]


def test_where_leaves_records_out(tmp_path):
    name = write(tmp_path, "a.gpkg", [square(0, 0), square(200, 0)], kind=["SHA", "odd"])
    kept = read_records(region(hazard_areas={"path": name, "where": {"kind": ["SHA"]}}), tmp_path)
    assert kept.hazard_areas["kind"].tolist() == ["SHA"]


def test_points_among_hazard_areas_are_refused(tmp_path):
    name = write(tmp_path, "a.geojson", [square(0, 0), shapely.Point(5, 5)], kind=["SHA", "SHA"])
    with pytest.raises(RecordError, match=r"1 of 2 records are points .*\(row 2\)"):
        read_records(region(hazard_areas={"path": name}), tmp_path)


def test_polygons_among_accidents_are_refused(tmp_path):
    name = write(tmp_path, "a.gpkg", [square(0, 0)])
    with pytest.raises(RecordError, match="polygons instead of points"):
        read_records(region(accidents={"path": name}), tmp_path)


def test_coordinates_that_lie_nowhere_are_refused(tmp_path):
    name = write(tmp_path, "a.gpkg", [shapely.Point(10, 95)], crs="EPSG:4326")
    with pytest.raises(RecordError, match=r"1 records have coordinates with no place"):
        read_records(region(accidents={"path": name}), tmp_path)


def test_a_missing_file_says_where_to_get_it(tmp_path):
    source = {"path": "gone.gpkg", "source": "the national authority"}
    with pytest.raises(RecordError, match=r"hazard_areas.0.*gone.gpkg.*the national authority"):
        read_records(region(hazard_areas=source), tmp_path)


def test_a_file_without_crs_needs_one(tmp_path):
    write(tmp_path, "a.shp", [square(0, 0)], kind=["SHA"])
    (tmp_path / "a.prj").unlink()
    with pytest.raises(LayerError, match="does not say its CRS"):
        read_records(region(hazard_areas={"path": "a.shp"}), tmp_path)
    told = read_records(region(hazard_areas={"path": "a.shp", "crs": UTM}), tmp_path)
    assert told.hazard_areas.area.tolist() == [10_000]


def test_derived_ids_depend_on_the_geometry_alone():
    shapes = np.array([square(0, 0), square(1, 0), square(0, 0)], dtype=object)
    none = pd.Series([None, None, None], dtype=object)
    ids = record_ids(none, shapes, "a")
    assert ids[2] == f"{ids[0]}-2"
    assert len(set(ids)) == 3
    assert record_ids(none, shapes[::-1], "a")[1] == ids[1]
    assert record_ids(pd.Series(["x", None, None], dtype=object), shapes, "a")[0] == "x"


def test_the_real_records(real_data):
    settings = RegionSettings(
        **region().model_dump(exclude={"records", "crs"}),
        crs="EPSG:32633",
        records={
            "hazard_areas": [{"path": "bosnia/hazard_areas.geojson", "constants": {"kind": "SHA"}}],
            "accidents": [{"path": "bosnia/incidents.geojson"}],
        },
    )
    records = read_records(settings, real_data)
    assert records.counts() == {"hazard_areas": 2533, "clearance": 0, "accidents": 362, "survey": 0}
    assert records.hazard_areas.area.sum() / 1e6 == pytest.approx(326, abs=1)
    assert records.hazard_areas["record_id"].is_unique
    # 62 incidents repeat the place of another; 45 lie inside hazard areas.
    assert records.accidents["hazard_id"].nunique() == 296
