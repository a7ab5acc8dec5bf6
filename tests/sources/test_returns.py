"""Settlements and return plans."""

import geopandas as gpd
import pytest
import shapely

from hazardrank.errors import LayerError
from hazardrank.records import SettlementReturn, columns_of
from hazardrank.settings import LayerSettings
from hazardrank.sources.returns import read_returns

UTM = "EPSG:32638"
PLACES = [shapely.Point(0, 0), shapely.Point(100, 0)]


def write(folder, geometries=PLACES, **columns):
    gpd.GeoDataFrame(columns, geometry=list(geometries), crs=UTM).to_file(folder / "r.gpkg")


def layer(**changes):
    return LayerSettings(**{"path": "r.gpkg", "kind": "points", "role": "consequence", **changes})


def test_columns_are_ours_by_mapping_or_by_name(tmp_path):
    write(tmp_path, code=["A", None], families=[12, None], planned=["2026-05-01", None],
          Status=["under way", ""])  # fmt: skip
    returns = read_returns(
        layer(columns={"households": "families", "record_id": "code"}), UTM, tmp_path
    )
    assert list(returns.columns) == [*columns_of(SettlementReturn), "geometry"]
    assert returns["households"].tolist()[0] == 12.0
    assert returns["households"].isna().tolist() == [False, True]
    assert returns["people"].isna().all()
    assert returns["planned"].dt.year.tolist()[0] == 2026
    assert returns["status"].tolist() == ["under way", None]
    assert returns["record_id"].tolist()[0] == "A"
    assert returns["record_id"].tolist()[1].startswith("r-")


def test_polygons_stay_polygons_and_are_reprojected(tmp_path):
    write(tmp_path, [shapely.box(500_000, 4_000_000, 500_100, 4_000_100)], people=[7])
    returns = read_returns(layer(kind="polygons"), "EPSG:32637", tmp_path)
    assert returns.crs == "EPSG:32637"
    assert returns.geom_type.tolist() == ["Polygon"]
    assert returns["people"].tolist() == [7.0]


def test_lines_are_no_settlements(tmp_path):
    with pytest.raises(LayerError, match="points or polygons, this layer is lines"):
        read_returns(layer(kind="lines"), UTM, tmp_path)


def test_a_missing_file_is_told_by_its_key(tmp_path):
    with pytest.raises(LayerError, match=r"region.layers.plans: .*r.gpkg is missing"):
        read_returns(layer(), UTM, tmp_path, "plans")


def test_a_mapped_column_must_be_there(tmp_path):
    write(tmp_path, n=[1, 2])
    with pytest.raises(LayerError, match="has no column 'folk'"):
        read_returns(layer(columns={"people": "folk"}), UTM, tmp_path)
