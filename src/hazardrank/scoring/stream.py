"""Scoring a region block by block: features, likelihood, maps; memory bounded by the block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hazardrank.features.base import FeatureSpec, FloatBlock
from hazardrank.grid import SurveyGrid
from hazardrank.model.bundle import Bundle
from hazardrank.records import HazardRecords
from hazardrank.scoring.cells import cells_inside, score_bands
from hazardrank.scoring.maps import Maps, ScoreSummary
from hazardrank.settings import ComputeSettings
from hazardrank.sources.layers import LayerReader

__all__ = ["BlockFeatures", "ScoreSummary", "score_region"]


class BlockFeatures(Protocol):
    """What scoring asks of a feature set."""

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The features in order."""

    def block(
        self, grid: SurveyGrid, layers: LayerReader, known: HazardRecords | None
    ) -> FloatBlock:
        """Return all features of a block, shape (n_features, rows, cols)."""


def score_region(
    bundle: Bundle,
    features: BlockFeatures,
    layers: LayerReader,
    known: HazardRecords | None,
    status: Callable[[SurveyGrid], NDArray[np.int8]],
    output_dir: Path,
    compute: ComputeSettings,
    tags: Mapping[str, str],
    on_block: Callable[[int], None] | None = None,
    map_dissimilarity: bool = True,
) -> ScoreSummary:
    """Write the likelihood, survey status and domain maps of a region.

    Parameters
    ----------
    bundle : Bundle
        The model.
    features : BlockFeatures
        Features as the model learned them.
    layers : LayerReader
        The region's layers; they say where the grid and the area are.
    known : HazardRecords or None
        Records that history features may know.
    status : callable
        Block → -1 unsurveyed, 0 released, 1 contaminated, shape (rows, cols).
    output_dir : Path
        Folder of ``contamination_likelihood.tif`` (float32, nodata NaN) and
        ``survey_status.tif`` (int8, nodata -128 outside the area); where the bundle knows
        its domain, of ``outside_domain.tif`` (uint8, nodata 255) and ``dissimilarity.tif``.
    compute : ComputeSettings
        Block size and threads; no value depends on them.
    tags : mapping of str to str
        Provenance for all files.
    on_block : callable, optional
        Called with the number of blocks done since the last call.
    map_dissimilarity : bool, optional
        Whether ``dissimilarity.tif`` is wanted.

    Returns
    -------
    ScoreSummary
        Counts, mean, quantiles, seconds by stage.

    Raises
    ------
    BundleError
        If the features are not the ones the model learned.
    OutputError
        If a map cannot be written.
    """
    bundle.check_features(features.specs)
    nothing = score_bands(bundle, np.empty((len(bundle.specs), 0), np.float32), 1)
    with Maps(output_dir, layers.grid, bundle, tags, map_dissimilarity) as maps:
        for block in layers.grid.blocks(compute.block_cells):
            inside = layers.inside(block)
            cells, known_as = nothing, np.zeros(block.shape, np.int8)
            if inside.any():
                with maps.timed("features"):
                    values = features.block(block, layers, known)
                with maps.timed("scoring"):
                    bands, row_cells = cells_inside(values, inside)
                    cells = score_bands(
                        bundle,
                        bands,
                        compute.n_threads,
                        row_cells,
                        want_dissimilarity=map_dissimilarity,
                    )
                with maps.timed("status"):
                    known_as = status(block)
            index = np.full(block.shape, -1, np.int64)
            index[inside] = np.arange(int(inside.sum()))
            maps.write(block, cells, index, known_as)
            if on_block is not None:
                on_block(1)
    return maps.summary()
