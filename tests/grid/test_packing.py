"""Shares stored as whole numbers: how much is lost, and what stays apart."""

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from hazardrank.grid import SurveyGrid
from hazardrank.grid.packing import PACKED_NODATA, PACKED_SCALE, pack_uint16, unpack_uint16
from hazardrank.grid.raster_io import read_values


def test_ends_middle_and_missing_by_hand():
    values = np.array([[0, 1, 0.5], [np.nan, 1 / 65534, 2e-6]], np.float32)
    assert pack_uint16(values).tolist() == [[0, 65534, 32767], [PACKED_NODATA, 1, 0]]
    back = unpack_uint16(pack_uint16(values))
    assert back[0, :2].tolist() == [0, 1]
    assert np.isnan(back[1, 0])


@given(st.floats(0, 1, width=32))
def test_no_share_is_off_by_more_than_half_a_step(share):
    packed = pack_uint16(np.array([share], np.float32))
    assert packed[0] != PACKED_NODATA
    assert abs(float(packed[0]) * PACKED_SCALE - share) <= PACKED_SCALE / 2 * (1 + 1e-9)


@given(st.integers(0, 65534))
def test_what_was_stored_packs_to_itself(stored):
    packed = np.array([stored], np.uint16)
    assert pack_uint16(unpack_uint16(packed)).tolist() == [stored]


def test_shares_beyond_0_and_1_are_cut():
    assert pack_uint16(np.array([-0.5, 1.5], np.float32)).tolist() == [0, 65534]


@pytest.mark.parametrize("packed", [True, False])
def test_values_are_read_alike_however_they_are_stored(tmp_path, packed):
    grid = SurveyGrid("EPSG:32638", 100, 0, 10, 4, 3)
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(grid.shape)
    values[1, 1] = np.nan
    path = tmp_path / "map.tif"
    profile = {"height": 4, "width": 3, "count": 1, "crs": grid.crs, "transform": grid.transform}
    stored = pack_uint16(values) if packed else values
    nodata = PACKED_NODATA if packed else np.nan
    with rasterio.open(path, "w", dtype=stored.dtype, nodata=nodata, **profile) as dataset:
        dataset.write(stored, 1)
        if packed:
            dataset.scales = (PACKED_SCALE,)
    part = grid.part(1, 0, 2, 3)
    read = read_values(path, part)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, values[1:3], atol=PACKED_SCALE)
    assert np.isnan(read[0, 1])
