"""``python -m check``: a region's files, and what would go wrong with them."""

from __future__ import annotations

from hazardrank.commands.check_output import print_report, sentence
from hazardrank.commands.hydra_app import run_app
from hazardrank.commands.prepare import (
    data_dir_of,
    label_layers,
    make_simulated_data,
    open_region,
)
from hazardrank.errors import HazardRankError, LayerError
from hazardrank.reporting.progress import Progress
from hazardrank.settings import CheckSettings, RegionCommandSettings
from hazardrank.sources.check_report import CheckReport, LabelCounts, Severity, failed
from hazardrank.sources.checks import check_region, with_label_counts
from hazardrank.sources.hazard_records import read_records


def main() -> None:
    """Run ``python -m check``."""
    run_app("check", CheckSettings, run)


def run(settings: CheckSettings) -> int:
    """Check a region and print what was found.

    Returns
    -------
    int
        Exit status: 0 all well, 1 warnings, 2 errors.
    """
    progress = Progress(settings.compute.progress)
    make_simulated_data(settings, progress)
    report = check(settings, progress)
    if report.severity != Severity.ERROR and report.label_counts is None:
        report = _with_labels(report, settings, progress)
    print_report(report)
    return report.exit_status


def check(settings: RegionCommandSettings, progress: Progress) -> CheckReport:
    """Check the files of a region and how the settings use them. Nothing is printed.

    Label counts are those of a table; a region of layers is not labelled here, since
    training does that anyway.
    """
    with progress.stage("Checking the files", None, "regions"):
        return check_region(
            settings.region,
            data_dir_of(settings),
            features={} if settings.region.table is not None else settings.features,
            accept_younger_layers=settings.validation.accept_younger_layers,
        )


def stop_on_errors(report: CheckReport, *, strict: bool = False) -> list[str]:
    """Return the findings of a report as sentences, unless they forbid training.

    Parameters
    ----------
    report : CheckReport
        What the checks found.
    strict : bool
        Whether warnings forbid it too.

    Raises
    ------
    LayerError
        Naming the errors (and with `strict`, the warnings), one after the other.
    """
    stopping = report.of(Severity.ERROR)
    if strict:
        stopping += report.of(Severity.WARNING)
    if not stopping:
        return [sentence(finding) for finding in report.findings]
    raise LayerError(
        " ".join(f"({number}) {sentence(one)}" for number, one in enumerate(stopping, start=1)),
        where=f"region {report.region}",
        remedy="`python -m check` shows all that was found.",
    )


def _with_labels(report: CheckReport, settings: CheckSettings, progress: Progress) -> CheckReport:
    """Label the region and add what came of it."""
    try:
        return with_label_counts(report, count_labels(settings, progress))
    except HazardRankError as error:
        return report.with_findings(failed("labels", "labels", "labels", "", error)[1])


def count_labels(settings: RegionCommandSettings, progress: Progress) -> LabelCounts:
    """Return the region's cells by what they are known to be.

    Raises
    ------
    HazardRankError
        Whatever the records or label rules make impossible.
    """
    records = read_records(settings.region, data_dir_of(settings))
    _, labelled = label_layers(settings, open_region(settings), records, progress)
    return LabelCounts(
        labelled.n_cells,
        labelled.n_contaminated,
        labelled.n_released,
        labelled.n_unsurveyed,
        labelled.n_background,
    )
