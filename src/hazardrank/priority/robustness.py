"""Rank robustness: how far ranks move with what is not known.

Ranks rest on weights somebody chose, on likelihoods that have intervals, and on efforts that
are estimates. Monte Carlo draws change all three; every draw ranks everything anew. What
comes out for each task is the range of its rank, how often it is among the first, and
whether its order to the next is decided at all. Scores that are equal in a draw are put in
random order, so that the ids decide nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.priority.draws import (
    LikelihoodDraws,
    WeightDraws,
    effort_spread,
    weight_draws,
)
from hazardrank.priority.methods import Ranking
from hazardrank.settings import RobustnessSettings

FloatArray = NDArray[np.float64]
RankArray = NDArray[np.uint32]

#: Ranks held at once, four bytes each; more are refused.
MOST_RANKS = 200_000_000
#: Numbers that keep the streams of random draws apart.
_STREAMS = {"around": 1, "uniform": 2, "fixed": 3}
_WEIGHTS = 0
#: Tasks whose ranks are sorted at once.
_CHUNK = 1024


@dataclass(frozen=True)
class RankRobustness:
    """How ranks move, in the order of the alternatives.

    Parameters
    ----------
    weights : {"around", "uniform", "fixed"}
        How weights were drawn.
    n_draws : int
        Number of draws.
    top : int
        The k of ``top_share``.
    low, high : ndarray of int64, shape (n,)
        Ends of the rank's range (5 % and 95 %, unless set otherwise): ranks that occurred.
    median : ndarray of int64, shape (n,)
        Its median.
    top_share : ndarray of float64, shape (n,)
        Share of the draws in which it is among the first ``top``.
    before_next : ndarray of float64, shape (n,)
        Share of the draws in which it comes before the next in rank; NaN for the last.
    tied : ndarray of bool, shape (n,)
        Whether the draws do not bear out its order to the one before or the one after it.
    tie_group : ndarray of int64, shape (n,)
        Tasks of one number are as good as equal: the draws do not bear out that the first of
        them comes before each of the others. Numbered from 1 in rank order.
    """

    weights: WeightDraws
    n_draws: int
    top: int
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    median: NDArray[np.int64]
    top_share: FloatArray
    before_next: FloatArray
    tied: NDArray[np.bool_]
    tie_group: NDArray[np.int64]


def rank_robustness(
    ranking: Ranking,
    settings: RobustnessSettings,
    weights: WeightDraws,
    likelihood_low: FloatArray,
    likelihood_high: FloatArray,
    seed: int,
    threads: int = 1,
) -> RankRobustness:
    """Rank alternatives again and again with other weights, likelihoods and efforts.

    Parameters
    ----------
    ranking : Ranking
        The ranks in question.
    settings : RobustnessSettings
        Draws and limits.
    weights : {"around", "uniform", "fixed"}
        How weights are drawn.
    likelihood_low, likelihood_high : ndarray of float64, shape (n,)
        Ends of the likelihoods' intervals at ``settings.interval_level``; the likelihoods
        themselves where there is no interval.
    seed : int
        The same seed gives the same bytes.
    threads : int, optional
        Draws ranked at a time.

    Raises
    ------
    PriorityError
        If there is no draw, or ranks of all draws would not fit in memory.
    """
    n, n_draws = len(ranking.ranks), settings.draws
    if n_draws < 1:
        raise PriorityError("there is no draw", where="priority.robustness.draws")
    if n * n_draws > MOST_RANKS:
        raise PriorityError(
            f"{n:,} tasks × {n_draws:,} draws are more than {MOST_RANKS:,} ranks",
            where="priority.robustness.draws",
            remedy="Take fewer draws, or make larger tasks.",
        )
    order = ranking.order
    drawn = _drawn_ranks(
        ranking, settings, weights, likelihood_low, likelihood_high, seed, order, threads
    )
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    low, median, high = _quantiles(drawn, (settings.rank_range[0], 0.5, settings.rank_range[1]))
    before_next = _before_next(drawn)
    undecided = before_next < settings.decided_from
    tied = undecided | np.concatenate([[False], undecided[:-1]])[:n]
    tie_group = _groups(drawn, settings.decided_from * n_draws)
    return RankRobustness(
        weights,
        n_draws,
        settings.top,
        low[place],
        high[place],
        median[place],
        _top_share(drawn, settings.top)[place],
        before_next[place],
        tied[place],
        tie_group[place],
    )


def _drawn_ranks(
    ranking: Ranking,
    settings: RobustnessSettings,
    kind: WeightDraws,
    low: FloatArray,
    high: FloatArray,
    seed: int,
    order: NDArray[np.int64],
    threads: int,
) -> RankArray:
    """Return the rank of each alternative in each draw, (n_draws, n), in rank order.

    Every draw has its own stream of random numbers, so that threads change nothing.
    """
    land, method = ranking.method.alternatives, ranking.method
    stream = _STREAMS[kind]
    first = np.random.default_rng([seed, stream, _WEIGHTS])
    n_draws, concentration = settings.draws, settings.concentration
    weights = weight_draws(first, n_draws, ranking.weight_values, kind, concentration)
    likelihoods = LikelihoodDraws(land.likelihood, low, high, settings.interval_level)
    spread = effort_spread(settings.effort_factor)
    ranks = np.empty((n_draws, len(land)), np.uint32)
    numbers = np.arange(1, len(land) + 1, dtype=np.uint32)

    def draw_ranks(draw: int) -> None:
        rng = np.random.default_rng([seed, stream, 1 + draw])
        likelihood = likelihoods.draw(rng)
        team_days = land.team_days * np.exp(spread * rng.standard_normal(len(land)))
        scores = method.scores(weights[draw], likelihood, team_days)[order]
        shuffled = rng.permutation(len(land))
        by_score = shuffled[np.argsort(-scores[shuffled], kind="stable")]
        ranks[draw, by_score] = numbers

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(draw_ranks, range(n_draws)):
            pass
    return ranks


def _quantiles(ranks: RankArray, shares: tuple[float, ...]) -> NDArray[np.int64]:
    """Return quantiles of each alternative's ranks that occurred, (n_shares, n)."""
    n_draws, n = ranks.shape
    at = [max(int(np.ceil(share * n_draws)) - 1, 0) for share in shares]
    found = np.empty((len(shares), n), np.int64)
    for start in range(0, n, _CHUNK):
        part = np.sort(ranks[:, start : start + _CHUNK].T, axis=1)
        found[:, start : start + _CHUNK] = part[:, at].T
    return found


def _top_share(ranks: RankArray, top: int) -> FloatArray:
    """Return the share of the draws in which each is among the first `top`."""
    count = np.zeros(ranks.shape[1], np.int64)
    for row in ranks:
        count += row <= top
    share: FloatArray = count / len(ranks)
    return share


def _before_next(ranks: RankArray) -> FloatArray:
    """Return how often each comes before the next, NaN for the last."""
    n_draws, n = ranks.shape
    count = np.zeros(max(n - 1, 0), np.int64)
    for row in ranks:
        count += row[:-1] < row[1:]
    before_next = np.full(n, np.nan)
    before_next[: n - 1] = count / n_draws
    return before_next


@njit(cache=True, nogil=True)
def _groups(ranks: RankArray, decided_count: float) -> NDArray[np.int64]:
    """Return the groups that are not decided, of alternatives in rank order.

    A group begins with a leader; the next in rank belong to it as long as the draws do not
    bear out that the leader comes before them. Chains of small ties do not tie the first to
    the last.
    """
    n_draws, n = ranks.shape
    group = np.empty(n, np.int64)
    leader, number = 0, 1
    for task in range(n):
        if task > 0:
            before = 0
            for draw in range(n_draws):
                before += ranks[draw, leader] < ranks[draw, task]
            if before >= decided_count:
                leader, number = task, number + 1
        group[task] = number
    return group
