"""Maps as PNG: a page to print or put in a report, drawn from the written rasters.

Rasters are read reduced, through their overviews, so that a country costs no more memory
than a district.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from hazardrank.errors import OutputError
from hazardrank.reporting import palette
from hazardrank.reporting.classes import LikelihoodClasses
from hazardrank.reporting.drawing import house_style
from hazardrank.reporting.map_image import (
    CONTAMINATED,
    OUTSIDE_DOMAIN,
    RELEASED,
    STATUS_OUTSIDE,
    UNSURVEYED,
    ReducedRaster,
    compose_likelihood,
    compose_status,
    read_reduced,
)
from hazardrank.reporting.map_page import (
    GAP,
    ColumnTitles,
    Entry,
    Heading,
    MapPage,
    MapText,
    Swatch,
)
from hazardrank.reporting.words import percent

#: Longest side of the map image in pixels; rasters are read at no more than this.
MAP_SIDE_PX = 1200


def likelihood_map(
    likelihood_tif: Path,
    status_tif: Path,
    png: Path,
    text: MapText,
    max_side_px: int = MAP_SIDE_PX,
    domain_tif: Path | None = None,
) -> Path:
    """Draw the contamination likelihood, with never-surveyed land hatched.

    Recorded contaminated land is outlined in black and released land in blue, so that what
    is known stands apart from what is modelled.

    Parameters
    ----------
    likelihood_tif, status_tif : Path
        Rasters of one grid: likelihood 0–1, and survey status (-1, 0, 1; -128 outside).
    png : Path
        The file to write.
    text : MapText
        What the map says.
    max_side_px : int, optional
        Longest side of the map image.
    domain_tif : Path, optional
        Raster of the same grid that is 1 outside the model's domain: drawn dotted, whatever
        the likelihood raster holds there.

    Returns
    -------
    Path
        `png`.

    Raises
    ------
    OutputError
        If a raster cannot be read or the two do not match.
    """
    likelihood = read_reduced(likelihood_tif, max_side_px, Resampling.average)
    status = read_reduced(status_tif, max_side_px, Resampling.nearest)
    check_same_grid(likelihood, status, likelihood_tif, status_tif)
    abstains = np.zeros(status.values.shape, bool)
    if domain_tif is not None:
        domain = read_reduced(domain_tif, max_side_px, Resampling.nearest)
        check_same_grid(domain, status, domain_tif, status_tif)
        abstains = (domain.values == OUTSIDE_DOMAIN) & (status.values != STATUS_OUTSIDE)
    nothing = (status.values == STATUS_OUTSIDE) | abstains
    values = np.where(nothing, np.nan, _in_range(likelihood.values))
    classes = LikelihoodClasses.fitting(values)
    image = compose_likelihood(values, status.values, classes, max_side_px, abstains)
    legend = _likelihood_legend(values, classes, status.values, abstains)
    note = reduction_note(likelihood, "their mean likelihood")
    with house_style():
        page = MapPage(image, likelihood, "Contamination likelihood", legend, text)
        return page.save(png, note)


def survey_status_map(
    status_tif: Path, png: Path, text: MapText, max_side_px: int = MAP_SIDE_PX
) -> Path:
    """Draw what each cell is known to be: contaminated, released, or never surveyed.

    Parameters
    ----------
    status_tif : Path
        Survey status (-1, 0, 1; -128 outside).
    png, text, max_side_px
        As for :func:`likelihood_map`.

    Raises
    ------
    OutputError
        If the raster cannot be read.
    """
    status = read_reduced(status_tif, max_side_px, Resampling.nearest)
    image = compose_status(status.values, max_side_px)
    note = reduction_note(status, "the cell nearest its middle")
    with house_style():
        page = MapPage(image, status, "Survey status", _status_legend(status.values), text)
        return page.save(png, note)


def _in_range(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return likelihoods with nodata of any kind (NaN, -9999 …) as NaN."""
    numbers = values.astype(np.float64)
    return np.where((numbers >= 0) & (numbers <= 1), numbers, np.nan)


def reduction_note(raster: ReducedRaster, shown: str) -> str:
    """Say how a map was drawn smaller than its raster, and what a pixel shows; or nothing."""
    if raster.cells_per_pixel == 1:
        return ""
    side_m = raster.cells_per_pixel * raster.cell_size_m
    return (
        f"Drawn smaller than the raster: a pixel is {side_m:,.0f} m wide, where cells are "
        f"{raster.cell_size_m:g} m, and shows {shown}. Shares of area are approximate."
    )


def check_same_grid(
    raster: ReducedRaster, status: ReducedRaster, path: Path, status_tif: Path
) -> None:
    """Raise an OutputError unless a raster lies on the grid of the survey status."""
    if raster.values.shape != status.values.shape or raster.bounds_m != status.bounds_m:
        raise OutputError(
            f"does not lie on the grid of {status_tif.name}",
            where=path,
            remedy="Give the rasters of one run.",
        )


def _likelihood_legend(
    likelihood: NDArray[np.floating],
    classes: LikelihoodClasses,
    status: NDArray[np.generic],
    abstains: NDArray[np.bool_],
) -> list[Entry]:
    inside = status != STATUS_OUTSIDE
    shares = [percent(share) for share in classes.shares(likelihood)]
    colours = palette.likelihood_colours(classes.n_classes)
    ramp = [Swatch(*row) for row in zip(colours, classes.labels, shares, strict=True)]
    entries: list[Entry] = [
        Heading(("Likelihood that a cell", "holds explosive ordnance")),
        ColumnTitles("class", "share of area"),
        *reversed(ramp),
        GAP,
        Heading(("What is known",)),
        Swatch(
            palette.OUTSIDE,
            "unsurveyed, as far as recorded:\nmodelled from land elsewhere",
            _share_of(status, UNSURVEYED),
            hatched=True,
        ),
        Swatch(
            palette.OUTSIDE,
            "recorded as contaminated",
            _share_of(status, CONTAMINATED),
            framed=palette.HAZARD_OUTLINE,
        ),
        Swatch(
            palette.OUTSIDE,
            "recorded as released",
            _share_of(status, RELEASED),
            framed=palette.RELEASED_OUTLINE,
        ),
    ]
    if abstains.any():
        share = percent(float(abstains.sum()) / max(int(inside.sum()), 1))
        label = "outside the model's domain:\nno likelihood given"
        entries.append(Swatch(palette.OUTSIDE_DOMAIN, label, share, dotted=True))
    if (np.isnan(likelihood) & inside & ~abstains).any():
        entries.append(Swatch(palette.MISSING, "no likelihood: layers missing"))
    return entries + _outside_entry(status)


def _status_legend(status: NDArray[np.generic]) -> list[Entry]:
    return [
        Heading(("What the records say",)),
        ColumnTitles("", "share of area"),
        Swatch(
            palette.CONTAMINATED,
            "contaminated, now or before\nits clearance",
            _share_of(status, CONTAMINATED),
        ),
        Swatch(palette.RELEASED, "released, as recorded", _share_of(status, RELEASED)),
        Swatch(
            palette.UNSURVEYED,
            "unsurveyed, as far as recorded:\nnot known",
            _share_of(status, UNSURVEYED),
            hatched=True,
        ),
        *_outside_entry(status),
    ]


def _outside_entry(status: NDArray[np.generic]) -> list[Entry]:
    if not (status == STATUS_OUTSIDE).any():
        return []
    return [Swatch(palette.OUTSIDE, "outside the area", framed=palette.RULE)]


def _share_of(status: NDArray[np.generic], code: int) -> str:
    """Return the share of the area that has a status code, as text."""
    inside = int((status != STATUS_OUTSIDE).sum())
    return percent(float((status == code).sum()) / max(inside, 1))
