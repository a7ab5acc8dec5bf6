from __future__ import annotations

import numpy as np

from hazardrank.priority.ranked_table import significant


def test_numbers_have_six_digits_and_a_tenth_at_least():
    given = np.array([0.123456789, 1234567.89, -98.7654321, 0.0, np.nan, np.inf, 1.23456789e-12])
    expected = [0.123457, 1234567.9, -98.7654, 0.0, np.nan, np.inf, 1.23457e-12]
    np.testing.assert_array_equal(significant(given), expected)
