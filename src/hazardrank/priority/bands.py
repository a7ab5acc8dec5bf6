"""Bands: urgent, high, medium and lowest clearance priority.

No band says that land is harmless. The lowest reads "Lowest clearance priority – NOT
cleared". Land that the model cannot judge never falls into it, and land behind a closed gate
falls into none: both have a band of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hazardrank.settings import BandSettings

FloatArray = NDArray[np.float64]


class Band(IntEnum):
    """Codes of the bands, as maps and tables store them."""

    URGENT = 1
    HIGH = 2
    MEDIUM = 3
    LOWEST = 4
    SURVEY_FIRST = 5
    """The model cannot judge most of it."""
    WAITS = 6
    """A gate is closed."""


#: What people read.
BAND_LABELS: Mapping[Band, str] = MappingProxyType(
    {
        Band.URGENT: "Urgent",
        Band.HIGH: "High",
        Band.MEDIUM: "Medium",
        Band.LOWEST: "Lowest clearance priority – NOT cleared",
        Band.SURVEY_FIRST: "Survey first – the model cannot judge it, NOT cleared",
        Band.WAITS: "Waits – a gate is closed, NOT cleared",
    }
)


def bands_of(
    ranks: NDArray[np.int64],
    area_m2: FloatArray,
    scores: FloatArray,
    settings: BandSettings,
    *,
    is_open: NDArray[np.bool_] | None = None,
    unjudged_share: FloatArray | None = None,
) -> NDArray[np.int8]:
    """Return the band of each task.

    Parameters
    ----------
    ranks : ndarray of int64, shape (n_tasks,)
        1 is first. Tasks that wait are left out of the count of areas.
    area_m2 : ndarray of float64, shape (n_tasks,)
        Areas.
    scores : ndarray of float64, shape (n_tasks,)
        Scores that the ranks come from.
    settings : BandSettings
        Limits. By share of area, a task belongs to the band that the first of its land, in
        rank order, falls into.
    is_open : ndarray of bool, optional
        Whether all gates are open; all tasks when left out.
    unjudged_share : ndarray of float64, optional
        Share of each task outside the model's domain.

    Returns
    -------
    ndarray of int8, shape (n_tasks,)
        Codes of :class:`Band`.
    """
    opened = np.ones(len(ranks), bool) if is_open is None else is_open
    limits = np.array([settings.urgent, settings.high, settings.medium])
    if settings.by == "score":
        passed = scores[:, None] < limits
    else:
        passed = _share_before(ranks, np.where(opened, area_m2, 0.0))[:, None] >= limits
    bands: NDArray[np.int8] = (Band.URGENT + passed.sum(axis=1)).astype(np.int8)
    if unjudged_share is not None:
        unjudged = unjudged_share >= settings.survey_first_share
        bands[(bands == Band.LOWEST) & unjudged] = Band.SURVEY_FIRST
    bands[~opened] = Band.WAITS
    return bands


def _share_before(ranks: NDArray[np.int64], area_m2: FloatArray) -> FloatArray:
    """Return the share of the whole area that ranks before each task."""
    order = np.argsort(ranks, kind="stable")
    before = np.empty(len(ranks))
    up_to = np.cumsum(area_m2[order])
    before[order] = up_to - area_m2[order]
    whole = up_to[-1] if len(up_to) else 0.0
    return before / whole if whole > 0 else np.zeros(len(ranks))
