"""Land released: hazard areas worked off, and ground verified before it is used."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import shapely

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

VERIFIED_SHARE = 0.05
"""Share of the district verified before use (roads, fields, building ground)."""

LEAST_AREA_M2 = 400.0
MINES_PER_HA = 9.0


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
        Land cancelled, reduced and cleared.
    """
    worked_off, released = _work_off(scene, truth, hazards)
    released.extend(_verified(scene, truth))
    draws = scene.frame.draws("lost completion dates")
    dated = with_unknown_dates(released, "completed", draws)
    crs = scene.frame.district.crs
    return worked_off, table(dated, ClearanceRecord, crs, "CL", "completed")


def _work_off(scene: Scene, truth: Truth, hazards: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Close hazard areas, those that people use first."""
    draws = scene.frame.draws("release")
    polygons = np.array([row["geometry"] for row in hazards], dtype=object)
    used = near_people(scene, centres_of(polygons))
    held_m2 = np.array([truth.within(polygon).area for polygon in polygons])
    always = {int(np.argmax(held_m2)), int(np.argmin(held_m2))}
    after, released = [], []
    for row, hazard in enumerate(hazards):
        days = int(draws.integers(60, 600))
        begun = draws.random() < 0.15 + 0.5 * used[row]
        completed = hazard["reported"] + days
        if row in always:
            begun, completed = True, min(completed, LAST_DAY)
        if not begun or completed > LAST_DAY:
            after.append(hazard)
            continue
        after.append({**hazard, "status": str(HazardStatus.CLOSED), "closed": completed})
        confirmed = hazard["kind"] == str(HazardKind.CHA)
        released.extend(_divide(truth, polygons[row], confirmed, completed, draws))
    return after, released


def _divide(
    truth: Truth,
    polygon: Polygon,
    confirmed: bool,
    completed: np.datetime64,
    draws: np.random.Generator,
) -> list[Row]:
    """Return the parts of an area by how each was released.

    Where ordnance lies, it is found and the ground around it cleared; the rest of the
    area is given up by survey or, at times, cleared without finding anything.
    """
    held = truth.within(polygon)
    if held.area < LEAST_AREA_M2:
        shares = (0.1, 0.3, 0.6) if confirmed else (0.6, 0.2, 0.2)
        method = draws.choice([m.value for m in _METHODS], p=shares)
        return [_released(polygon, str(method), completed, 0.0)]
    cleared = shapely.intersection(shapely.buffer(held, draws.uniform(10.0, 50.0)), polygon)
    rows = []
    for part in _parts(cleared):
        n_found = draws.poisson(MINES_PER_HA * truth.within(part).area / 1e4)
        rows.append(_released(part, ReleaseMethod.CLEARED.value, completed, float(max(1, n_found))))
    rest_method = ReleaseMethod.REDUCED if confirmed else ReleaseMethod.CANCELLED
    for part in _parts(shapely.difference(polygon, cleared)):
        rows.append(_released(part, rest_method.value, completed, 0.0))
    return rows


_METHODS = (ReleaseMethod.CANCELLED, ReleaseMethod.REDUCED, ReleaseMethod.CLEARED)


def _parts(area: shapely.Geometry) -> list[Polygon]:
    parts = [tidy(part) for part in shapely.get_parts(area) if part.area >= LEAST_AREA_M2]
    return [part for part in parts if part.area >= LEAST_AREA_M2]


def _released(polygon: Polygon, method: str, completed: np.datetime64, n_found: float) -> Row:
    return {
        "method": method,
        "completed": completed,
        "devices_found": n_found,
        "geometry": polygon,
    }


def _verified(scene: Scene, truth: Truth) -> list[Row]:
    """Return ground verified before use, near fronts and people; most of it held nothing."""
    draws = scene.frame.draws("verification")
    wanted_m2 = VERIFIED_SHARE * scene.frame.district_area_m2
    rows: list[Row] = []
    done_m2 = 0.0
    for polygon in _worksites(scene, draws):
        rows.extend(_divide(truth, polygon, True, some_day(draws), draws))
        done_m2 += polygon.area
        if done_m2 >= wanted_m2:
            break
    return rows


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
    wanted = 2.0 * near_people(scene, centres) + np.exp(-scene.to_front_m(centres) / 1500.0)
    order = np.argsort(-(wanted + 0.6 * draws.gumbel(size=len(sites))), kind="stable")
    return [sites[k] for k in order]


def _cut(lines: np.ndarray) -> list[shapely.LineString]:  # type: ignore[type-arg]
    """Return lines cut into stretches of about a kilometre."""
    stretches = []
    for line in lines:
        corners = shapely.get_coordinates(shapely.segmentize(line, 250.0))
        for first in range(0, len(corners) - 1, 5):
            part = corners[first : first + 6]
            if len(part) > 1:
                stretches.append(shapely.LineString(part))
    return stretches
