"""What the maps of a scoring depend on, so that a change renews no more than it must."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hazardrank.features.feature_set import FeatureSet
from hazardrank.grid import SurveyGrid
from hazardrank.model.bundle import Bundle
from hazardrank.scoring.job import digest_of
from hazardrank.scoring.map_files import MapFile, Part
from hazardrank.settings import LabelSettings, RecordSource, RegionSettings
from hazardrank.sources.digests import REMOTE, digest_path
from hazardrank.sources.paths import resolve


def dependencies(
    bundle: Bundle,
    region: RegionSettings,
    data_dir: Path,
    grid: SurveyGrid,
    features: FeatureSet,
    labels: LabelSettings,
    files: tuple[MapFile, ...],
    code: str,
    options: Mapping[str, Any],
) -> dict[Part, dict[str, str]]:
    """Return, for each part of the maps, what it depends on: in words → digest.

    Parameters
    ----------
    bundle : Bundle
        The model.
    region : RegionSettings
        The region.
    data_dir : Path
        Folder that its paths start from.
    grid : SurveyGrid
        Its grid.
    features : FeatureSet
        The features, which say what layers they read.
    labels : LabelSettings
        What makes a cell contaminated or released.
    files : tuple of MapFile
        The maps.
    code : str
        Digest of the package.
    options : mapping
        Everything else that the likelihood maps depend on; plain values.
    """
    common = {
        "the code": code,
        "the survey grid": digest_of([grid.crs, grid.cell_size_m, *_corner(grid), *grid.shape]),
        "the area of interest": digest_of(
            [region.extent.model_dump(mode="json"), _content(region.extent.mask, data_dir)]
        ),
    }
    records = _records(region, data_dir)
    layers = sorted({layer for family in features.families for layer in family.needs})
    likelihood = {
        **common,
        "the bundle": bundle.digest,
        "the settings of the maps": digest_of([_described(files, "likelihood"), dict(options)]),
        **{f"the layer '{key}'": _layer(region, key, data_dir) for key in layers},
        **({"the hazard records": records} if features.histories else {}),
    }
    status = {
        **common,
        "the hazard records": records,
        "the label rules": digest_of(labels.model_dump(mode="json")),
        "the settings of the maps": digest_of(_described(files, "status")),
    }
    return {"likelihood": likelihood, "status": status}


def unseen_layers(region: RegionSettings, data_dir: Path) -> list[str]:
    """Return the layers on other machines, whose changes cannot be noticed."""
    return [key for key, layer in region.layers.items() if _content(layer.path, data_dir) == REMOTE]


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return in words what is no longer the same."""
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]


def _corner(grid: SurveyGrid) -> tuple[int, int]:
    return grid.west_cell, grid.north_cell


def _described(files: tuple[MapFile, ...], part: Part) -> list[list[Any]]:
    return [
        [one.name, one.dtype, one.packed, *one.descriptions] for one in files if one.part == part
    ]


def _layer(region: RegionSettings, key: str, data_dir: Path) -> str:
    layer = region.layers[key]
    return digest_of([layer.model_dump(mode="json"), _content(layer.path, data_dir)])


def _records(region: RegionSettings, data_dir: Path) -> str:
    records = region.records
    sources: list[RecordSource] = [
        *records.hazard_areas,
        *records.clearance,
        *records.accidents,
        *records.survey,
    ]
    as_of = None if region.records_as_of is None else region.records_as_of.isoformat()
    contents = [_content(source.path, data_dir) for source in sources]
    return digest_of([records.model_dump(mode="json"), contents, as_of])


def _content(path: str | None, data_dir: Path) -> str:
    return "" if path is None else digest_path(resolve(path, data_dir))
