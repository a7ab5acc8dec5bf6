"""What each command can be told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from hazardrank.settings.applicability import ApplicabilitySettings, ExplanationSettings
from hazardrank.settings.base import Key, Settings
from hazardrank.settings.compute import ComputeSettings, TrackingSettings
from hazardrank.settings.features import AnyFamilySettings
from hazardrank.settings.labels import LabelSettings
from hazardrank.settings.model import ModelSettings
from hazardrank.settings.region import DistrictSettings, RegionSettings
from hazardrank.settings.validation import ValidationSettings


class CommandSettings(Settings):
    """What every command can be told."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """The one seed; the same seed, data and versions give the same bytes."""
    output_dir: Path
    """Folder the outputs go to."""
    data_dir: Path | None = None
    """Folder that relative paths start from: `data`, or beside the region file."""
    region_file: Path | None = None
    """A region file that is not in configs/region (instead of `region=NAME`)."""


class RegionCommandSettings(CommandSettings):
    """Settings shared by the commands that work on a region."""

    region: RegionSettings
    features: Mapping[Key, AnyFamilySettings | None] = Field(default_factory=dict)
    labels: LabelSettings
    validation: ValidationSettings = ValidationSettings()
    applicability: ApplicabilitySettings = ApplicabilitySettings()
    compute: ComputeSettings = ComputeSettings()


class TrainSettings(RegionCommandSettings):
    """Settings of ``python -m train``."""

    model: ModelSettings = ModelSettings()
    explanation: ExplanationSettings = ExplanationSettings()
    tracking: TrackingSettings = TrackingSettings()
    strict_checks: bool = False
    """Stop on warnings of the checks too, not only on errors."""
    compare_with: Path | None = None
    """Output folder of an earlier run on the same folds and cells: what this run gains over it
    is printed and written to `comparison.json`."""

    @model_validator(mode="after")
    def _can_be_grown_there(self) -> TrainSettings:
        backend, model = self.compute.backend, self.model
        if backend == "processes":
            raise ValueError(
                "compute=processes is for scoring: trees grow in threads. Leave compute out, or "
                "grow them on several machines with compute=dask"
            )
        if backend != "dask":
            return self
        alone = [
            name
            for name, asked in (
                ("model.tuning.enabled=true", model.tuning.enabled),
                (
                    f"model.feature_selection={model.feature_selection}",
                    model.feature_selection != "none",
                ),
                ("model.unlabelled=nnpu", model.unlabelled == "nnpu"),
            )
            if asked
        ]
        if alone:
            raise ValueError(
                f"compute=dask cannot train with {', '.join(alone)}: trees of these grow "
                "on one machine only. Leave compute out; or choose settings and features there, "
                "on fewer cells (labels.max_cells), and give what was chosen here"
            )
        return self

    @model_validator(mode="after")
    def _unlabelled_cells_are_there(self) -> TrainSettings:
        if self.model.unlabelled != "as_negative" and self.labels.background is None:
            raise ValueError(
                f"model.unlabelled={self.model.unlabelled} is for unlabelled background: choose "
                "labels=background, or leave model.unlabelled=as_negative"
            )
        if self.model.propensity != "none" and self.labels.background is not None:
            raise ValueError(
                "model.propensity weights surveyed land: it is for released and contaminated "
                "cells, and not for unlabelled background (see labels.background.sampling)"
            )
        return self


class CheckSettings(TrainSettings):
    """Settings of ``python -m check``: what ``train`` takes, so what is checked trains."""


class CompareSettings(CommandSettings):
    """Settings of ``python -m compare``."""

    run_a: Path
    """Output folder of a run of `python -m train`."""
    run_b: Path
    """Output folder of another one; differences are b minus a."""
    bootstrap: Annotated[int, Field(ge=0, le=100_000)] = 500
    """Draws of whole blocks or groups behind the intervals and verdicts."""

    @field_validator("run_a", "run_b", mode="before")
    @classmethod
    def _given(cls, folder: Path | str | None) -> Path | str:
        if folder is None:
            raise ValueError("give the output folder of a run: run_a=DIR run_b=DIR")
        return folder


class ExplainSettings(CommandSettings):
    """Settings of ``python -m explain``."""

    run: Path
    """Folder of a training run, or the bundle in it."""
    cells: list[str] = Field(default_factory=list)
    """Cells by their INSPIRE code, as in the out-of-fold predictions."""
    top: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Where no cells are named: this many with the highest likelihood on the run's map."""
    reasons: Annotated[int, Field(ge=1, le=3)] = 3
    """Reasons given for a cell at most."""
    compute: ComputeSettings = ComputeSettings()


class SimulateSettings(CommandSettings):
    """Settings of ``python -m simulate``."""

    district: DistrictSettings = DistrictSettings()
    compute: ComputeSettings = ComputeSettings()
