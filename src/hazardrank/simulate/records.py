"""Records as they come in life: partial, displaced, late, and made where people go.

The programme starts in 2021, after the last phase of the conflict: every layer that
describes the conflict is older than every record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from hazardrank.records import Accident, HazardArea, HazardKind, HazardStatus, columns_of
from hazardrank.simulate.mines import Minefields
from hazardrank.simulate.scene import Points, Scene
from hazardrank.simulate.shapes import Polygon, moved, patch, tidy

FIRST_DAY = np.datetime64("2021-01-18")
LAST_DAY = np.datetime64("2024-12-31")
N_DAYS = int((LAST_DAY - FIRST_DAY).astype(int))

MAPPED_SHARE: Mapping[str, float] = {
    "belt": 0.5,
    "bridge": 0.35,
    "choke_point": 0.35,
    "height": 0.4,
}
"""Share of minefields by rule of which a map was handed over; all others: 0.08."""

UNKNOWN_DATE_SHARE = 0.04
ACCIDENTS_PER_KM2 = 0.045

Row = dict[str, Any]


@dataclass(frozen=True)
class Truth:
    """What lies in the ground, asked by polygon.

    Parameters
    ----------
    minefields : Minefields
        The true minefields.
    tree : STRtree
        Index of their polygons.
    """

    minefields: Minefields
    tree: shapely.STRtree

    @classmethod
    def of(cls, minefields: Minefields) -> Truth:
        """Index the minefields."""
        return cls(minefields, shapely.STRtree(minefields.polygon))

    def touching(self, area: shapely.Geometry) -> list[int]:
        """Return the minefields that touch an area, in their order."""
        return sorted(self.tree.query(area, predicate="intersects").tolist())

    def within(self, area: shapely.Geometry) -> shapely.Geometry:
        """Return the contaminated part of an area."""
        touched = self.minefields.polygon[self.touching(area)]
        return shapely.intersection(shapely.union_all(touched), area)


def table(rows: Sequence[Row], noun: type, crs: str, prefix: str, day: str) -> gpd.GeoDataFrame:
    """Return records in order of their date, numbered, with the columns of `noun`.

    Parameters
    ----------
    rows : sequence of dict
        Records with ``geometry``, without ``record_id``.
    noun : type
        One of the nouns of :mod:`hazardrank.records`.
    crs : str
        CRS of the geometries.
    prefix : str
        Start of the record ids.
    day : str
        Column to sort by; unknown dates come last.
    """
    columns = [*columns_of(noun), "geometry"]
    frame = pd.DataFrame(list(rows), columns=columns)
    frame = frame.sort_values(day, kind="stable", na_position="last").reset_index(drop=True)
    frame["record_id"] = [f"{prefix}-{number:04d}" for number in range(1, len(frame) + 1)]
    for column in columns:
        if column in {"reported", "closed", "completed", "occurred", "visited", "planned"}:
            frame[column] = frame[column].astype("datetime64[s]")
    return gpd.GeoDataFrame(frame, geometry="geometry", crs=crs)


def some_day(draws: np.random.Generator, last_share: float = 1.0) -> np.datetime64:
    """Return a day of the programme, in its first `last_share`."""
    return FIRST_DAY + int(draws.integers(0, max(1, int(N_DAYS * last_share))))


def hazard_row(
    polygon: Polygon, kind: HazardKind, device: str, evidence: str, reported: np.datetime64
) -> Row:
    """Return an open hazard area."""
    return {
        "kind": str(kind),
        "status": str(HazardStatus.OPEN),
        "device": device,
        "evidence": evidence,
        "reported": reported,
        "closed": np.datetime64("NaT"),
        "geometry": polygon,
    }


def near_people(scene: Scene, points: Points) -> NDArray[np.float64]:
    """Return how much people use ground, 0–1: near inhabited places, roads and tracks."""
    to_people_m = scene.settlements.distance_to(points, ~scene.settlements.abandoned)
    to_returns_m = scene.settlements.distance_to(points, scene.settlements.abandoned)
    people = np.exp(-to_people_m / 1800.0) + 0.5 * np.exp(-to_returns_m / 1200.0)
    roads = np.exp(-scene.to_roads_m(points) / 350.0)
    used: NDArray[np.float64] = np.clip(0.6 * people + 0.5 * roads, 0.0, 1.0)
    return used


def centres_of(polygons: NDArray[np.object_]) -> Points:
    """Return the centroids of polygons, shape (n, 2)."""
    return shapely.get_coordinates(shapely.centroid(polygons))


def inside_district(scene: Scene, polygons: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which polygons have their centroid in the district."""
    centres = centres_of(polygons)
    return scene.frame.in_district(centres[:, 0], centres[:, 1])


# ---------------------------------------------------------------- minefield maps


def map_rows(scene: Scene, minefields: Minefields) -> list[Row]:
    """Return suspected hazard areas drawn from the maps the forces handed over.

    A part of the maps lies where the mines are; of the others some are displaced and
    turned, some far too large, and some show minefields that were never laid.
    """
    draws = scene.frame.draws("minefield maps")
    rows = []
    share = np.array([MAPPED_SHARE.get(rule, 0.08) for rule in minefields.rule])
    mapped = (draws.random(len(minefields)) < share) & inside_district(scene, minefields.polygon)
    for row in np.flatnonzero(mapped):
        polygon = _as_mapped(scene, minefields.polygon[row], draws)
        rows.append(_map_row(polygon, str(minefields.device[row]), draws))
    n_false = round(0.3 * scene.frame.difficulty.unfounded * len(rows)) + 1
    for easting, northing in _false_places(scene, n_false, draws):
        polygon = patch(draws, easting, northing, draws.uniform(100.0, 220.0), 3.0)
        rows.append(_map_row(polygon, "AP", draws))
    return rows


def _map_row(polygon: Polygon, device: str, draws: np.random.Generator) -> Row:
    return hazard_row(polygon, HazardKind.SHA, device, "minefield map", some_day(draws, 0.5))


def _as_mapped(scene: Scene, polygon: Polygon, draws: np.random.Generator) -> Polygon:
    """Return a minefield as its map shows it."""
    right_share = scene.frame.difficulty.right_map_share
    if draws.random() < right_share:
        return moved(polygon, draws.normal(0, 15.0, 2), 0.0)
    if draws.random() < 0.4:
        grown = shapely.buffer(polygon, draws.uniform(60.0, 220.0), join_style="mitre")
        return moved(grown, draws.normal(0, 150.0, 2), draws.normal(0, 10.0))
    shift_m = draws.normal(0, scene.frame.difficulty.displacement_m, 2)
    return moved(polygon, shift_m, draws.normal(0, 30.0))


def _false_places(scene: Scene, n_places: int, draws: np.random.Generator) -> Points:
    """Return places in the district where maps show minefields that were never laid."""
    west, south, east, north = scene.frame.district.bounds
    points = np.column_stack(
        [draws.uniform(west, east, 50 * n_places), draws.uniform(south, north, 50 * n_places)]
    )
    chance = np.exp(-scene.to_front_m(points) / 1500.0) + 1e-9
    picked = draws.choice(len(points), n_places, replace=False, p=chance / chance.sum())
    chosen: Points = points[picked]
    return chosen


# ----------------------------------------------------------------- local reports


def report_rows(scene: Scene, minefields: Minefields) -> list[Row]:
    """Return suspected hazard areas from what people say: large, vague, some unfounded."""
    draws = scene.frame.draws("local reports")
    centres = centres_of(minefields.polygon)
    known = draws.random(len(minefields)) < 0.3 * near_people(scene, centres)
    places = centres[known & inside_district(scene, minefields.polygon)]
    places = places + draws.normal(0, 180.0, places.shape)
    roads = scene.roads.spots(500.0)
    roads = roads[scene.frame.in_district(roads[:, 0], roads[:, 1])]
    n_unfounded = min(len(roads), round(scene.frame.difficulty.unfounded * len(places)) + 1)
    rumour = roads[draws.choice(len(roads), n_unfounded, replace=False)]
    rumour = rumour + draws.normal(0, 400.0, rumour.shape)
    rows = []
    for easting, northing in np.concatenate([places, rumour]):
        polygon = patch(draws, easting, northing, draws.uniform(110.0, 260.0), 1.5)
        day = some_day(draws, 0.85)
        rows.append(hazard_row(polygon, HazardKind.SHA, "unknown", "local report", day))
    return rows


# --------------------------------------------------------------------- accidents


def make_accidents(scene: Scene, minefields: Minefields) -> gpd.GeoDataFrame:
    """Return accidents: where people use contaminated ground, placed by report.

    More people, nearer roads and larger minefields mean more accidents. Reported places
    are off by some tens of metres.
    """
    draws = scene.frame.draws("accidents")
    inner = minefields.take(inside_district(scene, minefields.polygon))
    rows: list[Row] = []
    if len(inner):
        chance = shapely.area(inner.polygon) * near_people(scene, centres_of(inner.polygon)) ** 2
        chance = chance + 1e-6 * chance.sum() + 1e-12
        n_accidents = max(3, round(ACCIDENTS_PER_KM2 * scene.frame.district_area_m2 / 1e6))
        hit = draws.choice(len(inner), n_accidents, p=chance / chance.sum())
        rows = [_accident(scene, inner, row, draws) for row in hit]
    return table(rows, Accident, scene.frame.district.crs, "AC", "occurred")


def _accident(scene: Scene, minefields: Minefields, row: int, draws: np.random.Generator) -> Row:
    polygon = minefields.polygon[row]
    west, south, east, north = polygon.bounds
    points = np.column_stack([draws.uniform(west, east, 60), draws.uniform(south, north, 60)])
    points = points[shapely.contains_xy(polygon, points)]
    if not len(points):
        points = shapely.get_coordinates(polygon.representative_point())
    trodden = near_people(scene, points)
    place = points[draws.choice(len(points), p=trodden / trodden.sum())]
    easting, northing = np.round(place + draws.normal(0, 35.0, 2), 1)
    return {
        "occurred": some_day(draws),
        "victims": float(1 + draws.poisson(0.5)),
        "device": str(minefields.device[row]).split(";")[0],
        "geometry": shapely.Point(easting, northing),
    }


def accident_rows(scene: Scene, accidents: gpd.GeoDataFrame) -> list[Row]:
    """Return suspected hazard areas that were drawn around half of the accidents."""
    draws = scene.frame.draws("areas after accidents")
    rows = []
    for point, occurred, device in zip(
        accidents.geometry, accidents["occurred"], accidents["device"], strict=True
    ):
        day = np.datetime64(occurred, "D") + int(draws.integers(3, 60))
        polygon = patch(draws, point.x, point.y, draws.uniform(100.0, 220.0))
        if draws.random() < 0.5 and day <= LAST_DAY:
            rows.append(hazard_row(polygon, HazardKind.SHA, device, "accident", day))
    return rows


# ------------------------------------------------------------------ hazard areas


def with_unknown_dates(rows: Sequence[Row], column: str, draws: np.random.Generator) -> list[Row]:
    """Return records some of which have lost the date in `column`."""
    lost = draws.random(len(rows)) < UNKNOWN_DATE_SHARE
    return [
        {**row, column: np.datetime64("NaT")} if gone else row
        for row, gone in zip(rows, lost, strict=True)
    ]


def hazard_table(scene: Scene, rows: Sequence[Row]) -> gpd.GeoDataFrame:
    """Return the table of hazard areas, a few without the date they were reported."""
    draws = scene.frame.draws("lost dates")
    kept = [{**row, "geometry": tidy(row["geometry"])} for row in rows]
    kept = [row for row in kept if not row["geometry"].is_empty]
    crs = scene.frame.district.crs
    return table(with_unknown_dates(kept, "reported", draws), HazardArea, crs, "HA", "reported")
