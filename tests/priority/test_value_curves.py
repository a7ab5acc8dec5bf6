import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hazardrank.errors import SettingsError
from hazardrank.priority.value_curves import curve_values, describe
from hazardrank.settings import CurveSettings, validate

CURVES = {
    "linear": {"zero_at": 100.0, "one_at": 300.0},
    "falling": {"shape": "linear", "zero_at": 300.0, "one_at": 100.0},
    "threshold": {"at": 200.0},
    "exponential": {"half_at": 200.0},
    "power": {"half_at": 200.0, "exponent": 2.0},
    "logistic": {"half_at": 200.0, "nine_tenths_at": 300.0},
}


def curve_of(name: str) -> CurveSettings:
    return CurveSettings(**{"shape": name, **CURVES[name]})


@pytest.mark.parametrize(
    ("name", "quantity", "expected"),
    [
        ("linear", [0, 100, 150, 300, 900], [0, 0, 0.25, 1, 1]),
        ("falling", [0, 100, 150, 300, 900], [1, 1, 0.75, 0, 0]),
        ("threshold", [199, 200, 201], [0, 1, 1]),
        ("exponential", [0, 200, 400, 600], [1, 1 / 2, 1 / 4, 1 / 8]),
        # d0 = 200 / (√2 − 1); at d0 the value is (1 + 1)^−2
        ("power", [0, 200, 200 / (2**0.5 - 1)], [1, 1 / 2, 1 / 4]),
        ("logistic", [100, 200, 300, 400], [0.1, 0.5, 0.9, 81 / 82]),
    ],
)
def test_values_by_hand(name, quantity, expected):
    assert curve_values(curve_of(name), np.array(quantity, float)) == pytest.approx(expected)


def test_below_turns_a_threshold_round():
    curve = CurveSettings(shape="threshold", at=2, below=True)
    assert curve_values(curve, np.array([1, 2, 3])).tolist() == [1, 1, 0]


def test_power_falls_slower_far_away_than_exponential():
    far = np.array([2000.0])
    assert curve_values(curve_of("power"), far) > 10 * curve_values(curve_of("exponential"), far)


@pytest.mark.parametrize("name", CURVES)
@given(quantity=st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20))
def test_values_stay_in_0_to_1_and_go_one_way(name, quantity):
    values = curve_values(curve_of(name), np.sort(quantity))
    assert values.min() >= 0
    assert values.max() <= 1
    falls = name in ("falling", "exponential", "power")
    assert (np.diff(values) <= 1e-12).all() if falls else (np.diff(values) >= -1e-12).all()


@pytest.mark.parametrize("name", CURVES)
def test_infinite_and_missing(name):
    far, missing = curve_values(curve_of(name), np.array([np.inf, np.nan]))
    assert far == pytest.approx(0 if name in ("falling", "exponential", "power") else 1)
    assert np.isnan(missing)


@pytest.mark.parametrize("name", CURVES)
def test_a_value_depends_on_its_own_quantity_alone(name):
    quantity = np.random.default_rng(3).uniform(0, 900, 1003)
    whole = curve_values(curve_of(name), quantity)
    for start in (1, 2, 7):
        assert curve_values(curve_of(name), quantity[start:]).tobytes() == whole[start:].tobytes()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": "linear", "zero_at": 1}, "a linear curve needs one_at"),
        ({"shape": "linear", "zero_at": 1, "one_at": 1}, "zero_at and one_at must differ"),
        ({"shape": "threshold", "at": 1, "half_at": 2}, "half_at is not for a threshold curve"),
        ({"shape": "exponential", "half_at": 0}, "half_at 0.0 must be above 0"),
        ({"shape": "logistic", "half_at": 1, "nine_tenths_at": 1}, "must differ"),
    ],
)
def test_curves_that_make_no_sense_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        validate(CurveSettings, values, "curve")


def test_curves_in_words():
    assert describe(curve_of("exponential"), "m") == "half at 200 m (exponential)"
    assert describe(curve_of("linear"), "people") == "0 at 100, 1 at 300 people (linear)"
    assert describe(curve_of("threshold"), "m") == "1 from 200 m, else 0"
    assert describe(curve_of("logistic"), "m") == "half at 200, 0.9 at 300 m (logistic)"
