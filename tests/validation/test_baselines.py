"""Baselines: by hand, and never looking at the held-out side."""

from __future__ import annotations

import numpy as np
import pytest

from hazardrank.errors import SettingsError
from hazardrank.features.base import FeatureSpec
from hazardrank.settings import ValidationSettings
from hazardrank.validation.baselines import (
    BASELINES,
    FoldView,
    choose_baselines,
    distance_to_known_hazard,
    logistic_regression,
    prevalence,
    random_forest,
)
from tests.validation.cases import cells_at, scattered, training_set


def view_of(training, train, test, protocol="new_district", matrix=None):
    matrix = training.matrix() if matrix is None else matrix
    return FoldView(training, matrix, np.asarray(train), np.asarray(test), protocol)


def named(*features, family="proximity", unit="m", layer="a_layer"):
    return [FeatureSpec(name, unit, layer, family, "A test feature.") for name in features]


def all_baselines():
    """Every baseline, on features that allow them all."""
    specs = named("front_distance_m", "roads_distance_m", family="front_lines")
    chosen, absent = choose_baselines(specs, ValidationSettings())
    assert absent == {}
    assert list(chosen) == list(BASELINES)
    return chosen


ALL = all_baselines()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("protocol", ["new_district", "infill"])
def test_every_baseline_scores_every_held_out_cell(name, protocol):
    training = scattered()
    train, test = np.arange(0, 600), np.arange(600, len(training.cells))
    scores = ALL[name](view_of(training, train, test, protocol))
    assert scores.score.shape == test.shape
    assert np.isfinite(scores.score).all()
    if scores.likelihood is not None:
        assert ((scores.likelihood >= 0) & (scores.likelihood <= 1)).all()


@pytest.mark.parametrize("name", ALL)
def test_no_baseline_sees_the_outcomes_of_a_new_district(name):
    training = scattered()
    train, test = np.arange(0, 600), np.arange(600, len(training.cells))
    seen = ALL[name](view_of(training, train, test)).score
    outcome = training.cells.outcome.copy()
    outcome[test] = 1 - outcome[test]
    cells = cells_at(training.cells.row, training.cells.col, outcome, training.cells.hazard_id)
    flipped = training_set(cells, training.layer_features)
    np.testing.assert_array_equal(ALL[name](view_of(flipped, train, test)).score, seen)


def test_prevalence_is_the_share_of_the_training_side():
    training = training_set(cells_at([0] * 6, range(6), [1, 0, 0, 0, 1, 1]))
    scores = prevalence(view_of(training, [0, 1, 2, 3], [4, 5]))
    assert scores.score.tolist() == [0.25, 0.25]


def test_logistic_regression_learns_and_survives_missing_and_infinite_values():
    training = scattered()
    features = training.layer_features.copy()
    features[::7, 0] = np.nan
    features[3, 1] = np.inf
    features = np.column_stack([features, np.full(len(features), np.nan)])
    training = training_set(training.cells, features)
    order = np.random.default_rng([3]).permutation(len(features))
    scores = logistic_regression(view_of(training, order[:600], order[600:]))
    hits = training.cells.contaminated[order[600:]]
    assert scores.likelihood[hits].mean() > scores.likelihood[~hits].mean() + 0.05


def test_the_forest_learns_repeats_and_does_not_depend_on_threads():
    training = scattered()
    order = np.random.default_rng([3]).permutation(len(training.cells))
    views = [
        FoldView(training, training.matrix(), order[:600], order[600:], "infill", 1, threads)
        for threads in (1, 2)
    ]
    first, second = (random_forest(view).likelihood for view in views)
    np.testing.assert_array_equal(first, second)
    hits = training.cells.contaminated[order[600:]]
    assert first[hits].mean() > first[~hits].mean() + 0.05


# ------------------------------------------------------------------ chosen features


def test_the_front_line_is_the_first_distance_of_its_family():
    specs = [
        *named("roads_distance_m"),
        *named("front_signed_distance_m", "front_500m_held_years", family="front_lines"),
        *named("front_distance_m", family="front_lines"),
    ]
    training = training_set(cells_at([0] * 3, range(3), [1, 0, 1]),
                            [[1, 2, 3, 30], [1, 2, 3, 10], [1, 2, 3, np.nan]])  # fmt: skip
    chosen, _ = choose_baselines(specs, ValidationSettings(baselines=["distance_to_front_line"]))
    scores = chosen["distance_to_front_line"](view_of(training, [0], [0, 1, 2]))
    assert np.argsort(-scores.score).tolist() == [1, 0, 2]
    assert np.isfinite(scores.score).all()
    assert scores.likelihood is None


@pytest.mark.parametrize("name", ["trenches", "trenches_distance_m"])
def test_the_front_line_can_be_a_layer_or_feature_of_another_name(name):
    specs = [*named("roads_distance_m"), *named("trenches_distance_m", layer="trenches")]
    settings = ValidationSettings(front_line=name, baselines=["distance_to_front_line"])
    chosen, _ = choose_baselines(specs, settings)
    assert chosen["distance_to_front_line"].column == 1


def test_what_features_do_not_allow_is_absent_with_a_reason():
    chosen, absent = choose_baselines(named("terrain_slope_deg", unit="deg"), ValidationSettings())
    assert set(absent) == {"distance_to_front_line", "expert_overlay"}
    assert absent["distance_to_front_line"] == "no feature measures the distance to a front line"
    assert "distance_to_front_line" not in chosen


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"front_line": "canal"}, "called 'canal'.*Distances: roads_distance_m"),
        ({"expert_weights": {"canal": 1}}, "no feature canal. Features: roads_distance_m"),
    ],
)
def test_a_feature_named_and_not_there_raises(settings, message):
    with pytest.raises(SettingsError, match=message):
        choose_baselines(named("roads_distance_m"), ValidationSettings(**settings))


def test_an_overlay_by_hand():
    # Training side: feature 0 has mean 2 and deviation 1, feature 1 is constant.
    training = training_set(
        cells_at([0] * 5, range(5), [1, 0, 1, 0, 1]), [[1, 7], [3, 7], [4, 9], [0, 7], [np.nan, 7]]
    )
    settings = ValidationSettings(
        baselines=["expert_overlay"], expert_weights={"near_m": -2, "flat_m": 5}
    )
    chosen, _ = choose_baselines(named("near_m", "flat_m"), settings)
    scores = chosen["expert_overlay"](view_of(training, [0, 1], [2, 3, 4]))
    assert scores.score == pytest.approx([-4.0, 4.0, 0.0])


def test_the_example_overlay_takes_distances_by_their_words():
    specs = [
        *named("roads_main_distance_m", "roads_track_distance_m", layer="roads"),
        *named("front_distance_m", family="front_lines", layer="lines"),
        *named("known_any_distance_m", family="history", layer="hazard_records"),
        *named("settlement_dist", family="table", unit="km", layer="roads.csv"),
        *named("road_density_m", layer="roads"),
    ]
    chosen, _ = choose_baselines(specs, ValidationSettings(baselines=["expert_overlay"]))
    assert chosen["expert_overlay"].weights == {0: -2.0, 2: -4.0, 3: -3.0, 4: -1.0}


# ------------------------------------------------------------------ distance

#: A row of cells 100 m apart: hazards 1 (columns 0–1), 2 (column 5), 3 (columns 8–9).
ROW = cells_at(
    [0] * 10, range(10), [1, 1, 0, 0, 0, 1, 0, 0, 1, 1], [1, 1, -1, -1, -1, 2, -1, -1, 3, 3]
)


def test_distance_to_the_training_side_under_new_district():
    scores = distance_to_known_hazard(view_of(training_set(ROW), range(5), range(5, 10)))
    # Nearest known contaminated cell: column 1.
    assert scores.score.tolist() == [-400, -500, -600, -700, -800]
    assert scores.likelihood is None


def test_distance_to_other_hazards_under_infill():
    scores = distance_to_known_hazard(view_of(training_set(ROW), range(5), range(5, 10), "infill"))
    # Column 5 leaves out hazard 2 itself: 300 m to column 8. Columns 6 and 7 know 5 and 8.
    assert scores.score.tolist() == [-300, -100, -100, -300, -400]


def test_a_large_hazard_of_ones_own_is_left_out_whole():
    n_cells = 60
    hazard = [1] * 40 + [-1] * 19 + [2]
    cells = cells_at(
        np.arange(n_cells) // 30, np.arange(n_cells) % 30, [int(h > 0) for h in hazard], hazard
    )
    scores = distance_to_known_hazard(
        view_of(training_set(cells), [58, 59], np.arange(58), "infill")
    )
    # Cell (0, 0) to hazard 2 at (1, 29), past 39 nearer cells of its own hazard.
    assert scores.score[0] == pytest.approx(-np.hypot(2900, 100))


def test_the_only_hazard_has_no_other_and_ranks_last():
    cells = cells_at([0] * 4, range(4), [1, 0, 0, 0], [1, -1, -1, -1])
    scores = distance_to_known_hazard(view_of(training_set(cells), [1, 2], [0, 3], "infill"))
    assert scores.score.tolist() == [-300, -300]


def test_cells_without_a_hazard_id_are_their_own_hazards():
    cells = cells_at([0] * 3, [0, 1, 5], [1, 1, 1])
    scores = distance_to_known_hazard(view_of(training_set(cells), [0], [1, 2], "infill"))
    assert scores.score.tolist() == [-100, -400]
