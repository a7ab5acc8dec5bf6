"""Which records tell of one and the same hazard.

Records that share a hazard must not explain or test one another: history features leave the
whole hazard out, and folds keep it together.
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

#: Two areas are one hazard if they share more than this part of the smaller one. Less is
#: how neighbouring polygons overlap by drawing.
MIN_SHARED_PART = 0.1
#: Accidents outside every area whose coordinates agree to this many metres are one hazard.
SAME_PLACE_M = 1.0

Ids = NDArray[np.int64]


def overlapping_pairs(areas: NDArray[np.object_]) -> tuple[Ids, Ids]:
    """Return the pairs i < j of polygons that share over 10 % of the smaller one.

    Parameters
    ----------
    areas : ndarray of geometry, shape (n,)
        Valid polygons in a CRS in metres.

    Returns
    -------
    first, second : ndarray of int64, shape (n_pairs,)
        Sorted.
    """
    found = shapely.STRtree(areas).query(areas, predicate="intersects").astype(np.int64)
    found = found[:, found[0] < found[1]]
    found = found[:, np.lexsort((found[1], found[0]))]
    first, second = found
    area_m2 = shapely.area(areas)
    shared_m2 = shapely.area(shapely.intersection(areas[first], areas[second]))
    smaller_m2 = np.minimum(area_m2[first], area_m2[second])
    together = (shared_m2 > MIN_SHARED_PART * smaller_m2) & (shared_m2 > 0)
    return first[together], second[together]


def group_areas(areas: NDArray[np.object_]) -> Ids:
    """Return the hazard of each polygon, numbered by first appearance, shape (n,)."""
    n = len(areas)
    if n == 0:
        return np.empty(0, np.int64)
    first, second = overlapping_pairs(areas)
    links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(n, n))
    return _by_first_appearance(connected_components(links, directed=False)[1])


def _by_first_appearance(labels: NDArray[np.integer]) -> Ids:
    _, at, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(at), np.int64)
    rank[np.argsort(at)] = np.arange(len(at))
    return rank[inverse]


def hazard_ids(
    hazard_areas: gpd.GeoDataFrame,
    clearance: gpd.GeoDataFrame,
    found: NDArray[np.bool_],
    accidents: gpd.GeoDataFrame,
) -> tuple[Ids, Ids, Ids]:
    """Return the hazard each record tells of.

    Hazard areas and clearance with finds that overlap, directly or through others, are one
    hazard. An accident inside an area (boundary included) belongs to it, to the lowest
    number where several overlap; outside all areas, accidents at one place are one hazard.

    Parameters
    ----------
    hazard_areas, clearance : GeoDataFrame
        Valid polygons in one CRS in metres.
    found : ndarray of bool, shape (n_clearance,)
        Whether ordnance was found in each.
    accidents : GeoDataFrame
        Points in the same CRS.

    Returns
    -------
    areas, cleared, accidents : ndarray of int64
        One id a record, from 0 and without gaps; -1 for clearance without finds.
    """
    of_areas = hazard_areas.geometry.to_numpy()
    areas = np.concatenate([of_areas, clearance.geometry.to_numpy()[found]])
    group = group_areas(areas)
    of_clearance = np.full(len(clearance), -1, np.int64)
    of_clearance[found] = group[len(of_areas) :]
    next_id = int(group.max(initial=-1)) + 1
    of_accidents = _accident_ids(accidents.geometry.to_numpy(), areas, group, next_id)
    return group[: len(of_areas)], of_clearance, of_accidents


def _accident_ids(
    points: NDArray[np.object_], areas: NDArray[np.object_], group: Ids, next_id: int
) -> Ids:
    ids = np.full(len(points), np.iinfo(np.int64).max, np.int64)
    if len(points) and len(areas):
        point, area = shapely.STRtree(areas).query(points, predicate="intersects")
        np.minimum.at(ids, point, group[area])
    alone = ids == np.iinfo(np.int64).max
    if alone.any():
        place = np.round(shapely.get_coordinates(points[alone]) / SAME_PLACE_M).astype(np.int64)
        same = np.unique(place, axis=0, return_inverse=True)[1].ravel()
        ids[alone] = next_id + _by_first_appearance(same)
    return ids
