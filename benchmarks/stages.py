"""The main job stage by stage on the built-in district, as `python -m train` runs it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from benchmarks.report import Row, Section, rate
from hazardrank.commands.hydra_app import config_dir
from hazardrank.commands.prepare import LayerCase, make_simulated_data, prepare_case
from hazardrank.commands.train import Study
from hazardrank.features.feature_set import FeatureSet
from hazardrank.model.bundle import Bundle
from hazardrank.reporting.progress import Progress
from hazardrank.settings import TrainSettings, validate
from hazardrank.validation.cross_validation import training_side


def settings_of(*overrides: str) -> TrainSettings:
    """Return training settings as Hydra composes them."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        values: Any = OmegaConf.to_container(
            compose("train", overrides=list(overrides)), resolve=True
        )
    return validate(TrainSettings, values)


def run() -> Section:
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(f"data_dir={folder}", f"output_dir={folder}/out", "tracking=off")
        return _measure(settings, Path(folder) / "out")


def _measure(settings: TrainSettings, output_dir: Path) -> Section:
    silent = Progress(False)
    rows = []

    def timed(what: str, action: Any, n_cells: int | None = None) -> Any:
        begun = time.perf_counter()
        result = action()
        seconds = time.perf_counter() - begun
        rows.append(
            Row(what, f"{seconds:.1f} s", "" if n_cells is None else rate(n_cells, seconds))
        )
        return result

    timed("simulate the district", lambda: make_simulated_data(settings, silent), 160_000)
    prepare_case(settings, silent)  # compiles the kernels and prepares the vectors once
    case: LayerCase = timed(
        "label, compute features of labelled cells", lambda: prepare_case(settings, silent), 160_000
    )
    rows += _families(case)
    study = Study.of(settings, case, silent)
    side = training_side(case.training, study.plan, settings.validation, settings.seed)
    timed(f"train on {len(case.training.cells):,} cells", lambda: study.learner.fit(side))

    bundle = Bundle.of(study.learner.fit(side), study.learner, {})
    timed(
        "features + scoring of the whole district",
        lambda: case.score(bundle, output_dir, {}, silent),
        160_000,
    )
    timed("cross-validate, baselines and random split", study.evaluate)
    return Section("The main job, built-in district of 40 km at 100 m", rows)


def _families(case: LayerCase) -> list[Row]:
    grid = case.layers.grid
    block_cells = case.settings.compute.block_cells
    rows = []
    for family in case.features.families:
        alone = FeatureSet((family,))
        begun = time.perf_counter()
        for block in grid.blocks(block_cells):
            alone.layer_block(block, case.layers)
        seconds = time.perf_counter() - begun
        rows.append(
            Row(f"  {family.key}: {len(family.specs)} features", rate(grid.n_cells, seconds))
        )
    return rows
