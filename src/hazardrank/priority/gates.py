"""Gates: what must hold before land may be tasked, such as security, consent, funds.

Gates come before any score: land behind a closed gate is not ranked low, it waits, and says
for what. A gate is a polygon layer, asked for every cell, or a column of the table of tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.features.cover import cells_inside, rows_of_grid
from hazardrank.features.segments import chosen, grown, require_kind, segments_of
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import check_consequence_layer
from hazardrank.settings import GateSettings, LayerSettings
from hazardrank.sources.layers import LayerReader

BoolArray = NDArray[np.bool_]

#: What a task waits for on which no method can be used.
NO_METHOD = "no method can be used here"


@dataclass(frozen=True)
class GateDecision:
    """Which tasks may be ranked, and what the others wait for.

    Parameters
    ----------
    open : ndarray of bool, shape (n_tasks,)
        Whether every gate is open.
    closed_by : ndarray of object, shape (n_tasks,)
        Label of the first gate that is closed, ``""`` where all are open.
    """

    open: BoolArray
    closed_by: NDArray[np.object_]

    def counts(self) -> dict[str, int]:
        """Return how many tasks wait at each gate."""
        labels, number = np.unique(self.closed_by[~self.open].astype(str), return_counts=True)
        return dict(zip(labels.tolist(), number.tolist(), strict=True))


@dataclass(frozen=True)
class GateSet:
    """The gates a run was told to ask, in order.

    Parameters
    ----------
    gates : mapping of str to GateSettings
        By name.
    skipped : tuple of str
        One sentence for each gate left open because its layer is absent.
    """

    gates: Mapping[str, GateSettings]
    skipped: tuple[str, ...] = ()

    @property
    def layer_gates(self) -> dict[str, GateSettings]:
        """The gates that are polygon layers, in order."""
        return {name: gate for name, gate in self.gates.items() if gate.layer is not None}

    def open_cells(self, grid: SurveyGrid, layers: LayerReader) -> BoolArray:
        """Return which cells each polygon gate leaves open.

        Parameters
        ----------
        grid : SurveyGrid
            The block.
        layers : LayerReader
            The region's layers.

        Returns
        -------
        ndarray of bool, shape (n_layer_gates, rows, cols)
            By the cell's centre, in the order of :attr:`layer_gates`.
        """
        opened = np.empty((len(self.layer_gates), *grid.shape), bool)
        for number, (name, gate) in enumerate(self.layer_gates.items()):
            assert gate.layer is not None
            table = layers.vectors(gate.layer, grown(grid.bounds, 0.0))
            table = table[chosen(table, gate.where, f"priority.gates.{name}.where")]
            inside = np.zeros(grid.n_cells, bool)
            rings = segments_of(table.geometry.to_numpy())
            inside[cells_inside(rows_of_grid(grid), rings)[0]] = True
            opened[number] = (inside == (gate.opens == "inside")).reshape(grid.shape)
        return opened

    def decide(
        self,
        open_share: NDArray[np.floating],
        tasks: pd.DataFrame,
        workable: BoolArray | None = None,
    ) -> GateDecision:
        """Return which tasks may be ranked.

        Parameters
        ----------
        open_share : ndarray of float, shape (n_tasks, n_layer_gates)
            Share of each task's area that each polygon gate leaves open.
        tasks : DataFrame, n_tasks rows
            The columns that gates on attributes ask for.
        workable : ndarray of bool, shape (n_tasks,), optional
            Whether some method can be used; asked last.

        Raises
        ------
        PriorityError
            If a column is absent (unless ``when_absent: skip``).
        """
        opened = np.ones(len(tasks), bool)
        closed_by = np.full(len(tasks), "", dtype=object)
        for gate, gate_open in self._answers(open_share, tasks):
            closed_by[opened & ~gate_open] = gate.label
            opened &= gate_open
        if workable is not None:
            closed_by[opened & ~workable] = NO_METHOD
            opened &= workable
        return GateDecision(opened, closed_by)

    def _answers(
        self, open_share: NDArray[np.floating], tasks: pd.DataFrame
    ) -> Iterator[tuple[GateSettings, BoolArray]]:
        position = {name: number for number, name in enumerate(self.layer_gates)}
        for name, gate in self.gates.items():
            if gate.attribute is None:
                share = np.asarray(open_share)[:, position[name]]
                yield gate, share >= gate.min_share
            elif gate.attribute in tasks.columns:
                values = tasks[gate.attribute].map(lambda value: str(value).strip().lower())
                wanted = [value.lower() for value in gate.open_values]
                yield gate, values.isin(wanted).to_numpy(dtype=bool)
            elif gate.when_absent == "error":
                known = ", ".join(map(str, tasks.columns)) or "none"
                raise PriorityError(
                    f"tasks have no column '{gate.attribute}' (columns: {known})",
                    where=f"priority.gates.{name}.attribute",
                    remedy="Give tasks that column, or set when_absent: skip.",
                )


def build_gates(
    settings: Mapping[str, GateSettings | None], catalogue: Mapping[str, LayerSettings]
) -> GateSet:
    """Build the gates that the settings describe.

    Raises
    ------
    PriorityError
        If a layer is absent (unless ``when_absent: skip``) or for the likelihood only.
    FeatureError
        If a layer is no polygons.
    """
    gates: dict[str, GateSettings] = {}
    skipped = []
    for name, gate in settings.items():
        if gate is None:
            continue
        if gate.layer is not None:
            if gate.layer not in catalogue and gate.when_absent == "skip":
                skipped.append(
                    f"gate '{gate.label}' is not asked: the region has no layer {gate.layer}"
                )
                continue
            check_consequence_layer(f"priority.gates.{name}", gate.layer, catalogue)
            require_kind(f"priority.gates.{name}", catalogue[gate.layer], "polygons")
        gates[name] = gate
    return GateSet(gates, tuple(skipped))
