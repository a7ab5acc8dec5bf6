from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import PriorityError
from hazardrank.priority.effort import Effort
from hazardrank.priority.tasks import make_tasks
from hazardrank.priority.tasks_outline import outlines
from hazardrank.priority.tasks_table import COLUMNS, TaskCells, TaskTotals, task_table
from hazardrank.priority.tasks_totals import Totals
from hazardrank.priority.tasks_words import nearest_places
from hazardrank.settings import TaskSettings
from tests.priority.cases import at, grid_of

NAN, INF = np.nan, np.inf


def two_tasks():
    """Two tasks of two cells of 1 ha, west and east; the second lies in hazard area 5."""
    grid = grid_of(1, 4)
    chosen = TaskSettings(min_area_ha=1, max_area_ha=4, contrast=None)
    land = {
        "district": np.full((1, 4), 2, np.int32),
        "hazard_id": np.array([[-1, -1, 5, 5]], np.int32),
    }
    return make_tasks(grid, np.ones((1, 4)), np.ones((1, 4), bool), chosen, **land)


def cells_of(grid, **changes) -> TaskCells:
    effort = Effort(
        ("manual", "mechanical"),
        np.array([[[30.0, 30, 30, 60]], [[1.0, INF, 1, 1]]]),
        np.array([[[0.0, 0, 0, 0]], [[3.0, INF, 3, 3]]]),
        np.array([[[90.0, 90, 90, 180]], [[10.0, INF, 10, 10]]]),
    )
    cells = TaskCells(
        grid,
        np.array([[0.2, 0.4, NAN, 0.1]]),
        np.array([[True, False, True, True]]),
        np.array([[[0.5, 1.0, 0.0, 0.25]]]),
        np.array([[[10.0, NAN, 0, 4]]]),
        effort,
        np.array([[0.1, 0.1, NAN, 0.0]]),
        np.array([[0.5, 0.9, NAN, 0.2]]),
    )
    return replace(cells, **changes)


def totals_of(tasks, cells) -> TaskTotals:
    totals = TaskTotals(tasks, ["people"], ["manual", "mechanical"])
    totals.add(cells)
    return totals


def test_the_table_by_hand():
    tasks = two_tasks()
    totals = totals_of(tasks, cells_of(tasks.grid))
    effort = totals.effort(min_usable_share=0.9)
    places = nearest_places(tasks.middles, np.array([at(tasks.grid, 50, 2050)]), ["Karsa"], 9e3)
    table = task_table(
        totals, effort, district_names={2: "North"}, hazard_names={5: "SHA-12"}, places=places
    )
    first, second = table.to_dict("records")
    assert (first["area_m2"], first["hazard_id"], first["district"]) == (20_000, "", "North")
    assert (second["hazard_id"], second["undersized"]) == ("SHA-12", False)
    assert first["expected_m2"] == pytest.approx(6_000)
    assert first["expected_low_m2"] == pytest.approx(2_000)
    assert first["expected_high_m2"] == pytest.approx(14_000)
    assert first["likelihood_mean"] == pytest.approx(0.3)
    assert first["likelihood_max"] == pytest.approx(0.4)
    assert (first["outside_domain_share"], first["unsurveyed_share"]) == (0.0, 0.5)
    assert (first["people"], first["people_quantity"]) == (0.75, 10.0)
    # The machine goes to half of the first task only, and is not offered there.
    assert (first["days_manual"], first["usable_mechanical"]) == (60, 0.5)
    assert np.isnan(first["days_mechanical"])
    assert (second["days_mechanical"], second["rest_days_mechanical"]) == (2, 6)
    assert first["location"] == "2.0 km N of Karsa"
    assert shapely.equals(table.geometry[0], shapely.box(*tasks.grid.part(0, 0, 1, 2).bounds))
    assert table.crs == "EPSG:32638"


def test_what_the_model_cannot_judge_is_not_zero():
    tasks = two_tasks()
    table = task_table(totals := totals_of(tasks, cells_of(tasks.grid)), totals.effort(1))
    second = table.iloc[1]
    assert second["outside_domain_share"] == 0.5
    assert second["likelihood_mean"] == pytest.approx(0.1)
    assert second["expected_m2"] == pytest.approx(1_000)
    unknown = cells_of(tasks.grid, likelihood=np.full((1, 4), NAN))
    table = task_table(totals := totals_of(tasks, unknown), totals.effort(1))
    assert table[["expected_m2", "likelihood_mean", "likelihood_max"]].isna().all(axis=None)
    assert table["outside_domain_share"].tolist() == [1, 1]


def test_the_rest_goes_to_the_best_other_method():
    tasks = two_tasks()
    effort = totals_of(tasks, cells_of(tasks.grid)).effort(min_usable_share=0.5)
    # The machine does one cell of the first task (1 day and 3 to follow up), deminers the other.
    assert effort.team_days[1].tolist() == [1, 2]
    assert effort.follow_up_days[1].tolist() == [33, 6]
    assert effort.cost_usd[1].tolist() == [100, 20]


def test_ground_that_no_method_can_go_to():
    tasks = two_tasks()
    never = np.full((2, 1, 4), INF)
    cells = cells_of(tasks.grid, effort=Effort(("manual", "mechanical"), never, never, never))
    totals = totals_of(tasks, cells)
    table = task_table(totals, totals.effort(0.5))
    assert table["days_manual"].isna().all()
    assert table["usable_manual"].tolist() == [0, 0]


def test_blocks_add_up_to_the_whole():
    tasks = two_tasks()
    whole = cells_of(tasks.grid)
    totals = TaskTotals(tasks, ["people"], ["manual", "mechanical"])
    for col in (0, 1, 3):
        width = {0: 1, 1: 2, 3: 1}[col]
        part = slice(col, col + width)
        totals.add(
            TaskCells(
                tasks.grid.part(0, col, 1, width),
                whole.likelihood[:, part],
                whole.unsurveyed[:, part],
                whole.values[..., part],
                whole.quantities[..., part],
                Effort(
                    whole.effort.methods,
                    whole.effort.team_days[..., part],
                    whole.effort.follow_up_days[..., part],
                    whole.effort.cost_usd[..., part],
                ),
                whole.likelihood_low[:, part],
                whole.likelihood_high[:, part],
            )
        )
    at_once = totals_of(tasks, whole)
    table, other = (task_table(t, t.effort(0.9)) for t in (totals, at_once))
    assert table.equals(other)


def test_every_column_is_documented():
    tasks = two_tasks()
    totals = totals_of(tasks, cells_of(tasks.grid))
    places = nearest_places(tasks.middles, np.array([at(tasks.grid, 0, 0)]), ["Karsa"], 9e3)
    table = task_table(totals, totals.effort(0.9), places=places)
    known = set()
    for column in COLUMNS:
        for method in ("manual", "mechanical"):
            known.add(column.replace("METHOD", method).replace("CRITERION", "people"))
    assert set(table.columns) == known | {"geometry"}


def test_a_criterion_may_not_take_a_columns_name():
    tasks = two_tasks()
    totals = TaskTotals(tasks, ["district"], ["manual", "mechanical"])
    totals.add(cells_of(tasks.grid))
    with pytest.raises(PriorityError, match="'district' has the name of a column"):
        task_table(totals, totals.effort(0.9))


def test_no_tasks():
    grid = grid_of(2, 2)
    tasks = make_tasks(grid, np.ones((2, 2)), np.zeros((2, 2), bool), TaskSettings())
    totals = TaskTotals(tasks, ["people"], ["manual"])
    table = task_table(totals, totals.effort(0.9))
    assert len(table) == 0
    assert table.crs == grid.crs


def test_totals_skip_what_is_not_known():
    totals = Totals.none(3)
    totals.add(np.array([[0, 0, 0, 1, -1]], np.int32), np.array([[1.0, NAN, -3, INF, 7]]))
    assert totals.total.tolist() == [-2, 0, 0]
    assert totals.n_known.tolist() == [2, 0, 0]
    assert np.array_equal(totals.largest, [1, NAN, NAN], equal_nan=True)
    assert np.array_equal(totals.mean, [-1, NAN, NAN], equal_nan=True)
    with pytest.raises(ValueError, match="values of shape"):
        totals.add(np.zeros((1, 2), np.int32), np.zeros((1, 3)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_outlines_are_valid_and_equal_the_union_of_their_cells(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 14, 2))
    candidate = rng.random(shape) < 0.7
    chosen = TaskSettings(min_area_ha=1, max_area_ha=float(rng.integers(4, 60)), contrast=None)
    tasks = make_tasks(grid_of(*shape), rng.random(shape), candidate, chosen)
    found = outlines(tasks)
    assert shapely.is_valid(found).all()
    assert shapely.area(found) == pytest.approx(tasks.area_m2)
    for number, outline in enumerate(found):
        row, col = np.nonzero(tasks.labels == number)
        easting, northing = tasks.grid.centres(row, col)
        squares = shapely.box(easting - 50, northing - 50, easting + 50, northing + 50)
        assert shapely.equals(outline, shapely.union_all(squares))
