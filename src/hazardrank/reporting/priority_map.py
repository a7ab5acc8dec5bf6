"""Clearance priority as a page to print: the bands of all tasks, read from the written rasters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.enums import Resampling

from hazardrank.priority.bands import BAND_LABELS, Band
from hazardrank.reporting import palette
from hazardrank.reporting.drawing import house_style
from hazardrank.reporting.map_image import (
    RELEASED,
    STATUS_OUTSIDE,
    Image,
    dot,
    enlarged,
    hatch,
    read_reduced,
)
from hazardrank.reporting.map_page import (
    ColumnTitles,
    Entry,
    Heading,
    MapPage,
    MapText,
    Mark,
    Swatch,
)
from hazardrank.reporting.maps import MAP_SIDE_PX, check_same_grid, reduction_note
from hazardrank.reporting.priority_files import BAND_COLOURS
from hazardrank.reporting.words import percent

#: Marks nearer than this share of the map's longest side are one.
_MARK_SHARE = 0.03
#: What the legend says; two lines where one is too long.
_LEGEND = {
    Band.LOWEST: "Lowest clearance priority –\nNOT cleared",
    Band.SURVEY_FIRST: "Survey first – the model\ncannot judge it, NOT cleared",
    Band.WAITS: "Waits – a gate is closed,\nNOT cleared",
}


def priority_map(
    bands_tif: Path,
    status_tif: Path,
    png: Path,
    text: MapText,
    first: pd.DataFrame,
    max_side_px: int = MAP_SIDE_PX,
) -> Path:
    """Draw the bands of clearance priority, with numbers where the first tasks are.

    Parameters
    ----------
    bands_tif : Path
        Codes of :class:`~hazardrank.priority.bands.Band`, 0 for land in no task.
    status_tif : Path
        Survey status on the same grid.
    png : Path
        The file to write.
    text : MapText
        What the map says.
    first : DataFrame
        The first tasks in rank order: ``rank``, ``easting_m``, ``northing_m``.
    max_side_px : int, optional
        Longest side of the map image.

    Raises
    ------
    OutputError
        If a raster cannot be read or the two do not match.
    """
    bands = read_reduced(bands_tif, max_side_px, Resampling.nearest)
    status = read_reduced(status_tif, max_side_px, Resampling.nearest)
    check_same_grid(bands, status, bands_tif, status_tif)
    codes = bands.values.astype(np.int64)
    outside = (status.values == STATUS_OUTSIDE) & (codes == 0)
    released = (codes == 0) & (status.values == RELEASED)
    image = _compose(codes, outside, released, max_side_px)
    legend = _legend(codes, outside, released)
    west, south, east, north = bands.bounds_m
    marks = marks_of(first, _MARK_SHARE * max(east - west, north - south))
    with house_style():
        page = MapPage(image, bands, "Clearance priority", legend, text, marks)
        return page.save(png, reduction_note(bands, "the task at its middle"))


def marks_of(first: pd.DataFrame, apart_m: float) -> list[Mark]:
    """Return the ranks of tasks as marks, those nearer than `apart_m` to another as one."""
    groups: list[tuple[float, float, list[str]]] = []
    for easting_m, northing_m, rank in zip(
        first["easting_m"], first["northing_m"], first["rank"], strict=True
    ):
        near = [g for g in groups if np.hypot(g[0] - easting_m, g[1] - northing_m) < apart_m]
        if near:
            near[0][2].append(str(rank))
        else:
            groups.append((float(easting_m), float(northing_m), [str(rank)]))
    return [Mark(easting, northing, ", ".join(ranks)) for easting, northing, ranks in groups]


def _compose(
    codes: NDArray[np.int64],
    outside: NDArray[np.bool_],
    released: NDArray[np.bool_],
    side_px: int,
) -> Image:
    image = np.empty((*codes.shape, 3), np.uint8)
    image[...] = palette.rgb_bytes([palette.OUTSIDE_DOMAIN])[0]
    image[released] = palette.rgb_bytes([palette.IN_NO_TASK])[0]
    image[outside] = palette.rgb_bytes([palette.OUTSIDE])[0]
    for band, colour in BAND_COLOURS.items():
        image[codes == band] = palette.rgb_bytes([colour])[0]
    image = np.asarray(enlarged(image, side_px), np.uint8)
    hatch(image, enlarged(codes == Band.WAITS, side_px))
    left_out = (codes == 0) & ~outside & ~released
    dot(image, enlarged((codes == Band.SURVEY_FIRST) | left_out, side_px))
    return image


def _legend(
    codes: NDArray[np.int64], outside: NDArray[np.bool_], released: NDArray[np.bool_]
) -> list[Entry]:
    area = max(int((~outside).sum()), 1)

    def share(cells: NDArray[np.bool_]) -> str:
        return percent(float(cells.sum()) / area)

    entries: list[Entry] = [Heading(("Band of the clearance task",)), ColumnTitles("", "of area")]
    for band, label in BAND_LABELS.items():
        cells = codes == band
        if band <= Band.LOWEST or cells.any():
            entries.append(
                Swatch(
                    BAND_COLOURS[band],
                    _LEGEND.get(band, label),
                    share(cells),
                    hatched=band == Band.WAITS,
                    dotted=band == Band.SURVEY_FIRST,
                )
            )
    entries.append(
        Swatch(palette.IN_NO_TASK, "in no task:\nreleased, as recorded", share(released))
    )
    left_out = (codes == 0) & ~outside & ~released
    if left_out.any():
        label = "in no task by the settings,\nNOT cleared"
        entries.append(Swatch(palette.OUTSIDE_DOMAIN, label, share(left_out), dotted=True))
    if outside.any():
        entries.append(Swatch(palette.OUTSIDE, "outside the area", framed=palette.RULE))
    return entries
