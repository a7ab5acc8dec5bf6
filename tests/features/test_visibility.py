from __future__ import annotations

from datetime import date

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import LayerError
from hazardrank.features.visibility import VisibilityFamily, VisibilitySettings, points_along
from hazardrank.settings import LayerSettings
from hazardrank.sources.memory import MemoryLayers

CATALOGUE = {
    "elevation": LayerSettings(path="e.tif", kind="continuous", unit="m"),
    "front_lines": LayerSettings(path="f.gpkg", kind="lines", as_of="1994-05-12"),
}


def layers_of(grid, elevation, lines, halo=0):
    table = gpd.GeoDataFrame(geometry=lines, crs=grid.crs)
    rasters = {"elevation": (grid.expanded(halo), np.asarray(elevation, np.float32))}
    return MemoryLayers(grid, CATALOGUE, rasters=rasters, vectors={"front_lines": table})


def family(**changes):
    return VisibilityFamily("front", VisibilitySettings(**changes), CATALOGUE)


def spot(grid, row, col, length_m=1.0):
    """A line so short that it has one point, at the centre of a cell."""
    easting, northing = grid.eastings()[col], grid.northings()[row]
    return shapely.LineString([(easting, northing), (easting + length_m, northing)])


def visible(grid, elevation, lines, **changes):
    layers = layers_of(grid, elevation, lines)
    return family(**changes).compute(grid, layers)[0]


# ------------------------------------------------------------------------ hand answers


def test_on_flat_land_everything_near_is_seen_and_nothing_beyond(grid):
    share = visible(grid, np.zeros(grid.shape), [spot(grid, 11, 15)], max_distance_m=500)
    rows, cols = np.mgrid[: grid.n_rows, : grid.n_cols]
    near = (rows - 11) ** 2 + (cols - 15) ** 2 <= 25
    np.testing.assert_array_equal(share, near)


def test_a_wall_hides_what_lies_behind_it(grid):
    elevation = np.zeros(grid.shape)
    elevation[:, 18] = 50
    share = visible(grid, elevation, [spot(grid, 11, 15)], max_distance_m=1000)
    assert share[11, 10:19].tolist() == [1] * 9  # the wall itself is in view
    assert share[11, 19:25].tolist() == [0] * 6


def test_a_height_looks_over_the_wall(grid):
    elevation = np.zeros(grid.shape)
    elevation[11, 18] = 50
    # From 102 m the sight line to 6 cells away at 1 m is at 51.5 m above the wall, half-way.
    elevation[11, 15] = 100
    share = visible(grid, elevation, [spot(grid, 11, 15)], max_distance_m=800, observer_height_m=2)
    assert share[11, 21] == 1
    assert share[11, 20] == 0  # 5 cells away: 41.4 m above the wall


def test_the_share_counts_points_that_see(grid):
    elevation = np.zeros(grid.shape)
    elevation[:, 18] = 50
    lines = [spot(grid, 11, 15), spot(grid, 11, 21), spot(grid, 11, 22), spot(grid, 12, 22)]
    share = visible(grid, elevation, lines, max_distance_m=1000)
    assert share[11, 16] == 0.25
    assert share[11, 20] == 0.75


def test_the_earth_bulges(grid):
    # 3 km apart at 0.05 m each: in the middle the earth stands 0.154 m above the sight line.
    low = {"max_distance_m": 3000, "observer_height_m": 0.05, "target_height_m": 0.05}
    flat = np.zeros(grid.shape)
    assert visible(grid, flat, [spot(grid, 11, 0)], **low)[11, 30] == 0
    high = {**low, "observer_height_m": 0.35}
    assert visible(grid, flat, [spot(grid, 11, 0)], **high)[11, 30] == 1


def test_missing_ground_has_no_value_and_hides_nothing(grid):
    elevation = np.zeros(grid.shape)
    elevation[:, 18] = np.nan
    share = visible(grid, elevation, [spot(grid, 11, 15)], max_distance_m=1000)
    assert np.isnan(share[:, 18]).all()
    assert share[11, 22] == 1
    assert np.isfinite(np.delete(share, 18, axis=1)).all()


def test_a_point_without_ground_is_left_out(grid):
    elevation = np.zeros(grid.shape)
    elevation[11, 15] = np.nan
    lines = [spot(grid, 11, 15), spot(grid, 11, 20)]
    share = visible(grid, elevation, lines, max_distance_m=1000)
    assert share[11, 18] == 1


def test_without_a_line_nothing_is_seen(grid):
    share = visible(grid, np.zeros(grid.shape), [])
    np.testing.assert_array_equal(share, 0)


def test_points_every_so_far_from_the_start_of_each_line():
    lines = np.array([shapely.LineString([(0, 0), (0, 25)]), shapely.LineString([(5, 5), (8, 5)])])
    expected = [(0, 0), (0, 10), (0, 20), (5, 5)]
    np.testing.assert_array_equal(points_along(lines, 10.0), expected)


def test_a_long_line_is_as_its_points(grid):
    elevation = np.random.default_rng(1).normal(0, 3, grid.shape)
    west, east = grid.eastings()[5], grid.eastings()[25]
    line = shapely.LineString([(west, grid.northings()[4]), (east, grid.northings()[4])])
    spots = [spot(grid, 4, col) for col in range(5, 26, 5)]
    whole = visible(grid, elevation, [line], spacing_m=500, max_distance_m=1200)
    parts = visible(grid, elevation, spots, spacing_m=500, max_distance_m=1200)
    np.testing.assert_array_equal(whole, parts)
    assert ((whole > 0) & (whole < 1)).any()


# -------------------------------------------------------------------------- properties


def slow_share(elevation, row, col, points, reach, observer_m, target_m, cell_size_m):
    """One cell by the book, with interpolation by hand, places in cells from the corner."""

    def ground(place_row, place_col):
        first_row, first_col = int(np.floor(place_row)), int(np.floor(place_col))
        share_row, share_col = place_row - first_row, place_col - first_col
        corners = elevation[first_row : first_row + 2, first_col : first_col + 2]
        weights = np.outer([1 - share_row, share_row], [1 - share_col, share_col])
        return float((corners * weights).sum())

    seen, near = 0, 0
    for point_row, point_col in points:
        distance = np.hypot(point_row - row, point_col - col)
        if distance > reach:
            continue
        near += 1
        eye_m = ground(point_row, point_col) + observer_m
        goal_m = elevation[row, col] + target_m
        steps = int(np.ceil(distance))
        clear = True
        for step in range(1, steps):
            along = step / steps
            here = ground(
                point_row + (row - point_row) * along, point_col + (col - point_col) * along
            )
            first_m, rest_m = along * distance * cell_size_m, (1 - along) * distance * cell_size_m
            bulge_m = first_m * rest_m * 0.87 / (2 * 6_371_000)
            clear &= here + bulge_m <= eye_m + (goal_m - eye_m) * along
        seen += clear
    return seen / max(near, 1)


def test_equal_to_a_slow_walk(grid):
    rng = np.random.default_rng(8)
    elevation = rng.normal(0, 4, grid.shape).astype(np.float32)
    rows, cols = rng.uniform(3, 18, 12), rng.uniform(3, 27, 12)
    easting = (grid.west_cell + cols + 0.5) * 100
    northing = (grid.north_cell - rows - 0.5) * 100
    lines = [
        shapely.LineString([(e, n), (e + 1, n)]) for e, n in zip(easting, northing, strict=True)
    ]
    share = visible(grid, elevation, lines, max_distance_m=900)
    points = list(zip(rows, cols, strict=True))
    expected = [
        slow_share(elevation, row, col, points, 9, 2, 1, 100)
        for row in range(2, 20)
        for col in range(2, 28)
    ]
    np.testing.assert_allclose(share[2:20, 2:28].ravel(), expected, atol=1e-6)


@given(
    seed=st.integers(0, 1000),
    missing=st.sampled_from([0.0, 0.1]),
    rows=st.integers(3, 23),
    cols=st.integers(3, 31),
)
@settings(max_examples=15, deadline=None)
def test_the_same_whatever_the_tiling(
    assert_same_whatever_the_tiling, grid, seed, missing, rows, cols
):
    rng = np.random.default_rng(seed)
    elevation = rng.normal(0, 5, grid.expanded(5).shape)
    elevation[rng.random(elevation.shape) < missing] = np.nan
    west, south, east, north = grid.bounds
    lines = [
        shapely.LineString(
            rng.uniform((west - 900, south - 900), (east + 900, north + 900), (4, 2))
        )
        for _ in range(3)
    ]
    layers = layers_of(grid, elevation, lines, halo=5)
    fields = family(spacing_m=130, max_distance_m=640)
    share = assert_same_whatever_the_tiling(fields, layers, rows, cols)
    assert 0 <= np.nanmin(share) <= np.nanmax(share) <= 1


# ---------------------------------------------------------------------------- settings


def test_the_spec_carries_the_date_of_the_line():
    (spec,) = family(max_distance_m=2500).specs
    assert (spec.name, spec.unit, spec.layer) == ("front_visible_share", "1", "front_lines")
    assert spec.as_of == date(1994, 5, 12)
    assert "within 2500 m" in spec.description
    assert family(max_distance_m=2500).halo_m == 2500


def test_only_lines_can_look():
    catalogue = {**CATALOGUE, "front_lines": LayerSettings(path="p.gpkg", kind="points")}
    with pytest.raises(LayerError, match="kind 'points'; asked for lines"):
        VisibilityFamily("front", VisibilitySettings(), catalogue)
