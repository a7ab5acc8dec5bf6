"""Hazard records from files, in our terms, in the region's CRS."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from hazardrank.errors import RecordError
from hazardrank.records import RECORD_NOUNS, HazardRecords, empty_table
from hazardrank.settings import RecordSource, RegionSettings
from hazardrank.sources.dates import rows_text
from hazardrank.sources.geometries import (
    Geometries,
    are_finite,
    kinds_found,
    of_kind,
    repaired,
    reproject,
    single_points,
)
from hazardrank.sources.hazard_ids import hazard_ids
from hazardrank.sources.paths import must_exist
from hazardrank.sources.record_columns import keep_where, translate
from hazardrank.sources.vector_files import VectorFile

#: The geometries of each kind of record.
SHAPES = {"hazard_areas": "polygons", "clearance": "polygons", "accidents": "points"}
SHAPES |= {"survey": "polygons"}


def read_records(region: RegionSettings, data_dir: Path) -> HazardRecords:
    """Read all hazard records of a region.

    Every file is read whole, also beyond the region: hazards just outside it matter to
    cells inside. Records without geometry are left out (``python -m check`` counts them).
    Dates unknown stay ``NaT``; ``records_as_of`` is for the labels to use.

    Parameters
    ----------
    region : RegionSettings
        The region; ``region.records`` names the files and how they read.
    data_dir : Path
        Folder that relative paths start from.

    Returns
    -------
    HazardRecords
        Valid geometries in ``region.crs``, with ``hazard_id`` on hazard areas, clearance
        and accidents (see :mod:`hazardrank.sources.hazard_ids`).

    Raises
    ------
    RecordError
        If a file is missing or without CRS, or a column, word, date or number in it is
        not understood.
    """
    tables = {kind: _read_kind(kind, region, data_dir) for kind in RECORD_NOUNS}
    records = HazardRecords(region.crs, **tables)
    of_areas, of_clearance, of_accidents = hazard_ids(
        records.hazard_areas, records.clearance, records.found(), records.accidents
    )
    return HazardRecords(
        region.crs,
        hazard_areas=records.hazard_areas.assign(hazard_id=of_areas),
        clearance=records.clearance.assign(hazard_id=of_clearance),
        accidents=records.accidents.assign(hazard_id=of_accidents),
        survey=records.survey,
    )


def _read_kind(kind: str, region: RegionSettings, data_dir: Path) -> gpd.GeoDataFrame:
    """Read and join all files of one kind of record."""
    sources: list[RecordSource] = getattr(region.records, kind)
    tables = [
        read_source(kind, source, region.crs, data_dir, f"region.records.{kind}.{index}")
        for index, source in enumerate(sources)
    ]
    tables = [table for table in tables if len(table)]
    if not tables:
        return empty_table(RECORD_NOUNS[kind], region.crs)
    joined = pd.concat(tables, ignore_index=True)
    return gpd.GeoDataFrame(joined, geometry="geometry", crs=region.crs)


def read_source(
    kind: str, source: RecordSource, crs: str, data_dir: Path, where: str
) -> gpd.GeoDataFrame:
    """Read one file of hazard records.

    Parameters
    ----------
    kind : str
        Key of :data:`~hazardrank.records.RECORD_NOUNS`.
    source : RecordSource
        The file and its mapping.
    crs : str
        CRS to return.
    data_dir : Path
        Folder that a relative path starts from.
    where : str
        The settings key, for messages.

    Returns
    -------
    GeoDataFrame
        The noun's columns and ``geometry``: valid polygons, or points for accidents.

    Raises
    ------
    RecordError
        As :func:`read_records`; also if a geometry is of the wrong kind.
    """
    path = must_exist(source.path, data_dir, where, source.source, RecordError)
    file = VectorFile.open(path, source.layer, where, source.crs)
    raw = pd.concat(list(file.chunks()), ignore_index=True)
    raw = raw[keep_where(raw, source.where, file.where).to_numpy()].reset_index(drop=True)
    shapes = raw.geometry.to_numpy()
    ours = translate(kind, source, pd.DataFrame(raw.drop(columns=raw.geometry.name)))
    ours["record_id"] = record_ids(ours["record_id"], shapes, Path(source.path).name.split(".")[0])
    placed = _placed(shapes, file, crs, SHAPES[kind])
    records = gpd.GeoDataFrame(ours, geometry=placed, crs=crs)
    return records[~shapely.is_missing(placed)].reset_index(drop=True)


def _placed(shapes: Geometries, file: VectorFile, crs: str, kind: str) -> Geometries:
    """Return valid geometries of one kind in `crs`, ``None`` where there is nothing to keep.

    That is: records without geometry, and polygons without area.
    """
    moved = reproject(shapes, file.crs, crs)
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    lost = there & ~are_finite(moved)
    if lost.any():
        raise RecordError(
            f"{lost.sum()} records have coordinates with no place in {crs} "
            f"({rows_text(np.flatnonzero(lost))})",
            where=file.where,
            remedy="Correct the coordinates or the file's CRS.",
        )
    placed, broken = repaired(moved)
    kept = of_kind(placed, kind)
    wrong = there & ~broken & shapely.is_missing(kept)
    if wrong.any():
        raise RecordError(
            f"{wrong.sum()} of {len(shapes)} records are "
            f"{' and '.join(sorted(kinds_found(placed[wrong])))} instead of {kind} "
            f"({rows_text(np.flatnonzero(wrong))})",
            where=file.where,
            remedy="Leave them out with `where`, or give them in a file of their own kind.",
        )
    if kind == "points":
        single_points(kept, file.where)
    kept[~there] = None
    return kept


def record_ids(given: pd.Series, shapes: Geometries, stem: str) -> list[str]:
    """Return the file's ids, and where it has none, ids that depend on the geometry alone.

    A derived id does not change when records are added or reordered. Records with the
    very same geometry are counted: ``-2``, ``-3`` …

    Parameters
    ----------
    given : Series
        Ids of the file, ``None`` where it has none.
    shapes : ndarray of geometry
        Geometries as the file holds them, in its own CRS.
    stem : str
        What derived ids begin with: the file's name.
    """
    ids: list[str] = []
    seen: Counter[str] = Counter()
    for own, wkb in zip(given, shapely.to_wkb(shapes, byte_order=1), strict=True):
        if own is not None:
            ids.append(str(own))
            continue
        base = f"{stem}-{blake2b(wkb or b'', digest_size=6).hexdigest()}"
        seen[base] += 1
        ids.append(base if seen[base] == 1 else f"{base}-{seen[base]}")
    return ids
