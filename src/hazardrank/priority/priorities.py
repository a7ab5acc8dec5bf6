"""Gates, then scores, bands and ranks, then how far the ranks can be trusted: in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hazardrank.priority.alternatives import Alternatives
from hazardrank.priority.bands import bands_of
from hazardrank.priority.gates import GateDecision
from hazardrank.priority.methods import Ranking, rank
from hazardrank.priority.robustness import RankRobustness, rank_robustness
from hazardrank.priority.weights import Weights
from hazardrank.settings import PrioritySettings

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Priorities:
    """Ranks of tasks and what stands behind them, in the order of the alternatives.

    Parameters
    ----------
    rank : ndarray of int64, shape (n,)
        1 is first; 0 for tasks that wait behind a closed gate.
    score : ndarray of float64, shape (n,)
        In :attr:`unit`; NaN for tasks that wait.
    band : ndarray of int8, shape (n,)
        Codes of :class:`~hazardrank.priority.bands.Band`.
    closed_by : ndarray of object, shape (n,)
        What a task waits for, ``""`` where it does not.
    columns : tuple of str
        What the method weighs.
    contributions : ndarray of float64, shape (n, n_columns), or None
        What each column adds to each score; NaN for tasks that wait, ``None`` for methods
        whose score is no sum.
    weights : Weights or None
        Weights of the columns; ``None`` if nothing is weighed.
    unit : str
        What a score means.
    robustness : mapping of str to RankRobustness
        By how weights were drawn; empty without draws. Rows of tasks that wait are 0 or NaN.
    ranking : Ranking
        The ranking of the tasks that do not wait, in their order.
    """

    rank: NDArray[np.int64]
    score: FloatArray
    band: NDArray[np.int8]
    closed_by: NDArray[np.object_]
    columns: tuple[str, ...]
    contributions: FloatArray | None
    weights: Weights | None
    unit: str
    robustness: Mapping[str, RankRobustness]
    ranking: Ranking


def prioritize(
    alternatives: Alternatives,
    settings: PrioritySettings,
    decision: GateDecision,
    likelihood_low: FloatArray,
    likelihood_high: FloatArray,
    *,
    seed: int,
    unjudged_share: FloatArray | None = None,
    skipped: Sequence[str] = (),
    threads: int = 1,
) -> Priorities:
    """Rank what may be tasked, band it, and draw how its ranks move.

    Parameters
    ----------
    alternatives : Alternatives
        All tasks.
    settings : PrioritySettings
        Every choice.
    decision : GateDecision
        Which tasks may be ranked.
    likelihood_low, likelihood_high : ndarray of float64, shape (n,)
        Ends of the likelihoods' intervals; the likelihoods where there are none.
    seed : int
        Seed of the draws.
    unjudged_share : ndarray of float64, shape (n,), optional
        Share of each task outside the model's domain.
    skipped : sequence of str, optional
        Criteria left out because the region lacks their layer.
    threads : int, optional
        Draws ranked at a time; never changes a result.

    Returns
    -------
    Priorities

    Raises
    ------
    PriorityError
        If weights do not fit the criteria, or ranks of all draws would not fit in memory.
    """
    opened = np.flatnonzero(decision.open)
    n = len(alternatives)
    ranking = rank(alternatives.take(opened), settings, skipped=skipped)
    ranks, scores = _spread(ranking.ranks, opened, n), _spread(ranking.scores, opened, n)
    added = ranking.contributions
    return Priorities(
        ranks,
        scores,
        bands_of(
            ranks,
            alternatives.area_m2,
            scores,
            settings.bands,
            is_open=decision.open,
            unjudged_share=unjudged_share,
        ),
        decision.closed_by,
        ranking.method.columns,
        None if added is None else _spread(added, opened, n),
        ranking.weights,
        ranking.method.unit,
        _robustness(
            ranking,
            settings,
            likelihood_low[opened],
            likelihood_high[opened],
            seed,
            opened,
            n,
            threads,
        ),
        ranking,
    )


def _robustness(
    ranking: Ranking,
    settings: PrioritySettings,
    low: FloatArray,
    high: FloatArray,
    seed: int,
    opened: NDArray[np.int64],
    n: int,
    threads: int,
) -> dict[str, RankRobustness]:
    if settings.robustness.draws == 0 or not len(opened):
        return {}
    found: dict[str, RankRobustness] = {}
    for kind in settings.robustness.weights:
        drawn = rank_robustness(ranking, settings.robustness, kind, low, high, seed, threads)
        arrays = {
            field.name: _spread(getattr(drawn, field.name), opened, n)
            for field in fields(drawn)
            if isinstance(getattr(drawn, field.name), np.ndarray)
        }
        found[kind] = RankRobustness(drawn.weights, drawn.n_draws, drawn.top, **arrays)
    return found


def _spread(values: NDArray[np.generic], opened: NDArray[np.int64], n: int) -> NDArray:  # type: ignore[type-arg]
    """Return values of open tasks among all: NaN for the others, or 0 if they are counts."""
    empty = np.nan if values.dtype.kind == "f" else 0
    spread = np.full((n, *values.shape[1:]), empty, values.dtype)
    spread[opened] = values
    return spread
