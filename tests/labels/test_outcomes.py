"""Outcomes of cells: one rule at a time, then conflicts, then whatever the tiling."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import LabelError, SettingsError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LabelSettings, validate
from tests.labels.cases import (
    CHA,
    CLEARED,
    FINDS,
    GRID,
    SHA,
    SURVEYED,
    at,
    blob,
    labeller,
    point,
    records,
)

CELL = at(0, 0, 10, 10)
"""The lower-left cell: row 9, column 0."""
LABEL_FILES = Path(__file__).parents[2] / "configs" / "labels"


def first_cell(labels):
    """All that is known of the lower-left cell."""
    return {name: getattr(labels, name)[9, 0] for name in vars(labels)}


def cha(**more):
    return {"record_id": "H", "kind": "CHA", "status": "open", "geometry": CELL, **more}


def cleared(**more):
    return {"record_id": "C", "method": "cleared", "geometry": CELL, **more}


# ------------------------------------------------------------------ one rule


def test_without_records_everything_is_unsurveyed():
    labels = labeller(records(), CHA, CLEARED).block(GRID)
    assert (labels.outcome == -1).all()
    assert (labels.weight == 0).all()
    assert (labels.hazard_id == -1).all()
    assert np.isnat(labels.decided).all()
    assert (labels.rule == -1).all()
    assert not labels.historical.any()


def test_a_confirmed_area_contaminates_the_cells_it_covers_enough():
    # Covers column 0 whole, column 1 by half, column 2 not at all; one row.
    area = cha(geometry=at(0, 0, 15, 10), hazard_id=7, reported="2001-05-04")
    labels = labeller(records(hazard_areas=[area]), {**CHA, "weight": 0.8}).block(GRID)
    assert labels.outcome[9, :3].tolist() == [1, 1, -1]
    assert (labels.outcome == 1).sum() == 2
    assert labels.hazard_id[9, :3].tolist() == [7, 7, -1]
    assert labels.decided[9, 0] == np.datetime64("2001-05-04")
    assert labels.weight[9, 0] == np.float32(0.8)
    assert labels.rule[9, 0] == 0


@pytest.mark.parametrize(("east", "outcome"), [(4.9, -1), (5.0, 1), (5.1, 1)])
def test_min_cover_is_reached_at_exactly_that_share(east, outcome):
    hazards = records(hazard_areas=[cha(geometry=at(0, 0, east, 10))])
    assert labeller(hazards, CHA).block(GRID).outcome[9, 0] == outcome


@pytest.mark.parametrize(("least_m2", "outcome"), [(20.0, 1), (21.0, -1)])
def test_min_area_lets_records_smaller_than_a_cell_count(least_m2, outcome):
    hazards = records(hazard_areas=[cha(geometry=at(0, 0, 2, 10))])
    rule = {**CHA, "min_area_m2": least_m2}
    assert labeller(hazards, rule).block(GRID).outcome[9, 0] == outcome


def test_records_of_a_rule_cover_together():
    halves = [cha(geometry=at(0, 0, 3, 10)), cha(geometry=at(3, 0, 6, 10))]
    assert labeller(records(hazard_areas=halves), CHA).block(GRID).outcome[9, 0] == 1


def test_land_in_two_records_counts_once():
    same = [cha(geometry=at(0, 0, 4, 10)), cha(geometry=at(0, 0, 4, 10))]
    assert labeller(records(hazard_areas=same), CHA).block(GRID).outcome[9, 0] == -1


def test_the_hazard_that_covers_most_labels_the_cell():
    two = [
        cha(geometry=at(0, 0, 2, 10), hazard_id=1),
        cha(geometry=at(2, 0, 6, 10), hazard_id=2),
    ]
    assert labeller(records(hazard_areas=two), CHA).block(GRID).hazard_id[9, 0] == 2


def test_a_sliver_of_a_new_record_does_not_make_an_old_one_look_new():
    two = [
        cha(geometry=at(0, 0, 9, 10), reported="1996-01-01", hazard_id=1),
        cha(geometry=at(9, 0, 10, 10), reported="2020-01-01", hazard_id=2),
    ]
    labels = labeller(records(hazard_areas=two), CHA).block(GRID)
    assert labels.decided[9, 0] == np.datetime64("1996-01-01")
    assert labels.hazard_id[9, 0] == 1


def test_where_matches_values_and_booleans_and_never_the_unknown():
    visits = [
        {"record_id": "1", "evidence_found": False, "geometry": at(0, 0, 10, 10)},
        {"record_id": "2", "evidence_found": True, "geometry": at(10, 0, 20, 10)},
        {"record_id": "3", "evidence_found": None, "geometry": at(20, 0, 30, 10)},
    ]
    labels = labeller(records(survey=visits), SURVEYED).block(GRID)
    assert labels.outcome[9, :3].tolist() == [0, -1, -1]


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(LabelError, match=r"labels\.rules\[0\]\.where: .*no column 'colour'"):
        labeller(records(hazard_areas=[cha()]), {**CHA, "where": {"colour": ["red"]}})


def test_an_accident_labels_the_one_cell_that_holds_it():
    # On the corner of four cells: it belongs to the one east and south of it.
    accident = {"record_id": "A", "occurred": "2003-02-01", "geometry": point(10, 10)}
    rule = {"record": "accidents", "outcome": "contaminated", "weight": 0.3}
    labels = labeller(records(accidents=[accident]), rule).block(GRID)
    assert np.argwhere(labels.outcome == 1).tolist() == [[9, 1]]
    assert labels.weight[9, 1] == np.float32(0.3)
    assert labels.decided[9, 1] == np.datetime64("2003-02-01")


def test_an_accident_with_a_buffer_labels_its_own_cell_and_those_covered_enough():
    accident = {"record_id": "A", "geometry": point(55, 55)}
    rule = {"record": "accidents", "outcome": "contaminated", "buffer_m": 12.0}
    labels = labeller(records(accidents=[accident]), rule).block(GRID)
    # A disc of 12 m around a cell's centre covers the four neighbours by about 0.65.
    assert np.argwhere(labels.outcome == 1).tolist() == [[3, 5], [4, 4], [4, 5], [4, 6], [5, 5]]
    small = labeller(records(accidents=[accident]), {**rule, "buffer_m": 1.0}).block(GRID)
    assert np.argwhere(small.outcome == 1).tolist() == [[4, 5]]


def test_records_in_another_crs_are_refused():
    grid = SurveyGrid("EPSG:32634", 10, 50_000, 490_010, 10, 10)
    with pytest.raises(LabelError, match="grid is in EPSG:32634 and the records in EPSG:32633"):
        labeller(records(hazard_areas=[cha()]), CHA).block(grid)


def test_records_from_after_their_own_date_of_completeness_are_refused():
    hazards = records(hazard_areas=[cha(reported="2021-01-01"), cha(reported="1999-01-01")])
    with pytest.raises(LabelError, match=r"1 hazard_areas records are dated after .*2020-12-31"):
        labeller(hazards, CHA, records_as_of=date(2020, 12, 31))


# ------------------------------------------------------------------ finds


@pytest.mark.parametrize(
    ("devices", "outcome", "historical"),
    [(3.0, 1, True), (0.0, 0, False), (None, 0, False)],
)
def test_cleared_with_finds_is_historically_contaminated(devices, outcome, historical):
    hazards = records(clearance=[cleared(devices_found=devices, hazard_id=4)])
    known = first_cell(labeller(hazards, FINDS, CLEARED).block(GRID))
    assert (known["outcome"], known["historical"]) == (outcome, historical)
    assert known["hazard_id"] == (4 if outcome else -1)


def test_unknown_finds_match_neither_with_nor_without():
    hazards = records(clearance=[cleared(devices_found=None)])
    for found in (True, False):
        rule = {"record": "clearance", "found": found, "outcome": "released"}
        assert labeller(hazards, rule).block(GRID).outcome[9, 0] == -1


def test_finds_without_clearance_are_not_historical():
    hazards = records(clearance=[cleared(method="reduced", devices_found=2)])
    known = first_cell(labeller(hazards, FINDS).block(GRID))
    assert (known["outcome"], known["historical"]) == (1, False)


def test_a_record_with_finds_releases_nothing_even_without_a_rule_for_finds():
    hazards = records(clearance=[cleared(devices_found=1)])
    assert labeller(hazards, CLEARED).block(GRID).outcome[9, 0] == -1
    assert labeller(hazards, CLEARED, precedence="latest").block(GRID).outcome[9, 0] == 0


# ------------------------------------------------------------------ conflict


@pytest.mark.parametrize(
    ("reported", "completed", "outcome"),
    [
        ("2001-01-01", "2010-01-01", 0),
        ("2010-01-01", "2001-01-01", 1),
        (None, "2001-01-01", 0),
        ("2001-01-01", None, 1),
        (None, None, 1),
        ("2001-01-01", "2001-01-01", 1),
    ],
)
def test_the_later_record_wins_unknown_is_oldest_and_ties_go_to_the_earlier_rule(
    reported, completed, outcome
):
    hazards = records(
        hazard_areas=[cha(reported=reported)], clearance=[cleared(completed=completed)]
    )
    known = first_cell(labeller(hazards, CHA, CLEARED).block(GRID))
    assert known["outcome"] == outcome
    assert known["rule"] == 1 - outcome


def test_ties_follow_the_order_of_the_rules():
    hazards = records(hazard_areas=[cha()], clearance=[cleared()])
    assert labeller(hazards, CLEARED, CHA).block(GRID).outcome[9, 0] == 0


def test_old_finds_beat_later_release():
    hazards = records(
        clearance=[
            cleared(devices_found=2, completed="2001-01-01"),
            cleared(devices_found=0, completed="2015-01-01"),
        ]
    )
    known = first_cell(labeller(hazards, CLEARED, FINDS).block(GRID))
    assert (known["outcome"], known["historical"]) == (1, True)
    assert known["decided"] == np.datetime64("2001-01-01")


def test_a_hazard_area_recorded_after_the_finds_decides():
    hazards = records(
        hazard_areas=[cha(reported="2015-01-01")],
        clearance=[cleared(devices_found=2, completed="2001-01-01")],
    )
    known = first_cell(labeller(hazards, CHA, FINDS).block(GRID))
    assert (known["outcome"], known["historical"], known["rule"]) == (1, False, 0)


def test_by_weight_the_heavier_record_wins_over_the_later():
    sha = cha(kind="SHA", reported="1990-01-01")
    hazards = records(hazard_areas=[sha], clearance=[cleared(completed="2015-01-01")])
    rules = (SHA, {**CLEARED, "weight": 0.4})
    assert labeller(hazards, *rules).block(GRID).outcome[9, 0] == 0
    heavier = labeller(hazards, *rules, precedence="finds_then_weight")
    assert heavier.block(GRID).outcome[9, 0] == 1


# ------------------------------------------------------------------ status


@pytest.mark.parametrize(
    ("area_status", "devices", "status"),
    [("open", 0.0, 1), ("open", 5.0, 1), ("closed", 0.0, 0), ("closed", 5.0, 0)],
)
def test_status_is_what_land_is_now_and_an_open_area_stands(area_status, devices, status):
    hazards = records(
        hazard_areas=[cha(status=area_status, reported="2001-01-01")],
        clearance=[cleared(devices_found=devices, completed="2010-01-01")],
    )
    shown = labeller(hazards, CHA, FINDS, CLEARED).status(GRID)
    assert shown.dtype == np.int8
    assert shown[9, 0] == status
    assert (shown == -1).sum() == 99


def test_a_sliver_of_an_open_area_does_not_stand_over_the_cell():
    hazards = records(
        hazard_areas=[
            cha(status="closed", reported="2001-01-01"),
            cha(geometry=at(0, 0, 1, 10), reported="2001-01-01"),
        ],
        clearance=[cleared(devices_found=0, completed="2010-01-01")],
    )
    assert labeller(hazards, CHA, CLEARED).status(GRID)[9, 0] == 0


# ------------------------------------------------------------------ properties


def random_records(rng):
    def when():
        return None if rng.random() < 0.3 else f"{rng.integers(1995, 2020)}-06-01"

    return records(
        hazard_areas=[
            {
                "kind": rng.choice(["SHA", "CHA"]),
                "status": rng.choice(["open", "closed"]),
                "reported": when(),
                "hazard_id": k,
                "geometry": blob(rng),
            }
            for k in range(4)
        ],
        clearance=[
            {
                "method": rng.choice(["cleared", "reduced", "cancelled"]),
                "devices_found": rng.choice([0.0, 3.0, np.nan]),
                "completed": when(),
                "hazard_id": 10 + k,
                "geometry": blob(rng),
            }
            for k in range(4)
        ],
        accidents=[
            {"occurred": when(), "hazard_id": 20 + k, "geometry": point(*rng.uniform(0, 100, 2))}
            for k in range(3)
        ],
        survey=[{"evidence_found": False, "visited": when(), "geometry": blob(rng)}],
    )


RULES = (
    CHA,
    FINDS,
    SHA,
    CLEARED,
    SURVEYED,
    {"record": "accidents", "outcome": "contaminated", "buffer_m": 15.0},
)


@given(
    seed=st.integers(0, 2**32 - 1),
    block_cells=st.integers(1, 9),
    precedence=st.sampled_from(["finds_then_latest", "latest", "finds_then_weight"]),
)
@settings(max_examples=20, deadline=None)
def test_labels_are_the_same_to_the_bit_whatever_the_tiling(seed, block_cells, precedence):
    hazards = random_records(np.random.default_rng(seed))
    source = labeller(hazards, *RULES, precedence=precedence)
    whole = source.block(GRID)
    other = labeller(hazards, *RULES, precedence=precedence)
    for block in GRID.blocks(block_cells):
        part = other.block(block)
        down, across = block.offset_in(GRID)
        window = np.s_[down : down + block.n_rows, across : across + block.n_cols]
        for name, values in vars(part).items():
            assert values.tobytes() == np.ascontiguousarray(getattr(whole, name)[window]).tobytes()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_finds_are_never_released(seed):
    hazards = random_records(np.random.default_rng(seed))
    labels = labeller(hazards, *RULES).block(GRID)
    with_finds = labeller(hazards, FINDS).block(GRID).outcome == 1
    assert (labels.outcome[with_finds] == 1).all()
    assert ((labels.weight > 0) == (labels.outcome >= 0)).all()
    assert not labels.historical[labels.outcome != 1].any()


# ------------------------------------------------------------------ shipped settings


@pytest.mark.parametrize("name", ["standard", "background"])
def test_shipped_label_settings_are_valid_and_work(name):
    values = yaml.safe_load((LABEL_FILES / f"{name}.yaml").read_text(encoding="utf-8"))
    shipped = validate(LabelSettings, values, "labels")
    hazards = random_records(np.random.default_rng([5]))
    labels = labeller(hazards, *[rule.model_dump() for rule in shipped.rules]).block(GRID)
    assert (labels.outcome == 1).any()
    assert (labels.outcome == 0).any() == (name == "standard")
    assert (shipped.background is not None) == (name == "background")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"found": True}, "found is for clearance records, not for hazard_areas"),
        ({"buffer_m": 5.0}, "buffer_m is for accidents, not for hazard_areas"),
    ],
)
def test_keys_that_say_nothing_for_a_record_are_refused(wrong, message):
    with pytest.raises(SettingsError, match=message):
        validate(LabelSettings, {"rules": [{**CHA, **wrong}]}, "labels")
