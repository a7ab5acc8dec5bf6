"""How the machine is used, and where runs are recorded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hazardrank.settings.base import Settings


class ComputeSettings(Settings):
    """How this machine, or several, are used. Changes no result, but one: trees grown by
    `train` on a cluster depend on its number of workers."""

    backend: Literal["threads", "processes", "dask"] = "threads"
    """Where work is done: `threads` of this process, `processes` of this machine, or `dask`: a
    dask.distributed cluster. `processes` is for scoring only; `train` grows its trees on a
    cluster, and does all else here."""
    scheduler: str | None = None
    """`dask`: address of the cluster's scheduler, `tcp://host:8786`; a cluster on this machine
    when left out."""
    workers: Annotated[int, Field(ge=1, le=4096)] | None = None
    """`processes`, and `dask` without a scheduler: worker processes; one a core when left out."""
    retries: Annotated[int, Field(ge=0, le=100)] = 3
    """`dask`: how often a block of a scoring that failed, or whose worker was lost, is tried
    again."""
    window: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """`dask`: blocks handed to the scheduler at a time; a few for each worker when left out."""
    memory_gb: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Scoring: blocks are made smaller until those in work at a time should need no more than
    this, in GB."""
    threads: Annotated[int, Field(ge=1, le=512)] | None = None
    """Threads; all cores when left out."""
    block_cells: Annotated[int, Field(ge=16, le=8192)] = 256
    """Side of the square blocks in which the region is processed."""
    progress: bool = True
    """Show progress with a rate and the time left."""

    @model_validator(mode="after")
    def _belongs_to_the_backend(self) -> ComputeSettings:
        if self.scheduler is not None and self.backend != "dask":
            raise ValueError("scheduler is for compute=dask")
        if self.scheduler is not None and self.workers is not None:
            raise ValueError("workers are the scheduler's own: leave workers out")
        return self

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
    register_as: Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=200)] | None = None
    """`train`: name under which MLflow's registry keeps the run's bundle, as the next version of
    that model: `models:/NAME/VERSION`."""
    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=200)] | None = None
    """`train`: alias that shall point to that version from now on, such as `champion`:
    `models:/NAME@ALIAS`."""

    @field_validator("alias")
    @classmethod
    def _is_no_version(cls, alias: str | None) -> str | None:
        if alias is not None and (alias == "latest" or re.fullmatch(r"[vV]\d+", alias)):
            raise ValueError("the names 'latest' and 'v1', 'v2' … are MLflow's own: take another")
        return alias

    @model_validator(mode="after")
    def _registers_what_is_recorded(self) -> TrackingSettings:
        if self.register_as is not None and not self.enabled:
            raise ValueError(
                "register_as is for tracking=mlflow: only recorded runs are registered"
            )
        if self.alias is not None and self.register_as is None:
            raise ValueError("alias is for a registered model: give register_as too")
        return self
