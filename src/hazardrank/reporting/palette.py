"""Colours of everything people look at.

No colour here is green, and none may be added: green reads as "safe", which no output of
this package says. Lightness falls steadily along the likelihood ramp, so that it keeps its
order for colour-blind readers and on a grey printer.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from numpy.typing import NDArray

#: Hues in degrees that read as green, from yellow-green to blue-green.
GREEN_HUES_DEG = (68.0, 172.0)
#: Below this chroma (0–1, largest minus smallest channel) a colour reads as grey.
GREY_CHROMA = 0.04

#: Straw, orange, dark red, purple: from low to high contamination likelihood.
LIKELIHOOD_RAMP = ("#fdf1d0", "#fbd089", "#f59d4f", "#dd6238", "#b0304c", "#74195a", "#380d45")

CONTAMINATED = "#5d1456"
RELEASED = "#7896c2"
UNSURVEYED = "#ececec"
UNSURVEYED_HATCH = "#8c8c8c"
OUTSIDE = "#ffffff"
MISSING = "#bdbdbd"
OUTSIDE_DOMAIN = "#e4e2e6"
OUTSIDE_DOMAIN_DOTS = "#57525c"
HAZARD_OUTLINE = "#000000"
RELEASED_OUTLINE = "#2b4f8c"

#: Bands of clearance priority: urgent, high, medium, lowest (NOT cleared).
URGENT, HIGH, MEDIUM, LOWEST = "#5d1456", "#c0392f", "#f2a04e", "#fdf1d0"
#: Land put forward for survey, and land that waits at a gate: neither is low.
SURVEY_FIRST, WAITS = "#c9bfd6", "#a3a3ab"
#: Land in no task because records say that it was released.
IN_NO_TASK = "#dfe4ec"
#: Teams of a plan, in turn.
TEAM_COLOURS = ("#2b4f8c", "#c0392f", "#f2a04e", "#74195a", "#4a4a4a", "#a07a3d", "#7896c2")

INK = "#1f1f1f"
FAINT_INK = "#6b6b6b"
RULE = "#cfcfcf"
WARNING = "#8a1f11"

#: The model, a random split of it, and everything it is compared with.
MODEL_LINE = "#74195a"
RANDOM_SPLIT_LINE = "#d97b29"
BASELINE_LINES = ("#4a6fa5", "#7d7d7d", "#a07a3d", "#9a6fb0", "#2f3e5c", "#c0a080")
FOLD_LINE = "#c9b7c8"


def is_green(colour: str | tuple[float, float, float]) -> bool:
    """Return whether a colour (hex, or RGB in 0–1) reads as green."""
    red, green, blue = to_rgb(colour)
    hue_deg = colorsys.rgb_to_hsv(red, green, blue)[0] * 360
    chroma = max(red, green, blue) - min(red, green, blue)
    return chroma > GREY_CHROMA and GREEN_HUES_DEG[0] <= hue_deg <= GREEN_HUES_DEG[1]


def likelihood_colours(n_classes: int) -> list[str]:
    """Return `n_classes` colours from low to high likelihood, as hex codes.

    The ends of the ramp are always used; a single class gets the middle colour.
    """
    if n_classes == 1:
        return [LIKELIHOOD_RAMP[len(LIKELIHOOD_RAMP) // 2]]
    ramp = LinearSegmentedColormap.from_list("likelihood", LIKELIHOOD_RAMP)
    return [to_hex(ramp(position)) for position in np.linspace(0, 1, n_classes)]


def rgb_bytes(colours: Sequence[str]) -> NDArray[np.uint8]:
    """Return colours as bytes, shape (n_colours, 3)."""
    return np.round(np.array([to_rgb(colour) for colour in colours]) * 255).astype(np.uint8)
