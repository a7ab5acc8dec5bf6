"""What a model must be compared with, from prevalence to a random forest.

A new baseline is a function from a :class:`FoldView` to :class:`BaselineScores`, one line in
:data:`BASELINES` and its name in ``settings.ValidationSettings.baselines``. One that needs a
certain feature says in :data:`BASELINES` how it is found, or why it is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hazardrank.errors import SettingsError
from hazardrank.features.base import RECORDS_LAYER, FeatureSpec
from hazardrank.labels.cells import LabelledCells
from hazardrank.settings import ValidationSettings
from hazardrank.validation.training_set import Matrix, TrainingSet

#: Neighbours looked at together before a cell's own large hazard is left out by itself.
NEAR_CELLS = 16
#: Trees of the random forest, fewest cells in a leaf, and most cells a tree sees.
FOREST_TREES, FOREST_LEAF, FOREST_CELLS = 100, 5, 5000


@dataclass(frozen=True)
class FoldView:
    """One fold as a baseline sees it.

    Parameters
    ----------
    training : TrainingSet
        All labelled cells.
    matrix : ndarray of float32, shape (n_cells, n_features)
        Features of all cells with the fold's held-out land unknown.
    train, test : ndarray of int64
        Cells to learn from and cells to score.
    protocol : str
        ``new_district`` or ``infill``.
    seed : int
        Seed of whatever is drawn.
    threads : int
        Threads to use; changes no result.
    """

    training: TrainingSet
    matrix: Matrix
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    protocol: Literal["new_district", "infill"]
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True)
class BaselineScores:
    """Scores of a fold's held-out cells, and likelihoods if the baseline gives any."""

    score: NDArray[np.float64]
    likelihood: NDArray[np.float64] | None


Baseline = Callable[[FoldView], BaselineScores]


def prevalence(view: FoldView) -> BaselineScores:
    """Give every cell the share of contaminated cells on the training side."""
    share = float(view.training.cells.contaminated[view.train].mean())
    same = np.full(len(view.test), share)
    return BaselineScores(same, same)


def logistic_regression(view: FoldView) -> BaselineScores:
    """Fit a logistic regression with L2 penalty on standardised features.

    Missing values become the training side's median, with a column that says so.
    """
    cells = view.training.cells
    values = _finite(view.matrix)
    model = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(max_iter=5000),
    )
    model.fit(
        values[view.train],
        cells.contaminated[view.train],
        logisticregression__sample_weight=cells.weight[view.train],
    )
    likelihood = model.predict_proba(values[view.test])[:, 1]
    return BaselineScores(likelihood, likelihood)


def distance_to_known_hazard(view: FoldView) -> BaselineScores:
    """Rank cells by nearness to the nearest cell known to be contaminated.

    Known are the contaminated cells of the training side; under ``infill`` also those of
    the held-out land, but never the cell's own hazard.
    """
    cells = view.training.cells
    known = np.zeros(len(cells), bool)
    known[view.train] = True
    if view.protocol == "infill":
        known[view.test] = True
    known &= cells.contaminated
    distance_m = _distance_to_other(cells, np.flatnonzero(known), view.test)
    return BaselineScores(-distance_m, None)


def _distance_to_other(
    cells: LabelledCells, known: NDArray[np.int64], asked: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each asked cell's distance to the nearest known cell of another hazard.

    A cell without a hazard id is its own hazard. Cells with no other hazard get the
    longest distance of all.
    """
    hazard = np.where(cells.hazard_id >= 0, cells.hazard_id, -1 - np.arange(len(cells)))
    places = np.column_stack([cells.easting, cells.northing])
    distance_m = np.full(len(asked), np.inf)
    if len(known) == 0:
        return np.zeros(len(asked))
    n_near = min(NEAR_CELLS, len(known))
    answer = KDTree(places[known]).query(places[asked], k=list(range(1, n_near + 1)))
    far_m, near = np.asarray(answer[0]), np.asarray(answer[1])
    other = hazard[known[near]] != hazard[asked, None]
    found = other.any(axis=1)
    distance_m[found] = far_m[found, other[found].argmax(axis=1)]
    for own in np.unique(hazard[asked[~found]]):
        here = ~found & (hazard[asked] == own)
        rest = known[hazard[known] != own]
        if len(rest):
            distance_m[here] = KDTree(places[rest]).query(places[asked[here]])[0]
    longest_m = distance_m[np.isfinite(distance_m)].max(initial=0.0)
    return np.where(np.isfinite(distance_m), distance_m, longest_m)


def random_forest(view: FoldView) -> BaselineScores:
    """Grow a random forest (Breiman 2001) of fixed settings, untuned.

    100 trees, at least 5 cells in a leaf, the square root of the features at each split;
    each tree sees as many cells as there are, drawn with replacement, 5,000 at most.
    """
    cells, values = view.training.cells, _finite(view.matrix)
    model = RandomForestClassifier(
        n_estimators=FOREST_TREES,
        min_samples_leaf=FOREST_LEAF,
        max_features="sqrt",
        max_samples=min(len(view.train), FOREST_CELLS),
        n_jobs=view.threads,
        random_state=view.seed,
    )
    model.fit(
        values[view.train],
        cells.contaminated[view.train],
        sample_weight=cells.weight[view.train],
    )
    model.n_jobs = 1  # with more, trees are summed in the order they finish
    likelihood = model.predict_proba(values[view.test])[:, 1]
    return BaselineScores(likelihood, likelihood)


def _finite(matrix: Matrix) -> NDArray[np.float64]:
    values = matrix.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


# ------------------------------------------------------------- from chosen features

#: Stands for an unknown distance.
FARTHEST = 1e30
#: The example of an expert overlay: what is near, its weight, and the words by which a
#: distance is known. The weights are round numbers in the order in which overlays of the
#: field put these things; they are fitted to nothing and stand for no place.
EXPERT_EXAMPLE = (
    ("the front line", 4.0, ()),
    ("known hazards", 3.0, (RECORDS_LAYER,)),
    ("roads", 2.0, ("road",)),
    ("settlements", 1.0, ("settlement",)),
    ("bridges", 1.0, ("bridge",)),
    ("rivers and water", 0.5, ("river", "water")),
)


@dataclass(frozen=True)
class NearestFirst:
    """Ranks cells by one distance feature, nearest first; unknown distances last.

    Parameters
    ----------
    column : int
        Column of the feature.
    """

    column: int

    def __call__(self, view: FoldView) -> BaselineScores:
        """Score the held-out cells."""
        distance = _finite(view.matrix[view.test, self.column])
        return BaselineScores(-np.where(np.isnan(distance), FARTHEST, distance), None)


@dataclass(frozen=True)
class Overlay:
    """Weighs standardised features: an expert's weights, not fitted.

    Parameters
    ----------
    weights : mapping of int to float
        Column → weight.
    """

    weights: Mapping[int, float]

    def __call__(self, view: FoldView) -> BaselineScores:
        """Score the held-out cells; what is unknown counts as the training side's mean."""
        score = np.zeros(len(view.test))
        for column, weight in self.weights.items():
            values = _finite(view.matrix[:, column])
            known = values[view.train][~np.isnan(values[view.train])]
            spread = known.std() if len(known) else 0.0
            if spread > 0:
                score += weight * np.nan_to_num((values[view.test] - known.mean()) / spread)
        return BaselineScores(score, None)


@dataclass(frozen=True)
class Absent:
    """A baseline that these features do not allow, and why."""

    reason: str


def _front_line(specs: Sequence[FeatureSpec], settings: ValidationSettings) -> Baseline | Absent:
    column = _front_line_column(specs, settings.front_line)
    if column is None:
        return Absent("no feature measures the distance to a front line")
    return NearestFirst(column)


def _front_line_column(specs: Sequence[FeatureSpec], named: str | None) -> int | None:
    distances = [column for column, spec in enumerate(specs) if _is_distance(spec)]
    if named is None:
        return next((c for c in distances if specs[c].family == "front_lines"), None)
    for column in distances:
        if named in (specs[column].name, specs[column].layer):
            return column
    raise SettingsError(
        f"no distance feature is called '{named}', nor made from a layer of that name",
        where="validation.front_line",
        remedy=f"Distances: {', '.join(specs[c].name for c in distances) or 'none'}.",
    )


def _is_distance(spec: FeatureSpec) -> bool:
    named = "distance" in spec.name or spec.name.endswith("_dist")
    return named and "signed" not in spec.name and spec.unit in ("m", "km")


def _overlay(specs: Sequence[FeatureSpec], settings: ValidationSettings) -> Baseline | Absent:
    if settings.expert_weights:
        names = [spec.name for spec in specs]
        unknown = sorted(set(settings.expert_weights) - set(names))
        if unknown:
            raise SettingsError(
                f"there is no feature {', '.join(unknown)}",
                where="validation.expert_weights",
                remedy=f"Features: {', '.join(names)}.",
            )
        return Overlay({names.index(n): w for n, w in settings.expert_weights.items()})
    weights: dict[int, float] = {}
    for _, weight, words in EXPERT_EXAMPLE:
        column = (
            _first_distance(specs, words)
            if words
            else _front_line_column(specs, settings.front_line)
        )
        if column is not None:
            weights.setdefault(column, -weight)
    if not weights:
        return Absent(
            "no feature measures the distance to a front line, known hazards, roads, "
            "settlements, bridges or water"
        )
    return Overlay(weights)


def _first_distance(specs: Sequence[FeatureSpec], words: Sequence[str]) -> int | None:
    """Return the first distance whose name, or layer but for tables, holds one of the words."""
    for column, spec in enumerate(specs):
        text = spec.name if spec.family == "table" else f"{spec.name} {spec.layer}"
        if _is_distance(spec) and any(word in text.lower() for word in words):
            return column
    return None


# ------------------------------------------------------------------ by name

BaselineMaker = Callable[[Sequence[FeatureSpec], ValidationSettings], Baseline | Absent]

#: What finds a baseline in the features there are.
BASELINES: Mapping[str, BaselineMaker] = {
    "prevalence": lambda specs, settings: prevalence,
    "distance_to_known_hazard": lambda specs, settings: distance_to_known_hazard,
    "distance_to_front_line": _front_line,
    "logistic_regression": lambda specs, settings: logistic_regression,
    "random_forest": lambda specs, settings: random_forest,
    "expert_overlay": _overlay,
}


def choose_baselines(
    specs: Sequence[FeatureSpec], settings: ValidationSettings
) -> tuple[dict[str, Baseline], dict[str, str]]:
    """Return the baselines of the settings, and those that are absent with the reason.

    Raises
    ------
    SettingsError
        If a feature named for a baseline does not exist.
    """
    made = {str(name): BASELINES[name](specs, settings) for name in settings.baselines}
    absent = {name: made.reason for name, made in made.items() if isinstance(made, Absent)}
    return {n: made for n, made in made.items() if not isinstance(made, Absent)}, absent
