"""Access: what a cleared corridor would connect.

.. code-block:: yaml

    priority:
      criteria:
        access:
          criterion: access
          roads: roads
          settlements: settlements
          destinations: public_sites     # or null: settlements of town_people and more
          corridor_m: 50
          curve: {shape: linear, zero_at: 0, one_at: 1000}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar

import geopandas as gpd
import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.errors import PriorityError
from hazardrank.features.candidates import Candidates, candidates, squared_distance
from hazardrank.features.segments import (
    FloatArray,
    Segments,
    chosen,
    grown,
    require_column,
    require_kind,
)
from hazardrank.features.tiles import (
    TILE_SIZE,
    CellTiles,
    TileCells,
    load_tile,
    store_tile,
    tiles_of_grid,
)
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import (
    BlockValues,
    CellValues,
    ConsequenceInputs,
    Criterion,
    CriterionSpec,
    valued,
)
from hazardrank.priority.criteria.people import DESERTED, people_now
from hazardrank.priority.road_graph import (
    Access,
    RoadGraph,
    access_gains,
    graph_of,
    pieces_on,
)
from hazardrank.priority.value_curves import describe
from hazardrank.settings import (
    CriterionSettings,
    CurveSettings,
    Key,
    LayerSettings,
    Metres,
    PositiveMetres,
)

#: Pieces of road are at most this long, or half a cell where that is longer.
_SHORTEST_PIECE_M = 20.0


class AccessSettings(CriterionSettings):
    """Settings of the criterion ``access``."""

    roads: Key = "roads"
    """Layer of lines. Lines are joined wherever they meet, bridges over roads included."""
    roads_where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only roads whose columns (our words) hold one of these values."""
    settlements: Key = "settlements"
    """Layer of settlements with a column `people`."""
    settlements_where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only settlements whose columns (our words) hold one of these values."""
    deserted: list[str] = Field(default_factory=lambda: list(DESERTED))
    """Values of the column `status`, where there is one, of places nobody lives in now."""
    destinations: Key | None = None
    """Layer of what people need to reach: towns, clinics, markets. Empty: settlements of
    `town_people` and more."""
    destinations_where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Only destinations whose columns (our words) hold one of these values."""
    town_people: Annotated[float, Field(gt=0)] = 2000.0
    """Settlements of so many people are destinations, where no layer is named."""
    reach_m: PositiveMetres = 2000.0
    """Settlements and destinations farther than this from every road are not on the network."""
    closed_factor: Annotated[float, Field(ge=1, le=1000)] = 10.0
    """A metre of road to clear is worth a detour of so many metres."""
    most_m: PositiveMetres = 20_000.0
    """Most that clearing can save a person, in metres of way; reconnecting saves this."""
    corridor_m: PositiveMetres = 50.0
    """Width of the corridor along a closed road whose cells have its value; at least the
    cells the road passes."""
    join_m: PositiveMetres = 1.0
    """Ends of roads this near to each other are joined."""
    margin_m: Metres = 10_000.0
    """How far beyond the region roads and settlements are read."""
    curve: CurveSettings = CurveSettings(shape="linear", zero_at=0, one_at=1000)
    """Value of so many people who would gain."""


class AccessCriterion(Criterion[AccessSettings]):
    """People who would be reconnected, or spared a detour, if the road here were cleared.

    Roads that cross candidate land are closed. How much each closed stretch would give is
    told in :mod:`hazardrank.priority.road_graph`; cells within half the corridor's width of
    a closed stretch, and those that it passes, have its value. Roads and settlements of the
    whole region decide, so the value does not depend on the block.

    Raises
    ------
    PriorityError
        On preparing, if it is not known which land is candidate, or there is no destination.
    """

    name: ClassVar[str] = "access"
    settings_type: ClassVar[type[CriterionSettings]] = AccessSettings

    def __init__(
        self, key: str, settings: AccessSettings, catalogue: Mapping[str, LayerSettings]
    ) -> None:
        super().__init__(key, settings, catalogue)
        require_kind(f"{self.path}.roads", self.catalogue[settings.roads], "lines")
        for name in self.needs[1:]:
            require_kind(self.path, self.catalogue[name], "points", "polygons")

    @property
    def needs(self) -> tuple[str, ...]:
        """Roads, settlements, and destinations if named."""
        settings = self.settings
        layers = (settings.roads, settings.settlements, settings.destinations)
        return tuple(layer for layer in layers if layer is not None)

    @property
    def spec(self) -> CriterionSpec:
        """People who would gain."""
        settings = self.settings
        goals = settings.destinations or f"settlements of {settings.town_people:g} people and more"
        curve = describe(settings.curve, "people")
        return self._spec(
            "people",
            f"People reconnected to {goals}, or spared a detour, by clearing the closed road "
            f"here and the rest of its way; value {curve}.",
        )

    @property
    def halo_m(self) -> float:
        """How far beyond the region the network is read."""
        return self.settings.margin_m

    def prepare(self, inputs: ConsequenceInputs) -> BlockValues:
        """Work out the network once; return what spreads it to the cells of a block."""
        graph, closed, access = self.network(inputs)
        useful = closed & (access.gain > 0)
        ends = graph.nodes[graph.ends[useful]].reshape(-1, 4)
        number = np.arange(len(ends))
        none = np.full(len(ends), -1)
        segments = Segments(np.ascontiguousarray(ends), number, none, none)
        return partial(self._values, segments, np.ascontiguousarray(access.gain[useful]))

    def network(self, inputs: ConsequenceInputs) -> tuple[RoadGraph, NDArray[np.bool_], Access]:
        """Return the roads, which pieces are closed, and what clearing them would give."""
        settings, layers = self.settings, inputs.layers
        if inputs.candidate_land is None:
            raise PriorityError(
                "it is not known which land may be contaminated, so no road is closed",
                where=self.path,
                remedy=f"Give candidate land, or switch the criterion off with {self.path}=null.",
            )
        bounds = grown(layers.grid.bounds, settings.margin_m)
        roads = layers.vectors(settings.roads, bounds)
        roads = roads[chosen(roads, settings.roads_where, f"{self.path}.roads_where")]
        piece_m = max(_SHORTEST_PIECE_M, layers.grid.cell_size_m / 2)
        graph = graph_of(roads.geometry.to_numpy(), piece_m, settings.join_m)
        closed = pieces_on(graph, layers.grid, inputs.candidate_land)
        table = layers.vectors(settings.settlements, bounds)
        table = table[chosen(table, settings.settlements_where, f"{self.path}.settlements_where")]
        require_column(table, "people", f"{self.path}.settlements")
        people = people_now(table, "people", settings.deserted)
        homes = graph.nearest_nodes(_points(table), settings.reach_m)
        goals = graph.nearest_nodes(self._goals(inputs, table, people), settings.reach_m)
        access = access_gains(
            graph,
            closed,
            homes,
            people,
            goals,
            closed_factor=settings.closed_factor,
            most_m=settings.most_m,
        )
        return graph, closed, access

    def _goals(
        self, inputs: ConsequenceInputs, settlements: gpd.GeoDataFrame, people: FloatArray
    ) -> FloatArray:
        """Return where the destinations lie, shape (n_destinations, 2)."""
        settings = self.settings
        if settings.destinations is None:
            goals = _points(settlements[people >= settings.town_people])
            what = f"no settlement has {settings.town_people:g} people or more"
        else:
            bounds = grown(inputs.layers.grid.bounds, settings.margin_m)
            table = inputs.layers.vectors(settings.destinations, bounds)
            where = f"{self.path}.destinations_where"
            goals = _points(table[chosen(table, settings.destinations_where, where)])
            what = f"layer '{settings.destinations}' has no such feature in or near the region"
        if not len(goals):
            raise PriorityError(
                f"there is nothing to reach: {what}",
                where=self.path,
                remedy="Name another layer of destinations, or lower town_people.",
            )
        return goals

    def _values(self, segments: Segments, gain: FloatArray, grid: SurveyGrid) -> CellValues:
        half_cell_m = grid.cell_size_m * math.sqrt(0.5)
        reach_m = max(self.settings.corridor_m / 2, half_cell_m)
        largest = largest_within(tiles_of_grid(grid), segments, gain, reach_m)
        return valued(largest.reshape(grid.shape), self.settings.curve)


def _points(table: gpd.GeoDataFrame) -> FloatArray:
    centres = shapely.centroid(table.geometry.to_numpy())
    return shapely.get_coordinates(centres).reshape(-1, 2)


def largest_within(
    tiles: CellTiles, segments: Segments, weight: FloatArray, reach_m: float
) -> FloatArray:
    """Return the largest weight of any segment within reach of each cell centre, 0 for none.

    Parameters
    ----------
    tiles : CellTiles
        The cells.
    segments : Segments
        The segments.
    weight : ndarray of float64, shape (n_segments,)
        Weights, 0 or more.
    reach_m : float
        Reach in metres.

    Returns
    -------
    ndarray of float64, shape (n_cells,)
        In the caller's order of cells.
    """
    near = candidates(tiles, segments, reach_m, nearest=False)
    largest = np.empty(len(tiles))
    _largest(tiles.cells, near, segments.packed, weight, reach_m * reach_m, largest)
    return largest


@njit(cache=True, nogil=True)
def _largest(
    cells: TileCells,
    near: Candidates,
    packed: FloatArray,
    weight: FloatArray,
    reach2: float,
    largest: FloatArray,
) -> None:
    """Keep for each cell the largest weight of the segments within reach."""
    east, north, found = np.empty(TILE_SIZE), np.empty(TILE_SIZE), np.empty(TILE_SIZE)
    for tile in range(len(near.start)):
        load_tile(cells, tile, east, north)
        found[:] = 0.0
        for j in range(near.start[tile], near.stop[tile]):
            s = near.numbers[j]
            for k in range(TILE_SIZE):
                d2 = squared_distance(
                    packed[s, 0],
                    packed[s, 1],
                    packed[s, 2],
                    packed[s, 3],
                    packed[s, 4],
                    east[k],
                    north[k],
                )
                if d2 <= reach2 and weight[s] > found[k]:
                    found[k] = weight[s]
        store_tile(cells, tile, found, largest)
