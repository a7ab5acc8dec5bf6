import geopandas as gpd
import numpy as np
import pytest
import shapely

from hazardrank.errors import FeatureError
from hazardrank.features.segments import (
    chosen,
    class_words,
    metres_word,
    require_kind,
    segments_of,
)
from hazardrank.settings import LayerSettings


def test_a_line_becomes_its_steps_in_order_and_linked():
    segments = segments_of([shapely.LineString([(0, 0), (3, 4), (3, 10)])])
    assert segments.ends.tolist() == [[0, 0, 3, 4], [3, 4, 3, 10]]
    assert segments.lengths_m.tolist() == [5, 6]
    assert segments.previous.tolist() == [-1, 0]
    assert segments.following.tolist() == [1, -1]


def test_points_lines_polygons_and_collections_keep_the_order_of_features():
    square = shapely.box(0, 0, 1, 1)
    line = shapely.LineString([(5, 5), (6, 5)])
    several = shapely.GeometryCollection([shapely.Point(9, 9), shapely.MultiLineString([line])])
    segments = segments_of([several, shapely.Point(2, 2), square, None, shapely.Point(), line])
    assert segments.feature.tolist() == [0, 0, 1, 2, 2, 2, 2, 5]
    assert segments.ends[0].tolist() == [9, 9, 9, 9]
    assert segments.ends[2].tolist() == [2, 2, 2, 2]


def test_a_ring_is_linked_all_round():
    segments = segments_of([shapely.box(0, 0, 1, 1)])
    assert segments.previous.tolist() == [3, 0, 1, 2]
    assert segments.following.tolist() == [1, 2, 3, 0]


def test_holes_are_rings_of_the_same_feature():
    holed = shapely.box(0, 0, 9, 9).difference(shapely.box(3, 3, 6, 6))
    segments = segments_of([holed])
    assert len(segments) == 8
    assert set(segments.feature.tolist()) == {0}


def test_repeated_vertices_are_left_out_and_a_line_of_no_length_is_a_point():
    segments = segments_of(
        [shapely.LineString([(0, 0), (0, 0), (1, 0), (1, 0)]), shapely.LineString([(7, 7), (7, 7)])]
    )
    assert segments.ends.tolist() == [[0, 0, 1, 0], [7, 7, 7, 7]]
    assert segments.packed[:, 4].tolist() == [1, 0]


def test_nothing_packs_to_nothing():
    assert len(segments_of([])) == 0
    assert segments_of([]).packed.shape == (0, 5)


def test_taking_segments_cuts_links_to_those_left_out():
    segments = segments_of([shapely.LineString([(0, 0), (1, 0), (2, 0), (3, 0)])])
    part = segments.take(np.array([0, 2]))
    assert part.following.tolist() == [-1, -1]
    assert part.previous.tolist() == [-1, -1]


def test_features_and_bounds_select_segments():
    lines = [shapely.LineString([(k, 0), (k, 9)]) for k in range(4)]
    segments = segments_of(lines)
    assert segments.of_features(np.array([True, False, False, True])).feature.tolist() == [0, 3]
    assert segments.near((0.5, 0, 2, 1)).feature.tolist() == [1, 2]


def test_chosen_compares_all_columns_as_text():
    table = gpd.GeoDataFrame(
        {"class": ["a", "b", "a"], "status": [1, 1, 2]}, geometry=[shapely.Point()] * 3
    )
    assert chosen(table, {"class": ["a"], "status": ["1"]}, "p").tolist() == [True, False, False]
    assert chosen(table, {}, "p").all()


def test_a_missing_column_is_named_with_those_there_are():
    table = gpd.GeoDataFrame({"name": ["x"]}, geometry=[shapely.Point(0, 0)])
    with pytest.raises(FeatureError, match=r"features\.roads\.where: .*'class' \(columns: name\)"):
        chosen(table, {"class": ["a"]}, "features.roads.where")


def test_class_words_are_distinct():
    assert class_words(["Main road", "track"], "p") == {"Main road": "main_road", "track": "track"}
    with pytest.raises(FeatureError, match="do not give distinct names"):
        class_words(["Main road", "main-road"], "p")
    with pytest.raises(FeatureError, match="do not give distinct names"):
        class_words(["?"], "p")


def test_metres_in_names():
    assert [metres_word(m) for m in (500.0, 2.5, 20_000.0)] == ["500m", "2p5m", "20000m"]


def test_the_wrong_kind_of_layer_is_refused():
    layer = LayerSettings(path="dem.tif", kind="continuous", unit="m")
    with pytest.raises(FeatureError, match=r"dem\.tif is a layer of continuous; .*lines or points"):
        require_kind("features.roads", layer, "lines", "points")
