"""What land is held out, and what is measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hazardrank.settings.base import Metres, PositiveMetres, Settings


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
