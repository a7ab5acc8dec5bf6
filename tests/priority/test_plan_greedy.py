import numpy as np
import pytest

from hazardrank.errors import PriorityError
from hazardrank.priority.plan_greedy import greedy_choice
from hazardrank.priority.plan_options import options_of
from tests.priority.plan_cases import season


def chosen(problem):
    options = options_of(problem)
    return sorted(options.task[greedy_choice(problem, options)].tolist())


def test_most_harm_per_team_day_first():
    # Rates 3, 2, 1.8: the first and second take 7 of 10 days, the third does not fit.
    assert chosen(season([9, 8, 9], [3, 4, 5])) == [0, 1]


def test_what_lies_in_front_comes_along_and_counts():
    # Task 1 averts 10 in 2 days but brings the 8 days of task 0 along: 1 a day, less than 2.
    assert chosen(season([0, 10, 4], [8, 2, 2], before=[(0, 1)])) == [2]
    # With 3 days before it, it is 2 a day together, and more than what is left alone.
    assert chosen(season([0, 10, 4], [3, 2, 6], before=[(0, 1)])) == [0, 1]


def test_locked_in_comes_first_and_locked_out_never():
    assert chosen(season([1, 50, 50], [8, 5, 2], locked_in=[0], locked_out=[1])) == [0, 2]


def test_too_much_locked_in_is_refused():
    with pytest.raises(PriorityError, match="'T1' is locked in, but does not fit beside"):
        chosen(season([1, 1], [6, 6], locked_in=[0, 1]))
    with pytest.raises(PriorityError, match="'T0' is locked in, but no team can do it"):
        chosen(season([1], [[np.inf]], locked_in=[0]))


def test_districts_have_their_share_of_team_days():
    problem = {"harm": [30, 20, 2, 1], "days": [5, 5, 3, 2], "district": ["a", "a", "b", "b"]}
    assert chosen(season(**problem)) == [0, 1]
    assert chosen(season(**problem, district_shares={"b": 0.3})) == [0, 2, 3]


def test_districts_have_their_share_of_the_planned_area():
    # Of 3000 m² planned, b has a third; without its share a has all of them.
    problem = {"harm": [9, 9, 9, 1], "days": [3, 3, 3, 4], "district": ["a", "a", "a", "b"]}
    assert chosen(season(**problem)) == [0, 1, 2]
    shares = {"district_shares": {"b": 0.3}, "share_of": "area"}
    assert chosen(season(**problem, **shares)) == [0, 1, 3]
