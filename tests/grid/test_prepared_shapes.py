"""Prepared geometries in several threads: equal answers, and no crash."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely

from hazardrank.grid.prepared_shapes import PreparedShapes

STAR = shapely.Point(0.1, 0.2).buffer(1000, quad_segs=500)

#: What crashed before each thread had its own: the first questions, asked at once.
MANY_THREADS = """
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import shapely

from hazardrank.grid import SurveyGrid
from hazardrank.labels.coverage import RecordShapes
from hazardrank.sources.area import Area

grid = SurveyGrid("EPSG:32633", 100, 5000, 44000, 64, 64)
middle = shapely.Point((grid.bounds[0] + grid.bounds[2]) / 2, (grid.bounds[1] + grid.bounds[3]) / 2)
blocks = list(grid.blocks(16))
with ThreadPoolExecutor(8) as pool:
    for size_m in range(500, 3000, 10):
        shape = middle.buffer(size_m, quad_segs=100)
        area = Area(grid, shape)
        n_inside = sum(pool.map(lambda block: int(area.inside(block).sum()), blocks))
        assert n_inside == int(Area(grid, shape).inside(grid).sum()), size_m
        records = RecordShapes(np.array([shape, middle.buffer(200)]), 100)
        covered = list(pool.map(lambda block: records.covered(block).area_m2.sum(), blocks))
        assert abs(sum(covered) - shape.area - middle.buffer(200).area) < 1, size_m
"""


def test_each_thread_gets_a_copy_of_its_own_equal_to_the_bit():
    shapes = np.array([STAR, shapely.box(0, 0, 1 / 3, 1)])
    prepared = PreparedShapes(shapes)
    here = prepared.here()
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(prepared.here).result()
    assert prepared.here() is here
    assert there is not here
    assert here[0] is not there[0]
    assert shapely.is_prepared(here).all()
    assert shapely.is_prepared(there).all()
    assert not shapely.is_prepared(shapes).any()
    assert shapely.to_wkb(here).tolist() == shapely.to_wkb(shapes).tolist()


def test_nothing_stays_nothing():
    assert PreparedShapes(None).here() is None


@pytest.mark.slow
def test_areas_and_records_answer_many_threads_at_once():
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", MANY_THREADS],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
