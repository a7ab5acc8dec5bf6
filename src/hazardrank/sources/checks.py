"""Everything that can be known of a region's files before training on them.

Nothing here prints, writes or repairs. Rasters are looked at on a lattice of at most
400 × 400 points, so that memory does not grow with them. Of vector files, one at a time is
held: a layer's features within 50 km of the region, a file's records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from hazardrank.errors import HazardRankError
from hazardrank.settings import AnyFamilySettings, LayerSettings, RegionSettings, Role
from hazardrank.sources.check_rasters import check_raster
from hazardrank.sources.check_records import (
    DATED_BY,
    CheckedRecords,
    check_source,
    read_country,
    sources_of,
    together_findings,
)
from hazardrank.sources.check_report import (
    CheckReport,
    CheckRow,
    Finding,
    LabelCounts,
    Severity,
    failed,
)
from hazardrank.sources.check_tables import check_table
from hazardrank.sources.check_vectors import check_vectors
from hazardrank.sources.paths import must_exist
from hazardrank.sources.region import area_of_interest, region_grid
from hazardrank.sources.region_sample import RegionSample

#: Below this share of the region a layer leaves features missing.
LOW_COVERAGE = 0.95
#: A layer this many years older than the newest record may describe another land.
OLD_YEARS = 10

Features = Mapping[str, AnyFamilySettings | None]
_NO_FEATURES: Features = MappingProxyType({})


def check_region(
    region: RegionSettings,
    data_dir: Path,
    label_counts: LabelCounts | None = None,
    features: Features = _NO_FEATURES,
    accept_younger_layers: Sequence[str] = (),
    today: date | None = None,
) -> CheckReport:
    """Check the files of a region and what they mean for training.

    Parameters
    ----------
    region : RegionSettings
        The region.
    data_dir : Path
        Folder that relative paths start from.
    label_counts : LabelCounts, optional
        Cells by outcome, where the caller has labelled the region. A table brings its own.
    features : mapping, optional
        Feature families by key, for conflicts of role and absent layers.
    accept_younger_layers : sequence of str, optional
        Layers that may be younger than the outcomes.
    today : date, optional
        The day no record can be younger than.

    Returns
    -------
    CheckReport
        Every file has a row, be it found or not. A file that cannot be read is a finding,
        never an exception.
    """
    report = CheckReport(region.name, data_dir)
    sample, extent_findings = _sample(region, data_dir)
    if region.table is not None:
        row, columns, findings, counts = check_table(region, region.table, data_dir, sample)
        report = replace(report, rows=(row,), features=columns)
        report = report.with_findings([*extent_findings, *findings])
        return with_label_counts(report, label_counts or counts)
    rows, findings, checked = _check_files(region, data_dir, sample, today or date.today())
    report = replace(report, rows=tuple(rows)).with_findings(
        [
            *extent_findings,
            *findings,
            *together_findings(checked),
            *_time_findings(region.layers, rows, checked, accept_younger_layers),
            *_role_findings(region.layers, features),
        ]
    )
    return with_label_counts(report, label_counts)


def _sample(region: RegionSettings, data_dir: Path) -> tuple[RegionSample | None, list[Finding]]:
    """Lay a lattice over the region, if its extent can be read."""
    try:
        grid = region_grid(region, data_dir)
        sample = RegionSample.of(grid, area_of_interest(region, data_dir))
    except HazardRankError as error:
        return None, failed("extent", "region.extent", "mask", "", error)[1]
    if sample.n_inside:
        return sample, []
    empty = Finding(
        Severity.ERROR,
        "region.extent",
        "no part of the bounding box lies in the mask",
        "Check bbox, bbox_crs and mask.",
    )
    return None, [empty]


def _check_files(
    region: RegionSettings, data_dir: Path, sample: RegionSample | None, today: date
) -> tuple[list[CheckRow], list[Finding], list[CheckedRecords]]:
    """Check every layer and every file of records."""
    rows, findings = [], []
    for key, layer in region.layers.items():
        row, found = check_layer(key, layer, sample, region.crs, data_dir)
        rows.append(row)
        findings += found
    try:
        country = read_country(region, data_dir)
    except HazardRankError as error:
        country = None
        findings += failed("country", "region.country", "polygons", "", error)[1]
    checked = [
        check_source(kind, key, source, region, data_dir, sample, country, today)
        for kind, key, source in sources_of(region)
    ]
    for one in checked:
        rows.append(one.row)
        findings += one.findings
    return rows, findings, checked


def check_layer(
    key: str, layer: LayerSettings, sample: RegionSample | None, crs: str, data_dir: Path
) -> tuple[CheckRow, list[Finding]]:
    """Check one layer of the catalogue.

    Parameters
    ----------
    key : str
        Key of the layer.
    layer : LayerSettings
        The layer.
    sample : RegionSample or None
        Where to look; ``None`` if the region's extent could not be read.
    crs : str
        The region's CRS.
    data_dir : Path
        Folder that a relative path starts from.
    """
    where = f"region.layers.{key}"
    try:
        path = must_exist(layer.path, data_dir, where, layer.source)
        if layer.is_raster:
            row, findings = check_raster(key, layer, path, sample)
        else:
            row, findings = check_vectors(key, layer, path, sample, crs)
    except HazardRankError as error:
        return failed(key, where, layer.kind, layer.path, error)
    return row, [*findings, *_coverage_findings(row, where)]


def _coverage_findings(row: CheckRow, where: str) -> list[Finding]:
    if row.coverage is None or row.coverage >= LOW_COVERAGE or row.count == 0:
        return []
    if row.coverage == 0:
        return [
            Finding(
                Severity.ERROR,
                where,
                "lies nowhere in the region",
                "Check the file's CRS, the order of its coordinates, and the region's extent.",
            )
        ]
    if row.kind in ("points", "lines"):
        return []
    return [
        Finding(
            Severity.WARNING,
            where,
            f"covers {row.coverage:.0%} of the region; its features are missing in the rest",
            "Get the neighbouring sheets, or make the extent smaller.",
        )
    ]


# ------------------------------------------------------------------------- time


def _time_findings(
    layers: Mapping[str, LayerSettings],
    rows: Sequence[CheckRow],
    checked: Sequence[CheckedRecords],
    accepted: Sequence[str],
) -> Iterator[Finding]:
    """Compare the dates of hazard layers with those of the records they are to explain."""
    found = {row.key for row in rows if row.found}
    hazard = {
        key: layer
        for key, layer in layers.items()
        if layer.role != Role.CONSEQUENCE and key in found
    }
    undated = [key for key, layer in hazard.items() if layer.as_of is None]
    if undated:
        yield Finding(
            Severity.WARNING,
            "region.layers",
            f"{len(undated)} layers do not say what date they describe ({', '.join(undated)}); "
            "whether they are younger than the outcomes cannot be told",
            "Set as_of of each.",
        )
    dates = _record_dates(checked)
    if not len(dates):
        return
    for key, layer in hazard.items():
        if layer.as_of is not None:
            yield from _layer_time(key, layer.as_of, dates, key in accepted)


def _record_dates(checked: Sequence[CheckedRecords]) -> pd.Series:
    columns = [one.table[DATED_BY[one.kind]] for one in checked if one.table is not None]
    if not columns:
        return pd.Series([], dtype="datetime64[s]")
    known: pd.Series = pd.concat(columns).dropna()
    return known


def _layer_time(key: str, as_of: date, dates: pd.Series, accepted: bool) -> Iterator[Finding]:
    before = float((dates < pd.Timestamp(as_of)).mean())
    if before > 0 and not accepted:
        yield Finding(
            Severity.WARNING,
            f"region.layers.{key}",
            f"describes {as_of} and is younger than {before:.0%} of the dated records (the "
            f"oldest is of {dates.min().date()}); what came after an outcome would explain it, "
            "and training refuses that",
            "Use an older version, or accept it by name under "
            f"validation.accept_younger_layers: [{key}].",
        )
    years = (dates.max().date() - as_of).days / 365.25
    if years > OLD_YEARS:
        yield Finding(
            Severity.OK,
            f"region.layers.{key}",
            f"describes {as_of}, {years:.0f} years before the newest record",
            "Nothing to do if it changes slowly.",
        )


# ------------------------------------------------------------------------ roles


def _role_findings(layers: Mapping[str, LayerSettings], features: Features) -> Iterator[Finding]:
    """Compare what layers may be used for with what uses them."""
    for key, layer in layers.items():
        if "planned" in layer.columns and layer.role != Role.CONSEQUENCE:
            yield Finding(
                Severity.ERROR,
                f"region.layers.{key}",
                f"holds planned returns and has the role '{layer.role}'; where people will "
                "return says nothing of where mines lie",
                "Set role: consequence.",
            )
    for name, family in features.items():
        if family is None:
            continue
        for key in _layers_named(family.model_extra or {}):
            if key not in layers:
                if family.when_absent == "error":
                    yield Finding(
                        Severity.ERROR,
                        f"features.{name}",
                        f"asks for the layer '{key}', which the region does not have",
                        f"Add it under region.layers, or set features.{name}=null or "
                        f"features.{name}.when_absent=skip.",
                    )
            elif layers[key].role == Role.CONSEQUENCE:
                yield Finding(
                    Severity.ERROR,
                    f"features.{name}",
                    f"uses the layer '{key}', which is for consequence only; the likelihood "
                    "model refuses it",
                    f"Take it out of the features, or set region.layers.{key}.role if it truly "
                    "tells of hazard.",
                )


def _layers_named(values: Mapping[str, Any]) -> list[str]:
    """Return the layer keys that a family's settings name under ``layer`` or ``layers``."""
    named: list[str] = []
    for key in ("layer", "layers"):
        value = values.get(key)
        if isinstance(value, str):
            named.append(value)
        elif isinstance(value, Mapping | Sequence):
            named += [str(item) for item in value]
    return named


# ----------------------------------------------------------------------- labels


def with_label_counts(report: CheckReport, counts: LabelCounts | None) -> CheckReport:
    """Return a report that also knows what the region's cells are known to be."""
    if counts is None:
        return report
    return replace(report, label_counts=counts).with_findings(_label_findings(counts))


def _label_findings(counts: LabelCounts) -> Iterator[Finding]:
    if counts.contaminated == 0:
        yield Finding(
            Severity.ERROR,
            "labels",
            "no cell is known to be contaminated, so there is nothing to learn",
            "Check that the records lie in the region and which rules read them; lower min_cover "
            "where records are smaller than a cell.",
        )
    if counts.released == 0 and counts.background == 0:
        yield Finding(
            Severity.ERROR,
            "labels",
            "no cell is known to be released, so there is nothing to set contaminated cells "
            "against",
            "Add records of released land, or use labels=background.",
        )
    elif counts.released == 0:
        yield Finding(
            Severity.OK,
            "labels",
            f"no cell is known to be released; {counts.background:,} cells of unlabelled "
            "background stand in. Skill then tells known contamination from land nobody "
            "surveyed, not from land known to be released",
            "",
        )
    elif 0 < min(counts.contaminated, counts.released) < 100:
        yield Finding(
            Severity.WARNING,
            "labels",
            f"only {counts.contaminated:,} contaminated and {counts.released:,} released cells; "
            "fewer than 100 of either measure skill poorly",
            "Widen the region or add records.",
        )
