from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from hazardrank.errors import PriorityError, SettingsError
from hazardrank.priority.consequence import build_consequence
from hazardrank.priority.criteria.base import ConsequenceInputs
from hazardrank.settings import AnyCriterionSettings, LayerSettings, Role
from tests.priority.cases import TODAY, at, grid_of, layers_of, table_of


def criteria(**given):
    return {
        key: None if values is None else AnyCriterionSettings(**values)
        for key, values in given.items()
    }


PEOPLE = {"criterion": "people", "layer": "settlements"}
RASTER = {
    "criterion": "raster",
    "layer": "density",
    "curve": {"shape": "linear", "zero_at": 0, "one_at": 10},
}


@pytest.fixture
def layers():
    grid = grid_of(1, 2)
    density = np.array([[5, np.nan]], np.float32)
    homes = table_of([at(grid, 50, 50)], people=[400.0])
    return layers_of(grid, rasters={"density": (grid, density)}, settlements=homes)


def test_a_block_holds_all_criteria_in_order(layers):
    chosen = build_consequence(criteria(people=PEOPLE, density=RASTER), layers.catalogue)
    block = chosen.prepare(ConsequenceInputs(layers, TODAY)).block(layers.grid)
    assert chosen.names == ("people", "density")
    assert block.value[:, 0, 0].tolist() == pytest.approx([0.4, 0.5])
    assert block.n_missing.tolist() == [0, 1]


def test_where_there_is_no_data_the_stated_value_stands(layers):
    chosen = build_consequence(criteria(density={**RASTER, "missing": 0.25}), layers.catalogue)
    block = chosen.prepare(ConsequenceInputs(layers, TODAY)).block(layers.grid)
    assert block.value[0, 0].tolist() == [0.5, 0.25]
    assert np.isnan(block.quantity[0, 0, 1])


def test_absent_layers_are_skipped_if_so_asked(layers):
    farmland = {"criterion": "land_use", "classes": {"crop": 1}, "when_absent": "skip"}
    chosen = build_consequence(criteria(people=PEOPLE, farm=farmland), layers.catalogue)
    assert chosen.names == ("people",)
    assert chosen.skipped == {"farm": "farm (land_use): the region has no layer land_cover"}
    with pytest.raises(PriorityError, match=r"criteria\.farm: there is no layer 'land_cover'"):
        build_consequence(criteria(farm={**farmland, "when_absent": "error"}), layers.catalogue)


def test_absent_records_are_skipped_if_so_asked(layers):
    accidents = {"criterion": "accidents", "when_absent": "skip"}
    given = criteria(people=PEOPLE, accidents=accidents)
    chosen = build_consequence(given, layers.catalogue, has_records=False)
    assert chosen.skipped == {
        "accidents": "accidents (accidents): the region has no accident records"
    }
    assert build_consequence(given, layers.catalogue).names == ("people", "accidents")


def test_null_switches_off_and_nothing_left_is_an_error(layers):
    assert build_consequence(criteria(a=None, people=PEOPLE), layers.catalogue).names == ("people",)
    with pytest.raises(PriorityError, match="nothing says who or what would be harmed"):
        build_consequence(criteria(people=None), layers.catalogue)


def test_unknown_criteria_and_settings_are_named(layers):
    with pytest.raises(SettingsError, match=r"criteria\.a\.criterion = 'gold': there is no such"):
        build_consequence(criteria(a={"criterion": "gold"}), layers.catalogue)
    wrong = {**PEOPLE, "half_distance": 5}
    with pytest.raises(SettingsError, match=r"criteria\.people\.half_distance: there is no such"):
        build_consequence(criteria(people=wrong), layers.catalogue)


def test_the_oldest_layer_dates_a_criterion():
    catalogue = {
        "roads": LayerSettings(path="r.gpkg", kind="lines", role=Role.BOTH, as_of="2019-12-31"),
        "homes": LayerSettings(path="h.gpkg", kind="points", role="both", as_of="2021-01-01"),
    }
    given = criteria(access={"criterion": "access", "settlements": "homes"})
    (spec,) = build_consequence(given, catalogue).specs
    assert spec.as_of == date(2019, 12, 31)
    assert spec.layers == ("roads", "homes")
