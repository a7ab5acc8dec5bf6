from __future__ import annotations

from datetime import date

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError, LayerError, LeakageError
from hazardrank.features.terrain import TerrainFamily, TerrainSettings, surface_form
from hazardrank.settings import LayerSettings
from hazardrank.sources.memory import MemoryLayers

CELL = ["elevation", "slope", "northness", "eastness", "profile_curvature", "plan_curvature"]


def elevation_layer(**changes):
    given = {"path": "dem.tif", "kind": "continuous", "unit": "m", "as_of": "2000-02-11"}
    return LayerSettings(**{**given, **changes})


def terrain(**changes):
    return TerrainFamily("terrain", TerrainSettings(**changes), {"elevation": elevation_layer()})


def form(surface_of, cell_size_m=10.0, size=3):
    """Slope, northness, eastness, profile and plan curvature of z = f(east, north)."""
    steps = (np.arange(size) - size // 2) * cell_size_m
    east, north = np.meshgrid(steps, -steps)
    elevation = np.asarray(surface_of(east, north), np.float32) * np.ones_like(east, np.float32)
    return surface_form(elevation, cell_size_m)


def land(grid, halo=12, seed=0, missing=0.0):
    """Rough land around and inside a grid, held in memory."""
    rng = np.random.default_rng(seed)
    around = grid.expanded(halo)
    steps = rng.normal(0, 3, around.shape)
    elevation = (400 + np.cumsum(np.cumsum(steps, 0), 1)).astype(np.float32)
    elevation[rng.random(around.shape) < missing] = np.nan
    layers = {"elevation": elevation_layer()}
    return MemoryLayers(grid, layers, rasters={"elevation": (around, elevation)})


# ------------------------------------------------------------------ hand answers


def test_land_rising_one_to_one_is_45_degrees_steep():
    slope, northness, eastness, profile, plan = form(lambda east, north: east)[:, 0, 0]
    assert slope == pytest.approx(45, abs=1e-5)
    assert (northness, eastness) == (0, pytest.approx(-np.sqrt(0.5)))  # falls to the west
    assert (profile, plan) == (0, 0)


@pytest.mark.parametrize(
    ("tangent", "degrees"),
    [(0, 0), (np.tan(np.radians(10)), 10), (0.5, 26.565051), (3, 71.565051), (1e4, 89.994270)],
)
def test_slope_is_the_arctangent_over_its_whole_range(tangent, degrees):
    slope = form(lambda east, north: -tangent * north)[0, 0, 0]
    assert slope == pytest.approx(degrees, abs=2e-5)


def test_land_falling_north_faces_north():
    _, northness, eastness, _, _ = form(lambda east, north: -north)[:, 0, 0]
    assert (northness, eastness) == (pytest.approx(np.sqrt(0.5)), 0)


def test_flat_land_has_no_aspect_and_no_curvature():
    np.testing.assert_array_equal(form(lambda east, north: 700.0)[:, 0, 0], 0)


def test_curvatures_of_a_quadratic_by_hand():
    # z = 2x + 0.01x² - 0.03y²: along the slope z'' = 0.02 (hollow), across it -0.06 (convex).
    _, _, _, profile, plan = form(lambda east, north: 2 * east + 0.01 * east**2 - 0.03 * north**2)[
        :, 0, 0
    ]
    assert profile == pytest.approx(-0.02, rel=1e-4)
    assert plan == pytest.approx(0.06, rel=1e-4)


def test_curvatures_do_not_depend_on_the_compass():
    turned = form(lambda east, north: 2 * north - 0.03 * east**2 + 0.01 * north**2)[3:, 0, 0]
    np.testing.assert_allclose(turned, [-0.02, 0.06], rtol=1e-4)
    diagonal = form(
        lambda east, north: (
            (east + north) * np.sqrt(2) + 0.005 * (east + north) ** 2 - 0.015 * (east - north) ** 2
        )
    )[3:, 0, 0]
    np.testing.assert_allclose(diagonal, [-0.02, 0.06], rtol=1e-4)


def test_a_summit_has_half_the_laplacian_each_way():
    # z = -0.02 (x² + y²): Laplacian -0.08, no gradient at the top.
    _, _, _, profile, plan = form(lambda east, north: -0.02 * (east**2 + north**2))[:, 0, 0]
    assert profile == pytest.approx(0.04, rel=1e-5)
    assert plan == pytest.approx(0.04, rel=1e-5)


def test_curvatures_add_up_to_minus_the_laplacian():
    rng = np.random.default_rng(4)
    elevation = rng.normal(0, 20, (30, 30)).astype(np.float32)
    _, _, _, profile, plan = surface_form(elevation, 10.0)
    z = elevation.astype(np.float64)
    laplacian = (z[1:-1, :-2] + z[1:-1, 2:] + z[:-2, 1:-1] + z[2:, 1:-1] - 4 * z[1:-1, 1:-1]) / 100
    np.testing.assert_allclose(profile + plan, -laplacian, rtol=1e-4, atol=1e-5)


def test_slope_is_horns():
    rng = np.random.default_rng(5)
    z = rng.normal(0, 20, (20, 20)).astype(np.float32).astype(np.float64)
    kernel = np.outer([1, 2, 1], [-1, 0, 1]) / 80
    windows = np.lib.stride_tricks.sliding_window_view(z, (3, 3))
    east = (windows * kernel).sum(axis=(2, 3))
    north = -(windows * kernel.T).sum(axis=(2, 3))
    slope, northness, eastness, _, _ = surface_form(z.astype(np.float32), 10.0)
    np.testing.assert_allclose(slope, np.degrees(np.arctan(np.hypot(east, north))), atol=2e-5)
    sine = np.sin(np.radians(slope))
    aspect = np.arctan2(-east, -north)  # downhill, from north
    np.testing.assert_allclose(northness, np.cos(aspect) * sine, atol=1e-5)
    np.testing.assert_allclose(eastness, np.sin(aspect) * sine, atol=1e-5)


def test_disc_features_of_a_cross_by_hand(grid):
    elevation = np.full((5, 5), np.nan, np.float32)
    elevation[1:4, 1:4] = [[9, 1, 9], [2, 3, 4], [9, 5, 9]]
    cell = grid.part(2, 2, 1, 1)
    layers = MemoryLayers(
        cell, {"elevation": elevation_layer()}, rasters={"elevation": (cell.expanded(2), elevation)}
    )
    family = terrain(radii_m=[100], outputs=["tpi", "tri", "relief", "position"])
    tpi, tri, relief, position = family.compute(cell, layers)[:, 0, 0]
    assert tpi == 0
    assert tri == pytest.approx(np.sqrt(10 / 4))
    assert (relief, position) == (4, 0.5)


def test_valley_floor_is_zero_and_crest_is_one(grid):
    valley = np.abs(grid.expanded(3).eastings() - grid.eastings()[10]).astype(np.float32)
    elevation = np.tile(valley, (grid.n_rows + 6, 1))
    for sign, expected in ((1, 0.0), (-1, 1.0)):
        rasters = {"elevation": (grid.expanded(3), sign * elevation)}
        layers = MemoryLayers(grid, {"elevation": elevation_layer()}, rasters=rasters)
        (position,) = terrain(radii_m=[200], outputs=["position"]).compute(grid, layers)
        np.testing.assert_array_equal(position[:, 10], expected)
        np.testing.assert_array_equal(position[:, 20], 0.5)


def test_flat_land_lies_in_the_middle_and_is_not_rough(grid):
    elevation = np.full(grid.expanded(4).shape, 250, np.float32)
    rasters = {"elevation": (grid.expanded(4), elevation)}
    layers = MemoryLayers(grid, {"elevation": elevation_layer()}, rasters=rasters)
    family = terrain(radii_m=[300], outputs=["tpi", "relief", "roughness", "position"])
    found = family.compute(grid, layers)
    np.testing.assert_array_equal(found[:3], 0)
    np.testing.assert_array_equal(found[3], 0.5)


def test_roughness_is_the_deviation_of_the_slope_in_the_disc(grid):
    layers = land(grid)
    slope, roughness = terrain(radii_m=[300], outputs=["slope", "roughness"]).compute(grid, layers)
    rows, cols = np.mgrid[-3:4, -3:4]
    window = slope[7:14, 9:16][rows**2 + cols**2 <= 9]
    assert roughness[10, 12] == pytest.approx(window.std(), abs=1e-3)


# ------------------------------------------------------------------- what is missing


def test_the_edge_of_the_elevation_model_continues_straight():
    plane = form(lambda east, north: 0.5 * east - 0.25 * north, size=7)
    steps = (np.arange(7) - 3) * 10.0
    east, north = np.meshgrid(steps, -steps)
    edged = np.full((9, 9), np.nan, np.float32)
    edged[1:8, 1:8] = 0.5 * east - 0.25 * north
    found = surface_form(edged, 10.0)
    np.testing.assert_allclose(found, np.broadcast_to(plane[:, :1, :1], found.shape), atol=1e-6)


def test_a_cell_alone_is_flat():
    elevation = np.full((3, 3), np.nan, np.float32)
    elevation[1, 1] = 812
    np.testing.assert_array_equal(surface_form(elevation, 10.0)[:, 0, 0], 0)


def test_only_missing_elevations_are_missing(grid):
    layers = land(grid, missing=0.2)
    found = terrain(radii_m=[300]).compute(grid, layers)
    missing = np.isnan(layers.continuous("elevation", grid))
    assert missing.any()
    np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(missing, found.shape))


def test_gaps_change_nothing_out_of_their_reach():
    elevation = np.random.default_rng(6).normal(500, 40, (30, 41)).astype(np.float32)
    complete = surface_form(elevation, 30.0)
    elevation[0, 0] = np.nan
    gapped = surface_form(elevation, 30.0)
    assert complete[:, 1:, 1:].tobytes() == gapped[:, 1:, 1:].tobytes()


# ------------------------------------------------------------------------ properties


@given(
    seed=st.integers(0, 1000),
    missing=st.sampled_from([0.0, 0.02, 0.3]),
    rows=st.integers(3, 23),
    cols=st.integers(3, 31),
)
@settings(max_examples=15, deadline=None)
def test_the_same_whatever_the_tiling(
    assert_same_whatever_the_tiling, grid, seed, missing, rows, cols
):
    layers = land(grid, halo=4, seed=seed, missing=missing)
    assert_same_whatever_the_tiling(terrain(radii_m=[100, 350, 800]), layers, rows, cols)


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_ranges(grid, seed):
    family = terrain(radii_m=[500])
    found = dict(
        zip(
            [s.name for s in family.specs], family.compute(grid, land(grid, seed=seed)), strict=True
        )
    )
    assert 0 <= found["terrain_slope_deg"].min() <= found["terrain_slope_deg"].max() < 90
    length = np.hypot(found["terrain_northness"], found["terrain_eastness"])
    sine = np.sin(np.radians(found["terrain_slope_deg"]))
    np.testing.assert_allclose(length, sine, atol=1e-5)
    assert (found["terrain_relief_r500_m"] >= np.abs(found["terrain_tpi_r500_m"])).all()
    assert found["terrain_position_r500"].min() >= 0
    assert found["terrain_position_r500"].max() <= 1
    # The mean square is variance plus squared mean; the centre counts in one of them.
    n_others = 80
    mean_square = found["terrain_tri_r500_m"].astype(np.float64) ** 2 * n_others / (n_others + 1)
    assert (mean_square >= found["terrain_tpi_r500_m"].astype(np.float64) ** 2 * (1 - 1e-6)).all()


# -------------------------------------------------------------------------- settings


def test_names_units_and_order():
    family = terrain(radii_m=[1000, 300], outputs=["tri", "roughness", "slope", "position"])
    assert [(spec.name, spec.unit) for spec in family.specs] == [
        ("terrain_slope_deg", "deg"),
        ("terrain_tri_r300_m", "m"),
        ("terrain_roughness_r300_deg", "deg"),
        ("terrain_position_r300", "1"),
        ("terrain_tri_r1000_m", "m"),
        ("terrain_roughness_r1000_deg", "deg"),
        ("terrain_position_r1000", "1"),
    ]
    assert {spec.as_of for spec in family.specs} == {date(2000, 2, 11)}
    assert family.halo_m == 1000


def test_each_output_alone_equals_itself_among_all(grid):
    layers = land(grid)
    everything = terrain(radii_m=[300])
    values = dict(
        zip([s.name for s in everything.specs], everything.compute(grid, layers), strict=True)
    )
    assert len(values) == 11
    for output in TerrainSettings().outputs:
        family = terrain(radii_m=[300], outputs=[output])
        np.testing.assert_array_equal(family.compute(grid, layers)[0], values[family.specs[0].name])


def test_without_discs_there_is_no_halo_to_speak_of():
    assert terrain(outputs=CELL).halo_m == 0


def test_the_layer_must_be_continuous():
    with pytest.raises(LayerError, match="is a layer of kind 'lines'; asked for continuous"):
        TerrainFamily("terrain", TerrainSettings(), {"elevation": elevation_layer(kind="lines")})


def test_the_layer_must_be_in_metres():
    with pytest.raises(FeatureError, match=r"features\.relief: layer 'elevation' is in ft"):
        TerrainFamily("relief", TerrainSettings(), {"elevation": elevation_layer(unit="ft")})


def test_radii_shorter_than_a_cell_are_refused_by_name(grid):
    with pytest.raises(FeatureError, match=r"features\.terrain: a radius of 90 m is shorter than"):
        terrain(radii_m=[90]).compute(grid, land(grid))


def test_a_consequence_layer_is_leakage():
    layers = {"elevation": elevation_layer(role="consequence")}
    with pytest.raises(LeakageError, match="layer 'elevation' has the role 'consequence'"):
        TerrainFamily("terrain", TerrainSettings(), layers)


# ---------------------------------------------------------- another program's terrain


@pytest.fixture(scope="module")
def saga(real_data):
    """Slope, plan and profile curvature by SAGA, elevation, and ours of that elevation.

    The reference came from R, where ``saga`` is SAGA's module ta_morphometry 0 with the
    method of Zevenbergen & Thorne:

        rsaga.slope.asp.curv(dem, "slope", "aspect", "cprof", "cplan", method = "poly2zevenbergen")
    """
    path = real_data / "terrain_10m" / "ta.tif"
    if not path.exists():
        pytest.skip("terrain_10m/ta.tif is not in HAZARDRANK_DATA")
    with rasterio.open(path) as source:
        slope, plan, profile, elevation = source.read([1, 2, 3, 4])
    found = surface_form(elevation, 10.0)
    inner = np.s_[1:-1, 1:-1]
    z = elevation.astype(np.float64)
    east = (z[1:-1, 2:] - z[1:-1, :-2]) / 20
    north = (z[:-2, 1:-1] - z[2:, 1:-1]) / 20
    squared = east**2 + north**2
    known = np.isfinite(slope[inner]) & np.isfinite(squared) & (squared > 0)
    names = ("slope", "profile", "plan")
    theirs = dict(zip(names, (slope[inner], profile[inner], plan[inner]), strict=True))
    ours = dict(zip(names, (found[0], found[3], found[4]), strict=True))
    return (
        {name: values[known].astype(np.float64) for name, values in theirs.items()},
        {name: values[known].astype(np.float64) for name, values in ours.items()},
        squared[known],
    )


@pytest.mark.parametrize(
    ("name", "least_correlation", "most_correlation", "median_difference"),
    [
        ("slope", 0.9895, 0.9900, 0.77),
        ("profile", 0.897, 0.899, 0.0061),
        ("plan", 0.519, 0.521, 0.0048),
    ],
)
def test_stated_agreement_with_saga(
    saga, name, least_correlation, most_correlation, median_difference
):
    theirs, ours, _ = saga
    correlation = np.corrcoef(theirs[name], ours[name])[0, 1]
    assert least_correlation < correlation < most_correlation
    difference = np.median(np.abs(theirs[name] - ours[name]))
    assert difference == pytest.approx(median_difference, rel=0.02)


def test_the_difference_to_saga_is_the_stated_one(saga):
    theirs, ours, squared = saga
    np.testing.assert_allclose(np.degrees(np.arctan(np.sqrt(squared))), theirs["slope"], atol=1e-5)
    np.testing.assert_allclose(ours["profile"] / (1 + squared) ** 1.5, theirs["profile"], atol=1e-6)
    np.testing.assert_allclose(
        ours["plan"] / np.sqrt(squared), theirs["plan"], atol=1e-6, rtol=1e-5
    )
