"""Any raster as features: its value and surroundings, or the share of each of its classes.

``raster`` reads a continuous layer (population, tree cover, night lights …): the value in
the cell, and mean and standard deviation in discs around it. ``land_cover`` reads a
categorical layer: the share of the cell that each class covers, and the mean share in
discs. Discs hold the cells whose centres lie within the radius, the cell itself included
(:mod:`.focal`); cells without data are left out, and where the cell itself has none all
its features are missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from hazardrank.errors import FeatureError
from hazardrank.features.base import FeatureFamily, FeatureSpec, FloatBlock
from hazardrank.features.focal import (
    RadiusM,
    disc_means,
    disc_statistics,
    discs_of,
    inner,
    widest,
)
from hazardrank.grid import SurveyGrid
from hazardrank.settings import FamilySettings, Key, LayerSettings
from hazardrank.sources.catalogue import layer_of_kind
from hazardrank.sources.layers import LayerReader, all_class_names

Statistic = Literal["value", "mean", "sd"]

#: Shares are rounded to a millionth in discs.
SHARE_QUANTUM = 1e-6


class RasterSettings(FamilySettings):
    """Settings of the family ``raster``."""

    family: Literal["raster"] = "raster"
    layer: Key
    """Catalogue key of a continuous layer."""
    statistics: list[Statistic] = Field(["value"], min_length=1)
    """`value` in the cell, `mean` and `sd` within each of `radii_m`."""
    radii_m: list[RadiusM] = Field(default_factory=list)
    """Radii, in whole metres, of the discs for mean and sd."""
    precision: Annotated[float, Field(gt=0)] = 0.001
    """Values are rounded to multiples of this, in the layer's unit, for mean and sd."""

    @model_validator(mode="after")
    def _radii_fit_statistics(self) -> RasterSettings:
        if bool(self.radii_m) != bool({"mean", "sd"} & set(self.statistics)):
            raise ValueError("mean and sd need radii_m, and radii_m needs mean or sd")
        return self


class RasterFamily(FeatureFamily[RasterSettings]):
    """Value, mean and deviation of a continuous raster.

    Raises
    ------
    LayerError
        If the layer is not a continuous raster.
    """

    name = "raster"
    settings_type = RasterSettings

    def __init__(
        self, key: str, settings: RasterSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        self.unit = layer_of_kind(catalogue, settings.layer, ("continuous",)).unit or "1"

    @property
    def needs(self) -> tuple[str, ...]:
        """The raster."""
        return (self.settings.layer,)

    @property
    def halo_m(self) -> float:
        """The largest radius."""
        return float(max(self._radii_m, default=0))

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The value, then mean and deviation radius by radius."""
        layer = self.settings.layer
        ending = "" if self.unit == "1" else f"_{slug(self.unit)}"
        specs = []
        if "value" in self.settings.statistics:
            specs.append(self.spec(f"value{ending}", self.unit, layer, f"{layer} in the cell."))
        for radius_m in self._radii_m:
            for statistic, words in (("mean", "Mean"), ("sd", "Standard deviation")):
                if statistic in self.settings.statistics:
                    description = f"{words} of {layer} within {radius_m} m."
                    suffix = f"{statistic}_r{radius_m}{ending}"
                    specs.append(self.spec(suffix, self.unit, layer, description))
        return tuple(specs)

    @property
    def _radii_m(self) -> list[int]:
        return sorted(set(self.settings.radii_m))

    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute the raster's features of a block, shape (n_features, rows, cols)."""
        discs = discs_of(self._radii_m, grid.cell_size_m, f"features.{self.key}")
        halo = widest(discs)
        values = layers.continuous(self.settings.layer, grid.expanded(halo))
        wanted = self.settings.statistics
        centre = inner(values, halo)
        planes = [centre] if "value" in wanted else []
        if discs:
            for found in disc_statistics(values, halo, discs, self.settings.precision):
                planes.extend([centre + found.difference] if "mean" in wanted else [])
                planes.extend([found.sd] if "sd" in wanted else [])
        return np.stack(planes)


class LandCoverSettings(FamilySettings):
    """Settings of the family ``land_cover``."""

    family: Literal["land_cover"] = "land_cover"
    layer: Key = "land_cover"
    """Catalogue key of a categorical layer."""
    classes: list[str] = Field(default_factory=list)
    """Class names as in the catalogue; all of them, and `other`, when empty."""
    radii_m: list[RadiusM] = Field(default_factory=list)
    """Radii, in whole metres, of the discs in which mean shares are taken as well."""


class LandCoverFamily(FeatureFamily[LandCoverSettings]):
    """Share of each class of a categorical raster.

    Raises
    ------
    LayerError
        If the layer is not a categorical raster.
    FeatureError
        If a class is not in the catalogue.
    """

    name = "land_cover"
    settings_type = LandCoverSettings

    def __init__(
        self, key: str, settings: LandCoverSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        names = all_class_names(layer_of_kind(catalogue, settings.layer, ("categorical",)))
        unknown = sorted(set(settings.classes) - set(names))
        if unknown:
            raise FeatureError(
                f"layer '{settings.layer}' has no class {', '.join(unknown)} "
                f"(classes: {', '.join(names)})",
                where=f"features.{key}.classes",
                remedy=f"Name classes as in region.layers.{settings.layer}.classes.",
            )
        self._names = [name for name in names if name in (settings.classes or names)]
        self._places = [names.index(name) for name in self._names]

    @property
    def needs(self) -> tuple[str, ...]:
        """The categorical raster."""
        return (self.settings.layer,)

    @property
    def halo_m(self) -> float:
        """The largest radius."""
        return float(max(self._radii_m, default=0))

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The shares in the cell, then in the discs, radius by radius."""
        layer = self.settings.layer
        specs = [
            self.spec(slug(name), "1", layer, f"Share of the cell that is {name}.")
            for name in self._names
        ]
        for radius_m in self._radii_m:
            for name in self._names:
                description = f"Share of the land within {radius_m} m that is {name}."
                specs.append(self.spec(f"{slug(name)}_r{radius_m}", "1", layer, description))
        return tuple(specs)

    @property
    def _radii_m(self) -> list[int]:
        return sorted(set(self.settings.radii_m))

    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute the class shares of a block, shape (n_features, rows, cols)."""
        discs = discs_of(self._radii_m, grid.cell_size_m, f"features.{self.key}")
        halo = widest(discs)
        shares = layers.fractions(self.settings.layer, grid.expanded(halo))[self._places]
        by_class = [
            [mean.clip(0, 1) for mean in disc_means(share, halo, discs, SHARE_QUANTUM)]
            for share in shares
        ]
        in_discs = [means[number] for number in range(len(discs)) for means in by_class]
        return np.stack([*(inner(share, halo) for share in shares), *in_discs])


def slug(text: str) -> str:
    """Return a class name or unit as part of a feature name: letters, digits and ``_``."""
    return re.sub(r"\W+", "_", text.lower()).strip("_")
