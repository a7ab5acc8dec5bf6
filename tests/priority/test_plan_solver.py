import multiprocessing

import numpy as np
import pytest
from scipy.sparse import csc_array

from hazardrank.priority.plan_solver import Choices, solve

# The best of ten days: 8 + 9 in nine days rather than 9 + 8 (first two) in seven plus nothing.
KNAPSACK = Choices(
    np.array([9.0, 8.0, 9.5]),
    csc_array(np.array([[3.0, 5.0, 5.0]])),
    np.array([-np.inf]),
    np.array([10.0]),
)


def nobody_left() -> bool:
    return not multiprocessing.active_children()


def test_best_choice_in_a_process_of_its_own(capfd):
    found = solve(KNAPSACK, 60, 0.0)
    assert found.taken is not None
    assert found.taken.tolist() == [1, 0, 1]
    assert found.bound == pytest.approx(18.5)
    assert found.ended == "solved"
    assert nobody_left()
    assert capfd.readouterr().out == ""


def test_search_that_does_not_end_is_ended_by_force():
    # No time at all, not even for the child to begin.
    found = solve(KNAPSACK, 60, 0.0, grace_s=-60)
    assert (found.taken, found.bound, found.ended) == (None, np.inf, "time limit")
    assert nobody_left()


def test_what_cannot_be_is_told():
    impossible = Choices(KNAPSACK.gain, KNAPSACK.rows, np.array([14.0]), np.array([100.0]))
    assert solve(impossible, 60, 0.0).ended == "infeasible"


def test_child_that_dies_is_told():
    broken = Choices(KNAPSACK.gain, None, KNAPSACK.least, KNAPSACK.most)
    found = solve(broken, 60, 0.0)
    assert (found.taken, found.ended) == (None, "failed")
    assert nobody_left()
