"""All that is there before mines are laid and records kept: land, people, roads, fronts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hazardrank.simulate.conflict import FrontLines, make_front_lines
from hazardrank.simulate.frame import Frame, sample
from hazardrank.simulate.lattice import Lattice
from hazardrank.simulate.roads import Lines, make_bridges, make_rivers, make_roads
from hazardrank.simulate.settlements import Settlements, abandon, place_settlements
from hazardrank.simulate.terrain import Terrain, make_land_cover, make_terrain

Points = NDArray[np.float64]
"""Easting and northing, shape (n, 2)."""


@dataclass(frozen=True)
class Scene:
    """The land and what people built and fought over on it.

    Parameters
    ----------
    frame : Frame
        District, world and draws.
    lattice : Lattice
        Lattice of the least-cost paths.
    terrain : Terrain
        Heights and drainage.
    land_cover : ndarray of uint8, shape of the world grid
        Land cover codes.
    rivers, roads : Lines
        Networks.
    bridges : ndarray of float64, shape (n, 2)
        Where roads cross rivers.
    bridge_class : ndarray of object, shape (n,)
        Class of the road each bridge carries.
    settlements : Settlements
        Places, abandoned ones marked.
    fronts : FrontLines
        Stretches of front.
    """

    frame: Frame
    lattice: Lattice
    terrain: Terrain
    land_cover: NDArray[np.uint8]
    rivers: Lines
    roads: Lines
    bridges: Points
    bridge_class: NDArray[np.object_]
    settlements: Settlements
    fronts: FrontLines

    def at(self, values: NDArray[np.generic], points: Points) -> NDArray[np.float64]:
        """Return the values of a raster on the world grid at points."""
        return sample(self.terrain.grid, np.asarray(values), points[:, 0], points[:, 1])

    def to_front_m(self, points: Points) -> NDArray[np.float64]:
        """Return the distance of points to the nearest front of any phase."""
        return distance_to_lines(points, self.fronts.line)

    def to_roads_m(self, points: Points, *kinds: str) -> NDArray[np.float64]:
        """Return the distance of points to the nearest road of some classes."""
        return distance_to_lines(points, self.roads.of(*kinds) if kinds else self.roads.line)


def make_scene(frame: Frame) -> Scene:
    """Build land, settlements, roads and front lines."""
    terrain = make_terrain(frame)
    lattice = Lattice.over(frame.world)
    places = place_settlements(frame, terrain, lattice)
    fronts = make_front_lines(frame, terrain, lattice)
    settlements = abandon(frame, places, distance_to_lines(places.points, fronts.line))
    rivers = make_rivers(terrain)
    roads = make_roads(frame, terrain, lattice, settlements)
    bridges, bridge_class = make_bridges(roads, rivers)
    land_cover = make_land_cover(frame, terrain, _to_people_m(frame, settlements))
    return Scene(
        frame,
        lattice,
        terrain,
        land_cover,
        rivers,
        roads,
        bridges,
        bridge_class,
        settlements,
        fronts,
    )


def distance_to_lines(points: Points, lines: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the distance of points to the nearest of some lines; infinite without lines."""
    distance = np.full(len(points), np.inf)
    if len(lines) and len(points):
        index, away = shapely.STRtree(lines).query_nearest(
            shapely.points(points), all_matches=False, return_distance=True
        )
        distance[index[0]] = away
    return distance


def _to_people_m(frame: Frame, settlements: Settlements) -> NDArray[np.float64]:
    grid = frame.world
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    points = np.column_stack([easting.ravel(), northing.ravel()])
    reach = 1.0 + 0.5 * np.log10(settlements.people / 500.0).clip(-0.5, 1.5)
    away, place = cKDTree(settlements.points).query(points)
    return np.asarray(away / reach[place]).reshape(grid.shape)
