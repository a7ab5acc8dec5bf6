"""A season's finds against the ranking it went by: hits, misses, drift, and a verdict.

Three questions, each with what can answer it:

- Did the ranking put contaminated land first, *on the ground that was worked*? Hit rates and
  false alarms at budgets, beside a plain ranking by distance to known hazard on the same
  ground. Where teams go by the ranking this ground is not like the rest.
- What did it miss, on all land? Only the units drawn at random with known chances can tell
  (:mod:`hazardrank.validation.random_share`).
- Do likelihoods still hold? Observed over expected, the slope of the log-odds (Cox 1958), and
  bins; likelihoods are given, so that working likely land first is no bias here, but going by
  what teams knew besides is.

Intervals are 95 %, from whole squares of land drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from hazardrank.priority.review_ground import Flags, Index, Values, WorkedGround
from hazardrank.settings import ReviewSettings
from hazardrank.validation.bootstrap import Bootstrap, Units, interval, reliability_band
from hazardrank.validation.folds.blocks import block_codes
from hazardrank.validation.metrics import LOG_LOSS_EPS, reliability_bins, roc_auc
from hazardrank.validation.random_share import Sampled, ratio

M2_PER_HA = 1e4
#: Bins of likelihood that the calibration slope is fitted to, and steps of Newton's method.
SLOPE_BINS, SLOPE_STEPS = 40, 25

Figure = dict[str, Any]


@dataclass(frozen=True)
class Review:
    """All figures of a season, ready to be written.

    Parameters
    ----------
    counts : mapping
        Cells and hectares worked, ranked and contaminated, and squares of land.
    budgets : list of mapping
        Hit rates and false alarms by ranking and budget.
    against_distance : mapping
        ROC-AUC of the ranking and of distance, and their difference.
    calibration : mapping or None
        Observed over expected, slope and bins; ``None`` where the map gives no likelihoods.
    recall : mapping or None
        What the random share says of all land; ``None`` without a survey plan.
    """

    counts: Figure
    budgets: list[Figure]
    against_distance: Figure
    calibration: Figure | None
    recall: Figure | None
    notes: list[str] = field(default_factory=list)


def review(
    ground: WorkedGround,
    settings: ReviewSettings,
    is_likelihood: bool,
    plan: gpd.GeoDataFrame | None = None,
) -> Review:
    """Return all figures.

    Parameters
    ----------
    ground : WorkedGround
        What was found, and what the ranking had said.
    settings : ReviewSettings
        Budgets, draws, and what counts as surveyed.
    is_likelihood : bool
        Whether the ranking's values are likelihoods.
    plan : GeoDataFrame, optional
        The survey plan whose units `ground` knows.
    """
    ranked = ground.ranked
    codes = block_codes(ground.easting[ranked], ground.northing[ranked], settings.block_m)
    unit = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    squares = Units(unit, f"squares of {settings.block_m / 1000:g} km")
    bootstrap = Bootstrap.of(squares, settings.bootstrap, settings.seed)
    contaminated, score = ground.contaminated[ranked], ground.score[ranked]
    by_distance = ground.by_distance[ranked]
    return Review(
        _counts(ground, bootstrap),
        _budgets(contaminated, score, by_distance, bootstrap, settings, ground.cell_area_m2),
        _ranking(contaminated, score, by_distance, bootstrap),
        _calibration(contaminated, score, bootstrap, settings) if is_likelihood else None,
        None if plan is None else _recall(ground, settings, plan, is_likelihood),
    )


def _counts(ground: WorkedGround, bootstrap: Bootstrap) -> Figure:
    ranked, hectares = ground.ranked, ground.cell_area_m2 / M2_PER_HA
    held = np.unique(bootstrap.units.unit[ground.contaminated[ranked]])
    return {
        "worked_ha": len(ground) * hectares,
        "contaminated_ha": int(ground.contaminated.sum()) * hectares,
        "unranked_ha": int((~ranked).sum()) * hectares,
        "unranked_contaminated_ha": int(ground.contaminated[~ranked].sum()) * hectares,
        "n_cells": int(ranked.sum()),
        "n_cells_contaminated": int(ground.contaminated[ranked].sum()),
        "n_squares": bootstrap.units.n_units,
        "n_squares_contaminated": len(held),
    }


# ------------------------------------------------------------------ on worked ground


def membership(asked: Values, ranked: NDArray[np.floating], n_first: float) -> Values:
    """Return how far each value belongs to the first `n_first` of all that are ranked, 0–1.

    Among equal values any order is as likely as another, so those across the limit belong
    in part.

    Parameters
    ----------
    asked : ndarray of float64, shape (n,)
        Values; NaN does not belong.
    ranked : ndarray of float, shape (n_ranked,)
        All values in ascending order.
    n_first : float
        How many come first.
    """
    kind = ranked.dtype.type
    value = asked.astype(kind)
    above = len(ranked) - np.searchsorted(ranked, value, side="right")
    tied = len(ranked) - np.searchsorted(ranked, value, side="left") - above
    part: Values = np.clip((n_first - above) / np.maximum(tied, 1), 0.0, 1.0)
    return np.where(np.isnan(asked), 0.0, part)


def _budgets(
    contaminated: Flags,
    score: Values,
    by_distance: Values,
    bootstrap: Bootstrap,
    settings: ReviewSettings,
    cell_m2: float,
) -> list[Figure]:
    rows: list[Figure] = []
    for share in settings.budget_shares if len(score) else ():
        worked = share * len(score)
        for name, values in {"ranking": score, "distance_to_known_hazard": by_distance}.items():
            part = membership(values, np.sort(values), worked)
            hits = float(part @ contaminated)
            draws = _quotient(bootstrap, part * contaminated, part)
            ends = interval(hits / worked, draws)
            rows.append(
                {
                    "by": name,
                    "budget_share": share,
                    "worked_ha": worked * cell_m2 / M2_PER_HA,
                    "contaminated_ha": hits * cell_m2 / M2_PER_HA,
                    "hit_rate": hits / worked,
                    "hit_rate_low": None if ends is None else ends[0],
                    "hit_rate_high": None if ends is None else ends[1],
                    "ha_per_contaminated_ha": worked / hits if hits else None,
                    "false_alarm_m2": (worked - hits) * cell_m2,
                    "share_of_found": hits / contaminated.sum() if contaminated.any() else None,
                }
            )
    return rows


def _quotient(bootstrap: Bootstrap, above: Values, below: Values) -> Values:
    """Return Σ above / Σ below in every draw, NaN where there is nothing below."""
    unit, n_units = bootstrap.units.unit, bootstrap.units.n_units
    top = bootstrap.times @ np.bincount(unit, above, n_units)
    base = bootstrap.times @ np.bincount(unit, below, n_units)
    quotient = np.full(len(base), np.nan)
    np.divide(top, base, out=quotient, where=base > 0)
    return quotient


def _ranking(
    contaminated: Flags, score: Values, by_distance: Values, bootstrap: Bootstrap
) -> Figure:
    """Return ROC-AUC of both rankings and what the first has over the second."""
    own, plain = roc_auc(contaminated, score), roc_auc(contaminated, by_distance)
    if own is None or plain is None:
        return {"roc_auc": None, "roc_auc_distance": None, "difference": None, "interval": None}
    draws = [bootstrap.figures(contaminated, v, None)["roc_auc"] for v in (score, by_distance)]
    return {
        "roc_auc": own,
        "roc_auc_distance": plain,
        "difference": own - plain,
        "interval": interval(own - plain, draws[0] - draws[1]),
    }


# ------------------------------------------------------------------ calibration


def _calibration(
    contaminated: Flags, likelihood: Values, bootstrap: Bootstrap, settings: ReviewSettings
) -> Figure:
    found = contaminated.astype(np.float64)
    expected = float(likelihood.sum())
    observed = found.sum() / expected if expected > 0 else None
    slope, slopes = _slopes(contaminated, likelihood, bootstrap)
    return {
        "expected_cells": expected,
        "found_cells": int(found.sum()),
        "observed_over_expected": None if observed is None else float(observed),
        "observed_over_expected_interval": interval(
            observed, _quotient(bootstrap, found, likelihood)
        ),
        "slope": slope,
        "slope_interval": interval(slope, slopes),
        "bins": _bins(contaminated, likelihood, bootstrap.units.unit, settings),
    }


def _bins(
    contaminated: Flags, likelihood: Values, unit: Index, settings: ReviewSettings
) -> list[Figure]:
    if len(likelihood) == 0:
        return []
    low, high = reliability_band(likelihood, contaminated, unit, settings.bootstrap, settings.seed)
    return [
        {
            "likelihood_mean": float(likelihood[cells].mean()),
            "contaminated_share": float(contaminated[cells].mean()),
            "low": None if np.isnan(low[k]) else float(low[k]),
            "high": None if np.isnan(high[k]) else float(high[k]),
            "n_cells": len(cells),
        }
        for k, cells in enumerate(reliability_bins(likelihood))
    ]


def _slopes(
    contaminated: Flags, likelihood: Values, bootstrap: Bootstrap
) -> tuple[float | None, Values]:
    """Return the slope of outcome on the log-odds of the likelihood, and in every draw.

    Cells are taken together in bins of likelihood first, which changes little and lets
    all draws be fitted at once.
    """
    n_units = bootstrap.units.n_units
    none = np.full(len(bootstrap.times), np.nan)
    bins = reliability_bins(likelihood, n_bins=SLOPE_BINS) if len(likelihood) else []
    if len(bins) < 3 or not 0 < contaminated.mean() < 1:
        return None, none
    clipped = np.clip(likelihood, LOG_LOSS_EPS, 1 - LOG_LOSS_EPS)
    odds = np.array([np.log(clipped[c] / (1 - clipped[c])).mean() for c in bins])
    held, found = np.zeros((2, n_units, len(bins)))
    for number, cells in enumerate(bins):
        unit = bootstrap.units.unit[cells]
        held[:, number] = np.bincount(unit, minlength=n_units)
        found[:, number] = np.bincount(unit, contaminated[cells], n_units)
    times = np.vstack([np.ones((1, n_units)), bootstrap.times])
    slopes = _fit_slopes(odds, times @ held, times @ found)
    return (None if np.isnan(slopes[0]) else float(slopes[0])), slopes[1:]


def _fit_slopes(odds: Values, held: Values, found: Values) -> Values:
    """Return slopes of logistic regressions on `odds`, one for each row; NaN where undefined.

    Newton's method; steps are kept within 2, so that separated outcomes do not run off.
    """
    line = np.zeros((2, len(held)))
    for _ in range(SLOPE_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(line[0][:, None] + line[1][:, None] * odds, -30, 30)))
        lack, weight = found - held * chance, held * chance * (1 - chance)
        gradient = np.stack([lack.sum(axis=1), lack @ odds])
        flat, mixed, steep = weight.sum(axis=1), weight @ odds, weight @ odds**2
        room = flat * steep - mixed**2
        room = np.where(room > 1e-12, room, np.nan)
        step = np.stack(
            [
                (steep * gradient[0] - mixed * gradient[1]) / room,
                (flat * gradient[1] - mixed * gradient[0]) / room,
            ]
        )
        line = line + np.clip(step, -2, 2)
    settled = np.abs(step).max(axis=0) < 1e-6
    return np.where(settled, line[1], np.nan)


# ------------------------------------------------------------------ on all land


def _recall(
    ground: WorkedGround, settings: ReviewSettings, plan: gpd.GeoDataFrame, is_likelihood: bool
) -> Figure:
    """Return what the selected units say of all land of the survey plan."""
    n_units, inside = len(plan), ground.unit >= 0
    unit, hectares = ground.unit[inside], ground.cell_area_m2 / M2_PER_HA
    first = membership(ground.score, ground.mapped, settings.recall_share * len(ground.mapped))
    held = ground.contaminated.astype(np.float64)[inside] * hectares
    whole = np.bincount(unit, held, n_units).astype(np.float64)
    top = np.bincount(unit, first[inside] * held, n_units).astype(np.float64)
    worked = np.bincount(unit, minlength=n_units)
    surveyed = worked >= np.maximum(settings.surveyed_from * ground.unit_cells, 1)
    by = plan["selected_by"].to_numpy(dtype=object)
    sampled, seen = _sampled(plan, by, surveyed)
    share = ratio(sampled, top[seen], whole[seen])
    variance = sampled.variance(whole[seen])
    drawn = by == "random"
    return {
        "area_share": settings.recall_share,
        "recall": share.value,
        "standard_error": share.standard_error,
        "interval": share.interval,
        "contaminated_ha": sampled.total(whole[seen]) if len(seen) else None,
        "contaminated_ha_standard_error": None if np.isnan(variance) else float(variance**0.5),
        "likelihoods_add_up_to_ha": float(ground.mapped.sum(dtype=np.float64)) * hectares
        if is_likelihood
        else None,
        "n_units": n_units,
        "n_random": int(drawn.sum()),
        "n_random_surveyed": int((drawn & surveyed).sum()),
        "n_random_contaminated": int((drawn & surveyed & (whole > 0)).sum()),
        "n_value": int((by == "value").sum()),
        "n_value_surveyed": int(((by == "value") & surveyed).sum()),
    }


def _sampled(
    plan: gpd.GeoDataFrame, by: NDArray[np.object_], surveyed: Flags
) -> tuple[Sampled, Index]:
    """Return the selected units that were surveyed, with their probabilities.

    Where some of a stratum's units were not surveyed, the others stand for them: the
    probability is multiplied by the share surveyed, as if those had been left out at random.
    """
    stratum = np.where(by == "value", "", plan["stratum"].fillna("").to_numpy(dtype=object))
    code = np.unique(stratum.astype(str), return_inverse=True)[1].astype(np.int64)
    chance = plan["selection_probability"].to_numpy(dtype=float).copy()
    selected, by_value = by != "none", by == "value"
    for number in np.unique(code[selected]):
        here = selected & (code == number)
        chance[here] *= surveyed[here].mean()
    code[by_value] = np.where(surveyed[by_value].all(), -1, code[by_value])
    seen = np.flatnonzero(selected & surveyed)
    return Sampled(code[seen], chance[seen]), seen
