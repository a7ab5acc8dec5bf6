"""History: how near, and how many, hazards are already known around a cell.

.. code-block:: yaml

    features:
      known:
        family: history
        kinds: [hazard_areas, accidents, finds, any]   # → known_any_distance_m, …
        cap_m: 20000
        radii_m: [2000, 5000]      # → known_accidents_2000m_per_km2, …

What lies on the cell itself is never used: every hazard of which some record touches the
cell's own square is left out with all its records, whatever their kind.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import geopandas as gpd
import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.errors import FeatureError
from hazardrank.features.base import RECORDS_LAYER, FeatureSpec, FloatBlock, HistoryFamily
from hazardrank.features.candidates import Candidates, Exclusions, candidates, is_excluded
from hazardrank.features.cover import cells_inside, cells_touched, rows_of_points
from hazardrank.features.distance import fill_distances
from hazardrank.features.segments import (
    FloatArray,
    IndexArray,
    Segments,
    grown,
    metres_word,
    segments_of,
)
from hazardrank.features.tiles import (
    TILE_SIZE,
    CellTiles,
    TileCells,
    cell_at,
    load_tile,
    store_tile,
    tiles_of_points,
)
from hazardrank.features.within import (
    ALL_CELLS,
    NO_CELL,
    half_diagonal,
    mark_within,
    measure_from_centre,
)
from hazardrank.grid import Bounds
from hazardrank.records import HazardRecords
from hazardrank.settings import FamilySettings, PositiveMetres

Kind = Literal["hazard_areas", "accidents", "finds", "any"]

_WORDS = {
    "hazard_areas": "known hazard areas",
    "accidents": "accidents",
    "finds": "land cleared with finds",
    "any": "known hazard areas, accidents and land cleared with finds",
}
_KINDS = ("hazard_areas", "accidents", "finds")


class HistorySettings(FamilySettings):
    """Settings of the history family."""

    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = (
        "hazard_areas",
        "accidents",
        "finds",
        "any",
    )
    """Which records: hazard areas, accidents, land cleared with finds, or any of them."""
    cap_m: PositiveMetres = 20_000.0
    """Largest distance reported; also the value where nothing lies within it."""
    radii_m: tuple[PositiveMetres, ...] = (2000.0, 5000.0)
    """Count records per km² within these radii; empty for none."""


class HazardHistoryFamily(HistoryFamily[HistorySettings]):
    """Distance to (m) and number of (1/km²) known hazards other than the cell's own.

    * distance to the nearest edge of a polygon, or to a point: exact, capped, never NaN.
      A cell inside a polygon touches it, so that polygon is the cell's own and left out;
    * records of which any part lies within the radius, per km² of the whole disc. Records
      are counted, not their area; the disc is not corrected at the region's border.

    Source: the hazard records that may be known.
    """

    name: ClassVar[str] = "history"
    settings_type: ClassVar[type[FamilySettings]] = HistorySettings

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """For each kind the distance, then the densities."""
        specs = []
        for kind in self.settings.kinds:
            text = f"Distance to the nearest of {_WORDS[kind]}, without the cell's own."
            specs.append(self._spec(f"{kind}_distance_m", "m", text))
            for radius_m in self.settings.radii_m:
                text = (
                    f"Number of {_WORDS[kind]} per km² within {radius_m:g} m, but the cell's own."
                )
                specs.append(self._spec(f"{kind}_{metres_word(radius_m)}_per_km2", "1/km²", text))
        return tuple(specs)

    def _spec(self, suffix: str, unit: str, text: str) -> FeatureSpec:
        return FeatureSpec(f"{self.key}_{suffix}", unit, RECORDS_LAYER, self.name, text)

    def at_cells(
        self,
        easting: FloatArray,
        northing: FloatArray,
        cell_size_m: float,
        known: HazardRecords,
    ) -> FloatBlock:
        """Compute the features of cells from the records that may be known.

        Parameters
        ----------
        easting, northing : ndarray of float64, shape (n_cells,)
            Cell centres in the records' CRS.
        cell_size_m : float
            Side of the cells: records touching a cell's square are the cell's own.
        known : HazardRecords
            Records that may be used; their tables carry ``hazard_id``.

        Returns
        -------
        ndarray of float32, shape (n_features, n_cells)

        Raises
        ------
        FeatureError
            If a table with records has no ``hazard_id``.
        """
        hazards = known_hazards(known)
        if len(easting) == 0:
            return np.empty((len(self.specs), 0), np.float32)
        tiles = tiles_of_points(easting, northing, cell_size_m)
        cell, owner = own_hazards(easting, northing, cell_size_m, hazards)
        own = Exclusions.of_pairs(np.empty(0, np.int64), hazards.n_owners, tiles, cell, owner)
        bounds = (easting.min(), northing.min(), easting.max(), northing.max())
        reach_m = max(self.settings.cap_m, *self.settings.radii_m, 0.0)
        near = hazards.segments.near(grown(bounds, reach_m))
        of_kind = {}
        for kind in _KINDS if "any" in self.settings.kinds else self.settings.kinds:
            segments = near.of_features(hazards.kind == kind)
            others = own._replace(owner=hazards.owner[segments.feature])
            of_kind[kind] = self._of_records(tiles, segments, others)
        if "any" in self.settings.kinds:
            parts = np.stack([of_kind[kind] for kind in _KINDS])
            of_kind["any"] = np.concatenate([parts[:, :1].min(axis=0), parts[:, 1:].sum(axis=0)])
        block = np.concatenate([of_kind[kind] for kind in self.settings.kinds])
        block /= np.tile(self._divisors(), len(self.settings.kinds))[:, None]
        return block.astype(np.float32)

    def _of_records(self, tiles: CellTiles, segments: Segments, others: Exclusions) -> FloatArray:
        """Return distance (m), then the count within each radius, (1 + n_radii, n_cells)."""
        found = np.empty((1 + len(self.settings.radii_m), len(tiles)))
        fill_distances(tiles, segments, self.settings.cap_m, found[0], others)
        if self.settings.radii_m:
            found[1:] = records_within(tiles, segments, self.settings.radii_m, others)
        return found

    def _divisors(self) -> FloatArray:
        """Return 1 for the distance, and the area of each disc in km²."""
        return np.array([1.0, *(np.pi * radius_m**2 / 1e6 for radius_m in self.settings.radii_m)])


@dataclass(frozen=True)
class KnownHazards:
    """Known hazard records, ready to be measured from.

    Parameters
    ----------
    segments : Segments
        Edges and points of all records; ``feature`` is the record.
    kind : ndarray of str, shape (n_records,)
        ``hazard_areas``, ``accidents`` or ``finds``.
    owner : ndarray of int64, shape (n_records,)
        Number of the hazard a record belongs to, from 0.
    n_owners : int
        Number of hazards, at least 1.
    bounds : ndarray of float64, shape (n_records, 4)
        West, south, east, north of each record in metres.
    """

    segments: Segments
    kind: NDArray[np.str_]
    owner: IndexArray
    n_owners: int
    bounds: FloatArray

    @classmethod
    def of(cls, known: HazardRecords) -> KnownHazards:
        """Prepare the records.

        Raises
        ------
        FeatureError
            If a table with records has no ``hazard_id``.
        """
        tables = (known.hazard_areas, known.accidents, known.clearance[known.found()])
        ids = np.concatenate([_ids(t, name) for t, name in zip(tables, _KINDS, strict=True)])
        lone = ids < 0
        ids[lone] = -1 - np.arange(lone.sum())
        hazard, owner = np.unique(ids, return_inverse=True)
        geometries = np.concatenate([np.asarray(table.geometry, dtype=object) for table in tables])
        return cls(
            segments_of(geometries),
            np.repeat(_KINDS, [len(table) for table in tables]),
            owner.astype(np.int64),
            max(len(hazard), 1),
            shapely.bounds(geometries).reshape(-1, 4),
        )

    def touching(self, bounds: Bounds) -> Segments:
        """Return all segments of the records whose bounds touch `bounds` (metres)."""
        west, south, east, north = bounds
        near = (self.bounds[:, 2] >= west) & (self.bounds[:, 0] <= east)
        near &= (self.bounds[:, 3] >= south) & (self.bounds[:, 1] <= north)
        return self.segments.of_features(near)


def _ids(table: gpd.GeoDataFrame, name: str) -> IndexArray:
    if len(table) == 0:
        return np.empty(0, np.int64)
    if "hazard_id" not in table:
        raise FeatureError(
            f"the {name} records carry no hazard_id, so a cell's own hazard cannot be left out",
            remedy="Read records through hazardrank.sources.hazard_records.",
        )
    ids: IndexArray = table["hazard_id"].to_numpy(dtype=np.int64)
    return ids


#: The records prepared last: all blocks of a map measure from the same ones.
_latest: tuple[weakref.ref[HazardRecords], KnownHazards] | None = None


def known_hazards(known: HazardRecords) -> KnownHazards:
    """Return the records ready to be measured from, prepared once for all blocks of a map."""
    global _latest
    latest = _latest
    if latest is None or latest[0]() is not known:
        latest = (weakref.ref(known), KnownHazards.of(known))
        _latest = latest
    return latest[1]


def own_hazards(
    easting: FloatArray, northing: FloatArray, cell_size_m: float, hazards: KnownHazards
) -> tuple[IndexArray, IndexArray]:
    """Return the pairs of cell and hazard such that a record of it touches the cell's square.

    Touching a side or corner counts; so does a square that lies whole inside a polygon.

    Returns
    -------
    cell, owner : ndarray of int64, shape (n_pairs,)
    """
    bounds = (easting.min(), northing.min(), easting.max(), northing.max())
    near = hazards.touching(grown(bounds, cell_size_m))
    rows = rows_of_points(easting, northing, cell_size_m)
    inside, polygon = cells_inside(rows, near)
    touched, segment = cells_touched(rows, near)
    record = np.concatenate([polygon, near.feature[segment]])
    return np.concatenate([inside, touched]), hazards.owner[record]


def records_within(
    tiles: CellTiles, segments: Segments, radii_m: tuple[float, ...], others: Exclusions
) -> FloatArray:
    """Return how many records have some part within radii of each cell.

    Parameters
    ----------
    tiles : CellTiles
        The cells.
    segments : Segments
        Segments of all records within the largest radius; ``feature`` is the record.
    radii_m : tuple of float
        Radii in metres.
    others : Exclusions
        Hazards that each cell leaves out.

    Returns
    -------
    ndarray of float64, shape (n_radii, n_cells)
        In the caller's order of cells.
    """
    radii = np.array(radii_m, dtype=float)
    near = candidates(tiles, segments, radii.max(), nearest=False)
    count = np.empty((len(radii), len(tiles)))
    _count_records(
        tiles.cells,
        tiles.boxes,
        near,
        segments.packed,
        segments.feature,
        others,
        radii,
        count,
    )
    return count


@njit(cache=True, nogil=True)
def _count_records(
    cells: TileCells,
    boxes: FloatArray,
    near: Candidates,
    packed: FloatArray,
    record: IndexArray,
    others: Exclusions,
    radii_m: FloatArray,
    count: FloatArray,
) -> None:
    """Count, record by record, in which cells' discs some part of it lies."""
    n_radii, excluding = len(radii_m), len(others.excluded) > 0
    east, north, squared = np.empty(TILE_SIZE), np.empty(TILE_SIZE), np.empty(TILE_SIZE)
    from_centre, how_many = np.empty(len(packed)), np.empty(n_radii, np.int8)
    within, counts = np.empty((n_radii, TILE_SIZE), np.bool_), np.empty((n_radii, TILE_SIZE))
    left_out_here = np.full(others.n_owners, -1, np.int64)
    for tile in range(len(near.start)):
        start, stop = near.start[tile], near.stop[tile]
        counts[:] = 0.0
        if start < stop:
            load_tile(cells, tile, east, north)
            measure_from_centre(packed, near, tile, boxes[tile], from_centre)
        if excluding:
            for k in range(others.tile_first[tile], others.tile_first[tile + 1]):
                left_out_here[others.tile_excluded[k]] = tile
        half_m, k = half_diagonal(boxes[tile]), start
        while k < stop:
            group, this = k, near.numbers[k]
            while k < stop and record[near.numbers[k]] == record[this]:
                k += 1
            mark_within(
                packed,
                near.numbers[group:k],
                from_centre[group - start : k - start],
                half_m,
                east,
                north,
                radii_m,
                squared,
                how_many,
                within,
            )
            for r in range(n_radii):
                if how_many[r] == ALL_CELLS:
                    within[r, :] = True
            if excluding and left_out_here[others.owner[this]] == tile:
                _leave_out(cells, tile, others.owner[this], others, within)
            for r in range(n_radii):
                if how_many[r] != NO_CELL:
                    for place in range(TILE_SIZE):
                        counts[r, place] += within[r, place]
        for r in range(n_radii):
            store_tile(cells, tile, counts[r], count[r])


@njit(cache=True, nogil=True)
def _leave_out(
    cells: TileCells, tile: int, owner: int, others: Exclusions, within: NDArray[np.bool_]
) -> None:
    """Take the cells that leave out an owner from those within reach."""
    for place in range(TILE_SIZE):
        cell = cell_at(cells, tile, place)
        if cell >= 0 and is_excluded(owner, cell, others):
            within[:, place] = False
