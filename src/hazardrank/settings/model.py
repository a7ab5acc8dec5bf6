"""The boosted trees, their tuning and their calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hazardrank.settings.base import PositiveShare, Settings, Share


class TuningSettings(Settings):
    """Search for the model's settings, on the inner folds of each training side alone."""

    enabled: bool = False
    """Search. The settings of `model` are the first trial, so the search starts from them."""
    trials: Annotated[int, Field(ge=1, le=10_000)] | None = 30
    """Trials for each training side; those of an earlier, equal run count."""
    minutes: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Start no trial after this many minutes on a training side. What is found then depends
    on the machine; give `trials` where a run must be repeatable."""
    storage: str | None = None
    """SQLite file of the studies: a run that was stopped goes on where it was. Empty:
    nothing is kept."""
    objective: Literal["ranking", "log_loss"] = "ranking"
    """What the inner held-out cells are judged by, all together: `ranking` the mean of ROC-AUC
    and PR-AUC, `log_loss` the log loss after logistic calibration."""
    blend: Annotated[int, Field(ge=1, le=20)] = 5
    """Most models averaged: the best trials are added one by one, the same one again where
    that helps, as long as the inner folds gain (Caruana et al. 2004). 1 keeps the best alone."""
    max_rounds: Annotated[int, Field(ge=10, le=20_000)] = 300
    """Most rounds (trees) of a trial."""

    @model_validator(mode="after")
    def _some_budget(self) -> TuningSettings:
        if self.enabled and self.trials is None and self.minutes is None:
            raise ValueError("give a budget: trials, minutes, or both")
        return self


class ModelSettings(Settings):
    """Boosted trees and their calibration."""

    boosting: Literal["gbdt", "rf"] = "gbdt"
    """`gbdt` gradient boosting, `rf` LightGBM's random forest mode."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Shrinkage of each tree."""
    num_leaves: Annotated[int, Field(ge=2, le=4096)] = 31
    """Leaves of a tree; 31 scores fastest."""
    max_depth: Annotated[int, Field(ge=-1, le=63)] = -1
    """Depth of a tree; -1 no limit."""
    min_cells_in_leaf: Annotated[int, Field(ge=1)] = 40
    """Fewest training cells in a leaf."""
    feature_fraction: PositiveShare = 0.7
    """Share of the features each tree may use."""
    node_feature_fraction: PositiveShare = 1.0
    """Share of a tree's features each split may choose from, as in a random forest."""
    random_thresholds: bool = False
    """Try one random threshold of each feature at a split (extremely randomised trees)."""
    cell_fraction: PositiveShare = 0.8
    """Share of the training cells each tree sees."""
    l1: Annotated[float, Field(ge=0)] = 0.0
    """L1 penalty on leaf values."""
    l2: Annotated[float, Field(ge=0)] = 5.0
    """L2 penalty on leaf values."""
    max_bin: Annotated[int, Field(ge=15, le=65535)] = 255
    """Histogram bins per feature."""
    max_rounds: Annotated[int, Field(ge=1, le=20_000)] = 300
    """Most boosting rounds."""
    early_stopping_rounds: Annotated[int, Field(ge=0)] = 20
    """Stop after this many rounds without gain on the inner folds; 0 never stops."""
    class_weight: Literal["none", "balanced"] | Annotated[float, Field(gt=0)] = "balanced"
    """Weight of contaminated cells: `none`, `balanced`, or a factor."""
    monotone: Mapping[str, Literal[-1, 0, 1]] = Field(default_factory=dict)
    """Feature name → +1 (likelihood may only rise with it) or -1 (only fall)."""
    categorical: list[str] = Field(default_factory=list)
    """Features whose values are class codes."""
    forest_below_cells: Annotated[int, Field(ge=0)] = 10_000
    """With fewer labelled cells a random forest is grown too, and the inner folds choose
    between it, these settings and the mean of both: on small tables forests often transfer
    better. 0: never."""
    feature_selection: Literal["none", "forward", "permutation"] = "none"
    """Choose features on inner folds: `forward` adds the one that helps most while any helps
    (Meyer et al. 2018), `permutation` drops groups of like features that do not help."""
    tuning: TuningSettings = TuningSettings()
    calibration: Literal["isotonic", "beta", "logistic", "venn_abers", "auto", "none"] = "beta"
    """Calibration of scores to likelihoods, on out-of-fold scores only. `auto`: of the four the
    one with the best Brier score on inner folds that did not fit it."""
    members: Annotated[int, Field(ge=1, le=100)] = 1
    """Models of an ensemble, each with its own seed; their scores are averaged and the average
    is calibrated. More than one also map their spread."""
    member_land: Literal["all", "drawn"] = "all"
    """Land each member learns from: `all`, or units of land (blocks, groups) `drawn` with
    replacement, so that the spread also shows what other land would have taught."""
    prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the mapped land that is contaminated, where it is known to differ from that of
    the labelled cells: the maps are shifted to it after calibration. Held-out figures are not."""
    interval: Literal["none", "venn_abers", "ensemble"] = "none"
    """Map an interval of the likelihood, wider where Venn–Abers bounds (`venn_abers`) or members
    of the ensemble (`ensemble`) lie further apart, scaled so that it holds on held-out land."""
    interval_level: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    """Share of held-out units of land (blocks, groups) whose share contaminated the interval
    is to hold."""

    unlabelled: Literal["as_negative", "elkan_noto", "bagging", "nnpu"] = "as_negative"
    """What unlabelled background (labels.background) is taken for: `as_negative` not
    contaminated; otherwise some of it is contaminated, as the class prior says: `elkan_noto`
    rescales the model's probabilities (Elkan & Noto 2008), `bagging` averages models of as many
    background as contaminated cells drawn (Mordelet & Vert 2014), `nnpu` grows trees by the
    non-negative risk (Kiryo et al. 2017)."""
    unlabelled_bags: Annotated[int, Field(ge=2, le=200)] = 10
    """Models of `unlabelled=bagging`."""
    class_prior: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the unlabelled land that is contaminated; estimated, with a 95 % interval by
    bootstrap over units of land, when left out."""
    class_prior_estimator: Literal["best_bin", "elkan_noto"] = "best_bin"
    """How the share is estimated: `best_bin` from the cells of the highest scores (Garg et al.
    2021), `elkan_noto` from the mean score of held-out contaminated cells, which is too high
    where these cannot be told apart surely. Both take recorded contamination for a fair sample
    of all contamination."""

    propensity: Literal["none", "inverse"] = "none"
    """`inverse`: weight labelled cells by how seldom land like them was surveyed, so that
    together they stand for the whole area (where released and contaminated cells exist). Helps
    only if survey went by what the features know. The cost is stated: effective cells."""
    propensity_cells: Annotated[int, Field(ge=100, le=1_000_000)] = 5000
    """Cells drawn from the whole area to compare surveyed land with."""
    propensity_truncation: tuple[Share, Share] = (0.05, 0.95)
    """Quantiles of the weights at which they are cut."""

    @field_validator("propensity_truncation")
    @classmethod
    def _rising(cls, quantiles: tuple[float, float]) -> tuple[float, float]:
        if not quantiles[0] < quantiles[1]:
            raise ValueError("give the lower quantile first")
        return quantiles

    @model_validator(mode="after")
    def _unlabelled_is_possible(self) -> ModelSettings:
        if self.unlabelled == "as_negative":
            return self
        if self.calibration == "none" or self.interval != "none":
            raise ValueError(
                f"unlabelled={self.unlabelled} needs a calibration, and interval=none: without "
                "released land nothing shows how often an interval holds"
            )
        if self.unlabelled != "elkan_noto" and (
            self.members > 1 or self.tuning.enabled or self.feature_selection != "none"
        ):
            raise ValueError(
                f"unlabelled={self.unlabelled} grows its own trees: set members=1, "
                "tuning.enabled=false and feature_selection=none"
            )
        if self.unlabelled == "nnpu" and self.boosting != "gbdt":
            raise ValueError("unlabelled=nnpu needs boosting=gbdt")
        return self

    @model_validator(mode="after")
    def _members_to_differ(self) -> ModelSettings:
        if self.interval == "ensemble" and self.members < 2:
            raise ValueError("interval=ensemble needs members of 2 or more")
        if self.member_land == "drawn" and self.members < 2:
            raise ValueError("member_land=drawn needs members of 2 or more")
        return self
