from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely

from hazardrank.errors import FeatureError, PriorityError, SettingsError
from hazardrank.priority.gates import build_gates
from hazardrank.settings import GateSettings, Role, validate
from tests.priority.cases import at, grid_of, layers_of, table_of

SECURE = GateSettings(label="area secure", layer="secure")
CONSENT = GateSettings(label="consent", attribute="consent", open_values=["Yes"])


def box(grid, west_m, east_m):
    return shapely.box(grid.west_m + west_m, grid.north_m - 100, grid.west_m + east_m, grid.north_m)


@pytest.fixture
def layers():
    grid = grid_of(1, 4)
    zones = table_of([box(grid, 0, 200), box(grid, 200, 300)], status=["secure", "contested"])
    return layers_of(grid, secure=zones, fire=table_of([box(grid, 100, 200)]))


def test_cells_inside_open_polygons(layers):
    gates = build_gates({"secure": SECURE}, layers.catalogue)
    assert gates.open_cells(layers.grid, layers).tolist() == [[[True, True, True, False]]]
    chosen = SECURE.model_copy(update={"where": {"status": ["secure"]}})
    gates = build_gates({"secure": chosen}, layers.catalogue)
    assert gates.open_cells(layers.grid, layers).tolist() == [[[True, True, False, False]]]


def test_polygons_may_close_land_instead(layers):
    fire = GateSettings(label="no fighting", layer="fire", opens="outside")
    gates = build_gates({"a": SECURE, "fire": fire}, layers.catalogue)
    found = gates.open_cells(layers.grid, layers)
    assert found[1].tolist() == [[True, False, True, True]]


def test_the_first_closed_gate_is_named(layers):
    gates = build_gates({"secure": SECURE, "consent": CONSENT}, layers.catalogue)
    share = np.array([[1.0], [0.49], [0.5], [0.0]])
    tasks = pd.DataFrame({"consent": ["yes", "yes", None, "no"]})
    decision = gates.decide(share, tasks)
    assert decision.open.tolist() == [True, False, False, False]
    assert decision.closed_by.tolist() == ["", "area secure", "consent", "area secure"]
    assert decision.counts() == {"area secure": 2, "consent": 1}


def test_tasks_on_which_no_method_can_be_used_wait_too(layers):
    gates = build_gates({"secure": SECURE}, layers.catalogue)
    workable = np.array([True, False, False])
    decision = gates.decide(np.array([[1], [1], [0]]), pd.DataFrame(index=range(3)), workable)
    assert decision.closed_by.tolist() == ["", "no method can be used here", "area secure"]
    assert decision.open.tolist() == [True, False, False]


def test_no_gate_leaves_all_open(layers):
    gates = build_gates({"secure": None}, layers.catalogue)
    assert gates.open_cells(layers.grid, layers).shape == (0, 1, 4)
    decision = gates.decide(np.empty((2, 0)), pd.DataFrame(index=range(2)))
    assert decision.open.all()
    assert decision.counts() == {}


def test_absent_layers_and_columns(layers):
    funded = GateSettings(label="funded", layer="projects", when_absent="skip")
    gates = build_gates({"funded": funded}, layers.catalogue)
    assert gates.skipped == ("gate 'funded' is not asked: the region has no layer projects",)
    strict = funded.model_copy(update={"when_absent": "error"})
    with pytest.raises(PriorityError, match=r"gates\.funded: there is no layer 'projects'"):
        build_gates({"funded": strict}, layers.catalogue)
    gates = build_gates({"consent": CONSENT}, layers.catalogue)
    with pytest.raises(PriorityError, match=r"tasks have no column 'consent' \(columns: a\)"):
        gates.decide(np.empty((1, 0)), pd.DataFrame({"a": [1]}))
    lax = CONSENT.model_copy(update={"when_absent": "skip"})
    tasks = pd.DataFrame({"a": [1]})
    assert build_gates({"consent": lax}, {}).decide(np.empty((1, 0)), tasks).open.all()


def test_layers_are_checked():
    grid = grid_of(1, 1)
    points = layers_of(grid, secure=table_of([at(grid, 1, 1)]))
    with pytest.raises(FeatureError, match=r"gates\.secure: .* is a layer of points"):
        build_gates({"secure": SECURE}, points.catalogue)
    hazard = layers_of(grid, role=Role.HAZARD, secure=table_of([box(grid, 0, 100)]))
    with pytest.raises(PriorityError, match=r"gates\.secure: layer 'secure' has the role 'hazard'"):
        build_gates({"secure": SECURE}, hazard.catalogue)


def test_the_tiling_changes_nothing(layers):
    gates = build_gates({"secure": SECURE}, layers.catalogue)
    whole = gates.open_cells(layers.grid, layers)
    for block in layers.grid.blocks(1):
        _, col = block.offset_in(layers.grid)
        assert gates.open_cells(block, layers)[:, 0, 0] == whole[:, 0, col]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label": "x"}, "needs a layer or an attribute, and not both"),
        ({"label": "x", "layer": "a", "attribute": "b"}, "not both"),
        ({"label": "x", "attribute": "b"}, "a gate on an attribute needs open_values"),
        ({"label": "x", "layer": "a", "open_values": ["y"]}, "a layer takes where"),
    ],
)
def test_gates_that_make_no_sense(values, message):
    with pytest.raises(SettingsError, match=message):
        validate(GateSettings, values, "gate")
