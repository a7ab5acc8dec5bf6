from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError, LeakageError, SettingsError
from hazardrank.features.base import FeatureSpec, HistoryFamily
from hazardrank.features.feature_set import FeatureSet, build_features
from hazardrank.features.terrain import TerrainFamily, TerrainSettings
from hazardrank.records import HazardRecords
from hazardrank.settings import AnyFamilySettings, FamilySettings, LayerSettings
from hazardrank.sources.memory import MemoryLayers

ELEVATION = LayerSettings(path="e.tif", kind="continuous", unit="m")
PEOPLE = LayerSettings(path="p.tif", kind="continuous", unit="people")
CATALOGUE = {"elevation": ELEVATION, "people": PEOPLE}
NOTHING_KNOWN = HazardRecords("EPSG:32638")


class Corner(HistoryFamily[FamilySettings]):
    """History made of places alone: kilometres from the CRS origin, and the cell size."""

    name = "corner"
    settings_type = FamilySettings

    @property
    def specs(self):
        return tuple(
            FeatureSpec(f"{self.key}_{name}", "1", "hazard_records", "corner", name)
            for name in ("east", "north", "size")
        )

    def at_cells(self, easting, northing, cell_size_m, known):
        assert known is NOTHING_KNOWN
        size = np.full(len(easting), cell_size_m)
        return np.stack([easting / 1000, northing / 1000, size]).astype(np.float32)


def given_settings(**families):
    return {key: values and AnyFamilySettings(**values) for key, values in families.items()}


def build(**families):
    return build_features(given_settings(**families), CATALOGUE)


@pytest.fixture(scope="module")
def layers(grid):
    rng = np.random.default_rng(11)
    around = grid.expanded(4)
    rasters = {
        "elevation": (around, rng.normal(500, 60, around.shape).astype(np.float32)),
        "people": (around, rng.gamma(1, 30, around.shape).astype(np.float32)),
    }
    return MemoryLayers(grid, CATALOGUE, rasters=rasters)


@pytest.fixture(scope="module")
def features():
    return build(
        terrain={"family": "terrain", "radii_m": [300]},
        people={"family": "raster", "layer": "people"},
    )


@pytest.fixture(scope="module")
def with_history(features):
    return FeatureSet(features.families, (Corner("past", FamilySettings(family="corner")),))


# ---------------------------------------------------------------------------- building


def test_specs_come_in_the_order_of_the_settings_history_last(features, with_history):
    assert features.names[0] == "terrain_elevation_m"
    assert features.names[-1] == "people_value_people"
    assert len(features.specs) == 12
    assert with_history.names == [*features.names, "past_east", "past_north", "past_size"]
    assert with_history.layer_specs == features.specs
    assert [spec.name for spec in with_history.history_specs] == with_history.names[12:]


def test_a_key_set_to_nothing_is_off():
    built = build(terrain={"family": "terrain", "outputs": ["slope"]}, people=None)
    assert built.names == ["terrain_slope_deg"]


def test_two_keys_of_one_family_do_not_collide():
    built = build(
        near={"family": "terrain", "outputs": ["tpi"], "radii_m": [300]},
        far={"family": "terrain", "outputs": ["tpi"], "radii_m": [900]},
    )
    assert built.names == ["near_tpi_r300_m", "far_tpi_r900_m"]


def test_an_unknown_family_is_named_with_those_there_are():
    with pytest.raises(
        SettingsError, match=r"features\.moon\.family = 'lunar': there is no such .*terrain, raster"
    ):
        build(moon={"family": "lunar"})


def test_a_family_checks_its_own_settings():
    with pytest.raises(SettingsError, match=r"features\.terrain\.radius: there is no such setting"):
        build(terrain={"family": "terrain", "radius": 300})


def test_an_absent_layer_is_an_error():
    with pytest.raises(FeatureError, match=r"features\.night: there is no layer 'lights'"):
        build(night={"family": "raster", "layer": "lights"})


def test_an_absent_layer_may_be_skipped_with_a_reason():
    built = build(
        terrain={"family": "terrain", "outputs": ["slope"]},
        night={"family": "raster", "layer": "lights", "when_absent": "skip"},
    )
    assert built.names == ["terrain_slope_deg"]
    assert built.skipped == ["night (raster): the region has no layer lights"]


def test_a_layer_that_may_not_be_used_is_never_skipped():
    people = LayerSettings(path="p.tif", kind="continuous", role="consequence")
    asked = given_settings(people={"family": "raster", "layer": "people", "when_absent": "skip"})
    with pytest.raises(LeakageError, match="layer 'people' has the role 'consequence'"):
        build_features(asked, {"people": people})


def test_a_set_without_features_says_what_was_skipped():
    with pytest.raises(FeatureError, match=r"nothing to learn from: night \(raster\): the region"):
        build(night={"family": "raster", "layer": "lights", "when_absent": "skip"})


def test_no_features_at_all():
    with pytest.raises(FeatureError, match="nothing to learn from: features is empty"):
        build()


def test_one_name_twice_is_refused():
    family = TerrainFamily("terrain", TerrainSettings(outputs=["slope"]), CATALOGUE)
    with pytest.raises(FeatureError, match="several features are called terrain_slope_deg"):
        FeatureSet((family, family))


# --------------------------------------------------------------------------- computing


def test_a_block_is_its_families_one_after_the_other(features, layers, grid):
    block = features.layer_block(grid, layers)
    assert block.dtype == np.float32
    parts = [family.compute(grid, layers) for family in features.families]
    np.testing.assert_array_equal(block, np.concatenate(parts))
    np.testing.assert_array_equal(features.block(grid, layers, None), block)


def test_history_is_computed_at_the_blocks_cell_centres(with_history, layers, grid):
    part = grid.part(2, 3, 4, 5)
    block = with_history.block(part, layers, NOTHING_KNOWN)
    assert block.shape == (15, 4, 5)
    east, north, size = block[12:]
    np.testing.assert_allclose(east, np.tile(part.eastings() / 1000, (4, 1)))
    np.testing.assert_allclose(north.T, np.tile(part.northings() / 1000, (5, 1)))
    np.testing.assert_array_equal(size, 100)


def test_history_needs_records(with_history, layers, grid):
    with pytest.raises(FeatureError, match="3 history features need hazard records"):
        with_history.block(grid, layers, None)


def test_without_history_there_are_no_rows(features):
    found = features.history_at(np.zeros(7), np.zeros(7), 100, NOTHING_KNOWN)
    assert found.shape == (0, 7)
    assert found.dtype == np.float32


@given(seed=st.integers(0, 1000), n_cells=st.integers(1, 60), block_cells=st.integers(4, 40))
@settings(max_examples=20, deadline=None)
def test_cells_equal_the_map(features, layers, grid, seed, n_cells, block_cells):
    """In any order, with repeats: to the bit the values of the whole region's block."""
    rng = np.random.default_rng(seed)
    row, col = rng.integers(0, grid.n_rows, n_cells), rng.integers(0, grid.n_cols, n_cells)
    found = features.at_cells(row, col, layers, block_cells)
    expected = features.layer_block(grid, layers)[:, row, col].T
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()


def test_only_blocks_that_hold_wanted_cells_are_computed(features, layers, grid):
    calls = []
    row, col = np.array([0, 22, 1, 0]), np.array([0, 30, 3, 9])
    features.at_cells(row, col, layers, 8, on_block=calls.append)
    assert calls == [1, 1, 1]  # two of the four cells share a block


def test_cells_go_through_the_maps_blocks(features, layers, grid, monkeypatch):
    seen = []
    original = FeatureSet.layer_block
    monkeypatch.setattr(
        FeatureSet, "layer_block", lambda self, g, r: (seen.append(g), original(self, g, r))[1]
    )
    features.at_cells(np.array([9, 22]), np.array([9, 30]), layers, 8)
    blocks = list(grid.blocks(8))
    assert seen == [blocks[5], blocks[11]]
    assert seen[-1].shape == (7, 7)


def test_no_cells_no_blocks(features, layers):
    nothing = np.empty(0, np.int64)
    assert features.at_cells(nothing, nothing, layers, 8).shape == (0, 12)


@pytest.mark.parametrize(("row", "col"), [(-1, 0), (23, 0), (0, 31), (0, -1)])
def test_cells_outside_the_region_are_refused(features, layers, row, col):
    with pytest.raises(FeatureError, match=f"1 cells lie outside .* row {row}, column {col}"):
        features.at_cells(np.array([0, row]), np.array([0, col]), layers, 8)
