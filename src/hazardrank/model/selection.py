"""Model selection on inner folds: the fold that is reported is never looked at.

:class:`TunedLearner` is a learner like any other: all it may see is a training side and
that side's inner folds. Cross-validating it is therefore nested by construction.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import TrialState

from hazardrank.errors import ModelError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.blended import BlendedModel, Member
from hazardrank.model.boosted import BoostedModel, BoostedTrees
from hazardrank.model.candidates import (
    GIVEN,
    Candidate,
    forest,
    over_discs,
    starting_points,
    suggest,
)
from hazardrank.model.distributed import Grower
from hazardrank.model.ensemble import Ensemble, learner_of
from hazardrank.model.feature_selection import choose_features
from hazardrank.model.inner_bench import InnerBench, InnerScores
from hazardrank.model.positive_unlabelled import PositiveUnlabelled
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import TrainingSide

#: Trials that are seen through before any is given up early.
UNPRUNED_TRIALS = 5
#: Trials at random before the search learns from earlier ones.
RANDOM_TRIALS = 10
#: Best trials a blend is made of.
FINALISTS = 6
#: How long to wait for the file of studies while another process writes to it.
SECONDS_TO_WAIT = 60
#: A blend grows only while the objective gains this much.
LEAST_GAIN = 5e-4


def learner_for(
    settings: ModelSettings,
    specs: Sequence[FeatureSpec],
    threads: int,
    seed: int,
    origin: str = "",
    grower: Grower | None = None,
) -> BoostedTrees | Ensemble | TunedLearner | PositiveUnlabelled:
    """Return the learner that some settings ask for.

    Parameters
    ----------
    settings : ModelSettings
        The model; with its tuning, feature selection and forest for small tables.
    specs : sequence of FeatureSpec
        The features, in column order.
    threads : int
        Threads to use.
    seed : int
        Seed of every random draw.
    origin : str, optional
        What else decides the result, such as the digest of the code: studies of another
        origin are not continued.
    grower : Grower, optional
        Grows the trees in place of this process: a cluster. What is compared to choose among
        candidates is grown in this process all the same.
    """
    if settings.unlabelled != "as_negative":
        # Rescaled or re-weighted, it is still told apart by a learner of the same settings.
        plain = settings.model_copy(update={"unlabelled": "as_negative"})
        base = learner_for(plain, specs, threads, seed, origin, grower)
        return PositiveUnlabelled(settings, tuple(specs), threads, seed, base, grower)
    asked = settings.tuning.enabled or settings.feature_selection != "none"
    small_tables = settings.forest_below_cells > 0 and settings.boosting == "gbdt"
    if asked or (small_tables and settings.members == 1):
        return TunedLearner(settings, tuple(specs), threads, seed, origin, grower)
    return learner_of(settings, specs, threads, seed, grower)


@dataclass(frozen=True)
class TunedLearner:
    """Chooses features, settings and blends on inner folds, then learns from the whole side.

    Parameters
    ----------
    settings : ModelSettings
        Where the search starts, its budget, the selection of features.
    specs : sequence of FeatureSpec
        The features, in column order.
    threads : int
        Threads to use; no result depends on it.
    seed : int
        Seed of every random draw. With a budget in trials, the same seed and side give the
        same model, whether or not the study was interrupted.
    origin : str
        Part of the name of the stored studies.
    grower : Grower, optional
        Grows the trees that are kept in place of this process.

    Raises
    ------
    ModelError
        If a constraint or categorical names no feature, or an ensemble is asked for too.
    """

    settings: ModelSettings
    specs: tuple[FeatureSpec, ...]
    threads: int
    seed: int
    origin: str = ""
    grower: Grower | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "specs", tuple(self.specs))
        self._trees(self.settings)
        if self.settings.members > 1:
            raise ModelError(
                f"{self.settings.members} members cannot be tuned at once",
                where="model.members",
                remedy="Set model.members=1: what is tuned is a blend of up to "
                "model.tuning.blend models already.",
            )

    def fit(self, side: TrainingSide) -> BoostedModel | BlendedModel:
        """Choose on the side's inner folds and learn from the side.

        Raises
        ------
        ModelError
            If one outcome is missing, on the whole side or in every inner fold.
        """
        if not self._has_choice(side):
            return self._trees(self.settings).fit(side)
        objective = self.settings.tuning.objective
        bench = InnerBench(side, self.specs, objective, self.threads, self.seed)
        kept = choose_features(self.settings.feature_selection, bench)
        log: dict[str, Any] = {"feature_selection": self.settings.feature_selection}
        if not kept.all():
            log["features"] = [s.name for s, k in zip(self.specs, kept, strict=True) if k]
        if self.settings.tuning.enabled:
            finalists, facts = self._search(bench, side, kept)
        else:
            finalists, facts = self._small_table(bench, side, kept)
        shares = blend_shares(finalists, bench, self.settings.tuning.blend)
        alone = finalists[0].candidate.name == GIVEN and shares[0] == 1
        if alone and kept.all() and not self.settings.tuning.enabled:
            return self._trees(self.settings).fit(side)
        return self._learn(side, bench, kept, finalists, shares, {**log, **facts})

    def _has_choice(self, side: TrainingSide) -> bool:
        chosen = self.settings
        forest_too = chosen.boosting == "gbdt" and len(side.weight) < chosen.forest_below_cells
        return chosen.tuning.enabled or chosen.feature_selection != "none" or forest_too

    def _trees(self, settings: ModelSettings) -> BoostedTrees:
        return BoostedTrees(settings, self.specs, self.threads, self.seed, self.grower)

    # ------------------------------------------------------------ without a search

    def _small_table(
        self, bench: InnerBench, side: TrainingSide, kept: NDArray[np.bool_]
    ) -> tuple[list[InnerScores], dict[str, Any]]:
        candidates = [Candidate(GIVEN, self.settings)]
        if self.settings.boosting == "gbdt" and len(side.weight) < self.settings.forest_below_cells:
            candidates.append(forest(self.settings))
        runs = [bench.run(candidate, kept) for candidate in candidates]
        finalists = sorted((run for run in runs if run is not None), key=lambda run: -run.value)
        values = {run.candidate.name: run.value for run in finalists}
        return finalists, {"inner_values": values}

    # --------------------------------------------------------------- with a search

    def _search(
        self, bench: InnerBench, side: TrainingSide, kept: NDArray[np.bool_]
    ) -> tuple[list[InnerScores], dict[str, Any]]:
        name = self._study_name(side)
        with _storage(self.settings.tuning.storage) as storage:
            study = optuna.create_study(
                study_name=name,
                storage=storage,
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(UNPRUNED_TRIALS, 0),
                load_if_exists=True,
            )
            search = _Search(study, bench, kept, self.settings, self.seed)
            search.run()
            return search.finalists(), search.facts(name)

    def _study_name(self, side: TrainingSide) -> str:
        """Return a name that equal searches share: data, folds, settings but the budget, seed."""
        decisive = self.settings.model_dump(mode="json")
        for budget in ("trials", "minutes", "storage", "blend"):
            decisive["tuning"].pop(budget)
        names = [spec.name for spec in self.specs]
        libraries = [lgb.__version__, optuna.__version__]
        digest = hashlib.sha256()
        digest.update(json.dumps([decisive, names, self.seed, self.origin, libraries]).encode())
        for values in (side.matrix, side.contaminated, side.weight):
            digest.update(np.ascontiguousarray(values).tobytes())
        for fold in side.inner:
            for part in (fold.matrix, fold.train, fold.test):
                digest.update(np.ascontiguousarray(part).tobytes())
        return f"hazardrank-{digest.hexdigest()[:24]}"

    # -------------------------------------------------------------------- learning

    def _learn(
        self,
        side: TrainingSide,
        bench: InnerBench,
        kept: NDArray[np.bool_],
        finalists: Sequence[InnerScores],
        shares: NDArray[np.float64],
        log: Mapping[str, Any],
    ) -> BlendedModel:
        pairs = [(run, float(w)) for run, w in zip(finalists, shares, strict=True) if w > 0]
        chosen = [(_grown(run, bench, kept), share) for run, share in pairs]
        scores = np.sum([share * run.scores for run, share in chosen], axis=0)
        members = tuple(self._member(side, run, share, kept) for run, share in chosen)
        picked = [
            {"share": share, "rounds": run.rounds, "inner_value": run.value}
            | run.candidate.as_dict()
            for run, share in chosen
        ]
        facts = {"inner_value": bench.judge(scores), "chosen": picked, **log}
        trees, held_out = self._trees(self.settings), bench.held_out(scores)
        calibrator = trees.calibrator(held_out)
        return BlendedModel(
            members,
            calibrator,
            len(side.contaminated),
            int(side.contaminated.sum()),
            self.threads,
            facts,
            held_out,
            trees.interval(calibrator, held_out),
        )

    def _member(
        self, side: TrainingSide, run: InnerScores, share: float, kept: NDArray[np.bool_]
    ) -> Member:
        fixed = {
            "max_rounds": run.rounds,
            "early_stopping_rounds": 0,
            "calibration": "none",
            "interval": "none",
        }
        columns = run.candidate.columns(self.specs, kept)
        seen = np.where(columns, side.matrix, np.float32(0))
        trees = self._trees(run.candidate.settings.model_copy(update=fixed))
        return Member(trees.fit(replace(side, matrix=seen, inner=())), share)


class _Search:
    """One study: asks, trains on inner folds, tells, until the budget is spent."""

    def __init__(
        self,
        study: optuna.Study,
        bench: InnerBench,
        kept: NDArray[np.bool_],
        settings: ModelSettings,
        seed: int,
    ) -> None:
        self.study, self.bench, self.kept = study, bench, kept
        self.settings, self.seed = settings, seed
        discs = over_discs(bench.specs) & kept
        self.has_context = bool(discs.any() and (kept & ~discs).any())
        self.runs: dict[int, InnerScores] = {}
        self._resume()

    def _resume(self) -> None:
        """Queue the starting points of a new study, and what an interruption cut off."""
        trials = self.study.get_trials(deepcopy=False)
        if not trials:
            for start in starting_points(self.has_context):
                self.study.enqueue_trial(start)
        for trial in trials:
            if trial.state is TrialState.RUNNING:
                self.study.tell(trial.number, state=TrialState.FAIL)
                self.study.enqueue_trial(trial.params)

    @property
    def n_done(self) -> int:
        """Trials finished or given up, those of earlier runs included."""
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        return len(self.study.get_trials(deepcopy=False, states=states))

    def run(self) -> None:
        """Try candidates until the budget is spent, and at least one."""
        budget = self.settings.tuning
        most = budget.trials if budget.trials is not None else float("inf")
        end = time.monotonic() + 60 * budget.minutes if budget.minutes else float("inf")
        while (n_done := self.n_done) < most and (n_done == 0 or time.monotonic() < end):
            self._try(n_done)

    def _try(self, n_done: int) -> None:
        # A sampler seeded anew for each trial: an interruption changes no later proposal.
        draw = int(np.random.default_rng([self.seed, n_done, 17]).integers(2**31))
        self.study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=draw)
        trial = self.study.ask()
        candidate = self._candidate(trial)

        def go_on(n_folds: int, value: float) -> bool:
            trial.report(value, n_folds)
            return not trial.should_prune()

        try:
            run = self.bench.run(candidate, candidate.columns(self.bench.specs, self.kept), go_on)
        except lgb.basic.LightGBMError as error:
            trial.set_user_attr("error", str(error)[:200])
            run = None
        if run is None:
            self.study.tell(trial, state=TrialState.PRUNED)
            return
        self.runs[trial.number] = run
        self.study.tell(trial, run.value)

    def _candidate(self, trial: optuna.trial.BaseTrial) -> Candidate:
        return suggest(trial, self.settings, self.settings.tuning.max_rounds, self.has_context)

    def finalists(self) -> list[InnerScores]:
        """Return the best trials, best first; those of an earlier run are trained again.

        Raises
        ------
        ModelError
            If no trial could be trained.
        """
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not trials:
            raise ModelError("no trial of the search could be trained", where="model.tuning")
        unique = {json.dumps(trial.params, sort_keys=True): trial for trial in reversed(trials)}
        best = sorted(unique.values(), key=lambda t: (-float(t.value or 0), t.number))[:FINALISTS]
        return [self._run_of(trial) for trial in best]

    def _run_of(self, trial: optuna.trial.FrozenTrial) -> InnerScores:
        if trial.number not in self.runs:
            candidate = self._candidate(optuna.trial.FixedTrial(trial.params))
            run = self.bench.run(candidate, candidate.columns(self.bench.specs, self.kept))
            assert run is not None
            self.runs[trial.number] = run
        return self.runs[trial.number]

    def facts(self, name: str) -> dict[str, Any]:
        """Return how the search went, as plain values."""
        trials = self.study.get_trials(deepcopy=False)
        done = [t.state for t in trials]
        return {
            "study": name,
            "trials": self.n_done,
            "trials_given_up": done.count(TrialState.PRUNED),
            "best_trial": self.study.best_trial.params,
            "as_given": next(
                (t.value for t in trials if t.params.get("kind") == GIVEN and t.value), None
            ),
        }


def _grown(run: InnerScores, bench: InnerBench, kept: NDArray[np.bool_]) -> InnerScores:
    """Return a chosen candidate with all its trees; forests are compared with fewer."""
    grown = run.candidate.grown()
    if grown == run.candidate:
        return run
    again = bench.run(grown, grown.columns(bench.specs, kept))
    assert again is not None
    return again


def blend_shares(
    finalists: Sequence[InnerScores], bench: InnerBench, most: int
) -> NDArray[np.float64]:
    """Return each finalist's share in the blend that the inner folds like best.

    Starts from the best and adds, one at a time, whichever raises the objective of the
    mean score most, the same one again where that is best (Caruana et al. 2004, *Ensemble
    selection from libraries of models*).

    Parameters
    ----------
    finalists : sequence of InnerScores
        Best first.
    bench : InnerBench
        Judges the scores.
    most : int
        Most additions, the first included.

    Returns
    -------
    ndarray of float64, shape (n_finalists,)
        Sums to 1; 0 for those left out.
    """
    count = np.zeros(len(finalists))
    count[0] = 1
    total, best = finalists[0].scores.copy(), bench.judge(finalists[0].scores)
    for n_models in range(2, most + 1):
        values = [bench.judge((total + run.scores) / n_models) for run in finalists]
        pick = int(np.argmax(values))
        if values[pick] < best + LEAST_GAIN:
            break
        best, total = values[pick], total + finalists[pick].scores
        count[pick] += 1
    return np.asarray(count / count.sum(), np.float64)


@contextmanager
def _storage(path: str | None) -> Iterator[optuna.storages.BaseStorage]:
    """Open the SQLite file of the studies, or a store that is forgotten."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if path is None:
        yield optuna.storages.InMemoryStorage()
        return
    file = Path(path).absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{file}",
            engine_kwargs={"connect_args": {"timeout": SECONDS_TO_WAIT}},
        )
    try:
        yield storage
    finally:
        storage.engine.dispose()
