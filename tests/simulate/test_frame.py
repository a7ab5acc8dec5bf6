"""Where a district lies and how its draws are made."""

import numpy as np
import pytest

from hazardrank.errors import GridError, SettingsError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import DistrictSettings
from hazardrank.simulate.frame import DIFFICULTIES, MARGIN_M, Frame, sample


def test_the_district_is_square_and_the_world_adds_the_margin():
    frame = Frame.of(DistrictSettings(size_km=10, cell_size_m=100))
    assert frame.district.shape == (100, 100)
    assert frame.district.bounds == (600_000, 20_000, 610_000, 30_000)
    assert frame.world.shape == (180, 180)
    assert frame.world.west_m == 600_000 - MARGIN_M
    assert frame.district_area_m2 == 1e8


def test_a_cell_size_that_does_not_divide_the_corner_gives_whole_cells_all_the_same():
    frame = Frame.of(DistrictSettings(size_km=4, cell_size_m=30))
    assert frame.district.n_cols == 134
    assert frame.district.west_m % 30 == 0
    assert frame.district.west_m >= 600_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size_km": 4, "cell_size_m": 1000}, "gives 4 cells across; a simulated district needs"),
        ({"size_km": 400, "cell_size_m": 20}, "gives 20000 cells across"),
        ({"cell_size_m": 99.5}, "cell_size_m = 99.5 must be a whole number of metres"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        Frame.of(DistrictSettings(**changes))


def test_a_geographic_crs_is_refused():
    with pytest.raises(GridError, match="EPSG:4326 is geographic"):
        Frame.of(DistrictSettings(crs="EPSG:4326"))


def test_draws_depend_on_seed_and_purpose_alone():
    one, same, other = (Frame.of(DistrictSettings(seed=seed)) for seed in (1, 1, 2))
    first = one.draws("mines").random(4)
    np.testing.assert_array_equal(first, same.draws("mines").random(4))
    assert not np.array_equal(first, one.draws("survey").random(4))
    assert not np.array_equal(first, other.draws("mines").random(4))


def test_points_on_the_border_are_not_in_the_district():
    frame = Frame.of(DistrictSettings(size_km=4))
    easting = np.array([600_000.0, 600_000.1, 603_999.9, 604_000.0])
    inside = frame.in_district(easting, np.full(4, 22_000.0))
    assert inside.tolist() == [False, True, True, False]


def test_sample_takes_the_cell_that_holds_a_point_and_the_nearest_outside():
    grid = SurveyGrid("EPSG:32638", 10, 0, 2, 2, 2)
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    easting, northing = np.array([5.0, 15.0, 500.0]), np.array([15.0, 5.0, -500.0])
    assert sample(grid, values, easting, northing).tolist() == [1.0, 4.0, 4.0]


def test_harder_districts_follow_rules_less_and_have_worse_records():
    easy, standard, hard = (DIFFICULTIES[name] for name in ("easy", "standard", "hard"))
    assert easy.ruleless_share < standard.ruleless_share < hard.ruleless_share
    assert easy.hidden_strength < standard.hidden_strength < hard.hidden_strength
    assert easy.right_map_share > standard.right_map_share > hard.right_map_share
    assert standard.right_map_share == 0.25
