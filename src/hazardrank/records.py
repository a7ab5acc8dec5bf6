"""The domain's nouns: what mine-action records say, in the terms of IMAS 04.10.

Records travel as GeoDataFrames with the columns listed here, one table per kind,
held together by :class:`HazardRecords`. Dates that are unknown stay ``NaT``;
nothing in this module guesses one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from enum import StrEnum
from types import MappingProxyType

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hazardrank.errors import RecordError


class HazardKind(StrEnum):
    """How good the evidence for a recorded hazard area is."""

    SHA = "SHA"
    """Suspected hazardous area: indirect evidence."""
    CHA = "CHA"
    """Confirmed hazardous area: direct evidence."""


class HazardStatus(StrEnum):
    """Whether a recorded hazard area still stands."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class ReleaseMethod(StrEnum):
    """How land was released."""

    CANCELLED = "cancelled"
    """By non-technical survey."""
    REDUCED = "reduced"
    """By technical survey."""
    CLEARED = "cleared"
    """By clearance."""
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """The only three things a cell can be known to be."""

    CONTAMINATED = "contaminated"
    RELEASED = "released"
    UNSURVEYED = "unsurveyed"


#: Outcome codes in rasters and arrays. ``survey_status.tif`` stores them.
OUTCOME_CODES: Mapping[Outcome, int] = MappingProxyType(
    {Outcome.UNSURVEYED: -1, Outcome.RELEASED: 0, Outcome.CONTAMINATED: 1}
)


@dataclass(frozen=True)
class HazardArea:
    """A recorded polygon in which explosive ordnance is suspected or confirmed."""

    record_id: str
    kind: HazardKind
    status: HazardStatus = HazardStatus.UNKNOWN
    device: str | None = None
    """Device categories as recorded, ``;`` between several (AP, AT, UXO, CM, IED …)."""
    evidence: str | None = None
    reported: date | None = None
    """When the area entered the records."""
    closed: date | None = None


@dataclass(frozen=True)
class ClearanceRecord:
    """A polygon of land released, and what was found in it."""

    record_id: str
    method: ReleaseMethod
    completed: date | None = None
    devices_found: float | None = None
    """Items of explosive ordnance found; ``None`` where the record does not say."""


@dataclass(frozen=True)
class Accident:
    """A point at which explosive ordnance harmed people or animals."""

    record_id: str
    occurred: date | None = None
    victims: float | None = None
    device: str | None = None


@dataclass(frozen=True)
class SurveyVisit:
    """A polygon that a survey team covered, and whether it met evidence of hazard."""

    record_id: str
    visited: date | None = None
    evidence_found: bool | None = None


@dataclass(frozen=True)
class SettlementReturn:
    """A place people live in or are to return to."""

    record_id: str
    name: str | None = None
    households: float | None = None
    people: float | None = None
    planned: date | None = None
    status: str | None = None
    """``planned``, ``under way``, ``completed`` … as recorded."""


Noun = type[HazardArea] | type[ClearanceRecord] | type[Accident] | type[SurveyVisit]

#: The table of each kind of hazard record.
RECORD_NOUNS: Mapping[str, Noun] = MappingProxyType(
    {
        "hazard_areas": HazardArea,
        "clearance": ClearanceRecord,
        "accidents": Accident,
        "survey": SurveyVisit,
    }
)

#: When the event of each kind of record took place.
EVENT_DATES: Mapping[str, str] = MappingProxyType(
    {
        "hazard_areas": "reported",
        "clearance": "completed",
        "accidents": "occurred",
        "survey": "visited",
    }
)
DATE_COLUMNS = frozenset({"reported", "closed", "completed", "occurred", "visited", "planned"})
NUMBER_COLUMNS = frozenset({"devices_found", "victims", "households", "people"})


def columns_of(noun: type) -> tuple[str, ...]:
    """Return the columns a table of this noun has, without ``geometry``."""
    return tuple(column.name for column in fields(noun))


def empty_table(noun: type, crs: str) -> gpd.GeoDataFrame:
    """Return a table of `noun` with its columns, dtypes and no rows."""
    data: dict[str, pd.Series] = {}
    for column in columns_of(noun):
        if column in DATE_COLUMNS:
            data[column] = pd.Series([], dtype="datetime64[s]")
        elif column in NUMBER_COLUMNS:
            data[column] = pd.Series([], dtype="float64")
        else:
            data[column] = pd.Series([], dtype="object")
    return gpd.GeoDataFrame(data, geometry=gpd.GeoSeries([], crs=crs), crs=crs)


@dataclass(frozen=True)
class HazardRecords:
    """All hazard records of a region, in the CRS of its survey grid.

    Parameters
    ----------
    crs : str
        Authority code of the CRS all four tables are in.
    hazard_areas, clearance, accidents, survey : GeoDataFrame, optional
        One row per record; the columns of :data:`RECORD_NOUNS` and ``geometry``
        (polygons, or points for accidents). Dates are ``datetime64``, unknown ``NaT``.
        ``hazard_areas``, ``clearance`` and ``accidents`` may also carry ``hazard_id``
        (int64): records that overlap share one, so that none can explain or test
        another; -1 for clearance in which nothing was found.
    """

    crs: str
    hazard_areas: gpd.GeoDataFrame = field(default=None)
    clearance: gpd.GeoDataFrame = field(default=None)
    accidents: gpd.GeoDataFrame = field(default=None)
    survey: gpd.GeoDataFrame = field(default=None)

    def __post_init__(self) -> None:
        for name, noun in RECORD_NOUNS.items():
            table = getattr(self, name)
            if table is None:
                object.__setattr__(self, name, empty_table(noun, self.crs))
                continue
            missing = set(columns_of(noun)) - set(table.columns)
            if missing:
                raise RecordError(
                    f"the {name} table lacks the columns {sorted(missing)}",
                    remedy="Read records through hazardrank.sources.hazard_records.",
                )
            if table.crs is None or table.crs != self.crs:
                raise RecordError(f"the {name} table is in {table.crs}, not in {self.crs}")

    def without(
        self,
        hazard_ids: NDArray[np.int64],
        held_out_land: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]
        | None = None,
    ) -> HazardRecords:
        """Return the records that remain when some hazards and some land are unknown.

        Parameters
        ----------
        hazard_ids : ndarray of int64
            Hazards to forget; the tables must carry ``hazard_id``.
        held_out_land : callable, optional
            Easting and northing of points → which lie in held-out land. Records whose
            representative point lies there are forgotten too.
        """

        def remaining(table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
            keep = np.ones(len(table), bool)
            if "hazard_id" in table:
                keep &= ~np.isin(table["hazard_id"].to_numpy(), hazard_ids)
            if held_out_land is not None and len(table):
                points = table.geometry.representative_point()
                keep &= ~held_out_land(points.x.to_numpy(), points.y.to_numpy())
            return table[keep]

        return HazardRecords(
            self.crs, **{name: remaining(getattr(self, name)) for name in RECORD_NOUNS}
        )

    def known_before(self, day: np.datetime64) -> HazardRecords:
        """Return the records whose event lies before `day`; those without a date are not known.

        Parameters
        ----------
        day : datetime64[D]
            Hazard areas reported, land released, accidents occurred and survey visited on
            this day or later are forgotten.
        """
        tables = {}
        for name, column in EVENT_DATES.items():
            table = getattr(self, name)
            tables[name] = table[(table[column] < pd.Timestamp(day)).to_numpy(dtype=bool)]
        return HazardRecords(self.crs, **tables)

    def counts(self) -> dict[str, int]:
        """Return the number of records of each kind."""
        return {name: len(getattr(self, name)) for name in RECORD_NOUNS}

    def found(self) -> NDArray[np.bool_]:
        """Return, for each clearance record, whether ordnance was found in it.

        Returns
        -------
        ndarray of bool, shape (n_clearance,)
            False where the record does not say.
        """
        devices: NDArray[np.float64] = self.clearance["devices_found"].to_numpy(dtype=float)
        return np.nan_to_num(devices) > 0
