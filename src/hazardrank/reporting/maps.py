"""Maps as PNG: a page to print or put in a report, drawn from the written rasters.

Rasters are read reduced, through their overviews, so that a country costs no more memory
than a district. The map image is composed pixel by pixel and placed one to one, which
keeps hatching and outlines sharp and mixes no colours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib_scalebar.scalebar import ScaleBar
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from scipy import ndimage

from hazardrank.errors import OutputError
from hazardrank.records import OUTCOME_CODES, Outcome
from hazardrank.reporting import palette
from hazardrank.reporting.classes import LikelihoodClasses
from hazardrank.reporting.drawing import DPI, house_style, new_figure, plain_axes, save_png
from hazardrank.reporting.words import percent

#: The sentence that stands on every map.
NO_SAFE_COLOUR = "No colour on this map means that land is safe."
SIMULATED_BANNER = "SIMULATED – says nothing of skill on real land"

#: Longest side of the map image in pixels; rasters are read at no more than this.
MAP_SIDE_PX = 1200
STATUS_OUTSIDE = -128
HATCH_PERIOD_PX = 10
HATCH_STRENGTH = 0.55

_UNSURVEYED = OUTCOME_CODES[Outcome.UNSURVEYED]
_RELEASED = OUTCOME_CODES[Outcome.RELEASED]
_CONTAMINATED = OUTCOME_CODES[Outcome.CONTAMINATED]
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class MapText:
    """What a map says in words.

    Parameters
    ----------
    area : str
        Name of the area, for the title.
    provenance : str
        One line: as-of date, run, method.
    notes : sequence of str
        Further sentences under the map.
    simulated : bool
        Whether the land is imaginary; puts a banner across the page.
    """

    area: str
    provenance: str = ""
    notes: Sequence[str] = ()
    simulated: bool = False


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


def likelihood_map(
    likelihood_tif: Path, status_tif: Path, png: Path, text: MapText, max_side_px: int = MAP_SIDE_PX
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
    if likelihood.values.shape != status.values.shape or likelihood.bounds_m != status.bounds_m:
        raise OutputError(
            f"does not lie on the grid of {status_tif.name}",
            where=likelihood_tif,
            remedy="Give the two rasters of one run.",
        )
    values = np.where(status.values == STATUS_OUTSIDE, np.nan, _in_range(likelihood.values))
    classes = LikelihoodClasses.fitting(values)
    image = compose_likelihood(values, status.values, classes, max_side_px)
    legend = _likelihood_legend(values, classes, status.values)
    note = _reduction_note(likelihood, "their mean likelihood")
    with house_style():
        page = _Page(image, likelihood, "Contamination likelihood", legend, text)
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
    note = _reduction_note(status, "the cell nearest its middle")
    with house_style():
        page = _Page(image, status, "Survey status", _status_legend(status.values), text)
        return page.save(png, note)


def compose_likelihood(
    likelihood: NDArray[np.floating],
    status: NDArray[np.generic],
    classes: LikelihoodClasses,
    side_px: int,
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
    """
    missing = np.isnan(likelihood)
    colours = palette.rgb_bytes(palette.likelihood_colours(classes.n_classes))
    image = colours[classes.index(np.where(missing, 0, likelihood))]
    image[missing] = palette.rgb_bytes([palette.MISSING])[0]
    outside = status == STATUS_OUTSIDE
    image[outside] = palette.rgb_bytes([palette.OUTSIDE])[0]
    image = _enlarged(image, side_px)
    _hatch(image, _enlarged((status == _UNSURVEYED) & ~outside, side_px))
    _outline(image, _enlarged(status == _RELEASED, side_px), palette.RELEASED_OUTLINE)
    hazard = _enlarged(status == _CONTAMINATED, side_px)
    halo = ndimage.binary_dilation(hazard, _EIGHT_NEIGHBOURS, iterations=2) & ~hazard
    image[halo & _enlarged(~outside, side_px)] = 255
    _outline(image, hazard, palette.HAZARD_OUTLINE)
    return image


def compose_status(status: NDArray[np.generic], side_px: int) -> Image:
    """Return the image of the survey status, its longest side `side_px` pixels."""
    image = np.empty((*status.shape, 3), np.uint8)
    image[...] = palette.rgb_bytes([palette.OUTSIDE])[0]
    for code, colour in (
        (_UNSURVEYED, palette.UNSURVEYED),
        (_RELEASED, palette.RELEASED),
        (_CONTAMINATED, palette.CONTAMINATED),
    ):
        image[status == code] = palette.rgb_bytes([colour])[0]
    image = _enlarged(image, side_px)
    _hatch(image, _enlarged(status == _UNSURVEYED, side_px))
    return image


def _in_range(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return likelihoods with nodata of any kind (NaN, -9999 …) as NaN."""
    numbers = values.astype(np.float64)
    return np.where((numbers >= 0) & (numbers <= 1), numbers, np.nan)


def _enlarged(values: NDArray[Any], side_px: int) -> NDArray[Any]:
    """Repeat rows and columns until the longest side has `side_px` pixels."""
    rows, cols = values.shape[:2]
    scale = max(1.0, side_px / max(rows, cols))
    row = np.arange(round(rows * scale)) * rows // round(rows * scale)
    col = np.arange(round(cols * scale)) * cols // round(cols * scale)
    enlarged: NDArray[Any] = values[row[:, None], col[None, :]]
    return enlarged


def _hatch(image: Image, mask: NDArray[np.bool_]) -> None:
    """Draw rising diagonal lines over `mask`, in place."""
    row, col = np.ogrid[: image.shape[0], : image.shape[1]]
    lines = mask & ((row + col) % HATCH_PERIOD_PX < 2)
    ink = palette.rgb_bytes([palette.UNSURVEYED_HATCH])[0]
    mixed = (1 - HATCH_STRENGTH) * image[lines] + HATCH_STRENGTH * ink
    image[lines] = np.round(mixed).astype(np.uint8)


def _outline(image: Image, mask: NDArray[np.bool_], colour: str) -> None:
    """Draw the inner edge of `mask`, two pixels wide, in place."""
    inner = ndimage.binary_erosion(mask, _EIGHT_NEIGHBOURS, iterations=2, border_value=1)
    image[mask & ~inner] = palette.rgb_bytes([colour])[0]


def _reduction_note(raster: ReducedRaster, shown: str) -> str:
    if raster.cells_per_pixel == 1:
        return ""
    side_m = raster.cells_per_pixel * raster.cell_size_m
    return (
        f"Drawn smaller than the raster: a pixel is {side_m:,.0f} m wide, where cells are "
        f"{raster.cell_size_m:g} m, and shows {shown}. Shares of area are approximate."
    )


@dataclass(frozen=True)
class _Heading:
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _ColumnTitles:
    left: str
    right: str


@dataclass(frozen=True)
class _Swatch:
    """A patch of colour with its meaning; `framed` is the colour of a strong frame."""

    colour: str
    label: str
    value: str = ""
    hatched: bool = False
    framed: str | None = None


_GAP = None
_Entry = _Heading | _ColumnTitles | _Swatch | None


class _Page:
    """A page laid out in pixels: banner, title, map at the left, legend at the right, notes."""

    MARGIN_PX = 40
    AXIS_LEFT_PX = 80
    AXIS_BOTTOM_PX = 70
    LEGEND_PX = 560
    TITLE_PX = 120
    BANNER_PX = 52
    LINE_PX = 27
    SWATCH_PX = (54, 34)

    def __init__(
        self,
        image: Image,
        raster: ReducedRaster,
        title: str,
        entries: Sequence[_Entry],
        text: MapText,
    ) -> None:
        self.image, self.raster, self.title = image, raster, title
        self.entries, self.text = entries, text

    def save(self, png: Path, reduction_note: str) -> Path:
        """Lay out the page and write it."""
        rows, cols = self.image.shape[:2]
        width_px = self.AXIS_LEFT_PX + self.MARGIN_PX + cols + self.MARGIN_PX + self.LEGEND_PX
        provenance = textwrap.wrap(self.text.provenance, (width_px - 280) // 11)
        top_px = self.TITLE_PX + self.LINE_PX * (len(provenance) - 1)
        top_px += self.BANNER_PX if self.text.simulated else 0
        body_px = max(rows + self.AXIS_BOTTOM_PX, sum(map(self._height_px, self.entries)))
        notes = self._notes(width_px, reduction_note)
        height_px = top_px + body_px + self.LINE_PX * (len(notes) + 1) + self.MARGIN_PX
        figure = new_figure(width_px / DPI, height_px / DPI)
        pixel = _PixelAxes(figure, width_px, height_px)
        self._titles(pixel, width_px, provenance)
        self._map(pixel, top_px)
        self._legend(pixel, self.AXIS_LEFT_PX + cols + 2 * self.MARGIN_PX, top_px)
        for k, (line, bold) in enumerate(notes):
            pixel.text(
                self.MARGIN_PX, top_px + body_px + self.LINE_PX * (k + 0.6), line, 9, bold=bold
            )
        return save_png(figure, png)

    def _notes(self, width_px: int, reduction_note: str) -> list[tuple[str, bool]]:
        n_chars = (width_px - 2 * self.MARGIN_PX) // 11
        lines = [(NO_SAFE_COLOUR, True)]
        for sentence in (*self.text.notes, reduction_note):
            lines += [(line, False) for line in textwrap.wrap(sentence, n_chars)]
        return lines

    def _titles(self, pixel: _PixelAxes, width_px: int, provenance: list[str]) -> None:
        top_px = 0
        if self.text.simulated:
            pixel.box(0, 0, width_px, self.BANNER_PX, palette.WARNING)
            pixel.text(self.MARGIN_PX, self.BANNER_PX / 2, SIMULATED_BANNER, 12, True, "#ffffff")
            top_px = self.BANNER_PX
        title = f"{self.title} – {self.text.area}"
        size = min(15.0, 15 * (width_px - 160) / (21 * len(title)))
        pixel.text(self.MARGIN_PX, top_px + 42, title, size, True)
        for k, line in enumerate(provenance):
            middle_px = top_px + 84 + self.LINE_PX * k
            pixel.text(self.MARGIN_PX, middle_px, line, 9, colour=palette.FAINT_INK)
        _north_arrow(pixel, width_px - self.MARGIN_PX - 24, top_px + 20)

    def _map(self, pixel: _PixelAxes, top_px: int) -> None:
        rows, cols = self.image.shape[:2]
        axes = pixel.axes(self.AXIS_LEFT_PX, top_px, cols, rows)
        west, south, east, north = (edge / 1000 for edge in self.raster.bounds_m)
        axes.imshow(
            self.image, extent=(west, east, south, north), interpolation="none", aspect="auto"
        )
        axes.spines[["top", "right"]].set_visible(True)
        for axis, side_px in ((axes.xaxis, cols), (axes.yaxis, rows)):
            n_ticks = min(6, max(2, side_px // 150))
            axis.set_major_locator(MaxNLocator(n_ticks, prune="both", min_n_ticks=1))
        axes.ticklabel_format(useOffset=False, style="plain")
        axes.tick_params(labelsize=8)
        for label in axes.get_yticklabels():
            label.set_rotation(90)
            label.set_verticalalignment("center")
        epsg = self.raster.crs.to_epsg()
        axes.set_xlabel(f"km in {self.raster.crs.name} (EPSG:{epsg})", fontsize=8)
        axes.add_artist(
            ScaleBar(
                1,
                "km",
                location="lower left",
                box_alpha=0.85,
                color=palette.INK,
                pad=0.5,
                width_fraction=9 / rows,
                rotation="horizontal-only",
            )
        )

    def _legend(self, pixel: _PixelAxes, left_px: float, top_px: float) -> None:
        cursor_px = top_px + 6.0
        right_px = left_px + self.LEGEND_PX - self.MARGIN_PX
        for entry in self.entries:
            if isinstance(entry, _Swatch):
                self._draw_swatch(pixel, left_px, right_px, cursor_px, entry)
            elif isinstance(entry, _Heading):
                for k, line in enumerate(entry.lines):
                    pixel.text(left_px, cursor_px + 14 + 30 * k, line, 11, True)
            elif isinstance(entry, _ColumnTitles):
                faint, middle_px = palette.FAINT_INK, cursor_px + 12
                pixel.text(left_px, middle_px, entry.left, 8, colour=faint)
                pixel.text(right_px, middle_px, entry.right, 8, colour=faint, align="right")
            cursor_px += self._height_px(entry)

    def _height_px(self, entry: _Entry) -> int:
        if isinstance(entry, _Swatch):
            return self.SWATCH_PX[1] + 10 + 24 * entry.label.count("\n")
        if isinstance(entry, _Heading):
            return 30 * len(entry.lines) + 8
        return 32

    def _draw_swatch(
        self, pixel: _PixelAxes, left_px: float, right_px: float, top_px: float, swatch: _Swatch
    ) -> None:
        width_px, height_px = self.SWATCH_PX
        patch = np.empty((height_px, width_px, 3), np.uint8)
        patch[...] = palette.rgb_bytes([swatch.colour])[0]
        if swatch.hatched:
            _hatch(patch, np.ones(patch.shape[:2], bool))
        pixel.image(left_px, top_px, patch)
        frame = swatch.framed or palette.FAINT_INK
        pixel.frame(left_px, top_px, self.SWATCH_PX, frame, 1.8 if swatch.framed else 0.5)
        middle_px = top_px + height_px / 2
        for k, line in enumerate(swatch.label.split("\n")):
            pixel.text(left_px + width_px + 16, middle_px + 24 * k, line, 10)
        pixel.text(right_px, middle_px, swatch.value, 10, align="right")


def _likelihood_legend(
    likelihood: NDArray[np.floating], classes: LikelihoodClasses, status: NDArray[np.generic]
) -> list[_Entry]:
    inside = status != STATUS_OUTSIDE
    shares = [percent(share) for share in classes.shares(likelihood)]
    colours = palette.likelihood_colours(classes.n_classes)
    ramp = [_Swatch(*row) for row in zip(colours, classes.labels, shares, strict=True)]
    entries: list[_Entry] = [
        _Heading(("Likelihood that a cell", "holds explosive ordnance")),
        _ColumnTitles("class", "share of area"),
        *reversed(ramp),
        _GAP,
        _Heading(("What is known",)),
        _Swatch(
            palette.OUTSIDE,
            "unsurveyed, as far as recorded:\nmodelled from land elsewhere",
            _share_of(status, _UNSURVEYED),
            hatched=True,
        ),
        _Swatch(
            palette.OUTSIDE,
            "recorded as contaminated",
            _share_of(status, _CONTAMINATED),
            framed=palette.HAZARD_OUTLINE,
        ),
        _Swatch(
            palette.OUTSIDE,
            "recorded as released",
            _share_of(status, _RELEASED),
            framed=palette.RELEASED_OUTLINE,
        ),
    ]
    if (np.isnan(likelihood) & inside).any():
        entries.append(_Swatch(palette.MISSING, "no likelihood: layers missing"))
    return entries + _outside_entry(status)


def _status_legend(status: NDArray[np.generic]) -> list[_Entry]:
    return [
        _Heading(("What the records say",)),
        _ColumnTitles("", "share of area"),
        _Swatch(
            palette.CONTAMINATED,
            "contaminated, now or before\nits clearance",
            _share_of(status, _CONTAMINATED),
        ),
        _Swatch(palette.RELEASED, "released, as recorded", _share_of(status, _RELEASED)),
        _Swatch(
            palette.UNSURVEYED,
            "unsurveyed, as far as recorded:\nnot known",
            _share_of(status, _UNSURVEYED),
            hatched=True,
        ),
        *_outside_entry(status),
    ]


def _outside_entry(status: NDArray[np.generic]) -> list[_Entry]:
    if not (status == STATUS_OUTSIDE).any():
        return []
    return [_Swatch(palette.OUTSIDE, "outside the area", framed=palette.RULE)]


def _share_of(status: NDArray[np.generic], code: int) -> str:
    """Return the share of the area that has a status code, as text."""
    inside = int((status != STATUS_OUTSIDE).sum())
    return percent(float((status == code).sum()) / max(inside, 1))


class _PixelAxes:
    """Draws on a figure in pixels from its top left corner."""

    def __init__(self, figure: Figure, width_px: float, height_px: float) -> None:
        self.figure, self.width_px, self.height_px = figure, width_px, height_px
        self.canvas = figure.add_axes((0, 0, 1, 1))
        self.canvas.set_xlim(0, width_px)
        self.canvas.set_ylim(height_px, 0)
        plain_axes(self.canvas)

    def axes(self, left_px: float, top_px: float, width_px: float, height_px: float) -> Axes:
        """Return axes at a place."""
        bottom_px = self.height_px - top_px - height_px
        return self.figure.add_axes(
            (
                left_px / self.width_px,
                bottom_px / self.height_px,
                width_px / self.width_px,
                height_px / self.height_px,
            )
        )

    def text(
        self,
        left_px: float,
        middle_px: float,
        text: str,
        size: float,
        bold: bool = False,
        colour: str = palette.INK,
        align: str = "left",
    ) -> None:
        """Write a line of text, centred on a height."""
        self.canvas.text(
            left_px,
            middle_px,
            text,
            size=size,
            weight="bold" if bold else "normal",
            color=colour,
            ha=align,
            va="center_baseline",
        )

    def image(self, left_px: float, top_px: float, image: Image) -> None:
        """Place an image one to one."""
        axes = self.axes(left_px, top_px, image.shape[1], image.shape[0])
        axes.imshow(image, interpolation="none", aspect="auto")
        plain_axes(axes)

    def frame(
        self, left_px: float, top_px: float, size_px: tuple[int, int], colour: str, line: float
    ) -> None:
        """Draw a frame."""
        corner = (left_px, top_px)
        self.canvas.add_patch(
            Rectangle(corner, *size_px, facecolor="none", edgecolor=colour, linewidth=line)
        )

    def box(
        self, left_px: float, top_px: float, width_px: float, height_px: float, colour: str
    ) -> None:
        """Draw a filled box."""
        self.canvas.add_patch(
            Rectangle((left_px, top_px), width_px, height_px, facecolor=colour, linewidth=0)
        )


def _north_arrow(pixel: _PixelAxes, middle_px: float, top_px: float) -> None:
    pixel.canvas.annotate(
        "N",
        xy=(middle_px, top_px),
        xytext=(middle_px, top_px + 76),
        ha="center",
        va="center",
        size=12,
        weight="bold",
        arrowprops={"arrowstyle": "-|>,head_width=0.35,head_length=0.8", "color": palette.INK},
    )
