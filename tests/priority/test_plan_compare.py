import numpy as np

from hazardrank.priority.plan_baselines import rank_order
from hazardrank.priority.plan_compare import changes, totals_of
from tests.priority.plan_cases import season


def test_totals_of_a_plan():
    problem = season([8, 6, 4], [5, 5, 5], deadline={0: 4, 1: 4, 2: 4}, late_share=0.5)
    totals = totals_of(rank_order(problem, np.array([1, 2, 3])), bound=22.0)
    assert totals == {
        "plan": "rank order",
        "tasks": 2,
        "harm_averted": 11.0,
        "share_of_bound": 0.5,
        "team_days": 10.0,
        "area_m2": 2000.0,
        "in_time": 1,
        "with_deadline": 3,
    }


def test_two_plans_show_who_gains_and_who_waits():
    tasks = {"harm": [9, 8, 7, 1], "days": [5, 5, 5, 5], "district": ["west", "", "east", "east"]}
    ranks = np.array([1, 2, 3, 4])
    before = rank_order(season(**tasks), ranks)
    after = rank_order(season(**tasks, locked_in=[2], locked_out=[1]), ranks)
    table = changes(before, after).set_index("district")
    assert table.index.tolist() == ["east", "west", "", "all districts"]
    assert table["verdict"].tolist() == ["gains", "as before", "waits", "waits"]
    assert table["harm_change"].tolist() == [7, 0, -8, -1]
    assert table["tasks_gained"].tolist() == [1, 0, 0, 1]
    assert table["tasks_waiting"].tolist() == [0, 0, 1, 1]
    assert table["team_days_a"].tolist() == [0, 5, 5, 10]
    assert table["tasks_b"].tolist() == [1, 1, 0, 2]
