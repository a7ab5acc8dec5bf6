from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError
from hazardrank.features.focal import (
    Disc,
    disc_extremes,
    disc_means,
    disc_statistics,
    discs_of,
    inner,
    widest,
)


def footprint(disc):
    """The disc as a mask on 100 m cells, from the definition: centres within the radius."""
    reach = disc.radius
    rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return (rows**2 + cols**2) * 100**2 <= disc.radius_m**2


def raster(seed, shape=(31, 37), missing=0.15):
    """Millimetre values with gaps, so that rounding to the quantum changes nothing."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-2_000, 5_000, shape).astype(np.float32)
    values[rng.random(shape) < missing] = np.nan
    return values


def slow_windows(values, halo, disc):
    """Yield each centre inside the halo with the present values of its disc."""
    mask = footprint(disc)
    reach = disc.radius
    for row in range(halo, values.shape[0] - halo):
        for col in range(halo, values.shape[1] - halo):
            window = values[row - reach : row + reach + 1, col - reach : col + reach + 1]
            inside = window[mask].astype(np.float64)
            yield values[row, col], inside[~np.isnan(inside)]


def test_a_disc_of_one_cell_is_a_cross():
    disc = Disc.of(100, 100)
    assert disc.half_widths == (0, 1, 0)
    assert (disc.radius, disc.n_cells) == (1, 5)


def test_a_disc_of_five_cells_holds_the_cells_of_a_3_4_5_triangle():
    disc = Disc.of(500, 100)
    assert disc.half_widths == (0, 3, 4, 4, 4, 5, 4, 4, 4, 3, 0)
    assert disc.n_cells == 81  # Gauss circle problem, r = 5


def test_a_radius_between_cells_is_not_rounded():
    assert Disc.of(141, 100).n_cells == 5
    assert Disc.of(142, 100).n_cells == 9


def test_a_radius_shorter_than_a_cell_is_refused():
    with pytest.raises(FeatureError, match="30 m is shorter than the 100 m cells"):
        Disc.of(30, 100)


def test_the_halo_is_the_widest_disc():
    assert widest(discs_of([300, 1000], 100)) == 10
    assert widest(()) == 0


def test_inner_drops_the_halo():
    np.testing.assert_array_equal(inner(np.arange(25).reshape(5, 5), 2), [[12]])


def test_statistics_of_one_cross_by_hand():
    values = np.array([[9, 1, 9], [2, 3, 4], [9, 5, 9]], np.float32)
    (found,) = disc_statistics(values, 1, [Disc.of(100, 100)], 0.001)
    # The cross holds 1 2 3 4 5: mean 3, variance 2; differences -2 -1 1 2 to the centre.
    assert found.difference.item() == 0
    assert found.sd.item() == pytest.approx(np.sqrt(2))
    assert found.rms_difference.item() == pytest.approx(np.sqrt(10 / 4))
    ((lowest, highest),) = disc_extremes(values, 1, [Disc.of(100, 100)])
    assert (lowest.item(), highest.item()) == (1, 5)


def test_a_disc_with_only_its_centre_differs_from_nothing():
    values = np.full((3, 3), np.nan, np.float32)
    values[1, 1] = 7
    (found,) = disc_statistics(values, 1, [Disc.of(100, 100)], 0.001)
    assert (found.difference.item(), found.sd.item(), found.rms_difference.item()) == (0, 0, 0)


def test_a_missing_centre_gives_nothing():
    values = np.ones((3, 3), np.float32)
    values[1, 1] = np.nan
    (found,) = disc_statistics(values, 1, [Disc.of(100, 100)], 0.001)
    ((lowest, highest),) = disc_extremes(values, 1, [Disc.of(100, 100)])
    (mean,) = disc_means(values, 1, [Disc.of(100, 100)], 0.001)
    assert np.isnan([found.difference, found.sd, found.rms_difference, lowest, highest, mean]).all()


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("radius_m", [100, 250, 700])
def test_equal_to_slow_loops(radius_m, missing):
    values, disc = raster(radius_m, missing=missing), Disc.of(radius_m, 100)
    (found,) = disc_statistics(values, 7, [disc], 0.001)
    ((lowest, highest),) = disc_extremes(values, 7, [disc])
    expected = []
    for centre, inside in slow_windows(values, 7, disc):
        if np.isnan(centre):
            expected.append([np.nan] * 5)
            continue
        rms = np.sqrt(((inside - centre) ** 2).sum() / max(len(inside) - 1, 1))
        expected.append([inside.mean() - centre, inside.std(), rms, inside.min(), inside.max()])
    got = np.stack([found.difference, found.sd, found.rms_difference, lowest, highest])
    np.testing.assert_allclose(got.reshape(5, -1).T, expected, rtol=1e-6, atol=1e-4)


def test_equal_to_scipy():
    values, disc = raster(1, (40, 40), missing=0), Disc.of(900, 100)
    mask = footprint(disc)
    (mean,) = disc_means(values, 9, [disc], 0.001)
    ((lowest, highest),) = disc_extremes(values, 9, [disc])
    sums = scipy.ndimage.convolve(values.astype(np.float64), mask.astype(np.float64))
    np.testing.assert_allclose(mean, inner(sums, 9) / mask.sum(), rtol=1e-6, atol=1e-3)
    smallest = scipy.ndimage.minimum_filter(values, footprint=mask)
    largest = scipy.ndimage.maximum_filter(values, footprint=mask)
    np.testing.assert_array_equal(lowest, inner(smallest, 9))
    np.testing.assert_array_equal(highest, inner(largest, 9))


@given(
    seed=st.integers(0, 10_000),
    missing=st.sampled_from([0.0, 0.01, 0.5, 0.95]),
    row=st.integers(0, 20),
    col=st.integers(0, 20),
    size=st.integers(1, 12),
)
@settings(max_examples=40, deadline=None)
def test_a_window_does_not_know_what_it_was_cut_from(seed, missing, row, col, size):
    halo, discs = 4, discs_of([100, 220, 400], 100)
    values = np.random.default_rng(seed).normal(500, 300, (45, 45)).astype(np.float32)
    values[np.random.default_rng(seed + 1).random(values.shape) < missing] = np.nan
    piece = values[row : row + size + 2 * halo, col : col + size + 2 * halo]
    cut = np.s_[row : row + size, col : col + size]
    for whole, part in zip(
        disc_statistics(values, halo, discs, 0.001),
        disc_statistics(piece, halo, discs, 0.001),
        strict=True,
    ):
        assert whole.difference[cut].tobytes() == part.difference.tobytes()
        assert whole.sd[cut].tobytes() == part.sd.tobytes()
        assert whole.rms_difference[cut].tobytes() == part.rms_difference.tobytes()
    for whole, part in zip(
        disc_extremes(values, halo, discs), disc_extremes(piece, halo, discs), strict=True
    ):
        assert whole[0][cut].tobytes() == part[0].tobytes()
        assert whole[1][cut].tobytes() == part[1].tobytes()


def test_large_offsets_lose_nothing():
    """Sums of squares about zero would need more than 63 bits; about the centre they do not."""
    values = raster(3, missing=0)
    disc = Disc.of(500, 100)
    (near_zero,) = disc_statistics(values, 5, [disc], 0.001)
    (far_away,) = disc_statistics(values + np.float32(2**20), 5, [disc], 0.001)
    np.testing.assert_allclose(far_away.sd, near_zero.sd, rtol=1e-6)


def test_values_too_far_apart_for_exact_sums_are_refused():
    values = np.full((11, 11), 1e9, np.float32)
    values[0, 0] = 0
    with pytest.raises(FeatureError, match=r"from 0 to 1e\+09 are too far apart .* over 81 cells"):
        disc_statistics(values, 5, [Disc.of(500, 100)], 0.001)


def test_a_coarser_precision_takes_them():
    values = np.full((11, 11), 1e9, np.float32)
    values[5, 0] = 0
    (mean,) = disc_means(values, 5, [Disc.of(500, 100)], 1000.0)
    assert mean.item() == pytest.approx(1e9 * 80 / 81)
