"""Yes and no of the domain equal the measured distance's, to the bit."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.features.base import FeatureSpec
from hazardrank.model.applicability import fit_applicability
from hazardrank.model.membership import largest_inside
from hazardrank.settings import ApplicabilitySettings

NAMES = ["a", "cover", "b", "c", "d"]
SPECS = [FeatureSpec(name, "1", "layer", "family", "A feature.") for name in NAMES]


def land(n_cells, seed, gaps=0.1):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n_cells, len(NAMES))).astype(np.float32)
    matrix[:, 1] = rng.integers(0, 5, n_cells)
    matrix[rng.random(matrix.shape) < gaps] = np.nan
    matrix[:, 3] = np.where(np.isnan(matrix[:, 3]), 0, matrix[:, 3])
    return matrix


def domain_of(seed=0, n_cells=300, n_kept=5000, gaps=0.1):
    matrix = land(n_cells, seed, gaps)
    rows = np.arange(n_cells)
    return fit_applicability(
        matrix,
        SPECS,
        {"a": 1.0, "cover": 0.6, "b": 0.5, "c": 0.2, "d": 0.0},
        [(rows[rows % 2 != k], rows[rows % 2 == k]) for k in (0, 1)],
        np.zeros(n_cells),
        ApplicabilitySettings(max_reference_cells=n_kept),
        seed,
        categorical=("cover",),
    )[0]


def asked(n_cells, seed):
    matrix = 1.5 * land(n_cells, seed + 100)
    matrix[:, 1] = np.random.default_rng(seed).integers(0, 8, n_cells)
    rng = np.random.default_rng(seed + 7)
    for value in (np.nan, np.inf, -np.inf):
        matrix[rng.random(matrix.shape) < 0.03] = value
    return matrix


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 5),
    n_cells=st.sampled_from([0, 1, 63, 64, 65, 700]),
    threads=st.integers(1, 3),
    scale=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    gaps=st.sampled_from([0.0, 0.1]),
)
def test_it_says_what_measuring_says(seed, n_cells, threads, scale, gaps):
    domain = domain_of(seed, gaps=gaps)
    domain = dataclasses.replace(domain, threshold=domain.threshold * scale)
    matrix = asked(n_cells, seed)
    measured = domain.judge(matrix, NAMES).outside
    said = domain.outside(np.ascontiguousarray(matrix.T), NAMES, threads)
    np.testing.assert_array_equal(said, measured)
    if n_cells == 700 and scale == 1.0:
        assert 0 < measured.mean() < 1


def test_many_cells_in_threads_and_few_reference_cells():
    domain = domain_of(n_cells=3000, n_kept=50)
    matrix = asked(40_000, 3)
    bands = np.ascontiguousarray(matrix.T)
    measured = domain.judge(matrix, NAMES, 2).outside
    for threads in (1, 2):
        np.testing.assert_array_equal(domain.outside(bands, NAMES, threads), measured)


def test_bands_are_found_by_name():
    domain, matrix = domain_of(), asked(500, 1)
    other = ["d", "b", "extra", "a", "cover", "c"]
    columns = [matrix[:, NAMES.index(name)] if name != "extra" else matrix[:, 0] for name in other]
    np.testing.assert_array_equal(
        domain.outside(np.stack(columns), other), domain.judge(matrix, NAMES).outside
    )


@pytest.mark.parametrize(("threshold", "mean"), [(0.35, 1.7), (1e9, 0.1), (0.0, 2.0), (1e-20, 3.0)])
def test_the_largest_square_inside_is_the_last_one(threshold, mean):
    last = largest_inside(threshold, mean)

    def outside(squared):
        index = (np.sqrt(np.array([squared], np.float32)) / mean).astype(np.float32)[0]
        return index > np.float32(threshold)

    assert not outside(last)
    assert np.isinf(last) or outside(np.nextafter(last, np.float32(np.inf)))
