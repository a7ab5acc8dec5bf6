"""Models by name, on a real store: found, registered, renewed, and refused with what there is."""

import json
import re
import shutil
from pathlib import Path

import pytest

from hazardrank.errors import SettingsError, TrackingError
from hazardrank.settings import TrackingSettings, validate
from hazardrank.tracking.models import register, resolve_model
from hazardrank.tracking.runs import open_run
from tests.tracking.test_runs import client_of

TRACKING = TrackingSettings()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A working folder with two finished training runs in its store; their ids."""
    folder = tmp_path_factory.mktemp("filled") / "my project"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_ids = [train("one", {"seed": 1}), train("two", {"seed": 2})]
        shutil.rmtree(folder / "out")
    return folder, run_ids


def train(name, content):
    """Record a run as `python -m train` does: its output folder, the bundle in it."""
    out = bundle_at(Path("out").absolute() / "bundle", content).parent
    with open_run(TRACKING, name, {}, {"run_digest": name}) as run:
        run.log_fold("fold 0", {"roc_auc": 0.5})
        run.log_folder(out)
    return run.run_id


def bundle_at(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bundle.json").write_text(json.dumps(content))
    (folder / "model_0.txt").write_text("tree\n")
    return folder


@pytest.fixture
def store(filled, monkeypatch):
    """The working folder and the ids of its runs; what a test registers is taken back."""
    folder, run_ids = filled
    monkeypatch.chdir(folder)
    yield folder, run_ids
    client = client_of(f"sqlite:///{folder}/experiments/mlflow.db")
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)


def seed_of(folder):
    return json.loads((folder / "bundle.json").read_text())["seed"]


# ---------------------------------------------------------------------------- on disk


def test_a_bundle_or_the_run_around_it_needs_no_store(tmp_path):
    bundle = bundle_at(tmp_path / "run" / "bundle", {})
    for given in (bundle, tmp_path / "run"):
        assert resolve_model(str(given), TRACKING, tmp_path / "cache") == bundle
    assert not (tmp_path / "cache").exists()


def test_folders_that_are_no_bundle_are_told_from_those_that_are_not_there(tmp_path):
    with pytest.raises(TrackingError, match="is neither a bundle nor the folder of a training run"):
        resolve_model(str(tmp_path), TRACKING, tmp_path)
    with pytest.raises(TrackingError, match=r"there is no folder .*nowhere\. Give the folder"):
        resolve_model(str(tmp_path / "nowhere"), TRACKING, tmp_path)


# ----------------------------------------------------------------------------- from runs


def test_a_run_gives_its_bundle(store, tmp_path):
    _, (one, two) = store
    first = resolve_model(f"runs:/{one}", TRACKING, tmp_path)
    second = resolve_model(f"runs:/{two}/bundle", TRACKING, tmp_path)
    assert (seed_of(first), seed_of(second)) == (1, 2)
    assert sorted(path.name for path in first.iterdir()) == ["bundle.json", "model_0.txt"]
    assert {first.parent, second.parent} == {tmp_path / "models"}


def test_a_bundle_is_kept_once_and_brought_anew_if_it_was_altered(store, tmp_path):
    _, (one, _) = store
    kept = resolve_model(f"runs:/{one}", TRACKING, tmp_path)
    assert resolve_model(f"runs:/{one}", TRACKING, tmp_path) == kept
    (kept / "bundle.json").write_text('{"seed": 99}')
    assert seed_of(resolve_model(f"runs:/{one}", TRACKING, tmp_path)) == 1
    assert [path.name for path in (tmp_path / "models").iterdir()] == [kept.name]


def test_an_unknown_run_is_answered_with_those_there_are(store, tmp_path):
    folder, (one, two) = store
    with pytest.raises(TrackingError) as caught:
        resolve_model("runs:/0123", TRACKING, tmp_path)
    assert caught.value.problem == "there is no run 0123"
    assert caught.value.where == f"sqlite:///{folder}/experiments/mlflow.db"
    # Folds are nested runs; nobody scores with them.
    shown = f"Latest finished runs of 'hazardrank': {two} (two), {one} (one)."
    assert caught.value.remedy == shown
    with pytest.raises(TrackingError, match="Latest finished runs of 'other': none"):
        resolve_model("runs:/0123", TrackingSettings(experiment="other"), tmp_path)


def test_a_run_without_a_bundle_is_named(store, tmp_path):
    _, (one, _) = store
    for path in ("maps", "../.."):
        with pytest.raises(TrackingError, match=f"holds no bundle under '{re.escape(path)}'"):
            resolve_model(f"runs:/{one}/{path}", TRACKING, tmp_path)


def test_looking_for_a_model_makes_no_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrackingError, match=r"there is no experiment store here\. Train with"):
        resolve_model("runs:/0123", TRACKING, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "reference",
    ["runs:/", "runs:abc", "models:/", "models:/name", "models:/name/latest", "models:/a/b@c"],
)
def test_references_that_name_nothing_are_refused(tmp_path, reference):
    with pytest.raises(TrackingError, match=r"is no reference to a model\. Write runs:/ID"):
        resolve_model(reference, TRACKING, tmp_path)


# ------------------------------------------------------------------------- the registry


def test_an_alias_moves_to_the_newest_version_and_older_ones_stay(store, tmp_path):
    _, (one, two) = store
    assert register(one, TRACKING, "bosnia", "champion") == 1
    assert seed_of(resolve_model("models:/bosnia@champion", TRACKING, tmp_path)) == 1
    assert register(two, TRACKING, "bosnia", "champion") == 2
    assert seed_of(resolve_model("models:/bosnia@champion", TRACKING, tmp_path)) == 2
    assert seed_of(resolve_model("models:/bosnia/1", TRACKING, tmp_path)) == 1


def test_a_version_without_alias_leaves_the_alias_where_it_is(store, tmp_path):
    _, (one, two) = store
    register(one, TRACKING, "bosnia", "champion")
    register(two, TRACKING, "bosnia", None)
    assert seed_of(resolve_model("models:/bosnia@champion", TRACKING, tmp_path)) == 1
    assert seed_of(resolve_model("models:/bosnia/2", TRACKING, tmp_path)) == 2


def test_what_the_registry_lacks_is_answered_with_what_it_has(store, tmp_path):
    _, (one, _) = store
    with pytest.raises(TrackingError, match=r"no registered model 'iraq'\. Registered: none"):
        resolve_model("models:/iraq@champion", TRACKING, tmp_path)
    register(one, TRACKING, "bosnia", "champion")
    with pytest.raises(TrackingError, match=r"no registered model 'iraq'\. Registered: bosnia\."):
        resolve_model("models:/iraq/1", TRACKING, tmp_path)
    there = r"Versions: 1\. Aliases: @champion → 1\."
    with pytest.raises(TrackingError, match=rf"'bosnia' has no alias 'best'\. {there}"):
        resolve_model("models:/bosnia@best", TRACKING, tmp_path)
    with pytest.raises(TrackingError, match=rf"'bosnia' has no version 7\. {there}"):
        resolve_model("models:/bosnia/7", TRACKING, tmp_path)


def test_a_version_that_comes_from_no_run_is_refused(store, tmp_path):
    folder, _ = store
    client = client_of(f"sqlite:///{folder}/experiments/mlflow.db")
    client.create_registered_model("elsewhere")
    client.create_model_version("elsewhere", source="/models/elsewhere")
    with pytest.raises(TrackingError, match=r"does not come from a run\. It was made of /models"):
        resolve_model("models:/elsewhere/1", TRACKING, tmp_path)


def test_a_run_without_bundle_is_not_registered(store):
    with open_run(TRACKING, "empty", {}, {}) as run:
        pass
    with pytest.raises(TrackingError, match="holds no bundle under 'bundle'"):
        register(run.run_id, TRACKING, "bosnia", None)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"alias": "champion"}, "give register_as too"),
        ({"register_as": "bosnia", "enabled": False}, "register_as is for tracking=mlflow"),
        ({"register_as": "bosnia/west"}, "register_as = 'bosnia/west'"),
        ({"register_as": "bosnia", "alias": "v2"}, "are MLflow's own"),
        ({"register_as": "bosnia", "alias": "latest"}, "are MLflow's own"),
    ],
    ids=str,
)
def test_names_the_registry_would_refuse_are_refused_before_training(values, match):
    with pytest.raises(SettingsError, match=match):
        validate(TrackingSettings, values)
