"""Vector layers come out valid, in our words, whole and in order, from every format."""

import logging
import threading
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely import LineString, Point, Polygon, box

from hazardrank.errors import LayerError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources import prepared, vectors
from hazardrank.sources.vectors import VectorStore, read_vector_file

CRS = "EPSG:32638"
GRID = SurveyGrid(CRS, 100, 5000, 45000, 60, 70)  # 500–507 km E, 4494–4500 km N
OFFSET = np.array([500_000, 4_499_000])
BOW_TIE = Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])


def roads(n=3, crs=CRS):
    lines = [
        LineString([(500_000 + 500 * k, 4_499_000), (500_400 + 500 * k, 4_499_000)])
        for k in range(n)
    ]
    return gpd.GeoDataFrame(
        {
            "highway": [["primary", "track", None][k % 3] for k in range(n)],
            "opened": pd.to_datetime([["1991-05-01", None, "2003-02-28"][k % 3] for k in range(n)]),
            "lanes": [2, 1, 1][:n] if n < 4 else list(range(n)),
        },
        geometry=lines,
        crs=CRS,
    ).to_crs(crs)


COLUMNS = {"class": "highway", "start": "opened", "lanes": "lanes"}


def store(folder, margin_m=50_000.0, **layer):
    layer = {"path": "roads.gpkg", "kind": "lines", "columns": COLUMNS} | layer
    return VectorStore({"roads": LayerSettings(**layer)}, folder, folder / "cache", GRID, margin_m)


# ------------------------------------------------------------------------- formats


def write_as(suffix, frame, folder):
    path = folder / f"roads{suffix}"
    if suffix in (".shp", ".zip"):  # a Shapefile has no time of day: dates as text
        frame = frame.assign(opened=frame["opened"].dt.strftime("%Y-%m-%d"))
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".zip":
        shapes = folder / "shapes"
        shapes.mkdir()
        frame.to_file(shapes / "roads.shp")
        with zipfile.ZipFile(path, "w") as archive:
            for part in sorted(shapes.iterdir()):
                archive.write(part, part.name)
    elif suffix == ".csv":
        pd.DataFrame(frame.drop(columns="geometry")).assign(
            wkt=frame.geometry.to_wkt(rounding_precision=-1)
        ).to_csv(path, index=False)
    else:
        frame.to_file(path)
    return path.name


@pytest.mark.parametrize(
    "suffix", [".gpkg", ".geojson", ".shp", ".zip", ".fgb", ".parquet", ".csv"]
)
def test_every_format_gives_the_same_features(tmp_path, suffix):
    frame = roads(crs="EPSG:4326")
    name = write_as(suffix, frame, tmp_path)
    found = store(tmp_path, path=name).read("roads", GRID.bounds)
    expected = frame.to_crs(CRS)
    if suffix == ".fgb":  # written in the order of a space-filling curve
        found = found.sort_values("start", na_position="first")
        expected = expected.sort_values("opened", na_position="first")
    assert found.crs == CRS
    assert shapely.equals_exact(
        found.geometry.to_numpy(), expected.geometry.to_numpy(), tolerance=1e-3
    ).all()
    assert [value if isinstance(value, str) else None for value in found["class"]] == [
        value if isinstance(value, str) else None for value in expected["highway"]
    ]
    assert found["start"].dtype == "datetime64[s]"
    assert (
        found["start"].dt.strftime("%Y-%m-%d").tolist()
        == expected["opened"].dt.strftime("%Y-%m-%d").tolist()
    )
    assert found["lanes"].tolist() == expected["lanes"].tolist()


def test_csv_with_longitude_and_latitude(tmp_path):
    (tmp_path / "places.csv").write_text(
        "name,longitude,latitude,pop\nA,45.01,40.6,12\nB,45.02,40.6,\n"
    )
    layer = {"people": "pop", "name": "name"}
    found = store(tmp_path, path="places.csv", kind="points", columns=layer).read(
        "roads", GRID.bounds
    )
    easting, northing = Transformer.from_crs(4326, CRS, always_xy=True).transform(45.01, 40.6)
    assert found.geometry.iloc[0].distance(Point(easting, northing)) < 1e-6
    np.testing.assert_array_equal(found["people"], [12, np.nan])
    assert found["name"].tolist() == ["A", "B"]


# -------------------------------------------------------------------- what is read


def test_only_what_where_asks_for_is_read(tmp_path):
    roads(5).to_file(tmp_path / "roads.gpkg")
    chosen = store(tmp_path, where={"lanes": ["1", "4"]}).read("roads", GRID.bounds)
    assert chosen["lanes"].tolist() == [1, 4]


def test_years_are_dates_and_ends_last_to_the_end(tmp_path):
    frame = roads().assign(a=[1992, 1994, 1995], b=["1992", "", "1995-06"[:4]])
    frame.to_file(tmp_path / "roads.gpkg")
    found = store(tmp_path, columns={"start": "a", "end": "b"}).read("roads", GRID.bounds)
    assert found["start"].dt.strftime("%Y-%m-%d").tolist() == [
        "1992-01-01",
        "1994-01-01",
        "1995-01-01",
    ]
    assert found["end"].dt.strftime("%Y-%m-%d").fillna("").tolist() == [
        "1992-12-31",
        "",
        "1995-12-31",
    ]


def test_geometries_are_valid_flat_and_there(tmp_path):
    shifted = shapely.transform(BOW_TIE, lambda points: points + OFFSET)
    raised = shapely.force_3d(box(500_300, 4_499_000, 500_400, 4_499_100), 7)
    frame = gpd.GeoDataFrame(geometry=[shifted, None, raised, Polygon()], crs=CRS)
    frame.to_file(tmp_path / "fields.gpkg")
    found = store(tmp_path, path="fields.gpkg", kind="polygons", columns={}).read(
        "roads", GRID.bounds
    )
    assert found.geometry.area.tolist() == pytest.approx([5000, 10_000])  # the bow tie keeps all
    assert found.is_valid.all()
    assert not found.has_z.any()


def test_the_polygon_part_of_a_repair_is_kept(tmp_path):
    spike = Polygon([(0, 0), (100, 0), (100, 100), (300, 100), (100, 100), (0, 100)])
    whole = shapely.transform(spike, lambda points: points + OFFSET)
    assert shapely.make_valid(whole).geom_type == "GeometryCollection"
    gpd.GeoDataFrame(geometry=[whole], crs=CRS).to_file(tmp_path / "fields.gpkg")
    found = store(tmp_path, path="fields.gpkg", kind="polygons", columns={}).read(
        "roads", GRID.bounds
    )
    assert found.geometry.iloc[0].area == pytest.approx(10_000)
    assert found.geometry.iloc[0].geom_type in ("Polygon", "MultiPolygon")


def test_a_multipoint_of_one_point_is_a_point(tmp_path):
    one = shapely.MultiPoint([(500_000, 4_499_000)])
    gpd.GeoDataFrame(geometry=[one], crs=CRS).to_file(tmp_path / "p.gpkg")
    found = store(tmp_path, path="p.gpkg", kind="points", columns={}).read("roads", GRID.bounds)
    assert found.geometry.iloc[0] == Point(500_000, 4_499_000)
    two = shapely.MultiPoint([(500_000, 4_499_000), (500_100, 4_499_000)])
    gpd.GeoDataFrame(geometry=[one, two], crs=CRS).to_file(tmp_path / "q.gpkg")
    with pytest.raises(LayerError, match=r"several points each \(the first: feature 2\)"):
        store(tmp_path, path="q.gpkg", kind="points", columns={}).read("roads", GRID.bounds)


def test_long_edges_keep_their_course(tmp_path):
    """A straight edge of 2° along 40.6° N is no straight line between its reprojected ends."""
    edge = LineString([(44, 40.6), (46, 40.6)])
    gpd.GeoDataFrame(geometry=[edge], crs=4326).to_file(tmp_path / "roads.gpkg")
    found = store(tmp_path, columns={}).read("roads", GRID.bounds).geometry.iloc[0]
    to_metres = Transformer.from_crs(4326, CRS, always_xy=True)
    on_course = Point(to_metres.transform(45.03, 40.6))
    assert found.distance(on_course) < 1
    ends = LineString([to_metres.transform(44, 40.6), to_metres.transform(46, 40.6)])
    assert ends.distance(on_course) > 100


def test_a_polygon_round_the_world_is_cut_to_the_region(tmp_path):
    gpd.GeoDataFrame(geometry=[box(-180, -90, 180, 90)], crs=4326).to_file(tmp_path / "w.gpkg")
    found = store(tmp_path, path="w.gpkg", kind="polygons", columns={}).read("roads", GRID.bounds)
    assert shapely.covers(found.geometry.iloc[0], box(*GRID.bounds))
    assert np.isfinite(found.total_bounds).all()


# ------------------------------------------------------------------------ by bounds


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    west=st.floats(470_000, 530_000),
    south=st.floats(4_470_000, 4_520_000),
    width=st.floats(1, 20_000),
    held=st.booleans(),
)
def test_any_bounds_give_what_shapely_gives(shared_store, seed, west, south, width, held):
    frame, layers = shared_store[held]
    bounds = (west, south, west + width, south + (seed % 100 + 1) / 100 * width)
    found = layers.read("roads", bounds)
    expected = frame[shapely.intersects(frame.geometry.to_numpy(), box(*bounds))]
    assert found["lanes"].tolist() == expected["lanes"].tolist()
    assert (found.geometry.to_numpy() == expected.geometry.to_numpy()).all()


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    """The same 2,000 lines in a store that holds them in memory and one that does not."""
    rng = np.random.default_rng(3)
    starts = rng.uniform([465_000, 4_465_000], [540_000, 4_530_000], (2000, 2))
    lines = shapely.linestrings(starts[:, None] + rng.normal(0, 700, (2000, 4, 2)).cumsum(axis=1))
    frame = gpd.GeoDataFrame({"lanes": np.arange(2000)}, geometry=lines, crs=CRS)
    stores = {}
    for held in (True, False):
        folder = tmp_path_factory.mktemp("lines")
        frame.to_file(folder / "roads.gpkg")
        layers = store(folder, columns={"lanes": "lanes"})
        stores[held] = frame, layers if held else _never_held(layers)
    return stores


def _never_held(layers):
    class NeverHeld:
        def read(self, key, bounds):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(prepared, "HELD_BYTES", 0)
                return layers.read(key, bounds)

    return NeverHeld()


def test_features_are_read_in_chunks_in_file_order(tmp_path, monkeypatch):
    roads(25).to_file(tmp_path / "roads.gpkg")
    chunks = vectors.VectorFile.chunks
    monkeypatch.setattr(
        vectors.VectorFile,
        "chunks",
        lambda self, columns, bounds: chunks(self, columns, bounds, chunk_features=10),
    )
    bounds = (480_000.0, 4_490_000.0, 530_000.0, 4_510_000.0)
    found = store(tmp_path).read("roads", bounds)
    assert found["lanes"].tolist() == list(range(25))
    assert found.index.tolist() == list(range(25))
    whole = read_vector_file(str(tmp_path / "roads.gpkg"), None, CRS, columns=COLUMNS)
    assert whole["lanes"].tolist() == list(range(25))


def test_nothing_nearby_is_an_empty_table_with_its_columns(tmp_path):
    roads().to_file(tmp_path / "roads.gpkg")
    far = store(tmp_path).read("roads", (520_000.0, 4_499_000.0, 520_100.0, 4_499_100.0))
    assert far.empty
    assert {"class", "start", "lanes"} <= set(far.columns)
    assert far["start"].dtype == "datetime64[s]"
    elsewhere = roads()
    elsewhere["geometry"] = elsewhere.translate(300_000, 0)
    elsewhere.to_file(tmp_path / "elsewhere.gpkg")
    none = store(tmp_path, path="elsewhere.gpkg").read("roads", GRID.bounds)
    assert none.empty
    assert {"class", "start", "lanes"} <= set(none.columns)
    assert none["start"].dtype == "datetime64[s]"


def test_beyond_the_margin_is_an_error_not_a_gap(tmp_path):
    roads().to_file(tmp_path / "roads.gpkg")
    west, south, east, north = GRID.bounds
    layers = store(tmp_path, margin_m=1000)
    assert len(layers.read("roads", (west - 1000, south, east, north))) == 3
    with pytest.raises(LayerError, match=r"1500 m beyond .* margin of 1000 m.*Lower the distance"):
        layers.read("roads", (west - 1500, south, east, north))


def test_a_change_by_the_caller_does_not_reach_the_next(tmp_path):
    roads().to_file(tmp_path / "roads.gpkg")
    layers = store(tmp_path)
    first = layers.read("roads", GRID.bounds)
    first["lanes"] = 99.0
    first.loc[first.index[0], "class"] = "changed"
    again = layers.read("roads", GRID.bounds)
    assert again["lanes"].tolist() == [2, 1, 1]
    assert again["class"].iloc[0] == "primary"


# ------------------------------------------------------------------- prepared once


def test_the_prepared_file_is_used_again_until_something_changes(tmp_path, monkeypatch):
    roads().to_file(tmp_path / "roads.geojson")
    layer = {"path": "roads.geojson"}
    store(tmp_path, **layer).read("roads", GRID.bounds)
    (made,) = sorted((tmp_path / "cache").iterdir())

    def never(*args, **more):
        raise AssertionError("prepared anew")

    with monkeypatch.context() as patch:
        patch.setattr(VectorStore, "_plan", never)
        assert len(store(tmp_path, **layer).read("roads", GRID.bounds)) == 3
    store(tmp_path, where={"lanes": ["1"]}, **layer).read("roads", GRID.bounds)
    store(tmp_path, margin_m=10, **layer).read("roads", GRID.bounds)
    assert len(list((tmp_path / "cache").iterdir())) == 3
    roads(4).to_file(tmp_path / "roads.geojson")
    assert len(store(tmp_path, **layer).read("roads", GRID.bounds)) == 4
    assert made.exists()


def test_several_may_prepare_at_once(tmp_path):
    roads(40).to_file(tmp_path / "roads.gpkg")
    counts = []

    def read():
        counts.append(len(store(tmp_path).read("roads", GRID.bounds)))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [15] * 4
    (only,) = (tmp_path / "cache").iterdir()
    assert only.suffix == ".fgb"


def test_a_failed_preparation_leaves_nothing(tmp_path):
    frame = roads().assign(opened=["1999-01-01", "in spring", None])
    frame.to_file(tmp_path / "roads.gpkg")
    with pytest.raises(LayerError, match=r"column 'opened'.*'in spring' cannot be read as a date"):
        store(tmp_path).read("roads", GRID.bounds)
    cache = tmp_path / "cache"
    assert not cache.exists() or not list(cache.iterdir())


# -------------------------------------------------------------------------- refused


def test_another_kind_is_refused_and_some_others_are_left_out(tmp_path, caplog):
    roads().to_file(tmp_path / "roads.gpkg")
    with pytest.raises(LayerError, match=r"is declared as polygons but holds lines.*kind"):
        store(tmp_path, kind="polygons").read("roads", GRID.bounds)
    mixed = gpd.GeoDataFrame(geometry=[roads().geometry[0], Point(500_000, 4_499_000)], crs=CRS)
    mixed.to_file(tmp_path / "mixed.gpkg")
    with caplog.at_level(logging.WARNING):
        found = store(tmp_path, path="mixed.gpkg", columns={}).read("roads", GRID.bounds)
    assert found.geom_type.tolist() == ["LineString"]
    assert "1 features are no lines and are left out" in caplog.text


def test_a_layer_must_be_named_where_there_are_several(tmp_path):
    roads().to_file(tmp_path / "roads.gpkg", layer="old")
    roads(5).to_file(tmp_path / "roads.gpkg", layer="new")
    with pytest.raises(LayerError, match=r"holds 2 layers \(old, new\) and none is named"):
        store(tmp_path).read("roads", GRID.bounds)
    with pytest.raises(LayerError, match="has no layer 'oldest'; it has old, new"):
        store(tmp_path, layer="oldest").read("roads", GRID.bounds)
    assert len(store(tmp_path, layer="new").read("roads", GRID.bounds)) == 5


def test_a_file_without_crs_needs_one_in_the_settings(tmp_path):
    write_as(".shp", roads(), tmp_path)
    (tmp_path / "roads.prj").unlink()
    with pytest.raises(LayerError, match=r"does not say its CRS.*\.prj"):
        store(tmp_path, path="roads.shp").read("roads", GRID.bounds)
    assert len(store(tmp_path, path="roads.shp", crs=CRS).read("roads", GRID.bounds)) == 3


def test_a_crs_that_contradicts_the_file_is_refused(tmp_path):
    roads().to_file(tmp_path / "roads.gpkg")
    with pytest.raises(LayerError, match=r"says its CRS is .*38N, the settings say EPSG:4326"):
        store(tmp_path, crs="EPSG:4326").read("roads", GRID.bounds)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    roads().to_file(tmp_path / "roads.gpkg")
    with pytest.raises(
        LayerError, match=r"no column 'fclass'.*columns are: highway, opened, lanes"
    ):
        store(tmp_path, columns={"class": "fclass"}).read("roads", GRID.bounds)


def test_a_number_that_is_none_is_refused(tmp_path):
    roads().assign(pop=["12", "many", None]).to_file(tmp_path / "roads.gpkg")
    with pytest.raises(LayerError, match="column 'pop': 'many' is not a number"):
        store(tmp_path, columns={"people": "pop"}).read("roads", GRID.bounds)


def test_swapped_coordinates_are_refused(tmp_path):
    frame = gpd.GeoDataFrame(geometry=[Point(4_499_000_000, 45)], crs=4326)
    frame.to_file(tmp_path / "p.gpkg")
    with pytest.raises(LayerError, match=r"1 features lie where EPSG:32638 is not defined"):
        read_vector_file(str(tmp_path / "p.gpkg"), None, CRS)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(LayerError, match=r"region\.layers\.roads: .*roads\.gpkg is missing.*OSM"):
        store(tmp_path, source="OSM").read("roads", GRID.bounds)
    (tmp_path / "roads.gpkg").write_text("no vectors")
    with pytest.raises(LayerError, match="cannot be read as a vector file"):
        store(tmp_path).read("roads", GRID.bounds)
    (tmp_path / "bare.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LayerError, match=r"has no geometry.*longitude and latitude"):
        store(tmp_path, path="bare.csv", columns={}).read("roads", GRID.bounds)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(LayerError, match="Parquet file without geometry"):
        store(tmp_path, path="bare.parquet", columns={}).read("roads", GRID.bounds)


# --------------------------------------------------------------------- whole files


def test_a_whole_file_keeps_its_columns_and_all_kinds(tmp_path):
    roads().to_file(tmp_path / "roads.gpkg")
    found = read_vector_file(str(tmp_path / "roads.gpkg"), None, "EPSG:4326")
    assert list(found.columns) == ["highway", "opened", "lanes", "geometry"]
    assert found.crs == "EPSG:4326"
    near = read_vector_file(
        str(tmp_path / "roads.gpkg"),
        None,
        CRS,
        bounds=(500_950.0, 4_498_000.0, 501_100.0, 4_500_000.0),
    )
    assert near["lanes"].tolist() == [1]


def test_where_compares_as_people_write(tmp_path):
    frame = roads().assign(open=[True, False, True], width=[2.0, 2.5, np.nan])
    frame.to_file(tmp_path / "roads.gpkg")
    path = str(tmp_path / "roads.gpkg")

    def lanes(**where):
        return read_vector_file(path, None, CRS, where=where).index.tolist()

    assert lanes(open=["true"]) == [0, 2]
    assert lanes(width=["2", "2.5"]) == [0, 1]
    assert lanes(opened=["1991-05-01"]) == [0]
    assert lanes(highway=["primary", "track"]) == [0, 1]


@pytest.mark.parametrize("name", ["confrontation_line", "municipalities", "settlements"])
def test_real_layers_agree_with_geopandas(name, tmp_path, real_data):
    path = real_data / "bosnia" / f"{name}.geojson"
    ours = read_vector_file(str(path), None, "EPSG:32633")
    theirs = gpd.read_file(path).to_crs(32633)
    assert len(ours) == len(theirs)
    apart = ours.geometry.reset_index(drop=True).hausdorff_distance(theirs.geometry)
    assert apart.max() < 1


@pytest.fixture
def real_data():
    import os

    folder = os.environ.get("HAZARDRANK_DATA")
    if not folder or not Path(folder).exists():
        pytest.skip("the real data are not here: HAZARDRANK_DATA names no folder")
    return Path(folder)
