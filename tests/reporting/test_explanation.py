from __future__ import annotations

import io
import json

import geopandas as gpd
import pandas as pd
import pytest
from matplotlib.image import imread
from rich.console import Console

from hazardrank.errors import OutputError
from hazardrank.reporting import palette
from hazardrank.reporting.effect_figures import effect_figures
from hazardrank.reporting.explanation import ExplainedCell, print_explanations, write_explanations
from hazardrank.reporting.figures import FigureText
from tests.reporting.run_folder import colours_of

CELLS = [
    ExplainedCell(
        "CRS32638RES100mN4412300E601200",
        601_250.0,
        4_412_350.0,
        0.6125,
        "unsurveyed",
        False,
        0.21,
        [("480 m from the 1994–2020 front line", 0.91), ("slope of 23°", -0.4)],
    ),
    ExplainedCell("CRS32638RES100mN0E0", 601_350.0, 4_412_350.0, None, "", True, 0.9, []),
]


def test_files_hold_cells_reasons_and_effects(tmp_path):
    csv, geojson = write_explanations(tmp_path, CELLS, "EPSG:32638", 100, 3)
    table = pd.read_csv(csv)
    assert table["reason_1"][0] == "480 m from the 1994–2020 front line"
    assert table[["effect_1", "effect_2"]].iloc[0].tolist() == [0.91, -0.4]
    assert pd.isna(table["reason_3"][0])
    assert table["likelihood"].isna().tolist() == [False, True]
    assert table["outside_domain"].tolist() == [False, True]
    places = gpd.read_file(geojson)
    assert places.crs == "EPSG:4326"
    square = places.to_crs("EPSG:32638").geometry[0]
    assert square.area == pytest.approx(10_000, rel=1e-3)
    assert (square.centroid.x, square.centroid.y) == pytest.approx((601_250, 4_412_350), abs=1)


def test_what_is_printed():
    out = io.StringIO()
    console = Console(file=out, width=120)
    print_explanations(CELLS, [], "Somewhere", simulated=True, console=console)
    said = out.getvalue()
    assert "raises: 480 m from the 1994–2020 front line" in said
    assert "lowers: slope of 23°" in said
    assert "outside the model's domain" in said
    assert "SIMULATED" in said
    assert "No likelihood means that land is safe." in said


def explanation():
    band = {"mean": [0.1, 0.2], "low": [0.05, 0.1], "high": [0.2, 0.3]}
    effect = {"feature": "roads_distance_m", "unit": "m", "values": [0.0, 900.0]}
    loss = {"group": "proximity of roads", "roc_auc": 0.1, "low": 0.0, "high": 0.2}
    return {
        "permutation_importance": [loss],
        "effects": [{**effect, "partial_dependence": band, "ale": band}] * 4,
    }


def test_figures_are_drawn_without_green(tmp_path):
    source = tmp_path / "model_explanation.json"
    source.write_text(json.dumps(explanation()))
    drawn = effect_figures(source, tmp_path / "figures", FigureText("Somewhere"))
    assert [path.name for path in drawn] == [
        *("permutation_importance.png", "partial_dependence.png", "ale.png")
    ]
    for path in drawn:
        assert not [colour for colour in colours_of(path) if palette.is_green(colour)]
    assert imread(drawn[1]).shape[0] > imread(drawn[0]).shape[0]


def test_without_an_explanation_nothing_is_drawn(tmp_path):
    assert effect_figures(tmp_path / "absent.json", tmp_path, FigureText("Somewhere")) == []
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(OutputError, match="is no explanation of a model"):
        effect_figures(tmp_path / "other.json", tmp_path, FigureText("Somewhere"))
