"""Intervals by bootstrap over blocks: whole pieces of land are drawn again, never cells.

Cells are alike to their neighbours, so that drawing cells would give intervals many times
too narrow. Here the units of the folds (square blocks, districts, groups of a table) are
drawn with replacement, as many as there are, and every figure is computed anew as if each
unit stood there as often as it was drawn. All models are given the same draws, so that
their differences are paired.

The intervals speak of which land was held out. They do not repeat the learning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hazardrank.settings import FoldSettings
from hazardrank.validation.folds.blocks import block_codes
from hazardrank.validation.folds.maker import hazards_together
from hazardrank.validation.metrics import (
    CAPTURE_SHARES,
    FOUND_SHARES,
    LOG_LOSS_EPS,
    Flags,
    Values,
    reliability_bins,
)
from hazardrank.validation.training_set import TrainingSet

#: Ends of a 95 % interval.
TAILS = (0.025, 0.975)
#: Fewer units than this make intervals too narrow; the report then says so.
ENOUGH_UNITS = 20
#: An interval needs a figure in at least this share of the draws.
ENOUGH_DRAWS = 0.9
#: Cells times draws worked on at once (about 16 MB an array).
VALUES_AT_ONCE = 4_000_000

Index = NDArray[np.int64]
Draws = Mapping[str, Values]
"""Figure by name → its value in every draw, shape (n_draws,); NaN where undefined."""


@dataclass(frozen=True)
class Units:
    """The pieces of land that are drawn together.

    Parameters
    ----------
    unit : ndarray of int64, shape (n_cells,)
        Unit of each cell, 0 … n_units - 1.
    what : str
        What a unit is, in the plural.
    """

    unit: Index
    what: str

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Units:
        """Return the units of the cells at `index`, numbered anew."""
        return Units(np.unique(self.unit[index], return_inverse=True)[1], self.what)

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(self.unit.max(initial=-1)) + 1


def resampling_units(training: TrainingSet, folds: FoldSettings) -> Units:
    """Return the unit of each cell: its group where groups are held out, else its square block.

    All cells of a hazard belong to the unit that holds most of them, as with folds.

    Parameters
    ----------
    training : TrainingSet
        The cells and their groups.
    folds : FoldSettings
        ``groups`` takes the groups; any other method squares of ``size_m``.
    """
    cells = training.cells
    if folds.method == "groups" and training.groups is not None:
        names, what = training.groups.astype(str), "groups"
        code = np.unique(names, return_inverse=True)[1]
    else:
        code = block_codes(cells.easting, cells.northing, folds.size_m)
        code, what = (
            np.unique(code, return_inverse=True)[1],
            f"square blocks of {folds.size_m / 1000:g} km",
        )
    whole, _ = hazards_together(code.astype(np.int64), cells.hazard_id)
    return Units(np.unique(whole, return_inverse=True)[1], what)


@dataclass(frozen=True)
class Bootstrap:
    """Draws of units, and what every figure is in each of them.

    Parameters
    ----------
    units : Units
        Unit of each cell that was held out.
    times : ndarray of int32, shape (n_draws, n_units)
        How often each draw holds each unit.
    """

    units: Units
    times: NDArray[np.int32]

    @classmethod
    def of(cls, units: Units, n_draws: int, seed: int) -> Bootstrap:
        """Draw as many units as there are, with replacement, `n_draws` times."""
        n_units = units.n_units
        rng = np.random.default_rng([seed, 20_377])
        shares = np.full(n_units, 1 / max(n_units, 1))
        times = rng.multinomial(n_units, shares, size=n_draws if n_units > 1 else 0)
        return cls(units, times.astype(np.int32))

    def figures(self, contaminated: Flags, score: Values, likelihood: Values | None) -> Draws:
        """Return the figures of :func:`~hazardrank.validation.metrics.skill` in every draw.

        Equal to computing them of cells repeated as often as drawn, but for two: ``ece``
        keeps the bins of the cells as they are, and ``reverse_height`` their number of
        other cells, so that both answer one question in all draws.

        Parameters
        ----------
        contaminated : ndarray of bool, shape (n_cells,)
            Outcomes.
        score : ndarray of float64, shape (n_cells,)
            What ranks the cells.
        likelihood : ndarray of float64, shape (n_cells,), or None
            Probabilities.
        """
        figures = _ranking_figures(self, contaminated, score)
        figures["reverse_height"] = (1 - figures["roc_auc"]) * int((~contaminated).sum())
        if likelihood is not None:
            figures |= _likelihood_figures(self, contaminated, likelihood)
        return figures

    def about(self, contaminated: Flags, seed: int) -> dict[str, object]:
        """Return what ``metrics.json`` says of the draws."""
        unit, n_units = self.units.unit, self.units.n_units
        n_hit = len(np.unique(unit[contaminated]))
        return {
            "n_draws": len(self.times),
            "units": self.units.what,
            "n_units": n_units,
            "n_units_contaminated": n_hit,
            "seed": seed,
            "confidence": TAILS[1] - TAILS[0],
            "note": _too_few(self.units.what, n_units, n_hit),
        }


def _too_few(what: str, n_units: int, n_contaminated: int) -> str | None:
    if n_units < 2:
        return f"all held-out cells lie in {n_units} of the {what}: there are no intervals"
    if n_contaminated >= ENOUGH_UNITS:
        return None
    return (
        f"{n_contaminated} of {n_units} {what} hold contaminated cells; with fewer than "
        f"{ENOUGH_UNITS} the intervals are rough and tend to be too narrow"
    )


# ------------------------------------------------------------------ ranking figures

_RANKING = (
    "roc_auc",
    "pr_auc",
    *(f"capture_at_{100 * share:.0f}pct_area" for share in CAPTURE_SHARES),
    *(f"area_for_{100 * share:.0f}pct" for share in FOUND_SHARES),
)


@dataclass(frozen=True)
class _Order:
    """Cells in order of score, best first; cells of equal score are one level.

    Parameters
    ----------
    unit, level : ndarray of int64, shape (n_cells,)
        Unit and level of each cell in that order.
    hits : ndarray of int64
        Positions of the contaminated cells.
    hit_levels, first_hits : ndarray of int64
        Levels that hold any, and where in `hits` each of those begins.
    """

    unit: Index
    level: Index
    hits: Index
    hit_levels: Index
    first_hits: Index

    @classmethod
    def of(cls, unit: Index, contaminated: Flags, score: Values) -> _Order:
        order = np.argsort(-score, kind="stable")
        level = np.cumsum(np.diff(score[order], prepend=score[order[:1]]) != 0)
        hits = np.flatnonzero(contaminated[order])
        return cls(unit[order], level, hits, *np.unique(level[hits], return_index=True))

    def figures(self, times: NDArray[np.int32]) -> dict[str, NDArray[np.float64]]:
        """Return the ranking figures of some draws, NaN where undefined."""
        figures = {name: np.full(len(times), np.nan) for name in _RANKING}
        if len(self.hits) == 0:
            return figures
        n_tied, n_hits = self._counts(times)
        n_ranked = np.cumsum(n_tied, axis=1, dtype=np.int32)
        n_found = np.cumsum(n_hits, axis=1, dtype=np.int32)
        total, found = n_ranked[:, -1].astype(float), n_found[:, -1].astype(float)
        ranked, tied = n_ranked[:, self.hit_levels], n_tied[:, self.hit_levels]
        above = ranked - n_found - (tied - n_hits) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            wrong = np.einsum("ij,ij->i", n_hits, above) / (found * (total - found))
            mean = np.einsum("ij,ij->i", n_hits, n_found / np.maximum(ranked, 1)) / found
        both = (found > 0) & (found < total)
        figures["roc_auc"][both] = 1 - wrong[both]
        figures["pr_auc"][both] = mean[both]
        for row in np.flatnonzero(found > 0):
            self._area(int(row), n_ranked[row], n_found[row], figures)
        return figures

    def _counts(self, times: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return cells at each level, and contaminated ones at each level that holds any."""
        n_tied, n_hits = times[:, self.unit], times[:, self.unit[self.hits]]
        if self.level[-1] + 1 < len(self.level):
            first = np.flatnonzero(np.diff(self.level, prepend=-1))
            n_tied = np.add.reduceat(n_tied, first, axis=1)
            n_hits = np.add.reduceat(n_hits, self.first_hits, axis=1)
        return n_tied, n_hits

    def _area(
        self,
        row: int,
        n_ranked: NDArray[np.int32],
        n_found: NDArray[np.int32],
        figures: dict[str, NDArray[np.float64]],
    ) -> None:
        """Fill in capture and area needed of one draw, as ``metrics`` defines them."""
        ranked = np.append(n_ranked, 0)
        found = np.append(n_found, 0)
        total, contaminated = int(n_ranked[-1]), int(n_found[-1])
        for share in CAPTURE_SHARES:
            place = share * total
            level = int(np.searchsorted(n_ranked, place))
            steps = np.searchsorted(self.hit_levels, [level - 1, level], side="right") - 1
            before, after = found[steps]
            part = (place - ranked[level - 1]) / (ranked[level] - ranked[level - 1])
            captured = (before + part * (after - before)) / contaminated
            figures[f"capture_at_{100 * share:.0f}pct_area"][row] = captured
        for share in FOUND_SHARES:
            wanted = int(np.ceil(share * contaminated * (1 - 1e-12)))
            step = int(np.searchsorted(n_found, wanted))
            level = int(self.hit_levels[step])
            n_tied = ranked[level] - ranked[level - 1]
            n_hits = found[step] - found[step - 1]
            place = ranked[level - 1] + (wanted - found[step - 1]) * (n_tied + 1) / (n_hits + 1)
            figures[f"area_for_{100 * share:.0f}pct"][row] = place / total


def _ranking_figures(
    bootstrap: Bootstrap, contaminated: Flags, score: Values
) -> dict[str, NDArray[np.float64]]:
    order = _Order.of(bootstrap.units.unit, contaminated, score)
    n_together = max(1, VALUES_AT_ONCE // max(len(score), 1))
    parts = [
        order.figures(bootstrap.times[start : start + n_together])
        for start in range(0, len(bootstrap.times), n_together)
    ]
    return {name: np.concatenate([np.empty(0), *(p[name] for p in parts)]) for name in _RANKING}


# --------------------------------------------------------------- likelihood figures


def _likelihood_figures(
    bootstrap: Bootstrap, contaminated: Flags, likelihood: Values
) -> dict[str, NDArray[np.float64]]:
    """Return Brier score, log loss and calibration error in every draw."""
    unit, n_units = bootstrap.units.unit, bootstrap.units.n_units
    kept = np.clip(likelihood, LOG_LOSS_EPS, 1 - LOG_LOSS_EPS)
    loss = -np.log(np.where(contaminated, kept, 1 - kept))
    error = likelihood - contaminated
    bin_of_cell = np.empty(len(unit), np.int64)
    bins = reliability_bins(likelihood) if len(likelihood) else []
    for number, cells in enumerate(bins):
        bin_of_cell[cells] = number
    gaps = np.bincount(unit * len(bins) + bin_of_cell, error, n_units * len(bins))
    n_cells = bootstrap.times @ np.bincount(unit, minlength=n_units)
    summed = {
        "brier": bootstrap.times @ np.bincount(unit, error**2, n_units),
        "log_loss": bootstrap.times @ np.bincount(unit, loss, n_units),
        "ece": np.abs(bootstrap.times @ gaps.reshape(n_units, len(bins))).sum(axis=1),
    }
    return {name: values / n_cells for name, values in summed.items()}


def reliability_band(
    likelihood: Values, contaminated: Flags, unit: Index, n_draws: int = 500, seed: int = 0
) -> tuple[Values, Values]:
    """Return the 95 % interval of the share contaminated in each bin of likelihood.

    Units of land are drawn, the bins stay those of the cells as they are.

    Parameters
    ----------
    likelihood, contaminated, unit : ndarray, shape (n_cells,)
        Likelihood, outcome, and the unit of land each cell lies in.
    n_draws, seed : int, optional
        Draws, and the seed of them.

    Returns
    -------
    low, high : ndarray of float64, shape (n_bins,)
        For the bins of :func:`~hazardrank.validation.metrics.reliability_bins`; NaN where no
        draw holds a cell of the bin, and everywhere with a single unit.
    """
    _, number = np.unique(unit, return_inverse=True)
    bootstrap = Bootstrap.of(Units(number, "units of land"), n_draws, seed)
    bands = []
    for cells in reliability_bins(likelihood):
        of_unit = number[cells]
        held = bootstrap.times @ np.bincount(of_unit, minlength=bootstrap.units.n_units)
        found = bootstrap.times @ np.bincount(of_unit, contaminated[cells], bootstrap.units.n_units)
        shares = found[held > 0] / held[held > 0]
        bands.append(np.quantile(shares, TAILS) if len(shares) else np.full(2, np.nan))
    low, high = np.array(bands).reshape(-1, 2).T
    return low, high


# ------------------------------------------------------------------------ intervals


def interval(
    estimate: float | None, draws: Values, rises: bool = False
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval (Efron 1979).

    Parameters
    ----------
    estimate : float or None
        The figure of the cells as they are.
    draws : ndarray of float64, shape (n_draws,)
        The figure in each draw, NaN where undefined.
    rises : bool, optional
        Whether chance alone makes the figure greater, as it does the calibration error: the
        estimate is then too great, and the draws once more. The low end is mirrored about
        the estimate from the high one, and not below 0.

    Returns
    -------
    (float, float) or None
        Low and high end, the estimate between them; ``None`` without an estimate, or where
        fewer than nine in ten draws have the figure, or an end is infinite.
    """
    known = draws[~np.isnan(draws)]
    if estimate is None or len(known) == 0 or len(known) < ENOUGH_DRAWS * len(draws):
        return None
    low, high = np.quantile(known, TAILS, method="inverted_cdf")
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    if rises:
        low = max(0.0, 2 * estimate - high)
    return float(min(low, estimate)), float(max(high, estimate))


def intervals(values: Mapping[str, float | None], draws: Draws) -> dict[str, tuple[float, float]]:
    """Return the interval of every figure that has one."""
    found = {
        name: interval(values[name], draws[name], rises=name == "ece")
        for name in values
        if name in draws
    }
    return {name: ends for name, ends in found.items() if ends is not None}
