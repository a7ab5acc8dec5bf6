"""Dates as exports write them."""

from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import RecordError
from hazardrank.sources.dates import parse_dates, rows_text


def parsed(values, order=None):
    return [
        None if pd.isna(day) else day.date()
        for day in parse_dates(pd.Series(values), "file.shp, column 'reported'", order)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2019-03-01",
        "2019/3/1",
        "2019.03.01",
        "2019-03-01T23:30:00Z",
        "2019-03-01 00:00:00",
        "20190301",
        "1-Mar-2019",
        "01 March 2019",
        "Mar 1, 2019",
        " 2019-03-01 ",
        1551398400000,
        1551398400000.0,
        "1551398400000",
        date(2019, 3, 1),
        datetime(2019, 3, 1, 12, 0),
        pd.Timestamp("2019-03-01 12:00"),
    ],
)
def test_reads_the_forms_that_exports_write(text):
    assert parsed(pd.Series([text], dtype=object)) == [date(2019, 3, 1)]


@pytest.mark.parametrize("empty", [None, "", "  ", "<Null>", "N/A", "-", float("nan"), pd.NaT])
def test_unknown_stays_unknown(empty):
    assert parsed(pd.Series([empty, "2001-01-01"], dtype=object)) == [None, date(2001, 1, 1)]


def test_a_datetime_column_keeps_the_day_it_names():
    stamps = pd.Series(pd.to_datetime(["2019-03-01 23:59", None]))
    assert parsed(stamps) == [date(2019, 3, 1), None]
    assert parsed(stamps.dt.tz_localize("Asia/Baghdad")) == [date(2019, 3, 1), None]


def test_the_column_decides_the_order_where_it_can():
    assert parsed(["03/04/2019", "13/04/2019"]) == [date(2019, 4, 3), date(2019, 4, 13)]
    assert parsed(["03/04/2019", "04/13/2019"]) == [date(2019, 3, 4), date(2019, 4, 13)]
    assert parsed(["05.05.2019 12:00:00 AM"]) == [date(2019, 5, 5)]


def test_an_open_order_must_be_set():
    with pytest.raises(RecordError, match=r"'03/04/2019' can be read .* date_order"):
        parsed(["03/04/2019"])
    assert parsed(["03/04/2019"], "day_first") == [date(2019, 4, 3)]
    assert parsed(["03/04/2019"], "month_first") == [date(2019, 3, 4)]


@pytest.mark.parametrize("text", ["1994", "spring 1994", "2019-02-30", "31/31/2019", "soon", "7"])
def test_what_is_no_date_is_refused_with_its_row(text):
    with pytest.raises(RecordError, match=r"column 'reported'.*cannot be read.*row 2"):
        parsed(["2001-01-01", text])


def test_an_order_that_does_not_fit_is_refused():
    with pytest.raises(RecordError, match=r"'13/04/2019' cannot be read"):
        parsed(["13/04/2019"], "month_first")


def test_the_result_is_days_with_the_index_of_the_column():
    series = parse_dates(pd.Series(["2019-03-01", None], index=[7, 3]), "f")
    assert series.dtype == np.dtype("datetime64[s]")
    assert list(series.index) == [7, 3]


def test_an_empty_column_has_the_type_too():
    assert parse_dates(pd.Series([], dtype=object), "f").dtype == np.dtype("datetime64[s]")


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)))
@settings(max_examples=60, deadline=None)
def test_every_day_survives_every_unambiguous_form(day):
    forms = [day.isoformat(), day.strftime("%d-%b-%Y"), day.strftime("%Y%m%d")]
    assert parsed(forms) == [day] * 3
    assert parsed([day.strftime("%d/%m/%Y")], "day_first") == [day]


def test_rows_are_counted_from_one_and_cut_short():
    assert rows_text([0]) == "row 1"
    assert rows_text(range(8)) == "rows 1, 2, 3, 4, 5 and 3 more"
