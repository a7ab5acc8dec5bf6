"""Features in plain words: what a value means on the ground, with its unit.

One template for each feature family; a feature no template knows is said by its description,
value and unit. Nothing here knows the model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hazardrank.features.base import FeatureSpec


@dataclass(frozen=True)
class Place:
    """What is known of a cell beside its features.

    Parameters
    ----------
    caps_m : mapping of str to float, optional
        Feature name → largest distance it reports: "none within" from there on.
    periods : mapping of str to str, optional
        Layer → period of the line nearest to the cell (``"1994–2020"``).
    """

    caps_m: Mapping[str, float] = field(default_factory=dict)
    periods: Mapping[str, str] = field(default_factory=dict)


def phrase(spec: FeatureSpec, value: float, place: Place | None = None) -> str:
    """Say what a feature's value means, in a few words with units.

    Parameters
    ----------
    spec : FeatureSpec
        The feature.
    value : float
        Its value; NaN where missing.
    place : Place, optional
        What else is known of the cell.
    """
    if math.isnan(value):
        return f"{_what(spec)}: not known"
    template = _TEMPLATES.get(spec.family)
    said = template(spec, value, place or Place()) if template is not None else None
    return said or f"{_what(spec)}: {quantity(value, spec.unit)}"


def quantity(value: float, unit: str) -> str:
    """Return a value with its unit as people write it."""
    if unit == "m":
        return metres(value)
    if unit == "deg":
        return f"{value:.0f}°" if abs(value) >= 10 else f"{value:.1f}°"
    if unit in ("percent", "%"):
        return f"{value:.3g} %"
    if unit == "year":
        return f"{value:.1f} years" if value < 9.95 else f"{value:.0f} years"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text if unit in ("1", "class", "") else f"{text} {unit}"


def metres(value: float) -> str:
    """Return a length to two or three figures: 7 m, 480 m, 1.2 km, 14 km."""
    size = abs(value)
    if size < 100:
        return f"{value:.0f} m"
    if size < 995:
        return f"{round(value, -1):.0f} m"
    text = f"{value / 1000:.1f}".removesuffix(".0") if size < 9950 else f"{value / 1000:,.0f}"
    return f"{text} km"


def one_of(layer: str) -> str:
    """Return a layer's key in words, for one of its features: ``front_lines`` → front line."""
    words = layer.replace("_", " ").strip()
    if words.endswith("ies") and len(words) > 4:
        return words[:-3] + "y"
    if words.endswith("s") and not words.endswith(("ss", "us", "is")):
        return words[:-1]
    return words


def _what(spec: FeatureSpec) -> str:
    """Return the description as the start of a phrase; the name where it says no more."""
    if spec.family == "table" or not spec.description:
        return spec.name.replace("_", " ")
    text = spec.description.rstrip(".")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _of_class(spec: FeatureSpec) -> str:
    found = re.search(r", class (.+?)(?: per km²| within|\.|$)", spec.description)
    return f" ({found[1]})" if found else ""


def _radius(spec: FeatureSpec) -> str:
    found = re.search(r"within ([\d.]+) m\b", spec.description)
    return metres(float(found[1])) if found else ""


def _distance(spec: FeatureSpec, value: float, place: Place, thing: str) -> str:
    cap_m = place.caps_m.get(spec.name, math.inf)
    if value >= cap_m * (1 - 1e-6):
        return f"no {thing} within {metres(cap_m)}"
    if value < 0:
        return f"inside a {thing}, {metres(-value)} from its edge"
    if value == 0:
        return f"on the nearest {thing}"
    return f"{metres(value)} from the nearest {thing}"


def _near(spec: FeatureSpec, value: float, place: Place) -> str | None:
    if not spec.name.endswith("distance_m"):
        return None
    return _distance(spec, value, place, one_of(spec.layer) + _of_class(spec))


def _crossings(spec: FeatureSpec, value: float, place: Place) -> str | None:
    where = re.search(r"where (\S+) meets (\S+?)(?:\.| per)", spec.description)
    if where is None or spec.name.endswith("bridge_distance_m"):
        return _near(spec, value, place)
    thing = f"place where a {one_of(where[1])} meets a {one_of(where[2])}"
    if spec.name.endswith("distance_m"):
        return _distance(spec, value, place, thing)
    return f"{value:.2g} places per km² where a {one_of(where[1])} meets a {one_of(where[2])}"


def _front_lines(spec: FeatureSpec, value: float, place: Place) -> str | None:
    line = one_of(spec.layer)
    period = place.periods.get(spec.layer, "")
    if spec.name.endswith("signed_distance_m"):
        side = "on the side it names" if value > 0 else "on the far side"
        return f"{metres(abs(value))} from the {period} {line}, {side}".replace("  ", " ")
    if spec.name.endswith("distance_m"):
        day = re.search(r"stood on (\d{4}-\d\d-\d\d)", spec.description)
        if day:
            return _distance(spec, value, place, f"{line} of {day[1]}")
        if value >= place.caps_m.get(spec.name, math.inf) * (1 - 1e-6) or not period:
            return _distance(spec, value, place, line)
        return f"{metres(value)} from the {period} {line}"
    if spec.name.endswith("held_years"):
        if value == 0:
            return f"no {line} ever within {_radius(spec)}"
        return f"a {line} within {_radius(spec)} for {quantity(value, 'year')}"
    if spec.name.endswith("periods"):
        times = "period" if value == 1 else "separate periods"
        return f"{value:.0f} {times} of a {line} within {_radius(spec)}"
    if spec.name.endswith("slope_toward"):
        if abs(value) < 0.25:
            return f"slope across the way to the {line}"
        return f"slope facing the {line}" if value > 0 else f"slope facing away from the {line}"
    return None


def _density(spec: FeatureSpec, value: float, place: Place) -> str | None:
    thing = one_of(spec.layer) + _of_class(spec)
    if value == 0:
        return f"no {thing} within {_radius(spec)}"
    if spec.unit == "km/km²":
        return f"{value:.2g} km of {thing} per km² within {_radius(spec)}"
    return f"{value:.2g} of {thing} per km² within {_radius(spec)}"


def _history(spec: FeatureSpec, value: float, place: Place) -> str | None:
    things = {
        "hazard_areas": "known hazard area",
        "accidents": "recorded accident",
        "finds": "land cleared with finds",
        "any": "known hazard",
    }
    thing = next((word for kind, word in things.items() if f"_{kind}_" in spec.name), None)
    if thing is None:
        return None
    if spec.name.endswith("distance_m"):
        return _distance(spec, value, place, f"{thing} elsewhere")
    if value == 0:
        return f"no {thing} elsewhere within {_radius(spec)}"
    return f"{value:.2g} of {thing} elsewhere per km² within {_radius(spec)}"


def _land_cover(spec: FeatureSpec, value: float, place: Place) -> str | None:
    found = re.search(r"that is (.+?)\.?$", spec.description)
    if found is None:
        return None
    around = f"of the land within {_radius(spec)}" if _radius(spec) else "of the cell"
    return f"{100 * value:.0f} % {around} is {found[1].replace('_', ' ')}"


def _terrain(spec: FeatureSpec, value: float, place: Place) -> str | None:
    if spec.name.endswith("elevation_m"):
        return f"{value:,.0f} m above sea level"
    if spec.name.endswith("slope_deg"):
        return f"slope of {quantity(value, 'deg')}"
    for ending, ahead, behind in (("northness", "north", "south"), ("eastness", "east", "west")):
        if spec.name.endswith(ending):
            if abs(value) < 0.25:
                return f"slope facing neither {ahead} nor {behind}"
            return f"slope facing {ahead if value > 0 else behind}"
    if "_tpi_" in spec.name:
        way = "above" if value >= 0 else "below"
        return f"{metres(abs(value))} {way} the mean height within {_radius(spec)}"
    if "_relief_" in spec.name:
        return f"{metres(value)} between lowest and highest land within {_radius(spec)}"
    if "_position_" in spec.name:
        return f"{100 * value:.0f} % of the way from valley floor to crest, within {_radius(spec)}"
    return None


def _visibility(spec: FeatureSpec, value: float, place: Place) -> str | None:
    return f"seen from {100 * value:.0f} % of the {one_of(spec.layer)} nearby"


def _raster(spec: FeatureSpec, value: float, place: Place) -> str | None:
    text = spec.description.rstrip(".").removesuffix(" in the cell").replace("_", " ")
    return f"{text[:1].lower()}{text[1:]}: {quantity(value, spec.unit)}"


_TEMPLATES: Mapping[str, Callable[[FeatureSpec, float, Place], str | None]] = {
    "proximity": _near,
    "settlements": _near,
    "crossings": _crossings,
    "front_lines": _front_lines,
    "density": _density,
    "history": _history,
    "land_cover": _land_cover,
    "terrain": _terrain,
    "visibility": _visibility,
    "raster": _raster,
}
"""Family → template; ``None`` from a template means that it knows no words for the feature."""
