import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError
from hazardrank.features.front_lines import FrontLinesFamily, FrontLinesSettings
from tests.features.vector_cases import (
    grid_of,
    layers_of,
    random_lines,
    same_in_blocks,
    seeds,
    table_of,
)


def family_of(layers, **values) -> FrontLinesFamily:
    values = {"family": "front_lines", "layer": "fronts", "radii_m": [], **values}
    return FrontLinesFamily("front", FrontLinesSettings(**values), layers.catalogue)


def vertical(grid, east_m):
    """A line due north, `east_m` from the grid's western edge, far beyond it both ways."""
    east, north = grid.west_m + east_m, grid.north_m
    return shapely.LineString([(east, north - 9000), (east, north + 9000)])


def compute(grid, lines, rasters=None, columns=None, **values):
    layers = layers_of(grid, rasters, fronts=table_of(lines, **(columns or {})))
    family = family_of(layers, **values)
    names = [spec.name for spec in family.specs]
    return dict(zip(names, family.compute(grid, layers)[:, 0].tolist(), strict=True))


def test_distance_ever_and_at_dates_with_unknown_dates_for_ever_only():
    grid = grid_of(1, 3)
    lines = [vertical(grid, e) for e in (50, 150, 250)]
    dates = {"start": ["1992-04-01", None, "1994-01-01"], "end": ["1993-12-31", "1994-01-01", None]}
    found = compute(grid, lines, columns=dates, at=["1993-12-31", "1994-01-01"], cap_m=900)
    assert found == {
        "front_distance_m": pytest.approx([0, 0, 0], abs=1e-6),
        "front_19931231_distance_m": pytest.approx([0, 100, 200], abs=1e-6),
        "front_19940101_distance_m": [900, 900, 900],
    }


def test_years_held_and_periods_by_radius():
    grid = grid_of(1, 1)
    lines = [vertical(grid, e) for e in (150, 250, 350)]
    dates = {
        "start": ["1992-01-01", "1992-07-01", "1995-01-01"],
        "end": ["1992-12-31", "1993-12-31", "1995-12-31"],
    }
    found = compute(grid, lines, columns=dates, radii_m=[100, 200, 1000])
    assert found["front_100m_held_years"] == pytest.approx([366 / 365.2425])
    assert found["front_200m_held_years"] == pytest.approx([731 / 365.2425])
    assert found["front_1000m_held_years"] == pytest.approx([1096 / 365.2425])
    assert [found[f"front_{r}m_periods"] for r in (100, 200, 1000)] == [[1], [1], [2]]


def test_lines_without_dates_hold_no_years():
    grid = grid_of(1, 1)
    dates = {"start": [None], "end": [None]}
    found = compute(grid, [vertical(grid, 50)], columns=dates, radii_m=[500])
    assert (found["front_500m_held_years"], found["front_500m_periods"]) == ([0], [0])


def test_the_named_side_is_positive():
    grid = grid_of(1, 3)
    line = vertical(grid, 150 + 1e-3)
    left = compute(grid, [line], columns={"side": ["left"]}, side=True)
    right = compute(grid, [line], columns={"side": ["Right "]}, side=True)
    unknown = compute(grid, [line], columns={"side": [None]}, side=True)
    assert left["front_signed_distance_m"] == pytest.approx([100, 0, -100], abs=0.01)
    assert right["front_signed_distance_m"] == pytest.approx([-100, 0, 100], abs=0.01)
    assert np.isnan(unknown["front_signed_distance_m"]).all()


def test_beyond_the_cap_there_is_no_side():
    grid = grid_of(1, 3)
    found = compute(grid, [vertical(grid, 0)], columns={"side": ["left"]}, side=True, cap_m=160)
    assert found["front_signed_distance_m"][:2] == pytest.approx([-50, -150])
    assert np.isnan(found["front_signed_distance_m"][2])
    assert found["front_distance_m"][2] == 160


def test_a_slope_down_to_the_line_faces_it():
    grid = grid_of(1, 3)
    outer = grid.expanded(1)
    falls_east = np.tile(-np.arange(5, dtype=np.float32), (3, 1))
    found = compute(
        grid, [vertical(grid, 150)], {"dem": (outer, falls_east)}, elevation="dem", cap_m=5000
    )
    assert found["front_slope_toward"][0] == pytest.approx(1)
    assert found["front_slope_toward"][2] == pytest.approx(-1)


def test_what_is_missing_or_wrong_is_named():
    grid = grid_of(1, 1)
    lines = [vertical(grid, 50)]
    with pytest.raises(FeatureError, match=r"features\.front: .* no column 'start'"):
        compute(grid, lines, radii_m=[500])
    with pytest.raises(FeatureError, match=r"features\.front\.side: .* no column 'side'"):
        compute(grid, lines, side=True)
    dates = {"start": ["1995-01-01"], "end": ["1994-01-01"]}
    with pytest.raises(FeatureError, match=r"ends before it starts \(1995-01-01 to 1994-01-01\)"):
        compute(grid, lines, columns=dates, at=["1995-01-01"])
    with pytest.raises(FeatureError, match="layer of points; this family reads lines"):
        family_of(layers_of(grid, fronts=table_of([shapely.Point(0, 0)])))


def test_specs_and_needs():
    grid = grid_of(1, 1)
    rasters = {"dem": (grid, np.zeros((1, 1), np.float32))}
    layers = layers_of(grid, rasters, fronts=table_of([vertical(grid, 50)]))
    family = family_of(layers, radii_m=[500, 1000], at=["1994-05-12"], side=True, elevation="dem")
    assert [(s.name, s.unit) for s in family.specs] == [
        ("front_distance_m", "m"),
        ("front_19940512_distance_m", "m"),
        ("front_500m_held_years", "year"),
        ("front_500m_periods", "1"),
        ("front_1000m_held_years", "year"),
        ("front_1000m_periods", "1"),
        ("front_signed_distance_m", "m"),
        ("front_slope_toward", "1"),
    ]
    assert family.needs == ("fronts", "dem")
    assert family.halo_m == 20_000


@settings(max_examples=12, deadline=None)
@given(seed=seeds, block_cells=st.integers(4, 16))
def test_the_tiling_changes_no_bit(seed, block_cells):
    rng = np.random.default_rng(seed)
    grid = grid_of(15, 19)
    start = np.datetime64("1992-04-01") + rng.integers(0, 900, 10)
    end = start + rng.integers(0, 900, 10)
    end[0] = "NaT"
    lines = table_of(
        random_lines(rng, 10, grid),
        start=start,
        end=end,
        side=rng.choice(["left", "right", "unknown"], 10),
    )
    dem = rng.normal(300, 20, (25, 29)).astype(np.float32)
    layers = layers_of(grid, {"dem": (grid.expanded(5), dem)}, fronts=lines)
    family = family_of(
        layers,
        cap_m=700,
        radii_m=[150, 400],
        at=["1993-06-01"],
        side=True,
        elevation="dem",
    )
    assert same_in_blocks(family, grid, layers, block_cells)


def test_a_layer_with_no_line_nearby():
    grid = grid_of(1, 2)
    far = shapely.LineString([(0, 0), (1, 1)])
    columns = {"start": ["1992-01-01"], "end": ["1993-01-01"], "side": ["left"]}
    dem = {"dem": (grid, np.zeros((1, 2), np.float32))}
    found = compute(
        grid, [far], dem, columns, radii_m=[500], at=["1992-05-01"], side=True, elevation="dem"
    )
    assert found["front_distance_m"] == found["front_19920501_distance_m"] == [20_000, 20_000]
    assert found["front_500m_held_years"] == found["front_500m_periods"] == [0, 0]
    assert np.isnan(found["front_signed_distance_m"] + found["front_slope_toward"]).all()
