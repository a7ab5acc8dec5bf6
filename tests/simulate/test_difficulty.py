"""The district is hard enough to be honest and regular enough to be learnt.

A model on plain layers, tested on blocks it has not seen, must beat every baseline and
must stay well short of perfect. Outcomes come from records by the shipped label settings.
"""

from pathlib import Path

import numpy as np
import pytest
import yaml
from lightgbm import LGBMClassifier
from rasterio.features import rasterize
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hazardrank.labels.outcomes import Labeller
from hazardrank.records import HazardRecords
from hazardrank.settings import DistrictSettings, LabelSettings, validate
from hazardrank.simulate.district import District, make_district
from hazardrank.simulate.files import covered_share
from hazardrank.simulate.terrain import LAND_COVER

BLOCK_CELLS = 50
N_FOLDS = 5


def with_hazard_ids(records: HazardRecords) -> HazardRecords:
    """Number every record: what the labels need here is that the column is there."""
    tables = {}
    for name in ("hazard_areas", "clearance", "accidents"):
        table = getattr(records, name)
        tables[name] = table.assign(hazard_id=np.arange(len(table), dtype=np.int64))
    return HazardRecords(records.crs, survey=records.survey, **tables)


def recorded_outcome(made: District, project: Path):
    path = project / "configs" / "labels" / "standard.yaml"
    settings = validate(LabelSettings, yaml.safe_load(path.read_text(encoding="utf-8")))
    labeller = Labeller(with_hazard_ids(made.records), settings, None)
    return labeller.block(made.scene.frame.district).outcome.ravel()


def plain_features(made: District):
    """Return distances and terrain, shape (n_cells, n_features); the front comes first."""
    scene, world = made.scene, made.scene.frame.world
    margin = (world.n_rows - scene.frame.district.n_rows) // 2
    places = scene.settlements

    def distance(geometries):
        marked = rasterize(
            geometries, out_shape=world.shape, transform=world.transform, all_touched=True
        )
        return ndimage.distance_transform_edt(marked == 0) * world.cell_size_m

    ahead = [
        line.buffer(-400 if side == "left" else 400, single_sided=True)
        for line, side in zip(scene.fronts.line, scene.fronts.side, strict=True)
    ]
    heights = scene.terrain.elevation_m
    layers = [
        distance(list(scene.fronts.line)),
        distance(ahead),
        *(
            distance(list(scene.fronts.line[scene.fronts.start == start]))
            for start in np.unique(scene.fronts.start)
        ),
        *(distance(list(scene.roads.of(kind))) for kind in ("primary", "secondary", "track")),
        distance(list(scene.rivers.line)),
        _to_points(world, places.points[places.abandoned]),
        _to_points(world, places.points[~places.abandoned]),
        _to_points(world, scene.bridges),
        heights,
        scene.terrain.slope_deg,
        *(heights - ndimage.uniform_filter(heights, size) for size in (7, 21, 51)),
        *(ndimage.uniform_filter((scene.land_cover == code) * 1.0, 3) for code in LAND_COVER),
    ]
    inner = [layer[margin:-margin, margin:-margin].ravel() for layer in layers]
    return np.column_stack(inner).astype(np.float32)


def _to_points(world, points):
    marked = np.zeros(world.shape, bool)
    rows, cols = world.cells_of(points[:, 0], points[:, 1])
    marked[rows.clip(0, world.n_rows - 1), cols.clip(0, world.n_cols - 1)] = True
    return ndimage.distance_transform_edt(~marked) * world.cell_size_m


def folds_of(shape):
    rows, cols = (index // BLOCK_CELLS for index in np.indices(shape))
    block = (rows * 1000 + cols).ravel()
    order = np.random.default_rng(0).permutation(len(np.unique(block)))
    return order[np.searchsorted(np.unique(block), block)] % N_FOLDS


def out_of_fold(made, matrix, outcome):
    """Return scores of model and baselines for every cell, each from folds without it."""
    shape = made.scene.frame.district.shape
    fold = folds_of(shape)
    scores = {name: np.zeros(len(outcome)) for name in ("model", "logistic", "known_hazard")}
    scores["front"] = -matrix[:, 0]
    bent = np.sign(matrix) * np.log1p(np.abs(matrix))
    for held_out in range(N_FOLDS):
        test, train = fold == held_out, (fold != held_out) & (outcome >= 0)
        trees = LGBMClassifier(
            n_estimators=150, learning_rate=0.06, min_child_samples=40, colsample_bytree=0.7,
            reg_lambda=5, random_state=0, n_jobs=1, verbose=-1,
        ).fit(matrix[train], outcome[train])  # fmt: skip
        line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        line.fit(bent[train], outcome[train])
        known = (train & (outcome == 1)).reshape(shape)
        scores["model"][test] = trees.booster_.predict(matrix[test])
        scores["logistic"][test] = line.predict_proba(bent[test])[:, 1]
        scores["known_hazard"][test] = -ndimage.distance_transform_edt(~known).ravel()[test]
    return scores


@pytest.fixture(scope="module")
def skills(project):
    """ROC-AUC and PR-AUC by difficulty and score, on recorded outcomes; PR on the truth too."""
    found = {}
    for difficulty in ("easy", "standard", "hard"):
        made = make_district(DistrictSettings(size_km=40, seed=7, difficulty=difficulty))
        outcome, matrix = recorded_outcome(made, project), plain_features(made)
        known = outcome >= 0
        true = covered_share(made.scene.frame.district, made.minefields.polygon).ravel() >= 0.25
        for name, score in out_of_fold(made, matrix, outcome).items():
            found[difficulty, name] = (
                roc_auc_score(outcome[known], score[known]),
                average_precision_score(outcome[known], score[known]),
                roc_auc_score(true[~known], score[~known]),
            )
        found[difficulty, "known"] = (known.mean(), (outcome == 1).mean())
    return found


@pytest.mark.slow
def test_the_model_is_in_the_band(skills):
    assert 0.75 <= skills["standard", "model"][0] <= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("baseline", ["logistic", "front", "known_hazard"])
def test_the_model_beats_every_baseline(skills, baseline):
    model, other = skills["standard", "model"], skills["standard", baseline]
    assert model[0] > other[0] + 0.02
    assert model[1] > other[1] + 0.04


@pytest.mark.slow
def test_no_difficulty_is_solved_and_each_is_harder_than_the_last(skills):
    easy, standard, hard = (skills[name, "model"][0] for name in ("easy", "standard", "hard"))
    assert 0.92 > easy > standard - 0.01
    assert standard > hard > 0.65


@pytest.mark.slow
def test_what_is_learnt_holds_on_land_never_surveyed(skills):
    for name in ("easy", "standard", "hard"):
        assert 0.6 < skills[name, "model"][2] < 0.92


@pytest.mark.slow
def test_base_rates_are_those_of_real_programmes(skills):
    for name in ("easy", "standard", "hard"):
        known, contaminated = skills[name, "known"]
        assert 0.15 < known < 0.40
        assert 0.03 < contaminated < 0.10
