import dataclasses
import warnings

import numpy as np
import optuna
import pytest
from sklearn.metrics import roc_auc_score

from hazardrank.errors import ModelError
from hazardrank.model import inner_bench
from hazardrank.model.blended import BlendedModel
from hazardrank.model.boosted import BoostedModel, BoostedTrees
from hazardrank.model.bundle import Bundle
from hazardrank.model.candidates import Candidate, forest
from hazardrank.model.ensemble import Ensemble
from hazardrank.model.inner_bench import InnerBench, InnerScores
from hazardrank.model.selection import TunedLearner, blend_shares, learner_for
from hazardrank.settings import ModelSettings, ValidationSettings
from hazardrank.validation.cross_validation import training_side
from hazardrank.validation.folds import make_folds
from hazardrank.validation.learner import InnerFold, TrainingSide

from ..validation.cases import scattered
from .conftest import make_side

QUICK = {"max_rounds": 20, "early_stopping_rounds": 10, "num_leaves": 7, "learning_rate": 0.1}


def settings(trials=4, tuning=(), **changes):
    search = {"enabled": True, "trials": trials, "max_rounds": 20} | dict(tuning)
    return ModelSettings(**(QUICK | {"tuning": search} | changes))


def learner(specs, seed=3, threads=1, **changes):
    return TunedLearner(settings(**changes), specs, threads, seed)


@pytest.fixture(scope="module")
def side():
    return make_side(300)


@pytest.fixture(scope="module")
def tuned(specs, side):
    return learner(specs).fit(side)


def trials_of(file):
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    try:
        (study,) = optuna.get_all_study_summaries(storage)
        loaded = optuna.load_study(study_name=study.study_name, storage=storage)
        return loaded.get_trials()
    finally:
        storage.engine.dispose()


def test_it_ranks_new_land_and_says_what_it_chose(tuned, new_side):
    likelihood = tuned.likelihood(new_side.matrix)
    assert roc_auc_score(new_side.contaminated, likelihood) > 0.7
    assert ((likelihood > 0) & (likelihood < 1)).all()
    choice = tuned.choice
    assert (choice["trials"], len(choice["best_trial"]) > 0) == (4, True)
    assert sum(member["share"] for member in choice["chosen"]) == pytest.approx(1)
    assert choice["inner_value"] >= choice["as_given"] - 0.02


def test_the_held_out_fold_changes_nothing_of_what_is_learned():
    # Other outcomes and other features of the held-out cells: the same model to the byte.
    training = scattered(n_hazards=25, share_labelled=0.3)
    no_hazard = np.full(len(training.cells), -1)  # else a hazard could pull its cells along
    training = dataclasses.replace(
        training, cells=dataclasses.replace(training.cells, hazard_id=no_hazard)
    )
    districts = ValidationSettings(
        folds={"method": "groups", "n_folds": None}, inner_folds=2, random_split=False
    )

    def learned(changed):
        outcome, features = training.cells.outcome.copy(), training.layer_features.copy()
        held_out = np.flatnonzero(training.groups == "NE")
        if changed:
            outcome[held_out] = 1 - outcome[held_out]
            features[held_out] = 1e6
        cells = dataclasses.replace(training.cells, outcome=outcome)
        one = dataclasses.replace(training, cells=cells, layer_features=features)
        plan = make_folds(one, districts.folds, 0)
        k = plan.names.index("NE")
        np.testing.assert_array_equal(plan.test(k), held_out)
        side = training_side(one, plan, districts, 0, k)
        return learner(training.specs, trials=3).fit(side)

    plain, changed = learned(False), learned(True)
    assert changed.texts == plain.texts
    assert changed.calibrator == plain.calibrator
    assert changed.choice == plain.choice


def test_what_is_held_out_inside_never_trains_and_is_judged_once(specs, side, monkeypatch):
    trained, looked_at = [], []
    original = inner_bench._train

    def spy(trees, data, matrix, contaminated):
        trained.append(data.num_data())
        looked_at.append(len(matrix))
        return original(trees, data, matrix, contaminated)

    monkeypatch.setattr(inner_bench, "_train", spy)
    bench = InnerBench(side, specs, "ranking", 1, 0)
    run = bench.run(forest(ModelSettings(), 5), np.ones(4, bool))
    assert trained == [len(fold.train) for fold in side.inner]
    assert looked_at == [len(fold.test) for fold in side.inner]
    assert sorted(bench.rows) == list(range(len(side.contaminated)))
    assert run.scores.shape == (300,)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones(specs, side, tuned):
    assert learner(specs).fit(side).texts == tuned.texts
    assert learner(specs, seed=4).fit(side).texts != tuned.texts


def test_the_number_of_threads_changes_nothing(specs, side, tuned):
    again = learner(specs, threads=2).fit(side)
    assert again.texts == tuned.texts
    assert again.choice == tuned.choice


def test_an_interrupted_study_goes_on_to_the_same_end(specs, side, tmp_path):
    file = tmp_path / "studies" / "tuning.db"
    stored = {"storage": str(file)}
    learner(specs, trials=2, tuning=stored).fit(side)
    assert [trial.state.name for trial in trials_of(file)] == ["COMPLETE", "COMPLETE", "WAITING"]
    resumed = learner(specs, trials=5, tuning=stored).fit(side)
    done = [t for t in trials_of(file) if t.state.name in ("COMPLETE", "PRUNED")]
    assert len(done) == 5
    whole = learner(specs, trials=5).fit(side)
    assert resumed.texts == whole.texts
    assert resumed.choice["best_trial"] == whole.choice["best_trial"]


def test_a_trial_cut_off_half_way_is_tried_again(specs, side, tmp_path, monkeypatch):
    stored = {"storage": str(tmp_path / "tuning.db")}
    original = InnerBench.run
    calls = []

    def stop_at_third(self, *given, **named):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(InnerBench, "run", stop_at_third)
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            learner(specs, trials=4, tuning=stored).fit(side)
    resumed = learner(specs, trials=4, tuning=stored).fit(side)
    states = [trial.state.name for trial in trials_of(tmp_path / "tuning.db")]
    assert states.count("FAIL") == 1
    assert resumed.texts == learner(specs, trials=4).fit(side).texts


def test_a_finished_study_is_not_run_again(specs, side, tmp_path, monkeypatch):
    stored = {"storage": str(tmp_path / "tuning.db")}
    first = learner(specs, trials=3, tuning=stored).fit(side)
    monkeypatch.setattr(
        "hazardrank.model.selection._Search._try", lambda *_: pytest.fail("one trial too many")
    )
    assert learner(specs, trials=3, tuning=stored).fit(side).texts == first.texts


def test_another_side_is_another_study(specs, side, tmp_path):
    stored = {"storage": str(tmp_path / "tuning.db")}
    flipped = side.contaminated.copy()
    flipped[0] = ~flipped[0]
    other = dataclasses.replace(side, contaminated=flipped)
    names = {
        learner(specs, trials=1, tuning=stored).fit(one).choice["study"] for one in (side, other)
    }
    assert len(names) == 2


def test_minutes_end_the_search_after_the_first_trial(specs, side, monkeypatch):
    clock = iter(range(0, 10_000, 120))
    monkeypatch.setattr("hazardrank.model.selection.time.monotonic", lambda: next(clock))
    model = learner(specs, trials=None, tuning={"minutes": 3}).fit(side)
    # Asked at 0 s (start), 120 s and 240 s: the third time the three minutes are over.
    assert model.choice["trials"] == 2


@pytest.mark.parametrize("selection", ["forward", "permutation"])
def test_features_are_selected_without_a_search_too(specs, side, selection):
    model = learner(specs, tuning={"enabled": False}, feature_selection=selection).fit(side)
    assert isinstance(model, BlendedModel)
    assert "line_distance_m" in model.choice.get("features", ["line_distance_m"])
    used = {name for text in model.texts for name in text.splitlines() if name.startswith("split_")}
    assert used


def test_small_tables_may_choose_a_forest_and_large_ones_keep_to_the_settings(specs, side):
    plain = {"tuning": {"enabled": False}}
    given = BoostedTrees(settings(**plain), specs, 1, 3).fit(side)
    large = learner(specs, forest_below_cells=300, **plain).fit(side)
    assert isinstance(large, BoostedModel)
    assert large.text() == given.text()
    # One round learns next to nothing: the forest must win.
    small = learner(specs, max_rounds=1, early_stopping_rounds=0, learning_rate=1e-6, **plain)
    chosen = small.fit(side)
    assert isinstance(chosen, BlendedModel)
    assert chosen.choice["chosen"][0]["candidate"] == "forest"
    values = chosen.choice["inner_values"]
    assert values["forest"] > values["given"]


def test_shares_follow_what_helps_by_hand():
    outcome = np.array([1, 1, 0, 0] * 5, bool)
    folds = (InnerFold(np.zeros((20, 1), np.float32), np.arange(20), np.arange(20)),)
    side = TrainingSide(np.zeros((20, 1), np.float32), outcome, np.ones(20, np.float32), folds)
    bench = InnerBench(side, (), "ranking", 1, 0)
    candidate = Candidate("forest", ModelSettings())

    def run(values):
        scores = np.tile(np.array(values, float), 5)
        return InnerScores(candidate, scores, 1, bench.judge(scores))

    # Each misplaces another cell; their mean places all: 0.8 and 0.7 over 0.6 and 0.55.
    first, second = run([0.9, 0.5, 0.6, 0.1]), run([0.7, 0.9, 0.6, 0.8])
    useless = run([0.5, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(blend_shares([first, second, useless], bench, 5), [0.5, 0.5, 0])
    np.testing.assert_allclose(blend_shares([first, second, useless], bench, 1), [1, 0, 0])


def test_a_blend_is_the_weighted_mean_of_its_members_and_survives_the_bundle(specs, side, tmp_path):
    members = learner(specs, trials=4).fit(side).members
    if len(members) == 1:
        members = (members[0], dataclasses.replace(members[0]))
    model = BlendedModel(
        (
            dataclasses.replace(members[0], share=0.75),
            dataclasses.replace(members[1], share=0.25),
        ),
        members[0].model.calibrator,
        300,
        75,
        1,
    )
    by_hand = 0.75 * members[0].model.scores(side.matrix)
    by_hand += 0.25 * members[1].model.scores(side.matrix)
    np.testing.assert_allclose(model.scores(side.matrix), by_hand, rtol=1e-14)
    bundle = Bundle.of(model, learner(specs), {})
    loaded = Bundle.load(bundle.save(tmp_path / "bundle"))
    assert loaded.weights == (0.75, 0.25)
    np.testing.assert_array_equal(loaded.scores(side.matrix, 1), model.scores(side.matrix))


def test_it_needs_inner_folds_that_teach(specs, side):
    with pytest.raises(ModelError, match=r"none of the 0 inner folds .* nothing to choose by"):
        learner(specs).fit(dataclasses.replace(side, inner=()))


def test_ensembles_are_not_tuned(specs):
    with pytest.raises(ModelError, match="3 members cannot be tuned at once"):
        learner(specs, members=3)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, TunedLearner),
        ({"forest_below_cells": 0}, BoostedTrees),
        ({"boosting": "rf"}, BoostedTrees),
        ({"members": 2}, Ensemble),
        ({"boosting": "rf", "tuning": {"enabled": True}}, TunedLearner),
        ({"forest_below_cells": 0, "feature_selection": "forward"}, TunedLearner),
    ],
)
def test_the_settings_say_which_learner(specs, changes, kind):
    assert type(learner_for(ModelSettings(**changes), specs, 1, 0)) is kind


def test_optuna_keeps_quiet(specs, side, tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner(specs, trials=1, tuning={"storage": str(tmp_path / "t.db")}).fit(side)
    assert capsys.readouterr() == ("", "")
