"""What a consequence criterion is: layers in, a value between 0 and 1 per cell out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.grid import SurveyGrid
from hazardrank.priority.value_curves import curve_values
from hazardrank.records import HazardRecords
from hazardrank.settings import CriterionSettings, CurveSettings, LayerSettings, Role
from hazardrank.sources.layers import LayerReader

FloatBlock = NDArray[np.float32]


class CellValues(NamedTuple):
    """A criterion in the cells of a block; both arrays have the shape (rows, cols).

    Parameters
    ----------
    quantity : ndarray of float32
        What was measured, in the unit of the criterion's spec; NaN where the layer has no
        data.
    value : ndarray of float32
        How much it counts, 0–1; NaN where the quantity is.
    """

    quantity: FloatBlock
    value: FloatBlock


BlockValues = Callable[[SurveyGrid], CellValues]
"""Computes a criterion for a block; the same values come out whatever the tiling."""


@dataclass(frozen=True)
class ConsequenceInputs:
    """What criteria read.

    Parameters
    ----------
    layers : LayerReader
        The region's layers.
    today : date
        The day returns, plans and accidents are seen from.
    records : HazardRecords, optional
        Hazard records, for the criteria that need them.
    candidate_land : ndarray of bool, shape of ``layers.grid``, optional
        Land that may be contaminated, so that roads across it count as closed.
    """

    layers: LayerReader
    today: date
    records: HazardRecords | None = None
    candidate_land: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class CriterionSpec:
    """One criterion: what it is called, what it measures and where it comes from.

    Parameters
    ----------
    name : str
        Key of the criterion in the settings.
    criterion : str
        Name in the registry.
    unit : str
        Unit of its quantity.
    layers : tuple of str
        Catalogue keys it reads, or ``hazard_records``.
    description : str
        One plain sentence, with the value curve.
    as_of : date or None
        Oldest date of its layers' content, ``None`` if one is unknown.
    """

    name: str
    criterion: str
    unit: str
    layers: tuple[str, ...]
    description: str
    as_of: date | None = None


S = TypeVar("S", bound=CriterionSettings)


class Criterion(ABC, Generic[S]):
    """A consequence criterion.

    Parameters
    ----------
    key : str
        Key of these settings under ``priority.criteria``.
    settings : CriterionSettings
        The criterion's own, validated settings.
    catalogue : mapping of str to LayerSettings
        The region's layers.

    Raises
    ------
    PriorityError
        If a layer is absent, or may be used for the likelihood only.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[CriterionSettings]]
    needs_records: ClassVar[bool] = False

    def __init__(self, key: str, settings: S, catalogue: Mapping[str, LayerSettings]) -> None:
        self.key = key
        self.settings = settings
        for layer in self.needs:
            check_consequence_layer(self.path, layer, catalogue)
        self.catalogue = {layer: catalogue[layer] for layer in self.needs}

    @property
    def path(self) -> str:
        """Settings path, for messages."""
        return f"priority.criteria.{self.key}"

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Catalogue keys of the layers the criterion reads."""

    @property
    @abstractmethod
    def spec(self) -> CriterionSpec:
        """What the criterion measures."""

    @property
    def halo_m(self) -> float:
        """How far around a block the criterion reads, in metres."""
        return 0.0

    @abstractmethod
    def prepare(self, inputs: ConsequenceInputs) -> BlockValues:
        """Return what computes the criterion for any block of the region.

        Work for the region as a whole is done here, once.
        """

    def _spec(self, unit: str, description: str) -> CriterionSpec:
        dates = [self.catalogue[layer].as_of for layer in self.needs]
        known = [day for day in dates if day is not None]
        as_of = min(known) if known and len(known) == len(dates) else None
        layers = self.needs or ("hazard_records",)
        return CriterionSpec(self.key, self.name, unit, layers, description, as_of)


def check_consequence_layer(path: str, layer: str, catalogue: Mapping[str, LayerSettings]) -> None:
    """Raise unless priorities may read the layer.

    Raises
    ------
    PriorityError
        If the catalogue has no such layer, or its role is ``hazard``.
    """
    if layer not in catalogue:
        known = ", ".join(sorted(catalogue)) or "none"
        raise PriorityError(
            f"there is no layer '{layer}' in the region's catalogue (layers: {known})",
            where=path,
            remedy="Add it under region.layers, or set when_absent: skip.",
        )
    if catalogue[layer].role is Role.HAZARD:
        raise PriorityError(
            f"layer '{layer}' has the role 'hazard': it may feed the likelihood model only, and "
            "a priority that reads it again would count it twice without saying so",
            where=path,
            remedy=f"Give region.layers.{layer} the role 'both' if it also says who or what "
            "is affected.",
        )


def valued(quantity: NDArray[np.float64], curve: CurveSettings) -> CellValues:
    """Return a quantity of a block's cells with the value its curve gives it."""
    return CellValues(quantity.astype(np.float32), curve_values(curve, quantity).astype(np.float32))
