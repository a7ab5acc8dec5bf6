"""Whether a season's finds say that the model should be trained anew."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from hazardrank.priority.review import Review
from hazardrank.settings import VerdictSettings

Answer = Literal["holds", "fails", "cannot tell"]
Decision = Literal["retrain", "keep", "cannot tell"]
Ends = tuple[float, float] | None


@dataclass(frozen=True)
class Check:
    """One question, its answer, and the figures behind it in plain words."""

    question: str
    answer: Answer
    why: str


@dataclass(frozen=True)
class Verdict:
    """What to do.

    Parameters
    ----------
    decision : {"retrain", "keep", "cannot tell"}
        ``keep`` means that no reason to retrain is shown, not that all is well.
    why : str
        One sentence.
    checks : tuple of Check
        What it rests on.
    """

    decision: Decision
    why: str
    checks: tuple[Check, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def decide(review: Review, settings: VerdictSettings) -> Verdict:
    """Return the verdict.

    Nothing is concluded from fewer squares of land with finds than ``least_units``. Otherwise
    any check that fails says ``retrain``; ``keep`` needs calibration (where there are
    likelihoods) and the ranking to hold; all else is ``cannot tell``.
    """
    checks = [*_calibration(review, settings), _against_distance(review)]
    needed = [check for check in checks if not check.question.startswith("Slope")]
    if review.recall is not None:
        checks.append(_recall(review.recall, settings))
    n_squares = int(review.counts["n_squares_contaminated"])
    if n_squares < settings.least_units:
        return Verdict(
            "cannot tell",
            f"Finds lie in {n_squares} squares of land; fewer than {settings.least_units} say too "
            "little.",
            tuple(checks),
        )
    failed = [check for check in checks if check.answer == "fails"]
    if failed:
        return Verdict("retrain", " ".join(check.why for check in failed), tuple(checks))
    if all(check.answer == "holds" for check in needed):
        return Verdict(
            "keep",
            "No reason to retrain is shown: what was asked holds on the ground that was worked.",
            tuple(checks),
        )
    open_ = [check.question for check in needed if check.answer == "cannot tell"]
    return Verdict("cannot tell", f"The finds leave open: {'; '.join(open_)}.", tuple(checks))


def _within(ends: Ends, low: float, high: float) -> Answer:
    """Say whether an interval lies within limits, outside of them, or across one."""
    if ends is None:
        return "cannot tell"
    if ends[1] < low or ends[0] > high:
        return "fails"
    return "holds" if low <= ends[0] and ends[1] <= high else "cannot tell"


def _calibration(review: Review, settings: VerdictSettings) -> list[Check]:
    found = review.calibration
    if found is None:
        return []
    factor, (low, high) = settings.drift_factor, settings.slope_range
    share, ends = found["observed_over_expected"], found["observed_over_expected_interval"]
    slope, slope_ends = found["slope"], found["slope_interval"]
    return [
        Check(
            "Was as much found as the likelihoods said",
            _within(ends, 1 / factor, factor),
            f"Found over expected is {_shown(share, ends)}; {1 / factor:.2f} to {factor:.2f} is "
            "accepted.",
        ),
        Check(
            "Slope: are likelihoods neither too extreme nor too flat",
            _within(slope_ends, low, high),
            f"The calibration slope is {_shown(slope, slope_ends)}; {low:.2f} to {high:.2f} is "
            "accepted.",
        ),
    ]


def _against_distance(review: Review) -> Check:
    ends: Ends = review.against_distance["interval"]
    answer: Answer = "cannot tell"
    if ends is not None and (ends[1] < 0 or ends[0] > 0):
        answer = "fails" if ends[1] < 0 else "holds"
    return Check(
        "Does it rank better than distance to known hazard",
        answer,
        "On the same ground its ROC-AUC is above that of distance to known hazard by "
        f"{_shown(review.against_distance['difference'], ends)}.",
    )


def _recall(recall: dict[str, Any], settings: VerdictSettings) -> Check:
    ends, n_units = recall["interval"], recall["n_random_contaminated"]
    answer = _within(ends, settings.least_recall, 1.0)
    if n_units < settings.least_random_units:
        answer = "cannot tell"
    return Check(
        "Does most contaminated land lie where it looks first",
        answer,
        f"The first {recall['area_share']:.0%} of the land hold "
        f"{_shown(recall['recall'], ends)} of the contaminated land, by "
        f"{recall['n_random_surveyed']} units drawn at random, {n_units} of them with finds; "
        f"{settings.least_recall:.2f} or more is asked.",
    )


def _shown(value: float | None, ends: Ends) -> str:
    if value is None:
        return "not known"
    shown = "no interval" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"
    return f"{value:.2f} ({shown})"
