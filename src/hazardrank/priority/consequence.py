"""The consequence criteria a run was told to use, computed block by block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError, SettingsError
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import (
    BlockValues,
    ConsequenceInputs,
    Criterion,
    CriterionSpec,
)
from hazardrank.priority.criteria.registry import CRITERIA
from hazardrank.settings import (
    AnyCriterionSettings,
    CriterionSettings,
    LayerSettings,
    validate,
)


@dataclass(frozen=True)
class ConsequenceBlock:
    """The criteria of a block's cells.

    Parameters
    ----------
    value : ndarray of float32, shape (n_criteria, rows, cols)
        How much each cell counts, 0–1, never NaN: where a layer has no data the criterion's
        setting ``missing`` stands.
    quantity : ndarray of float32, shape (n_criteria, rows, cols)
        What was measured, in the units of the specs; NaN where a layer has no data.
    """

    value: NDArray[np.float32]
    quantity: NDArray[np.float32]

    @property
    def n_missing(self) -> NDArray[np.int64]:
        """Cells without data, by criterion."""
        counts: NDArray[np.int64] = np.isnan(self.quantity).sum(axis=(1, 2), dtype=np.int64)
        return counts


@dataclass(frozen=True)
class PreparedConsequence:
    """Criteria ready to be computed for any block of a region.

    Parameters
    ----------
    names : tuple of str
        The criteria, in the order of every block.
    missing : tuple of float
        Value of each criterion where its layer has no data.
    computers : tuple of callable
        What computes each.
    """

    names: tuple[str, ...]
    missing: tuple[float, ...]
    computers: tuple[BlockValues, ...]

    def block(self, grid: SurveyGrid) -> ConsequenceBlock:
        """Compute all criteria of a block; the same whatever the tiling, to the bit."""
        value = np.empty((len(self.names), *grid.shape), np.float32)
        quantity = np.empty_like(value)
        for number, compute in enumerate(self.computers):
            found = compute(grid)
            quantity[number] = found.quantity
            unknown = np.isnan(found.value)
            value[number] = np.where(unknown, np.float32(self.missing[number]), found.value)
        return ConsequenceBlock(value, quantity)


@dataclass(frozen=True)
class ConsequenceSet:
    """An ordered set of criteria.

    Parameters
    ----------
    criteria : tuple of Criterion
        In the order of the settings.
    skipped : mapping of str to str
        Criterion left out → why.

    Raises
    ------
    PriorityError
        If there is none at all.
    """

    criteria: tuple[Criterion[Any], ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.criteria:
            reasons = "; ".join(self.skipped.values()) or "priority.criteria is empty"
            raise PriorityError(
                f"nothing says who or what would be harmed: {reasons}",
                where="priority.criteria",
                remedy="Choose another set (priority=NAME) or add layers to the region.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """All criteria in order."""
        return tuple(criterion.key for criterion in self.criteria)

    @property
    def specs(self) -> tuple[CriterionSpec, ...]:
        """What each measures."""
        return tuple(criterion.spec for criterion in self.criteria)

    @property
    def halo_m(self) -> float:
        """How far beyond the region the criteria read, in metres."""
        return max(criterion.halo_m for criterion in self.criteria)

    def prepare(self, inputs: ConsequenceInputs) -> PreparedConsequence:
        """Do what is done once for the whole region.

        Raises
        ------
        PriorityError
            If a criterion lacks what it reads.
        """
        return PreparedConsequence(
            self.names,
            tuple(criterion.settings.missing for criterion in self.criteria),
            tuple(criterion.prepare(inputs) for criterion in self.criteria),
        )


def build_consequence(
    settings: Mapping[str, AnyCriterionSettings | None],
    catalogue: Mapping[str, LayerSettings],
    *,
    has_records: bool = True,
) -> ConsequenceSet:
    """Build the criteria that the settings describe.

    Parameters
    ----------
    settings : mapping of str to AnyCriterionSettings or None
        ``priority.criteria``: name → settings of one criterion; ``None`` switches it off.
    catalogue : mapping of str to LayerSettings
        The region's layers.
    has_records : bool, optional
        Whether the region has accident records.

    Raises
    ------
    SettingsError
        If a criterion is unknown or its settings are not valid.
    PriorityError
        If a layer is absent (unless ``when_absent: skip``) or for the likelihood only, or
        nothing is left.
    """
    criteria: list[Criterion[Any]] = []
    skipped: dict[str, str] = {}
    for key, given in settings.items():
        if given is None:
            continue
        kind = _kind(key, given.criterion)
        own = validate(kind.settings_type, given.model_dump(), f"priority.criteria.{key}")
        absent = sorted(set(_needs(kind, key, own)) - set(catalogue))
        lacking = [f"layer {layer}" for layer in absent]
        if kind.needs_records and not has_records:
            lacking.append("accident records")
        if lacking and own.when_absent == "skip":
            skipped[key] = f"{key} ({own.criterion}): the region has no {', '.join(lacking)}"
        else:
            criteria.append(kind(key, own, catalogue))
    return ConsequenceSet(tuple(criteria), skipped)


def _kind(key: str, name: str) -> type[Criterion[Any]]:
    kind = CRITERIA.get(name)
    if kind is None:
        raise SettingsError(
            f"priority.criteria.{key}.criterion = {name!r}: there is no such criterion "
            f"(criteria: {', '.join(CRITERIA)})"
        )
    return kind


def _needs(kind: type[Criterion[Any]], key: str, settings: CriterionSettings) -> tuple[str, ...]:
    """Return the layers a criterion would read; they depend on its settings alone."""
    unbuilt = object.__new__(kind)
    unbuilt.key, unbuilt.settings = key, settings
    return unbuilt.needs
