import json
from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from hazardrank.errors import LayerError, SettingsError
from hazardrank.grid.raster_io import BlockRasterWriter
from hazardrank.priority.review import Review, membership, review
from hazardrank.priority.review_ground import Season, WorkedGround, read_plan, worked_ground
from hazardrank.priority.review_verdict import decide
from hazardrank.records import HazardRecords
from hazardrank.reporting.review_files import review_lines, write_review
from hazardrank.settings import LabelSettings, ReviewSettings, VerdictSettings
from hazardrank.settings.base import validate
from hazardrank.validation.metrics import capture
from tests.priority.cases import CRS, grid_of

RULES = [
    {"record": "clearance", "found": True, "outcome": "contaminated"},
    {"record": "clearance", "found": False, "outcome": "released"},
]


def settings_of(**values) -> ReviewSettings:
    region = {"name": "test", "crs": CRS, "cell_size_m": 100, "extent": {"bbox": [0, 0, 1, 1]}}
    tree = {
        **{"output_dir": "out", "region": region, "labels": {"rules": RULES}},
        **{"ranking": "map.tif", "since": "2024-01-01", **values},
    }
    return validate(ReviewSettings, tree)


def ground_of(
    contaminated, score, by_distance=None, unit=None, unit_cells=(), side=10, mapped=None
):
    """Cells of 1 ha row by row, `side` to a row."""
    contaminated, score = np.asarray(contaminated, bool), np.asarray(score, np.float64)
    n = len(score)
    row, col = np.divmod(np.arange(n), side)
    nearness = np.zeros(n) if by_distance is None else np.asarray(by_distance, np.float64)
    units = np.full(n, -1) if unit is None else unit
    ranked = score[~np.isnan(score)] if mapped is None else mapped
    return WorkedGround(
        1e4,
        contaminated,
        score,
        nearness,
        600_000.0 + 100 * col + 50,
        4_400_000.0 - 100 * row - 50,
        np.asarray(units, np.int64),
        np.sort(ranked.astype(np.float32)),
        np.asarray(unit_cells, np.int64),
    )


# ------------------------------------------------------------------ on worked ground


def test_hit_rates_and_false_alarms_by_hand():
    score = [0.9, 0.8, 0.8, 0.1, np.nan]
    ground = ground_of([True, True, False, False, True], score, [0, 0, 0, 1, 1])
    result = review(ground, settings_of(budget_shares=[0.5, 1.0]), True)
    own, plain, everything, _ = result.budgets
    # Two of four hectares: the first, and one of two that are tied: 1 + ½ hit.
    assert (own["worked_ha"], own["contaminated_ha"]) == (2.0, 1.5)
    assert (own["hit_rate"], own["false_alarm_m2"]) == (0.75, 5_000)
    assert own["ha_per_contaminated_ha"] == pytest.approx(4 / 3)
    # Nearest first: the fourth, and one of three that are tied, ⅔ of it contaminated.
    assert plain["contaminated_ha"] == pytest.approx(2 / 3)
    assert everything["hit_rate"] == 0.5
    assert result.counts["unranked_ha"] == result.counts["unranked_contaminated_ha"] == 1
    assert result.calibration["expected_cells"] == pytest.approx(2.6)
    assert result.calibration["observed_over_expected"] == pytest.approx(2 / 2.6)
    assert result.recall is None


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.7]), st.booleans()), min_size=1))
def test_membership_is_the_capture_of_the_metrics(cells):
    score = np.array([value for value, _ in cells])
    contaminated = np.array([found for _, found in cells])
    for share in (0.1, 0.37, 1.0):
        part = membership(score, np.sort(score), share * len(score))
        assert part.sum() == pytest.approx(share * len(score))
        if contaminated.any():
            expected = capture(contaminated, score, share)
            assert part @ contaminated / contaminated.sum() == pytest.approx(expected)


def test_a_better_ranking_is_shown_to_be_better():
    rng = np.random.default_rng(4)
    odds = rng.normal(-1, 1.5, 6000)
    contaminated = rng.random(6000) < 1 / (1 + np.exp(-odds))
    ground = ground_of(contaminated, 1 / (1 + np.exp(-odds)), rng.random(6000), side=60)
    shown = review(ground, settings_of(), True).against_distance
    assert shown["interval"][0] > 0.2
    assert shown["roc_auc_distance"] == pytest.approx(0.5, abs=0.03)


# ------------------------------------------------------------------ calibration


def calibrated(factor=1.0, shift=0.0, n=5000, seed=1):
    """Likelihoods whose log-odds are `factor` times the true ones, and `shift` more."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.5, 1.0, n)
    contaminated = rng.random(n) < 1 / (1 + np.exp(-odds))
    told = factor * odds + shift
    return ground_of(contaminated, 1 / (1 + np.exp(-told)), rng.random(n), side=80)


@pytest.mark.parametrize(("factor", "slope"), [(1.0, 1.0), (2.0, 0.5), (0.5, 2.0)])
def test_the_slope_says_whether_likelihoods_are_too_extreme(factor, slope):
    found = review(calibrated(factor), settings_of(), True).calibration
    low, high = found["slope_interval"]
    assert 0.97 * low < slope < 1.03 * high
    assert found["slope"] == pytest.approx(slope, rel=0.12)


def test_the_slope_is_that_of_a_logistic_regression():
    """Independent: scikit-learn on the cells, of which the bins lose next to nothing."""
    ground = calibrated()
    odds = np.log(ground.score / (1 - ground.score))[:, None]
    model = LogisticRegression(C=1e9, tol=1e-10).fit(odds, ground.contaminated)
    found = review(ground, settings_of(), True).calibration["slope"]
    assert found == pytest.approx(float(model.coef_[0, 0]), rel=0.03)


def test_outcomes_that_are_all_alike_have_no_slope():
    found = review(ground_of(np.ones(100), np.linspace(0.1, 0.9, 100)), settings_of(), True)
    assert found.calibration["slope"] is None
    assert found.against_distance["interval"] is None


# ------------------------------------------------------------------ on all land


def plan_of(by, stratum, chance) -> gpd.GeoDataFrame:
    n = len(by)
    return gpd.GeoDataFrame(
        {
            "unit_id": [f"U{k}" for k in range(n)],
            "selected_by": by,
            "stratum": stratum,
            "selection_probability": chance,
        },
        geometry=[shapely.box(k, 0, k + 1, 1) for k in range(n)],
        crs=CRS,
    )


def test_recall_by_hand():
    # Three units of two cells: one chosen for its value, two of four drawn at random.
    plan = plan_of(
        ["value", "random", "random", "none", "none"], ["", *["all"] * 4], [1.0, *[0.5] * 4]
    )
    ground = ground_of(
        [True, True, True, False, False, False],
        [0.9, 0.8, 0.1, 0.2, 0.3, 0.3],
        unit=[0, 0, 1, 1, 2, 2],
        unit_cells=[2] * 5,
        mapped=np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.3, 0.0, 0.0, 0.0, 0.0]),
    )
    recall = review(ground, settings_of(recall_share=0.2), True, plan).recall
    # 2 ha taken whole, and 1 ha with chance ½: 4 ha in all, 2 of them in the first fifth.
    assert recall["contaminated_ha"] == 4
    assert recall["recall"] == 0.5
    assert (recall["n_random_surveyed"], recall["n_random_contaminated"]) == (2, 1)
    assert recall["likelihoods_add_up_to_ha"] == pytest.approx(2.6)
    # N² (1 - f) s² / n of 0 − ½ · (1, 0): 16 · ½ · 0.125 / 2, over 4 ha.
    assert recall["standard_error"] == pytest.approx(np.sqrt(0.5) / 4)


def test_units_that_were_drawn_and_not_surveyed_are_stood_for_by_the_others():
    plan = plan_of(["random", "random", "none", "none"], ["all"] * 4, [0.5] * 4)
    ground = ground_of([True, False], [0.9, 0.1], unit=[0, 0], unit_cells=[2] * 4)
    recall = review(ground, settings_of(), False, plan).recall
    assert recall["contaminated_ha"] == 4  # 1 ha with chance ½ · ½
    assert (recall["n_random"], recall["n_random_surveyed"]) == (2, 1)
    assert recall["standard_error"] is None
    assert recall["likelihoods_add_up_to_ha"] is None


def test_recall_from_the_random_share_has_no_bias_and_worked_ground_has():
    """Teams go where the ranking looks; only the drawn units know what lies elsewhere."""
    rng = np.random.default_rng(6)
    n_units, n_cells = 300, 4
    score = np.repeat(rng.beta(0.5, 4, n_units), n_cells)
    contaminated = rng.random(len(score)) < 0.05 + 0.5 * score
    unit = np.repeat(np.arange(n_units), n_cells)
    order = np.argsort(-score[::n_cells], kind="stable")
    by_value = np.isin(np.arange(n_units), order[:40])
    truth = contaminated @ membership(score, np.sort(score), 0.1 * len(score)) / contaminated.sum()
    found = []
    for seed in range(100):
        draws = np.random.default_rng(seed)
        drawn = draws.choice(np.flatnonzero(~by_value), 65, replace=False)
        by = np.where(by_value, "value", "none").astype(object)
        by[drawn] = "random"
        plan = plan_of(by, np.where(by_value, "", "all"), np.where(by_value, 1.0, 65 / 260))
        seen = (by != "none")[unit]
        ground = ground_of(
            contaminated[seen], score[seen], unit=unit[seen], unit_cells=[4] * n_units, mapped=score
        )
        found.append(review(ground, settings_of(bootstrap=100), False, plan))
    recall = np.array([one.recall["recall"] for one in found])
    assert recall.mean() == pytest.approx(truth, abs=0.02)
    held = [low <= truth <= high for low, high in (one.recall["interval"] for one in found)]
    assert np.mean(held) >= 0.85
    worked = contaminated[by_value[unit]].sum() / contaminated[seen].sum()
    assert worked > truth + 0.1


# ------------------------------------------------------------------ verdict


def test_small_samples_cannot_tell():
    ground = ground_of([True, False, True, False], [0.01, 0.02, 0.01, 0.99])
    verdict = decide(review(ground, settings_of(), True), VerdictSettings())
    assert verdict.decision == "cannot tell"
    assert "fewer than 20" in verdict.why


def test_a_model_that_holds_is_kept_and_one_that_drifted_is_not():
    good = decide(review(calibrated(), settings_of(), True), VerdictSettings())
    assert good.decision == "keep"
    assert [check.answer for check in good.checks] == ["holds"] * 3
    drifted = decide(review(calibrated(shift=-2.0), settings_of(), True), VerdictSettings())
    assert drifted.decision == "retrain"
    assert "Found over expected is" in drifted.why
    # Between: an interval across the limit settles nothing.
    limits = VerdictSettings(drift_factor=1.02)
    unsure = decide(review(calibrated(n=3000), settings_of(), True), limits)
    assert unsure.decision == "cannot tell"


def test_a_ranking_worse_than_distance_says_retrain():
    ground = calibrated()
    turned = WorkedGround(**{**vars(ground), "score": -ground.score, "by_distance": ground.score})
    verdict = decide(review(turned, settings_of(), False), VerdictSettings())
    assert verdict.decision == "retrain"
    assert verdict.checks[0].answer == "fails"


# ------------------------------------------------------------------ records, maps, files


def clearance_of(*rows) -> HazardRecords:
    """Rows of box, day or None, devices found."""
    boxes, days, found = zip(*rows, strict=True)
    table = gpd.GeoDataFrame(
        {
            "record_id": [f"C{k}" for k in range(len(rows))],
            "method": "cleared",
            "completed": pd.Series(pd.to_datetime(list(days))).astype("datetime64[s]"),
            "devices_found": np.array(found, float),
        },
        geometry=list(boxes),
        crs=CRS,
    )
    return HazardRecords(CRS, clearance=table)


@pytest.fixture
def season_case(tmp_path):
    """A row of six cells: a known hazard in the west, and three cells worked in the season."""
    grid = grid_of(1, 6)
    west, south, _, north = grid.bounds
    cell = [shapely.box(west + 100 * k, south, west + 100 * (k + 1), north) for k in range(6)]
    records = clearance_of(
        (cell[0], "2020-05-01", 3),
        (cell[1], "2024-03-01", 1),
        (cell[3], "2024-01-01", 0),
        (cell[4], "2023-12-31", 5),
        (cell[5], None, 2),
    )
    path = tmp_path / "map.tif"
    with BlockRasterWriter(path, grid, "float32", np.nan, ["rank"], ["1"], {}) as out:
        out.write(grid, np.array([[0.1, 0.2, 0.3, 0.4, 0.5, np.nan]], np.float32))
    return path, Season.of(records, date(2024, 1, 1)), cell


@pytest.mark.parametrize("block_cells", [2, 10])
def test_only_the_season_s_records_are_finds(season_case, block_cells):
    path, season, cell = season_case
    plan = plan_of(["random", "none"], ["all"] * 2, [0.5] * 2)
    plan = plan.set_geometry([shapely.union_all(cell[:3]), shapely.union_all(cell[3:])], crs=CRS)
    labels = validate(LabelSettings, {"rules": RULES})
    ground = worked_ground(path, season, labels, block_cells, plan)
    assert season.n_undated == 1
    assert ground.contaminated.tolist() == [True, False]
    assert ground.score == pytest.approx([0.2, 0.4])
    # Known before: the first and, from 2023 and undated, the fifth and sixth cell.
    assert ground.by_distance.tolist() == [-100.0, -100.0]
    assert ground.unit.tolist() == [0, 1]
    assert ground.unit_cells.tolist() == [3, 3]
    assert ground.mapped == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_a_plan_that_cannot_be_used_is_refused(tmp_path):
    path = tmp_path / "plan.gpkg"
    plan = plan_of(["random"], ["all"], [0.5])
    plan.to_file(path, layer="survey_plan")
    assert read_plan(path, CRS)["selection_probability"].tolist() == [0.5]
    with pytest.raises(LayerError, match=r"is in EPSG:32638, and the ranking in EPSG:32633"):
        read_plan(path, "EPSG:32633")
    plan.assign(selection_probability=0.0).to_file(path, layer="survey_plan")
    with pytest.raises(LayerError, match="above 0 for selected units"):
        read_plan(path, CRS)
    plan.drop(columns="stratum").to_file(path, layer="survey_plan")
    with pytest.raises(LayerError, match="no column 'stratum'"):
        read_plan(path, CRS)
    with pytest.raises(LayerError, match="cannot be read"):
        read_plan(tmp_path / "none.gpkg", CRS)


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    plan = plan_of(["value", "random", "none"], ["", "all", "all"], [1.0, 0.5, 0.5])
    ground = ground_of(
        [True, False, True], [0.9, 0.1, np.nan], unit=[0, 1, 1], unit_cells=[1, 2, 2]
    )
    result = review(ground, settings_of(), True, plan)
    verdict = decide(result, VerdictSettings())
    facts = {"region": "Test", "simulated": True, "since": "2024-01-01"}
    paths = write_review(tmp_path, result, verdict, facts)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in paths)
    told = json.loads((tmp_path / "review.json").read_text(encoding="utf-8"))
    assert told["verdict"]["decision"] == "cannot tell"
    assert len(pd.read_csv(tmp_path / "review.csv")) == 8
    text = (tmp_path / "review.md").read_text(encoding="utf-8")
    assert "SIMULATED" in text
    assert "not a release" in text
    broken = Review(**{**vars(result), "notes": [object()]})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_review(tmp_path / "new", broken, verdict, facts)
    assert not (tmp_path / "new").exists()


def test_no_line_calls_land_safe():
    result = review(calibrated(n=500), settings_of(), True)
    verdict = decide(result, VerdictSettings())
    lines = review_lines(result, verdict, {"region": "R", "simulated": False, "since": "2024"})
    text = " ".join(lines).lower()
    assert not any(word in text for word in (" safe", " free", "no risk"))


def test_the_ranking_and_the_day_must_be_given():
    with pytest.raises(SettingsError, match=r"ranking: give ranking=MAP\.tif since="):
        settings_of(ranking=None)
    with pytest.raises(SettingsError, match=r"slope_range must rise and hold 1"):
        settings_of(verdict={"slope_range": [1.1, 2.0]})
