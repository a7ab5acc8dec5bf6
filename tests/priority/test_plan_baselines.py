import numpy as np

from hazardrank.priority.plan_baselines import nearest_first, rank_order
from tests.priority.plan_cases import check_rules, names, random_season, season


def test_ranks_are_followed_as_far_as_tasks_fit():
    plan = rank_order(season([1, 9, 5], [6, 5, 4]), np.array([1, 2, 3]))
    assert names(plan) == ["T0", "T2"]
    assert plan.how == "rank order"


def test_tasks_without_a_rank_come_last():
    assert names(rank_order(season([9, 1], [6, 6]), np.array([0, 4]))) == ["T1"]


def test_what_lies_in_front_is_done_on_the_way():
    problem = season([0, 0, 9, 9], [2, 2, 2, 5], before=[(0, 1), (1, 2)])
    plan = rank_order(problem, np.array([3, 3, 1, 2]))
    assert plan.table()["task_id"].tolist() == ["T0", "T1", "T2"]


def test_nearest_first_goes_by_the_nearest_team_that_can():
    distance_m = np.array([[5.0, 90.0], [50.0, 60.0], [np.nan, np.nan]])
    days = np.array([[np.inf, 10], [10, 10], [10, 10]])
    problem = season([1, 1, 9], days, (10, 10), distance_m=distance_m)
    plan = nearest_first(problem)
    assert plan is not None
    assert names(plan) == ["T0", "T1"]


def test_no_distances_no_plan():
    assert nearest_first(season([1], [1])) is None
    assert nearest_first(season([1], [1], distance_m=np.full((1, 1), np.nan))) is None


def test_the_same_rules_are_kept():
    for seed in range(30):
        problem = random_season(np.random.default_rng(seed), 8, plain=False)
        check_rules(rank_order(problem, np.arange(1, 9)))
