from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hazardrank.errors import FeatureError, SettingsError
from hazardrank.priority.criteria.timing import PlanSettings, plan_factors, years_between
from hazardrank.settings import validate
from tests.priority.cases import TODAY, table_of


def plans(planned, **columns):
    return table_of([None] * len(planned), planned=planned, **columns)


def settings_of(**values):
    return PlanSettings(criterion="any", **values)


def test_years_between_counts_days():
    days = np.array(["2025-01-01", "2026-01-01", "2024-01-02", "NaT"], dtype="datetime64[D]")
    expected = [0, 365 / 365.25, -365 / 365.25, np.nan]
    assert years_between(TODAY, days) == pytest.approx(expected, nan_ok=True)


def test_half_life_by_hand():
    table = plans(["2025-01-01", "2027-01-01", "2029-01-01"])
    factors = plan_factors(table, settings_of(half_life_years=2), TODAY, "this")
    assert factors == pytest.approx([1, 0.5, 0.25], rel=1e-3)


def test_discount_rate_by_hand():
    table = plans(["2025-01-01", "2026-01-01"])
    factors = plan_factors(table, settings_of(discount_rate=0.25), TODAY, "this")
    assert factors == pytest.approx([1, 0.8], rel=1e-3)


def test_overdue_counts_fully_and_undated_as_if_in_some_years():
    table = plans(["2001-01-01", "2024-12-31", None])
    factors = plan_factors(table, settings_of(half_life_years=3, undated_years=3), TODAY, "this")
    assert factors.tolist() == [1, 1, 0.5]


def test_what_is_there_counts_fully_and_what_was_given_up_not_at_all():
    table = plans(["2035-01-01"] * 3, status=["completed", "cancelled", "planned"])
    factors = plan_factors(table, settings_of(half_life_years=10), TODAY, "this")
    assert factors == pytest.approx([1, 0, 0.5], rel=1e-3)


def test_without_a_discount_dates_need_not_be_there():
    factors = plan_factors(table_of([None, None]), settings_of(), TODAY, "this")
    assert factors.tolist() == [1, 1]
    with pytest.raises(FeatureError, match=r"this: the layer has no column 'planned'"):
        plan_factors(table_of([None]), settings_of(discount_rate=0.1), TODAY, "this")


def test_half_life_and_rate_exclude_each_other():
    values = {"criterion": "any", "half_life_years": 1, "discount_rate": 0.1}
    with pytest.raises(SettingsError, match="half_life_years or discount_rate, not both"):
        validate(PlanSettings, values, "this")


@given(
    days=st.lists(st.dates(date(1990, 1, 1), date(2060, 1, 1)), min_size=2, max_size=12),
    half_life=st.floats(0.1, 50),
)
def test_what_comes_later_never_counts_more(days, half_life):
    factors = plan_factors(
        plans(sorted(days)), settings_of(half_life_years=half_life), TODAY, "this"
    )
    assert (np.diff(factors) <= 0).all()
    assert (factors[[day <= TODAY for day in sorted(days)]] == 1).all()
