"""Models by name: bundles on disk, in runs, and in MLflow's registry."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hazardrank.errors import TrackingError
from hazardrank.settings import TrackingSettings
from hazardrank.tracking.store import client_of, store_errors, store_uri

BUNDLE_JSON = "bundle.json"
BUNDLE_FOLDER = "bundle"
"""Folder of the bundle in a run's output folder, and among its artifacts."""

_BUNDLE_TAG = "bundle"
_MODELS = "models"
_SHOWN_RUNS = 5
_SQLITE = "sqlite:///"
_RUN = re.compile(r"runs:/(?P<run>[^/]+)(/(?P<path>.+))?")
_MODEL = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/]+)|/(?P<version>\d+))")


def resolve_model(reference: str, tracking: TrackingSettings, cache_dir: Path) -> Path:
    """Return the folder of the bundle that a reference names.

    Parameters
    ----------
    reference : str
        A bundle folder; the folder of a training run; ``runs:/ID``, whose bundle is among its
        artifacts; ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
    tracking : TrackingSettings
        Where runs and models are recorded.
    cache_dir : Path
        Where bundles from a store are kept, each once, under the digest of its files.

    Raises
    ------
    TrackingError
        If there is no such thing; says what there is instead.
    """
    if reference.startswith("runs:"):
        found = _parsed(_RUN, reference)
        return _of_run(found["run"], found["path"] or BUNDLE_FOLDER, tracking, cache_dir)
    if reference.startswith("models:"):
        found = _parsed(_MODEL, reference)
        run_id, path = _registered(found["name"], found["alias"], found["version"], tracking)
        return _of_run(run_id, path, tracking, cache_dir)
    folder = Path(reference).expanduser().absolute()
    for candidate in (folder, folder / BUNDLE_FOLDER):
        if (candidate / BUNDLE_JSON).is_file():
            return candidate
    problem = "is neither a bundle nor the folder of a training run"
    raise TrackingError(
        problem if folder.exists() else f"there is no folder {folder}",
        where=f"model={reference}",
        remedy="Give the folder that train wrote, runs:/ID or models:/NAME@ALIAS.",
    )


def register(run_id: str, tracking: TrackingSettings, name: str, alias: str | None) -> int:
    """Register the bundle of a run as the next version of a model.

    Parameters
    ----------
    run_id : str
        The run, whose artifacts hold the bundle.
    tracking : TrackingSettings
        The store.
    name : str
        Name of the model, made where it is new.
    alias : str or None
        An alias that shall point to this version from now on.

    Returns
    -------
    int
        The version.

    Raises
    ------
    TrackingError
        If the store cannot be used, or the run has no bundle.
    """
    with _opened(tracking) as (uri, client):
        _require_bundle(client, run_id, BUNDLE_FOLDER, uri)
        _make_model(client, name)
        source = f"{client.get_run(run_id).info.artifact_uri}/{BUNDLE_FOLDER}"
        made = client.create_model_version(
            name, source=source, run_id=run_id, tags={_BUNDLE_TAG: BUNDLE_FOLDER}
        )
        if alias is not None:
            client.set_registered_model_alias(name, alias, made.version)
        return int(made.version)


def _parsed(pattern: re.Pattern[str], reference: str) -> re.Match[str]:
    found = pattern.fullmatch(reference)
    if found is None:
        raise TrackingError(
            "is no reference to a model",
            where=f"model={reference}",
            remedy="Write runs:/ID, models:/NAME@ALIAS or models:/NAME/VERSION.",
        )
    return found


# --------------------------------------------------------------------------- the store


@contextmanager
def _opened(tracking: TrackingSettings) -> Iterator[tuple[str, Any]]:
    """Yield the URI of a store that is there, and a client; a store is never made here."""
    uri = store_uri(tracking)
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).is_file():
        raise TrackingError(
            "there is no experiment store here",
            where=uri,
            remedy="Train with tracking on, or name the store with tracking.uri.",
        )
    with store_errors(uri):
        yield uri, client_of(uri)


def _is_absent(error: Exception) -> bool:
    """Return whether MLflow says that what was asked for is not there (or cannot be)."""
    code = getattr(error, "error_code", None)
    return code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def _found(method: Any, *arguments: Any) -> Any:
    """Call a method of the client; ``None`` where MLflow says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return method(*arguments)
    except MlflowException as error:
        if _is_absent(error):
            return None
        raise


def _make_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


# ------------------------------------------------------------------------- from a run


def _of_run(run_id: str, path: str, tracking: TrackingSettings, cache_dir: Path) -> Path:
    """Bring the bundle of a run into the cache; return its folder there."""
    with _opened(tracking) as (uri, client):
        if _found(client.get_run, run_id) is None:
            raise TrackingError(
                f"there is no run {run_id}", where=uri, remedy=_runs_there(client, tracking)
            )
        _require_bundle(client, run_id, path, uri)
        models = cache_dir / _MODELS
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models, prefix=".fetching-") as fetching:
            return _kept(Path(client.download_artifacts(run_id, path, fetching)), models)


def _require_bundle(client: Any, run_id: str, path: str, uri: str) -> None:
    files = _found(client.list_artifacts, run_id, path) or []
    if f"{path}/{BUNDLE_JSON}" not in [one.path for one in files]:
        raise TrackingError(
            f"run {run_id} holds no bundle under '{path}'",
            where=uri,
            remedy="Only finished runs of `python -m train` have one, and only as long as the "
            "files of the store are where it put them.",
        )


def _runs_there(client: Any, tracking: TrackingSettings) -> str:
    """Return the latest training runs of the experiment, as a sentence."""
    experiment = client.get_experiment_by_name(tracking.experiment)
    runs = []
    if experiment is not None:
        runs = client.search_runs(
            [experiment.experiment_id],
            "attributes.status = 'FINISHED' and tags.run_digest LIKE '%'",
            max_results=_SHOWN_RUNS,
        )
    shown = ", ".join(f"{run.info.run_id} ({run.info.run_name})" for run in runs)
    return f"Latest finished runs of '{tracking.experiment}': {shown or 'none'}."


def _kept(fetched: Path, models: Path) -> Path:
    """Move a bundle to the place its content gives it, unless it is there already."""
    digest = _digest(fetched)
    target = models / digest
    if target.is_dir() and _digest(target) != digest:
        shutil.rmtree(target)
    try:
        if not target.is_dir():
            fetched.replace(target)
    except OSError:  # another process brought it in the meantime
        if not target.is_dir():
            raise
    return target


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()[:20]


# -------------------------------------------------------------------- from the registry


def _registered(
    name: str, alias: str | None, version: str | None, tracking: TrackingSettings
) -> tuple[str, str]:
    """Return run and artifact path of a registered model's version."""
    with _opened(tracking) as (uri, client):
        model = _found(client.get_registered_model, name)
        if model is None:
            known = ", ".join(sorted(one.name for one in client.search_registered_models()))
            raise TrackingError(
                f"there is no registered model '{name}'",
                where=uri,
                remedy=f"Registered: {known or 'none'}. Train with tracking.register_as={name}.",
            )
        if alias is not None:
            found = _found(client.get_model_version_by_alias, name, alias)
        else:
            found = _found(client.get_model_version, name, version)
        if found is None:
            wanted = f"alias '{alias}'" if alias else f"version {version}"
            raise TrackingError(
                f"the model '{name}' has no {wanted}", where=uri, remedy=_versions(client, model)
            )
    if not found.run_id:
        raise TrackingError(
            f"version {found.version} of the model '{name}' does not come from a run",
            where=uri,
            remedy=f"It was made of {found.source}: give that folder, if it is a bundle.",
        )
    return str(found.run_id), str(found.tags.get(_BUNDLE_TAG, BUNDLE_FOLDER))


def _versions(client: Any, model: Any) -> str:
    """Return the versions and aliases of a model, as a sentence."""
    quoted = model.name.replace("'", "''")
    versions = sorted(int(one.version) for one in client.search_model_versions(f"name='{quoted}'"))
    aliases = ", ".join(f"@{alias} → {at}" for alias, at in sorted(model.aliases.items()))
    shown = ", ".join(map(str, versions)) or "none"
    return f"Versions: {shown}. Aliases: {aliases or 'none'}."
