"""``python -m compare``: one table, one file, and a refusal that names what differs."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from hazardrank.commands.compare import run
from hazardrank.errors import FoldError, OutputError, SettingsError
from hazardrank.reporting.run_comparison import print_comparison, read_evaluated_run
from hazardrank.settings import CompareSettings, validate
from hazardrank.validation.comparison import compare_runs
from tests.conftest import Run


def write_run(folder, **changes):
    n_cells = np.arange(400)
    outcome = (n_cells % 5 == 0).astype(int)
    noise = np.random.default_rng([1]).normal(size=400)
    table = {
        "cell_id": [f"CRS32633RES100mN{k:04d}E0" for k in n_cells],
        "outcome": outcome,
        "fold": n_cells // 100,
        "unit": n_cells // 10,
        "likelihood": 1 / (1 + np.exp(1.4 - outcome - noise)),
    }
    folder.mkdir()
    pd.DataFrame(table | changes).to_parquet(folder / "out_of_fold_predictions.parquet")
    metrics = {"protocol": "infill", "pooled": {}, "folds": [], "baselines": {}}
    counts = dict.fromkeys(("n_cells", "n_contaminated", "n_released", "n_unsurveyed"), 0)
    (folder / "metrics.json").write_text(json.dumps(metrics | counts))
    return folder


@pytest.fixture
def two_runs(tmp_path):
    first = write_run(tmp_path / "first")
    better = np.where(np.arange(400) % 5 == 0, 0.7, 0.1)
    return first, write_run(tmp_path / "second", likelihood=better)


def settings(tmp_path, first, second, **more):
    return CompareSettings(run_a=first, run_b=second, output_dir=tmp_path / "out", **more)


def test_compare_prints_a_table_and_writes_a_file(tmp_path, two_runs, capsys):
    assert run(settings(tmp_path, *two_runs, bootstrap=60)) is None
    [row] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ROC-AUC")]
    assert row.endswith("b is better")
    assert " 1.000 " in row
    values = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert values["run_b"] == str(two_runs[1])
    assert values["figures"]["roc_auc"]["verdict"] == "better"
    assert values["figures"]["brier"]["difference"] < 0
    assert values["bootstrap"]["n_draws"] == 60


def test_a_run_beside_itself_shows_no_difference(two_runs):
    first = read_evaluated_run(two_runs[0])
    stream = io.StringIO()
    print_comparison("a", "a", compare_runs(first, first, 40, 0), Console(file=stream, width=90))
    lines = stream.getvalue().splitlines()
    [row] = [line for line in lines if line.startswith("ROC-AUC")]
    assert row.split()[-5:] == ["+0.000", "+0.00", "to", "+0.00", "–"]
    assert max(map(len, lines)) <= 90
    assert not [line for line in lines if "better" in line]


def test_runs_on_other_cells_are_refused(tmp_path, two_runs):
    third = write_run(tmp_path / "third", fold=np.arange(400) // 50)
    with pytest.raises(
        FoldError, match=r"third: cannot be compared with .*first: the folds differ"
    ):
        run(settings(tmp_path, two_runs[0], third))


def test_a_folder_without_a_run_or_of_an_earlier_version_is_named(tmp_path, two_runs):
    with pytest.raises(OutputError, match="nowhere: there is no run here"):
        run(settings(tmp_path, two_runs[0], tmp_path / "nowhere"))
    predictions = two_runs[1] / "out_of_fold_predictions.parquet"
    pd.read_parquet(predictions).drop(columns="unit").to_parquet(predictions)
    with pytest.raises(OutputError, match="the predictions lack unit: an earlier version"):
        run(settings(tmp_path, *two_runs))


def test_both_runs_must_be_given(tmp_path):
    values = {"run_a": None, "run_b": "x", "output_dir": str(tmp_path)}
    with pytest.raises(SettingsError, match="run_a: give the output folder of a run: run_a=DIR"):
        validate(CompareSettings, values)


@pytest.mark.slow
def test_the_command_as_a_user_meets_it(run_module: Run, two_runs):
    first, second = two_runs
    result = run_module("compare", f"run_a={first}", f"run_b={second}", "bootstrap=20")
    assert result.returncode == 0, result.stderr
    assert "b is better" in result.stdout
    refused = run_module("compare", f"run_a={first}")
    assert refused.returncode == 2
    assert "run_b: give the output folder" in " ".join(refused.stderr.split())
