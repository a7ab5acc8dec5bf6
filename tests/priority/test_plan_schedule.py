import numpy as np

from hazardrank.priority.plan_schedule import Schedule
from tests.priority.plan_cases import day, season


def test_tasks_go_where_there_is_time():
    schedule = Schedule(season([1, 1, 1], [4, 5, 2]))
    schedule.place(0, 0, 2.0)
    assert schedule.earliest(1, 0) is None  # 0-2 and 6-10 are left
    assert schedule.earliest(2, 0) == 0.0
    assert schedule.earliest(2, 0, not_before=0.5) == 6.0
    assert schedule.longest_free(0) == 4.0


def test_nothing_is_worked_in_closed_months():
    schedule = Schedule(season([1, 1], [20, 25], (90,), closed={0: [1], 1: [2]}))
    assert schedule.earliest(0, 0) == 31.0
    schedule.place(0, 0, 31.0)
    assert schedule.earliest(1, 0) == 0.0
    schedule.place(1, 0, 0.0)
    assert schedule.longest_free(0) == 39.0


def test_behind_another_task_work_starts_when_that_is_done():
    problem = season([1, 1], [2.5, 2], (10, 10), before=[(0, 1)])
    schedule = Schedule(problem)
    assert schedule.earliest(1, 0) is None
    schedule.place(0, 0, 0.0)
    assert schedule.earliest(1, 0) == 2.5  # right then in the same team
    assert schedule.earliest(1, 1) == 3.0  # the next morning in another


def test_plan_has_dates_harm_and_tables():
    problem = season([8, 6], [4, 3], (10, 10), deadline={0: 5}, district=["a", "b"], late_share=0.5)
    schedule = Schedule(problem)
    schedule.place(0, 0, 3.0)
    schedule.place(1, 1, 0.0)
    plan = schedule.plan("by hand", bound=20.0)
    assert plan.averted == 10.0  # the first is late
    assert plan.gap == 0.5
    table = plan.table()
    assert table["task_id"].tolist() == ["T0", "T1"]
    assert table["start"].tolist() == [day(3), day(0)]
    assert table["end"].tolist() == [day(6), day(2)]
    assert table["late"].tolist() == [True, False]
    assert table["place"].tolist() == [1, 1]
    np.testing.assert_allclose(plan.use()["team_days"], [4, 3])


def test_empty_plan():
    plan = Schedule(season([], np.zeros((0, 1)))).plan("nobody")
    assert plan.averted == 0
    assert plan.gap == 1.0
    assert len(plan.table()) == 0
