"""The leakage guard: each leak raises, each doubt is a finding."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from hazardrank.errors import LeakageError
from hazardrank.features.base import RECORDS_LAYER
from hazardrank.settings import FoldSettings, LayerSettings, ValidationSettings
from hazardrank.validation.folds import make_folds, random_folds
from hazardrank.validation.guard import (
    check_cells,
    check_dates,
    check_folds,
    check_proxies,
    check_roles,
    check_separation,
    guard,
)
from tests.validation.cases import cells_at, scattered, spec, training_set

BLOCKS = FoldSettings(method="blocks", size_m=700, n_folds=4)


def blocks_of(training):
    return make_folds(training, BLOCKS, seed=0)


def test_a_sound_training_set_passes_and_says_what_is_unknown():
    training = scattered()
    findings = guard(training, blocks_of(training), ValidationSettings(), {})
    assert findings == ["no as-of date, so it may be younger than outcomes: roads"]


# ------------------------------------------------------------------ cells


def test_a_cell_that_is_there_twice_raises():
    cells = cells_at([3, 3, 4], [5, 5, 5], [1, 0, 0])
    alike = np.array([[1, np.nan], [1, np.nan], [1, 2]], np.float32)
    with pytest.raises(LeakageError, match=r"1 labelled cells are there twice .*N4903600E500500"):
        check_cells(cells, alike)


def test_two_table_rows_in_one_cell_with_other_features_are_a_finding():
    cells = cells_at([3, 3, 4], [5, 5, 5], [1, 0, 0])
    unlike = np.array([[1], [2], [1]], np.float32)
    assert check_cells(cells, unlike) == [
        "2 labelled cells share 1 places of the survey grid: the table's lattice is not the grid"
    ]


# ------------------------------------------------------------------ folds


def test_a_cell_on_both_sides_raises(monkeypatch):
    plan = blocks_of(scattered())
    monkeypatch.setattr(plan, "train", lambda k: np.arange(len(plan.cells)))
    with pytest.raises(LeakageError, match=r"cells are both trained on and held out in 'fold 1'"):
        check_folds(plan)


def test_a_hazard_on_both_sides_raises():
    plan = blocks_of(scattered())
    split = plan.cells.hazard_id.copy()
    split[[plan.test(0)[0], plan.test(1)[0]]] = 999
    plan.cells = replace(plan.cells, hazard_id=split)
    with pytest.raises(LeakageError, match=r"1 hazards are split by 'fold 1' \(first: hazard 999"):
        check_folds(plan)


def test_the_random_foil_may_split_hazards():
    plan = random_folds(scattered(), 4, seed=0)
    shared = np.intersect1d(plan.cells.hazard_id[plan.train(0)], plan.cells.hazard_id[plan.test(0)])
    assert (shared >= 0).any()
    check_folds(plan)


# ------------------------------------------------------------------ layers


def layer(role):
    return LayerSettings(path="a.gpkg", kind="points", role=role)


def test_consequence_layers_raise():
    specs = (spec("roads_distance_m"), spec("returns_distance_m", "returns"))
    with pytest.raises(LeakageError, match=r"consequence layers: returns_distance_m \(layer 'ret"):
        check_roles(specs, {"returns": layer("consequence")})


@pytest.mark.parametrize("role", ["hazard", "both"])
def test_other_roles_pass(role):
    specs = (spec("returns_distance_m", "returns"), spec("history", RECORDS_LAYER))
    assert check_roles(specs, {"returns": layer(role)}) is None


# ------------------------------------------------------------------ proxies


def proxies_of(specs, catalogue=None, named=(), **settings):
    return check_proxies(tuple(specs), catalogue or {}, ValidationSettings(**settings), named)


def marked(**changes):
    return LayerSettings(path="a.gpkg", kind="points", **changes)


def test_a_layer_marked_as_outcome_proxy_raises_and_is_accepted_by_its_name():
    specs = [spec("posts_distance_m", "posts"), spec("roads_distance_m")]
    catalogue = {"posts": marked(outcome_proxy=True), "roads": marked()}
    with pytest.raises(LeakageError, match=r"posts_distance_m \(layer 'posts' is marked") as caught:
        proxies_of(specs, catalogue)
    assert "accept_proxies: [posts]" in str(caught.value)
    assert "roads" not in str(caught.value)
    assert proxies_of(specs, catalogue, accept_proxies=["posts"]) == [
        "posts_distance_m may know the outcome: layer 'posts' is marked outcome_proxy (accepted "
        "by name)"
    ]


def test_names_that_speak_of_clearance_or_victims_raise():
    specs = [spec("no_Victimas", "cells.csv"), spec("d", "old_minefields")]
    with pytest.raises(LeakageError, match=r"no_Victimas .*'\*victim\*'.*; d .*'\*minefield\*'"):
        proxies_of(specs, {"old_minefields": marked()})
    assert proxies_of(specs, {"old_minefields": marked()}, proxy_patterns=[]) == []
    with pytest.raises(LeakageError, match=r"accept_proxies: \[no_Victimas\]"):
        proxies_of(specs, {"old_minefields": marked()}, accept_proxies=["d"])


def test_columns_the_table_names_raise():
    specs = [spec("count_1990", "cells.csv"), spec("count_2000", "cells.csv")]
    with pytest.raises(
        LeakageError, match=r"count_2000 \(the table's outcome_proxies name '\*2000'"
    ):
        proxies_of(specs, named=["*2000"])


def test_features_rebuilt_from_the_records_are_no_proxies():
    assert proxies_of([spec("accidents_density", RECORDS_LAYER)]) == []


def test_the_guard_looks_for_proxies():
    training = scattered()
    with pytest.raises(LeakageError, match="feature_1"):
        guard(training, blocks_of(training), ValidationSettings(), {}, proxies=["feature_1"])


# ------------------------------------------------------------------ dates


DECIDED = cells_at([0, 0, 0], [0, 1, 2], [1, 0, 0], decided=["2001-01-01", "2010-01-01", "NaT"])


def young(as_of, accepted=(), records_as_of=None, cells=DECIDED):
    specs = (spec("roads_distance_m", "roads", as_of), spec("history", RECORDS_LAYER))
    return check_dates(specs, cells, list(accepted), records_as_of)


def test_a_layer_younger_than_dated_outcomes_raises_and_counts_them():
    with pytest.raises(LeakageError, match=r"'roads' of 2005-01-01 is younger than 1 of 3 outcom"):
        young(date(2005, 1, 1))


def test_the_remedy_names_the_setting():
    with pytest.raises(LeakageError, match=r"accept_younger_layers: \[roads\]"):
        young(date(2011, 1, 1))


def test_an_undated_outcome_is_no_younger_than_the_records():
    assert young(date(2000, 1, 1)) == ["1 of 3 outcomes have no date: dated layers may be younger"]
    with pytest.raises(LeakageError, match=r"younger than 3 of 3 outcomes"):
        young(date(2021, 1, 1), records_as_of=date(2020, 1, 1))
    with pytest.raises(LeakageError, match=r"younger than 2 of 3 outcomes"):
        young(date(2015, 1, 1), records_as_of=date(2020, 1, 1))


def test_accepted_layers_are_findings():
    findings = young(date(2005, 1, 1), accepted=["roads"])
    assert findings[0] == (
        "'roads' of 2005-01-01 is younger than 1 of 3 outcomes (accepted by name)"
    )


def test_background_has_no_outcome_to_be_younger_than():
    cells = cells_at([0, 0], [0, 1], [1, -1], decided=["2010-01-01", "NaT"])
    assert young(date(2005, 1, 1), cells=cells) == []


# ------------------------------------------------------------------ separation


def separated(values, outcome=None):
    outcome = np.repeat([0, 1], 30) if outcome is None else outcome
    cells = cells_at(np.arange(len(outcome)) // 40, np.arange(len(outcome)) % 40, outcome)
    noise = np.random.default_rng([2]).normal(size=len(outcome))
    return training_set(cells, np.column_stack([noise, values]))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(60.0),
        -np.arange(60.0),
        np.where(np.arange(60) < 30, np.nan, 5.0),
        np.where(np.arange(60) < 30, 5.0, np.nan),
    ],
    ids=["rising", "falling", "missing where released", "missing where contaminated"],
)
def test_a_feature_that_alone_tells_outcomes_apart_raises(values):
    with pytest.raises(LeakageError, match=r"feature_1 \(ROC-AUC 1\.0000\); too good"):
        check_separation(separated(values), [])


def test_it_passes_when_accepted_by_name():
    findings = check_separation(separated(np.arange(60.0)), ["feature_1"])
    assert findings == [
        "feature_1 alone tells contaminated cells apart, ROC-AUC 1.0000 (accepted by name)"
    ]


def test_few_cells_are_a_finding():
    outcome = np.repeat([0, 1], [50, 10])
    findings = check_separation(separated(np.arange(60.0), outcome), [])
    assert findings == [
        "feature_1 alone tells contaminated cells apart, ROC-AUC 1.0000 "
        "(only 10 cells of one outcome)"
    ]


def test_a_good_feature_is_no_leak():
    values = np.arange(60.0)
    values[[0, 1, 2]] = 60
    assert check_separation(separated(values), []) == []


def test_history_features_are_looked_at_too():
    training = scattered()
    leak = training.cells.contaminated[:, None].astype(np.float32)
    training = training_set(training.cells, history=lambda ids, land: leak)
    with pytest.raises(LeakageError, match="history_0"):
        check_separation(training, [])
