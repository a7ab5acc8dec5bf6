"""Whether folds ask what the map will be asked: distances, outcomes, likeness of residuals.

A fold is too easy where held-out cells lie nearer to training cells than the area's cells lie
to labelled ones, or where blocks are smaller than the distance over which residuals are alike.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.spatial import KDTree
from scipy.spatial.distance import pdist
from scipy.stats import wasserstein_distance

from hazardrank.settings import FoldSettings
from hazardrank.validation.folds import FoldPlan
from hazardrank.validation.folds.knndm import prediction_places
from hazardrank.validation.folds.maker import PredictionPoints
from hazardrank.validation.folds.places import Places, drawn, places_of

#: Cells whose nearest neighbour is measured, and residuals in the variogram.
MOST_MEASURED = 5000
MOST_RESIDUALS = 1500
#: With fewer residuals, or fewer pairs in a lag (mean), a variogram says nothing.
FEWEST_RESIDUALS = 50
FEWEST_PAIRS = 100
N_LAGS = 15
#: The reach of the variogram is halved at most so many times to find a short range …
MOST_HALVINGS = 5
#: … of at least so many lags, and then set to so many ranges.
LAGS_IN_RANGE = 2.5
RANGES_IN_REACH = 3.0
#: A sill of a smaller share of the variance, or one that explains no more of the variogram
#: than this (fall in chi square against a level line), is no likeness.
LEAST_SILL = 0.1
LEAST_GAIN = 20.0
#: Held-out cells this many times nearer than the area's cells are asked an easier question.
MUCH_NEARER = 2.0
#: A range this many times the block size is no matter of its own uncertainty.
CLEARLY_LARGER = 1.1
PERCENTILES = np.arange(0, 101, 2)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ResidualRange:
    """Over which distance residuals are alike.

    Parameters
    ----------
    range_m : float or None
        Where the spherical model levels off; ``None`` if there is none to be had.
    n_cells : int
        Residuals used.
    sill, nugget : float or None
        Of the model: what distance adds to the semivariance, and what it starts from.
    lag_m, semivariance : tuple of float
        The middle of each lag of the empirical variogram and what was found there.
    reason : str
        Why there is no range, or how it must be read; empty if nothing is to be said.
    """

    range_m: float | None
    n_cells: int
    sill: float | None = None
    nugget: float | None = None
    lag_m: tuple[float, ...] = ()
    semivariance: tuple[float, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class FoldDiagnostics:
    """What folds ask, beside what the map will be asked.

    Parameters
    ----------
    distances : mapping of str to ndarray
        Nearest-neighbour distances in metres: ``sample_to_sample``, ``test_to_train`` and
        ``prediction_to_sample``.
    wasserstein_m : mapping of str to float or None
        Distance between two of these distributions, m.
    classes : tuple of dict
        ``name``, ``n_contaminated``, ``n_other`` and training counts of each fold.
    residuals : ResidualRange
        Likeness of residuals.
    unit : str
        What is held out whole, in words; empty if its size has no meaning.
    unit_size_m : float or None
        Its side.
    advice : tuple of str
        A sentence for each thing to change.
    """

    distances: Mapping[str, Floats]
    wasserstein_m: Mapping[str, float | None]
    classes: tuple[dict[str, Any], ...]
    residuals: ResidualRange
    unit: str = ""
    unit_size_m: float | None = None
    advice: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds under ``fold_diagnostics``."""
        residuals = self.residuals
        return {
            "distances_m": {
                name: {
                    "n": len(values),
                    "median": _median(values),
                    "percentiles": [float(v) for v in np.percentile(values, PERCENTILES)]
                    if len(values)
                    else [],
                }
                for name, values in self.distances.items()
            },
            "percentiles": PERCENTILES.tolist(),
            "wasserstein_m": dict(self.wasserstein_m),
            "classes": list(self.classes),
            "unit": self.unit,
            "unit_size_m": self.unit_size_m,
            "residuals": {
                "range_m": residuals.range_m,
                "n_cells": residuals.n_cells,
                "sill": residuals.sill,
                "nugget": residuals.nugget,
                "lag_m": list(residuals.lag_m),
                "semivariance": list(residuals.semivariance),
                "reason": residuals.reason,
            },
            "advice": list(self.advice),
            "summary": self.summary,
        }

    @property
    def summary(self) -> str:
        """One sentence on distances and residuals."""
        held_out = _median(self.distances["test_to_train"])
        asked = _median(self.distances["prediction_to_sample"])
        parts = []
        if held_out is not None and asked is not None:
            parts.append(
                f"held-out cells lie {_length(held_out)} from training cells (median), the "
                f"area's cells {_length(asked)} from labelled ones"
            )
        if self.residuals.range_m is not None:
            beside = (
                "" if self.unit_size_m is None else f", {self.unit} {_length(self.unit_size_m)}"
            )
            parts.append(f"residuals are alike up to {_length(self.residuals.range_m)}{beside}")
        elif self.residuals.reason:
            parts.append(self.residuals.reason)
        return "Folds: " + "; ".join(parts) if parts else ""


def diagnose(
    plan: FoldPlan,
    settings: FoldSettings,
    likelihood: Floats,
    seed: int,
    prediction_points: PredictionPoints | None = None,
) -> FoldDiagnostics:
    """Look at folds from three sides: distances, outcomes, residuals.

    Parameters
    ----------
    plan : FoldPlan
        The folds.
    settings : FoldSettings
        How they were made.
    likelihood : ndarray, shape (n_cells,)
        Out-of-fold likelihoods, NaN for cells never held out.
    seed : int
        Seed of the draws that keep the measurements bounded.
    prediction_points : ndarray of shape (n_points, 2), or callable that returns it, optional
        Easting and northing of places where the model will be asked; a lattice over the
        labelled cells' extent when left out.

    Returns
    -------
    FoldDiagnostics
    """
    cells = plan.cells
    distances = neighbour_distances_m(plan, seed, prediction_points)
    residuals = residual_range(places_of(cells), cells.contaminated - likelihood, seed)
    unit, size_m = held_out_unit(plan, settings)
    return FoldDiagnostics(
        distances,
        {
            f"{first}_vs_{second}": _wasserstein(distances[first], distances[second])
            for first, second in (
                ("test_to_train", "prediction_to_sample"),
                ("sample_to_sample", "prediction_to_sample"),
                ("sample_to_sample", "test_to_train"),
            )
        },
        class_counts(plan),
        residuals,
        unit,
        size_m,
        tuple(_advice(distances, residuals, unit, size_m, settings)),
    )


def neighbour_distances_m(
    plan: FoldPlan, seed: int, prediction_points: PredictionPoints | None = None
) -> dict[str, Floats]:
    """Return the three distributions of distances to the nearest neighbour, in metres.

    Returns
    -------
    dict of str to ndarray
        ``sample_to_sample``: labelled cell to nearest other labelled cell;
        ``test_to_train``: held-out cell to nearest cell its fold learns from, buffer and
        withheld cells left out; ``prediction_to_sample``: place where the model will be
        asked to nearest labelled cell. At most :data:`MOST_MEASURED` of each.
    """
    places = places_of(plan.cells)
    measured = drawn(places, MOST_MEASURED, [seed, 11])
    tree = KDTree(places)
    neighbours = np.asarray(tree.query(places[measured], k=2)[0])[:, 1]
    held_out = [
        np.asarray(KDTree(places[plan.train(k)]).query(places[chosen])[0])
        for k in range(plan.n_folds)
        if len(chosen := measured[plan.fold[measured] == k]) and len(plan.train(k))
    ]
    points = prediction_places(prediction_points, places)
    points = points[drawn(points, MOST_MEASURED, [seed, 12])]
    return {
        "sample_to_sample": neighbours[np.isfinite(neighbours)],
        "test_to_train": np.concatenate(held_out) if held_out else np.empty(0),
        "prediction_to_sample": np.asarray(tree.query(points)[0]),
    }


def class_counts(plan: FoldPlan) -> tuple[dict[str, Any], ...]:
    """Return how many cells of each outcome every fold holds out and learns from."""
    counts = []
    for k, name in enumerate(plan.names):
        test = plan.cells.contaminated[plan.test(k)]
        train = plan.cells.contaminated[plan.train(k)]
        counts.append(
            {
                "name": name,
                "n_contaminated": int(test.sum()),
                "n_other": int((~test).sum()),
                "n_train_contaminated": int(train.sum()),
                "n_train_other": int((~train).sum()),
            }
        )
    return tuple(counts)


def held_out_unit(plan: FoldPlan, settings: FoldSettings) -> tuple[str, float | None]:
    """Return what is held out whole, and how large it is across.

    Squares have their side. Groups and clusters have the side of a square as large as their
    convex hull, in the median. For other methods the size says nothing: ``("", None)``.
    """
    if plan.method in ("blocks", "spatio_temporal"):
        return "blocks", settings.size_m
    if plan.method == "leave_one_out":
        return ("buffer", settings.buffer_m) if settings.buffer_m else ("", None)
    places = places_of(plan.cells)
    if plan.method == "groups" and plan.groups is not None:
        named = plan.groups != ""
        sides = [
            _side_m(places[plan.groups == name])
            for name in np.unique(plan.groups[named].astype(str)).tolist()
        ]
        return "groups", float(np.median(sides)) if sides else None
    if plan.method == "kmeans":
        n_clusters = settings.n_clusters or settings.n_folds or plan.n_folds
        return "clusters", _side_m(places) / math.sqrt(n_clusters)
    return "", None


def residual_range(places: Places, residual: Floats, seed: int) -> ResidualRange:
    """Return over which distance residuals are alike.

    A spherical model with nugget is fitted to the empirical variogram (Matheron 1963;
    scikit-gstat, Mälicke 2022), weighted by pairs and semivariance (Cressie 1985), of at most
    :data:`MOST_RESIDUALS` residuals. The variogram first reaches to the median distance
    between two of them. Its reach is halved until the range found is :data:`LAGS_IN_RANGE`
    lags, so that a short range is not lost in the first one; then the model is fitted once
    more up to :data:`RANGES_IN_REACH` ranges.

    Parameters
    ----------
    places : ndarray, shape (n_cells, 2)
        Easting and northing in metres.
    residual : ndarray, shape (n_cells,)
        Outcome minus out-of-fold likelihood, NaN where there is none.
    seed : int
        Seed of the draw.
    """
    known = np.flatnonzero(np.isfinite(residual))
    chosen = known[drawn(places[known], MOST_RESIDUALS, [seed, 13])]
    n_cells = len(chosen)
    if n_cells < FEWEST_RESIDUALS:
        return ResidualRange(
            None, n_cells, reason=f"{n_cells} residuals are too few for a variogram"
        )
    values = residual[chosen]
    if np.ptp(values) == 0:
        return ResidualRange(None, n_cells, reason="all residuals are the same")
    try:
        return _found_range(places[chosen], values)
    except (RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        why = " ".join(str(error).split())[:120]
        reason = f"no variogram could be fitted to the residuals ({why})"
        return ResidualRange(None, n_cells, reason=reason)


def _found_range(places: Places, values: Floats) -> ResidualRange:
    """Halve the reach of the variogram until its range can be seen."""
    apart_m = pdist(places)
    longest_m = float(np.median(apart_m))
    first = None
    for halvings in range(1 + MOST_HALVINGS):
        reach_m = longest_m / 2**halvings
        if (apart_m <= reach_m).sum() < FEWEST_PAIRS * N_LAGS:
            break
        found = _variogram(places, values, reach_m)
        first = first or found
        if found.range_m is None or found.range_m < LAGS_IN_RANGE * reach_m / N_LAGS:
            continue
        nearer_m = RANGES_IN_REACH * found.range_m
        if nearer_m < reach_m and (apart_m <= nearer_m).sum() >= FEWEST_PAIRS * N_LAGS:
            again = _variogram(places, values, nearer_m)
            found = again if again.range_m is not None else found
        return found
    if first is None:
        raise ValueError("too few pairs of cells lie near one another")
    if first.range_m is None:
        return first
    shortest = f"the range is at most this: cells lie too far apart to see less ({len(values)})"
    return replace(first, reason=shortest)


def _variogram(places: Places, values: Floats, reach_m: float) -> ResidualRange:
    """Fit a spherical model with nugget to the variogram up to `reach_m`."""
    with warnings.catch_warnings():
        # Imported here: it takes seconds and warns of what it does not find.
        warnings.simplefilter("ignore")
        from skgstat import Variogram
        from skgstat.models import spherical

        empirical = Variogram(places, values, n_lags=N_LAGS, maxlag=reach_m, fit_method=None)
        edges = np.asarray(empirical.bins, np.float64)
        found = np.asarray(empirical.experimental, np.float64)
        n_pairs = np.asarray(empirical.bin_count, np.float64)
        # scikit-gstat fits at the far edge of each lag, which adds half a lag to the range.
        seen = np.isfinite(found) & (n_pairs > 0)
        lag_m = (edges - np.diff(edges, prepend=0.0) / 2)[seen]
        found, n_pairs = found[seen], n_pairs[seen]
        if len(lag_m) < 5:
            raise ValueError("too few lags have pairs")
        level = float(np.average(found, weights=n_pairs))
        error = np.maximum(found, 0.01 * level) * np.sqrt(2 / n_pairs)
        most = 2 * float(found.max())
        (range_m, sill, nugget), _ = curve_fit(
            lambda h, r, c, n: spherical(h, r, c) + n,
            lag_m,
            found,
            p0=(reach_m / 2, level / 2, level / 2),
            sigma=error,
            bounds=([reach_m / (4 * N_LAGS), 0, 0], [reach_m, most, most]),
        )
        left = found - spherical(lag_m, range_m, sill) - nugget
    flat = float(np.average(found, weights=error**-2))
    gain = float((((found - flat) / error) ** 2).sum() - ((left / error) ** 2).sum())
    alike = sill >= LEAST_SILL * (sill + nugget) and gain >= LEAST_GAIN
    if not alike:
        reason = "residuals are no more alike when near"
    elif range_m >= 0.98 * reach_m:
        reason = "the range is at least this: the variogram rises to its end"
    else:
        reason = ""
    return ResidualRange(
        float(range_m) if alike else None,
        len(values),
        float(sill),
        float(nugget),
        tuple(lag_m.tolist()),
        tuple(found.tolist()),
        reason,
    )


def _advice(
    distances: Mapping[str, Floats],
    residuals: ResidualRange,
    unit: str,
    size_m: float | None,
    settings: FoldSettings,
) -> list[str]:
    """Return a sentence for each thing that makes folds too easy."""
    advice = []
    range_m = residuals.range_m
    if range_m is not None and size_m is not None and range_m > CLEARLY_LARGER * size_m:
        change = {
            "blocks": f"use blocks of at least {_rounded_up(range_m)} m (validation.folds.size_m)",
            "buffer": f"use a buffer of at least {_rounded_up(range_m)} m "
            "(validation.folds.buffer_m)",
            "clusters": "use fewer clusters (validation.folds.n_clusters)",
            "groups": "hold out several groups together (validation.folds.n_folds)",
        }[unit]
        are = "is" if unit == "buffer" else "are"
        advice.append(
            f"The {unit} of {_length(size_m)} {are} smaller than the {_length(range_m)} over "
            f"which residuals are alike, so skill may be overstated: {change}."
        )
    held_out = _median(distances["test_to_train"])
    asked = _median(distances["prediction_to_sample"])
    if held_out is not None and asked is not None and asked > MUCH_NEARER * held_out:
        remedy = (
            "" if settings.method == "knndm"
            else "; validation=knndm matches the two"
        )  # fmt: skip
        advice.append(
            f"Held-out cells lie {_length(held_out)} from training cells, the area's cells "
            f"{_length(asked)} from labelled ones (medians): figures speak of land nearer to the "
            f"records than most of the map{remedy}."
        )
    return advice


def _side_m(places: Places) -> float:
    """Return the side of a square as large as the convex hull of places."""
    hull = shapely.convex_hull(shapely.multipoints(places))
    return float(math.sqrt(shapely.area(hull)))


def _wasserstein(first: Floats, second: Floats) -> float | None:
    if len(first) == 0 or len(second) == 0:
        return None
    return float(wasserstein_distance(first, second))


def _median(values: Floats) -> float | None:
    return float(np.median(values)) if len(values) else None


def _length(metres: float) -> str:
    """Return a length as people write it."""
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"


def _rounded_up(metres: float) -> str:
    """Return metres, rounded up to one or two digits."""
    step = 10 ** max(0, math.floor(math.log10(max(metres, 1.0))) - 1)
    return f"{math.ceil(metres / step) * step:.0f}"
