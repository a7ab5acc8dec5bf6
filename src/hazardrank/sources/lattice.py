"""Where the cells of a grid lie in a raster of any CRS, exact to a few centimetres.

Reprojecting every cell would cost more than all else that is done with it. A net of nodes
is reprojected instead, at most 1 km apart, and places between them are interpolated. Over
1 km the course of a projection bends by ``(1 km)² / 8 · tan(latitude) / R``: 0.03 m at 60°
and 0.11 m at 80° of latitude, far below a pixel. The net starts at the origin of the
region's CRS, so that a cell has the same place in every block and in every region.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from hazardrank.sources.geometries import transformer
from hazardrank.sources.raster_facts import RasterFacts

Floats = NDArray[np.float64]

#: Farthest that nodes are apart.
NODES_M = 1000.0
#: Most cells between nodes, as a power of two.
MOST_SHIFT = 6
#: Pixels read beyond the cells.
MARGIN = 2
_NEST = 1e-6
_FAR = 1e9


@dataclass(frozen=True)
class Net:
    """Places of a block of cells in a raster, as the kernels of :mod:`.warp` take them.

    Parameters
    ----------
    across, down : ndarray of float64, shape (node rows, node columns)
        Column and row of each node in the raster; not finite where it has no place there.
    shift : int
        Nodes are ``2**shift`` cells apart.
    period : int
        Columns once around the world, 0 if the raster does not close.
    south, east : int
        Cells between the first node and the first cell.
    shape : tuple of int
        Rows and columns of the block.
    """

    across: Floats
    down: Floats
    shift: int
    period: int
    south: int
    east: int
    shape: tuple[int, int]


@dataclass(frozen=True)
class Lattice:
    """Cells of one size all over a CRS, from its origin, as seen from a raster.

    Parameters
    ----------
    facts : RasterFacts
        The raster.
    crs : str
        CRS of the cells.
    cell_m : float
        Side of a cell; ``cell_m`` times any whole number must be exact.
    """

    facts: RasterFacts
    crs: str
    cell_m: float

    @cached_property
    def shift(self) -> int:
        """How many times the distance between nodes is a cell doubled."""
        if transformer(self.crs, self.facts.crs) is None:
            return MOST_SHIFT
        return min(MOST_SHIFT, max(0, math.floor(math.log2(NODES_M / self.cell_m))))

    @cached_property
    def period(self) -> int:
        """Columns once around the world, 0 if the raster does not close into a ring."""
        step, turn = self.facts.transform[0], self.facts.transform[3]
        if turn or not step or not CRS.from_user_input(self.facts.crs).is_geographic:
            return 0
        unit = CRS.from_user_input(self.facts.crs).axis_info[0].unit_conversion_factor
        columns = 2 * math.pi / (abs(step) * unit)
        return round(columns) if abs(columns - round(columns)) < _NEST * columns else 0

    def net(self, north: int, west: int, n_rows: int, n_cols: int) -> Net:
        """Return the places of a block.

        Parameters
        ----------
        north, west : int
            Northern and western edge, in cells from the CRS's origin.
        n_rows, n_cols : int
            Shape.
        """
        shift = self.shift
        first_row, first_col = -north >> shift, west >> shift
        rows = np.arange(first_row, ((-north + n_rows - 1) >> shift) + 2)
        cols = np.arange(first_col, ((west + n_cols - 1) >> shift) + 2)
        spacing_m = self.cell_m * (1 << shift)
        easting, northing = np.meshgrid(cols * spacing_m, -rows * spacing_m)
        across, down = self._in_raster(easting, northing)
        return Net(
            across,
            down,
            shift,
            self.period,
            -north - (first_row << shift),
            west - (first_col << shift),
            (n_rows, n_cols),
        )

    def _in_raster(self, easting: Floats, northing: Floats) -> tuple[Floats, Floats]:
        facts = self.facts
        change = transformer(self.crs, facts.crs)
        if change is not None:
            easting, northing = change.transform(easting, northing)
        step_col, turn_col, west, turn_row, step_row, north = facts.transform[:6]
        east_m, north_m = easting - west, northing - north
        if not (turn_col or turn_row):
            return self._nearest_turn(east_m / step_col), north_m / step_row
        size = step_col * step_row - turn_col * turn_row
        across = (step_row * east_m - turn_col * north_m) / size
        return across, (step_col * north_m - turn_row * east_m) / size

    def _nearest_turn(self, across: Floats) -> Floats:
        """Return columns taken around the world to where the raster lies."""
        period = self.period
        if not period:
            return across
        with np.errstate(invalid="ignore"):
            turns = np.rint((across - self.facts.width / 2) / period)
        return np.where(turns == 0, across, across - turns * period)

    def nested_origin(self) -> tuple[int, int] | None:
        """Return the raster's northern and western edge in cells, if its pixels are cells."""
        step_col, turn_col, west, turn_row, step_row, north = self.facts.transform[:6]
        cell_m = self.cell_m
        if transformer(self.facts.crs, self.crs) is not None or turn_col or turn_row:
            return None
        if abs(step_col - cell_m) > 1e-9 * cell_m or abs(step_row + cell_m) > 1e-9 * cell_m:
            return None
        origin = round(north / cell_m), round(west / cell_m)
        off = max(abs(north / cell_m - origin[0]), abs(west / cell_m - origin[1]))
        return origin if off < _NEST else None


def window_of(net: Net, facts: RasterFacts) -> tuple[int, int, int, int]:
    """Return the pixels that a block needs: first row, first column, rows, columns.

    Parameters
    ----------
    net : Net
        The block's places.
    facts : RasterFacts
        The raster.

    Returns
    -------
    tuple of int
        Cut to the raster; no rows or no columns where the block lies outside.
    """
    across, down = (_trimmed(_trimmed(one, net, 0), net, 1) for one in (net.across, net.down))
    known = np.isfinite(across) & np.isfinite(down)
    if not known.any():
        return 0, 0, 0, 0
    top, bottom = _reached(down[known], net.down, net.shift)
    left, right = _reached(across[known], net.across, net.shift)
    closes = net.period and facts.width > net.period / 2
    if closes and (right - left > net.period / 2 or left < 0 or right > facts.width):
        left, right = 0, facts.width  # both edges of the raster may be near
    top, bottom = max(top, 0), min(bottom, facts.height)
    left, right = max(left, 0), min(right, facts.width)
    return top, left, max(bottom - top, 0), max(right - left, 0)


def _trimmed(places: Floats, net: Net, axis: int) -> Floats:
    """Return places with those of the outermost nodes moved to the block's edges."""
    side = 1 << net.shift
    start = (net.south, net.east)[axis]
    stop = start + net.shape[axis]
    at = np.moveaxis(places.copy(), axis, 0)
    with np.errstate(invalid="ignore"):
        last = at[-2] + (stop / side - (len(at) - 2)) * (at[-1] - at[-2])
        at[0] += start / side * (at[1] - at[0])
    at[-1] = last
    return np.moveaxis(at, 0, axis)


def _reached(places: Floats, nodes: Floats, shift: int) -> tuple[int, int]:
    """Return the first pixel near the places, and the one after the last."""
    with np.errstate(invalid="ignore"):
        steps = [np.abs(np.diff(nodes, axis=axis)) for axis in (0, 1)]
    longest = max(float(np.max(step, initial=0.0, where=np.isfinite(step))) for step in steps)
    margin = MARGIN + longest / (1 << shift)
    lowest, highest = float(places.min()) - margin, float(places.max()) + margin
    return math.floor(max(lowest, -_FAR)), math.ceil(min(highest, _FAR))
