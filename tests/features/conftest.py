"""Land and tilings that the families' tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hazardrank.features.base import FeatureFamily
from hazardrank.grid import SurveyGrid
from hazardrank.sources.layers import LayerReader

AssertTiling = Callable[[FeatureFamily, LayerReader, int, int], NDArray[np.float32]]


def _assert_same_whatever_the_tiling(
    family: FeatureFamily, layers: LayerReader, rows: int, cols: int
) -> NDArray[np.float32]:
    """Compare each block of `rows` × `cols` with the whole grid, bit by bit."""
    grid = layers.grid
    whole = family.compute(grid, layers)
    assert whole.shape == (len(family.specs), *grid.shape)
    assert whole.dtype == np.float32
    for row in range(0, grid.n_rows, rows):
        for col in range(0, grid.n_cols, cols):
            n_rows, n_cols = min(rows, grid.n_rows - row), min(cols, grid.n_cols - col)
            block = family.compute(grid.part(row, col, n_rows, n_cols), layers)
            expected = whole[:, row : row + n_rows, col : col + n_cols]
            assert np.ascontiguousarray(expected).tobytes() == block.tobytes()
    return whole


@pytest.fixture(scope="session")
def assert_same_whatever_the_tiling() -> AssertTiling:
    return _assert_same_whatever_the_tiling


@pytest.fixture(scope="session")
def grid() -> SurveyGrid:
    """A survey grid of 100 m cells, 23 rows and 31 columns."""
    return SurveyGrid("EPSG:32638", 100, 5003, 40007, 23, 31)
