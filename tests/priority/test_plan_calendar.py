from datetime import date

import numpy as np

from hazardrank.priority.plan_calendar import Team, closed_months_of, team_of
from hazardrank.settings import ClearanceMethodSettings, TeamSettings
from tests.priority.plan_cases import day, team

METHOD = ClearanceMethodSettings(
    unit="deminer",
    units_per_team=10,
    m2_per_unit_day=20,
    usd_per_m2=1,
    season_time={2: 2.0},
    closed_months=[4],
)


def test_working_days_and_what_they_give():
    # From Monday 24 February: a working week in February at half speed, one in March without
    # the Tuesday, and one day less at the end, since April is closed.
    settings = TeamSettings(
        method="manual",
        teams=3,
        start=date(2025, 2, 24),
        end=date(2025, 4, 20),
        days_per_week=5,
        closed=[(date(2025, 3, 4), date(2025, 3, 4)), (date(2025, 3, 8), date(2025, 3, 31))],
        productive_share=0.5,
    )
    ours = team_of("north", settings, METHOD)
    expected = ["02-24", "02-25", "02-26", "02-27", "02-28", "03-03", "03-05", "03-06", "03-07"]
    assert ours.days.astype(str).tolist() == [f"2025-{one}" for one in expected]
    np.testing.assert_allclose(ours.gives, [0.75] * 5 + [1.5] * 4)
    assert ours.capacity == 0.75 * 5 + 1.5 * 4


def test_months_of_the_team_are_closed():
    settings = TeamSettings(
        method="manual", start=date(2025, 1, 1), end=date(2025, 3, 31), closed_months=[1, 2]
    )
    ours = team_of("north", settings, METHOD)
    assert set(ours.days.astype("datetime64[M]").astype(str)) == {"2025-03"}


def test_team_days_become_dates():
    # Two team-days a day, with a pause on the second day of the year.
    ours = Team("a", "manual", np.array([day(0), day(2), day(3)]), np.array([2.0, 2.0, 2.0]))
    assert ours.day_of_start(0) == day(0)
    assert ours.day_of_start(2) == day(2)
    assert ours.day_of_end(2) == day(0)
    assert ours.day_of_end(2.5) == day(2)
    assert ours.day_of_end(6) == day(3)
    assert [ours.until(day(k)) for k in range(-1, 5)] == [0, 2, 2, 4, 6, 6]


def test_stretches_lie_outside_closed_months():
    ours = team("a", 90)  # January (31), February (28), March (31)
    assert ours.stretches(closed_months_of([])) == [(0, 90)]
    assert ours.stretches(closed_months_of([2])) == [(0, 31), (59, 90)]
    assert ours.stretches(closed_months_of([1, 2, 3])) == []
