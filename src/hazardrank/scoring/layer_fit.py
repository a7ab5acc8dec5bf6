"""Whether a layer of a region is what the layer of that name was in training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from hazardrank.errors import HazardRankError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.check_report import Finding, Severity, failed, length_text
from hazardrank.sources.checks import check_layer
from hazardrank.sources.geometries import reproject_bounds
from hazardrank.sources.layer_facts import accuracy_m
from hazardrank.sources.paths import is_remote, must_exist
from hazardrank.sources.region_sample import RegionSample
from hazardrank.sources.vector_files import VectorFile
from hazardrank.sources.vectors import MARGIN_M

FAR_RESOLUTION = 2.0
"""A layer more than this many times as fine or coarse as in training is worth a warning."""
TOO_FAR_RESOLUTION = 10.0
"""More than this many times is an error: such layers do not show the same things."""
EXACT_DATUM_M = 2.0
"""A datum that can be brought over this exactly is no more than worth knowing."""

Facts = Mapping[str, Any]


def compare_layer(key: str, trained: Facts, here: Facts, grid: SurveyGrid) -> list[Finding]:
    """Return in what a layer differs from the one the model learned from.

    Errors: another unit; a class missing or under another name; pixels more than
    :data:`TOO_FAR_RESOLUTION` times as fine or coarse; no way to the region's CRS. Warnings:
    new classes, another datum, pixels more than :data:`FAR_RESOLUTION` times as fine or
    coarse, other resampling, another filter, an older or unknown date.

    Parameters
    ----------
    key : str
        Key of the layer.
    trained, here : mapping
        What :func:`~hazardrank.sources.layer_facts.layer_facts` says of the two.
    grid : SurveyGrid
        The region's survey grid.
    """
    where = f"region.layers.{key}"
    return [
        *_unit(where, trained["unit"], here["unit"]),
        *_classes(where, trained["classes"], here["classes"]),
        *_resolution(where, trained["resolution_m"], here["resolution_m"]),
        *_datum(where, trained, here, grid),
        *_choices(where, trained, here),
        *_dates(where, trained["as_of"], here["as_of"]),
    ]


def look_into(
    key: str, layer: LayerSettings, data_dir: Path, sample: RegionSample
) -> list[Finding]:
    """Return what is wrong with a layer's file in the region, without reading all of it.

    A raster on disk is looked at as ``python -m check`` does, at the points of `sample`; of
    other layers, whether they can be opened and anything of them lies near.
    """
    where = f"region.layers.{key}"
    try:
        path = must_exist(layer.path, data_dir, where, layer.source)
        if layer.is_raster:
            if is_remote(path):
                return []
            return check_layer(key, layer, sample, sample.grid.crs, data_dir)[1]
        return _look_into_vectors(where, layer, path, sample.grid)
    except HazardRankError as error:
        return failed(key, where, layer.kind, layer.path, error)[1]


def _look_into_vectors(
    where: str, layer: LayerSettings, path: str, grid: SurveyGrid
) -> list[Finding]:
    file = VectorFile.open(path, layer.layer, where, layer.crs)
    file.require([*layer.where, *layer.columns.values()])
    west, south, east, north = grid.bounds
    near = west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M
    bounds = reproject_bounds(near, grid.crs, file.crs)
    if bounds is None or len(next(file.chunks([], bounds, chunk_features=1))):
        return []
    return [
        Finding(
            Severity.WARNING,
            where,
            f"has no feature within {length_text(MARGIN_M)} of the region",
            "Check the file's CRS, the order of its coordinates, and the region's extent.",
        )
    ]


# --------------------------------------------------------------------- what may differ


def _unit(where: str, trained: str | None, here: str | None) -> list[Finding]:
    if trained == here:
        return []
    return [
        Finding(
            Severity.ERROR,
            f"{where}.unit",
            f"is {here or 'not given'}; the model learned the layer in {trained or 'no unit'}",
            "Correct the unit, or convert the layer's values.",
        )
    ]


def _classes(where: str, trained: Facts, here: Facts) -> list[Finding]:
    found = []
    for code, name in trained.items():
        if here.get(code) != name:
            now = f"'{here[code]}'" if code in here else "not a class of this layer"
            found.append(
                Finding(
                    Severity.ERROR,
                    f"{where}.classes",
                    f"code {code} was '{name}' in training and is {now}",
                    "Bring the layer to the classes of training; its codes are in bundle.json. A "
                    "class that does not occur here is named all the same.",
                )
            )
    new = [f"{code} '{name}'" for code, name in here.items() if code not in trained]
    if new and trained:
        found.append(
            Finding(
                Severity.WARNING,
                f"{where}.classes",
                f"has classes the model never saw: {', '.join(new)}; they count as 'other', as "
                "codes without a name did in training",
                "Join them with classes the model knows, if they are alike.",
            )
        )
    return found


def _resolution(where: str, trained: float | None, here: float | None) -> list[Finding]:
    if trained is None or here is None:
        return []
    factor = max(trained, here) / min(trained, here)
    if factor <= FAR_RESOLUTION:
        return []
    far = factor > TOO_FAR_RESOLUTION
    limit = TOO_FAR_RESOLUTION if far else FAR_RESOLUTION
    return [
        Finding(
            Severity.ERROR if far else Severity.WARNING,
            where,
            f"has pixels of {length_text(here)}, in training they were of {length_text(trained)}: "
            f"more than {limit:g} times {'larger' if here > trained else 'smaller'}, so that "
            "slopes, roughness and shares are not measured alike",
            f"Give a layer of like resolution: {length_text(trained / FAR_RESOLUTION)} to "
            f"{length_text(trained * FAR_RESOLUTION)}.",
        )
    ]


def _datum(where: str, trained: Facts, here: Facts, grid: SurveyGrid) -> list[Finding]:
    """Compare datums; the same one may be brought to the region's no better than guessed."""
    exact_m = accuracy_m(here["crs"], grid)
    named = f"{here['datum']} ({here['crs']})"
    if math.isinf(exact_m):
        return [
            Finding(
                Severity.ERROR,
                f"{where}.crs",
                f"is {named}, from which there is no way to the region's {grid.crs} here; in "
                f"training it was {trained['datum']} ({trained['crs']})",
                "Give the file's true CRS, or a layer made for this area.",
            )
        ]
    if trained["datum"] == here["datum"] and not math.isnan(exact_m):
        return []
    other = "" if trained["datum"] == here["datum"] else f"; in training it was {trained['datum']}"
    if math.isnan(exact_m):
        lies = "how exactly it can be brought to the region's is not known, and places may be off "
        lies += "by up to hundreds of metres"
    else:
        lies = f"it can be brought to the region's within about {max(exact_m, 1):.0f} m"
    return [
        Finding(
            Severity.OK if exact_m <= EXACT_DATUM_M else Severity.WARNING,
            f"{where}.crs",
            f"is on the datum {named}{other}: {lies}",
            "Compare the layer with a map of the area.",
        )
    ]


def _choices(where: str, trained: Facts, here: Facts) -> list[Finding]:
    """Compare what the settings choose of a layer."""
    found = []
    for name, words in (("resampling", "is resampled by"), ("where", "keeps only")):
        if trained[name] != here[name]:
            found.append(
                Finding(
                    Severity.WARNING,
                    f"{where}.{name}",
                    f"{words} {_shown(here[name])}; in training: {_shown(trained[name])}",
                    "Set it as in training, unless the file itself differs.",
                )
            )
    return found


def _shown(choice: Any) -> str:
    if not choice:
        return "no choice"
    if isinstance(choice, str):
        return choice
    return " and ".join(f"{column} in {list(values)}" for column, values in choice.items())


def _dates(where: str, trained: str | None, here: str | None) -> list[Finding]:
    if trained is None:
        return []
    if here is None:
        problem = f"has no date; in training the layer was of {trained}"
    elif date.fromisoformat(here) < date.fromisoformat(trained):
        problem = f"is of {here}, older than the layer the model learned from ({trained})"
    else:
        return []
    return [
        Finding(
            Severity.WARNING,
            f"{where}.as_of",
            problem,
            "Use a layer at least as recent, and date it.",
        )
    ]
