"""What a check found: one row a file, findings with remedies, and an exit status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from pathlib import Path

from pyproj import CRS

from hazardrank.errors import HazardRankError

Dates = tuple[date, date]


class Severity(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    """Worth knowing; nothing to do."""
    WARNING = "warning"
    """Training runs, and its result is worth less."""
    ERROR = "error"
    """Training would stop, or mislead."""


#: Exit status of ``python -m check``.
EXIT_STATUS: Mapping[Severity, int] = {Severity.OK: 0, Severity.WARNING: 1, Severity.ERROR: 2}


@dataclass(frozen=True)
class Finding:
    """Something the analyst should know.

    Parameters
    ----------
    severity : Severity
        How much it matters.
    where : str
        Settings key of the layer, record file or setting.
    problem : str
        What was found and what would go wrong; a sentence.
    remedy : str
        What to do; a sentence, or empty.
    """

    severity: Severity
    where: str
    problem: str
    remedy: str = ""


@dataclass(frozen=True)
class CheckRow:
    """One file of the region. ``None`` means: does not apply, or could not be told.

    Parameters
    ----------
    key : str
        ``roads``, or ``hazard_areas.0`` for a file of records.
    kind : str
        Kind of layer or record.
    path : str
        As in the settings.
    found : bool
        Whether the file is there and can be read.
    crs : str
        CRS of the file.
    resolution : str
        Cell size of a raster, or number of features in words.
    count : int or None
        Features or rows.
    coverage : float or None
        Share of the region's area the file has data for, 0–1. For points and lines: that
        lies inside their bounding box.
    missing : float or None
        Share without data inside the raster's extent; of a table's feature values; of
        records without a date. 0–1.
    dates : tuple of date or None
        First and last date.
    invalid, duplicates, far_vertices, outside : int or None
        Invalid geometries (missing ones included), geometries seen before, features with
        neighbouring vertices over 5 km apart, records outside the country.
    obtained : str
        How the figures were obtained, where that is not by reading everything.
    """

    key: str
    kind: str
    path: str
    found: bool = True
    crs: str = ""
    resolution: str = ""
    count: int | None = None
    coverage: float | None = None
    missing: float | None = None
    dates: Dates | None = None
    invalid: int | None = None
    duplicates: int | None = None
    far_vertices: int | None = None
    outside: int | None = None
    obtained: str = ""


@dataclass(frozen=True)
class FeatureRow:
    """One feature column of a table.

    Parameters
    ----------
    name, unit : str
        Column and unit.
    low, high : float
        Smallest and largest value; NaN if all are missing.
    missing : float
        Share missing, 0–1.
    auc : float or None
        Area under the ROC curve of this column alone for contaminated against released
        cells, 0–1; 0.5 tells nothing, 0 and 1 separate them fully.
    """

    name: str
    unit: str
    low: float
    high: float
    missing: float
    auc: float | None


@dataclass(frozen=True)
class LabelCounts:
    """Cells of the region by what they are known to be."""

    cells: int
    contaminated: int
    released: int
    unsurveyed: int
    background: int = 0


@dataclass(frozen=True)
class CheckReport:
    """All that a check found."""

    region: str
    data_dir: Path
    rows: tuple[CheckRow, ...] = ()
    features: tuple[FeatureRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    label_counts: LabelCounts | None = field(default=None)

    @property
    def severity(self) -> Severity:
        """The worst severity among the findings."""
        found = {finding.severity for finding in self.findings}
        return max(found, key=lambda severity: EXIT_STATUS[severity], default=Severity.OK)

    @property
    def exit_status(self) -> int:
        """0 all well, 1 warnings, 2 errors."""
        return EXIT_STATUS[self.severity]

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def with_findings(self, findings: Iterable[Finding]) -> CheckReport:
        """Return this report with more findings, the worst first."""
        together = _one_a_file((*self.findings, *findings))
        return replace(self, findings=tuple(sorted(together, key=_worst_first)))


def failed(
    key: str, where: str, kind: str, path: str, error: HazardRankError
) -> tuple[CheckRow, list[Finding]]:
    """Return the row and the finding of a file that cannot be read."""
    named = error.where is not None and not error.where.startswith(where)
    problem = f"{error.where}: {error.problem}" if named else error.problem
    finding = Finding(Severity.ERROR, where, problem, error.remedy or "")
    return CheckRow(key, kind, path, found=False), [finding]


def as_of_span(as_of: date | None) -> Dates | None:
    """Return the one date a layer describes as a span."""
    return None if as_of is None else (as_of, as_of)


def length_text(length_m: float) -> str:
    """Return a length to three digits, in m or km."""
    return f"{length_m / 1000:.3g} km" if length_m >= 1000 else f"{length_m:.3g} m"


def crs_text(crs: str) -> str:
    """Return a CRS as a short code, or its name where it has none."""
    known = CRS.from_user_input(crs)
    authority = known.to_authority()
    return ":".join(authority) if authority else known.name


def _one_a_file(findings: Iterable[Finding]) -> list[Finding]:
    """Join the findings that say the same of several settings, as of one missing file."""
    joined: dict[tuple[Severity, str], Finding] = {}
    for finding in findings:
        same = joined.get((finding.severity, finding.problem))
        if same is not None:
            places = dict.fromkeys([*same.where.split(", "), *finding.where.split(", ")])
            remedy = max(same.remedy, finding.remedy, key=len)
            finding = replace(finding, where=", ".join(places), remedy=remedy)
        joined[finding.severity, finding.problem] = finding
    return list(joined.values())


def _worst_first(finding: Finding) -> int:
    return -EXIT_STATUS[finding.severity]
