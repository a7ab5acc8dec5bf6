from __future__ import annotations

import numpy as np
import pytest
import shapely

from hazardrank.errors import PriorityError
from hazardrank.priority.land import draw_tasks, open_areas
from hazardrank.priority.likelihood_maps import open_maps
from hazardrank.settings import BarrierSettings, CandidateSettings, Role, TaskSettings
from tests.priority.cases import at, grid_of, layers_of, line, table_of
from tests.priority.map_cases import areas_of, write_maps

NAN = np.nan
GRID = grid_of(2, 4)
TASKS = TaskSettings(min_area_ha=1, max_area_ha=8, contrast=None)
NO_AREAS = areas_of([])


def square(row: int, col: int, n_rows: int = 1, n_cols: int = 1) -> shapely.Polygon:
    return shapely.box(*GRID.part(row, col, n_rows, n_cols).bounds)


def drawn(tmp_path, tasks=TASKS, records=NO_AREAS, layers=None, **maps):
    given = {
        "contamination_likelihood": np.full(GRID.shape, 0.2),
        "survey_status": np.full(GRID.shape, -1),
        **maps,
    }
    folder = write_maps(tmp_path, GRID, **given)
    layers = layers_of(GRID) if layers is None else layers
    return draw_tasks(open_maps(folder, GRID), layers, records, tasks, 3, lambda n: None)


def test_released_land_and_land_outside_the_area_is_in_no_task(tmp_path):
    status = [[-1, -1, 0, -128], [-1, 1, 0, -128]]
    land = drawn(tmp_path, survey_status=status)
    assert (land.tasks.labels >= 0).tolist() == [[True, True, False, False]] * 2
    assert (land.n_area, land.n_released, land.n_left_out) == (6, 2, 0)


def test_unknown_likelihood_counts_as_the_mean_and_is_never_left_out_as_low(tmp_path):
    likelihood = [[0.1, 0.3, NAN, NAN], [0.1, 0.3, 0.2, 0.2]]
    land = drawn(tmp_path, contamination_likelihood=likelihood)
    assert land.n_unjudged == 2
    assert (land.tasks.labels >= 0).all()
    assert land.unjudged.likelihood == pytest.approx(0.2)
    assert 0.099 < land.unjudged.low < 0.2 < land.unjudged.high < 0.301


def test_what_the_settings_leave_out_is_counted_but_hazard_areas_stay(tmp_path):
    likelihood = np.full(GRID.shape, 0.2)
    likelihood[:, :2] = 0.01
    few = TASKS.model_copy(update={"candidates": CandidateSettings(min_likelihood=0.1)})
    records = areas_of([square(0, 0)])
    land = drawn(tmp_path, few, records, contamination_likelihood=likelihood)
    assert (land.tasks.labels >= 0).tolist() == [
        [True, False, True, True],
        [False, False, True, True],
    ]
    assert land.n_left_out == 3
    assert land.on_record.sum() == 1


def test_tasks_carry_the_hazard_area_they_lie_in_confirmed_ones_first(tmp_path):
    shapes = [square(0, 0, 2, 2), square(0, 1, 2, 2), square(0, 3)]
    records = areas_of(shapes, ["SHA", "CHA", "SHA"], ["open", "unknown", "closed"])
    assert open_areas(records)["record_id"].tolist() == ["HA-1", "HA-0"]
    land = drawn(tmp_path, records=records)
    names = [land.hazard_names.get(int(k), "") for k in land.tasks.hazard_id]
    at_cell = np.array([*names, ""], dtype=object)[land.tasks.labels]
    assert at_cell.tolist() == [["HA-0", "HA-1", "HA-1", ""]] * 2


def test_a_hazard_area_smaller_than_a_cell_is_not_lost(tmp_path):
    tiny = at(GRID, 210, 10).buffer(5)
    land = drawn(tmp_path, records=areas_of([tiny]))
    assert np.argwhere(land.on_record).tolist() == [[0, 2]]


def test_tasks_stay_within_districts_and_on_one_side_of_roads(tmp_path):
    districts = table_of([square(0, 0, 2, 2), square(0, 2, 2, 2)], name=["West", "East"])
    layers = layers_of(
        GRID, districts=districts, roads=table_of([line(GRID, (-50, 100), (450, 100))])
    )
    barred = TASKS.model_copy(
        update={"districts": "districts", "barriers": {"roads": BarrierSettings(layer="roads")}}
    )
    land = drawn(tmp_path, barred, layers=layers)
    assert len(land.tasks) == 4
    assert [land.district_names[int(k)] for k in land.tasks.district] == ["West", "East"] * 2
    assert land.skipped == ()


def test_what_is_absent_is_told_or_refused(tmp_path):
    absent = TASKS.model_copy(
        update={
            "districts": "districts",
            "barriers": {"rivers": BarrierSettings(layer="rivers", when_absent="skip")},
        }
    )
    land = drawn(tmp_path, absent)
    assert len(land.skipped) == 2
    asked = TASKS.model_copy(update={"barriers": {"roads": BarrierSettings(layer="roads")}})
    with pytest.raises(PriorityError, match="no layer 'roads'"):
        drawn(tmp_path, asked)
    hazard = layers_of(GRID, role=Role.HAZARD, roads=table_of([line(GRID, (0, 0), (9, 9))]))
    with pytest.raises(PriorityError, match="role 'hazard'"):
        drawn(tmp_path, asked, layers=hazard)


def test_nothing_to_do_is_said(tmp_path):
    with pytest.raises(PriorityError, match="of 8 cells of the area none is left"):
        drawn(tmp_path, survey_status=np.zeros(GRID.shape))
    with pytest.raises(PriorityError, match="gives no land a likelihood"):
        drawn(tmp_path, contamination_likelihood=np.full(GRID.shape, NAN))
