"""One small district, simulated once, for all tests that only look at it."""

import pytest

from hazardrank.settings import DistrictSettings
from hazardrank.simulate.district import make_district


@pytest.fixture(scope="session")
def settings():
    return DistrictSettings(size_km=10, seed=3)


@pytest.fixture(scope="session")
def district(settings):
    return make_district(settings)


@pytest.fixture(scope="session")
def scene(district):
    return district.scene
