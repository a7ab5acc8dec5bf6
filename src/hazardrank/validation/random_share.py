"""A stratified random sample with known chances, and what it says of the whole.

The design. Some units are chosen for their value, without chance: a stratum that is taken
whole (selection probability 1). All other units fall into strata, and from stratum *h* of
``N_h`` units exactly ``n_h`` are drawn without replacement, each set of ``n_h`` as likely as
any other. A unit's selection probability is therefore ``n_h / N_h`` exactly, whether it was
drawn or not, and since every stratum gives at least one unit none is 0. Sums over the selected
units of what was found, each divided by its selection probability (Horvitz & Thompson 1952),
are then without bias for all units, whatever the ranking was and however wrong it is.
Variances are those of stratified sampling (Särndal, Swensson & Wretman 1992, 3.7 and 5.6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Index = NDArray[np.int64]

#: Shares below this count as this where strata are given their part of the sample.
LEAST_SHARE = 0.01
#: Units wanted in each stratum: with one alone its variance is not known.
WANTED = 2
NORMAL_95 = 1.959964


def allocate(sizes: Index, shares: Values, n_drawn: int) -> Index:
    """Return how many units to draw from each stratum.

    In proportion to ``N_h · √(p_h (1 - p_h))`` (Neyman 1934, with the expected share `p_h`
    that is contaminated and 0.01 at least, so that strata thought harmless are looked at too);
    two from each stratum first where the number allows, else one.

    Parameters
    ----------
    sizes : ndarray of int64, shape (n_strata,)
        Units of each stratum, 1 or more.
    shares : ndarray of float64, shape (n_strata,)
        Expected share contaminated.
    n_drawn : int
        Units to draw in all; at least one for each stratum.

    Returns
    -------
    ndarray of int64, shape (n_strata,)
        Adds up to `n_drawn`, or to all units where there are fewer.

    Raises
    ------
    ValueError
        If there are fewer units to draw than strata.
    """
    if n_drawn < len(sizes):
        raise ValueError(f"{n_drawn} units cannot be drawn from {len(sizes)} strata")
    least = WANTED if n_drawn >= WANTED * len(sizes) else 1
    given = np.minimum(sizes, least)
    expected = np.clip(shares, LEAST_SHARE, 1 - LEAST_SHARE)
    wish = sizes * np.sqrt(expected * (1 - expected))
    for _ in range(min(n_drawn, int(sizes.sum())) - int(given.sum())):
        # The next unit goes where the sample is thinnest for its wish (Sainte-Laguë).
        behind = np.where(given < sizes, wish / (2 * given + 1), -1.0)
        given[int(np.argmax(behind))] += 1
    return given


def draw(stratum: Index, n_of: Index, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw ``n_of[h]`` units from each stratum, without replacement.

    Parameters
    ----------
    stratum : ndarray of int64, shape (n_units,)
        Stratum of each unit, 0 … n_strata - 1; -1 for units that are not drawn from.
    n_of : ndarray of int64, shape (n_strata,)
        Units to draw.
    rng : Generator
        Where chance comes from.

    Returns
    -------
    ndarray of bool, shape (n_units,)
        Which units were drawn.
    """
    drawn = np.zeros(len(stratum), bool)
    for number, n_drawn in enumerate(n_of):
        members = np.flatnonzero(stratum == number)
        drawn[rng.choice(members, int(n_drawn), replace=False)] = True
    return drawn


@dataclass(frozen=True)
class Sampled:
    """Units that were selected and looked at.

    Parameters
    ----------
    stratum : ndarray of int64, shape (n,)
        Stratum of each unit; -1 for units that are taken whole, for their value.
    probability : ndarray of float64, shape (n,)
        Selection probability; 1 where the stratum is -1.
    """

    stratum: Index
    probability: Values

    def total(self, found: Values) -> float:
        """Return what all units together hold, estimated (Horvitz & Thompson 1952)."""
        return float(np.sum(found / self.probability))

    def variance(self, found: Values) -> float:
        """Return the variance of :meth:`total`; NaN if a stratum of several gave one unit."""
        variance = 0.0
        for number in np.unique(self.stratum[self.stratum >= 0]):
            here = self.stratum == number
            n_here, share = int(here.sum()), float(self.probability[here][0])
            if share >= 1:
                continue
            if n_here < WANTED:
                return float("nan")
            spread = float(np.var(found[here], ddof=1))
            variance += n_here * (1 - share) / share**2 * spread
        return variance


@dataclass(frozen=True)
class Ratio:
    """A share, estimated from sampled units.

    Parameters
    ----------
    value : float or None
        The share; ``None`` where the sample holds none of what it is a share of.
    standard_error : float or None
        By linearisation; ``None`` where it is not known.
    """

    value: float | None
    standard_error: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval within 0–1, by the normal approximation of the log-odds.

        ``None`` where the share is 0 or 1 or its error not known: the sample then says too
        little for an interval.
        """
        if self.value is None or not self.standard_error or not 0 < self.value < 1:
            return None
        odds = np.log(self.value / (1 - self.value))
        reach = NORMAL_95 * self.standard_error / (self.value * (1 - self.value))
        low, high = 1 / (1 + np.exp(-(odds + np.array([-reach, reach]))))
        return float(low), float(high)


def ratio(sampled: Sampled, part: Values, whole: Values) -> Ratio:
    """Return the share that `part` has of `whole` over all units (Hájek 1971).

    Parameters
    ----------
    sampled : Sampled
        The units.
    part, whole : ndarray of float64, shape (n,)
        What each holds, such as the contaminated area among the best ranked cells, and all
        contaminated area.
    """
    total = sampled.total(whole)
    if total <= 0:
        return Ratio(None, None)
    value = sampled.total(part) / total
    variance = sampled.variance(part - value * whole)
    error = None if np.isnan(variance) else float(np.sqrt(variance)) / total
    return Ratio(value, error)
