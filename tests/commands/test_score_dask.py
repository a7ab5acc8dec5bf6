"""``python -m score compute=dask`` on a scheduler and two workers of which some are lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hazardrank.grid import SurveyGrid
from tests.conftest import run_in
from tests.object_storage import local_s3, object_of
from tests.scoring.land import CRS, make_bundle, write_region
from tests.started_cluster import StartedCluster, started_cluster

pytestmark = pytest.mark.slow

GRID = SurveyGrid(CRS, 100, 5000, 44000, 120, 130)
RESULTS = (
    *("contamination_likelihood.tif", "outside_domain.tif", "survey_status.tif"),
    *("likelihood_low.tif", "likelihood_high.tif", "districts.csv"),
)
N_BLOCKS = 8 * 9
QUIET = ("compute.progress=false", "compute.block_cells=16")

DIES = """
import os, signal
from hazardrank.scoring.store import FolderStore

def dask_setup(worker):
    put, reports = FolderStore.put, []

    def dies(self, name, content):
        if name.endswith(".json"):
            reports.append(name)
        if len(reports) == {number}:
            os.kill(os.getpid(), signal.SIGKILL)
        put(self, name, content)

    FolderStore.put = dies
"""
"""Loaded by a worker before it begins: kills it (-9) when the maps of a block are written and
the block's report is not."""

IMPATIENT = """
from hazardrank import cluster

cluster.WITHOUT_WORKERS_S = cluster._LOOK_EVERY_S = 1

from hazardrank.commands.score import main

main()
"""
"""The command as it is, but for the minutes it waits for new workers."""


@pytest.fixture(scope="module")
def land(tmp_path_factory) -> Path:
    """Folder of the region and its bundle."""
    folder = tmp_path_factory.mktemp("land")
    make_bundle(write_region(folder, GRID), folder, interval="venn_abers", interval_level=0.8)
    return folder


@pytest.fixture(scope="module")
def local(land, tmp_path_factory) -> dict[str, bytes]:
    """What one thread of this machine makes of the land."""
    folder = tmp_path_factory.mktemp("local")
    done = run_in(folder, "score", *arguments(land), "compute.threads=1")
    assert done.returncode == 0, done.stderr
    return results(folder / "out")


def arguments(land: Path) -> tuple[str, ...]:
    return (f"model={land}/bundle", f"region_file={land}/land.yaml", "output_dir=out", *QUIET)


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def n_reports(folder: Path) -> int:
    return len(list(folder.glob("blocks/likelihood/*.json")))


@contextmanager
def cluster_whose_workers_die(folder: Path, *after: int | None) -> Iterator[StartedCluster]:
    """Start a worker for each number: it is killed at that many reports, or lives on."""
    options: list[list[str]] = []
    for worker, number in enumerate(after):
        preload = folder / f"dies_{worker}.py"
        preload.write_text(DIES.format(number=number))
        options.append([] if number is None else ["--preload", str(preload)])
    with started_cluster(folder, options) as started:
        yield started


def test_a_worker_killed_in_the_middle_costs_its_blocks_and_no_byte(land, local, tmp_path):
    with cluster_whose_workers_die(tmp_path, 7, None) as started:
        given = ("compute=dask", f"compute.scheduler={started.address}")
        done = run_in(tmp_path, "score", *arguments(land), *given)
        assert done.returncode == 0, done.stderr
        assert started.workers[0].wait(timeout=30) == -9
        assert started.workers[1].poll() is None
    assert results(tmp_path / "out") == local
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(manifest["blocks"]["state"]) == N_BLOCKS
    assert manifest["blocks"]["kept_from_before"] == {"likelihood": 0, "status": 0}
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_without_any_worker_it_says_so_and_goes_on_elsewhere(land, local, tmp_path):
    with cluster_whose_workers_die(tmp_path, 9, 13) as started:
        given = ("compute=dask", f"compute.scheduler={started.address}")
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT, *arguments(land), *given],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert [worker.wait(timeout=30) for worker in started.workers] == [-9, -9]
    assert done.returncode == 2, done.stderr
    told = " ".join(done.stderr.split())
    assert "all workers are lost, and none has come back within 1 s. Start workers" in told
    assert "Traceback" not in told
    assert not (tmp_path / "out" / "manifest.json").exists()
    n_kept = n_reports(tmp_path / "out")
    assert 0 < n_kept < N_BLOCKS
    done = run_in(tmp_path, "score", *arguments(land), "compute=threads", "compute.threads=2")
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "out") == local
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["blocks"]["kept_from_before"]["likelihood"] == n_kept


def test_workers_write_to_object_storage_what_they_write_to_a_folder(
    land, local, tmp_path, monkeypatch
):
    with local_s3("maps") as (client, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with started_cluster(tmp_path, [[], []]) as started:
            given = ("compute=dask", f"compute.scheduler={started.address}")
            place = ("output_dir=s3://maps/land", "compute.block_cells=64")
            done = run_in(tmp_path, "score", *arguments(land), *place, *given, **os.environ)
        assert done.returncode == 0, done.stderr
        for name, content in local.items():
            assert object_of(client, "maps", f"land/{name}") == content, name
