"""Settlements along the valleys: where, how many people, what they are called."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from hazardrank.simulate.frame import Frame
from hazardrank.simulate.lattice import Lattice
from hazardrank.simulate.terrain import Terrain, fractal

AREA_PER_SETTLEMENT_KM2 = 18.0
LEAST_SPACING_M = 1300.0
LARGEST_TOWN = 21_000.0
SMALLEST_VILLAGE = 60.0

_STARTS = (  # noqa: SIM905 - easier to read and to extend
    "Or Tam Kel Vos Lun Bre Sar Nev Dol Har Mer Pel Ul Zan Cor Ith Gal Rem Fen Yar Ash Bol "
    "Dur Eph Hul Jor Kir Lom Mav Nor Oss Pir Quel Rud Sel Tor Urm Vel Wen Zol"
).split()
_MIDDLES = ("", "a", "e", "i", "o", "u", "en", "ar", "il", "on")
_ENDS = (  # noqa: SIM905
    "vel dan mir tor sa nik lo rin desh ka run bel mund tis gar pel vane lith dor nesh"
).split()


@dataclass(frozen=True)
class Settlements:
    """Settlements in order of size; arrays have shape (n,).

    Parameters
    ----------
    name : ndarray of object
        Made-up names, no two alike.
    node : ndarray of int64
        Lattice node each one lies on.
    easting, northing : ndarray of float64
        Centre in metres.
    people : ndarray of float64
        People at the time before the conflict.
    abandoned : ndarray of bool
        Whether people were driven away and have not come back.
    """

    name: NDArray[np.object_]
    node: NDArray[np.int64]
    easting: NDArray[np.float64]
    northing: NDArray[np.float64]
    people: NDArray[np.float64]
    abandoned: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.node)

    @property
    def points(self) -> NDArray[np.float64]:
        """Easting and northing, shape (n, 2)."""
        return np.column_stack([self.easting, self.northing])

    def distance_to(
        self, points: NDArray[np.float64], which: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the distance of points, shape (n, 2), to the nearest of some settlements."""
        if not which.any():
            return np.full(len(points), np.inf)
        return np.asarray(cKDTree(self.points[which]).query(points)[0], np.float64)


def make_names(draws: np.random.Generator, n_names: int) -> NDArray[np.object_]:
    """Return made-up names, no two alike, that belong to no language."""
    every = [a + b + c for a in _STARTS for b in _MIDDLES for c in _ENDS]
    picked = draws.permutation(len(every))[:n_names]
    return np.array([every[k] for k in picked], dtype=object)


def place_settlements(frame: Frame, terrain: Terrain, lattice: Lattice) -> Settlements:
    """Place settlements on gentle ground near water, apart from each other.

    The number of people falls with rank as a power law (Zipf 1949, with exponent 0.9);
    places that suit better tend to be larger.
    """
    draws = frame.draws("settlements")
    suitability = _suitability(terrain, lattice, draws)
    points = lattice.all_points()
    order = np.argsort(-(suitability + 0.8 * draws.gumbel(size=len(points))), kind="stable")
    world_km2 = terrain.grid.n_cells * terrain.grid.cell_area_m2 / 1e6
    node = _spread(frame, points, order, max(6, round(world_km2 / AREA_PER_SETTLEMENT_KM2)))
    by_size = np.argsort(-(suitability[node] + 1.2 * draws.normal(size=len(node))), kind="stable")
    node = node[by_size]
    people = LARGEST_TOWN * np.arange(1, len(node) + 1) ** -0.9 * draws.lognormal(0, 0.2, len(node))
    return Settlements(
        name=make_names(draws, len(node)),
        node=node,
        easting=points[node, 0],
        northing=points[node, 1],
        people=np.round(np.maximum(people, SMALLEST_VILLAGE)).astype(np.float64),
        abandoned=np.zeros(len(node), bool),
    )


def _suitability(
    terrain: Terrain, lattice: Lattice, draws: np.random.Generator
) -> NDArray[np.float64]:
    """Return how well the lattice's nodes suit a settlement, on a log scale."""
    grid = terrain.grid
    to_river_m = grid.cell_size_m * ndimage.distance_transform_edt(~terrain.is_river)
    height = (terrain.elevation_m - terrain.elevation_m.mean()) / terrain.elevation_m.std()
    suits = (
        -terrain.slope_deg / 5.0
        - to_river_m / 1500.0
        - np.maximum(height, 0)
        + 0.7 * fractal(grid, draws, 3.0, 8000.0)
    )
    return lattice.thin(suits).ravel()


def _spread(
    frame: Frame, points: NDArray[np.float64], order: NDArray[np.int64], n_wanted: int
) -> NDArray[np.int64]:
    """Take nodes in order that keep their distance; the first three lie in the district."""
    west, south, east, north = frame.world.bounds
    inner = frame.in_district(points[:, 0], points[:, 1])
    spacing_m = min(LEAST_SPACING_M, frame.side_m / 4)
    free = np.minimum(points - [west, south], [east, north] - points).min(axis=1) > 500.0
    taken: list[int] = []
    while len(taken) < n_wanted:
        allowed = order[free[order] & (inner[order] | (len(taken) >= 3))]
        if not len(allowed):
            break
        node = int(allowed[0])
        taken.append(node)
        free &= np.hypot(*(points - points[node]).T) >= spacing_m
    return np.array(taken, dtype=np.int64)


def abandon(
    frame: Frame, settlements: Settlements, distance_to_front_m: NDArray[np.float64]
) -> Settlements:
    """Return the settlements with those marked that people had to leave.

    The nearer the front, the likelier; the nearest one in the district always.
    """
    draws = frame.draws("abandoned")
    chance = 0.85 * np.exp(-((distance_to_front_m / 3500.0) ** 2))
    abandoned = draws.random(len(settlements)) < chance
    inner = np.flatnonzero(frame.in_district(settlements.easting, settlements.northing))
    abandoned[inner[np.argmin(distance_to_front_m[inner])]] = True
    if abandoned[inner].all():
        abandoned[inner[np.argmax(distance_to_front_m[inner])]] = False
    return replace(settlements, abandoned=abandoned)
