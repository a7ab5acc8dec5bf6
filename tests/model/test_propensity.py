"""Survey propensity: weights by hand, and what they do where survey went by access."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from hazardrank.errors import ModelError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.propensity import (
    Sample,
    effective_size,
    inverse_propensity,
    survey_weights,
)
from hazardrank.settings import ModelSettings

SPECS = tuple(
    FeatureSpec(name, "m", "layer", "family", "A feature.") for name in ("road_m", "noise_m")
)


def test_weights_by_hand():
    # A cell as common in the area as among the surveyed weighs 1; four times as common, 4.
    weight, n_cut = inverse_propensity(np.array([0.5, 0.5, 0.2, 0.2]), (0.0, 1.0))
    np.testing.assert_allclose(weight, np.array([1, 1, 4, 4]) / 2.5)
    assert n_cut == 0


def test_wild_weights_are_cut_at_their_quantiles():
    propensity = np.full(101, 0.5)
    propensity[0], propensity[1] = 0.001, 0.999
    weight, n_cut = inverse_propensity(propensity, (0.05, 0.95))
    np.testing.assert_allclose(weight, 1.0)
    assert n_cut == 2


def test_effective_size_by_hand():
    assert effective_size(np.ones(7)) == pytest.approx(7)
    assert effective_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)


def area(n_cells, seed):
    """Cells of a square of 20 km with a road along its western edge."""
    rng = np.random.default_rng(seed)
    easting, northing = rng.uniform(0, 20_000, (2, n_cells))
    matrix = np.column_stack([easting, rng.normal(size=n_cells)]).astype(np.float32)
    return Sample(matrix, easting, northing)


def surveyed_along_the_road(seed=1):
    """Survey that gets three times rarer every 10 km from the road."""
    cells = area(6000, seed)
    kept = np.random.default_rng(9).random(6000) < 3.0 ** (-cells.easting / 10_000)
    return Sample(cells.matrix[kept], cells.easting[kept], cells.northing[kept])


def test_weighted_survey_looks_like_the_area():
    labelled = surveyed_along_the_road()
    # Blocks as large as the bands that differ would leave nothing to learn the ends from.
    found = survey_weights(labelled, area(3000, 2), SPECS, (0.02, 0.98), 1000.0, 0)
    plain = labelled.easting.mean()
    weighted = np.average(labelled.easting, weights=found.weight)
    assert plain < 8500
    assert weighted == pytest.approx(10_000, abs=600)
    assert found.weight.mean() == pytest.approx(1, abs=1e-5)
    facts = found.facts
    assert facts["n_cells"] == len(labelled.easting)
    assert 0.3 * facts["n_cells"] < facts["effective_cells"] < facts["n_cells"]
    assert 0 < facts["smallest"] < 1 < facts["largest"]
    assert 0.55 < facts["roc_auc"] < 0.75


def test_the_same_seed_gives_the_same_weights():
    labelled, cells = surveyed_along_the_road(), area(2000, 2)
    first, second, other = (
        survey_weights(labelled, cells, SPECS, (0.05, 0.95), 2000.0, seed).weight
        for seed in (4, 4, 5)
    )
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


def test_land_that_is_one_block_cannot_be_parted():
    labelled = surveyed_along_the_road()
    with pytest.raises(ModelError, match="cannot be parted into blocks of 1e\\+06 m"):
        survey_weights(labelled, area(500, 2), SPECS, (0.05, 0.95), 1e6, 0)


def test_quantiles_must_rise():
    with pytest.raises(ValidationError, match="lower quantile first"):
        ModelSettings(propensity_truncation=(0.9, 0.1))
