import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from hazardrank.errors import ModelError
from hazardrank.features.base import FeatureSpec
from hazardrank.model.boosted import BoostedTrees, column_names
from hazardrank.settings import ModelSettings
from hazardrank.validation.learner import InnerFold

QUICK = {"max_rounds": 60, "early_stopping_rounds": 10, "num_leaves": 7, "learning_rate": 0.1}


def trees(specs, threads=1, seed=3, **changes):
    return BoostedTrees(ModelSettings(**(QUICK | changes)), specs, threads, seed)


@pytest.fixture(scope="module")
def model(specs, side):
    return trees(specs).fit(side)


def test_it_ranks_new_land(model, new_side):
    likelihood = model.likelihood(new_side.matrix)
    assert roc_auc_score(new_side.contaminated, likelihood) > 0.72
    assert ((likelihood > 0) & (likelihood < 1)).all()


@pytest.mark.parametrize("class_weight", ["none", "balanced", 12.0])
def test_likelihoods_are_calibrated_whatever_the_class_weight(specs, side, new_side, class_weight):
    fitted = trees(specs, class_weight=class_weight).fit(side)
    prevalence = new_side.contaminated.mean()
    assert abs(fitted.likelihood(new_side.matrix).mean() - prevalence) < 0.03
    if class_weight != "none":
        assert fitted.scores(new_side.matrix).mean() > prevalence + 0.05


def test_the_same_seed_gives_the_same_text_and_another_seed_another(specs, side, model):
    assert trees(specs).fit(side).text() == model.text()
    assert trees(specs, seed=4).fit(side).text() != model.text()


def test_the_number_of_threads_changes_nothing(specs, side, model, new_side, monkeypatch):
    monkeypatch.setattr("hazardrank.model.boosted.CELLS_PER_THREAD", 100)
    two = trees(specs, threads=2).fit(side)
    assert "[num_threads: 2]" in two.booster.model_to_string()
    assert two.text() == model.text()
    assert two.calibrator == model.calibrator
    np.testing.assert_array_equal(two.scores(new_side.matrix), model.scores(new_side.matrix))


def test_few_cells_are_left_to_one_thread(specs, side):
    fitted = trees(specs, threads=8).fit(side)
    assert "[num_threads: 1]" in fitted.booster.model_to_string()


def test_rounds_minimise_the_loss_over_all_inner_cells(specs, side):
    fitted = trees(specs, class_weight="none", learning_rate=0.3, max_rounds=200).fit(side)
    losses = []
    for rounds in range(1, len(fitted.inner_loss) + 1):
        fixed = trees(
            specs,
            class_weight="none",
            learning_rate=0.3,
            max_rounds=rounds,
            early_stopping_rounds=0,
            calibration="none",
        )
        if abs(rounds - fitted.rounds) > 3:
            continue
        scores = np.empty(len(side.contaminated))
        for fold in side.inner:
            part = dataclasses.replace(
                side,
                matrix=side.matrix[fold.train],
                contaminated=side.contaminated[fold.train],
                weight=side.weight[fold.train],
                inner=(),
            )
            scores[fold.test] = fixed.fit(part).scores(side.matrix[fold.test])
        losses.append((log_loss(side.contaminated, scores), rounds))
    assert min(losses)[1] == fitted.rounds
    assert min(losses)[0] == pytest.approx(min(fitted.inner_loss), abs=1e-6)
    assert len(fitted.inner_loss) == fitted.rounds + 10
    assert fitted.booster.current_iteration() == fitted.rounds < 200


def test_inner_folds_may_have_matrices_of_their_own(specs, side):
    # The first feature decides. Inner folds that cannot see it stop at another round.
    blind = side.matrix.copy()
    blind[:, 0] = np.nan
    inner = tuple(InnerFold(blind, fold.train, fold.test) for fold in side.inner)
    seeing, unseeing = (
        trees(specs).fit(one) for one in (side, dataclasses.replace(side, inner=inner))
    )
    assert min(unseeing.inner_loss) > min(seeing.inner_loss) + 0.02


def test_evidence_weights_count(specs, side):
    # Contaminated cells of class 2 are hardly believed: their likelihood falls.
    doubted = side.contaminated & (side.matrix[:, 2] == 2)
    weight = np.where(doubted, 0.05, 1).astype(np.float32)
    believed = trees(specs).fit(side)
    sceptical = trees(specs).fit(dataclasses.replace(side, weight=weight))
    here = side.matrix[side.matrix[:, 2] == 2]
    assert sceptical.likelihood(here).mean() < believed.likelihood(here).mean() - 0.2


@pytest.mark.parametrize("boosting", ["gbdt", "rf"])
def test_monotone_features_only_push_one_way(specs, side, boosting):
    fitted = trees(specs, boosting=boosting, monotone={"line_distance_m": -1}).fit(side)
    free = trees(specs, boosting=boosting).fit(side)
    cells = np.repeat(side.matrix[:40], 60, axis=0)
    cells[:, 0] = np.tile(np.linspace(0, 5000, 60, dtype=np.float32), 40)
    steps = np.diff(fitted.scores(cells).reshape(40, 60), axis=1)
    assert (steps <= 0).all()
    assert (np.diff(free.scores(cells).reshape(40, 60), axis=1) > 0).any()


def test_categorical_codes_are_split_as_sets(specs, side):
    settings = {"categorical": ["cover_class"], "calibration": "none"}
    fitted = trees(specs, **settings).fit(side)
    assert any("num_cat=1" in line for line in fitted.text().splitlines())
    cells = side.matrix[:1].repeat(2, axis=0)
    cells[:, 2] = 2, 99  # a code never seen goes the way of "not in the set"
    seen, unseen = fitted.scores(cells)
    assert seen > unseen


def test_random_forest_takes_all_rounds_and_is_calibrated(specs, side, new_side):
    fitted = trees(specs, boosting="rf", max_rounds=40).fit(side)
    assert (fitted.rounds, fitted.inner_loss) == (40, ())
    assert fitted.booster.current_iteration() == 40
    likelihood = fitted.likelihood(new_side.matrix)
    assert roc_auc_score(new_side.contaminated, likelihood) > 0.72
    assert abs(likelihood.mean() - new_side.contaminated.mean()) < 0.03


def test_random_forest_by_features_alone(specs, side):
    fitted = trees(specs, boosting="rf", max_rounds=5, cell_fraction=1, feature_fraction=0.5)
    assert fitted.fit(side).booster.num_trees() == 5


def test_early_stopping_off_takes_all_rounds(specs, side):
    fitted = trees(specs, early_stopping_rounds=0, max_rounds=25).fit(side)
    assert (fitted.rounds, fitted.booster.current_iteration()) == (25, 25)


def test_scores_are_the_sigmoid_of_the_raw_score(model, side):
    raw = model.booster.predict(side.matrix, raw_score=True)
    np.testing.assert_allclose(model.scores(side.matrix), expit(raw), atol=1e-15)


def test_without_signal_the_likelihood_is_near_the_prevalence(specs, side):
    rng = np.random.default_rng(5)
    shuffled = dataclasses.replace(side, contaminated=rng.permutation(side.contaminated))
    likelihood = trees(specs).fit(shuffled).likelihood(side.matrix)
    assert np.abs(likelihood - side.contaminated.mean()).mean() < 0.05


def test_constant_features_fall_back_to_the_prevalence_and_say_so(specs, side):
    flat = np.zeros_like(side.matrix)
    inner = tuple(InnerFold(flat, fold.train, fold.test) for fold in side.inner)
    fitted = trees(specs, class_weight="none").fit(
        dataclasses.replace(side, matrix=flat, inner=inner[:1])
    )
    assert fitted.summary()["calibration_note"] == "all out-of-fold scores were equal"
    tested = side.contaminated[inner[0].test].mean()
    np.testing.assert_allclose(fitted.likelihood(flat[:3]), tested, atol=0.01)


def test_inner_folds_without_both_outcomes_are_passed_over(specs, side):
    contaminated = np.flatnonzero(side.contaminated)
    lame = InnerFold(side.matrix, contaminated[:50], contaminated[50:90])
    with_lame = dataclasses.replace(side, inner=(*side.inner, lame))
    assert trees(specs).fit(with_lame).text() == trees(specs).fit(side).text()
    with pytest.raises(ModelError, match="none of the 1 inner folds has both outcomes"):
        trees(specs).fit(dataclasses.replace(side, inner=(lame,)))


def test_no_inner_fold_is_needed_when_nothing_is_chosen(specs, side):
    plain = {"early_stopping_rounds": 0, "calibration": "none", "max_rounds": 5}
    fitted = trees(specs, **plain).fit(dataclasses.replace(side, inner=()))
    np.testing.assert_array_equal(fitted.likelihood(side.matrix), fitted.scores(side.matrix))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"monotone": {"distance": 1}}, r"model\.monotone: there is no feature distance\..*slope"),
        ({"categorical": ["soil"]}, r"model\.categorical: there is no feature soil"),
        ({"categorical": ["noise"], "monotone": {"noise": 1}}, "categorical and monotone"),
        ({"boosting": "rf", "cell_fraction": 1, "feature_fraction": 1}, "is one tree"),
    ],
)
def test_settings_that_cannot_be_met(specs, changes, message):
    with pytest.raises(ModelError, match=message):
        trees(specs, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contaminated": np.zeros(1200, bool)}, "0 of 1200 training cells are contaminated"),
        ({"contaminated": np.ones(1200, bool)}, "1200 of 1200 training cells"),
        ({"matrix": np.zeros((1200, 3), np.float32)}, r"shape \(1200, 3\) for 1200 cells and 4"),
        ({"weight": np.zeros(1200, np.float32)}, "weights must be finite and above 0"),
    ],
)
def test_sides_that_teach_nothing(specs, side, changes, message):
    with pytest.raises(ModelError, match=message):
        trees(specs).fit(dataclasses.replace(side, **changes))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 3), np.float32), r"shape \(2, 3\), the model has 4 features"),
        (np.zeros((2, 4)), "the matrix is float64, the model reads float32"),
    ],
)
def test_matrices_that_do_not_fit(model, matrix, message):
    with pytest.raises(ModelError, match=message):
        model.scores(matrix)


def test_no_rows_give_no_scores(model):
    assert model.likelihood(np.empty((0, 4), np.float32)).shape == (0,)


def test_awkward_names_become_names_lightgbm_can_store(side):
    awkward = ("Dist. (km)", "Dist. [km]", "Größe", "a:b,c")
    specs = tuple(FeatureSpec(name, "1", "table", "table", "A column.") for name in awkward)
    names = column_names(specs)
    assert names == ["Dist.__km__0", "Dist.__km__1", "Gr__e", "a_b_c"]
    assert trees(specs, max_rounds=3).fit(side).booster.feature_name() == names
