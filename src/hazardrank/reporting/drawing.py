"""Matplotlib without its global state: fixed style, fixed bytes, no pyplot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hazardrank.reporting import palette
from hazardrank.reporting.run_files import write_whole

DPI = 150

#: DejaVu Sans comes with matplotlib, so that text looks the same on every machine.
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": palette.INK,
    "axes.labelcolor": palette.INK,
    "axes.edgecolor": palette.FAINT_INK,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": palette.RULE,
    "grid.linewidth": 0.6,
    "xtick.color": palette.FAINT_INK,
    "ytick.color": palette.FAINT_INK,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.usetex": False,
    "text.parse_math": False,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with our style over matplotlib's defaults, whatever the user's own are."""
    defaults = {
        key: value
        for key, value in mpl.rcParamsDefault.items()
        if not key.startswith(("backend", "interactive", "webagg", "toolbar"))
    }
    with mpl.rc_context():
        mpl.rcParams.update(defaults)
        mpl.rcParams.update(STYLE)
        yield


def new_figure(width_inch: float, height_inch: float) -> Figure:
    """Return a figure on the Agg canvas; nothing keeps it alive but its user."""
    figure = Figure(figsize=(width_inch, height_inch), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: Path) -> Path:
    """Write the figure as PNG; the same figure always gives the same bytes."""
    content = BytesIO()
    figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    return write_whole(path, content.getvalue())


def plain_axes(axes: Axes) -> None:
    """Remove ticks, spines and background."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
