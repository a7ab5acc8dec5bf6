import dataclasses

import numpy as np
import pytest
from pydantic import ValidationError

from hazardrank.errors import ModelError
from hazardrank.model.boosted import BoostedTrees
from hazardrank.model.bundle import Bundle
from hazardrank.model.calibration import fit_calibrator
from hazardrank.model.ensemble import Ensemble, learner_of
from hazardrank.settings import ModelSettings

SMALL = {"max_rounds": 20, "early_stopping_rounds": 5, "num_leaves": 7}
#: Without draws inside the trees a seed changes nothing.
NO_CHANCE = {"feature_fraction": 1.0, "cell_fraction": 1.0}


@pytest.fixture(scope="module")
def landed(side):
    """The side with thirty units of forty cells."""
    return dataclasses.replace(side, unit=np.arange(len(side.contaminated)) // 40)


def learner(specs, **changes):
    settings = ModelSettings(**({"members": 3} | SMALL | changes))
    return learner_of(settings, specs, 1, 3)


def test_one_member_is_the_single_model(specs, side, new_side):
    assert isinstance(learner(specs, members=1), BoostedTrees)
    single = learner(specs, members=1).fit(side)
    one = Ensemble(ModelSettings(**SMALL), specs, 1, 3).fit(side)
    assert one.texts == single.texts
    np.testing.assert_array_equal(
        one.likelihood(new_side.matrix), single.likelihood(new_side.matrix)
    )
    assert one.estimate(new_side.matrix).spread is None


def test_scores_are_the_mean_of_members_of_other_seeds(specs, side, new_side):
    model = learner(specs).fit(side)
    assert len(set(model.texts)) == 3
    parts = [member.scores(new_side.matrix) for member in model.members]
    np.testing.assert_allclose(model.scores(new_side.matrix), np.mean(parts, axis=0), rtol=1e-15)
    np.testing.assert_allclose(
        model.estimate(new_side.matrix).spread,
        np.std([model.calibrator.apply(part) for part in parts], axis=0, ddof=1),
        rtol=1e-9,
    )
    assert (model.estimate(new_side.matrix).spread > 0).any()


def test_the_mean_of_inner_held_out_scores_calibrates(specs, side):
    model = learner(specs, calibration="logistic").fit(side)
    mean = np.mean([member.held_out.score for member in model.members], axis=0)
    first = model.members[0].held_out
    expected = fit_calibrator("logistic", mean, first.contaminated, first.weight)
    assert model.calibrator.parameters["slope"] == pytest.approx(expected.parameters["slope"])
    assert model.prevalence == pytest.approx(side.contaminated.mean())


def test_members_alike_have_no_spread(specs, side, new_side):
    model = learner(specs, **NO_CHANCE).fit(side)
    np.testing.assert_array_equal(model.estimate(new_side.matrix).spread, 0.0)
    assert not model.estimate(new_side.matrix).spread.any()


def test_drawn_land_makes_even_such_members_differ(specs, landed, new_side):
    model = learner(specs, member_land="drawn", **NO_CHANCE).fit(landed)
    assert len(set(model.texts)) == 3
    # Each member learns from units drawn with replacement, and every cell still calibrates.
    assert len(model.held_out.score) == len(landed.contaminated)
    assert (model.estimate(new_side.matrix).spread > 0).all()


def test_drawn_land_is_drawn_by_the_unit(specs, landed):
    times = learner(specs, member_land="drawn")._times(landed, 5)
    by_unit = times.reshape(30, 40)
    assert (by_unit == by_unit[:, :1]).all()
    assert by_unit[:, 0].sum() == 30
    assert by_unit[:, 0].max() > 1


def test_rows_seen_twice_count_twice(specs, side):
    plain = {"early_stopping_rounds": 0, "calibration": "none", "class_weight": "none"}
    trees = learner(specs, members=1, **plain, **NO_CHANCE)
    half = np.arange(len(side.contaminated)) % 2
    picked = np.repeat(np.arange(len(half)), 2 * half)
    twice = dataclasses.replace(
        side,
        matrix=side.matrix[picked],
        contaminated=side.contaminated[picked],
        weight=side.weight[picked],
        inner=(),
    )
    own, other = trees.fit(side, 2 * half).booster, trees.fit(twice).booster
    np.testing.assert_allclose(own.predict(side.matrix), other.predict(side.matrix), rtol=1e-6)


@pytest.mark.parametrize("changes", [{"member_land": "drawn"}, {"interval": "ensemble"}])
def test_the_same_seed_gives_the_same_bytes(specs, landed, tmp_path, changes):
    folders = []
    for name in ("first", "second"):
        trees = learner(specs, **changes)
        folders.append(Bundle.of(trees.fit(landed), trees, {}).save(tmp_path / name))
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"interval": "ensemble"},
        {"interval": "venn_abers", "members": 1},
        {"interval": "venn_abers", "calibration": "auto", "prevalence": 0.02},
    ],
)
def test_a_reloaded_bundle_is_as_sure_as_the_model(specs, landed, new_side, tmp_path, changes):
    trees = learner(specs, **changes)
    model = trees.fit(landed)
    bundle = Bundle.load(Bundle.of(model, trees, {}).save(tmp_path / "bundle"))
    ours, found = bundle.estimate(new_side.matrix), model.estimate(new_side.matrix)
    if "prevalence" in changes:
        assert ours.likelihood.mean() < found.likelihood.mean() / 3
        assert (ours.low <= found.low).all()
        assert (ours.high <= found.high).all()
        return
    for name in ("likelihood", "spread", "low", "high"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(found, name))
    assert (ours.spread is None) == (changes.get("members") == 1)


def test_the_bundle_shifts_what_held_out_figures_leave_alone(specs, side, new_side):
    plain, shifted = (learner(specs, prevalence=target) for target in (None, 0.02))
    model = shifted.fit(side)
    np.testing.assert_array_equal(
        model.likelihood(new_side.matrix), plain.fit(side).likelihood(new_side.matrix)
    )
    bundle = Bundle.of(model, shifted, {})
    expected = model.calibrator.shifted(side.contaminated.mean(), 0.02)
    np.testing.assert_allclose(
        bundle.likelihood(new_side.matrix), expected.apply(model.scores(new_side.matrix))
    )
    assert bundle.calibrator.to_json()["shift"] < 0


def test_an_ensemble_can_go_without_inner_folds(specs, side):
    settings = {"boosting": "rf", "early_stopping_rounds": 0, "calibration": "none"}
    model = learner(specs, **settings).fit(side)
    assert model.held_out is None
    assert model.calibrator.method == "none"
    assert model.summary()["inner_loss"] is None


@pytest.mark.parametrize("changes", [{"interval": "ensemble"}, {"member_land": "drawn"}])
def test_settings_that_need_members_say_so(changes):
    with pytest.raises(ValidationError, match="needs members of 2 or more"):
        ModelSettings(**changes)


def test_what_a_single_model_refuses_an_ensemble_refuses(specs):
    with pytest.raises(ModelError, match="there is no feature nowhere"):
        learner(specs, categorical=["nowhere"])
