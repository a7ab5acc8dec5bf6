"""Every feature family by name. A new family is one module and one line here."""

from __future__ import annotations

from typing import Any

from hazardrank.features.base import FeatureFamily, HistoryFamily
from hazardrank.features.crossings import CrossingsFamily
from hazardrank.features.density import DensityFamily
from hazardrank.features.front_lines import FrontLinesFamily
from hazardrank.features.history import HazardHistoryFamily
from hazardrank.features.proximity import ProximityFamily
from hazardrank.features.rasters import LandCoverFamily, RasterFamily
from hazardrank.features.settlements import SettlementsFamily
from hazardrank.features.terrain import TerrainFamily
from hazardrank.features.visibility import VisibilityFamily

_LAYER_FAMILIES: tuple[type[FeatureFamily[Any]], ...] = (
    TerrainFamily,
    RasterFamily,
    LandCoverFamily,
    VisibilityFamily,
    ProximityFamily,
    FrontLinesFamily,
    DensityFamily,
    CrossingsFamily,
    SettlementsFamily,
)

_HISTORY_FAMILIES: tuple[type[HistoryFamily[Any]], ...] = (HazardHistoryFamily,)

#: Families computed from layers, by the name settings use.
FAMILIES: dict[str, type[FeatureFamily[Any]]] = {family.name: family for family in _LAYER_FAMILIES}

#: Families computed from hazard records, rebuilt for every fold.
HISTORY_FAMILIES: dict[str, type[HistoryFamily[Any]]] = {
    family.name: family for family in _HISTORY_FAMILIES
}
