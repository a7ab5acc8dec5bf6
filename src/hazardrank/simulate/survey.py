"""Survey visits: along roads, around villages, to where maps and people point."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.records import HazardKind, SurveyVisit
from hazardrank.simulate.records import (
    FIRST_DAY,
    N_DAYS,
    Row,
    Truth,
    centres_of,
    hazard_row,
    inside_district,
    near_people,
    table,
)
from hazardrank.simulate.scene import Points, Scene
from hazardrank.simulate.shapes import Polygon, patch, stretch, tidy

COVERED_SHARE = 0.32
"""Share of the district that survey visits cover."""

POINT_SPACING_M = 125.0


def make_survey(
    scene: Scene, truth: Truth, reported: Sequence[Row]
) -> tuple[gpd.GeoDataFrame, list[Row]]:
    """Return survey visits and the confirmed hazard areas they led to.

    Visits go where people are, where roads lead and where something was reported, and
    thin out elsewhere, until :data:`COVERED_SHARE` of the district is covered. A visit
    meets evidence of a minefield with a probability that grows with the area it sees.
    """
    draws = scene.frame.draws("survey")
    candidates = _candidates(scene, reported, draws)
    chosen = _covering(scene, candidates, draws)
    visits: list[Row] = []
    found: list[Row] = []
    confirmed: set[int] = set()
    for place, polygon in enumerate(chosen):
        day = FIRST_DAY + int(
            np.clip(N_DAYS * (place / len(chosen) + draws.normal(0, 0.1)), 5, N_DAYS - 60)
        )
        evidence = _evidence(scene, truth, polygon, day, draws)
        found.extend(row for minefield, row in evidence.items() if minefield not in confirmed)
        confirmed.update(evidence)
        visits.append({"visited": day, "evidence_found": bool(evidence), "geometry": polygon})
    return table(visits, SurveyVisit, scene.frame.district.crs, "SV", "visited"), found


def _candidates(
    scene: Scene, reported: Sequence[Row], draws: np.random.Generator
) -> list[tuple[float, Polygon]]:
    """Return polygons a team might visit with their priority, higher first."""
    polygons = [*_along_roads(scene, draws), *_around_villages(scene, draws)]
    reports = [shapely.buffer(row["geometry"], draws.uniform(60.0, 250.0)) for row in reported]
    reports = [area for area in reports if draws.random() < 0.55]
    polygons.extend(tidy(shapely.simplify(area, 15.0)) for area in reports)
    array = np.array(polygons, dtype=object)
    array = array[inside_district(scene, array)]
    n_reports = len(reports)
    priority = 2.0 * near_people(scene, centres_of(array)) + 0.8 * draws.gumbel(size=len(array))
    if n_reports:
        priority[-n_reports:] += 1.0
    return list(zip(priority.tolist(), array, strict=True))


def _along_roads(scene: Scene, draws: np.random.Generator) -> list[Polygon]:
    """Return stretches of road with the land on both sides."""
    polygons = []
    for line in scene.roads.line:
        at_m = 0.0
        while at_m < line.length:
            length_m = draws.uniform(1200.0, 3000.0)
            piece = stretch(line, at_m, min(at_m + length_m, line.length))
            at_m += length_m
            width_m = draws.uniform(180.0, 480.0)
            polygons.append(tidy(shapely.simplify(shapely.buffer(piece, width_m), 15.0)))
    return polygons


def _around_villages(scene: Scene, draws: np.random.Generator) -> list[Polygon]:
    """Return the surroundings of all settlements, abandoned ones too."""
    places = scene.settlements
    reach_m = 450.0 + 12.0 * np.sqrt(places.people)
    return [
        patch(draws, easting, northing, reach * draws.uniform(0.8, 1.2), 1.3)
        for (easting, northing), reach in zip(places.points, reach_m, strict=True)
    ]


def _covering(
    scene: Scene, candidates: list[tuple[float, Polygon]], draws: np.random.Generator
) -> list[Polygon]:
    """Take polygons by priority until they cover the wanted share of the district."""
    spots = _spots(scene)
    tree = gpd.GeoSeries.from_xy(spots[:, 0], spots[:, 1]).sindex
    covered = np.zeros(len(spots), bool)
    chosen = []
    for _, polygon in sorted(candidates, key=lambda candidate: -candidate[0]):
        seen = tree.query(polygon, predicate="contains")
        if len(seen) and covered[seen].mean() > 0.7:
            continue
        covered[seen] = True
        chosen.append(polygon)
        if covered.mean() >= COVERED_SHARE:
            break
    return chosen


def _spots(scene: Scene) -> Points:
    """Return evenly spaced points of the district, to measure covered area by."""
    west, south, east, north = scene.frame.district.bounds
    eastings: NDArray[np.float64] = np.arange(west + POINT_SPACING_M / 2, east, POINT_SPACING_M)
    northings = np.arange(south + POINT_SPACING_M / 2, north, POINT_SPACING_M)
    grid = np.meshgrid(eastings, northings)
    return np.column_stack([grid[0].ravel(), grid[1].ravel()])


def _evidence(
    scene: Scene,
    truth: Truth,
    polygon: Polygon,
    day: np.datetime64,
    draws: np.random.Generator,
) -> dict[int, Row]:
    """Return the confirmed hazard areas of the minefields a visit meets evidence of."""
    rows = {}
    for row in truth.touching(polygon):
        minefield = truth.minefields.polygon[row]
        seen_m2 = shapely.intersection(minefield, polygon).area
        if draws.random() > 1.0 - np.exp(-seen_m2 / scene.frame.difficulty.detection_m2):
            continue
        drawn = shapely.buffer(minefield, draws.uniform(10.0, 70.0), join_style="mitre")
        drawn = shapely.simplify(drawn, 10.0)
        if not inside_district(scene, np.array([drawn], dtype=object))[0]:
            continue
        device = str(truth.minefields.device[row])
        later = day + int(draws.integers(1, 40))
        rows[row] = hazard_row(tidy(drawn), HazardKind.CHA, device, "direct evidence", later)
    return rows
