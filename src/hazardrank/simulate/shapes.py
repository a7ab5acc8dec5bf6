"""Polygons as people draw them: uneven patches, strips along lines, shifted copies."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity
from shapely.ops import substring

Polygon = shapely.Polygon


def patch(
    draws: np.random.Generator,
    easting: float,
    northing: float,
    radius_m: float,
    stretch: float = 1.0,
    bearing_rad: float | None = None,
) -> Polygon:
    """Return an uneven patch of nine corners.

    Parameters
    ----------
    draws : Generator
        Random draws.
    easting, northing : float
        Centre in metres.
    radius_m : float
        Mean radius.
    stretch : float
        Length over width, ≥ 1.
    bearing_rad : float, optional
        Direction of the long axis, anticlockwise from east; drawn when left out.
    """
    turn = draws.uniform(0, np.pi) if bearing_rad is None else bearing_rad
    angle = np.arange(9) * (2 * np.pi / 9) + draws.uniform(-0.2, 0.2, 9)
    reach = radius_m * draws.uniform(0.75, 1.25, 9)
    along = np.sqrt(stretch) * reach * np.cos(angle)
    aside = reach * np.sin(angle) / np.sqrt(stretch)
    corners = np.column_stack(
        [
            easting + along * np.cos(turn) - aside * np.sin(turn),
            northing + along * np.sin(turn) + aside * np.cos(turn),
        ]
    )
    return tidy(shapely.Polygon(corners))


def strip(line: shapely.LineString, offset_m: float, depth_m: float) -> Polygon:
    """Return a strip of `depth_m` whose middle runs `offset_m` to the left of a line.

    Empty where the line bends too sharply for any strip at that offset.
    """
    middle = shapely.offset_curve(line, offset_m, join_style="mitre", mitre_limit=2.0)
    middle = max(shapely.get_parts(middle), key=shapely.length, default=shapely.LineString())
    return tidy(shapely.buffer(middle, depth_m / 2, cap_style="flat", join_style="mitre"))


def stretch(line: shapely.LineString, start_m: float, end_m: float) -> shapely.LineString:
    """Return the part of a line between two distances from its start."""
    part = substring(line, start_m, end_m)
    assert isinstance(part, shapely.LineString), "start_m must be less than end_m"
    return part


def moved(polygon: Polygon, shift_m: NDArray[np.float64], turn_deg: float) -> Polygon:
    """Return a polygon turned about its middle and shifted east and north."""
    turned = affinity.rotate(polygon, turn_deg, "centroid")
    return tidy(affinity.translate(turned, *shift_m))


def tidy(polygon: shapely.Geometry) -> Polygon:
    """Return the largest valid polygon of a geometry, corners to the decimetre."""
    parts = [
        part
        for part in shapely.get_parts(shapely.make_valid(shapely.set_precision(polygon, 0.1)))
        if part.geom_type in ("Polygon", "MultiPolygon")
    ]
    flat = [piece for part in parts for piece in shapely.get_parts(part)]
    return max(flat, key=shapely.area, default=shapely.Polygon())
