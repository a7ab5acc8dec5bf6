from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.model.effects import (
    FoldEffects,
    _skill,
    accumulated_local_effects,
    blocks_of,
    partial_dependence,
    permuted_blocks,
)
from hazardrank.settings import ExplanationSettings
from hazardrank.validation.metrics import brier, roc_auc
from tests.validation.cases import scattered


class Line:
    """A model whose likelihood is a line in its features."""

    rounds = 0

    def __init__(self, *slopes):
        self.slopes = np.array(slopes)

    def likelihood(self, matrix):
        return 0.5 + np.nan_to_num(matrix) @ self.slopes

    scores = likelihood


def test_partial_dependence_by_hand():
    # f = 0.5 + 0.1 a + 0.01 b; mean b is 2.
    matrix = np.array([[0, 1], [5, 3]], np.float32)
    found = partial_dependence(Line(0.1, 0.01).likelihood, matrix, 0, np.array([0.0, 1.0, 2.0]))
    assert found == pytest.approx([0.52, 0.62, 0.72])


def test_accumulated_effects_of_a_line_are_the_line_around_its_mean():
    # Cells at 0.5, 1.5 and 2.5 and edges 0…3: slope 0.1, mean of the middles 1.5.
    matrix = np.array([[0.5, 7], [1.5, -2], [2.5, 0]], np.float32)
    edges = np.array([0.0, 1.0, 2.0, 3.0], np.float32)
    found = accumulated_local_effects(Line(0.1, 0.3).likelihood, matrix, 0, edges)
    assert found == pytest.approx([-0.15, -0.05, 0.05, 0.15], abs=1e-6)


def test_features_that_go_together_do_not_lead_off_the_land():
    # a = b everywhere and f = a·b: dependence at 3 mixes a = 3 with b = 1; ALE does not.
    value = np.linspace(1, 3, 41)
    matrix = np.column_stack([value, value]).astype(np.float32)
    found = accumulated_local_effects(
        lambda x: x[:, 0] * x[:, 1], matrix, 0, np.linspace(1, 3, 21).astype(np.float32)
    )
    # The local slope in a is b = a, so the effect is a²/2: from 1 to 3 it rises by 4.
    assert found[-1] - found[0] == pytest.approx(4, abs=0.06)


def test_cells_without_the_feature_have_no_say():
    matrix = np.array([[0.5, 0], [np.nan, 0], [9, 0]], np.float32)
    found = accumulated_local_effects(Line(0.1, 0).likelihood, matrix, 0, np.array([0.0, 1.0]))
    assert found == pytest.approx([-0.05, 0.05])


def test_blocks_change_places_as_wholes():
    blocks = np.repeat([0, 1, 2, 3], 5)
    order = permuted_blocks(blocks, np.random.default_rng(1))
    taken = blocks[order].reshape(4, 5)
    assert sorted(order.tolist()) == list(range(20))
    assert (taken == taken[:, :1]).all()
    assert (np.diff(order.reshape(4, 5), axis=1) == 1).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(0, 99))
def test_every_value_is_used_once(numbers, seed):
    blocks = np.unique(numbers, return_inverse=True)[1]
    order = permuted_blocks(blocks, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(blocks)))


def test_blocks_are_squares():
    found = blocks_of(np.array([0.0, 99, 100, 50]), np.array([0.0, 99, 0, 100]), 100)
    assert found[0] == found[1]
    assert len(set(found.tolist())) == 3


def watched(model, **changes):
    training = scattered()
    chosen = ExplanationSettings(**({"n_cells": 100, "n_values": 6} | changes))
    rows = np.arange(len(training.cells))
    tests = [rows[rows % 2 == k] for k in (0, 1)]
    effects = FoldEffects(training.specs, training.cells, tests, chosen, 500.0, 0)
    for k in (0, 1):
        effects.see(k, model, training.matrix())
    return effects


def test_only_what_the_model_uses_is_important():
    found = {one["group"]: one for one in table_like(watched(Line(0.1, 0.0))).importance()}
    assert found["feature_0"]["roc_auc"] > 0.1
    assert found["feature_0"]["low"] <= found["feature_0"]["roc_auc"] <= found["feature_0"]["high"]
    assert found["feature_1"]["roc_auc"] == pytest.approx(0, abs=1e-12)
    assert found["feature_1"]["brier"] == pytest.approx(0, abs=1e-12)
    assert found["feature_0"]["n_folds"] == 2


def test_losses_are_those_of_the_metrics_in_use():
    likelihood = np.array([0.1, 0.4, 0.4, 0.9, 0.2])
    contaminated = np.array([False, True, False, True, True])
    expected = [roc_auc(contaminated, likelihood), brier(contaminated, likelihood)]
    assert _skill(likelihood, contaminated) == pytest.approx(expected)


def table_like(effects):
    """The same effects with each feature a group of its own."""
    import dataclasses

    specs = [dataclasses.replace(spec, family="table") for spec in effects.specs]
    fresh = dataclasses.replace(effects, specs=specs, _drops={}, _models=[])
    for k, (model, _) in enumerate(list(effects._models)):
        fresh.see(k, model, scattered().matrix())
    return fresh


def test_curves_of_the_most_important_features_with_bands():
    effects = watched(Line(0.1, 0.05), n_features=1)
    curves = effects.curves({"feature_1": 0.2, "feature_0": 0.8})
    assert [curve["feature"] for curve in curves] == ["feature_0"]
    curve = curves[0]
    assert len(curve["values"]) <= 6
    slope = np.diff(curve["ale"]["mean"]) / np.diff(curve["values"])
    assert slope == pytest.approx(0.1, abs=1e-4)
    assert curve["partial_dependence"]["low"] == curve["partial_dependence"]["high"]


def test_classes_have_no_accumulated_effects():
    effects = watched(Line(0.1, 0.05))
    curve = effects.curves({"feature_0": 1.0}, categorical=["feature_0"])[0]
    assert "ale" not in curve
    assert len(curve["values"]) > 6


def test_the_same_seed_gives_the_same_explanation():
    twice = [watched(Line(0.1, 0.05)) for _ in range(2)]
    assert twice[0].importance() == twice[1].importance()
