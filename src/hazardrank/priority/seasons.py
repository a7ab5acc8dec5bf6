"""Seasons of clearance on land whose truth is known: whether learning from finds pays.

Each season a policy chooses land that no record touches and nobody cleared yet, so many
hectares. All of it is then known, and a policy may learn from it. Only a simulation can play
this, since it knows what lies in land that another policy would have chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hazardrank.grid import SurveyGrid
from hazardrank.labels.cells import LabelledCells
from hazardrank.priority.review_ground import nearness_to_known, plain_cells
from hazardrank.settings import PolicyName
from hazardrank.validation.learner import FittedModel
from hazardrank.validation.random_share import allocate, draw
from hazardrank.validation.training_set import Matrix, TrainingSet

Index = NDArray[np.int64]
Flags = NDArray[np.bool_]
Values = NDArray[np.float64]
Fit = Callable[[TrainingSet], FittedModel]

M2_PER_HA = 1e4
#: Strata of likelihood that the reserved share is drawn from.
N_STRATA = 4


@dataclass(frozen=True)
class SimulatedLand:
    """Land on which seasons are played.

    Parameters
    ----------
    training : TrainingSet
        What the records say before the first season; without history features.
    matrix : ndarray of float32, shape (n_cells, n_features)
        Features of the cells of which the records say nothing.
    places : ndarray of int64, shape (2, n_cells)
        Their rows and columns.
    contaminated : ndarray of bool, shape (n_cells,)
        What is true of them.
    """

    training: TrainingSet
    matrix: Matrix
    places: Index
    contaminated: Flags

    @property
    def grid(self) -> SurveyGrid:
        """The grid."""
        return self.training.cells.grid

    @property
    def cell_ha(self) -> float:
        """Area of a cell in hectares."""
        return self.grid.cell_area_m2 / M2_PER_HA

    def with_found(self, cleared: Index) -> TrainingSet:
        """Return what is known once some of the cells are cleared."""
        known = self.training
        found = plain_cells(self.grid, self.places[:, cleared], self.contaminated[cleared])
        names = [name for name in vars(found) if name != "grid"]
        joined = {
            name: np.concatenate([getattr(known.cells, name), getattr(found, name)])
            for name in names
        }
        features = np.vstack([known.layer_features, self.matrix[cleared]])
        cells = LabelledCells(grid=self.grid, **joined)
        return replace(known, cells=cells, layer_features=features, groups=None)


@dataclass(frozen=True)
class Turn:
    """What a policy may look at when it chooses.

    Parameters
    ----------
    land : SimulatedLand
        The land; its truth is not looked at but of what was cleared.
    still_open : ndarray of int64
        Cells not cleared yet, in an order that chance made.
    cleared : ndarray of int64
        Cells cleared in earlier seasons.
    first : FittedModel
        The model of what is known before the first season.
    fit : callable
        Trains on what is known.
    """

    land: SimulatedLand
    still_open: Index
    cleared: Index
    first: FittedModel
    fit: Fit

    @property
    def nearness(self) -> Values:
        """How near open cells lie to cells known to be contaminated, higher is nearer."""
        land, cells = self.land, self.land.training.cells
        recorded = np.stack([cells.row, cells.col])[:, cells.contaminated].astype(np.int64)
        found = land.places[:, self.cleared[land.contaminated[self.cleared]]]
        hazards = np.concatenate([recorded, found], axis=1)
        return nearness_to_known(land.grid, hazards, land.places[:, self.still_open])


Scorer = Callable[[Turn], Values]


def _static(turn: Turn) -> Values:
    return turn.first.scores(turn.land.matrix[turn.still_open])


def _retrained(turn: Turn) -> Values:
    known = turn.land.with_found(turn.cleared)
    model = turn.fit(known) if len(turn.cleared) else turn.first
    return model.scores(turn.land.matrix[turn.still_open])


def _combined(turn: Turn) -> Values:
    """Score by the mean of two ranks: what is likely by the layers, and what is near finds."""
    ranks: Values = rankdata(_retrained(turn)) + rankdata(turn.nearness)
    return ranks


def _distance(turn: Turn) -> Values:
    return turn.nearness


def _random(turn: Turn) -> Values:
    return np.zeros(len(turn.still_open))


SCORERS: Mapping[PolicyName, Scorer] = MappingProxyType(
    {
        "combined": _combined,
        "retrained": _retrained,
        "retrained_random_share": _retrained,
        "static": _static,
        "distance": _distance,
        "random": _random,
    }
)


def play(
    land: SimulatedLand,
    policy: PolicyName,
    fit: Fit,
    first: FittedModel,
    n_seasons: int,
    cells_a_season: int,
    random_share: float,
    seed: int,
    on_season: Callable[[int], None] | None = None,
) -> list[Index]:
    """Return the cells that a policy clears in each season.

    Parameters
    ----------
    land : SimulatedLand
        The land.
    policy : str
        One of :data:`SCORERS`.
    fit : callable
        Trains on what is known.
    first : FittedModel
        The model of what is known before the first season.
    n_seasons, cells_a_season : int
        Seasons, and cells cleared in each as long as there are so many.
    random_share : float
        Share of the cells drawn at random, for ``retrained_random_share``.
    seed : int
        Seed of ties and draws.
    on_season : callable, optional
        Told of each season done.
    """
    rng = np.random.default_rng([seed, 40_961])
    cleared: list[Index] = []
    still_open = rng.permutation(len(land.contaminated))
    for _ in range(n_seasons):
        before = np.concatenate([np.empty(0, np.int64), *cleared])
        score = SCORERS[policy](Turn(land, still_open, before, first, fit))
        n_cells = min(cells_a_season, len(still_open))
        n_drawn = round(random_share * n_cells) if policy == "retrained_random_share" else 0
        chosen = _choose(score, n_cells, n_drawn, rng)
        cleared.append(still_open[chosen])
        still_open = still_open[~chosen]
        if on_season is not None:
            on_season(1)
    return cleared


def _choose(score: Values, n_cells: int, n_drawn: int, rng: np.random.Generator) -> Flags:
    """Return the cells of the highest scores, and some of the others drawn by strata of score."""
    order = np.argsort(-score, kind="stable")
    n_first = n_cells - n_drawn
    chosen = np.zeros(len(score), bool)
    chosen[order[:n_first]] = True
    rest = order[n_first:]
    n_strata = min(N_STRATA, n_drawn, len(rest))
    if n_strata:
        stratum = np.full(len(score), -1, np.int64)
        stratum[rest] = np.arange(len(rest)) * n_strata // len(rest)
        sizes = np.bincount(stratum[rest])
        chosen |= draw(stratum, allocate(sizes, np.full(n_strata, 0.5), n_drawn), rng)
    return chosen


def season_rows(
    land: SimulatedLand, cleared: list[Index], district: int, policy: PolicyName
) -> list[dict[str, float | int | str | None]]:
    """Return one row a season: hectares cleared and found, of the season and of all so far.

    ``ha_per_contaminated_ha`` is ``None`` where none was found.
    """
    rows: list[dict[str, float | int | str | None]] = []
    all_cleared = all_found = 0.0
    for number, cells in enumerate(cleared, start=1):
        worked = len(cells) * land.cell_ha
        found = int(land.contaminated[cells].sum()) * land.cell_ha
        all_cleared, all_found = all_cleared + worked, all_found + found
        rows.append(
            {
                "district_seed": district,
                "policy": policy,
                "season": number,
                "cleared_ha": worked,
                "contaminated_ha": found,
                "ha_per_contaminated_ha": worked / found if found else None,
                "cumulative_cleared_ha": all_cleared,
                "cumulative_contaminated_ha": all_found,
                "cumulative_ha_per_contaminated_ha": all_cleared / all_found if all_found else None,
                "share_of_all_found": all_found / (land.contaminated.sum() * land.cell_ha)
                if land.contaminated.any()
                else None,
            }
        )
    return rows
