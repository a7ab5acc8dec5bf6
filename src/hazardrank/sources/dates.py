"""Reading dates as exports write them, without ever guessing one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Literal

import numpy as np
import pandas as pd

from hazardrank.errors import RecordError

DateOrder = Literal["day_first", "month_first"]
#: What an empty date looks like in exports.
EMPTY_WORDS = frozenset({"", "-", "--", "null", "<null>", "none", "nan", "nat", "n/a", "na"})

_TIME = r"(?:[T ]\s*\d{1,2}:\d{2}.*)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_TIME}")
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})[-/. ](\d{{1,2}})[-/. ](\d{{4}}){_TIME}")
_NAMED = re.compile(rf"(\d{{1,2}})[-/. ]+([a-z]{{3,9}})[-/., ]+(\d{{4}}){_TIME}", re.IGNORECASE)
_NAME_FIRST = re.compile(rf"([a-z]{{3,9}})\.? (\d{{1,2}}),? (\d{{4}}){_TIME}", re.IGNORECASE)
_EPOCH_MS = re.compile(r"-?\d{11,14}(?:\.0)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse_dates(values: pd.Series, where: str, order: DateOrder | None = None) -> pd.Series:
    """Read a column of dates; what is empty stays ``NaT``.

    ISO dates (with or without time), ``20190301``, ``1-Mar-2019``, ``Mar 1, 2019``, epoch
    milliseconds (as ArcGIS REST writes them) and ``01/03/2019`` are read. For the last
    form the column itself decides between day first and month first; if it does not,
    `order` must. A year alone is no date.

    Parameters
    ----------
    values : Series
        Text, dates, numbers or missing.
    where : str
        File and column, for messages.
    order : {"day_first", "month_first"}, optional
        How ``03/04/2019`` reads.

    Returns
    -------
    Series of datetime64[s]
        Days (midnight), with the index of `values`.

    Raises
    ------
    RecordError
        If a value that is not empty is no date, naming its rows; or if the column could
        be read both ways and `order` is not given.
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        plain = values.dt.tz_localize(None) if values.dt.tz is not None else values
        days_only: pd.Series = plain.dt.normalize().astype("datetime64[s]")
        return days_only
    texts = values.map(_text)
    known = {text for text in texts.unique() if text}
    ambiguous = {text for text in known if _YEAR_LAST.fullmatch(text)}
    days: dict[str, date | None] = {text: _fixed_form(text) for text in known - ambiguous}
    days |= _year_last(ambiguous, where, order)
    _refuse_unreadable(texts, days, where)
    stamps = [np.datetime64(days[text], "s") if text else np.datetime64("NaT") for text in texts]
    return pd.Series(np.array(stamps, dtype="datetime64[s]"), index=values.index)


def _text(value: object) -> str:
    """Return a value as text, empty where it is missing."""
    if isinstance(value, datetime):
        return "" if pd.isna(value) else value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NaT:
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    text = str(value).strip()
    return "" if text.casefold() in EMPTY_WORDS else text


def _fixed_form(text: str) -> date | None:
    """Read a date whose form leaves nothing open; None if it has no such form."""
    for pattern, day in _FORMS:
        match = pattern.fullmatch(text)
        if match:
            return day(*match.groups())
    if _EPOCH_MS.fullmatch(text):
        days = int(float(text)) // 86_400_000
        return date.fromordinal(date(1970, 1, 1).toordinal() + days)
    return None


def _year_last(texts: set[str], where: str, order: DateOrder | None) -> dict[str, date | None]:
    """Read ``a/b/year`` by the one order that fits the whole column."""
    parts = {text: _parts(text) for text in texts}
    day_first = {text: _day(year, b, a) for text, (a, b, year) in parts.items()}
    month_first = {text: _day(year, a, b) for text, (a, b, year) in parts.items()}
    if order is not None:
        return day_first if order == "day_first" else month_first
    fits_day = None not in day_first.values()
    fits_month = None not in month_first.values()
    if fits_day and fits_month and day_first != month_first:
        example = min(text for text in texts if day_first[text] != month_first[text])
        raise RecordError(
            f"dates such as '{example}' can be read day first or month first",
            where=where,
            remedy="Set date_order of this source to day_first or month_first.",
        )
    return day_first if fits_day or not fits_month else month_first


def _parts(text: str) -> tuple[str, str, str]:
    match = _YEAR_LAST.fullmatch(text)
    assert match is not None
    first, second, year = match.groups()
    return first, second, year


def _day(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _named(day: str, month: str, year: str) -> date | None:
    name = month[:3].lower()
    return _day(year, str(_MONTHS.index(name) + 1), day) if name in _MONTHS else None


_FORMS: tuple[tuple[re.Pattern[str], Callable[..., date | None]], ...] = (
    (_YEAR_FIRST, _day),
    (_COMPACT, _day),
    (_NAMED, _named),
    (_NAME_FIRST, lambda month, day, year: _named(day, month, year)),
)


def _refuse_unreadable(texts: pd.Series, days: dict[str, date | None], where: str) -> None:
    bad = [text for text, day in days.items() if day is None]
    if not bad:
        return
    rows = [index for index, text in enumerate(texts) if text in set(bad)]
    raise RecordError(
        f"{_some(sorted(bad))} cannot be read as a date ({rows_text(rows)})",
        where=where,
        remedy="Write dates as 2019-03-01, or map the value under the source's `values` "
        '(to "" where the date is unknown).',
    )


def _some(values: list[str], most: int = 5) -> str:
    shown = ", ".join(f"'{value}'" for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more values"


def rows_text(rows: Iterable[int], most: int = 5) -> str:
    """Return ``row 3`` or ``rows 3, 7, 9 and 20 more``, counted from 1."""
    numbers = [str(row + 1) for row in rows]
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    shown = ", ".join(numbers[:most])
    return f"rows {shown}" + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
