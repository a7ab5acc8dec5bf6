"""Seasons that were played: a table for the terminal, and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter
from rich.table import Table

from hazardrank.reporting import palette
from hazardrank.reporting.drawing import house_style, new_figure, save_png

SEASONS_CSV, SEASONS_PNG = "seasons.csv", "seasons.png"

#: What policies are called.
POLICY_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "combined": "mean of layers and distance",
        "retrained": "layers, retrained",
        "retrained_random_share": "layers, with random share",
        "static": "layers, first season's model",
        "distance": "distance to known hazard",
        "random": "random",
    }
)
_LINES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "combined": (palette.WARNING, "-"),
        "retrained": (palette.MODEL_LINE, "-"),
        "retrained_random_share": (palette.RANDOM_SPLIT_LINE, "-"),
        "static": (palette.MODEL_LINE, "--"),
        "distance": (palette.BASELINE_LINES[0], "-"),
        "random": (palette.BASELINE_LINES[1], ":"),
    }
)
#: Seasons between the bars of two policies.
DODGE = 0.07
NOTICE = "SIMULATED: made up, of no real place; says nothing of skill on real land."


def pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return hectares cleared per contaminated hectare, all districts together.

    Returns
    -------
    DataFrame
        Rows by policy and season: ``in_season`` and ``cumulative`` (over all districts; NaN
        where nothing was found), and ``low`` and ``high``: its range over districts.
    """
    groups = rows.groupby(["policy", "season"], sort=False)
    summed = groups[
        ["cleared_ha", "contaminated_ha", "cumulative_cleared_ha", "cumulative_contaminated_ha"]
    ].sum()
    each = groups["cumulative_ha_per_contaminated_ha"]
    found = summed["contaminated_ha"].where(summed["contaminated_ha"] > 0)
    all_found = summed["cumulative_contaminated_ha"].where(summed["cumulative_contaminated_ha"] > 0)
    return pd.DataFrame(
        {
            "in_season": summed["cleared_ha"] / found,
            "cumulative": summed["cumulative_cleared_ha"] / all_found,
            "low": each.min(),
            "high": each.max(),
        }
    )


def seasons_table(rows: pd.DataFrame) -> Table:
    """Return hectares cleared for each contaminated hectare found, by policy and season."""
    figures = pooled(rows)
    seasons = sorted(rows["season"].unique())
    title = "Hectares cleared for each contaminated hectare found, by season"
    table = Table(
        title=title,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    table.add_column("ranked by", no_wrap=True)
    for season in seasons:
        table.add_column(f"{season}", justify="right", no_wrap=True)
    table.add_column("all (range)", justify="right", no_wrap=True)
    for policy in rows["policy"].unique():
        mine = figures.loc[policy]
        each = [_shown(float(mine.loc[season, "in_season"])) for season in seasons]
        low, high = (_shown(float(mine.loc[seasons[-1], end])) for end in ("low", "high"))
        total = _shown(float(mine.loc[seasons[-1], "cumulative"]))
        table.add_row(POLICY_WORDS[policy], *each, f"{total} ({low} to {high})")
    return table


def _shown(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.1f}"


def draw_seasons(rows: pd.DataFrame, path: Path, title: str) -> Path:
    """Draw cumulative hectares cleared per contaminated hectare found, on a log scale.

    Lines are all districts together, bars the range over districts with finds.
    """
    with house_style():
        figure = new_figure(7.6, 4.6)
        axes: Axes = figure.add_axes((0.1, 0.2, 0.56, 0.64))
        figures = pooled(rows)
        policies = list(rows["policy"].unique())
        for number, policy in enumerate(policies):
            mine, (colour, style) = figures.loc[policy], _LINES[policy]
            seasons = mine.index.to_numpy() + DODGE * (number - (len(policies) - 1) / 2)
            axes.vlines(seasons, mine["low"], mine["high"], color=colour, alpha=0.45, linewidth=1.2)
            axes.plot(
                seasons,
                mine["cumulative"],
                style,
                color=colour,
                marker="o",
                markersize=3.5,
                label=POLICY_WORDS[policy],
            )
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator([1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("season")
        axes.set_ylabel("ha cleared per contaminated ha found, so far")
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        figure.text(0.1, 0.93, title, fontsize=11, color=palette.INK)
        figure.text(0.1, 0.88, NOTICE, fontsize=8, color=palette.WARNING)
        figure.text(
            0.1,
            0.03,
            "Less is better. Lines: all districts together; bars: range over districts with finds.",
            fontsize=7.5,
            color=palette.FAINT_INK,
        )
        return save_png(figure, path)
