import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from hazardrank.errors import BundleError, ModelError
from hazardrank.model.calibration import Calibrator, HeldOutScores, fit_calibrator
from hazardrank.model.intervals import (
    Interval,
    deviation,
    estimate,
    fit_interval,
    interval_from_json,
)
from hazardrank.model.venn_abers import venn_abers_bounds
from hazardrank.validation.coverage import coverage

NONE = Calibrator("none", {})


def constant_widths(low_scale, high_scale):
    return Interval("ensemble", 0.9, low_scale, high_scale, softening=1.0, n_units=40)


def units_of_land(n_units, seed, n_cells=60, apart=0.8):
    """Return units whose true log-odds lie `apart` from what the scores say."""
    rng = np.random.default_rng([seed, n_units])
    unit = np.repeat(np.arange(n_units), n_cells)
    log_odds = rng.normal(-1, 1, len(unit))
    truth = log_odds + rng.normal(0, apart, n_units)[unit]
    contaminated = rng.random(len(unit)) < 1 / (1 + np.exp(-truth))
    score = 1 / (1 + np.exp(-log_odds))
    return HeldOutScores(score, contaminated, np.ones(len(unit)), unit % 4, unit)


def test_an_end_by_hand():
    # Log-odds 0, half-widths 0 + 1: low at -ln 3 is 1/4, high at ln 9 is 9/10.
    interval = constant_widths(np.log(3), np.log(9))
    half, nothing = np.array([0.5]), np.zeros(1)
    low, high = interval.bounds(half, half, nothing)
    assert (low[0], high[0]) == (pytest.approx(0.25), pytest.approx(0.9))
    # Shifted by -ln 3: 1/10, 3/4; a spread of 1 doubles the half-widths: 1/10, 81/82.
    low, high = interval.bounds(half, half, nothing, -np.log(3))
    assert (low[0], high[0]) == (pytest.approx(0.1), pytest.approx(0.75))
    low, high = interval.bounds(half, half, np.ones(1))
    assert (low[0], high[0]) == (pytest.approx(0.1), pytest.approx(81 / 82))


def test_no_scale_is_no_bound():
    half = np.array([0.5])
    low, high = constant_widths(None, None).bounds(half, half, np.zeros(1))
    assert low[0] < 1e-6
    assert high[0] > 1 - 1e-6


@settings(max_examples=40, deadline=None)
@given(
    likelihood=st.lists(st.floats(1e-9, 1 - 1e-9), min_size=1, max_size=30),
    scale=st.floats(0, 30),
    shift=st.floats(-8, 8),
)
def test_the_likelihood_lies_in_its_interval(likelihood, scale, shift):
    likelihood = np.array(likelihood)
    parts = [likelihood, np.clip(likelihood * 0.9, 1e-9, 1)]
    found = estimate(
        likelihood, parts, replace(NONE, shift=shift), constant_widths(scale, scale / 2)
    )
    assert (found.low > 0).all()
    assert (found.low <= found.likelihood).all()
    assert (found.likelihood <= found.high).all()
    assert (found.high < 1).all()
    assert (found.spread >= 0).all()


def test_scales_are_conformal_ranks():
    # 39 units, level 0.9: place ceil(40 * 0.95) = 38 of 39 on each side, so at most one of
    # the units that fitted lies below its interval, and at most one above.
    held_out = units_of_land(39, 0)
    interval = fit_interval("venn_abers", 0.9, NONE, held_out)
    low, high = interval.bounds(held_out.score, held_out.score, None)
    held = coverage(held_out.unit, held_out.contaminated, low, high)
    assert (held["n_below"], held["n_above"]) == (1, 1)
    assert interval.n_units == 39


@pytest.mark.parametrize("level", [0.8, 0.9])
@pytest.mark.parametrize("method", ["venn_abers", "ensemble"])
def test_intervals_hold_on_other_units(method, level):
    spread = None
    shares = []
    for seed in range(12):
        fitted_on, new = units_of_land(80, seed), units_of_land(80, 100 + seed)
        if method == "ensemble":
            spread = np.full(len(new.score), 0.3)
        interval = fit_interval(method, level, NONE, fitted_on, spread)
        low, high = interval.bounds(new.score, new.score, spread)
        shares.append(coverage(new.unit, new.contaminated, low, high)["coverage"])
    assert np.mean(shares) == pytest.approx(level, abs=0.03)


def test_few_units_share_a_scale_and_fewer_give_no_bound():
    few = fit_interval("venn_abers", 0.9, NONE, units_of_land(12, 1))
    assert few.low_scale == few.high_scale
    assert few.note == "12 units: both ends share one scale"
    fewer = fit_interval("venn_abers", 0.9, NONE, units_of_land(8, 1))
    assert (fewer.low_scale, fewer.high_scale) == (None, None)
    assert "too few for an interval of 90%" in fewer.note
    assert "8 units" in fewer.note


def test_units_with_few_cells_do_not_count():
    held_out = units_of_land(40, 2, n_cells=19)
    assert fit_interval("venn_abers", 0.9, NONE, held_out).n_units == 0


def test_an_ensemble_of_one_has_no_interval():
    with pytest.raises(ModelError, match="needs at least two members"):
        fit_interval("ensemble", 0.9, NONE, units_of_land(12, 1))


def test_members_that_agree_have_no_spread():
    score = np.linspace(0.01, 0.99, 30)
    found = estimate(score, [score, score, score], replace(NONE, shift=-1.0), None)
    np.testing.assert_array_equal(found.spread, np.zeros(30))
    assert found.low is None
    assert estimate(score, [score], NONE, None).spread is None


@pytest.mark.parametrize("method", ["venn_abers", "ensemble"])
def test_estimates_do_not_depend_on_how_cells_are_cut(method):
    held_out = units_of_land(40, 5)
    calibrator = fit_calibrator("beta", held_out.score, held_out.contaminated, held_out.weight)
    spread = np.full(len(held_out.score), 0.3) if method == "ensemble" else None
    interval = fit_interval(method, 0.9, calibrator, held_out, spread)
    calibrator = calibrator.shifted(0.3, 0.1)
    score = np.random.default_rng(7).random(20_000)
    score[::97] = np.nan
    parts = [score, score**1.1, score**0.8]
    whole = estimate(score, parts, calibrator, interval)
    for cells in (slice(0, 1), slice(17, 9000), slice(19_999, 20_000), slice(5, 5)):
        some = estimate(score[cells], [part[cells] for part in parts], calibrator, interval)
        for name, values in vars(some).items():
            np.testing.assert_array_equal(values, getattr(whole, name)[cells], name)
    assert np.isnan(whole.low[::97]).all()
    assert (whole.low[1::97] < whole.high[1::97]).all()


def test_the_ends_of_venn_abers_by_their_definition():
    held_out = units_of_land(40, 6)
    calibrator = fit_calibrator("logistic", held_out.score, held_out.contaminated, held_out.weight)
    interval = fit_interval("venn_abers", 0.9, calibrator, held_out)
    score = np.concatenate([np.linspace(0.001, 0.999, 400), held_out.score[:50]])
    steps = [np.array(interval.venn_abers.parameters[name]) for name in ("score", "p0", "p1")]
    p0, p1 = venn_abers_bounds(score, *steps)
    middle = logit(p1 / (1 - p0 + p1))
    below = np.maximum(middle - logit(np.clip(p0, 1e-4, 1)), 0)
    above = np.maximum(logit(np.clip(p1, 0, 1 - 1e-4)) - middle, 0)
    likelihood = calibrator.apply(score)
    low, high = interval.bounds(likelihood, score, None)
    down = interval.low_scale * (below + interval.softening)
    up = interval.high_scale * (above + interval.softening)
    expected = np.maximum(expit(logit(likelihood) - down), 1e-9)
    np.testing.assert_allclose(low, expected, rtol=1e-12)
    expected = np.minimum(expit(logit(likelihood) + up), 1 - 1e-9)
    np.testing.assert_allclose(high, expected, rtol=1e-12)


def test_spread_is_the_standard_deviation():
    np.testing.assert_allclose(
        deviation([np.array([0.1]), np.array([0.2]), np.array([0.6])]), [np.sqrt(0.07)]
    )


@pytest.mark.parametrize("n_units", [8, 12, 40])
def test_an_interval_survives_text_to_the_bit(n_units):
    interval = fit_interval("venn_abers", 0.9, NONE, units_of_land(n_units, 3))
    reread = interval_from_json(json.loads(json.dumps(interval.to_json(), allow_nan=False)))
    assert reread == interval
    score = np.linspace(0, 1, 50)
    inner = np.clip(score, 0.01, 0.99)
    for own, other in zip(
        interval.bounds(inner, score, None), reread.bounds(inner, score, None), strict=True
    ):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "magic"}, "'magic' is not venn_abers or ensemble"),
        ({"level": 1.5}, "level is not in 0–1"),
        ({"low_scale": -1.0}, "negative or not finite"),
        ({"softening": "wide"}, "cannot be read .ValueError"),
    ],
)
def test_altered_intervals_are_refused(change, message):
    values = {**constant_widths(1.0, 1.0).to_json(), **change}
    with pytest.raises(BundleError, match=message):
        interval_from_json(values)
