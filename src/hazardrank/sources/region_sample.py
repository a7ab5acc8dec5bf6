"""A lattice of points over a region, at which its files are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from hazardrank.grid import Bounds, SurveyGrid
from hazardrank.sources.geometries import transformer
from hazardrank.sources.rasters import RasterFacts

#: Points along the longer side of the lattice.
POINTS_A_SIDE = 400


@dataclass(frozen=True)
class RegionSample:
    """Points of a regular lattice inside the area of interest.

    Parameters
    ----------
    grid : SurveyGrid
        The region's survey grid.
    step_m : float
        Distance between neighbouring points.
    shape : tuple of int
        Rows and columns of the lattice over the whole grid.
    inside : ndarray of bool, shape `shape`
        Which points lie in the area of interest.
    """

    grid: SurveyGrid
    step_m: float
    shape: tuple[int, int]
    inside: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        grid: SurveyGrid,
        area: shapely.Geometry | None = None,
        points_a_side: int = POINTS_A_SIDE,
    ) -> RegionSample:
        """Lay a lattice over a grid; no finer than its cells.

        Parameters
        ----------
        grid : SurveyGrid
            The region's survey grid.
        area : geometry, optional
            Area of interest in the grid's CRS; the whole grid when left out.
        points_a_side : int
            Points along the longer side.
        """
        west, south, east, north = grid.bounds
        longest_m = max(east - west, north - south)
        step_m = max(float(grid.cell_size_m), longest_m / points_a_side)
        shape = (math.ceil((north - south) / step_m), math.ceil((east - west) / step_m))
        sample = cls(grid, step_m, shape, np.ones(shape, bool))
        if area is None:
            return sample
        easting, northing = sample.points()
        shapely.prepare(area)
        inside = shapely.contains_xy(area, easting, northing).reshape(shape)
        return cls(grid, step_m, shape, inside)

    @property
    def transform(self) -> Affine:
        """Affine whose pixel centres are the points."""
        return Affine(self.step_m, 0, self.grid.west_m, 0, -self.step_m, self.grid.north_m)

    @property
    def n_inside(self) -> int:
        """Number of points in the area of interest."""
        return int(self.inside.sum())

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return easting and northing of the inside points, shape (n_inside,)."""
        rows, cols = (index.astype(np.float64) + 0.5 for index in np.nonzero(self.inside))
        return self.grid.west_m + cols * self.step_m, self.grid.north_m - rows * self.step_m

    def share_in_bounds(self, bounds: Bounds) -> float:
        """Return the share of the inside points that lie in bounds of the grid's CRS."""
        return share(_within(*self.points(), bounds), self.n_inside)


def _within(
    easting: NDArray[np.float64],
    northing: NDArray[np.float64],
    bounds: Bounds,
) -> NDArray[np.bool_]:
    west, south, east, north = bounds
    inside: NDArray[np.bool_] = (easting >= west) & (easting <= east)
    return inside & (northing >= south) & (northing <= north)


def share(of: NDArray[np.bool_], n: int) -> float:
    """Return the share of true values among `n`, 0 where there are none."""
    return float(of.sum()) / n if n else 0.0


@dataclass(frozen=True)
class RasterSample:
    """A raster's values at the points of a lattice.

    Parameters
    ----------
    values : ndarray of float64, shape (n_valid,)
        Values at the points that have one.
    coverage : float
        Share of the region's points that have a value.
    missing : float
        Share without a value among the points inside the raster's extent.
    """

    values: NDArray[np.float64]
    coverage: float
    missing: float


def sample_raster(raster: RasterFacts, sample: RegionSample) -> RasterSample:
    """Read a raster at the points of a lattice, each by its nearest cell.

    The raster is never read whole into memory: GDAL warps it onto the lattice in chunks.

    Parameters
    ----------
    raster : RasterFacts
        The raster's band.
    sample : RegionSample
        The lattice.
    """
    rows, cols = sample.shape
    with (
        rasterio.open(raster.path) as source,
        WarpedVRT(
            source,
            src_crs=raster.crs,
            crs=sample.grid.crs,
            transform=sample.transform,
            width=cols,
            height=rows,
            resampling=Resampling.nearest,
            src_nodata=raster.nodata,
            nodata=raster.nodata,
            add_alpha=raster.has_mask and raster.nodata is None,
        ) as warped,
    ):
        stored = warped.read(raster.band).astype(np.float64)[sample.inside]
        valid = warped.read_masks(raster.band)[sample.inside] > 0
    in_extent = _in_extent(raster, sample)
    valid &= in_extent & np.isfinite(stored)
    if raster.nodata is not None:
        valid &= stored != raster.nodata
    values = stored[valid] * raster.scale + raster.offset
    return RasterSample(
        values, share(valid, sample.n_inside), share(in_extent & ~valid, int(in_extent.sum()))
    )


def _in_extent(raster: RasterFacts, sample: RegionSample) -> NDArray[np.bool_]:
    """Return which inside points lie in the raster's extent, shape (n_inside,)."""
    easting, northing = sample.points()
    change = transformer(sample.grid.crs, raster.crs)
    if change is not None:
        easting, northing = change.transform(easting, northing)
    back = ~raster.transform
    cols = back.a * easting + back.b * northing + back.c
    rows = back.d * easting + back.e * northing + back.f
    inside: NDArray[np.bool_] = (
        (rows >= 0) & (rows < raster.height) & (cols >= 0) & (cols < raster.width)
    )
    return inside
