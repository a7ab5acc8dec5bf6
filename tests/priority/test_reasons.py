from __future__ import annotations

import numpy as np
import pytest

from hazardrank.priority.criteria.base import CriterionSpec
from hazardrank.priority.methods import rank
from hazardrank.priority.reasons import Parts, parts_of, phrases_of, plain_reasons
from hazardrank.priority.tasks_words import Phrase
from tests.priority.method_cases import METHOD_NAMES, land, own_settings, random_land, settings_of


def test_a_product_is_shared_without_a_rest():
    alternatives = random_land(np.random.default_rng(1), 31)
    ranking = rank(alternatives, settings_of())
    parts = parts_of(ranking)
    assert parts.names == ("c0", "c1", "c2", "likelihood", "effort")
    ratio = ranking.scores / np.exp(
        np.log(np.median(alternatives.likelihood))
        - np.log(np.median(alternatives.team_days / alternatives.area_ha))
        + np.log(np.median(alternatives.consequence / 3, axis=0).sum())
    )
    assert parts.moves.sum(axis=1) == pytest.approx(np.log(ratio))


def test_twice_the_likelihood_and_twice_the_work_cancel():
    ranking = rank(
        land((0.5, 0.5, 0.1, 10), (0.5, 0.5, 0.1, 10), (0.5, 0.5, 0.2, 20)), settings_of()
    )
    assert parts_of(ranking).moves[2] == pytest.approx([0, 0, np.log(2), -np.log(2)])
    assert not parts_of(ranking).moves[:2].any()


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_what_is_better_than_the_median_raises(method):
    """One task is better in its first criterion, and only there."""
    same = (0.5, 0.5, 0.3, 20)
    alternatives = land(same, (0.9, *same[1:]), same)
    ranking = rank(alternatives, own_settings(method, alternatives))
    moves = parts_of(ranking).moves
    assert moves[1, 0] > 0
    assert moves[1, 1:] == pytest.approx(0, abs=1e-12)
    assert moves[[0, 2]] == pytest.approx(0, abs=1e-12) or method == "promethee"


def test_the_order_decides_before_the_size():
    alternatives = land((0.5, 0.1, 0.1, 9), (0.5, 0.1, 0.1, 9), (0.52, 0.9, 0.9, 9))
    settings = settings_of("lexicographic", order=["people", "water", "likelihood"])
    moves = parts_of(rank(alternatives, settings)).moves[2]
    assert moves[0] > moves[1] > moves[2] > 0
    assert moves[3] == 0


def test_no_tasks_need_no_reasons():
    ranking = rank(land(), settings_of())
    assert parts_of(ranking).moves.shape == (0, 4)


def test_reasons_name_the_largest_move_first_with_units():
    parts = Parts(("a", "b", "c"), np.array([[1.0, -3.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, 1.0]]))
    phrases = [Phrase("people", "people"), Phrase("distance to roads", "m"), Phrase("water")]
    quantities = np.array([[120.0, 450.0, 0.25], [0, 50, np.nan], [5.0, np.nan, 0.5]])
    assert plain_reasons(parts, quantities, phrases, 2).tolist() == [
        [
            "Lowers its rank: distance to roads 450 m; median task 250 m",
            "Raises its rank: people 120 people; median task 5 people",
        ],
        ["", ""],
        [
            "Raises its rank: people 5 people; median task 5 people",
            "Raises its rank: distance to roads not known; median task 250 m",
        ],
    ]


def test_fewer_parts_than_reasons():
    parts = Parts(("a",), np.ones((1, 1)))
    reasons = plain_reasons(parts, np.ones((1, 1)), [Phrase("people", "people")], 3)
    assert reasons.shape == (1, 3)
    assert reasons[0, 1:].tolist() == ["", ""]


def test_criteria_are_said_by_what_they_measure():
    specs = [
        CriterionSpec("roads", "nearness", "m", ("roads",), ""),
        CriterionSpec("farmland", "land_use", "1", ("land_cover",), ""),
        CriterionSpec("people", "people", "people", ("settlements",), ""),
    ]
    said = [phrase.said(0.25, 300) for phrase in phrases_of(specs)]
    assert said == [
        "distance to roads 0 m; median task 300 m",
        "share of farmland 25 %; median task 3e+04 %",
        "near, weighed by distance: 0.25 people; median task 300 people",
        "mean contamination likelihood 0.25; median task 300",
        "work 0.25 team-days per ha; median task 300 team-days per ha",
    ]
