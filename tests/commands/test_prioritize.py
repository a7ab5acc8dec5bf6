"""``python -m prioritize`` as a user runs it, on a small simulated district with made-up maps."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import hydra
import numpy as np
import openpyxl
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
from omegaconf import OmegaConf
from rio_cogeo.cogeo import cog_validate

from hazardrank.commands.hydra_app import config_dir
from hazardrank.commands.prioritize import run
from hazardrank.errors import HazardRankError
from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import BlockRasterWriter, grid_of
from hazardrank.priority.bands import BAND_LABELS, Band
from hazardrank.reporting.palette import is_green
from hazardrank.scoring.map_files import DOMAIN_TIF, LIKELIHOOD_TIF, STATUS_TIF
from hazardrank.settings import DistrictSettings, PrioritizeSettings, validate
from hazardrank.simulate.district import ensure_district
from tests.conftest import run_in

pytestmark = pytest.mark.slow

CRS = "EPSG:32638"
SMALL = ("region.simulated.size_km=6", "region.simulated.seed=3", "compute.progress=false")
FEW = ("priority.robustness.draws=60", "priority.robustness.top=5", "compute.block_cells=32")
FORBIDDEN = re.compile(
    r"\b(is|are|be|as|land) (safe|free|clear)\b|mine-?free|safe (land|area)", re.I
)
TEXTS = (".csv", ".geojson", ".md", ".json")
#: The sentences that say what nothing means.
DENIALS = (
    "No rank, band or likelihood says that land is safe",
    "No value here means that land is safe",
    "No value on this map means that land is safe",
)


def write_maps(folder: Path, grid: SurveyGrid) -> Path:
    """Likelihood that rises to the east; a released square; a corner that cannot be judged."""
    folder.mkdir(parents=True)
    row, col = np.indices(grid.shape)
    likelihood = (0.02 + 0.9 * (col / grid.n_cols) ** 2 * (0.6 + 0.4 * np.cos(row / 9))).clip(0, 1)
    outside = np.zeros(grid.shape, np.uint8)
    outside[50:, 50:] = 1
    likelihood[outside == 1] = np.nan
    status = np.full(grid.shape, -1, np.int8)
    status[10:20, 30:45] = 0
    maps = {
        LIKELIHOOD_TIF: (likelihood, "float32", np.nan),
        "likelihood_low.tif": (likelihood / 2, "float32", np.nan),
        "likelihood_high.tif": (np.sqrt(likelihood), "float32", np.nan),
        DOMAIN_TIF: (outside, "uint8", 255),
        STATUS_TIF: (status, "int8", -128),
    }
    for name, (values, dtype, nodata) in maps.items():
        tags = {"run_digest": "made up", "region": "simulated"}
        with BlockRasterWriter(folder / name, grid, dtype, nodata, [name], ["1"], tags) as out:
            out.write(grid, values.astype(dtype))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a district in `data` and its likelihood maps in `maps`."""
    folder = tmp_path_factory.mktemp("place")
    ensure_district(DistrictSettings(size_km=6, seed=3), folder / "data" / "simulated")
    districts = gpd.read_file(folder / "data" / "simulated" / "districts.gpkg")
    write_maps(folder / "maps", SurveyGrid.covering(CRS, 100, tuple(districts.total_bounds)))
    return folder


@pytest.fixture(scope="module")
def ranked(place):
    """Folder and text of a run from the command line."""
    done = run_in(place, "prioritize", "maps=maps", "output_dir=out", *SMALL, *FEW)
    assert done.returncode == 0, done.stderr
    return place / "out", done.stdout


def settings_of(place: Path, out: str, *overrides: str) -> PrioritizeSettings:
    given = [f"maps='{place}/maps'", f"output_dir='{place}/{out}'", f"data_dir='{place}/data'"]
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = hydra.compose("prioritize", overrides=[*given, *SMALL, *FEW, *overrides])
    return validate(PrioritizeSettings, OmegaConf.to_container(config, resolve=True))


def prioritized(monkeypatch, capsys, place: Path, out: str, *overrides: str):
    """Run in this process; return the table of tasks and what was printed."""
    monkeypatch.chdir(place)
    run(settings_of(place, out, *overrides))
    return pd.read_csv(place / out / "clearance_tasks.csv"), capsys.readouterr().out


# --------------------------------------------------------------------------- its results


def test_all_files_tell_of_the_same_tasks(ranked):
    folder, _ = ranked
    csv = pd.read_csv(folder / "clearance_tasks.csv")
    gpkg = gpd.read_file(folder / "clearance_tasks.gpkg", layer="tasks")
    geojson = gpd.read_file(folder / "clearance_tasks.geojson")
    sheets = openpyxl.load_workbook(folder / "clearance_tasks.xlsx")
    rows = list(sheets["tasks"].iter_rows(values_only=True))
    ids = csv["task_id"].tolist()
    assert len(ids) > 30
    assert csv["task_id"].is_unique
    assert gpkg["task_id"].tolist() == geojson["task_id"].tolist() == ids
    assert [row[0] for row in rows[1:]] == ids
    assert list(rows[0]) == list(csv.columns)
    open_ranks = csv["rank"].dropna()
    assert open_ranks.tolist() == list(range(1, len(open_ranks) + 1))
    assert gpkg["area_m2"].sum() == pytest.approx(gpkg.area.sum())
    assert gpkg.crs == CRS
    assert geojson.crs == "EPSG:4326"
    placed = shapely.centroid(geojson.geometry.to_crs(CRS).to_numpy())
    assert shapely.distance(placed, shapely.centroid(gpkg.geometry.to_numpy())).max() < 0.1


def test_every_column_is_explained_in_the_files(ranked):
    folder, _ = ranked
    columns = pd.read_csv(folder / "clearance_tasks.csv", nrows=1).columns
    described = (folder / "columns.md").read_text(encoding="utf-8")
    assert [name for name in columns if f"| `{name}` | " not in described] == []
    sheet = openpyxl.load_workbook(folder / "clearance_tasks.xlsx")["columns"]
    assert {row[0] for row in sheet.iter_rows(min_row=2, values_only=True)} >= set(columns)


def test_every_file_says_where_it_comes_from(ranked):
    folder, _ = ranked
    summary = json.loads((folder / "priority_summary.json").read_text(encoding="utf-8"))
    run_id = summary["run_id"]
    assert len(run_id) == 16
    assert summary["provenance"]["maps_run_digest"] == "made up"
    assert set(summary["maps"]["sha256"]) >= {LIKELIHOOD_TIF, STATUS_TIF, DOMAIN_TIF}
    for name in ("clearance_priority.tif", "clearance_bands.tif"):
        with rasterio.open(folder / name) as dataset:
            tags = dataset.tags()
            assert tags["hazardrank_run_id"] == run_id
            assert tags["hazardrank_warning"] == "No value here means that land is safe."
            assert dataset.units[0]
    gpkg = pyogrio.read_info(folder / "clearance_tasks.gpkg", layer="tasks")
    assert gpkg["dataset_metadata"]["run_id"] == run_id
    geojson = json.loads((folder / "clearance_tasks.geojson").read_text(encoding="utf-8"))
    assert geojson["provenance"]["run_id"] == run_id
    assert set(pd.read_csv(folder / "clearance_tasks.csv")["run_id"]) == {run_id}
    assert run_id in (folder / "columns.md").read_text(encoding="utf-8")
    assert [name for name in summary["files"] if not (folder / name).is_file()] == []
    assert not list(folder.rglob("*partial*"))


def test_maps_have_what_the_tasks_have(ranked, place):
    folder, _ = ranked
    for name in ("clearance_priority.tif", "clearance_bands.tif"):
        assert cog_validate(str(folder / name), quiet=True, strict=True)[0]
        assert grid_of(folder / name) == grid_of(place / "maps" / LIKELIHOOD_TIF)
    gpkg = gpd.read_file(folder / "clearance_tasks.gpkg", layer="tasks")
    n_ranked = int(gpkg["rank"].notna().sum())
    codes = {label: int(band) for band, label in BAND_LABELS.items()}
    points = list(zip(gpkg["easting_m"], gpkg["northing_m"], strict=True))
    with rasterio.open(folder / "clearance_priority.tif") as dataset:
        score = np.array([values[0] for values in dataset.sample(points)])
        whole = dataset.read(1)
    expected = (n_ranked + 1 - gpkg["rank"].astype(float)) / n_ranked
    np.testing.assert_allclose(score, expected, rtol=1e-6)
    assert np.isnan(whole[10:20, 30:45]).all()  # released
    with rasterio.open(folder / "clearance_bands.tif") as dataset:
        band = [int(values[0]) for values in dataset.sample(points)]
        colours = dataset.colormap(1)
    assert band == [codes[label] for label in gpkg["band"]]
    assert not any(is_green(tuple(part / 255 for part in colours[int(b)][:3])) for b in Band)


def test_the_geopackage_opens_coloured_and_without_green(ranked):
    path = ranked[0] / "clearance_tasks.gpkg"
    with closing(sqlite3.connect(path)) as database:
        styles = dict(database.execute("SELECT f_table_name, styleQML FROM layer_styles"))
        kinds = dict(database.execute("SELECT table_name, data_type FROM gpkg_contents"))
        defaults = database.execute("SELECT sum(useAsDefault) FROM layer_styles").fetchone()
    assert set(styles) == {"tasks", "cells"}
    assert kinds["layer_styles"] == "attributes"
    assert defaults == (2,)
    bands = set(gpd.read_file(path, layer="tasks")["band"])
    for style in styles.values():
        root = ElementTree.fromstring(style)
        renderer = root.find("renderer-v2")
        assert renderer.get("attr") == "band"
        assert {one.get("value") for one in renderer.iter("category")} >= bands
        fills = [one.get("value") for one in root.iter("Option") if one.get("name") == "color"]
        rgb = [tuple(int(part) / 255 for part in fill.split(",")[:3]) for fill in fills]
        assert len(rgb) == len(BAND_LABELS)
        assert not any(map(is_green, rgb))


def test_cells_belong_to_their_tasks(ranked):
    path = ranked[0] / "clearance_tasks.gpkg"
    cells = gpd.read_file(path, layer="cells")
    tasks = gpd.read_file(path, layer="tasks").set_index("task_id")
    by_task = cells.groupby("task_id")
    assert (by_task.size() * 10_000 == tasks["area_m2"].reindex(by_task.size().index)).all()
    mean = by_task["likelihood"].mean()
    np.testing.assert_allclose(mean, tasks["likelihood_mean"].reindex(mean.index), rtol=1e-5)
    area = by_task["likelihood"].sum() * 10_000
    known = tasks["expected_m2"].reindex(area.index).notna()
    np.testing.assert_allclose(
        area[known], tasks["expected_m2"].reindex(area.index)[known], rtol=1e-5
    )


def test_ranks_come_with_ranges_and_unknown_land_is_not_low(ranked):
    tasks = pd.read_csv(ranked[0] / "clearance_tasks.csv")
    opened = tasks[tasks["rank"].notna()]
    assert (opened["rank_low"] <= opened["rank_high"]).all()
    assert (opened["rank_high"] - opened["rank_low"]).max() > 10
    assert opened["tied"].map(str).isin(["True", "False"]).all()
    assert opened["top_share"].between(0, 1).all()
    unknown = tasks["outside_domain_share"] >= 0.5
    assert unknown.any()
    assert not (tasks.loc[unknown, "band"] == BAND_LABELS[Band.LOWEST]).any()
    whole = tasks[tasks["outside_domain_share"] == 1]
    assert whole["likelihood_mean"].isna().all()
    assert (whole["ranked_likelihood"] > 0).all()
    judged = opened[opened["outside_domain_share"] == 0]
    assert (judged["expected_low_m2"] <= judged["expected_m2"]).all()
    assert (judged["expected_m2"] <= judged["expected_high_m2"]).all()
    score = opened["harm_ha"] / opened["team_days"]
    np.testing.assert_allclose(score, opened["score"], rtol=1e-4)


def test_the_screen_says_what_a_planner_needs(ranked):
    folder, printed = ranked
    tasks = pd.read_csv(folder / "clearance_tasks.csv")
    for task_id, reason in zip(tasks["task_id"][:10], tasks["reason_1"][:10], strict=True):
        assert task_id in printed
        assert reason in printed
    assert printed.count("(range ") == 10
    for said in (
        "SIMULATED",
        "EXAMPLE",
        "Weights  equal weights: people 14 %",
        "Lowest clearance priority – NOT cleared",
        "The model cannot judge",
        "gate 'area secure' is not asked",
        "Not weighed: services",
        DENIALS[0],
    ):
        assert said in printed


def test_nothing_calls_land_safe(ranked):
    folder, printed = ranked
    texts = [printed]
    texts += [path.read_text("utf-8") for path in folder.iterdir() if path.suffix in TEXTS]
    for text in texts:
        for denial in DENIALS:
            text = text.replace(denial, "")
        assert FORBIDDEN.findall(text) == []


# ----------------------------------------------------------------------- other choices


def test_the_same_run_gives_the_same_bytes(ranked, place, monkeypatch, capsys):
    prioritized(monkeypatch, capsys, place, "again", "compute.threads=1")
    again = place / "again"
    for name in ("clearance_tasks.csv", "clearance_tasks.geojson", "columns.md"):
        first, other = ((folder / name).read_bytes() for folder in (ranked[0], again))
        assert first == other, name


def test_other_weights_rank_the_same_tasks_otherwise(ranked, place, monkeypatch, capsys):
    before = pd.read_csv(ranked[0] / "clearance_tasks.csv")
    for choice in ("priority=national_order_example", "priority.method=promethee"):
        after, printed = prioritized(monkeypatch, capsys, place, "other", choice, "cells_up_to=0")
        assert set(after["task_id"]) == set(before["task_id"])
        assert after["task_id"].tolist() != before["task_id"].tolist()
        assert "EXAMPLE" in printed
    layers = {name for name, _ in pyogrio.list_layers(place / "other" / "clearance_tasks.gpkg")}
    assert "cells" not in layers


def test_tasks_wait_at_gates_and_say_for_what(ranked, place, monkeypatch, capsys):
    before = pd.read_csv(ranked[0] / "clearance_tasks.csv")
    assert "Waits" not in "".join(before["band"][:30])
    agreed = before["task_id"][:20]
    given = pd.DataFrame({"task_id": before["task_id"][:30], "consent": ["yes"] * 20 + ["no"] * 10})
    given.to_csv(place / "consent.csv", index=False)
    tasks, printed = prioritized(
        monkeypatch, capsys, place, "gated", f"attributes='{place}/consent.csv'"
    )
    opened = tasks[tasks["rank"].notna()]
    assert opened["task_id"].tolist() == agreed.tolist()
    waiting = tasks[tasks["rank"].isna()]
    gate = "local authorities and communities consulted"
    assert set(waiting["waits_for"]) <= {gate, "no method can be used here"}
    assert set(waiting["band"]) == {BAND_LABELS[Band.WAITS]}
    n_waiting = int((waiting["waits_for"] == gate).sum())
    assert f"{n_waiting:>7}  wait: {gate}" in printed
    assert waiting["score"].isna().all()


def test_a_gate_may_be_a_layer(place, monkeypatch, capsys):
    west, south, east, north = grid_of(place / "maps" / LIKELIHOOD_TIF).bounds
    half = shapely.box(west, south, (west + east) / 2, north)
    gpd.GeoDataFrame(geometry=[half], crs=CRS).to_file(place / "data" / "secure.gpkg")
    layer = "{path: secure.gpkg, kind: polygons, role: consequence}"
    tasks, printed = prioritized(
        monkeypatch, capsys, place, "secure", f"+region.layers.secure_areas={layer}"
    )
    in_west = tasks["easting_m"] < (west + east) / 2
    waits = tasks["waits_for"] == "area secure"
    assert waits.any()
    assert not (waits & in_west & (tasks["area_m2"] <= 10_000)).any()
    assert (waits | in_west | tasks["rank"].notna()).all()
    assert "gate 'area secure' is not asked" not in printed


def test_a_season_is_planned_and_stands_beside_another(place, monkeypatch, capsys):
    tasks, printed = prioritized(monkeypatch, capsys, place, "season", "plan=season")
    plan = pd.read_csv(place / "season" / "season_plan.csv")
    layer = gpd.read_file(place / "season" / "clearance_tasks.gpkg", layer="plan")
    assert layer["task_id"].tolist() == plan["task_id"].tolist()
    assert set(plan["task_id"]) <= set(tasks.loc[tasks["rank"].notna(), "task_id"])
    assert (plan["start"] <= plan["end"]).all()
    summary = json.loads((place / "season" / "priority_summary.json").read_text("utf-8"))
    assert 0 < summary["plan"]["averted_ha"] <= summary["plan"]["bound_ha"] * (1 + 1e-9)
    assert "Plan 'example season'" in printed
    assert "rank order" in printed
    compare_with_another(plan, place, monkeypatch, capsys)


def compare_with_another(plan: pd.DataFrame, place, monkeypatch, capsys):
    """Plan again without the first task, beside the plan before."""
    dropped = plan["task_id"][0]
    _, printed = prioritized(
        monkeypatch,
        capsys,
        place,
        "other_season",
        "plan=season",
        f"+plan.locked_out=[{dropped}]",
        f"compare_with='{place}/season'",
    )
    changes = pd.read_csv(place / "other_season" / "season_plan_changes.csv")
    assert changes["district"].iloc[-1] == "all districts"
    assert changes["tasks_waiting"].iloc[-1] >= 1
    assert changes["tasks_a"].iloc[-1] == len(plan)
    assert "From the earlier plan to this one:" in printed
    new = pd.read_csv(place / "other_season" / "season_plan.csv")
    assert dropped not in new["task_id"].tolist()


def test_survey_is_planned(place, monkeypatch, capsys):
    _, printed = prioritized(
        monkeypatch, capsys, place, "survey", "plan=survey", "plan.budget_units=10"
    )
    units = gpd.read_file(place / "survey" / "survey_plan.gpkg", layer="survey_plan")
    chosen = gpd.read_file(place / "survey" / "survey_plan.geojson")
    assert len(units) == 36
    assert (units["selected_by"] != "none").sum() == len(chosen) == 10
    assert (chosen["selected_by"] == "random").sum() >= 1
    assert units["selection_probability"].between(0, 1).all()
    assert "drawn at random" in printed


# ------------------------------------------------------------------------------- errors


def test_a_mistake_is_told_in_one_line(place):
    done = run_in(place, "prioritize", *SMALL)
    assert done.returncode == 2
    assert "maps: give maps=DIR, the output folder of" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compare_with=season", "compare_with is for plan=season"),
        ("maps=nowhere", r"nowhere: there is no such folder\. Give maps=DIR"),
        ("maps=data", r"data: holds no contamination_likelihood\.tif and no survey_status\.tif"),
        ("region.cell_size_m=200", r"lies on .* cells of 100 m .* 200 m"),
        ("+priority.weights.given={people:1}", "source|no weight"),
        ("tasks.candidates.min_likelihood=1", "none is left for a task"),
    ],
)
def test_what_does_not_fit_is_refused(place, monkeypatch, override, message):
    monkeypatch.chdir(place)
    extra = ["priority.weights.source=given"] if "given" in override else []
    extra += ["tasks.candidates.hazard_areas=false", "tasks.candidates.outside_domain=false"]
    with pytest.raises(HazardRankError, match=message):
        run(settings_of(place, "refused", override, *extra))
    assert not (place / "refused").exists()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"id": ["a"]}), "has no column 'task_id'"),
        (pd.DataFrame({"task_id": ["a", "a"]}), "names a task twice"),
        (pd.DataFrame({"task_id": ["a"], "consent": ["yes"]}), "names no task of this region"),
    ],
)
def test_attributes_that_fit_no_task_are_refused(place, monkeypatch, tmp_path, table, message):
    monkeypatch.chdir(place)
    table.to_csv(tmp_path / "given.csv", index=False)
    with pytest.raises(HazardRankError, match=message):
        run(settings_of(place, "refused", f"attributes='{tmp_path}/given.csv'"))
