"""Plain words and number formats shared by the page, the figures and the terminal."""

from __future__ import annotations

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
    "capture_at_1pct_area": "Found in the best-ranked 1 %",
    "capture_at_5pct_area": "Found in the best-ranked 5 %",
    "capture_at_10pct_area": "Found in the best-ranked 10 %",
    "capture_at_20pct_area": "Found in the best-ranked 20 %",
    "area_for_90pct": "Land to search to find 90 %",
    "area_for_95pct": "Land to search to find 95 %",
}

_SHARES = ("capture_", "area_for_")


def metric_name(key: str) -> str:
    """Return what a metric is called, the key itself where it has no other name."""
    return METRIC_NAMES.get(key, key.replace("_", " "))


def metric_text(key: str, value: float | None) -> str:
    """Return a metric's value as people write it: shares in percent, others to 3 places."""
    if value is None:
        return "–"
    if key.startswith(_SHARES):
        return f"{100 * value:.0f} %" if value >= 0.01 else f"{100 * value:.1f} %"
    return f"{value:.3f}"


def gap_text(value: float | None) -> str:
    """Return a difference with its sign."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def baseline_name(key: str) -> str:
    """Return a baseline's name in words."""
    return key.replace("_", " ")


def whole(count: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{count:,}"


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
