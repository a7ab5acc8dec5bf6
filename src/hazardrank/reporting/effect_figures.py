"""Figures of what the model learned: permutation importance and effects of features."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from hazardrank.errors import OutputError
from hazardrank.reporting import palette
from hazardrank.reporting.drawing import house_style, new_figure, save_png
from hazardrank.reporting.figures import MAX_FEATURES, FigureText, frame

#: Panels beside each other.
N_COLUMNS = 3


def effect_figures(explanation_json: Path, folder: Path, text: FigureText) -> list[Path]:
    """Draw what ``model_explanation.json`` holds; nothing where there is no such file.

    Parameters
    ----------
    explanation_json : Path
        The file.
    folder : Path
        Where the figures go.
    text : FigureText
        What every figure says.

    Returns
    -------
    list of Path
        The figures drawn.

    Raises
    ------
    OutputError
        If the file cannot be understood, or a figure cannot be written.
    """
    if not explanation_json.is_file():
        return []
    try:
        values = json.loads(explanation_json.read_text(encoding="utf-8"))
        importance, effects = values["permutation_importance"], values["effects"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise OutputError(
            f"is no explanation of a model ({error!r})",
            where=explanation_json,
            remedy="Train again.",
        ) from None
    drawn = []
    if importance:
        drawn.append(permutation_figure(importance, folder / "permutation_importance.png", text))
    if effects:
        drawn.append(dependence_figure(effects, folder / "partial_dependence.png", text))
    if any("ale" in effect for effect in effects):
        drawn.append(ale_figure(effects, folder / "ale.png", text))
    return drawn


def permutation_figure(
    importance: Sequence[Mapping[str, Any]], png: Path, text: FigureText
) -> Path:
    """Draw the loss of ROC-AUC on held-out cells, with the smallest and largest of any fold."""
    ranked = list(importance)[:MAX_FEATURES]
    names = [str(one["group"]).replace("_", " ") for one in ranked]
    middle = np.array([one["roc_auc"] for one in ranked])
    low = np.array([one["low"] for one in ranked])
    high = np.array([one["high"] for one in ranked])
    with house_style():
        figure = new_figure(10.4, 2.2 + 0.3 * len(ranked))
        axes = figure.subplots()
        frame(
            figure,
            "What is lost when a group of features loses its place",
            text,
            "Held-out cells; blocks exchanged as wholes. Groups that say the same stand in for "
            "one another. The line spans the folds.",
            left=min(0.5, 0.05 + 0.0079 * max(map(len, names))),
        )
        places = np.arange(len(names))
        axes.hlines(places, low, high, color=palette.FOLD_LINE, linewidth=3)
        axes.plot(middle, places, "o", color=palette.MODEL_LINE)
        axes.axvline(0, color=palette.FAINT_INK, linewidth=0.8)
        axes.set_yticks(places, names)
        axes.tick_params(axis="y", labelcolor=palette.INK, labelsize=9, length=0)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel("Loss of ROC-AUC")
        return save_png(figure, png)


def dependence_figure(effects: Sequence[Mapping[str, Any]], png: Path, text: FigureText) -> Path:
    """Draw partial dependence: the mean likelihood if all cells had one value."""
    return _panels(
        effects,
        "partial_dependence",
        png,
        text,
        "Mean likelihood if all cells had one value",
        "Partial dependence over the same labelled cells; the band spans the folds' models. "
        "What goes together on the ground is pulled apart here: see the accumulated effects.",
        "Likelihood",
    )


def ale_figure(effects: Sequence[Mapping[str, Any]], png: Path, text: FigureText) -> Path:
    """Draw accumulated local effects around their mean."""
    return _panels(
        [effect for effect in effects if "ale" in effect],
        "ale",
        png,
        text,
        "How the likelihood changes with a feature",
        "Accumulated local effects around their mean; the band spans the folds' models. An effect "
        "says what the model goes by, not what causes contamination.",
        "Change of likelihood",
    )


def _panels(
    effects: Sequence[Mapping[str, Any]],
    kind: str,
    png: Path,
    text: FigureText,
    title: str,
    caption: str,
    label: str,
) -> Path:
    n_rows = -(-len(effects) // N_COLUMNS)
    with house_style():
        figure = new_figure(10.4, 1.9 + 2.4 * n_rows)
        grid = figure.subplots(n_rows, N_COLUMNS, sharey=True, squeeze=False)
        frame(figure, title, text, caption)
        figure.subplots_adjust(hspace=0.55, wspace=0.12)
        for place, axes in enumerate(grid.ravel()):
            if place < len(effects):
                _curve(axes, effects[place], effects[place][kind])
            else:
                axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel(label)
        return save_png(figure, png)


def _curve(axes: Axes, effect: Mapping[str, Any], band: Mapping[str, Sequence[float]]) -> None:
    values = effect["values"]
    axes.fill_between(values, band["low"], band["high"], color=palette.FOLD_LINE, linewidth=0)
    axes.plot(values, band["mean"], color=palette.MODEL_LINE, linewidth=1.6)
    axes.plot(
        values,
        np.zeros(len(values)),
        "|",
        color=palette.FAINT_INK,
        markersize=5,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
    )
    unit = "" if effect["unit"] in ("1", "class") else f" [{effect['unit']}]"
    name = str(effect["feature"]).replace("_", " ") + unit
    axes.set_xlabel(name if len(name) <= 44 else name[:43] + "…", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="x", nbins=4)
