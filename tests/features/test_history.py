import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import FeatureError
from hazardrank.features.history import HazardHistoryFamily, HistorySettings, known_hazards
from hazardrank.records import RECORD_NOUNS, HazardRecords, columns_of
from tests.features.vector_cases import (
    CRS,
    grid_of,
    random_points,
    random_polygons,
    seeds,
)


def records_of(**tables) -> HazardRecords:
    """Hazard records from (geometry, hazard_id) pairs, or (geometry, hazard_id, devices)."""
    filled = {}
    for name, rows in tables.items():
        columns = {column: [None] * len(rows) for column in columns_of(RECORD_NOUNS[name])}
        columns["hazard_id"] = np.array([row[1] for row in rows], dtype=np.int64)
        if name == "clearance":
            columns["devices_found"] = [float(row[2]) for row in rows]
        filled[name] = gpd.GeoDataFrame(columns, geometry=[row[0] for row in rows], crs=CRS)
    return HazardRecords(CRS, **filled)


def at_row(grid, known, **values):
    """The features of the cells of a grid, by name."""
    family = HazardHistoryFamily("known", HistorySettings(family="history", **values))
    names = [spec.name for spec in family.specs]
    return dict(zip(names, at_grid(family, grid, known).tolist(), strict=True))


def at_grid(family, grid, known):
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    return family.at_cells(easting.ravel(), northing.ravel(), grid.cell_size_m, known)


def square(grid, west_cells, n_cells=1):
    """A square of one or more cells of the first row."""
    west = grid.west_m + west_cells * 100
    return shapely.box(west + 1, grid.north_m - 99, west + n_cells * 100 - 1, grid.north_m - 1)


def point(grid, east_m):
    return shapely.Point(grid.west_m + east_m, grid.north_m - 50)


def test_the_cells_own_area_is_left_out_and_the_others_measured():
    grid = grid_of(1, 6)
    known = records_of(hazard_areas=[(square(grid, 0), 1), (square(grid, 4), 2)])
    found = at_row(grid, known, kinds=["hazard_areas"], radii_m=[], cap_m=900)
    assert found["known_hazard_areas_distance_m"] == pytest.approx([351, 51, 151, 51, 351, 51])


def test_all_records_of_the_hazard_are_left_out_whatever_their_kind():
    grid = grid_of(1, 5)
    known = records_of(
        hazard_areas=[(square(grid, 0), 7)],
        accidents=[(point(grid, 450), 7)],
        clearance=[(square(grid, 2), 7, 3)],
    )
    found = at_row(grid, known, radii_m=[1000], cap_m=900)
    nothing = [900, 51, 900, 51, 900]
    assert found["known_any_distance_m"] == pytest.approx(nothing)
    assert found["known_accidents_distance_m"] == pytest.approx([900, 300, 900, 100, 900])
    one = 1 / np.pi
    assert found["known_accidents_1000m_per_km2"] == pytest.approx([0, one, 0, one, 0])
    assert found["known_any_1000m_per_km2"] == pytest.approx([0, 3 * one, 0, 3 * one, 0])


def test_a_square_whole_inside_a_polygon_is_its_own():
    grid = grid_of(5, 5)
    around = shapely.box(*grid.bounds).buffer(500)
    known = records_of(hazard_areas=[(around, 1)])
    found = at_row(grid, known, kinds=["any"], radii_m=[5000])
    assert found["known_any_distance_m"] == [20_000] * 25
    assert found["known_any_5000m_per_km2"] == [0] * 25


def test_touching_a_corner_is_enough():
    grid = grid_of(2, 2)
    corner = shapely.Point(grid.west_m + 100, grid.north_m - 100)
    found = at_row(grid, records_of(accidents=[(corner, 1)]), kinds=["accidents"], radii_m=[])
    assert found["known_accidents_distance_m"] == [20_000] * 4


def test_land_cleared_without_finds_is_no_hazard():
    grid = grid_of(1, 3)
    known = records_of(clearance=[(square(grid, 2), -1, 0), (square(grid, 2), 4, 2)])
    found = at_row(grid, known, kinds=["finds"], radii_m=[1000])
    assert found["known_finds_distance_m"] == pytest.approx([151, 51, 20_000])
    assert found["known_finds_1000m_per_km2"] == pytest.approx([1 / np.pi, 1 / np.pi, 0])


def test_records_without_a_hazard_stand_alone():
    grid = grid_of(1, 3)
    known = records_of(accidents=[(point(grid, 50), -1), (point(grid, 250), -1)])
    found = at_row(grid, known, kinds=["accidents"], radii_m=[])
    assert found["known_accidents_distance_m"] == pytest.approx([200, 100, 200])


def test_no_records_give_the_cap_and_no_cells_give_nothing():
    family = HazardHistoryFamily("known", HistorySettings(family="history", cap_m=300))
    found = at_grid(family, grid_of(1, 2), HazardRecords(CRS))
    assert found[::3].tolist() == [[300, 300]] * 4
    assert (found[[1, 2, 4, 5]] == 0).all()
    none = family.at_cells(np.empty(0), np.empty(0), 100.0, HazardRecords(CRS))
    assert none.shape == (12, 0)


def test_records_that_do_not_say_their_hazard_are_refused():
    known = records_of(accidents=[(shapely.Point(0, 0), 1)])
    bare = HazardRecords(CRS, accidents=known.accidents.drop(columns="hazard_id"))
    family = HazardHistoryFamily("known", HistorySettings(family="history"))
    with pytest.raises(FeatureError, match="accidents records carry no hazard_id"):
        at_grid(family, grid_of(1, 1), bare)


def test_prepared_once_for_the_same_records_and_anew_for_others():
    known = records_of(accidents=[(shapely.Point(0, 0), 1)])
    prepared = known_hazards(known)
    assert known_hazards(known) is prepared
    fewer = known.without(np.array([1]))
    assert len(known_hazards(fewer).segments) == 0


def test_specs():
    family = HazardHistoryFamily(
        "known", HistorySettings(family="history", kinds=["finds"], radii_m=[500])
    )
    assert [(s.name, s.unit, s.layer) for s in family.specs] == [
        ("known_finds_distance_m", "m", "hazard_records"),
        ("known_finds_500m_per_km2", "1/km²", "hazard_records"),
    ]


def random_records(rng, grid) -> HazardRecords:
    areas, cleared = random_polygons(rng, 6, grid), random_polygons(rng, 4, grid)
    return records_of(
        hazard_areas=[(a, rng.integers(0, 5)) for a in areas],
        clearance=[(c, rng.integers(0, 9), rng.integers(0, 2)) for c in cleared],
        accidents=[(p, rng.integers(-1, 9)) for p in random_points(rng, 6, grid)],
    )


@settings(max_examples=15, deadline=None)
@given(seed=seeds, block_cells=st.integers(2, 12))
def test_blocks_and_single_cells_agree_to_the_bit(seed, block_cells):
    rng = np.random.default_rng(seed)
    grid = grid_of(11, 14)
    known = random_records(rng, grid)
    family = HazardHistoryFamily("known", HistorySettings(family="history", radii_m=[400, 900]))
    whole = at_grid(family, grid, known).reshape(-1, *grid.shape)
    for block in grid.blocks(block_cells):
        row, col = block.offset_in(grid)
        part = whole[:, row : row + block.n_rows, col : col + block.n_cols]
        found = at_grid(family, block, known).reshape(part.shape)
        assert found.tobytes() == np.ascontiguousarray(part).tobytes()
    rows, cols = rng.integers(0, 11, 9), rng.integers(0, 14, 9)
    scattered = family.at_cells(*grid.centres(rows, cols), 100.0, known)
    assert scattered.tobytes() == np.ascontiguousarray(whole[:, rows, cols]).tobytes()


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_equals_a_slow_reference(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of(6, 7)
    known = random_records(rng, grid)
    finds = known.clearance[known.found()]
    tables = {"hazard_areas": known.hazard_areas, "accidents": known.accidents, "finds": finds}
    everything = [(kind, shape, owner) for kind, t in tables.items() for shape, owner in _rows(t)]
    found = at_row(grid, known, radii_m=[700])
    for number in range(grid.n_cells):
        easting, northing = grid.centres(*np.divmod(number, grid.n_cols))
        cell = shapely.box(easting - 50, northing - 50, easting + 50, northing + 50)
        own = {
            k if o < 0 else -1 - o for k, (_, s, o) in enumerate(everything) if cell.intersects(s)
        }
        others = [r for k, r in enumerate(everything) if (k if r[2] < 0 else -1 - r[2]) not in own]
        for kind in (*tables, "any"):
            away = [
                shapely.Point(easting, northing).distance(s)
                for w, s, _ in others
                if kind in (w, "any")
            ]
            nearest = min([20_000, *away])
            assert found[f"known_{kind}_distance_m"][number] == pytest.approx(nearest, abs=2e-3)
            density = sum(a <= 700 for a in away) / (np.pi * 0.49)
            assert found[f"known_{kind}_700m_per_km2"][number] == pytest.approx(density)


def _rows(table):
    return zip(table.geometry, table["hazard_id"].tolist(), strict=True)
