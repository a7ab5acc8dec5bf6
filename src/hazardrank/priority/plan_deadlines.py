"""Return dates as deadlines of tasks near by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.features.segments import require_column

#: Status of return plans that set no deadline: given up, or done.
NO_LONGER_DUE = ("cancelled", "completed")


@dataclass(frozen=True, eq=False)
class Deadlines:
    """When tasks are to be finished.

    Parameters
    ----------
    day : ndarray of datetime64[D], shape (n_tasks,)
        First return planned within reach, from the season's first day on; NaT for none.
    overdue : ndarray of bool, shape (n_tasks,)
        Whether a return within reach was due before the season. No plan can be in time for
        it, so it sets no deadline; the consequence criteria count it in full.
    """

    day: NDArray[np.datetime64]
    overdue: NDArray[np.bool_]


def deadlines_of(
    places: NDArray[np.object_], returns: gpd.GeoDataFrame, reach_m: float, first_day: date
) -> Deadlines:
    """Return the deadline that planned returns set each task.

    Parameters
    ----------
    places : ndarray of shapely geometries, shape (n_tasks,)
        Tasks, in metres.
    returns : GeoDataFrame
        Return plans with a column ``planned`` (dates); ``status`` is read where there is one.
    reach_m : float
        How far from a task returns matter.
    first_day : date
        First day of the season.

    Raises
    ------
    FeatureError
        If there is no column ``planned``.
    """
    require_column(returns, "planned", "plan.deadlines.returns")
    planned = returns["planned"].to_numpy().astype("datetime64[D]")
    due = ~np.isnat(planned)
    if "status" in returns.columns:
        due &= ~returns["status"].isin(NO_LONGER_DUE).to_numpy()
    geometry, planned = returns.geometry.to_numpy()[due], planned[due]
    plan, task = shapely.STRtree(places).query(geometry, predicate="dwithin", distance=reach_m)
    in_time = planned[plan] >= np.datetime64(first_day)
    overdue = np.zeros(len(places), bool)
    overdue[task[~in_time]] = True
    never = np.iinfo(np.int64).max
    first = np.full(len(places), never)
    np.minimum.at(first, task[in_time], planned[plan][in_time].astype(np.int64))
    day = np.full(len(places), "NaT", "datetime64[D]")
    day[first < never] = first[first < never].astype("datetime64[D]")
    return Deadlines(day, overdue)
