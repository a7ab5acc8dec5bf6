from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hazardrank.errors import SettingsError
from hazardrank.priority.effort import Effort, effort_of, season_factor
from hazardrank.priority.ground import Ground
from hazardrank.settings import EffortSettings, validate

MANUAL = {"unit": "deminer", "units_per_team": 10, "m2_per_unit_day": 25, "usd_per_m2": 4}
DOGS = {"unit": "pair of dogs", "units_per_team": 1, "m2_per_unit_day": 800, "usd_per_m2": 2}
FLAIL = {
    "unit": "machine",
    "units_per_team": 1,
    "m2_per_unit_day": 5000,
    "usd_per_m2": 1,
    "follow_up": "manual",
    "follow_up_share": 0.5,
}


def settings_of(**methods):
    return EffortSettings(methods=methods)


def ground_of(slope_deg=(0.0,), vegetation=None, devices=None, cell_area_m2=10_000.0) -> Ground:
    return Ground(
        np.array([slope_deg], np.float32),
        {name: np.array([shares], np.float32) for name, shares in (vegetation or {}).items()},
        {name: np.array([there], bool) for name, there in (devices or {}).items()},
        cell_area_m2,
    )


def days_of(method, ground, **changes):
    return effort_of(ground, settings_of(manual={**method, **changes})).team_days[0, 0]


def test_a_hectare_of_good_ground():
    effort = effort_of(ground_of(), settings_of(manual=MANUAL, dogs=DOGS))
    assert effort.methods == ("manual", "dogs")
    # 10,000 m² at 250 and at 800 m² per team-day
    assert effort.team_days[:, 0, 0].tolist() == [40, 12.5]
    assert effort.cost_usd[:, 0, 0].tolist() == [40_000, 20_000]
    assert not effort.follow_up_days.any()


def test_a_machine_needs_its_follow_up():
    effort = effort_of(ground_of(), settings_of(manual=MANUAL, flail=FLAIL))
    # 2 machine-days, then 20 manual team-days for half of the hectare
    assert effort.team_days[1, 0, 0] == 2
    assert effort.follow_up_days[1, 0, 0] == 20
    assert effort.total_days[1, 0, 0] == 22
    assert effort.cost_usd[1, 0, 0] == 10_000 + 20_000


def test_slope_factors_lie_on_straight_lines_and_end_at_the_limit():
    ground = ground_of([0, 10, 20, 25, 26])
    days = days_of(MANUAL, ground, slope_time=[(0, 1), (20, 2)], max_slope_deg=25)
    assert days.tolist() == [40, 60, 80, 80, np.inf]


def test_vegetation_goes_by_share():
    ground = ground_of([0, 0, 0], vegetation={"forest": [0, 0.5, 1], "bare": [1, 0.5, 0]})
    days = days_of(MANUAL, ground, vegetation_time={"forest": 3})
    assert days.tolist() == [40, 80, 120]


def test_excluded_vegetation_covers_more_than_half():
    ground = ground_of([0, 0, 0], vegetation={"forest": [0.5, 0.6, 0.3], "water": [0, 0, 0.3]})
    days = days_of(MANUAL, ground, excluded_vegetation=["forest", "water"])
    assert days.tolist() == [40, np.inf, np.inf]


def test_the_largest_device_factor_counts():
    ground = ground_of([0, 0, 0], devices={"AP": [0, 1, 1], "IED": [0, 0, 1], "AT": [1, 0, 0]})
    times = {"AP": 1.5, "IED": 2}
    assert days_of(MANUAL, ground, device_time=times).tolist() == [40, 60, 80]
    assert days_of(MANUAL, ground, excluded_devices=["AT"]).tolist() == [np.inf, 40, 40]


def test_a_factor_below_one_is_kept():
    ground = ground_of([0, 0], devices={"UXO": [0, 1]})
    assert days_of(MANUAL, ground, device_time={"UXO": 0.5}).tolist() == [40, 20]


def test_seasons():
    winter = {**MANUAL, "season_time": {1: 2.0}, "closed_months": [2]}
    settings = settings_of(manual=winter)
    ground = ground_of()
    by_month = [effort_of(ground, settings, month).team_days[0, 0, 0] for month in (None, 1, 2, 7)]
    assert by_month == [40, 80, np.inf, 40]
    own = EffortSettings(methods={"manual": winter}, month=1)
    assert effort_of(ground, own).team_days[0, 0, 0] == 80
    assert season_factor(settings.used["manual"], 2) == np.inf


def test_a_machine_cannot_go_where_its_follow_up_cannot():
    steep = {**MANUAL, "max_slope_deg": 20}
    settings = settings_of(manual=steep, flail={**FLAIL, "max_slope_deg": 60})
    effort = effort_of(ground_of([30]), settings)
    assert np.isinf(effort.team_days[1]).all()
    assert np.isinf(effort.follow_up_days[1]).all()
    assert np.isinf(effort.cost_usd[1]).all()


def test_the_best_method_of_each_cell():
    cheap = {**MANUAL, "usd_per_m2": 1, "max_slope_deg": 40}
    settings = settings_of(manual=cheap, dogs={**DOGS, "max_slope_deg": 20})
    effort = effort_of(ground_of([5, 30, 50]), settings)
    by_days, by_cost = effort.best("team_days"), effort.best("cost")
    assert by_days.method.tolist() == [[1, 0, -1]]
    assert by_days.names.tolist() == [["dogs", "manual", ""]]
    assert by_days.team_days.tolist() == [[12.5, 40, np.inf]]
    assert by_cost.method.tolist() == [[0, 0, -1]]
    assert by_cost.cost_usd.tolist() == [[10_000, 10_000, np.inf]]


def test_equal_methods_go_to_the_first():
    settings = settings_of(b=MANUAL, a=MANUAL)
    assert effort_of(ground_of(), settings).best("team_days").names.tolist() == [["b"]]


def test_best_works_on_tasks_too():
    tasks = Effort(
        ("a", "b"), np.array([[1.0, 9.0], [2.0, 3.0]]), np.zeros((2, 2)), np.ones((2, 2))
    )
    assert tasks.best("team_days").names.tolist() == ["a", "b"]


@given(
    slope=st.floats(0, 60),
    steeper=st.floats(0, 30),
    share=st.floats(0, 1),
    area_m2=st.floats(100, 1e6),
)
def test_harder_ground_never_takes_less(slope, steeper, share, area_m2):
    method = {**MANUAL, "slope_time": [(0, 1), (30, 2)], "vegetation_time": {"forest": 2}}
    settings = settings_of(manual=method, flail={**FLAIL, "slope_time": [(0, 1), (10, 3)]})
    ground = ground_of(
        [slope, slope + steeper], vegetation={"forest": [share / 2, share]}, cell_area_m2=area_m2
    )
    effort = effort_of(ground, settings)
    for values in (effort.team_days, effort.follow_up_days, effort.cost_usd):
        assert (values[:, 0, 1] >= values[:, 0, 0]).all()
    assert effort.team_days.min() >= 0
    twice = effort_of(
        ground_of([slope], vegetation={"forest": [share / 2]}, cell_area_m2=2 * area_m2), settings
    )
    assert twice.total_days[:, 0, 0] == pytest.approx(2 * effort.total_days[:, 0, 0])


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({}, r"effort\.methods names no method"),
        ({"a": {**MANUAL, "follow_up": "b", "follow_up_share": 1}}, "there is no such method"),
        ({"a": {**MANUAL, "follow_up": "b"}}, "follow_up_share above 0 go together"),
        (
            {"a": {**FLAIL, "follow_up": "b"}, "b": {**FLAIL, "follow_up": "c"}, "c": MANUAL},
            r"a\.follow_up = b, which needs a follow-up itself",
        ),
        ({"a": {**MANUAL, "slope_time": [(10, 1), (5, 2)]}}, "slopes must rise"),
        ({"a": {**MANUAL, "season_time": {13: 2.0}}}, "season_time"),
    ],
)
def test_methods_that_make_no_sense(methods, message):
    with pytest.raises(SettingsError, match=message):
        validate(EffortSettings, {"methods": methods}, "effort")


def test_a_method_can_be_switched_off():
    assert list(EffortSettings(methods={"a": MANUAL, "b": None}).used) == ["a"]
