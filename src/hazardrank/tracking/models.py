"""Models by name: bundles on disk, in runs, and in MLflow's registry."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from hazardrank.errors import TrackingError
from hazardrank.settings import TrackingSettings
from hazardrank.tracking.runs import _client, _store, store_uri

BUNDLE_JSON = "bundle.json"
BUNDLE_FOLDER = "bundle"

_RUN = re.compile(r"runs:/(?P<run>[^/]+)(/(?P<path>.+))?")
_MODEL = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/]+)|/(?P<version>\d+))")


def resolve_model(reference: str, tracking: TrackingSettings, cache_dir: Path) -> Path:
    """Return the folder of the bundle that a reference names.

    Parameters
    ----------
    reference : str
        A bundle folder; the folder of a training run; ``runs:/ID``; ``models:/NAME@ALIAS`` or
        ``models:/NAME/VERSION``.
    tracking : TrackingSettings
        Where runs and models are recorded.
    cache_dir : Path
        Where bundles from a store are kept.

    Raises
    ------
    TrackingError
        If there is no such thing; says what there is instead.
    """
    if reference.startswith("runs:"):
        found = _RUN.fullmatch(reference)
        if found is None:
            raise _unreadable(reference)
        return _of_run(found["run"], found["path"] or BUNDLE_FOLDER, tracking, cache_dir)
    if reference.startswith("models:"):
        found = _MODEL.fullmatch(reference)
        if found is None:
            raise _unreadable(reference)
        run, path = _registered(found["name"], found["alias"], found["version"], tracking)
        return _of_run(run, path, tracking, cache_dir)
    folder = Path(reference).expanduser().absolute()
    for candidate in (folder, folder / BUNDLE_FOLDER):
        if (candidate / BUNDLE_JSON).is_file():
            return candidate
    raise TrackingError(
        "is neither a bundle nor the folder of a training run",
        where=f"model={reference}",
        remedy="Give the folder that train wrote, runs:/ID or models:/NAME@ALIAS.",
    )


def _unreadable(reference: str) -> TrackingError:
    return TrackingError(
        "is no reference to a model",
        where=f"model={reference}",
        remedy="Write runs:/ID, models:/NAME@ALIAS or models:/NAME/VERSION.",
    )


def _of_run(run_id: str, path: str, tracking: TrackingSettings, cache_dir: Path) -> Path:
    """Bring the bundle of a run into the cache; return its folder there."""
    uri = store_uri(tracking)
    client = _checked_client(uri)
    with _store(uri):
        import mlflow.exceptions as failures

        try:
            run = client.get_run(run_id)
            files = [one.path for one in client.list_artifacts(run_id, path)]
        except failures.MlflowException:
            run, files = None, []
    if run is None:
        raise TrackingError(
            f"there is no run {run_id}",
            where=uri,
            remedy="Runs are listed by `mlflow ui`; tracking.uri says which store is meant.",
        )
    if f"{path}/{BUNDLE_JSON}" not in files:
        raise TrackingError(
            f"run {run_id} holds no bundle under '{path}'",
            where=uri,
            remedy="Only finished runs of `python -m train` have one.",
        )
    key = hashlib.sha256(f"{uri} {run_id} {path}".encode()).hexdigest()[:20]
    target = cache_dir / "models" / key
    with _store(uri):
        # Fetched anew each time: a store may be rewritten under the same name.
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        return Path(client.download_artifacts(run_id, path, str(target)))


def _checked_client(uri: str) -> Any:
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise TrackingError(
            "there is no experiment store here",
            where=uri,
            remedy="Train with tracking on, or name the store with tracking.uri.",
        )
    with _store(uri):
        return _client(uri)


def _registered(
    name: str, alias: str | None, version: str | None, tracking: TrackingSettings
) -> tuple[str, str]:
    """Return run and artifact path of a registered model's version."""
    uri = store_uri(tracking)
    client = _checked_client(uri)
    with _store(uri):
        import mlflow.exceptions as failures

        try:
            model = client.get_registered_model(name)
        except failures.MlflowException:
            known = ", ".join(sorted(one.name for one in client.search_registered_models()))
            raise TrackingError(
                f"there is no registered model '{name}'",
                where=uri,
                remedy=f"Registered: {known or 'none'}. Train with tracking.register=NAME.",
            ) from None
        try:
            if alias is not None:
                found = client.get_model_version_by_alias(name, alias)
            else:
                found = client.get_model_version(name, version)
        except failures.MlflowException:
            wanted = f"alias '{alias}'" if alias else f"version {version}"
            aliases = ", ".join(f"@{a} → {v}" for a, v in sorted(model.aliases.items()))
            raise TrackingError(
                f"the model '{name}' has no {wanted}",
                where=uri,
                remedy=f"Aliases: {aliases or 'none'}.",
            ) from None
    return str(found.run_id), str(found.tags.get("bundle", BUNDLE_FOLDER))


def register(
    run_id: str, tracking: TrackingSettings, name: str, alias: str | None
) -> tuple[str, str]:
    """Register the bundle of a run as a version of a model.

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
    (str, str)
        Name and version.
    """
    uri = store_uri(tracking)
    with _store(uri):
        client = _client(uri)
        import mlflow.exceptions as failures

        try:
            client.get_registered_model(name)
        except failures.MlflowException:
            client.create_registered_model(name)
        source = f"{client.get_run(run_id).info.artifact_uri}/{BUNDLE_FOLDER}"
        made = client.create_model_version(
            name, source=source, run_id=run_id, tags={"bundle": BUNDLE_FOLDER}
        )
        if alias is not None:
            client.set_registered_model_alias(name, alias, made.version)
        return name, str(made.version)
