from hazardrank.priority.plan_options import options_of
from hazardrank.priority.plan_room import Room, parts_of
from tests.priority.plan_cases import season


def test_what_is_due_early_takes_room_from_what_is_due_late_but_not_the_reverse():
    # Task 0 is due by the fifth day, task 1 by the tenth; both need 4 days, task 2 three.
    problem = season([1, 1, 1], [4, 4, 3], (10,), deadline={0: 4, 2: 4}, late_share=0.0)
    room = Room(problem, options_of(problem))
    assert room.left == [10]
    room.take(1)
    assert room.fits(0)
    room.take(0)
    assert not room.fits(2)  # 4 + 3 days until the fifth
    room.give_back(0)
    assert room.fits(2)
    assert room.left == [6]


def test_no_more_than_the_season_holds():
    problem = season([1, 1], [6, 5], (10,))
    room = Room(problem, options_of(problem))
    room.take(0)
    assert not room.fits(1)


def test_parts_of_a_team():
    problem = season([1, 1], [4, 4], (90,), closed={0: [2]})
    ours, opens, dues = parts_of(options_of(problem), 0)
    assert len(ours) == 3
    assert opens.tolist() == [0, 59]
    assert dues.tolist() == [31, 90]
