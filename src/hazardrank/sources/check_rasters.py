"""Checks of raster layers, at a lattice of points over the region."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hazardrank.settings import LayerSettings
from hazardrank.sources.check_report import (
    CheckRow,
    Finding,
    Severity,
    as_of_span,
    crs_text,
    length_text,
)
from hazardrank.sources.raster_facts import RasterFacts
from hazardrank.sources.region_sample import RegionSample, sample_raster
from hazardrank.sources.units import UNIT_RANGES, possible_range

#: A raster this many times coarser than the survey grid is worth a word.
COARSE_FACTOR = 4.0
#: Share of gaps, and of codes the settings do not name, above which it is worth a word.
HIGH_MISSING = 0.05
HIGH_UNNAMED = 0.05

Values = NDArray[np.float64]


def check_raster(
    key: str, layer: LayerSettings, path: str, sample: RegionSample | None
) -> tuple[CheckRow, list[Finding]]:
    """Check a raster layer.

    Parameters
    ----------
    key : str
        Key of the layer.
    layer : LayerSettings
        The layer.
    path : str
        Resolved path of its file.
    sample : RegionSample or None
        Where to look; ``None`` if the region's extent could not be read.

    Raises
    ------
    LayerError
        If the file cannot be read as the settings say.
    """
    raster = RasterFacts.of(path, layer, key)
    row = CheckRow(
        key, layer.kind, layer.path, crs=crs_text(raster.crs), dates=as_of_span(layer.as_of)
    )
    if sample is None:
        return row, []
    where = f"region.layers.{key}"
    pixel_m = raster.pixel_m(sample.grid)
    found = sample_raster(raster, sample)
    row = replace(
        row,
        resolution=length_text(pixel_m),
        coverage=found.coverage,
        missing=found.missing,
        obtained=f"nearest cell at {sample.n_inside:,} points {length_text(sample.step_m)} apart",
    )
    findings = [*_value_findings(key, layer, found.values)]
    if layer.kind == "continuous" and pixel_m > COARSE_FACTOR * sample.grid.cell_size_m:
        findings.append(_coarse(where, pixel_m, sample.grid.cell_size_m))
    if found.coverage > 0 and found.missing > HIGH_MISSING:
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"has no data in {found.missing:.0%} of its extent in the region; features are "
                "missing there",
                "Fill the gaps if a better source exists.",
            )
        )
    return row, findings


def _coarse(where: str, pixel_m: float, cell_m: float) -> Finding:
    return Finding(
        Severity.WARNING,
        where,
        f"has cells of {length_text(pixel_m)}, {pixel_m / cell_m:.0f} times those of the survey "
        "grid; values between them are interpolated, and slope, relief or curvature made of "
        "them mean little",
        "Use a finer raster, or only features that vary slowly.",
    )


def _value_findings(key: str, layer: LayerSettings, values: Values) -> list[Finding]:
    where = f"region.layers.{key}"
    if not len(values):
        return []
    if layer.kind == "categorical":
        return _class_findings(where, layer, values)
    limits = possible_range(key, layer)
    findings = [] if limits is None else _impossible(where, layer, values, limits)
    if limits is None:
        unit = "no unit" if layer.unit is None else f"a unit without known limits ('{layer.unit}')"
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"has {unit}, so values that cannot be go unseen",
                f"Set valid_range, or unit to one of {', '.join(UNIT_RANGES)}.",
            )
        )
    if values.min() == values.max():
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"holds the one value {values[0]:g} everywhere in the region; it explains nothing",
                "Check the file and its band.",
            )
        )
    return findings


def _impossible(
    where: str, layer: LayerSettings, values: Values, limits: tuple[float, float]
) -> list[Finding]:
    low, high = limits
    bad = values[(values < low) | (values > high)]
    if not len(bad):
        return []
    worst = bad[np.argmax(np.maximum(low - bad, bad - high))]
    unit = f" {layer.unit}" if layer.unit and layer.unit != "1" else ""
    return [
        Finding(
            Severity.ERROR,
            where,
            f"has values that cannot be, such as {worst:g}{unit}, at {len(bad) / len(values):.1%} "
            f"of the points (possible: {low:g} to {high:g}{unit}); features made of them are wrong",
            f"If {worst:g} means missing, set nodata: {worst:g}. Otherwise correct unit, or set "
            "valid_range.",
        )
    ]


def _class_findings(where: str, layer: LayerSettings, values: Values) -> list[Finding]:
    codes, counts = np.unique(values, return_counts=True)
    unnamed = ~np.isin(codes, list(layer.classes))
    part = counts[unnamed].sum() / counts.sum()
    if part <= HIGH_UNNAMED:
        return []
    shown = ", ".join(f"{code:g}" for code in codes[unnamed][:12])
    return [
        Finding(
            Severity.WARNING,
            where,
            f"{part:.0%} of the region has codes that `classes` does not name ({shown}); they "
            "are counted together as 'other'",
            "Name them under classes.",
        )
    ]
