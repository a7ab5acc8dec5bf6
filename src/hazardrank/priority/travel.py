"""The daily way to work: how much longer a task takes the farther it lies from the base."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hazardrank.settings import TravelSettings

FloatArray = NDArray[np.float64]


def travel_factor(distance_m: FloatArray, settings: TravelSettings) -> FloatArray:
    """Return how many times as many team-days tasks take for the way there and back each day.

    Parameters
    ----------
    distance_m : ndarray of float64
        Straight line from base to task in metres.
    settings : TravelSettings
        Speed, detour and working day.

    Returns
    -------
    ndarray of float64
        ``hours per day / (hours per day - hours on the way)``, at least 1; infinite where
        the way takes more than ``most_hours``.
    """
    kilometres = np.asarray(distance_m, np.float64) / 1000.0 * settings.detour
    hours = 2.0 * kilometres / settings.speed_km_per_h
    reached = hours <= settings.most_hours
    left = settings.hours_per_day - np.where(reached, hours, 0.0)
    return np.where(reached, settings.hours_per_day / left, np.inf)
