"""Whether a bundle and a region fit, looked into before any work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import shapely

from hazardrank.features.base import RECORDS_LAYER
from hazardrank.features.feature_set import layers_needed
from hazardrank.grid import SurveyGrid
from hazardrank.model.bundle import Bundle
from hazardrank.scoring.layer_fit import compare_layer, look_into
from hazardrank.settings import AnyFamilySettings, RegionSettings, Role
from hazardrank.sources.check_report import EXIT_STATUS, Finding, Severity
from hazardrank.sources.layer_facts import layer_facts
from hazardrank.sources.region import area_of_interest, region_grid
from hazardrank.sources.region_sample import RegionSample

_POINTS_A_SIDE = 100
_SHOWN = 3


def check_fit(bundle: Bundle, region: RegionSettings, data_dir: Path) -> list[Finding]:
    """Return what does not fit between a bundle and a region, errors first.

    Of every layer the features read: whether it is there, of the same kind, can be read and
    lies in the region, and what :func:`~hazardrank.scoring.layer_fit.compare_layer` says. Of
    the region: hazard records where features come from them, cell size, and whether a model
    of simulated land is asked about real land or the other way round. All but the first are
    warnings.

    The features themselves are for :meth:`Bundle.check_features` to compare, once they can be
    built.

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
    GridError, LayerError
        If the region's survey grid cannot be made.
    """
    found = [*_table(bundle), *_records(bundle, region), *_land(bundle, region)]
    usable = []
    for key in bundle.layers:
        wrong = [*_missing(bundle, region, key)]
        found += wrong
        usable += [] if wrong else [key]
    grid = region_grid(region, data_dir)
    sample = _sample(grid, area_of_interest(region, data_dir))
    for key in usable:
        of_file = look_into(key, region.layers[key], data_dir, sample)
        found += of_file
        if all(one.severity != Severity.ERROR for one in of_file):
            facts = layer_facts(region, data_dir, [key], grid)
            found += compare_layer(key, bundle.layers[key], facts[key], grid)
    return sorted(found, key=lambda one: -EXIT_STATUS[one.severity])


def features_of(bundle: Bundle) -> dict[str, AnyFamilySettings]:
    """Return the feature settings a bundle was trained with."""
    return {key: AnyFamilySettings(**dict(values)) for key, values in bundle.features.items()}


def region_as_trained(bundle: Bundle, region: RegionSettings) -> RegionSettings:
    """Return a region whose layers name the classes of training and no others.

    Codes of other classes count as ``other``, as codes without a name did in training.
    Otherwise a new class would be a new feature, which the model does not have.
    """
    layers = {}
    for key, layer in region.layers.items():
        trained = bundle.layers.get(key, {}).get("classes", {})
        kept = {code: name for code, name in layer.classes.items() if str(code) in trained}
        layers[key] = layer.model_copy(update={"classes": kept}) if trained else layer
    return region.model_copy(update={"layers": layers})


def _sample(grid: SurveyGrid, area: shapely.Geometry | None) -> RegionSample:
    """Lay a lattice over the area, over the whole grid where the area slips between points."""
    sample = RegionSample.of(grid, area, _POINTS_A_SIDE)
    return sample if sample.n_inside else RegionSample.of(grid, None, _POINTS_A_SIDE)


# ----------------------------------------------------------------------------- layers


def _missing(bundle: Bundle, region: RegionSettings, key: str) -> Iterator[Finding]:
    """Say that a layer is not there, or of no use as it is."""
    trained, layer = bundle.layers[key], region.layers.get(key)
    if layer is None:
        yield Finding(
            Severity.ERROR,
            f"region.layers.{key}",
            f"the region has no layer '{key}', from which the model's {_features(bundle, key)} "
            "come",
            f"Add a layer of {trained['kind']} under this key.",
        )
    elif layer.kind != trained["kind"]:
        yield Finding(
            Severity.ERROR,
            f"region.layers.{key}.kind",
            f"is {layer.kind}; the model was trained on {trained['kind']}, from which its "
            f"{_features(bundle, key)} come",
            "Give a layer of the same kind.",
        )
    elif layer.role == Role.CONSEQUENCE:
        yield Finding(
            Severity.ERROR,
            f"region.layers.{key}.role",
            f"is {layer.role}, in training it was {trained['role']}: the likelihood model may not "
            "see what is for consequence only",
            "Correct the role if the layer truly tells of hazard, or give another layer.",
        )


def _features(bundle: Bundle, layer: str) -> str:
    """Return the names of the features that need a layer, as a few words."""
    named = features_of(bundle)
    keys = [key for key, needed in layers_needed(named).items() if layer in needed]
    names = [spec.name for spec in bundle.specs if _key_of(spec.name, [*named]) in keys]
    shown = ", ".join(names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _key_of(feature: str, keys: list[str]) -> str:
    """Return the key of the settings a feature's name starts with: the longest that fits."""
    return max((key for key in keys if feature.startswith(f"{key}_")), key=len, default="")


# ------------------------------------------------------------------------------- land


def _table(bundle: Bundle) -> Iterator[Finding]:
    if not bundle.features:
        yield Finding(
            Severity.ERROR,
            "model",
            "was trained on a ready table of cells and does not know how its "
            f"{len(bundle.specs)} features are made of layers",
            "Train on layers, or train with the new table as its region: the map of that run is "
            "its score.",
        )


def _records(bundle: Bundle, region: RegionSettings) -> Iterator[Finding]:
    """Compare the records, where features are made of them."""
    names = [spec.name for spec in bundle.specs if spec.layer == RECORDS_LAYER]
    if not names:
        return
    if not any(getattr(region.records, kind) for kind in type(region.records).model_fields):
        yield Finding(
            Severity.ERROR,
            "region.records",
            f"names no file, and the model's {', '.join(names[:_SHOWN])} come from hazard records",
            "Name the files of the area's hazard records.",
        )
        return
    trained, here = bundle.land.get("records_as_of"), region.records_as_of
    if trained is None or (here is not None and here >= date.fromisoformat(trained)):
        return
    now = "is not given" if here is None else f"is {here}"
    yield Finding(
        Severity.WARNING,
        "region.records_as_of",
        f"{now}; the model learned from records as of {trained}, and older ones know less of "
        "where hazards are",
        "Use records at least as recent, and date them.",
    )


def _land(bundle: Bundle, region: RegionSettings) -> Iterator[Finding]:
    size_m = bundle.land.get("cell_size_m")
    if size_m is not None and size_m != region.cell_size_m:
        yield Finding(
            Severity.WARNING,
            "region.cell_size_m",
            f"is {region.cell_size_m:g} m; the model learned from cells of {size_m:g} m, and its "
            "likelihoods are those of such cells. A larger cell more often holds ordnance, a "
            "smaller one less often",
            f"Score at {size_m:g} m, or read the map as an order of cells, not as likelihoods.",
        )
    simulated = bundle.land.get("simulated")
    if simulated and region.simulated is None:
        yield Finding(
            Severity.WARNING,
            "model",
            f"was trained on a SIMULATED district ({bundle.land['region']}): ON REAL LAND ITS MAP "
            "MEANS NOTHING and must not guide anyone's steps",
            "Train on records of the area.",
        )
    elif simulated is False and region.simulated is not None:
        yield Finding(
            Severity.WARNING,
            "region.simulated",
            f"is set, and the model learned from real land ({bundle.land['region']}): how it does "
            "here says nothing of either",
            "Score real land, or train on the simulated district.",
        )
