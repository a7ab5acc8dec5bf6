"""Whether a bundle and a region fit, looked into before any work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from hazardrank.model.bundle import Bundle
from hazardrank.settings import AnyFamilySettings, RegionSettings
from hazardrank.sources.check_report import Finding, Severity
from hazardrank.sources.layer_facts import layer_facts

FAR_RESOLUTION = 2.0
"""Factor between the resolutions of a layer, here and in training, that is worth a warning."""
TOO_FAR_RESOLUTION = 10.0
"""Factor that is an error: such layers do not show the same things."""

Facts = Mapping[str, Any]


def check_fit(bundle: Bundle, region: RegionSettings, data_dir: Path) -> list[Finding]:
    """Return what does not fit between a bundle and a region, errors first.

    Errors: a layer is missing, of another kind, in another unit; a class the model knows is
    missing or has another name; a raster is 10 times finer or coarser than in training.
    Warnings: another datum, a raster twice as fine or coarse, an older or unknown date, new
    classes, another cell size, a model of simulated land.

    Parameters
    ----------
    bundle : Bundle
        The model.
    region : RegionSettings
        The region to be scored.
    data_dir : Path
        Folder that its paths start from.

    Raises
    ------
    LayerError
        If a layer that is there cannot be read.
    """
    needed = [key for key in bundle.layers if key in region.layers]
    found = [_missing(bundle, key) for key in bundle.layers if key not in region.layers]
    differing_kind = [
        key for key in needed if region.layers[key].kind != bundle.layers[key]["kind"]
    ]
    found += [_other_kind(key, bundle.layers[key], region) for key in differing_kind]
    alike = [key for key in needed if key not in differing_kind]
    facts = layer_facts(region, data_dir, alike)
    for key in alike:
        found += _compare(key, bundle.layers[key], facts[key])
    found += _land(bundle, region)
    return sorted(found, key=lambda one: one.severity != Severity.ERROR)


def features_of(bundle: Bundle) -> dict[str, AnyFamilySettings]:
    """Return the feature settings a bundle was trained with."""
    return {key: AnyFamilySettings(**dict(values)) for key, values in bundle.features.items()}


def _reading(bundle: Bundle, layer: str) -> str:
    """Return the features that a layer is for, as a few words."""
    names = [spec.name for spec in bundle.specs if spec.layer == layer]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return shown or "a feature"


def _missing(bundle: Bundle, key: str) -> Finding:
    return Finding(
        Severity.ERROR,
        f"region.layers.{key}",
        f"the region has no layer '{key}', from which the model's {_reading(bundle, key)} come",
        f"Add a layer of {bundle.layers[key]['kind']} under this key.",
    )


def _other_kind(key: str, trained: Facts, region: RegionSettings) -> Finding:
    return Finding(
        Severity.ERROR,
        f"region.layers.{key}.kind",
        f"is {region.layers[key].kind}; the model was trained on {trained['kind']}",
        "Give a layer of the same kind.",
    )


def _compare(key: str, trained: Facts, here: Facts) -> list[Finding]:
    where = f"region.layers.{key}"
    found = []
    if trained["unit"] != here["unit"]:
        found.append(
            Finding(
                Severity.ERROR,
                f"{where}.unit",
                f"is {here['unit'] or 'not given'}; the model learned the layer in "
                f"{trained['unit'] or 'no unit'}",
                "Correct the unit, or convert the layer's values.",
            )
        )
    found += _classes(where, trained["classes"], here["classes"])
    found += _resolution(where, trained["resolution_m"], here["resolution_m"])
    if trained["datum"] != here["datum"]:
        found.append(
            Finding(
                Severity.WARNING,
                f"{where}.crs",
                f"is on the datum {here['datum'] or 'unknown'} ({here['crs'] or 'no CRS'}), in "
                f"training it was {trained['datum'] or 'unknown'} ({trained['crs'] or 'no CRS'})",
                "Places may be off by metres to hundreds of metres; check the layer against a map.",
            )
        )
    return found + _dates(where, trained["as_of"], here["as_of"])


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
                    "Bring the layer to the classes of training; its codes are in bundle.json.",
                )
            )
    new = [f"{code} '{name}'" for code, name in here.items() if code not in trained]
    if new and trained:
        found.append(
            Finding(
                Severity.WARNING,
                f"{where}.classes",
                f"has classes the model never saw: {', '.join(new)}",
                "It scores them as any class it does not know.",
            )
        )
    return found


def _resolution(where: str, trained: float | None, here: float | None) -> list[Finding]:
    if trained is None or here is None:
        return []
    factor = max(trained, here) / min(trained, here)
    if factor < FAR_RESOLUTION:
        return []
    far = factor >= TOO_FAR_RESOLUTION
    return [
        Finding(
            Severity.ERROR if far else Severity.WARNING,
            where,
            f"has cells of {here:g} m, in training they were {trained:g} m: slopes, "
            "roughness and shares are not measured alike",
            f"Give a layer of like resolution (within a factor of {FAR_RESOLUTION:g}).",
        )
    ]


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


def _land(bundle: Bundle, region: RegionSettings) -> list[Finding]:
    found = []
    size_m = bundle.land.get("cell_size_m")
    if size_m is not None and size_m != region.cell_size_m:
        found.append(
            Finding(
                Severity.WARNING,
                "region.cell_size_m",
                f"is {region.cell_size_m:g} m; the model learned from cells of {size_m:g} m, and "
                "its likelihoods are those of such cells. A larger cell more often holds "
                "ordnance, a smaller one less often",
                f"Score at {size_m:g} m, or read the map as an order of cells, not as likelihoods.",
            )
        )
    if bundle.land.get("simulated") and region.simulated is None:
        found.append(
            Finding(
                Severity.WARNING,
                "model",
                "was trained on a SIMULATED district: on real land its map means nothing",
                "Train on records of the area.",
            )
        )
    return found
