"""Why a cell scores as it does: what each feature adds, and the few that matter most.

The score's log-odds are a sum: what all cells have in common, plus what each feature adds
(TreeSHAP, Lundberg et al. 2020). Features of one family on one layer say nearly the same and
are summed; the sums that are largest are the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.features.base import FeatureSpec
from hazardrank.validation.training_set import Matrix

Floats = NDArray[np.float64]

MAX_REASONS = 3
MIN_SHARE = 0.05
"""A reason makes up at least this share of all that raises or lowers the cell."""
TABLE_FAMILY = "table"


@dataclass(frozen=True)
class Reason:
    """One thing that raises or lowers a cell's score.

    Parameters
    ----------
    feature : int
        Column of the feature that does most of it.
    value : float
        The feature's value in the cell, NaN where missing.
    effect : float
        What the feature's whole group adds to the log-odds of the score.
    group : str
        Name of the group.
    """

    feature: int
    value: float
    effect: float
    group: str

    @property
    def raises(self) -> bool:
        """Whether it raises the score rather than lowers it."""
        return self.effect > 0


def feature_groups(specs: Sequence[FeatureSpec]) -> dict[str, list[int]]:
    """Return the columns of each group of features that speak of one thing.

    A group is a family on a layer; each column of a ready table is a group of its own.
    """
    groups: dict[str, list[int]] = {}
    for column, spec in enumerate(specs):
        groups.setdefault(_group(spec), []).append(column)
    return groups


def _group(spec: FeatureSpec) -> str:
    if spec.family == TABLE_FAMILY:
        return spec.name
    return spec.layer if spec.family == spec.layer else f"{spec.family} of {spec.layer}"


def reasons(
    contributions: Floats,
    matrix: Matrix,
    specs: Sequence[FeatureSpec],
    most: int = MAX_REASONS,
) -> list[list[Reason]]:
    """Return the largest reasons of each cell, the strongest first.

    Parameters
    ----------
    contributions : ndarray of float64, shape (n_cells, n_features + 1)
        As :meth:`hazardrank.model.bundle.Bundle.contributions` returns them.
    matrix : ndarray of float32, shape (n_cells, n_features)
        The cells' features.
    specs : sequence of FeatureSpec
        The features, in column order.
    most : int, optional
        Reasons per cell at most.

    Returns
    -------
    list of list of Reason
        One list a cell; empty where nothing sets the cell apart.
    """
    groups = feature_groups(specs)
    sums = np.column_stack([contributions[:, columns].sum(axis=1) for columns in groups.values()])
    return [
        _reasons_of(sums[cell], contributions[cell], matrix[cell], groups, most)
        for cell in range(len(matrix))
    ]


def _reasons_of(
    sums: Floats, added: Floats, values: Matrix, groups: dict[str, list[int]], most: int
) -> list[Reason]:
    names = list(groups)
    total = np.abs(sums).sum()
    found = []
    for place in np.argsort(-np.abs(sums), kind="stable")[:most]:
        effect = float(sums[place])
        if abs(effect) <= 1e-12 or abs(effect) < MIN_SHARE * total:
            break
        columns = groups[names[place]]
        # The feature that does most in the direction the group goes.
        best = max(columns, key=lambda column: added[column] * np.sign(effect))
        found.append(Reason(best, float(values[best]), effect, names[place]))
    return found
