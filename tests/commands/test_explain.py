from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import LineString

from hazardrank.commands.explain import (
    likeliest_cells,
    nearest_periods,
    open_run_folder,
    parse_cell,
)
from hazardrank.errors import OutputError, SettingsError
from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import BlockRasterWriter

GRID = SurveyGrid.covering("EPSG:32638", 100, (600_000, 4_400_000, 603_000, 4_402_000))


def test_a_cell_is_found_by_its_code():
    for row, col in ((0, 0), (7, 12), (19, 29)):
        code = GRID.cell_ids(np.array([row]), np.array([col]))[0]
        assert parse_cell(str(code), GRID) == (row, col)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("here", "'here' is no cell code"),
        ("CRS32637RES100mN4400000E600000", "is of another grid"),
        ("CRS32638RES50mN4400000E600000", "is of another grid"),
        ("CRS32638RES100mN4400000E500000", "lies outside the region"),
    ],
)
def test_other_codes_are_refused(code, problem):
    with pytest.raises(SettingsError, match=problem):
        parse_cell(code, GRID)


@pytest.mark.parametrize("block_cells", [7, 64])
def test_the_likeliest_cells_whatever_the_blocks(tmp_path, block_cells):
    likelihood = np.random.default_rng(3).random(GRID.shape).astype(np.float32)
    likelihood[4, 5], likelihood[2, 3], likelihood[2, 9] = 0.99999, 0.99998, 0.99998
    likelihood[0, 0] = np.nan
    path = tmp_path / "map.tif"
    with BlockRasterWriter(path, GRID, "float32", float("nan"), ["l"], ["1"], {}) as writer:
        writer.write(GRID, likelihood)
    row, col = likeliest_cells(path, 3, block_cells)
    assert list(zip(row.tolist(), col.tolist(), strict=True)) == [(4, 5), (2, 3), (2, 9)]
    with pytest.raises(OutputError, match="there is no such map"):
        likeliest_cells(tmp_path / "absent.tif", 3, block_cells)


def test_the_period_of_the_nearest_line():
    lines = gpd.GeoDataFrame(
        {
            "start": pd.to_datetime(["1994-05-12", "2014-06-01", None]),
            "end": pd.to_datetime(["2020-11-09", "2014-09-01", "2015-01-01"]),
        },
        geometry=[LineString([(x, 0), (x, 10)]) for x in (0, 100, 200)],
    )
    found = nearest_periods(lines, np.array([10.0, 90, 210]), np.zeros(3))
    assert found.tolist() == ["1994–2020", "2014", ""]
    undated = lines.drop(columns=["end"])
    assert nearest_periods(undated, np.zeros(1), np.zeros(1)).tolist() == [""]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(OutputError, match="neither a bundle nor the folder of a training run"):
        open_run_folder(tmp_path)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text("{}")
    with pytest.raises(OutputError, match=r"has no settings\.yaml beside it"):
        open_run_folder(tmp_path)
