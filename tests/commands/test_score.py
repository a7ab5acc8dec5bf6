"""``python -m score`` as a user runs it: whole, interrupted, changed, elsewhere, many."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml
from rio_cogeo.cogeo import cog_validate

from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import grid_of, read_values
from tests.conftest import run_in
from tests.object_storage import local_s3, object_of
from tests.scoring.land import CRS, make_bundle, region_values, write_region

pytestmark = pytest.mark.slow

GRID = SurveyGrid(CRS, 100, 5000, 44000, 130, 150)
MAPS = ("contamination_likelihood.tif", "outside_domain.tif", "survey_status.tif")
RESULTS = (*MAPS, "likelihood_low.tif", "likelihood_high.tif", "districts.csv")
QUIET = ("compute.progress=false", "compute.block_cells=32")


@pytest.fixture(scope="module")
def land(tmp_path_factory):
    """Folder of the region and its bundle."""
    folder = tmp_path_factory.mktemp("land")
    region_file = write_region(folder, GRID)
    make_bundle(region_file, folder, interval="venn_abers", interval_level=0.8)
    return folder


def score(folder: Path, land: Path, *arguments: str, region: str = "land.yaml", **variables):
    return run_in(
        folder,
        "score",
        f"model={land}/bundle",
        f"region_file={land / region}",
        *QUIET,
        *arguments,
        **variables,
    )


def results(folder: Path, names=RESULTS) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def scored(land, tmp_path_factory):
    """An uninterrupted scoring by one thread, which all others must equal."""
    folder = tmp_path_factory.mktemp("scored")
    done = score(folder, land, "output_dir=out", "compute.threads=1", "ranked_cells=50")
    assert done.returncode == 0, done.stderr
    return folder / "out", done


def copy_of(land: Path, folder: Path) -> Path:
    return Path(shutil.copytree(land, folder / "land", ignore=shutil.ignore_patterns("cache")))


# --------------------------------------------------------------------------- its results


def test_it_leaves_what_it_promises(scored):
    folder, done = scored
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [name for name in manifest["files"] if not (folder / name).is_file()] == []
    assert not list(folder.rglob("*.partial"))
    for name in (*MAPS, "likelihood_low.tif"):
        assert cog_validate(str(folder / name), quiet=True, strict=True)[0]
        assert grid_of(folder / name) == GRID
    assert "No output of this command says that land is safe." in done.stdout
    assert len(done.stdout.splitlines()) < 40
    assert manifest["counts"]["cells_in_area"] == int((read(folder, MAPS[2]) != -128).sum())
    states = [row["likelihood"] for row in manifest["blocks"]["state"]]
    assert len(states) == 25
    assert "missing" not in states


def read(folder: Path, name: str) -> np.ndarray:
    with rasterio.open(folder / name) as dataset:
        return dataset.read(1)


def test_maps_abstain_outside_the_domain_and_say_so(scored):
    folder = scored[0]
    likelihood, outside = read(folder, MAPS[0]), read(folder, MAPS[1])
    status = read(folder, MAPS[2])
    assert min((outside == 1).sum(), (outside == 0).sum()) > 1000
    assert np.isnan(likelihood[outside != 0]).all()
    assert not np.isnan(likelihood[outside == 0]).any()
    assert (outside[status == -128] == 255).all()
    low, high = read(folder, "likelihood_low.tif"), read(folder, "likelihood_high.tif")
    inside = outside == 0
    assert (low[inside] <= likelihood[inside]).all()
    assert (likelihood[inside] <= high[inside]).all()
    with rasterio.open(folder / MAPS[0]) as dataset:
        assert (
            dataset.tags()["hazardrank_warning"] == "No value on this map means that land is safe."
        )
        assert dataset.units == ("1",)


def test_the_table_of_districts_adds_up(scored):
    folder = scored[0]
    table = pd.read_csv(folder / "districts.csv")
    likelihood, status = read(folder, MAPS[0]), read(folder, MAPS[2])
    assert set(table["district"]) == {"West", "East"}
    assert table["cells"].sum() == (status != -128).sum()
    assert table["contaminated_cells"].sum() == (status == 1).sum()
    west = likelihood[:, :75]
    row = table.set_index("district").loc["West"]
    assert row["expected_km2"] == pytest.approx(np.nansum(west.astype(float)) * 0.01, rel=1e-4)
    assert row["likelihood_max"] == pytest.approx(np.nanmax(west), rel=1e-5)
    assert (table["expected_low_km2"] <= table["expected_km2"]).all()


def test_ranked_cells_are_those_of_the_highest_likelihood(scored):
    folder = scored[0]
    cells = gpd.read_parquet(folder / "ranked_cells.parquet")
    likelihood = read(folder, MAPS[0])
    highest = np.sort(likelihood[~np.isnan(likelihood)])[::-1][:50]
    np.testing.assert_array_equal(cells["likelihood"], highest)
    assert cells["rank"].iloc[0] == 1
    assert cells["rank"].is_monotonic_increasing
    assert (cells.area == 10_000).all()
    at = cells.geometry.centroid.iloc[0]
    row, col = GRID.cells_of(np.array([at.x]), np.array([at.y]))
    assert likelihood[row[0], col[0]] == highest[0]
    assert cells["cell_id"].iloc[0] == GRID.cell_ids(row, col)[0]


def test_drift_compares_with_the_training_cells(scored):
    manifest = json.loads((scored[0] / "manifest.json").read_text())
    drift = manifest["drift"]
    assert drift["cells_compared"] == manifest["counts"]["cells_in_area"]
    assert max(row["psi"] for row in drift["features"]) < 0.1


# ------------------------------------------------------------- whatever the machine does


@pytest.mark.parametrize("options", [["compute.threads=2"], ["compute.block_cells=100"]], ids=str)
def test_threads_and_blocks_change_no_byte(land, scored, tmp_path, options):
    done = score(tmp_path, land, "output_dir=out", *options)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "out") == results(scored[0])


def test_processes_give_the_same_bytes(land, scored, tmp_path):
    done = score(tmp_path, land, "output_dir=out", "compute=processes", "compute.workers=2")
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "out") == results(scored[0])


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(land, scored, tmp_path):
    out = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "score", f"model={land}/bundle"),
        *(f"region_file={land}/land.yaml", "output_dir=out", *QUIET, "compute.threads=1"),
    ]
    n_kept = []
    for n_blocks in (1, 8, 20):
        running = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        patience = time.monotonic() + 120
        while (
            len(list(out.glob("blocks/likelihood/*.json"))) < n_blocks
            and running.poll() is None
            and time.monotonic() < patience
        ):
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
        running.wait()
        n_kept.append(len(list(out.glob("blocks/likelihood/*.json"))))
        assert not (out / "manifest.json").exists()
    assert n_kept[0] >= 1
    assert n_kept == sorted(n_kept)
    done = score(tmp_path, land, "output_dir=out", "compute.threads=1")
    assert done.returncode == 0, done.stderr
    kept = json.loads((out / "manifest.json").read_text())["blocks"]["kept_from_before"]
    assert kept["likelihood"] >= n_kept[-1] - 1
    assert results(out) == results(scored[0])


def test_a_torn_block_is_done_again(land, scored, tmp_path):
    out = tmp_path / "out"
    score(tmp_path, land, "output_dir=out", "assembly=vrt")
    torn = sorted(out.glob("blocks/likelihood/*.likelihood.tif"))[3]
    torn.write_bytes(torn.read_bytes()[:100])
    done = score(tmp_path, land, "output_dir=out", "assembly=vrt")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(
        read(out, "contamination_likelihood.vrt"), read(scored[0], MAPS[0])
    )


def test_a_mosaic_of_blocks_holds_what_one_map_holds(land, scored, tmp_path):
    done = score(tmp_path, land, "output_dir=out", "assembly=vrt")
    assert done.returncode == 0, done.stderr
    for name in MAPS:
        vrt = name.replace(".tif", ".vrt")
        np.testing.assert_array_equal(read(tmp_path / "out", vrt), read(scored[0], name))
    block = next((tmp_path / "out").glob("blocks/likelihood/*.likelihood.tif"))
    assert cog_validate(str(block), quiet=True, strict=True)[0]
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    np.testing.assert_array_equal(
        read(moved, "contamination_likelihood.vrt"), read(scored[0], MAPS[0])
    )


def test_packed_likelihoods_are_the_same_to_half_a_step(land, scored, tmp_path):
    done = score(tmp_path, land, "output_dir=out", "storage=uint16")
    assert done.returncode == 0, done.stderr
    packed = read_values(tmp_path / "out" / MAPS[0], GRID)
    np.testing.assert_allclose(packed, read(scored[0], MAPS[0]), atol=0.5 / 65534 + 1e-7)
    with rasterio.open(tmp_path / "out" / MAPS[0]) as dataset:
        assert (dataset.dtypes[0], dataset.nodata) == ("uint16", 65535)
        assert dataset.scales[0] == 1 / 65534
    assert cog_validate(str(tmp_path / "out" / MAPS[0]), quiet=True, strict=True)[0]


# ------------------------------------------------------------------ whatever has changed


@pytest.fixture
def again(land, tmp_path):
    """A scoring in a copy of the land, whose inputs may be changed."""
    own = copy_of(land, tmp_path)
    done = score(tmp_path, own, "output_dir=out")
    assert done.returncode == 0, done.stderr
    return own, tmp_path / "out"


def test_without_a_change_nothing_is_done_again(again):
    own, out = again
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    done = score(own.parent, own, "output_dir=out")
    assert "of the blocks stood already" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.tif")} == before


def test_changed_records_renew_the_survey_status_only(again):
    own, out = again
    before = results(out)
    hazards = gpd.read_file(own / "hazard_areas.gpkg")
    hazards.geometry = hazards.geometry.translate(3000, 0)
    hazards.to_file(own / "hazard_areas.gpkg")
    done = score(own.parent, own, "output_dir=out")
    assert "The survey status is mapped anew, for a change of the hazard records." in done.stdout
    after = results(out)
    assert after["survey_status.tif"] != before["survey_status.tif"]
    assert after["contamination_likelihood.tif"] == before["contamination_likelihood.tif"]


def test_a_changed_layer_renews_the_likelihood_only(again):
    own, out = again
    before = results(out)
    roads = gpd.read_file(own / "roads.gpkg")
    roads.iloc[:5].to_file(own / "roads.gpkg")
    done = score(own.parent, own, "output_dir=out")
    assert "made anew, for a change of the layer 'roads'." in done.stdout
    after = results(out)
    assert after["contamination_likelihood.tif"] != before["contamination_likelihood.tif"]
    assert after["survey_status.tif"] == before["survey_status.tif"]
    fresh = score(own.parent, own, "output_dir=fresh")
    assert fresh.returncode == 0
    assert results(own.parent / "fresh") == after


def test_a_failure_leaves_what_was_written(again):
    own, out = again
    before = results(out)
    (own / "roads.gpkg").write_bytes(b"no layer")
    done = score(own.parent, own, "output_dir=out")
    assert done.returncode == 2
    assert "roads.gpkg" in done.stderr
    assert "Traceback" not in done.stderr
    assert results(out) == before


def test_maps_of_an_earlier_bundle_do_not_stay_behind(again):
    own, out = again
    make_bundle(own / "land.yaml", own)
    done = score(own.parent, own, "output_dir=out")
    assert "scored anew: blocks, maps or storage are others" in done.stdout
    assert not list(out.glob("likelihood_*.tif"))


# ---------------------------------------------------------------------- what does not fit


def changed_region(land: Path, folder: Path, **layer_changes) -> Path:
    own = copy_of(land, folder)
    values = region_values("land")
    for key, change in layer_changes.items():
        if change is None:
            del values["layers"][key]
        else:
            values["layers"][key] |= change
    (own / "land.yaml").write_text(yaml.safe_dump({"region": values}))
    return own


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"roads": None}, "the region has no layer 'roads'"),
        ({"elevation": {"unit": "ft"}}, "is ft; the model learned the layer in m"),
        ({"cover": {"classes": {1: "water", 2: "forest"}}}, "code 2 was 'cropland'"),
        ({"roads": {"kind": "points"}}, "is points; the model was trained on lines"),
    ],
    ids=["missing", "unit", "classes", "kind"],
)
def test_what_does_not_fit_stops_before_any_work(land, tmp_path, change, match):
    own = changed_region(land, tmp_path, **change)
    done = score(tmp_path, own, "output_dir=out")
    assert done.returncode == 2
    assert match in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_what_fits_badly_is_told_and_stops_if_strict(land, tmp_path):
    own = changed_region(land, tmp_path, roads={"as_of": "2010-01-01"})
    done = score(tmp_path, own, "output_dir=out")
    assert done.returncode == 0
    assert "is of 2010-01-01, older than the layer the model learned from" in done.stdout
    strict = score(tmp_path, own, "output_dir=strict", "strict_checks=true")
    assert strict.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["contributions=[nothing]"], "the model has no feature nothing"),
        (["storage=int8"], "storage"),
        (["compute.scheduler=tcp://127.0.0.1:1"], "scheduler is for compute=dask"),
    ],
    ids=str,
)
def test_wrong_settings_are_named(land, tmp_path, arguments, match):
    done = score(tmp_path, land, *arguments)
    assert done.returncode == 2
    assert match in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_is_none_is_refused(land, tmp_path):
    done = run_in(tmp_path, "score", "model=nowhere", f"region_file={land}/land.yaml")
    assert done.returncode == 2
    assert "there is no folder" in done.stderr
    done = run_in(tmp_path, "score", f"model={land}/cache", f"region_file={land}/land.yaml")
    assert done.returncode == 2
    assert "is neither a bundle nor the folder of a training run" in " ".join(done.stderr.split())


# ------------------------------------------------------------------------------ more of it


def test_contributions_add_up_with_those_not_asked_for(land, scored, tmp_path):
    done = score(
        tmp_path, land, "output_dir=out", "contributions=[height_value_m,roads_distance_m]"
    )
    assert done.returncode == 0, done.stderr
    with rasterio.open(tmp_path / "out" / "contributions.tif") as dataset:
        assert dataset.count == 2
        assert "height_value_m" in dataset.descriptions[0]
        values = dataset.read(1)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(read(scored[0], MAPS[0])))


def test_a_dry_run_writes_nothing_and_says_what_to_expect(land, tmp_path):
    done = score(tmp_path, land, "output_dir=out", "dry_run=true")
    assert done.returncode == 0, done.stderr
    for word in ("Cells   19,500 in the grid", "Blocks  25 of 32 × 32", "Time", "Disk"):
        assert word in done.stdout
    assert not (tmp_path / "out").exists()


def test_memory_given_makes_blocks_smaller(land, tmp_path):
    small = ("compute.memory_gb=0.46", "compute.block_cells=512", "dry_run=true")
    done = score(tmp_path, land, *small)
    assert "of 128 × 128" in done.stdout


@pytest.mark.parametrize("as_list", [True, False])
def test_several_grids_of_which_one_fails(land, tmp_path, as_list):
    own = copy_of(land, tmp_path)
    for name, change in (("north", {}), ("south", {}), ("broken", {"cell_size_m": 0})):
        values = region_values(name) | change
        (own / f"{name}.yaml").write_text(yaml.safe_dump({"region": values}))
    (own / "land.yaml").unlink()
    grids = f"[{own}/broken.yaml,{own}/north.yaml,{own}/south.yaml]" if as_list else str(own)
    done = run_in(
        tmp_path, "score", f"model={own}/bundle", f"region_file={grids}", "output_dir=out", *QUIET
    )
    assert done.returncode == 2
    assert "2 of 3 grids are done, 1 failed" in done.stdout
    assert "cell_size_m" in done.stderr
    north, south = (results(tmp_path / "out" / name) for name in ("north", "south"))
    assert north["contamination_likelihood.tif"] is not None
    assert north["districts.csv"] == south["districts.csv"]
    assert not (tmp_path / "out" / "broken").exists()


# ------------------------------------------------------------------------ object storage


@pytest.fixture(scope="module")
def s3():
    """A local S3 server with a bucket; the variables that lead to it."""
    with local_s3("maps") as given, pytest.MonkeyPatch.context() as patched:
        for name, value in given[1].items():
            patched.setenv(name, value)
        yield given


@pytest.mark.parametrize("place", ["s3://maps/land", "/vsis3/maps/other"])
def test_outputs_on_object_storage_are_the_same_bytes(land, scored, tmp_path, s3, place):
    client, variables = s3
    done = score(tmp_path, land, f"output_dir={place}", **variables)
    assert done.returncode == 0, done.stderr
    folder = place.rsplit("/", 1)[-1]
    for name, content in results(scored[0]).items():
        assert object_of(client, "maps", f"{folder}/{name}") == content, name
    again = score(tmp_path, land, f"output_dir={place}", **variables)
    assert "of the blocks stood already" in again.stdout


def test_layers_on_object_storage(land, scored, tmp_path, s3):
    client, variables = s3
    own = copy_of(land, tmp_path)
    values = region_values("land")
    for name in ("elevation.tif", "cover.tif", "roads.gpkg"):
        client.upload_file(str(own / name), "maps", f"inputs/{name}")
    for key in ("elevation", "cover", "roads"):
        path = values["layers"][key]["path"]
        values["layers"][key]["path"] = f"s3://maps/inputs/{path}"
        (own / path).unlink()
    (own / "land.yaml").write_text(yaml.safe_dump({"region": values}))
    done = score(tmp_path, own, "output_dir=out", **variables)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read(tmp_path / "out", MAPS[0]), read(scored[0], MAPS[0]))
