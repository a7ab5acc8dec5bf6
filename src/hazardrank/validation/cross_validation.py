"""Cross-validation that does not see what it must not see.

For every fold the feature matrix is rebuilt under the protocol, the training side is
given inner folds rebuilt likewise, the learner learns from that side alone, and the
held-out cells are scored once. The same model under a random split stands beside it as
the foil.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hazardrank.errors import ModelError
from hazardrank.labels.cells import LabelledCells
from hazardrank.settings import ValidationSettings
from hazardrank.validation.baselines import Baseline, FoldView, choose_baselines
from hazardrank.validation.bootstrap import Bootstrap, Units, resampling_units
from hazardrank.validation.comparison import (
    LIFT_OVER,
    Difference,
    EvaluatedRun,
    Measured,
    as_dicts,
    lift,
    paired_differences,
)
from hazardrank.validation.coverage import COVERAGE_NOTE, coverage
from hazardrank.validation.folds import FoldPlan, random_folds
from hazardrank.validation.folds.maker import nowhere
from hazardrank.validation.learner import (
    FittedModel,
    InnerFold,
    Learner,
    TrainingSide,
    UncertainModel,
)
from hazardrank.validation.metrics import LOG_LOSS_EPS, Skill, pr_auc, roc_auc, skill
from hazardrank.validation.training_set import (
    DatedLand,
    LocationTest,
    Matrix,
    TrainingSet,
    known_before,
)

#: Folds of the random split.
RANDOM_FOLDS = 5
#: What ranks the cells in every figure of the model.
RANKED_BY = "likelihood"
POOLED_NOTE = (
    "pooled: one ranking of the held-out cells of all folds, each scored by its own fold's "
    "model; fold_mean: mean over the folds in which the figure is defined"
)


@dataclass(frozen=True)
class FoldResult:
    """One fold, done.

    Parameters
    ----------
    number, n_folds : int
        Which fold, from 0, of how many.
    name : str
        Name of the fold.
    split : str
        ``"spatial"`` or ``"random"``.
    n_train, n_buffered : int
        Cells learned from, and left out for being nearer than the buffer.
    n_cells, n_contaminated : int
        Cells held out, and those of them that are contaminated.
    rounds : int
        Boosting rounds the inner folds chose.
    skill : Skill
        Figures on the held-out cells.
    """

    number: int
    n_folds: int
    name: str
    split: str
    n_train: int
    n_buffered: int
    n_cells: int
    n_contaminated: int
    rounds: int
    skill: Skill
    n_withheld: int = 0
    """Cells neither learned from nor held out: later than the fold, or without a date."""
    choice: Mapping[str, Any] | None = None
    """What the model chose on its inner folds, where it had a choice."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fold as ``metrics.json`` lists it."""
        return {
            "name": self.name,
            "n_cells": self.n_cells,
            "n_contaminated": self.n_contaminated,
            "n_train": self.n_train,
            "n_buffered": self.n_buffered,
            "n_withheld": self.n_withheld,
            "rounds": self.rounds,
            **self.skill.as_dict(),
            **({"choice": dict(self.choice)} if self.choice else {}),
        }


FoldCallback = Callable[[FoldResult], object]
ModelCallback = Callable[[int, FittedModel, Matrix], object]


@dataclass(frozen=True)
class CrossValidation:
    """What cross-validation found.

    Parameters
    ----------
    protocol : str
        ``new_district`` or ``infill``.
    method : str
        How folds were made.
    cells : LabelledCells
        The labelled cells.
    predictions : DataFrame, n_cells rows
        ``cell_id``, ``easting``, ``northing`` (m), ``fold`` (-1: never held out), ``unit``
        (block or group that the bootstrap draws whole),
        ``outcome`` (1, 0, -1 background), ``weight``, ``score``, ``likelihood``,
        ``likelihood_spread``, ``_low``, ``_high`` where the model has them, and
        ``baseline_NAME`` scores; NaN for cells never held out.
    folds : tuple of FoldResult
        The folds.
    pooled : Skill
        Figures over all held-out cells together.
    baselines : mapping of str to dict
        Pooled figures and fold means of each baseline.
    random_split : dict or None
        Figures of the same model under a random split, and the gaps.
    notes : tuple of str
        What is not as asked, and why.
    measured : Measured
        The pooled figures of the model with their bootstrap draws.
    differences : mapping of str to mapping of str to Difference
        Model minus each baseline, figure by figure.
    lift : dict or None
        What the model finds over the distance to known hazards.
    bootstrap : dict
        Units, draws and seed behind the intervals.
    absent : mapping of str to str
        Baselines that the features do not allow, and why.
    interval : dict or None
        How often the likelihood's interval held; ``None`` where the model gives none.
    common_base_rate : dict or None
        Pooled ranking once every fold's own base rate is taken out of its likelihoods.
    """

    protocol: str
    method: str
    cells: LabelledCells
    predictions: pd.DataFrame
    folds: tuple[FoldResult, ...]
    pooled: Skill
    baselines: Mapping[str, dict[str, Any]]
    random_split: dict[str, Any] | None
    notes: tuple[str, ...]
    measured: Measured
    differences: Mapping[str, Mapping[str, Difference]]
    lift: dict[str, Any] | None
    bootstrap: dict[str, Any]
    absent: Mapping[str, str]
    interval: dict[str, Any] | None = None
    common_base_rate: dict[str, Any] | None = None

    @property
    def negatives(self) -> str:
        """What contaminated cells were told apart from."""
        return "unlabelled background" if self.cells.has_background else "released"

    def metrics(self, counts: Mapping[str, int] | None = None) -> dict[str, Any]:
        """Return the content of ``metrics.json``: JSON values, ``None`` where undefined.

        Parameters
        ----------
        counts : mapping of str to int, optional
            ``n_cells``, ``n_contaminated``, ``n_released``, ``n_unsurveyed`` of the whole
            area; without them only the labelled cells are counted.
        """
        outcome = self.cells.outcome
        known = {
            "n_cells": len(outcome),
            "n_contaminated": int((outcome == 1).sum()),
            "n_released": int((outcome == 0).sum()),
            "n_unsurveyed": int((outcome == -1).sum()),
        }
        return {
            "protocol": self.protocol,
            "folds_method": self.method,
            "negatives": self.negatives,
            "ranked_by": RANKED_BY,
            "note": POOLED_NOTE,
            "pooled": self.pooled.as_dict(),
            "fold_mean": fold_mean([fold.skill for fold in self.folds]),
            "folds": [fold.as_dict() for fold in self.folds],
            "baselines": dict(self.baselines),
            "baselines_absent": dict(self.absent),
            "differences": {name: as_dicts(found) for name, found in self.differences.items()},
            "lift": self.lift,
            "bootstrap": self.bootstrap,
            "interval": self.interval,
            "common_base_rate": self.common_base_rate,
            "random_split": self.random_split,
            **known,
            **(counts or {}),
            "n_background": int((outcome == -1).sum()),
            "n_labelled": len(outcome),
            "n_evaluated": int((self.predictions["fold"] >= 0).sum()),
            "fold_notes": list(self.notes),
        }


def cross_validate(
    training: TrainingSet,
    plan: FoldPlan,
    learner: Learner,
    settings: ValidationSettings,
    seed: int,
    baselines: Mapping[str, Baseline] | None = None,
    on_fold: FoldCallback | None = None,
    threads: int = 1,
    on_model: ModelCallback | None = None,
) -> CrossValidation:
    """Measure a learner's skill on land it has not seen.

    Parameters
    ----------
    training : TrainingSet
        Labelled cells and features.
    plan : FoldPlan
        The folds.
    learner : Learner
        What to measure.
    settings : ValidationSettings
        Protocol, inner folds, random split.
    seed : int
        Seed of inner folds, the random split and the bootstrap.
    baselines : mapping of str to Baseline, optional
        What to compare with; the settings' baselines when left out.
    on_fold : callable, optional
        Told of every fold done, those of the random split included.
    threads : int, optional
        Threads that baselines may use; changes no result.
    on_model : callable, optional
        Given number, model and feature matrix of every fold done, not of the random split.

    Returns
    -------
    CrossValidation

    Raises
    ------
    FoldError
        If a training side cannot be split into inner folds.
    ModelError
        If the learner's likelihoods are not probabilities.
    SettingsError
        If a feature named for a baseline does not exist.
    """
    absent: dict[str, str] = {}
    if baselines is None:
        baselines, absent = choose_baselines(training.specs, settings)
    held_out = _Predictions(len(training.cells), baselines)
    folds = []
    for k in range(plan.n_folds):
        matrix = fold_matrix(training, plan, settings, k)
        side = _side(training, plan, settings, seed, k, matrix)
        model = learner.fit(side)
        held_out.add_model(plan.test(k), model, matrix)
        if on_model is not None:
            on_model(k, model, matrix)
        view = FoldView(
            training, matrix, plan.train(k), plan.test(k), settings.protocol, seed, threads
        )
        for name, baseline in baselines.items():
            held_out.add_baseline(name, baseline, view)
        folds.append(_result(training, plan, k, model, held_out.likelihood))
        if on_fold is not None:
            on_fold(folds[-1])
    contaminated = training.cells.contaminated
    evaluated = plan.fold >= 0
    units = resampling_units(training, settings.folds)
    bootstrap = Bootstrap.of(units.take(evaluated), settings.bootstrap, seed)
    likelihood = held_out.likelihood[evaluated]
    model_measured = Measured.of(bootstrap, contaminated[evaluated], likelihood, likelihood)
    beside = {name: held_out.measure(name, bootstrap, training, plan) for name in baselines}
    nearest = beside.get(LIFT_OVER)
    return CrossValidation(
        protocol=settings.protocol,
        method=plan.method,
        cells=training.cells,
        predictions=held_out.table(training.cells, plan, units),
        folds=tuple(folds),
        pooled=model_measured.skill,
        baselines={
            name: {
                **measured.skill.as_dict(),
                "fold_mean": held_out.baseline_fold_mean(name, training, plan),
            }
            for name, measured in beside.items()
        },
        random_split=_random_split(
            training, learner, settings, seed, model_measured, bool(evaluated.all()), on_fold
        ),
        notes=tuple(plan.skipped),
        measured=model_measured,
        differences={
            name: paired_differences(model_measured, measured) for name, measured in beside.items()
        },
        lift=None if nearest is None else lift(model_measured, nearest),
        bootstrap=bootstrap.about(contaminated[evaluated], seed),
        absent=absent,
        interval=held_out.interval(contaminated, units.unit),
        common_base_rate=_common_base_rate(training, plan, held_out.likelihood),
    )


def planned_run(
    training: TrainingSet, plan: FoldPlan, settings: ValidationSettings
) -> EvaluatedRun:
    """Return what a run under this plan would say of its cells, before any is scored."""
    units = resampling_units(training, settings.folds)
    nothing = _Predictions(len(training.cells), {}).table(training.cells, plan, units)
    return EvaluatedRun.of("this run", settings.protocol, nothing)


def _common_base_rate(
    training: TrainingSet, plan: FoldPlan, likelihood: NDArray[np.float64]
) -> dict[str, Any]:
    """Return the pooled ranking by log-odds less those of each fold's own training side.

    Holding out land rich in contamination leaves a poorer training side, so that its cells
    are all given lower likelihoods, and the other way round: pooled, this alone pushes the
    ranking below chance (Austin, Pe'er & Korem 2025, *Distributional bias compromises
    leave-one-out cross-validation*). What is taken out is known without the held-out cells.
    """
    contaminated = training.cells.contaminated
    lift = np.full(len(likelihood), np.nan)
    for k in range(plan.n_folds):
        known, share = plan.test(k), float(contaminated[plan.train(k)].mean())
        kept = np.clip(likelihood[known], LOG_LOSS_EPS, 1 - LOG_LOSS_EPS)
        lift[known] = np.log(kept / (1 - kept)) - np.log(share / (1 - share))
    seen = plan.fold >= 0
    return {
        "roc_auc": roc_auc(contaminated[seen], lift[seen]),
        "pr_auc": pr_auc(contaminated[seen], lift[seen]),
        "note": "cells ranked by log-odds of the likelihood less those of the share contaminated "
        "in their fold's training side",
    }


def fold_matrix(
    training: TrainingSet, plan: FoldPlan, settings: ValidationSettings, k: int
) -> Matrix:
    """Return the features of all cells as fold `k` may know them.

    Under ``new_district`` history features know neither the hazards of the held-out cells
    nor any record in the held-out land. Under ``infill`` they know all records; each
    cell's own hazards are left out by the history features themselves. Where folds part
    time, no protocol knows a record of the held-out period or later.
    """
    return _as_known(training, plan, settings, plan.unknown(k), plan.held_out_land(k))


def training_side(
    training: TrainingSet,
    plan: FoldPlan,
    settings: ValidationSettings,
    seed: int,
    k: int | None = None,
) -> TrainingSide:
    """Return all that a learner may see in fold `k`; all cells (the final model) if ``None``."""
    matrix = training.matrix() if k is None else fold_matrix(training, plan, settings, k)
    return _side(training, plan, settings, seed, k, matrix)


def _side(
    training: TrainingSet,
    plan: FoldPlan,
    settings: ValidationSettings,
    seed: int,
    k: int | None,
    matrix: Matrix,
) -> TrainingSide:
    cells = training.cells
    rows = np.arange(len(cells)) if k is None else plan.train(k)
    own = matrix[rows]
    inner = []
    for train, test, land in plan.inner(k, settings.inner_folds, seed):
        seen = own
        rebuilt = settings.protocol == "new_district" or known_before(land) is not None
        if rebuilt and plan.method != "random" and training.history is not None:
            seen = _inner_matrix(training, plan, settings, k, rows[test], land)[rows]
        inner.append(InnerFold(seen, train, test))
    unit = resampling_units(training, settings.folds).unit[rows]
    return TrainingSide(own, cells.contaminated[rows], training.weight[rows], tuple(inner), unit)


def _inner_matrix(
    training: TrainingSet,
    plan: FoldPlan,
    settings: ValidationSettings,
    k: int | None,
    inner_test: NDArray[np.int64],
    land: LocationTest,
) -> Matrix:
    """Return features that know neither the outer nor the inner held-out land."""
    outer = np.empty(0, np.int64) if k is None else plan.unknown(k)
    return _as_known(training, plan, settings, np.concatenate([outer, inner_test]), land)


def _as_known(
    training: TrainingSet,
    plan: FoldPlan,
    settings: ValidationSettings,
    unknown: NDArray[np.int64],
    land: LocationTest,
) -> Matrix:
    """Return features of all cells under the protocol, with some cells and land unknown."""
    if plan.method == "random":
        return training.matrix()
    if settings.protocol == "new_district":
        return training.matrix(_hazards(training.cells, unknown), land)
    day = known_before(land)
    return training.matrix(None, None if day is None else DatedLand(nowhere, day))


def _hazards(cells: LabelledCells, index: NDArray[np.int64]) -> NDArray[np.int64]:
    hazards = np.unique(cells.hazard_id[index])
    return hazards[hazards >= 0]


def _result(
    training: TrainingSet,
    plan: FoldPlan,
    k: int,
    model: FittedModel,
    likelihood: NDArray[np.float64],
) -> FoldResult:
    test = plan.test(k)
    contaminated = training.cells.contaminated[test]
    return FoldResult(
        number=k,
        n_folds=plan.n_folds,
        name=plan.names[k],
        split="random" if plan.method == "random" else "spatial",
        n_train=len(plan.train(k)),
        n_buffered=plan.n_buffered(k),
        n_cells=len(test),
        n_contaminated=int(contaminated.sum()),
        rounds=model.rounds,
        skill=skill(contaminated, likelihood[test], likelihood[test]),
        n_withheld=plan.n_withheld(k),
        choice=getattr(model, "choice", None),
    )


class _Predictions:
    """Scores of held-out cells, gathered fold by fold; NaN until held out."""

    def __init__(self, n_cells: int, baselines: Mapping[str, Baseline]) -> None:
        self.score = np.full(n_cells, np.nan)
        self.likelihood = np.full(n_cells, np.nan)
        self.uncertain: dict[str, NDArray[np.float64]] = {}
        self.baseline_score = {name: np.full(n_cells, np.nan) for name in baselines}
        self.baseline_likelihood: dict[str, NDArray[np.float64]] = {}

    def add_model(self, test: NDArray[np.int64], model: FittedModel, matrix: Matrix) -> None:
        self.score[test] = model.scores(matrix[test])
        likelihood = model.likelihood(matrix[test])
        if not ((likelihood >= 0) & (likelihood <= 1)).all():
            raise ModelError(
                f"the model gives likelihoods from {np.min(likelihood)} to {np.max(likelihood)}, "
                "outside 0–1 or missing"
            )
        self.likelihood[test] = likelihood
        if isinstance(model, UncertainModel):
            estimate = model.estimate(matrix[test])
            for name, values in (
                ("likelihood_spread", estimate.spread),
                ("likelihood_low", estimate.low),
                ("likelihood_high", estimate.high),
            ):
                if values is not None:
                    empty = np.full(len(self.score), np.nan)
                    self.uncertain.setdefault(name, empty)[test] = values

    def interval(
        self, contaminated: NDArray[np.bool_], unit: NDArray[np.int64]
    ) -> dict[str, Any] | None:
        """Return how often the interval held on held-out land; ``None`` without intervals."""
        if "likelihood_low" not in self.uncertain:
            return None
        low, high = self.uncertain["likelihood_low"], self.uncertain["likelihood_high"]
        known = ~np.isnan(low)
        held = coverage(unit[known], contaminated[known], low[known], high[known])
        return {**held, "note": COVERAGE_NOTE}

    def add_baseline(self, name: str, baseline: Baseline, view: FoldView) -> None:
        scores = baseline(view)
        self.baseline_score[name][view.test] = scores.score
        if scores.likelihood is not None:
            empty = np.full(len(self.score), np.nan)
            self.baseline_likelihood.setdefault(name, empty)[view.test] = scores.likelihood

    def measure(
        self, name: str, bootstrap: Bootstrap, training: TrainingSet, plan: FoldPlan
    ) -> Measured:
        return Measured.of(bootstrap, *self._of_baseline(name, training, plan.fold >= 0))

    def baseline_fold_mean(
        self, name: str, training: TrainingSet, plan: FoldPlan
    ) -> dict[str, float | int | None]:
        by_fold = range(plan.n_folds)
        return fold_mean([skill(*self._of_baseline(name, training, plan.test(k))) for k in by_fold])

    def _of_baseline(
        self, name: str, training: TrainingSet, index: NDArray[Any]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64] | None]:
        likelihood = self.baseline_likelihood.get(name)
        return (
            training.cells.contaminated[index],
            self.baseline_score[name][index],
            None if likelihood is None else likelihood[index],
        )

    def table(self, cells: LabelledCells, plan: FoldPlan, units: Units) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "cell_id": cells.cell_ids(),
                "easting": cells.easting,
                "northing": cells.northing,
                "fold": plan.fold,
                "unit": units.unit,
                "outcome": cells.outcome,
                "weight": cells.weight,
                "score": self.score,
                "likelihood": self.likelihood,
                **self.uncertain,
                **{f"baseline_{name}": score for name, score in self.baseline_score.items()},
            }
        )


def fold_mean(folds: list[Skill]) -> dict[str, float | int | None]:
    """Return the mean of ROC-AUC, PR-AUC and Brier over the folds that have them.

    ``n_folds`` counts the folds behind ``roc_auc`` and ``pr_auc``.
    """
    means: dict[str, float | int | None] = {}
    for name in ("roc_auc", "pr_auc", "brier"):
        values = [value for fold in folds if (value := fold.values[name]) is not None]
        means[name] = float(np.mean(values)) if values else None
    means["n_folds"] = sum(fold.values["roc_auc"] is not None for fold in folds)
    return means


def _random_split(
    training: TrainingSet,
    learner: Learner,
    settings: ValidationSettings,
    seed: int,
    honest: Measured,
    same_cells: bool,
    on_fold: FoldCallback | None,
) -> dict[str, Any] | None:
    """Return the figures of the same model under a random split, with the gaps named.

    Gaps are random minus spatial: how much a random split would flatter. They have an
    interval where both evaluate the same cells.
    """
    if not settings.random_split:
        return None
    contaminated = training.cells.contaminated
    rarer = int(min(contaminated.sum(), (~contaminated).sum()))
    n_folds = max(2, min(RANDOM_FOLDS, rarer // 2))
    plan = random_folds(training, n_folds, seed)
    random = cross_validate(
        training,
        plan,
        learner,
        settings.model_copy(update={"random_split": False}),
        seed,
        baselines={},
        on_fold=on_fold,
    )
    figures = random.pooled.as_dict()
    found = paired_differences(random.measured if same_cells else random.measured.plain, honest)
    for name in ("roc_auc", "pr_auc"):
        gap = found.get(name)
        figures[f"gap_{name}"] = None if gap is None else gap.difference
        if gap is not None and gap.low is not None:
            figures["intervals"][f"gap_{name}"] = [gap.low, gap.high]
    return {**figures, "n_folds": n_folds}
