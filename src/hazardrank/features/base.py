"""What a feature family is: layers in, named float32 features out, block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import FeatureError, LeakageError
from hazardrank.grid import SurveyGrid
from hazardrank.records import HazardRecords
from hazardrank.settings import FamilySettings, LayerSettings, Role
from hazardrank.sources.layers import LayerReader

FloatBlock = NDArray[np.float32]

#: The `layer` of features that come from hazard records rather than a layer.
RECORDS_LAYER = "hazard_records"


@dataclass(frozen=True)
class FeatureSpec:
    """One feature: what it is called, what it measures and where it comes from.

    Parameters
    ----------
    name : str
        Unique; starts with the key of its family's settings, ends with its unit
        where it has one (``roads_distance_m``, ``terrain_slope_deg``).
    unit : str
        SI unit, ``"1"`` for a pure number or share, ``"class"`` for codes.
    layer : str
        Catalogue key of the layer it is derived from, or ``"hazard_records"``.
    family : str
        Name of the family.
    description : str
        One plain sentence.
    as_of : date or None
        Date of the layer's content, ``None`` if unknown.
    """

    name: str
    unit: str
    layer: str
    family: str
    description: str
    as_of: date | None = None


S = TypeVar("S", bound=FamilySettings)


class FeatureFamily(ABC, Generic[S]):
    """A family of features computed from layers.

    The same values must come out whatever the tiling: ``compute`` of a block equals
    the same cells of ``compute`` of the whole grid, to the bit.

    Parameters
    ----------
    key : str
        Key of these settings under ``features``; the prefix of all feature names.
    settings : FamilySettings
        The family's own, validated settings.
    catalogue : mapping of str to LayerSettings
        The region's layers.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[FamilySettings]]

    def __init__(self, key: str, settings: S, catalogue: Mapping[str, LayerSettings]) -> None:
        self.key = key
        self.settings = settings
        for layer in self.needs:
            check_layer(f"features.{key}", layer, catalogue)
        self.catalogue = {layer: catalogue[layer] for layer in self.needs}

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Catalogue keys of the layers the family reads."""

    @property
    @abstractmethod
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The features, in the order ``compute`` returns them."""

    @property
    def halo_m(self) -> float:
        """How far around a block the family reads, in metres."""
        return 0.0

    @abstractmethod
    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute the features of a block.

        Parameters
        ----------
        grid : SurveyGrid
            The block. The family itself asks for a halo where it needs one.
        layers : LayerReader
            The region's layers.

        Returns
        -------
        ndarray of float32, shape (n_features, rows, cols)
            NaN where missing.
        """

    def spec(self, suffix: str, unit: str, layer: str, description: str) -> FeatureSpec:
        """Return the spec of one of the family's features, named ``key_suffix``."""
        as_of = self.catalogue[layer].as_of if layer in self.catalogue else None
        return FeatureSpec(f"{self.key}_{suffix}", unit, layer, self.name, description, as_of)


class HistoryFamily(ABC, Generic[S]):
    """A family of features computed from hazard records instead of layers.

    History features are rebuilt for each fold from the records its training side may
    know, and always leave out the hazards that lie on the cell itself.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[FamilySettings]]

    def __init__(self, key: str, settings: S) -> None:
        self.key = key
        self.settings = settings

    @property
    @abstractmethod
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The features, in the order ``at_cells`` returns them."""

    @abstractmethod
    def at_cells(
        self,
        easting: NDArray[np.float64],
        northing: NDArray[np.float64],
        cell_size_m: float,
        known: HazardRecords,
    ) -> FloatBlock:
        """Compute the features of cells from the records that may be known.

        Parameters
        ----------
        easting, northing : ndarray of float64, shape (n_cells,)
            Cell centres in the records' CRS.
        cell_size_m : float
            Side of the cells: records touching a cell's square are the cell's own.
        known : HazardRecords
            Records that may be used; their tables carry ``hazard_id``.

        Returns
        -------
        ndarray of float32, shape (n_features, n_cells)
        """


def check_layer(path: str, layer: str, catalogue: Mapping[str, LayerSettings]) -> None:
    """Raise unless the likelihood model may read the layer.

    Raises
    ------
    FeatureError
        If the catalogue has no such layer.
    LeakageError
        If the layer is for consequence only.
    """
    if layer not in catalogue:
        known = ", ".join(sorted(catalogue)) or "none"
        raise FeatureError(
            f"there is no layer '{layer}' in the region's catalogue (layers: {known})",
            where=path,
            remedy="Add it under region.layers, or set when_absent: skip.",
        )
    if catalogue[layer].role is Role.CONSEQUENCE:
        raise LeakageError(
            f"layer '{layer}' has the role 'consequence': where people live or will return says "
            "nothing of where ordnance lies, so the likelihood model may not see it",
            where=path,
            remedy="Remove the feature, or give the layer the role 'both' if it describes the "
            "time of contamination.",
        )
