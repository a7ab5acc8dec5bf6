"""What options for biased records do in land never surveyed, where a simulation knows the truth.

``python -m benchmarks.bias`` prints the tables of ``experiments/simulated_bias.md``; folders,
size and seeds of the districts may be given: ``python -m benchmarks.bias --size-km 20
--seeds 0 1 2 --data /tmp/bias``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.stages import settings_of
from hazardrank.commands.prepare import LayerCase, TableCase, make_simulated_data, prepare_case
from hazardrank.commands.survey_weights import weigh_by_propensity
from hazardrank.commands.train import Study
from hazardrank.grid.raster_io import read_block
from hazardrank.labels.outcomes import Labeller
from hazardrank.reporting.progress import Progress
from hazardrank.simulate.district import district_folder
from hazardrank.validation.cross_validation import training_side
from hazardrank.validation.metrics import skill

RELEASED = {
    "no weights (default)": [],
    "inverse propensity, cut at 5–95 %": ["model.propensity=inverse"],
    "inverse propensity, cut at 1–99 %": [
        "model.propensity=inverse",
        "model.propensity_truncation=[0.01,0.99]",
    ],
}
_BY_PRIOR = "model.class_prior_estimator=elkan_noto"
UNLABELLED = {
    "as negative (default)": [],
    "Elkan–Noto, prior by best bin": ["model.unlabelled=elkan_noto"],
    "Elkan–Noto, their own prior": ["model.unlabelled=elkan_noto", _BY_PRIOR],
    "Elkan–Noto, true share given": ["model.unlabelled=elkan_noto", "model.class_prior=TRUE"],
    "bagging, prior by best bin": ["model.unlabelled=bagging"],
    "non-negative risk, prior by best bin": ["model.unlabelled=nnpu"],
    "non-negative risk, true share given": ["model.unlabelled=nnpu", "model.class_prior=TRUE"],
}
BACKGROUND = {
    "uniform (default)": [],
    "buffered, within 1.5 km": [
        "labels.background.sampling=buffered",
        "labels.background.max_distance_m=1500",
    ],
    "hard, 1 km": ["labels.background.sampling=hard"],
    "matched on roads": [
        "labels.background.sampling=propensity_matched",
        "labels.background.match_layer=roads",
    ],
}
COLUMNS = ("ROC", "PR", "found in 10 %", "ECE", "Brier", "mean likelihood", "true share", "prior")
SILENT = Progress(False)
ONE_THREAD = ["tracking=off", "compute.threads=1", "compute.progress=false"]


class District:
    """A simulated district with features of every cell and the truth, computed once."""

    def __init__(self, folder: Path, size_km: float, seed: int) -> None:
        self.base = [
            f"data_dir={folder}/{seed}",
            f"output_dir={folder}/out",
            f"region.simulated.size_km={size_km:g}",
            f"region.simulated.seed={seed}",
            f"seed={seed}",
            "validation.folds.size_m=2500",
            *ONE_THREAD,
        ]
        settings = settings_of(*self.base)
        self.prepared: dict[str, LayerCase | TableCase] = {}
        make_simulated_data(settings, SILENT)
        case = prepare_case(settings, SILENT)
        assert isinstance(case, LayerCase)
        grid, side = case.layers.grid, settings.compute.block_cells
        truth = district_folder(settings.region, Path(f"{folder}/{seed}"))
        path = truth / "truth" / "contamination.tif"
        labeller = Labeller(case.records, settings.labels, settings.region.records_as_of)
        kept = []
        for block in grid.blocks(side):
            never = (labeller.block(block).outcome == -1) & case.layers.inside(block)
            values = case.features.block(block, case.layers, case.records)
            kept.append((values[:, never].T, read_block(path, block)[never] > 0))
        self.matrix = np.ascontiguousarray(np.vstack([m for m, _ in kept]), np.float32)
        self.truth = np.concatenate([t for _, t in kept])
        cells = case.labelled
        self.surveyed_share = cells.n_contaminated / (cells.n_contaminated + cells.n_released)

    def figures(self, overrides: Sequence[str]) -> NDArray[np.float64]:
        """Learn under some settings; return :data:`COLUMNS` in land never surveyed."""
        share = float(self.truth.mean())
        given = [text.replace("TRUE", f"{share:.5f}") for text in overrides]
        settings = settings_of(*self.base, *given)
        key = settings.labels.model_dump_json()
        if key not in self.prepared:
            self.prepared[key] = prepare_case(settings, SILENT)
        case, weights = weigh_by_propensity(settings, self.prepared[key], SILENT)
        study = Study.of(settings, case, SILENT, weights)
        side = training_side(case.training, study.plan, settings.validation, settings.seed)
        model = study.learner.fit(side)
        likelihood = model.likelihood(self.matrix)
        found = skill(self.truth, likelihood, likelihood).as_dict()
        names = ("roc_auc", "pr_auc", "capture_at_10pct_area", "ece", "brier")
        prior = model.prevalence if settings.model.unlabelled != "as_negative" else np.nan
        return np.array([*(found[n] for n in names), likelihood.mean(), share, prior], float)


def table(districts: Sequence[District], options: dict[str, list[str]], *fixed: str) -> list[str]:
    """Return a Markdown table: the mean over districts, and the range of ROC in brackets."""
    lines = [f"| option | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, overrides in options.items():
        rows = np.array([one.figures([*fixed, *overrides]) for one in districts])
        mean = rows.mean(axis=0)
        cells = ["–" if np.isnan(value) else f"{value:.3f}" for value in mean]
        cells[0] += f" [{rows[:, 0].min():.2f}–{rows[:, 0].max():.2f}]"
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size-km", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, help="folder to keep the districts in")
    parser.add_argument("--only", choices=["released", "unlabelled", "background"], nargs="*")
    chosen = parser.parse_args()
    wanted = chosen.only or ["released", "unlabelled", "background"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.data or Path(scratch)
        districts = [District(folder, chosen.size_km, seed) for seed in chosen.seeds]
        for one in districts:
            print(
                f"{len(one.truth):,} cells never surveyed, {one.truth.mean():.3f} contaminated; "
                f"of surveyed cells {one.surveyed_share:.3f}",
                flush=True,
            )
        if "released" in wanted:
            table(districts, RELEASED)
        if "unlabelled" in wanted:
            table(districts, UNLABELLED, "labels=background")
        if "background" in wanted:
            table(districts, BACKGROUND, "labels=background")


if __name__ == "__main__":
    main()
