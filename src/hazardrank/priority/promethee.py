"""Net flows of PROMETHEE II without comparing every pair.

PROMETHEE compares every alternative with every other, so its usual form needs n² numbers:
10,000 tasks and 10 criteria would take 8 GB. The flow of one criterion only needs the values
in order: with prefix sums over the sorted values, those that an alternative beats fully,
partly and not at all are three stretches, found by bisection (Calders & Van Assche 2018,
Omega 76: 63–69, "PROMETHEE is not quadratic"). The result is the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def net_flows(values: FloatArray, indifference: float, preference: float) -> FloatArray:
    """Return each alternative's net flow by criterion.

    An alternative is preferred to another by 0 up to a difference of `indifference`, by 1
    from `preference` on, and in proportion between (Brans & Vincke 1985, Management Science
    31(6), criterion with linear preference and indifference area).

    Parameters
    ----------
    values : ndarray of float64, shape (n, n_criteria)
        Higher is better.
    indifference, preference : float
        Differences, 0 ≤ indifference ≤ preference.

    Returns
    -------
    ndarray of float64, shape (n, n_criteria)
        In -1…1: mean preference over the others less mean preference of the others over it.
        Weighted by criterion and added up it is the net flow of PROMETHEE II.
    """
    flows = np.empty_like(values)
    others = max(len(values) - 1, 1)
    for column in range(values.shape[1]):
        order = np.argsort(values[:, column])
        ordered = values[order, column]
        over = _preference_over_others(ordered, indifference, preference)
        under = _preference_over_others(-ordered[::-1], indifference, preference)[::-1]
        flows[order, column] = (over - under) / others
    return flows


def _preference_over_others(
    ordered: FloatArray, indifference: float, preference: float
) -> FloatArray:
    """Return the sum of each one's preference over all others, values rising."""
    partly_to = np.searchsorted(ordered, ordered - indifference, side="left")
    if preference <= indifference:
        return partly_to.astype(np.float64)
    fully_to = np.searchsorted(ordered, ordered - preference, side="right")
    fully_to = np.minimum(fully_to, partly_to)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    count = partly_to - fully_to
    differences = count * (ordered - indifference) - (sums[partly_to] - sums[fully_to])
    partly = np.clip(differences / (preference - indifference), 0.0, count)
    total: FloatArray = fully_to + partly
    return total
