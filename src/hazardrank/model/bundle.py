"""The bundle: all that is needed to score new land, as a folder of text.

``model_0.txt`` (LightGBM's own text; one file per member of an ensemble) and
``bundle.json``. Loading a bundle runs no code it contains: there is no pickle.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hazardrank.errors import BundleError, ModelError, OutputError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.applicability import Applicability
from hazardrank.model.blended import BlendedModel
from hazardrank.model.boosted import (
    BoostedModel,
    BoostedTrees,
    blend,
    column_names,
    predict_scores,
)
from hazardrank.model.calibration import Calibrator, calibrator_from_json
from hazardrank.model.drift import ReferenceDistribution
from hazardrank.model.ensemble import Ensemble, EnsembleModel
from hazardrank.model.forest import Forest, ForestLimitError, forest_sample
from hazardrank.model.intervals import Interval, estimate, interval_from_json
from hazardrank.model.positive_unlabelled import PositiveUnlabelled, PositiveUnlabelledModel
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import Estimate
from hazardrank.validation.training_set import Matrix

if TYPE_CHECKING:
    from hazardrank.model.selection import TunedLearner

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

FORMAT_VERSION = 2
"""Version of the layout of ``bundle.json``."""

BUNDLE_JSON = "bundle.json"
REFERENCE_CSV = "reference_cells.csv"
#: Cells on which the fast predictor must equal LightGBM before it is used.
_SAMPLE_CELLS = 512
#: Cells turned round at a time for LightGBM, which reads row by row.
_CELLS_BY_ROW = 65_536
_MODEL_FILE = re.compile(r"model_\d+\.txt")
_TRAIN_AGAIN = "Train again to make a new bundle."


class PredictorWarning(UserWarning):
    """The fast predictor and LightGBM differ: models are scored by LightGBM, slowly."""


@dataclass(frozen=True)
class Bundle:
    """A model that can score land: trees, calibrator and what they expect.

    Parameters
    ----------
    specs : tuple of FeatureSpec
        The features in the order of the matrix columns.
    models : tuple of str
        LightGBM model texts; the score is their mean, weighted by `weights`.
    calibrator : Calibrator
        From scores to likelihoods.
    settings : ModelSettings
        How the trees were made.
    seed : int
        Seed of the run.
    training : mapping
        How training went: rounds, inner loss, numbers of cells; plain values.
    provenance : mapping
        Protocol, digests of data and code, versions of libraries; plain values.
    weights : tuple of float
        Share of each model in the score, above 0; equal shares when empty.
    applicability : Applicability, optional
        Where the model applies; ``None`` where that was not measured.
    interval : Interval, optional
        How wide the likelihood's interval is; ``None`` where none was asked for.
    reference : ReferenceDistribution, optional
        How the features are distributed over the training cells.
    features : mapping of str to mapping
        Settings of the feature families, without those that were skipped; plain values.
    layers : mapping of str to mapping
        What is known of the layers the features read, as
        :func:`~hazardrank.sources.layer_facts.layer_facts` says it.
    land : mapping
        Where the model learned: region, cell size, whether simulated, date of the records.

    Raises
    ------
    BundleError
        If a text is no model, its features are not those of `specs`, or the weights are
        not one positive number for each model.
    """

    specs: tuple[FeatureSpec, ...]
    models: tuple[str, ...]
    calibrator: Calibrator
    settings: ModelSettings
    seed: int
    training: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[float, ...] = ()
    applicability: Applicability | None = None
    interval: Interval | None = None
    reference: ReferenceDistribution | None = None
    features: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Any] = field(default_factory=dict)
    land: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.models:
            raise BundleError("a bundle needs at least one model")
        if self.weights and (
            len(self.weights) != len(self.models) or not all(w > 0 for w in self.weights)
        ):
            raise BundleError(
                f"the weights {list(self.weights)} are not one positive number for each of "
                f"{len(self.models)} models"
            )
        expected = column_names(self.specs)
        for number, booster in enumerate(self._boosters):
            if booster.num_feature() != len(self.specs):
                raise BundleError(
                    f"model {number} has {booster.num_feature()} features, the bundle describes "
                    f"{len(self.specs)}",
                    remedy=_TRAIN_AGAIN,
                )
            if booster.feature_name() != expected:
                raise BundleError(
                    f"the features of model {number} are not those the bundle describes, or stand "
                    "in another order",
                    remedy=_TRAIN_AGAIN,
                )

    @classmethod
    def of(
        cls,
        model: BoostedModel | EnsembleModel | BlendedModel | PositiveUnlabelledModel,
        learner: BoostedTrees | Ensemble | TunedLearner | PositiveUnlabelled,
        provenance: Mapping[str, Any],
    ) -> Bundle:
        """Return the bundle of a trained model, shifted to ``settings.prevalence`` if given."""
        target, calibrator = learner.settings.prevalence, model.calibrator
        if target is not None:
            calibrator = calibrator.shifted(model.prevalence, target)
        return cls(
            learner.specs,
            model.texts,
            calibrator,
            learner.settings,
            learner.seed,
            model.summary(),
            provenance,
            weights=getattr(model, "shares", ()),
            interval=model.interval,
        )

    @cached_property
    def _boosters(self) -> tuple[lgb.Booster, ...]:
        return tuple(_booster(text) for text in self.models)

    @cached_property
    def _forest(self) -> tuple[Forest | None, str | None]:
        """The fast predictor, or why it is not used."""
        try:
            forest = Forest.of(self.models)
        except ForestLimitError as error:
            return None, f"the model is scored by LightGBM itself, many times slower: {error}"
        sample = forest_sample(forest, _SAMPLE_CELLS)
        matrix = np.ascontiguousarray(sample.T)
        expected = [predict_scores(booster, matrix, 1) for booster in self._boosters]
        if np.array_equal(forest.scores(sample), np.array(expected)):
            return forest, None
        note = (
            f"the fast predictor and LightGBM differ on {_SAMPLE_CELLS} test cells, so the model "
            "is scored by LightGBM itself, many times slower. Please report this."
        )
        warnings.warn(note, PredictorWarning, stacklevel=3)
        return None, note

    @property
    def forest_note(self) -> str | None:
        """Why the fast predictor is not used; ``None`` where it is."""
        return self._forest[1]

    @property
    def names(self) -> list[str]:
        """Feature names in column order."""
        return [spec.name for spec in self.specs]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything in the bundle, in hex."""
        return _sha256(self._json())

    # ------------------------------------------------------------- scoring

    def scores(self, matrix: Matrix, threads: int | None = None) -> Floats:
        """Return uncalibrated scores.

        Parameters
        ----------
        matrix : ndarray of float32, shape (n_cells, n_features)
            Features in the order of :attr:`specs`; NaN where missing.
        threads : int, optional
            Threads to use; all cores when left out. The result does not depend on it.

        Returns
        -------
        ndarray of float64, shape (n_cells,)
            In 0–1; the mean over the models.

        Raises
        ------
        ModelError
            If the matrix has another number of columns or another type.
        """
        parts = [predict_scores(booster, matrix, threads or 0) for booster in self._boosters]
        return parts[0] if len(parts) == 1 else blend(parts, self.weights)

    def scores_of_bands(self, bands: Singles, threads: int = 1) -> Floats:
        """Return what :meth:`scores` does for cells that come band by band, to the bit.

        `bands` and `threads` as in :meth:`estimate_bands`.
        """
        parts = list(self._parts_of_bands(bands, threads, None))
        return parts[0] if len(parts) == 1 else blend(parts, self.weights)

    def _parts_of_bands(self, bands: Singles, threads: int, row_cells: int | None) -> Floats:
        """Return each model's score, shape (n_models, n_cells)."""
        if bands.ndim != 2 or len(bands) != len(self.specs):
            raise ModelError(
                f"the bands have shape {bands.shape}, the model has {len(self.specs)} features"
            )
        if bands.dtype != np.float32:
            raise ModelError(f"the bands are {bands.dtype}, the model reads float32")
        forest = self._forest[0]
        if forest is not None:
            return forest.scores(bands, threads, row_cells)
        n_cells = bands.shape[1]
        parts = np.empty((len(self.models), n_cells))
        for first in range(0, n_cells, _CELLS_BY_ROW):
            cells = slice(first, first + _CELLS_BY_ROW)
            matrix = np.ascontiguousarray(bands[:, cells].T)
            for part, booster in zip(parts, self._boosters, strict=True):
                part[cells] = predict_scores(booster, matrix, threads)
        return parts

    def likelihood(self, matrix: Matrix, threads: int | None = None) -> Floats:
        """Return contamination likelihoods, shape (n_cells,), strictly between 0 and 1.

        Parameters as in :meth:`scores`.
        """
        return self.calibrator.apply(self.scores(matrix, threads))

    @property
    def has_spread(self) -> bool:
        """Whether the models are members of an ensemble, whose spread says something."""
        return self.settings.members > 1 and len(self.models) > 1 and not self.weights

    def estimate(self, matrix: Matrix, threads: int | None = None) -> Estimate:
        """Return likelihoods, with spread and interval where the bundle has them.

        Parameters as in :meth:`scores`.
        """
        parts = [predict_scores(booster, matrix, threads or 0) for booster in self._boosters]
        score = parts[0] if len(parts) == 1 else blend(parts, self.weights)
        return estimate(score, parts if self.has_spread else [], self.calibrator, self.interval)

    def estimate_bands(
        self, bands: Singles, threads: int = 1, row_cells: int | None = None
    ) -> Estimate:
        """Return what :meth:`estimate` does for cells that come band by band, to the bit.

        Many times faster, by :class:`~hazardrank.model.forest.Forest`, unless
        :attr:`forest_note` says why not. Safe to call from several threads at once.

        Parameters
        ----------
        bands : ndarray of float32, shape (n_features, n_cells)
            Features in the order of :attr:`specs`; NaN where missing.
        threads : int, optional
            Threads to use. The result does not depend on it.
        row_cells : int, optional
            Cells in a row, where the cells are those of a raster row by row: faster. The
            result does not depend on it.

        Raises
        ------
        ModelError
            If there is another number of bands, or they are of another type.
        """
        parts = list(self._parts_of_bands(bands, threads, row_cells))
        score = parts[0] if len(parts) == 1 else blend(parts, self.weights)
        return estimate(score, parts if self.has_spread else [], self.calibrator, self.interval)

    def contributions(self, matrix: Matrix, threads: int | None = None) -> Floats:
        """Return what each feature adds to the log-odds of the score (TreeSHAP).

        Lundberg et al. 2020, *From local explanations to global understanding with
        explainable AI for trees*, as LightGBM computes it. Exact for a single model:
        rows sum to the log-odds of :meth:`scores`.

        Returns
        -------
        ndarray of float64, shape (n_cells, n_features + 1)
            The last column is what all cells have in common.
        """
        parts = []
        for text, booster in zip(self.models, self._boosters, strict=True):
            added = np.asarray(
                booster.predict(
                    np.ascontiguousarray(matrix), pred_contrib=True, num_threads=threads or 0
                ),
                np.float64,
            )
            # A random forest's score is an average over trees, its contributions are not.
            parts.append(added / booster.num_trees() if is_forest(text) else added)
        return np.asarray(np.average(parts, axis=0, weights=self.weights or None), np.float64)

    def importance(self) -> dict[str, float]:
        """Return each feature's share of the gain of all splits, largest first; sums to 1."""
        gains = [b.feature_importance("gain") for b in self._boosters]
        shares = [gain / gain.sum() if gain.sum() > 0 else gain for gain in gains]
        gain = np.average(shares, axis=0, weights=self.weights or None)
        share = gain / gain.sum() if gain.sum() > 0 else gain
        order = np.argsort(-share, kind="stable")
        return {self.names[column]: float(share[column]) for column in order}

    def check_features(self, specs: Sequence[FeatureSpec]) -> None:
        """Raise unless these are the bundle's features, in its order and units.

        Raises
        ------
        BundleError
            Names the features missing, unexpected, out of order or in another unit.
        """
        given = [spec.name for spec in specs]
        missing = [name for name in self.names if name not in given]
        unexpected = [name for name in given if name not in self.names]
        if missing or unexpected:
            raise BundleError(
                f"the features do not match: missing {missing or 'none'}, "
                f"unexpected {unexpected or 'none'}",
                remedy="Score with the feature settings the model was trained with.",
            )
        if given != self.names:
            raise BundleError(f"the features stand in another order: {given}, not {self.names}")
        for own, other in zip(self.specs, specs, strict=True):
            if own.unit != other.unit:
                raise BundleError(
                    f"feature {own.name} is in {other.unit}, the model learned it in {own.unit}",
                    remedy="Correct the unit of the layer, or convert its values.",
                )

    # ------------------------------------------------------- saving, loading

    def save(self, folder: Path) -> Path:
        """Write the bundle; an older one at `folder` is replaced once the new one is whole.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputError
            If the folder holds something else, or cannot be written.
        """
        folder = Path(folder)
        if folder.exists() and not (folder / BUNDLE_JSON).is_file():
            raise OutputError(
                "exists and is no bundle", where=folder, remedy="Name another folder."
            )
        partial = folder.with_name(f"{folder.name}.partial")
        description = self._json()
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for name, text in self._files().items():
                (partial / name).write_bytes(text.encode())
            (partial / BUNDLE_JSON).write_bytes(description.encode())
            _swap(partial, folder)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise OutputError(f"cannot be written ({error})", where=folder) from error
        return folder

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read a bundle and check that it is whole and unaltered.

        Also compares the fast predictor with LightGBM on test cells; where they differ it
        is not used, with a :class:`PredictorWarning`.

        Raises
        ------
        BundleError
            If a file is missing or altered, the format is of another version, or the
            features of model and description differ.
        """
        folder = Path(folder)
        values = _read_json(folder / BUNDLE_JSON)
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"format version {version!r}; this hazardrank reads version {FORMAT_VERSION}",
                where=folder,
                remedy="Use the hazardrank that made it, or train again.",
            )
        try:
            bundle = cls(
                tuple(_spec_from_json(spec) for spec in values["features"]),
                tuple(_read_model(folder, entry) for entry in values["models"]),
                calibrator_from_json(values["calibrator"]),
                ModelSettings.model_validate(values["settings"]),
                int(values["seed"]),
                dict(values["training"]),
                dict(values["provenance"]),
                tuple(float(entry["weight"]) for entry in values["models"] if "weight" in entry),
                _read_applicability(folder, values.get("applicability")),
                None if values.get("interval") is None else interval_from_json(values["interval"]),
                _reference(values["reference"]),
                dict(values["feature_settings"]),
                dict(values["layers"]),
                dict(values["land"]),
            )
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise BundleError(
                f"{BUNDLE_JSON} cannot be understood ({error!r})", where=folder, remedy=_TRAIN_AGAIN
            ) from None
        except BundleError as error:
            raise BundleError(
                error.problem, where=error.where or folder, remedy=error.remedy or _TRAIN_AGAIN
            ) from None
        _ = bundle._forest
        return bundle

    def _files(self) -> dict[str, str]:
        texts = self._model_files()
        if self.applicability is not None:
            texts[REFERENCE_CSV] = self.applicability.reference_csv()
        return texts

    def _model_files(self) -> dict[str, str]:
        return {f"model_{number}.txt": text for number, text in enumerate(self.models)}

    def _applicability_json(self) -> dict[str, Any] | None:
        if self.applicability is None:
            return None
        entry = {"file": REFERENCE_CSV, "sha256": _sha256(self._files()[REFERENCE_CSV])}
        return {**entry, **self.applicability.to_json()}

    def _entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = [
            {"file": name, "sha256": _sha256(text)} for name, text in self._model_files().items()
        ]
        for entry, weight in zip(entries, self.weights, strict=False):
            entry["weight"] = weight
        return entries

    def _json(self) -> str:
        values = {
            "format_version": FORMAT_VERSION,
            "features": [_spec_to_json(spec) for spec in self.specs],
            "models": self._entries(),
            "calibrator": self.calibrator.to_json(),
            "settings": self.settings.model_dump(mode="json"),
            "seed": self.seed,
            "training": dict(self.training),
            "provenance": dict(self.provenance),
            "applicability": self._applicability_json(),
            "interval": None if self.interval is None else self.interval.to_json(),
            "feature_settings": dict(self.features),
            "layers": dict(self.layers),
            "land": dict(self.land),
            "reference": None if self.reference is None else self.reference.to_json(),
        }
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def is_forest(text: str) -> bool:
    """Say whether a LightGBM model text averages its trees (random forest mode)."""
    return "\naverage_output\n" in text[:2000]


def _booster(text: str) -> lgb.Booster:
    try:
        return lgb.Booster(model_str=text)
    except lgb.basic.LightGBMError as error:
        raise BundleError(f"the text is no LightGBM model ({error})") from None


def _reference(values: Mapping[str, Any] | None) -> ReferenceDistribution | None:
    return None if values is None else ReferenceDistribution.from_json(values)


def _spec_to_json(spec: FeatureSpec) -> dict[str, Any]:
    values = asdict(spec)
    values["as_of"] = None if spec.as_of is None else spec.as_of.isoformat()
    return values


def _spec_from_json(values: Mapping[str, Any]) -> FeatureSpec:
    as_of = values["as_of"]
    return FeatureSpec(**{**values, "as_of": None if as_of is None else date.fromisoformat(as_of)})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BundleError(
            f"there is no {path.name}, so this is no bundle",
            where=path.parent,
            remedy="Name the bundle folder that train wrote.",
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot be read ({error})", where=path, remedy=_TRAIN_AGAIN) from None
    if not isinstance(values, dict):
        raise BundleError("is not the description of a bundle", where=path, remedy=_TRAIN_AGAIN)
    return values


def _read_model(folder: Path, entry: Mapping[str, str]) -> str:
    if not _MODEL_FILE.fullmatch(entry["file"]):
        raise BundleError(f"names a model file {entry['file']!r}", where=folder)
    return _read_text(folder / entry["file"], entry["sha256"])


def _read_applicability(folder: Path, values: Mapping[str, Any] | None) -> Applicability | None:
    if values is None:
        return None
    return Applicability.from_text(values, _read_text(folder / REFERENCE_CSV, values["sha256"]))


def _read_text(path: Path, sha256: str) -> str:
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise BundleError(
            "is missing", where=path, remedy="Copy the whole bundle folder."
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot be read ({error})", where=path) from None
    if _sha256(text) != sha256:
        raise BundleError(
            "has been altered: its digest is not the one recorded",
            where=path,
            remedy="Copy the bundle again, or train again.",
        )
    return text


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _swap(partial: Path, folder: Path) -> None:
    """Put a finished folder in the place of an older one."""
    older = folder.with_name(f"{folder.name}.older.partial")
    shutil.rmtree(older, ignore_errors=True)
    if folder.exists():
        folder.replace(older)
    try:
        partial.replace(folder)
    except OSError:
        if older.exists():
            older.replace(folder)
        raise
    shutil.rmtree(older, ignore_errors=True)
