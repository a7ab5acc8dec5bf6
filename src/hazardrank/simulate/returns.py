"""Return plans and administrative districts."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity

from hazardrank.records import SettlementReturn
from hazardrank.simulate.records import FIRST_DAY, LAST_DAY, Row, table
from hazardrank.simulate.scene import Scene
from hazardrank.simulate.settlements import make_names

PEOPLE_PER_HOUSEHOLD = 4.2
N_DISTRICTS = (8, 16)
KM2_PER_DISTRICT = 130.0
VERTEX_SPACING_M = 2000.0
"""Borders have a vertex at least this often: wider gaps look like mistyped coordinates."""


def make_returns(scene: Scene) -> gpd.GeoDataFrame:
    """Return the plans to bring people back to the district's abandoned settlements.

    Larger places come first; a part of the people comes back. Plans are for priorities,
    never for the likelihood of contamination.
    """
    draws = scene.frame.draws("returns")
    places = scene.settlements
    inner = scene.frame.in_district(places.easting, places.northing)
    rows: list[Row] = []
    back = np.flatnonzero(places.abandoned & inner)
    for order, place in enumerate(back):
        late = (order + draws.normal(0, 0.25 * len(back))) / len(back)
        planned = FIRST_DAY + 420 + int(np.clip(late, 0, 1) * 2500)
        households = max(5.0, float(np.round(places.people[place] * draws.uniform(0.3, 0.8) / 4.2)))
        rows.append(
            {
                "name": places.name[place],
                "households": households,
                "people": float(np.round(households * PEOPLE_PER_HOUSEHOLD)),
                "planned": planned,
                "status": _status(planned),
                "geometry": shapely.Point(places.easting[place], places.northing[place]),
            }
        )
    return table(rows, SettlementReturn, scene.frame.district.crs, "RT", "planned")


def _status(planned: np.datetime64) -> str:
    if planned + 200 < LAST_DAY:
        return "completed"
    return "under way" if planned < LAST_DAY else "planned"


def make_districts(scene: Scene) -> gpd.GeoDataFrame:
    """Return administrative districts that share out the whole land without overlap.

    Each is the ground nearest to its seat, one of the larger places of the district.
    """
    frame = scene.frame
    draws = frame.draws("districts")
    n_districts = int(np.clip(round(frame.district_area_m2 / 1e6 / KM2_PER_DISTRICT), *N_DISTRICTS))
    west, south, _, _ = frame.district.bounds
    seats = _spaced(draws, n_districts) * frame.side_m + [west, south]
    cells = shapely.voronoi_polygons(shapely.MultiPoint(seats), extend_to=frame.world_box)
    parts = [shapely.intersection(cell, frame.district_box) for cell in shapely.get_parts(cells)]
    parts = [shapely.segmentize(part, VERTEX_SPACING_M) for part in parts]
    parts.sort(key=lambda part: (round(part.centroid.y), round(part.centroid.x)))
    names = make_names(draws, len(parts))
    return gpd.GeoDataFrame({"name": names}, geometry=parts, crs=frame.district.crs)


def _spaced(draws: np.random.Generator, n_points: int) -> NDArray[np.float64]:
    """Return points in the unit square that keep apart: the best of some candidates each."""
    points = [draws.uniform(0.1, 0.9, 2)]
    while len(points) < n_points:
        candidates = draws.uniform(0.03, 0.97, (12, 2))
        gap = np.hypot(*(candidates[:, None] - np.array(points)[None]).transpose(2, 0, 1))
        points.append(candidates[np.argmax(gap.min(axis=1))])
    return np.array(points)


def make_country(scene: Scene) -> gpd.GeoDataFrame:
    """Return the country the district lies in: an uneven outline around the world grid."""
    frame = scene.frame
    draws = frame.draws("country")
    west, south, east, north = frame.world.bounds
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    reach = 0.75 * (east - west) * (1 + 0.12 * draws.uniform(0, 1, 48))
    ring = np.column_stack([reach * np.cos(angle), reach * np.sin(angle)])
    outline = affinity.translate(shapely.Polygon(ring), (west + east) / 2, (south + north) / 2)
    whole = shapely.union(outline, shapely.buffer(frame.world_box, 500.0, join_style="mitre"))
    name = make_names(draws, 1)
    return gpd.GeoDataFrame(
        {"name": name},
        geometry=[shapely.segmentize(whole, VERTEX_SPACING_M)],
        crs=frame.district.crs,
    )
