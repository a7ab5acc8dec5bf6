from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.reporting.classes import ROUND_LIMITS_PERCENT, LikelihoodClasses


def test_labels_name_the_limits():
    classes = LikelihoodClasses((0.5, 2.0, 10.0))
    assert classes.labels == ["below 0.5 %", "0.5–2 %", "2–10 %", "10 % or more"]
    assert classes.n_classes == 4


def test_a_value_on_a_limit_belongs_to_the_class_above():
    classes = LikelihoodClasses((1.0, 5.0, 20.0))
    values = np.array([0.0, 0.00999, 0.01, 0.0499, 0.05, 0.2, 1.0], dtype=np.float32)
    assert classes.index(values).tolist() == [0, 0, 1, 1, 2, 3, 3]


def test_shares_leave_missing_cells_out():
    classes = LikelihoodClasses((10.0,))
    shares = classes.shares(np.array([0.05, 0.5, 0.6, 0.7, np.nan]))
    assert shares.tolist() == [0.25, 0.75]


def test_limits_fit_an_area_of_which_two_percent_are_contaminated():
    likelihood = np.random.default_rng(5).beta(0.3, 15, 20_000)
    classes = LikelihoodClasses.fitting(likelihood)
    assert likelihood.mean() == pytest.approx(0.02, abs=0.003)
    assert classes.n_classes >= 6
    assert classes.limits_percent[-1] <= 20
    assert classes.shares(likelihood).max() < 0.5


def test_limits_fit_an_area_of_which_a_third_are_contaminated():
    likelihood = np.random.default_rng(5).beta(2, 4, 20_000)
    classes = LikelihoodClasses.fitting(likelihood)
    # scipy.stats.beta(2, 4).ppf of the shares: 0.20, 0.33, 0.45, 0.58, 0.68, 0.78; and
    # 33 lies nearer to 35 than to 30.
    assert classes.limits_percent == (20.0, 35.0, 45.0, 60.0, 70.0, 80.0)


def test_one_value_and_no_value_still_have_a_legend():
    assert LikelihoodClasses.fitting(np.full(9, 0.021)).limits_percent == (2.0,)
    assert LikelihoodClasses.fitting(np.full(9, np.nan)).n_classes == 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_classes_rise_cover_every_value_and_add_up(values):
    likelihood = np.array(values)
    classes = LikelihoodClasses.fitting(likelihood)
    assert all(low < high for low, high in pairwise(classes.limits_percent))
    assert set(classes.limits_percent) <= set(ROUND_LIMITS_PERCENT)
    assert len(classes.labels) == classes.n_classes
    assert classes.shares(likelihood).sum() == pytest.approx(1)
    assert (np.diff(classes.index(np.sort(likelihood))) >= 0).all()
