from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from hazardrank.reporting import drawing, figures, palette
from hazardrank.reporting.figures import FigureText, capture_points, reliability_bins
from hazardrank.reporting.run_files import read_metrics, read_predictions
from tests.reporting.run_folder import colours_of, write_run

TEXT = FigureText("Somewhere", simulated=True, note="Compared with unlabelled background.")


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "run")
    return (
        read_predictions(folder / "out_of_fold_predictions.parquet"),
        read_metrics(folder / "metrics.json"),
        tmp_path,
    )


def every_figure(run) -> dict:
    predictions, metrics, folder = run
    return {
        "skill": figures.skill_figure(metrics, folder / "a.png", TEXT),
        "capture": figures.capture_figure(predictions, folder / "b.png", TEXT),
        "reliability": figures.reliability_figure(predictions, metrics, folder / "c.png", TEXT),
        "roc_pr": figures.roc_pr_figure(predictions, metrics, folder / "d.png", TEXT),
        "importance": figures.importance_figure([("roads", 3.0)], folder / "e.png", TEXT),
    }


def texts_of(figure: Figure) -> str:
    return "\n".join(
        text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))
    )


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    saved: list[Figure] = []
    plain = drawing.save_png

    def record(figure, path):
        saved.append(figure)
        return plain(figure, path)

    monkeypatch.setattr(figures, "save_png", record)
    return saved


def test_capture_by_hand():
    area, found = capture_points(
        np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False])
    )
    assert area.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.tolist() == [0, 0.5, 0.5, 1, 1]


def test_capture_takes_equal_scores_together():
    area, found = capture_points(np.array([1.0, 1.0, 0.0]), np.array([False, True, False]))
    assert area.tolist() == pytest.approx([0, 2 / 3, 1])
    assert found.tolist() == [0, 1, 1]


def test_reliability_by_hand():
    likelihood = np.repeat([0.1, 0.8], 20)
    contaminated = np.repeat([False, True, True, False], [18, 2, 15, 5])
    bins = reliability_bins(likelihood, contaminated)
    assert bins.n_cells.tolist() == [20, 20]
    assert bins.predicted == pytest.approx([0.1, 0.8])
    assert bins.observed == pytest.approx([0.1, 0.75])
    # Wilson interval of 2 of 20, from statsmodels.stats.proportion.proportion_confint
    assert (bins.low[0], bins.high[0]) == pytest.approx((0.0278665, 0.3010336), abs=1e-6)


def test_reliability_intervals_are_those_of_land_where_they_are_wider():
    likelihood = np.repeat([0.1, 0.6], 40)
    contaminated = np.tile([True, False], 40)
    cells = reliability_bins(likelihood, contaminated)
    alike = reliability_bins(likelihood, contaminated, np.arange(80) % 8 // 2)
    np.testing.assert_array_equal(alike.low, cells.low)
    whole = reliability_bins(likelihood, np.arange(80) % 8 < 4, np.arange(80) % 8 // 4)
    assert (whole.low.min(), whole.high.max()) == (0, 1)


def test_reliability_interval_stays_in_range():
    bins = reliability_bins(np.full(30, 0.01), np.zeros(30, bool))
    assert bins.low[0] == pytest.approx(0, abs=1e-12)
    assert 0 < bins.high[0] < 0.2


def test_every_figure_names_area_simulation_and_what_it_compares_with(run, drawn):
    names = list(every_figure(run))
    assert len(drawn) == len(names) == 5
    for figure in drawn:
        said = texts_of(figure).replace("\n", " ")
        assert "Somewhere" in said
        assert "SIMULATED" in said
        assert "unlabelled background" in said


def test_skill_names_model_baselines_and_random_split(run, drawn):
    _, metrics, folder = run
    figures.skill_figure(metrics, folder / "a.png", TEXT)
    said = texts_of(drawn[0])
    for words in ("model, held out", "prevalence", "distance to known hazard", "0.760", "0.930"):
        assert words in said


def test_skill_without_a_random_split_leaves_it_out(run, drawn):
    _, metrics, folder = run
    figures.skill_figure(dataclasses.replace(metrics, random_split=None), folder / "a.png", TEXT)
    assert "model, random split" not in texts_of(drawn[0])


def test_importance_is_ranked_and_cut(run, drawn):
    gains = [(f"feature_{k}", float(k)) for k in range(40)]
    figures.importance_figure(gains, run[2] / "e.png", TEXT)
    axes = drawn[0].axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "feature_39"
    assert len(names) == figures.MAX_FEATURES
    assert axes.patches[0].get_width() == pytest.approx(39 / sum(range(40)))


def test_capture_draws_baselines_that_have_scores(run, drawn):
    predictions, _, folder = run
    baseline = {"distance_to_road": np.arange(len(predictions), dtype=float)}
    figures.capture_figure(
        dataclasses.replace(predictions, baselines=baseline), folder / "b.png", TEXT
    )
    assert "distance to road" in texts_of(drawn[0])


def test_a_fold_of_one_outcome_is_drawn_around(run):
    predictions, metrics, folder = run
    contaminated = predictions.contaminated & (predictions.fold != 1)
    one_sided = dataclasses.replace(predictions, contaminated=contaminated)
    png = figures.roc_pr_figure(one_sided, metrics, folder / "d.png", TEXT)
    assert palette.MODEL_LINE in map(to_hex, colours_of(png))


def test_figures_have_no_green_and_the_same_bytes_each_time(run):
    first = {name: png.read_bytes() for name, png in every_figure(run).items()}
    second = every_figure(run)
    for name, png in second.items():
        assert png.read_bytes() == first[name]
        assert not any(map(palette.is_green, colours_of(png))), name


def test_drawing_leaves_no_global_state_behind(run):
    import matplotlib as mpl
    import matplotlib._pylab_helpers as helpers

    before = dict(mpl.rcParams)
    every_figure(run)
    assert dict(mpl.rcParams) == before
    assert helpers.Gcf.figs == {}
