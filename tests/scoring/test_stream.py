import dataclasses

import numpy as np
import pytest
import rasterio

from hazardrank.errors import BundleError
from hazardrank.grid.raster_io import grid_of, read_block
from hazardrank.model.bundle import Bundle
from hazardrank.model.ensemble import learner_of
from hazardrank.scoring.stream import score_region
from hazardrank.scoring.tally import Tally
from hazardrank.settings import ComputeSettings, ModelSettings
from hazardrank.sources.memory import MemoryLayers
from hazardrank.validation.learner import InnerFold, TrainingSide
from tests.scoring.conftest import SPECS


def status_of(grid):
    return np.where(grid.eastings() < 1000, 1, -1).astype(np.int8) * np.ones(grid.shape, np.int8)


def scored(bundle, features, layers, folder, block_cells=16, threads=1, **options):
    compute = ComputeSettings(block_cells=block_cells, threads=threads)
    options = {"tags": {"region": "here"}} | options
    return score_region(bundle, features, layers, None, status_of, folder, compute, **options)


def test_every_cell_gets_the_likelihood_of_its_features(bundle, features, layers, grid, tmp_path):
    summary = scored(bundle, features, layers, tmp_path)

    assert summary.likelihood_map == tmp_path / "contamination_likelihood.tif"
    assert grid_of(summary.likelihood_map) == grid
    written = read_block(summary.likelihood_map, grid)
    matrix = features.block(grid, layers, None).reshape(2, -1).T
    expected = bundle.likelihood(np.ascontiguousarray(matrix)).reshape(grid.shape)
    shown = layers.inside(grid) & ~np.isnan(layers.continuous("height", grid))
    np.testing.assert_array_equal(written[shown], expected[shown].astype(np.float32))
    assert np.isnan(written[~shown]).all()


def test_the_summary_counts_what_was_written(bundle, features, layers, grid, tmp_path):
    summary = scored(bundle, features, layers, tmp_path)
    written = read_block(summary.likelihood_map, grid)
    known = written[~np.isnan(written)].astype(float)
    assert (summary.n_cells, summary.n_scored) == (37 * 30, 37 * 30 - 3)
    assert summary.n_without_features == 3
    assert summary.mean_likelihood == pytest.approx(known.mean(), abs=1e-8)
    for quantile, likelihood in summary.quantiles.items():
        exact = np.quantile(known, quantile, method="inverted_cdf")
        assert likelihood == pytest.approx(exact, abs=1e-4)
    assert set(summary.seconds) == {"features", "scoring", "status", "writing"}
    assert all(seconds > 0 for seconds in summary.seconds.values())


def test_survey_status_is_nodata_outside_the_area_only(bundle, features, layers, grid, tmp_path):
    status = read_block(scored(bundle, features, layers, tmp_path).status_map, grid)
    assert (status[:, :10] == 1).all()
    assert (status[:, 10:30] == -1).all()
    assert (status[:, 30:] == -128).all()


@pytest.mark.parametrize(("block_cells", "threads"), [(17, 1), (30, 2), (256, 2)])
def test_blocks_and_threads_change_no_byte(
    bundle, features, layers, tmp_path, block_cells, threads
):
    first = scored(bundle, features, layers, tmp_path / "first")
    other = scored(bundle, features, layers, tmp_path / "other", block_cells, threads)
    for name in ("contamination_likelihood.tif", "survey_status.tif"):
        ours, theirs = (tmp_path / run / name for run in ("first", "other"))
        assert ours.read_bytes() == theirs.read_bytes()
    assert other.mean_likelihood == first.mean_likelihood
    assert other.quantiles == first.quantiles


def test_the_maps_say_what_they_hold_and_where_they_come_from(bundle, features, layers, tmp_path):
    summary = scored(bundle, features, layers, tmp_path)
    with rasterio.open(summary.likelihood_map) as dataset:
        assert dataset.descriptions[0].startswith("contamination likelihood: calibrated")
        assert dataset.units == ("1",)
        assert dataset.tags()["hazardrank_region"] == "here"
        assert dataset.tags()["hazardrank_bundle_sha256"] == bundle.digest
    with rasterio.open(summary.status_map) as dataset:
        assert "-1 unsurveyed, 0 released, 1 contaminated" in dataset.descriptions[0]
        assert (dataset.units, dataset.nodata) == (("class",), -128)


def test_progress_counts_every_block(bundle, features, layers, grid, tmp_path):
    done = []
    scored(bundle, features, layers, tmp_path, on_block=done.append)
    assert done == [1] * grid.n_blocks(16)


def test_blocks_outside_the_area_cost_no_features(bundle, features, layers, tmp_path):
    asked = []

    class Counting(type(features)):
        def block(self, grid, layers, known):
            asked.append(grid)
            return super().block(grid, layers, known)

    scored(bundle, Counting(), layers, tmp_path, block_cells=30)
    assert [block.west_cell for block in asked] == [0, 0]


def test_an_area_without_any_cell_is_all_nodata(bundle, features, grid, layers, tmp_path):
    height = layers.continuous("height", grid)
    nowhere = MemoryLayers(
        grid,
        layers.catalogue,
        rasters={"height": (grid, height)},
        inside=np.zeros(grid.shape, bool),
    )
    summary = scored(bundle, features, nowhere, tmp_path)
    assert (summary.n_cells, summary.n_scored, summary.quantiles) == (0, 0, {})
    assert np.isnan(summary.mean_likelihood)
    assert np.isnan(read_block(summary.likelihood_map, grid)).all()


def test_other_features_are_refused_before_any_work(bundle, features, layers, tmp_path):
    class Feet(type(features)):
        specs = (dataclasses.replace(features.specs[0], unit="ft"), features.specs[1])

    with pytest.raises(BundleError, match="height_m is in ft, the model learned it in m"):
        scored(bundle, Feet(), layers, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_leaves_the_older_maps(bundle, features, layers, tmp_path):
    scored(bundle, features, layers, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored(bundle, features, layers, tmp_path, on_block=stop)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_tally_by_hand():
    tally = Tally()
    tally.add(np.array([0.25, 0.75, np.nan], np.float32))
    assert (tally.n_cells, tally.n_scored, tally.mean) == (3, 2, 0.5)
    assert tally.quantiles()[0.5] == pytest.approx(0.25, abs=1e-4)
    assert tally.quantiles()[0.75] == pytest.approx(0.75, abs=1e-4)


def test_likelihoods_stay_off_0_and_1_in_float32(bundle, features, layers, tmp_path):
    # An identity calibrator leaves scores at 1 - 1e-9, which float32 would round to 1.
    certain = dataclasses.replace(
        bundle, calibrator=type(bundle.calibrator)("prevalence", {"likelihood": (1.0,)})
    )
    summary = scored(certain, features, layers, tmp_path)
    with rasterio.open(summary.likelihood_map) as dataset:
        assert np.nanmax(dataset.read(1)) < 1


def test_the_grid_may_lie_anywhere(bundle, features, layers, grid, tmp_path):
    part = grid.part(3, 4, 20, 20)
    small = MemoryLayers(
        part,
        layers.catalogue,
        rasters={"height": (grid, layers.continuous("height", grid))},
    )
    whole = scored(bundle, features, layers, tmp_path / "whole")
    inner = scored(bundle, features, small, tmp_path / "part")
    assert grid_of(inner.likelihood_map) == part
    np.testing.assert_array_equal(
        read_block(inner.likelihood_map, part), read_block(whole.likelihood_map, part)
    )


def test_threads_are_those_given_or_the_cores_there_are():
    assert ComputeSettings(threads=3).n_threads == 3
    assert ComputeSettings().n_threads >= 1


# --------------------------------------------------------------------- how sure it is


def unsure_bundle(**changes):
    """Train a small model that also says how sure it is."""
    rng = np.random.default_rng(1)
    matrix = rng.uniform((0, 0), (1000, 4000), (600, 2)).astype(np.float32)
    contaminated = rng.random(600) < 0.1 + 0.8 * (matrix[:, 0] > 500)
    rows = np.arange(600)
    inner = tuple(InnerFold(matrix, rows[rows % 2 != k], rows[rows % 2 == k]) for k in (0, 1))
    settings = ModelSettings(max_rounds=15, early_stopping_rounds=5, num_leaves=7, **changes)
    learner = learner_of(settings, SPECS, 1, 0)
    weight = np.ones(600, np.float32)
    return Bundle.of(
        learner.fit(TrainingSide(matrix, contaminated, weight, inner, rows // 20)), learner, {}
    )


@pytest.mark.parametrize("block_cells", [16, 256])
def test_maps_of_spread_and_interval(features, layers, grid, tmp_path, block_cells):
    bundle = unsure_bundle(members=2, interval="ensemble", interval_level=0.8)
    scored(bundle, features, layers, tmp_path, block_cells)
    matrix = np.ascontiguousarray(features.block(grid, layers, None).reshape(2, -1).T)
    expected = bundle.estimate(matrix)
    shown = layers.inside(grid) & ~np.isnan(layers.continuous("height", grid))
    for name in ("spread", "low", "high"):
        path = tmp_path / f"likelihood_{name}.tif"
        written = read_block(path, grid)
        values = getattr(expected, name).reshape(grid.shape).astype(np.float32)
        np.testing.assert_array_equal(written[shown], values[shown])
        assert np.isnan(written[~shown]).all()
    with rasterio.open(tmp_path / "likelihood_low.tif") as dataset:
        assert dataset.tags()["hazardrank_interval"] == "ensemble, 0.8 of units of land"
        assert dataset.descriptions == ("lower end of the likelihood's interval",)


def test_maps_of_an_earlier_scoring_do_not_stay_behind(bundle, features, layers, tmp_path):
    scored(unsure_bundle(interval="venn_abers"), features, layers, tmp_path)
    assert (tmp_path / "likelihood_low.tif").is_file()
    assert not (tmp_path / "likelihood_spread.tif").exists()
    scored(bundle, features, layers, tmp_path)
    assert not list(tmp_path.glob("likelihood_*.tif"))
