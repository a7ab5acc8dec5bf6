"""Which records tell of one and the same hazard."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.sources.hazard_ids import group_areas, hazard_ids, overlapping_pairs

CRS = "EPSG:32638"


def boxes(*bounds):
    return np.array([shapely.box(*box) for box in bounds], dtype=object)


def table(geometries):
    return gpd.GeoDataFrame(geometry=list(geometries), crs=CRS)


def ids(areas=(), clearance=(), found=(), accidents=()):
    return tuple(
        part.tolist()
        for part in hazard_ids(
            table(boxes(*areas)),
            table(boxes(*clearance)),
            np.array(found, dtype=bool),
            table(shapely.points(np.reshape(accidents, (-1, 2)))),
        )
    )


@pytest.mark.parametrize(
    ("width_shared_m", "together"),
    # Two 100 m squares: 10 m shared is 10 % of each, which is not more than 10 %.
    [(0, False), (10, False), (11, True), (100, True)],
)
def test_a_tenth_of_the_smaller_area_decides(width_shared_m, together):
    areas = boxes((0, 0, 100, 100), (100 - width_shared_m, 0, 200 - width_shared_m, 100))
    assert len(overlapping_pairs(areas)[0]) == together


def test_a_small_area_inside_a_large_one_is_the_same_hazard():
    assert group_areas(boxes((0, 0, 1000, 1000), (10, 10, 20, 20))).tolist() == [0, 0]


def test_hazards_join_through_others_and_count_by_first_appearance():
    chain = boxes((500, 0, 600, 100), (0, 0, 100, 100), (150, 0, 250, 100), (50, 0, 200, 100))
    assert group_areas(chain).tolist() == [0, 1, 1, 1]


def test_neighbours_that_only_touch_stay_apart():
    assert group_areas(boxes((0, 0, 100, 100), (100, 0, 200, 100))).tolist() == [0, 1]


def test_clearance_counts_only_with_finds():
    areas, clearance, _ = ids(
        areas=[(0, 0, 100, 100)],
        clearance=[(0, 0, 50, 100), (50, 0, 100, 100), (500, 0, 600, 100)],
        found=[True, False, True],
    )
    assert areas == [0]
    assert clearance == [0, -1, 1]


def test_accidents_belong_to_the_area_they_lie_in():
    _, _, accidents = ids(
        areas=[(0, 0, 100, 100), (200, 0, 300, 100)],
        accidents=[(250, 50), (100, 100), (1000, 0), (150, 0), (1000.2, 0), (2000, 0)],
    )
    assert accidents == [1, 0, 2, 3, 2, 4]


def test_an_accident_in_two_hazards_takes_the_lower_number():
    # The two share 100 m² of 10,000 m²: separate hazards, with a common strip.
    areas, _, accidents = ids(
        areas=[(0, 0, 100, 100), (99, 0, 199, 100)], accidents=[(99.5, 50), (150, 50)]
    )
    assert areas == [0, 1]
    assert accidents == [0, 1]


def test_accidents_without_any_area():
    assert ids(accidents=[(5, 5), (0, 0), (5, 5)]) == ([], [], [0, 1, 0])


def test_nothing_at_all():
    assert ids() == ([], [], [])


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_groups_are_the_components_of_a_plain_search(corners):
    areas = boxes(*[(x, y, x + 60, y + 60) for x, y in corners])
    expected = list(range(len(areas)))
    for _ in areas:
        for i, one in enumerate(areas):
            for j, other in enumerate(areas):
                if one.intersection(other).area > 360:
                    expected[i] = expected[j] = min(expected[i], expected[j])
    order = {group: rank for rank, group in enumerate(dict.fromkeys(expected))}
    assert group_areas(areas).tolist() == [order[group] for group in expected]
