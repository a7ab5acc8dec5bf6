from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hazardrank.priority.bands import Band
from hazardrank.priority.gates import GateDecision, GateSet
from hazardrank.priority.priorities import prioritize
from hazardrank.settings import BandSettings, RobustnessSettings, WeightSettings
from tests.priority.method_cases import METHOD_NAMES, land, own_settings, random_land, settings_of


def decision_of(*closed_by: str) -> GateDecision:
    labels = np.array(closed_by, dtype=object)
    return GateDecision(labels == "", labels)


def run(alternatives, decision, settings=None, **values):
    settings = settings or settings_of(robustness=RobustnessSettings(draws=50, top=1))
    likelihood = alternatives.likelihood
    return prioritize(alternatives, settings, decision, likelihood, likelihood, seed=1, **values)


def test_what_waits_has_no_rank():
    alternatives = land([1, 1, 0.9, 9], [1, 1, 0.1, 9], [1, 1, 0.5, 9])
    found = run(alternatives, decision_of("consent", "", ""))
    assert found.rank.tolist() == [0, 2, 1]
    assert np.isnan(found.score).tolist() == [True, False, False]
    assert found.band.tolist() == [Band.WAITS, Band.LOWEST, Band.URGENT]
    assert np.isnan(found.contributions).all(axis=1).tolist() == [True, False, False]
    drawn = found.robustness["around"]
    assert drawn.high.tolist() == [0, 2, 1] or drawn.high.tolist() == [0, 2, 2]
    assert np.isnan(drawn.top_share).tolist() == [True, False, False]


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_what_waits_changes_nothing_for_the_others(method):
    alternatives = random_land(np.random.default_rng(9), 12)
    settings = own_settings(method, alternatives, robustness=RobustnessSettings(draws=0))
    closed = np.array(["funds" if k % 3 == 0 else "" for k in range(12)], dtype=object)
    found = run(alternatives, GateDecision(closed == "", closed), settings)
    opened = np.flatnonzero(closed == "")
    alone = run(alternatives.take(opened), decision_of(*[""] * len(opened)), settings)
    assert found.rank[opened].tolist() == alone.rank.tolist()
    assert found.score[opened].tolist() == alone.score.tolist()
    assert found.band[opened].tolist() == alone.band.tolist()
    assert found.robustness == {}


def test_nothing_open_and_nothing_at_all():
    waits = run(land([1, 1, 1, 1]), decision_of("funds"))
    assert waits.rank.tolist() == [0]
    assert waits.band.tolist() == [Band.WAITS]
    assert waits.robustness == {}
    assert run(land(), decision_of()).rank.tolist() == []


def test_weights_draws_bands_and_unit_are_passed_on():
    settings = settings_of(
        weights=WeightSettings(source="rank_order", order=["schools", "people", "water"]),
        bands=BandSettings(by="score", urgent=0.09, high=0.05, medium=0.01),
        robustness=RobustnessSettings(draws=20, weights=("uniform", "fixed")),
    )
    alternatives = land([1, 0, 0.9, 5], [0, 1, 0.5, 9])
    found = run(
        alternatives,
        decision_of("", ""),
        settings,
        skipped=["schools"],
        unjudged_share=np.array([0.0, 1.0]),
    )
    assert found.weights.values.tolist() == [0.75, 0.25]
    assert found.columns == ("people", "water")
    assert found.unit.endswith("per team-day")
    assert found.score == pytest.approx([0.9 * 0.75 / 5, 0.5 * 0.25 / 9])
    assert found.band.tolist() == [Band.URGENT, Band.MEDIUM]
    assert list(found.robustness) == ["uniform", "fixed"]


def test_gates_to_ranks():
    gates = GateSet({}).decide(
        np.empty((2, 0)), pd.DataFrame(index=range(2)), workable=np.array([True, False])
    )
    found = run(land([1, 1, 0.1, 9], [1, 1, 0.9, np.inf]), gates)
    assert found.rank.tolist() == [1, 0]
    assert found.closed_by.tolist() == ["", "no method can be used here"]
