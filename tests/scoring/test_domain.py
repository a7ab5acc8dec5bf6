"""Outside the model's domain the map abstains and says so."""

import numpy as np
import pytest
import rasterio

from hazardrank.errors import BundleError
from hazardrank.grid.raster_io import read_block
from hazardrank.model.bundle import Bundle
from hazardrank.scoring.cells import score_cells
from hazardrank.scoring.stream import score_region
from hazardrank.settings import ComputeSettings


def status_of(grid):
    return np.full(grid.shape, -1, np.int8)


def scored(bundle, features, layers, folder, block_cells=16, **options):
    compute = ComputeSettings(block_cells=block_cells, threads=1)
    return score_region(bundle, features, layers, None, status_of, folder, compute, {}, **options)


def test_the_map_abstains_outside_the_domain(careful, features, layers, grid, tmp_path):
    summary = scored(careful, features, layers, tmp_path)
    outside = read_block(tmp_path / "outside_domain.tif", grid)
    likelihood = read_block(tmp_path / "contamination_likelihood.tif", grid)
    inside = layers.inside(grid)
    missing = np.isnan(layers.continuous("height", grid)) & inside
    assert (outside[~inside] == 255).all()
    assert (outside[missing] == 255).all()
    far_east = np.broadcast_to(grid.eastings() > 2500, grid.shape) & inside
    near = np.broadcast_to(grid.eastings() < 1800, grid.shape) & inside & ~missing
    assert (outside[far_east] == 1).all()
    assert (outside[near] == 0).mean() > 0.9
    assert np.isnan(likelihood[outside == 1]).all()
    assert not np.isnan(likelihood[outside == 0]).any()
    assert summary.n_outside_domain == (outside == 1).sum()
    assert summary.n_scored == (outside == 0).sum()
    assert summary.n_without_features == missing.sum()
    assert 0 <= summary.n_near_limit < summary.n_outside_domain


def test_dissimilarity_density_and_error_are_mapped(careful, features, layers, grid, tmp_path):
    scored(careful, features, layers, tmp_path)
    with rasterio.open(tmp_path / "dissimilarity.tif") as source:
        dissimilarity, density, error = source.read()
        assert source.units == ("1", "cells", "1")
    outside = read_block(tmp_path / "outside_domain.tif", grid)
    threshold = np.float32(careful.applicability.threshold)
    assert np.array_equal(dissimilarity[outside != 255] > threshold, outside[outside != 255] == 1)
    assert (density[outside == 1] == 0).all()
    assert (density[outside == 0] > 0).all()
    assert error[outside == 0] == pytest.approx(0.1)


def test_blocks_change_no_byte_of_the_domain_maps(careful, features, layers, tmp_path):
    for folder, block_cells in (("a", 16), ("b", 256)):
        scored(careful, features, layers, tmp_path / folder, block_cells)
    for name in ("outside_domain.tif", "dissimilarity.tif", "contamination_likelihood.tif"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_maps_of_an_earlier_run_do_not_linger(careful, bundle, features, layers, tmp_path):
    scored(careful, features, layers, tmp_path)
    scored(careful, features, layers, tmp_path, map_dissimilarity=False)
    assert (tmp_path / "outside_domain.tif").is_file()
    assert not (tmp_path / "dissimilarity.tif").exists()
    summary = scored(bundle, features, layers, tmp_path)
    assert not (tmp_path / "outside_domain.tif").exists()
    assert summary.n_outside_domain is None


def test_the_domain_travels_with_the_bundle(careful, tmp_path):
    loaded = Bundle.load(careful.save(tmp_path / "bundle"))
    cells = np.random.default_rng(5).uniform(0, 5000, (200, 2)).astype(np.float32)
    before, after = score_cells(careful, cells, 1), score_cells(loaded, cells, 1)
    for name in ("likelihood", "outside_domain", "domain"):
        assert np.array_equal(getattr(before, name), getattr(after, name), equal_nan=True), name
    assert loaded.digest == careful.digest
    assert not list((tmp_path / "bundle").glob("*.pkl"))


def test_altered_reference_cells_are_refused(careful, tmp_path):
    folder = careful.save(tmp_path / "bundle")
    csv = folder / "reference_cells.csv"
    csv.write_text(csv.read_text().replace("1", "2", 1))
    with pytest.raises(BundleError, match=r"reference_cells\.csv: has been altered"):
        Bundle.load(folder)
