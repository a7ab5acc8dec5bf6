"""The MLflow store: where it is, a client for it, and the one error it fails with."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hazardrank.errors import TrackingError
from hazardrank.settings import TrackingSettings

STORE_FILE = Path("experiments") / "mlflow.db"


def store_uri(settings: TrackingSettings) -> str:
    """Return the absolute tracking URI.

    Raises
    ------
    TrackingError
        If it names MLflow's old file store, or is no URI.
    """
    uri = settings.uri
    if uri is None:
        return f"sqlite:///{STORE_FILE.absolute()}"
    if "://" not in uri or uri.startswith("file:"):
        raise TrackingError(
            f"'{uri}' is a plain folder, which MLflow no longer writes to",
            where="tracking.uri",
            remedy="Give a database or server: sqlite:///path/mlflow.db, postgresql://…, http://….",
        )
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
    return uri


def client_of(uri: str) -> Any:
    """Return a client, with its chatter and its reports to the outside switched off."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(uri)


@contextmanager
def store_errors(uri: str | None) -> Iterator[None]:
    """Turn every way in which a store can fail into one error, and hush its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except TrackingError:
        raise
    except Exception as error:
        if not _is_of_the_store(error):
            raise
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise TrackingError(
            f"the experiment store cannot be used ({first_line[:300]})",
            where=uri,
            remedy="Check tracking.uri, or run with tracking=off. Output files are kept.",
        ) from error


def _is_of_the_store(error: Exception) -> bool:
    """Return whether the file system, MLflow or a library below it raised this."""
    modules = {kind.__module__.split(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or bool(
        modules & {"mlflow", "sqlalchemy", "sqlite3", "alembic", "requests", "urllib3"}
    )
