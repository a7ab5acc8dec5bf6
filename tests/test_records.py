"""Hazard records: what remains when some of them are unknown."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
from shapely.geometry import Point

from hazardrank.records import EVENT_DATES, RECORD_NOUNS, Accident, HazardRecords, columns_of

CRS = "EPSG:32633"


def accidents(*days):
    columns = {name: [None] * len(days) for name in columns_of(Accident)}
    columns["occurred"] = pd.to_datetime(list(days))
    return gpd.GeoDataFrame(columns, geometry=[Point(k, 0) for k in range(len(days))], crs=CRS)


def test_records_of_the_day_and_later_and_those_without_a_date_are_unknown():
    records = HazardRecords(
        CRS, accidents=accidents("2001-05-01", "2004-01-01", "2009-05-01", None)
    )
    known = records.known_before(np.datetime64("2004-01-01"))
    assert known.accidents.geometry.x.tolist() == [0.0]
    assert known.counts() == {"hazard_areas": 0, "clearance": 0, "accidents": 1, "survey": 0}


def test_every_kind_of_record_has_the_column_of_its_date():
    assert set(EVENT_DATES) == set(RECORD_NOUNS)
    assert all(column in columns_of(RECORD_NOUNS[kind]) for kind, column in EVENT_DATES.items())
