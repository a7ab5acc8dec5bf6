from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hazardrank.errors import SettingsError
from hazardrank.priority.bands import BAND_LABELS, Band, bands_of
from hazardrank.settings import BandSettings, validate


def bands(ranks, area=None, scores=None, is_open=None, unjudged=None, **values):
    ranks = np.array(ranks)
    area = np.ones(len(ranks)) if area is None else np.array(area, float)
    scores = -ranks.astype(float) if scores is None else np.array(scores, float)
    is_open = None if is_open is None else np.array(is_open, bool)
    unjudged = None if unjudged is None else np.array(unjudged, float)
    found = bands_of(
        ranks, area, scores, BandSettings(**values), is_open=is_open, unjudged_share=unjudged
    )
    return found.tolist()


def test_by_share_of_area_in_rank_order():
    limits = {"urgent": 0.1, "high": 0.3, "medium": 0.6}
    assert bands([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], **limits) == [4, 4, 4, 4, 3, 3, 3, 2, 2, 1]


def test_the_first_task_is_urgent_however_large():
    assert bands([1, 2, 3], area=[80, 10, 10], urgent=0.05, high=0.2, medium=0.85) == [1, 3, 4]


def test_by_score():
    found = bands([1, 2, 3, 4], scores=[9, 5, 2, 1], by="score", urgent=9, high=5, medium=2)
    assert found == [1, 2, 3, 4]


def test_what_waits_is_in_no_band_and_takes_no_area():
    found = bands([1, 2, 3, 4], is_open=[0, 1, 1, 1], urgent=0.3, high=0.5, medium=0.6)
    assert found == [Band.WAITS, Band.URGENT, Band.HIGH, Band.LOWEST]


def test_what_the_model_cannot_judge_is_never_lowest():
    found = bands([1, 2, 3], unjudged=[0.9, 0.9, 0.4], urgent=0.1, high=0.1, medium=0.1)
    assert found == [Band.URGENT, Band.SURVEY_FIRST, Band.LOWEST]
    assert bands([1, 2], unjudged=[1, 1], is_open=[1, 0]) == [Band.URGENT, Band.WAITS]


def test_no_label_promises_anything():
    assert set(BAND_LABELS) == set(Band)
    assert BAND_LABELS[Band.LOWEST] == "Lowest clearance priority – NOT cleared"
    for band in (Band.LOWEST, Band.SURVEY_FIRST, Band.WAITS):
        assert "NOT cleared" in BAND_LABELS[band]


def test_nothing_to_band():
    assert bands([]) == []
    assert bands([1], is_open=[0]) == [Band.WAITS]


@given(area=st.lists(st.floats(1, 1e6), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_a_better_rank_is_never_in_a_lower_band_and_bands_overshoot_by_one_task_at_most(area, seed):
    ranks = np.random.default_rng(seed).permutation(len(area)) + 1
    found = np.array(bands(ranks, area=area))
    order = np.argsort(ranks)
    assert (np.diff(found[order]) >= 0).all()
    area = np.array(area)
    for band, share in ((1, 0.05), (2, 0.20), (3, 0.50)):
        within = found <= band
        last = order[within[order]][-1]
        assert area[within].sum() - area[last] <= share * area.sum() * (1 + 1e-9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"urgent": 0.5, "high": 0.2}, "shares must rise"),
        ({"medium": 1.5}, "be 1 at most"),
        ({"by": "score"}, "scores must fall"),
    ],
)
def test_limits_must_be_in_order(values, message):
    with pytest.raises(SettingsError, match=message):
        validate(BandSettings, values, "bands")
