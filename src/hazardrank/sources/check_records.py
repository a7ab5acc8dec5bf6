"""Checks of hazard records: one row a file, and what the records together make impossible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from hazardrank.errors import HazardRankError, LayerError, RecordError
from hazardrank.records import RECORD_NOUNS
from hazardrank.settings import RecordSource, RegionSettings
from hazardrank.sources.check_report import (
    CheckRow,
    Finding,
    Severity,
    crs_text,
    failed,
    length_text,
)
from hazardrank.sources.check_vectors import (
    VectorTally,
    geometry_findings,
    polygon_coverage,
    span,
)
from hazardrank.sources.hazard_records import SHAPES, read_source
from hazardrank.sources.paths import must_exist
from hazardrank.sources.record_columns import keep_where
from hazardrank.sources.region_sample import RegionSample
from hazardrank.sources.vector_files import VectorFile
from hazardrank.sources.vectors import read_vector_file

#: The column that dates each kind of record.
DATED_BY: Mapping[str, str] = {
    "hazard_areas": "reported",
    "clearance": "completed",
    "accidents": "occurred",
    "survey": "visited",
}
#: Nothing of the kind was laid, or recorded, before; 1899-12-30 and the like are placeholders.
FIRST_PLAUSIBLE = date(1914, 1, 1)
#: Share of records without a date from which it is a warning.
MANY_UNDATED = 0.1


@dataclass(frozen=True)
class CheckedRecords:
    """One file of records, checked.

    Parameters
    ----------
    kind : str
        Key of :data:`~hazardrank.records.RECORD_NOUNS`.
    row : CheckRow
        The file's row.
    findings : list of Finding
        What is wrong with it.
    table : GeoDataFrame or None
        The records in our terms; ``None`` if they cannot be read.
    """

    kind: str
    row: CheckRow
    findings: list[Finding]
    table: gpd.GeoDataFrame | None = None


def read_country(region: RegionSettings, data_dir: Path) -> shapely.Geometry | None:
    """Return the country's polygons in the region's CRS, ``None`` where none is named.

    Raises
    ------
    LayerError
        If the file cannot be read or holds no polygons.
    """
    if region.country is None:
        return None
    path = must_exist(region.country, data_dir, "region.country")
    read = read_vector_file(
        path, None, region.crs, columns={}, kind="polygons", key="region.country"
    )
    if read.empty:
        raise LayerError("holds no polygons", where=f"region.country ({path})")
    country: shapely.Geometry = read.union_all()
    shapely.prepare(country)
    return country


def sources_of(region: RegionSettings) -> Iterator[tuple[str, str, RecordSource]]:
    """Yield kind, key (``accidents.0``) and settings of every file of records."""
    for kind in RECORD_NOUNS:
        for number, source in enumerate(getattr(region.records, kind)):
            yield kind, f"{kind}.{number}", source


def check_source(
    kind: str,
    key: str,
    source: RecordSource,
    region: RegionSettings,
    data_dir: Path,
    sample: RegionSample | None,
    country: shapely.Geometry | None,
    today: date,
) -> CheckedRecords:
    """Check one file of records.

    Parameters
    ----------
    kind, key : str
        Kind of record, and the file's key.
    source : RecordSource
        The file.
    region : RegionSettings
        The region.
    data_dir : Path
        Folder that a relative path starts from.
    sample : RegionSample or None
        Where to look; ``None`` if the region's extent could not be read.
    country : geometry or None
        Where records should lie.
    today : date
        No record can be younger.
    """
    where = f"region.records.{key}"
    try:
        file, tally = _count(source, region.crs, data_dir, where)
    except HazardRankError as error:
        return CheckedRecords(kind, *failed(key, where, kind, source.path, error))
    row = CheckRow(
        key,
        kind,
        source.path,
        crs=crs_text(file.crs),
        count=tally.count,
        invalid=tally.invalid + tally.empty,
        duplicates=tally.duplicates,
        far_vertices=None if SHAPES[kind] == "points" else tally.far_vertices,
    )
    findings = geometry_findings(where, tally, SHAPES[kind])
    try:
        table = read_source(kind, source, region.crs, data_dir, where)
    except HazardRankError as error:
        return CheckedRecords(kind, row, [*findings, *failed(key, where, kind, "", error)[1]])
    if not len(table):
        return CheckedRecords(kind, row, findings, table)
    row, more = _describe(kind, row, table, region, sample, country, today)
    return CheckedRecords(kind, row, [*findings, *more], table)


def _count(
    source: RecordSource, crs: str, data_dir: Path, where: str
) -> tuple[VectorFile, VectorTally]:
    """Count the file's geometries as they are, before anything is repaired."""
    path = must_exist(source.path, data_dir, where, source.source, RecordError)
    file = VectorFile.open(path, source.layer, where, source.crs)
    columns = [column for column in source.where if column in file.columns]
    tally = VectorTally()
    for chunk in file.chunks(columns):
        keep = keep_where(chunk, source.where, file.where).to_numpy()
        tally.add(chunk.geometry.to_numpy()[keep], file.crs, crs)
    return file, tally


def _describe(
    kind: str,
    row: CheckRow,
    table: gpd.GeoDataFrame,
    region: RegionSettings,
    sample: RegionSample | None,
    country: shapely.Geometry | None,
    today: date,
) -> tuple[CheckRow, list[Finding]]:
    where = f"region.records.{row.key}"
    dates = table[DATED_BY[kind]]
    shapes = table.geometry.to_numpy()
    row = replace(row, dates=span(dates), missing=float(dates.isna().mean()))
    findings = [
        *_date_findings(where, kind, table, region.records_as_of, today),
        *_id_findings(where, table),
    ]
    if country is not None:
        outside = ~shapely.contains_xy(country, *_points(shapes))
        row = replace(row, outside=int(outside.sum()))
        findings += _outside_findings(where, shapes[outside], country, len(table))
    if sample is not None:
        if SHAPES[kind] == "polygons":
            row = replace(
                row,
                coverage=polygon_coverage(shapes, sample),
                obtained=f"coverage at points {length_text(sample.step_m)} apart",
            )
        findings += _region_findings(where, shapes, sample)
    return row, findings


def _points(shapes: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = shapely.point_on_surface(shapes)
    return shapely.get_x(points), shapely.get_y(points)


def _date_findings(
    where: str, kind: str, table: gpd.GeoDataFrame, as_of: date | None, today: date
) -> list[Finding]:
    dates = table[DATED_BY[kind]]
    findings = []
    n_unknown = int(dates.isna().sum())
    if n_unknown:
        findings.append(_undated(where, DATED_BY[kind], n_unknown, len(table), as_of))
    findings += _impossible_dates(where, table, as_of, today)
    if "closed" in table and "reported" in table:
        backwards = int((table["closed"] < table["reported"]).sum())
        if backwards:
            findings.append(
                Finding(
                    Severity.WARNING,
                    where,
                    f"{backwards:,} hazard areas were closed before they were reported",
                    "Check that both columns are mapped right, and date_order.",
                )
            )
    return findings


def _undated(where: str, column: str, n_unknown: int, n: int, as_of: date | None) -> Finding:
    """Return the finding for records without a date; a few are only a note."""
    count = "none of" if n_unknown == n else f"{n - n_unknown:,} of"
    few = n_unknown / n < MANY_UNDATED
    mapped = f"Map the column that dates them (columns: {{{column}: …}})"
    return Finding(
        Severity.OK if few else Severity.WARNING,
        where,
        f"{count} the {n:,} records have a date ({column}); of the others it cannot be told "
        "whether a layer is younger, and on conflict they give way",
        "" if few else f"{mapped}." if as_of else f"{mapped}, or set region.records_as_of.",
    )


def _impossible_dates(
    where: str, table: gpd.GeoDataFrame, as_of: date | None, today: date
) -> Iterator[Finding]:
    dates = pd.concat([table[c] for c in table if pd.api.types.is_datetime64_dtype(table[c])])
    known = dates.dropna()
    old = known[known < pd.Timestamp(FIRST_PLAUSIBLE)]
    if len(old):
        yield Finding(
            Severity.WARNING,
            where,
            f"{len(old):,} dates lie before {FIRST_PLAUSIBLE.year}, such as "
            f"{old.min().date()}; a placeholder for an unknown date would be taken at its word",
            f'Map it to unknown under values: {{COLUMN: {{"{old.min().date()}": ""}}}}.',
        )
    future = known[known > pd.Timestamp(today)]
    if len(future):
        yield Finding(
            Severity.ERROR,
            where,
            f"{len(future):,} dates lie in the future, such as {future.max().date()}",
            "Correct them, or check date_order.",
        )
    late = known[known > pd.Timestamp(as_of)] if as_of else known[:0]
    if len(late) > len(future):
        yield Finding(
            Severity.ERROR,
            where,
            f"{len(late):,} dates are later than {as_of}, to which the records are said to be "
            "complete; labels refuse them",
            f"Set region.records_as_of to {late.max().date()} or later.",
        )


def _id_findings(where: str, table: gpd.GeoDataFrame) -> list[Finding]:
    again = table["record_id"].duplicated()
    if not again.any():
        return []
    return [
        Finding(
            Severity.WARNING,
            where,
            f"{int(again.sum()):,} record ids occur more than once, such as "
            f"'{table['record_id'][again].iloc[0]}'",
            "Check that record_id is mapped to the column that identifies a record.",
        )
    ]


def _outside_findings(
    where: str, outside: NDArray[np.object_], country: shapely.Geometry, n: int
) -> list[Finding]:
    if not len(outside):
        return []
    farthest_km = float(shapely.distance(outside, country).max()) / 1000
    return [
        Finding(
            Severity.WARNING,
            where,
            f"{len(outside):,} of {n:,} records lie outside the country, the farthest "
            f"{farthest_km:,.1f} km from it",
            "Far ones have mistyped or swapped coordinates: correct or leave out. Near ones may "
            "be a coarse border.",
        )
    ]


def _region_findings(
    where: str, shapes: NDArray[np.object_], sample: RegionSample
) -> list[Finding]:
    within = shapely.intersects(shapes, shapely.box(*sample.grid.bounds))
    if within.any():
        return []
    return [
        Finding(
            Severity.ERROR,
            where,
            "no record lies in the region's extent",
            "Check the file's CRS, the order of its coordinates, and the region's extent.",
        )
    ]


def together_findings(checked: list[CheckedRecords]) -> list[Finding]:
    """Return what the records together make impossible or uncertain."""
    tables = [(one.kind, one.table) for one in checked if one.table is not None]
    if len(tables) < len(checked):
        return []
    n = dict.fromkeys(RECORD_NOUNS, 0)
    for kind, table in tables:
        n[kind] += len(table)
    cleared = [table["devices_found"] for kind, table in tables if kind == "clearance"]
    finds = np.concatenate([np.empty(0), *[column.to_numpy(np.float64) for column in cleared]])
    findings = []
    if n["hazard_areas"] + n["accidents"] == 0 and not (finds > 0).any():
        findings.append(
            Finding(
                Severity.ERROR,
                "region.records",
                "no record tells of contaminated land, so there is nothing to learn",
                "Add hazard areas, accidents, or clearance with devices_found.",
            )
        )
    if len(finds) and np.isnan(finds).all():
        findings.append(
            Finding(
                Severity.WARNING,
                "region.records.clearance",
                f"none of the {len(finds):,} clearance records says what was found; land cleared "
                "of mines cannot be told from land in which there were none",
                "Map the column of items found (columns: {devices_found: …}), or choose label "
                "rules that leave such land unsurveyed.",
            )
        )
    if n["clearance"] + n["survey"] == 0:
        findings.append(
            Finding(
                Severity.WARNING,
                "region.records",
                "no land is recorded as released; there is nothing to set contaminated land "
                "against but unlabelled background",
                "Add clearance or survey records, or use labels=background.",
            )
        )
    return findings
