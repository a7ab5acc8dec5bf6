"""Plain words and number formats shared by the page, the figures and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: What each protocol means, for people who did not write it.
PROTOCOLS = {
    "new_district": "Skill in a new district: each cell was scored by a model that knew no "
    "record of the land held out with it, not even in features that measure the distance to "
    "known hazards.",
    "infill": "Skill between known hazards: each cell was scored by a model that knew other "
    "hazards in the area, but not the one that lies on the cell itself.",
}

#: Metrics people read first, with what they are called and which way is better.
METRIC_NAMES = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "brier": "Brier score",
    "ece": "Calibration error",
    "log_loss": "Log loss",
    "capture_at_1pct_area": "Found in the best-ranked 1 %",
    "capture_at_5pct_area": "Found in the best-ranked 5 %",
    "capture_at_10pct_area": "Found in the best-ranked 10 %",
    "capture_at_20pct_area": "Found in the best-ranked 20 %",
    "area_for_90pct": "Land to search to find 90 %",
    "area_for_95pct": "Land to search to find 95 %",
    "area_for_99pct": "Land to search to find 99 %",
    "reverse_height": "Other cells ranked above, mean",
}

_SHARES = ("capture_", "area_for_")
_LOSSES = ("brier", "ece", "log_loss")


def metric_name(key: str) -> str:
    """Return what a metric is called, the key itself where it has no other name."""
    return METRIC_NAMES.get(key, key.replace("_", " "))


def metric_text(key: str, value: float | None) -> str:
    """Return a metric's value as people write it: shares in percent, others to 3 places."""
    if value is None:
        return "–"
    if key == "reverse_height":
        return f"{value:,.0f}"
    if key.startswith(_SHARES):
        return f"{100 * value:.0f} %" if value >= 0.01 else f"{100 * value:.1f} %"
    return f"{value:.3f}"


def interval_text(key: str, ends: Sequence[float] | None, signed: bool = False) -> str:
    """Return a 95 % interval as people write it, ``0.66–0.75``; empty if there is none.

    Parameters
    ----------
    key : str
        The metric.
    ends : sequence of two floats, or None
        Low and high end.
    signed : bool, optional
        Whether it is the interval of a difference, ``−0.02 to +0.05``.
    """
    if ends is None:
        return ""
    percent_, places = key.startswith(_SHARES), 3 if key in _LOSSES else 2
    sign = "+" if signed else ""
    low, high = (
        f"{end:{sign},.0f}"
        if key == "reverse_height"
        else f"{100 * end:{sign}.0f}"
        if percent_
        else f"{end:{sign}.{places}f}"
        for end in ends
    )
    text = f"{low} to {high}" if signed else f"{low}–{high}"
    return f"{text} %".replace("-", "−") if percent_ else text.replace("-", "−")


def gap_text(value: float | None, key: str = "roc_auc") -> str:
    """Return a difference of the metric `key` with its sign."""
    if value is None:
        return "–"
    if key == "reverse_height":
        return f"{value:+,.0f}".replace("-", "−")
    text = f"{100 * value:+.0f} %" if key.startswith(_SHARES) else f"{value:+.3f}"
    return text.replace("-", "−")


def verdict_sentence(verdicts: Mapping[str, Sequence[str]]) -> str:
    """Say which baselines the model is shown to beat in ROC-AUC, and which not; or nothing.

    Parameters
    ----------
    verdicts : mapping of str to sequence of str
        Baselines by verdict.
    """
    openings = {
        "better": "better than",
        "no difference shown": "not shown to differ from",
        "worse": "worse than",
    }
    parts = [
        f"{opening} {', '.join(baseline_name(name) for name in verdicts[verdict])}"
        for verdict, opening in openings.items()
        if verdicts.get(verdict)
    ]
    return f"The model ranks {'; '.join(parts)}.".replace("ranks not", "is not") if parts else ""


def baseline_name(key: str) -> str:
    """Return a baseline's name in words."""
    return key.replace("_", " ")


def whole(count: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{count:,}"


def metres(length_m: float) -> str:
    """Return a length in metres, or in kilometres from 1,000 m on."""
    if length_m < 1000:
        return f"{length_m:.0f} m"
    return f"{length_m / 1000:.1f} km".replace(".0 km", " km")


def percent(share: float) -> str:
    """Return a share of an area; a trace stays visible as ``< 0.1 %``."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def gap_sentence(gap: float | None) -> str:
    """Say what a random split would have claimed, in ROC-AUC; nothing if that is not known."""
    if gap is None:
        return ""
    if gap > 0.005:
        return f"A random split would claim {gap_text(gap)} ROC-AUC: the gap that geography makes."
    return f"A random split differs by {gap_text(gap)} ROC-AUC: geography makes no gap here."
