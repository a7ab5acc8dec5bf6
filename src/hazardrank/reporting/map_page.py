"""The page a map is printed on: banner, title, map, legend, scale bar, north arrow, notes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib_scalebar.scalebar import ScaleBar

from hazardrank.reporting import palette
from hazardrank.reporting.drawing import DPI, new_figure, plain_axes, save_png
from hazardrank.reporting.map_image import Image, ReducedRaster, dot, hatch

#: The sentence that stands on every map.
NO_SAFE_COLOUR = "No colour on this map means that land is safe."
SIMULATED_BANNER = "SIMULATED – says nothing of skill on real land"


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
class Heading:
    """Bold lines of a legend."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class ColumnTitles:
    """Small titles over the legend's two columns."""

    left: str
    right: str


@dataclass(frozen=True)
class Swatch:
    """A patch of colour with its meaning; `framed` is the colour of a strong frame."""

    colour: str
    label: str
    value: str = ""
    hatched: bool = False
    framed: str | None = None
    dotted: bool = False


@dataclass(frozen=True)
class Mark:
    """A few characters at a place of the map, in metres of its CRS."""

    easting_m: float
    northing_m: float
    text: str


#: Space between two parts of a legend.
GAP = None
Entry = Heading | ColumnTitles | Swatch | None


class MapPage:
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
        entries: Sequence[Entry],
        text: MapText,
        marks: Sequence[Mark] = (),
    ) -> None:
        self.image, self.raster, self.title = image, raster, title
        self.entries, self.text, self.marks = entries, text, marks

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
        pixel = PixelAxes(figure, width_px, height_px)
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

    def _titles(self, pixel: PixelAxes, width_px: int, provenance: list[str]) -> None:
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

    def _map(self, pixel: PixelAxes, top_px: int) -> None:
        rows, cols = self.image.shape[:2]
        axes = pixel.axes(self.AXIS_LEFT_PX, top_px, cols, rows)
        west, south, east, north = (edge / 1000 for edge in self.raster.bounds_m)
        axes.imshow(
            self.image, extent=(west, east, south, north), interpolation="none", aspect="auto"
        )
        for mark in self.marks:
            axes.text(
                mark.easting_m / 1000,
                mark.northing_m / 1000,
                mark.text,
                size=8,
                weight="bold",
                color=palette.INK,
                ha="center",
                va="center",
                bbox={"boxstyle": "round,pad=0.2", "facecolor": "#ffffff", "linewidth": 0.8},
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

    def _legend(self, pixel: PixelAxes, left_px: float, top_px: float) -> None:
        cursor_px = top_px + 6.0
        right_px = left_px + self.LEGEND_PX - self.MARGIN_PX
        for entry in self.entries:
            if isinstance(entry, Swatch):
                self._draw_swatch(pixel, left_px, right_px, cursor_px, entry)
            elif isinstance(entry, Heading):
                for k, line in enumerate(entry.lines):
                    pixel.text(left_px, cursor_px + 14 + 30 * k, line, 11, True)
            elif isinstance(entry, ColumnTitles):
                faint, middle_px = palette.FAINT_INK, cursor_px + 12
                pixel.text(left_px, middle_px, entry.left, 8, colour=faint)
                pixel.text(right_px, middle_px, entry.right, 8, colour=faint, align="right")
            cursor_px += self._height_px(entry)

    def _height_px(self, entry: Entry) -> int:
        if isinstance(entry, Swatch):
            return self.SWATCH_PX[1] + 10 + 24 * entry.label.count("\n")
        if isinstance(entry, Heading):
            return 30 * len(entry.lines) + 8
        return 32

    def _draw_swatch(
        self, pixel: PixelAxes, left_px: float, right_px: float, top_px: float, swatch: Swatch
    ) -> None:
        width_px, height_px = self.SWATCH_PX
        patch = np.empty((height_px, width_px, 3), np.uint8)
        patch[...] = palette.rgb_bytes([swatch.colour])[0]
        if swatch.hatched:
            hatch(patch, np.ones(patch.shape[:2], bool))
        if swatch.dotted:
            dot(patch, np.ones(patch.shape[:2], bool))
        pixel.image(left_px, top_px, patch)
        frame = swatch.framed or palette.FAINT_INK
        pixel.frame(left_px, top_px, self.SWATCH_PX, frame, 1.8 if swatch.framed else 0.5)
        middle_px = top_px + height_px / 2
        for k, line in enumerate(swatch.label.split("\n")):
            pixel.text(left_px + width_px + 16, middle_px + 24 * k, line, 10)
        pixel.text(right_px, middle_px, swatch.value, 10, align="right")


class PixelAxes:
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


def _north_arrow(pixel: PixelAxes, middle_px: float, top_px: float) -> None:
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
