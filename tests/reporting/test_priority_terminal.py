from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from hazardrank.priority.bands import BAND_LABELS, Band
from hazardrank.reporting.priority_files import NOT_SAID
from hazardrank.reporting.priority_terminal import PrioritySummary, print_priorities

TASKS = {
    "task_id": ["T-1", "T-2"],
    "rank": pd.array([1, None], "Int64"),
    "band": [BAND_LABELS[Band.URGENT], BAND_LABELS[Band.WAITS]],
    "waits_for": ["", "area secure"],
    "location": ["2.0 km N of Karsa", ""],
    "hazard_id": ["SHA-12", ""],
    "area_m2": [30_000.0, 12_000_000.0],
    "likelihood_mean": [0.25, np.nan],
    "method": ["dogs", ""],
    "team_days": [12.0, np.nan],
    "reason_1": ["Raises its rank: distance to roads 20 m; median task 430 m", ""],
}
RANGES = {
    "rank_low": pd.array([1, None], "Int64"),
    "rank_high": pd.array([9, None], "Int64"),
    "tied": pd.array([True, None], "boolean"),
}


def printed(columns, **changes) -> str:
    facts = {
        "title": "Somewhere [a]",
        "simulated": False,
        "choices": "EXAMPLE",
        "source": "nobody's",
        "method": "harm_averted",
        "weights": "equal weights",
        "tasks": pd.DataFrame(columns),
        "waiting": {"area secure": 1},
        "area_cells": 1000,
        "released_cells": 250,
        "unjudged_cells": 100,
        "left_out_cells": 50,
        "notes": ["Not weighed: water"],
        "warnings": ["Think them over"],
    }
    out = io.StringIO()
    console = Console(file=out, width=200, color_system=None)
    summary = PrioritySummary(**{**facts, **changes})
    print_priorities(summary, 10, "out", ["a.csv"], ["Plan: none"], console)
    return out.getvalue()


def test_a_task_is_told_with_its_range_and_reasons():
    lines = printed({**TASKS, **RANGES}).splitlines()
    at = lines.index("1. (range 1–9, tied) T-1  Urgent")
    assert lines[at + 1 : at + 3] == [
        "    2.0 km N of Karsa, in SHA-12, 3.0 ha, likelihood 0.25, dogs, 12.0 team-days",
        "    – Raises its rank: distance to roads 20 m; median task 430 m",
    ]


def test_land_that_waits_or_is_not_known_is_not_told_as_low():
    text = printed({**TASKS, **RANGES})
    assert "– T-2  Waits – a gate is closed, NOT cleared" in text
    assert (
        "12.0 km², likelihood not known, no method, not known team-days, waits: area secure" in text
    )
    assert "1  wait: area secure" in text
    assert "The model cannot judge 10.0 % of the area." in text
    assert "5.0 % of the area is in no task by the settings (tasks.candidates). It is NOT" in text
    assert "25.0 % of the area is in no task because records say it was released." in text
    assert NOT_SAID in text


def test_names_in_brackets_and_warnings_are_printed_as_they_are():
    text = printed({**TASKS, **RANGES})
    assert text.startswith("Somewhere [a]\n")
    assert "warning Think them over" in text


@pytest.mark.parametrize("suffix", ["_any_weights", "_fixed_weights"])
def test_ranges_of_any_kind_of_draws_are_told(suffix):
    ranges = {f"{name}{suffix}" if name != "tied" else name: v for name, v in RANGES.items()}
    assert "1. (range 1–9, tied) T-1" in printed({**TASKS, **ranges})


def test_ranks_without_draws_say_that_nothing_is_known_of_them():
    text = printed(TASKS)
    assert "\n1. T-1  Urgent" in text
    assert "how far ranks can be trusted is not known" in text
