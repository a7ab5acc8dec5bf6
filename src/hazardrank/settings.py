"""Validated settings: what every command may be told, with units and ranges.

Hydra composes YAML into one tree; :func:`validate` turns that tree into these frozen
objects or raises one clear :class:`~hazardrank.errors.SettingsError`. A ``DictConfig``
never travels past ``commands/``. Field descriptions are the configuration reference
(``docs/configuration.md`` is written from them).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hazardrank.errors import SettingsError

Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Metres = Annotated[float, Field(ge=0, le=1e7)]
PositiveMetres = Annotated[float, Field(gt=0, le=1e7)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


# ----------------------------------------------------------------------- region


class Role(StrEnum):
    """What a layer may be used for."""

    HAZARD = "hazard"
    CONSEQUENCE = "consequence"
    BOTH = "both"


class ExtentSettings(Settings):
    """Where the survey grid lies: a bounding box, a polygon file as mask, or both."""

    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north, in `bbox_crs`."""
    bbox_crs: str | None = None
    """CRS of `bbox`; the region's own CRS when left out."""
    mask: str | None = None
    """Polygon file; cells whose centre lies outside every polygon are outside the area."""
    mask_where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Keep only the mask's features whose columns hold one of these values."""

    @model_validator(mode="after")
    def _some_extent(self) -> ExtentSettings:
        if self.bbox is None and self.mask is None:
            raise ValueError("give a bbox, a mask, or both")
        if self.bbox is not None:
            west, south, east, north = self.bbox
            if not (west < east and south < north):
                raise ValueError(f"bbox {list(self.bbox)} must be west < east and south < north")
        return self


class LayerSettings(Settings):
    """One layer of the catalogue. Features refer to it by its key."""

    path: str
    """File, relative to `data_dir`; also absolute, `/vsicurl/…`, `/vsis3/…`, `zip://…`."""
    kind: Literal["continuous", "categorical", "points", "lines", "polygons"]
    """Continuous or categorical raster; points, lines or polygons."""
    unit: str | None = None
    """Unit of a continuous raster's values (`m`, `deg`, `percent`, `people`, `1` …)."""
    role: Role = Role.HAZARD
    """`hazard` may feed the likelihood model, `consequence` only priorities, or `both`."""
    as_of: date | None = None
    """The date the layer's content describes; unknown when left out."""
    licence: str | None = None
    """Licence under which the layer may be used."""
    source: str | None = None
    """Where an analyst gets it."""
    crs: str | None = None
    """CRS of the file, where it does not say so itself."""
    layer: str | None = None
    """Layer name inside a GeoPackage or other container."""
    band: Annotated[int, Field(ge=1)] = 1
    """Band of a raster, from 1."""
    nodata: float | None = None
    """Value that means missing, where the raster does not say so itself."""
    resampling: Literal["bilinear", "average", "nearest"] | None = None
    """Continuous rasters: `average` where the source is finer than the cells, else `bilinear`."""
    valid_range: tuple[float, float] | None = None
    """Values outside are impossible; the unit's own range when left out."""
    classes: Mapping[int, str] = Field(default_factory=dict)
    """Categorical rasters: code → class name. Codes not named are counted as `other`."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """Our word → the file's column, for those that matter: `class`, `start`, `end`, `side`,
    `people`, `households`, `planned`, `status`, `name`, `event_date`."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Keep only features whose columns (the file's names) hold one of these values."""
    outcome_proxy: bool = False
    """The layer shows what survey, clearance or accidents left behind, so that it knows the
    outcome: the likelihood model refuses it unless `validation.accept_proxies` names it."""

    @property
    def is_raster(self) -> bool:
        """Whether the layer is a raster."""
        return self.kind in ("continuous", "categorical")


class RecordSource(Settings):
    """One file of hazard records and how its columns read in our words."""

    path: str
    """File, relative to `data_dir`."""
    layer: str | None = None
    """Layer name inside a container."""
    mapping: Literal["plain", "imsma"] = "plain"
    """Ready column mapping: `plain` (our own column names) or `imsma` (IMSMA Core exports)."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """Our column → the file's column, over the ready mapping."""
    values: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """Our column → {the file's value → our value}, over the ready mapping."""
    constants: Mapping[str, str | float] = Field(default_factory=dict)
    """Our column → a value that holds for every record of the file (`kind: SHA`)."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Keep only records whose columns (the file's names) hold one of these values."""
    crs: str | None = None
    """CRS of a file that does not say it itself."""
    date_order: Literal["day_first", "month_first"] | None = None
    """How dates such as 03/04/2019 read; needed only where the file leaves it open."""
    licence: str | None = None
    """Licence under which the records may be used."""
    source: str | None = None
    """Where an analyst gets the file."""


class RecordsSettings(Settings):
    """Files of hazard records, by kind. Several files of a kind are joined."""

    hazard_areas: list[RecordSource] = Field(default_factory=list)
    """Suspected and confirmed hazardous areas (polygons)."""
    clearance: list[RecordSource] = Field(default_factory=list)
    """Land cancelled, reduced or cleared (polygons)."""
    accidents: list[RecordSource] = Field(default_factory=list)
    """Accidents with explosive ordnance (points)."""
    survey: list[RecordSource] = Field(default_factory=list)
    """Land that survey teams visited (polygons)."""


class TableContextSettings(Settings):
    """Features of a table's rows taken over the land around them."""

    columns: Annotated[list[str], Field(min_length=1)]
    """Numeric columns to average, features or not; patterns such as `*_dist` are allowed."""
    radii_m: Annotated[list[PositiveMetres], Field(min_length=1)]
    """Radii of the discs around each cell centre."""
    statistics: Annotated[list[Literal["mean", "sd"]], Field(min_length=1)] = ["mean", "sd"]
    """`mean` and `sd` (standard deviation) over the rows in the disc, outcomes unseen."""


class TableSettings(Settings):
    """A ready feature table: one row a cell. Replaces layers and records."""

    path: str
    """CSV or Parquet file, relative to `data_dir`."""
    easting: str
    """Column of the x coordinate (or longitude) of the cell centre."""
    northing: str
    """Column of the y coordinate (or latitude) of the cell centre."""
    crs: str = "EPSG:4326"
    """CRS of the two coordinate columns."""
    spacing: Annotated[float, Field(gt=0)]
    """Distance between neighbouring cell centres, in units of `crs`."""
    outcome: str
    """Column of the outcome."""
    contaminated: tuple[str | int, ...] = (1,)
    """Values of the outcome column that mean contaminated."""
    released: tuple[str | int, ...] = (0,)
    """Values that mean released. All other values are unsurveyed."""
    group: str | None = None
    """Column of the group held out together, such as the municipality."""
    features: list[str] = Field(default_factory=list)
    """Feature columns; all numeric columns not named elsewhere when empty."""
    exclude: list[str] = Field(default_factory=list)
    """Columns that are not features."""
    context: list[TableContextSettings] = Field(default_factory=list)
    """Neighbourhood features, computed over all rows whatever their outcome."""
    units: Mapping[str, str] = Field(default_factory=dict)
    """Feature column → unit, or a pattern with `*`."""
    outcome_proxies: list[str] = Field(default_factory=list)
    """Feature columns, or patterns with `*`, that know the outcome: refused unless
    `validation.accept_proxies` names them."""
    as_of: date | None = None
    """The date the table's features describe."""
    licence: str | None = None
    """Licence of the table."""
    source: str | None = None
    """Where the table comes from."""


class DistrictSettings(Settings):
    """A simulated district whose true contamination is known."""

    size_km: Annotated[float, Field(ge=4, le=400)] = 40.0
    """Side of the square district."""
    cell_size_m: Annotated[float, Field(ge=20, le=1000)] = 100.0
    """Cell size of its rasters."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 7
    """Seed of every random draw in the simulation."""
    difficulty: Literal["easy", "standard", "hard"] = "standard"
    """How loosely mines follow tactical rules and how partial the records are."""
    crs: str = "EPSG:32638"
    """Projected CRS of the district; the place itself is imaginary."""


class RegionSettings(Settings):
    """An area: its survey grid, its layers, its records."""

    name: Key
    """Short name, used in file names."""
    title: str = ""
    """Name as shown on maps."""
    crs: str
    """Projected CRS in metres, by authority code (`EPSG:32638`)."""
    cell_size_m: Annotated[float, Field(ge=1, le=10_000)]
    """Side of a cell; a whole number of metres."""
    extent: ExtentSettings
    country: str | None = None
    """Polygon file of the country or area in which every record should lie."""
    layers: Mapping[Key, LayerSettings] = Field(default_factory=dict)
    records: RecordsSettings = RecordsSettings()
    records_as_of: date | None = None
    """The date to which the records are complete. Outcomes without a date stay undated; the
    leakage guard takes this as the latest day they can be from."""
    table: TableSettings | None = None
    simulated: DistrictSettings | None = None
    """Set: the region is a simulated district, made on first use under `data_dir`."""

    @field_validator("cell_size_m")
    @classmethod
    def _whole_metres(cls, cell_size_m: float) -> float:
        if cell_size_m != round(cell_size_m):
            raise ValueError("must be a whole number of metres, so that cell ids are exact")
        return cell_size_m

    @property
    def shown_name(self) -> str:
        """The title, or the name where there is none."""
        return self.title or self.name


# --------------------------------------------------------------------- features


class FamilySettings(Settings):
    """What every feature family's settings share. Families add their own keys."""

    family: str
    """Name of the family in the registry."""
    when_absent: Literal["error", "skip"] = "error"
    """What to do when the catalogue has no layer of the key the family asks for."""


class AnyFamilySettings(FamilySettings):
    """A family's settings before the family itself has validated them."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


# ----------------------------------------------------------------------- labels


class LabelRule(Settings):
    """Which record gives which outcome, and how sure that evidence is."""

    record: Literal["hazard_areas", "clearance", "accidents", "survey"]
    """Kind of record the rule reads."""
    where: Mapping[str, list[str | bool]] = Field(default_factory=dict)
    """Only records whose columns hold one of these values, e.g. `kind: [CHA]`."""
    found: bool | None = None
    """Clearance only: with (`true`) or without (`false`) ordnance found. A record that
    does not say is neither; it matches when this is left out."""
    outcome: Literal["contaminated", "released"]
    """What a covered cell is then known to be."""
    weight: PositiveShare = 1.0
    """Evidence weight in learning, 0–1."""
    min_cover: PositiveShare = 0.5
    """Share of the cell that must be covered by the record's polygons."""
    min_area_m2: Annotated[float, Field(ge=0)] | None = None
    """Or: this many covered m² are enough, for records smaller than a cell."""
    buffer_m: Metres = 0.0
    """Radius drawn around points (accidents) before covering."""

    @model_validator(mode="after")
    def _keys_of_the_record(self) -> LabelRule:
        if self.found is not None and self.record != "clearance":
            raise ValueError(f"found is for clearance records, not for {self.record}")
        if self.buffer_m and self.record != "accidents":
            raise ValueError(f"buffer_m is for accidents, not for {self.record}")
        return self


class BackgroundSettings(Settings):
    """Unlabelled cells for regions without released land. Never negatives in a report."""

    per_contaminated: Annotated[float, Field(gt=0, le=1000)] = 5.0
    """Background cells drawn for each contaminated cell."""
    min_distance_m: Metres = 0.0
    """Keep background cells at least this far from any recorded hazard."""
    weight: PositiveShare = 1.0
    """Weight in learning."""
    sampling: Literal["uniform", "buffered", "hard", "propensity_matched"] = "uniform"
    """Where background is drawn: `uniform` anywhere at least `min_distance_m` from recorded
    hazards; `buffered` no further than `max_distance_m` either; `hard` the likelier the nearer
    to recorded hazards, where it is hardest to tell apart; `propensity_matched` as near to
    `match_layer` as contaminated cells are, so that access tells nothing."""
    max_distance_m: PositiveMetres = 5000.0
    """`buffered`: background lies within this distance of a recorded hazard."""
    hard_distance_m: PositiveMetres = 1000.0
    """`hard`: the chance to be drawn falls to 37 % over this distance from recorded hazards."""
    match_layer: Key | None = None
    """`propensity_matched`: vector layer that access goes by, such as `roads`."""

    @model_validator(mode="after")
    def _sampling_is_possible(self) -> BackgroundSettings:
        if self.sampling == "buffered" and self.max_distance_m <= self.min_distance_m:
            raise ValueError("max_distance_m must be larger than min_distance_m")
        if self.sampling == "propensity_matched" and self.match_layer is None:
            raise ValueError("sampling=propensity_matched needs match_layer, such as roads")
        return self


class LabelSettings(Settings):
    """From records to what each cell is known to be."""

    rules: Annotated[list[LabelRule], Field(min_length=1)]
    """Rules in order; ties of date and precedence go to the earlier rule."""
    precedence: Literal["finds_then_latest", "latest", "finds_then_weight"] = "finds_then_latest"
    """On conflict: finds beat release, then the later record beats the earlier one."""
    background: BackgroundSettings | None = None
    """Draw unlabelled background cells (only where no released land exists)."""
    max_cells: Annotated[int, Field(ge=100)] | None = None
    """Learn from at most this many labelled cells, drawn at random within outcome."""


# ------------------------------------------------------------------- validation


class FoldSettings(Settings):
    """How labelled cells are split into folds that are far apart."""

    method: Literal[
        "blocks",
        "groups",
        "kmeans",
        "leave_one_out",
        "knndm",
        "temporal",
        "spatio_temporal",
    ] = "blocks"
    """`blocks`: squares of `size_m`; `groups`: districts of a layer, or a table's groups;
    `kmeans`: clusters of neighbouring cells; `leave_one_out`: one hazard, or one square of
    land without hazards, at a time; `knndm`: clusters merged until held-out cells lie
    as far from training cells as the area's cells lie from labelled ones (Linnenbrink et al.
    2024); `temporal`: learn from records decided before a date, test on later ones;
    `spatio_temporal`: later records of held-out squares, from earlier records elsewhere."""
    size_m: PositiveMetres = 5000.0
    """Side of the square blocks of `blocks` and `spatio_temporal`."""
    square_m: PositiveMetres = 1000.0
    """`leave_one_out`: side of the squares of land without hazards held out one at a time; at
    least five cells."""
    n_folds: Annotated[int, Field(ge=2, le=200)] | None = 5
    """Number of folds; empty: one fold for every group, block or cluster that has both
    outcomes. `leave_one_out`: most hazards and squares held out, drawn evenly; empty: all."""
    n_clusters: Annotated[int, Field(ge=2, le=10_000)] | None = None
    """Clusters of `kmeans`, dealt to `n_folds`; one for each fold when left out."""
    split_dates: list[date] = Field(default_factory=list)
    """`temporal`: each date starts a period that is held out; records decided before the first
    always train. `spatio_temporal`: one date. Empty: dates that part the contaminated cells
    with a date evenly, one period more than `n_folds` (`spatio_temporal`: in halves)."""
    layer: str | None = None
    """Polygon layer of the districts (`groups` on a region with layers)."""
    buffer_m: Metres = 0.0
    """Training cells nearer than this to a held-out cell are left out of training."""

    @model_validator(mode="after")
    def _keys_of_the_method(self) -> FoldSettings:
        if self.split_dates and self.method not in ("temporal", "spatio_temporal"):
            raise ValueError(f"split_dates are for temporal folds, not for {self.method}")
        if sorted(set(self.split_dates)) != self.split_dates:
            raise ValueError("split_dates must rise")
        if self.method == "spatio_temporal" and len(self.split_dates) > 1:
            raise ValueError("spatio_temporal takes one date in split_dates")
        if self.n_clusters is not None and self.method != "kmeans":
            raise ValueError(f"n_clusters are for kmeans, not for {self.method}")
        return self


#: Words in a name that speak of what was found, done or suffered after the outcome.
PROXY_PATTERNS = (
    *("*demin*", "*desminad*", "*clearance*", "*cleared*", "*mine_action*", "*minefield*"),
    *("*landmine*", "*victim*", "*casualt*", "*survey_status*", "*eod_*"),
)


BaselineName = Literal[
    "prevalence",
    "distance_to_known_hazard",
    "distance_to_front_line",
    "logistic_regression",
    "random_forest",
    "expert_overlay",
]


class ValidationSettings(Settings):
    """How skill is measured."""

    folds: FoldSettings = FoldSettings()
    protocol: Literal["new_district", "infill"] = "new_district"
    """`new_district`: no record of the held-out area is known, history features included;
    `infill`: other hazards in the area are known, the cell's own is left out."""
    inner_folds: Annotated[int, Field(ge=2, le=20)] = 4
    """Folds inside each training side, for early stopping and calibration."""
    random_split: bool = True
    """Also report the same model under a random split, as the foil."""
    bootstrap: Annotated[int, Field(ge=0, le=100_000)] = 500
    """Draws of whole blocks or groups behind the 95 % intervals and verdicts; 0: none."""
    baselines: tuple[BaselineName, ...] = (
        "prevalence",
        "distance_to_known_hazard",
        "distance_to_front_line",
        "logistic_regression",
        "random_forest",
        "expert_overlay",
    )
    """What the model is compared with, in this order. What a region's features do not allow is
    left out, and the report says so."""
    front_line: str | None = None
    """Distance feature, or layer with one, that says how near the front line ran, for the
    baselines; the first distance of the family `front_lines` when left out."""
    expert_weights: Mapping[str, float] = Field(default_factory=dict)
    """Weights of the expert overlay: feature → weight, negative where less means likelier.
    Features are standardised first. Empty: an example, fitted to nothing."""
    accept_younger_layers: list[str] = Field(default_factory=list)
    """Layers younger than the outcomes that are accepted all the same, by key."""
    accept_separating_features: list[str] = Field(default_factory=list)
    """Features that alone tell the outcomes apart and are accepted all the same, by name."""
    proxy_patterns: list[str] = Field(default_factory=lambda: list(PROXY_PATTERNS))
    """Names of features and layers that show what survey, clearance or accidents left behind,
    with `*` and `?`. They know the outcome, so the leakage guard refuses them. Features built
    from the region's own records are not meant: those are rebuilt for every fold."""
    accept_proxies: list[str] = Field(default_factory=list)
    """Outcome proxies that are accepted all the same: names of layers or features."""


# ------------------------------------------------------------------------ model


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


# ---------------------------------------------------------- domain and explanation


class ApplicabilitySettings(Settings):
    """Where the model applies: how unlike the training cells a cell may be.

    Dissimilarity index and area of applicability after Meyer & Pebesma (2021). Outside the
    domain the likelihood map abstains.
    """

    enabled: bool = True
    """Measure the model's domain, store it in the bundle and map it. `false`: every cell gets
    a likelihood, however unlike anything the model has seen."""
    max_reference_cells: Annotated[int, Field(ge=10, le=100_000)] = 5_000
    """Training cells kept to measure from. With more training cells than that, dissimilarity
    is too large by at most the bound stated in `bundle.json` and `metrics.json`."""
    map_dissimilarity: bool = True
    """Also write `dissimilarity.tif`: dissimilarity, local point density, expected error."""


class ExplanationSettings(Settings):
    """What a training run says of what the model learned."""

    enabled: bool = True
    """Measure permutation importance and effects on the folds, and draw them."""
    n_features: Annotated[int, Field(ge=1, le=30)] = 6
    """Features, the most important first, of which effects are drawn."""
    n_cells: Annotated[int, Field(ge=50, le=100_000)] = 400
    """Cells over which effects are averaged, at most."""
    n_values: Annotated[int, Field(ge=4, le=200)] = 20
    """Values of a feature at which effects are measured, at most."""
    n_repeats: Annotated[int, Field(ge=1, le=100)] = 3
    """Permutations of each group of features on each fold."""
    block_m: PositiveMetres | None = None
    """Side of the blocks that are permuted as wholes; half of `validation.folds.size_m` when
    left out."""


# ---------------------------------------------------------------------- compute


class ComputeSettings(Settings):
    """How the machine is used. Never changes a result."""

    threads: Annotated[int, Field(ge=1, le=512)] | None = None
    """Threads; all cores when left out."""
    block_cells: Annotated[int, Field(ge=16, le=8192)] = 256
    """Side of the square blocks in which the region is processed."""
    progress: bool = True
    """Show progress with a rate and the time left."""

    @property
    def n_threads(self) -> int:
        """`threads`, or the cores this process may use."""
        if self.threads is not None:
            return self.threads
        own = getattr(os, "sched_getaffinity", None)
        return len(own(0)) if own is not None else os.cpu_count() or 1


class TrackingSettings(Settings):
    """MLflow."""

    enabled: bool = True
    """Record this run in MLflow."""
    uri: str | None = None
    """Tracking URI; `experiments/mlflow.db` (SQLite) under the working folder when left out."""
    artifact_root: str | None = None
    """Folder of the runs' files; `experiments/mlartifacts` when left out."""
    experiment: str = "hazardrank"
    """Name of the MLflow experiment."""
    run_name: str | None = None
    """Name of the run; region and time when left out."""
    tags: Mapping[str, str] = Field(default_factory=dict)
    """Further tags on the run."""


# --------------------------------------------------------------------- commands


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


AnySettings = TypeVar("AnySettings", bound=Settings)


def validate(kind: type[AnySettings], values: Mapping[str, Any], prefix: str = "") -> AnySettings:
    """Turn a tree of plain values into settings.

    Parameters
    ----------
    kind : type of Settings
        The settings class to build.
    values : mapping
        Plain values, as composed by Hydra and resolved.
    prefix : str, optional
        Key path of `values` itself, put before every path in a message.

    Returns
    -------
    Settings
        The validated, frozen settings.

    Raises
    ------
    SettingsError
        One line a problem: the key's path, the value and what is allowed.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        lines = [_problem(kind, prefix, detail) for detail in error.errors()]
        raise SettingsError("; ".join(dict.fromkeys(lines))) from None


def _problem(kind: type[Settings], prefix: str, detail: Any) -> str:
    steps = [str(step) for step in detail["loc"] if not _is_type_tag(str(step))]
    path = ".".join([*([prefix] if prefix else []), *steps]) or "settings"
    if detail["type"] == "extra_forbidden":
        known = _known_keys(kind, detail["loc"][:-1])
        allowed = f" Known here: {', '.join(known)}." if known else ""
        return f"{path}: there is no such setting.{allowed}"
    if detail["type"] == "missing":
        return f"{path}: is required and was not given"
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = detail["input"]
    shown = f" = {value!r}" if isinstance(value, str | int | float | bool | list | tuple) else ""
    return f"{path}{shown[:160]}: {message}"


def _is_type_tag(step: str) -> bool:
    """Pydantic names union members in error paths; people do not write those."""
    return bool(re.search(r"[\[\]()]|^(literal|float|int|str|constrained)", step))


def _known_keys(kind: type[Settings], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that `kind` allows at `path`, empty where that is not fixed."""
    current: Any = kind
    for step in path:
        fields = getattr(current, "model_fields", None)
        if fields is None or step not in fields:
            return []
        current = next(
            (
                part
                for part in _parts(fields[str(step)].annotation)
                if isinstance(part, type) and issubclass(part, BaseModel)
            ),
            None,
        )
    return sorted(getattr(current, "model_fields", {}))


def _parts(annotation: Any) -> tuple[Any, ...]:
    return (annotation, *getattr(annotation, "__args__", ()))
