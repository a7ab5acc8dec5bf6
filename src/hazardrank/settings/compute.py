"""How the machine is used, and where runs are recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from hazardrank.settings.base import Settings


class ComputeSettings(Settings):
    """How the machine is used. Never changes a result."""

    threads: Annotated[int, Field(ge=1, le=512)] | None = None
    """Threads; all cores when left out."""
    block_cells: Annotated[int, Field(ge=16, le=8192)] = 256
    """Side of the square blocks in which the region is processed."""
    progress: bool = True
    """Show progress with a rate and the time left."""

    @property
    def n_threads(self) -> int:
        """`threads`, or the cores this process may use."""
        if self.threads is not None:
            return self.threads
        own = getattr(os, "sched_getaffinity", None)
        return len(own(0)) if own is not None else os.cpu_count() or 1


class TrackingSettings(Settings):
    """MLflow."""

    enabled: bool = True
    """Record this run in MLflow."""
    uri: str | None = None
    """Tracking URI; `experiments/mlflow.db` (SQLite) under the working folder when left out."""
    artifact_root: str | None = None
    """Folder of the runs' files; `experiments/mlartifacts` when left out."""
    experiment: str = "hazardrank"
    """Name of the MLflow experiment."""
    run_name: str | None = None
    """Name of the run; region and time when left out."""
    tags: Mapping[str, str] = Field(default_factory=dict)
    """Further tags on the run."""
