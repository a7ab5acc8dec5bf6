"""Dates: how much a plan counts that is still to come, or an event that has passed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hazardrank.features.segments import chosen, require_column
from hazardrank.settings import CriterionSettings

FloatArray = NDArray[np.float64]
DAYS_PER_YEAR = 365.25


class PlanSettings(CriterionSettings):
    """Settings of criteria on what is planned for a date."""

    half_life_years: Annotated[float, Field(gt=0, le=100)] | None = None
    """What is planned so many years ahead counts half."""
    discount_rate: Annotated[float, Field(gt=0, le=10)] | None = None
    """Instead: what is planned t years ahead counts 1 / (1 + rate)^t."""
    undated_years: Annotated[float, Field(ge=0, le=100)] = 3.0
    """Plans without a date count as if so many years ahead."""
    arrived: list[str] = Field(default_factory=lambda: ["completed"])
    """Values of the column `status` of what is there already: it counts fully."""
    dropped: list[str] = Field(default_factory=lambda: ["cancelled"])
    """Values of `status` of plans given up: they do not count."""

    @model_validator(mode="after")
    def _one_discount(self) -> PlanSettings:
        if self.half_life_years is not None and self.discount_rate is not None:
            raise ValueError("give half_life_years or discount_rate, not both")
        return self

    @property
    def discounts(self) -> bool:
        """Whether time counts at all."""
        return self.half_life_years is not None or self.discount_rate is not None


def years_between(
    start: date | NDArray[np.datetime64], end: date | NDArray[np.datetime64]
) -> FloatArray:
    """Return years from `start` to `end`, NaN where either is unknown (``NaT``)."""
    first = np.asarray(start, dtype="datetime64[D]")
    last = np.asarray(end, dtype="datetime64[D]")
    unknown = np.isnat(first) | np.isnat(last)
    days = np.where(unknown, np.timedelta64(0, "D"), last - first).astype(np.float64)
    return np.where(unknown, np.nan, days / DAYS_PER_YEAR)


def plan_factors(
    table: gpd.GeoDataFrame,
    settings: PlanSettings,
    today: date,
    path: str,
    step_years: float | None = None,
) -> FloatArray:
    """Return how much each planned thing counts for its date and status.

    Parameters
    ----------
    table : GeoDataFrame
        With a column ``planned`` (dates), where time counts; ``status`` is read where there
        is one.
    settings : PlanSettings
        Half-life or discount rate, and the words of the column ``status``.
    today : date
        The day it is seen from.
    path : str
        Settings path, for messages.
    step_years : float, optional
        Times are rounded to whole steps of this.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        1 for what is overdue, due today or already there; ½^(t / half-life) or
        (1 + rate)^−t for what is due in *t* years; 0 for what was given up.

    Raises
    ------
    FeatureError
        If time counts and the table has no column ``planned``.
    """
    factors = np.ones(len(table))
    if settings.discounts:
        require_column(table, "planned", path)
        years = years_between(today, table["planned"].to_numpy())
        years = np.maximum(np.where(np.isnan(years), settings.undated_years, years), 0.0)
        if step_years is not None:
            years = np.rint(years / step_years) * step_years
        if settings.half_life_years is not None:
            factors = np.exp2(-years / settings.half_life_years)
        else:
            assert settings.discount_rate is not None
            factors = np.power(1.0 + settings.discount_rate, -years)
    if "status" in table.columns:
        factors[_has_status(table, settings.arrived)] = 1.0
        factors[_has_status(table, settings.dropped)] = 0.0
    return factors


def _has_status(table: gpd.GeoDataFrame, words: list[str]) -> NDArray[np.bool_]:
    status: Mapping[str, list[str]] = {"status": words}
    return chosen(table, status, "status")
