"""From records to what each cell is known to be, by the rules of the label settings.

How a cell gets its outcome:

1. Each rule picks its records and measures how much of the cell they cover *together*:
   the exact area of their union, so overlapping polygons count once. Half a cell in
   each of two records is a whole cell; the same half twice is a half.
2. Within a rule, records are taken from the latest back until together they cover
   enough (``min_cover`` of the cell, or ``min_area_m2``). The last one taken dates the
   claim: a sliver of a new record cannot make an old one look new.
3. Claims of several rules on one cell are settled by ``precedence``. Ordnance found in
   land beats its release under both ``finds_…`` orders, and a record with finds never
   releases land there. Then the later claim beats the earlier (or the heavier the
   lighter), and the earlier rule wins what is left.

Unknown dates count as older than any known one and stay unknown: ``decided`` is NaT,
never ``records_as_of``, which is only the latest day such an outcome can be from (the
leakage guard uses it so).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from hazardrank.errors import LabelError
from hazardrank.grid import SurveyGrid
from hazardrank.labels.coverage import CoveredCells, Geometries, RecordShapes
from hazardrank.records import (
    EVENT_DATES,
    OUTCOME_CODES,
    HazardRecords,
    HazardStatus,
    Outcome,
    ReleaseMethod,
)
from hazardrank.settings import LabelRule, LabelSettings

CONTAMINATED = OUTCOME_CODES[Outcome.CONTAMINATED]
RELEASED = OUTCOME_CODES[Outcome.RELEASED]
UNSURVEYED = OUTCOME_CODES[Outcome.UNSURVEYED]
#: Covered areas this close (relatively) to what a rule asks for are enough.
TOLERANCE = 1e-9
NO_DATE = np.iinfo(np.int64).min
"""``NaT`` as an integer: smaller than any date, so unknown sorts as older than known."""


@dataclass(frozen=True)
class BlockLabels:
    """What each cell of a block is known to be. All arrays have shape (rows, cols).

    Parameters
    ----------
    outcome : ndarray of int8
        1 contaminated, 0 released, -1 unsurveyed.
    weight : ndarray of float32
        Evidence weight of the deciding rule, 0 where unsurveyed.
    hazard_id : ndarray of int64
        The hazard that labels the cell, -1 for none.
    decided : ndarray of datetime64[D]
        Date of the deciding record, NaT if unknown.
    rule : ndarray of int16
        Index of the deciding rule, -1 where unsurveyed.
    historical : ndarray of bool
        Contaminated in the past: ordnance was found and the land since cleared.
    standing : ndarray of bool
        A hazard area recorded as open claims the cell, whatever decided its outcome.
    """

    outcome: NDArray[np.int8]
    weight: NDArray[np.float32]
    hazard_id: NDArray[np.int64]
    decided: NDArray[np.datetime64]
    rule: NDArray[np.int16]
    historical: NDArray[np.bool_]
    standing: NDArray[np.bool_]

    @classmethod
    def unsurveyed(cls, shape: tuple[int, int]) -> BlockLabels:
        """Return labels of a block of which nothing is known."""
        return cls(
            outcome=np.full(shape, UNSURVEYED, np.int8),
            weight=np.zeros(shape, np.float32),
            hazard_id=np.full(shape, -1, np.int64),
            decided=np.full(shape, np.datetime64("NaT"), "datetime64[D]"),
            rule=np.full(shape, -1, np.int16),
            historical=np.zeros(shape, bool),
            standing=np.zeros(shape, bool),
        )


@dataclass(frozen=True)
class _RuleRecords:
    """The records one rule reads, in table order. All arrays have shape (n_records,)."""

    rule: LabelRule
    geometry: Geometries
    date: NDArray[np.int64]
    hazard_id: NDArray[np.int64]
    found: NDArray[np.bool_]
    cleared: NDArray[np.bool_]
    open: NDArray[np.bool_]


@dataclass(frozen=True)
class _Claims:
    """What rules say of cells. All arrays have shape (n_claims,)."""

    cell: NDArray[np.int64]
    rule: NDArray[np.int64]
    outcome: NDArray[np.int64]
    weight: NDArray[np.float64]
    date: NDArray[np.int64]
    hazard_id: NDArray[np.int64]
    found: NDArray[np.bool_]
    historical: NDArray[np.bool_]
    standing: NDArray[np.bool_]


class Labeller:
    """Says what each cell of a block is known to be.

    Parameters
    ----------
    records : HazardRecords
        All records of the region, in the CRS of its survey grid.
    settings : LabelSettings
        The rules and their precedence.
    records_as_of : date, optional
        The day to which the records are complete. Records dated later are refused.

    Raises
    ------
    LabelError
        If a rule filters on a column the records lack, or a record is dated after
        `records_as_of`.
    """

    def __init__(
        self,
        records: HazardRecords,
        settings: LabelSettings,
        records_as_of: date | None = None,
    ) -> None:
        self.settings = settings
        self.crs = records.crs
        self.records = records
        beats = settings.precedence != "latest"
        self._rules = [
            _rule_records(records, rule, f"labels.rules[{number}]", finds_beat_release=beats)
            for number, rule in enumerate(settings.rules)
        ]
        _check_dates(self._rules, records_as_of)
        self._shapes: dict[int, list[RecordShapes]] = {}

    def block(self, grid: SurveyGrid) -> BlockLabels:
        """Return what each cell of a block is known to be.

        Parameters
        ----------
        grid : SurveyGrid
            The block, in the records' CRS.

        Raises
        ------
        LabelError
            If the grid is in another CRS than the records.
        """
        if grid.crs != self.crs:
            raise LabelError(
                f"the survey grid is in {grid.crs} and the records in {self.crs}",
                remedy="Read the records into the region's CRS.",
            )
        labels = BlockLabels.unsurveyed(grid.shape)
        shapes = self._prepared(grid.cell_size_m)
        claims = _join(
            [
                _claims(number, rule, shape, grid)
                for number, (rule, shape) in enumerate(zip(self._rules, shapes, strict=True))
            ]
        )
        if len(claims.cell):
            _settle(claims, self.settings.precedence, labels)
        return labels

    def status(self, grid: SurveyGrid) -> NDArray[np.int8]:
        """Return the survey status of each cell of a block, as maps show it.

        The status is what the land is known to be *now*, and cautious: land cleared
        after finds is released; land inside a hazard area still recorded as open is
        contaminated, even where a later record releases it.

        Returns
        -------
        ndarray of int8, shape (rows, cols)
            Codes of :data:`hazardrank.records.OUTCOME_CODES`.
        """
        labels = self.block(grid)
        status = np.where(labels.historical, np.int8(RELEASED), labels.outcome)
        return np.where(labels.standing, np.int8(CONTAMINATED), status).astype(np.int8)

    def _prepared(self, cell_size_m: int) -> list[RecordShapes]:
        if cell_size_m not in self._shapes:
            self._shapes[cell_size_m] = [
                RecordShapes(_to_polygons(rule), cell_size_m) for rule in self._rules
            ]
        return self._shapes[cell_size_m]


# ------------------------------------------------------------------ rules → records


def _rule_records(
    records: HazardRecords, rule: LabelRule, where: str, *, finds_beat_release: bool
) -> _RuleRecords:
    """Return the records that a rule reads."""
    table: gpd.GeoDataFrame = getattr(records, rule.record)
    keep = np.ones(len(table), bool)
    for column, allowed in rule.where.items():
        keep &= _matches(table, column, allowed, f"{where}.where")
    found = np.zeros(len(table), bool)
    cleared = np.zeros(len(table), bool)
    still_open = np.zeros(len(table), bool)
    if rule.record == "clearance":
        found = records.found()
        cleared = (table["method"].astype(str) == ReleaseMethod.CLEARED.value).to_numpy()
        keep &= _finds_match(table, found, rule.found)
        if rule.outcome == "released" and finds_beat_release:
            keep &= ~found
    if rule.record == "hazard_areas":
        still_open = (table["status"].astype(str) == HazardStatus.OPEN.value).to_numpy()
    hazard_id = (
        table["hazard_id"].to_numpy(dtype=np.int64)
        if "hazard_id" in table and rule.outcome == "contaminated"
        else np.full(len(table), -1, np.int64)
    )
    return _RuleRecords(
        rule=rule,
        geometry=np.asarray(table.geometry.array, dtype=object)[keep],
        date=_days(table[EVENT_DATES[rule.record]])[keep],
        hazard_id=hazard_id[keep],
        found=found[keep],
        cleared=cleared[keep],
        open=still_open[keep],
    )


def _finds_match(
    table: gpd.GeoDataFrame, found: NDArray[np.bool_], wanted: bool | None
) -> NDArray[np.bool_]:
    """Return which clearance records match a rule's ``found``; unknown matches neither."""
    if wanted is None:
        return np.ones(len(table), bool)
    if wanted:
        return found
    devices: NDArray[np.float64] = table["devices_found"].to_numpy(dtype=float)
    return np.isfinite(devices) & ~found


def _matches(
    table: gpd.GeoDataFrame, column: str, allowed: list[str | bool], where: str
) -> NDArray[np.bool_]:
    """Return which records hold one of the allowed values in a column."""
    if column not in table or column == "geometry":
        known = ", ".join(sorted(set(table.columns) - {"geometry"}))
        raise LabelError(f"the records have no column '{column}' (columns: {known})", where=where)
    wanted = {str(value).casefold() for value in allowed}
    values = [not _is_missing(value) and str(value).casefold() in wanted for value in table[column]]
    return np.array(values, dtype=bool)


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _days(dates: pd.Series) -> NDArray[np.int64]:
    """Return dates as whole days since 1970, :data:`NO_DATE` where unknown."""
    days = pd.to_datetime(dates).to_numpy().astype("datetime64[D]")
    return days.astype(np.int64)


def _to_polygons(rule: _RuleRecords) -> Geometries:
    if rule.rule.record != "accidents" or rule.rule.buffer_m == 0:
        return rule.geometry
    buffered: Geometries = shapely.buffer(rule.geometry, rule.rule.buffer_m, quad_segs=16)
    return buffered


def _check_dates(rules: list[_RuleRecords], records_as_of: date | None) -> None:
    if records_as_of is None:
        return
    limit = np.datetime64(records_as_of, "D").astype(np.int64)
    for number, rule in enumerate(rules):
        n_later = int((rule.date > limit).sum())
        if n_later:
            latest = np.datetime64(int(rule.date.max()), "D")
            raise LabelError(
                f"{n_later} {rule.rule.record} records are dated after records_as_of "
                f"{records_as_of} (latest {latest})",
                where=f"labels.rules[{number}]",
                remedy="Correct the dates, or set region.records_as_of to a later day.",
            )


# ------------------------------------------------------------------ records → claims


def _claims(number: int, records: _RuleRecords, shapes: RecordShapes, grid: SurveyGrid) -> _Claims:
    """Return what one rule says of the cells of a block."""
    pairs = shapes.covered(grid)
    if records.rule.record == "accidents":
        pairs = _with_own_cells(pairs, records.geometry, grid)
    pairs = _latest_first(pairs, records.date)
    least_m2 = _least_area_m2(records.rule, grid.cell_area_m2)
    first, taken = _enough(pairs, shapes, grid, least_m2)
    best = first.copy()
    for claim in np.flatnonzero(taken > first + 1):
        best[claim] += np.argmax(pairs.area_m2[first[claim] : taken[claim]])
    record = pairs.record[best]
    open_m2 = np.bincount(
        pairs.cell, pairs.area_m2 * records.open[pairs.record], minlength=grid.n_cells
    )
    contaminated = records.rule.outcome == "contaminated"
    found = records.found[record] & contaminated
    return _Claims(
        cell=pairs.cell[first],
        rule=np.full(len(record), number, np.int64),
        outcome=np.full(len(record), CONTAMINATED if contaminated else RELEASED, np.int64),
        weight=np.full(len(record), records.rule.weight),
        date=records.date[pairs.record[taken - 1]],
        hazard_id=records.hazard_id[record],
        found=found,
        historical=found & records.cleared[record],
        standing=contaminated & (open_m2[pairs.cell[first]] >= least_m2),
    )


def _with_own_cells(pairs: CoveredCells, points: Geometries, grid: SurveyGrid) -> CoveredCells:
    """Return the pairs with the cell that holds each point added as covered whole."""
    present = ~(shapely.is_missing(points) | shapely.is_empty(points))
    record = np.flatnonzero(present)
    easting, northing = shapely.get_x(points[present]), shapely.get_y(points[present])
    row, col = grid.cells_of(easting, northing)
    inside = (row >= 0) & (row < grid.n_rows) & (col >= 0) & (col < grid.n_cols)
    own_cell, own_record = (row * grid.n_cols + col)[inside], record[inside]
    n_records = max(len(points), 1)
    other = ~np.isin(pairs.cell * n_records + pairs.record, own_cell * n_records + own_record)
    n_own = len(own_cell)
    return CoveredCells(
        cell=np.concatenate([pairs.cell[other], own_cell]),
        record=np.concatenate([pairs.record[other], own_record]),
        area_m2=np.concatenate([pairs.area_m2[other], np.full(n_own, grid.cell_area_m2)]),
        piece=np.concatenate([pairs.piece[other], np.full(n_own, -1, np.int64)]),
    )


def _latest_first(pairs: CoveredCells, date: NDArray[np.int64]) -> CoveredCells:
    """Return the pairs by cell, then latest date, then table order."""
    order = np.lexsort((pairs.record, -date[pairs.record].astype(float), pairs.cell))
    return CoveredCells(
        pairs.cell[order], pairs.record[order], pairs.area_m2[order], pairs.piece[order]
    )


def _least_area_m2(rule: LabelRule, cell_area_m2: float) -> float:
    """Return how much of a cell the rule asks to be covered."""
    least_m2 = rule.min_cover * cell_area_m2
    if rule.min_area_m2 is not None:
        least_m2 = min(least_m2, rule.min_area_m2)
    return least_m2 * (1 - TOLERANCE)


def _enough(
    pairs: CoveredCells, shapes: RecordShapes, grid: SurveyGrid, least_m2: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ``first`` and ``taken`` for every cell whose records together cover enough.

    The pairs ``first:taken`` are the latest of the cell's records that suffice.
    """
    first = np.flatnonzero(np.diff(pairs.cell, prepend=-1))
    last = np.append(first[1:], len(pairs))
    taken = np.where(pairs.area_m2[first] >= least_m2, first + 1, first)
    total_m2 = np.bincount(pairs.cell, pairs.area_m2, minlength=grid.n_cells)[pairs.cell[first]]
    for claim in np.flatnonzero((taken == first) & (total_m2 >= least_m2)):
        start = first[claim]
        for stop in range(start + 2, last[claim] + 1):
            together = pairs.piece[start:stop]
            if shapes.union_area_m2(grid, int(pairs.cell[start]), together) >= least_m2:
                taken[claim] = stop
                break
    return first[taken > first], taken[taken > first]


# ------------------------------------------------------------------ claims → labels


def _join(parts: list[_Claims]) -> _Claims:
    return _Claims(
        **{
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(_Claims)
        }
    )


def _settle(claims: _Claims, precedence: str, labels: BlockLabels) -> None:
    """Write the winning claim on each cell into `labels`."""
    standing = labels.standing.reshape(-1)
    standing[claims.cell[claims.standing]] = True
    keep = np.ones(len(claims.cell), bool)
    if precedence != "latest":
        with_finds = np.unique(claims.cell[claims.found])
        keep = ~(np.isin(claims.cell, with_finds) & (claims.outcome == RELEASED))
    date = claims.date.astype(float)
    weight = claims.weight if precedence == "finds_then_weight" else np.zeros(len(date))
    order = np.lexsort((claims.rule, -date, -weight, claims.cell))
    order = order[keep[order]]
    winner = order[np.flatnonzero(np.diff(claims.cell[order], prepend=-1))]
    cell = claims.cell[winner]
    labels.outcome.reshape(-1)[cell] = claims.outcome[winner]
    labels.weight.reshape(-1)[cell] = claims.weight[winner]
    labels.hazard_id.reshape(-1)[cell] = claims.hazard_id[winner]
    labels.decided.reshape(-1)[cell] = claims.date[winner].astype("datetime64[D]")
    labels.rule.reshape(-1)[cell] = claims.rule[winner]
    labels.historical.reshape(-1)[cell] = claims.historical[winner]
