"""Paths of the settings become paths that GDAL opens."""

from pathlib import Path

import pytest

from hazardrank.errors import LayerError, RecordError
from hazardrank.sources.paths import is_remote, local_file, must_exist, resolve

DATA = Path("/data")


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("roads.gpkg", "/data/roads.gpkg"),
        ("north/roads.gpkg", "/data/north/roads.gpkg"),
        ("/srv/roads.gpkg", "/srv/roads.gpkg"),
        ("/vsicurl/https://host/dem.tif", "/vsicurl/https://host/dem.tif"),
        ("https://host/dem.tif", "/vsicurl/https://host/dem.tif"),
        ("s3://bucket/dem.tif", "/vsis3/bucket/dem.tif"),
        ("file:///srv/roads.gpkg", "/srv/roads.gpkg"),
        ("roads.zip", "/vsizip//data/roads.zip"),
        ("zip://roads.zip!shapes/roads.shp", "/vsizip//data/roads.zip/shapes/roads.shp"),
        ("zip:///srv/roads.zip", "/vsizip//srv/roads.zip"),
        ("zip://https://host/a.zip!dem.tif", "/vsizip//vsicurl/https://host/a.zip/dem.tif"),
    ],
)
def test_resolve(path, resolved):
    assert resolve(path, DATA) == resolved


def test_an_unknown_scheme_is_refused():
    with pytest.raises(LayerError, match="'ftps://' is not a scheme"):
        resolve("ftps://host/dem.tif", DATA)


@pytest.mark.parametrize(
    ("resolved", "file"),
    [
        ("/data/roads.gpkg", Path("/data/roads.gpkg")),
        ("/vsizip//data/roads.zip/shapes/roads.shp", Path("/data/roads.zip")),
        ("/vsizip//data/roads.zip", Path("/data/roads.zip")),
        ("/vsizip/{/data/odd}/x.shp", Path("/data/odd/x.shp")),
        ("/vsigzip//data/roads.geojson.gz", Path("/data/roads.geojson.gz")),
        ("/vsicurl/https://host/dem.tif", None),
        ("/vsizip//vsicurl/https://host/a.zip/dem.tif", None),
        ("/vsimem/dem.tif", None),
    ],
)
def test_local_file(resolved, file):
    assert local_file(resolved) == file


def test_remote_is_told_from_local():
    assert is_remote("/vsizip//vsis3/bucket/a.zip/dem.tif")
    assert not is_remote("/vsizip//data/a.zip/dem.tif")


def test_must_exist_returns_what_is_there(tmp_path):
    (tmp_path / "roads.gpkg").touch()
    assert must_exist("roads.gpkg", tmp_path, "region.layers.roads") == str(tmp_path / "roads.gpkg")


def test_a_missing_file_names_key_path_and_remedy(tmp_path):
    with pytest.raises(LayerError) as caught:
        must_exist("roads.gpkg", tmp_path, "region.layers.roads", source="Geofabrik")
    assert str(caught.value) == (
        f"region.layers.roads: the file {tmp_path / 'roads.gpkg'} is missing. "
        f"data_dir is {tmp_path}; set data_dir=PATH or correct the path. "
        "Where to get it: Geofabrik"
    )


def test_a_missing_data_dir_is_said(tmp_path):
    with pytest.raises(RecordError, match=r"data_dir is .*nowhere, which does not exist"):
        must_exist("a.zip", tmp_path / "nowhere", "region.records", error=RecordError)
