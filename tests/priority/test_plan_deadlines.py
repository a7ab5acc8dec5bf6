from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from hazardrank.errors import FeatureError
from hazardrank.priority.plan_deadlines import deadlines_of

TASKS = shapely.points([[0, 0], [3000, 0], [9000, 0]])


def returns(*rows, **more):
    """Return plans at eastings, with dates."""
    dates = pd.to_datetime(pd.Series([day for _, day in rows])).astype("datetime64[s]")
    places = [shapely.Point(easting, 0) for easting, _ in rows]
    return gpd.GeoDataFrame({"planned": dates, **more}, geometry=places, crs="EPSG:32638")


def found(table):
    deadlines = deadlines_of(TASKS, table, 2000, date(2025, 3, 1))
    days = ["" if np.isnat(day) else str(day) for day in deadlines.day]
    return days, deadlines.overdue.tolist()


def test_first_return_within_reach_sets_the_deadline():
    table = returns((1000, "2025-06-30"), (1500, "2025-05-31"), (6999, "2025-04-30"), (0, None))
    assert found(table) == (["2025-05-31", "2025-05-31", ""], [False] * 3)


def test_returns_before_the_season_set_none():
    table = returns((0, "2025-02-28"), (3000, "2025-03-01"))
    assert found(table) == (["", "2025-03-01", ""], [True, False, False])


def test_what_is_done_or_given_up_is_not_due():
    table = returns((0, "2025-06-30"), (0, "2025-05-31"), status=["planned", "cancelled"])
    assert found(table)[0] == ["2025-06-30", "", ""]


def test_dates_are_needed():
    table = returns((0, "2025-06-30")).drop(columns="planned")
    with pytest.raises(FeatureError, match="no column 'planned'"):
        found(table)
