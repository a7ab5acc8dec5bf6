"""Units of land that a non-technical survey team is sent to: squares, villages, tasks.

Every kind says which unit each cell of a block lies in, so that nothing is held for the
whole area but the units themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree

from hazardrank.errors import PriorityError
from hazardrank.grid import SurveyGrid
from hazardrank.priority.tasks import Tasks
from hazardrank.priority.tasks_outline import outlines

Labels = NDArray[np.int32]
NONE = -1


class SurveyUnits(Protocol):
    """Units of land, numbered 0 … n - 1."""

    @property
    def ids(self) -> NDArray[np.object_]:
        """Unique id of each unit, shape (n,)."""

    @property
    def names(self) -> NDArray[np.object_]:
        """What people call each unit, ``""`` where it has no name, shape (n,)."""

    def of(self, block: SurveyGrid) -> Labels:
        """Return the unit of each cell of a block, -1 for none; shape (rows, cols)."""

    def outlines(self) -> NDArray[np.object_]:
        """Return the outline of each unit in the grid's CRS, shape (n,)."""


@dataclass(frozen=True, eq=False)
class SquareUnits:
    """Squares anchored to the origin of the CRS, so that they are the same in every region.

    Parameters
    ----------
    lattice : SurveyGrid
        The squares as a grid of large cells that covers the area.
    side_cells : int
        Cells along a side of a square.
    """

    lattice: SurveyGrid
    side_cells: int

    @property
    def ids(self) -> NDArray[np.object_]:
        """INSPIRE code of each square."""
        return self.lattice.cell_ids(*np.divmod(np.arange(self.lattice.n_cells), self._width))

    @property
    def names(self) -> NDArray[np.object_]:
        """Squares have no name."""
        return np.full(self.lattice.n_cells, "", dtype=object)

    def of(self, block: SurveyGrid) -> Labels:
        """Return the square of each cell of a block."""
        side = self.side_cells
        from_north = block.north_cell - 1 - np.arange(block.n_rows)
        row = self.lattice.north_cell - 1 - from_north // side
        col = (block.west_cell + np.arange(block.n_cols)) // side - self.lattice.west_cell
        inside = ((row >= 0) & (row < self.lattice.n_rows))[:, None] & (
            (col >= 0) & (col < self._width)
        )
        return np.where(inside, row[:, None] * self._width + col, NONE).astype(np.int32)

    def outlines(self) -> NDArray[np.object_]:
        """Return the squares."""
        side_m = self.lattice.cell_size_m
        row, col = np.divmod(np.arange(self.lattice.n_cells), self._width)
        easting, northing = self.lattice.centres(row, col)
        half = side_m / 2
        boxes: NDArray[np.object_] = shapely.box(
            easting - half, northing - half, easting + half, northing + half
        )
        return boxes

    @property
    def _width(self) -> int:
        return self.lattice.n_cols


def square_units(grid: SurveyGrid, unit_m: float) -> SquareUnits:
    """Return squares of `unit_m` that cover a grid.

    Raises
    ------
    PriorityError
        If the side is not a whole number of cells.
    """
    side = round(unit_m / grid.cell_size_m)
    if side < 1 or abs(side * grid.cell_size_m - unit_m) > 1e-9:
        raise PriorityError(
            f"squares of {unit_m:g} m are no whole number of cells of {grid.cell_size_m} m",
            where="plan.unit_m",
            remedy=f"Use {max(side, 1) * grid.cell_size_m} m.",
        )
    covering = SurveyGrid.covering(grid.crs, side * grid.cell_size_m, grid.bounds)
    return SquareUnits(covering, side)


@dataclass(frozen=True, eq=False)
class VillageUnits:
    """The land nearer to one settlement than to any other.

    Parameters
    ----------
    grid : SurveyGrid
        The area's grid.
    places : ndarray of float64, shape (n, 2)
        Easting and northing of the settlements, no two at one place.
    names : ndarray of object, shape (n,)
        Their names.
    reach_m : float or None
        Land farther from its settlement belongs to none.
    """

    grid: SurveyGrid
    places: NDArray[np.float64]
    names: NDArray[np.object_]
    reach_m: float | None

    @property
    def ids(self) -> NDArray[np.object_]:
        """Id by the settlement's place, to the metre: stable across runs."""
        code = self.grid.crs.removeprefix("EPSG:")
        whole = np.floor(self.places).astype(np.int64).tolist()
        return np.array([f"V-CRS{code}N{n}E{e}" for e, n in whole], dtype=object)

    def of(self, block: SurveyGrid) -> Labels:
        """Return the settlement nearest to the centre of each cell of a block."""
        easting, northing = np.meshgrid(block.eastings(), block.northings())
        away_m, place = KDTree(self.places).query(np.column_stack([easting.flat, northing.flat]))
        unit = np.asarray(place, np.int32)
        if self.reach_m is not None:
            unit[np.asarray(away_m) > self.reach_m] = NONE
        return unit.reshape(block.shape)

    def outlines(self) -> NDArray[np.object_]:
        """Return each settlement's Voronoi cell within the grid, and within its reach."""
        box = shapely.box(*self.grid.bounds)
        if len(self.places) == 1:
            cells = np.array([box], dtype=object)
        else:
            points = shapely.MultiPoint(self.places)
            found = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=box))
            at = shapely.STRtree(found).query(shapely.points(self.places), predicate="intersects")
            cells = np.full(len(self.places), None, dtype=object)
            cells[at[0]] = found[at[1]]
        cells = shapely.intersection(cells, box)
        if self.reach_m is None:
            return cells
        near: NDArray[np.object_] = shapely.intersection(
            cells, shapely.buffer(shapely.points(self.places), self.reach_m)
        )
        return near


def village_units(
    grid: SurveyGrid,
    places: NDArray[np.float64],
    names: NDArray[np.object_],
    reach_m: float | None = None,
) -> VillageUnits:
    """Return the land of each settlement; of several at one place the first stands for all.

    Parameters
    ----------
    grid : SurveyGrid
        The area's grid.
    places : ndarray of float64, shape (n, 2)
        Easting and northing of the settlements in the grid's CRS.
    names : ndarray of object, shape (n,)
        Their names.
    reach_m : float, optional
        Land farther than this from every settlement belongs to none.

    Raises
    ------
    PriorityError
        If there is no settlement.
    """
    if len(places) == 0:
        raise PriorityError(
            "there is no settlement to send survey teams to",
            where="plan.settlements",
            remedy="Use plan.by=squares, or name another layer.",
        )
    _, first = np.unique(np.floor(places), axis=0, return_index=True)
    first.sort()
    return VillageUnits(grid, places[first], np.asarray(names, dtype=object)[first], reach_m)


@dataclass(frozen=True, eq=False)
class TaskUnits:
    """Clearance tasks as units of survey."""

    tasks: Tasks

    @property
    def ids(self) -> NDArray[np.object_]:
        """Ids of the tasks."""
        return self.tasks.ids

    @property
    def names(self) -> NDArray[np.object_]:
        """Tasks have no name but their id."""
        return np.full(len(self.tasks), "", dtype=object)

    def of(self, block: SurveyGrid) -> Labels:
        """Return the task of each cell of a block of the tasks' grid."""
        row, col = block.offset_in(self.tasks.grid)
        return self.tasks.labels[row : row + block.n_rows, col : col + block.n_cols]

    def outlines(self) -> NDArray[np.object_]:
        """Return the outlines of the tasks."""
        return outlines(self.tasks)


def task_units(tasks: Tasks) -> TaskUnits:
    """Return clearance tasks as units of survey."""
    return TaskUnits(tasks)
