"""Scoring methods: from a decision matrix to one number for each piece of land.

``harm_averted`` (the default) is a rate: expected harm averted per team-day. The others weigh
likelihood and effort like criteria; effort enters as a value between 0 and 1, by the curve
``priority.effort_curve`` of team-days per hectare, so that the size of a task does not count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.priority.alternatives import Alternatives, ranks_of
from hazardrank.priority.promethee import net_flows
from hazardrank.priority.value_curves import curve_values
from hazardrank.priority.weights import Weights, weights_of
from hazardrank.settings import EFFORT, LIKELIHOOD, PrioritySettings

FloatArray = NDArray[np.float64]


class ScoringMethod(ABC):
    """A scoring method on given alternatives, ready for many weights.

    Parameters
    ----------
    alternatives : Alternatives
        What is scored.
    settings : PrioritySettings
        The method's settings.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    """What a score means, in words."""

    def __init__(self, alternatives: Alternatives, settings: PrioritySettings) -> None:
        self.alternatives = alternatives
        self.settings = settings

    @property
    def columns(self) -> tuple[str, ...]:
        """What is weighed: the criteria, likelihood and effort."""
        return (*self.alternatives.criteria, LIKELIHOOD, EFFORT)

    @abstractmethod
    def scores(
        self, weights: FloatArray, likelihood: FloatArray, team_days: FloatArray
    ) -> FloatArray:
        """Return the score of each alternative; higher is more urgent.

        Parameters
        ----------
        weights : ndarray of float64, shape (n_columns,)
            They add up to 1.
        likelihood, team_days : ndarray of float64, shape (n,)
            In place of the alternatives' own, which is what Monte Carlo draws change.
        """

    def contributions(self, weights: FloatArray) -> FloatArray | None:
        """Return what each column adds to each score, (n, n_columns); ``None`` if none does."""
        return None

    def matrix(self, likelihood: FloatArray, team_days: FloatArray) -> FloatArray:
        """Return the decision matrix, 0–1 and higher is more urgent, (n, n_columns)."""
        changing = [likelihood, self._ease(team_days)]
        return np.column_stack([self.alternatives.consequence, *changing])

    def _ease(self, team_days: FloatArray) -> FloatArray:
        """Return the value of little work."""
        return curve_values(self.settings.effort_curve, team_days / self.alternatives.area_ha)


def weighted(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted sum of each row, added up column by column.

    A matrix product may round a row differently by where it stands; equal rows must stay
    equal, so that their order is that of their ids.
    """
    total = np.zeros(len(values))
    for column, weight in enumerate(weights):
        total += weight * values[:, column]
    return total


class HarmAverted(ScoringMethod):
    """Expected harm averted per team-day: area × likelihood × consequence ÷ effort.

    In hectares of full consequence; consequence is the weighted sum of the criteria. This is
    the greedy rule of the fractional knapsack: what averts most per day of work goes first.
    """

    name = "harm_averted"
    unit = "hectares of full consequence averted per team-day"

    @property
    def columns(self) -> tuple[str, ...]:
        """The criteria only; likelihood and effort are factors."""
        return self.alternatives.criteria

    def scores(
        self, weights: FloatArray, likelihood: FloatArray, team_days: FloatArray
    ) -> FloatArray:
        """Return hectares of full consequence per team-day."""
        rate = self.alternatives.area_ha * likelihood / team_days
        return rate * weighted(self.alternatives.consequence, weights)

    def contributions(self, weights: FloatArray) -> FloatArray:
        """Return what each criterion adds to the rate."""
        land = self.alternatives
        rate = land.area_ha * land.likelihood / land.team_days
        result: FloatArray = rate[:, None] * land.consequence * weights
        return result


class WeightedSum(ScoringMethod):
    """Weighted sum of criteria, likelihood and ease of the work."""

    name = "weighted_sum"
    unit = "weighted value, 0–1"

    def scores(
        self, weights: FloatArray, likelihood: FloatArray, team_days: FloatArray
    ) -> FloatArray:
        """Return the weighted sum, 0–1."""
        return weighted(self.matrix(likelihood, team_days), weights)

    def contributions(self, weights: FloatArray) -> FloatArray:
        """Return each column's value times its weight."""
        land = self.alternatives
        return self.matrix(land.likelihood, land.team_days) * weights


class Topsis(ScoringMethod):
    """Nearness to the best and distance from the worst of all (Hwang & Yoon 1981), by pymcdm.

    Columns are scaled by their length. Those that are alike for all, or have no weight, tell
    nobody apart and are left out.
    """

    name = "topsis"
    unit = "relative closeness to the ideal, 0–1"

    def __init__(self, alternatives: Alternatives, settings: PrioritySettings) -> None:
        super().__init__(alternatives, settings)
        # Imported here: it brings matplotlib along, which no other method needs.
        from pymcdm.methods import TOPSIS
        from pymcdm.normalizations import vector_normalization

        self._topsis = TOPSIS(vector_normalization)

    def scores(
        self, weights: FloatArray, likelihood: FloatArray, team_days: FloatArray
    ) -> FloatArray:
        """Return the closeness to the ideal, 0–1; 0 for all where nothing tells them apart."""
        matrix = self.matrix(likelihood, team_days)
        telling = (np.ptp(matrix, axis=0) > 0) & (weights > 0) if len(matrix) else weights < 0
        if not telling.any():
            return np.zeros(len(matrix))
        gains = np.ones(int(telling.sum()))
        closeness: FloatArray = self._topsis(
            matrix[:, telling], weights[telling], gains, validation=False
        )
        return closeness


class Promethee(ScoringMethod):
    """Net flow of PROMETHEE II: how much it is preferred to the others, less the reverse."""

    name = "promethee"
    unit = "net flow, -1…1"

    def __init__(self, alternatives: Alternatives, settings: PrioritySettings) -> None:
        super().__init__(alternatives, settings)
        self._fixed = self._flows(alternatives.consequence)

    def scores(
        self, weights: FloatArray, likelihood: FloatArray, team_days: FloatArray
    ) -> FloatArray:
        """Return the net flow, -1…1."""
        return weighted(self._all_flows(likelihood, team_days), weights)

    def contributions(self, weights: FloatArray) -> FloatArray:
        """Return each column's net flow times its weight."""
        land = self.alternatives
        return self._all_flows(land.likelihood, land.team_days) * weights

    def _all_flows(self, likelihood: FloatArray, team_days: FloatArray) -> FloatArray:
        changing = np.column_stack([likelihood, self._ease(team_days)])
        return np.concatenate([self._fixed, self._flows(changing)], axis=1)

    def _flows(self, values: FloatArray) -> FloatArray:
        return net_flows(values, self.settings.indifference, self.settings.preference)


class Lexicographic(ScoringMethod):
    """By the first column; among equals by the next. Weights do not count.

    Values in the same step of ``priority.step`` are equal. The score only says where one
    stands: 0 for the last step of all, one more for each distinct step above it.
    """

    name = "lexicographic"
    unit = "place in the order, from the last"

    @property
    def columns(self) -> tuple[str, ...]:
        """None: nothing is weighed."""
        return ()

    def scores(
        self, weights: FloatArray, likelihood: FloatArray, team_days: FloatArray
    ) -> FloatArray:
        """Return the place in the order, from the last."""
        matrix = self.matrix(likelihood, team_days)
        names = (*self.alternatives.criteria, LIKELIHOOD, EFFORT)
        looked_at = [names.index(name) for name in self.settings.order if name in names]
        steps = np.floor(matrix[:, looked_at] / self.settings.step + 1e-9)
        order = np.lexsort(steps.T[::-1])
        ordered = steps[order]
        higher = (ordered[1:] != ordered[:-1]).any(axis=1)
        scores = np.empty(len(matrix))
        scores[order] = np.concatenate([[0], np.cumsum(higher)])[: len(matrix)]
        return scores


_METHODS: tuple[type[ScoringMethod], ...] = (
    HarmAverted,
    WeightedSum,
    Topsis,
    Promethee,
    Lexicographic,
)

#: Scoring methods by the name settings use.
METHODS: dict[str, type[ScoringMethod]] = {method.name: method for method in _METHODS}


@dataclass(frozen=True)
class Ranking:
    """Scores, ranks and where the scores come from.

    Parameters
    ----------
    method : ScoringMethod
        The method, on the alternatives ranked.
    scores : ndarray of float64, shape (n,)
        In the method's unit; higher is more urgent.
    ranks : ndarray of int64, shape (n,)
        1 is first; a permutation of 1 … n. Equal scores are ranked by id.
    weights : Weights or None
        Weights of the method's columns; ``None`` if it weighs nothing.
    contributions : ndarray of float64, shape (n, n_columns), or None
        What each column of the method adds to each score; rows add up to the scores.
    """

    method: ScoringMethod
    scores: FloatArray
    ranks: NDArray[np.int64]
    weights: Weights | None
    contributions: FloatArray | None

    @property
    def order(self) -> NDArray[np.int64]:
        """Positions of the alternatives in rank order, shape (n,)."""
        return np.argsort(self.ranks).astype(np.int64)

    @property
    def weight_values(self) -> FloatArray:
        """The weights, empty if the method weighs nothing."""
        return np.zeros(0) if self.weights is None else self.weights.values


def rank(
    alternatives: Alternatives,
    settings: PrioritySettings,
    *,
    skipped: Sequence[str] = (),
) -> Ranking:
    """Score and rank alternatives, all behind open gates.

    Parameters
    ----------
    alternatives : Alternatives
        What is ranked.
    settings : PrioritySettings
        Method and weights.
    skipped : sequence of str, optional
        Criteria left out because the region lacks their layer.

    Raises
    ------
    PriorityError
        If weights or the lexicographic order do not fit the criteria.
    """
    _check_order(alternatives, settings, skipped)
    method = METHODS[settings.method](alternatives, settings)
    weights = weights_of(settings.weights, method.columns, skipped) if method.columns else None
    values = np.zeros(0) if weights is None else weights.values
    scores = method.scores(values, alternatives.likelihood, alternatives.team_days)
    ranks = ranks_of(scores, alternatives.ids)
    return Ranking(method, scores, ranks, weights, method.contributions(values))


def _check_order(
    alternatives: Alternatives, settings: PrioritySettings, skipped: Sequence[str]
) -> None:
    known = (*alternatives.criteria, LIKELIHOOD, EFFORT)
    foreign = [name for name in settings.order if name not in (*known, *skipped)]
    if foreign:
        raise PriorityError(
            f"{', '.join(foreign)} is no criterion in use",
            where="priority.order",
            remedy=f"Criteria in use: {', '.join(known)}.",
        )
    if settings.order and not set(settings.order) & set(known):
        raise PriorityError("nothing of the order is in use", where="priority.order")
