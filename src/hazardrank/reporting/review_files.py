"""The review of a season, as files and on the terminal."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hazardrank.errors import OutputError
from hazardrank.priority.review import Review
from hazardrank.priority.review_verdict import Verdict

REVIEW_JSON, REVIEW_CSV, REVIEW_MD = "review.json", "review.csv", "review.md"

_DECISIONS = {
    "retrain": "Retrain the model",
    "keep": "No reason to retrain is shown",
    "cannot tell": "Cannot tell",
}
_BY = {"ranking": "the ranking", "distance_to_known_hazard": "distance to known hazard"}

Row = Mapping[str, Any]


def write_review(
    folder: Path, review: Review, verdict: Verdict, facts: Mapping[str, Any]
) -> list[Path]:
    """Write ``review.json``, ``review.csv`` and ``review.md``: all of them or none.

    Parameters
    ----------
    folder : Path
        Where to; made where it is missing.
    review, verdict
        What was found and decided.
    facts : mapping
        What it was made from: ranking, dates, thresholds, provenance.

    Raises
    ------
    OutputError
        If they cannot be written. Older files are then as they were.
    """
    values = {**facts, **vars(review), "verdict": verdict.as_dict()}
    contents = {
        REVIEW_CSV: _table(review.budgets),
        REVIEW_MD: "\n".join(review_lines(review, verdict, facts)) + "\n",
        REVIEW_JSON: json.dumps(values, indent=2, allow_nan=False) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".review-", dir=folder))
        try:
            for name, text in contents.items():
                (staging / name).write_text(text, encoding="utf-8", newline="")
            return [(staging / name).replace(folder / name) for name in contents]
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"the review cannot be written ({error.strerror})", where=folder
        ) from None


def _table(rows: Sequence[Row]) -> str:
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue()


def review_lines(review: Review, verdict: Verdict, facts: Mapping[str, Any]) -> list[str]:
    """Return the review in plain words, as lines of Markdown."""
    simulated = ["**SIMULATED: made up, of no real place.**", ""] if facts["simulated"] else []
    return [
        f"# Review of the season since {facts['since']}: {facts['region']}",
        "",
        *simulated,
        f"**{_DECISIONS[verdict.decision]}.** {verdict.why}",
        "",
        *_worked(review.counts),
        *_budget_lines(review.budgets),
        "## What the ranking missed",
        "",
        *_recall_lines(review.recall),
        "",
        "## Do likelihoods still hold?",
        "",
        *_calibration_lines(review.calibration),
        "",
        "## What the verdict rests on",
        "",
        "| question | answer | figures |",
        "|---|---|---|",
        *(f"| {check.question}? | {check.answer} | {check.why} |" for check in verdict.checks),
        "",
        *(f"- {note}" for note in review.notes),
        "",
        "Nothing here says that land is not contaminated. A low rank is not a release.",
    ]


def _worked(counts: Row) -> list[str]:
    lines = [
        f"Teams worked {counts['worked_ha']:,.1f} ha and found {counts['contaminated_ha']:,.1f} ha "
        f"contaminated, in {counts['n_squares_contaminated']} of {counts['n_squares']} squares of "
        "land."
    ]
    if counts["unranked_ha"]:
        lines.append(
            f"The ranking says nothing of {counts['unranked_ha']:,.1f} ha of that, in which "
            f"{counts['unranked_contaminated_ha']:,.1f} ha are contaminated; figures below are "
            "without them."
        )
    return [*lines, ""]


def _budget_lines(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    head = [
        "## Hits and false alarms on the worked ground",
        "",
        "Had teams worked only the first so many hectares of this ground, in the order of",
        "",
        "| by | ha worked | contaminated ha found | hit rate (95 %) | ha for one | false alarms |",
        "|---|---|---|---|---|---|",
    ]
    body = [
        f"| {_BY[row['by']]} | {row['worked_ha']:,.1f} | {row['contaminated_ha']:,.1f} | "
        f"{row['hit_rate']:.3f} {_ends(row['hit_rate_low'], row['hit_rate_high'])} | "
        f"{_number(row['ha_per_contaminated_ha'])} | {row['false_alarm_m2']:,.0f} m² |"
        for row in rows
    ]
    note = (
        "This ground is where teams went, not a sample of the land: if they went by the ranking, "
        "it says little of what lies elsewhere."
    )
    return [*head, *body, "", note, ""]


def _recall_lines(recall: Row | None) -> list[str]:
    if recall is None:
        return [
            "Not known: no survey plan was given (`survey_plan=`), and without units drawn at "
            "random nothing says what lies where nobody looked."
        ]
    stands = (
        f"It stands on {recall['n_random_surveyed']} of {recall['n_random']} units drawn at random "
        f"that were surveyed, {recall['n_random_contaminated']} of them with finds, and "
        f"{recall['n_value_surveyed']} of {recall['n_value']} units chosen for their value."
    )
    if recall["recall"] is None:
        return [f"Not known: no selected unit held contaminated land. {stands}"]
    ends = recall["interval"] or (None, None)
    error = recall["standard_error"]
    lines = [
        f"The first {recall['area_share']:.0%} of the mapped land hold {recall['recall']:.2f} "
        f"{_ends(*ends)} of all contaminated land"
        f"{'' if error is None else f', standard error {error:.2f}'}. {stands}",
        "",
        f"In all there are about {recall['contaminated_ha']:,.0f} ha contaminated"
        + _plus_minus(recall["contaminated_ha_standard_error"])
        + _expected(recall["likelihoods_add_up_to_ha"]),
    ]
    if recall["n_random_surveyed"] < recall["n_random"]:
        lines.append(
            "Units that were drawn and not surveyed are taken as left out at random; if they were "
            "left out for a reason, these figures are biased."
        )
    return lines


def _plus_minus(error: float | None) -> str:
    return "" if error is None else f" (standard error {error:,.0f})"


def _expected(hectares: float | None) -> str:
    return (
        "." if hectares is None else f"; the likelihoods of the map add up to {hectares:,.0f} ha."
    )


def _calibration_lines(found: Row | None) -> list[str]:
    if found is None:
        return ["The ranking gives no likelihoods, so that there is nothing to check."]
    ends = found["observed_over_expected_interval"] or (None, None)
    share = found["observed_over_expected"]
    lines = [
        f"{found['found_cells']:,} contaminated cells were found where the likelihoods said "
        f"{found['expected_cells']:,.1f}"
        + ("." if share is None else f": {share:.2f} times as many {_ends(*ends)}."),
        "",
        "| likelihood | found contaminated | 95 % | cells |",
        "|---|---|---|---|",
    ]
    return lines + [
        f"| {row['likelihood_mean']:.3f} | {row['contaminated_share']:.3f} | "
        f"{_ends(row['low'], row['high'])} | {row['n_cells']:,} |"
        for row in found["bins"]
    ]


def _ends(low: float | None, high: float | None) -> str:
    return "(no interval)" if low is None or high is None else f"({low:.2f} to {high:.2f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"
