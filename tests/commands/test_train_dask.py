"""``python -m train compute=dask``: the trees grow on a cluster, and are as good."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import hydra
import numpy as np
import pytest
from omegaconf import OmegaConf

from hazardrank.commands.hydra_app import config_dir
from hazardrank.errors import SettingsError
from hazardrank.model.bundle import Bundle
from hazardrank.settings import TrainSettings, validate
from tests.conftest import run_in
from tests.started_cluster import started_cluster

SMALL = [
    "region.simulated.size_km=24",
    "model.max_rounds=30",
    "model.forest_below_cells=0",
    "validation.folds.size_m=3000",
    "validation.folds.n_folds=5",
    "validation.inner_folds=2",
    "validation.random_split=false",
    "validation.bootstrap=0",
    "validation.baselines=[prevalence]",
    "explanation.enabled=false",
    "tracking=off",
    "compute.progress=false",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Output folders of the same training here and on two workers."""
    folder = tmp_path_factory.mktemp("runs")
    given = [*SMALL, f"data_dir={folder}/data"]
    here = run_in(folder, "train", *given, "output_dir=here", "compute.threads=1")
    assert here.returncode == 0, here.stderr
    with started_cluster(folder, [[], []]) as started:
        on_cluster = ("compute=dask", f"compute.scheduler={started.address}")
        there = run_in(folder, "train", *given, "output_dir=there", *on_cluster)
    assert there.returncode == 0, there.stderr
    assert "Finding random open ports" not in there.stdout
    return folder / "here", folder / "there"


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.slow
def test_held_out_figures_agree_within_the_fold_noise(runs):
    """Noise: the standard error of the mean over folds, of the run on this machine."""
    here, there = (metrics(folder) for folder in runs)
    for figure in ("roc_auc", "pr_auc", "brier"):
        by_fold = np.array([fold[figure] for fold in here["folds"]])
        noise = by_fold.std(ddof=1) / np.sqrt(len(by_fold))
        difference = there["fold_mean"][figure] - here["fold_mean"][figure]
        assert 0 < abs(difference) < noise, (figure, difference, noise)
    here, there = (gpd.read_parquet(f / "out_of_fold_predictions.parquet") for f in runs)
    assert (here["cell_id"] == there["cell_id"]).all()
    assert (here["fold"] == there["fold"]).all()
    assert here["likelihood"].corr(there["likelihood"], method="spearman") > 0.9


@pytest.mark.slow
def test_the_bundle_is_one_like_any_other_and_says_how_it_was_grown(runs):
    here, there = (Bundle.load(folder / "bundle") for folder in runs)
    assert there.names == here.names
    assert there.applicability is not None
    assert there.provenance["workers"] == 2
    assert "workers" not in here.provenance
    assert there.provenance["run_digest"] != here.provenance["run_digest"]
    for path in (runs[1] / "bundle").iterdir():
        assert b"127.0.0.1" not in path.read_bytes(), path.name
    assert b"[num_machines: 2]" in (runs[1] / "bundle" / "model_0.txt").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["compute=processes"], "compute=processes is for scoring"),
        (["compute=dask", "model=tuned"], "cannot train with model.tuning.enabled=true"),
    ],
    ids=["processes", "tuning"],
)
def test_what_a_cluster_cannot_do_is_refused_before_any_work(tmp_path, asked, told):
    done = run_in(tmp_path, "train", *asked, "output_dir=out", "tracking=off")
    assert done.returncode == 2, done.stderr
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"feature_selection": "forward"}, "model.feature_selection=forward"),
        ({"unlabelled": "nnpu"}, "model.unlabelled=nnpu"),
        (
            {"tuning": {"enabled": True}, "feature_selection": "permutation"},
            r"model.tuning.enabled=true, model.feature_selection=permutation: .*fewer cells",
        ),
    ],
    ids=str,
)
def test_each_setting_that_grows_trees_here_is_named(changes, told):
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = hydra.compose("train", ["compute=dask", "labels=background"])
        values = OmegaConf.to_container(composed, resolve=True)
    assert validate(TrainSettings, values).compute.backend == "dask"
    values["model"] |= changes
    with pytest.raises(SettingsError, match=f"compute=dask cannot train with {told}"):
        validate(TrainSettings, values)
