import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from hazardrank.priority.plan_access import task_order
from hazardrank.settings import AccessSettings

SETTINGS = AccessSettings(reach_m=150, closed_factor=10, piece_m=20)
VILLAGE = np.array([shapely.Point(0, 0)])


def boxes(*bounds):
    return np.array([shapely.box(*one) for one in bounds], object)


def road(*places):
    return shapely.LineString(places)


def order(tasks, roads, entrances=VILLAGE, settings=SETTINGS):
    found = task_order(tasks, np.array(roads, object), entrances, settings)
    return found.before.tolist(), found.no_way_in.tolist()


def test_tasks_on_the_only_road_come_in_the_order_of_the_way():
    # One road east; 0 lies beside its end, 1 and 2 across it, 3 beside its beginning.
    tasks = boxes(
        (900, 20, 1000, 100), (200, -50, 300, 50), (500, -50, 600, 50), (50, 20, 100, 100)
    )
    before, no_way_in = order(tasks, [road((0, 0), (1000, 0))])
    assert before == [[1, 0], [1, 2], [2, 0]]
    assert no_way_in == [False] * 4


def test_a_short_detour_on_open_road_is_preferred():
    tasks = boxes((200, -50, 300, 50), (550, -50, 600, 50))
    straight, around = road((0, 0), (600, 0)), road((0, 0), (0, 300), (500, 300), (500, 0))
    assert order(tasks, [straight, around])[0] == []
    # Of 1100 m instead of 500, and only 100 of these closed: as much as 5 closed metres each.
    never = AccessSettings(reach_m=150, closed_factor=5, piece_m=20)
    assert order(tasks, [straight, around], settings=never)[0] == [[0, 1]]


def test_land_far_from_any_road_has_no_way_in():
    tasks = boxes((100, 100, 200, 200), (100, 300, 200, 400), (5000, 0, 5100, 100))
    _, no_way_in = order(tasks, [road((0, 0), (1000, 0)), road((5000, 50), (5100, 50))])
    assert no_way_in == [False, True, True]


def test_without_entrances_nothing_can_be_reached():
    far = np.array([shapely.Point(0, 9000)])
    before, no_way_in = order(boxes((0, 0, 50, 50)), [road((0, 0), (100, 0))], far)
    assert (before, no_way_in) == ([], [True])


@given(st.integers(0, 10_000))
def test_no_circles_whatever_the_roads(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 900, (12, 2))
    tasks = boxes(*np.hstack([corners, corners + 60]).tolist())
    roads = [shapely.LineString(rng.uniform(0, 900, (4, 2))) for _ in range(4)]
    settings = AccessSettings(reach_m=500, closed_factor=3, piece_m=30)
    found = task_order(
        tasks, np.array(roads, object), shapely.points(rng.uniform(0, 900, (2, 2))), settings
    )
    pairs = found.before
    assert not found.no_way_in[pairs].any()
    # As long as some task waits for none of those left, one can be taken; in a circle none can.
    left = set(range(12))
    while left:
        waiting = {then for first, then in pairs.tolist() if first in left and then in left}
        assert left - waiting
        left = left & waiting
