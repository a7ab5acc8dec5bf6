"""Why a task ranks where it does, in plain sentences with numbers.

Each part of the score (likelihood, ease of the work, each criterion) is compared with the
median of all ranked tasks. How much it moves the score is told by the method itself:

- ``harm_averted`` is a product, so the logarithm of a score's ratio to that of the median
  task is a sum. The part of consequence is shared among criteria by the logarithmic mean
  (LMDI, Ang 2004, Energy Policy 32(9)), which leaves no rest.
- Weighted methods move by weight times difference in value; PROMETHEE by weighted net flows.
- ``lexicographic`` looks at one value after the other, so earlier ones always move more.

The three largest are said, whether they raise or lower the rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.priority.criteria.base import CriterionSpec
from hazardrank.priority.methods import Ranking
from hazardrank.priority.tasks_words import Phrase
from hazardrank.settings import EFFORT, LIKELIHOOD

FloatArray = NDArray[np.float64]
Texts = NDArray[np.object_]

#: Values of 0 count as this where ratios are taken.
_TRACE = 1e-9
#: Parts that move a score by less than this say nothing.
_NOTHING = 1e-6
#: How much less the next value counts in a lexicographic order.
_NEXT = 1e-3


@dataclass(frozen=True)
class Parts:
    """What moves the scores of tasks, beside the median task.

    Parameters
    ----------
    names : tuple of str
        The criteria, likelihood and effort.
    moves : ndarray of float64, shape (n, n_parts)
        How much each part moves each score up or down, comparable within a task.
    """

    names: tuple[str, ...]
    moves: FloatArray


def parts_of(ranking: Ranking) -> Parts:
    """Return what moves each score away from that of the median task."""
    land, method = ranking.method.alternatives, ranking.method
    names = (*land.criteria, LIKELIHOOD, EFFORT)
    if not len(land):
        return Parts(names, np.zeros((0, len(names))))
    if method.name == "harm_averted":
        return Parts(names, _of_product(ranking))
    matrix = method.matrix(land.likelihood, land.team_days)
    away = matrix - np.median(matrix, axis=0)
    if method.name == "lexicographic":
        order = ranking.method.settings.order
        looked_at = [name for name in order if name in names]
        weights = [_NEXT ** looked_at.index(name) if name in looked_at else 0.0 for name in names]
        return Parts(names, away * np.array(weights))
    if method.name == "promethee" and ranking.contributions is not None:
        added = ranking.contributions
        return Parts(names, added - np.median(added, axis=0))
    return Parts(names, away * ranking.weight_values)


def _of_product(ranking: Ranking) -> FloatArray:
    land, weights = ranking.method.alternatives, ranking.weight_values
    weighed = land.consequence * weights
    usual = np.median(weighed, axis=0)
    whole, usual_whole = weighed.sum(axis=1), usual.sum()
    shared = (weighed - usual) * _per_unit(whole, float(usual_whole))[:, np.newaxis]
    likelihood = _log_ratio(land.likelihood)
    ease = -_log_ratio(land.team_days / land.area_ha)
    return np.column_stack([shared, likelihood, ease])


def _log_ratio(values: FloatArray) -> FloatArray:
    ratio: FloatArray = np.log(np.maximum(values, _TRACE) / max(float(np.median(values)), _TRACE))
    return ratio


def _per_unit(values: FloatArray, usual: float) -> FloatArray:
    """Return 1 / L(value, usual), L the logarithmic mean."""
    values, usual = np.maximum(values, _TRACE), max(usual, _TRACE)
    ratio = values / usual
    near = np.abs(ratio - 1.0) < 1e-6
    slope = np.where(near, 1.0, np.log(ratio) / np.where(near, 1.0, ratio - 1.0))
    per_unit: FloatArray = slope / usual
    return per_unit


def phrases_of(specs: Sequence[CriterionSpec]) -> tuple[Phrase, ...]:
    """Return how criteria, likelihood and effort are said."""
    return (
        *(_phrase(spec) for spec in specs),
        Phrase("mean contamination likelihood"),
        Phrase("work", "team-days per ha"),
    )


#: How criteria are said whose name and unit say too little; others by name and unit.
_LABELS = {
    "access": "access would be gained by",
    "accidents": "near and recent accidents, weighed:",
    "people": "near, weighed by distance:",
    "returns": "near and soon to return, weighed:",
}


def _phrase(spec: CriterionSpec) -> Phrase:
    label = spec.name.replace("_", " ")
    if spec.criterion == "land_use":
        return Phrase(f"share of {label}", "share")
    if spec.unit == "m":
        return Phrase(f"distance to {label}", "m")
    return Phrase(_LABELS.get(spec.criterion, label), spec.unit)


def plain_reasons(
    parts: Parts, quantities: FloatArray, phrases: Sequence[Phrase], n_reasons: int
) -> Texts:
    """Return what moves each score most, in words.

    Parameters
    ----------
    parts : Parts
        What moves n scores.
    quantities : ndarray of float64, shape (n, n_parts)
        What is measured behind each part, in the unit of its phrase; NaN where not known.
    phrases : sequence of Phrase, length n_parts
        How each is said.
    n_reasons : int
        Reasons given at most.

    Returns
    -------
    ndarray of str, shape (n, n_reasons)
        ``Raises its rank: people 340 people; median task 45 people``. The largest first; of
        equal ones that named first. Empty where nothing more moves the score.
    """
    usual = _medians(quantities)
    order = np.argsort(-np.abs(parts.moves), axis=1, kind="stable")[:, :n_reasons]
    texts = np.full((len(quantities), n_reasons), "", dtype=object)
    for task, chosen in enumerate(order.tolist()):
        for place, part in enumerate(chosen):
            move = parts.moves[task, part]
            if abs(move) > _NOTHING * np.abs(parts.moves[task]).max():
                said = phrases[part].said(float(quantities[task, part]), float(usual[part]))
                texts[task, place] = f"{'Raises' if move > 0 else 'Lowers'} its rank: {said}"
    return texts


def _medians(quantities: FloatArray) -> FloatArray:
    """Return the median of what is known, NaN where nothing is."""
    known = ~np.isnan(quantities)
    return np.array(
        [
            np.median(column[there]) if there.any() else np.nan
            for column, there in zip(quantities.T, known.T, strict=True)
        ]
    )
