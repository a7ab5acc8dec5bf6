"""What the folds asked, drawn beside what the map will be asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from hazardrank.reporting import palette
from hazardrank.reporting.drawing import house_style, new_figure, save_png
from hazardrank.reporting.figures import FigureText, frame
from hazardrank.reporting.run_files import RunMetrics
from hazardrank.reporting.words import metres

#: Folds drawn one by one; of more, those with most cells.
MOST_FOLDS = 20
HEIGHT_INCH = 6.4
#: Of the legends under the axes.
LEGEND_INCH = 0.75
NAMES = {
    "test_to_train": ("held-out cell to training cell", palette.MODEL_LINE, "-"),
    "prediction_to_sample": ("cell of the area to labelled cell", palette.BASELINE_LINES[0], "-"),
    "sample_to_sample": ("labelled cell to the next", palette.FAINT_INK, (0, (4, 3))),
}


def fold_diagnostics_figure(metrics: RunMetrics, png: Path, text: FigureText) -> Path | None:
    """Draw distances, outcomes fold by fold and the variogram of residuals.

    Returns
    -------
    Path or None
        ``None`` if the run has no fold diagnostics.
    """
    found = metrics.fold_diagnostics
    if not found:
        return None
    with house_style():
        figure = new_figure(12.6, HEIGHT_INCH)
        distances, outcomes, likeness = figure.subplots(
            1, 3, gridspec_kw={"wspace": 0.34, "width_ratios": (1.15, 1, 1.15)}
        )
        frame(
            figure,
            "What the folds asked",
            text,
            "Left: where the bold line lies left of the blue one, held-out cells were nearer to "
            "what was learned from than the map's cells are to the records. Right: blocks "
            "smaller than the range let neighbours of held-out land be learned from.",
        )
        # The legends stand below the axes, above the caption.
        bottom = figure.subplotpars.bottom + LEGEND_INCH / HEIGHT_INCH
        figure.subplots_adjust(bottom=bottom)
        _draw_distances(distances, found)
        _draw_outcomes(outcomes, found, metrics.negatives)
        _draw_likeness(likeness, found)
        return save_png(figure, png)


def _draw_distances(axes: Axes, found: Mapping[str, Any]) -> None:
    share = np.asarray(found["percentiles"], float) / 100
    for name, (label, colour, dashes) in NAMES.items():
        values = np.asarray(found["distances_m"][name]["percentiles"], float)
        if len(values):
            width = 2.4 if name == "test_to_train" else 1.6
            axes.plot(values, share, color=colour, linewidth=width, linestyle=dashes, label=label)
    axes.set_xscale("symlog", linthresh=_smallest(found))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: metres(value)))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(ylim=(0, 1.01), xlabel="Distance to the nearest", ylabel="Share no farther")
    axes.set_title("Distances")
    axes.tick_params(axis="x", labelsize=8, which="both")
    axes.grid(visible=True)
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.14), fontsize=8.5, borderpad=0)


def _smallest(found: Mapping[str, Any]) -> float:
    """Return the smallest distance above zero that is drawn, where the log scale begins."""
    values = [v for name in NAMES for v in found["distances_m"][name]["percentiles"] if v > 0]
    return float(min(values, default=1.0))


def _draw_outcomes(axes: Axes, found: Mapping[str, Any], negatives: str) -> None:
    every = found["classes"]
    n_cells = [fold["n_contaminated"] + fold["n_other"] for fold in every]
    order = sorted(range(len(every)), key=lambda k: -n_cells[k])
    shown = [every[k] for k in sorted(order[:MOST_FOLDS])]
    contaminated = np.array([fold["n_contaminated"] for fold in shown])
    other = np.array([fold["n_other"] for fold in shown])
    rows = np.arange(len(shown))
    axes.barh(rows, contaminated, color=palette.CONTAMINATED, height=0.7, label="contaminated")
    axes.barh(
        rows, other, left=contaminated, color=palette.RELEASED, height=0.7, label=negatives
    )  # fmt: skip
    names = [name if len(name) <= 18 else f"{name[:17]}…" for name in (f["name"] for f in shown)]
    axes.set_yticks(rows, names)
    axes.tick_params(axis="y", labelcolor=palette.INK, labelsize=8, length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel("Cells held out")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.locator_params(axis="x", nbins=4)
    cut = f" (largest {MOST_FOLDS} of {len(every)})" if len(every) > MOST_FOLDS else ""
    axes.set_title(f"Outcomes{cut}")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.14), ncols=2, fontsize=8.5, borderpad=0)


def _draw_likeness(axes: Axes, found: Mapping[str, Any]) -> None:
    residuals = found["residuals"]
    lag_m, value = residuals["lag_m"], residuals["semivariance"]
    axes.set_title("Likeness of residuals")
    if not lag_m:
        axes.text(
            0.5, 0.5, residuals["reason"] or "not measured", transform=axes.transAxes, ha="center",
            va="center", size=9, color=palette.FAINT_INK, wrap=True,
        )  # fmt: skip
        axes.set_axis_off()
        return
    axes.plot(lag_m, value, "o", color=palette.FAINT_INK, markersize=4.5, label="found")
    range_m = residuals["range_m"]
    if range_m is not None:
        away = np.linspace(0, max(lag_m), 200)
        near = np.minimum(away / range_m, 1)
        fitted = residuals["nugget"] + residuals["sill"] * (1.5 * near - 0.5 * near**3)
        axes.plot(away, fitted, color=palette.MODEL_LINE, linewidth=1.8, label="spherical model")
        axes.axvline(range_m, color=palette.MODEL_LINE, linewidth=1, linestyle=(0, (4, 3)),
                     label=f"range {metres(range_m)}")  # fmt: skip
    size_m = found["unit_size_m"]
    if size_m is not None:
        axes.axvline(size_m, color=palette.RANDOM_SPLIT_LINE, linewidth=1.6,
                     label=f"{found['unit']} {metres(size_m)}")  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0, top=1.15 * max(value))
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda away, _: metres(away)))
    axes.set(xlabel="Distance between two cells", ylabel="Semivariance of outcome − likelihood")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.14), ncols=2, fontsize=8.5, borderpad=0)
