"""Promises of every fold maker, then what is each one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FoldError
from hazardrank.settings import FoldSettings, ValidationSettings, validate
from hazardrank.validation.folds import FOLD_MAKERS, FoldPlan, make_folds, random_folds
from hazardrank.validation.folds.blocks import block_codes
from hazardrank.validation.folds.maker import assign_units, hazards_together
from tests.validation.cases import GRID, cells_at, scattered, training_set

VALIDATION_FILES = Path(__file__).parents[2] / "configs" / "validation"
FOLD_SETTINGS = {
    "blocks": FoldSettings(method="blocks", size_m=700, n_folds=4),
    "groups": FoldSettings(method="groups", n_folds=2),
    "random": FoldSettings(n_folds=4),
}


def plan_of(method, training, seed=0, district_of=None, **changes):
    chosen = FOLD_SETTINGS[method].model_copy(update=changes)
    maker = FOLD_MAKERS[method](chosen, district_of)
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
        assert any("train in every fold" in reason for reason in plan.skipped)
    for k in range(plan.n_folds):
        train, test = plan.train(k), plan.test(k)
        assert len(np.intersect1d(train, test)) == 0
        assert len(train) + len(test) + plan.n_buffered(k) == len(training.cells)
        assert training.cells.contaminated[train].any()
        assert not training.cells.contaminated[train].all()


@pytest.mark.parametrize("method", ["blocks", "groups"])
@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
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
    tested = np.concatenate([test for _, test, _ in splits])
    assert len(np.unique(tested)) == len(tested)


@pytest.mark.parametrize("method", ["blocks", "groups"])
def test_held_out_land_holds_every_cell_that_was_not_moved_with_its_hazard(method):
    training = scattered(2)
    cells = training.cells
    plan = plan_of(method, training)
    alone = cells.hazard_id < 0
    for k in range(plan.n_folds):
        inside = plan.held_out_land(k)(cells.easting, cells.northing)
        np.testing.assert_array_equal(inside[alone], (plan.fold == k)[alone])


@pytest.mark.parametrize("method", ["blocks", "groups"])
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


@pytest.mark.parametrize("name", ["blocks", "districts"])
def test_shipped_validation_settings_are_valid_and_work(name):
    values = yaml.safe_load((VALIDATION_FILES / f"{name}.yaml").read_text(encoding="utf-8"))
    shipped = validate(ValidationSettings, values, "validation").folds
    folds = shipped.model_copy(update={"size_m": 700.0, "buffer_m": 100.0})
    plan = make_folds(scattered(1), folds, seed=0)
    assert plan.method == shipped.method
    assert plan.n_folds == {"blocks": 5, "districts": 4}[name]
