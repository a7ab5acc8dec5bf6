from __future__ import annotations

import dataclasses

import pytest

from hazardrank.reporting import fold_figures, palette
from hazardrank.reporting.drawing import save_png
from hazardrank.reporting.figures import FigureText
from hazardrank.reporting.fold_figures import fold_diagnostics_figure
from hazardrank.reporting.run_files import read_metrics
from tests.reporting.run_folder import colours_of, write_run

TEXT = FigureText("Somewhere", simulated=True)


def diagnostics(n_folds: int = 3, range_m: float | None = 900.0) -> dict:
    percentiles = [0, 50, 100]
    return {
        "distances_m": {
            "sample_to_sample": {"percentiles": [100, 100, 200]},
            "test_to_train": {"percentiles": [100, 400, 900]},
            "prediction_to_sample": {"percentiles": [0, 1200, 5000]},
        },
        "percentiles": percentiles,
        "classes": [
            {"name": f"fold {k + 1}", "n_contaminated": 10 + k, "n_other": 30}
            for k in range(n_folds)
        ],
        "unit": "blocks",
        "unit_size_m": 500.0,
        "residuals": {
            "range_m": range_m,
            "sill": 0.1,
            "nugget": 0.05,
            "lag_m": [100.0, 500.0, 1500.0] if range_m else [],
            "semivariance": [0.06, 0.12, 0.15] if range_m else [],
            "reason": "" if range_m else "12 residuals are too few for a variogram",
        },
        "advice": [],
        "summary": "Folds: so and so",
    }


@pytest.fixture
def texts(monkeypatch):
    """Draws a run's figure; returns every text on it."""
    saved = []

    def keep(figure, path):
        saved.append(figure)
        return save_png(figure, path)

    monkeypatch.setattr(fold_figures, "save_png", keep)

    def draw(folder, found):
        metrics = read_metrics(write_run(folder / "run") / "metrics.json")
        metrics = dataclasses.replace(metrics, fold_diagnostics=found)
        png = fold_diagnostics_figure(metrics, folder / "a.png", TEXT)
        found_texts = saved[-1].findobj(match=lambda a: hasattr(a, "get_text"))
        return png, [text.get_text() for text in found_texts]

    return draw


def test_the_figure_says_what_was_found_and_has_no_green(tmp_path, texts):
    png, said = texts(tmp_path, diagnostics())
    assert {"range 900 m", "blocks 500 m", "fold 3", "Outcomes"} <= set(said)
    assert any("SIMULATED" in text for text in said)
    assert not any(palette.is_green(colour) for colour in colours_of(png))


def test_many_folds_are_cut_to_the_largest_and_said(tmp_path, texts):
    _, said = texts(tmp_path, diagnostics(n_folds=30))
    assert "Outcomes (largest 20 of 30)" in said
    assert "fold 30" in said
    assert "fold 1" not in said


def test_without_a_variogram_the_reason_stands_in_its_place(tmp_path, texts):
    _, said = texts(tmp_path, diagnostics(range_m=None))
    assert "12 residuals are too few for a variogram" in said


def test_a_run_without_diagnostics_has_no_figure(tmp_path):
    metrics = read_metrics(write_run(tmp_path / "run") / "metrics.json")
    assert fold_diagnostics_figure(metrics, tmp_path / "a.png", TEXT) is None
    assert not (tmp_path / "a.png").exists()
