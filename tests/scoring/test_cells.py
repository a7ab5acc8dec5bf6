"""What is said of cells, however they come and whatever is left out."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.model.intervals import Interval
from hazardrank.scoring.cells import (
    DOMAIN_NODATA,
    INSIDE_DOMAIN,
    OUTSIDE_DOMAIN,
    score_bands,
    score_cells,
)

ARRAYS = ("likelihood", "outside_domain", "domain", "spread", "low", "high")


def land(n_cells, seed, share_inside=0.5, share_unknown=0.1):
    """Return bands of cells: height and easting, the domain ending at 2,000 m."""
    rng = np.random.default_rng([seed, n_cells])
    inside = rng.random(n_cells) < share_inside
    easting = np.where(inside, rng.uniform(0, 2000, n_cells), rng.uniform(4000, 9000, n_cells))
    bands = np.stack([rng.uniform(0, 1000, n_cells), easting]).astype(np.float32)
    bands[:, rng.random(n_cells) < share_unknown] = np.nan
    return bands


def plainly(bundle, bands):
    """Return code and likelihood of each cell, one after the other, by LightGBM itself."""
    said = []
    for cell in np.ascontiguousarray(bands.T):
        if np.isnan(cell).all():
            said.append((DOMAIN_NODATA, np.nan))
        elif bundle.applicability.judge(cell[None], bundle.names).outside[0]:
            said.append((OUTSIDE_DOMAIN, np.nan))
        else:
            said.append((INSIDE_DOMAIN, bundle.likelihood(cell[None])[0]))
    return np.array([code for code, _ in said]), np.array([value for _, value in said])


def test_four_cells_by_hand(careful):
    # Inside the domain; far east of it; only the height unknown; nothing known.
    bands = np.array([[500, 500, np.nan, np.nan], [1000, 9000, 1000, np.nan]], np.float32)
    found = score_bands(careful, bands, 1)
    assert found.outside_domain.tolist() == [0, 1, 1, 255]
    assert np.isnan(found.likelihood).tolist() == [False, True, True, True]
    assert np.isnan(found.domain).all(axis=0).tolist() == [False, False, False, True]
    alone = careful.likelihood(bands[:, :1].T.copy())
    np.testing.assert_array_equal(found.likelihood[:1], alone.astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 50),
    n_cells=st.sampled_from([1, 2, 63, 64, 65]),
    share_inside=st.sampled_from([0.0, 0.5, 0.98, 1.0]),
    share_unknown=st.sampled_from([0.0, 0.1, 1.0]),
    threads=st.integers(1, 2),
)
def test_every_cell_is_scored_as_if_alone(
    careful, seed, n_cells, share_inside, share_unknown, threads
):
    bands = land(n_cells, seed, share_inside, share_unknown)
    code, likelihood = plainly(careful, bands)
    found = score_bands(careful, bands, threads, want_dissimilarity=False)
    np.testing.assert_array_equal(found.outside_domain, code)
    np.testing.assert_array_equal(found.likelihood, likelihood.astype(np.float32))


@pytest.fixture(scope="module")
def unsure(careful):
    """A bundle of two members with an interval."""
    interval = Interval("ensemble", 0.9, 1.0, 2.0, 0.5, 40)
    members = careful.settings.model_copy(update={"members": 2})
    return dataclasses.replace(
        careful, models=careful.models * 2, settings=members, interval=interval
    )


@pytest.mark.parametrize("share_inside", [0.0, 0.3, 0.97, 1.0])
def test_bands_rows_and_what_is_asked_for_change_no_bit(unsure, share_inside):
    bands = land(3000, 1, share_inside, share_unknown=0.02)
    whole = score_bands(unsure, bands, 1)
    by_row = score_cells(unsure, np.ascontiguousarray(bands.T), 2)
    short = score_bands(unsure, bands, 2, want_dissimilarity=False)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(by_row, name), getattr(whole, name), name)
        if name != "domain":
            np.testing.assert_array_equal(getattr(short, name), getattr(whole, name), name)
    assert np.isnan(short.domain).all()
    scored = whole.outside_domain == INSIDE_DOMAIN
    for values in (whole.likelihood, whole.spread, whole.low, whole.high):
        np.testing.assert_array_equal(np.isnan(values), ~scored)
        assert values.dtype == np.float32
    assert (whole.low[scored] <= whole.likelihood[scored]).all()
    assert (whole.likelihood[scored] <= whole.high[scored]).all()


def test_without_a_domain_all_known_cells_are_scored(bundle):
    bands = land(500, 3)
    found = score_bands(bundle, bands, 1)
    nothing = np.isnan(bands).all(axis=0)
    assert (found.outside_domain == DOMAIN_NODATA).all()
    assert np.isnan(found.domain).all()
    np.testing.assert_array_equal(np.isnan(found.likelihood), nothing)
    assert (found.spread, found.low, found.high) == (None, None, None)


@pytest.mark.parametrize("want", [True, False])
def test_no_cell_is_no_trouble(careful, want):
    found = score_bands(careful, np.empty((2, 0), np.float32), 2, want_dissimilarity=want)
    assert (len(found.likelihood), len(found.outside_domain)) == (0, 0)
    assert found.domain.shape == (3, 0)
