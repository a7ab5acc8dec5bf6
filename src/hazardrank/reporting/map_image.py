"""Map images: rasters read reduced, and turned into pixels one by one.

Composing the image here, and placing it one to one, keeps hatching and outlines sharp and
mixes no colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from scipy import ndimage

from hazardrank.errors import OutputError
from hazardrank.records import OUTCOME_CODES, Outcome
from hazardrank.reporting import palette
from hazardrank.reporting.classes import LikelihoodClasses

#: Code of cells outside the area in ``survey_status.tif``.
STATUS_OUTSIDE = -128
#: Code of cells outside the model's domain in ``outside_domain.tif``.
OUTSIDE_DOMAIN = 1
UNSURVEYED = OUTCOME_CODES[Outcome.UNSURVEYED]
RELEASED = OUTCOME_CODES[Outcome.RELEASED]
CONTAMINATED = OUTCOME_CODES[Outcome.CONTAMINATED]

HATCH_PERIOD_PX = 10
HATCH_STRENGTH = 0.55
DOT_PERIOD_PX = 6
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ReducedRaster:
    """A raster band read at no more than a given size.

    Parameters
    ----------
    values : ndarray, shape (rows, cols)
        Values as stored, nodata included.
    bounds_m : tuple of float
        West, south, east, north.
    crs : CRS
        Coordinate system.
    cell_size_m : float
        Side of a cell of the file.
    cells_per_pixel : float
        How many cells a pixel's side spans; 1 where nothing was reduced.
    """

    values: NDArray[np.generic]
    bounds_m: tuple[float, float, float, float]
    crs: CRS
    cell_size_m: float
    cells_per_pixel: float


def read_reduced(path: Path, max_side_px: int, resampling: Resampling) -> ReducedRaster:
    """Read the first band with its longest side at `max_side_px` or less.

    Memory is bounded by `max_side_px` where the file has overviews. Nodata never mixes
    into averages.

    Raises
    ------
    OutputError
        If the file cannot be read as a raster.
    """
    try:
        with rasterio.open(path) as source:
            reduction = max(1.0, max(source.height, source.width) / max_side_px)
            shape = (
                max(1, round(source.height / reduction)),
                max(1, round(source.width / reduction)),
            )
            values = source.read(1, out_shape=shape, resampling=resampling)
            return ReducedRaster(
                values,
                tuple(source.bounds),
                CRS.from_user_input(source.crs.to_wkt()),
                abs(source.transform.a),
                reduction,
            )
    except RasterioIOError as error:
        raise OutputError(f"cannot be read as a raster ({error})", where=path) from None


def compose_likelihood(
    likelihood: NDArray[np.floating],
    status: NDArray[np.generic],
    classes: LikelihoodClasses,
    side_px: int,
    outside_domain: NDArray[np.bool_] | None = None,
) -> Image:
    """Return the map image, its longest side `side_px` pixels, shape (height, width, 3).

    Parameters
    ----------
    likelihood : ndarray, shape (rows, cols)
        0–1, NaN where missing.
    status : ndarray of int8, shape (rows, cols)
        Survey status, -128 outside the area.
    classes : LikelihoodClasses
        The legend's classes.
    side_px : int
        Longest side of the image; no less than the longest side of the arrays.
    outside_domain : ndarray of bool, shape (rows, cols), optional
        Cells the model abstains from: dotted, without a colour of the legend's classes.
    """
    missing = np.isnan(likelihood)
    colours = palette.rgb_bytes(palette.likelihood_colours(classes.n_classes))
    image = colours[classes.index(np.where(missing, 0, likelihood))]
    image[missing] = palette.rgb_bytes([palette.MISSING])[0]
    outside = status == STATUS_OUTSIDE
    abstains = np.zeros(missing.shape, bool) if outside_domain is None else outside_domain
    image[abstains] = palette.rgb_bytes([palette.OUTSIDE_DOMAIN])[0]
    image[outside] = palette.rgb_bytes([palette.OUTSIDE])[0]
    image = enlarged(image, side_px)
    hatch(image, enlarged((status == UNSURVEYED) & ~outside & ~abstains, side_px))
    dot(image, enlarged(abstains & ~outside, side_px))
    _outline(image, enlarged(status == RELEASED, side_px), palette.RELEASED_OUTLINE)
    hazard = enlarged(status == CONTAMINATED, side_px)
    halo = ndimage.binary_dilation(hazard, _EIGHT_NEIGHBOURS, iterations=2) & ~hazard
    image[halo & enlarged(~outside, side_px)] = 255
    _outline(image, hazard, palette.HAZARD_OUTLINE)
    return image


def compose_status(status: NDArray[np.generic], side_px: int) -> Image:
    """Return the image of the survey status, its longest side `side_px` pixels."""
    image = np.empty((*status.shape, 3), np.uint8)
    image[...] = palette.rgb_bytes([palette.OUTSIDE])[0]
    for code, colour in (
        (UNSURVEYED, palette.UNSURVEYED),
        (RELEASED, palette.RELEASED),
        (CONTAMINATED, palette.CONTAMINATED),
    ):
        image[status == code] = palette.rgb_bytes([colour])[0]
    image = enlarged(image, side_px)
    hatch(image, enlarged(status == UNSURVEYED, side_px))
    return image


def enlarged(values: NDArray[Any], side_px: int) -> NDArray[Any]:
    """Repeat rows and columns until the longest side has `side_px` pixels."""
    rows, cols = values.shape[:2]
    scale = max(1.0, side_px / max(rows, cols))
    row = np.arange(round(rows * scale)) * rows // round(rows * scale)
    col = np.arange(round(cols * scale)) * cols // round(cols * scale)
    larger: NDArray[Any] = values[row[:, None], col[None, :]]
    return larger


def hatch(image: Image, mask: NDArray[np.bool_]) -> None:
    """Draw rising diagonal lines over `mask`, in place."""
    row, col = np.ogrid[: image.shape[0], : image.shape[1]]
    lines = mask & ((row + col) % HATCH_PERIOD_PX < 2)
    ink = palette.rgb_bytes([palette.UNSURVEYED_HATCH])[0]
    mixed = (1 - HATCH_STRENGTH) * image[lines] + HATCH_STRENGTH * ink
    image[lines] = np.round(mixed).astype(np.uint8)


def dot(image: Image, mask: NDArray[np.bool_]) -> None:
    """Draw a pattern of dots over `mask`, in place."""
    row, col = np.ogrid[: image.shape[0], : image.shape[1]]
    lane = row // DOT_PERIOD_PX
    dots = (row % DOT_PERIOD_PX < 2) & ((col + lane % 2 * (DOT_PERIOD_PX // 2)) % DOT_PERIOD_PX < 2)
    image[mask & dots] = palette.rgb_bytes([palette.OUTSIDE_DOMAIN_DOTS])[0]


def _outline(image: Image, mask: NDArray[np.bool_], colour: str) -> None:
    """Draw the inner edge of `mask`, two pixels wide, in place."""
    inner = ndimage.binary_erosion(mask, _EIGHT_NEIGHBOURS, iterations=2, border_value=1)
    image[mask & ~inner] = palette.rgb_bytes([colour])[0]
