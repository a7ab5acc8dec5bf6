from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as images

from hazardrank.errors import OutputError
from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import BlockRasterWriter
from hazardrank.priority.bands import Band
from hazardrank.reporting.map_page import MapText
from hazardrank.reporting.palette import is_green
from hazardrank.reporting.priority_map import marks_of, priority_map

GRID = SurveyGrid("EPSG:32638", 100, 6000, 44000, 8, 10)
FIRST = pd.DataFrame(
    {"rank": [1, 2, 3], "easting_m": [600_050, 600_150, 600_950], "northing_m": [4_399_950] * 3}
)


def test_marks_that_would_cover_each_other_are_one():
    apart = [mark.text for mark in marks_of(FIRST, 50)]
    assert apart == ["1", "2", "3"]
    together = marks_of(FIRST, 200)
    assert [mark.text for mark in together] == ["1, 2", "3"]
    assert (together[0].easting_m, together[0].northing_m) == (600_050, 4_399_950)
    assert marks_of(FIRST.head(0), 100) == []


def write(path, values, dtype, nodata, grid=GRID):
    with BlockRasterWriter(path, grid, dtype, nodata, ["a"], ["1"], {}) as out:
        out.write(grid, values.astype(dtype))
    return path


def test_a_page_shows_every_band_and_nothing_green(tmp_path):
    codes = np.zeros(GRID.shape)
    codes[:6] = np.arange(1, 7)[:, None]
    assert set(codes[:6, 0]) == set(Band)
    status = np.where(codes > 0, -1, 0)
    status[7, 5:] = -128
    bands = write(tmp_path / "bands.tif", codes, "uint8", 0)
    known = write(tmp_path / "status.tif", status, "int8", -128)
    text = MapText("Somewhere", "as of today", ["A note."])
    page = priority_map(bands, known, tmp_path / "page.png", text, FIRST, 200)
    pixels = images.imread(page)[..., :3]
    colours = np.unique((pixels.reshape(-1, 3) * 255).round().astype(int), axis=0) / 255
    assert len(colours) > 20
    assert not any(is_green(tuple(colour)) for colour in colours)


def test_rasters_of_two_runs_are_refused(tmp_path):
    smaller = GRID.part(0, 0, 4, 4)
    bands = write(tmp_path / "bands.tif", np.ones(GRID.shape), "uint8", 0)
    known = write(tmp_path / "status.tif", np.zeros((4, 4)), "int8", -128, smaller)
    with pytest.raises(OutputError, match=r"bands\.tif: does not lie on the grid of status\.tif"):
        priority_map(bands, known, tmp_path / "page.png", MapText("S"), FIRST)
