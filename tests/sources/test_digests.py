"""Digests tell which data a result was made from."""

import hashlib

import pytest

from hazardrank.settings import (
    ExtentSettings,
    LayerSettings,
    RecordSource,
    RecordsSettings,
    RegionSettings,
    TableSettings,
)
from hazardrank.sources.digests import digest_inputs, digest_path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def region():
    return RegionSettings(
        name="here",
        crs="EPSG:32638",
        cell_size_m=100,
        extent=ExtentSettings(mask="mask.gpkg"),
        country="country.gpkg",
        layers={
            "dem": LayerSettings(path="dem.tif", kind="continuous"),
            "web": LayerSettings(path="https://host/cover.tif", kind="categorical"),
        },
        records=RecordsSettings(
            hazard_areas=[RecordSource(path="sha.gpkg")],
            clearance=[RecordSource(path="records.gpkg")],
            accidents=[RecordSource(path="records.gpkg")],
            survey=[RecordSource(path="survey.gpkg")],
        ),
        table=TableSettings(
            path="cells.csv", easting="e", northing="n", spacing=100, outcome="mines"
        ),
    )


def test_every_named_file_has_its_digest(region, tmp_path):
    names = ["mask.gpkg", "country.gpkg", "dem.tif", "sha.gpkg", "records.gpkg", "cells.csv"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode() * 300_000)  # more than one chunk
    found = digest_inputs(region, tmp_path)
    assert found == {
        **{name: sha256(name.encode() * 300_000) for name in names},
        "https://host/cover.tif": "remote",
        "survey.gpkg": "absent",
    }
    assert list(found) == sorted(found)


def test_a_changed_file_has_another_digest(tmp_path):
    path = tmp_path / "dem.tif"
    path.write_bytes(b"one")
    assert digest_path(str(path)) == sha256(b"one")
    path.write_bytes(b"other")
    assert digest_path(str(path)) == sha256(b"other")


def test_a_shapefile_is_digested_with_its_side_files(tmp_path):
    shape = tmp_path / "roads.shp"
    shape.write_bytes(b"shapes")
    alone = digest_path(str(shape))
    (tmp_path / "roads.dbf").write_bytes(b"attributes")
    with_attributes = digest_path(str(shape))
    (tmp_path / "roads.dbf").write_bytes(b"attributes!")
    assert len({alone, with_attributes, digest_path(str(shape))}) == 3
    (tmp_path / "roads.qix").write_bytes(b"an index says nothing new")
    (tmp_path / "roads.dbf").write_bytes(b"attributes")
    assert digest_path(str(shape)) == with_attributes


def test_an_archive_and_a_folder_are_digested_whole(tmp_path):
    (tmp_path / "roads.zip").write_bytes(b"zip")
    assert digest_path(f"/vsizip/{tmp_path}/roads.zip/roads.shp") == sha256(b"zip")
    folder = tmp_path / "base.gdb"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    before = digest_path(str(folder))
    (folder / "b").write_bytes(b"2")
    assert digest_path(str(folder)) != before
