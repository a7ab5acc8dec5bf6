from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hazardrank.errors import BundleError, ModelError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.applicability import (
    Applicability,
    expected_error,
    fit_applicability,
    threshold_of,
)
from hazardrank.model.feature_space import embed, make_axes, mean_distance
from hazardrank.model.nearest import nearest, spread_out
from hazardrank.settings import ApplicabilitySettings

EQUAL = {"a": 1.0, "b": 1.0}
ROOT2 = 2**0.5


def specs(*names):
    return [FeatureSpec(name, "1", "layer", "family", "A feature.") for name in names]


def fitted(matrix, importance=EQUAL, splits=None, error=None, n_kept=5000, **options):
    matrix = np.asarray(matrix, np.float32)
    rows = np.arange(len(matrix))
    if splits is None:
        splits = [(rows[rows % 2 != k], rows[rows % 2 == k]) for k in (0, 1)]
    error = np.zeros(len(matrix)) if error is None else np.asarray(error, float)
    return fit_applicability(
        matrix,
        specs(*importance),
        importance,
        splits,
        error,
        ApplicabilitySettings(max_reference_cells=n_kept),
        0,
        **options,
    )


def cloud(n_cells=400, seed=0):
    rng = np.random.default_rng([seed, 11])
    return rng.normal(size=(n_cells, 2)).astype(np.float32)


# ------------------------------------------------------------------ by hand


def test_dissimilarity_of_three_points_by_hand():
    # 0, 1 and 2 have mean 1 and standard deviation 1: standardised -1, 0, 1. Distances
    # between them are 1, 1 and 2, on average 4/3. A cell at 4 lies at 3, so 2 from the last.
    domain, _ = fitted([[0], [1], [2]], {"a": 1.0})
    judged = domain.judge(np.array([[4], [2], [0.5]], np.float32), ["a"])
    assert domain.mean_distance == pytest.approx(4 / 3)
    assert judged.dissimilarity == pytest.approx([1.5, 0, 0.375])


def test_importance_weighs_the_distance_and_none_is_no_distance():
    # Feature b counts half; feature c not at all, however far.
    matrix = [[-1, -1, 0], [0, 0, 1], [1, 1, 0]]
    domain, _ = fitted(matrix, {"a": 0.6, "b": 0.3, "c": 0.0})
    apart = 1.25**0.5
    assert domain.mean_distance == pytest.approx((apart + apart + 2 * apart) / 3)
    judged = domain.judge(np.array([[0, 1, 99], [1, 0, -99]], np.float32), ["a", "b", "c"])
    expected = np.array([0.5, 0.5]) / domain.mean_distance
    assert judged.dissimilarity == pytest.approx(expected)
    assert [axis.feature for axis in domain.axes] == ["a", "b"]


def test_columns_are_found_by_name():
    domain, _ = fitted(cloud())
    cells = cloud(20, seed=1)
    swapped = domain.judge(np.ascontiguousarray(cells[:, ::-1]), ["b", "a"])
    assert np.array_equal(domain.judge(cells, ["a", "b"]).dissimilarity, swapped.dissimilarity)


def test_held_out_cells_are_measured_to_what_their_fold_learned_from():
    # The pairs (0, 1) and (10, 11) are folds: each lies 9, 10 or 11 from the other.
    matrix = [[0], [1], [10], [11]]
    rows = np.arange(4)
    splits = [(rows[2:], rows[:2]), (rows[:2], rows[2:])]
    domain, held_out = fitted(matrix, {"a": 1.0}, splits)
    mean = (1 + 10 + 11 + 9 + 10 + 1) / 6
    assert held_out.row.tolist() == [0, 1, 2, 3]
    assert held_out.fold.tolist() == [0, 0, 1, 1]
    assert held_out.dissimilarity == pytest.approx(np.array([10, 9, 9, 10]) / mean)
    assert domain.threshold == pytest.approx(10 / mean)


def test_cells_in_a_buffer_are_not_learned_from():
    rows = np.arange(4)
    domain, held_out = fitted([[0], [1], [10], [11]], {"a": 1.0}, [(rows[3:], rows[:1])])
    assert held_out.dissimilarity * domain.mean_distance == pytest.approx([11 / 5.802], rel=1e-3)


def test_threshold_by_hand():
    # Q25 1, Q75 3: 3 + 1.5 · 2 = 6, below the largest; or the largest where it is less.
    assert threshold_of(np.array([0, 1, 2, 3, 40], np.float32)) == 6
    assert threshold_of(np.array([0, 1, 2, 3, 4], np.float32)) == 4


def test_without_held_out_cells_no_cell_is_outside():
    domain, held_out = fitted(cloud(50), splits=[])
    far = np.array([[1e6, 1e6]], np.float32)
    assert not domain.judge(far, ["a", "b"]).outside.any()
    assert held_out.metrics(domain, [])["outside_domain_share"] is None


def test_density_counts_training_cells_within_the_threshold():
    domain, _ = fitted([[0], [1], [2], [3], [9]], {"a": 1.0})
    near = dataclasses.replace(domain, threshold=1.1 / (domain.mean_distance * domain.axes[0].sd))
    judged = near.judge(np.array([[1], [0], [6], [9]], np.float32), ["a"])
    assert judged.density.tolist() == [3, 2, 0, 1]
    assert judged.outside.tolist() == [False, False, True, False]


# ------------------------------------------------------- missing values, classes


def test_missing_is_a_value_of_its_own():
    # Of -1, 1 and missing: known values standardise to -1/√2 and 1/√2, missing to (0, 1).
    domain, _ = fitted([[-1], [1], [np.nan]], {"a": 1.0})
    assert domain.mean_distance == pytest.approx((ROOT2 + 1.5**0.5 + 1.5**0.5) / 3)
    judged = domain.judge(np.array([[np.nan], [0]], np.float32), ["a"])
    assert judged.dissimilarity * domain.mean_distance == pytest.approx([0, ROOT2 / 2])


def test_missing_where_no_training_cell_misses_it_is_far_from_all():
    domain, _ = fitted([[-1], [0], [1]], {"a": 1.0})
    judged = domain.judge(np.array([[np.nan]], np.float32), ["a"])
    assert judged.dissimilarity * domain.mean_distance == pytest.approx([1])


def test_missing_and_known_lie_as_far_apart_as_two_random_cells():
    values = np.random.default_rng(3).normal(5, 3, (4000, 1)).astype(np.float32)
    values[::2] = np.nan
    points, extra = embed(make_axes(values, ["a"], {"a": 1.0}), values)
    missing, known = points[:, ::2], points[:, 1::2]
    assert not extra.any()
    assert ((missing[:, :1] - known) ** 2).sum(axis=0).mean() == pytest.approx(2, abs=1e-3)
    assert ((known[:, :1000] - known[:, 1000:]) ** 2).sum(axis=0).mean() == pytest.approx(
        2, abs=0.2
    )


def test_codes_of_classes_have_no_order():
    matrix = [[1], [2], [7]]
    domain, _ = fitted(matrix, {"a": 1.0}, categorical=["a"])
    assert domain.mean_distance == pytest.approx(ROOT2)
    judged = domain.judge(np.array([[7], [3], [np.nan]], np.float32), ["a"])
    assert judged.dissimilarity == pytest.approx([0, 1, 1])


def test_features_that_tell_nothing_apart_are_left_out():
    matrix = np.column_stack([np.ones(5), np.arange(5), np.full(5, np.nan)])
    domain, _ = fitted(matrix, {"a": 0.5, "b": 0.5, "c": 0.5})
    assert [axis.feature for axis in domain.axes] == ["b"]
    with pytest.raises(ModelError, match="no feature tells training cells apart"):
        fitted(np.ones((4, 1)), {"a": 1.0})


def test_without_importance_all_features_count_alike():
    axes = make_axes(cloud(), ["a", "b"], {"a": 0.0, "b": 0.0})
    assert [axis.weight for axis in axes] == [1, 1]


# ------------------------------------------------------------------ expected error


def test_expected_error_by_hand():
    # Three bins of 30 cells with mean errors 0.1, 0.3 and 0.2: the last two pool to 0.25.
    at = np.repeat([0.1, 0.2, 0.3], 30).astype(np.float32)
    knots, errors = expected_error(at, np.repeat([0.1, 0.3, 0.2], 30))
    assert knots == pytest.approx([0.1, 0.2, 0.3])
    assert errors == pytest.approx([0.1, 0.25, 0.25])


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, 90, elements=st.floats(0, 1)), st.integers(0, 9))
def test_expected_error_never_falls(error, seed):
    at = np.random.default_rng(seed).gamma(2, 0.1, 90).astype(np.float32)
    domain, _ = fitted(cloud(90))
    knots, errors = expected_error(at, error)
    curve = dataclasses.replace(domain, error_dissimilarity=knots, expected_error=errors)
    along = curve.error_at(np.linspace(0, 2, 200))
    assert (np.diff(knots) > 0).all()
    assert (np.diff(along) >= 0).all()
    assert error.min() - 1e-9 <= along[0]
    assert along[-1] <= error.max() + 1e-9


def test_cells_never_held_out_have_no_say_in_the_error():
    error = np.where(np.arange(400) < 200, 0.25, np.nan)
    domain, _ = fitted(cloud(), error=error)
    assert set(np.round(domain.expected_error, 12)) == {0.25}
    unknown, _ = fitted(cloud(), error=np.full(400, np.nan))
    assert np.isnan(unknown.error_at(np.array([0.1]))).all()


# ------------------------------------------------------------------ sampling


def test_sampled_dissimilarity_is_never_too_small_nor_too_large_by_more_than_the_bound():
    matrix, new = cloud(3000), cloud(500, seed=5) * 1.5
    exact, _ = fitted(matrix)
    sampled, _ = fitted(matrix, n_kept=60)
    true = exact.judge(new, ["a", "b"]).dissimilarity
    measured = sampled.judge(new, ["a", "b"]).dissimilarity
    assert exact.sampling_bound == 0
    assert 0 < sampled.sampling_bound < 0.5
    assert len(sampled.stands_for) == 60
    assert sampled.stands_for.sum() == 3000
    assert (measured >= true - 1e-6).all()
    assert (measured <= true + sampled.sampling_bound + 1e-6).all()
    assert sampled.threshold == exact.threshold


def test_chosen_points_cover_better_than_random_ones():
    points = cloud(2000).T
    chosen = spread_out(points, 50)
    random = np.random.default_rng(0).choice(2000, 50, replace=False)
    extra = np.zeros(2000, np.float32)
    radii = [nearest(points, extra, points[:, some].T).distance.max() for some in (chosen, random)]
    assert len(set(chosen.tolist())) == 50
    assert radii[0] < 0.7 * radii[1]


def test_no_point_is_chosen_twice_where_points_coincide():
    assert len(spread_out(np.repeat(np.arange(3.0, dtype=np.float32)[None], 4, axis=1), 9)) == 3


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 150), st.integers(1, 20), st.integers(1, 9))
def test_nearest_equals_the_plain_search(seed, n_cells, n_points, n_dimensions):
    rng = np.random.default_rng(seed)
    cells = rng.normal(size=(n_dimensions, n_cells)).astype(np.float32)
    points = rng.normal(size=(n_points, n_dimensions)).astype(np.float32)
    extra = rng.uniform(0, 1, n_cells).astype(np.float32)
    weight = rng.integers(1, 5, n_points).astype(np.float32)
    squared = ((cells.T[:, None].astype(float) - points[None]) ** 2).sum(axis=2) + extra[:, None]
    found = nearest(cells, extra, points, weight, within=1.3)
    assert found.distance == pytest.approx(np.sqrt(squared.min(axis=1)), rel=1e-5, abs=1e-6)
    assert np.array_equal(found.point, squared.argmin(axis=1))
    assert np.array_equal(found.count, (weight * (squared <= 1.3**2)).sum(axis=1))


def test_no_cell_depends_on_its_neighbours_or_on_threads():
    domain, _ = fitted(cloud(), n_kept=50)
    cells = cloud(40_000, seed=8)
    whole = domain.judge(cells, ["a", "b"], threads=2)
    for rows in (slice(0, 1), slice(17, 90), slice(39_000, 40_000)):
        part = domain.judge(cells[rows], ["a", "b"])
        assert np.array_equal(part.dissimilarity, whole.dissimilarity[rows])
        assert np.array_equal(part.density, whole.density[rows])


def test_mean_distance_of_a_sample_is_near_that_of_all():
    points = cloud(6000).T
    # Two standard normal points in the plane lie √π apart on average.
    assert mean_distance(points, 0) == pytest.approx(np.pi**0.5, rel=0.03)


# ------------------------------------------------------------------ as text


def test_the_domain_survives_text_to_the_bit():
    matrix = np.column_stack([cloud(300), np.arange(300) % 3]).astype(np.float32)
    matrix[::7, 0] = np.nan
    importance = {"a": 1 / 3, "b": 0.1, "c": 0.05}
    domain, _ = fitted(matrix, importance, n_kept=40, categorical=["c"])
    back = Applicability.from_text(domain.to_json(), domain.reference_csv())
    for name, value in vars(domain).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(back, name), value, equal_nan=True), name
        elif not name.startswith("_"):
            assert getattr(back, name) == value, name
    judged = [one.judge(matrix, list(importance)).dissimilarity for one in (domain, back)]
    assert np.array_equal(*judged)


def test_cells_of_another_domain_are_refused():
    domain, _ = fitted(cloud(30))
    with pytest.raises(BundleError, match="other features than the domain describes"):
        Applicability.from_text(domain.to_json(), domain.reference_csv().replace("a,b", "a,c"))


def test_the_same_seed_gives_the_same_domain():
    twice = [fitted(cloud(3000), n_kept=30)[0] for _ in range(2)]
    assert twice[0].reference_csv() == twice[1].reference_csv()
    assert twice[0].to_json() == twice[1].to_json()


def test_metrics_name_the_share_outside_by_fold():
    domain, held_out = fitted(cloud())
    figures = held_out.metrics(domain, ["north", "south"])
    assert figures["outside_domain_share"] == pytest.approx(held_out.outside.mean())
    assert set(figures["outside_domain_share_by_fold"]) == {"north", "south"}
    assert 0 <= figures["outside_domain_share"] < 0.2
    assert len(figures["expected_brier"]) == len(domain.expected_error)
