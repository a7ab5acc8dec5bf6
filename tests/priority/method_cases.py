"""Settings and alternatives for the tests of scoring methods."""

from __future__ import annotations

import numpy as np

from hazardrank.priority.alternatives import Alternatives
from hazardrank.priority.methods import METHODS
from hazardrank.settings import EFFORT, LIKELIHOOD, EffortSettings, PrioritySettings
from tests.priority.test_effort import MANUAL

METHOD_NAMES = list(METHODS)


def settings_of(method: str = "harm_averted", **values) -> PrioritySettings:
    if method == "lexicographic":
        values.setdefault("order", ["people", "water", LIKELIHOOD, EFFORT])
    return PrioritySettings(
        label="test",
        source="test",
        method=method,
        effort=EffortSettings(methods={"manual": MANUAL}),
        **values,
    )


def land(*rows, ids=None, area_m2=10_000.0) -> Alternatives:
    """Alternatives from rows of people, water, likelihood, team-days; a hectare each."""
    table = np.array(rows, float).reshape(-1, 4)
    n = len(table)
    return Alternatives(
        np.array(ids if ids is not None else [f"T{k:05d}" for k in range(n)]),
        ("people", "water"),
        table[:, :2],
        table[:, 2],
        np.broadcast_to(area_m2, n),
        table[:, 3],
    )


def random_land(rng: np.random.Generator, n: int, n_criteria: int = 3) -> Alternatives:
    return Alternatives(
        np.array([f"T{k:05d}" for k in range(n)]),
        tuple(f"c{k}" for k in range(n_criteria)),
        rng.uniform(0, 1, (n, n_criteria)),
        rng.uniform(0, 1, n),
        rng.uniform(5_000, 200_000, n),
        rng.uniform(1, 90, n),
    )


def own_settings(method: str, alternatives: Alternatives, **values) -> PrioritySettings:
    """Settings whose lexicographic order has these alternatives' criteria."""
    if method == "lexicographic":
        values["order"] = [LIKELIHOOD, *alternatives.criteria, EFFORT]
    return settings_of(method, **values)
