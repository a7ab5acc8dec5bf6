from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.features.base import FeatureSpec
from hazardrank.model.boosted import BoostedTrees
from hazardrank.model.bundle import Bundle
from hazardrank.model.explain import feature_groups, reasons
from hazardrank.settings import ModelSettings

SPECS = [
    FeatureSpec("roads_distance_m", "m", "roads", "proximity", "A."),
    FeatureSpec("roads_primary_distance_m", "m", "roads", "proximity", "B."),
    FeatureSpec("terrain_slope_deg", "deg", "elevation", "terrain", "C."),
    FeatureSpec("terrain_tpi_r300_m", "m", "elevation", "terrain", "D."),
]


def fitted(side, specs, **changes):
    chosen = {"max_rounds": 40, "early_stopping_rounds": 10, "num_leaves": 7} | changes
    learner = BoostedTrees(ModelSettings(**chosen), specs, 1, 0)
    return Bundle.of(learner.fit(side), learner, {})


def log_odds(score):
    return np.log(score / (1 - score))


@pytest.fixture(scope="module")
def trees(side, specs):
    return fitted(side, specs)


def test_contributions_sum_to_the_raw_score(trees, new_side):
    added = trees.contributions(new_side.matrix, 1)
    assert added.shape == (len(new_side.matrix), 5)
    raw = log_odds(trees.scores(new_side.matrix, 1))
    assert np.abs(added.sum(axis=1) - raw).max() < 1e-6


def test_contributions_of_a_random_forest_sum_to_its_raw_score(side, specs, new_side):
    forest = fitted(side, specs, boosting="rf", max_rounds=15, cell_fraction=0.6)
    raw = log_odds(forest.scores(new_side.matrix, 1))
    assert np.abs(forest.contributions(new_side.matrix, 1).sum(axis=1) - raw).max() < 1e-6


def test_contributions_of_several_models_sum_to_their_mean_raw_score(trees, side, specs, new_side):
    other = fitted(side, specs, num_leaves=3)
    both = dataclasses.replace(trees, models=(*trees.models, *other.models))
    raw = [log_odds(one.scores(new_side.matrix, 1)) for one in (trees, other)]
    added = both.contributions(new_side.matrix, 1).sum(axis=1)
    assert np.abs(added - np.mean(raw, axis=0)).max() < 1e-6


def test_groups_speak_of_one_thing():
    assert feature_groups(SPECS) == {"proximity of roads": [0, 1], "terrain of elevation": [2, 3]}
    table = [dataclasses.replace(spec, family="table") for spec in SPECS]
    assert list(feature_groups(table)) == [spec.name for spec in SPECS]


def test_reasons_by_hand():
    # Roads add -0.1 + 0.7 = 0.6, land -0.9 + 0.1 = -0.8; the base value is no reason.
    added = np.array([[-0.1, 0.7, -0.9, 0.1, -3.0]])
    found = reasons(added, np.array([[10, 20, 30, 40]], np.float32), SPECS)[0]
    assert [(one.group, one.feature, one.value) for one in found] == [
        ("terrain of elevation", 2, 30.0),
        ("proximity of roads", 1, 20.0),
    ]
    assert [one.effect for one in found] == pytest.approx([-0.8, 0.6])
    assert [one.raises for one in found] == [False, True]


def test_what_hardly_matters_is_no_reason():
    added = np.array([[1.0, 0.0, 0.01, 0.0, 0.5], [0, 0, 0, 0, 0.5]])
    found = reasons(added, np.zeros((2, 4), np.float32), SPECS)
    assert [one.group for one in found[0]] == ["proximity of roads"]
    assert found[1] == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_reasons_are_few_strong_and_in_order(seed, most):
    table = [dataclasses.replace(spec, family="table") for spec in SPECS]
    added = np.random.default_rng(seed).normal(size=(5, 5))
    for cell, found in enumerate(reasons(added, np.zeros((5, 4), np.float32), table, most)):
        strength = [abs(one.effect) for one in found]
        assert 1 <= len(found) <= most
        assert strength == sorted(strength, reverse=True)
        assert strength[0] == np.abs(added[cell, :4]).max()
