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
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import geopandas as gpd
import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from hazardrank.errors import FeatureError
from hazardrank.features.base import RECORDS_LAYER, FeatureSpec, FloatBlock, HistoryFamily
from hazardrank.features.candidates import Exclusions, candidates
from hazardrank.features.cover import cells_inside, cells_touched, rows_of_points
from hazardrank.features.distance import is_excluded, nearest_segments
from hazardrank.features.segments import (
    FloatArray,
    IndexArray,
    Segments,
    grown,
    metres_word,
    segments_of,
)
from hazardrank.features.tiles import CellTiles, tiles_of_points
from hazardrank.features.within import mark_within
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
            others = replace(own, owner=hazards.owner[segments.feature])
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
        found[0] = nearest_segments(tiles, segments, self.settings.cap_m, others).distance_m
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
    first, lists = candidates(tiles, segments, radii.max(), nearest=False)
    count = np.zeros((len(radii), len(tiles)))
    _count_records(
        tiles.largest,
        tiles.first,
        tiles.boxes,
        tiles.easting,
        tiles.northing,
        first,
        lists,
        segments.packed,
        segments.feature,
        others.owner,
        others.n_owners,
        others.first,
        others.excluded,
        radii,
        count,
    )
    return tiles.restored(count)


@njit(cache=True, nogil=True)
def _count_records(
    largest: int,
    tile_first: IndexArray,
    boxes: FloatArray,
    easting: FloatArray,
    northing: FloatArray,
    list_first: IndexArray,
    lists: NDArray[np.int32],
    segments: FloatArray,
    record: IndexArray,
    owner: IndexArray,
    n_owners: int,
    exclusion_first: IndexArray,
    excluded: IndexArray,
    radii_m: FloatArray,
    count: FloatArray,
) -> None:
    """Count, record by record, in which cells' discs some part of it lies."""
    from_centre, squared = np.empty(len(segments)), np.empty(largest)
    within = np.empty((len(radii_m), largest), np.bool_)
    left_out_here = np.full(n_owners, -1, np.int64)
    for tile in range(len(tile_first) - 1):
        a, b = tile_first[tile], tile_first[tile + 1]
        for k in range(exclusion_first[a], exclusion_first[b]):
            left_out_here[excluded[k]] = tile
        k, stop = list_first[tile], list_first[tile + 1]
        while k < stop:
            group, this = k, lists[k]
            while k < stop and record[lists[k]] == record[this]:
                k += 1
            mark_within(
                segments,
                lists[group:k],
                easting[a:b],
                northing[a:b],
                boxes[tile],
                radii_m,
                from_centre,
                squared,
                within,
            )
            if left_out_here[owner[this]] == tile:
                for cell in range(a, b):
                    if is_excluded(owner[this], cell, exclusion_first, excluded):
                        for r in range(len(radii_m)):
                            within[r, cell - a] = False
            for r in range(len(radii_m)):
                counts, here = count[r, a:b], within[r]
                for cell in range(len(counts)):
                    counts[cell] += here[cell]
