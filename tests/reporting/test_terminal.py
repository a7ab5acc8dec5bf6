from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from hazardrank.errors import SettingsError
from hazardrank.reporting.run_files import read_metrics
from hazardrank.reporting.terminal import print_error, print_summary
from tests.reporting.run_folder import metrics as plain_metrics
from tests.reporting.run_folder import with_intervals, write_run


def printed(metrics, folder: Path, width: int = 80, **options) -> str:
    stream = io.StringIO()
    options = {"title": "Somewhere [east]", "simulated": False} | options
    outputs = [("likelihood map", folder / "contamination_likelihood.png"), ("page", folder / "a")]
    print_summary(metrics, folder, outputs, console=Console(file=stream, width=width), **options)
    return stream.getvalue()


@pytest.fixture
def metrics(tmp_path):
    return read_metrics(write_run(tmp_path / "run") / "metrics.json")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 40)])
def test_the_summary_fits_one_screen(metrics, tmp_path, width, height):
    many = {f"baseline number {k}": {"roc_auc": 0.5, "pr_auc": 0.1} for k in range(9)}
    metrics = dataclasses.replace(metrics, baselines=many, n_background=5)
    text = printed(metrics, Path("outputs/run"), width, simulated=True, notes=["mlflow ui"] * 2)
    lines = text.splitlines()
    assert len(lines) < height
    assert max(map(len, lines)) <= width


def test_the_summary_sets_the_model_beside_its_baselines(metrics, tmp_path):
    lines = printed(metrics, tmp_path).splitlines()
    rows = {line[:26].strip(): line[26:].split() for line in lines}
    assert rows["model"] == ["0.760", "0.410", "0.130", "0.020", "33", "%", "61", "%"]
    assert rows["distance to known hazard"] == ["0.660", "0.300"]
    assert rows["model, random split"] == ["0.930", "0.800"]
    assert "A random split would claim +0.170 ROC-AUC: the gap that geography makes." in lines


@pytest.fixture
def measured(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(with_intervals(plain_metrics())))
    return read_metrics(path)


def test_figures_stand_with_their_intervals_and_verdicts_in_80_characters(measured, tmp_path):
    lines = printed(measured, Path("run")).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in " ".join(lines[:12])
    [model] = [line for line in lines if line.startswith("model ")]
    assert "0.76 [0.70–0.81]  0.41 [0.30–0.52]" in model
    assert model.endswith("61 %")
    [prevalence] = [line for line in lines if line.startswith("prevalence")]
    assert "0.50 [0.44–0.56]" in prevalence
    assert "Calibration of the model: Brier 0.130 [0.110–0.152], error 0.020 [0.001–0.040]" in lines
    text = " ".join(lines)
    assert "The model ranks better than prevalence; not shown to differ from distance to" in text
    assert "12 of 31 square blocks of 5 km hold contaminated cells." in text
    assert "No distance to front line: no feature measures it." in lines


def test_the_summary_counts_cells_and_says_where_things_lie(metrics, tmp_path):
    text = printed(metrics, tmp_path, width=100)
    assert "Somewhere [east]" in text
    assert "1,850 cells: 60 contaminated, 50 released, 94.1 % unsurveyed" in text
    assert f"In {tmp_path}" in text
    assert "  likelihood map  contamination_likelihood.png" in text.splitlines()


def test_simulated_and_background_runs_say_so(metrics, tmp_path):
    assert "SIMULATED" not in printed(metrics, tmp_path)
    assert "SIMULATED" in printed(metrics, tmp_path, simulated=True)
    background = dataclasses.replace(metrics, n_background=3)
    assert "Compared with unlabelled background" in printed(background, tmp_path)


def test_an_error_is_one_line_with_its_remedy():
    stream = io.StringIO()
    error = SettingsError("size_m = -3: must\n be [positive]", where="a.yaml", remedy="Give one.")
    print_error(error, Console(file=stream, width=40))
    assert stream.getvalue() == "error a.yaml: size_m = -3: must be [positive]. Give one.\n"


def test_errors_go_to_standard_error(capsys):
    print_error(SettingsError("wrong"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error wrong\n")
