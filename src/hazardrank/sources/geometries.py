"""Geometries made fit to measure: reprojected, valid, of one kind."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from hazardrank.errors import LayerError
from hazardrank.grid import Bounds

Geometries = NDArray[np.object_]

#: Longest edge that is reprojected by its ends alone: at 5 km a straight line in degrees
#: lies less than 1 m from the straight line in a UTM zone (below 65° of latitude).
LONGEST_EDGE_DEG = 0.05
LONGEST_EDGE_M = 5000.0
#: How far a geometry may reach beyond the bounds asked for before it is cut.
FAR_DEG = 10.0
FAR_M = 1e6

_KIND_TYPES = {"points": (0, 4), "lines": (1, 2, 5), "polygons": (3, 6)}
_KIND_OF_TYPE = {kind_id: kind for kind, ids in _KIND_TYPES.items() for kind_id in ids}
_COLLECTION = 7
_GATHER: dict[str, Any] = {"points": shapely.multipoints, "lines": shapely.multilinestrings}


@lru_cache(maxsize=32)
def transformer(from_crs: str, to_crs: str) -> Transformer | None:
    """Return the transformer between two CRS (x = east), ``None`` where they are the same."""
    source, target = CRS.from_user_input(from_crs), CRS.from_user_input(to_crs)
    if source.equals(target, ignore_axis_order=True):
        return None
    return Transformer.from_crs(source, target, always_xy=True)


def reproject_bounds(bounds: Bounds, from_crs: str, to_crs: str) -> Bounds | None:
    """Return the bounds that hold all of `bounds` in another CRS.

    Edges are followed at a thousand points each, so nothing of them is lost.

    Returns
    -------
    tuple of float or None
        ``None`` if the bounds cannot be written as one box there: they reach beyond the
        CRS, or across the antimeridian.
    """
    change = transformer(from_crs, to_crs)
    if change is None:
        return bounds
    try:
        west, south, east, north = change.transform_bounds(*bounds, densify_pts=1000)
    except ProjError:
        return None
    found = (west, south, east, north)
    return found if np.isfinite(found).all() and west < east and south < north else None


def reproject(geometries: Geometries, from_crs: str, to_crs: str) -> Geometries:
    """Return geometries in another CRS; points that have no place there become infinite.

    Edges longer than 5 km (0.05°) are first divided, so that a straight edge of the source
    stays within about 1 m of its true course.
    """
    change = transformer(from_crs, to_crs)
    if change is None or not len(geometries):
        return geometries
    limit = LONGEST_EDGE_DEG if CRS.from_user_input(from_crs).is_geographic else LONGEST_EDGE_M
    long = _longest_edges(geometries) > limit
    if long.any():
        geometries = geometries.copy()
        geometries[long] = shapely.segmentize(shapely.make_valid(geometries[long]), limit)

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(change.transform(points[:, 0], points[:, 1]))

    moved: Geometries = shapely.transform(geometries, move)
    return moved


def cut_far(geometries: Geometries, near: Bounds, from_crs: str, to_crs: str) -> Geometries:
    """Cut what reaches 10° or 1,000 km beyond `near` (in `from_crs`), if it is to be reprojected.

    A projected CRS goes wrong far from its zone, and not always by saying so.
    """
    if transformer(from_crs, to_crs) is None or not len(geometries):
        return geometries
    far = FAR_DEG if CRS.from_user_input(from_crs).is_geographic else FAR_M
    west, south, east, north = near[0] - far, near[1] - far, near[2] + far, near[3] + far
    boxes = shapely.bounds(geometries)
    beyond = (boxes[:, :2] < (west, south)).any(axis=1) | (boxes[:, 2:] > (east, north)).any(axis=1)
    if beyond.any():
        geometries = geometries.copy()
        whole = shapely.make_valid(geometries[beyond])
        geometries[beyond] = shapely.intersection(whole, shapely.box(west, south, east, north))
    return geometries


def _longest_edges(geometries: Geometries) -> NDArray[np.float64]:
    """Return an upper bound of each geometry's longest edge (gaps between parts count)."""
    points, owner = shapely.get_coordinates(geometries, return_index=True)
    longest = np.zeros(len(geometries))
    within = owner[1:] == owner[:-1]
    steps = np.hypot(*np.diff(points, axis=0).T)[within]
    np.maximum.at(longest, owner[1:][within], steps)
    return longest


def are_finite(geometries: Geometries) -> NDArray[np.bool_]:
    """Return which geometries have finite coordinates only, shape (n,)."""
    points, owner = shapely.get_coordinates(geometries, return_index=True)
    finite = np.ones(len(geometries), bool)
    finite[owner[~np.isfinite(points).all(axis=1)]] = False
    return finite


def repaired(geometries: Geometries) -> tuple[Geometries, NDArray[np.bool_]]:
    """Return valid geometries, and which had to be repaired, shape (n,)."""
    broken = ~shapely.is_valid(geometries)
    if broken.any():
        geometries = geometries.copy()
        geometries[broken] = shapely.make_valid(geometries[broken])
    return geometries, broken


def of_kind(geometries: Geometries, kind: str) -> Geometries:
    """Return the part of each geometry that is of `kind`, ``None`` where there is none.

    Parameters
    ----------
    geometries : ndarray of object
        Valid geometries.
    kind : {"points", "lines", "polygons"}
        The kind to keep. A collection keeps its parts of that kind; a multi-point of one
        point becomes the point.
    """
    types = shapely.get_type_id(geometries)
    kept = geometries.copy()
    kept[~np.isin(types, _KIND_TYPES[kind])] = None
    for index in np.flatnonzero(types == _COLLECTION):
        kept[index] = _parts_of_kind(geometries[index], kind)
    if kind == "points":
        single = (shapely.get_type_id(kept) == 4) & (shapely.get_num_geometries(kept) == 1)
        kept[single] = shapely.get_geometry(kept[single], 0)
    return kept


def _parts_of_kind(collection: shapely.Geometry, kind: str) -> shapely.Geometry | None:
    parts = shapely.get_parts(collection)
    while (shapely.get_type_id(parts) >= 4).any():
        parts = shapely.get_parts(parts)
    parts = parts[np.isin(shapely.get_type_id(parts), _KIND_TYPES[kind])]
    if len(parts) < 2:
        return parts[0] if len(parts) else None
    if kind == "polygons":
        return shapely.union_all(parts)
    gathered: shapely.Geometry = _GATHER[kind](parts)
    return gathered


def kinds_found(geometries: Geometries) -> set[str]:
    """Return the kinds among the geometries: points, lines, polygons or collections."""
    types = np.unique(shapely.get_type_id(geometries)).tolist()
    return {_KIND_OF_TYPE.get(int(kind_id), "collections") for kind_id in types}


def single_points(geometries: Geometries, where: str) -> None:
    """Raise if a point feature has several points: counts and positions would be unclear.

    Raises
    ------
    LayerError
        Naming the first such feature.
    """
    several = np.flatnonzero(shapely.get_type_id(geometries) == 4)
    if len(several):
        raise LayerError(
            f"{len(several)} features hold several points each (the first: feature "
            f"{several[0] + 1}); a layer of points needs one point a feature",
            where=where,
            remedy="Split them (QGIS: Multipart to singleparts).",
        )
