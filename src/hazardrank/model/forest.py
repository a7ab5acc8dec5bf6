"""Scoring LightGBM models over bands of a raster, equal to ``Booster.predict`` to the bit.

A bit-vector forest after QuickScorer (Lucchese et al. 2015, *QuickScorer: a fast algorithm to
rank documents with additive ensembles of regression trees*, SIGIR). The leaves of a tree are
bits, from left to right. Each split that a cell fails rules out the leaves to its left: its
mask is AND-ed into the cell's word. The lowest bit that is left is the cell's leaf. Nothing
branches on a cell's values, so that many cells go through a tree in vector instructions, and
the shape of the tree costs nothing.

Cells go through the trees in tiles: squares of a raster, whose values lie close together. The
range of each feature in a tile tells which splits all its cells pass, and which all fail. Both
rule out leaves for the whole tile, and with them the splits above those leaves. Only what
remains is looked at cell by cell: a part of the splits on smooth land, all of them among cells
in random order.

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
from collections.abc import Iterable, Mapping, Sequence
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
    feature = packed.split[:, 0] % forest.n_features
    threshold = packed.split.view(np.float32)[:, 2]
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
    """A split by a number: what fails it loses the leaves on its left, else those on its right.

    `size` counts the splits by a number below it, and itself.
    """

    feature: int
    threshold: float
    nan_left: bool
    failed: int
    passed: int
    size: int


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
    order, leaves_of = _leaves_in_order(children[0], children[1])
    tree.leaf_value[:] = values[order]
    of_number = [node for node in leaves_of if not decision[node] & _CATEGORICAL]
    for node, (first, middle, last) in leaves_of.items():
        failed, passed = _without(first, middle), _without(middle, last)
        where, kind = int(feature[node]), int(decision[node])
        missing = kind >> _MISSING_SHIFT & 3
        if kind & _CATEGORICAL:
            number = int(threshold[node])
            words = category_words[category_first[number] : category_first[number + 1]]
            tree.categorical.append((where, words, failed))
            continue
        if missing == _MISSING_ZERO:
            raise ForestLimitError("the model takes zero for missing")
        at = float(threshold[node])
        nan_left = at >= 0 if missing == _MISSING_NONE else bool(kind & _DEFAULT_LEFT)
        size = sum(first <= leaves_of[i][0] and leaves_of[i][2] <= last for i in of_number)
        tree.splits.append(_Split(where, _single(at), nan_left, failed, passed, size))
    return tree


def _leaves_in_order(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[list[int], dict[int, list[int]]]:
    """Return the leaves from left to right, and of each split, from the root on, where they stand.

    A split's leaves are given as the first, the first on its right, and the end.
    """
    order: list[int] = []
    leaves_of: dict[int, list[int]] = {}
    stack = [0]
    while stack:
        node = stack.pop()
        if node < 0:
            order.append(~node)
            continue
        seen = leaves_of.setdefault(node, [])
        seen.append(len(order))
        if len(seen) < 3:
            stack += [node, int((left, right)[len(seen) - 1][node])]
    return order, leaves_of


def _without(first: int, end: int) -> int:
    """Return the word of all leaves but those from `first` to `end`."""
    return _EVERY & ~(((1 << (end - first)) - 1) << first)


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

    An instruction holds twice as many words of 32 bits as of 64. Larger trees therefore have
    two words a cell, of the first 32 leaves and of the others. Each model's trees are filled
    up with trees of one leaf of value 0 to groups of ``_TREES_TOGETHER``: they add nothing.

    Parameters
    ----------
    trees : ndarray of int64, shape (n_models + 1,)
        First tree of each model.
    split_first : ndarray of int64, shape (n_trees + 1,)
        First split by a number of each tree; they stand from the root on.
    split : ndarray of uint32, shape (n_splits, 8)
        Feature, plus the number of features where a missing value passes; place of the
        feature in a tile; float32 threshold; splits from here on to pass over where this one
        is out of reach; and as two 64-bit words the leaves that are left to what fails, and
        to what passes.
    every : ndarray of uint64, shape (n_trees,)
        The leaves of each tree.
    category_first, category_feature, word_first, category_words, category_mask
        Tree → its first split by category; split → feature, its first word of categories that
        pass; those words; the leaves left to what fails, as two 32-bit words.
    leaf_value : ndarray of float64, shape (n_trees, 64)
        Values from left to right.
    wide : ndarray of bool, shape (n_trees / _TREES_TOGETHER,)
        Whether a tree of the group has more than 32 leaves.
    """

    trees: NDArray[np.int64]
    split_first: NDArray[np.int64]
    split: NDArray[np.uint32]
    every: NDArray[np.uint64]
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
        splits = [split for tree in trees for split in tree.categorical]
        leaf_value = np.zeros((len(trees), MAX_LEAVES))
        for number, tree in enumerate(trees):
            leaf_value[number, : len(tree.leaf_value)] = tree.leaf_value
        masks = [[mask & _WORD, mask >> _WORD_BITS] for *_, mask in splits]
        wide = np.array([len(tree.leaf_value) > _WORD_BITS for tree in trees], np.bool_)
        return cls(
            _ends(len(model) for model in whole),
            _ends(len(tree.splits) for tree in trees),
            _table([split for tree in trees for split in tree.splits], n_features),
            np.array([(1 << len(tree.leaf_value)) - 1 for tree in trees], np.uint64),
            _ends(len(tree.categorical) for tree in trees),
            np.array([feature for feature, _, _ in splits], np.int32),
            _ends(len(words) for _, words, _ in splits),
            np.concatenate([np.empty(0, np.uint32), *(words for _, words, _ in splits)]),
            np.array(masks, np.uint32).reshape(len(splits), 2),
            leaf_value,
            np.any(wide.reshape(-1, _TREES_TOGETHER), axis=1),
        )


_NOTHING = _Tree(np.zeros(1), [], [])


def _ends(lengths: Iterable[int]) -> NDArray[np.int64]:
    """Return where each of some lists begins in all of them, and where the last ends."""
    return np.cumsum([0, *lengths]).astype(np.int64)


def _table(splits: Sequence[_Split], n_features: int) -> NDArray[np.uint32]:
    """Return the splits as :class:`_Packed` describes them."""
    table = np.zeros((len(splits), 8), np.uint32)
    feature = np.array([split.feature for split in splits], np.uint32)
    nan_left = np.array([split.nan_left for split in splits], np.uint32)
    table[:, 0] = feature + n_features * nan_left
    table[:, 1] = feature * TILE_CELLS
    table.view(np.float32)[:, 2] = [split.threshold for split in splits]
    table[:, 3] = [split.size for split in splits]
    words = table.view(np.uint64)
    words[:, 2] = np.array([split.failed for split in splits], np.uint64)
    words[:, 3] = np.array([split.passed for split in splits], np.uint64)
    return table


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
    split: Any,
    half: Any,
    mixed: Any,
    n_missing_fails: Any,
    n_missing_passes: Any,
    start: Any,
    words: Any,
    to: Any,
):
    """AND the masks of the splits that cells fail into their words, held in registers.

    For the `_VECTOR` cells from `at` on in each feature of `tile`: the words of a `half` of
    their leaves begin as `start`; the splits are those that :func:`_narrow` listed; what is
    left goes to `words` from `to` on. Tile and words begin at, and the places are, whole
    numbers of `_ALIGNED` bytes. LLVM makes of the vectors what the processor has; numba alone
    would write the words to memory after every split.
    """
    counts = (n_missing_fails, n_missing_passes)
    arguments = (tile, at, split, half, mixed, *counts, start, words, to)

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
        masks = builder.gep(data(2), [builder.add(values[3], ir.Constant(place, 4))])

        def go_through(listed: Any, n_listed: Any, fails: Any, begun: Any) -> Any:
            before = builder.block
            head, body, done = (builder.append_basic_block(name) for name in ("if", "do", "od"))
            builder.branch(head)
            builder.position_at_end(head)
            number, left = builder.phi(place), builder.phi(many)
            number.add_incoming(ir.Constant(place, 0), before)
            left.add_incoming(begun, before)
            builder.cbranch(builder.icmp_signed("<", number, n_listed), body, done)
            builder.position_at_end(body)
            row = builder.zext(builder.load(builder.gep(listed, [number])), place)
            first = builder.mul(row, ir.Constant(place, 8))
            offset, threshold = (
                builder.load(builder.gep(data(2), [builder.add(first, ir.Constant(place, column))]))
                for column in (1, 2)
            )
            mask = builder.load(builder.gep(masks, [first]))
            of_feature = builder.gep(cells, [builder.zext(offset, place)])
            value = builder.load(builder.bitcast(of_feature, singles.as_pointer()), align=_ALIGNED)
            limit = everywhere(builder.bitcast(threshold, single), singles)
            kept = builder.and_(left, everywhere(mask, many))
            number.add_incoming(builder.add(number, ir.Constant(place, 1)), body)
            left.add_incoming(builder.select(fails(">", value, limit), kept, left), body)
            builder.branch(head)
            builder.position_at_end(done)
            return left

        left = everywhere(values[7], many)
        of_half = builder.mul(values[3], ir.Constant(place, 2 * MAX_LEAVES))
        listed = builder.gep(data(4), [of_half])
        left = go_through(listed, values[5], builder.fcmp_unordered, left)
        listed = builder.gep(listed, [ir.Constant(place, MAX_LEAVES)])
        left = go_through(listed, values[6], builder.fcmp_ordered, left)
        target = builder.bitcast(builder.gep(data(8), [values[9]]), many.as_pointer())
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
    split_first: NDArray[np.int64],
    split: NDArray[np.uint32],
    every: NDArray[np.uint64],
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
    fields = split.reshape(-1)
    singles, masks = fields.view(np.float32), fields.view(np.uint64)
    tile = _aligned(np.float32(0), n_features * TILE_CELLS)
    words = _aligned(np.uint32(0), 2 * _TREES_TOGETHER * TILE_CELLS)
    lowest = np.empty(2 * n_features, np.float32)
    highest = np.empty(2 * n_features, np.float32)
    gaps = np.empty(2 * n_features, np.uint64)
    mixed, n_mixed = np.empty(4 * MAX_LEAVES + 1, np.uint32), np.empty(4, np.int64)
    total, scores = np.empty(TILE_CELLS), np.empty(TILE_CELLS)
    for number in range(begin, end):
        north, west = number // across * tile_rows, number % across * tile_cols
        _read_tile(bands, north, west, tile_rows, tile_cols, tile)
        _ranges(tile, lowest, highest, gaps)
        for model in range(len(divisor)):
            total[:] = 0.0
            for first in range(trees[model], trees[model + 1], _TREES_TOGETHER):
                n_halves = 2 if wide[first // _TREES_TOGETHER] else 1
                for tree in range(first, first + _TREES_TOGETHER):
                    splits = split_first[tree], split_first[tree + 1]
                    common = _narrow(
                        *(*splits, fields, singles, masks, lowest, highest, gaps),
                        *(every[tree], n_halves == 2, mixed, n_mixed),
                    )
                    to = 2 * (tree - first) * TILE_CELLS
                    _rule_out_mixed(tile, fields, common, n_halves, mixed, n_mixed, words, to)
                    for at in range(category_first[tree], category_first[tree + 1]):
                        band = category_feature[at] * TILE_CELLS
                        _rule_out_category(
                            tile[band : band + TILE_CELLS],
                            category_words[word_first[at] : word_first[at + 1]],
                            category_mask[at],
                            words[to : to + TILE_CELLS],
                            words[to + TILE_CELLS : to + 2 * TILE_CELLS],
                        )
                _add_leaves(leaf_value[first : first + _TREES_TOGETHER], words, n_halves, total)
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
def _ranges(tile, lowest, highest, gaps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Find each feature's lowest and highest value in the tile, and whether some are missing.

    All are given twice, shape (2 * n_features,). For splits that a missing value fails, the
    highest is then NaN, so that none counts as passed by all; for those that it passes, the
    lowest is NaN. Gaps are told of for the latter alone.
    """
    n_features = len(gaps) // 2
    for feature in range(n_features):
        low, high, missing = np.float32(np.inf), np.float32(-np.inf), np.uint32(0)
        for at in range(feature * TILE_CELLS, (feature + 1) * TILE_CELLS):
            value = tile[at]
            low = value if value < low else low
            high = value if value > high else high
            missing |= np.uint32(value != value)
        lowest[feature], highest[feature], gaps[feature] = low, high, 0
        again = n_features + feature
        lowest[again], highest[again], gaps[again] = low, high, missing
        if missing:
            highest[feature] = lowest[again] = np.nan


@njit(nogil=True, error_model="numpy")
def _narrow(
    first: int,
    last: int,
    fields: NDArray[np.uint32],
    singles: Singles,
    masks: NDArray[np.uint64],
    lowest: Singles,
    highest: Singles,
    gaps: NDArray[np.uint64],
    every: np.uint64,
    wide: bool,
    mixed: NDArray[np.uint32],
    n_mixed: NDArray[np.int64],
) -> np.uint64:
    """Return the leaves that a tree has left for the tile, and list the splits still to look at.

    Listed are those of the first 32 leaves that a missing value fails, those that it passes,
    and both again of the other leaves. Places count without sign, which spares tests.
    """
    nothing, one, room = np.uint64(0), np.uint64(1), np.uint64(MAX_LEAVES)
    low_fails, low_passes = nothing, room
    high_fails, high_passes = room * np.uint64(2), room * np.uint64(3)
    left = every
    number = np.uint64(first)
    while number < np.uint64(last):
        row = number * np.uint64(8)
        failed = masks[(row >> one) + np.uint64(2)]
        passed = masks[(row >> one) + np.uint64(3)]
        if left & ~(failed & passed) == nothing:
            number += np.uint64(fields[row + np.uint64(3)])
            continue
        feature, limit = np.uint64(fields[row]), singles[row + np.uint64(2)]
        if lowest[feature] > limit:
            left &= failed
        elif highest[feature] <= limit:
            left &= passed
        else:
            on_low = not wide or np.uint32(~failed) != np.uint32(0)
            on_high = wide and ~failed >> np.uint64(_WORD_BITS) != nothing
            if gaps[feature]:
                mixed[low_passes] = mixed[high_passes] = number
                low_passes += np.uint64(on_low)
                high_passes += np.uint64(on_high)
            else:
                mixed[low_fails] = mixed[high_fails] = number
                low_fails += np.uint64(on_low)
                high_fails += np.uint64(on_high)
        number += one
    n_mixed[0], n_mixed[1] = low_fails, low_passes - room
    n_mixed[2], n_mixed[3] = high_fails - room * np.uint64(2), high_passes - room * np.uint64(3)
    return left


@njit(nogil=True, error_model="numpy")
def _rule_out_mixed(tile, fields, common, n_halves, mixed, n_mixed, words, to):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Look cell by cell at the splits of a tree that were listed, for each half of its leaves."""
    for half in range(n_halves):
        start = np.uint32(common >> np.uint64(half * _WORD_BITS))
        for at in range(0, TILE_CELLS, _VECTOR):
            _rule_out(  # type: ignore[call-arg]
                *(tile, at, fields, half, mixed, n_mixed[2 * half], n_mixed[2 * half + 1]),
                *(start, words, to + half * TILE_CELLS + at),
            )


@njit(nogil=True, error_model="numpy")
def _add_leaves(values, words, n_halves, total):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add the values of the cells' leaves, in the order of the trees."""
    for cell in range(TILE_CELLS):
        added = total[cell]
        for one in range(_TREES_TOGETHER):
            low = words[2 * one * TILE_CELLS + cell]
            if n_halves == 2:
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
