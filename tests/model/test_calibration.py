import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from hazardrank.errors import BundleError, ModelError
from hazardrank.model.calibration import (
    EDGE,
    Calibrator,
    HeldOutScores,
    calibrate,
    calibrator_from_json,
    fit_calibrator,
    from_log_odds,
    to_log_odds,
)

METHODS = ["isotonic", "beta", "logistic", "venn_abers", "none"]
FITTED = ["isotonic", "beta", "logistic", "venn_abers"]


def distorted(n_cells, seed=0):
    """Return scores that are too high, as from balanced weights, and outcomes."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-2, 1.5, n_cells)
    contaminated = rng.random(n_cells) < 1 / (1 + np.exp(-log_odds))
    return 1 / (1 + np.exp(-log_odds - 2)), contaminated, 1 / (1 + np.exp(-log_odds))


def test_isotonic_pools_the_violators():
    # Scores .1 .2 .3 .4 with outcomes 0 1 0 1: the middle two are pooled to 1/2.
    scores = np.array([0.1, 0.2, 0.3, 0.4])
    contaminated = np.array([False, True, False, True])
    fitted = fit_calibrator("isotonic", scores, contaminated, np.ones(4))
    # The ends stop at 1/(4+2) and 5/6: four cells prove nothing more.
    np.testing.assert_allclose(fitted.apply(scores), [1 / 6, 0.5, 0.5, 5 / 6])
    np.testing.assert_allclose(fitted.apply(np.array([0.0, 0.15, 0.9])), [1 / 6, 1 / 3, 5 / 6])


def test_isotonic_counts_evidence():
    scores = np.array([0.1, 0.2, 0.2, 0.3])
    contaminated = np.array([False, True, False, True])
    fitted = fit_calibrator("isotonic", scores, contaminated, np.array([97, 3.0, 1.0, 97]))
    assert fitted.apply(np.array([0.2]))[0] == pytest.approx(0.75)


def test_logistic_is_platt_scaling():
    # Golden: scikit-learn's logistic regression without penalty on Platt's smoothed targets,
    # each cell entered once as contaminated and once as not, weighted by its target.
    scores, contaminated, _ = distorted(400)
    n_contaminated, n_other = contaminated.sum(), (~contaminated).sum()
    target = np.where(contaminated, (n_contaminated + 1) / (n_contaminated + 2), 1 / (n_other + 2))
    log_odds = np.log(scores / (1 - scores))[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.vstack([log_odds, log_odds]),
        np.repeat([1, 0], 400),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    fitted = fit_calibrator("logistic", scores, contaminated, np.ones(400))
    np.testing.assert_allclose(
        fitted.apply(scores), reference.predict_proba(log_odds)[:, 1], atol=1e-4
    )


def test_beta_is_kulls_regression_where_both_coefficients_are_positive():
    # Golden: bivariate logistic regression on ln s and -ln(1-s), Kull et al. 2017.
    scores, contaminated, _ = distorted(3000)
    features = np.column_stack([np.log(scores), -np.log1p(-scores)])
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(features, contaminated)
    assert (reference.coef_ > 0).all()
    fitted = fit_calibrator("beta", scores, contaminated, np.ones(3000))
    np.testing.assert_allclose(
        fitted.apply(scores), reference.predict_proba(features)[:, 1], atol=2e-3
    )


@pytest.mark.parametrize("method", FITTED)
def test_a_shift_of_the_log_odds_is_mended(method):
    scores, contaminated, _ = distorted(8000)
    fitted = fit_calibrator(method, scores, contaminated, np.ones(8000))
    new_scores, _, truth = distorted(4000, seed=1)
    assert np.abs(new_scores - truth).mean() > 0.2
    assert np.abs(fitted.apply(new_scores) - truth).mean() < 0.03


@pytest.mark.parametrize("method", FITTED)
def test_a_weight_of_two_is_the_cell_twice(method):
    scores, contaminated, _ = distorted(300)
    weight = 1.0 + (np.arange(300) % 2)
    twice = np.repeat(np.arange(300), weight.astype(int))
    weighted = fit_calibrator(method, scores, contaminated, weight)
    repeated = fit_calibrator(method, scores[twice], contaminated[twice], np.ones(len(twice)))
    np.testing.assert_allclose(weighted.apply(scores), repeated.apply(scores), atol=1e-5)


def test_none_changes_nothing_inside_the_open_interval():
    scores = np.array([0.25, 0.5, 0.75])
    fitted = fit_calibrator("none", scores, np.array([True, True, True]), np.ones(3))
    np.testing.assert_array_equal(fitted.apply(scores), scores)
    assert fitted.reason is None


SCORES = st.floats(0, 1)


@settings(max_examples=40, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    cells=st.lists(st.tuples(SCORES, st.booleans(), st.floats(0.01, 1)), max_size=60),
    asked=st.lists(SCORES, min_size=2, max_size=50),
)
def test_any_fit_is_monotone_inside_0_1_and_survives_text_to_the_bit(method, cells, asked):
    columns = np.array(cells, float).reshape(-1, 3).T
    fitted = fit_calibrator(method, columns[0], columns[1].astype(bool), columns[2])
    scores = np.sort(asked)
    likelihoods = fitted.apply(scores)
    assert (likelihoods > 0).all()
    assert (likelihoods < 1).all()
    assert (np.diff(likelihoods) >= -1e-14).all()
    reread = calibrator_from_json(json.loads(json.dumps(fitted.to_json())))
    assert reread == fitted
    np.testing.assert_array_equal(reread.apply(scores), likelihoods)


@settings(max_examples=40, deadline=None)
@given(scores=st.lists(SCORES, min_size=2, max_size=300))
def test_isotonic_is_monotone_to_the_bit(scores):
    fitted = fit_calibrator("isotonic", *distorted(200)[:2], np.ones(200))
    assert (np.diff(fitted.apply(np.sort(scores))) >= 0).all()


@pytest.mark.parametrize("method", FITTED)
def test_separated_outcomes_give_finite_likelihoods(method):
    scores = np.linspace(0, 1, 50)
    fitted = fit_calibrator(method, scores, scores > 0.5, np.ones(50))
    assert all(np.isfinite(numbers).all() for numbers in fitted.parameters.values())
    low, high = fitted.apply(np.array([0.1, 0.9]))
    assert 0 < low < 0.1 < 0.9 < high < 1


@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize(
    ("scores", "contaminated", "prevalence", "reason"),
    [
        ([0.2, 0.4], [True, True], 3 / 4, "all 2 out-of-fold cells were contaminated"),
        ([0.2, 0.4], [False, False], 1 / 4, "all 2 out-of-fold cells were released or unlabelled"),
        ([0.3, 0.3, 0.3], [True, False, False], 2 / 5, "all out-of-fold scores were equal"),
        ([], [], 1 / 2, "there was no out-of-fold score"),
    ],
)
def test_where_nothing_can_be_fitted_the_prevalence_stands_in(
    method, scores, contaminated, prevalence, reason
):
    fitted = fit_calibrator(
        method, np.array(scores, float), np.array(contaminated, bool), np.ones(len(scores))
    )
    assert fitted.method == "prevalence"
    assert fitted.reason.startswith(reason)
    np.testing.assert_allclose(fitted.apply(np.array([0.1, 0.9])), prevalence)


@pytest.mark.parametrize("method", METHODS)
def test_missing_scores_stay_missing(method):
    scores, contaminated, _ = distorted(200)
    fitted = fit_calibrator(method, scores, contaminated, np.ones(200))
    assert np.isnan(fitted.apply(np.array([np.nan, 0.5]))).tolist() == [True, False]


def textbook(fitted, score):
    """Return what a calibrator should give, by scipy and numpy's plain functions."""
    score = np.clip(score, 1e-9, 1 - 1e-9)
    numbers = {name: np.array(values) for name, values in fitted.parameters.items()}
    if fitted.method == "beta":
        logs = np.log(score), np.log1p(-score)
        found = expit(numbers["a"] * logs[0] - numbers["b"] * logs[1] + numbers["c"])
    elif fitted.method == "logistic":
        found = expit(numbers["slope"] * logit(score) + numbers["offset"])
    elif fitted.method == "isotonic":
        found = np.interp(score, numbers["score"], numbers["likelihood"])
    elif fitted.method == "venn_abers":
        p0 = np.append(0, numbers["p0"])[np.searchsorted(numbers["score"], score, "right")]
        p1 = np.append(numbers["p1"], 1)[np.searchsorted(numbers["score"], score, "left")]
        found = p1 / (1 - p0 + p1)
    else:
        found = score
    found = np.clip(found, 1e-9, 1 - 1e-9)
    return np.clip(expit(logit(found) + fitted.shift), 1e-9, 1 - 1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [0.0, -1.5])
def test_likelihoods_are_those_of_the_textbook(method, shift):
    scores, contaminated, _ = distorted(700)
    fitted = replace(fit_calibrator(method, scores, contaminated, np.ones(700)), shift=shift)
    asked = np.concatenate([np.linspace(0, 1, 2001), scores, np.geomspace(1e-12, 1, 200)])
    np.testing.assert_allclose(fitted.apply(asked), textbook(fitted, asked), rtol=1e-13)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-9, 1 - 1e-9), min_size=1, max_size=40))
def test_log_odds_and_back(likelihood):
    likelihood = np.array(likelihood)
    np.testing.assert_allclose(to_log_odds(likelihood), logit(likelihood), rtol=1e-15, atol=4e-16)
    np.testing.assert_allclose(from_log_odds(to_log_odds(likelihood)), likelihood, rtol=1e-14)


def test_log_odds_beyond_all_bounds_are_at_the_edges():
    log_odds = np.array([-np.inf, -1e300, -40, 0, 40, 1e300, np.inf, np.nan])
    found = from_log_odds(log_odds)
    np.testing.assert_array_equal(found, [EDGE] * 3 + [0.5] + [1 - EDGE] * 3 + [np.nan])


def test_likelihoods_do_not_depend_on_how_scores_are_cut():
    scores, contaminated, _ = distorted(1001)
    fitted = fit_calibrator("beta", scores, contaminated, np.ones(1001))
    whole = fitted.apply(scores)
    for step in (1, 3, 17, 500):
        parts = [fitted.apply(scores[k : k + step]) for k in range(0, 1001, step)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(fitted.apply(scores[::2]), whole[::2])


def test_what_cannot_be_fitted_is_refused():
    ones = np.ones(2)
    with pytest.raises(ModelError, match=r"there is no calibration 'spline'.*Known: isotonic"):
        fit_calibrator("spline", ones, ones > 0, ones)
    for bad in (1.5, np.nan):
        with pytest.raises(ModelError, match="must lie in 0–1"):
            fit_calibrator("beta", np.array([0.5, bad]), ones > 0, ones)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "magic", "parameters": {}}, "'magic' is not one of"),
        ({"method": "beta", "parameters": {"a": [1.0]}}, "cannot be read .KeyError"),
        ({"method": "none"}, "cannot be read .KeyError"),
        ({"method": "logistic", "parameters": {"slope": [float("nan")]}}, "not finite"),
        ({"method": "logistic", "parameters": {"slope": [-1], "offset": [0]}}, "fall as scores"),
        (
            {"method": "isotonic", "parameters": {"score": [0.5, 0.5], "likelihood": [0, 1]}},
            "knots do not rise",
        ),
        (
            {
                "method": "venn_abers",
                "parameters": {"score": [0.2, 0.5], "p0": [0.5, 0.1], "p1": [0.6, 0.7]},
            },
            "p0 and p1 do not rise",
        ),
        ({"method": "none", "parameters": {}, "shift": float("inf")}, "shift is not finite"),
    ],
)
def test_altered_calibrators_are_refused(values, message):
    with pytest.raises(BundleError, match=message):
        calibrator_from_json(values)


# ------------------------------------------------------------------- choosing the method


def held_out_scores(scores, contaminated, n_folds=4):
    fold = np.arange(len(scores)) % n_folds
    return HeldOutScores(scores, contaminated, np.ones(len(scores)), fold, fold)


def test_auto_takes_the_smooth_method_where_it_is_right():
    scores, contaminated, _ = distorted(600)
    chosen = calibrate("auto", held_out_scores(scores, contaminated))
    assert chosen.method in ("logistic", "beta")
    assert set(chosen.judged) == {"logistic", "beta", "venn_abers", "isotonic"}
    assert chosen.judged[chosen.method] == min(chosen.judged.values())
    assert calibrator_from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


def test_auto_takes_a_stepped_method_where_likelihoods_jump():
    rng = np.random.default_rng(2)
    scores = rng.random(4000)
    truth = np.where(scores < 0.5, 0.05, 0.45)
    chosen = calibrate("auto", held_out_scores(scores, rng.random(4000) < truth))
    assert chosen.method in ("isotonic", "venn_abers")
    np.testing.assert_allclose(chosen.apply(np.array([0.2, 0.8])), [0.05, 0.45], atol=0.05)


def test_auto_judges_on_folds_that_did_not_fit():
    # Two folds: fitted on one, judged on the other, by hand with the public functions.
    scores, contaminated, _ = distorted(200)
    held_out = held_out_scores(scores, contaminated, n_folds=2)
    loss = 0.0
    for fold in (0, 1):
        other, own = held_out.take(held_out.fold != fold), held_out.take(held_out.fold == fold)
        fitted = fit_calibrator("beta", other.score, other.contaminated, other.weight)
        loss += ((fitted.apply(own.score) - own.contaminated) ** 2).sum()
    assert calibrate("auto", held_out).judged["beta"] == pytest.approx(loss / 200, rel=1e-12)


def test_auto_with_one_inner_fold_takes_the_smoothest():
    scores, contaminated, _ = distorted(200)
    chosen = calibrate("auto", held_out_scores(scores, contaminated, n_folds=1))
    assert (chosen.method, chosen.judged) == ("logistic", {})


# ------------------------------------------------------------------- change of base rate


def test_the_shift_is_that_of_saerens():
    # Equation 2.4: p' = p t/q / (p t/q + (1-p)(1-t)/(1-q)); here q = 0.5, t = 0.1, p = 0.5:
    # 0.5 * 0.2 / (0.5 * 0.2 + 0.5 * 1.8) = 0.1.
    plain = Calibrator("none", {})
    shifted = plain.shifted(0.5, 0.1)
    assert shifted.apply(np.array([0.5]))[0] == pytest.approx(0.1)
    likelihood, q, t = np.linspace(0.01, 0.99, 50), 0.3, 0.02
    odds = likelihood * t / q, (1 - likelihood) * (1 - t) / (1 - q)
    np.testing.assert_allclose(plain.shifted(q, t).apply(likelihood), odds[0] / sum(odds))


def test_the_shift_is_right_where_only_the_share_differs():
    # Scores of contaminated cells are alike in both lands; 40 % contaminated here, 5 % there.
    rng = np.random.default_rng(4)

    def land(n_cells, share):
        contaminated = rng.random(n_cells) < share
        return 1 / (1 + np.exp(-rng.normal(np.where(contaminated, 1.0, -1.0), 1.0))), contaminated

    scores, contaminated = land(6000, 0.4)
    fitted = fit_calibrator("logistic", scores, contaminated, np.ones(6000))
    new_scores, new_contaminated = land(6000, 0.05)
    assert fitted.apply(new_scores).mean() > 0.08
    shifted = fitted.shifted(0.4, 0.05)
    assert shifted.apply(new_scores).mean() == pytest.approx(new_contaminated.mean(), abs=0.01)


def test_no_shift_changes_no_bit_and_shifts_travel():
    scores, contaminated, _ = distorted(200)
    fitted = fit_calibrator("beta", scores, contaminated, np.ones(200))
    np.testing.assert_array_equal(fitted.shifted(0.2, 0.2).apply(scores), fitted.apply(scores))
    shifted = fitted.shifted(0.3, 0.01)
    reread = calibrator_from_json(json.loads(json.dumps(shifted.to_json())))
    np.testing.assert_array_equal(reread.apply(scores), shifted.apply(scores))
    older = {
        key: value for key, value in fitted.to_json().items() if key not in ("shift", "judged")
    }
    assert calibrator_from_json(older) == fitted


@pytest.mark.parametrize(("prevalence", "target"), [(0.0, 0.1), (0.3, 1.0)])
def test_a_base_rate_of_none_or_all_is_refused(prevalence, target):
    with pytest.raises(ModelError, match="not strictly between 0 and 1"):
        Calibrator("none", {}).shifted(prevalence, target)
