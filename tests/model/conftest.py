import numpy as np
import pytest

from hazardrank.features.base import FeatureSpec
from hazardrank.validation.learner import InnerFold, TrainingSide

NAMES = ("line_distance_m", "slope_deg", "cover_class", "noise")


@pytest.fixture(scope="session")
def specs():
    return tuple(FeatureSpec(name, "1", "layer", "family", "A feature.") for name in NAMES)


def make_side(n_cells=1200, seed=0, n_inner=3):
    """Return a side whose likelihood falls with distance and is high in class 2."""
    rng = np.random.default_rng([seed, 7])
    distance_m = rng.uniform(0, 5000, n_cells)
    slope_deg = rng.gamma(2, 5, n_cells)
    cover = rng.integers(0, 4, n_cells)
    matrix = np.column_stack([distance_m, slope_deg, cover, rng.normal(size=n_cells)])
    log_odds = 0.5 - distance_m / 1200 + 1.5 * (cover == 2)
    matrix[rng.random(n_cells) < 0.05, 1] = np.nan
    matrix = matrix.astype(np.float32)
    fold = np.arange(n_cells) % n_inner
    inner = tuple(
        InnerFold(matrix, np.flatnonzero(fold != k), np.flatnonzero(fold == k))
        for k in range(n_inner)
    )
    contaminated = rng.random(n_cells) < 1 / (1 + np.exp(-log_odds))
    return TrainingSide(matrix, contaminated, np.ones(n_cells, np.float32), inner)


@pytest.fixture(scope="session")
def side():
    return make_side()


@pytest.fixture(scope="session")
def new_side():
    return make_side(seed=1)
