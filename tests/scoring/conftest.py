import dataclasses

import numpy as np
import pytest

from hazardrank.features.base import FeatureSpec
from hazardrank.grid import SurveyGrid
from hazardrank.model.applicability import fit_applicability
from hazardrank.model.boosted import BoostedTrees
from hazardrank.model.bundle import Bundle
from hazardrank.settings import ApplicabilitySettings, LayerSettings, ModelSettings
from hazardrank.sources.memory import MemoryLayers
from hazardrank.validation.learner import InnerFold, TrainingSide

SPECS = tuple(
    FeatureSpec(name, unit, "height", "test", "A feature.")
    for name, unit in (("height_m", "m"), ("easting_m", "m"))
)


class HeightAndEasting:
    """A feature set of two features, as scoring sees one."""

    specs = SPECS

    def block(self, grid, layers, known):
        easting = np.broadcast_to(grid.eastings(), grid.shape).astype(np.float32)
        height = layers.continuous("height", grid)
        return np.stack([height, np.where(np.isnan(height), np.nan, easting)])


@pytest.fixture
def features():
    return HeightAndEasting()


@pytest.fixture(scope="session")
def bundle():
    rng = np.random.default_rng(1)
    matrix = rng.uniform((0, 0), (1000, 4000), (600, 2)).astype(np.float32)
    contaminated = rng.random(600) < 0.1 + 0.8 * (matrix[:, 0] > 500)
    rows = np.arange(600)
    inner = tuple(InnerFold(matrix, rows[rows % 2 != k], rows[rows % 2 == k]) for k in (0, 1))
    settings = ModelSettings(max_rounds=20, early_stopping_rounds=5, num_leaves=7)
    learner = BoostedTrees(settings, SPECS, 1, 0)
    side = TrainingSide(matrix, contaminated, np.ones(600, np.float32), inner)
    return Bundle.of(learner.fit(side), learner, {"protocol": "new_district"})


@pytest.fixture(scope="session")
def careful(bundle):
    """A bundle whose training cells reach only 2,000 m east, as its domain knows."""
    matrix = np.random.default_rng(4).uniform((0, 0), (1000, 2000), (300, 2)).astype(np.float32)
    rows = np.arange(300)
    domain, _ = fit_applicability(
        matrix,
        bundle.specs,
        {"height_m": 0.5, "easting_m": 0.5},
        [(rows[rows % 2 != k], rows[rows % 2 == k]) for k in (0, 1)],
        np.full(300, 0.1),
        ApplicabilitySettings(max_reference_cells=100),
        0,
    )
    return dataclasses.replace(bundle, applicability=domain)


@pytest.fixture(scope="session")
def grid():
    return SurveyGrid("EPSG:32638", 100, 0, 400, 37, 41)


@pytest.fixture(scope="session")
def layers(grid):
    height = np.random.default_rng(2).uniform(0, 1000, grid.shape).astype(np.float32)
    height[5, 7:10] = np.nan
    inside = np.ones(grid.shape, bool)
    inside[:, 30:] = False
    catalogue = {"height": LayerSettings(path="height.tif", kind="continuous", unit="m")}
    return MemoryLayers(grid, catalogue, rasters={"height": (grid, height)}, inside=inside)
