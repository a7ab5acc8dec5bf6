from __future__ import annotations

import numpy as np
import pytest

from hazardrank.errors import GridError, LayerError
from hazardrank.priority.likelihood_maps import open_maps
from tests.priority.cases import grid_of
from tests.priority.map_cases import write_maps

NAN = np.nan
GRID = grid_of(1, 3)


def test_likelihood_outside_the_domain_is_not_known_whatever_the_map_holds(tmp_path):
    folder = write_maps(
        tmp_path,
        GRID,
        contamination_likelihood=[[0.1, 0.2, 0.3]],
        likelihood_low=[[0.0, 0.1, 0.2]],
        likelihood_high=[[0.3, 0.4, 0.5]],
        outside_domain=[[0, 1, 255]],
        survey_status=[[-1, 0, -128]],
    )
    maps = open_maps(folder, GRID)
    read = maps.read(GRID)
    np.testing.assert_allclose(read.likelihood, [[0.1, NAN, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(read.low, [[0.0, NAN, 0.2]], rtol=1e-6)
    np.testing.assert_allclose(read.high, [[0.3, NAN, 0.5]], rtol=1e-6)
    assert maps.has_interval
    assert maps.origin == {"run_digest": "r"}
    assert len(set(maps.digests().values())) == 5


def test_half_an_interval_is_none(tmp_path):
    maps = {"contamination_likelihood": [[0.1] * 3], "survey_status": [[0] * 3]}
    folder = write_maps(tmp_path, GRID, **maps, likelihood_low=[[0.0] * 3])
    found = open_maps(folder, GRID)
    assert not found.has_interval
    assert len(found.files) == 2


def test_maps_that_are_missing_or_on_another_grid_are_refused(tmp_path):
    with pytest.raises(LayerError, match=r"absent: there is no such folder. Give maps=DIR"):
        open_maps(tmp_path / "absent", GRID)
    folder = write_maps(tmp_path, GRID, contamination_likelihood=[[0.1] * 3])
    with pytest.raises(LayerError, match=r"holds no survey_status\.tif"):
        open_maps(folder, GRID)
    write_maps(tmp_path, GRID, survey_status=[[0] * 3])
    with pytest.raises(GridError, match=r"lies on 1 × 3 cells of 100 m .* has 1 × 4 cells"):
        open_maps(folder, grid_of(1, 4))
    write_maps(tmp_path, grid_of(1, 2), survey_status=[[0] * 2])
    with pytest.raises(GridError, match=r"survey_status\.tif: lies on 1 × 2 cells"):
        open_maps(folder, GRID)
