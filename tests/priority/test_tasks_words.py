import numpy as np
import pytest
import shapely

from hazardrank.priority.tasks_words import (
    Phrase,
    compass_point,
    length_text,
    nearest_places,
    quantity_text,
)


def nearest(task, places, names=("Karsa", "Belo"), reach_m=30_000.0):
    found = nearest_places(np.array([task], float), np.array(places, object), names, reach_m)
    return found.words[0], found.distance_m[0], found.bearing_deg[0]


KARSA, BELO = shapely.Point(0, 0), shapely.Point(50_000, 0)


@pytest.mark.parametrize(
    ("task", "words", "bearing_deg"),
    [
        ((0, 2300), "2.3 km N of Karsa", 0),
        ((1630, 1630), "2.3 km NE of Karsa", 45),
        ((-480, 0), "480 m W of Karsa", 270),
        ((0, -14_400), "14 km S of Karsa", 180),
        ((49_000, 0), "1.0 km W of Belo", 270),
    ],
)
def test_the_task_lies_in_that_direction_of_the_place(task, words, bearing_deg):
    found, _, bearing = nearest(task, [KARSA, BELO])
    assert found == words
    assert bearing == pytest.approx(bearing_deg)


def test_a_task_at_the_place_has_no_direction():
    words, distance_m, bearing_deg = nearest((30, 40), [KARSA, BELO])
    assert (words, distance_m) == ("at Karsa", 50)
    assert np.isnan(bearing_deg)


def test_inside_a_settlement_drawn_as_polygon():
    words, distance_m, _ = nearest((900, 0), [shapely.box(-1000, -1000, 1000, 1000), BELO])
    assert (words, distance_m) == ("at Karsa", 0)


def test_from_the_edge_of_a_polygon_in_the_direction_of_its_middle():
    words, distance_m, _ = nearest((3000, 0), [shapely.box(-1000, -1000, 1000, 1000), BELO])
    assert (words, distance_m) == ("2.0 km E of Karsa", 2000)


def test_out_of_reach_and_nameless_places_are_passed_over():
    assert nearest((0, 2300), [KARSA, BELO], reach_m=1000)[0] == ""
    assert nearest((0, 2300), [KARSA, BELO], names=(None, "Belo"), reach_m=1e5)[0] == (
        "50 km W of Belo"
    )
    assert nearest((0, 2300), [KARSA, BELO], names=("", None))[0] == ""
    assert nearest_places(np.empty((0, 2)), np.array([KARSA]), ["Karsa"], 10).words.tolist() == []


def test_of_two_as_near_the_first_is_named():
    twins = [shapely.Point(0, 1000), shapely.Point(0, -1000)]
    assert nearest((0, 0), twins)[0] == "1.0 km S of Karsa"
    assert nearest((0, 0), twins[::-1])[0] == "1.0 km N of Karsa"


@pytest.mark.parametrize(
    ("bearing_deg", "point"),
    [(0, "N"), (22.4, "N"), (22.6, "NE"), (180, "S"), (337.6, "N"), (359, "N"), (300, "NW")],
)
def test_compass_points(bearing_deg, point):
    assert compass_point(bearing_deg) == point


def test_quantities_have_units():
    assert length_text(994) == "990 m"
    assert length_text(996) == "1.0 km"
    assert length_text(12_345) == "12 km"
    assert quantity_text(1240.4, "people") == "1,240 people"
    assert quantity_text(0.1234, "share") == "12.3 %"
    assert quantity_text(0.0456, "1") == "0.0456"
    assert quantity_text(np.nan, "people") == "not known"


def test_phrases_say_the_quantity_and_that_of_the_median_task():
    people = Phrase("people within reach", "people")
    assert people.said(1240, 45) == "people within reach 1,240 people; median task 45 people"
    assert Phrase("distance to a school", "m").said(np.nan, 450) == (
        "distance to a school not known; median task 450 m"
    )
