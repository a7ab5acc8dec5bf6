"""Fractal terrain with drainage, rivers and land cover."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from hazardrank.grid import SurveyGrid
from hazardrank.simulate.frame import Frame

FloatGrid = NDArray[np.float64]

#: Codes of ``land_cover.tif``; 0 is nodata.
LAND_COVER: Mapping[int, str] = MappingProxyType(
    {
        1: "water",
        2: "built_up",
        3: "cropland",
        4: "grassland",
        5: "shrubland",
        6: "forest",
        7: "bare_ground",
    }
)
CODE = MappingProxyType({name: code for code, name in LAND_COVER.items()})

RIVER_AREA_KM2 = 6.0
"""Upstream area at which drainage becomes a mapped stream."""

EROSION_ROUNDS = 24
UPLIFT_M = 14.0
ERODIBILITY = 2.4
"""Force of a river that drains 1 km² over one round, where cells are 100 m."""
STEEPEST = 0.55
"""Steepest slope rivers leave, as rise over run."""
RIM_M = 2500.0
"""Width of the rim on which erosion is worked out and which is then cut off."""


@dataclass(frozen=True)
class Terrain:
    """Heights and drainage on the world grid; arrays have its shape.

    Parameters
    ----------
    grid : SurveyGrid
        The world grid.
    elevation_m : ndarray of float64
        Heights, without depressions.
    slope_deg : ndarray of float64
        Slope, 0–90.
    position_m : ndarray of float64
        Height above the mean within 1 km: ridges positive, valleys negative.
    receiver : ndarray of int64
        Flat index of the cell each cell drains to, -1 at the edge.
    upstream_km2 : ndarray of float64
        Area that drains through each cell, its own included.
    """

    grid: SurveyGrid
    elevation_m: FloatGrid
    slope_deg: FloatGrid
    position_m: FloatGrid
    receiver: NDArray[np.int64]
    upstream_km2: FloatGrid

    @property
    def is_river(self) -> NDArray[np.bool_]:
        """Cells that carry a mapped stream."""
        river: NDArray[np.bool_] = self.upstream_km2 >= RIVER_AREA_KM2
        return river

    def river_edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return river edges, shape (n, 2), as flat cell indices, and their ranks.

        Rank 0 is a river (ten times the stream's upstream area), 1 a stream.
        """
        upper = np.flatnonzero(self.is_river.ravel() & (self.receiver.ravel() >= 0))
        edges = np.column_stack([upper, self.receiver.ravel()[upper]])
        rank = (self.upstream_km2.ravel()[upper] < 10 * RIVER_AREA_KM2).astype(np.int64)
        return edges, rank


def fractal(
    grid: SurveyGrid, draws: np.random.Generator, exponent: float, longest_m: float
) -> FloatGrid:
    """Return a fractal field of mean 0 and standard deviation 1 on `grid`.

    White noise whose power spectrum is bent to ``frequency ** -exponent`` and levels off
    beyond `longest_m` (spectral synthesis: Saupe 1988, in Peitgen & Saupe, The Science of
    Fractal Images, ch. 2). The noise is larger than the grid, so that opposite edges do
    not match.
    """
    side = fft.next_fast_len(int(1.25 * max(grid.shape)) + 8, real=True)
    spectrum = fft.rfft2(draws.standard_normal((side, side)))
    across = fft.fftfreq(side, grid.cell_size_m)[:, None]
    along = fft.rfftfreq(side, grid.cell_size_m)[None, :]
    power = (across**2 + along**2 + longest_m**-2.0) ** (-exponent / 2)
    whole = fft.irfft2(spectrum * np.sqrt(power), s=(side, side))
    field: FloatGrid = whole[: grid.n_rows, : grid.n_cols]
    standard: FloatGrid = (field - field.mean()) / field.std()
    return standard


def _flood(
    elevation_m: FloatGrid, fall_m: FloatGrid
) -> tuple[FloatGrid, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    n_rows, n_cols = elevation_m.shape
    filled = elevation_m.copy()
    receiver = np.full((n_rows, n_cols), -1, np.int64)
    seen = np.zeros((n_rows, n_cols), np.bool_)
    upstream = np.ones(n_rows * n_cols, np.int64)
    order = np.empty(n_rows * n_cols, np.int64)
    queue = [(elevation_m[0, 0], 0)]
    seen[0, 0] = True
    for row in range(n_rows):
        for col in range(n_cols):
            edge = row == 0 or col == 0 or row == n_rows - 1 or col == n_cols - 1
            if edge and not seen[row, col]:
                seen[row, col] = True
                heapq.heappush(queue, (elevation_m[row, col], row * n_cols + col))
    n_done = 0
    while len(queue) > 0:
        height, cell = heapq.heappop(queue)
        order[n_done] = cell
        n_done += 1
        row, col = cell // n_cols, cell % n_cols
        for d_row in range(-1, 2):
            for d_col in range(-1, 2):
                near_row, near_col = row + d_row, col + d_col
                if near_row < 0 or near_col < 0 or near_row >= n_rows or near_col >= n_cols:
                    continue
                if seen[near_row, near_col]:
                    continue
                seen[near_row, near_col] = True
                receiver[near_row, near_col] = cell
                lowest = height + fall_m[near_row, near_col]
                if filled[near_row, near_col] < lowest:
                    filled[near_row, near_col] = lowest
                heapq.heappush(queue, (filled[near_row, near_col], near_row * n_cols + near_col))
    flat = receiver.ravel()
    for place in range(n_done - 1, -1, -1):
        cell = order[place]
        if flat[cell] >= 0:
            upstream[flat[cell]] += upstream[cell]
    return filled, receiver, upstream.reshape(n_rows, n_cols), order


_flood_compiled: Any = numba.njit(cache=True)(_flood)


def _carve(
    filled: FloatGrid,
    receiver: NDArray[np.int64],
    order: NDArray[np.int64],
    force: FloatGrid,
    steepest_m: float,
) -> FloatGrid:
    height, below, strength = filled.ravel().copy(), receiver.ravel(), force.ravel()
    for cell in order:
        if below[cell] >= 0:
            base = height[below[cell]]
            lowered = (height[cell] + strength[cell] * base) / (1.0 + strength[cell])
            height[cell] = min(lowered, base + steepest_m)
    return height.reshape(filled.shape)


_carve_compiled: Any = numba.njit(cache=True)(_carve)


def drain(
    elevation_m: FloatGrid, fall_m: FloatGrid
) -> tuple[FloatGrid, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Fill depressions and let every cell drain to the edge of the grid.

    Priority flood from the edge inwards (Barnes, Lehman & Mulla 2014, Computers &
    Geosciences 62): a cell drains to the neighbour it was reached from.

    Parameters
    ----------
    elevation_m : ndarray of float64, shape (rows, cols)
        Heights.
    fall_m : ndarray of float64, shape (rows, cols)
        Least fall from each cell to the one it drains to, > 0; uneven values let water
        find a winding way through flats.

    Returns
    -------
    filled : ndarray of float64, shape (rows, cols)
        Heights without depressions; every cell is higher than the one it drains to.
    receiver : ndarray of int64, shape (rows, cols)
        Flat index of the cell each cell drains to, -1 at the edge of the grid.
    upstream : ndarray of int64, shape (rows, cols)
        Number of cells that drain through each cell, itself included.
    order : ndarray of int64, shape (n_cells,)
        Flat indices, every cell after the one it drains to.
    """
    filled, receiver, upstream, order = _flood_compiled(elevation_m, fall_m)
    return filled, receiver, upstream, order


def erode(
    elevation_m: FloatGrid,
    uplift_m: FloatGrid,
    fall_m: FloatGrid,
    cell_size_m: float,
    rounds: int,
) -> FloatGrid:
    """Let rivers cut into rising land.

    Each round raises the land by `uplift_m` and lowers it by stream power, the square
    root of the upstream area times the slope, solved implicitly from the outlets upwards
    (Braun & Willett 2013, Geomorphology 180-181). Along the way of
    the water no slope then exceeds :data:`STEEPEST`.
    """
    for _ in range(rounds):
        filled, receiver, upstream, order = drain(elevation_m + uplift_m, fall_m)
        area_km2 = upstream * (cell_size_m**2 / 1e6)
        force = ERODIBILITY * np.sqrt(area_km2) * (100.0 / cell_size_m)
        elevation_m = _carve_compiled(filled, receiver, order, force, STEEPEST * cell_size_m)
    return elevation_m


def slope_of(elevation_m: FloatGrid, cell_size_m: float) -> FloatGrid:
    """Return the slope in degrees, 0–90, by central differences."""
    fall_south, fall_east = np.gradient(elevation_m, cell_size_m)
    slope_deg: FloatGrid = np.degrees(np.arctan(np.hypot(fall_south, fall_east)))
    return slope_deg


def make_terrain(frame: Frame) -> Terrain:
    """Return rising fractal land with the valleys that rivers have cut into it."""
    grid = frame.world
    draws = frame.draws("terrain")
    heights = _eroded_heights(frame, draws)
    heights += 2.0 * fractal(grid, draws, exponent=2.4, longest_m=1000.0)
    fall_m = draws.uniform(0.002, 0.02, grid.shape)
    filled, receiver, upstream, _ = drain(heights, fall_m)
    filled += 140.0 - filled.min()
    window = max(3, 2 * round(1000.0 / grid.cell_size_m) + 1)
    return Terrain(
        grid=grid,
        elevation_m=filled,
        slope_deg=slope_of(filled, grid.cell_size_m),
        position_m=filled - ndimage.uniform_filter(filled, window, mode="nearest"),
        receiver=receiver,
        upstream_km2=upstream.astype(np.float64) * (grid.cell_area_m2 / 1e6),
    )


def _eroded_heights(frame: Frame, draws: np.random.Generator) -> FloatGrid:
    """Return eroded heights on the world grid, worked out on a wider one.

    The outermost cells, where water leaves, do not rise; cropping hides them.
    """
    rim = round(RIM_M / frame.world.cell_size_m)
    grid = frame.world.expanded(rim)
    start = 90.0 * fractal(grid, draws, exponent=3.6, longest_m=14_000.0)
    tilt = np.add.outer(np.linspace(1, 0, grid.n_rows), np.linspace(0, 0.7, grid.n_cols))
    rising = np.exp(0.7 * fractal(grid, draws, exponent=4.5, longest_m=16_000.0))
    uplift_m = np.pad(UPLIFT_M * np.minimum(rising, 3.0)[1:-1, 1:-1], 1)
    heights = erode(
        start - start.min() + 150.0 * tilt,
        uplift_m,
        draws.uniform(0.002, 0.02, grid.shape),
        grid.cell_size_m,
        EROSION_ROUNDS,
    )
    heights = ndimage.gaussian_filter(heights, max(0.4, 70.0 / grid.cell_size_m))
    cropped: FloatGrid = heights[rim : grid.n_rows - rim, rim : grid.n_cols - rim]
    return cropped


def make_land_cover(
    frame: Frame, terrain: Terrain, distance_to_settlement_m: FloatGrid
) -> NDArray[np.uint8]:
    """Return land cover codes (:data:`LAND_COVER`) on the world grid.

    Water lies in the larger rivers, crops on gentle ground near people, forest on damp and
    northern slopes, bare ground high and steep; chance fields decide the rest.
    """
    draws = frame.draws("land cover")
    grid = terrain.grid
    damp = fractal(grid, draws, 3.0, 6000.0) - terrain.position_m / 80.0
    patch = fractal(grid, draws, 2.2, 2500.0)
    height = terrain.elevation_m / np.percentile(terrain.elevation_m, 95)
    cover = np.full(grid.shape, CODE["grassland"], np.uint8)
    cover[damp + 0.5 * patch - 1.2 * (height - 0.5) < -0.6] = CODE["shrubland"]
    cover[damp + 0.6 * patch + terrain.slope_deg / 18.0 > 1.1] = CODE["forest"]
    cover[(terrain.slope_deg > 27) | ((height > 0.95) & (patch > 0.2))] = CODE["bare_ground"]
    arable = (terrain.slope_deg < 7) & (distance_to_settlement_m * (1.0 + 0.35 * patch) < 2200.0)
    cover[arable] = CODE["cropland"]
    cover[distance_to_settlement_m < 260.0] = CODE["built_up"]
    cover[terrain.upstream_km2 >= 25 * RIVER_AREA_KM2] = CODE["water"]
    return cover
