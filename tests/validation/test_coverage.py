import numpy as np
import pytest

from hazardrank.validation.coverage import UnitCounts, coverage

UNIT = np.repeat([5, 2, 9], [20, 40, 19])


def test_units_of_twenty_cells_and_more_count():
    contaminated = np.zeros(79, bool)
    contaminated[:3] = contaminated[20:30] = contaminated[60:] = True
    units = UnitCounts.of(UNIT, contaminated)
    assert units.n_contaminated.tolist() == [10, 3]
    np.testing.assert_allclose(units.expected(np.full(79, 0.1)), [4, 2])


@pytest.mark.parametrize(
    ("low", "high", "n_below", "n_above"),
    [
        # 40 cells with 10 found, 20 cells with 3 found; sums of ends rounded outwards.
        (0.10, 0.26, 0, 0),  # 4 … 11, 2 … 6
        (0.10, 0.22, 0, 1),  # 4 … 9, 2 … 5
        (0.26, 0.90, 1, 0),  # 10 … 36, 5 … 18
        (0.15, 0.15, 0, 1),  # 6 … 6, 3 … 3
        (0.19, 0.19, 0, 1),  # 7 … 8, 3 … 4
    ],
)
def test_coverage_by_hand(low, high, n_below, n_above):
    contaminated = np.zeros(79, bool)
    contaminated[:3] = contaminated[20:30] = True
    held = coverage(UNIT, contaminated, np.full(79, low), np.full(79, high))
    assert (held["n_below"], held["n_above"]) == (n_below, n_above)
    assert held["coverage"] == pytest.approx(1 - (n_below + n_above) / 2)
    assert held["mean_width"] == pytest.approx(high - low)


def test_a_unit_without_contamination_can_be_covered():
    held = coverage(UNIT, np.zeros(79, bool), np.full(79, 0.02), np.full(79, 0.5))
    assert held["coverage"] == 1  # 0.8 and 0.4 cells, rounded outwards to 0


def test_without_units_coverage_is_undefined():
    nothing = np.empty(0)
    held = coverage(np.empty(0, int), nothing > 0, nothing, nothing)
    assert (held["coverage"], held["n_units"], held["mean_width"]) == (None, 0, None)
