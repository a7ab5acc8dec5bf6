"""From a file's columns and words to ours: mapping, filtering, and refusing what is unclear."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from hazardrank.errors import RecordError
from hazardrank.records import DATE_COLUMNS, NUMBER_COLUMNS, RECORD_NOUNS, columns_of
from hazardrank.settings import RecordSource
from hazardrank.sources.dates import EMPTY_WORDS, parse_dates, rows_text
from hazardrank.sources.mappings import ALLOWED, READY_MAPPINGS, WORDS, find_column, squeezed

#: Columns without which a table of this kind says nothing.
REQUIRED = {"hazard_areas": "kind"}


def near_matches(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean …? `` or the columns there are, for messages."""
    names = [str(column) for column in known]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(repr(match) for match in close)}?"
    return f"The file has: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}."


def present_text(value: object) -> str:
    """Return a value as text for comparing, empty where it is missing; 1.0 reads ``1``."""
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    text = str(value).strip()
    return "" if text.casefold() in EMPTY_WORDS else text


def keep_where(table: pd.DataFrame, where: Mapping[str, list[str]], file: str) -> pd.Series:
    """Return which rows hold, in every column named, one of the values listed.

    Raises
    ------
    RecordError
        If the file has no such column.
    """
    keep = pd.Series(True, index=table.index)
    for column, values in where.items():
        if column not in table.columns:
            raise RecordError(
                f"`where` names a column '{column}' that the file does not have",
                where=file,
                remedy=near_matches(column, table.columns),
            )
        keep &= table[column].map(present_text).isin([present_text(value) for value in values])
    return keep


def mapped_columns(kind: str, source: RecordSource, columns: Iterable[str]) -> dict[str, str]:
    """Return our column → the file's column, as far as the file has one.

    Raises
    ------
    RecordError
        If the settings name a column of ours or of the file that does not exist.
    """
    ours, names = columns_of(RECORD_NOUNS[kind]), [str(column) for column in columns]
    for setting in (source.columns, source.constants, source.values):
        for column in setting:
            if column not in ours:
                raise RecordError(
                    f"{kind} have no column '{column}'; their columns are {', '.join(ours)}",
                    where=source.path,
                )
    found: dict[str, str] = {}
    for column in ours:
        if column in source.constants:
            continue
        if column in source.columns:
            found[column] = _named_column(source.columns[column], names, column, source.path)
        else:
            match = find_column(READY_MAPPINGS[source.mapping][kind].get(column, ()), names)
            if match is not None:
                found[column] = match
    return found


def _named_column(name: str, columns: list[str], ours: str, file: str) -> str:
    if name in columns:
        return name
    same = [column for column in columns if column.casefold() == name.casefold()]
    if len(same) == 1:
        return same[0]
    raise RecordError(
        f"the file has no column '{name}' (given for {ours})",
        where=file,
        remedy=near_matches(name, columns),
    )


def translate(kind: str, source: RecordSource, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with our columns, read from a file's columns.

    Parameters
    ----------
    kind : str
        Key of :data:`~hazardrank.records.RECORD_NOUNS`.
    source : RecordSource
        The file's mapping.
    table : DataFrame
        The file's rows.

    Returns
    -------
    DataFrame
        The columns of the noun in order, with the index of `table`: dates as
        ``datetime64[s]``, numbers as float64, everything else as objects, ``None``
        where unknown. ``record_id`` may still be ``None``.

    Raises
    ------
    RecordError
        If a value is not understood, naming it, its rows and the words that are.
    """
    found = mapped_columns(kind, source, table.columns)
    missing = REQUIRED.get(kind)
    if missing and missing not in found and missing not in source.constants:
        raise RecordError(
            f"no column says the {missing} of these {kind}",
            where=source.path,
            remedy=f"Name it under columns: {{{missing}: …}}, or state one value for the whole "
            f"file under constants: {{{missing}: {ALLOWED[missing][0]}}}.",
        )
    data = {}
    for column in columns_of(RECORD_NOUNS[kind]):
        values = pd.Series(source.constants.get(column), index=table.index, dtype=object)
        if column in found:
            values = table[found[column]]
        data[column] = _column(column, found.get(column, column), values, source)
    return pd.DataFrame(data, index=table.index)


def _column(column: str, named: str, values: pd.Series, source: RecordSource) -> pd.Series:
    """Read one column in our words and types."""
    where = f"{source.path}, column '{named}'"
    values = _replaced(values, source.values.get(column, {}))
    if column in DATE_COLUMNS:
        return parse_dates(values, where, source.date_order)
    texts = values.map(present_text)
    if column in NUMBER_COLUMNS:
        return _numbers(texts, where)
    if column in ALLOWED:
        return _words(column, texts, where)
    return pd.Series([text or None for text in texts], index=values.index, dtype=object)


def _replaced(values: pd.Series, table: Mapping[str, str]) -> pd.Series:
    """Apply the source's own value mapping, ignoring case and punctuation."""
    if not table:
        return values
    exact = {present_text(theirs): ours for theirs, ours in table.items()}
    loose = {squeezed(theirs): ours for theirs, ours in table.items() if squeezed(theirs)}

    def ours(value: object) -> object:
        text = present_text(value)
        return exact.get(text, loose.get(squeezed(text), value))

    return values.astype(object).map(ours)


def _numbers(texts: pd.Series, where: str) -> pd.Series:
    plain = texts.str.replace(r"(?<=\d),(?=\d{3}\b)", "", regex=True)
    numbers = pd.to_numeric(plain.where(plain != ""), errors="coerce").astype("float64")
    bad = (texts != "") & ~(np.isfinite(numbers) & (numbers >= 0))
    if bad.any():
        raise RecordError(
            f"'{texts[bad].iloc[0]}' is not a count of 0 or more "
            f"({rows_text(np.flatnonzero(bad))})",
            where=where,
            remedy='Map the value under the source\'s `values` (to "" where it is unknown).',
        )
    return numbers


def _words(column: str, texts: pd.Series, where: str) -> pd.Series:
    """Read a column that takes only some words."""
    table = WORDS[column]
    ours = texts.map(lambda text: table.get(squeezed(text), None if text else ""))
    unknown = sorted(set(texts[ours.isna()]))
    if unknown:
        listed = ", ".join(f"'{value}'" for value in unknown[:12])
        raise RecordError(
            f"{listed}{' …' if len(unknown) > 12 else ''} are no {column} known here; "
            f"allowed are {', '.join(ALLOWED[column])}",
            where=where,
            remedy=f"Say what each means under values: {{{column}: {{{unknown[0]}: "
            f"{ALLOWED[column][0]}}}}}, or leave such records out with `where`.",
        )
    if column == "evidence_found":
        flags = {"true": True, "false": False, "": None}
        return pd.Series([flags[word] for word in ours], index=texts.index, dtype=object)
    if (ours == "").any():
        if column in REQUIRED.values():
            raise RecordError(
                f"{int((ours == '').sum())} records have no {column} "
                f"({rows_text(np.flatnonzero(ours == ''))})",
                where=where,
                remedy=f'Say what an empty value means under values: {{{column}: {{"": '
                f"{ALLOWED[column][0]}}}}}.",
            )
        ours = ours.where(ours != "", "unknown")
    return ours.astype(object)
