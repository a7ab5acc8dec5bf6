from __future__ import annotations

import numpy as np
import pytest

from hazardrank.priority.consequence import build_consequence
from hazardrank.priority.criteria.base import ConsequenceInputs
from hazardrank.priority.gates import build_gates
from hazardrank.priority.ground import GroundReader
from hazardrank.priority.land import draw_tasks
from hazardrank.priority.likelihood_maps import open_maps
from hazardrank.priority.measure import Measures, measure_tasks
from hazardrank.settings import AnyCriterionSettings, EffortSettings, GateSettings, TaskSettings
from tests.priority.cases import TODAY, at, grid_of, layers_of, table_of
from tests.priority.map_cases import areas_of, write_maps
from tests.priority.test_effort import MANUAL

GRID = grid_of(7, 9)
EFFORT = EffortSettings(methods={"manual": MANUAL}, elevation="elevation", vegetation=None)


@pytest.fixture
def case(tmp_path):
    return case_of(tmp_path)


def case_of(tmp_path, released_rows=0):
    rng = np.random.default_rng(1)
    likelihood = rng.uniform(0, 1, GRID.shape)
    likelihood[3, 3:] = np.nan
    status = np.where(rng.random(GRID.shape) < 0.1, 0, -1)
    status[:released_rows] = 0
    folder = write_maps(
        tmp_path,
        GRID,
        contamination_likelihood=likelihood,
        likelihood_low=likelihood / 2,
        likelihood_high=np.sqrt(likelihood),
        survey_status=status,
    )
    wide = GRID.expanded(2)
    layers = layers_of(
        GRID,
        rasters={"elevation": (wide, rng.uniform(0, 30, wide.shape).astype(np.float32))},
        settlements=table_of([at(GRID, 300, 250)], people=[800.0]),
        secure=table_of([at(GRID, 0, 0).buffer(600)]),
    )
    criteria = {
        "people": AnyCriterionSettings.model_validate(
            {"criterion": "people", "curve": {"shape": "linear", "zero_at": 0, "one_at": 1000}}
        )
    }
    maps = open_maps(folder, GRID)
    records = areas_of([])
    settings = TaskSettings(min_area_ha=1, max_area_ha=9, contrast=2.0)
    land = draw_tasks(maps, layers, records, settings, 4, lambda n: None)
    consequence = build_consequence(criteria, layers.catalogue).prepare(
        ConsequenceInputs(layers, TODAY, records, land.on_record)
    )
    gates = build_gates({"secure": GateSettings(label="secure", layer="secure")}, layers.catalogue)
    ground = GroundReader(EFFORT, layers.catalogue, records)
    return land, Measures(maps, layers, consequence, ground, EFFORT, gates)


@pytest.mark.parametrize(("block_cells", "threads"), [(3, 1), (4, 3), (100, 2)])
def test_sums_depend_neither_on_blocks_nor_on_threads(case, block_cells, threads):
    land, measures = case
    first, totals = measure_tasks(land, measures, 5, 1, lambda block: None)
    other, again = measure_tasks(land, measures, block_cells, threads, lambda block: None)
    for name in ("likelihood", "consequence", "area_m2", "team_days"):
        one, two = getattr(first.alternatives, name), getattr(other.alternatives, name)
        np.testing.assert_allclose(one, two, rtol=1e-12)
    np.testing.assert_allclose(first.likelihood_low, other.likelihood_low, rtol=1e-12)
    np.testing.assert_allclose(first.open_share, other.open_share)
    np.testing.assert_allclose(totals.values[0].mean, again.values[0].mean, rtol=1e-12)
    assert 0 < first.open_share.mean() < 1
    assert (first.likelihood_low < first.likelihood_high).all()


def test_the_same_threads_give_the_same_bytes(case):
    land, measures = case
    one, two = (
        measure_tasks(land, measures, 3, threads, lambda block: None)[0] for threads in (1, 4)
    )
    assert one.alternatives.likelihood.tobytes() == two.alternatives.likelihood.tobytes()
    assert one.alternatives.consequence.tobytes() == two.alternatives.consequence.tobytes()


def test_blocks_without_a_task_are_measured_only_if_asked_for(tmp_path):
    land, measures = case_of(tmp_path, released_rows=3)
    seen = {True: [], False: []}
    for everywhere, grids in seen.items():

        def note(block, grids=grids):
            grids.append(block.grid)

        measure_tasks(land, measures, 3, 2, note, everywhere)
    assert seen[True] == list(GRID.blocks(3))
    assert seen[False] == seen[True][3:]
