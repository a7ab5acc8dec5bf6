"""Cells that stand for the area where the model will be asked."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from hazardrank.commands.prepare import cells_on_a_lattice
from hazardrank.grid import SurveyGrid

#: Forty by sixty cells of 100 m.
GRID = SurveyGrid.covering("EPSG:32633", 100, (500_000, 4_900_000, 506_000, 4_904_000))


def test_all_cells_stand_for_themselves_where_they_are_few():
    points = cells_on_a_lattice(GRID, None, most=2400)
    np.testing.assert_array_equal(np.unique(points[:, 0]), GRID.eastings())
    assert len(points) == 2400


def test_every_tenth_cell_of_a_larger_area_stands_for_the_others():
    points = cells_on_a_lattice(GRID, None, most=24)
    assert len(points) == 4 * 6
    assert np.unique(np.diff(np.unique(points[:, 0]))).tolist() == [1000.0]


@pytest.mark.parametrize("most", [50, 500])
def test_points_lie_in_the_area_about_as_many_as_asked(most):
    triangle = shapely.Polygon([(500_000, 4_900_000), (506_000, 4_900_000), (500_000, 4_904_000)])
    points = cells_on_a_lattice(GRID, triangle, most=most)
    assert shapely.intersects_xy(triangle, points[:, 0], points[:, 1]).all()
    assert most / 2 < len(points) < 2 * most


def test_an_area_smaller_than_the_steps_still_has_points():
    dot = shapely.Point(503_000, 4_902_000).buffer(1)
    assert len(cells_on_a_lattice(GRID, dot, most=10)) > 0
