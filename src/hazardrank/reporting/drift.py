"""Drift as people read it: how many features differ, and which ones most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from hazardrank.reporting.words import percent, whole

_SHOWN = 6


def print_drift(drift: Mapping[str, Any], console: Console) -> None:
    """Print the features in which the region differs most from the training cells."""
    rows = drift["features"]
    much = [row for row in rows if row["reading"] == "much"]
    n_some = sum(row["reading"] == "some" for row in rows)
    console.print(
        f"Against the training cells, {len(much)} of {len(rows)} features differ much and {n_some} "
        "some (population stability index above 0.25 and 0.1, by rule of thumb; "
        f"{whole(drift['cells_compared'])} cells compared). Training cells are surveyed land: some "
        "difference is usual.",
        soft_wrap=True,
        highlight=False,
    )
    here, held_out = drift["outside_domain_share"], drift["outside_domain_share_held_out"]
    if here is not None and held_out is not None:
        console.print(
            f"Outside the model's domain: {percent(here)} here, {percent(held_out)} of the "
            "training cells where they were held out.",
            soft_wrap=True,
            highlight=False,
        )
    if not much:
        return
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title, justify in (("feature", "left"), ("index", "right"), ("missing here", "right")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    table.add_column("in training", justify="right")
    for row in much[:_SHOWN]:
        table.add_row(
            row["feature"],
            f"{row['psi']:.2f}",
            percent(row["missing_here"]),
            percent(row["missing_in_training"]),
        )
    console.print(table, highlight=False)
    if len(much) > _SHOWN:
        console.print(f"… and {len(much) - _SHOWN} more in manifest.json", highlight=False)
