"""Density: length of lines or number of points per km² around each cell.

.. code-block:: yaml

    features:
      roads_near:
        family: density
        layer: roads                 # key of a layer of lines or points
        classes: [main, track]       # optional: one set of features for each class
        where: {status: [in use]}    # optional
        radii_m: [1000, 5000]        # → roads_near_main_1000m_km_per_km2, …
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.features.base import FeatureFamily, FeatureSpec, FloatBlock
from hazardrank.features.discs import (
    counting_grid,
    fill_count_per_km2,
    fill_length_per_km2,
    halo_m,
    inside_region,
    length_of_cells,
    points_of_cells,
)
from hazardrank.features.focal import RadiusM
from hazardrank.features.segments import (
    Segments,
    chosen,
    class_words,
    grown,
    metres_word,
    require_kind,
    segments_of,
)
from hazardrank.grid import SurveyGrid
from hazardrank.settings import FamilySettings, Key, LayerSettings
from hazardrank.sources.layers import LayerReader


class DensitySettings(FamilySettings):
    """Settings of the density family."""

    layer: Key
    """Layer of lines or points."""
    classes: list[str] = Field(default_factory=list)
    """One set of features for each of these values of the layer's `class` column; empty:
    one set for all features together."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only features whose columns (our words) hold one of these values."""
    radii_m: Annotated[tuple[RadiusM, ...], Field(min_length=1)] = (1000, 5000)
    """Radii of the discs in whole metres, at least one cell."""


class DensityFamily(FeatureFamily[DensitySettings]):
    """Length of lines in km per km², or points per km², within radii of the cell centre.

    Only what lies inside the region counts, divided by the area of the disc's part
    inside the region, so that its border does not look empty; NaN where no part of the
    disc is inside. How exact this is: :mod:`hazardrank.features.discs`. Source: the
    vector layer named.
    """

    name: ClassVar[str] = "density"
    settings_type: ClassVar[type[FamilySettings]] = DensitySettings

    def __init__(
        self, key: str, settings: DensitySettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        layer = self.catalogue[settings.layer]
        require_kind(f"features.{key}", layer, "lines", "points")
        self._lines = layer.kind == "lines"
        self._words = class_words(settings.classes, f"features.{key}.classes")

    @property
    def needs(self) -> tuple[str, ...]:
        """Catalogue keys of the layers the family reads."""
        return (self.settings.layer,)

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """One density for each class and radius."""
        unit, ending = ("km/km²", "km_per_km2") if self._lines else ("1/km²", "per_km2")
        what = "Length of lines" if self._lines else "Number of points"
        layer, specs = self.settings.layer, []
        for name, word in (self._words or {"": ""}).items():
            for radius_m in self.settings.radii_m:
                suffix = "_".join(filter(None, [word, metres_word(radius_m), ending]))
                of_class = f", class {name}" if name else ""
                text = f"{what} of {layer}{of_class} per km² within {radius_m} m."
                specs.append(self.spec(suffix, unit, layer, text))
        return tuple(specs)

    @property
    def halo_m(self) -> float:
        """How far around a block the family reads, in metres."""
        return halo_m(self.settings.radii_m)

    def compute(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute the densities of a block, shape (n_features, rows, cols)."""
        settings, path = self.settings, f"features.{self.key}"
        outer = counting_grid(grid, settings.radii_m)
        table = layers.vectors(settings.layer, grown(outer.bounds, 0.0))
        keep = chosen(table, settings.where, f"{path}.where")
        choices = [
            keep & chosen(table, {"class": [name]}, f"{path}.classes") for name in self._words
        ]
        inside, n_radii = inside_region(outer, layers), len(settings.radii_m)
        geometries = table.geometry.to_numpy()
        result = np.empty((len(self.specs), *grid.shape), np.float32)
        for number, choice in enumerate(choices or [keep]):
            segments = segments_of(geometries[choice])
            densities = result[number * n_radii : (number + 1) * n_radii]
            self._fill(outer, segments, inside, grid, densities)
        return result

    def _fill(
        self,
        outer: SurveyGrid,
        segments: Segments,
        inside: NDArray[np.bool_],
        grid: SurveyGrid,
        densities: FloatBlock,
    ) -> None:
        radii_m = self.settings.radii_m
        if self._lines:
            length_m = length_of_cells(outer, segments)
            fill_length_per_km2(length_m, inside, grid, radii_m, densities)
        else:
            count = points_of_cells(outer, segments.ends[:, 0], segments.ends[:, 1])
            fill_count_per_km2(count, inside, grid, radii_m, densities)
