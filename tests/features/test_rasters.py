from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError, LayerError, LeakageError, SettingsError
from hazardrank.features.rasters import (
    LandCoverFamily,
    LandCoverSettings,
    RasterFamily,
    RasterSettings,
    slug,
)
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings, Role, validate
from hazardrank.sources.memory import MemoryLayers

PEOPLE = LayerSettings(path="p.tif", kind="continuous", unit="people/km2", as_of="2019-01-01")
COVER = LayerSettings(
    path="c.tif", kind="categorical", classes={10: "Tree cover", 40: "cropland"}, as_of="2021-06-30"
)


def continuous_layers(grid, values, halo=0, layer=PEOPLE):
    rasters = {"people": (grid.expanded(halo), np.asarray(values, np.float32))}
    return MemoryLayers(grid, {"people": layer}, rasters=rasters)


def cover_layers(grid, codes, halo=0, finer=1):
    around = grid.expanded(halo)
    own = SurveyGrid(
        grid.crs,
        grid.cell_size_m // finer,
        around.west_cell * finer,
        around.north_cell * finer,
        around.n_rows * finer,
        around.n_cols * finer,
    )
    layer = COVER.model_copy(update={"nodata": 0.0})
    return MemoryLayers(grid, {"cover": layer}, categorical={"cover": (own, np.asarray(codes))})


def raster(layers, **changes):
    return RasterFamily("people", RasterSettings(layer="people", **changes), layers.catalogue)


def land_cover(layers, **changes):
    return LandCoverFamily("cover", LandCoverSettings(layer="cover", **changes), layers.catalogue)


# ---------------------------------------------------------------------------- raster


def test_value_mean_and_deviation_by_hand(grid):
    cell = grid.part(0, 0, 1, 1)
    layers = continuous_layers(cell, [[9, 1, 9], [2, 3, 4], [9, 5, 9]], halo=1)
    family = raster(layers, statistics=["value", "mean", "sd"], radii_m=[100])
    value, mean, deviation = family.compute(cell, layers)[:, 0, 0]
    assert (value, mean) == (3, 3)  # the cross holds 1 2 3 4 5
    assert deviation == pytest.approx(np.sqrt(2))


def test_raster_names_units_and_dates(grid):
    layers = continuous_layers(grid, np.ones(grid.shape))
    family = raster(layers, statistics=["sd", "mean", "value"], radii_m=[500, 200])
    assert [spec.name for spec in family.specs] == [
        "people_value_people_km2",
        "people_mean_r200_people_km2",
        "people_sd_r200_people_km2",
        "people_mean_r500_people_km2",
        "people_sd_r500_people_km2",
    ]
    assert {(s.unit, s.layer, s.family, s.as_of) for s in family.specs} == {
        ("people/km2", "people", "raster", date(2019, 1, 1))
    }
    assert family.halo_m == 500


def test_a_pure_number_has_no_unit_in_its_name(grid):
    layer = LayerSettings(path="n.tif", kind="continuous")
    layers = continuous_layers(grid, np.ones(grid.shape), layer=layer)
    assert [(spec.name, spec.unit) for spec in raster(layers).specs] == [("people_value", "1")]


def test_the_mean_uses_the_cells_there_are(grid):
    values = np.full(grid.shape, np.nan)
    values[3, 3], values[3, 4], values[4, 3] = 10, 20, 60
    layers = continuous_layers(grid, values)
    (mean,) = raster(layers, statistics=["mean"], radii_m=[100]).compute(grid, layers)
    assert mean[3, 3] == 30
    assert mean[3, 4] == 15
    assert np.isfinite(mean).sum() == 3


def test_mean_without_radius_is_refused():
    with pytest.raises(SettingsError, match=r"features\.night: mean and sd need radii_m"):
        validate(RasterSettings, {"layer": "night", "statistics": ["mean"]}, "features.night")


def test_radius_without_mean_is_refused():
    with pytest.raises(SettingsError, match="radii_m needs mean or sd"):
        validate(RasterSettings, {"layer": "night", "radii_m": [300]}, "features.night")


def test_a_raster_must_be_continuous(grid):
    layers = cover_layers(grid, np.full(grid.shape, 10))
    with pytest.raises(LayerError, match="kind 'categorical'; asked for continuous"):
        RasterFamily("people", RasterSettings(layer="cover"), layers.catalogue)


def test_people_to_come_may_not_feed_the_likelihood(grid):
    layer = PEOPLE.model_copy(update={"role": Role.CONSEQUENCE})
    with pytest.raises(LeakageError, match="layer 'people' has the role 'consequence'"):
        RasterFamily("people", RasterSettings(layer="people"), {"people": layer})


def test_precision_is_a_setting(grid):
    values = np.linspace(0, 1e9, grid.n_cells).reshape(grid.shape)
    layers = continuous_layers(grid, values)
    with pytest.raises(FeatureError, match="Set a coarser precision"):
        raster(layers, statistics=["mean"], radii_m=[300]).compute(grid, layers)
    coarse = raster(layers, statistics=["mean"], radii_m=[300], precision=10)
    (mean,) = coarse.compute(grid, layers)
    assert mean[10, 15] == pytest.approx(values[10, 15], rel=1e-6)  # linear: mean is the centre


@given(
    seed=st.integers(0, 1000),
    missing=st.sampled_from([0.0, 0.05, 0.6]),
    rows=st.integers(3, 23),
    cols=st.integers(3, 31),
)
@settings(max_examples=15, deadline=None)
def test_raster_the_same_whatever_the_tiling(
    assert_same_whatever_the_tiling, grid, seed, missing, rows, cols
):
    rng = np.random.default_rng(seed)
    values = rng.gamma(0.3, 900, grid.expanded(2).shape)
    values[rng.random(values.shape) < missing] = np.nan
    layers = continuous_layers(grid, values, halo=2)
    family = raster(layers, statistics=["value", "mean", "sd"], radii_m=[150, 600])
    assert_same_whatever_the_tiling(family, layers, rows, cols)


# ------------------------------------------------------------------------ land cover


def test_shares_of_a_cell_by_hand(grid):
    # 2 × 2 codes a cell: trees, trees / crops, not in the catalogue.
    cell = grid.part(0, 0, 1, 1)
    layers = cover_layers(cell, [[10, 10], [40, 99]], finer=2)
    family = land_cover(layers)
    assert [spec.name for spec in family.specs] == [
        "cover_tree_cover",
        "cover_cropland",
        "cover_other",
    ]
    np.testing.assert_array_equal(family.compute(cell, layers)[:, 0, 0], [0.5, 0.25, 0.25])


def test_shares_around_a_cell_by_hand(grid):
    # In the cross: trees at the centre and north, crops west and east, nothing known south.
    cell = grid.part(0, 0, 1, 1)
    layers = cover_layers(cell, [[40, 10, 40], [40, 10, 40], [40, 0, 40]], halo=1)
    family = land_cover(layers, radii_m=[100], classes=["cropland", "Tree cover"])
    assert [spec.name for spec in family.specs] == [
        "cover_tree_cover",
        "cover_cropland",
        "cover_tree_cover_r100",
        "cover_cropland_r100",
    ]
    np.testing.assert_allclose(family.compute(cell, layers)[:, 0, 0], [1, 0, 0.5, 0.5])


def test_chosen_classes_equal_themselves_among_all(grid):
    codes = np.random.default_rng(2).choice([0, 10, 40, 50], grid.shape)
    layers = cover_layers(grid, codes)
    everything = land_cover(layers, radii_m=[200])
    crops = land_cover(layers, radii_m=[200], classes=["cropland"])
    names = [spec.name for spec in everything.specs]
    wanted = [names.index(spec.name) for spec in crops.specs]
    expected = everything.compute(grid, layers)[wanted]
    np.testing.assert_array_equal(crops.compute(grid, layers), expected)


def test_shares_add_up_to_one_where_known(grid):
    codes = np.random.default_rng(3).choice([0, 10, 40, 50], grid.shape)
    layers = cover_layers(grid, codes)
    found = land_cover(layers, radii_m=[300]).compute(grid, layers)
    known = codes != 0
    assert found[:, known].min() >= 0
    assert found[:, known].max() <= 1
    np.testing.assert_allclose(found[:3, known].sum(axis=0), 1)
    np.testing.assert_allclose(found[3:, known].sum(axis=0), 1, atol=1e-5)
    assert np.isnan(found[:, ~known]).all()


def test_an_unknown_class_is_named_with_those_there_are(grid):
    layers = cover_layers(grid, np.full(grid.shape, 10))
    with pytest.raises(FeatureError, match=r"no class wood \(classes: Tree cover, cropland, other"):
        land_cover(layers, classes=["wood"])


def test_land_cover_must_be_categorical(grid):
    layers = continuous_layers(grid, np.ones(grid.shape))
    with pytest.raises(LayerError, match="kind 'continuous'; asked for categorical"):
        LandCoverFamily("cover", LandCoverSettings(layer="people"), layers.catalogue)


@given(seed=st.integers(0, 1000), rows=st.integers(3, 23), cols=st.integers(3, 31))
@settings(max_examples=10, deadline=None)
def test_land_cover_the_same_whatever_the_tiling(
    assert_same_whatever_the_tiling, grid, seed, rows, cols
):
    rng = np.random.default_rng(seed)
    codes = rng.choice([0, 10, 40, 50], (grid.n_rows * 4 + 16, grid.n_cols * 4 + 16))
    layers = cover_layers(grid, codes, halo=2, finer=4)
    assert_same_whatever_the_tiling(land_cover(layers, radii_m=[150, 500]), layers, rows, cols)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Tree cover", "tree_cover"), ("people/km2", "people_km2"), ("Лес", "лес"), (" (a) ", "a")],
)
def test_slugs(text, expected):
    assert slug(text) == expected
