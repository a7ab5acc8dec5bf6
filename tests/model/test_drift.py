"""The population stability index: by hand, against numpy, and where bins are odd."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from hazardrank.errors import BundleError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.drift import FLOOR, ReferenceDistribution, reading

SPECS = [FeatureSpec(n, "1", "layer", "family", "A feature.") for n in ("slope", "cover")]


def training(n_cells=1000):
    rng = np.random.default_rng(0)
    matrix = np.column_stack([rng.normal(size=n_cells), rng.integers(1, 4, n_cells)])
    matrix[:100, 0] = np.nan
    return matrix.astype(np.float32)


def reference(**options):
    return ReferenceDistribution.fit(training(), SPECS, ("cover",), **options)


def test_the_index_by_hand():
    # Half below 1, half above; here a quarter below: 2 · 1/4 · ln(…) = 0.25 ln 2 + 0.25 ln 1.5.
    half = ReferenceDistribution(("a",), ((1.0,),), (False,), ((50, 50, 0),))
    here = half.counts(np.array([[0, 2, 2, 2]], np.float32))
    assert here.tolist() == [[1, 3, 0]]
    assert half.stability(here)["a"] == pytest.approx(0.25 * np.log(2) + 0.25 * np.log(1.5))


def test_an_empty_bin_counts_as_the_floor():
    half = ReferenceDistribution(("a",), ((1.0,),), (False,), ((50, 50, 0),))
    here = half.counts(np.array([[2, 2]], np.float32))
    expected = (FLOOR - 0.5) * np.log(FLOOR / 0.5) + 0.5 * np.log(2)
    assert half.stability(here)["a"] == pytest.approx(expected)


def test_bins_are_tenths_and_missing_is_one():
    own = np.array(reference().own_counts[0])
    assert own[-1] == 100
    assert own[:10].sum() == 900
    assert own[:10].min() >= 89
    assert reference().own_counts[1][:3] == tuple(
        int((training()[:, 1] == code).sum()) for code in (1, 2, 3)
    )


def test_the_same_land_does_not_drift_and_other_land_does():
    ours = reference()
    assert set(ours.stability(ours.counts(training().T)).values()) == {0.0}
    moved = training() + np.float32(1)
    index = ours.stability(ours.counts(moved.T))
    assert reading(index["slope"]) == "much"
    assert ours.missing(ours.counts(moved.T))["slope"] == (0.1, 0.1)
    # Class 4 was never seen: it falls into the bin of all other classes.
    assert ours.counts(moved.T)[1, 3] == (training()[:, 1] == 3).sum()


@given(st.lists(st.floats(width=32) | st.just(float("nan")), max_size=30), st.integers(0, 30))
def test_counts_of_parts_add_up_and_agree_with_numpy(values, cut):
    ours = reference()
    bands = np.array([values, values], np.float32)
    parts = ours.counts(bands[:, :cut]) + ours.counts(bands[:, cut:])
    np.testing.assert_array_equal(parts, ours.counts(bands))
    known = bands[0][~np.isnan(bands[0])]
    place = np.searchsorted(np.array(ours.edges[0], np.float32), known, side="left")
    np.testing.assert_array_equal(parts[0, :10], np.bincount(place, minlength=10)[:10])


def test_the_index_is_the_divergence_both_ways():
    """Jeffreys' divergence: Kullback–Leibler from here to there plus back, as scipy has it."""
    ours, moved = reference(), training() + np.array([0.3, 1], np.float32)
    counts = ours.counts(moved.T)
    for row, name in enumerate(ours.names):
        there, here = np.array(ours.own_counts[row]), counts[row]
        both = (there > 0) & (here > 0)
        assert both.sum() > 1
        shares = [np.maximum(n / n.sum(), FLOOR) for n in (here, there)]
        # rel_entr is the term of the sum, without scaling shares to 1 again.
        expected = (rel_entr(*shares) + rel_entr(*shares[::-1])).sum()
        assert ours.stability(counts)[name] == pytest.approx(expected)


def test_neither_order_nor_layout_changes_counts():
    ours, matrix = reference(), training()
    shuffled = np.random.default_rng(1).permutation(matrix)
    np.testing.assert_array_equal(ours.counts(matrix.T), ours.counts(shuffled.T.copy()))
    assert ours.counts(matrix.T).dtype == np.int64


def test_a_feature_that_training_never_had_is_one_bin():
    matrix = np.full((50, 2), np.nan, np.float32)
    ours = ReferenceDistribution.fit(matrix, SPECS, ("cover",))
    assert ours.edges == ((), ())
    assert ours.own_counts == ((0, 50), (0, 50))
    here = ours.counts(np.array([[1, np.nan], [2, 3]], np.float32))
    assert here.tolist() == [[1, 1], [2, 0]]
    assert reading(ours.stability(here)["slope"]) == "much"


def test_infinite_values_lie_in_the_outer_bins():
    ours = reference()
    counts = ours.counts(np.array([[-np.inf, np.inf], [1, 1]], np.float32))
    assert counts[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]


def test_it_comes_back_from_json():
    ours = reference()
    assert ReferenceDistribution.from_json(ours.to_json()) == ours


@pytest.mark.parametrize(
    "values", [{"a": {"edges": [1.0]}}, {"a": {"edges": [1.0], "counts": [1]}}, {"a": 3}]
)
def test_impossible_json_is_refused(values):
    with pytest.raises(BundleError, match="distribution of the training cells"):
        ReferenceDistribution.from_json(values)


def test_no_cells_have_no_index():
    ours = reference()
    assert np.isnan(ours.stability(ours.counts(np.empty((2, 0), np.float32)))["slope"])
    assert reading(float("nan")) == "not measured"
    assert (reading(0.05), reading(0.2), reading(0.3)) == ("little", "some", "much")
