import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import LayerError
from hazardrank.settings import TableContextSettings, TableSettings
from hazardrank.sources import table_context
from hazardrank.sources.table_context import context_features, places_m
from hazardrank.sources.tables import read_table


def context(values, place_m, radius_m, statistics=("mean", "sd")):
    asked = TableContextSettings(columns=["a"], radii_m=[radius_m], statistics=list(statistics))
    return context_features(place_m, np.array(values, float)[:, None], ("a",), ("km",), asked)


LINE = np.column_stack([[0.0, 1000, 2000, 3000], np.zeros(4)])


def test_a_row_of_four_by_hand():
    # 1000 m: each cell and its neighbours. First: mean (1 + 3) / 2, sd 1. Second: 1, 3, 8.
    found = context([1, 3, 8, 10], LINE, 1000)
    assert found.names == ("a_mean_1000m", "a_sd_1000m")
    assert found.units == ("km", "km")
    assert found.descriptions[1] == "Standard deviation of a within 1 km."
    np.testing.assert_allclose(found.values[:, 0], [2, 4, 7, 9], rtol=1e-6)
    np.testing.assert_allclose(found.values[0, 1], 1, rtol=1e-6)
    np.testing.assert_allclose(found.values[1, 1], np.std([1, 3, 8]), rtol=1e-6)


def test_missing_values_are_left_out_and_missing_all_around_stays_missing():
    found = context([1, np.nan, np.nan, np.nan], LINE, 1000, ["mean"]).values[:, 0]
    np.testing.assert_array_equal(found, np.array([1, 1, np.nan, np.nan], np.float32))


def test_rounding_makes_no_negative_people():
    # Seen from their common mean, a disc of empty cells adds up to -2e-15 instead of zero.
    people = np.zeros(200)
    people[-3:] = 0.1, 0.7, 1787.3
    place_m = np.column_stack([1000.0 * np.arange(200), np.zeros(200)])
    found = context(people, place_m, 7000, ["mean"]).values[:, 0]
    assert found.min() == 0
    assert found[-1] == pytest.approx(people.sum() / 8)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.floats(100, 4000), st.integers(0, 2**16))
def test_it_equals_the_plain_loop_and_no_chunking_matters(n_rows, radius_m, seed):
    rng = np.random.default_rng(seed)
    place_m, values = rng.uniform(0, 5000, (n_rows, 2)), rng.normal(1e4, 1, n_rows)
    near = [values[np.hypot(*(place_m - here).T) <= radius_m] for here in place_m]
    whole = context(values, place_m, radius_m).values
    np.testing.assert_allclose(whole[:, 0], [part.mean() for part in near], rtol=1e-6)
    np.testing.assert_allclose(whole[:, 1], [part.std() for part in near], atol=1e-3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_context, "MAX_PAIRS", 7)
        np.testing.assert_array_equal(context(values, place_m, radius_m).values, whole)


def test_degrees_become_metres_and_metres_stay():
    # One degree of latitude near the equator is 110.6 km (WGS 84), times UTM's 0.9996.
    places = places_m(np.array([-75.0, -75.0]), np.array([0.0, 1.0]), "EPSG:4326")
    np.testing.assert_allclose(np.diff(places[:, 1]), 110_530, rtol=1e-3)
    same = places_m(np.array([5e5]), np.array([6e5]), "EPSG:32618")
    np.testing.assert_array_equal(same, [[5e5, 6e5]])


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "e": np.arange(12) * 1000.0,
            "n": 0.0,
            "outcome": [1, 0, -1] * 4,
            "near": rng.random(12),
            "forest": np.arange(12) % 2,
            "victims": rng.random(12),
        }
    )
    frame.to_csv(tmp_path / "cells.csv", index=False)

    def read(**changes):
        given = {
            "path": "cells.csv",
            "easting": "e",
            "northing": "n",
            "crs": "EPSG:32618",
            "spacing": 1000,
            "outcome": "outcome",
            "features": ["near"],
            "exclude": ["victims"],
            "units": {"near": "km"},
        }
        return read_table(TableSettings(**(given | changes)), tmp_path)

    return frame, read


def test_a_table_gets_its_context_over_all_rows_and_outcomes_play_no_part(table, tmp_path):
    frame, read = table
    asked = [{"columns": ["near", "forest"], "radii_m": [1000], "statistics": ["mean"]}]
    found = read(context=asked)
    assert found.names == ("near", "near_mean_1000m", "forest_mean_1000m")
    assert found.units == ("km", "km", "1")
    assert found.descriptions == (
        "Column near.",
        "Mean of near within 1 km.",
        "Mean of forest within 1 km.",
    )
    by_hand = frame["near"].rolling(3, center=True, min_periods=1).mean()
    np.testing.assert_allclose(found.features[:, 1], by_hand, rtol=1e-6)
    frame.assign(outcome=[0, 1, 1] * 4).to_csv(tmp_path / "cells.csv", index=False)
    np.testing.assert_array_equal(read(context=asked).features, found.features)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["nowhere"], "there is no column 'nowhere'"),
        (["outcome"], "'outcome' is a coordinate, the outcome or the group"),
        (["victims"], "has no feature columns"),
    ],
)
def test_context_of_what_is_no_feature_is_refused(table, columns, message):
    with pytest.raises(LayerError, match=message):
        table[1](context=[{"columns": columns, "radii_m": [1000]}])


def test_the_same_context_twice_is_refused(table):
    with pytest.raises(LayerError, match="near_mean_1000m, near_sd_1000m would be there twice"):
        table[1](context=[{"columns": ["near"], "radii_m": [1000]}] * 2)
