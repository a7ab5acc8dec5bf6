import numpy as np
import pytest

from hazardrank.features.base import FeatureSpec
from hazardrank.model.candidates import (
    Candidate,
    forest,
    over_discs,
    starting_points,
    suggest,
)
from hazardrank.model.feature_selection import choose_features, groups_of_like
from hazardrank.model.inner_bench import InnerBench
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import InnerFold, TrainingSide


def specs_of(*names):
    return tuple(FeatureSpec(name, "1", "table", "table", "A column.") for name in names)


def bench_of(matrix, contaminated, n_inner=3):
    matrix = np.asarray(matrix, np.float32)
    fold = np.arange(len(matrix)) % n_inner
    inner = tuple(
        InnerFold(matrix, np.flatnonzero(fold != k), np.flatnonzero(fold == k))
        for k in range(n_inner)
    )
    side = TrainingSide(matrix, contaminated, np.ones(len(matrix), np.float32), inner)
    return InnerBench(side, specs_of(*(f"f{k}" for k in range(matrix.shape[1]))), "ranking", 1, 0)


@pytest.fixture(scope="module")
def one_of_five():
    """Five features of which only the fourth tells anything."""
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(360, 5))
    return bench_of(matrix, matrix[:, 3] + 0.3 * rng.normal(size=360) > 0.5)


def test_forward_selection_finds_the_one_informative_feature(one_of_five):
    kept = choose_features("forward", one_of_five)
    assert kept[3]
    assert kept.sum() <= 2


def test_permutation_keeps_the_informative_feature_and_drops_noise(one_of_five):
    kept = choose_features("permutation", one_of_five)
    assert kept[3]
    assert kept.sum() < 5


def test_a_copy_does_not_hide_an_informative_feature():
    # Permuted alone, either copy would look useless: the other tells the same.
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(360, 4))
    matrix[:, 1] = matrix[:, 0]
    kept = choose_features("permutation", bench_of(matrix, matrix[:, 0] > 0.5))
    assert kept[[0, 1]].all()


def test_none_keeps_everything(one_of_five):
    assert choose_features("none", one_of_five).all()


def test_like_features_form_groups_whatever_their_sign_or_scale():
    rng = np.random.default_rng(3)
    first, other = rng.normal(size=(2, 200))
    matrix = np.column_stack([first, other, -first, np.exp(first)]).astype(np.float32)
    group = groups_of_like(matrix)
    assert group[0] == group[2] == group[3] != group[1]
    np.testing.assert_array_equal(groups_of_like(matrix[:, :1]), [0])


def test_constant_and_missing_columns_can_be_grouped():
    matrix = np.column_stack([np.ones(9), np.arange(9), np.full(9, np.nan)]).astype(np.float32)
    assert len(groups_of_like(matrix)) == 3


def test_features_over_discs_are_told_by_the_radius_in_their_name():
    specs = specs_of("roads_dist_mean_2000m", "terrain_tpi_300m", "roads_distance_m", "rwi")
    np.testing.assert_array_equal(over_discs(specs), [True, True, False, False])
    kept = np.array([True, False, True, True])
    without = Candidate("forest", ModelSettings(), context=False)
    np.testing.assert_array_equal(without.columns(specs, kept), [False, False, True, True])
    np.testing.assert_array_equal(forest(ModelSettings()).columns(specs, kept), kept)


class Low:
    """Proposes the first choice, or the lower end."""

    def __init__(self, **fixed):
        self.fixed = fixed

    def suggest_categorical(self, name, choices):
        return self.fixed.get(name, choices[0])

    def suggest_int(self, name, low, high, *, log=False):
        return self.fixed.get(name, low)

    def suggest_float(self, name, low, high, *, log=False):
        return self.fixed.get(name, low)


@pytest.mark.parametrize("kind", ["forest", "boosted", "given"])
def test_candidates_keep_what_is_not_searched_for(kind):
    base = ModelSettings(monotone={"rwi": -1}, calibration="isotonic", max_rounds=500)
    found = suggest(Low(kind=kind), base, 100, has_context=True)
    assert (found.settings.monotone, found.settings.calibration) == ({"rwi": -1}, "isotonic")
    assert found.settings.max_rounds <= 100
    assert found.settings.boosting == ("rf" if kind == "forest" else "gbdt")
    assert ModelSettings.model_validate(found.settings.model_dump()) == found.settings


def test_starting_points_lie_in_the_space_and_begin_with_the_settings_as_given():
    starts = starting_points(has_context=True)
    assert [start["kind"] for start in starts] == ["given", "forest", "boosted"]
    for start in starts:
        found = suggest(Low(**start), ModelSettings(), 300, has_context=True)
        assert found.context is True
    assert "context" not in starting_points(has_context=False)[0]


def test_a_chosen_forest_is_grown_whole():
    small = forest(ModelSettings(), 20)
    assert small.grown().settings.max_rounds == 300
    given = Candidate("given", ModelSettings())
    assert given.grown() is given


def test_without_context_a_candidate_cannot_read_it():
    # The only informative feature is taken over a disc: blind to it, ranking is chance.
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(300, 2)).astype(np.float32)
    bench = bench_of(matrix, matrix[:, 1] > 0)
    bench.specs = specs_of("own", "own_mean_2000m")
    everything = np.ones(2, bool)
    seeing = forest(ModelSettings(), 20)
    blind = Candidate("forest", seeing.settings, context=False)
    values = {
        name: bench.run(candidate, candidate.columns(bench.specs, everything)).value
        for name, candidate in (("seeing", seeing), ("blind", blind))
    }
    assert values["seeing"] > 0.95
    assert values["blind"] < 0.62


@pytest.mark.parametrize("objective", ["ranking", "log_loss"])
def test_the_objective_is_higher_for_the_better_scores(one_of_five, objective):
    bench = InnerBench(one_of_five.side, one_of_five.specs, objective, 1, 0)
    truth = bench.side.contaminated[bench.rows]
    good, poor = np.where(truth, 0.7, 0.3), np.full(len(truth), 0.5)
    good[:5] = 0.5
    assert bench.judge(good) > bench.judge(poor)
