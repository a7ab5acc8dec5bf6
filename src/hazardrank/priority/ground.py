"""The ground a team would work on: slope, vegetation, and devices on record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.features.cover import cells_inside, rows_of_grid
from hazardrank.features.segments import require_kind, segments_of
from hazardrank.features.terrain import surface_form
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import check_consequence_layer
from hazardrank.records import HazardRecords, HazardStatus
from hazardrank.settings import EffortSettings, LayerSettings
from hazardrank.sources.layers import LayerReader, all_class_names


@dataclass(frozen=True)
class Ground:
    """The ground in the cells of a block.

    Parameters
    ----------
    slope_deg : ndarray of float32, shape (rows, cols)
        Slope; never NaN.
    vegetation : mapping of str to ndarray of float32, shape (rows, cols)
        Class → share of the cell, 0 where unknown.
    devices : mapping of str to ndarray of bool, shape (rows, cols)
        Device category → whether an open hazard area on the cell names it.
    cell_area_m2 : float
        Area of a cell.
    """

    slope_deg: NDArray[np.float32]
    vegetation: Mapping[str, NDArray[np.float32]]
    devices: Mapping[str, NDArray[np.bool_]]
    cell_area_m2: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.slope_deg.shape[0], self.slope_deg.shape[1]


class GroundReader:
    """Reads the ground of any block; the same whatever the tiling.

    Parameters
    ----------
    settings : EffortSettings
        Which layers to read.
    catalogue : mapping of str to LayerSettings
        The region's layers.
    records : HazardRecords, optional
        Open hazard areas, for their device categories.

    Raises
    ------
    PriorityError
        If a layer is for the likelihood only, or, unless ``when_absent: skip``, it is absent
        or lacks a class that a method names.
    """

    def __init__(
        self,
        settings: EffortSettings,
        catalogue: Mapping[str, LayerSettings],
        records: HazardRecords | None = None,
    ) -> None:
        self._settings = settings
        self.skipped: list[str] = []
        self._elevation = self._layer("elevation", catalogue, "continuous")
        self._vegetation = self._layer("vegetation", catalogue, "categorical")
        used = settings.used.values()
        self._classes = _distinct(
            name for m in used for name in (*m.vegetation_time, *m.excluded_vegetation)
        )
        if self._vegetation is not None:
            self._classes = self._known_classes(catalogue[self._vegetation])
        self._devices = _distinct(
            name for m in used for name in (*m.device_time, *m.excluded_devices)
        )
        self._areas = None if records is None else _open_areas(records)

    def block(self, grid: SurveyGrid, layers: LayerReader) -> Ground:
        """Read the ground of a block."""
        return Ground(
            self._slope(grid, layers),
            self._shares(grid, layers),
            {name: self._device(grid, name) for name in self._devices},
            grid.cell_area_m2,
        )

    def _layer(self, field: str, catalogue: Mapping[str, LayerSettings], kind: str) -> str | None:
        name: str | None = getattr(self._settings, field)
        if name is None:
            return None
        path = f"priority.effort.{field}"
        if name not in catalogue and self._settings.when_absent == "skip":
            self.skipped.append(f"effort does not look at {field}: the region has no layer {name}")
            return None
        check_consequence_layer(path, name, catalogue)
        require_kind(path, catalogue[name], kind)
        return name

    def _known_classes(self, layer: LayerSettings) -> tuple[str, ...]:
        """Return the classes that methods name and the layer has."""
        known = all_class_names(layer)
        unknown = [name for name in self._classes if name not in known]
        problem = (
            f"layer '{self._vegetation}' has no class {', '.join(unknown)} "
            f"(classes: {', '.join(known)})"
        )
        if unknown and self._settings.when_absent == "error":
            raise PriorityError(
                problem,
                where="priority.effort.methods",
                remedy="Name the vegetation's classes as in the region's catalogue.",
            )
        if unknown:
            self.skipped.append(f"effort does not look at all vegetation: {problem}")
        return tuple(name for name in self._classes if name in known)

    def _slope(self, grid: SurveyGrid, layers: LayerReader) -> NDArray[np.float32]:
        if self._elevation is None:
            return np.zeros(grid.shape, np.float32)
        elevation = layers.continuous(self._elevation, grid.expanded(1))
        slope_deg = surface_form(elevation, float(grid.cell_size_m))[0]
        unknown = np.float32(self._settings.unknown_slope_deg)
        return np.where(np.isnan(slope_deg), unknown, slope_deg)

    def _shares(self, grid: SurveyGrid, layers: LayerReader) -> dict[str, NDArray[np.float32]]:
        if self._vegetation is None or not self._classes:
            return {}
        shares = np.nan_to_num(layers.fractions(self._vegetation, grid))
        names = layers.class_names(self._vegetation)
        return {name: shares[names.index(name)] for name in self._classes}

    def _device(self, grid: SurveyGrid, category: str) -> NDArray[np.bool_]:
        on_cell = np.zeros(grid.n_cells, bool)
        if self._areas is not None:
            named = self._areas["device"].map(lambda text: category in categories_of(text))
            rings = segments_of(self._areas.geometry.to_numpy()[named.to_numpy(dtype=bool)])
            on_cell[cells_inside(rows_of_grid(grid), rings)[0]] = True
        return on_cell.reshape(grid.shape)


def categories_of(text: object) -> list[str]:
    """Return the device categories a record names, ``AP; UXO`` → ``["AP", "UXO"]``."""
    if not isinstance(text, str):
        return []
    return [part.strip() for part in text.split(";") if part.strip()]


def _open_areas(records: HazardRecords) -> gpd.GeoDataFrame:
    table = records.hazard_areas
    return table[(table["status"] != HazardStatus.CLOSED).to_numpy(dtype=bool)]


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
