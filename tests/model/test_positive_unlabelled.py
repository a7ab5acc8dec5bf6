"""Learning from contaminated and unlabelled cells, against truth that is known."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit

from hazardrank.errors import BundleError, ModelError
from hazardrank.model.bundle import Bundle
from hazardrank.model.calibration import (
    Calibrator,
    HeldOutScores,
    among_unlabelled,
    calibrator_from_json,
)
from hazardrank.model.class_prior import (
    best_bin_prior,
    class_prior,
    elkan_noto_prior,
    label_frequency,
)
from hazardrank.model.non_negative import NonNegativeRisk, NonNegativeTrees
from hazardrank.model.positive_unlabelled import PositiveUnlabelled, bag
from hazardrank.model.selection import learner_for
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import InnerFold, TrainingSide

METHODS = ("elkan_noto", "bagging", "nnpu")
SMALL = {
    "max_rounds": 40,
    "early_stopping_rounds": 5,
    "num_leaves": 7,
    "unlabelled_bags": 3,
    "forest_below_cells": 0,
}
PRIOR = 0.3


@pytest.fixture(scope="module")
def land():
    """Four features of 2,000 unlabelled cells, 30 % contaminated, and of 400 labelled ones."""
    rng = np.random.default_rng(5)
    truth = np.concatenate([np.ones(400, bool), rng.random(2000) < PRIOR])
    shift = np.where(truth, 2.0, -2.0)
    matrix = rng.normal(size=(2400, 4))
    matrix[:, 0] += shift
    matrix = matrix.astype(np.float32)
    labelled = np.arange(2400) < 400
    fold = np.arange(2400) % 3
    inner = tuple(
        InnerFold(matrix, np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)
    )
    unit = np.arange(2400) // 3 % 40
    return TrainingSide(matrix, labelled, np.ones(2400, np.float32), inner, unit), truth


def learner(specs, method, **changes):
    return learner_for(ModelSettings(unlabelled=method, **(SMALL | changes)), specs, 1, 3)


# ------------------------------------------------------------------- by hand


def test_likelihood_among_unlabelled_cells_is_elkan_and_notos():
    # One contaminated cell in five is labelled; a cell as often labelled as not is 4 times
    # as likely to be unlabelled and contaminated as labelled: more than 1, so clipped.
    found = among_unlabelled(np.array([0.0001, 0.1, 0.2, 0.5]), 0.2)
    np.testing.assert_allclose(found, [4 / 9999, 4 / 9, 1 - 1e-9, 1 - 1e-9], rtol=1e-9)


def test_calibrator_with_a_label_frequency_survives_json_and_refuses_nonsense():
    calibrator = Calibrator("none", {}, label_frequency=0.25)
    again = calibrator_from_json(json.loads(json.dumps(calibrator.to_json())))
    assert again == calibrator
    np.testing.assert_allclose(again.apply(np.array([0.1])), [3 / 9])
    assert np.isnan(again.apply(np.array([np.nan]))[0])
    assert "label_frequency" not in Calibrator("none", {}).to_json()
    with pytest.raises(BundleError, match="label frequency"):
        calibrator_from_json({**calibrator.to_json(), "label_frequency": 1.0})


def test_elkan_noto_prior_by_hand():
    # Mean score of the labelled: c = 0.5, so as many contaminated cells are unlabelled as
    # labelled: 2 of 8.
    score = np.array([0.4, 0.6] + [0.1] * 8)
    labelled = np.arange(10) < 2
    assert elkan_noto_prior(score, labelled, np.ones(10)) == pytest.approx(0.25)
    assert label_frequency(0.25, labelled, np.ones(10)) == pytest.approx(0.5)


def test_best_bin_prior_by_hand():
    # Above 0.5 lie all the labelled cells and a quarter of the unlabelled ones.
    score = np.concatenate([np.full(1000, 0.9), np.full(1000, 0.9), np.full(3000, 0.1)])
    labelled = np.arange(5000) < 1000
    assert best_bin_prior(score, labelled, np.ones(5000)) == pytest.approx(0.25)
    # Halving every weight halves the evidence and not the share.
    assert best_bin_prior(score, labelled, np.full(5000, 0.5)) == pytest.approx(0.25)


def test_a_given_prior_has_no_interval_and_an_estimated_one_holds_its_estimate():
    rng = np.random.default_rng(0)
    labelled = np.arange(600) < 100
    score = np.where(rng.random(600) < np.where(labelled, 0.9, 0.2), 0.8, 0.1)
    number = np.arange(600)
    held_out = HeldOutScores(score, labelled, np.ones(600), number % 3, number % 30)
    given = class_prior(held_out, 0.1, "best_bin", 0)
    assert (given.share, given.low, given.high, given.estimator) == (0.1, None, None, "given")
    found = class_prior(held_out, None, "best_bin", 0)
    assert 0 < found.low < found.share < found.high < 0.5
    assert found == class_prior(held_out, None, "best_bin", 0)
    with pytest.raises(ModelError, match="no estimator of the class prior 'tea_leaves'"):
        class_prior(held_out, None, "tea_leaves", 0)


def risk_of_four(prior=0.4):
    return NonNegativeRisk(
        np.array([True, True, False, False]), np.array([1.0, 3.0, 1.0, 1.0]), prior
    )


def test_non_negative_risk_by_hand():
    # All log-odds 0: every loss is log 2; π log 2 + log 2 - π log 2.
    assert risk_of_four().value(np.zeros(4)) == pytest.approx(np.log(2))
    # Unlabelled cells learned by heart: the second part would be about -0.4 · 5, so it is 0.
    by_heart = np.array([5.0, 5.0, -30.0, -30.0])
    assert risk_of_four().value(by_heart) == pytest.approx(0.4 * np.log1p(np.exp(-5)))


@pytest.mark.parametrize(
    "log_odds", [np.array([0.3, -0.2, 0.5, 1.5]), np.array([2.0, 1.0, -6.0, -5.0])]
)
def test_gradient_of_the_risk_is_its_finite_difference(log_odds):
    risk = risk_of_four()
    step = 1e-6
    expected = [
        (risk.value(log_odds + step * unit) - risk.value(log_odds - step * unit)) / (2 * step)
        for unit in np.eye(4)
    ]
    gradient, curvature = risk.gradient(log_odds)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)
    assert (curvature >= 0).all()
    scaled, hessian = risk.objective(log_odds, None)
    np.testing.assert_allclose(scaled, gradient * 6)
    assert (hessian > 0).all()


def test_a_bag_holds_every_contaminated_cell_and_as_many_unlabelled(land):
    side, _ = land
    times = bag(side, 1)
    assert (times[side.contaminated] == 1).all()
    assert times[~side.contaminated].sum() == 400
    assert not np.array_equal(times, bag(side, 2))


# ------------------------------------------------------------- on known truth


@pytest.mark.parametrize("method", METHODS)
def test_likelihoods_of_unlabelled_land_come_near_the_truth(specs, land, method):
    side, truth = land
    model = learner(specs, method).fit(side)
    likelihood = model.likelihood(side.matrix)
    assert ((likelihood > 0) & (likelihood < 1)).all()
    unlabelled = ~side.contaminated
    share = truth[unlabelled].mean()
    assert model.prior.share == pytest.approx(share, abs=0.06)
    assert likelihood[unlabelled].mean() == pytest.approx(share, abs=0.06)
    negative = learner(specs, "as_negative").fit(side).likelihood(side.matrix)
    error = np.abs(likelihood - truth)[unlabelled].mean()
    assert error < 0.6 * np.abs(negative - truth)[unlabelled].mean()


@pytest.mark.parametrize("method", METHODS)
def test_a_bundle_gives_the_same_likelihoods_and_tells_the_prior(specs, land, method, tmp_path):
    side, _ = land
    made = learner(specs, method)
    model = made.fit(side)
    bundle = Bundle.load(Bundle.of(model, made, {}).save(tmp_path / "bundle"))
    np.testing.assert_allclose(
        bundle.likelihood(side.matrix, 1), model.likelihood(side.matrix), rtol=1e-12
    )
    np.testing.assert_allclose(
        model.estimate(side.matrix).likelihood, model.likelihood(side.matrix)
    )
    assert model.estimate(side.matrix).low is None
    facts = bundle.training["unlabelled"]
    assert facts["method"] == method
    assert facts["class_prior_low"] <= facts["class_prior"] <= facts["class_prior_high"]
    assert bundle.training["n_cells"] == 2400
    assert model.texts == made.fit(side).texts
    shifted = Bundle.of(model, learner(specs, method, prevalence=0.01), {})
    assert shifted.likelihood(side.matrix, 1).mean() < bundle.likelihood(side.matrix, 1).mean()


def test_a_given_prior_scales_the_odds(specs, land):
    side, _ = land
    low = learner(specs, "elkan_noto", class_prior=0.02).fit(side).likelihood(side.matrix)
    high = learner(specs, "elkan_noto", class_prior=0.04).fit(side).likelihood(side.matrix)
    some = (high > 1e-6) & (high < 1 - 1e-6)
    np.testing.assert_allclose(high[some], 2 * low[some], rtol=1e-9)


def test_elkan_noto_rescales_whatever_the_settings_choose(specs, land):
    side, _ = land
    made = learner(specs, "elkan_noto", forest_below_cells=10_000)
    assert isinstance(made, PositiveUnlabelled)
    model = made.fit(side)
    np.testing.assert_allclose(
        Bundle.of(model, made, {}).likelihood(side.matrix, 1), model.likelihood(side.matrix)
    )


def test_trees_of_the_non_negative_risk_give_probabilities_whatever_the_model_text(specs, land):
    side, truth = land
    settings = ModelSettings(**SMALL)
    model = NonNegativeTrees(settings, specs, 1, 3, PRIOR).fit(side)
    raw = model.booster.predict(side.matrix, raw_score=True)
    np.testing.assert_allclose(model.scores(side.matrix), expit(raw), rtol=1e-12)
    assert model.scores(side.matrix)[~side.contaminated].mean() == pytest.approx(
        truth[~side.contaminated].mean(), abs=0.1
    )
    with pytest.raises(ModelError, match="step by step"):
        NonNegativeTrees(ModelSettings(boosting="rf"), specs, 1, 3, PRIOR)
    alone = dataclasses.replace(side, inner=())
    with pytest.raises(ModelError, match="none of the 0 inner folds"):
        NonNegativeTrees(settings, specs, 1, 3, PRIOR).fit(alone)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"calibration": "none"}, "needs a calibration"),
        ({"interval": "venn_abers"}, "interval=none"),
        ({"members": 2}, "grows its own trees"),
        ({"boosting": "rf"}, "needs boosting=gbdt"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        ModelSettings(unlabelled="nnpu", **changes)
