"""Figures of skill, each beside what it must be compared with.

Cells are ranked by calibrated likelihood, as in ``metrics.json``: scores of different folds'
models have no common scale. Every figure names the area, says when the land is simulated,
and says when contaminated cells were compared with unlabelled background instead of released
land.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from hazardrank.reporting import palette
from hazardrank.reporting.drawing import house_style, new_figure, save_png
from hazardrank.reporting.run_files import Predictions, RunMetrics, interval_of
from hazardrank.reporting.words import baseline_name, metric_text
from hazardrank.validation import metrics as skill
from hazardrank.validation.bootstrap import reliability_band

#: z of a 95 % interval.
Z_95 = 1.959964
_BAND_BY_LAND = (
    "Band: 95 % by bootstrap over units of land (blocks or groups), not over cells; never "
    "narrower than if cells were independent."
)
_BAND_BY_CELL = (
    "Bars: 95 % intervals as if cells were independent; neighbours are not, so true intervals "
    "are wider."
)
#: Features drawn at most.
MAX_FEATURES = 20

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FigureText:
    """What every figure of a run says.

    Parameters
    ----------
    area : str
        Name of the area.
    simulated : bool
        Whether the land is imaginary.
    note : str
        What the comparison is with, where that is not released land.
    """

    area: str
    simulated: bool = False
    note: str = ""

    @property
    def line(self) -> str:
        """The line under the title."""
        simulated = "SIMULATED, says nothing of skill on real land" if self.simulated else ""
        return " · ".join(part for part in (self.area, simulated, self.note) if part)


@dataclass(frozen=True)
class ReliabilityBins:
    """Predicted likelihood against what was observed, in bins of about equal size.

    Parameters
    ----------
    predicted, observed : ndarray, shape (n_bins,)
        Mean likelihood, and share of cells contaminated.
    low, high : ndarray, shape (n_bins,)
        95 % interval of `observed`: by bootstrap over units of land where they are known,
        and never narrower than if cells were independent (Wilson 1927).
    n_cells : ndarray of int, shape (n_bins,)
        Cells in the bin.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    n_cells: NDArray[np.int64]


def reliability_bins(
    likelihood: Floats, contaminated: NDArray[np.bool_], unit: NDArray[np.int64] | None = None
) -> ReliabilityBins:
    """Return the bins behind the calibration error, with intervals.

    Parameters
    ----------
    likelihood : ndarray, shape (n_cells,)
        0–1.
    contaminated : ndarray of bool, shape (n_cells,)
        What the cells are.
    unit : ndarray of int64, shape (n_cells,), optional
        Unit of land of each cell, for the bootstrap.
    """
    bins = skill.reliability_bins(likelihood)
    n_cells = np.array([len(cells) for cells in bins])
    n = n_cells.astype(float)
    predicted = np.array([likelihood[cells].mean() for cells in bins])
    observed = np.array([contaminated[cells].mean() for cells in bins])
    centre = (observed + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    spread = observed * (1 - observed) / n + Z_95**2 / (4 * n**2)
    half = Z_95 * np.sqrt(spread) / (1 + Z_95**2 / n)
    low, high = centre - half, centre + half
    if unit is not None:
        drawn_low, drawn_high = reliability_band(likelihood, contaminated, unit)
        low, high = np.fmin(low, drawn_low), np.fmax(high, drawn_high)
    return ReliabilityBins(predicted, observed, low, high, n_cells)


def capture_points(score: Floats, contaminated: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return share of area and share of contaminated cells found, in order of rank.

    Cells of equal score are taken together, so that their order cannot flatter.

    Parameters
    ----------
    score : ndarray, shape (n_cells,)
        Higher is looked at first.
    contaminated : ndarray of bool, shape (n_cells,)
        What the cells are.

    Returns
    -------
    area, found : ndarray, shape (n_distinct_scores + 1,)
        Both from 0 to 1.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last_of_equals = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    found = np.cumsum(contaminated[order])[last_of_equals] / max(int(contaminated.sum()), 1)
    area = (last_of_equals + 1) / len(score)
    return np.append(0.0, area), np.append(0.0, found)


def reliability_figure(
    predictions: Predictions, metrics: RunMetrics, png: Path, text: FigureText
) -> Path:
    """Draw observed against predicted likelihood, with the spread of predictions below."""
    bins = reliability_bins(predictions.likelihood, predictions.contaminated, predictions.unit)
    by_land = predictions.unit is not None
    top = min(1.0, 1.12 * max(bins.predicted.max(), bins.high.max()))
    with house_style():
        figure = new_figure(6.4, 6.0)
        curve, spread = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": (4, 1), "hspace": 0.12}
        )
        frame(
            figure,
            "Reliability on held-out land",
            text,
            "On the dashed line, likelihoods mean what they say. "
            + (_BAND_BY_LAND if by_land else _BAND_BY_CELL),
        )
        if by_land:
            curve.fill_between(
                bins.predicted,
                bins.low,
                bins.high,
                color=palette.MODEL_LINE,
                alpha=0.15,
                linewidth=0,
            )
        curve.plot([0, top], [0, top], color=palette.FAINT_INK, linewidth=1, linestyle=(0, (4, 3)))
        curve.errorbar(
            bins.predicted,
            bins.observed,
            yerr=np.abs([bins.observed - bins.low, bins.high - bins.observed]),
            color=palette.MODEL_LINE,
            marker="o",
            markersize=5,
            capsize=2.5,
            linewidth=1.6,
            elinewidth=0.9,
        )
        curve.set(xlim=(0, top), ylim=(0, top), ylabel="Share found contaminated")
        ece = metric_text("ece", metrics.pooled.get("ece"))
        brier = metric_text("brier", metrics.pooled.get("brier"))
        _say(curve, f"calibration error {ece}\nBrier score {brier}", "upper left")
        spread.hist(
            predictions.likelihood,
            bins=np.linspace(0, top, 41),
            color=palette.RANDOM_SPLIT_LINE,
            alpha=0.9,
        )
        spread.set_yscale("log")
        spread.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
        spread.set(xlabel="Calibrated likelihood, held out", ylabel="Cells")
        for axis in (curve.xaxis, curve.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
        return save_png(figure, png)


def roc_pr_figure(
    predictions: Predictions, metrics: RunMetrics, png: Path, text: FigureText
) -> Path:
    """Draw ROC and precision-recall curves, pooled and per fold."""
    with house_style():
        figure = new_figure(10.4, 5.6)
        roc, pr = figure.subplots(1, 2, gridspec_kw={"wspace": 0.22})
        frame(
            figure,
            "Ranking of held-out cells",
            text,
            "Bold: all folds pooled. Thin: single folds. Dashed: chance.",
        )
        for fold in np.unique(predictions.fold):
            chosen = predictions.fold == fold
            _curves(roc, pr, predictions, chosen, palette.FOLD_LINE, 0.9)
        every = np.ones(len(predictions), bool)
        _curves(roc, pr, predictions, every, palette.MODEL_LINE, 2.4)
        prevalence = float(predictions.contaminated.mean())
        reference = {"color": palette.FAINT_INK, "linewidth": 1, "linestyle": (0, (4, 3))}
        roc.plot([0, 1], [0, 1], **reference)
        pr.axhline(prevalence, **reference)
        roc.set(
            xlabel=f"Share of {_others(metrics)} ranked above", ylabel="Share found", title="ROC"
        )
        pr.set(
            xlabel="Share found (recall)",
            ylabel="Share of flagged cells contaminated",
            title="Precision–recall",
        )
        for axes in (roc, pr):
            axes.set(xlim=(0, 1), ylim=(0, 1.01))
            _percent_axes(axes)
        _say(roc, _compared(metrics), "lower right")
        return save_png(figure, png)


def capture_figure(predictions: Predictions, png: Path, text: FigureText) -> Path:
    """Draw the share of contaminated cells found against the share of area looked at."""
    with house_style():
        figure = new_figure(6.8, 5.8)
        axes = figure.subplots()
        frame(
            figure,
            "What the best-ranked land holds",
            text,
            "Shares are of the cells that were labelled and held out, not of the whole area. "
            "Thin: single folds.",
        )
        for fold in np.unique(predictions.fold):
            chosen = predictions.fold == fold
            if predictions.contaminated[chosen].any():
                points = capture_points(
                    predictions.likelihood[chosen], predictions.contaminated[chosen]
                )
                axes.plot(*points, color=palette.FOLD_LINE, linewidth=0.9)
        ranking = {name: s for name, s in predictions.baselines.items() if name != "prevalence"}
        for colour, (name, score) in zip(palette.BASELINE_LINES, ranking.items(), strict=False):
            known = np.isfinite(score)
            points = capture_points(score[known], predictions.contaminated[known])
            axes.plot(*points, color=colour, linewidth=1.5, label=baseline_name(name))
        points = capture_points(predictions.likelihood, predictions.contaminated)
        axes.plot(*points, color=palette.MODEL_LINE, linewidth=2.4, label="model, held out")
        axes.plot(
            [0, 1], [0, 1], color=palette.FAINT_INK, linewidth=1, linestyle=(0, (4, 3)),
            label="no ranking",
        )  # fmt: skip
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1.01),
            xlabel="Share of labelled land, best-ranked first",
            ylabel="Share of its contaminated cells found",
        )
        _percent_axes(axes)
        axes.grid(visible=True)
        axes.legend(loc="lower right")
        return save_png(figure, png)


def skill_figure(metrics: RunMetrics, png: Path, text: FigureText) -> Path:
    """Draw the model beside its baselines and a random split, in ROC-AUC and PR-AUC."""
    rows: list[tuple[str, Mapping[str, float | None], str]] = [
        ("model, held out", metrics.pooled, palette.MODEL_LINE),
        *((baseline_name(n), v, palette.BASELINE_LINES[0]) for n, v in metrics.baselines.items()),
    ]
    if metrics.random_split is not None:
        rows.append(("model, random split", metrics.random_split, palette.RANDOM_SPLIT_LINE))
    with house_style():
        figure = new_figure(10.4, 2.3 + 0.34 * len(rows))
        both = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08})
        frame(
            figure,
            "Skill beside its baselines",
            text,
            "The random split tests on cells that lie next to training cells; what it shows "
            "beyond the held-out figure is not skill in a new place. "
            f"{metrics.interval_note.replace('Intervals', 'Bars')}".strip(),
            left=0.24,
        )
        for axes, key, name in zip(both, ("roc_auc", "pr_auc"), ("ROC-AUC", "PR-AUC"), strict=True):
            _dots(axes, key, rows)
            axes.set(xlabel=name, xlim=(0.0, 1.09))
        both[0].set_yticks(range(len(rows)), [row[0] for row in rows])
        both[0].tick_params(axis="y", labelcolor=palette.INK, labelsize=10)
        return save_png(figure, png)


def importance_figure(importance: Sequence[tuple[str, float]], png: Path, text: FigureText) -> Path:
    """Draw the features that reduced the training loss most, as shares of the whole gain."""
    total = sum(gain for _, gain in importance) or 1.0
    ranked = sorted(importance, key=lambda item: (-item[1], item[0]))[:MAX_FEATURES]
    names = [name for name, _ in ranked]
    shares = [gain / total for _, gain in ranked]
    with house_style():
        figure = new_figure(10.4, 2.0 + 0.27 * len(ranked))
        axes = figure.subplots()
        longest = max((len(name) for name in names), default=10)
        frame(
            figure,
            "What the trees split on",
            text,
            "Gain says what the model used, not what causes contamination; it favours features "
            "with many distinct values.",
            left=min(0.5, 0.05 + 0.0079 * longest),
        )
        axes.barh(range(len(names)), shares, color=palette.MODEL_LINE, height=0.7)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", labelcolor=palette.INK, labelsize=9, length=0)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel("Share of the gain of all splits")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        return save_png(figure, png)


def _curves(
    roc: Axes,
    pr: Axes,
    predictions: Predictions,
    chosen: NDArray[np.bool_],
    colour: str,
    width: float,
) -> None:
    """Draw both curves of the chosen cells, if they hold both outcomes."""
    contaminated = predictions.contaminated[chosen]
    likelihood = predictions.likelihood[chosen]
    if contaminated.all() or not contaminated.any():
        return
    false_share, found, _ = roc_curve(contaminated, likelihood)
    roc.plot(false_share, found, color=colour, linewidth=width)
    precision, recall, _ = precision_recall_curve(contaminated, likelihood)
    pr.plot(recall, precision, color=colour, linewidth=width, drawstyle="steps-post")


def _dots(axes: Axes, key: str, rows: list[tuple[str, Mapping[str, float | None], str]]) -> None:
    for place, (_, values, colour) in enumerate(rows):
        value = values.get(key)
        axes.axhline(place, color=palette.RULE, linewidth=0.6, zorder=0)
        if value is not None:
            low, high = interval_of(values, key) or (value, value)
            right = max(value, high - 0.01)
            axes.plot([low, high], [place, place], color=colour, linewidth=2.4, alpha=0.55)
            axes.plot(value, place, "o", color=colour, markersize=8)
            axes.annotate(
                f"{value:.3f}", (right, place), (8, 0), textcoords="offset points", va="center",
                size=9,
            )  # fmt: skip
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _others(metrics: RunMetrics) -> str:
    return "background cells" if metrics.n_background else "released cells"


def _compared(metrics: RunMetrics) -> str:
    """Return ROC-AUC and PR-AUC of the model and what it is compared with, a line each."""
    rows = [("model, held out", metrics.pooled)]
    rows += [(baseline_name(name), values) for name, values in metrics.baselines.items()]
    if metrics.random_split is not None:
        rows.append(("model, random split", metrics.random_split))
    lines = [
        f"{name}  {metric_text('roc_auc', values.get('roc_auc'))} / "
        f"{metric_text('pr_auc', values.get('pr_auc'))}"
        for name, values in rows
    ]
    return "\n".join(["ROC-AUC / PR-AUC", *lines])


def _percent_axes(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))


def _say(axes: Axes, text: str, place: str) -> None:
    """Write a few lines into a corner of the axes."""
    vertical, horizontal = place.split()
    axes.text(
        0.03 if horizontal == "left" else 0.97,
        0.97 if vertical == "upper" else 0.03,
        text,
        transform=axes.transAxes,
        ha=horizontal,
        va="top" if vertical == "upper" else "bottom",
        size=8.5,
        linespacing=1.4,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2},
    )


def frame(figure: Figure, title: str, text: FigureText, caption: str, left: float = 0.0) -> None:
    """Write title, the line under it and the caption, and leave room for them."""
    width_inch, height_inch = figure.get_size_inches()
    edge = 0.14 / width_inch
    figure.text(edge, 1 - 0.27 / height_inch, title, size=13, weight="bold")
    colour = palette.WARNING if text.simulated or text.note else palette.FAINT_INK
    under = textwrap.wrap(text.line, int(width_inch * 13.5))
    for k, line in enumerate(under):
        figure.text(edge, 1 - (0.50 + 0.18 * k) / height_inch, line, size=9, color=colour)
    below = textwrap.wrap(caption, int(width_inch * 14.5))
    for k, line in enumerate(reversed(below)):
        height = (0.14 + 0.17 * k) / height_inch
        figure.text(edge, height, line, size=8.5, color=palette.FAINT_INK)
    figure.subplots_adjust(
        left=max(left, 0.85 / width_inch),
        right=1 - 0.3 / width_inch,
        top=1 - (0.72 + 0.18 * len(under)) / height_inch,
        bottom=(0.72 + 0.17 * len(below)) / height_inch,
    )
