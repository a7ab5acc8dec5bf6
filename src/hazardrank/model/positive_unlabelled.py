"""Learning where no land is released: contaminated cells and unlabelled ones.

Unlabelled cells are not negatives: some are contaminated. Every method here learns a score
that tells labelled cells from unlabelled ones, calibrates it on inner held-out cells to
``g = P(labelled | cell)``, and turns that into the likelihood that a cell nobody labelled
is contaminated (Elkan & Noto 2008, *Learning classifiers from only positive and unlabeled
data*, KDD, equation 3): ``(1 - c) / c · g / (1 - g)`` with ``c = P(labelled | contaminated)``,
which follows from the class prior. Their ``g / c`` is the likelihood over labelled and
unlabelled cells together; it depends on how many background cells were drawn, which is
ours to choose and says nothing of the land.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hazardrank.errors import ModelError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.blended import BlendedModel
from hazardrank.model.boosted import BoostedModel, BoostedTrees, usable
from hazardrank.model.calibration import Calibrator, calibrate
from hazardrank.model.class_prior import ClassPrior, class_prior, label_frequency
from hazardrank.model.distributed import Grower
from hazardrank.model.ensemble import EnsembleModel
from hazardrank.model.intervals import Interval, estimate
from hazardrank.model.non_negative import NonNegativeTrees
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import Estimate, InnerFold, Learner, TrainingSide
from hazardrank.validation.training_set import Matrix

Floats = NDArray[np.float64]
AnyModel = BoostedModel | EnsembleModel | BlendedModel

_SEED_STEP = 1_000_003


@dataclass(frozen=True)
class PositiveUnlabelledModel:
    """Trained trees whose scores become likelihoods by way of the class prior.

    Parameters
    ----------
    base : BoostedModel, EnsembleModel or BlendedModel
        What tells labelled from unlabelled cells.
    calibrator : Calibrator
        From scores to likelihoods, with the label frequency.
    prior : ClassPrior
        Share of the unlabelled land that is contaminated.
    method : str
        ``elkan_noto``, ``bagging`` or ``nnpu``.
    """

    base: AnyModel
    calibrator: Calibrator
    prior: ClassPrior
    method: str
    interval: Interval | None = None

    @property
    def rounds(self) -> int:
        """Boosting rounds the inner folds chose."""
        return self.base.rounds

    @property
    def texts(self) -> tuple[str, ...]:
        """The trees as LightGBM texts."""
        return self.base.texts

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each text in the score; empty where all are equal."""
        return self.base.shares if isinstance(self.base, BlendedModel) else ()

    @property
    def prevalence(self) -> float:
        """The class prior: what likelihoods of unlabelled land are calibrated to."""
        return self.prior.share

    def scores(self, matrix: Matrix) -> Floats:
        """Return uncalibrated scores in 0–1, shape (n_rows,)."""
        return self.base.scores(matrix)

    def likelihood(self, matrix: Matrix) -> Floats:
        """Return contamination likelihoods in 0–1, shape (n_rows,)."""
        return self.calibrator.apply(self.scores(matrix))

    def estimate(self, matrix: Matrix) -> Estimate:
        """Return likelihoods; unlabelled cells hold no interval to the truth."""
        return estimate(self.scores(matrix), [], self.calibrator, None)

    def summary(self) -> dict[str, Any]:
        """Return how training went, as plain values for the bundle."""
        prior = self.prior
        return {
            **self.base.summary(),
            "prevalence": prior.share,
            "unlabelled": {
                "method": self.method,
                "class_prior": prior.share,
                "class_prior_low": prior.low,
                "class_prior_high": prior.high,
                "class_prior_estimator": prior.estimator,
                "label_frequency": self.calibrator.label_frequency,
            },
        }


@dataclass(frozen=True)
class PositiveUnlabelled:
    """Learns from contaminated and unlabelled cells by ``settings.unlabelled``.

    Parameters
    ----------
    settings, specs, threads, seed
        As for :class:`~hazardrank.model.boosted.BoostedTrees`.
    base : Learner
        Tells labelled from unlabelled cells; for ``elkan_noto``, and to estimate the class
        prior for ``nnpu``.
    grower : Grower, optional
        Grows the trees of ``bagging`` in place of this process.
    """

    settings: ModelSettings
    specs: tuple[FeatureSpec, ...]
    threads: int
    seed: int
    base: Learner
    grower: Grower | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "specs", tuple(self.specs))

    def fit(self, side: TrainingSide) -> PositiveUnlabelledModel:
        """Learn from a training side; class prior and calibration on its inner folds.

        Raises
        ------
        ModelError
            As :class:`~hazardrank.model.boosted.BoostedTrees`.
        """
        if self.settings.unlabelled == "bagging":
            return self._finished(self._bagged(side), None)
        if self.settings.unlabelled == "elkan_noto":
            return self._finished(_trees_of(self.base.fit(side)), None)
        prior = self._finished(_trees_of(self.base.fit(side)), None).prior
        trees = NonNegativeTrees(self.settings, self.specs, self.threads, self.seed, prior.share)
        return self._finished(trees.fit(side), prior)

    def _finished(self, base: AnyModel, prior: ClassPrior | None) -> PositiveUnlabelledModel:
        held_out = base.held_out
        if held_out is None:
            raise ModelError("there are no inner held-out scores", where="model.calibration")
        calibrator = calibrate(self.settings.calibration, held_out)
        chosen = self.settings
        if prior is None:
            probable = replace(held_out, score=calibrator.apply(held_out.score))
            prior = class_prior(
                probable, chosen.class_prior, chosen.class_prior_estimator, self.seed
            )
        frequency = label_frequency(prior.share, held_out.contaminated, held_out.weight)
        calibrator = replace(calibrator, label_frequency=frequency)
        return PositiveUnlabelledModel(base, calibrator, prior, chosen.unlabelled)

    def _bagged(self, side: TrainingSide) -> EnsembleModel:
        """Return bags of all contaminated and as many unlabelled cells, drawn anew for each.

        Mordelet & Vert 2014, *A bagging SVM to learn from positive and unlabeled examples*,
        Pattern Recognition Letters 37. Scores are averaged over the bags.
        """
        n_cells = len(side.contaminated)
        quick = {"calibration": "logistic", "class_weight": "none"}
        settings = self.settings.model_copy(update=quick)
        doubled = _doubled(side)
        members = []
        for number in range(self.settings.unlabelled_bags):
            seed = (self.seed + number * _SEED_STEP) % 2**31
            trees = BoostedTrees(settings, self.specs, self.threads, seed, self.grower)
            times = np.concatenate([bag(side, seed), np.zeros(n_cells, np.int64)])
            model = trees.fit(doubled, times)
            assert model.held_out is not None
            rows = np.concatenate([fold.test for fold in usable(side)])
            held_out = replace(model.held_out, weight=side.weight[rows].astype(np.float64))
            n_contaminated = int(side.contaminated.sum())
            members.append(
                replace(model, held_out=held_out, n_cells=n_cells, n_contaminated=n_contaminated)
            )
        return EnsembleModel(tuple(members), Calibrator("none", {}), None)


def _doubled(side: TrainingSide) -> TrainingSide:
    """Return every cell twice: first to be drawn into bags, then to be looked at.

    Bags are even, the held-out cells are not: what is looked at is weighted as if it were,
    or trees would stop growing for the wrong reason.
    """
    n_cells, labelled = len(side.contaminated), side.contaminated
    ratio = side.weight[labelled].sum() / side.weight[~labelled].sum()
    even = side.weight * np.where(labelled, 1.0, ratio)
    inner = tuple(
        InnerFold(np.vstack([fold.matrix, fold.matrix]), fold.train, fold.test + n_cells)
        for fold in side.inner
    )
    return TrainingSide(
        np.vstack([side.matrix, side.matrix]),
        np.concatenate([labelled, labelled]),
        np.concatenate([side.weight, even]).astype(np.float32),
        inner,
        None if side.unit is None else np.concatenate([side.unit, side.unit]),
    )


def bag(side: TrainingSide, seed: int) -> NDArray[np.int64]:
    """Return how often one bag sees each row: contaminated once, unlabelled by chance.

    As many unlabelled cells are drawn, with replacement, as there are contaminated ones;
    again until every inner training side has some.
    """
    unlabelled = np.flatnonzero(~side.contaminated)
    rng = np.random.default_rng([seed, 43])
    for _ in range(100):
        times = side.contaminated.astype(np.int64)
        drawn = rng.choice(unlabelled, int(side.contaminated.sum()))
        np.add.at(times, drawn, 1)
        if all((times[f.train][~side.contaminated[f.train]] > 0).any() for f in usable(side)):
            return times
    return np.ones(len(times), np.int64)


def _trees_of(model: Any) -> AnyModel:
    if not isinstance(model, AnyModel):
        raise ModelError(f"{type(model).__name__} cannot tell labelled from unlabelled cells")
    return model
