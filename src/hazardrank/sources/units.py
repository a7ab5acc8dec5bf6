"""What values are possible in a unit: one table, overridden by a layer's ``valid_range``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from hazardrank.settings import LayerSettings

Range = tuple[float, float]

#: Unit → least and greatest value that can be. Wide enough for any honest raster, narrow
#: enough to catch a nodata value that is not declared (-9999, -32768, 1e38).
UNIT_RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "deg": (-180.0, 360.0),
        "rad": (-math.tau, math.tau),
        "percent": (0.0, 100.0),
        "share": (0.0, 1.0),
        "1": (-9000.0, 9000.0),
        "m": (-500.0, 1e6),
        "km": (0.0, 2e4),
        "cm": (-5e4, 1e8),
        "mm": (0.0, 2e4),
        "m2": (0.0, 1e13),
        "km2": (0.0, 1e7),
        "ha": (0.0, 1e9),
        "people": (0.0, 1e7),
        "households": (0.0, 1e6),
        "people/km2": (0.0, 1e6),
        "people/ha": (0.0, 1e4),
        "years": (0.0, 1e4),
        "days": (0.0, 1e6),
        "degC": (-90.0, 70.0),
        "K": (150.0, 350.0),
        "m/s": (0.0, 150.0),
        "dB": (-100.0, 60.0),
    }
)

#: A word in the layer's key narrows the range: (word, unit) → range. Slope in percent may
#: exceed 100, slope in degrees never 90.
KEY_RANGES: Mapping[tuple[str, str], Range] = MappingProxyType(
    {
        ("slope", "deg"): (0.0, 90.0),
        ("slope", "percent"): (0.0, 2000.0),
        ("aspect", "deg"): (-1.0, 360.0),
        ("elevation", "m"): (-500.0, 9000.0),
        ("dem", "m"): (-500.0, 9000.0),
        ("dtm", "m"): (-500.0, 9000.0),
        ("ndvi", "1"): (-1.0, 1.0),
    }
)


def possible_range(key: str, layer: LayerSettings) -> Range | None:
    """Return the range a layer's values can have, ``None`` where nothing says it.

    Parameters
    ----------
    key : str
        Key of the layer; its words (``slope_10m``) narrow the unit's range.
    layer : LayerSettings
        The layer. Its ``valid_range`` comes first.
    """
    if layer.valid_range is not None:
        return layer.valid_range
    if layer.unit is None:
        return None
    for word in key.split("_"):
        if (word, layer.unit) in KEY_RANGES:
            return KEY_RANGES[word, layer.unit]
    return UNIT_RANGES.get(layer.unit)
