"""Where a simulated district lies, its random draws and its degrees of difficulty."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.errors import SettingsError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import DistrictSettings

#: Layers reach this far beyond the district, so that cells at its border have neighbours.
MARGIN_M = 4000.0

#: South-west corner in UTM metres. In zone 38 north this is open sea: nobody takes the
#: district for a real place.
SOUTH_WEST_M = (600_000.0, 20_000.0)

MIN_CELLS_ACROSS = 16
MAX_CELLS = 20_000_000


@dataclass(frozen=True)
class Difficulty:
    """How loosely mines follow tactical rules and how partial the records are.

    Parameters
    ----------
    ruleless_share : float
        Share of the contaminated area that follows no rule at all, 0–1.
    hidden_strength : float
        Standard deviation of the log of a spatial factor that no layer shows (doctrine,
        supply, the habits of a commander).
    right_map_share : float
        Share of minefield maps that lie where the mines are, 0–1.
    displacement_m : float
        Standard deviation of the shift of the maps that do not, in metres.
    unfounded : float
        Reports without any ground, for each report of ordnance that is there.
    detection_m2 : float
        Contaminated area at which a survey visit meets evidence with probability 63 %.
    """

    ruleless_share: float
    hidden_strength: float
    right_map_share: float
    displacement_m: float
    unfounded: float
    detection_m2: float


DIFFICULTIES: Mapping[str, Difficulty] = MappingProxyType(
    {
        "easy": Difficulty(0.04, 0.3, 0.6, 250.0, 0.2, 20_000.0),
        "standard": Difficulty(0.10, 0.6, 0.25, 500.0, 0.4, 25_000.0),
        "hard": Difficulty(0.35, 1.6, 0.15, 1000.0, 0.8, 60_000.0),
    }
)


@dataclass(frozen=True)
class Frame:
    """The district's grid, the wider grid its layers cover, and its random draws.

    Parameters
    ----------
    district : SurveyGrid
        The district.
    world : SurveyGrid
        The district with a margin of :data:`MARGIN_M` on every side.
    seed : int
        Seed of every draw.
    difficulty : Difficulty
        Degrees of difficulty.
    """

    district: SurveyGrid
    world: SurveyGrid
    seed: int
    difficulty: Difficulty

    @classmethod
    def of(cls, settings: DistrictSettings) -> Frame:
        """Return the frame of a district.

        Raises
        ------
        SettingsError
            If the cells are not whole metres, too few across or too many altogether.
        GridError
            If the CRS is not projected in metres.
        """
        cell_size_m = settings.cell_size_m
        if cell_size_m != int(cell_size_m):
            raise SettingsError(
                f"cell_size_m = {cell_size_m} must be a whole number of metres",
                where="district.cell_size_m",
            )
        across = math.ceil(settings.size_km * 1000 / cell_size_m)
        margin = math.ceil(MARGIN_M / cell_size_m)
        if across < MIN_CELLS_ACROSS or (across + 2 * margin) ** 2 > MAX_CELLS:
            raise SettingsError(
                f"{settings.size_km:g} km at {cell_size_m:g} m gives {across} cells across; a "
                f"simulated district needs at least {MIN_CELLS_ACROSS} across and at most "
                f"{MAX_CELLS:,} cells with its margin",
                where="district",
                remedy="Change district.size_km or district.cell_size_m.",
            )
        west_cell = math.ceil(SOUTH_WEST_M[0] / cell_size_m)
        north_cell = math.ceil(SOUTH_WEST_M[1] / cell_size_m) + across
        district = SurveyGrid(settings.crs, int(cell_size_m), west_cell, north_cell, across, across)
        return cls(
            district,
            district.expanded(margin),
            settings.seed,
            DIFFICULTIES[settings.difficulty],
        )

    def draws(self, purpose: str) -> np.random.Generator:
        """Return the random generator of one purpose, independent of all others."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])

    @property
    def district_area_m2(self) -> float:
        """Area of the district in m²."""
        return self.district.n_cells * self.district.cell_area_m2

    @property
    def side_m(self) -> float:
        """Side of the district in metres."""
        return float(self.district.n_cols * self.district.cell_size_m)

    @property
    def district_box(self) -> shapely.Polygon:
        """The district as a polygon."""
        return shapely.box(*self.district.bounds)

    @property
    def world_box(self) -> shapely.Polygon:
        """The district and its margin as a polygon."""
        return shapely.box(*self.world.bounds)

    def in_district(
        self, easting: NDArray[np.float64], northing: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return which points lie in the district."""
        west, south, east, north = self.district.bounds
        inside: NDArray[np.bool_] = (
            (easting > west) & (easting < east) & (northing > south) & (northing < north)
        )
        return inside


def sample(
    grid: SurveyGrid,
    values: NDArray[np.floating],
    easting: NDArray[np.float64],
    northing: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the values of the cells that hold the points; the nearest cell outside."""
    rows, cols = grid.cells_of(easting, northing)
    rows = np.clip(rows, 0, grid.n_rows - 1)
    cols = np.clip(cols, 0, grid.n_cols - 1)
    picked: NDArray[np.float64] = np.asarray(values[rows, cols], dtype=np.float64)
    return picked
