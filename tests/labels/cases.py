"""Small hazard records for tests: squares on a grid of 10 m cells."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
from shapely.geometry import Point, Polygon, box

from hazardrank.grid import SurveyGrid
from hazardrank.labels.outcomes import Labeller
from hazardrank.records import RECORD_NOUNS, HazardRecords, columns_of
from hazardrank.settings import LabelRule, LabelSettings

CRS = "EPSG:32633"
#: Ten by ten cells of 10 m; its lower-left corner is (500000, 4900000).
GRID = SurveyGrid.covering(CRS, 10, (500_000, 4_900_000, 500_100, 4_900_100))


def at(west, south, east, north):
    """A rectangle in metres from the grid's lower-left corner."""
    return box(500_000 + west, 4_900_000 + south, 500_000 + east, 4_900_000 + north)


def point(easting, northing):
    return Point(500_000 + easting, 4_900_000 + northing)


def table(kind, rows):
    """A table of records from dicts; columns not given are unknown."""
    columns = columns_of(RECORD_NOUNS[kind])
    data = {column: [row.get(column) for row in rows] for column in columns}
    dates = {"reported", "closed", "completed", "occurred", "visited"}
    for column in set(columns) & dates:
        data[column] = pd.to_datetime(pd.Series(data[column], dtype="object"))
    for column in set(columns) & {"devices_found", "victims"}:
        data[column] = pd.Series(data[column], dtype="float64")
    frame = gpd.GeoDataFrame(data, geometry=[row["geometry"] for row in rows], crs=CRS)
    if kind != "survey":
        frame["hazard_id"] = np.array([row.get("hazard_id", -1) for row in rows], np.int64)
    return frame


def records(**kinds):
    return HazardRecords(CRS, **{kind: table(kind, rows) for kind, rows in kinds.items()})


def labeller(hazards, *rules, precedence="finds_then_latest", **kwargs):
    settings = LabelSettings(rules=[LabelRule(**rule) for rule in rules], precedence=precedence)
    return Labeller(hazards, settings, **kwargs)


CHA = {"record": "hazard_areas", "where": {"kind": ["CHA"]}, "outcome": "contaminated"}
SHA = {
    "record": "hazard_areas",
    "where": {"kind": ["SHA"]},
    "outcome": "contaminated",
    "weight": 0.5,
}
FINDS = {"record": "clearance", "found": True, "outcome": "contaminated"}
CLEARED = {"record": "clearance", "where": {"method": ["cleared"]}, "outcome": "released"}
SURVEYED = {"record": "survey", "where": {"evidence_found": [False]}, "outcome": "released"}


def blob(rng, n_corners=7, radius_m=40.0):
    """A star-shaped polygon somewhere on the grid or over its edge."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, n_corners))
    radii = rng.uniform(0.2, 1.0, n_corners) * radius_m
    east, north = rng.uniform(0, 100, 2)
    return Polygon(
        [
            (500_000 + east + r * np.cos(a), 4_900_000 + north + r * np.sin(a))
            for a, r in zip(angles, radii, strict=True)
        ]
    ).buffer(0)
