"""The features a run was told to use, computed for a block, a region or some cells.

Training and scoring share one code path: cells are never computed one by one, but taken
out of the same blocks that the map is made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import FeatureError, SettingsError
from hazardrank.features.base import FeatureFamily, FeatureSpec, FloatBlock, HistoryFamily
from hazardrank.features.registry import FAMILIES, HISTORY_FAMILIES
from hazardrank.grid import SurveyGrid
from hazardrank.records import HazardRecords
from hazardrank.settings import AnyFamilySettings, FamilySettings, LayerSettings, validate
from hazardrank.sources.layers import LayerReader

OnBlock = Callable[[int], None]
"""Called after each block with the number of blocks just done (1), as progress bars want."""


@dataclass(frozen=True)
class FeatureSet:
    """An ordered set of families and the features they give.

    Parameters
    ----------
    families : tuple of FeatureFamily
        Families of layers, in the order of the settings.
    histories : tuple of HistoryFamily
        Families of hazard records; their features come last.
    skipped : list of str
        One sentence for each family left out because its layer is absent.

    Raises
    ------
    FeatureError
        If two features have the same name, or there is none at all.
    """

    families: tuple[FeatureFamily[Any], ...]
    histories: tuple[HistoryFamily[Any], ...] = ()
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.specs:
            reasons = "; ".join(self.skipped) or "features is empty"
            raise FeatureError(
                f"there is nothing to learn from: {reasons}",
                where="features",
                remedy="Choose another feature set (features=NAME) or add layers to the region.",
            )
        counts = Counter(spec.name for spec in self.specs)
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise FeatureError(
                f"several features are called {', '.join(twice)}",
                where="features",
                remedy="Rename one of the keys under features.",
            )

    @property
    def layer_specs(self) -> tuple[FeatureSpec, ...]:
        """Specs of the features computed from layers."""
        return tuple(spec for family in self.families for spec in family.specs)

    @property
    def history_specs(self) -> tuple[FeatureSpec, ...]:
        """Specs of the features computed from hazard records."""
        return tuple(spec for family in self.histories for spec in family.specs)

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """All specs, layer features first: the order of every block and matrix."""
        return self.layer_specs + self.history_specs

    @property
    def names(self) -> list[str]:
        """All feature names in order."""
        return [spec.name for spec in self.specs]

    def layer_block(self, grid: SurveyGrid, layers: LayerReader) -> FloatBlock:
        """Compute the layer features of a block, shape (n_layer_features, rows, cols)."""
        block = np.empty((len(self.layer_specs), *grid.shape), np.float32)
        start = 0
        for family in self.families:
            stop = start + len(family.specs)
            block[start:stop] = family.compute(grid, layers)
            start = stop
        return block

    def history_at(
        self,
        easting: NDArray[np.float64],
        northing: NDArray[np.float64],
        cell_size_m: float,
        known: HazardRecords,
    ) -> FloatBlock:
        """Compute the history features of cells, shape (n_history_features, n_cells).

        Parameters
        ----------
        easting, northing : ndarray of float64, shape (n_cells,)
            Cell centres in the records' CRS.
        cell_size_m : float
            Side of the cells.
        known : HazardRecords
            The records that may be known.
        """
        parts = [
            family.at_cells(easting, northing, cell_size_m, known) for family in self.histories
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(easting)), np.float32)

    def block(
        self, grid: SurveyGrid, layers: LayerReader, known: HazardRecords | None
    ) -> FloatBlock:
        """Compute all features of a block.

        Parameters
        ----------
        grid : SurveyGrid
            The block.
        layers : LayerReader
            The region's layers.
        known : HazardRecords or None
            Records the history features may know; needed if there are any.

        Returns
        -------
        ndarray of float32, shape (n_features, rows, cols)
            In the order of :attr:`specs`, NaN where missing.

        Raises
        ------
        FeatureError
            If there are history features and no records.
        """
        layer_features = self.layer_block(grid, layers)
        if not self.histories:
            return layer_features
        if known is None:
            raise FeatureError(
                f"{len(self.history_specs)} history features need hazard records and none are given"
            )
        easting, northing = np.meshgrid(grid.eastings(), grid.northings())
        history = self.history_at(easting.ravel(), northing.ravel(), grid.cell_size_m, known)
        return np.concatenate([layer_features, history.reshape(-1, *grid.shape)])

    def at_cells(
        self,
        row: NDArray[np.integer],
        col: NDArray[np.integer],
        layers: LayerReader,
        block_cells: int,
        on_block: OnBlock | None = None,
    ) -> FloatBlock:
        """Compute the layer features of some cells through the blocks of the region.

        Parameters
        ----------
        row, col : ndarray of int, shape (n_cells,)
            Position in ``layers.grid``.
        layers : LayerReader
            The region's layers.
        block_cells : int
            Side of the blocks. Only blocks that hold a wanted cell are computed.
        on_block : callable, optional
            Called with 1 after each block.

        Returns
        -------
        ndarray of float32, shape (n_cells, n_layer_features)

        Raises
        ------
        FeatureError
            If a cell lies outside the region.
        """
        rows, cols = np.asarray(row, np.int64), np.asarray(col, np.int64)
        _check_inside(rows, cols, layers.grid)
        features = np.empty((len(rows), len(self.layer_specs)), np.float32)
        for block, index in _cells_by_block(rows, cols, layers.grid, block_cells):
            first_row, first_col = block.offset_in(layers.grid)
            values = self.layer_block(block, layers)
            features[index] = values[:, rows[index] - first_row, cols[index] - first_col].T
            if on_block is not None:
                on_block(1)
        return features


def build_features(
    settings: Mapping[str, AnyFamilySettings | None], catalogue: Mapping[str, LayerSettings]
) -> FeatureSet:
    """Build the feature set that the settings describe.

    Parameters
    ----------
    settings : mapping of str to AnyFamilySettings or None
        The ``features`` group: key → settings of one family; ``None`` switches a key off.
    catalogue : mapping of str to LayerSettings
        The region's layers.

    Raises
    ------
    SettingsError
        If a family is unknown or its settings are not valid.
    FeatureError
        If a layer is absent (unless ``when_absent: skip``), or a name comes twice.
    LeakageError
        If a feature asks for a layer that is for consequence only.
    """
    families: list[FeatureFamily[Any]] = []
    histories: list[HistoryFamily[Any]] = []
    skipped: list[str] = []
    for key, given in settings.items():
        if given is None:
            continue
        kind = _kind(key, given.family)
        own = validate(kind.settings_type, given.model_dump(), prefix=f"features.{key}")
        if issubclass(kind, HistoryFamily):
            histories.append(kind(key, own))
            continue
        absent = sorted(set(_needs(kind, key, own)) - set(catalogue))
        if absent and own.when_absent == "skip":
            skipped.append(f"{key} ({own.family}): the region has no layer {', '.join(absent)}")
        else:
            families.append(kind(key, own, catalogue))
    return FeatureSet(tuple(families), tuple(histories), skipped)


def layers_needed(settings: Mapping[str, AnyFamilySettings]) -> dict[str, tuple[str, ...]]:
    """Return the layers that each key of the ``features`` group reads; none for histories.

    Raises
    ------
    SettingsError
        If a family is unknown or its settings are not valid.
    """
    needed = {}
    for key, given in settings.items():
        kind = _kind(key, given.family)
        own = validate(kind.settings_type, given.model_dump(), prefix=f"features.{key}")
        needed[key] = () if issubclass(kind, HistoryFamily) else _needs(kind, key, own)
    return needed


def _kind(key: str, family: str) -> type[FeatureFamily[Any]] | type[HistoryFamily[Any]]:
    kind = FAMILIES.get(family) or HISTORY_FAMILIES.get(family)
    if kind is None:
        known = ", ".join([*FAMILIES, *HISTORY_FAMILIES])
        raise SettingsError(
            f"features.{key}.family = {family!r}: there is no such family (families: {known})"
        )
    return kind


def _needs(kind: type[FeatureFamily[Any]], key: str, settings: FamilySettings) -> tuple[str, ...]:
    """Return the layers a family would read; they depend on its settings alone."""
    unbuilt = object.__new__(kind)
    unbuilt.key, unbuilt.settings = key, settings
    return unbuilt.needs


def _check_inside(rows: NDArray[np.int64], cols: NDArray[np.int64], grid: SurveyGrid) -> None:
    outside = (rows < 0) | (rows >= grid.n_rows) | (cols < 0) | (cols >= grid.n_cols)
    if outside.any():
        first = int(np.argmax(outside))
        raise FeatureError(
            f"{int(outside.sum())} cells lie outside the region's {grid.n_rows} rows and "
            f"{grid.n_cols} columns, the first at row {rows[first]}, column {cols[first]}"
        )


def _cells_by_block(
    rows: NDArray[np.int64], cols: NDArray[np.int64], grid: SurveyGrid, block_cells: int
) -> list[tuple[SurveyGrid, NDArray[np.int64]]]:
    """Return each block that holds a wanted cell with the indices of its cells."""
    blocks_across = -(-grid.n_cols // block_cells)
    number = rows // block_cells * blocks_across + cols // block_cells
    order = np.argsort(number, kind="stable")
    numbers, starts = np.unique(number[order], return_index=True)
    pieces = np.split(order, starts[1:]) if len(numbers) else []
    wanted = dict(zip(numbers.tolist(), pieces, strict=True))
    return [
        (block, wanted[position])
        for position, block in enumerate(grid.blocks(block_cells))
        if position in wanted
    ]
