"""Terrain: form of the land at a cell and in discs around it, from an elevation layer.

At the cell, from its 3 × 3 neighbourhood, in one pass:

- slope (degrees): Horn (1981), Proc. IEEE 69(1).
- northness and eastness (-1…1): cosine and sine of the aspect, each times the sine of the
  slope; the north and east components of the surface's unit normal. Land that falls to
  the north has positive northness; flat land has 0 for both instead of an arbitrary
  direction.
- profile and plan curvature (1/m): second derivative of the elevation along and across
  the slope, by the partial quartic of Zevenbergen & Thorne (1987), Earth Surf. Process.
  Landforms 12. Both are positive where the land is convex (crests, spurs) and negative
  where it is hollow; their sum is minus the Laplacian. Where the gradient is exactly
  zero there is no direction and each gets half of the sum.

In discs of given radii (all cells whose centres lie within it; see :mod:`.focal`):

- TPI (m): elevation minus the mean of the disc; Weiss (2001), with a full disc.
- TRI (m): root mean square difference to the other cells of the disc; Riley et al. (1999)
  take the root of the summed squares over 8 neighbours, so theirs is √8 times this. The
  mean makes radii comparable.
- relief (m): highest minus lowest.
- roughness (degrees): standard deviation of the slope; Grohmann et al. (2011), IEEE Trans.
  Geosci. Remote Sens. 49(4), found it the most telling of the common measures.
- position (0…1): where the elevation lies between the lowest (0, valley floor) and the
  highest (1, crest) of the disc; 0.5 where the disc is flat.

Missing: a feature is missing where the cell's own elevation is. A missing neighbour (at
the edge of the elevation model) is extrapolated in a straight line through the cell from
its opposite neighbour; where that is missing too, a diagonal neighbour lies in the plane of
the two beside it, and any other as high as the cell. Discs use the cells that are there.
Elevation is rounded to 1 mm and slope to 0.001° in discs.

Checked against SAGA's slope and curvatures of a real 10 m elevation model (southern
Ecuador, 156,732 cells, slopes up to 76°; tests/features/test_terrain.py):

========== ================ ======== ======================= ==========================
feature    linear           rank     median difference       cause
========== ================ ======== ======================= ==========================
slope      r = 0.9897       0.9885   0.77° of 37.1°          Horn's gradient smooths over
                                                             3 rows; SAGA's does not
profile    r = 0.898        0.977    0.0061 of 0.0070 1/m    SAGA divides by (1 + p)^1.5
plan       r = 0.520        0.975    0.0048 of 0.0214 1/m    SAGA divides by √p
========== ================ ======== ======================= ==========================

with p the squared gradient. SAGA gives the curvature of the profile and of the contour as
curves in space; the plan curvature then grows without bound on level land (-26 1/m in this
model). Zevenbergen & Thorne's second derivatives stay finite. Divided the same way, ours
equal SAGA's (r = 1.000000, 95 % of cells within 4e-9 1/m), and so does the slope (within
1e-5°) when it is taken from the same four neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.errors import FeatureError
from hazardrank.features.base import FeatureFamily, FeatureSpec, FloatBlock
from hazardrank.features.focal import (
    Disc,
    FloatRaster,
    RadiusM,
    disc_extremes,
    disc_statistics,
    discs_of,
    inner,
    widest,
)
from hazardrank.grid import SurveyGrid
from hazardrank.settings import FamilySettings, Key, LayerSettings
from hazardrank.sources.catalogue import layer_of_kind
from hazardrank.sources.layers import LayerReader

CellOutput = Literal[
    "elevation", "slope", "northness", "eastness", "profile_curvature", "plan_curvature"
]
DiscOutput = Literal["tpi", "tri", "relief", "roughness", "position"]

ELEVATION_QUANTUM_M = 0.001
SLOPE_QUANTUM_DEG = 0.001

#: Output → (suffix of the name, unit, description).
_CELL_OUTPUTS: dict[CellOutput, tuple[str, str, str]] = {
    "elevation": ("elevation_m", "m", "Elevation above sea level."),
    "slope": ("slope_deg", "deg", "Steepness of the land."),
    "northness": ("northness", "1", "How much the land faces north (1) or south (-1)."),
    "eastness": ("eastness", "1", "How much the land faces east (1) or west (-1)."),
    "profile_curvature": (
        "profile_curvature_per_m",
        "1/m",
        "Curvature along the slope; positive where convex.",
    ),
    "plan_curvature": (
        "plan_curvature_per_m",
        "1/m",
        "Curvature across the slope; positive on spurs, negative in hollows.",
    ),
}

#: Output → (unit at the end of the name, unit, description).
_DISC_OUTPUTS: dict[DiscOutput, tuple[str, str, str]] = {
    "tpi": ("_m", "m", "Elevation above the mean within {radius} m."),
    "tri": ("_m", "m", "Root mean square difference in elevation to cells within {radius} m."),
    "relief": ("_m", "m", "Highest minus lowest elevation within {radius} m."),
    "roughness": ("_deg", "deg", "Standard deviation of the slope within {radius} m."),
    "position": ("", "1", "From valley floor (0) to crest (1) within {radius} m."),
}


class TerrainSettings(FamilySettings):
    """Settings of the family ``terrain``."""

    family: Literal["terrain"] = "terrain"
    layer: Key = "elevation"
    """Catalogue key of a continuous layer of elevations in metres."""
    radii_m: list[RadiusM] = Field([300, 1000, 3000], min_length=1)
    """Radii, in whole metres, of the discs for tpi, tri, relief, roughness and position."""
    outputs: list[CellOutput | DiscOutput] = Field([*_CELL_OUTPUTS, *_DISC_OUTPUTS], min_length=1)
    """Which features to compute."""


class TerrainFamily(FeatureFamily[TerrainSettings]):
    """Slope, aspect, curvature, position, relief and roughness of the land.

    Raises
    ------
    LayerError
        If the layer is not a continuous raster.
    FeatureError
        If its unit is known and not metres.
    """

    name = "terrain"
    settings_type = TerrainSettings

    def __init__(
        self, key: str, settings: TerrainSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        layer = layer_of_kind(catalogue, settings.layer, ("continuous",))
        if layer.unit not in (None, "m"):
            raise FeatureError(
                f"layer '{settings.layer}' is in {layer.unit}; elevations must be in metres",
                where=f"features.{key}",
                remedy="Convert the raster, or correct the layer's unit.",
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """The elevation layer."""
        return (self.settings.layer,)

    @property
    def halo_m(self) -> float:
        """The largest radius; the family reads one cell more for the slope there."""
        return float(max(self._radii_m, default=0))

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """Features of the cell, then those of each disc, radius by radius."""
        layer = self.settings.layer
        specs = [
            self.spec(*_CELL_OUTPUTS[output][:2], layer, _CELL_OUTPUTS[output][2])
            for output in self._cell_outputs
        ]
        for radius_m in self._radii_m:
            for output in self._disc_outputs:
                ending, unit, description = _DISC_OUTPUTS[output]
                suffix = f"{output}_r{radius_m}{ending}"
                specs.append(self.spec(suffix, unit, layer, description.format(radius=radius_m)))
        return tuple(specs)

    @property
    def _cell_outputs(self) -> list[CellOutput]:
        return [output for output in _CELL_OUTPUTS if output in self.settings.outputs]

    @property
    def _disc_outputs(self) -> list[DiscOutput]:
        return [output for output in _DISC_OUTPUTS if output in self.settings.outputs]

    @property
    def _radii_m(self) -> list[int]:
        return sorted(set(self.settings.radii_m)) if self._disc_outputs else []

    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute the terrain features of a block, shape (n_features, rows, cols)."""
        discs = discs_of(self._radii_m, grid.cell_size_m, f"features.{self.key}")
        halo = widest(discs) + 1
        elevation = layers.continuous(self.settings.layer, grid.expanded(halo))
        surface = surface_form(elevation, float(grid.cell_size_m))
        by_output = dict(zip(_SURFACE_OUTPUTS, surface, strict=True))
        planes = [
            inner(elevation, halo) if output == "elevation" else inner(by_output[output], halo - 1)
            for output in self._cell_outputs
        ]
        planes.extend(self._disc_planes(elevation, by_output["slope"], halo, discs))
        return np.stack(planes)

    def _disc_planes(
        self, elevation: FloatRaster, slope: FloatRaster, halo: int, discs: Sequence[Disc]
    ) -> Iterator[FloatRaster]:
        """Yield the disc outputs, radius by radius, computing only what is asked for."""
        wanted = set(self._disc_outputs)
        centre = inner(elevation, halo)
        means = extremes = slopes = None
        if wanted & {"tpi", "tri"}:
            means = disc_statistics(elevation, halo, discs, ELEVATION_QUANTUM_M)
        if wanted & {"relief", "position"}:
            extremes = disc_extremes(elevation, halo, discs)
        if "roughness" in wanted:
            slopes = disc_statistics(slope, halo - 1, discs, SLOPE_QUANTUM_DEG)
        for number in range(len(discs)):
            planes: dict[DiscOutput, FloatRaster] = {}
            if means is not None:
                planes["tpi"] = -means[number].difference
                planes["tri"] = means[number].rms_difference
            if extremes is not None:
                lowest, highest = extremes[number]
                planes["relief"] = highest - lowest
                planes["position"] = _position(centre, lowest, highest)
            if slopes is not None:
                planes["roughness"] = slopes[number].sd
            yield from (planes[output] for output in self._disc_outputs)


def _position(centre: FloatRaster, lowest: FloatRaster, highest: FloatRaster) -> FloatRaster:
    relief = highest - lowest
    flat = relief == 0
    return np.where(flat, np.float32(0.5), (centre - lowest) / np.where(flat, 1, relief)).astype(
        np.float32
    )


# ------------------------------------------------------------- the 3 × 3 neighbourhood

#: Order of the planes of :func:`surface_form`.
_SURFACE_OUTPUTS: tuple[CellOutput, ...] = (
    "slope",
    "northness",
    "eastness",
    "profile_curvature",
    "plan_curvature",
)
_Neighbourhood = tuple[float, float, float, float, float, float, float, float, float]
"""Elevations north-west, north, north-east, west, centre, east, south-west, south, south-east."""


def surface_form(elevation: FloatRaster, cell_size_m: float) -> NDArray[np.float32]:
    """Return slope, northness, eastness, profile and plan curvature in one pass.

    Parameters
    ----------
    elevation : ndarray of float32, shape (rows + 2, cols + 2)
        Elevation in metres with a halo of one cell, NaN where missing.
    cell_size_m : float
        Side of a cell.

    Returns
    -------
    ndarray of float32, shape (5, rows, cols)
        Slope in degrees (0–90), northness and eastness (-1…1), profile and plan curvature
        in 1/m; NaN where the cell's own elevation is missing.
    """
    out = np.empty((5, elevation.shape[0] - 2, elevation.shape[1] - 2), np.float32)
    _surface_complete(elevation, cell_size_m, out)
    if np.isnan(elevation).any():
        _surface_beside_gaps(elevation, cell_size_m, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _arctangent_deg(tangent: float) -> float:
    """Return the arctangent of a number ≥ 0 in degrees, within 1e-5°.

    The polynomial of Cephes' ``atanf`` (Moshier 1989) without branches, so that the loop
    around it becomes vector instructions; the library's arctangent costs more than all
    the rest of the pass.
    """
    steep = tangent > 2.414213562373095
    middling = tangent > 0.4142135623730950
    above = -1.0 if steep else (tangent - 1.0 if middling else tangent)
    below = tangent if steep else (tangent + 1.0 if middling else 1.0)
    start = 90.0 if steep else (45.0 if middling else 0.0)
    reduced = above / below
    square = reduced * reduced
    series = 8.05374449538e-2 * square - 1.38776856032e-1
    series = series * square + 1.99777106478e-1
    series = series * square - 3.33329491539e-1
    return start + (series * square * reduced + reduced) * 57.29577951308232


@njit(cache=True, nogil=True, error_model="numpy")
def _facing(near: _Neighbourhood, size_m: float) -> tuple[float, float, float]:
    """Return slope in degrees, northness and eastness; Horn (1981)."""
    nw, n, ne, w, _, e, sw, s, se = near
    east = ((ne + 2.0 * e + se) - (nw + 2.0 * w + sw)) / (8.0 * size_m)
    north = ((nw + 2.0 * n + ne) - (sw + 2.0 * s + se)) / (8.0 * size_m)
    squared = east * east + north * north
    normal = math.sqrt(1.0 + squared)
    return _arctangent_deg(math.sqrt(squared)), -north / normal, -east / normal


@njit(cache=True, nogil=True, error_model="numpy")
def _curvatures(near: _Neighbourhood, size_m: float) -> tuple[float, float]:
    """Return profile and plan curvature, positive where convex; Zevenbergen & Thorne (1987)."""
    nw, n, ne, w, centre, e, sw, s, se = near
    east = (e - w) / (2.0 * size_m)
    north = (n - s) / (2.0 * size_m)
    east2 = (w - 2.0 * centre + e) / (size_m * size_m)
    north2 = (n - 2.0 * centre + s) / (size_m * size_m)
    mixed = (ne - nw - se + sw) / (4.0 * size_m * size_m)
    squared = east * east + north * north
    level = squared == 0.0
    divisor = 1.0 if level else squared
    cross = 2.0 * mixed * east * north
    along = (east2 * east * east + cross + north2 * north * north) / divisor
    across = (east2 * north * north - cross + north2 * east * east) / divisor
    half = (east2 + north2) / 2.0
    return (-half if level else -along), (-half if level else -across)


@njit(cache=True, nogil=True, error_model="numpy")
def _surface_complete(elevation: FloatRaster, size_m: float, out: NDArray[np.float32]) -> None:
    """Fill `out` where no elevation is missing near: straight loops that vectorise."""
    for row in range(out.shape[1]):
        above, level, below = elevation[row], elevation[row + 1], elevation[row + 2]
        for col in range(out.shape[2]):
            near = (
                np.float64(above[col]),
                np.float64(above[col + 1]),
                np.float64(above[col + 2]),
                np.float64(level[col]),
                np.float64(level[col + 1]),
                np.float64(level[col + 2]),
                np.float64(below[col]),
                np.float64(below[col + 1]),
                np.float64(below[col + 2]),
            )
            out[0, row, col], out[1, row, col], out[2, row, col] = _facing(near, size_m)
            out[3, row, col], out[4, row, col] = _curvatures(near, size_m)


@njit(cache=True, nogil=True)
def _known(value: float, opposite: float, centre: float, otherwise: float) -> float:
    """Return `value`, or where missing what a straight line from `opposite` gives."""
    if not math.isnan(value):
        return value
    return otherwise if math.isnan(opposite) else 2.0 * centre - opposite


@njit(cache=True, nogil=True, error_model="numpy")
def _surface_beside_gaps(elevation: FloatRaster, size_m: float, out: NDArray[np.float32]) -> None:
    """Fill `out` where an elevation of the neighbourhood is missing."""
    for row in range(out.shape[1]):
        for col in range(out.shape[2]):
            centre = np.float64(elevation[row + 1, col + 1])
            if math.isnan(centre):
                out[:, row, col] = np.nan
                continue
            n, s = np.float64(elevation[row, col + 1]), np.float64(elevation[row + 2, col + 1])
            w, e = np.float64(elevation[row + 1, col]), np.float64(elevation[row + 1, col + 2])
            nw, se = np.float64(elevation[row, col]), np.float64(elevation[row + 2, col + 2])
            ne, sw = np.float64(elevation[row, col + 2]), np.float64(elevation[row + 2, col])
            if not math.isnan(n + s + w + e + nw + se + ne + sw):
                continue
            above, below = _known(n, s, centre, centre), _known(s, n, centre, centre)
            left, right = _known(w, e, centre, centre), _known(e, w, centre, centre)
            near = (
                _known(nw, se, centre, above + left - centre),
                above,
                _known(ne, sw, centre, above + right - centre),
                left,
                centre,
                right,
                _known(sw, ne, centre, below + left - centre),
                below,
                _known(se, nw, centre, below + right - centre),
            )
            out[0, row, col], out[1, row, col], out[2, row, col] = _facing(near, size_m)
            out[3, row, col], out[4, row, col] = _curvatures(near, size_m)
