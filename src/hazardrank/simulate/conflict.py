"""Front lines between two forces, in dated phases.

The phases are made up. ``side`` says on which side of the line, seen in the direction it
was digitised, the force stood that dug in there; its belts lie on the other side.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.simulate.frame import Frame, sample
from hazardrank.simulate.lattice import Lattice, least_cost_path, line_of
from hazardrank.simulate.shapes import stretch
from hazardrank.simulate.terrain import Terrain, fractal

HIGH_GROUND_WINS = 0.7
"""Share of stretches dug in by the force on the higher ground."""


@dataclass(frozen=True)
class Phase:
    """A line that held for some time.

    Parameters
    ----------
    start, end : str
        First and last day, ISO 8601.
    shift : float
        Where it ran, in sides of the district from the middle.
    laying : float
        How thoroughly belts were laid, 0–1: months in place count.
    """

    start: str
    end: str
    shift: float
    laying: float


@dataclass(frozen=True)
class FrontLines:
    """Stretches of front; arrays have shape (n,).

    Parameters
    ----------
    line : ndarray of LineString
        The stretches.
    start, end : ndarray of datetime64[D]
        First and last day each held.
    side : ndarray of object
        ``left`` or ``right``: where the force stood that dug in.
    laying : ndarray of float64
        How thoroughly belts were laid, 0–1.
    """

    line: NDArray[np.object_]
    start: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    side: NDArray[np.object_]
    laying: NDArray[np.float64]


def phases_of(side_m: float) -> tuple[Phase, ...]:
    """Return the phases of a district; the mobile ones leave more lines in a larger one."""
    n_mobile = max(2, round(side_m / 20_000))
    early = [
        Phase(str(start), str(end), shift, 0.35)
        for start, end, shift in _steps("1992-03-01", "1994-06-01", 0.36, 0.13, n_mobile)
    ]
    late = [
        Phase(str(start), str(end), shift, 0.15)
        for start, end, shift in _steps("2020-06-01", "2020-11-01", -0.15, -0.34, n_mobile)
    ]
    still = [
        Phase("1994-06-01", "2016-04-01", 0.0, 1.0),
        Phase("2016-04-01", "2020-06-01", 0.02, 0.6),
    ]
    return (*early, *still, *late)


def _steps(
    first: str, last: str, shift_first: float, shift_last: float, n_lines: int
) -> list[tuple[np.datetime64, np.datetime64, float]]:
    days = np.linspace(0, (np.datetime64(last) - np.datetime64(first)).astype(int), n_lines + 1)
    dates = np.datetime64(first) + days.astype(int)
    shifts = np.linspace(shift_first, shift_last, n_lines)
    return list(zip(dates[:-1], dates[1:], shifts.tolist(), strict=True))


def make_front_lines(frame: Frame, terrain: Terrain, lattice: Lattice) -> FrontLines:
    """Return the front lines of all phases.

    A line crosses the district from west to east or from north to south by the way of
    least cost, where ridges and rivers cost least: forces dig in on heights and behind
    water. A line of the next phase shares the stretches where nothing moved.
    """
    draws = frame.draws("fronts")
    across = bool(draws.random() < 0.5)
    hold = np.maximum(
        np.clip(lattice.thin(terrain.position_m) / 90.0, 0, 1),
        np.clip(3.0 * lattice.thin(terrain.is_river), 0, 0.8),
    )
    chance = np.exp(0.25 * lattice.thin(fractal(terrain.grid, draws, 3.0, 6000.0)))
    graph = lattice.graph((1.0 - 0.75 * hold) * chance)
    lines, phases = [], []
    for phase in phases_of(frame.side_m):
        path = least_cost_path(graph, _way_points(frame, lattice, phase.shift, across, draws))
        for piece in _pieces(line_of(lattice.points(np.array(path))), draws):
            lines.append(piece)
            phases.append(phase)
    side = [_side(piece, terrain, draws) for piece in lines]
    line = np.empty(len(lines), dtype=object)
    line[:] = lines
    return FrontLines(
        line=line,
        start=np.array([phase.start for phase in phases], dtype="datetime64[D]"),
        end=np.array([phase.end for phase in phases], dtype="datetime64[D]"),
        side=np.array(side, dtype=object),
        laying=np.array([phase.laying for phase in phases]),
    )


def _way_points(
    frame: Frame, lattice: Lattice, shift: float, across: bool, draws: np.random.Generator
) -> list[int]:
    """Return the nodes a line must pass: two edges of the world and the district's middle."""
    west, south, east, north = frame.world.bounds
    middle = np.array([(west + east) / 2, (south + north) / 2])
    along = np.array([0.0, (east - west) / 2 - 1.0, -0.25 * frame.side_m, 0.25 * frame.side_m])
    order = np.array([-along[1], along[2], along[3], along[1]])
    off = frame.side_m * (shift + draws.normal(0, [0.03, 0.012, 0.012, 0.03]))
    offsets = np.column_stack([order, off] if across else [off, order])
    points = middle + offsets
    return [int(node) for node in lattice.nodes_at(points[:, 0], points[:, 1])]


def _pieces(line: shapely.LineString, draws: np.random.Generator) -> list[shapely.LineString]:
    """Cut a line into stretches of 2–6 km, each dug in by one force."""
    cuts = [0.0]
    while cuts[-1] < line.length - 2000.0:
        cuts.append(cuts[-1] + draws.uniform(2000.0, 6000.0))
    cuts = [cut for cut in cuts if cut < line.length - 1000.0] + [line.length]
    return [stretch(line, *pair) for pair in pairwise(cuts)]


def _side(piece: shapely.LineString, terrain: Terrain, draws: np.random.Generator) -> str:
    """Return the side that dug in: mostly the one on the higher ground."""
    left_higher = height_beside(piece, terrain, 300.0) > height_beside(piece, terrain, -300.0)
    as_expected = draws.random() < HIGH_GROUND_WINS
    return "left" if left_higher == as_expected else "right"


def height_beside(piece: shapely.LineString, terrain: Terrain, offset_m: float) -> float:
    """Return the mean height `offset_m` to the left of a line (negative: right)."""
    beside = shapely.get_coordinates(shapely.offset_curve(piece, offset_m))
    if not len(beside):
        beside = shapely.get_coordinates(piece)
    return float(sample(terrain.grid, terrain.elevation_m, beside[:, 0], beside[:, 1]).mean())
