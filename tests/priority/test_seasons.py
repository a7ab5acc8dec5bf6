from types import SimpleNamespace

import numpy as np
import pytest

from hazardrank.features.base import FeatureSpec
from hazardrank.priority.review_ground import plain_cells
from hazardrank.priority.seasons import SCORERS, SimulatedLand, play, season_rows
from hazardrank.validation.training_set import TrainingSet
from tests.priority.cases import grid_of


def land_of(matrix, contaminated, known=()) -> SimulatedLand:
    """A row of cells of 1 ha; `known` are those on record, contaminated all."""
    matrix, contaminated = np.asarray(matrix, np.float32), np.asarray(contaminated, bool)
    n = len(contaminated)
    grid = grid_of(1, n)
    recorded = np.array(known, np.int64)
    places = np.stack([np.zeros(n, np.int64), np.arange(n)])
    cells = plain_cells(grid, places[:, recorded], np.ones(len(recorded), bool))
    specs = (FeatureSpec("only", "1", "none", "test", "A feature.", None),)
    training = TrainingSet(cells, specs, matrix[recorded][:, None])
    rest = np.setdiff1d(np.arange(n), recorded)
    return SimulatedLand(training, matrix[rest][:, None], places[:, rest], contaminated[rest])


def fit_mean(training: TrainingSet):
    """A model that likes land whose feature is like that of the contaminated land it knows."""
    known = training.layer_features[training.cells.contaminated, 0]
    liked = known.mean() if len(known) else 0.0
    return SimpleNamespace(scores=lambda matrix: -np.abs(matrix[:, 0].astype(float) - liked))


def played(land, policy, n_seasons=3, cells=2, share=0.0, seed=0, fit=fit_mean):
    return play(land, policy, fit, fit(land.training), n_seasons, cells, share, seed)


def test_a_retrained_model_follows_what_was_found_and_a_static_one_does_not():
    # On record: a cell of feature 0. The rest of the contaminated land has 5.
    feature = [0, 1, 1, 4.9, 5, 5, 5, 20, 20, 20]
    land = land_of(feature, [1, 0, 0, 1, 1, 1, 1, 0, 0, 0], known=[0])
    values = land.matrix[:, 0]
    static = [sorted(values[cells].tolist()) for cells in played(land, "static", cells=3)]
    assert static[0] == pytest.approx([1, 1, 4.9])
    retrained = played(land, "retrained", n_seasons=2, cells=3)
    # After 4.9 was found the model likes (0 + 4.9) / 2.
    assert sorted(values[retrained[1]].tolist()) == [5, 5, 5]


def test_distance_goes_to_known_hazards_and_to_what_was_found():
    land = land_of(np.zeros(9), [0, 0, 0, 1, 1, 1, 1, 0, 0], known=[3])
    cleared = played(land, "distance", n_seasons=3, cells=2)
    where = [sorted(land.places[1, cells].tolist()) for cells in cleared]
    assert where[0] == [2, 4]
    assert 5 in where[1]
    assert 6 in where[2]


@pytest.mark.parametrize("policy", list(SCORERS))
def test_no_land_is_cleared_twice_and_seasons_end_with_the_land(policy):
    rng = np.random.default_rng(1)
    land = land_of(rng.random(40), rng.random(40) < 0.3, known=[0, 1])
    cleared = played(land, policy, n_seasons=6, cells=8, share=0.25)
    assert [len(cells) for cells in cleared] == [8, 8, 8, 8, 6, 0]
    assert len(np.unique(np.concatenate(cleared))) == 38
    again = played(land, policy, n_seasons=6, cells=8, share=0.25)
    assert all(np.array_equal(a, b) for a, b in zip(cleared, again, strict=True))


def test_the_random_share_reaches_land_that_the_model_would_never_choose():
    land = land_of(np.arange(200.0), np.zeros(200), known=[])
    first = played(land, "retrained", n_seasons=1, cells=20)[0]
    drawn = played(land, "retrained_random_share", n_seasons=1, cells=20, share=0.4)[0]
    assert land.matrix[first, 0].max() == 19
    values = np.sort(land.matrix[drawn, 0])
    assert values[:12].tolist() == list(range(12))
    # Two of eight from each quarter of the rest.
    assert np.bincount(((values[12:] - 12) * 4 // 188).astype(int)).tolist() == [2, 2, 2, 2]


def test_both_rankings_count_alike_where_they_are_combined():
    # The model likes 0 and puts 5 first, then 2; nearest to the hazard in the west is 1, then 2.
    land = land_of([0, 9, 1, 5, 9, 0], np.zeros(6), known=[0])
    first = {p: land.places[1, played(land, p, 1, 1)[0]].tolist() for p in SCORERS}
    assert (first["retrained"], first["distance"], first["combined"]) == ([5], [1], [2])


def test_what_is_known_grows_by_what_was_cleared():
    land = land_of([1.0, 2, 3], [1, 0, 1], known=[0])
    known = land.with_found(np.array([1]))
    assert known.cells.contaminated.tolist() == [True, True]
    assert known.cells.col.tolist() == [0, 2]
    assert known.layer_features[:, 0].tolist() == [1, 3]
    assert len(land.training.cells) == 1


def test_rows_by_hand():
    land = land_of(np.zeros(6), [0, 1, 1, 0, 1, 0])
    rows = season_rows(land, [np.array([0, 1]), np.array([3, 5]), np.array([2])], 7, "random")
    assert [row["contaminated_ha"] for row in rows] == [1, 0, 1]
    assert [row["ha_per_contaminated_ha"] for row in rows] == [2, None, 1]
    assert [row["cumulative_ha_per_contaminated_ha"] for row in rows] == [2, 4, 2.5]
    assert rows[2]["share_of_all_found"] == pytest.approx(2 / 3)
    assert (rows[0]["district_seed"], rows[0]["policy"], rows[0]["season"]) == (7, "random", 1)
