"""``python -m train``: layers and records in, a contamination likelihood map out."""

from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import yaml

from hazardrank.commands.check import check, stop_on_errors
from hazardrank.commands.hydra_app import run_app
from hazardrank.commands.prepare import Case, data_dir_of, make_simulated_data, prepare_case
from hazardrank.commands.provenance import Provenance, provenance_of
from hazardrank.commands.survey_weights import weigh_by_propensity, weights_note
from hazardrank.model.applicability import fit_applicability
from hazardrank.model.boosted import BoostedTrees
from hazardrank.model.bundle import Bundle
from hazardrank.model.distributed import Grower, grower_of
from hazardrank.model.drift import ReferenceDistribution
from hazardrank.model.effects import FoldEffects
from hazardrank.model.ensemble import Ensemble
from hazardrank.model.positive_unlabelled import PositiveUnlabelled
from hazardrank.model.selection import TunedLearner, learner_for
from hazardrank.reporting.model_card import MODEL_CARD_HTML
from hazardrank.reporting.progress import Progress
from hazardrank.reporting.report import ReportContext, write_report
from hazardrank.reporting.run_comparison import (
    COMPARISON_JSON,
    print_comparison,
    read_evaluated_run,
    write_comparison,
)
from hazardrank.reporting.run_files import (
    DOMAIN_TIF,
    EXPLANATION_JSON,
    METRICS_JSON,
    PREDICTIONS,
    SETTINGS_YAML,
    base_rate_sentence,
    read_metrics,
    write_whole,
)
from hazardrank.reporting.terminal import print_summary
from hazardrank.reporting.words import percent
from hazardrank.scoring.maps import ScoreSummary
from hazardrank.settings import ModelSettings, TrainSettings
from hazardrank.tracking.models import register
from hazardrank.tracking.runs import Run, open_run
from hazardrank.validation.comparison import EvaluatedRun, compare_runs, require_same_evaluation
from hazardrank.validation.cross_validation import (
    RANDOM_FOLDS,
    CrossValidation,
    cross_validate,
    planned_run,
    training_side,
)
from hazardrank.validation.diagnostics import FoldDiagnostics, diagnose
from hazardrank.validation.folds import FoldPlan, make_folds
from hazardrank.validation.guard import guard
from hazardrank.validation.training_set import Matrix
from hazardrank.versions import code_digest

BUNDLE_FOLDER = "bundle"
RUN_JSON = "run.json"


def main() -> None:
    """Run ``python -m train``."""
    run_app("train", TrainSettings, run)


def run(settings: TrainSettings) -> None:
    """Check, prepare, evaluate, learn, map, report.

    Raises
    ------
    HazardRankError
        Whatever makes it impossible; outputs already written are whole.
    """
    progress = Progress(settings.compute.progress)
    make_simulated_data(settings, progress)
    findings = stop_on_errors(check(settings, progress), strict=settings.strict_checks)
    with grower_of(settings.compute) as grower:
        _train(settings, grower, findings, progress)


def _train(
    settings: TrainSettings, grower: Grower | None, findings: list[str], progress: Progress
) -> None:
    provenance = provenance_of(settings, data_dir_of(settings))
    if grower is not None:
        provenance = provenance.grown_by(grower.n_workers)
    case, weights = weigh_by_propensity(settings, prepare_case(settings, progress), progress)
    study = Study.of(settings, case, progress, weights, grower)
    if settings.compare_with is not None:
        planned = planned_run(case.training, study.plan, settings.validation)
        require_same_evaluation(read_evaluated_run(settings.compare_with), planned)
    with open_run(
        settings.tracking,
        run_name=settings.tracking.run_name or f"{settings.region.name} {provenance.run_digest}",
        params=_parameters(provenance.settings),
        tags={"run_digest": provenance.run_digest, "region": settings.region.name},
    ) as tracked:
        effects = study.effects()
        result = study.evaluate(effects)
        bundle, domain = study.learn(provenance, result)
        _write_effects(study, bundle, effects)
        written = _write(study, provenance, bundle, result, domain, tracked, findings)
        _track(tracked, provenance, result, written)
    registered = _register(settings, tracked)
    _say(study, result, written, tracked, registered)
    if settings.compare_with is not None:
        _compare(settings, settings.compare_with, result)


def _compare(settings: TrainSettings, earlier: Path, result: CrossValidation) -> None:
    """Print and write what this run gains over an earlier one."""
    runs = (
        read_evaluated_run(earlier),
        EvaluatedRun.of("this run", result.protocol, result.predictions),
    )
    comparison = compare_runs(*runs, settings.validation.bootstrap, settings.seed)
    print_comparison(runs[0].name, runs[1].name, comparison)
    path = settings.output_dir.absolute() / COMPARISON_JSON
    write_comparison(path, runs[0].name, runs[1].name, comparison)


@dataclass(frozen=True)
class Study:
    """A prepared case with its folds and its learner."""

    settings: TrainSettings
    case: Case
    plan: FoldPlan
    learner: BoostedTrees | Ensemble | TunedLearner | PositiveUnlabelled
    guard_notes: list[str]
    progress: Progress
    survey_weights: dict[str, Any] | None = None

    @classmethod
    def of(
        cls,
        settings: TrainSettings,
        case: Case,
        progress: Progress,
        survey_weights: dict[str, Any] | None = None,
        grower: Grower | None = None,
    ) -> Study:
        """Make folds and pass the leakage guard before anything is learned."""
        training, region = case.training, settings.region
        plan = make_folds(
            training,
            settings.validation.folds,
            settings.seed,
            case.district_of,
            lambda: case.prediction_points,
        )
        notes = guard(
            training,
            plan,
            settings.validation,
            region.layers,
            region.records_as_of,
            region.table.outcome_proxies if region.table else (),
        )
        learner = learner_for(
            settings.model,
            training.specs,
            settings.compute.n_threads,
            settings.seed,
            origin=code_digest(),
            grower=grower,
        )
        return cls(settings, case, plan, learner, notes, progress, survey_weights)

    @property
    def notes(self) -> list[str]:
        """What a reader of the result should know: skipped families, folds, guard findings."""
        weights = weights_note(self.survey_weights)
        return [*weights, *self.case.skipped, *self.plan.skipped, *self.guard_notes]

    def effects(self) -> FoldEffects | None:
        """Return what watches the folds to explain them, if that is wanted."""
        settings, plan = self.settings, self.plan
        if not settings.explanation.enabled:
            return None
        return FoldEffects(
            self.case.training.specs,
            self.case.training.cells,
            [plan.test(k) for k in range(plan.n_folds)],
            settings.explanation,
            settings.explanation.block_m or settings.validation.folds.size_m / 2,
            settings.seed,
        )

    def evaluate(self, effects: FoldEffects | None = None) -> CrossValidation:
        """Measure skill on held-out land."""
        n_folds = self.plan.n_folds + (RANDOM_FOLDS if self.settings.validation.random_split else 0)
        with self.progress.stage("Measuring skill on held-out land", n_folds, "folds") as advance:
            return cross_validate(
                self.case.training,
                self.plan,
                self.learner,
                self.settings.validation,
                self.settings.seed,
                on_fold=lambda _: advance(),
                threads=self.settings.compute.n_threads,
                on_model=None if effects is None else effects.see,
            )

    def diagnose(self, result: CrossValidation) -> FoldDiagnostics:
        """Look at what the folds asked, beside what the map is asked."""
        with self.progress.stage("Looking at the folds", None, "folds"):
            return diagnose(
                self.plan,
                self.settings.validation.folds,
                result.predictions["likelihood"].to_numpy(),
                self.settings.seed,
                lambda: self.case.prediction_points,
            )

    def learn(
        self, provenance: Provenance, result: CrossValidation
    ) -> tuple[Bundle, dict[str, Any]]:
        """Learn from all labelled cells, with rounds and calibration from all folds.

        Also returns what ``metrics.json`` says of the model's domain.
        """
        side = training_side(
            self.case.training, self.plan, self.settings.validation, self.settings.seed
        )
        with self.progress.stage("Learning from all labelled cells", None, "models"):
            model = self.learner.fit(side)
        origin = {
            "protocol": result.protocol,
            "negatives": result.negatives,
            "run_digest": provenance.run_digest,
            "data": provenance.data,
            "code": provenance.code,
            "versions": provenance.versions,
            **({"workers": provenance.workers} if provenance.workers else {}),
        }
        reference = ReferenceDistribution.fit(
            side.matrix, self.case.training.specs, self.settings.model.categorical
        )
        kept = self.case.origin
        bundle = replace(
            Bundle.of(model, self.learner, origin),
            reference=reference,
            features=kept["features"],
            layers=kept["layers"],
            land=kept["land"],
        )
        if not self.settings.applicability.enabled:
            return bundle, {}
        with self.progress.stage("Measuring where the model applies", None, "models"):
            return self._with_domain(bundle, side.matrix, result)

    def _with_domain(
        self, bundle: Bundle, matrix: Matrix, result: CrossValidation
    ) -> tuple[Bundle, dict[str, Any]]:
        contaminated = result.cells.contaminated
        domain, held_out = fit_applicability(
            matrix,
            bundle.specs,
            bundle.importance(),
            [(self.plan.train(k), self.plan.test(k)) for k in range(self.plan.n_folds)],
            (result.predictions["likelihood"].to_numpy() - contaminated) ** 2,
            self.settings.applicability,
            self.settings.seed,
            self.settings.model.categorical,
            self.settings.compute.n_threads,
        )
        figures = held_out.metrics(domain, self.plan.names)
        share = {"outside_domain_share": figures["outside_domain_share"]}
        training = {**bundle.training, **share}
        return replace(bundle, applicability=domain, training=training), figures


# ------------------------------------------------------------------ what is written


def _write(
    study: Study,
    provenance: Provenance,
    bundle: Bundle,
    result: CrossValidation,
    domain: dict[str, Any],
    tracked: Run,
    findings: list[str],
) -> dict[str, Path]:
    """Write everything of the run into the output folder; return what lies where."""
    settings, folder = study.settings, study.settings.output_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        **result.metrics(asdict(study.case.counts)),
        "survey_weights": study.survey_weights,
        "unlabelled": bundle.training.get("unlabelled"),
        "outside_domain_share": domain.get("outside_domain_share"),
        "applicability": domain or None,
        "interval": _interval(settings.model, bundle, result),
        "fold_diagnostics": study.diagnose(result).as_dict(),
    }
    _write_yaml(folder / SETTINGS_YAML, provenance.settings)
    _write_json(folder / METRICS_JSON, metrics)
    _write_predictions(folder / PREDICTIONS, result.predictions, settings.region.crs)
    bundle.save(folder / BUNDLE_FOLDER)
    tags = {**provenance.tags(settings), "negatives": result.negatives}
    counts = study.case.counts
    base_rate = base_rate_sentence(
        counts.n_contaminated,
        counts.n_released,
        int(metrics["n_background"]),
        settings.model.prevalence,
        settings.model.model_dump(),
    )
    tags |= {"base_rate": base_rate} if base_rate else {}
    summary = study.case.score(bundle, folder, tags, study.progress)
    _write_json(folder / RUN_JSON, _run_facts(study, provenance, tracked, summary, findings))
    context = ReportContext(
        title=settings.region.shown_name,
        simulated=settings.region.simulated is not None,
        run_id=provenance.run_digest,
        settings_digest=provenance.run_digest,
        command=shlex.join(["python", "-m", "train", *sys.argv[1:]]),
        as_of=settings.region.records_as_of,
        importance=_by_gain(bundle),
        skipped=[*_domain_note(summary), *study.notes],
    )
    with study.progress.stage("Drawing maps and figures", None, "files"):
        report = write_report(folder, context)
    return {
        "likelihood": folder / "contamination_likelihood.tif",
        "survey status": folder / "survey_status.tif",
        **({"outside domain": folder / DOMAIN_TIF} if bundle.applicability is not None else {}),
        "summary": report[0],
        "model card": folder / MODEL_CARD_HTML,
        "bundle": folder / BUNDLE_FOLDER,
        "metrics": folder / METRICS_JSON,
        "predictions": folder / PREDICTIONS,
    }


def _domain_note(summary: ScoreSummary) -> list[str]:
    """Say on how much of the area the map abstains."""
    if not summary.n_outside_domain:
        return []
    share = percent(summary.n_outside_domain / max(summary.n_cells, 1))
    return [
        f"{share} of the area is unlike any land the model learned from: outside its domain the "
        "map gives no likelihood, which does not mean that it is low."
    ]


def _write_effects(study: Study, bundle: Bundle, effects: FoldEffects | None) -> None:
    """Write what the folds' models learned; an older file of another run must not linger."""
    path = study.settings.output_dir.absolute() / EXPLANATION_JSON
    if effects is None:
        path.unlink(missing_ok=True)
        return
    with study.progress.stage("Measuring what the model learned", None, "models"):
        curves = effects.curves(bundle.importance(), study.settings.model.categorical)
    importance = effects.importance()
    _write_json(
        path,
        {"block_m": effects.block_m, "permutation_importance": importance, "effects": curves},
    )


def _interval(
    settings: ModelSettings, bundle: Bundle, result: CrossValidation
) -> dict[str, Any] | None:
    """Return what was asked of the likelihood's interval, and how often it held."""
    if result.interval is None:
        return None
    asked = {"method": settings.interval, "nominal": settings.interval_level}
    lacks = None if bundle.interval is None else bundle.interval.note
    return {**asked, **result.interval, "map_note": lacks}


def _run_facts(
    study: Study,
    provenance: Provenance,
    tracked: Run,
    summary: ScoreSummary,
    findings: list[str],
) -> dict[str, Any]:
    return {
        "mlflow_run_id": tracked.run_id,
        **{key: value for key, value in provenance.as_dict().items() if key != "settings"},
        "map": _map_facts(summary),
        "survey_weights": study.survey_weights,
        "notes": study.notes,
        "check_findings": findings,
    }


def _map_facts(summary: ScoreSummary) -> dict[str, Any]:
    facts = asdict(summary)
    return {name: value for name, value in facts.items() if not isinstance(value, Path)}


def _by_gain(bundle: Bundle) -> list[tuple[str, float]]:
    return sorted(bundle.importance().items(), key=lambda item: (-item[1], item[0]))


def _write_predictions(path: Path, predictions: pd.DataFrame, crs: str) -> None:
    """Write held-out predictions as GeoParquet: points at the cell centres."""
    points = gpd.points_from_xy(predictions["easting"], predictions["northing"])
    buffer = io.BytesIO()
    gpd.GeoDataFrame(predictions, geometry=points, crs=crs).to_parquet(buffer, index=False)
    write_whole(path, buffer.getvalue())


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_whole(path, (json.dumps(values, indent=2) + "\n").encode())


def _write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    write_whole(path, text.encode())


# ------------------------------------------------------------------ what is tracked


def _track(
    tracked: Run,
    provenance: Provenance,
    result: CrossValidation,
    written: Mapping[str, Path],
) -> None:
    tracked.log_metrics(_numbers(result.pooled.as_dict()))
    for name, (low, high) in result.pooled.intervals.items():
        tracked.log_metrics({f"{name}_low": low, f"{name}_high": high})
    for name, figures in result.baselines.items():
        tracked.log_metrics(_numbers(figures, f"baseline_{name}_"))
    if result.random_split is not None:
        tracked.log_metrics(_numbers(result.random_split, "random_split_"))
    for fold in result.folds:
        tracked.log_fold(fold.name, _numbers({**fold.as_dict(), **_picked(fold.choice)}))
    tracked.log_datasets(provenance.data)
    tracked.log_folder(written["summary"].parent)


def _picked(choice: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the largest member of what a fold chose, and how good the inner folds found it."""
    if not choice:
        return {}
    first = max(choice["chosen"], key=lambda member: member["share"])
    picked = {f"picked_{name}": value for name, value in first.items()}
    return {**picked, "inner_value": choice["inner_value"]}


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    return {
        prefix + name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings worth comparing runs by; the catalogue is in ``settings.yaml``."""
    region = {
        key: value for key, value in values["region"].items() if key not in ("layers", "records")
    }
    return {**values, "region": region}


def _register(settings: TrainSettings, tracked: Run) -> str | None:
    """Register the run's bundle if that is wanted; return by what it can be scored with."""
    name, alias = settings.tracking.register_as, settings.tracking.alias
    if name is None or tracked.run_id is None:
        return None
    version = register(tracked.run_id, settings.tracking, name, alias)
    return f"models:/{name}@{alias}" if alias else f"models:/{name}/{version}"


def _say(
    study: Study,
    result: CrossValidation,
    written: Mapping[str, Path],
    tracked: Run,
    registered: str | None,
) -> None:
    folder = study.settings.output_dir.absolute()
    metrics = read_metrics(written["metrics"])
    asked = metrics.fold_diagnostics
    notes = [f"{asked['summary']}.", *asked["advice"]]
    notes += [f"Note: {note}" for note in study.notes[:3]]
    if len(study.notes) > 3:
        notes.append(f"… and {len(study.notes) - 3} more notes in {written['summary'].name}")
    if tracked.uri:
        notes.append(f"MLflow: mlflow ui --backend-store-uri {tracked.uri}")
    if registered is not None:
        notes.append(f"Registered: python -m score model={registered} region_file=…")
    print_summary(
        metrics,
        folder,
        list(written.items()),
        title=study.settings.region.shown_name,
        simulated=study.settings.region.simulated is not None,
        notes=notes,
    )
