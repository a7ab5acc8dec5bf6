from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from hazardrank.errors import OutputError
from hazardrank.reporting.run_files import (
    base_rate_sentence,
    fold_sentences,
    method_line,
    read_metrics,
    read_predictions,
    read_settings,
    write_whole,
)
from hazardrank.validation.folds import FOLD_MAKERS
from tests.reporting import run_folder


@pytest.fixture
def folder(tmp_path):
    return run_folder.write_run(tmp_path / "run")


def test_metrics_are_read_with_their_gap(folder):
    metrics = read_metrics(folder / "metrics.json")
    assert metrics.n_cells == 1850
    assert metrics.random_gap("roc_auc") == pytest.approx(0.17)
    assert metrics.random_gap("brier") is None
    assert (metrics.negatives, metrics.comparison_note) == ("released land", "")


def test_background_is_named(tmp_path):
    metrics = read_metrics(run_folder.write_run(tmp_path, background=True) / "metrics.json")
    assert metrics.negatives == "unlabelled background"
    assert "not known to be uncontaminated" in metrics.comparison_note


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"metrics\.json: is no JSON"),
        ("[]", "holds no metrics"),
        (json.dumps({"protocol": "infill", "pooled": {}}), "lack folds, baselines, n_cells"),
    ],
)
def test_metrics_that_cannot_be_used_raise(folder, content, message):
    (folder / "metrics.json").write_text(content)
    with pytest.raises(OutputError, match=message):
        read_metrics(folder / "metrics.json")


def test_absent_files_raise_and_say_what_to_do(tmp_path):
    with pytest.raises(OutputError, match=r"there is no such file\. Train again"):
        read_metrics(tmp_path / "metrics.json")
    with pytest.raises(OutputError, match="there is no such file"):
        read_predictions(tmp_path / "p.parquet")


def test_predictions_leave_out_cells_that_no_fold_held_out(folder):
    path = folder / "out_of_fold_predictions.parquet"
    table = pd.read_parquet(path)
    table["baseline_road"] = np.arange(len(table))
    table.loc[:4, "fold"] = -1
    table.loc[5, "likelihood"] = np.nan
    table.to_parquet(path)
    predictions = read_predictions(path)
    assert len(predictions) == 294
    assert predictions.baselines["road"][0] == 6
    assert predictions.contaminated.sum() == (table["outcome"][6:] == 1).sum()


def test_predictions_without_their_columns_raise(folder):
    path = folder / "out_of_fold_predictions.parquet"
    pd.read_parquet(path).drop(columns=["likelihood", "fold"]).to_parquet(path)
    with pytest.raises(OutputError, match=r"lack the columns \['fold', 'likelihood'\]"):
        read_predictions(path)


def test_settings_may_be_absent_but_not_broken(folder):
    assert read_settings(folder / "none.yaml") == {}
    assert read_settings(folder / "settings.yaml") == run_folder.settings()
    (folder / "settings.yaml").write_text("a: [")
    with pytest.raises(OutputError, match="is no YAML"):
        read_settings(folder / "settings.yaml")
    (folder / "settings.yaml").write_text("just text")
    with pytest.raises(OutputError, match="holds no settings"):
        read_settings(folder / "settings.yaml")


def test_protocol_and_method_in_plain_words():
    settings = run_folder.settings()
    assert method_line(settings) == "boosted trees, beta calibration on held-out blocks"
    assert method_line({"model": {"calibration": "none"}}) == "scores not calibrated"
    assert method_line({}) == ""
    text = " ".join(fold_sentences(settings))
    for words in ("squares of 5 km", "5 folds", "Cells within 500 m", "4 inner folds"):
        assert words in text
    settings["validation"]["folds"] = {"method": "groups"}
    assert "held out district by district" in fold_sentences(settings)[0]
    assert fold_sentences({}) == []


def test_files_are_written_whole_or_not_at_all(tmp_path):
    path = write_whole(tmp_path / "new" / "a.txt", b"all")
    assert path.read_bytes() == b"all"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match=r"folder\.png: cannot be written"):
        write_whole(tmp_path / "folder.png", b"x")
    assert not (tmp_path / "folder.png.partial").exists()


def test_the_base_rate_is_said_in_words():
    # 30 of 30 + 90 surveyed cells.
    assert base_rate_sentence(30, 90, 0, None) == (
        "Likelihood is calibrated to surveyed land, where 25 % of cells were contaminated; land "
        "never surveyed may differ."
    )
    assert "land of which 2 % of cells are" in base_rate_sentence(30, 90, 0, 0.02)


@pytest.mark.parametrize(("n_released", "n_background"), [(0, 200), (90, 200)])
def test_background_gives_no_base_rate(n_released, n_background):
    assert base_rate_sentence(30, n_released, n_background, None) == ""


def test_an_area_without_surveyed_land_has_no_base_rate():
    assert base_rate_sentence(0, 0, 0, None) == ""


def test_the_base_rate_says_how_biased_records_were_taken():
    weighted = base_rate_sentence(30, 90, 0, None, {"propensity": "inverse"})
    assert "weighted to look like the whole area" in weighted
    assert base_rate_sentence(30, 0, 50, None, {"unlabelled": "as_negative"}) == ""
    rescaled = base_rate_sentence(30, 0, 50, None, {"unlabelled": "nnpu"})
    assert "if recorded contamination is a fair sample" in rescaled


@pytest.mark.parametrize("method", sorted(FOLD_MAKERS.keys() - {"random"}))
def test_every_way_of_holding_out_is_said_in_words(method):
    settings = {"validation": {"folds": {"method": method, "size_m": 2000}}}
    assert len(fold_sentences(settings)) == 1
    assert "held out" in fold_sentences(settings)[0] or "held-out" in fold_sentences(settings)[0]
    assert "held-out" in method_line({**settings, "model": {"calibration": "beta"}})
