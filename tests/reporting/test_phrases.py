from __future__ import annotations

import math
from datetime import date

import pytest

from hazardrank.features.feature_set import build_features
from hazardrank.features.registry import FAMILIES, HISTORY_FAMILIES
from hazardrank.reporting.phrases import Place, metres, one_of, phrase, quantity
from hazardrank.settings import AnyFamilySettings, LayerSettings

CATALOGUE = {
    "elevation": LayerSettings(path="e.tif", kind="continuous", unit="m"),
    "rain": LayerSettings(path="r.tif", kind="continuous", unit="mm"),
    "cover": LayerSettings(path="c.tif", kind="categorical", classes={1: "forest", 2: "fields"}),
    "roads": LayerSettings(path="r.gpkg", kind="lines", columns={"class": "kind"}),
    "rivers": LayerSettings(path="w.gpkg", kind="lines"),
    "bridges": LayerSettings(path="b.gpkg", kind="points"),
    "camps": LayerSettings(path="p.gpkg", kind="polygons"),
    "front_lines": LayerSettings(
        path="f.gpkg", kind="lines", columns={"start": "a", "end": "b", "side": "s"}
    ),
    "settlements": LayerSettings(path="s.gpkg", kind="points", columns={"people": "n"}),
}
FAMILY_SETTINGS = {
    "terrain": {"family": "terrain", "radii_m": [300]},
    "cover": {"family": "land_cover", "layer": "cover", "radii_m": [500]},
    "rain": {"family": "raster", "layer": "rain"},
    "roads": {"family": "proximity", "layer": "roads", "classes": ["primary"], "cap_m": 10_000},
    "camps": {"family": "proximity", "layer": "camps", "signed": True, "cap_m": 10_000},
    "density": {"family": "density", "layer": "roads", "radii_m": [1000]},
    "bridges": {"family": "density", "layer": "bridges", "radii_m": [1000]},
    "fords": {"family": "crossings", "layer": "roads", "across": "rivers", "bridges": "bridges"},
    "front": {"family": "front_lines", "at": [date(1994, 5, 12)], "radii_m": [500], "side": True}
    | {"elevation": "elevation", "layer": "front_lines"},
    "villages": {"family": "settlements", "layer": "settlements", "population": "people"},
    "seen": {"family": "visibility", "layer": "front_lines", "elevation": "elevation"},
    "known": {"family": "history", "radii_m": [2000]},
}
SPECS = {
    spec.name: spec
    for spec in build_features(
        {key: AnyFamilySettings(**values) for key, values in FAMILY_SETTINGS.items()}, CATALOGUE
    ).specs
}
PLACE = Place(
    {"roads_primary_distance_m": 10_000.0, "front_distance_m": 20_000.0},
    {"front_lines": "1994–2020"},
)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("front_distance_m", 483.0, "480 m from the 1994–2020 front line"),
        ("front_distance_m", 20_000.0, "no front line within 20 km"),
        ("front_19940512_distance_m", 1234.0, "1.2 km from the nearest front line of 1994-05-12"),
        ("front_500m_held_years", 3.25, "a front line within 500 m for 3.2 years"),
        ("front_500m_held_years", 0.0, "no front line ever within 500 m"),
        ("front_500m_periods", 2.0, "2 separate periods of a front line within 500 m"),
        ("front_slope_toward", 0.8, "slope facing the front line"),
        ("front_signed_distance_m", -70.0, "70 m from the 1994–2020 front line, on the far side"),
        ("roads_primary_distance_m", 42.0, "42 m from the nearest road (primary)"),
        ("roads_primary_distance_m", 10_000.0, "no road (primary) within 10 km"),
        ("camps_distance_m", -120.0, "inside a camp, 120 m from its edge"),
        ("density_1000m_km_per_km2", 2.34, "2.3 km of road per km² within 1 km"),
        ("bridges_1000m_per_km2", 0.0, "no bridge within 1 km"),
        ("fords_distance_m", 210.0, "210 m from the nearest place where a road meets a river"),
        ("fords_bridge_distance_m", 900.0, "900 m from the nearest bridge"),
        ("villages_distance_m", 14_400.0, "14 km from the nearest settlement"),
        ("known_any_distance_m", 1100.0, "1.1 km from the nearest known hazard elsewhere"),
        ("known_accidents_distance_m", 60.0, "60 m from the nearest recorded accident elsewhere"),
        ("cover_forest", 0.78, "78 % of the cell is forest"),
        ("cover_fields_r500", 0.4, "40 % of the land within 500 m is fields"),
        ("terrain_elevation_m", 1240.4, "1,240 m above sea level"),
        ("terrain_slope_deg", 23.4, "slope of 23°"),
        ("terrain_northness", -0.9, "slope facing south"),
        ("terrain_tpi_r300_m", -12.0, "12 m below the mean height within 300 m"),
        ("seen_visible_share", 0.4, "seen from 40 % of the front line nearby"),
        ("rain_value_mm", 812.0, "rain: 812 mm"),
        ("terrain_slope_deg", math.nan, "steepness of the land: not known"),
    ],
)
def test_what_is_said(name, value, words):
    assert phrase(SPECS[name], value, PLACE) == words


@pytest.mark.parametrize("name", sorted(SPECS))
@pytest.mark.parametrize("value", [0.0, 0.37, 1.0, 12.5, 480.0, 20_000.0, -3.0, math.nan])
def test_every_feature_is_said_in_words_without_its_key(name, value):
    said = phrase(SPECS[name], value, PLACE)
    assert 5 < len(said) < 140
    assert name not in said
    assert not said.endswith(".")
    assert "nan" not in said.split()


def test_every_family_of_the_registry_is_tried_here():
    tried = {values["family"] for values in FAMILY_SETTINGS.values()}
    assert tried == {*FAMILIES, *HISTORY_FAMILIES}


def test_table_columns_go_by_their_name():
    from hazardrank.features.base import FeatureSpec

    spec = FeatureSpec("dist_road", "km", "table.csv", "table", "Column dist_road.")
    assert phrase(spec, 3.14159) == "dist road: 3.14 km"


def test_numbers_as_people_write_them():
    assert [metres(m) for m in (7.4, 99, 483, 996, 1250, 14_400)] == [
        *("7 m", "99 m", "480 m", "1 km", "1.2 km", "14 km")
    ]
    assert quantity(1234.5, "people") == "1,234 people"
    assert quantity(0.0123, "1") == "0.0123"
    assert quantity(4.2, "deg") == "4.2°"
    assert [one_of(key) for key in ("roads", "cities", "bus", "land_use")] == [
        *("road", "city", "bus", "land use")
    ]
