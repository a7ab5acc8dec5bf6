"""Land released: hazard areas worked off, and ground verified before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.records import ClearanceRecord, HazardKind, HazardStatus, ReleaseMethod
from hazardrank.simulate.records import (
    LAST_DAY,
    Row,
    Truth,
    centres_of,
    inside_district,
    near_people,
    some_day,
    table,
    with_unknown_dates,
)
from hazardrank.simulate.scene import Scene
from hazardrank.simulate.shapes import Polygon, patch, strip, tidy

VERIFIED_SHARE = 0.07
"""Share of the district verified before use (roads, fields, building ground)."""

LEAST_AREA_M2 = 400.0
MINES_PER_HA = 9.0

METHODS = (str(ReleaseMethod.CANCELLED), str(ReleaseMethod.REDUCED), str(ReleaseMethod.CLEARED))
SEARCHED = (0.1, 0.3, 0.6)
"""How confirmed areas and worksites without ordnance are released, by method."""
SURVEYED = (0.6, 0.2, 0.2)
"""How suspected areas without ordnance are released, by method."""


@dataclass(frozen=True)
class Job:
    """An area to be worked off.

    Parameters
    ----------
    polygon : Polygon
        The area.
    completed : datetime64[D]
        Day the work is done.
    confirmed : bool
        Whether the evidence is direct: then the ground is searched, not only surveyed.
    """

    polygon: Polygon
    completed: np.datetime64
    confirmed: bool


def release(
    scene: Scene, truth: Truth, hazards: Sequence[Row]
) -> tuple[list[Row], gpd.GeoDataFrame]:
    """Work off hazard areas and verify ground.

    Parameters
    ----------
    scene : Scene
        The land and its people.
    truth : Truth
        What lies in the ground: it decides what clearance finds.
    hazards : sequence of dict
        Open hazard areas.

    Returns
    -------
    hazards : list of dict
        The hazard areas, those worked off closed.
    clearance : GeoDataFrame
        Land cancelled, reduced and cleared; no land is released twice.
    """
    after, jobs = _work_off(scene, truth, hazards)
    jobs.extend(_verification(scene))
    jobs.sort(key=lambda job: job.completed)
    draws = scene.frame.draws("clearance")
    rows: list[Row] = []
    done: list[Polygon] = []
    for job in jobs:
        for polygon in _not_yet(job.polygon, done):
            done.append(polygon)
            rows.extend(_divide(truth, polygon, job, draws))
    dated = with_unknown_dates(rows, "completed", scene.frame.draws("lost completion dates"))
    crs = scene.frame.district.crs
    return after, table(dated, ClearanceRecord, crs, "CL", "completed")


def _not_yet(polygon: Polygon, done: list[Polygon]) -> list[Polygon]:
    """Return the parts of a polygon that were not released before."""
    if done:
        before = np.array(done, dtype=object)
        before = before[shapely.intersects(before, polygon)]
        return _parts(shapely.difference(polygon, shapely.union_all(before)))
    return _parts(polygon)


def _work_off(scene: Scene, truth: Truth, hazards: Sequence[Row]) -> tuple[list[Row], list[Job]]:
    """Close hazard areas, likelier where people use the ground."""
    draws = scene.frame.draws("release")
    polygons = np.array([row["geometry"] for row in hazards], dtype=object)
    used = near_people(scene, centres_of(polygons))
    held_m2 = np.array([shapely.area(truth.within(polygon)) for polygon in polygons])
    always = {int(np.argmax(held_m2)), int(np.argmin(held_m2))}
    after, jobs = [], []
    for row, hazard in enumerate(hazards):
        begun = draws.random() < 0.08 + 0.35 * used[row]
        completed = hazard["reported"] + int(draws.integers(60, 600))
        if row in always:
            begun, completed = True, min(completed, LAST_DAY)
        if not begun or completed > LAST_DAY:
            after.append(hazard)
            continue
        after.append({**hazard, "status": str(HazardStatus.CLOSED), "closed": completed})
        jobs.append(Job(polygons[row], completed, hazard["kind"] == str(HazardKind.CHA)))
    return after, jobs


def _divide(truth: Truth, polygon: Polygon, job: Job, draws: np.random.Generator) -> list[Row]:
    """Return the parts of an area by how each was released.

    Where ordnance lies, it is found and the ground around it cleared; the rest of the
    area is given up by survey or, at times, cleared without finding anything.
    """
    held = truth.within(polygon)
    if shapely.area(held) < LEAST_AREA_M2:
        shares = SEARCHED if job.confirmed else SURVEYED
        return [_released(polygon, draws.choice(METHODS, p=shares), job, 0.0)]
    cleared = shapely.intersection(shapely.buffer(held, draws.uniform(5.0, 40.0)), polygon)
    rows = []
    for part in _parts(cleared):
        n_found = draws.poisson(MINES_PER_HA * shapely.area(truth.within(part)) / 1e4)
        rows.append(_released(part, "cleared", job, float(max(1, n_found))))
    rest = "reduced" if job.confirmed else "cancelled"
    for part in _parts(shapely.difference(polygon, cleared)):
        rows.append(_released(part, rest, job, 0.0))
    return rows


def _parts(area: shapely.Geometry) -> list[Polygon]:
    parts = [tidy(part) for part in shapely.get_parts(area) if part.area >= LEAST_AREA_M2]
    return [part for part in parts if part.area >= LEAST_AREA_M2]


def _released(polygon: Polygon, method: str, job: Job, n_found: float) -> Row:
    return {
        "method": str(method),
        "completed": job.completed,
        "devices_found": n_found,
        "geometry": polygon,
    }


def _verification(scene: Scene) -> list[Job]:
    """Return ground verified before use, near fronts and people; most of it holds nothing."""
    draws = scene.frame.draws("verification")
    wanted_m2 = VERIFIED_SHARE * scene.frame.district_area_m2
    jobs: list[Job] = []
    planned_m2 = 0.0
    for polygon in _worksites(scene, draws):
        jobs.append(Job(polygon, some_day(draws), confirmed=True))
        planned_m2 += polygon.area
        if planned_m2 >= wanted_m2:
            break
    return jobs


def _worksites(scene: Scene, draws: np.random.Generator) -> list[Polygon]:
    """Return road verges, fields and building ground in the order they are verified."""
    roads = scene.roads.of("primary", "secondary")
    verges = [strip(line, 0.0, draws.uniform(90.0, 200.0)) for line in _cut(roads)]
    west, south, east, north = scene.frame.district.bounds
    n_sites = max(30, round(3 * scene.frame.district_area_m2 / 1e6))
    places = np.column_stack(
        [draws.uniform(west, east, n_sites), draws.uniform(south, north, n_sites)]
    )
    fields = [
        patch(draws, easting, northing, draws.uniform(150.0, 420.0), 1.6)
        for easting, northing in places
    ]
    sites = np.array([site for site in (*verges, *fields) if not site.is_empty], dtype=object)
    sites = sites[inside_district(scene, sites)]
    centres = centres_of(sites)
    wanted = 1.5 * near_people(scene, centres) + 2.0 * np.exp(-scene.to_front_m(centres) / 1500.0)
    order = np.argsort(-(wanted + 0.6 * draws.gumbel(size=len(sites))), kind="stable")
    return [sites[k] for k in order]


def _cut(lines: NDArray[np.object_]) -> list[shapely.LineString]:
    """Return lines cut into stretches of about a kilometre."""
    stretches = []
    for line in lines:
        corners = shapely.get_coordinates(shapely.segmentize(line, 250.0))
        for first in range(0, len(corners) - 1, 5):
            part = corners[first : first + 6]
            if len(part) > 1:
                stretches.append(shapely.LineString(part))
    return stretches
