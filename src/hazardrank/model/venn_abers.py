"""Inductive Venn–Abers predictors, exact, with evidence weights, as plain steps.

Vovk, Petej & Fedorova 2015, *Large-scale probabilistic predictors with and without
guarantees of validity*, NeurIPS 28 (arXiv 1511.00213), section 3. For a new score the
isotonic regression is fitted twice, with the new cell added once as not contaminated and
once as contaminated; its two values at the new score are ``p0 <= p1``. If cells were
exchangeable, one of the two would be perfectly calibrated whatever the distribution.

The ``venn-abers`` package computes the same for cells of equal weight, in time that grows
with the square of their number; here cells may have weights, the time is linear after
sorting, and the result is three plain arrays that a bundle can hold. The package is what
the tests compare with.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, float]

SCORES_AT_ONCE = 512
"""Scores that are looked up together."""


def venn_abers_steps(score: Floats, outcome: Floats, weight: Floats) -> tuple[Floats, ...]:
    """Return where and to what ``p0`` and ``p1`` step.

    Parameters
    ----------
    score : ndarray of float64, shape (n,)
        Scores of the calibration cells.
    outcome : ndarray of float64, shape (n,)
        1 contaminated, 0 not.
    weight : ndarray of float64, shape (n,)
        Evidence weight of each; a new cell weighs 1. Cells of weight 0 do not count.

    Returns
    -------
    knot, p0, p1 : ndarray of float64, shape (n_knots,)
        Knots rise. At a score ``s``, :math:`p_0` is that of the last knot at or below `s` (0
        below all) and :math:`p_1` that of the first knot at or above (1 above all).
    """
    counted = weight > 0
    knot, group = np.unique(score[counted], return_inverse=True)
    mass = np.bincount(group, weight[counted], len(knot)).astype(np.float64)
    found = np.bincount(group, (weight * outcome)[counted], len(knot)).astype(np.float64)
    p1 = _with_one_more(mass, found)
    p0 = 1 - _with_one_more(mass[::-1], (mass - found)[::-1])[::-1]
    p0 = np.clip(np.maximum.accumulate(p0), 0, 1)
    p1 = np.clip(np.maximum.accumulate(p1), p0, 1)
    kept = np.ones(len(knot), bool)
    kept[1:-1] = (p0[1:-1] != p0[:-2]) | (p1[1:-1] != p1[2:])
    return knot[kept], p0[kept], p1[kept]


def venn_abers_bounds(score: Floats, knot: Floats, p0: Floats, p1: Floats) -> tuple[Floats, Floats]:
    """Return ``p0`` and ``p1`` at some scores; NaN where the score is.

    Parameters
    ----------
    score : ndarray of float64, shape (n,)
        Scores.
    knot, p0, p1 : ndarray of float64, shape (n_knots,)
        From :func:`venn_abers_steps`.
    """
    below, above = bounds_by_place(p0, p1)
    place = places(score, knot)
    return below.take(place), above.take(place)


def places(score: Floats, knot: Floats) -> NDArray[np.int64]:
    """Return where scores stand among the knots: how many lie below, plus how many not above.

    Even between two knots, odd at a knot; ``2 n_knots + 1`` where the score is missing. What
    steps at the knots is so a table of ``2 n_knots + 2`` values.

    Parameters
    ----------
    score : ndarray of float64, shape (n,)
        Scores.
    knot : ndarray of float64, shape (n_knots,)
        Knots, rising.
    """
    place = np.empty(len(score), np.int64)
    _places(np.ascontiguousarray(score), np.ascontiguousarray(knot), place)
    return place


def bounds_by_place(p0: Floats, p1: Floats) -> tuple[Floats, Floats]:
    """Return ``p0`` and ``p1`` by place (:func:`places`), each of shape (2 n_knots + 2,)."""
    place = np.arange(2 * len(p0) + 1)
    below = np.concatenate([[0.0], p0])[(place + 1) // 2]
    above = np.concatenate([p1, [1.0]])[place // 2]
    return np.append(below, np.nan), np.append(above, np.nan)


def merged(p0: Floats, p1: Floats) -> Floats:
    """Return the single probability that minimises the worst regret in log loss.

    ``p1 / (1 - p0 + p1)``, Vovk et al. 2015, section 5; non-decreasing in both.
    """
    return np.asarray(p1 / (1 - p0 + p1), np.float64)


def _with_one_more(mass: Floats, found: Floats) -> Floats:
    """Return the isotonic value of each group with one contaminated cell of weight 1 added.

    Algorithms 1 and 2 of Vovk et al. 2015 on the cumulative sum diagram of weighted
    groups: the added cell starts before the first group and moves past one group after
    another, while a stack holds the corners of the greatest convex minorant to its right.
    """
    points = np.column_stack([np.cumsum(mass), np.cumsum(found)]).tolist()
    diagram: list[Point] = [(-1.0, -1.0), (0.0, 0.0), *((x, y) for x, y in points)]
    corners = _corners(diagram)
    values = []
    for group in range(len(mass)):
        values.append(_slope(corners[-1], corners[-2]))
        before, here, after = diagram[group : group + 3]
        moved = (before[0] + after[0] - here[0], before[1] + after[1] - here[1])
        diagram[group + 1] = moved
        if _turn(corners[-1], corners[-2], moved) >= 0:
            continue
        corners.pop()
        while len(corners) > 1 and _turn(moved, corners[-1], corners[-2]) <= 0:
            corners.pop()
        corners.append(moved)
    return np.array(values)


def _corners(diagram: list[Point]) -> list[Point]:
    """Return the corners of the greatest convex minorant, the leftmost last."""
    stack: list[Point] = []
    for point in diagram:
        while len(stack) > 1 and _turn(stack[-2], stack[-1], point) <= 0:
            stack.pop()
        stack.append(point)
    return stack[::-1]


def _turn(first: Point, second: Point, third: Point) -> float:
    """Return twice the signed area of a triangle: above 0 for a turn to the left."""
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (
        third[0] - first[0]
    )


def _slope(left: Point, right: Point) -> float:
    return (right[1] - left[1]) / (right[0] - left[0])


@njit(cache=True, nogil=True, error_model="numpy")
def count_not_above(knot: Floats, score: Floats, count: NDArray[np.int64]) -> None:
    """Count the rising `knot` not above each score: all scores go through a step together.

    Nothing branches on the scores, so a step is a few vector instructions.
    """
    count[:] = 0
    size = len(knot)
    while size > 1:
        half = size // 2
        for c in range(len(score)):
            further = count[c] + half
            count[c] = further if knot[further - 1] <= score[c] else count[c]
        size -= half
    if size:
        for c in range(len(score)):
            count[c] += knot[count[c]] <= score[c]


@njit(cache=True, nogil=True, error_model="numpy")
def _places(score: Floats, knot: Floats, place: NDArray[np.int64]) -> None:
    missing = 2 * len(knot) + 1
    for first in range(0, len(score), SCORES_AT_ONCE):
        some, found = score[first : first + SCORES_AT_ONCE], place[first : first + SCORES_AT_ONCE]
        count_not_above(knot, some, found)
        for c in range(len(some)):
            n = found[c]
            at_knot = n > 0 and knot[max(n - 1, 0)] == some[c]
            found[c] = 2 * n - at_knot if some[c] == some[c] else missing
