import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.validation.random_share import Ratio, Sampled, allocate, draw, ratio


def drawn_once(stratum, n_of, rng) -> tuple[Sampled, np.ndarray]:
    """The sample of one draw, units of stratum -1 taken whole."""
    taken = draw(stratum, n_of, rng) | (stratum < 0)
    chance = np.where(stratum < 0, 1.0, (n_of / np.bincount(stratum[stratum >= 0]))[stratum])
    return Sampled(stratum[taken], chance[taken]), taken


def test_a_total_and_its_variance_by_hand():
    # One unit taken whole, and 2 of 4 drawn: 5 + (1 + 3) / 0.5.
    sampled = Sampled(np.array([-1, 0, 0]), np.array([1.0, 0.5, 0.5]))
    found = np.array([5.0, 1.0, 3.0])
    assert sampled.total(found) == 13
    # N² (1 - f) s² / n = 16 · 0.5 · 2 / 2
    assert sampled.variance(found) == 8


def test_a_stratum_of_one_drawn_unit_has_no_known_variance():
    sampled = Sampled(np.array([0]), np.array([0.25]))
    assert np.isnan(sampled.variance(np.array([1.0])))
    assert ratio(sampled, np.array([0.5]), np.array([1.0])) == Ratio(0.5, None)
    assert Sampled(np.array([0]), np.array([1.0])).variance(np.array([1.0])) == 0


def test_a_share_of_nothing_is_undefined():
    sampled = Sampled(np.array([0, 0]), np.array([0.5, 0.5]))
    assert ratio(sampled, np.zeros(2), np.zeros(2)) == Ratio(None, None)
    assert Ratio(None, None).interval is None
    assert Ratio(1.0, 0.0).interval is None


def test_allocation_by_hand():
    # Neyman: 80 · √(0.5 · 0.5) = 40 and 80 · √(0.1 · 0.9) = 24, so 10 : 6.
    np.testing.assert_array_equal(allocate(np.array([80, 80]), np.array([0.5, 0.1]), 16), [10, 6])
    # Land that is thought harmless is looked at too: 90 · √(0.01 · 0.99) = 8.96 beside 1.5.
    np.testing.assert_array_equal(allocate(np.array([90, 3]), np.array([0.0, 0.5]), 10), [8, 2])
    # No stratum gives more than it has.
    np.testing.assert_array_equal(allocate(np.array([90, 3]), np.array([0.0, 0.5]), 60), [57, 3])
    with pytest.raises(ValueError, match="1 units cannot be drawn from 2 strata"):
        allocate(np.array([5, 5]), np.array([0.1, 0.1]), 1)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), min_size=1, max_size=8), st.data())
def test_an_allocation_adds_up_and_leaves_no_stratum_out(strata, data):
    sizes = np.array([size for size, _ in strata])
    wanted = data.draw(st.integers(len(sizes), 60))
    given_ = allocate(sizes, np.array([share for _, share in strata]), wanted)
    assert given_.sum() == min(wanted, sizes.sum())
    assert (given_ >= 1).all()
    assert (given_ <= sizes).all()


def test_estimates_have_no_bias_and_their_variance_is_the_one_stated():
    rng = np.random.default_rng(3)
    stratum = np.concatenate([np.full(6, -1), np.repeat([0, 1, 2], [40, 25, 10])])
    found = rng.gamma(0.3, 3.0, len(stratum)) * (rng.random(len(stratum)) < 0.3)
    n_of = np.array([5, 4, 3])
    draws = [drawn_once(stratum, n_of, rng) for _ in range(6000)]
    totals = np.array([sample.total(found[taken]) for sample, taken in draws])
    variances = np.array([sample.variance(found[taken]) for sample, taken in draws])
    assert totals.mean() == pytest.approx(found.sum(), abs=4 * totals.std() / np.sqrt(6000))
    assert variances.mean() == pytest.approx(totals.var(), rel=0.08)
    # How often each unit was drawn is the probability that was recorded.
    often = np.mean([taken for _, taken in draws], axis=0)
    recorded = np.where(stratum < 0, 1.0, (n_of / np.array([40, 25, 10]))[stratum])
    np.testing.assert_allclose(often, recorded, atol=0.03)
    # Counting only what was found where teams went by value would be far off.
    assert abs(found[stratum < 0].sum() - found.sum()) > 10 * abs(totals.mean() - found.sum())


def test_intervals_of_a_share_hold_about_as_often_as_they_say():
    rng = np.random.default_rng(8)
    stratum = np.repeat([0, 1], [300, 200])
    whole = rng.random(500) * (rng.random(500) < 0.5)
    part = whole * rng.random(500)
    truth = part.sum() / whole.sum()
    held = []
    for _ in range(400):
        sampled, taken = drawn_once(stratum, np.array([40, 30]), rng)
        low, high = ratio(sampled, part[taken], whole[taken]).interval
        held.append(low <= truth <= high)
    assert 0.90 <= np.mean(held) <= 0.985
