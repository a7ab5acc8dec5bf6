import json
import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from hazardrank.errors import TrackingError
from hazardrank.settings import TrackingSettings
from hazardrank.tracking.runs import NullRun, open_run, store_uri

PARAMS = {"seed": 7, "model": {"num_leaves": 31, "monotone": {}}, "rules": [1, 2]}


def client_of(uri):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        return MlflowClient(uri)


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """Return a working folder with a blank in its name."""
    folder = tmp_path / "my project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Return a store that MLflow has set up, which takes seconds, to copy from."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client_of(f"sqlite:///{path}")
    return path


@pytest.fixture
def folder(empty_folder, store):
    """Return a working folder in which a store already stands, without experiment or run."""
    (empty_folder / "experiments").mkdir()
    shutil.copy(store, empty_folder / "experiments")
    return empty_folder


def test_everything_of_a_run_comes_back(folder):
    (folder / "figure.png").write_bytes(b"png")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "bundle.json").write_text("{}")
    with open_run(TrackingSettings(), "bosnia", PARAMS, {"region": "bosnia"}) as run:
        run.log_metrics({"roc_auc": 0.75, "pr_auc": None, "ece": float("nan")})
        run.log_file(folder / "figure.png", "figures")
        run.log_folder(folder / "bundle", "bundle")
        run.log_datasets({"roads.gpkg": "ab" * 32, "https://x/y.tif": "remote"})

    client = client_of(run.uri)
    stored = client.get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "bosnia"
    assert stored.data.metrics == {"roc_auc": 0.75}
    assert stored.data.tags["region"] == "bosnia"
    assert stored.data.params == {
        "seed": "7",
        "model.num_leaves": "31",
        "model.monotone": "{}",
        "rules": "[1, 2]",
    }
    assert [f.path for f in client.list_artifacts(run.run_id, "bundle")] == ["bundle/bundle.json"]
    assert [f.path for f in client.list_artifacts(run.run_id, "figures")] == ["figures/figure.png"]
    datasets = {given.dataset.name: given.dataset for given in stored.inputs.dataset_inputs}
    assert set(datasets) == {"roads.gpkg", "https://x/y.tif"}
    assert datasets["roads.gpkg"].digest == ("ab" * 32)[:36]
    assert json.loads(datasets["roads.gpkg"].profile) == {"sha256": "ab" * 32}


def test_store_and_files_lie_under_the_working_folder(empty_folder):
    with open_run(TrackingSettings(), "a", {}, {}) as run:
        pass
    assert run.uri == f"sqlite:///{empty_folder}/experiments/mlflow.db"
    location = client_of(run.uri).get_run(run.run_id).info.artifact_uri
    assert location.startswith((empty_folder / "experiments" / "mlartifacts").as_uri())
    assert [path.name for path in empty_folder.iterdir()] == ["experiments"]


def test_folds_are_nested_runs(folder):
    with open_run(TrackingSettings(), "parent", {}, {}) as run:
        run.log_fold("fold 0", {"roc_auc": 0.7})
        run.log_fold("Banja Luka", {"roc_auc": 0.8})
    client = client_of(run.uri)
    nested = client.search_runs(
        [run.experiment_id],
        f"tags.mlflow.parentRunId = '{run.run_id}'",
        order_by=["metrics.roc_auc"],
    )
    assert [fold.info.run_name for fold in nested] == ["fold 0", "Banja Luka"]
    assert [fold.data.metrics["roc_auc"] for fold in nested] == [0.7, 0.8]
    assert {fold.info.status for fold in nested} == {"FINISHED"}


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("boom"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_that_raises_does_not_end_well(folder, error, status):
    runs = []
    with pytest.raises(type(error)), open_run(TrackingSettings(), "a", {}, {}) as run:  # noqa: PT012
        runs.append(run)
        raise error
    assert client_of(runs[0].uri).get_run(runs[0].run_id).info.status == status


def test_long_params_are_kept_whole_in_a_file(folder):
    rules = {"labels": {"rules": ["x" * 50] * 200}}
    with open_run(TrackingSettings(), "a", rules, {}) as run:
        pass
    client = client_of(run.uri)
    param = client.get_run(run.run_id).data.params["labels.rules"]
    whole = client.download_artifacts(run.run_id, "long_params/labels.rules.txt")
    text = Path(whole).read_text("utf-8")
    assert json.loads(text) == ["x" * 50] * 200
    assert (len(param), text.startswith(param)) == (6000, True)


def test_hundreds_of_params_with_awkward_keys(folder):
    params = {f"key {n} (km²)": n for n in range(230)}
    with open_run(TrackingSettings(), "a", params, {}) as run:
        pass
    stored = client_of(run.uri).get_run(run.run_id).data.params
    assert len(stored) == 230
    assert stored["key 3 _km²_"] == "3"


def test_settings_name_run_experiment_and_tags(folder):
    settings = TrackingSettings(
        experiment="trial", run_name="mine", tags={"who": "me"}, artifact_root="files"
    )
    with open_run(settings, "other", {}, {"who": "you"}) as run:
        pass
    stored = client_of(run.uri).get_run(run.run_id)
    assert (stored.info.run_name, stored.data.tags["who"]) == ("mine", "me")
    assert stored.info.artifact_uri.startswith((folder / "files").as_uri())


def test_the_environment_does_not_choose_the_run(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/else.db")
    with open_run(TrackingSettings(), "a", {}, {}) as run:
        run.log_fold("fold 0", {"roc_auc": 0.5})
    assert run.run_id != "f" * 32
    assert run.uri == f"sqlite:///{folder}/experiments/mlflow.db"
    nested = client_of(run.uri).search_runs([run.experiment_id], "metrics.roc_auc = 0.5")
    assert nested[0].data.tags["mlflow.parentRunId"] == run.run_id


@pytest.mark.slow
def test_nothing_is_said_or_sent(empty_folder):
    program = (
        "from hazardrank.tracking.runs import open_run\n"
        "from hazardrank.settings import TrackingSettings\n"
        "with open_run(TrackingSettings(), 'a', {'b': 'x' * 7000}, {}) as run:\n"
        "    run.log_metrics({'c': 1.0})\n"
        "import os; assert os.environ['MLFLOW_DISABLE_TELEMETRY'] == 'true'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_mlflow_is_not_imported_before_a_run_is_opened():
    program = "import hazardrank.tracking.runs, sys; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_off_records_nothing(empty_folder):
    with open_run(TrackingSettings(enabled=False), "a", PARAMS, {}) as run:
        run.log_metrics({"roc_auc": 1.0})
        run.log_fold("0", {})
        run.log_file(empty_folder / "none")
        run.log_folder(empty_folder)
        run.log_datasets({})
    assert isinstance(run, NullRun)
    assert (run.run_id, run.uri) == (None, None)
    assert list(empty_folder.iterdir()) == []


def test_relative_sqlite_uris_become_absolute(empty_folder):
    assert store_uri(TrackingSettings(uri="sqlite:///a/b.db")) == f"sqlite:///{empty_folder}/a/b.db"
    assert store_uri(TrackingSettings(uri="sqlite:////a/b.db")) == "sqlite:////a/b.db"
    assert store_uri(TrackingSettings(uri="http://host:5000")) == "http://host:5000"


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "/tmp/mlflow.db"])
def test_the_old_file_store_is_refused(uri):
    with pytest.raises(TrackingError, match=r"tracking\.uri: .* plain folder.*sqlite:///path"):
        store_uri(TrackingSettings(uri=uri))


def opened(uri):
    with open_run(TrackingSettings(uri=uri), "a", {}, {}):
        pass


@pytest.mark.parametrize("content", ["no database", "folder"])
def test_stores_that_cannot_be_written(empty_folder, content):
    (empty_folder / "report.txt").write_text("kept")
    (empty_folder / "file").write_text("this is no database, and long enough to be seen as none")
    path = "file" if content == "no database" else "file/mlflow.db"
    with pytest.raises(TrackingError, match=r"store cannot be used .*tracking=off\. Output files"):
        opened(f"sqlite:///{path}")
    assert (empty_folder / "report.txt").read_text() == "kept"


def test_unknown_kinds_of_store(folder):
    with pytest.raises(TrackingError, match="bogus://x: the experiment store cannot be used"):
        opened("bogus://x")


def test_a_store_that_fails_later_names_itself(folder):
    with (
        pytest.raises(TrackingError, match=r"mlflow\.db: the experiment store cannot be used"),
        open_run(TrackingSettings(), "a", {}, {}) as run,
    ):
        run.log_file(folder / "no such file")


def test_the_first_failure_is_the_one_told(folder):
    with (  # noqa: PT012
        pytest.raises(ValueError, match="the real reason"),
        open_run(TrackingSettings(), "a", {}, {}) as run,
    ):
        with sqlite3.connect(run.uri.removeprefix("sqlite:///")) as store:
            store.execute("DROP TABLE metrics")
            store.execute("ALTER TABLE runs RENAME TO gone")
        store.close()
        raise ValueError("the real reason")


def test_deleted_experiments_are_named(folder):
    with open_run(TrackingSettings(), "a", {}, {}) as run:
        pass
    client_of(run.uri).delete_experiment(run.experiment_id)
    with pytest.raises(TrackingError, match=r"'hazardrank' has been deleted.*Restore it"):
        opened(run.uri)


@pytest.mark.slow
def test_four_processes_may_create_the_store_together(empty_folder):
    program = (
        "import sys\n"
        "from hazardrank.tracking.runs import open_run\n"
        "from hazardrank.settings import TrackingSettings\n"
        "with open_run(TrackingSettings(), sys.argv[1], {'n': sys.argv[1]}, {}) as run:\n"
        "    run.log_metrics({'n': float(sys.argv[1])})\n"
        "    run.log_fold('fold', {'n': float(sys.argv[1])})\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for number in range(4)
    ]
    failures = [process.communicate()[1] for process in started]
    assert failures == [""] * 4
    client = client_of(f"sqlite:///{empty_folder}/experiments/mlflow.db")
    experiment = client.get_experiment_by_name("hazardrank")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 8
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(run.data.params["n"] for run in runs if run.data.params) == ["0", "1", "2", "3"]
