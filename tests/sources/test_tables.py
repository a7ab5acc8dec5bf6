"""Ready feature tables."""

import numpy as np
import pandas as pd
import pytest

from hazardrank.errors import LabelError, LayerError
from hazardrank.settings import TableSettings
from hazardrank.sources.tables import duplicated_cells, read_table

FRAME = {
    "lon": [10.0, 10.01, 10.02, 10.0],
    "lat": [45.0, 45.0, 45.0, 45.01],
    "outcome": [1, 0, -1, 0],
    "town": ["A", "A", None, "B"],
    "road_dist": [0.5, 1.5, np.nan, 3.5],
    "river_dist": [1.0, 2.0, 3.0, 4.0],
    "is_forest": [True, False, True, False],
    "victims": [7, 7, 9, 9],
}


def write(folder, changes=None, name="cells.csv"):
    frame = pd.DataFrame({**FRAME, **(changes or {})})
    path = folder / name
    frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
    return folder


def settings(**changes):
    plain = {"path": "cells.csv", "easting": "lon", "northing": "lat", "spacing": 0.01}
    return TableSettings(**{**plain, "outcome": "outcome", "group": "town", **changes})


def test_reads_what_the_settings_name(tmp_path):
    table = read_table(
        settings(features=["*_dist", "is_forest"], units={"*_dist": "km", "river_dist": "m"}),
        write(tmp_path),
    )
    assert table.names == ("road_dist", "river_dist", "is_forest")
    assert table.units == ("km", "m", "1")
    assert table.features.dtype == np.float32
    np.testing.assert_array_equal(
        table.features, [[0.5, 1, 1], [1.5, 2, 0], [np.nan, 3, 1], [3.5, 4, 0]]
    )
    assert table.outcome.tolist() == [1, 0, -1, 0]
    assert table.outcome.dtype == np.int8
    assert table.group.tolist() == ["A", "A", "", "B"]
    assert table.easting.tolist() == FRAME["lon"]
    assert table.northing.tolist() == FRAME["lat"]
    assert len(table) == 4


def test_csv_and_parquet_read_alike(tmp_path):
    write(tmp_path)
    write(tmp_path, name="cells.parquet")
    csv, parquet = (
        read_table(settings(path=name, exclude=["victims"]), tmp_path)
        for name in ("cells.csv", "cells.parquet")
    )
    assert csv.names == parquet.names == ("road_dist", "river_dist", "is_forest")
    np.testing.assert_array_equal(csv.features, parquet.features)


def test_without_features_all_numeric_columns_not_named_are_features(tmp_path):
    table = read_table(settings(exclude=["vic*"], group=None), write(tmp_path))
    assert table.names == ("road_dist", "river_dist", "is_forest")
    assert table.group is None


def test_outcomes_in_words_and_the_rest_unsurveyed(tmp_path):
    write(tmp_path, {"outcome": ["mined", "released", "?", None]})
    table = read_table(settings(contaminated=("mined",), released=("released",)), tmp_path)
    assert table.outcome.tolist() == [1, 0, -1, -1]


@pytest.mark.parametrize("setting", ["easting", "outcome", "group", "features", "exclude"])
def test_a_missing_column_names_its_neighbours(tmp_path, setting):
    wrong = ["rode_dist"] if setting in ("features", "exclude") else "rode_dist"
    with pytest.raises(LayerError, match=rf"'rode_dist' \(region.table.{setting}\).*'road_dist'"):
        read_table(settings(**{setting: wrong}), write(tmp_path))


def test_a_pattern_that_matches_nothing_is_refused(tmp_path):
    with pytest.raises(LayerError, match=r"no column like '\*_distance'"):
        read_table(settings(features=["*_distance"]), write(tmp_path))


def test_a_feature_in_words_is_refused(tmp_path):
    write(tmp_path, {"road_dist": [1.0, "far", 2.0, 3.0]})
    with pytest.raises(LayerError, match=r"'road_dist' is not numeric: 'far' \(row 2\)"):
        read_table(settings(features=["road_dist"]), tmp_path)


def test_the_outcome_is_no_feature(tmp_path):
    with pytest.raises(LayerError, match="'outcome' is a coordinate, the outcome or the group"):
        read_table(settings(features=["road_dist", "outcome"]), write(tmp_path))


def test_two_rows_of_one_cell_are_refused(tmp_path):
    write(tmp_path, {"lon": [10.0, 10.01, 10.0101, 10.0]})
    with pytest.raises(LayerError, match=r"1 rows lie on cells .* \(row 3\), at a spacing of 0.01"):
        read_table(settings(), tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, "east"])
def test_a_coordinate_that_is_no_finite_number_is_refused(tmp_path, bad):
    write(tmp_path, {"lon": [10.0, bad, 10.02, 10.0]})
    with pytest.raises(LayerError, match=r"'lon' is missing or not a finite number in 1 rows"):
        read_table(settings(), tmp_path)


def test_an_infinite_feature_is_refused(tmp_path):
    write(tmp_path, {"river_dist": [1.0, 2.0, 3.0, -np.inf]})
    with pytest.raises(LayerError, match=r"'river_dist' is infinite in 1 rows \(first in row 4\)"):
        read_table(settings(), tmp_path)


def test_no_contaminated_cell_is_refused(tmp_path):
    with pytest.raises(LabelError, match=r"no row of 'outcome'.*contaminated is '2'"):
        read_table(settings(contaminated=(2,)), write(tmp_path))


def test_an_outcome_cannot_mean_both(tmp_path):
    with pytest.raises(LabelError, match="mean both contaminated and released"):
        read_table(settings(contaminated=(1, 0)), write(tmp_path))


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(LayerError, match=r"cells.csv is missing.*data_dir is .*the study"):
        read_table(settings(source="the study"), tmp_path)


def test_other_files_and_crs_are_refused(tmp_path):
    (tmp_path / "cells.xlsx").write_text("")
    with pytest.raises(LayerError, match=r"neither .csv nor .parquet"):
        read_table(settings(path="cells.xlsx"), tmp_path)
    with pytest.raises(LayerError, match="'EPSG:1' is not a known CRS"):
        read_table(settings(crs="EPSG:1"), write(tmp_path))


def test_duplicates_are_found_on_the_lattice():
    east = np.array([0.0, 1.0, 1.04, 2.0])
    assert duplicated_cells(east, np.zeros(4), 1.0).tolist() == [False, False, True, False]
    assert duplicated_cells(east, np.arange(4.0), 1.0).tolist() == [False] * 4


def test_the_real_table(real_data):
    table = read_table(
        TableSettings(
            path="reland_antioquia/cells.csv",
            easting="longitude",
            northing="latitude",
            spacing=0.00897435,
            outcome="mines_outcome",
            group="municipality",
            features=["*_dist", "population_2020", "rwi"],
        ),
        real_data,
    )
    assert table.features.shape == (7019, 13)
    assert [int((table.outcome == code).sum()) for code in (1, 0, -1)] == [1132, 3357, 2530]
    assert len(set(table.group)) == 19
