import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from hazardrank.model.venn_abers import merged, places, venn_abers_bounds, venn_abers_steps


def by_definition(score, outcome, weight, new):
    """Fit the isotonic regression twice, with the new cell as 0 and as 1."""
    values = []
    for label in (0.0, 1.0):
        fitted = IsotonicRegression().fit(
            np.append(score, new), np.append(outcome, label), sample_weight=np.append(weight, 1.0)
        )
        values.append(fitted.predict([new])[0])
    return values


def test_two_cells_by_hand():
    # Score 0.2 released, 0.8 contaminated. A new cell at 0.5: as 0 it stands alone below the
    # contaminated one (0), as 1 it joins nothing below (1). At 0.2: as 0 → 0/2, as 1 → 1/2.
    steps = venn_abers_steps(np.array([0.2, 0.8]), np.array([0.0, 1.0]), np.ones(2))
    p0, p1 = venn_abers_bounds(np.array([0.1, 0.2, 0.5, 0.8, 0.9]), *steps)
    np.testing.assert_allclose(p0, [0, 0, 0, 0.5, 0.5])
    np.testing.assert_allclose(p1, [0.5, 0.5, 1, 1, 1])
    np.testing.assert_allclose(merged(p0, p1), [1 / 3, 1 / 3, 0.5, 2 / 3, 2 / 3])


CELLS = st.lists(
    st.tuples(st.integers(0, 8), st.booleans(), st.sampled_from([0.25, 0.5, 1.0, 2.0])),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(cells=CELLS, new=st.integers(-1, 18))
def test_it_is_the_definition(cells, new):
    score, outcome, weight = np.array(cells, float).T
    low, high = venn_abers_bounds(np.array([new / 2]), *venn_abers_steps(score, outcome, weight))
    np.testing.assert_allclose(
        [low[0], high[0]], by_definition(score, outcome, weight, new / 2), atol=1e-12
    )


def test_it_is_what_the_venn_abers_package_computes():
    state = np.geterr()
    package = pytest.importorskip("venn_abers.venn_abers")
    np.seterr(**state)  # importing the package silences numpy for the whole process
    rng = np.random.default_rng(3)
    score = np.round(rng.random(150), 2)
    outcome = (rng.random(150) < score).astype(float)
    new = rng.random(80)
    both = np.column_stack([1 - score, score])
    with np.errstate(all="ignore"):
        p0, p1, knot = package.calc_p0p1(both, outcome)
        likelihood, bounds = package.calc_probs(p0, p1, knot, np.column_stack([1 - new, new]))
    own = venn_abers_bounds(new, *venn_abers_steps(score, outcome, np.ones(150)))
    np.testing.assert_allclose(np.column_stack(own), bounds, atol=1e-12)
    np.testing.assert_allclose(merged(*own), likelihood[:, 1], atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(cells=CELLS, asked=st.lists(st.floats(-1, 9), min_size=2, max_size=30))
def test_bounds_rise_and_hold_the_merged_value(cells, asked):
    score, outcome, weight = np.array(cells, float).T
    low, high = venn_abers_bounds(np.sort(asked), *venn_abers_steps(score, outcome, weight))
    middle = merged(low, high)
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (np.diff(middle) >= -1e-15).all()


def test_cells_without_evidence_do_not_count_and_missing_scores_stay_missing():
    score, outcome = np.array([0.2, 0.5, 0.8]), np.array([0.0, 1.0, 1.0])
    without = venn_abers_steps(score[[0, 2]], outcome[[0, 2]], np.ones(2))
    with_nothing = venn_abers_steps(score, outcome, np.array([1.0, 0.0, 1.0]))
    for own, other in zip(with_nothing, without, strict=True):
        np.testing.assert_array_equal(own, other)
    low, high = venn_abers_bounds(np.array([np.nan, 0.5]), *without)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True, False]


def test_bounds_draw_together_with_evidence():
    rng = np.random.default_rng(5)

    def width(n_cells):
        score = rng.random(n_cells)
        steps = venn_abers_steps(score, (rng.random(n_cells) < score) * 1.0, np.ones(n_cells))
        low, high = venn_abers_bounds(np.array([0.3, 0.5, 0.7]), *steps)
        return float(np.mean(high - low))

    assert width(4000) < width(100) / 3


# ------------------------------------------------------------------ looking up


def test_places_by_hand():
    # Below, at and above each of two knots, and missing.
    score = np.array([0.1, 0.2, 0.3, 0.5, 0.9, np.nan])
    assert places(score, np.array([0.2, 0.5])).tolist() == [0, 1, 2, 3, 4, 5]
    assert places(score, np.empty(0)).tolist() == [0, 0, 0, 0, 0, 1]


@settings(max_examples=60, deadline=None)
@given(
    knot=st.lists(st.floats(0, 1), max_size=40, unique=True).map(sorted),
    score=st.lists(st.floats(0, 1), max_size=20),
    n_scores=st.sampled_from([0, 1, 511, 512, 513, 1500]),
)
def test_places_are_those_of_a_plain_search(knot, score, n_scores):
    knot = np.array(knot, float)
    pool = np.array([*knot, *score, *np.nextafter(knot, 1), 0.5], float)
    score = np.resize(pool, n_scores)
    expected = np.searchsorted(knot, score, "left") + np.searchsorted(knot, score, "right")
    np.testing.assert_array_equal(places(score, knot), expected)


def test_bounds_step_where_they_are_said_to():
    # "p0 is that of the last knot at or below, p1 that of the first knot at or above."
    knot, p0, p1 = np.array([0.2, 0.5]), np.array([0.1, 0.3]), np.array([0.4, 0.6])
    score = np.array([0.1, 0.2, 0.3, 0.5, 0.9, np.nan])
    below, above = venn_abers_bounds(score, knot, p0, p1)
    np.testing.assert_array_equal(below, [0, 0.1, 0.1, 0.3, 0.3, np.nan])
    np.testing.assert_array_equal(above, [0.4, 0.4, 0.6, 0.6, 1, np.nan])
