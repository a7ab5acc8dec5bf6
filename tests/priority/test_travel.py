import numpy as np
import pytest

from hazardrank.priority.travel import travel_factor
from hazardrank.settings import TravelSettings


def test_way_shortens_the_day():
    # 30 km with detour 1 at 60 km/h: an hour there and back of eight, so 8 / 7 as many days.
    settings = TravelSettings(speed_km_per_h=60, detour=1, hours_per_day=8, most_hours=3)
    factors = travel_factor(np.array([0.0, 30_000.0, 90_000.0, 90_001.0]), settings)
    np.testing.assert_allclose(factors, [1, 8 / 7, 8 / 5, np.inf])


def test_detour_lengthens_the_way():
    straight = TravelSettings(detour=1)
    winding = TravelSettings(detour=2)
    assert travel_factor(np.array([20_000.0]), straight) == pytest.approx(
        travel_factor(np.array([10_000.0]), winding)
    )
