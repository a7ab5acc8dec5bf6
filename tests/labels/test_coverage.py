"""Covered areas: by hand, against exactextract, and whatever the tiling."""

from __future__ import annotations

import exactextract
import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.grid import SurveyGrid
from hazardrank.labels import coverage
from hazardrank.labels.coverage import RecordShapes
from tests.labels.cases import CRS, GRID, at, blob


def as_array(polygons):
    array = np.empty(len(polygons), dtype=object)
    array[:] = polygons
    return array


def areas(polygons, grid=GRID):
    """Covered area per record and cell, shape (n_records, rows, cols)."""
    pairs = RecordShapes(as_array(polygons), grid.cell_size_m).covered(grid)
    result = np.zeros((len(polygons), grid.n_cells))
    result[pairs.record, pairs.cell] = pairs.area_m2
    return result.reshape(len(polygons), *grid.shape)


def test_a_square_over_four_cells_covers_known_areas():
    # 5 … 12 m east and 0 … 14 m north: cells of 10 m, bottom row is row 9.
    covered = areas([at(5, 0, 12, 14)])[0]
    assert covered[9, 0] == 50
    assert covered[9, 1] == 20
    assert covered[8, 0] == 20
    assert covered[8, 1] == 8
    assert covered.sum() == 7 * 14


def test_a_cell_covered_whole_has_exactly_its_area_and_a_touched_one_is_absent():
    pairs = RecordShapes(as_array([at(10, 10, 20, 20)]), 10).covered(GRID)
    assert pairs.cell.tolist() == [8 * 10 + 1]
    assert pairs.area_m2.tolist() == [100.0]
    assert pairs.piece.tolist() == [-1]


def test_pairs_are_sorted_by_cell_and_record():
    pairs = RecordShapes(as_array([at(0, 0, 30, 10), at(0, 0, 10, 10)]), 10).covered(GRID)
    assert list(zip(pairs.cell, pairs.record, strict=True)) == [(90, 0), (90, 1), (91, 0), (92, 0)]


def test_the_union_of_overlapping_pieces_counts_land_once():
    shapes = RecordShapes(as_array([at(0, 0, 6, 10), at(4, 0, 10, 5)]), 10)
    pairs = shapes.covered(GRID)
    # 60 + 30 m², of which 2 × 5 m² twice.
    assert pairs.area_m2.tolist() == [60, 30]
    assert shapes.union_area_m2(GRID, 90, pairs.piece) == pytest.approx(80)


def test_empty_and_missing_polygons_cover_nothing():
    pairs = RecordShapes(as_array([None, shapely.Polygon()]), 10).covered(GRID)
    assert len(pairs) == 0


def test_large_polygons_are_cut_without_changing_any_area(monkeypatch):
    rng = np.random.default_rng([11])
    polygons = [blob(rng, 9, 60.0) for _ in range(5)]
    whole = areas(polygons)
    monkeypatch.setattr(coverage, "TILE_CELLS", 2)
    shapes = RecordShapes(as_array(polygons), 10)
    assert len(shapes.pieces) > 5 * len(polygons)
    np.testing.assert_allclose(areas(polygons), whole, rtol=0, atol=1e-6)


def test_many_pairs_are_clipped_in_chunks_without_changing_any_area(monkeypatch):
    rng = np.random.default_rng([12])
    polygons = [blob(rng) for _ in range(8)]
    whole = areas(polygons)
    monkeypatch.setattr(coverage, "PAIRS_AT_ONCE", 10)
    np.testing.assert_array_equal(areas(polygons), whole)


@given(seed=st.integers(0, 2**32 - 1), row=st.integers(-3, 9), col=st.integers(-3, 9))
@settings(max_examples=25, deadline=None)
def test_a_block_holds_the_very_bits_of_the_whole(seed, row, col):
    rng = np.random.default_rng(seed)
    polygons = [blob(rng) for _ in range(4)]
    outer = GRID.expanded(3)
    block = GRID.part(row, col, int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    down, across = block.offset_in(outer)
    there = areas(polygons, outer)[:, down : down + block.n_rows, across : across + block.n_cols]
    here = areas(polygons, block)[:, : there.shape[1], : there.shape[2]]
    assert here.tobytes() == np.ascontiguousarray(there).tobytes()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_areas_add_up_to_the_polygon_and_never_exceed_the_cell(seed):
    polygon = blob(np.random.default_rng(seed))
    covered = areas([polygon], GRID.expanded(10))
    assert covered.sum() == pytest.approx(polygon.area, abs=1e-6)
    assert covered.max() <= 100


def test_areas_agree_with_exactextract(tmp_path):
    """Golden: exactextract 0.3, an independent implementation of coverage fractions."""
    polygons = [blob(np.random.default_rng([3, k]), 9, 45.0) for k in range(6)]
    ours = areas(polygons) / GRID.cell_area_m2
    path = tmp_path / "ones.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=10, height=10, count=1, dtype="uint8",
        crs=CRS, transform=GRID.transform,
    ) as raster:  # fmt: skip
        raster.write(np.ones((1, 10, 10), np.uint8))
    frame = gpd.GeoDataFrame({"number": range(6)}, geometry=polygons, crs=CRS)
    rows = exactextract.exact_extract(
        str(path), frame, ["cell_id", "coverage"], include_cols=["number"], output="pandas"
    )
    theirs = np.zeros((6, 100))
    for number, cell, share in rows[["number", "cell_id", "coverage"]].itertuples(index=False):
        theirs[number, np.asarray(cell, int)] = share
    assert theirs.sum() > 10
    np.testing.assert_allclose(ours.reshape(6, 100), theirs, atol=1e-6)


def test_a_large_polygon_is_found_far_from_its_corners():
    grid = SurveyGrid.covering(CRS, 10, (500_000, 4_900_000, 510_000, 4_910_000))
    shapes = RecordShapes(as_array([at(0, 0, 10_000, 10_000)]), 10)
    pairs = shapes.covered(grid.part(500, 500, 4, 4))
    assert len(pairs) == 16
    assert (pairs.piece == -1).all()
