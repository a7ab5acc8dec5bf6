"""Line of sight: how much of a line layer sees a cell across the terrain.

Points are set every ``spacing_m`` along each line, from its first vertex. Of the points
within ``max_distance_m`` of a cell's centre, the feature is the share from which an
observer of ``observer_height_m`` sees a target of ``target_height_m`` at that centre. A
cell that no point is near gets 0: nothing on the line sees it.

A sight line is tested once a cell length. It is blocked where the ground, bilinear
between cell centres, plus the bulge of the earth stands above it. The bulge is
d₁d₂(1 - k) / 2R between two points at distances d₁ and d₂, with R = 6371 km and k = 0.13
for refraction: 0.3 m in the middle of 4 km. Trees and buildings are not in a terrain model
and block nothing; ground that is missing blocks nothing either. A point whose own ground
is missing is left out; a cell whose ground is missing has no value.

Lines that several dated phases share are counted once for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.features.base import FeatureFamily, FeatureSpec, FloatBlock
from hazardrank.features.focal import FloatRaster, inner
from hazardrank.grid import SurveyGrid
from hazardrank.settings import FamilySettings, Key, LayerSettings
from hazardrank.sources.catalogue import layer_of_kind
from hazardrank.sources.layers import LayerReader

EARTH_RADIUS_M = 6_371_000.0
REFRACTION = 0.13


class VisibilitySettings(FamilySettings):
    """Settings of the family ``visibility``."""

    family: Literal["visibility"] = "visibility"
    layer: Key = "front_lines"
    """Catalogue key of the line layer that sees or does not see."""
    elevation: Key = "elevation"
    """Catalogue key of a continuous layer of elevations in metres."""
    spacing_m: Annotated[float, Field(ge=1, le=10_000)] = 250.0
    """Distance between the points along each line."""
    max_distance_m: Annotated[float, Field(gt=0, le=50_000)] = 3000.0
    """Points farther than this from a cell do not count for it."""
    observer_height_m: Annotated[float, Field(ge=0, le=1000)] = 2.0
    """Height of the eyes above the ground on the line."""
    target_height_m: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Height above the ground of what is to be seen in the cell."""


class VisibilityFamily(FeatureFamily[VisibilitySettings]):
    """Share of the points along a line layer that see the cell.

    Raises
    ------
    LayerError
        If the layers are not lines and a continuous raster.
    """

    name = "visibility"
    settings_type = VisibilitySettings

    def __init__(
        self, key: str, settings: VisibilitySettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        layer_of_kind(catalogue, settings.layer, ("lines",))
        layer_of_kind(catalogue, settings.elevation, ("continuous",))

    @property
    def needs(self) -> tuple[str, ...]:
        """The lines and the elevations."""
        return (self.settings.layer, self.settings.elevation)

    @property
    def halo_m(self) -> float:
        """The largest distance of a point that counts."""
        return self.settings.max_distance_m

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The visible share."""
        description = (
            f"Share of the points on {self.settings.layer} within "
            f"{self.settings.max_distance_m:g} m that see the cell."
        )
        return (self.spec("visible_share", "1", self.settings.layer, description),)

    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute the visible share of a block, shape (1, rows, cols)."""
        settings = self.settings
        halo = math.ceil(settings.max_distance_m / grid.cell_size_m) + 1
        ground = layers.continuous(settings.elevation, grid.expanded(halo))
        points = self._points(grid, layers)
        near = np.zeros(grid.shape, np.int32)
        seen = np.zeros(grid.shape, np.int32)
        if len(points):
            _count_seen(
                ground,
                halo,
                points / grid.cell_size_m,
                grid.west_cell,
                grid.north_cell,
                float(grid.cell_size_m),
                settings.max_distance_m / grid.cell_size_m,
                settings.observer_height_m,
                settings.target_height_m,
                near,
                seen,
            )
        share = (seen / np.maximum(near, 1)).astype(np.float32)
        share[np.isnan(inner(ground, halo))] = np.nan
        return share[np.newaxis]

    def _points(self, grid: SurveyGrid, layers: LayerReader) -> NDArray[np.float64]:
        """Return easting and northing of the points that may see the block, shape (n, 2)."""
        reach_m = self.settings.max_distance_m
        west, south, east, north = grid.bounds
        bounds = (west - reach_m, south - reach_m, east + reach_m, north + reach_m)
        lines = shapely.get_parts(layers.vectors(self.settings.layer, bounds).geometry.to_numpy())
        points = points_along(lines, self.settings.spacing_m)
        inside = (points >= bounds[:2]).all(axis=1) & (points <= bounds[2:]).all(axis=1)
        return points[inside]


def points_along(lines: NDArray[np.object_], spacing_m: float) -> NDArray[np.float64]:
    """Return points every `spacing_m` along each line from its start, shape (n, 2)."""
    counts = np.floor(shapely.length(lines) / spacing_m).astype(np.int64) + 1
    of_line = np.repeat(np.arange(len(lines)), counts)
    number = np.arange(len(of_line)) - np.repeat(np.cumsum(counts) - counts, counts)
    points = shapely.line_interpolate_point(lines[of_line], number * spacing_m)
    coordinates: NDArray[np.float64] = shapely.get_coordinates(points)
    return coordinates


@njit(cache=True, nogil=True, error_model="numpy")
def _ground_at(
    ground: FloatRaster, first_col: int, first_row: int, east: float, south: float
) -> float:
    """Return the bilinear elevation at a place in cells from the CRS origin.

    Places count from the origin and not from the block, so that rounding is the same in
    every block.
    """
    west_col, north_row = math.floor(east - 0.5), math.floor(south - 0.5)
    share_east, share_south = east - 0.5 - west_col, south - 0.5 - north_row
    col, row = west_col - first_col, north_row - first_row
    above = ground[row, col] * (1.0 - share_east) + ground[row, col + 1] * share_east
    below = ground[row + 1, col] * (1.0 - share_east) + ground[row + 1, col + 1] * share_east
    height_m: float = above * (1.0 - share_south) + below * share_south
    return height_m


@njit(cache=True, nogil=True, error_model="numpy")
def _sees(
    ground: FloatRaster,
    first_col: int,
    first_row: int,
    eye: tuple[float, float, float],
    target: tuple[float, float, float],
    cell_size_m: float,
) -> bool:
    """Return whether nothing between eye and target (east, south, height) is in the way."""
    east, south = target[0] - eye[0], target[1] - eye[1]
    distance = math.sqrt(east * east + south * south)
    steps = math.ceil(distance)
    bulge_m = (distance * cell_size_m) ** 2 * (1.0 - REFRACTION) / (2.0 * EARTH_RADIUS_M)
    for step in range(1, steps):
        along = step / steps
        here_m = _ground_at(
            ground, first_col, first_row, eye[0] + east * along, eye[1] + south * along
        )
        sight_m = eye[2] + (target[2] - eye[2]) * along
        if here_m + bulge_m * along * (1.0 - along) > sight_m:
            return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _count_seen(
    ground: FloatRaster,
    halo: int,
    points: NDArray[np.float64],
    west_cell: int,
    north_cell: int,
    cell_size_m: float,
    reach: float,
    observer_height_m: float,
    target_height_m: float,
    near: NDArray[np.int32],
    seen: NDArray[np.int32],
) -> None:
    """Count, for each cell of the block, the points in reach and those that see it."""
    n_rows, n_cols = near.shape
    first_col, first_row = west_cell - halo, -north_cell - halo
    for index in range(len(points)):
        east, south = points[index, 0], -points[index, 1]
        last_needed_col = math.ceil(east + reach) - west_cell
        last_needed_row = math.ceil(south + reach) + north_cell
        col_from = max(math.floor(east - reach) - west_cell, 0)
        row_from = max(math.floor(south - reach) + north_cell, 0)
        eye_m = _ground_at(ground, first_col, first_row, east, south) + observer_height_m
        if math.isnan(eye_m):
            continue
        for row in range(row_from, min(last_needed_row, n_rows)):
            for col in range(col_from, min(last_needed_col, n_cols)):
                target_east, target_south = west_cell + col + 0.5, row - north_cell + 0.5
                squared = (target_east - east) ** 2 + (target_south - south) ** 2
                target_m = ground[row + halo, col + halo] + target_height_m
                if squared > reach * reach or math.isnan(target_m):
                    continue
                near[row, col] += 1
                eye = (east, south, eye_m)
                target = (target_east, target_south, target_m)
                if _sees(ground, first_col, first_row, eye, target, cell_size_m):
                    seen[row, col] += 1
