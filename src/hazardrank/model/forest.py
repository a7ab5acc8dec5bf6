"""Scoring LightGBM models over bands of a raster, equal to ``Booster.predict`` to the bit.

A bit-vector forest after QuickScorer (Lucchese et al. 2015, *QuickScorer: a fast algorithm to
rank documents with additive ensembles of regression trees*, SIGIR). The leaves of a tree are
bits, from left to right. Each split that a cell fails rules out the leaves to its left: its
mask is AND-ed into the cell's word. The lowest bit that is left is the cell's leaf. Nothing
branches on a cell's values, so that many cells go through a tree in vector instructions, and
the shape of the tree costs nothing.

Cells go through the trees in tiles: squares of a raster, whose values lie close together. The
range of each feature in a tile tells which splits all its cells pass, and which all fail; the
first are left out, the second start every cell's word. Only the splits in between are looked
at cell by cell: about half of them on smooth land, all of them among cells in random order.

Values come as float32 and band-major, the way rasters are read. A threshold may then be
rounded down to float32: no float32 lies between the two. (LightGBM takes values within 1e-35
of 0 for 0; thresholds in that gap are moved to its end.) Leaf values are added in float64, in
the order of the trees, as LightGBM does; so the sums are equal to the bit.

Depends on numpy, numba with its llvmlite, and nothing else of this project; may be lifted out.
What it does not do raises :class:`ForestLimitError`: more than 64 leaves, zero as missing, linear
trees, several classes, objectives other than binary, cross-entropy and regression.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

MAX_LEAVES = 64
TILE_CELLS = 256
"""Cells that go through the trees together; their features stay in the nearer caches."""
_TILE_SIDE = 16
_VECTOR = 64
"""Cells whose words are held in registers while the splits of a tree go by."""
_TREES_TOGETHER = 4
"""Trees whose leaves are looked up in one pass over the sums."""
_TILES_PER_JOB = 64
_ALIGNED = 64
"""Bytes; what vector instructions load at once."""

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
    divisor : tuple of float
        What each model's sum is divided by: its number of trees if it averages them, else 1.
    sigmoid : tuple of float or None
        Slope of each model's sigmoid; ``None``: its sum is the score.
    """

    n_features: int
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
        return cls(
            parsed[0].n_features,
            tuple(float(len(m.trees)) if m.averages and m.trees else 1.0 for m in parsed),
            tuple(model.sigmoid for model in parsed),
            _Packed.of([model.trees for model in parsed], parsed[0].n_features),
        )

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.divisor)

    def raw(self, bands: Singles, threads: int = 1, row_cells: int | None = None) -> Floats:
        """Return each model's raw score (``predict(raw_score=True)``).

        Parameters
        ----------
        bands : ndarray of float32, shape (n_features, n_cells)
            Features in the models' order; NaN where missing.
        threads : int, optional
            Threads to use; no result depends on it.
        row_cells : int, optional
            Cells in a row, where the cells are those of a raster row by row: half as fast
            again on smooth land. No result depends on it.

        Returns
        -------
        ndarray of float64, shape (n_models, n_cells)

        Raises
        ------
        ValueError
            If the bands have another shape or type, or are no whole rows.
        """
        return self._scored(bands, threads, row_cells, converted=False)

    def scores(self, bands: Singles, threads: int = 1, row_cells: int | None = None) -> Floats:
        """Return each model's score (``predict()``); parameters as in :meth:`raw`."""
        return self._scored(bands, threads, row_cells, converted=True)

    def _scored(
        self, bands: Singles, threads: int, row_cells: int | None, *, converted: bool
    ) -> Floats:
        if bands.ndim != 2 or len(bands) != self.n_features or bands.dtype != np.float32:
            raise ValueError(
                f"bands of shape {bands.shape} and type {bands.dtype} for {self.n_features} "
                "features of float32"
            )
        n_cells = bands.shape[1]
        result = np.empty((self.n_models, n_cells))
        if n_cells == 0:
            return result
        if row_cells is None:
            cells, tile_shape = (1, n_cells), (1, TILE_CELLS)
        elif row_cells < 1 or n_cells % row_cells:
            raise ValueError(f"{n_cells} cells are no whole rows of {row_cells}")
        else:
            cells, tile_shape = (n_cells // row_cells, row_cells), (_TILE_SIDE, _TILE_SIDE)
        slope = np.array([np.nan if s is None else s for s in self.sigmoid])
        # A raw score is the plain sum even where the converted one is of the average.
        divisor = np.array(self.divisor)
        packed = tuple(vars(self._packed).values())
        of_raster = np.ascontiguousarray(bands).reshape(len(bands), *cells)
        out = result.reshape(-1, *cells)
        kernel: Any = _score

        def job(first: int) -> None:
            last = min(n_tiles, first + _TILES_PER_JOB)
            kernel(of_raster, *tile_shape, first, last, divisor, slope, converted, *packed, out)

        n_tiles = math.prod(-(-n // side) for n, side in zip(cells, tile_shape, strict=True))
        firsts = range(0, n_tiles, _TILES_PER_JOB)
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
    packed = forest._packed
    feature = _split_feature(packed.split)
    threshold = packed.threshold
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


@dataclass(frozen=True)
class _Packed:
    """All trees as arrays.

    An instruction holds twice as many words of 32 bits as of 64. Every tree therefore has two
    words: word ``2 t`` of the first 32 leaves of tree ``t``, and word ``2 t + 1`` of the others.
    Each model's trees are filled up with trees of one leaf of value 0 to groups of
    ``_TREES_TOGETHER``: they add nothing.

    Parameters
    ----------
    trees : ndarray of int64, shape (n_models + 1,)
        First tree of each model.
    first : ndarray of int64, shape (n_models, 2, n_features + 1)
        Where the splits of each feature begin: those that a missing value fails, then those
        that it passes. A split is listed once for each word that it concerns.
    split : ndarray of int64, shape (n_splits, 2)
        Feature and word, then threshold and mask, each of 32 bits.
    threshold : ndarray of float32, shape (n_splits,)
        The thresholds once more; they ascend within a feature.
    room : ndarray of int64, shape (2 n_trees + 1,)
        Splits of all words before each.
    category_first, category_feature, word_first, category_words, category_mask
        Tree → its first split by category; split → feature, its first word of categories that
        pass; those words; the masks for both words of the tree.
    leaf_value : ndarray of float64, shape (n_trees, 64)
        Values from left to right.
    wide : ndarray of bool, shape (n_trees / _TREES_TOGETHER,)
        Whether a tree of the group has more than 32 leaves.
    """

    trees: NDArray[np.int64]
    first: NDArray[np.int64]
    split: NDArray[np.int64]
    threshold: Singles
    room: NDArray[np.int64]
    category_first: NDArray[np.int64]
    category_feature: NDArray[np.int32]
    word_first: NDArray[np.int64]
    category_words: NDArray[np.uint32]
    category_mask: NDArray[np.uint32]
    leaf_value: Floats
    wide: NDArray[np.bool_]

    @classmethod
    def of(cls, models: Sequence[Sequence[_Tree]], n_features: int) -> _Packed:
        whole = [[*trees, *[_NOTHING] * (-len(trees) % _TREES_TOGETHER)] for trees in models]
        trees = [tree for model in whole for tree in model]
        firsts = np.cumsum([0, *map(len, whole)])
        splits = [split for tree in trees for split in tree.categorical]
        leaf_value = np.zeros((len(trees), MAX_LEAVES))
        for number, tree in enumerate(trees):
            leaf_value[number, : len(tree.leaf_value)] = tree.leaf_value
        masks = [[mask & _WORD, mask >> _WORD_BITS] for *_, mask in splits]
        wide = np.array([len(tree.leaf_value) > _WORD_BITS for tree in trees], np.bool_)
        return cls(
            firsts.astype(np.int64),
            *_by_feature(trees, firsts, n_features),
            np.cumsum([0, *(len(tree.categorical) for tree in trees)]).astype(np.int64),
            np.array([feature for feature, _, _ in splits], np.int32),
            np.cumsum([0, *(len(words) for _, words, _ in splits)]).astype(np.int64),
            np.concatenate([np.empty(0, np.uint32), *(words for _, words, _ in splits)]),
            np.array(masks, np.uint32).reshape(len(splits), 2),
            leaf_value,
            np.any(wide.reshape(-1, _TREES_TOGETHER), axis=1),
        )


_NOTHING = _Tree(np.zeros(1), [], [])


def _by_feature(
    trees: Sequence[_Tree], firsts: NDArray[np.int64], n_features: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Singles, NDArray[np.int64]]:
    """Return `first`, `split`, `threshold` and `room` of :class:`_Packed`."""
    listed = [
        (number, one, 2 * number + half, kept)
        for number, grown in enumerate(trees)
        for one in grown.splits
        for half in (0, 1)
        if (kept := one.mask >> half * _WORD_BITS & _WORD) != _WORD
    ]
    rows = [(number, one.nan_left, one.feature, to, kept) for number, one, to, kept in listed]
    tree, nan_left, feature, word, mask = np.array(rows, np.int64).reshape(-1, 5).T
    threshold = np.array([one.threshold for _, one, _, _ in listed], np.float32)
    model = np.searchsorted(firsts, tree, side="right") - 1
    group = (model * 2 + nan_left) * (n_features + 1) + feature
    order = np.lexsort((threshold, group))
    n_groups = (len(firsts) - 1) * 2 * (n_features + 1)
    first = np.searchsorted(group[order], np.arange(n_groups)).reshape(-1, 2, n_features + 1)
    bits = threshold.view(np.uint32).astype(np.int64)
    split = np.stack([feature | word << _WORD_BITS, bits | mask << _WORD_BITS], axis=1)
    room = np.cumsum([0, *np.bincount(word, minlength=2 * len(trees))])
    return first.astype(np.int64), split[order], threshold[order], room.astype(np.int64)


def _split_feature(split: NDArray[np.int64]) -> NDArray[np.int64]:
    return split[:, 0] & _WORD


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


@intrinsic
def _rule_out(  # type: ignore[no-untyped-def]  # noqa: ANN202
    typing_context: Any,
    tile: Any,
    at: Any,
    splits: Any,
    begin: Any,
    known: Any,
    end: Any,
    start: Any,
    words: Any,
    to: Any,
):
    """AND the masks of the splits that cells fail into their words, held in registers.

    For the `_VECTOR` cells from `at` on in each feature of `tile`: their words begin as
    `start`; a missing value fails the splits from `begin` to `known` and passes those from
    `known` to `end`; what is left goes to `words` from `to` on. The arrays begin at, and the
    places are whole numbers of, `_ALIGNED` bytes. LLVM makes of the vectors what the processor
    has; numba alone would write the words to memory after every split.
    """
    arguments = (tile, at, splits, begin, known, end, start, words, to)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        single, word, place = ir.FloatType(), ir.IntType(32), ir.IntType(64)
        singles, many = ir.VectorType(single, _VECTOR), ir.VectorType(word, _VECTOR)

        def data(number: int) -> Any:
            kind = context.make_array(signature.args[number])
            return kind(context, builder, values[number]).data

        def everywhere(value: Any, kind: Any) -> Any:
            none = ir.Constant(kind, ir.Undefined)
            first = builder.insert_element(none, value, ir.Constant(word, 0))
            return builder.shuffle_vector(first, none, ir.Constant(many, [0] * _VECTOR))

        cells = builder.gep(data(0), [values[1]])
        fields = builder.bitcast(data(2), word.as_pointer())

        def go_through(first: Any, last: Any, fails: Any, begun: Any) -> Any:
            before = builder.block
            head, body, done = (builder.append_basic_block(name) for name in ("if", "do", "od"))
            builder.branch(head)
            builder.position_at_end(head)
            number, left = builder.phi(place), builder.phi(many)
            number.add_incoming(first, before)
            left.add_incoming(begun, before)
            builder.cbranch(builder.icmp_signed("<", number, last), body, done)
            builder.position_at_end(body)
            row = builder.gep(fields, [builder.mul(number, ir.Constant(place, 4))])
            feature, _, threshold, mask = (
                builder.load(builder.gep(row, [ir.Constant(place, column)])) for column in range(4)
            )
            offset = builder.mul(builder.sext(feature, place), ir.Constant(place, TILE_CELLS))
            at_feature = builder.bitcast(builder.gep(cells, [offset]), singles.as_pointer())
            value = builder.load(at_feature, align=_ALIGNED)
            limit = everywhere(builder.bitcast(threshold, single), singles)
            kept = builder.and_(left, everywhere(mask, many))
            number.add_incoming(builder.add(number, ir.Constant(place, 1)), body)
            left.add_incoming(builder.select(fails(">", value, limit), kept, left), body)
            builder.branch(head)
            builder.position_at_end(done)
            return left

        left = everywhere(values[6], many)
        left = go_through(values[3], values[4], builder.fcmp_unordered, left)
        left = go_through(values[4], values[5], builder.fcmp_ordered, left)
        target = builder.bitcast(builder.gep(data(7), [values[8]]), many.as_pointer())
        builder.store(left, target, align=_ALIGNED)
        return context.get_dummy_value()

    return types.void(*arguments), generate


@njit(cache=True, nogil=True, error_model="numpy")
def _score(
    bands: NDArray[np.float32],
    tile_rows: int,
    tile_cols: int,
    begin: int,
    end: int,
    divisor: Floats,
    slope: Floats,
    converted: bool,
    trees: NDArray[np.int64],
    first: NDArray[np.int64],
    split: NDArray[np.int64],
    threshold: Singles,
    room: NDArray[np.int64],
    category_first: NDArray[np.int64],
    category_feature: NDArray[np.int32],
    word_first: NDArray[np.int64],
    category_words: NDArray[np.uint32],
    category_mask: NDArray[np.uint32],
    leaf_value: Floats,
    wide: NDArray[np.bool_],
    result: Floats,
) -> None:
    """Score the cells of the tiles from `begin` to `end` of all models.

    Bands and result have shape (…, rows, cols). The last tiles repeat the last row and column.
    """
    n_features, n_rows, n_cols = bands.shape
    across = -(-n_cols // tile_cols)
    tile = _aligned(np.float32(0), n_features * TILE_CELLS)
    words = _aligned(np.uint32(0), 2 * _TREES_TOGETHER * TILE_CELLS)
    spans = np.empty((2, 2, n_features), np.float32)
    gaps = np.empty(n_features, np.bool_)
    total, scores = np.empty(TILE_CELLS), np.empty(TILE_CELLS)
    mixed = np.empty((len(split) + 1, 2), np.int64)
    known, filled = np.empty(len(room), np.int64), np.empty(len(room), np.int64)
    common = np.empty(len(room), np.uint32)
    for number in range(begin, end):
        north, west = number // across * tile_rows, number % across * tile_cols
        _read_tile(bands, north, west, tile_rows, tile_cols, tile)
        _ranges(tile, n_features, spans, gaps)
        for model in range(len(divisor)):
            for word in range(2 * trees[model], 2 * trees[model + 1]):
                filled[word] = room[word]
                common[word] = _WORD
            own = first[model]
            _narrow(own[0], threshold, split, spans[0], gaps, True, True, mixed, filled, common)
            # Where nothing is missing, both kinds of splits are one.
            _narrow(own[1], threshold, split, spans[1], gaps, True, False, mixed, filled, common)
            known[:] = filled
            _narrow(own[1], threshold, split, spans[1], gaps, False, True, mixed, filled, common)
            total[:] = 0.0
            for tree in range(trees[model], trees[model + 1], _TREES_TOGETHER):
                n_halves = 2 if wide[tree // _TREES_TOGETHER] else 1
                for one in range(_TREES_TOGETHER):
                    for half in range(n_halves):
                        word, to = 2 * (tree + one) + half, (2 * one + half) * TILE_CELLS
                        for at in range(0, TILE_CELLS, _VECTOR):
                            _rule_out(  # type: ignore[call-arg]
                                tile,
                                at,
                                mixed,
                                room[word],
                                known[word],
                                filled[word],
                                common[word],
                                words,
                                to + at,
                            )
                    to = 2 * one * TILE_CELLS
                    for at in range(category_first[tree + one], category_first[tree + one + 1]):
                        band = category_feature[at] * TILE_CELLS
                        _rule_out_category(
                            tile[band : band + TILE_CELLS],
                            category_words[word_first[at] : word_first[at + 1]],
                            category_mask[at],
                            words[to : to + TILE_CELLS],
                            words[to + TILE_CELLS : to + 2 * TILE_CELLS],
                        )
                _add_leaves(leaf_value[tree : tree + _TREES_TOGETHER], words, n_halves == 2, total)
            _convert(total, divisor[model], slope[model], converted, scores)
            for row in range(min(tile_rows, n_rows - north)):
                for col in range(min(tile_cols, n_cols - west)):
                    result[model, north + row, west + col] = scores[row * tile_cols + col]


@njit(nogil=True, error_model="numpy")
def _aligned(zero, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return an array of the type of `zero` that begins at a whole number of `_ALIGNED` bytes."""
    values = np.empty(size + _ALIGNED // 4, type(zero))
    skipped = -(values.ctypes.data // 4) % (_ALIGNED // 4)
    return values[skipped : skipped + size]


@njit(nogil=True, error_model="numpy")
def _read_tile(bands, north, west, tile_rows, tile_cols, tile):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_features, n_rows, n_cols = bands.shape
    n_within = min(tile_cols, n_cols - west)
    for feature in range(n_features):
        for row in range(tile_rows):
            values = bands[feature, min(north + row, n_rows - 1)]
            at = feature * TILE_CELLS + row * tile_cols
            for col in range(n_within):
                tile[at + col] = values[west + col]
            for col in range(n_within, tile_cols):
                tile[at + col] = values[n_cols - 1]


@njit(nogil=True, error_model="numpy")
def _ranges(tile, n_features, spans, gaps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Find each feature's lowest and highest value in the tile, shape (2, 2, n_features).

    Where some are missing: first, for splits that these fail, the highest is NaN, so that no
    split counts as passed by all; second, for splits that they pass, the lowest is NaN.
    """
    for feature in range(n_features):
        lowest, highest, missing = np.float32(np.inf), np.float32(-np.inf), np.uint32(0)
        for at in range(feature * TILE_CELLS, (feature + 1) * TILE_CELLS):
            value = tile[at]
            lowest = value if value < lowest else lowest
            highest = value if value > highest else highest
            missing |= np.uint32(value != value)
        gaps[feature] = missing != 0
        spans[0, 0, feature] = spans[1, 0, feature] = lowest
        spans[0, 1, feature] = spans[1, 1, feature] = highest
        if missing:
            spans[0, 1, feature] = spans[1, 0, feature] = np.nan


@njit(nogil=True, error_model="numpy")
def _narrow(first, threshold, split, span, gaps, whole, gappy, mixed, filled, common):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sort out the splits of features that have no gaps (`whole`) or have some (`gappy`).

    A split whose threshold lies below all values is failed by all cells and goes into the
    words they have in common; one whose threshold lies above all is passed by all; the mixed
    ones are listed word by word.
    """
    for feature in range(len(gaps)):
        if not (gappy if gaps[feature] else whole):
            continue
        begin, end = first[feature], first[feature + 1]
        lowest, highest = span[0, feature], span[1, feature]
        if lowest == lowest:
            begin = _first_not_below(threshold, begin, end, lowest)
        if highest == highest:
            end = _first_not_below(threshold, begin, end, highest)
        for number in range(first[feature], begin):
            word = split[number, 0] >> _WORD_BITS
            common[word] &= np.uint32(split[number, 1] >> _WORD_BITS)
        for number in range(begin, end):
            word = split[number, 0] >> _WORD_BITS
            place = filled[word]
            filled[word] = place + 1
            mixed[place, 0] = split[number, 0]
            mixed[place, 1] = split[number, 1]


@njit(nogil=True, error_model="numpy")
def _first_not_below(ascending, begin, end, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    while begin < end:
        middle = (begin + end) >> 1
        if ascending[middle] < value:
            begin = middle + 1
        else:
            end = middle
    return begin


@njit(nogil=True, error_model="numpy")
def _add_leaves(values, words, wide, total):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add the values of the cells' leaves, in the order of the trees."""
    for cell in range(TILE_CELLS):
        added = total[cell]
        for one in range(_TREES_TOGETHER):
            low = words[2 * one * TILE_CELLS + cell]
            if wide:
                high = np.uint64(words[(2 * one + 1) * TILE_CELLS + cell])
                word = high << np.uint64(_WORD_BITS) | np.uint64(low)
                added += values[one, _lowest_bit(word)]  # type: ignore[call-arg]
            else:
                added += values[one, _lowest_bit(low)]  # type: ignore[call-arg]
        total[cell] = added


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
