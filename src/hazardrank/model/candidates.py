"""Candidates: the settings a learner may choose among, and which features they may see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hazardrank.features.base import FeatureSpec
from hazardrank.settings import ModelSettings

#: Features taken over a disc carry its radius in their name (``roads_dist_mean_2000m``).
_RADIUS = re.compile(r"_\d+m(_|$)")

#: What makes a random forest of LightGBM's forest mode: each split chooses among some of the
#: features, each tree sees 63.2 % of the cells, as many as a bootstrap sample holds.
FOREST: Mapping[str, Any] = {
    "boosting": "rf",
    "num_leaves": 255,
    "max_depth": -1,
    "min_cells_in_leaf": 4,
    "feature_fraction": 1.0,
    "node_feature_fraction": 0.2,
    "random_thresholds": False,
    "cell_fraction": 0.632,
    "l1": 0.0,
    "l2": 0.0,
    "max_bin": 63,
    "class_weight": "none",
    "early_stopping_rounds": 0,
}
FOREST_ROUNDS = 300
#: Trees with which forests are compared; more do not change which is better.
FOREST_ROUNDS_COMPARED = 80

#: Slow, shallow, strongly held back: for few cells.
SMALL_SAMPLE: Mapping[str, Any] = {
    "boosting": "gbdt",
    "learning_rate": 0.03,
    "num_leaves": 7,
    "max_depth": -1,
    "min_cells_in_leaf": 40,
    "feature_fraction": 1.0,
    "node_feature_fraction": 0.3,
    "random_thresholds": False,
    "cell_fraction": 0.6,
    "l1": 0.0,
    "l2": 20.0,
    "max_bin": 63,
    "class_weight": "none",
    "early_stopping_rounds": 60,
}

GIVEN = "given"


@dataclass(frozen=True)
class Candidate:
    """One set of model settings, and whether neighbourhood features are seen.

    Parameters
    ----------
    name : str
        ``given``, ``forest``, ``small_sample`` or ``boosted``.
    settings : ModelSettings
        The trees; ``max_rounds`` is the most rounds looked at.
    context : bool
        False hides the features taken over discs around the cell.
    """

    name: str
    settings: ModelSettings
    context: bool = True

    def columns(self, specs: Sequence[FeatureSpec], kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of the features kept so far it may see, shape (n_features,)."""
        return kept if self.context else kept & ~over_discs(specs)

    def grown(self) -> Candidate:
        """Return the candidate as it is used in the end: a forest has all its trees."""
        if self.name != "forest":
            return self
        more = {"max_rounds": max(FOREST_ROUNDS, self.settings.max_rounds)}
        return replace(self, settings=self.settings.model_copy(update=more))

    def as_dict(self) -> dict[str, Any]:
        """Return what distinguishes the candidate, as plain values."""
        settings = self.settings.model_dump(
            mode="json", include=set(FOREST) | {"learning_rate", "max_rounds"}
        )
        return {"candidate": self.name, "context": self.context, **settings}


def over_discs(specs: Sequence[FeatureSpec]) -> NDArray[np.bool_]:
    """Return which features are taken over discs around the cell, shape (n_features,)."""
    return np.array([_RADIUS.search(spec.name) is not None for spec in specs], bool)


def forest(base: ModelSettings, rounds: int = FOREST_ROUNDS_COMPARED) -> Candidate:
    """Return a random forest with the weights, constraints and bins of `base`."""
    return Candidate("forest", base.model_copy(update={**FOREST, "max_rounds": rounds}))


class Choices(Protocol):
    """What proposes values: an Optuna trial, or a stand-in."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Propose one of several values."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Propose a whole number."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Propose a number."""


def starting_points(has_context: bool) -> list[dict[str, Any]]:
    """Return the trials every search starts with: as given, a forest, small-sample settings."""
    small = {
        "boosted.learning_rate": 0.03,
        "boosted.num_leaves": 7,
        "boosted.min_cells_in_leaf": 40,
        "boosted.node_feature_fraction": 0.3,
        "boosted.cell_fraction": 0.6,
        "boosted.l2": 20.0,
    }
    trees = {
        "forest.random_thresholds": False,
        "forest.num_leaves": 255,
        "forest.min_cells_in_leaf": 4,
        "forest.node_feature_fraction": 0.2,
    }
    starts: list[dict[str, Any]] = [
        {"kind": GIVEN},
        {"kind": "forest", **trees},
        {"kind": "boosted", **small},
    ]
    return [{**start, **({"context": True} if has_context else {})} for start in starts]


def suggest(choices: Choices, base: ModelSettings, max_rounds: int, has_context: bool) -> Candidate:
    """Return the candidate a trial proposes.

    The space holds the settings as given, forests with bootstrap and random thresholds,
    and boosting held back for small samples; each with or without neighbourhood features.

    Parameters
    ----------
    choices : Choices
        The trial.
    base : ModelSettings
        What is not searched for: class weight, constraints, bins, calibration.
    max_rounds : int
        Most rounds of a candidate.
    has_context : bool
        Whether there are features over discs, and others beside them.
    """
    context = bool(choices.suggest_categorical("context", [True, False])) if has_context else True
    kind = choices.suggest_categorical("kind", ["forest", "boosted", GIVEN])
    rounds = {"max_rounds": min(base.max_rounds, max_rounds)}
    if kind == GIVEN:
        return Candidate(GIVEN, base.model_copy(update=rounds), context)
    if kind == "forest":
        values = _forest_values(choices)
        values["max_rounds"] = min(FOREST_ROUNDS_COMPARED, max_rounds)
    else:
        values = {**_boosted_values(choices), "max_rounds": max_rounds}
    return Candidate(kind, base.model_copy(update=values), context)


def _forest_values(choices: Choices) -> dict[str, Any]:
    return {
        **FOREST,
        "random_thresholds": choices.suggest_categorical("forest.random_thresholds", [False, True]),
        "num_leaves": choices.suggest_int("forest.num_leaves", 15, 255, log=True),
        "min_cells_in_leaf": choices.suggest_int("forest.min_cells_in_leaf", 2, 60, log=True),
        "node_feature_fraction": choices.suggest_float(
            "forest.node_feature_fraction", 0.05, 0.6, log=True
        ),
    }


def _boosted_values(choices: Choices) -> dict[str, Any]:
    return {
        **SMALL_SAMPLE,
        "learning_rate": choices.suggest_float("boosted.learning_rate", 0.015, 0.1, log=True),
        "num_leaves": choices.suggest_int("boosted.num_leaves", 3, 31, log=True),
        "min_cells_in_leaf": choices.suggest_int("boosted.min_cells_in_leaf", 5, 200, log=True),
        "node_feature_fraction": choices.suggest_float(
            "boosted.node_feature_fraction", 0.05, 1.0, log=True
        ),
        "cell_fraction": choices.suggest_float("boosted.cell_fraction", 0.3, 0.9),
        "l2": choices.suggest_float("boosted.l2", 0.1, 200.0, log=True),
    }
