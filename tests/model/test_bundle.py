import dataclasses
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import numpy as np
import pytest
from scipy.special import logit

from hazardrank.errors import BundleError, ModelError, OutputError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.boosted import BoostedTrees
from hazardrank.model.bundle import Bundle, PredictorWarning
from hazardrank.model.ensemble import Ensemble
from hazardrank.model.forest import Forest
from hazardrank.settings import ModelSettings

PROVENANCE = {"protocol": "new_district", "data": {"roads.gpkg": "ab12"}, "code": "0.1.0"}


@pytest.fixture(scope="module")
def dated(specs):
    first = dataclasses.replace(
        specs[0], unit="m", as_of=date(2020, 5, 1), description="Größe – ≤ 1"
    )
    return (first, *specs[1:])


def trained(specs, side, **changes):
    values = {"max_rounds": 30, "early_stopping_rounds": 10, "num_leaves": 7} | changes
    learner = BoostedTrees(ModelSettings(**values), specs, 1, 3)
    model = learner.fit(side)
    return model, Bundle.of(model, learner, PROVENANCE)


@pytest.fixture(scope="module")
def model_and_bundle(dated, side):
    return trained(dated, side)


@pytest.fixture
def bundle(model_and_bundle):
    return model_and_bundle[1]


@pytest.fixture
def folder(bundle, tmp_path):
    return bundle.save(tmp_path / "bundle")


@pytest.mark.parametrize("calibration", ["isotonic", "beta", "logistic", "none"])
@pytest.mark.parametrize("boosting", ["gbdt", "rf"])
def test_a_reloaded_bundle_equals_the_model_to_the_bit(
    dated, side, new_side, tmp_path, calibration, boosting
):
    settings = {"calibration": calibration, "boosting": boosting, "categorical": ["cover_class"]}
    model, bundle = trained(dated, side, **settings)
    reloaded = Bundle.load(bundle.save(tmp_path / "bundle"))
    extremes = np.array([[np.nan, np.inf, -1, -np.inf], [np.nan] * 4, [0, 0, 99, 1e30]], np.float32)
    for matrix in (new_side.matrix, extremes):
        np.testing.assert_array_equal(reloaded.scores(matrix), model.scores(matrix))
        np.testing.assert_array_equal(reloaded.likelihood(matrix), model.likelihood(matrix))
    assert reloaded == bundle
    assert reloaded.digest == bundle.digest


def test_everything_in_it_is_readable_text(bundle, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["bundle.json", "model_0.txt"]
    values = json.loads((folder / "bundle.json").read_text("utf-8"))
    assert values["format_version"] == 2
    assert values["features"][0] == {
        "name": "line_distance_m",
        "unit": "m",
        "layer": "layer",
        "family": "family",
        "description": "Größe – ≤ 1",
        "as_of": "2020-05-01",
    }
    assert values["provenance"] == PROVENANCE
    assert values["training"]["n_cells"] == 1200
    assert values["calibrator"]["method"] == "beta"
    assert (folder / "model_0.txt").read_text("utf-8").startswith("tree\nversion=")


def test_the_same_training_gives_the_same_bytes(dated, side, folder, tmp_path):
    again = trained(dated, side)[1].save(tmp_path / "again")
    for path in folder.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_it_reads_in_a_fresh_process(folder, model_and_bundle, new_side, tmp_path):
    np.save(tmp_path / "matrix.npy", new_side.matrix)
    program = (
        "import numpy as np; from pathlib import Path; from hazardrank.model.bundle import Bundle\n"
        f"matrix = np.load({str(tmp_path / 'matrix.npy')!r})\n"
        f"likelihood = Bundle.load(Path({str(folder)!r})).likelihood(matrix)\n"
        f"np.save({str(tmp_path / 'out.npy')!r}, likelihood)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    expected = model_and_bundle[0].likelihood(new_side.matrix)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


def test_several_models_score_by_their_mean(bundle, dated, side, new_side, tmp_path):
    other = trained(dated, side, learning_rate=0.2)[1]
    both = dataclasses.replace(bundle, models=bundle.models + other.models)
    reloaded = Bundle.load(both.save(tmp_path / "both"))
    assert (tmp_path / "both" / "model_1.txt").exists()
    mean = (bundle.scores(new_side.matrix) + other.scores(new_side.matrix)) / 2
    np.testing.assert_array_equal(reloaded.scores(new_side.matrix), mean)
    assert reloaded.digest != bundle.digest


@pytest.mark.parametrize("boosting", ["gbdt", "rf"])
def test_contributions_add_up_to_the_log_odds_of_the_score(dated, side, boosting):
    bundle = trained(dated, side, boosting=boosting)[1]
    added = bundle.contributions(side.matrix[:200])
    assert added.shape == (200, 5)
    scores = bundle.scores(side.matrix[:200])
    np.testing.assert_allclose(added.sum(axis=1), logit(scores), atol=1e-6)


def test_importance_finds_what_matters(bundle):
    importance = bundle.importance()
    assert list(importance)[:1] == ["line_distance_m"]
    assert sum(importance.values()) == pytest.approx(1)
    assert set(importance) == set(bundle.names)


def test_saving_replaces_an_older_bundle_and_leaves_nothing_beside(bundle, folder, dated, side):
    other = trained(dated, side, learning_rate=0.2)[1]
    assert Bundle.load(other.save(folder)) == other
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_a_failed_save_leaves_the_older_bundle(bundle, folder, monkeypatch):
    broken = dataclasses.replace(bundle, provenance={"x": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.save(folder)
    assert Bundle.load(folder) == bundle
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_folders_with_other_things_are_left_alone(bundle, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"exists and is no bundle.*Name another"):
        bundle.save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def altered(folder, **changes):
    path = folder / "bundle.json"
    values = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps(values), "utf-8")


def test_no_folder_no_bundle(tmp_path):
    with pytest.raises(BundleError, match=r"there is no bundle\.json.*that train wrote"):
        Bundle.load(tmp_path)


def test_a_missing_model_text_is_named(folder):
    (folder / "model_0.txt").unlink()
    with pytest.raises(BundleError, match=r"model_0\.txt: is missing\. Copy the whole"):
        Bundle.load(folder)


def test_altered_model_text_is_refused(folder):
    path = folder / "model_0.txt"
    path.write_text(path.read_text().replace("leaf_value=", "leaf_value=9", 1))
    with pytest.raises(BundleError, match=r"model_0\.txt: has been altered.*Copy the bundle again"):
        Bundle.load(folder)


def test_another_format_version_is_refused(folder):
    altered(folder, format_version=1)
    with pytest.raises(BundleError, match="format version 1; this hazardrank reads version 2"):
        Bundle.load(folder)


def test_descriptions_that_do_not_fit_the_model_are_refused(bundle, folder):
    features = json.loads((folder / "bundle.json").read_text("utf-8"))["features"]
    altered(folder, features=features[:3])
    with pytest.raises(BundleError, match="model 0 has 4 features, the bundle describes 3"):
        Bundle.load(folder)
    altered(folder, features=[features[1], features[0], *features[2:]])
    with pytest.raises(BundleError, match="stand in another order"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": [{"file": "../../etc/passwd", "sha256": ""}]}, "names a model file"),
        ({"models": []}, "at least one model"),
        ({"calibrator": {"method": "magic", "parameters": {}}}, "'magic' is not one of"),
        ({"settings": {"num_leaves": 1}}, "cannot be understood .*num_leaves"),
        ({"seed": None}, "cannot be understood .TypeError"),
        ({"features": [{"name": "a"}]}, "cannot be understood .KeyError.'as_of'"),
    ],
)
def test_altered_descriptions_are_refused(folder, changes, message):
    altered(folder, **changes)
    with pytest.raises(BundleError, match=f"(?s){message}"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("content", "message"), [("{", "cannot be read"), ("[1]", "is not the description")]
)
def test_a_description_that_is_no_json_is_refused(folder, content, message):
    (folder / "bundle.json").write_text(content)
    with pytest.raises(BundleError, match=message):
        Bundle.load(folder)


def test_text_that_is_no_model_is_refused(bundle):
    with pytest.raises(BundleError, match="the text is no LightGBM model"):
        dataclasses.replace(bundle, models=("tree\nnonsense",))


def test_features_are_checked_by_name_order_and_unit(bundle, dated):
    bundle.check_features(dated)
    other = FeatureSpec("height_m", "m", "dem", "terrain", "Height.")
    with pytest.raises(BundleError, match=r"missing \['noise'\], unexpected \['height_m'\]"):
        bundle.check_features((*dated[:3], other))
    with pytest.raises(BundleError, match="stand in another order"):
        bundle.check_features(dated[::-1])
    feet = dataclasses.replace(dated[0], unit="ft")
    with pytest.raises(BundleError, match="line_distance_m is in ft, the model learned it in m"):
        bundle.check_features((feet, *dated[1:]))


def test_matrices_that_do_not_fit_are_refused(bundle):
    with pytest.raises(ModelError, match=r"shape \(2, 3\), the model has 4 features"):
        bundle.likelihood(np.zeros((2, 3), np.float32))
    with pytest.raises(ModelError, match="float64, the model reads float32"):
        bundle.scores(np.zeros((2, 4)))


# ------------------------------------------------------------------------ band by band


@pytest.mark.parametrize(
    "changes",
    [{}, {"boosting": "rf"}, {"interval": "venn_abers"}, {"categorical": ["cover_class"]}],
    ids=str,
)
def test_bands_give_what_a_matrix_gives_to_the_bit(dated, side, new_side, changes):
    bundle = trained(dated, side, **changes)[1]
    matrix = new_side.matrix.copy()
    matrix[::7, 1] = np.nan
    bands = np.ascontiguousarray(matrix.T)
    np.testing.assert_array_equal(bundle.scores_of_bands(bands), bundle.scores(matrix))
    by_band = bundle.estimate_bands(bands, threads=2)
    by_row = bundle.estimate(matrix)
    assert bundle.forest_note is None
    for name in ("likelihood", "spread", "low", "high"):
        ours, theirs = getattr(by_band, name), getattr(by_row, name)
        if theirs is None:
            assert ours is None
        else:
            np.testing.assert_array_equal(ours, theirs)


def test_members_of_an_ensemble_band_by_band(dated, side, new_side):
    settings = ModelSettings(
        max_rounds=5, early_stopping_rounds=3, num_leaves=7, members=3, interval="ensemble"
    )
    learner = Ensemble(settings, dated, 1, 3)
    bundle = Bundle.of(learner.fit(side), learner, {})
    assert bundle.has_spread
    by_band = bundle.estimate_bands(np.ascontiguousarray(new_side.matrix.T), threads=2)
    by_row = bundle.estimate(new_side.matrix)
    for name in ("likelihood", "spread", "low", "high"):
        np.testing.assert_array_equal(getattr(by_band, name), getattr(by_row, name))


def test_many_threads_at_once_give_what_one_gives(bundle, new_side):
    fresh = dataclasses.replace(bundle)
    bands = np.ascontiguousarray(np.tile(new_side.matrix, (40, 1)).T)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda _: fresh.scores_of_bands(bands, 2), range(8)))
    expected = np.tile(bundle.scores(new_side.matrix), 40)
    for part in parts:
        np.testing.assert_array_equal(part, expected)


def test_bands_that_do_not_fit_are_refused(bundle):
    with pytest.raises(ModelError, match=r"bands have shape \(3, 2\), the model has 4 features"):
        bundle.estimate_bands(np.zeros((3, 2), np.float32))
    with pytest.raises(ModelError, match="bands are float64, the model reads float32"):
        bundle.scores_of_bands(np.zeros((4, 2)))


def test_models_beyond_the_fast_predictor_fall_back_and_say_so(
    dated, side, new_side, tmp_path, monkeypatch
):
    monkeypatch.setattr("hazardrank.model.bundle._CELLS_BY_ROW", 37)
    bundle = trained(dated, side, num_leaves=80, min_cells_in_leaf=1, max_rounds=3)[1]
    bundle = Bundle.load(bundle.save(tmp_path / "bundle"))  # a limit is no cause for a warning
    assert "leaves, more than 64" in bundle.forest_note
    by_band = bundle.estimate_bands(np.ascontiguousarray(new_side.matrix.T))
    np.testing.assert_array_equal(by_band.likelihood, bundle.likelihood(new_side.matrix))
    assert len(bundle.scores_of_bands(np.empty((4, 0), np.float32))) == 0


def test_a_predictor_that_differs_is_not_used(folder, new_side, monkeypatch):
    right = Forest.scores
    monkeypatch.setattr(Forest, "scores", lambda *given: np.nextafter(right(*given), 1))
    with pytest.warns(PredictorWarning, match="differ on 512 test cells, so the model is scored"):
        other = Bundle.load(folder)
    assert "differ on 512 test cells" in other.forest_note
    by_band = other.estimate_bands(np.ascontiguousarray(new_side.matrix.T))
    np.testing.assert_array_equal(by_band.likelihood, other.likelihood(new_side.matrix))
