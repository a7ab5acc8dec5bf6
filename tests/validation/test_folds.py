"""Promises of every fold maker, then what is each one's own."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree
from scipy.stats import wasserstein_distance

from hazardrank.errors import FoldError, SettingsError
from hazardrank.settings import FoldSettings, ValidationSettings, validate
from hazardrank.validation.folds import FOLD_MAKERS, FoldPlan, make_folds, random_folds
from hazardrank.validation.folds.blocks import block_codes
from hazardrank.validation.folds.knndm import (
    held_out_distance_m,
    merged,
    prediction_places,
)
from hazardrank.validation.folds.maker import assign_units, hazards_together
from hazardrank.validation.folds.places import Clusters, along_the_land, drawn, places_of
from hazardrank.validation.guard import check_folds
from hazardrank.validation.training_set import known_before
from tests.validation.cases import GRID, cells_at, scattered, training_set

VALIDATION_FILES = Path(__file__).parents[2] / "configs" / "validation"
#: Files of configs/validation, and how many folds each makes here.
SHIPPED = {
    "blocks": 5,
    "districts": 4,
    "infill": 5,
    "kmeans": 5,
    "knndm": 5,
    "leave_one_out": 30,
    "spatio_temporal": 5,
    "temporal": 3,
}
FOLD_SETTINGS = {
    "blocks": FoldSettings(method="blocks", size_m=700, n_folds=4),
    "groups": FoldSettings(method="groups", n_folds=2),
    "kmeans": FoldSettings(method="kmeans", n_clusters=12, n_folds=4),
    "leave_one_out": FoldSettings(method="leave_one_out", square_m=500, n_folds=8),
    "knndm": FoldSettings(method="knndm", n_folds=4),
    "temporal": FoldSettings(method="temporal", n_folds=3),
    "spatio_temporal": FoldSettings(method="spatio_temporal", size_m=700, n_folds=4),
    "random": FoldSettings(n_folds=4),
}


#: Held out by place alone: all but random folds, and those that part time.
BY_PLACE = ["blocks", "groups", "kmeans", "leave_one_out", "knndm"]
IN_TIME = ["temporal", "spatio_temporal"]


def plan_of(method, training, seed=0, district_of=None, prediction_points=None, **changes):
    chosen = FOLD_SETTINGS[method].model_copy(update=changes)
    maker = FOLD_MAKERS[method](chosen, district_of, prediction_points)
    return FoldPlan(training.cells, training.groups, maker, chosen, seed)


def test_every_registered_maker_is_in_this_suite():
    assert set(FOLD_SETTINGS) == set(FOLD_MAKERS)
    assert all(maker.name == name for name, maker in FOLD_MAKERS.items())


# ------------------------------------------------------------------ all makers


@pytest.mark.parametrize("method", FOLD_SETTINGS)
@given(seed=st.integers(0, 1000), buffer_m=st.sampled_from([0.0, 150.0]))
@settings(max_examples=8, deadline=None)
def test_every_cell_is_held_out_once_or_said_to_train_always(method, seed, buffer_m):
    training = scattered(seed)
    plan = plan_of(method, training, seed, buffer_m=buffer_m)
    held_out = np.concatenate([plan.test(k) for k in range(plan.n_folds)])
    always = np.flatnonzero(plan.fold == -1)
    everyone = np.sort(np.concatenate([held_out, always]))
    np.testing.assert_array_equal(everyone, np.arange(len(training.cells)))
    if len(always):
        assert any("train" in reason and "every fold" in reason for reason in plan.skipped)
    for k in range(plan.n_folds):
        train, test = plan.train(k), plan.test(k)
        assert len(np.intersect1d(train, test)) == 0
        left_out = plan.n_buffered(k) + plan.n_withheld(k)
        assert len(train) + len(test) + left_out == len(training.cells)
        assert plan.n_withheld(k) == 0 or method in IN_TIME
        assert training.cells.contaminated[train].any()
        assert not training.cells.contaminated[train].all()


@pytest.mark.parametrize("method", [*BY_PLACE, *IN_TIME])
@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_a_hazard_lies_in_one_fold(method, seed):
    training = scattered(seed)
    plan = plan_of(method, training, seed)
    for hazard in np.unique(training.cells.hazard_id):
        if hazard >= 0:
            assert len(np.unique(plan.fold[training.cells.hazard_id == hazard])) == 1


@pytest.mark.parametrize("method", FOLD_SETTINGS)
def test_the_same_seed_gives_the_same_folds_whatever_the_order_of_the_cells(method):
    training = scattered(3)
    plan = plan_of(method, training, 9)
    np.testing.assert_array_equal(plan.fold, plan_of(method, training, 9).fold)
    check_folds(plan)
    if method == "random":
        assert (plan.fold != plan_of(method, training, 10).fold).any()
        return
    back = training_set(training.cells.take(np.arange(len(training.cells))[::-1]),
                        groups=training.groups[::-1])  # fmt: skip
    np.testing.assert_array_equal(plan_of(method, back, 9).fold[::-1], plan.fold)


@pytest.mark.parametrize("method", FOLD_SETTINGS)
@pytest.mark.parametrize("k", [0, None])
def test_inner_folds_split_the_training_side_alone(method, k):
    training = scattered(1)
    plan = plan_of(method, training)
    rows = np.arange(len(training.cells)) if k is None else plan.train(k)
    splits = plan.inner(k, 3, seed=0)
    assert 2 <= len(splits) <= 3
    contaminated = training.cells.contaminated[rows]
    for train, test, _ in splits:
        assert len(np.intersect1d(train, test)) == 0
        assert max(train.max(), test.max()) < len(rows)
        for side in (train, test):
            assert 0 < contaminated[side].sum() < len(side)
        assert set(train.tolist()) <= set(range(len(rows)))
    tested = np.concatenate([test for _, test, _ in splits])
    assert len(np.unique(tested)) == len(tested)


@pytest.mark.parametrize("method", BY_PLACE)
def test_held_out_land_holds_every_cell_that_was_not_moved_with_its_hazard(method):
    training = scattered(2)
    cells = training.cells
    plan = plan_of(method, training)
    alone = cells.hazard_id < 0
    for k in range(plan.n_folds):
        inside = plan.held_out_land(k)(cells.easting, cells.northing)
        np.testing.assert_array_equal(inside[alone], (plan.fold == k)[alone])


@pytest.mark.parametrize("method", BY_PLACE)
def test_points_on_a_line_between_units_lie_in_one_fold_with_the_cells_there(method):
    # Centres at 50, 150, 250 …: blocks of 100 m put each on no line, of 50 m each on one.
    training = scattered(4)
    plan = plan_of(method, training, size_m=50) if method == "blocks" else plan_of(method, training)
    held_out = sum((plan.fold == k).astype(int) for k in range(plan.n_folds))
    assert set(held_out.tolist()) <= {0, 1}
    np.testing.assert_array_equal(held_out == 0, plan.fold == -1)


@pytest.mark.parametrize("method", ["blocks", "kmeans", "knndm"])
def test_every_point_of_the_land_lies_in_one_fold(method):
    # Asked far away, matched folds are large clusters.
    far = np.array([[600_000.0, 4_900_000.0]])
    plan = plan_of(method, scattered(2), prediction_points=far)
    # A lattice that meets the lines between blocks of 700 m, and many cell edges.
    east, north = (
        line.ravel()
        for line in np.meshgrid(np.arange(500e3, 504e3, 350), np.arange(4900e3, 4904e3, 350))
    )
    inside = sum(plan.held_out_land(k)(east, north).astype(int) for k in range(plan.n_folds))
    assert inside.max() == 1
    if method != "blocks":
        assert inside.min() == 1


@pytest.mark.parametrize("method", ["kmeans", "leave_one_out", "knndm"])
def test_no_point_asked_gives_no_answer(method):
    plan = plan_of(method, scattered(2))
    assert plan.held_out_land(0)(np.empty(0), np.empty(0)).shape == (0,)


@pytest.mark.parametrize("method", ["blocks", "groups", "kmeans", "knndm"])
def test_inner_land_covers_the_outer_land_too(method):
    training = scattered(2)
    cells = training.cells
    plan = plan_of(method, training)
    outer = plan.held_out_land(0)(cells.easting, cells.northing)
    rows = plan.train(0)
    for _, test, land in plan.inner(0, 3, seed=0):
        inside = land(cells.easting, cells.northing)
        assert inside[outer].all()
        alone = rows[test][cells.hazard_id[rows[test]] < 0]
        assert inside[alone].all()


# ------------------------------------------------------------------ buffer


def test_the_buffer_leaves_out_training_cells_nearer_than_it_and_counts_them():
    # One row of cells 100 m apart; blocks of 1 km hold columns 0–9 and 10–19.
    training = training_set(cells_at([0] * 20, range(20), [0, 1] * 10))
    plan = plan_of("blocks", training, size_m=1000, n_folds=2, buffer_m=300)
    first = int(plan.fold[0])
    # Columns 10 and 11 are 100 and 200 m from column 9; column 12 is 300 m away.
    np.testing.assert_array_equal(plan.train(first), np.arange(12, 20))
    assert plan.n_buffered(first) == 2


def test_a_buffer_that_leaves_one_outcome_raises():
    training = training_set(cells_at([0] * 20, range(20), [0, 1] * 10))
    with pytest.raises(FoldError, match=r"2000 m are left out, the remaining cells have one"):
        plan_of("blocks", training, size_m=1000, n_folds=2, buffer_m=2000)


# ------------------------------------------------------------------ blocks


def test_points_on_a_line_between_blocks_lie_in_one_block_like_cells_do():
    # At 1 km: the line easting 1000 belongs east, the line northing 1000 south.
    codes = block_codes(np.array([999.9, 1000.0, 1000.1]), np.array([500.0, 500.0, 500.0]), 1000)
    assert codes[0] != codes[1] == codes[2]
    codes = block_codes(np.array([5.0, 5.0, 5.0]), np.array([999.9, 1000.0, 1000.1]), 1000)
    assert codes[0] == codes[1] != codes[2]


def test_blocks_are_anchored_to_the_crs_and_not_to_the_extent():
    training = scattered(4)
    part = np.flatnonzero((training.cells.row > 5) & (training.cells.col > 3))
    whole = block_codes(training.cells.easting, training.cells.northing, 700)
    cells = training.cells.take(part)
    np.testing.assert_array_equal(whole[part], block_codes(cells.easting, cells.northing, 700))


def test_one_fold_for_every_block_with_both_outcomes_and_the_rest_are_said():
    # Blocks of 1 km in one row of 40 cells: the fourth holds released cells only.
    outcome = np.tile([0, 1], 20)
    outcome[30:] = 0
    training = training_set(cells_at([39] * 40, range(40), outcome))
    plan = plan_of("blocks", training, size_m=1000, n_folds=None)
    assert plan.names == (
        "block N4900000 E500000",
        "block N4900000 E501000",
        "block N4900000 E502000",
    )
    assert plan.fold.tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [-1] * 10
    assert plan.skipped == [
        "1 blocks have one outcome only: their cells train in every fold and are never held out"
    ]


def test_blocks_are_dealt_so_that_contaminated_cells_balance():
    training = scattered(5)
    plan = plan_of("blocks", training)
    counts = [int(training.cells.contaminated[plan.test(k)].sum()) for k in range(plan.n_folds)]
    assert max(counts) < 1.5 * min(counts)


def test_units_go_largest_first_to_the_emptiest_fold():
    # Contaminated cells per unit 5, 4, 3 and 0; other cells 1 each, and 6 in the last.
    unit = np.repeat([0, 1, 2, 3], [6, 5, 4, 6])
    contaminated = np.concatenate([np.repeat([True, False], [n, 1]) for n in (5, 4, 3)])
    contaminated = np.concatenate([contaminated, np.zeros(6, bool)])
    fold, both = assign_units(unit, contaminated, 2, [0], "block")
    # 5 → first; 4 → second; 3 → second (4 < 5); the last where cells are fewest: first.
    assert fold.tolist() == [0, 1, 1, 0]
    assert both.tolist() == [True, True, True, False]


def test_too_few_blocks_are_named():
    training = training_set(cells_at([0] * 20, range(20), [0, 1] * 10))
    with pytest.raises(FoldError, match="lie in 2 blocks, too few for 4 folds"):
        plan_of("blocks", training, size_m=1000)
    with pytest.raises(FoldError, match=r"only 1 of 1 blocks has both outcomes"):
        plan_of("blocks", training, size_m=10_000, n_folds=None)


def test_all_contaminated_cells_in_one_block_raises():
    training = training_set(cells_at([0] * 20, range(20), [1] * 5 + [0] * 15))
    with pytest.raises(FoldError, match="the remaining cells have one outcome only"):
        plan_of("blocks", training, size_m=1000, n_folds=2)


def test_a_fold_with_one_outcome_is_kept_and_said():
    outcome = [1, 0] * 10 + [0] * 10
    training = training_set(cells_at([0] * 30, range(30), outcome))
    plan = plan_of("blocks", training, size_m=1000, n_folds=3)
    assert [r for r in plan.skipped if "has no contaminated cell" in r and "fold 3" in r]
    assert plan.n_folds == 3


def test_inner_folds_that_cannot_be_made_are_named():
    # Each block holds both outcomes: the side that remains is one block, not to be split.
    training = training_set(cells_at([0] * 20, range(20), [0, 1] * 10))
    plan = plan_of("blocks", training, size_m=1000, n_folds=2)
    with pytest.raises(FoldError, match=r"training side of 'fold 1' \(5 contaminated of 10\)"):
        plan.inner(0, 4, seed=0)


def test_fewer_inner_folds_are_made_where_more_cannot_be():
    training = training_set(cells_at([0] * 30, range(30), [0, 1] * 15))
    plan = plan_of("blocks", training, size_m=1000, n_folds=3)
    assert len(plan.inner(0, 4, seed=0)) == 2


# ------------------------------------------------------------------ hazards


def test_a_hazard_goes_where_most_of_it_lies_and_ties_go_to_the_first_fold():
    fold, n_moved = hazards_together(
        np.array([0, 0, 1, 1, 0, 1, 1, -1]), np.array([7, 7, 7, 3, 3, -1, -1, -1])
    )
    assert fold.tolist() == [0, 0, 0, 0, 0, 1, 1, -1]
    assert n_moved == 2


def test_moved_cells_and_emptied_folds_are_said():
    # Hazard 1 lies in columns 8–12: mostly west of the line at column 10? 2 to 3: east.
    hazard = [-1] * 8 + [1] * 5 + [-1] * 7
    outcome = [1 if h >= 0 else 0 for h in hazard]
    outcome[2] = outcome[18] = 1
    training = training_set(cells_at([0] * 20, range(20), outcome, hazard))
    plan = plan_of("blocks", training, size_m=1000, n_folds=2)
    assert len(set(plan.fold[8:13].tolist())) == 1
    assert plan.fold[8] == plan.fold[15]
    assert "2 cells were moved to the fold with most of their hazard" in plan.skipped


# ------------------------------------------------------------------ groups


def district_training():
    """Groups A and B with both outcomes, C without contaminated cells, and no man's land."""
    groups = np.repeat(np.array(["B", "A", "C", ""], dtype=object), 5)
    outcome = [0, 1, 0, 1, 0] * 2 + [0] * 5 + [1, 0, 0, 0, 0]
    return training_set(cells_at([0] * 20, range(20), outcome), groups=groups)


def test_one_fold_for_every_group_with_both_outcomes_and_the_rest_are_said():
    plan = plan_of("groups", district_training(), n_folds=None)
    assert plan.names == ("A", "B")
    assert plan.fold.tolist() == [1] * 5 + [0] * 5 + [-1] * 10
    assert plan.skipped == [
        "group 'C' has no contaminated cell (5 cells): it trains in every fold and is never "
        "held out",
        "5 cells lie in no group: they train in every fold and are never held out",
    ]
    assert set(range(10, 20)) <= set(plan.train(0).tolist())


def test_with_a_number_of_folds_groups_of_one_outcome_are_held_out_too():
    plan = plan_of("groups", district_training(), n_folds=2)
    assert (plan.fold[:15] >= 0).all()
    assert (plan.fold[15:] == -1).all()


def test_without_polygons_a_point_belongs_to_the_nearest_labelled_cell():
    plan = plan_of("groups", district_training(), n_folds=None)
    inside = plan.held_out_land(0)  # group A: columns 5–9, so 500500–501000 east
    north = np.full(3, GRID.north_m - 2000)
    assert inside(np.array([500_480.0, 500_750.0, 501_020.0]), north).tolist() == [
        False,
        True,
        False,
    ]


def test_polygons_decide_where_there_are_some():
    def district_of(easting, northing):
        return np.where(easting < 500_500, "B", "A").astype(object)

    plan = plan_of("groups", district_training(), n_folds=None, district_of=district_of)
    assert plan.held_out_land(0)(np.array([509_000.0]), np.array([0.0])).tolist() == [True]
    without_names = training_set(district_training().cells)
    plan = plan_of("groups", without_names, n_folds=None, district_of=district_of)
    assert plan.fold.tolist() == [1] * 5 + [0] * 15


def test_groups_without_names_raise():
    with pytest.raises(FoldError, match="need the group of each cell, and there is none"):
        plan_of("groups", training_set(district_training().cells))


# ------------------------------------------------------------------ clusters


def three_groups():
    """Ten cells around each of three places 1 km and more apart, both outcomes in each."""
    col = np.concatenate([np.arange(start, start + 10) for start in (0, 14, 30)])
    return training_set(cells_at([20] * 30, col, [0, 1] * 15))


def test_clusters_are_the_groups_one_sees():
    plan = plan_of("kmeans", three_groups(), n_clusters=None, n_folds=3)
    assert [len(set(plan.fold[k : k + 10].tolist())) for k in (0, 10, 20)] == [1, 1, 1]
    assert sorted(set(plan.fold.tolist())) == [0, 1, 2]


def test_one_fold_for_every_cluster_with_both_outcomes_and_the_rest_are_said():
    training = three_groups()
    outcome = training.cells.outcome.copy()
    outcome[10:20] = 0
    training = training_set(cells_at([20] * 30, training.cells.col, outcome))
    plan = plan_of("kmeans", training, n_clusters=3, n_folds=None)
    # Centres of columns 0–9 and 30–39, 20.5 cells south of the northern edge.
    assert set(plan.names) == {
        "cluster around N4901950 E500500",
        "cluster around N4901950 E503500",
    }
    assert (plan.fold[10:20] == -1).all()
    assert plan.skipped[0].startswith("1 clusters have one outcome only")


def test_a_point_belongs_to_the_nearest_centre():
    places = np.array([[0.0, 0.0], [0.0, 2.0], [100.0, 0.0], [100.0, 2.0]])
    clusters = Clusters(places, 2, [0])
    assert sorted(clusters.centres.tolist()) == [[0.0, 1.0], [100.0, 1.0]]
    near, far = clusters.of(np.array([[49.0, 50.0], [51.0, -50.0]]))
    assert clusters.centres[near].tolist() == [0.0, 1.0]
    assert clusters.centres[far].tolist() == [100.0, 1.0]


def test_too_few_places_for_clusters_are_named():
    with pytest.raises(FoldError, match="2 distinct places cannot make 3 clusters"):
        Clusters(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), 3, [0])
    with pytest.raises(FoldError, match="need a number of clusters or of folds"):
        plan_of("kmeans", three_groups(), n_clusters=None, n_folds=None)


def test_a_draw_does_not_depend_on_the_order_of_places():
    places = np.random.default_rng([4]).random((50, 2))
    chosen = places[drawn(places, 10, [1])]
    np.testing.assert_array_equal(chosen, places[::-1][drawn(places[::-1], 10, [1])])
    assert len(np.unique(chosen, axis=0)) == 10


def test_the_order_along_the_land_goes_quarter_by_quarter():
    places = np.array([[0.0, 0.0], [9.0, 9.0], [1.0, 1.0], [9.0, 0.0], [0.0, 9.0]])
    # South-west, south-east, north-west, north-east.
    assert along_the_land(places).tolist() == [0, 2, 3, 4, 1]


# ------------------------------------------------------------------ leave one out


def test_each_hazard_and_each_square_of_other_land_is_held_out_once():
    # Hazards 5 and 9 in columns 0–1 and 10–11; other cells in squares of 1 km: 2–9, 12–19.
    hazard = [5, 5] + [-1] * 8 + [9, 9] + [-1] * 8
    training = training_set(cells_at([0] * 20, range(20), np.array(hazard) >= 0, hazard))
    plan = plan_of("leave_one_out", training, square_m=1000, n_folds=None, buffer_m=200)
    assert plan.names[:2] == ("hazard 5", "hazard 9")
    assert plan.names[2:] == ("block N4903000 E500000", "block N4903000 E501000")
    assert plan.fold.tolist() == [0, 0] + [2] * 8 + [1, 1] + [3] * 8
    # Around hazard 5 nothing nearer than 200 m of column 1 is learned from: column 2 only.
    assert plan.n_buffered(0) == 1
    assert plan.train(0).tolist() == list(range(3, 20))
    assert plan.skipped == [
        "4 of 4 folds have one outcome only: they count in pooled figures and have no ROC or "
        "PR of their own"
    ]


def test_the_land_held_out_is_the_cells_and_their_buffer():
    hazard = [5, 5] + [-1] * 8 + [9, 9] + [-1] * 8
    training = training_set(cells_at([0] * 20, range(20), np.array(hazard) >= 0, hazard))
    plan = plan_of("leave_one_out", training, square_m=1000, n_folds=None, buffer_m=200)
    # Column 1 is centred on 500150; its buffer ends 200 m east of that.
    east = np.array([500_150.0, 500_349.0, 500_351.0])
    north = np.full(3, training.cells.northing[0])
    assert plan.held_out_land(0)(east, north).tolist() == [True, True, False]


def test_units_are_drawn_in_proportion_and_the_rest_is_said():
    training = scattered(1)
    plan = plan_of("leave_one_out", training, n_folds=12)
    n_hazards = len(np.unique(training.cells.hazard_id)) - 1
    n_units = n_hazards + len(np.unique(block_codes(
        training.cells.easting[training.cells.hazard_id < 0],
        training.cells.northing[training.cells.hazard_id < 0], 500)))  # fmt: skip
    assert plan.n_folds == 12
    on_hazard = sum(name.startswith("hazard") for name in plan.names)
    assert on_hazard == round(12 * n_hazards / n_units)
    assert f"12 of {n_units} hazards and squares are held out" in plan.skipped[0]
    assert f"the {(plan.fold == -1).sum()} cells of the others" in plan.skipped[0]


def test_two_units_drawn_are_one_of_each_outcome():
    plan = plan_of("leave_one_out", scattered(1), n_folds=2)
    assert [name.split()[0] for name in plan.names] == ["hazard", "block"]


def test_one_hazard_alone_cannot_be_left_out():
    training = training_set(cells_at([0] * 4, range(4), [1, 1, 1, 1], [3, 3, 3, 3]))
    with pytest.raises(FoldError, match="are one hazard or square"):
        plan_of("leave_one_out", training)


# ------------------------------------------------------------------ matched distances


def clustered_sample(seed=0):
    """About 190 cells, normally spread by 200 m around six places in 4 by 4 km."""
    draw = np.random.default_rng([seed])
    middle = draw.uniform(3, 37, (6, 2))[draw.integers(0, 6, 300)]
    at = np.unique(np.clip((middle + draw.normal(0, 2, (300, 2))).round(), 0, 39), axis=0)
    return training_set(cells_at(at[:, 0], at[:, 1], draw.random(len(at)) < 0.4))


def everywhere(step=2):
    """Centres of every second cell of the region, in both directions."""
    row, col = (line.ravel() for line in np.mgrid[0:40:step, 0:40:step])
    return np.column_stack(GRID.centres(row, col))


def mismatch_m(plan, points):
    """Wasserstein distance between test-to-train and prediction-to-sample distances."""
    places = places_of(plan.cells)
    asked_m = KDTree(places).query(prediction_places(points, places))[0]
    held_out_m = held_out_distance_m(places, plan.fold, np.arange(len(places)))
    return wasserstein_distance(held_out_m, asked_m)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_matched_folds_come_nearer_to_prediction_than_folds_at_random(seed):
    training, points = clustered_sample(seed), everywhere()
    matched = plan_of("knndm", training, n_folds=5, prediction_points=points)
    at_random = plan_of("random", training, n_folds=5)
    assert mismatch_m(matched, points) < 0.5 * mismatch_m(at_random, points)
    said = re.search(r"Wasserstein distance (\d+) m", matched.skipped[0])
    assert float(said[1]) == round(mismatch_m(matched, points))


def test_folds_at_random_match_where_the_sample_is_dense_everywhere():
    # Every second cell labelled: the area's cells are at most 1.4 cells from one.
    row, col = (line.ravel() for line in np.mgrid[0:40:2, 0:40:2])
    training = training_set(cells_at(row, col, (row // 2 + col // 2) % 2))
    plan = plan_of("knndm", training, n_folds=4, prediction_points=everywhere(1))
    assert mismatch_m(plan, everywhere(1)) < 120
    assert "hazards at random" in plan.skipped[0]


def test_points_may_be_called_for_and_without_any_a_lattice_stands_in():
    training, points = clustered_sample(), everywhere()
    given = plan_of("knndm", training, n_folds=2, prediction_points=points)
    called = plan_of("knndm", training, n_folds=2, prediction_points=lambda: points)
    np.testing.assert_array_equal(given.fold, called.fold)
    assert not any("lattice" in note for note in given.skipped)
    assert "lattice over the labelled cells' extent" in plan_of("knndm", training).skipped[1]


def test_the_lattice_covers_the_extent_corner_to_corner():
    lattice = prediction_places(None, np.array([[0.0, 0.0], [40.0, 20.0]]))
    assert lattice.min(axis=0).tolist() == [0.0, 0.0]
    assert lattice.max(axis=0).tolist() == [40.0, 20.0]
    # But for the two places themselves, which are labelled.
    assert len(lattice) == 41 * 21 - 2


def test_labelled_cells_are_not_asked_unless_there_are_no_others():
    places = np.array([[0.0, 0.0], [40.0, 20.0]])
    asked = np.array([[0.0, 0.0], [7.0, 0.0]])
    assert prediction_places(asked, places).tolist() == [[7.0, 0.0]]
    assert prediction_places(places, places).tolist() == places.tolist()


def test_squares_are_at_least_five_cells_wide():
    plan = plan_of("leave_one_out", training_set(cells_at([39] * 20, range(20), [0, 1] * 10)),
                   square_m=100, n_folds=None)  # fmt: skip
    assert plan.names[1] == "block N4900000 E500500"
    assert plan.n_folds == 4


@pytest.mark.parametrize("points", [np.empty((0, 2)), np.zeros(3)])
def test_points_of_another_shape_raise(points):
    with pytest.raises(FoldError, match=r"prediction points have shape \("):
        plan_of("knndm", clustered_sample(), prediction_points=points)


def test_clusters_are_merged_in_turn_along_their_longest_axis():
    centres = np.array([[0.0, 0.0], [30.0, 1.0], [10.0, 1.0], [20.0, 0.0]])
    # From west to east: 0, 2, 3, 1.
    assert merged(centres, np.ones(4, int), 2).tolist() == [0, 1, 1, 0]
    # With 13 of 16 cells, the last cluster is a fold by itself.
    assert merged(centres, np.array([1, 1, 1, 13]), 2).tolist() == [1, 1, 1, 0]


def test_distances_go_to_the_nearest_place_of_another_fold():
    places = np.array([[0.0, 0.0], [3.0, 0.0], [10.0, 0.0]])
    fold = np.array([0, 0, 1])
    assert sorted(held_out_distance_m(places, fold, np.arange(3)).tolist()) == [7.0, 7.0, 10.0]
    assert len(held_out_distance_m(places, np.zeros(3, int), np.arange(3))) == 0


def test_matching_needs_a_number_of_folds():
    with pytest.raises(FoldError, match="matching needs a number of folds"):
        plan_of("knndm", clustered_sample(), n_folds=None)


# ------------------------------------------------------------------ time

YEARS = ["2001-05-01", "2003-05-01", "2005-05-01", "2007-05-01", "2009-05-01"]
DATES = [date(2004, 1, 1), date(2008, 1, 1)]


def dated(decided=(), outcome=None, hazard=None):
    """Four cells of each year, both outcomes; then cells decided on other days."""
    decided = [*np.repeat(YEARS, 4), *decided]
    n_cells = len(decided)
    outcome = [0, 1] * 10 if outcome is None else outcome
    return training_set(cells_at([0] * n_cells, range(n_cells), outcome, hazard, decided))


def test_periods_are_learned_from_what_was_decided_before_them():
    plan = plan_of("temporal", dated(), split_dates=DATES)
    assert plan.names == ("2004-01-01 until 2007-12-31", "2008-01-01 and later")
    assert plan.fold.tolist() == [-1] * 8 + [0] * 8 + [1] * 4
    assert plan.train(0).tolist() == list(range(8))
    assert plan.train(1).tolist() == list(range(16))
    assert [plan.n_withheld(0), plan.n_withheld(1)] == [4, 0]
    assert plan.unknown(0).tolist() == list(range(8, 20))
    assert plan.skipped == [
        "8 cells decided before 2004-01-01 train in every fold and are never held out",
        "0 to 4 cells a fold neither train nor are held out: decided later, without a date, or "
        "in held-out squares",
    ]


def test_one_date_makes_one_fold():
    plan = plan_of("temporal", dated(), split_dates=DATES[1:])
    assert plan.n_folds == 1
    assert plan.test(0).tolist() == list(range(16, 20))


def test_the_day_of_the_date_itself_is_after_it():
    plan = plan_of("temporal", dated(), split_dates=[date(2005, 5, 1)])
    assert plan.test(0).tolist() == list(range(8, 20))


def test_records_of_the_period_and_later_are_unknown_wherever_they_lie():
    plan = plan_of("temporal", dated(), split_dates=DATES)
    land = plan.held_out_land(0)
    assert not land(np.array([500_000.0]), np.array([4_900_000.0])).any()
    assert known_before(land) == np.datetime64("2004-01-01")
    inner = plan.inner(1, 3, seed=0)
    assert all(known_before(land) < np.datetime64("2008-01-01") for _, _, land in inner)


def test_cells_without_a_date_neither_train_nor_are_held_out():
    training = dated(["NaT", "NaT"], outcome=[0, 1] * 11)
    plan = plan_of("temporal", training, split_dates=DATES)
    everyone = np.concatenate([plan.train(1), plan.test(0), plan.test(1)])
    assert not np.isin([20, 21], everyone).any()
    assert "2 cells have no date: they neither train nor are held out" in plan.skipped


def test_a_hazard_is_held_out_by_its_latest_date():
    hazard = np.full(20, -1)
    hazard[[1, 17]] = 4  # decided 2001 and 2009
    plan = plan_of("temporal", dated(hazard=hazard), split_dates=DATES)
    assert plan.fold[[1, 17]].tolist() == [1, 1]
    assert 1 not in plan.train(0)
    assert "1 cells decided earlier are held out with the rest of their hazard" in plan.skipped


def test_background_is_dealt_to_periods_as_contaminated_cells_are():
    training = dated(["NaT"] * 50, outcome=[1] * 20 + [-1] * 50)
    plan = plan_of("temporal", training, split_dates=DATES)
    # Of contaminated cells 8, 8 and 4 lie in the three periods: so 20, 20 and 10 of 50.
    assert np.bincount(plan.fold[20:] + 1).tolist() == [20, 20, 10]


def test_dates_left_out_part_contaminated_cells_evenly():
    plan = plan_of("temporal", dated(), n_folds=4)
    starts = [name[:10] for name in plan.names]
    assert starts == YEARS[1:]


def test_the_first_date_has_both_outcomes_before_it():
    # No released cell before 2007: the first period cannot begin earlier.
    outcome = [1] * 12 + [0, 1] * 4
    plan = plan_of("temporal", dated(outcome=outcome), n_folds=4)
    assert plan.names[0].startswith("2007-05-02")
    assert "the dates of the records part them at 1 days only" in plan.skipped


@pytest.mark.parametrize("method", IN_TIME)
def test_records_without_dates_cannot_be_parted_in_time(method):
    training = training_set(cells_at([0] * 20, range(20), [0, 1] * 10))
    with pytest.raises(FoldError, match="20 of 20 labelled cells have no date"):
        plan_of(method, training)


def test_one_date_for_all_parts_nothing():
    training = training_set(cells_at([0] * 20, range(20), [0, 1] * 10, decided=["2001-01-01"] * 20))
    with pytest.raises(FoldError, match="no date has both outcomes before it and any after"):
        plan_of("temporal", training)


def test_inner_folds_are_blocks_where_dates_do_not_part_the_training_side():
    # Before the date all was decided on one day.
    decided = ["2001-01-01"] * 20 + ["2009-01-01"] * 20
    training = training_set(cells_at([0] * 40, range(40), [0, 1] * 20, decided=decided))
    plan = plan_of("temporal", training, split_dates=DATES[1:], size_m=500)
    splits = plan.inner(0, 3, seed=0)
    assert len(splits) == 3
    assert all(known_before(land) == np.datetime64("2008-01-01") for _, _, land in splits)


def test_later_records_of_a_square_are_learned_from_earlier_ones_elsewhere():
    # Forty cells in four squares of 1 km; even columns early, odd ones late, mixed outcomes.
    decided = ["2001-01-01", "2009-01-01"] * 20
    outcome = ([0, 0, 1, 1, 0] * 8)[:40]
    training = training_set(cells_at([39] * 40, range(40), outcome, decided=decided))
    plan = plan_of("spatio_temporal", training, size_m=1000, n_folds=None,
                   split_dates=[date(2005, 1, 1)])  # fmt: skip
    assert plan.names[0] == "block N4900000 E500000"
    assert plan.test(0).tolist() == [1, 3, 5, 7, 9]
    assert plan.train(0).tolist() == list(range(10, 40, 2))
    assert plan.n_withheld(0) == 20
    land = plan.held_out_land(0)
    assert land(np.array([500_500.0, 501_500.0]), np.full(2, 4_900_050.0)).tolist() == [True, False]
    assert known_before(land) == np.datetime64("2005-01-01")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "blocks", "split_dates": ["2001-01-01"]}, "split_dates are for temporal"),
        ({"method": "temporal", "split_dates": ["2002-01-01", "2001-01-01"]}, "must rise"),
        (
            {"method": "spatio_temporal", "split_dates": ["2001-01-01", "2002-01-01"]},
            "takes one date",
        ),
        ({"method": "blocks", "n_clusters": 4}, "n_clusters are for kmeans"),
    ],
)
def test_settings_of_another_method_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        validate(FoldSettings, values, "validation.folds")


# ------------------------------------------------------------------ the foil


def test_random_folds_tear_hazards_apart_and_keep_the_mix():
    training = scattered(6)
    plan = random_folds(training, 4, seed=0)
    assert plan.method == "random"
    shares = [training.cells.contaminated[plan.test(k)].mean() for k in range(4)]
    assert np.ptp(shares) < 0.01
    hazard = np.bincount(training.cells.hazard_id[training.cells.hazard_id >= 0]).argmax()
    assert len(np.unique(plan.fold[training.cells.hazard_id == hazard])) > 1
    assert not plan.held_out_land(0)(training.cells.easting, training.cells.northing).any()


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_validation_settings_are_valid_and_work(name):
    values = yaml.safe_load((VALIDATION_FILES / f"{name}.yaml").read_text(encoding="utf-8"))
    shipped = validate(ValidationSettings, values, "validation").folds
    folds = shipped.model_copy(update={"size_m": 700.0, "buffer_m": 100.0})
    plan = make_folds(scattered(1), folds, seed=0)
    assert plan.method == shipped.method
    assert plan.n_folds == SHIPPED[name]
    assert plan.inner(0, 3, seed=0)


def test_every_shipped_validation_file_is_tested():
    assert {path.stem for path in VALIDATION_FILES.glob("*.yaml")} == set(SHIPPED)
