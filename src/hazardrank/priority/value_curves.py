"""Value curves: how much a quantity counts, from 0 (not at all) to 1 (fully).

=============  =====================================================  =================
shape          value of a quantity *q*                                settings
=============  =====================================================  =================
linear         (q − zero) / (one − zero), cut at 0 and 1              zero_at, one_at
threshold      1 if q ≥ at (below: q ≤ at), else 0                    at, below
exponential    ½^(q / half)                                           half_at
power          (1 + q / d0)^−β, d0 = half / (2^(1/β) − 1)             half_at, exponent
logistic       1 / (1 + 9^−((q − half) / (nine_tenths − half)))       half_at,
                                                                      nine_tenths_at
=============  =====================================================  =================

The two decays are those of gravity models (Fotheringham & O'Kelly 1989, Spatial
interaction models), written so that the distance at which something counts half is stated
and not hidden in a rate. NaN stays NaN. Every value depends on its own quantity alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.settings import CurveSettings

FloatArray = NDArray[np.float64]

#: Exponent of a power curve that does not say its own.
DEFAULT_EXPONENT = 2.0


def curve_values(curve: CurveSettings, quantity: NDArray[Any]) -> FloatArray:
    """Return the value of each quantity.

    Parameters
    ----------
    curve : CurveSettings
        The curve.
    quantity : ndarray of float
        In the unit of the curve's settings; any shape. Infinities are allowed.

    Returns
    -------
    ndarray of float64
        In 0–1, of the same shape; NaN where the quantity is.
    """
    amounts = np.ascontiguousarray(quantity, dtype=np.float64)
    return _SHAPES[curve.shape](curve, amounts)


def power_scale(half_at: float, exponent: float) -> float:
    """Return the d0 for which (1 + d / d0)^−exponent is a half at `half_at`."""
    return float(half_at / (2.0 ** (1.0 / exponent) - 1.0))


def describe(curve: CurveSettings, unit: str) -> str:
    """Return a curve in a few words, for reports: ``half at 500 m (exponential)``."""
    if curve.shape == "linear":
        return f"0 at {curve.zero_at:g}, 1 at {curve.one_at:g} {unit} (linear)"
    if curve.shape == "threshold":
        return f"1 {'up to' if curve.below else 'from'} {curve.at:g} {unit}, else 0"
    if curve.shape == "logistic":
        return f"half at {curve.half_at:g}, 0.9 at {curve.nine_tenths_at:g} {unit} (logistic)"
    return f"half at {curve.half_at:g} {unit} ({curve.shape})"


def _linear(curve: CurveSettings, quantity: FloatArray) -> FloatArray:
    zero, one = _given(curve.zero_at), _given(curve.one_at)
    return np.clip((quantity - zero) / (one - zero), 0.0, 1.0)


def _threshold(curve: CurveSettings, quantity: FloatArray) -> FloatArray:
    at = _given(curve.at)
    reached = quantity <= at if curve.below else quantity >= at
    return np.where(np.isnan(quantity), np.nan, reached.astype(np.float64))


def _exponential(curve: CurveSettings, quantity: FloatArray) -> FloatArray:
    return np.exp2(-np.maximum(quantity, 0.0) / _given(curve.half_at))


def _power(curve: CurveSettings, quantity: FloatArray) -> FloatArray:
    exponent = DEFAULT_EXPONENT if curve.exponent is None else curve.exponent
    scale = power_scale(_given(curve.half_at), exponent)
    values: FloatArray = np.power(1.0 + np.maximum(quantity, 0.0) / scale, -exponent)
    return values


def _logistic(curve: CurveSettings, quantity: FloatArray) -> FloatArray:
    half, ninth = _given(curve.half_at), _given(curve.nine_tenths_at)
    steps = np.clip((quantity - half) / (ninth - half), -300.0, 300.0)
    values: FloatArray = 1.0 / (1.0 + np.power(9.0, -steps))
    return values


def _given(number: float | None) -> float:
    """Return a number that the settings have made sure is there."""
    assert number is not None
    return number


_SHAPES: Mapping[str, Callable[[CurveSettings, FloatArray], FloatArray]] = MappingProxyType(
    {
        "linear": _linear,
        "threshold": _threshold,
        "exponential": _exponential,
        "power": _power,
        "logistic": _logistic,
    }
)
