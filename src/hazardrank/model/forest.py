"""Scoring LightGBM models over bands of a raster, equal to ``Booster.predict`` to the bit.

A bit-vector forest after QuickScorer (Lucchese et al. 2015, *QuickScorer: a fast algorithm to
rank documents with additive ensembles of regression trees*, SIGIR). The leaves of a tree are
bits, from left to right. Each split that a cell fails rules out the leaves to its left: its
mask is AND-ed into the cell's word. The lowest bit that is left is the cell's leaf. Nothing
branches on the cell's values, so that a tile of cells goes through a tree in vector
instructions, and neither the order of the cells nor the shape of the tree costs anything.

Values come as float32 and band-major, the way rasters are read. A threshold may then be
rounded down to float32: no float32 lies between the two. (LightGBM takes values within 1e-35
of 0 for 0; thresholds in that gap are moved to its end.) Leaf values are added in float64, in
the order of the trees, as LightGBM does; so the sums are equal to the bit.

Depends on numpy, numba and nothing else of this project; may be lifted out. What it does not
do raises :class:`ForestLimitError`: more than 64 leaves, zero as missing, linear trees, several
classes, objectives other than binary, cross-entropy and regression.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

MAX_LEAVES = 64
TILE_CELLS = 1024
"""Cells that go through the trees together: their words stay in the first cache."""
_TOGETHER = 6
"""Splits looked at in one pass over the words."""
_CELLS_PER_JOB = 16_384

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_SHIFT, _MISSING_NONE, _MISSING_ZERO = 2, 0, 1
_EVERY = (1 << MAX_LEAVES) - 1
_WORD_BITS = 32
_WORD = (1 << _WORD_BITS) - 1
_ZERO = float(np.float32(1e-35))
"""Values as small as this are 0 to LightGBM (its ``kZeroThreshold``), often a threshold too."""


class ForestLimitError(ValueError):
    """A model that the bit-vector forest does not score; LightGBM does."""


@dataclass(frozen=True)
class Forest:
    """Trees of one or several models, ready to score float32 bands.

    Parameters
    ----------
    n_features : int
        Bands expected.
    models : tuple of tuple of (int, int)
        First and last tree (exclusive) of each model.
    divisor : tuple of float
        What each model's sum is divided by: its number of trees if it averages them, else 1.
    sigmoid : tuple of float or None
        Slope of each model's sigmoid; ``None``: its sum is the score.
    """

    n_features: int
    models: tuple[tuple[int, int], ...]
    divisor: tuple[float, ...]
    sigmoid: tuple[float | None, ...]
    _packed: _Packed = field(repr=False)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Forest:
        """Read models from LightGBM's own text.

        Parameters
        ----------
        texts : sequence of str
            One text for each model, all of the same number of features.

        Raises
        ------
        ForestLimitError
            If a model is beyond what this does.
        """
        if not texts:
            raise ForestLimitError("there is no model")
        parsed = [_Model.of(text) for text in texts]
        if len({model.n_features for model in parsed}) != 1:
            raise ForestLimitError("the models have different numbers of features")
        ends = np.cumsum([len(model.trees) for model in parsed]).tolist()
        firsts = [0, *ends[:-1]]
        return cls(
            parsed[0].n_features,
            tuple(zip(firsts, ends, strict=True)),
            tuple(float(len(m.trees)) if m.averages and m.trees else 1.0 for m in parsed),
            tuple(model.sigmoid for model in parsed),
            _Packed.of([tree for model in parsed for tree in model.trees]),
        )

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.models)

    def raw(self, bands: Singles, threads: int = 1) -> Floats:
        """Return each model's raw score (``predict(raw_score=True)``).

        Parameters
        ----------
        bands : ndarray of float32, shape (n_features, n_cells)
            Features in the models' order; NaN where missing.
        threads : int, optional
            Threads to use; no result depends on it.

        Returns
        -------
        ndarray of float64, shape (n_models, n_cells)

        Raises
        ------
        ValueError
            If the bands have another shape or type.
        """
        return self._scored(bands, threads, converted=False)

    def scores(self, bands: Singles, threads: int = 1) -> Floats:
        """Return each model's score (``predict()``); parameters as in :meth:`raw`."""
        return self._scored(bands, threads, converted=True)

    def _scored(self, bands: Singles, threads: int, *, converted: bool) -> Floats:
        if bands.ndim != 2 or len(bands) != self.n_features or bands.dtype != np.float32:
            raise ValueError(
                f"bands of shape {bands.shape} and type {bands.dtype} for {self.n_features} "
                "features of float32"
            )
        bands = np.ascontiguousarray(bands)
        n_cells = bands.shape[1]
        result = np.empty((self.n_models, n_cells))
        bounds = np.array(self.models, np.int64)
        slope = np.array([np.nan if s is None else s for s in self.sigmoid])
        # A raw score is the plain sum even where the converted one is of the average.
        divisor = np.array(self.divisor)
        packed = tuple(vars(self._packed).values())
        kernel: Any = _score

        def job(first: int) -> None:
            last = min(n_cells, first + _CELLS_PER_JOB)
            kernel(bands, first, last, bounds, divisor, slope, converted, *packed, result)

        firsts = range(0, n_cells, _CELLS_PER_JOB)
        if threads > 1 and len(firsts) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(job, firsts))
        else:
            for first in firsts:
                job(first)
        return result


def forest_sample(forest: Forest, n_cells: int) -> Singles:
    """Return cells on which a forest can be compared with LightGBM: the same ones each time.

    Each value is one of the feature's thresholds, the float32 next to one, a small class code,
    a missing or an infinite value.

    Returns
    -------
    ndarray of float32, shape (n_features, n_cells)
    """
    rng = np.random.default_rng(20261126)
    halves = forest._packed.together
    feature = np.concatenate([half[1].ravel() for half in halves])
    threshold = np.concatenate([half[2].ravel() for half in halves])
    bands = np.empty((forest.n_features, n_cells), np.float32)
    for band in range(forest.n_features):
        own = threshold[feature == band]
        known = own if len(own) else np.zeros(1, np.float32)
        values = rng.choice(known, n_cells)
        values = np.nextafter(values, rng.choice(np.array([-np.inf, np.inf], np.float32), n_cells))
        bands[band] = np.where(rng.random(n_cells) < 0.5, rng.choice(known, n_cells), values)
        odd = rng.choice(np.array([np.nan, np.inf, -np.inf, *range(-1, 65)], np.float32), n_cells)
        bands[band] = np.where(rng.random(n_cells) < 0.15, odd, bands[band])
    return bands


# ------------------------------------------------------------------------ reading a model


@dataclass(frozen=True)
class _Tree:
    """One tree: splits with masks, and leaf values from left to right."""

    leaf_value: Floats
    splits: list[_Split]
    categorical: list[tuple[int, NDArray[np.uint32], int]]


@dataclass(frozen=True)
class _Split:
    """A split by a number: what fails it loses the leaves that `mask` lacks."""

    feature: int
    threshold: float
    nan_left: bool
    mask: int


@dataclass(frozen=True)
class _Model:
    n_features: int
    averages: bool
    sigmoid: float | None
    trees: list[_Tree]

    @classmethod
    def of(cls, text: str) -> _Model:
        head, *rest = re.split(r"\nTree=\d+\n", text.split("\nend of trees")[0])
        header = _fields(head)
        if header.get("num_class", "1") != "1" or header.get("num_tree_per_iteration", "1") != "1":
            raise ForestLimitError("the model has several classes")
        if "max_feature_idx" not in header:
            raise ForestLimitError("the text is no LightGBM model")
        return cls(
            int(header["max_feature_idx"]) + 1,
            "\naverage_output" in head,
            _sigmoid(header.get("objective", "")),
            [_tree(_fields(part)) for part in rest],
        )


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _sigmoid(objective: str) -> float | None:
    """Return the slope of the sigmoid, ``None`` where the raw score is the score."""
    words = objective.split()
    kind = words[0] if words else ""
    options = dict(word.split(":", 1) for word in words[1:] if ":" in word)
    if kind == "binary":
        return float(options.get("sigmoid", 1.0))
    if kind == "cross_entropy":
        return 1.0
    if kind in ("", "custom", "regression") and "sqrt" not in words:
        return None
    raise ForestLimitError(f"the objective {objective!r} is not one that is converted here")


def _numbers(fields: Mapping[str, str], name: str, dtype: Any) -> NDArray[Any]:
    return np.array(fields.get(name, "").split(), dtype=dtype)


def _tree(fields: Mapping[str, str]) -> _Tree:
    n_leaves = int(fields["num_leaves"])
    if n_leaves > MAX_LEAVES:
        raise ForestLimitError(f"a tree has {n_leaves} leaves, more than {MAX_LEAVES}")
    if fields.get("is_linear", "0") != "0":
        raise ForestLimitError("the leaves of the trees are linear models")
    values = _numbers(fields, "leaf_value", np.float64)
    tree = _Tree(np.empty(n_leaves), [], [])
    if n_leaves == 1:
        tree.leaf_value[:] = values
        return tree
    children = [_numbers(fields, f"{side}_child", np.int64) for side in ("left", "right")]
    feature = _numbers(fields, "split_feature", np.int64)
    threshold = _numbers(fields, "threshold", np.float64)
    decision = _numbers(fields, "decision_type", np.int64)
    category_first = _numbers(fields, "cat_boundaries", np.int64)
    category_words = _numbers(fields, "cat_threshold", np.uint32)
    order, left_of = _leaves_in_order(children[0], children[1])
    tree.leaf_value[:] = values[order]
    for node, (first, middle) in left_of.items():
        mask = _EVERY & ~(((1 << (middle - first)) - 1) << first)
        where, kind = int(feature[node]), int(decision[node])
        missing = kind >> _MISSING_SHIFT & 3
        if kind & _CATEGORICAL:
            number = int(threshold[node])
            words = category_words[category_first[number] : category_first[number + 1]]
            tree.categorical.append((where, words, mask))
            continue
        if missing == _MISSING_ZERO:
            raise ForestLimitError("the model takes zero for missing")
        at = float(threshold[node])
        nan_left = at >= 0 if missing == _MISSING_NONE else bool(kind & _DEFAULT_LEFT)
        tree.splits.append(_Split(where, _single(at), nan_left, mask))
    return tree


def _leaves_in_order(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """Return the leaves from left to right, and where each split's left leaves stand."""
    order: list[int] = []
    left_of: dict[int, tuple[int, int]] = {}
    stack: list[tuple[int, int]] = [(0, -1)]  # a node, and where its left leaves began
    while stack:
        node, began = stack.pop()
        if node < 0:
            order.append(~node)
        elif began < 0:
            stack += [(node, len(order)), (int(left[node]), -1)]
        else:
            left_of[node] = (began, len(order))
            stack.append((int(right[node]), -1))
    return order, left_of


def _single(threshold: float) -> float:
    """Return the float32 that parts float32 values as LightGBM does with a float64 threshold.

    The largest that is not above it. But LightGBM takes values within ``_ZERO`` of 0 for 0, so
    that those all lie on one side.
    """
    if abs(threshold) <= _ZERO:
        return _ZERO if threshold >= 0 else float(np.nextafter(np.float32(-_ZERO), np.float32(-1)))
    with np.errstate(over="ignore"):
        single = np.float32(threshold)
    if float(single) > threshold:
        single = np.nextafter(single, np.float32(-np.inf))
    return float(single)


# ------------------------------------------------------------------------------- packing

_Groups = tuple[
    NDArray[np.int64],  # tree → its first group
    NDArray[np.int32],  # group, split → feature
    Singles,  # group, split → threshold
    NDArray[np.uint32],  # group, split → mask
]
"""Splits by a number in groups of equal size, tree by tree."""


_Halves = tuple[_Groups, _Groups]
"""Splits that rule out some of the first 32 leaves, and of the others."""


@dataclass(frozen=True)
class _Packed:
    """All trees as arrays.

    An instruction holds twice as many words of 32 bits as of 64. Larger trees therefore have
    two words a cell, and few of their splits concern both.
    """

    together: _Halves
    nan_right: _Halves
    nan_left: _Halves
    category_first: NDArray[np.int64]
    category_feature: NDArray[np.int32]
    word_first: NDArray[np.int64]
    category_words: NDArray[np.uint32]
    category_mask: NDArray[np.uint32]
    leaf_value: Floats
    wide: NDArray[np.bool_]

    @classmethod
    def of(cls, trees: Sequence[_Tree]) -> _Packed:
        splits = [split for tree in trees for split in tree.categorical]
        leaf_value = np.zeros((len(trees), MAX_LEAVES))
        for number, tree in enumerate(trees):
            leaf_value[number, : len(tree.leaf_value)] = tree.leaf_value
        masks = [[mask & _WORD, mask >> _WORD_BITS] for *_, mask in splits]
        return cls(
            _halves([tree.splits for tree in trees]),
            _halves([[s for s in tree.splits if not s.nan_left] for tree in trees]),
            _halves([[s for s in tree.splits if s.nan_left] for tree in trees]),
            np.cumsum([0, *(len(tree.categorical) for tree in trees)]).astype(np.int64),
            np.array([feature for feature, _, _ in splits], np.int32),
            np.cumsum([0, *(len(words) for _, words, _ in splits)]).astype(np.int64),
            np.concatenate([np.empty(0, np.uint32), *(words for _, words, _ in splits)]),
            np.array(masks, np.uint32).reshape(len(splits), 2),
            leaf_value,
            np.array([len(tree.leaf_value) > _WORD_BITS for tree in trees], np.bool_),
        )


def _halves(trees: Sequence[Sequence[_Split]]) -> _Halves:
    return _grouped(trees, 0), _grouped(trees, _WORD_BITS)


def _grouped(trees: Sequence[Sequence[_Split]], shift: int) -> _Groups:
    """Return the splits that concern a word, in groups; a split twice does what it does once."""
    groups: list[list[_Split]] = []
    first = [0]
    for tree in trees:
        splits = [one for one in tree if one.mask >> shift & _WORD != _WORD]
        for begin in range(0, len(splits), _TOGETHER):
            group = [*splits[begin : begin + _TOGETHER], *[splits[-1]] * _TOGETHER]
            groups.append(group[:_TOGETHER])
        first.append(len(groups))
    shape = (len(groups), _TOGETHER)
    return (
        np.array(first, np.int64),
        np.array([[s.feature for s in group] for group in groups], np.int32).reshape(shape),
        np.array([[s.threshold for s in group] for group in groups], np.float32).reshape(shape),
        np.array([[s.mask >> shift & _WORD for s in group] for group in groups], np.uint32).reshape(
            shape
        ),
    )


# ------------------------------------------------------------------------------- kernels


@intrinsic
def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Return the place of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.cttz(arguments[0], context.get_constant(types.boolean, 1))
        if signature.args[0].bitwidth == MAX_LEAVES:
            return place
        return builder.zext(place, context.get_value_type(types.uint64))

    return types.uint64(word), generate


@njit(cache=True, nogil=True, error_model="numpy")
def _score(
    bands: Singles,
    begin: int,
    end: int,
    models: NDArray[np.int64],
    divisor: Floats,
    slope: Floats,
    converted: bool,
    together: _Halves,
    nan_right: _Halves,
    nan_left: _Halves,
    category_first: NDArray[np.int64],
    category_feature: NDArray[np.int32],
    word_first: NDArray[np.int64],
    category_words: NDArray[np.uint32],
    category_mask: NDArray[np.uint32],
    leaf_value: Floats,
    wide: NDArray[np.bool_],
    result: Floats,
) -> None:
    """Score the cells from `begin` to `end` of all models, a tile at a time."""
    all_low = np.empty(TILE_CELLS, np.uint32)
    all_high = np.empty(TILE_CELLS, np.uint32)
    total = np.empty(TILE_CELLS, np.float64)
    for start in range(begin, end, TILE_CELLS):
        stop = min(end, start + TILE_CELLS)
        n = stop - start
        low, high, tile_total = all_low[:n], all_high[:n], total[:n]
        whole = not _any_missing(bands, start, stop)
        for model in range(len(models)):
            tile_total[:] = 0.0
            for tree in range(models[model, 0], models[model, 1]):
                low[:] = _WORD
                if wide[tree]:
                    high[:] = _WORD
                if whole:
                    _rule_out(bands, start, stop, together[0], tree, low)
                    _rule_out(bands, start, stop, together[1], tree, high)
                else:
                    _rule_out(bands, start, stop, nan_right[0], tree, low)
                    _rule_out(bands, start, stop, nan_right[1], tree, high)
                    _rule_out_known(bands, start, stop, nan_left[0], tree, low)
                    _rule_out_known(bands, start, stop, nan_left[1], tree, high)
                for split in range(category_first[tree], category_first[tree + 1]):
                    _rule_out_category(
                        bands[category_feature[split], start:stop],
                        category_words[word_first[split] : word_first[split + 1]],
                        category_mask[split],
                        low,
                        high,
                    )
                values = leaf_value[tree]
                if wide[tree]:
                    for k in range(n):
                        word = np.uint64(high[k]) << np.uint64(_WORD_BITS) | np.uint64(low[k])
                        tile_total[k] += values[_lowest_bit(word)]  # type: ignore[call-arg]
                else:
                    for k in range(n):
                        tile_total[k] += values[_lowest_bit(low[k])]  # type: ignore[call-arg]
            _convert(tile_total, divisor[model], slope[model], converted, result[model, start:stop])


@njit(nogil=True, error_model="numpy")
def _convert(total, divisor, slope, converted, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Turn sums over trees into scores."""
    if not converted:
        out[:] = total
    elif math.isnan(slope):
        for k in range(len(total)):
            out[k] = total[k] / divisor
    else:
        for k in range(len(total)):
            out[k] = 1.0 / (1.0 + math.exp(-slope * (total[k] / divisor)))


@njit(nogil=True, error_model="numpy")
def _any_missing(bands, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for band in range(len(bands)):
        gaps = 0
        values = bands[band, start:stop]
        for k in range(len(values)):
            gaps += values[k] != values[k]
        if gaps:
            return True
    return False


@njit(nogil=True, error_model="numpy")
def _rule_out(bands, start, stop, groups, tree, words):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """AND the masks of the splits that cells fail; a missing value fails them."""
    first, feature, threshold, mask = groups
    for group in range(first[tree], first[tree + 1]):
        f, t, m = feature[group], threshold[group], mask[group]
        v0, v1, v2 = bands[f[0], start:stop], bands[f[1], start:stop], bands[f[2], start:stop]
        v3, v4, v5 = bands[f[3], start:stop], bands[f[4], start:stop], bands[f[5], start:stop]
        t0, t1, t2, t3, t4, t5 = t[0], t[1], t[2], t[3], t[4], t[5]
        m0, m1, m2, m3, m4, m5 = m[0], m[1], m[2], m[3], m[4], m[5]
        every = ~(m0 & ~m0)
        for k in range(len(words)):
            word = words[k]
            word &= every if v0[k] <= t0 else m0
            word &= every if v1[k] <= t1 else m1
            word &= every if v2[k] <= t2 else m2
            word &= every if v3[k] <= t3 else m3
            word &= every if v4[k] <= t4 else m4
            word &= every if v5[k] <= t5 else m5
            words[k] = word


@njit(nogil=True, error_model="numpy")
def _rule_out_known(bands, start, stop, groups, tree, words):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """AND the masks of the splits that cells fail; a missing value passes them."""
    first, feature, threshold, mask = groups
    for group in range(first[tree], first[tree + 1]):
        f, t, m = feature[group], threshold[group], mask[group]
        v0, v1, v2 = bands[f[0], start:stop], bands[f[1], start:stop], bands[f[2], start:stop]
        v3, v4, v5 = bands[f[3], start:stop], bands[f[4], start:stop], bands[f[5], start:stop]
        t0, t1, t2, t3, t4, t5 = t[0], t[1], t[2], t[3], t[4], t[5]
        m0, m1, m2, m3, m4, m5 = m[0], m[1], m[2], m[3], m[4], m[5]
        every = ~(m0 & ~m0)
        for k in range(len(words)):
            word = words[k]
            word &= m0 if v0[k] > t0 else every
            word &= m1 if v1[k] > t1 else every
            word &= m2 if v2[k] > t2 else every
            word &= m3 if v3[k] > t3 else every
            word &= m4 if v4[k] > t4 else every
            word &= m5 if v5[k] > t5 else every
            words[k] = word


@njit(nogil=True, error_model="numpy")
def _rule_out_category(values, passing, mask, low, high):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """AND the mask of a split by category; missing, negative and unseen ones fail it."""
    n_known = np.float32(32 * len(passing))
    for k in range(len(low)):
        value = values[k]
        passes = False
        # LightGBM cuts off what follows the point, so that -0.5 is category 0.
        if value > np.float32(-1.0) and value < n_known:
            category = int(value)
            passes = (passing[category >> 5] >> np.uint32(category & 31)) & np.uint32(1) != 0
        if not passes:
            low[k] &= mask[0]
            high[k] &= mask[1]
