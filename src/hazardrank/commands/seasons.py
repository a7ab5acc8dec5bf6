"""``python -m seasons``: play seasons of clearance on simulated districts, by several policies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from hazardrank.commands.hydra_app import run_app
from hazardrank.commands.prepare import LayerCase, data_dir_of, make_simulated_data, prepare_case
from hazardrank.errors import SettingsError
from hazardrank.grid.raster_io import read_block
from hazardrank.labels.outcomes import Labeller
from hazardrank.model.selection import learner_for
from hazardrank.priority.seasons import Fit, SimulatedLand, play, season_rows
from hazardrank.reporting.progress import Progress
from hazardrank.reporting.run_files import write_whole
from hazardrank.reporting.seasons_figure import (
    NOTICE,
    SEASONS_CSV,
    SEASONS_PNG,
    draw_seasons,
    seasons_table,
)
from hazardrank.settings import LabelSettings, SeasonsSettings
from hazardrank.simulate.district import district_folder
from hazardrank.validation.cross_validation import training_side
from hazardrank.validation.folds import make_folds
from hazardrank.validation.learner import FittedModel
from hazardrank.validation.training_set import TrainingSet
from hazardrank.versions import code_digest


def main() -> None:
    """Run ``python -m seasons``."""
    run_app("seasons", SeasonsSettings, run)


def run(settings: SeasonsSettings) -> None:
    """Play all districts, print the table, write ``seasons.csv`` and ``seasons.png``.

    Raises
    ------
    HazardRankError
        If a district cannot be made or learned from.
    """
    progress, folder = Progress(settings.compute.progress), settings.output_dir.absolute()
    parts = [played(settings, seed, progress) for seed in settings.district_seeds]
    rows = pd.concat(parts, ignore_index=True)
    write_whole(folder / SEASONS_CSV, rows.to_csv(index=False).encode())
    districts = "1 district" if len(parts) == 1 else f"{len(parts)} districts"
    title = f"{settings.seasons} seasons of {settings.hectares:g} ha, {districts}"
    draw_seasons(rows, folder / SEASONS_PNG, title)
    console = Console()
    console.print(f"[bold]{NOTICE}[/]", highlight=False)
    console.print(seasons_table(rows), highlight=False)
    base = f"Before the first season: {_base_rate(parts)}"
    console.print(base, highlight=False, soft_wrap=True)
    console.print(f"Files: {folder / SEASONS_CSV}, {folder / SEASONS_PNG}", soft_wrap=True)


def _base_rate(parts: list[pd.DataFrame]) -> str:
    return "; ".join(
        f"district {part.attrs['seed']}: {part.attrs['n_cells']:,} cells that no record touches, "
        f"{part.attrs['share']:.1%} of them contaminated"
        for part in parts
    )


def played(settings: SeasonsSettings, district_seed: int, progress: Progress) -> pd.DataFrame:
    """Return the seasons of one district, one row for each policy and season.

    The district's files stay in a folder of its seed in the data folder, and are used again.
    """
    land, own = _land(settings, district_seed, progress)
    fit = _fitter(own)
    cells_a_season = max(1, round(settings.hectares / land.cell_ha))
    n_seasons = settings.seasons * len(settings.policies)
    with progress.stage(f"Playing district {district_seed}", n_seasons, "seasons") as advance:
        first = fit(land.training)
        rows = [
            row
            for policy in settings.policies
            for row in season_rows(
                land,
                play(
                    land,
                    policy,
                    fit,
                    first,
                    settings.seasons,
                    cells_a_season,
                    settings.random_share,
                    own.seed,
                    advance,
                ),
                district_seed,
                policy,
            )
        ]
    table = pd.DataFrame(rows)
    share = float(land.contaminated.mean())
    table.attrs = {"seed": district_seed, "n_cells": len(land.contaminated), "share": share}
    return table


def _land(
    settings: SeasonsSettings, district_seed: int, progress: Progress
) -> tuple[SimulatedLand, SeasonsSettings]:
    """Make a district; return it as land to play on, and the settings with its seed."""
    region = settings.region
    assert region.simulated is not None
    simulated = region.simulated.model_copy(update={"seed": district_seed})
    own = settings.model_copy(
        update={
            "region": region.model_copy(update={"simulated": simulated}),
            "data_dir": data_dir_of(settings) / f"seasons_{district_seed}",
            "seed": settings.seed + district_seed,
        }
    )
    make_simulated_data(own, progress)
    case = prepare_case(own, progress)
    assert isinstance(case, LayerCase)
    if case.features.history_specs:
        raise SettingsError(
            "seasons are played without features of the records' history",
            where="features",
            remedy="Use features=standard.",
        )
    return _of_case(case, own), own


def _of_case(case: LayerCase, settings: SeasonsSettings) -> SimulatedLand:
    grid, block_cells = case.layers.grid, settings.compute.block_cells
    truth_tif = district_folder(settings.region, data_dir_of(settings)) / "truth/contamination.tif"
    touching = Labeller(case.records, _touching(settings.labels), settings.region.records_as_of)
    places, truth = [], []
    for block in grid.blocks(block_cells):
        never = (touching.block(block).outcome == -1) & case.layers.inside(block)
        down, across = block.offset_in(grid)
        row, col = np.nonzero(never)
        places.append(np.stack([row + down, col + across]))
        truth.append(read_block(Path(truth_tif), block)[never] > 0)
    where = np.concatenate(places, axis=1).astype(np.int64)
    order = np.lexsort(where[::-1])
    where = where[:, order]
    matrix = case.features.at_cells(where[0], where[1], case.layers, block_cells)
    return SimulatedLand(case.training, matrix, where, np.concatenate(truth)[order])


def _touching(labels: LabelSettings) -> LabelSettings:
    """Return label rules by which a record speaks of every cell that it touches.

    The rim of a recorded hazard area is part of its task, and no find of a ranking.
    """
    rules = [rule.model_copy(update={"min_area_m2": 1.0}) for rule in labels.rules]
    return labels.model_copy(update={"rules": rules})


def _fitter(settings: SeasonsSettings) -> Fit:
    """Return what trains on all that is known, as the final model of ``train`` does."""
    code = code_digest()

    def fit(training: TrainingSet) -> FittedModel:
        plan = make_folds(training, settings.validation.folds, settings.seed)
        side = training_side(training, plan, settings.validation, settings.seed)
        learner = learner_for(
            settings.model,
            training.specs,
            settings.compute.n_threads,
            settings.seed,
            origin=code,
        )
        return learner.fit(side)

    return fit
