"""Where the model applies, and what is said of what it learned."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hazardrank.settings.base import PositiveMetres, Settings


class ApplicabilitySettings(Settings):
    """Where the model applies: how unlike the training cells a cell may be.

    Dissimilarity index and area of applicability after Meyer & Pebesma (2021). Outside the
    domain the likelihood map abstains.
    """

    enabled: bool = True
    """Measure the model's domain, store it in the bundle and map it. `false`: every cell gets
    a likelihood, however unlike anything the model has seen."""
    max_reference_cells: Annotated[int, Field(ge=10, le=100_000)] = 5_000
    """Training cells kept to measure from. With more training cells than that, dissimilarity
    is too large by at most the bound stated in `bundle.json` and `metrics.json`."""
    map_dissimilarity: bool = True
    """Also write `dissimilarity.tif`: dissimilarity, local point density, expected error."""


class ExplanationSettings(Settings):
    """What a training run says of what the model learned."""

    enabled: bool = True
    """Measure permutation importance and effects on the folds, and draw them."""
    n_features: Annotated[int, Field(ge=1, le=30)] = 6
    """Features, the most important first, of which effects are drawn."""
    n_cells: Annotated[int, Field(ge=50, le=100_000)] = 400
    """Cells over which effects are averaged, at most."""
    n_values: Annotated[int, Field(ge=4, le=200)] = 20
    """Values of a feature at which effects are measured, at most."""
    n_repeats: Annotated[int, Field(ge=1, le=100)] = 3
    """Permutations of each group of features on each fold."""
    block_m: PositiveMetres | None = None
    """Side of the blocks that are permuted as wholes; half of `validation.folds.size_m` when
    left out."""
