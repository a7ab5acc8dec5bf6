"""Intervals of the likelihood that hold on land left out, by conformal scaling over units.

An interval of a probability cannot be checked on one cell, which either holds ordnance or
does not. It can be checked on a unit of land (a block, a group): there the number of
contaminated cells should lie between the sums of the lower and of the upper ends.

Each cell first gets a half-width in log-odds, from how far its Venn–Abers bounds or the
members of the ensemble lie apart, plus the median half-width so that no cell is certain
(the normalised nonconformity of Papadopoulos, Gammerman & Vovk 2008). Then the half-widths
are scaled, below and above apart, until the inner held-out units are covered as often as
asked, with the rank of split-conformal prediction (Vovk, Gammerman & Shafer 2005) and units
instead of cells as what is exchangeable (Dunn, Wasserman & Ramdas 2023, *Distribution-free
prediction sets for two-layer hierarchical models*). For a unit exchangeable with those, and
a model as good as the inner ones, coverage is then at least the level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from hazardrank.errors import BundleError, ModelError
from hazardrank.model.calibration import (
    EDGE,
    Calibrator,
    HeldOutScores,
    calibrator_from_json,
    fit_calibrator,
    from_log_odds,
    shift_log_odds,
    to_log_odds,
)
from hazardrank.model.venn_abers import bounds_by_place, merged, places
from hazardrank.validation.coverage import MIN_UNIT_CELLS, UnitCounts
from hazardrank.validation.learner import Estimate

Floats = NDArray[np.float64]

_WIDEST = 60.0
"""Half-width in log-odds beyond which nothing changes any more."""
_STEPS_OF_SEARCH = 50
_CELLS_AT_ONCE = 8_192


@dataclass(frozen=True)
class Interval:
    """How wide the likelihood's interval is.

    Parameters
    ----------
    method : str
        ``venn_abers`` or ``ensemble``.
    level : float
        Share of units to be covered, in 0–1.
    low_scale, high_scale : float or None
        Scale of the half-widths below and above; ``None``: no bound on that side, because
        there were too few units to tell.
    softening : float
        Added to every half-width before scaling; log-odds.
    n_units : int
        Units of land behind the scales.
    venn_abers : Calibrator or None
        Gives the bounds of ``venn_abers``.
    note : str or None
        What the interval lacks, and why.
    """

    method: str
    level: float
    low_scale: float | None
    high_scale: float | None
    softening: float
    n_units: int
    venn_abers: Calibrator | None = None
    note: str | None = None

    def bounds(
        self, likelihood: Floats, score: Floats, spread: Floats | None, shift: float = 0.0
    ) -> tuple[Floats, Floats]:
        """Return the lower and upper end for each cell.

        Parameters
        ----------
        likelihood : ndarray of float64, shape (n,)
            Calibrated likelihoods, before any change of base rate.
        score : ndarray of float64, shape (n,)
            The scores they come from.
        spread : ndarray of float64, shape (n,), or None
            Standard deviation of the members' log-odds, for ``ensemble``.
        shift : float
            Change of base rate, in log-odds, of likelihood and ends alike.

        Returns
        -------
        low, high : ndarray of float64, shape (n,)
            ``0 < low <= likelihood <= high < 1``.
        """
        centre = to_log_odds(likelihood)
        down, up = self._steps(score, spread)
        low, high = np.subtract(centre, down, out=down), np.add(centre, up, out=up)
        if shift:
            low += shift
            high += shift
        shown = shift_log_odds(likelihood, shift)
        low, high = from_log_odds(low), from_log_odds(high)
        return np.minimum(low, shown, out=low), np.maximum(high, shown, out=high)

    def _steps(self, score: Floats, spread: Floats | None) -> tuple[Floats, Floats]:
        """Return how far each cell's ends lie from its likelihood, in log-odds."""
        if self.method == "ensemble":
            return self._scaled(*half_widths(self.method, score, spread, None))
        knot, down, up = self._step_tables
        place = places(np.clip(score, EDGE, 1 - EDGE), knot)
        return down.take(place), up.take(place)

    @cached_property
    def _step_tables(self) -> tuple[Floats, Floats, Floats]:
        """Knots, and by place among them what :meth:`_steps` returns."""
        assert self.venn_abers is not None
        knot, below, above = _width_tables(self.venn_abers)
        return knot, *self._scaled(below, above)

    def _scaled(self, below: Floats, above: Floats) -> tuple[Floats, Floats]:
        low_scale = np.inf if self.low_scale is None else self.low_scale
        high_scale = np.inf if self.high_scale is None else self.high_scale
        return low_scale * (below + self.softening), high_scale * (above + self.softening)

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :func:`interval_from_json` rebuilds this to the bit."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["venn_abers"] = None if self.venn_abers is None else self.venn_abers.to_json()
        return values


def interval_from_json(values: Mapping[str, Any]) -> Interval:
    """Rebuild an interval from :meth:`Interval.to_json`.

    Raises
    ------
    BundleError
        If a value is missing or impossible.
    """
    try:
        bounds = values["venn_abers"]
        interval = Interval(
            str(values["method"]),
            float(values["level"]),
            _maybe(values["low_scale"]),
            _maybe(values["high_scale"]),
            float(values["softening"]),
            int(values["n_units"]),
            None if bounds is None else calibrator_from_json(bounds),
            values["note"],
        )
        _check(interval)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"the interval cannot be read ({error!r})") from None
    return interval


def _maybe(number: Any) -> float | None:
    return None if number is None else float(number)


def _check(interval: Interval) -> None:
    if interval.method not in ("venn_abers", "ensemble"):
        raise ValueError(f"method {interval.method!r} is not venn_abers or ensemble")
    if not 0 < interval.level < 1:
        raise ValueError("the level is not in 0–1")
    for number in (interval.low_scale, interval.high_scale, interval.softening):
        if number is not None and not 0 <= number < math.inf:
            raise ValueError("a width is negative or not finite")


def fit_interval(
    method: str,
    level: float,
    calibrator: Calibrator,
    held_out: HeldOutScores,
    spread: Floats | None = None,
) -> Interval:
    """Scale half-widths until inner held-out units are covered as often as asked.

    Parameters
    ----------
    method : str
        ``venn_abers`` or ``ensemble``.
    level : float
        Share of units whose number of contaminated cells the interval is to hold. Half of
        the rest may fall below and half above; with too few units for that (fewer than
        ``2 / (1 - level) - 1``), both ends share one scale.
    calibrator : Calibrator
        From the held-out scores to likelihoods, without a change of base rate.
    held_out : HeldOutScores
        Scores of the inner folds, with their units.
    spread : ndarray of float64, shape (n,), optional
        Standard deviation of the members' log-odds, for ``ensemble``.

    Raises
    ------
    ModelError
        If ``ensemble`` is asked for without a spread.
    """
    if method == "ensemble" and spread is None:
        raise ModelError(
            "an interval from the ensemble needs at least two members",
            where="model.interval",
            remedy="Set model.members to 2 or more, or model.interval=venn_abers.",
        )
    bounds = None
    if method == "venn_abers":
        bounds = fit_calibrator(
            "venn_abers", held_out.score, held_out.contaminated, held_out.weight
        )
    below, above = half_widths(method, held_out.score, spread, bounds)
    softening = float(np.median(np.concatenate([below, above]))) if len(below) else 0.0
    softening = softening if softening > 0 else 1.0
    units = UnitCounts.of(held_out.unit, held_out.contaminated)
    centre = to_log_odds(calibrator.apply(held_out.score))
    needed_low = _needed(units, centre, -(below + softening))
    needed_high = _needed(units, centre, above + softening)
    low, high, note = _scales(needed_low, needed_high, level)
    return Interval(method, level, low, high, softening, units.n_units, bounds, note)


def half_widths(
    method: str, score: Floats, spread: Floats | None, venn_abers: Calibrator | None
) -> tuple[Floats, Floats]:
    """Return half-widths in log-odds below and above, before softening; NaN where missing."""
    if method == "ensemble":
        assert spread is not None
        return spread, spread
    assert venn_abers is not None
    knot, below, above = _width_tables(venn_abers)
    place = places(np.clip(score, EDGE, 1 - EDGE), knot)
    return below.take(place), above.take(place)


def _width_tables(venn_abers: Calibrator) -> tuple[Floats, Floats, Floats]:
    """Return knots, and half-widths in log-odds below and above by place among them."""
    if venn_abers.method != "venn_abers":
        nothing = np.array([0.0, np.nan])
        return np.empty(0), nothing, nothing
    knot, *steps = (np.array(venn_abers.parameters[name]) for name in ("score", "p0", "p1"))
    p0, p1 = bounds_by_place(*steps)
    middle = to_log_odds(venn_abers.finished(merged(p0, p1)))
    # The ends of the scale are left alone: log-odds of 0 and 1 would be infinite.
    least = 1e-4
    below = np.maximum(middle - logit(np.clip(p0, least, 1)), 0.0)
    above = np.maximum(logit(np.clip(p1, 0, 1 - least)) - middle, 0.0)
    return knot, below, above


def estimate(
    score: Floats, parts: Sequence[Floats], calibrator: Calibrator, interval: Interval | None
) -> Estimate:
    """Return likelihoods with their spread and interval.

    Parameters
    ----------
    score : ndarray of float64, shape (n,)
        The score to calibrate.
    parts : sequence of ndarray of float64, shape (n,)
        Scores of the members of the ensemble; fewer than two have no spread.
    calibrator : Calibrator
        From scores to likelihoods, with a change of base rate if there is one.
    interval : Interval or None
        How wide the interval is; ``None``: no interval.
    """
    plain = replace(calibrator, shift=0.0)
    whole = Estimate(
        np.empty(len(score)),
        np.empty(len(score)) if len(parts) > 1 else None,
        *(np.empty(len(score)) if interval is not None else None for _ in range(2)),
    )
    for first in range(0, len(score), _CELLS_AT_ONCE):
        cells = slice(first, first + _CELLS_AT_ONCE)
        some = [part[cells] for part in parts]
        found = _estimate(score[cells], some, plain, calibrator.shift, interval)
        for name, values in vars(found).items():
            if values is not None:
                getattr(whole, name)[cells] = values
    return whole


def _estimate(
    score: Floats, parts: list[Floats], plain: Calibrator, shift: float, interval: Interval | None
) -> Estimate:
    """Return what :func:`estimate` does, of cells few enough for the processor's cache."""
    likelihood = plain.apply(score)
    members = [plain.apply(part) for part in parts] if len(parts) > 1 else []
    low = high = spread = None
    if interval is not None:
        apart = deviation([to_log_odds(member) for member in members]) if members else None
        low, high = interval.bounds(likelihood, score, apart, shift)
    if members:
        spread = deviation([shift_log_odds(member, shift) for member in members])
    return Estimate(shift_log_odds(likelihood, shift), spread, low, high)


def deviation(parts: Sequence[Floats]) -> Floats:
    """Return the standard deviation over several values of each cell; 0 where they are equal."""
    values = np.array(parts)
    apart = np.std(values, axis=0, ddof=1)
    return np.where(np.max(values, axis=0) == np.min(values, axis=0), 0.0, apart)


def _needed(units: UnitCounts, centre: Floats, step: Floats) -> Floats:
    """Return the smallest scale at which each unit is covered on one side, by bisection."""
    least = np.zeros(units.n_units)
    most = np.full(units.n_units, _WIDEST / max(float(np.abs(step).min(initial=1.0)), 1e-6))
    outside = units.below if (step < 0).all() else units.above
    scale_of_cell = np.zeros(len(centre))

    def missed(scale: Floats) -> NDArray[np.bool_]:
        scale_of_cell[units.cells] = scale[units.unit]
        return outside(from_log_odds(centre + scale_of_cell * step))

    for _ in range(_STEPS_OF_SEARCH):
        middle = (least + most) / 2
        misses = missed(middle)
        least, most = np.where(misses, middle, least), np.where(misses, most, middle)
    return np.where(missed(np.zeros(units.n_units)), most, 0.0)


def _scales(
    below: Floats, above: Floats, level: float
) -> tuple[float | None, float | None, str | None]:
    """Return the scales of both sides, from what each unit needed."""
    n_units = len(below)
    each = _conformal_rank(n_units, (1 + level) / 2)
    if each is not None:
        return float(np.sort(below)[each]), float(np.sort(above)[each]), None
    both = _conformal_rank(n_units, level)
    if both is not None:
        scale = float(np.sort(np.maximum(below, above))[both])
        return scale, scale, f"{n_units} units: both ends share one scale"
    return (
        None,
        None,
        f"{n_units} units of at least {MIN_UNIT_CELLS} labelled cells are too few for an "
        f"interval of {level:.0%}: it says 0 to 1",
    )


def _conformal_rank(n: int, level: float) -> int | None:
    """Return the place (from 0) of the ``ceil((n + 1) level)``-th smallest; None if beyond n."""
    rank = math.ceil((n + 1) * level - 1e-9)
    return rank - 1 if rank <= n else None
