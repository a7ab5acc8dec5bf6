"""Neighbourhood context of a feature table: what its columns are like around each row.

A cell's own distance to a road says little of the land it lies in. Means and deviations
over discs around the cell say more, and carry over better to districts not yet surveyed.
They are taken over *all* rows, whatever their outcome: no outcome is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from hazardrank.settings import TableContextSettings

#: Neighbours held at once.
MAX_PAIRS = 2_000_000
#: Centres this share of the radius outside still count: coordinates are often rounded.
_TOLERANCE = 1e-6

STATISTICS = {"mean": "Mean", "sd": "Standard deviation"}


@dataclass(frozen=True)
class ContextFeatures:
    """Neighbourhood features of a table's rows.

    Parameters
    ----------
    values : ndarray of float32, shape (n_rows, n_features)
        NaN where no row in reach has a value.
    names, units, descriptions : tuple of str, length n_features
        ``COLUMN_mean_2000m`` and the like; units are those of the columns.
    """

    values: NDArray[np.float32]
    names: tuple[str, ...]
    units: tuple[str, ...]
    descriptions: tuple[str, ...]


def places_m(
    easting: NDArray[np.float64], northing: NDArray[np.float64], crs: str
) -> NDArray[np.float64]:
    """Return rows' positions in metres, shape (n_rows, 2).

    Geographic coordinates, and those in other units, are projected to the UTM zone of
    their middle.
    """
    points = gpd.GeoSeries(gpd.points_from_xy(easting, northing), crs=crs)
    assert points.crs is not None
    if points.crs.is_geographic or points.crs.axis_info[0].unit_name not in ("metre", "meter"):
        points = points.to_crs(points.estimate_utm_crs())
    return np.column_stack([points.x.to_numpy(), points.y.to_numpy()])


def context_features(
    place_m: NDArray[np.float64],
    columns: NDArray[np.float64],
    names: tuple[str, ...],
    units: tuple[str, ...],
    settings: TableContextSettings,
) -> ContextFeatures:
    """Return means and deviations of columns over discs around each row.

    The row itself counts. Deviations are those of the population (divided by n).

    Parameters
    ----------
    place_m : ndarray of float64, shape (n_rows, 2)
        Cell centres in metres.
    columns : ndarray of float64, shape (n_rows, n_columns)
        What to average; NaN where missing.
    names, units : tuple of str, length n_columns
        The columns.
    settings : TableContextSettings
        Radii and statistics.
    """
    tree = KDTree(place_m)
    parts: list[NDArray[np.float64]] = []
    labels: list[tuple[str, str, str, float]] = []
    for radius_m in settings.radii_m:
        by_statistic = _disc_statistics(tree, place_m, columns, radius_m)
        for statistic in settings.statistics:
            parts.append(by_statistic[statistic])
            pairs = zip(names, units, strict=True)
            labels += [(name, unit, statistic, radius_m) for name, unit in pairs]
    return ContextFeatures(
        np.ascontiguousarray(np.hstack(parts), np.float32),
        tuple(f"{name}_{statistic}_{radius_m:g}m" for name, _, statistic, radius_m in labels),
        tuple(unit for _, unit, _, _ in labels),
        tuple(
            f"{STATISTICS[statistic]} of {name} within {radius_m / 1000:g} km."
            for name, _, statistic, radius_m in labels
        ),
    )


def _disc_statistics(
    tree: KDTree, place_m: NDArray[np.float64], columns: NDArray[np.float64], radius_m: float
) -> dict[str, NDArray[np.float64]]:
    reach_m = radius_m * (1 + _TOLERANCE)
    known = ~np.isnan(columns)
    counted = known.astype(np.float64)
    # Values are taken from their overall mean, so that squares lose no digits.
    middle = np.where(known, columns, 0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    centred = np.where(known, columns - middle, 0.0)
    stacked = np.hstack([counted, centred, centred**2])
    n_near: NDArray[np.int64] = np.asarray(
        tree.query_ball_point(place_m, reach_m, return_length=True), np.int64
    )
    sums = np.empty((len(place_m), stacked.shape[1]))
    for rows in _chunks(n_near):
        near: list[list[int]] = list(
            tree.query_ball_point(place_m[rows], reach_m, return_sorted=True)  # type: ignore[arg-type]  # stub says int
        )
        ends = np.concatenate([[0], np.cumsum([len(cells) for cells in near])])
        disc = csr_array(
            (np.ones(ends[-1]), np.concatenate(near).astype(np.int64), ends),
            shape=(len(rows), len(place_m)),
        )
        sums[rows] = disc @ stacked
    n_known, total, squares = np.hsplit(sums, 3)
    n_known = np.where(n_known > 0, n_known, np.nan)
    mean = total / n_known
    variance = np.maximum(squares / n_known - mean**2, 0)
    # Rounding must not carry a mean beyond the values it is the mean of: -1e-14 people.
    lowest, highest = np.fmin.reduce(columns, axis=0), np.fmax.reduce(columns, axis=0)
    return {"mean": np.clip(mean + middle, lowest, highest), "sd": np.sqrt(variance)}


def _chunks(n_near: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split rows so that each part has at most :data:`MAX_PAIRS` neighbours, or one row."""
    part = np.cumsum(n_near) // MAX_PAIRS
    return np.split(np.arange(len(n_near)), np.flatnonzero(np.diff(part)) + 1)
