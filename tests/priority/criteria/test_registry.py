from __future__ import annotations

import numpy as np
import pytest

from hazardrank.errors import PriorityError
from hazardrank.grid import SurveyGrid
from hazardrank.priority.criteria.base import ConsequenceInputs
from hazardrank.priority.criteria.registry import CRITERIA
from hazardrank.settings import CriterionSettings, Role
from tests.priority.cases import (
    CRS,
    TODAY,
    accidents_of,
    criterion_of,
    grid_of,
    layers_of,
    line,
    random_places,
    table_of,
)

#: What each criterion must be told beyond its defaults.
GIVEN = {
    "people": {},
    "returns": {},
    "land_use": {"classes": {"cropland": 1.0, "grassland": 0.5}},
    "raster": {"layer": "density", "curve": {"shape": "linear", "zero_at": 0, "one_at": 9}},
    "nearness": {"layer": "returns", "half_life_years": 1, "cap_m": 700},
    "accidents": {},
    "access": {},
}


@pytest.fixture(scope="module")
def grid():
    return grid_of(19, 23)


def region(grid, role=Role.BOTH):
    """A region with every layer that some criterion reads."""
    rng = np.random.default_rng(5)
    fine = SurveyGrid(CRS, 50, 2 * grid.west_cell, 2 * grid.north_cell, 38, 46)
    density = rng.uniform(0, 9, grid.shape).astype(np.float32)
    density[3:6, 4:9] = np.nan
    homes = random_places(rng, 12, grid)
    roads = [line(grid, (0, 0), (2300, 1900)), line(grid, (0, 1900), (2300, 0))]
    return layers_of(
        grid,
        role=role,
        rasters={"density": (grid, density)},
        classes={1: "cropland", 2: "grassland"},
        categorical={"land_cover": (fine, rng.integers(0, 4, fine.shape).astype(np.uint8))},
        settlements=table_of(homes, people=[9000.0, *rng.integers(0, 500, 11).astype(float)]),
        returns=table_of(
            random_places(rng, 9, grid),
            households=rng.integers(1, 90, 9).astype(float),
            planned=["2024-01-01", "2026-03-01", None] * 3,
            status=["planned"] * 9,
        ),
        roads=table_of(roads),
    )


def inputs_of(layers):
    rng = np.random.default_rng(6)
    records = accidents_of(random_places(rng, 8, layers.grid), ["2024-01-01"] * 8)
    land = rng.random(layers.grid.shape) < 0.3
    return ConsequenceInputs(layers, TODAY, records, land)


def test_every_criterion_is_tested_here():
    assert set(GIVEN) == set(CRITERIA)


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("side", [1, 7, 16])
def test_the_tiling_changes_no_bit(name, side, grid):
    layers = region(grid)
    compute = criterion_of(name, layers, **GIVEN[name]).prepare(inputs_of(layers))
    whole = compute(grid)
    blocks = list(grid.blocks(side))[:: 1 if side > 1 else 17]
    for block in blocks:
        row, col = block.offset_in(grid)
        part = np.s_[row : row + block.n_rows, col : col + block.n_cols]
        for found, expected in zip(compute(block), whole, strict=True):
            assert found.dtype == np.float32
            assert found.tobytes() == np.ascontiguousarray(expected[part]).tobytes()


@pytest.mark.parametrize("name", CRITERIA)
def test_values_lie_in_0_to_1_and_are_missing_only_with_the_quantity(name, grid):
    layers = region(grid)
    found = criterion_of(name, layers, **GIVEN[name]).prepare(inputs_of(layers))(grid)
    assert np.array_equal(np.isnan(found.value), np.isnan(found.quantity))
    known = found.value[~np.isnan(found.value)]
    assert known.min() >= 0
    assert 0 < known.max() <= 1


@pytest.mark.parametrize("name", [name for name in CRITERIA if name != "accidents"])
def test_hazard_layers_are_refused_and_consequence_layers_read(name, grid):
    with pytest.raises(PriorityError, match=r"criteria\.this: layer '.*' has the role 'hazard'"):
        criterion_of(name, region(grid, Role.HAZARD), **GIVEN[name])
    assert criterion_of(name, region(grid, Role.CONSEQUENCE), **GIVEN[name]).needs


@pytest.mark.parametrize("name", CRITERIA)
def test_settings_know_their_criterion_and_explain_every_key(name):
    kind = CRITERIA[name].settings_type
    assert issubclass(kind, CriterionSettings)
    assert kind.model_config["extra"] == "forbid"
    fields = kind.model_fields
    assert [key for key, field in fields.items() if not field.description] == []


@pytest.mark.parametrize("name", CRITERIA)
def test_specs_name_unit_layers_and_curve(name, grid):
    spec = criterion_of(name, region(grid), **GIVEN[name]).spec
    assert (spec.name, spec.criterion) == ("this", name)
    assert spec.unit
    assert spec.layers
    assert "; value " in spec.description
