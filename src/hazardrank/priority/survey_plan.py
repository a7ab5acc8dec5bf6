"""Where non-technical survey would change decisions most, and a share drawn at random.

The value of looking at a cell is

    area · uncertainty(p) · consequence · a · s

- `uncertainty`: what is not known and could be, 0–1. The entropy of the likelihood in bits,
  ``-p log2 p - (1 - p) log2 (1 - p)``, is most at 0.5. Or the expected value of perfect
  information (Raiffa & Schlaifer 1961) for the choice to clear from likelihood `t` on: where a
  missed hazard costs ``1 - t`` and needless clearance `t`, knowing would spare
  ``min(p (1 - t), (1 - p) t)``; divided by its peak, ``min(p / t, (1 - p) / (1 - t))``, which
  is most at `t`: land that is sure to be cleared anyway, or sure not to be, gains nothing.
- `consequence`, 0–1: an answer that harms or holds back nobody changes no decision. It counts
  as ``least_consequence`` at least.
- `a`: ``unjudged_factor`` where the model cannot judge, else 1. There `p` is a prior of its own,
  never 0: land that the model cannot judge is not harmless, and what is found on it
  also tells where the model may be used.
- `s`: ``surveyed_weight`` where land was surveyed before, else 1.

A unit's value is the sum over its cells: hectares of full consequence of which nothing is
known. Cells near each other are alike, so the sum says more than one visit could tell; it is
for ranking units of like size, and by team-day where the budget is in team-days.

Units are chosen by value first, without chance. Of all others a stratified random sample is
drawn: see :mod:`hazardrank.validation.random_share` for the design and why it has no bias.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hazardrank.errors import PriorityError
from hazardrank.grid import SurveyGrid
from hazardrank.priority.survey_selection import Selection
from hazardrank.priority.survey_units import SurveyUnits
from hazardrank.settings import SurveyPlanSettings

FloatArray = NDArray[np.float64]

M2_PER_HA, M2_PER_KM2 = 1e4, 1e6
#: Likelihood of land that cannot be judged, where the mean of the map is lower.
LEAST_PRIOR = 0.01

#: Column → what it holds.
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "unit_id": "stable id: cell code of the square, place of the village, or id of the task",
        "name": "settlement, where units are villages",
        "area_m2": "area of the unit's cells inside the region",
        "value_rank": "1 is worth most, per team-day where the budget is in team-days",
        "value": "what survey could tell: hectares of full consequence of which nothing is known",
        "team_days": "team-days of a visit, as assumed in the settings",
        "why": "plain reasons",
        "selected_by": "value, random or none",
        "stratum": "stratum of the random sample; empty where the unit is chosen for its value",
        "selection_probability": "chance to be selected: 1 for units chosen for their value, and "
        "for all others units drawn over units there are in the stratum",
        "likelihood_mean": "mean contamination likelihood of the cells the model can judge",
        "uncertainty_mean": "mean of the uncertainty, 0–1, unjudged cells with their prior",
        "consequence_mean": "mean consequence, 0–1",
        "unjudged_share": "share of the area that the model cannot judge",
        "unsurveyed_share": "share of the area that was never surveyed",
    }
)


def uncertainty(likelihood: FloatArray, settings: SurveyPlanSettings) -> FloatArray:
    """Return what not knowing costs, 0–1, by likelihood; NaN where that is NaN."""
    p = np.asarray(likelihood, np.float64)
    if settings.measure == "perfect_information":
        limit = settings.clear_from
        spared: FloatArray = np.minimum(p / limit, (1 - p) / (1 - limit))
        return spared
    inner = np.clip(p, 1e-300, 1 - 1e-16)
    bits = -(inner * np.log2(inner) + (1 - inner) * np.log2(1 - inner))
    return np.where((p <= 0) | (p >= 1), 0.0, bits)


class SurveyTotals:
    """What the cells of survey units hold, added up block by block.

    Parameters
    ----------
    units : SurveyUnits
        The units.
    settings : SurveyPlanSettings
        What counts how much.
    cell_area_m2 : float
        Area of a cell.
    """

    def __init__(
        self, units: SurveyUnits, settings: SurveyPlanSettings, cell_area_m2: float
    ) -> None:
        self.units, self.settings, self.cell_area_m2 = units, settings, cell_area_m2
        self._n = len(units.ids)
        names = ("cells", "judged", "likelihood", "value", "bits", "open", "stake", "unsurveyed")
        self.sums = {name: np.zeros(self._n) for name in names}

    def add(
        self,
        block: SurveyGrid,
        likelihood: NDArray[np.floating],
        unsurveyed: NDArray[np.bool_],
        consequence: NDArray[np.floating],
        inside: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add the cells of a block; every cell of the area is to be added once.

        Parameters
        ----------
        block : SurveyGrid
            The block.
        likelihood : ndarray of float, shape (rows, cols)
            Contamination likelihood, NaN where the model cannot judge.
        unsurveyed : ndarray of bool, shape (rows, cols)
            Cells never surveyed.
        consequence : ndarray of float, shape (rows, cols)
            Consequence of all criteria together, 0–1.
        inside : ndarray of bool, shape (rows, cols), optional
            Cells of the area; all when left out.
        """
        labels = self.units.of(block)
        here = labels >= 0 if inside is None else (labels >= 0) & inside
        unit = labels[here]
        p = likelihood[here].astype(np.float64)
        new, stake = unsurveyed[here], consequence[here].astype(np.float64)
        judged = ~np.isnan(p)
        counts = np.where(new, 1.0, self.settings.surveyed_weight) * np.maximum(
            stake, self.settings.least_consequence
        )
        bits = np.where(judged, uncertainty(p, self.settings), 0.0)
        added = {
            "cells": np.ones(len(unit)),
            "judged": judged,
            "likelihood": np.where(judged, p, 0.0),
            "value": bits * counts,
            "bits": bits,
            "open": np.where(judged, 0.0, counts),
            "stake": stake,
            "unsurveyed": new,
        }
        for name, values in added.items():
            self.sums[name] += np.bincount(unit, values.astype(np.float64), self._n)

    @property
    def prior(self) -> float:
        """Likelihood of land that the model cannot judge."""
        if self.settings.unjudged_likelihood is not None:
            return self.settings.unjudged_likelihood
        judged = self.sums["judged"].sum()
        mean = self.sums["likelihood"].sum() / judged if judged else 0.5
        return float(np.clip(mean, LEAST_PRIOR, 0.5))

    def table(self) -> pd.DataFrame:
        """Return a row for each unit that holds cells, without what is chosen of them."""
        some = self.sums["cells"] > 0
        sums = {name: values[some] for name, values in self.sums.items()}
        cells, judged, settings = sums["cells"], sums["judged"], self.settings
        unknown = float(uncertainty(np.array(self.prior), settings))
        value = sums["value"] + settings.unjudged_factor * unknown * sums["open"]
        area_m2 = cells * self.cell_area_m2
        days = np.maximum(
            area_m2 / M2_PER_KM2 / settings.km2_per_team_day, settings.least_team_days
        )
        mean = np.divide(
            sums["likelihood"], judged, out=np.full(len(cells), np.nan), where=judged > 0
        )
        return pd.DataFrame(
            {
                "unit": np.flatnonzero(some),
                "area_m2": area_m2,
                "value": value * self.cell_area_m2 / M2_PER_HA,
                "team_days": days,
                "likelihood_mean": mean,
                "uncertainty_mean": (sums["bits"] + unknown * (cells - judged)) / cells,
                "consequence_mean": sums["stake"] / cells,
                "unjudged_share": 1 - judged / cells,
                "unsurveyed_share": sums["unsurveyed"] / cells,
            }
        )


def plan_survey(
    totals: SurveyTotals, settings: SurveyPlanSettings, crs: str, seed: int
) -> gpd.GeoDataFrame:
    """Choose units for their value, and draw the reserved share at random from all others.

    Parameters
    ----------
    totals : SurveyTotals
        What the units hold, all blocks added.
    settings : SurveyPlanSettings
        Budget, reserved share and strata.
    crs : str
        CRS of the outlines.
    seed : int
        Seed of the draw.

    Returns
    -------
    GeoDataFrame
        The columns of :data:`COLUMNS` and the outlines, worth most first. All units are
        there, selected or not: the review needs their number and their probabilities.

    Raises
    ------
    PriorityError
        If no unit holds cells.
    """
    table = totals.table()
    if len(table) == 0:
        raise PriorityError(
            "no unit of survey holds a cell of the area",
            where="plan.by",
            remedy="Check plan.reach_m and the extent of the region.",
        )
    units = totals.units
    numbers = table.pop("unit").to_numpy()
    table.insert(0, "unit_id", units.ids[numbers])
    table.insert(1, "name", units.names[numbers])
    rate = table["value"]
    if settings.budget_team_days is not None:
        rate = rate / table["team_days"]
    order = np.lexsort((table["unit_id"].to_numpy(str), -rate.to_numpy()))
    table = table.iloc[order].reset_index(drop=True)
    table["value_rank"] = np.arange(1, len(table) + 1)
    chosen = Selection.of(table, totals.prior, settings, seed)
    table["selected_by"], table["stratum"] = chosen.by, chosen.stratum
    table["selection_probability"] = chosen.probability
    table["why"] = _reasons(table)
    outlines = units.outlines()[numbers[order]]
    return gpd.GeoDataFrame(table[list(COLUMNS)], geometry=outlines, crs=crs)


# ------------------------------------------------------------------ words


def _reasons(table: pd.DataFrame) -> list[str]:
    """Return why each unit is worth a visit, in plain words."""
    high = float(table["consequence_mean"].quantile(0.75))
    return [_reason(unit, high) for unit in table.to_dict("records")]


def _reason(unit: Mapping[Hashable, Any], high: float) -> str:
    parts = []
    if unit["selected_by"] == "random":
        chance = unit["selection_probability"]
        parts.append(f"drawn at random with chance {chance:.3g} from: {unit['stratum']}")
    if unit["unjudged_share"] >= 0.25:
        parts.append(f"the model cannot judge {unit['unjudged_share']:.0%} of it")
    if unit["uncertainty_mean"] >= 0.5:
        parts.append("could well be either: what is known leaves it open")
    if unit["unsurveyed_share"] >= 0.5:
        parts.append(f"{unit['unsurveyed_share']:.0%} was never surveyed")
    if unit["consequence_mean"] >= high > 0:
        parts.append("among the quarter of units where most is at stake")
    return "; ".join(parts) or f"{unit['value']:.1f} ha of full consequence are open"


def plan_words(table: gpd.GeoDataFrame, settings: SurveyPlanSettings) -> list[str]:
    """Return what the plan is, in a few sentences."""
    by = table["selected_by"]
    n_value, n_random = int((by == "value").sum()), int((by == "random").sum())
    selected = table[by != "none"]
    words = [
        f"{n_value + n_random} of {len(table):,} {settings.by} to survey: {n_value} for what they "
        f"could tell, {n_random} drawn at random; about {selected['team_days'].sum():,.0f} "
        "team-days as assumed in the settings.",
        f"The first {n_value} hold {_share(table, n_value):.0%} of all that survey could tell.",
    ]
    if n_random == 0:
        words.append(
            "Nothing is drawn at random: what the ranking misses cannot be judged without bias."
        )
    else:
        chance = table.loc[by != "value", "selection_probability"]
        words.append(
            f"Every other unit had a chance of {chance.min():.3g} to {chance.max():.3g}. Survey "
            "all that were drawn: a unit left out for convenience undoes what they are for."
        )
    words.append("A unit that is not selected is not released, and says nothing of its land.")
    return words


def _share(table: gpd.GeoDataFrame, n_value: int) -> float:
    total = float(table["value"].sum())
    return float(table["value"].iloc[:n_value].sum()) / total if total > 0 else 0.0
