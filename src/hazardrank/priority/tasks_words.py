"""Clearance tasks in words: where they lie, and what was measured there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Texts = NDArray[np.object_]

COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")

#: Nearer than this a task is at the place, and no bearing is given.
_AT_PLACE_M = 100.0


@dataclass(frozen=True)
class NearestPlace:
    """The named place nearest to each task; all arrays have the shape (n_tasks,).

    Parameters
    ----------
    name : ndarray of str
        Its name, empty where none is within reach.
    distance_m : ndarray of float64
        Distance from the place to the task's middle cell, NaN where there is none.
    bearing_deg : ndarray of float64
        Direction from the place's middle to the task, in degrees clockwise from grid north,
        0–360; NaN where there is none, or the task lies at the place.
    words : ndarray of str
        ``2.3 km NE of Karsa``: the task lies north-east of Karsa. Empty where there is none.
    """

    name: Texts
    distance_m: FloatArray
    bearing_deg: FloatArray
    words: Texts


def nearest_places(
    middles: FloatArray, places: NDArray[np.object_], names: Sequence[str | None], reach_m: float
) -> NearestPlace:
    """Find the named place nearest to each task, and say where the task lies from there.

    Parameters
    ----------
    middles : ndarray of float64, shape (n_tasks, 2)
        Easting and northing of the tasks' middle cells.
    places : ndarray of shapely points or polygons, shape (n_places,)
        Places in the same CRS; the distance to a polygon is 0 inside.
    names : sequence of str or None, length n_places
        Places without a name are passed over. Of places equally near the first is taken.
    reach_m : float
        No place farther than this is named.
    """
    named = np.array([bool(name) for name in names], bool)
    labels = np.array([str(name) for name in names], dtype=object)[named]
    chosen, n = places[named], len(middles)
    name = np.full(n, "", dtype=object)
    distance_m, bearing_deg = np.full((2, n), np.nan)
    if len(chosen) and n:
        points = np.asarray(shapely.points(middles), dtype=object)
        task, place = shapely.STRtree(chosen).query_nearest(points, max_distance=reach_m)
        task, first = np.unique(task, return_index=True)
        place = np.minimum.reduceat(place, first) if len(task) else place[:0]
        name[task] = labels[place]
        distance_m[task] = shapely.distance(points[task], chosen[place])
        away = middles[task] - shapely.get_coordinates(shapely.centroid(chosen[place]))
        bearing_deg[task] = np.degrees(np.arctan2(away[:, 0], away[:, 1])) % 360.0
        bearing_deg[distance_m < _AT_PLACE_M] = np.nan
    words = np.array(
        [_where(*row) for row in zip(name, distance_m, bearing_deg, strict=True)], dtype=object
    )
    return NearestPlace(name, distance_m, bearing_deg, words)


def _where(name: str, distance_m: float, bearing_deg: float) -> str:
    if not name:
        return ""
    if math.isnan(bearing_deg):
        return f"at {name}"
    return f"{length_text(distance_m)} {compass_point(bearing_deg)} of {name}"


def compass_point(bearing_deg: float) -> str:
    """Return the nearest of the eight compass points, ``NE``."""
    return COMPASS[round(bearing_deg / 45.0) % 8]


def length_text(length_m: float) -> str:
    """Return a length as people say it: 480 m, 1.2 km, 14 km."""
    if length_m < 995:
        return f"{round(length_m, -1):.0f} m"
    kilometres = length_m / 1000.0
    return f"{kilometres:.1f} km" if length_m < 9950 else f"{kilometres:,.0f} km"


@dataclass(frozen=True)
class Phrase:
    """How a part of the score is said.

    Parameters
    ----------
    label : str
        What it is, neutral and plain: ``distance to a school``; empty where the unit says it.
    unit : str, optional
        Unit of its quantity; ``"1"`` for a pure number, ``"share"`` for one written in
        percent.
    """

    label: str
    unit: str = "1"

    def said(self, quantity: float, usual: float) -> str:
        """Return ``people within reach 1,240 people; median task 45 people``."""
        text = f"{self.label} {quantity_text(quantity, self.unit)}".strip()
        return f"{text}; median task {quantity_text(usual, self.unit)}"


def quantity_text(quantity: float, unit: str) -> str:
    """Return a quantity with its unit as people write it; ``not known`` for NaN."""
    if math.isnan(quantity):
        return "not known"
    if unit == "m":
        return length_text(quantity)
    if unit == "share":
        return f"{100 * quantity:.3g} %"
    text = f"{quantity:,.0f}" if abs(quantity) >= 1000 else f"{quantity:.3g}"
    return text if unit in ("1", "") else f"{text} {unit}"
