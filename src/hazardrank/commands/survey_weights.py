"""Weights by survey propensity for a prepared case, where the settings ask for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hazardrank.commands.prepare import LayerCase, TableCase
from hazardrank.model.propensity import Sample, survey_weights
from hazardrank.reporting.progress import Progress
from hazardrank.settings import TrainSettings


def weigh_by_propensity(
    settings: TrainSettings, case: LayerCase | TableCase, progress: Progress
) -> tuple[LayerCase | TableCase, dict[str, Any] | None]:
    """Return the case with survey weights, and what ``metrics.json`` says of them.

    Raises
    ------
    ModelError
        If the land cannot be parted into blocks.
    """
    if settings.model.propensity == "none":
        return case, None
    training = case.training
    matrix, places = case.area_sample(settings.model.propensity_cells, progress)
    n_layer = training.layer_features.shape[1]
    with progress.stage("Modelling which land was surveyed", None, "models"):
        found = survey_weights(
            Sample(training.layer_features, training.cells.easting, training.cells.northing),
            Sample(matrix, places[:, 0], places[:, 1]),
            training.specs[:n_layer],
            settings.model.propensity_truncation,
            settings.validation.folds.size_m,
            settings.seed,
            settings.compute.n_threads,
        )
    weighted = replace(training, survey_weight=found.weight)
    return replace(case, training=weighted), found.facts


def weights_note(facts: dict[str, Any] | None) -> list[str]:
    """Say what the weights cost."""
    if facts is None:
        return []
    return [
        f"labelled cells are weighted by inverse survey propensity, {facts['smallest']:.2g} to "
        f"{facts['largest']:.2g}: {facts['n_cells']:,} cells tell as much as "
        f"{facts['effective_cells']:,.0f} equally weighted ones"
    ]
