"""Shares of 0–1 stored as scaled whole numbers: half the size of float32, one known rounding.

A stored number times :data:`PACKED_SCALE` is the share; 65535 means that nothing is known.
Rounding is off by at most half the scale, 7.6e-6. A share below that is stored as 0, which
reads as 0.0: a very low likelihood, not a missing one, and no statement that there is nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

PACKED_NODATA = 65535
PACKED_SCALE = 1 / 65534
PACKED_OFFSET = 0.0


def pack_uint16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return shares as scaled whole numbers.

    Parameters
    ----------
    values : ndarray of float32, any shape
        In 0–1; NaN where nothing is known. What lies beyond is cut to 0–1.

    Returns
    -------
    ndarray of uint16, same shape
        :data:`PACKED_NODATA` for NaN.
    """
    packed = np.empty(values.shape, np.uint16)
    _pack(np.ascontiguousarray(values, np.float32).reshape(-1), packed.reshape(-1))
    return packed


def unpack_uint16(packed: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the shares that :func:`pack_uint16` stored, NaN where nothing is known."""
    shares = (packed * PACKED_SCALE).astype(np.float32)
    return np.where(packed == PACKED_NODATA, np.float32(np.nan), shares)


@njit(cache=True, nogil=True, error_model="numpy")
def _pack(values: NDArray[np.float32], packed: NDArray[np.uint16]) -> None:
    for k in range(len(values)):
        value = values[k]
        share = min(max(np.float64(value), 0.0), 1.0)
        packed[k] = np.uint16(share * 65534.0 + 0.5) if value == value else np.uint16(65535)
