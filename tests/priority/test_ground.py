from __future__ import annotations

import numpy as np
import pytest
import shapely

from hazardrank.errors import FeatureError, PriorityError
from hazardrank.grid import SurveyGrid
from hazardrank.priority.ground import GroundReader, categories_of
from hazardrank.records import HazardArea, HazardRecords, columns_of
from hazardrank.settings import EffortSettings, Role
from tests.priority.cases import CRS, at, grid_of, layers_of, table_of
from tests.priority.test_effort import MANUAL

CLASSES = {1: "forest", 2: "bare"}


def settings_of(**values):
    method = {**MANUAL, "vegetation_time": {"forest": 2}, "device_time": {"AP": 2, "IED": 3}}
    return EffortSettings(methods={"manual": method}, **values)


def region(rows=6, cols=7, role=Role.BOTH):
    grid = grid_of(rows, cols)
    rng = np.random.default_rng(1)
    outer = grid.expanded(1)
    easting = outer.eastings()
    plane = np.broadcast_to((easting - grid.west_m) * np.tan(np.radians(20)), outer.shape)
    elevation = plane.astype(np.float32).copy()
    fine = SurveyGrid(CRS, 50, 2 * grid.west_cell, 2 * grid.north_cell, 2 * rows, 2 * cols)
    codes = rng.integers(0, 3, fine.shape).astype(np.uint8)
    return layers_of(
        grid,
        role=role,
        rasters={"elevation": (outer, elevation)},
        classes=CLASSES,
        categorical={"land_cover": (fine, codes)},
    )


def areas_of(grid, *rows) -> HazardRecords:
    """Hazard areas over whole cells: first column, last column, devices, status."""
    data = {name: [None] * len(rows) for name in columns_of(HazardArea)}
    data["record_id"] = [f"H{n}" for n in range(len(rows))]
    data["device"] = [row[2] for row in rows]
    data["status"] = [row[3] for row in rows]
    polygons = [
        shapely.box(
            grid.west_m + 100 * first, grid.north_m - 100, grid.west_m + 100 * last, grid.north_m
        )
        for first, last, *_ in rows
    ]
    return HazardRecords(CRS, hazard_areas=table_of(polygons, **data))


def test_slope_of_a_plane_and_shares():
    layers = region()
    ground = GroundReader(settings_of(), layers.catalogue).block(layers.grid, layers)
    assert ground.slope_deg == pytest.approx(20, abs=1e-3)
    assert set(ground.vegetation) == {"forest"}
    assert 0 < ground.vegetation["forest"].max() <= 1
    assert ground.cell_area_m2 == 10_000


def test_unknown_ground_is_assumed_as_stated():
    grid = grid_of(3, 3)
    layers = layers_of(
        grid,
        rasters={"elevation": (grid, np.full(grid.shape, np.nan, np.float32))},
        classes=CLASSES,
        categorical={"land_cover": (grid, np.zeros(grid.shape, np.uint8))},
    )
    ground = GroundReader(settings_of(unknown_slope_deg=12), layers.catalogue).block(grid, layers)
    assert (ground.slope_deg == 12).all()
    assert not ground.vegetation["forest"].any()


def test_devices_of_open_areas():
    layers = region(1, 4)
    grid = layers.grid
    records = areas_of(
        grid, (0, 2, "AP; UXO", "open"), (1, 3, "IED", "unknown"), (0, 4, "IED", "closed")
    )
    ground = GroundReader(settings_of(), layers.catalogue, records).block(grid, layers)
    assert ground.devices["AP"].tolist() == [[True, True, False, False]]
    assert ground.devices["IED"].tolist() == [[False, True, True, False]]


def test_without_records_no_device_is_known():
    layers = region(1, 4)
    ground = GroundReader(settings_of(), layers.catalogue).block(layers.grid, layers)
    assert not ground.devices["AP"].any()


def test_categories():
    assert categories_of("AP;  UXO ;") == ["AP", "UXO"]
    assert categories_of(None) == categories_of(float("nan")) == []


def test_the_tiling_changes_no_bit():
    layers = region(9, 11)
    reader = GroundReader(
        settings_of(), layers.catalogue, areas_of(layers.grid, (2, 5, "AP", "open"))
    )
    whole = reader.block(layers.grid, layers)
    for block in layers.grid.blocks(4):
        row, col = block.offset_in(layers.grid)
        part = np.s_[row : row + block.n_rows, col : col + block.n_cols]
        found = reader.block(block, layers)
        assert np.array_equal(found.slope_deg, whole.slope_deg[part])
        assert np.array_equal(found.vegetation["forest"], whole.vegetation["forest"][part])
        assert np.array_equal(found.devices["AP"], whole.devices["AP"][part])


def test_absent_layers():
    layers = layers_of(grid_of(1, 1))
    reader = GroundReader(settings_of(when_absent="skip"), layers.catalogue)
    assert reader.skipped == [
        "effort does not look at elevation: the region has no layer elevation",
        "effort does not look at vegetation: the region has no layer land_cover",
    ]
    ground = reader.block(layers.grid, layers)
    assert ground.slope_deg.tolist() == [[0]]
    assert ground.vegetation == {}
    with pytest.raises(PriorityError, match=r"effort\.elevation: there is no layer 'elevation'"):
        GroundReader(settings_of(), layers.catalogue)


def test_layers_and_classes_are_checked():
    with pytest.raises(PriorityError, match=r"layer 'elevation' has the role 'hazard'"):
        GroundReader(settings_of(), region(role=Role.HAZARD).catalogue)
    grid = grid_of(1, 1)
    points = layers_of(grid, elevation=table_of([at(grid, 1, 1)]))
    with pytest.raises(FeatureError, match=r"effort\.elevation: .* is a layer of points"):
        GroundReader(settings_of(vegetation=None), points.catalogue)
    jungle = EffortSettings(methods={"m": {**MANUAL, "vegetation_time": {"jungle": 2}}})
    with pytest.raises(PriorityError, match="layer 'land_cover' has no class jungle"):
        GroundReader(jungle, region().catalogue)
    lax = jungle.model_copy(update={"when_absent": "skip"})
    (note,) = GroundReader(lax, region().catalogue).skipped
    assert note.startswith("effort does not look at all vegetation: layer 'land_cover' has no")
