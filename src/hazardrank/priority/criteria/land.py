"""Land itself: what it is used for, or any other continuous raster.

.. code-block:: yaml

    priority:
      criteria:
        farmland:
          criterion: land_use
          layer: land_cover
          classes: {cropland: 1.0, grassland: 0.5}
        density:
          criterion: raster
          layer: population_density
          curve: {shape: linear, zero_at: 0, one_at: 50}
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from hazardrank.errors import PriorityError
from hazardrank.features.segments import require_kind
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import (
    BlockValues,
    CellValues,
    ConsequenceInputs,
    Criterion,
    CriterionSpec,
    valued,
)
from hazardrank.priority.value_curves import describe
from hazardrank.settings import (
    CriterionSettings,
    CurveSettings,
    Key,
    LayerSettings,
    Share,
)
from hazardrank.sources.layers import all_class_names


class LandUseSettings(CriterionSettings):
    """Settings of the criterion ``land_use``."""

    layer: Key = "land_cover"
    """Categorical layer."""
    classes: Annotated[Mapping[str, Share], Field(min_length=1)]
    """Class of the layer → how much of a cell's value a whole cell of it has."""
    curve: CurveSettings = CurveSettings(shape="linear", zero_at=0, one_at=1)
    """Value of the classes' shares, each times its number, added up (0–1)."""


class LandUseCriterion(Criterion[LandUseSettings]):
    """Share of the cell in classes of land that people live from: fields, pasture.

    ``Σ share · number``, over the part of the cell that has data; missing where none has.
    """

    name: ClassVar[str] = "land_use"
    settings_type: ClassVar[type[CriterionSettings]] = LandUseSettings

    def __init__(
        self, key: str, settings: LandUseSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        layer = self.catalogue[settings.layer]
        require_kind(self.path, layer, "categorical")
        known = all_class_names(layer)
        unknown = [name for name in settings.classes if name not in known]
        if unknown:
            raise PriorityError(
                f"layer '{settings.layer}' has no class '{unknown[0]}' "
                f"(classes: {', '.join(known)})",
                where=f"{self.path}.classes",
                remedy="Name classes as in the region's catalogue.",
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """The categorical layer."""
        return (self.settings.layer,)

    @property
    def spec(self) -> CriterionSpec:
        """Weighted share."""
        settings = self.settings
        named = ", ".join(f"{name} × {number:g}" for name, number in settings.classes.items())
        curve = describe(settings.curve, "")
        return self._spec("1", f"Share of {settings.layer} in {named}; value {curve}.")

    def prepare(self, inputs: ConsequenceInputs) -> BlockValues:
        """Return what measures the shares in the cells of a block."""
        return partial(self._values, inputs)

    def _values(self, inputs: ConsequenceInputs, grid: SurveyGrid) -> CellValues:
        settings = self.settings
        shares = inputs.layers.fractions(settings.layer, grid)
        names = inputs.layers.class_names(settings.layer)
        total = np.zeros(grid.shape)
        for name, number in settings.classes.items():
            total += number * shares[names.index(name)].astype(np.float64)
        return valued(total, settings.curve)


class RasterSettings(CriterionSettings):
    """Settings of the criterion ``raster``."""

    layer: Key
    """Continuous layer, such as people per km²."""
    curve: CurveSettings
    """Value of the layer's values, in its unit."""


class RasterCriterion(Criterion[RasterSettings]):
    """Value of a continuous raster in the cell."""

    name: ClassVar[str] = "raster"
    settings_type: ClassVar[type[CriterionSettings]] = RasterSettings

    def __init__(
        self, key: str, settings: RasterSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        require_kind(self.path, self.catalogue[settings.layer], "continuous")

    @property
    def needs(self) -> tuple[str, ...]:
        """The raster."""
        return (self.settings.layer,)

    @property
    def spec(self) -> CriterionSpec:
        """The raster's own unit."""
        layer = self.settings.layer
        unit = self.catalogue[layer].unit or "1"
        curve = describe(self.settings.curve, unit)
        return self._spec(unit, f"{layer} in the cell; value {curve}.")

    def prepare(self, inputs: ConsequenceInputs) -> BlockValues:
        """Return what reads the raster for a block."""
        return partial(self._values, inputs)

    def _values(self, inputs: ConsequenceInputs, grid: SurveyGrid) -> CellValues:
        found = inputs.layers.continuous(self.settings.layer, grid)
        return valued(found.astype(np.float64), self.settings.curve)
