import numpy as np
import pytest

from hazardrank.errors import PriorityError
from tests.priority.plan_cases import day, season


def test_harm_is_averted_in_time_in_part_or_whole():
    problem = season([10, 10], [1, 1], deadline={0: 4}, late_share=0.3)
    assert problem.harm_averted(0, day(4)) == 10
    assert problem.harm_averted(0, day(5)) == 3
    assert problem.harm_averted(1, day(300)) == 10


def test_all_that_comes_before_and_behind():
    problem = season([1] * 4, [1] * 4, before=[(0, 1), (1, 2), (0, 2)])
    assert problem.all_before(2) == [0, 1]
    assert problem.all_behind(0) == [1, 2]
    assert problem.all_before(3) == []
    assert problem.depth[0] < problem.depth[1] < problem.depth[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"harm": [1, np.nan]}, "expected harm must be 0 or more"),
        ({"harm": [1, -1]}, "expected harm must be 0 or more"),
        ({"days": [1, 0]}, "team-days must be above 0"),
        ({"locked_in": [0], "locked_out": [0]}, "'T0' is locked in and locked out"),
        ({"district_shares": {"west": 0.5}}, "no task lies in a district 'west'"),
        ({"area_m2": np.ones(3)}, r"area_m2 of the plan has the shape \(3,\), not \(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    good = {"harm": [1, 1], "days": [1, 1]}
    with pytest.raises(PriorityError, match=message):
        season(**{**good, **change})


def test_circles_are_refused():
    problem = season([1, 1], [1, 1], before=[(0, 1), (1, 0)])
    with pytest.raises(PriorityError, match="wait for each other in a circle: T"):
        _ = problem.depth
