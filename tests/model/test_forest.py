"""The bit-vector forest against LightGBM: equal to the bit, whatever the model and the data."""

import re
from functools import cache

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.model.forest import TILE_CELLS, Forest, ForestLimitError, forest_sample

N_FEATURES = 6


@cache
def trained(n_leaves=31, seed=0, categories=0, rounds=20, **settings):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(1500, N_FEATURES)).astype(np.float32)
    matrix[:, 1] = np.round(matrix[:, 1] * 4) / 4
    if categories:
        matrix[:, 0] = rng.integers(0, categories, len(matrix))
    outcome = np.nansum(matrix[:, :3], axis=1) + (matrix[:, 0] % 3 == 0) + rng.normal(size=1500) > 0
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    parameters = {
        "objective": "binary",
        "num_leaves": n_leaves,
        "min_data_in_leaf": 5,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    } | settings
    data = lgb.Dataset(matrix, outcome, categorical_feature=[0] if categories else [])
    return lgb.train(parameters, data, rounds).model_to_string()


def cells(n_cells, seed=1, categories=0):
    rng = np.random.default_rng(seed)
    bands = (2 * rng.normal(size=(N_FEATURES, n_cells))).astype(np.float32)
    bands[1] = np.round(bands[1] * 4) / 4
    if categories:
        bands[0] = rng.integers(-3, categories + 40, n_cells) + rng.choice([0.0, 0.5], n_cells)
    for value, share in ((np.nan, 0.1), (np.inf, 0.02), (-np.inf, 0.02), (0.0, 0.02)):
        bands[rng.random(bands.shape) < share] = value
    return bands


def assert_equal_to_lightgbm(texts, bands, threads=1, row_cells=None):
    forest = Forest.of(texts)
    matrix = np.ascontiguousarray(bands.T)
    for number, text in enumerate(texts):
        booster = lgb.Booster(model_str=text)
        expected = (
            booster.predict(matrix, num_threads=1) if len(matrix) else np.empty(0),
            booster.predict(matrix, num_threads=1, raw_score=True) if len(matrix) else np.empty(0),
        )
        np.testing.assert_array_equal(forest.scores(bands, threads, row_cells)[number], expected[0])
        np.testing.assert_array_equal(forest.raw(bands, threads, row_cells)[number], expected[1])


# ----------------------------------------------------------------------------- by hand

STUMP = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=regression
feature_names=a b
feature_infos=[0:9] [0:9]
tree_sizes=400

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
split_gain=1 1
threshold=2.5 7
decision_type={decision} {decision}
left_child=1 -1
right_child=-2 -3
leaf_value=10 20 30
leaf_weight=1 1 1
leaf_count=1 1 1
internal_value=0 0
internal_weight=0 0
internal_count=3 3
is_linear=0
shrinkage=1


end of trees
"""


def test_a_tree_walked_by_hand():
    # a <= 2.5: then b <= 7 gives 10, else 30; a > 2.5 gives 20.
    bands = np.array([[1, 1, 1, 3, 2.5, np.inf], [7, 7.5, -np.inf, 0, 9, 0]], np.float32)
    forest = Forest.of([STUMP.format(decision=8)])
    assert forest.scores(bands).tolist() == [[10, 30, 10, 20, 30, 20]]


@pytest.mark.parametrize(
    ("decision", "expected"),
    [(8, 20.0), (10, 10.0), (0, 10.0)],
    ids=["missing goes right", "missing goes left", "missing is zero"],
)
def test_where_missing_values_go(decision, expected):
    text = STUMP.format(decision=decision)
    bands = np.full((2, 3), np.nan, np.float32)
    assert Forest.of([text]).scores(bands).tolist() == [[expected] * 3]
    assert_equal_to_lightgbm([text], bands)


def test_thresholds_between_two_singles_part_them_as_doubles_do():
    single = np.float32(0.1)
    below, above = np.nextafter(single, np.float32(0)), np.nextafter(single, np.float32(1))
    for threshold in (0.1, float(single), float(below), 1e300, -1e300, 1e-46, -1e-46):
        text = STUMP.format(decision=8).replace("threshold=2.5", f"threshold={threshold!r}")
        values = [below, single, above, 0.0, -0.0, np.finfo(np.float32).max, np.inf, -np.inf]
        assert_equal_to_lightgbm([text], np.array([values, [1] * len(values)], np.float32))


def test_a_threshold_at_zero_parts_negative_from_zero_as_lightgbm_does():
    # LightGBM parts 0 from the rest at ±1e-35 and takes what lies between for 0.
    zero = np.float32(1e-35)
    outside = np.nextafter(zero, np.float32(1))
    values = [-1, -outside, -zero, -1e-40, -0.0, 0, 1e-40, zero, outside, 1]
    bands = np.array([values, [1] * len(values)], np.float32)
    for threshold in (0.0, -0.0, zero, -zero, 1e-35, -1e-35, 1e-40, -1e-40, 5e-36, -5e-36):
        text = STUMP.format(decision=8).replace("threshold=2.5", f"threshold={float(threshold)!r}")
        n_left = 8 if threshold >= 0 else 2
        assert Forest.of([text]).scores(bands).tolist() == [[10] * n_left + [20] * (10 - n_left)]
        assert_equal_to_lightgbm([text], bands)


# ------------------------------------------------------------------------- by any text

AWKWARD = [0.0, -0.0, 0.1, -0.1, 1e-35, -1e-35, 1e-40, -1e-40, 1.5, 7.0, 1e300, -1e300, 3.4e38]


def written_tree(draws, n_leaves, shape, categories):
    """Return a tree as LightGBM writes it: any shape, thresholds, defaults and categories."""
    left, right, parent = [], [], {0: None}
    for node in range(n_leaves - 1):
        split = {"left": 0, "right": node, "bushy": int(draws.integers(node + 1))}[shape]
        if parent[split] is not None:
            side, above = parent[split]
            side[above] = node
        left.append(~split)
        right.append(~(node + 1))
        parent |= {split: (left, node), node + 1: (right, node)}
    n_splits = n_leaves - 1
    decision = draws.choice([0, 2, 8, 10], n_splits)
    threshold = draws.choice([*AWKWARD, *draws.normal(0, 2, 20)], n_splits).tolist()
    words, boundaries = [], [0]
    for node in np.flatnonzero(draws.random(n_splits) < categories):
        decision[node] = 1 | int(draws.choice([0, 8]))
        threshold[node] = len(boundaries) - 1
        words += draws.integers(0, 2**32, draws.integers(1, 4)).tolist()
        boundaries.append(len(words))
    lines = {
        "num_leaves": [n_leaves],
        "num_cat": [len(boundaries) - 1],
        "split_feature": draws.integers(0, N_FEATURES, n_splits),
        "split_gain": [1] * n_splits,
        "threshold": threshold,
        "decision_type": decision,
        "left_child": left,
        "right_child": right,
        "leaf_value": draws.normal(size=n_leaves).tolist(),
        "leaf_weight": [1] * n_leaves,
        "leaf_count": [1] * n_leaves,
        "internal_value": [0] * n_splits,
        "internal_weight": [0] * n_splits,
        "internal_count": [2] * n_splits,
        **({"cat_boundaries": boundaries, "cat_threshold": words} if words else {}),
        "is_linear": [0],
        "shrinkage": [1],
    }
    return "\n".join(f"{key}={' '.join(str(v) for v in lines[key])}" for key in lines)


def written_model(draws, n_leaves, shape, categories, objective):
    head = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={N_FEATURES - 1}",
        f"objective={objective}",
        *(["average_output"] if draws.random() < 0.5 else []),
        f"feature_names={' '.join('abcdef')}",
        f"feature_infos={' '.join(['[0:1]'] * N_FEATURES)}",
    ]
    trees = [
        f"Tree={number}\n{written_tree(draws, n, shape, categories)}\n\n"
        for number, n in enumerate(n_leaves)
    ]
    return "\n".join(head) + "\n\n" + "\n".join(trees) + "\nend of trees\n"


def awkward_cells(draws, texts, n_cells):
    """Return values at thresholds, next to them, and those that compare in odd ways."""
    exact = re.findall(r"^threshold=(.*)$", "\n".join(texts), re.MULTILINE)
    exact = np.array([*" ".join(exact).split(), *AWKWARD], float)
    with np.errstate(over="ignore"):
        exact = exact.astype(np.float32)
    near = [np.nextafter(exact, np.float32(end)) for end in (-np.inf, np.inf)]
    codes = [-1.5, -0.5, 0.5, *range(-1, 100), 1e10, -1e10]
    odd = np.array([np.nan, np.nan, np.inf, -np.inf], np.float32)
    pools = [exact, *near, odd, np.array(codes, np.float32)]
    picked = np.stack([draws.choice(pool, (N_FEATURES, n_cells)) for pool in pools])
    chosen = draws.integers(0, len(pools), (1, N_FEATURES, n_cells))
    return np.take_along_axis(picked, chosen, 0)[0]


def smooth(draws, bands):
    """Return the values of each band sorted, now up, now down, the missing ones on one side.

    Many tiles then hold cells that all pass or all fail a split, and some nothing but gaps.
    """
    ordered = np.sort(bands, axis=1)
    turned = draws.random(len(bands)) < 0.5
    ordered[turned] = ordered[turned, ::-1]
    return np.ascontiguousarray(ordered)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_leaves=st.lists(
        st.lists(st.sampled_from([1, 2, 5, 31, 32, 33, 63, 64]), min_size=1, max_size=4),
        min_size=1,
        max_size=3,
    ),
    shape=st.sampled_from(["left", "right", "bushy"]),
    categories=st.sampled_from([0.0, 0.3, 1.0]),
    objective=st.sampled_from(["regression", "binary sigmoid:1", "binary sigmoid:2.7"]),
    rows=st.one_of(st.none(), st.integers(1, 40)),
    cols=st.sampled_from([0, 1, 15, 16, 17, 65, TILE_CELLS - 1, TILE_CELLS, TILE_CELLS + 1]),
    in_order=st.booleans(),
    threads=st.integers(1, 3),
)
def test_any_trees_on_any_values(
    seed, n_leaves, shape, categories, objective, rows, cols, in_order, threads
):
    draws = np.random.default_rng(seed)
    texts = [written_model(draws, n, shape, categories, objective) for n in n_leaves]
    bands = awkward_cells(draws, texts, (rows or 1) * cols)
    bands = smooth(draws, bands) if in_order else bands
    assert_equal_to_lightgbm(texts, bands, threads, cols if rows and cols else None)


def test_what_is_written_here_has_every_shape():
    draws = np.random.default_rng(0)
    for chain in ("left", "right"):
        text = written_model(draws, [64], chain, 0.0, "regression")
        assert lgb.Booster(model_str=text).trees_to_dataframe()["node_depth"].max() == 64
    text = written_model(draws, [64], "bushy", 0.5, "regression")
    table = lgb.Booster(model_str=text).trees_to_dataframe()
    assert set(table["decision_type"].dropna()) == {"<=", "=="}
    assert 5 < table["node_depth"].max() < 40


# ------------------------------------------------------------------------- by LightGBM


@settings(max_examples=25, deadline=None)
@given(
    n_leaves=st.sampled_from([2, 3, 16, 31, 32, 33, 63, 64]),
    seed=st.integers(0, 3),
    n_cells=st.sampled_from([0, 1, 7, TILE_CELLS - 1, TILE_CELLS, TILE_CELLS + 1, 2100]),
    threads=st.integers(1, 3),
)
def test_random_forests_on_random_cells(n_leaves, seed, n_cells, threads):
    assert_equal_to_lightgbm([trained(n_leaves, seed)], cells(n_cells, seed), threads)


@pytest.mark.parametrize("categories", [3, 31, 32, 33, 64, 200])
def test_categories_seen_unseen_negative_and_missing(categories):
    text = trained(31, categories=categories, min_data_per_group=1, cat_smooth=1)
    assert "cat_threshold" in text
    assert_equal_to_lightgbm([text], cells(3000, categories=categories))


@pytest.mark.parametrize(
    "options",
    [
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"boosting": "dart"},
        {"use_missing": False},
        {"objective": "cross_entropy"},
        {"objective": "regression"},
        {"sigmoid": 0.7},
        {"min_data_in_leaf": 2000},
    ],
    ids=str,
)
def test_every_way_of_growing_that_is_scored_here(options):
    assert_equal_to_lightgbm([trained(**options)], cells(3000))


def test_trees_of_one_leaf():
    text = trained(min_data_in_leaf=2000)
    assert "num_leaves=1\n" in text
    assert_equal_to_lightgbm([text], cells(5))


@pytest.mark.parametrize("to_left", [True, False])
def test_a_chain_of_63_splits(to_left):
    steps = np.arange(63)
    if to_left:
        left, right = [*steps[1:], -1], [*(-64 + steps[:-1]), -2]
    else:
        left, right = [*(-1 - steps[:-1]), -63], [*steps[1:], -64]
    thresholds = -steps if to_left else steps
    tree = STUMP.format(decision=8)
    for name, values in (
        ("num_leaves", [64]),
        ("split_feature", [0] * 63),
        ("split_gain", [1] * 63),
        ("threshold", thresholds),
        ("decision_type", [8] * 63),
        ("left_child", left),
        ("right_child", right),
        ("leaf_value", np.arange(64) + 0.5),
        ("leaf_weight", [1] * 64),
        ("leaf_count", [1] * 64),
        ("internal_value", [0] * 63),
        ("internal_weight", [0] * 63),
        ("internal_count", [3] * 63),
    ):
        start = tree.index(f"\n{name}=") + 1
        end = tree.index("\n", start)
        tree = tree[:start] + f"{name}=" + " ".join(str(v) for v in values) + tree[end:]
    values = np.concatenate([np.arange(-70, 70, 0.5), [np.nan, np.inf, -np.inf]])
    bands = np.stack([values, np.zeros(len(values))]).astype(np.float32)
    assert len(np.unique(Forest.of([tree]).scores(bands))) == 64
    assert_equal_to_lightgbm([tree], bands)


def test_several_models_in_one_pass():
    texts = [trained(31, seed=0), trained(8, seed=1), trained(64, seed=2)]
    assert Forest.of(texts).n_models == 3
    assert_equal_to_lightgbm(texts, cells(2500), threads=2)


@pytest.mark.parametrize("row_cells", [None, 1, 16, 60, 200, 3000])
def test_scores_do_not_depend_on_how_cells_form_tiles(row_cells):
    draws = np.random.default_rng(5)
    texts = [trained(31), trained(64, seed=1)]
    for bands in (cells(12_000), smooth(draws, cells(12_000))):
        assert_equal_to_lightgbm(texts, bands, 2, row_cells)


def test_models_larger_than_one_group_of_trees_and_job():
    assert_equal_to_lightgbm([trained(rounds=23)], cells(40_000), 3)


def test_the_last_partial_tile_touches_nothing_beyond_it():
    bands = cells(TILE_CELLS + 3)
    forest = Forest.of([trained()])
    whole = forest.scores(bands)[0]
    for n_cells in (1, 3, TILE_CELLS, TILE_CELLS + 1):
        np.testing.assert_array_equal(
            forest.scores(np.ascontiguousarray(bands[:, :n_cells]))[0], whole[:n_cells]
        )


def test_the_sample_hits_thresholds_exactly_and_misses_some():
    forest = Forest.of([trained()])
    sample = forest_sample(forest, 400)
    assert np.isnan(sample).any()
    assert np.isinf(sample).any()
    split = forest._packed.split
    used = split.view(np.float32)[split[:, 0] % N_FEATURES == 2, 2]
    on = np.isin(sample[2], used)
    assert 0.3 < on.mean() < 0.9
    np.testing.assert_array_equal(sample, forest_sample(forest, 400))


# ------------------------------------------------------------------------------ limits


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_leaves": 65, "rounds": 2, "min_data_in_leaf": 1}, "65 leaves, more than 64"),
        ({"zero_as_missing": True}, "takes zero for missing"),
        ({"linear_tree": True, "objective": "regression"}, "linear models"),
        ({"objective": "poisson"}, "objective 'poisson'"),
    ],
)
def test_what_is_beyond_the_limits_says_so(options, match):
    with pytest.raises(ForestLimitError, match=match):
        Forest.of([trained(**options)])


def test_a_text_that_is_no_model_is_refused():
    with pytest.raises(ForestLimitError, match="no LightGBM model"):
        Forest.of(["hello"])
    with pytest.raises(ForestLimitError, match="there is no model"):
        Forest.of([])


def test_bands_of_another_shape_or_type_are_refused():
    forest = Forest.of([trained()])
    with pytest.raises(ValueError, match=r"shape \(5, 4\)"):
        forest.scores(np.zeros((5, 4), np.float32))
    with pytest.raises(ValueError, match="float64"):
        forest.scores(np.zeros((N_FEATURES, 4)))
    with pytest.raises(ValueError, match="4 cells are no whole rows of 3"):
        forest.scores(np.zeros((N_FEATURES, 4), np.float32), row_cells=3)
