"""Runs in MLflow, which is imported only when a run is opened.

Works on MLflow's client rather than its global state, so that ``MLFLOW_RUN_ID`` and the
like in the environment change nothing. What a command writes to its output folder is
complete without MLflow: a store that fails loses none of it.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from hazardrank.errors import TrackingError
from hazardrank.settings import TrackingSettings
from hazardrank.tracking.store import client_of, store_errors, store_uri

ARTIFACT_FOLDER = Path("experiments") / "mlartifacts"

LONGEST_PARAM = 6000
"""MLflow cuts longer values; ours are stored whole in a file instead."""

_LOCK_TIMEOUT_S = 120.0
_PARENT = "mlflow.parentRunId"
_DIGEST_LENGTH = 36


class Run(Protocol):
    """What a command may record of itself."""

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; ``None`` if nothing is recorded."""

    @property
    def uri(self) -> str | None:
        """Tracking URI of the store; ``None`` if nothing is recorded."""

    def log_metrics(self, metrics: Mapping[str, float | None]) -> None:
        """Record figures. ``None`` and figures that are not finite are left out."""

    def log_fold(self, name: str, metrics: Mapping[str, float | None]) -> None:
        """Record a fold's figures as a nested run."""

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Store a file with the run, in `folder` of its artifacts."""

    def log_folder(self, path: Path, folder: str | None = None) -> None:
        """Store a folder's files with the run, in `folder` of its artifacts."""

    def log_datasets(self, digests: Mapping[str, str]) -> None:
        """Record the inputs: path or name → SHA-256 in hex (or ``remote``)."""


class NullRun:
    """A run of which nothing is recorded."""

    run_id: str | None = None
    uri: str | None = None

    def log_metrics(self, metrics: Mapping[str, float | None]) -> None:
        """Record nothing."""

    def log_fold(self, name: str, metrics: Mapping[str, float | None]) -> None:
        """Record nothing."""

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Store nothing."""

    def log_folder(self, path: Path, folder: str | None = None) -> None:
        """Store nothing."""

    def log_datasets(self, digests: Mapping[str, str]) -> None:
        """Record nothing."""


class MlflowRun:
    """A run in an MLflow store.

    Parameters
    ----------
    client : mlflow.MlflowClient
        The store.
    uri : str
        Its tracking URI.
    experiment_id, run_id : str
        MLflow's ids.
    """

    def __init__(self, client: Any, uri: str, experiment_id: str, run_id: str) -> None:
        self._client = client
        self.uri: str | None = uri
        self.experiment_id = experiment_id
        self.run_id: str | None = run_id

    def log_metrics(self, metrics: Mapping[str, float | None]) -> None:
        """Record figures. ``None`` and figures that are not finite are left out."""
        with store_errors(self.uri):
            self._log_metrics(self.run_id, metrics)

    def log_fold(self, name: str, metrics: Mapping[str, float | None]) -> None:
        """Record a fold's figures as a nested run."""
        with store_errors(self.uri):
            fold = self._client.create_run(
                self.experiment_id, tags={_PARENT: str(self.run_id)}, run_name=name
            )
            self._log_metrics(fold.info.run_id, metrics)
            self._client.set_terminated(fold.info.run_id, "FINISHED")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings; nested ones under dotted keys, long values whole in a file."""
        from mlflow.entities import Param

        values = {key: _shown(value) for key, value in _flat(params)}
        with store_errors(self.uri):
            self._client.log_batch(
                self.run_id,
                params=[Param(key, text[:LONGEST_PARAM]) for key, text in values.items()],
            )
            for key, text in values.items():
                if len(text) > LONGEST_PARAM:
                    self._client.log_text(self.run_id, text, f"long_params/{key}.txt")

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Store a file with the run, in `folder` of its artifacts."""
        with store_errors(self.uri):
            self._client.log_artifact(self.run_id, str(path), folder)

    def log_folder(self, path: Path, folder: str | None = None) -> None:
        """Store a folder's files with the run, in `folder` of its artifacts."""
        with store_errors(self.uri):
            self._client.log_artifacts(self.run_id, str(path), folder)

    def log_datasets(self, digests: Mapping[str, str]) -> None:
        """Record the inputs: path or name → SHA-256 in hex (or ``remote``)."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(
                    name=name[-500:],
                    digest=digest[:_DIGEST_LENGTH],
                    source_type="local",
                    source=json.dumps({"uri": name}),
                    profile=json.dumps({"sha256": digest}),
                ),
                [InputTag("mlflow.data.context", "training")],
            )
            for name, digest in sorted(digests.items())
        ]
        with store_errors(self.uri):
            self._client.log_inputs(self.run_id, inputs)

    def end(self, status: str) -> None:
        """Close the run as ``FINISHED``, ``FAILED`` or ``KILLED``."""
        with store_errors(self.uri):
            self._client.set_terminated(self.run_id, status)

    def _log_metrics(self, run_id: str | None, metrics: Mapping[str, float | None]) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        finite = {
            key: float(value)
            for key, value in metrics.items()
            if value is not None and math.isfinite(value)
        }
        logged = [Metric(key, value, now_ms, 0) for key, value in finite.items()]
        self._client.log_batch(run_id, metrics=logged)


@contextmanager
def open_run(
    settings: TrackingSettings,
    run_name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
) -> Iterator[Run]:
    """Open a run, or one that records nothing where tracking is off.

    Leaving the context ends the run: FINISHED, FAILED if an exception passes through, or
    KILLED if the user interrupted.

    Parameters
    ----------
    settings : TrackingSettings
        The store and the experiment.
    run_name : str
        Name of the run, unless the settings give one.
    params : mapping
        Settings of the run; nested mappings become dotted keys.
    tags : mapping of str to str
        Tags; those of the settings are added and win.

    Raises
    ------
    TrackingError
        If the store cannot be made, reached or written.
    """
    if not settings.enabled:
        yield NullRun()
        return
    uri = store_uri(settings)
    with store_errors(uri):
        run = _start(settings, uri, run_name, tags)
    try:
        run.log_params(params)
        yield run
    except BaseException as error:
        # The first failure is the one to tell of, even if the store fails as well.
        with suppress(TrackingError):
            run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    run.end("FINISHED")


def _start(
    settings: TrackingSettings, uri: str, run_name: str, tags: Mapping[str, str]
) -> MlflowRun:
    with _only_one_process(uri):
        client = client_of(uri)
        experiment_id = _experiment(client, settings, uri)
    run = client.create_run(
        experiment_id,
        tags={**tags, **settings.tags},
        run_name=settings.run_name or run_name,
    )
    return MlflowRun(client, uri, experiment_id, run.info.run_id)


def _experiment(client: Any, settings: TrackingSettings, uri: str) -> str:
    found = client.get_experiment_by_name(settings.experiment)
    if found is None:
        return str(client.create_experiment(settings.experiment, _artifact_location(settings, uri)))
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"the experiment '{settings.experiment}' has been deleted in this store",
            where=uri,
            remedy="Restore it in MLflow, or set tracking.experiment to another name.",
        )
    return str(found.experiment_id)


def _artifact_location(settings: TrackingSettings, uri: str) -> str | None:
    """Return where a new experiment keeps files; a server decides for itself unless told."""
    if settings.artifact_root is not None:
        root = settings.artifact_root
        return root if "://" in root else Path(root).absolute().as_uri()
    return ARTIFACT_FOLDER.absolute().as_uri() if uri.startswith("sqlite:") else None


@contextmanager
def _only_one_process(uri: str) -> Iterator[None]:
    """Let one process at a time create a SQLite store; together they would spoil it.

    The lock is SQLite's own, on a file beside the store: it works on every system and
    falls with the process that holds it.
    """
    if not uri.startswith("sqlite:///"):
        yield
        return
    store = Path(uri.removeprefix("sqlite:///"))
    store.parent.mkdir(parents=True, exist_ok=True)
    lock = sqlite3.connect(
        store.with_name(f".{store.name}.lock"), timeout=_LOCK_TIMEOUT_S, isolation_level=None
    )
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
        lock.execute("ROLLBACK")
    finally:
        lock.close()


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield _param_name(f"{prefix}{key}"), value


def _param_name(key: str) -> str:
    """Return a key of the characters and length that MLflow takes."""
    taken = "".join(letter if letter.isalnum() or letter in "_-. :/" else "_" for letter in key)
    return taken[:250]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
