"""From a file's columns and words to ours."""

import numpy as np
import pandas as pd
import pytest

from hazardrank.errors import RecordError
from hazardrank.records import RECORD_NOUNS, columns_of
from hazardrank.settings import RecordSource
from hazardrank.sources.mappings import ALLOWED, READY_MAPPINGS, WORDS, find_column, squeezed
from hazardrank.sources.record_columns import keep_where, mapped_columns, translate


def source(**settings):
    return RecordSource(path="areas.gpkg", **settings)


# ------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("aliases", "columns", "found"),
    [
        (["hazard_id"], ["Hazard ID"], "Hazard ID"),
        (["hazard_id"], ["HAZARD-ID", "x"], "HAZARD-ID"),
        (["imsma_id", "hazard_id"], ["hazard_id", "IMSMA_ID"], "IMSMA_ID"),
        (["hazard_localid"], ["hazard_loc"], "hazard_loc"),
        (["hazard_localid"], ["hazard"], None),
        (["completed"], ["complete"], None),
    ],
)
def test_columns_are_found_whatever_their_case_and_cut(aliases, columns, found):
    assert find_column(aliases, columns) == found


def test_letters_of_other_scripts_are_not_squeezed_away():
    assert squeezed("Статус_1") == "статус1"
    assert squeezed("حالة") != ""


def test_every_ready_mapping_names_only_our_columns():
    for mapping in READY_MAPPINGS.values():
        assert set(mapping) == set(RECORD_NOUNS)
        for kind, aliases in mapping.items():
            assert set(aliases) <= set(columns_of(RECORD_NOUNS[kind]))


def test_every_word_means_something_allowed():
    for column, words in WORDS.items():
        assert set(words.values()) <= {*ALLOWED[column], ""}
        for allowed in ALLOWED[column]:
            assert words[squeezed(allowed)] == allowed


def test_survey_is_never_read_as_release():
    for word in ("NTS", "TS", "Non-technical survey", "Technical survey", "Progress report"):
        assert squeezed(word) not in WORDS["method"]


def test_the_settings_come_before_the_ready_mapping():
    named = source(mapping="imsma", columns={"record_id": "code"}, constants={"kind": "SHA"})
    found = mapped_columns("hazard_areas", named, ["imsma_id", "CODE", "area_type", "Status"])
    assert found == {"record_id": "CODE", "status": "Status"}


def test_a_missing_column_names_its_neighbours():
    with pytest.raises(RecordError, match=r"no column 'repotred'.*Did you mean 'reported'"):
        mapped_columns("hazard_areas", source(columns={"reported": "repotred"}), ["reported"])


def test_a_column_that_is_not_ours_is_refused():
    with pytest.raises(RecordError, match=r"hazard_areas have no column 'date'"):
        mapped_columns("hazard_areas", source(constants={"date": "2001-01-01"}), [])


def test_without_a_kind_a_hazard_area_says_nothing():
    with pytest.raises(RecordError, match=r"no column says the kind.*constants: {kind: SHA}"):
        translate("hazard_areas", source(), pd.DataFrame({"name": ["a"]}))


# ----------------------------------------------------------------------- values


def test_an_imsma_core_export_of_hazards():
    export = pd.DataFrame(
        {
            "imsma_id": ["H-1", "H-2"],
            "area_type": ["confirmed_hazardous_area", "SHA"],
            "status": ["Worked On", None],
            "report_dt": [1551398400000, np.nan],
            "area_size": [100.0, 200.0],
        }
    )
    table = translate("hazard_areas", source(mapping="imsma"), export)
    assert list(table.columns) == list(columns_of(RECORD_NOUNS["hazard_areas"]))
    assert list(table["record_id"]) == ["H-1", "H-2"]
    assert list(table["kind"]) == ["CHA", "SHA"]
    assert list(table["status"]) == ["open", "unknown"]
    assert list(table["reported"].dt.strftime("%Y-%m-%d").fillna("")) == ["2019-03-01", ""]
    assert table["device"].isna().all()


def test_an_imsma_ng_shapefile_of_activities():
    export = pd.DataFrame(
        {
            "hazreduc_l": ["CL-7", "CL-8"],
            "Type of Activity": ["Clearance", "Cancellation report"],
            "End_Date": ["2004-05-06", ""],
            "Minecount": ["1,204", "0"],
        }
    )
    table = translate("clearance", source(mapping="imsma"), export)
    assert list(table["record_id"]) == ["CL-7", "CL-8"]
    assert list(table["method"]) == ["cleared", "cancelled"]
    assert list(table["devices_found"]) == [1204.0, 0.0]
    assert table["completed"].isna().tolist() == [False, True]


def test_imsma_core_accidents():
    export = pd.DataFrame(
        {"acc_dt": ["2020-01-02"], "num_vics": [3], "acc_type": ["Mine accident"]}
    )
    table = translate("accidents", source(mapping="imsma"), export)
    assert table["victims"].tolist() == [3.0]
    assert table["device"].tolist() == ["Mine accident"]
    assert table["record_id"].tolist() == [None]


def test_survey_evidence_is_yes_no_or_unknown():
    export = pd.DataFrame({"evidence_found": ["Yes", "no", 1, None, True]})
    table = translate("survey", source(), export)
    assert table["evidence_found"].tolist() == [True, False, True, None, True]


def test_own_values_come_first_and_may_mean_unknown():
    own = source(
        columns={"method": "how"},
        values={"method": {"NTS": "cancelled", "2": "cleared"}, "completed": {"1900-01-01": ""}},
    )
    export = pd.DataFrame({"how": ["nts", "Clearance"], "completed": ["1900-01-01", "2001-01-01"]})
    table = translate("clearance", own, export)
    assert table["method"].tolist() == ["cancelled", "cleared"]
    assert table["completed"].isna().tolist() == [True, False]
    numbers = translate("clearance", own, pd.DataFrame({"how": [2.0]}))
    assert numbers["method"].tolist() == ["cleared"]


def test_an_unknown_word_is_listed_with_the_allowed_ones():
    export = pd.DataFrame({"method": ["Technical survey", "Clearance", "Grazing"]})
    with pytest.raises(
        RecordError,
        match=r"'Grazing', 'Technical survey' are no method known here; "
        r"allowed are cancelled, reduced, cleared, unknown",
    ):
        translate("clearance", source(), export)


def test_an_area_of_no_kind_is_refused_with_its_row():
    with pytest.raises(RecordError, match=r"1 records have no kind \(row 2\)"):
        translate("hazard_areas", source(), pd.DataFrame({"kind": ["SHA", None]}))
    filled = source(values={"kind": {"": "SHA"}})
    table = translate("hazard_areas", filled, pd.DataFrame({"kind": ["CHA", None]}))
    assert table["kind"].tolist() == ["CHA", "SHA"]


@pytest.mark.parametrize("bad", ["many", "-1", "inf"])
def test_what_is_no_count_is_refused_with_its_row(bad):
    with pytest.raises(RecordError, match=rf"'{bad}' is not a count of 0 or more \(row 2\)"):
        translate("clearance", source(), pd.DataFrame({"devices_found": ["3", bad]}))


def test_constants_hold_for_every_row_and_are_read_like_values():
    constant = source(constants={"kind": "suspected", "reported": "2003-04-05"})
    table = translate("hazard_areas", constant, pd.DataFrame({"x": [1, 2]}))
    assert table["kind"].tolist() == ["SHA", "SHA"]
    assert table["reported"].dt.year.tolist() == [2003, 2003]


# ------------------------------------------------------------------------ where


def test_where_keeps_the_rows_that_match_every_column():
    table = pd.DataFrame({"type": ["A", "B", "A"], "code": [1.0, 1.0, np.nan]})
    assert keep_where(table, {"type": ["A"], "code": ["1"]}, "f").tolist() == [True, False, False]
    assert keep_where(table, {}, "f").all()


def test_where_on_a_missing_column_is_refused():
    with pytest.raises(RecordError, match=r"'typ' that the file does not have.*'type'"):
        keep_where(pd.DataFrame({"type": ["A"]}), {"typ": ["A"]}, "f")
