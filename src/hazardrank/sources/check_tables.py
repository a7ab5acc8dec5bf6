"""Checks of ready feature tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from hazardrank.errors import HazardRankError
from hazardrank.settings import RegionSettings, TableSettings
from hazardrank.sources.check_report import (
    CheckRow,
    FeatureRow,
    Finding,
    LabelCounts,
    Severity,
    as_of_span,
    failed,
)
from hazardrank.sources.geometries import transformer
from hazardrank.sources.region_sample import RegionSample, share
from hazardrank.sources.tables import FeatureTable, read_table
from hazardrank.sources.units import UNIT_RANGES

#: A single column that separates the outcomes better than this has probably seen them.
SUSPICIOUS_AUC = 0.98
#: Share of missing values above which a column is worth a word.
HIGH_MISSING = 0.2
#: A table point this many spacings away still covers a place.
REACH_SPACINGS = 1.0

WHERE = "region.table"
TableChecked = tuple[CheckRow, tuple[FeatureRow, ...], list[Finding], LabelCounts | None]


def check_table(
    region: RegionSettings, settings: TableSettings, data_dir: Path, sample: RegionSample | None
) -> TableChecked:
    """Check the feature table of a region.

    Parameters
    ----------
    region : RegionSettings
        The region.
    settings : TableSettings
        Its table.
    data_dir : Path
        Folder that a relative path starts from.
    sample : RegionSample or None
        Where to look; ``None`` if the region's extent could not be read.

    Returns
    -------
    row : CheckRow
    features : tuple of FeatureRow
    findings : list of Finding
    counts : LabelCounts or None
    """
    try:
        table = read_table(settings, data_dir)
    except HazardRankError as error:
        row, findings = failed("table", WHERE, "feature table", settings.path, error)
        return row, (), findings, None
    outside, coverage = _places(table, region.crs, sample)
    row = CheckRow(
        "table",
        "feature table",
        settings.path,
        crs=table.crs,
        resolution=f"{table.spacing:.6g} in its CRS",
        count=len(table),
        coverage=coverage,
        missing=float(np.isnan(table.features).mean()),
        dates=as_of_span(table.as_of),
        duplicates=0,
        outside=outside,
    )
    features = tuple(_feature(table, index) for index in range(len(table.names)))
    counts = LabelCounts(len(table), *(int((table.outcome == code).sum()) for code in (1, 0, -1)))
    findings = [
        *_feature_findings(features),
        *_group_findings(table),
        *_place_findings(outside, len(table)),
    ]
    if counts.released == 0:
        findings.append(
            Finding(
                Severity.ERROR,
                WHERE,
                "no row is released, so there is nothing to tell contaminated cells from",
                "Say which values of the outcome mean released under region.table.released.",
            )
        )
    return row, features, findings, counts


def _places(
    table: FeatureTable, crs: str, sample: RegionSample | None
) -> tuple[int | None, float | None]:
    """Return how many rows lie outside the extent, and the share of it the rows cover."""
    if sample is None:
        return None, None
    change = transformer(table.crs, crs)
    easting, northing = table.easting, table.northing
    if change is not None:
        easting, northing = change.transform(easting, northing)
    west, south, east, north = sample.grid.bounds
    inside = (easting >= west) & (easting <= east) & (northing >= south) & (northing <= north)
    back = transformer(crs, table.crs)
    points = sample.points() if back is None else back.transform(*sample.points())
    tree = cKDTree(np.column_stack([table.easting, table.northing]))
    distance, _ = tree.query(
        np.column_stack(points), distance_upper_bound=REACH_SPACINGS * table.spacing
    )
    return int((~inside).sum()), share(np.isfinite(distance), sample.n_inside)


def _feature(table: FeatureTable, index: int) -> FeatureRow:
    values = table.features[:, index].astype(np.float64)
    there = ~np.isnan(values)
    known = there & (table.outcome >= 0)
    return FeatureRow(
        table.names[index],
        table.units[index],
        low=float(values[there].min()) if there.any() else float("nan"),
        high=float(values[there].max()) if there.any() else float("nan"),
        missing=float((~there).mean()),
        auc=roc_auc(values[known], table.outcome[known] == 1),
    )


def roc_auc(values: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve of values as scores, ties counted half.

    From the ranks (Mann–Whitney U; Hanley and McNeil 1982). ``None`` if one of the two
    outcomes is absent.
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return None
    rank_sum = float(rankdata(values)[positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def _feature_findings(features: tuple[FeatureRow, ...]) -> list[Finding]:
    findings = []
    for feature in features:
        where = f"{WHERE}, column {feature.name}"
        if np.isnan(feature.low) or feature.low == feature.high:
            findings.append(
                Finding(
                    Severity.WARNING,
                    where,
                    "is empty" if np.isnan(feature.low) else "holds one value; it explains nothing",
                    "Leave it out (region.table.exclude).",
                )
            )
        if not np.isnan(feature.low):
            findings += _impossible(where, feature)
        if HIGH_MISSING < feature.missing < 1:
            findings.append(
                Finding(
                    Severity.WARNING,
                    where,
                    f"is missing in {feature.missing:.0%} of the rows; that it is missing may "
                    "itself tell the outcome",
                    "Check that it is missing alike in contaminated and released cells.",
                )
            )
        if feature.auc is not None and abs(feature.auc - 0.5) > SUSPICIOUS_AUC - 0.5:
            findings.append(
                Finding(
                    Severity.ERROR,
                    where,
                    f"alone separates contaminated from released cells (ROC-AUC "
                    f"{max(feature.auc, 1 - feature.auc):.3f}); it was probably made from the "
                    "outcome",
                    "Leave it out (region.table.exclude).",
                )
            )
    return findings


def _impossible(where: str, feature: FeatureRow) -> list[Finding]:
    limits = UNIT_RANGES.get(feature.unit)
    if limits is None or (limits[0] <= feature.low and feature.high <= limits[1]):
        return []
    return [
        Finding(
            Severity.ERROR,
            where,
            f"runs from {feature.low:g} to {feature.high:g} {feature.unit}; possible is "
            f"{limits[0]:g} to {limits[1]:g}",
            "Correct its unit (region.table.units), or empty the values that mean missing.",
        )
    ]


def _group_findings(table: FeatureTable) -> list[Finding]:
    if table.group is None:
        return []
    findings = []
    known = table.outcome >= 0
    outcomes = pd.DataFrame({"group": table.group[known], "mined": table.outcome[known] == 1})
    part = outcomes.groupby("group")["mined"].mean()
    mixed = (part > 0) & (part < 1)
    if not mixed.all():
        findings.append(
            Finding(
                Severity.WARNING if mixed.sum() >= 2 else Severity.ERROR,
                f"{WHERE}.group",
                f"{int((~mixed).sum())} of {len(mixed)} groups have one outcome only "
                f"({', '.join(map(str, mixed.index[~mixed][:8]))}); no skill can be measured "
                "within them",
                "They train, but are not held out alone.",
            )
        )
    naming = [
        name
        for name, values in zip(table.names, table.features.T, strict=True)
        if _names_group(values, table.group)
    ]
    if naming:
        findings.append(
            Finding(
                Severity.WARNING,
                f"{WHERE}.group",
                f"{len(naming)} features have one value for each group ({', '.join(naming[:8])}); "
                "they name the group, and say little of land held out",
                "Leave them out unless they hold for groups to come.",
            )
        )
    return findings


def _names_group(values: NDArray[np.float32], group: NDArray[np.object_]) -> bool:
    """Return whether a feature varies between groups and never within one."""
    by_group = pd.Series(values).groupby(group)
    within = by_group.max() == by_group.min()
    return len(within) > 1 and bool(within.all()) and bool(np.ptp(values) > 0)


def _place_findings(outside: int | None, n_rows: int) -> list[Finding]:
    findings = []
    if outside:
        findings.append(
            Finding(
                Severity.ERROR if outside == n_rows else Severity.WARNING,
                WHERE,
                f"{outside:,} of {n_rows:,} rows lie outside the region's extent and are not "
                "mapped",
                "Widen region.extent, or check region.table.crs and which column is easting.",
            )
        )
    return findings
