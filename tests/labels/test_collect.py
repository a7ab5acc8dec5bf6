"""Labelled cells of a region: counts, background and thinning, whatever the tiling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hazardrank.errors import LabelError
from hazardrank.grid import SurveyGrid
from hazardrank.labels import collect as collecting
from hazardrank.labels.collect import cell_hash, label_region, sample_cells
from hazardrank.labels.outcomes import Labeller
from hazardrank.settings import BackgroundSettings, LabelRule, LabelSettings
from tests.labels.cases import CHA, CLEARED, CRS, GRID, at, point, records

WIDE = SurveyGrid.covering(CRS, 10, (500_000, 4_900_000, 500_400, 4_900_400))
"""Forty by forty cells over the same corner."""


def everywhere(grid):
    return np.ones(grid.shape, bool)


def western(grid):
    """Only cells of the western half of GRID."""
    return np.broadcast_to(grid.eastings() < 500_050, grid.shape)


def collect(hazards, *rules, grid=GRID, inside=everywhere, block_cells=4, seed=0, **more):
    chosen = LabelSettings(rules=[LabelRule(**rule) for rule in rules], **more)
    return label_region(grid, inside, Labeller(hazards, chosen), chosen, block_cells, seed)


def square(west, south, east, north, **more):
    return {"kind": "CHA", "status": "open", "geometry": at(west, south, east, north), **more}


def two_kinds():
    return records(
        hazard_areas=[square(0, 0, 30, 10, hazard_id=3)],
        clearance=[{"method": "cleared", "devices_found": 0.0, "geometry": at(0, 50, 70, 60)}],
    )


def test_counts_and_cells_by_hand():
    region = collect(two_kinds(), CHA, CLEARED)
    assert (region.n_cells, region.n_contaminated, region.n_released) == (100, 3, 7)
    assert (region.n_unsurveyed, region.n_background) == (90, 0)
    assert region.cells.row.tolist() == [4] * 7 + [9] * 3
    assert region.cells.col.tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2]
    assert region.cells.outcome.tolist() == [0] * 7 + [1] * 3
    assert region.cells.hazard_id.tolist() == [-1] * 7 + [3] * 3
    assert region.cells.cell_ids()[7] == "CRS32633RES10mN4900000E500000"
    region.require_learnable()


def test_only_the_area_counts():
    region = collect(two_kinds(), CHA, CLEARED, inside=western)
    assert (region.n_cells, region.n_contaminated, region.n_released) == (50, 3, 5)
    assert region.n_unsurveyed == 42


def test_blocks_are_told_one_by_one():
    told = []
    chosen = LabelSettings(rules=[LabelRule(**CHA)])
    label_region(GRID, everywhere, Labeller(records(), chosen), chosen, 4, 0, told.append)
    assert told == [1] * GRID.n_blocks(4)


def test_nothing_contaminated_or_nothing_to_tell_it_from_is_said():
    with pytest.raises(LabelError, match="none of the 100 cells is known to be contaminated"):
        collect(records(), CHA).require_learnable()
    only = collect(records(hazard_areas=[square(0, 0, 30, 10)]), CHA)
    with pytest.raises(LabelError, match="3 cells are contaminated and none is released"):
        only.require_learnable()


# ------------------------------------------------------------------ background


def drawn(region):
    """Cells of the background as (row, col) pairs."""
    cells = region.cells
    background = cells.outcome == -1
    return set(zip(cells.row[background].tolist(), cells.col[background].tolist(), strict=True))


def test_background_is_drawn_in_the_asked_number_and_never_as_released():
    hazards = records(hazard_areas=[square(0, 0, 30, 10)])
    region = collect(hazards, CHA, background=BackgroundSettings(per_contaminated=4, weight=0.5))
    assert (region.n_contaminated, region.n_released, region.n_background) == (3, 0, 12)
    assert region.n_unsurveyed == 97
    assert region.cells.has_background
    background = region.cells.take(region.cells.outcome == -1)
    assert len(drawn(region)) == 12
    assert (background.weight == 0.5).all()
    assert (background.rule == -1).all()
    assert (background.hazard_id == -1).all()
    assert np.isnat(background.decided).all()
    region.require_learnable()


def test_background_avoids_all_land_that_was_ever_suspected():
    hazards = records(
        hazard_areas=[square(0, 0, 30, 10), square(0, 92, 2, 94, kind="SHA")],
        clearance=[{"method": "cancelled", "geometry": at(52, 52, 54, 54)}],
        accidents=[{"geometry": point(85, 85)}],
    )
    region = collect(hazards, CHA, background=BackgroundSettings(per_contaminated=1000))
    # Three contaminated cells; touched by the SHA, the cancelled land and the accident:
    # one cell each; cells that only share an edge with the CHA are touched too.
    missing = {(r, c) for r in range(10) for c in range(10)} - drawn(region)
    assert missing == {(0, 0), (4, 5), (1, 8), (9, 0), (9, 1), (9, 2), (9, 3)} | {
        (8, c) for c in range(4)
    }


def test_background_keeps_its_distance():
    hazards = records(hazard_areas=[square(40, 40, 50, 50)])
    region = collect(
        hazards, CHA, background=BackgroundSettings(per_contaminated=1000, min_distance_m=25)
    )
    cells = region.cells.take(region.cells.outcome == -1)
    gap_east = np.maximum(np.abs(cells.easting - 500_045) - 5, 0)
    gap_north = np.maximum(np.abs(cells.northing - 4_900_045) - 5, 0)
    assert np.hypot(gap_east, gap_north).min() > 25
    assert 0 < len(cells) < 91


def test_background_is_refused_where_land_is_released():
    with pytest.raises(LabelError, match="7 cells are released, so there are true negatives"):
        collect(two_kinds(), CHA, CLEARED, background=BackgroundSettings())


@given(block_cells=st.integers(1, 40), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_draw_depends_on_the_seed_and_not_on_the_tiling(block_cells, seed):
    hazards = records(hazard_areas=[square(0, 0, 30, 10)])
    background = BackgroundSettings(per_contaminated=8)
    draws = [
        collect(hazards, CHA, grid=WIDE, block_cells=cells, seed=s, background=background)
        for cells, s in ((40, seed), (block_cells, seed), (40, seed + 1))
    ]
    assert drawn(draws[0]) == drawn(draws[1])
    assert drawn(draws[0]) != drawn(draws[2])
    assert draws[0].n_background == 24


@pytest.mark.parametrize("candidates", [0.2, 3, 1000])
def test_the_draw_does_not_depend_on_where_it_looks_first(candidates, monkeypatch):
    hazards = records(hazard_areas=[square(0, 0, 30, 10)])
    background = BackgroundSettings(per_contaminated=8)
    expected = drawn(collect(hazards, CHA, grid=WIDE, background=background))
    monkeypatch.setattr(collecting, "ENOUGH_CANDIDATES", candidates)
    assert drawn(collect(hazards, CHA, grid=WIDE, background=background)) == expected


def test_a_cell_ranks_alike_in_a_wider_extent():
    rows, cols = np.nonzero(np.ones(GRID.shape))
    down, across = GRID.offset_in(WIDE)
    np.testing.assert_array_equal(
        cell_hash(GRID, rows, cols, 5, 1), cell_hash(WIDE, rows + down, cols + across, 5, 1)
    )


def test_the_hash_is_uniform_and_its_streams_differ():
    rows, cols = np.nonzero(np.ones(WIDE.shape))
    first, second = (cell_hash(WIDE, rows, cols, 5, stream) / 2**64 for stream in (1, 2))
    assert len(np.unique(first)) == WIDE.n_cells
    counts = np.histogram(first, bins=8, range=(0, 1))[0]
    # 1,600 cells in 8 bins: 200 each, standard deviation 13.2; five of them.
    assert np.abs(counts - 200).max() < 66
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.13


def away_m(region):
    """Distance of the background to the southern edge of the wide grid, in metres."""
    return region.cells.northing[region.cells.outcome == -1] - 4_900_000


def southern():
    """Contaminated land all along the southern edge, one cell deep."""
    return records(hazard_areas=[square(0, 0, 400, 10)])


def test_buffered_background_lies_in_a_ring():
    ring = BackgroundSettings(
        per_contaminated=1000, sampling="buffered", min_distance_m=50, max_distance_m=100
    )
    region = collect(southern(), CHA, grid=WIDE, background=ring)
    # Centres 65 … 105 m from the edge lie 55 … 95 m from the hazard: five rows of forty.
    assert sorted(set(away_m(region).tolist())) == [65.0, 75.0, 85.0, 95.0, 105.0]
    assert region.n_background == 200


def test_hard_background_is_drawn_by_its_distance():
    hazards = records(hazard_areas=[square(0, 0, 100, 10)])
    near, anywhere = (
        collect(hazards, CHA, grid=WIDE, background=BackgroundSettings(**how))
        for how in (
            {"per_contaminated": 10, "sampling": "hard", "hard_distance_m": 50},
            {"per_contaminated": 10},
        )
    )
    assert near.n_background == anywhere.n_background == 100
    assert away_m(near).mean() < 0.6 * away_m(anywhere).mean()
    # By chance, not the nearest: some lies further than a hundred cells would reach.
    assert away_m(near).max() > 120


def to_the_west(easting, northing):
    return easting - 500_000


def matched(hazards, per_contaminated=2, **more):
    background = BackgroundSettings(
        per_contaminated=per_contaminated, sampling="propensity_matched", match_layer="roads"
    )
    chosen = LabelSettings(rules=[LabelRule(**CHA)], background=background)
    how = {"block_cells": 16, "seed": 0, **more}
    return label_region(
        WIDE, everywhere, Labeller(hazards, chosen), chosen, match_distance=to_the_west, **how
    )


def test_matched_background_lies_as_near_to_the_layer_as_contaminated_land():
    region = matched(records(hazard_areas=[square(0, 0, 100, 40)]))
    cells = region.cells
    west_m = (cells.easting - 500_000)[cells.outcome == -1]
    assert west_m.max() < 100
    # Ten columns in five strata of two; as much background from each.
    assert np.bincount((west_m // 20).astype(int)).tolist() == [16] * 5
    assert len(west_m) == 80
    with pytest.raises(LabelError, match="matched on the distance to a layer"):
        collect(
            southern(),
            CHA,
            grid=WIDE,
            background=BackgroundSettings(sampling="propensity_matched", match_layer="roads"),
        )


@given(block_cells=st.integers(3, 40), sampling=st.sampled_from(["buffered", "hard"]))
@settings(max_examples=10, deadline=None)
def test_chosen_background_does_not_depend_on_the_tiling(block_cells, sampling):
    background = BackgroundSettings(
        per_contaminated=3, sampling=sampling, hard_distance_m=60, max_distance_m=200
    )
    hazards = records(hazard_areas=[square(0, 0, 60, 10)])
    first, second = (
        collect(hazards, CHA, grid=WIDE, block_cells=cells, background=background)
        for cells in (40, block_cells)
    )
    assert drawn(first) == drawn(second)
    hazards = records(hazard_areas=[square(0, 0, 100, 40)])
    assert drawn(matched(hazards, block_cells=block_cells)) == drawn(matched(hazards))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sampling": "buffered", "min_distance_m": 10, "max_distance_m": 5}, "larger than min"),
        ({"sampling": "propensity_matched"}, "needs match_layer"),
    ],
)
def test_sampling_that_cannot_be_is_refused(asked, said):
    with pytest.raises(ValidationError, match=said):
        BackgroundSettings(**asked)


def test_a_sample_of_the_area_has_the_asked_size_whatever_the_tiling():
    row, col = sample_cells(WIDE, western, 50, 40, 3)
    assert len(row) == 50
    assert western(WIDE)[row, col].all()
    again = sample_cells(WIDE, western, 50, 7, 3)
    np.testing.assert_array_equal(np.stack([row, col]), np.stack(again))
    assert len(sample_cells(GRID, everywhere, 1000, 4, 3)[0]) == 100


# ------------------------------------------------------------------ thinning


def test_thinning_keeps_the_mix_of_outcomes_and_the_order():
    hazards = records(
        hazard_areas=[square(0, 0, 400, 50)],
        clearance=[{"method": "cleared", "devices_found": 0.0, "geometry": at(0, 100, 400, 300)}],
    )
    whole = collect(hazards, CHA, CLEARED, grid=WIDE)
    region = collect(hazards, CHA, CLEARED, grid=WIDE, max_cells=100)
    assert (whole.n_contaminated, whole.n_released) == (200, 800)
    assert (region.n_contaminated, region.n_released) == (200, 800)
    assert len(region.cells) == 100
    assert int(region.cells.contaminated.sum()) == 20
    place = region.cells.row.astype(int) * 40 + region.cells.col
    assert (np.diff(place) > 0).all()
    other = collect(hazards, CHA, CLEARED, grid=WIDE, max_cells=100, block_cells=7)
    np.testing.assert_array_equal(other.cells.row, region.cells.row)
    np.testing.assert_array_equal(other.cells.col, region.cells.col)


def test_the_rarest_outcome_survives_thinning():
    hazards = records(
        hazard_areas=[square(0, 0, 10, 10)],
        clearance=[{"method": "cleared", "devices_found": 0.0, "geometry": at(0, 100, 400, 400)}],
    )
    region = collect(hazards, CHA, CLEARED, grid=WIDE, max_cells=100)
    assert len(region.cells) == 100
    assert int(region.cells.contaminated.sum()) == 1
