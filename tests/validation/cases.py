"""Small training sets for tests, and a learner that is not ours."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from hazardrank.features.base import RECORDS_LAYER, FeatureSpec
from hazardrank.grid import SurveyGrid
from hazardrank.labels.cells import LabelledCells
from hazardrank.validation.training_set import TrainingSet

CRS = "EPSG:32633"
#: Forty by forty cells of 100 m; its lower-left corner is (500000, 4900000).
GRID = SurveyGrid.covering(CRS, 100, (500_000, 4_900_000, 504_000, 4_904_000))


def cells_at(row, col, outcome, hazard_id=None, decided=None, grid=GRID):
    """Labelled cells at given places."""
    n_cells = len(row)
    nat = np.full(n_cells, np.datetime64("NaT"), "datetime64[D]")
    return LabelledCells(
        grid=grid,
        row=np.asarray(row, np.int32),
        col=np.asarray(col, np.int32),
        outcome=np.asarray(outcome, np.int8),
        weight=np.ones(n_cells, np.float32),
        hazard_id=np.full(n_cells, -1) if hazard_id is None else np.asarray(hazard_id, np.int64),
        decided=nat if decided is None else np.asarray(decided, "datetime64[D]"),
        rule=np.zeros(n_cells, np.int16),
        historical=np.zeros(n_cells, bool),
    )


def spec(name, layer="roads", as_of=None):
    return FeatureSpec(name, "m", layer, "proximity", "A test feature.", as_of)


def training_set(cells, features=None, groups=None, history=None, n_history=1):
    """A training set with the given layer features (noise when left out)."""
    if features is None:
        features = np.random.default_rng([1]).normal(size=(len(cells), 2))
    features = np.asarray(features, np.float32)
    specs = [spec(f"feature_{k}") for k in range(features.shape[1])]
    if history is not None:
        specs += [spec(f"history_{k}", RECORDS_LAYER) for k in range(n_history)]
    return TrainingSet(cells, tuple(specs), features, history, groups)


def scattered(seed=0, n_hazards=40, share_labelled=0.6):
    """Hazards of several neighbouring cells among released ones, with telling features.

    Group names are the quadrants of the grid, and ``""`` along its northern edge.
    """
    rng = np.random.default_rng([seed])
    hazard = np.full(GRID.shape, -1)
    for number in range(n_hazards):
        row, col = rng.integers(0, 38, 2)
        hazard[row : row + int(rng.integers(1, 4)), col : col + int(rng.integers(1, 4))] = number
    row, col = np.nonzero((rng.random(GRID.shape) < share_labelled) | (hazard >= 0))
    hazard_id = hazard[row, col]
    contaminated = hazard_id >= 0
    # A hazard is decided on one day, other cells on any: 2000 to 2009.
    day = np.where(contaminated, (hazard_id * 89) % 3650, (row * 41 + col * 97) % 3650)
    decided = np.datetime64("2000-01-01") + day
    cells = cells_at(row, col, contaminated.astype(np.int8), hazard_id, decided)
    telling = contaminated + rng.normal(0, 1.2, len(row))
    place = np.sin(row / 5.0) + np.cos(col / 7.0)
    names = np.where(row < 20, "N", "S").astype(object) + np.where(col < 20, "W", "E").astype(
        object
    )
    names[row == 0] = ""
    return training_set(cells, np.column_stack([telling, place]), names)


class FakeModel:
    """A fitted logistic regression."""

    rounds = 0

    def __init__(self, model):
        self.model = model

    def scores(self, matrix):
        return self.model.decision_function(np.nan_to_num(matrix))

    def likelihood(self, matrix):
        return self.model.predict_proba(np.nan_to_num(matrix))[:, 1]


class FakeLearner:
    """Learns a logistic regression and remembers what it was shown."""

    def __init__(self):
        self.sides = []

    def fit(self, side):
        self.sides.append(side)
        model = LogisticRegression()
        model.fit(np.nan_to_num(side.matrix), side.contaminated, sample_weight=side.weight)
        return FakeModel(model)
