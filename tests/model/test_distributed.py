"""Trees grown by lightgbm.dask, on a real scheduler with workers on loopback."""

from __future__ import annotations

import os
import re
import signal
from itertools import islice

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hazardrank.cluster import connected
from hazardrank.errors import ClusterError
from hazardrank.model.boosted import BoostedTrees
from hazardrank.model.distributed import ClusterGrower, deal, grower_of, loss_by_round
from hazardrank.model.positive_unlabelled import PositiveUnlabelled
from hazardrank.model.selection import learner_for
from hazardrank.settings import ComputeSettings, ModelSettings

QUICK = {"max_rounds": 25, "early_stopping_rounds": 5, "num_leaves": 7, "learning_rate": 0.2}


def trees(specs, grower=None, **changes):
    return BoostedTrees(ModelSettings(**(QUICK | changes)), specs, 1, 3, grower)


# ------------------------------------------------------------------------------ dealing


def test_outcomes_are_dealt_evenly():
    contaminated = np.array([True, False, False, True, False, False])
    first, second = deal(contaminated, 2, seed=0)
    assert sorted([*first, *second]) == [0, 1, 2, 3, 4, 5]
    assert contaminated[first].sum() == contaminated[second].sum() == 1


@given(
    outcomes=st.lists(st.booleans(), min_size=2, max_size=60),
    n_shares=st.integers(1, 12),
    seed=st.integers(0, 5),
)
def test_every_cell_is_dealt_once_and_every_share_holds_both_outcomes(outcomes, n_shares, seed):
    contaminated = np.array(outcomes)
    shares = deal(contaminated, n_shares, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(shares)), np.arange(len(outcomes)))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 2
    if contaminated.any() and not contaminated.all():
        assert len(shares) == min(n_shares, contaminated.sum(), (~contaminated).sum())
        assert all(0 < contaminated[share].mean() < 1 for share in shares)


def test_one_share_keeps_the_order_of_cells():
    contaminated = np.array([True, False] * 5)
    np.testing.assert_array_equal(deal(contaminated, 1, seed=9)[0], np.arange(10))


# ------------------------------------------------------------------- losses afterwards


def test_losses_read_off_whole_trees_are_those_told_while_they_grew(specs, side):
    learner = trees(specs)
    weight = np.linspace(0.5, 2, len(side.contaminated))
    half = np.arange(len(weight)) % 2 == 0
    cells = learner.dataset(side.matrix[half], side.contaminated[half], weight[half])
    other = side.matrix[~half], side.contaminated[~half], weight[~half]
    booster = lgb.Booster(learner.params(len(weight)), cells)
    booster.add_valid(learner.dataset(*other, cells), "other")
    told = []
    for _ in range(12):
        booster.update()
        told.append(booster.eval_valid()[0][2])
    whole = lgb.Booster(model_str=booster.model_to_string())
    read = list(islice(loss_by_round(whole, *other), 14))
    np.testing.assert_allclose([loss for loss, _ in read[:12]], told, rtol=1e-6)
    assert [finished for _, finished in read] == [False] * 12 + [True] * 2
    assert read[13][0] == read[11][0]


# ------------------------------------------------------------------------ on a cluster


@pytest.fixture(scope="module")
def one_worker():
    with grower_of(ComputeSettings(backend="dask", workers=1)) as grower:
        yield grower


@pytest.fixture(scope="module")
def two_workers():
    with grower_of(ComputeSettings(backend="dask", workers=2)) as grower:
        yield grower


def trees_of(text: str) -> str:
    """Return a model's trees, without what it says of how they were grown."""
    return text[text.index("Tree=0") : text.index("end of trees")]


def test_without_a_cluster_trees_are_grown_here():
    with grower_of(ComputeSettings()) as grower:
        assert grower is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"boosting": "rf", "node_feature_fraction": 0.6, "cell_fraction": 0.6},
        {"monotone": {"line_distance_m": -1}, "categorical": ["cover_class"], "max_bin": 63},
        {"random_thresholds": True, "class_weight": 3.0, "l1": 0.1, "max_depth": 3},
        {"early_stopping_rounds": 0, "calibration": "none", "min_cells_in_leaf": 9},
    ],
    ids=str,
)
def test_a_cluster_of_one_grows_the_trees_that_grow_here(specs, side, one_worker, changes):
    here, there = trees(specs, **changes).fit(side), trees(specs, one_worker, **changes).fit(side)
    assert there.rounds == here.rounds
    assert trees_of(there.text()) == trees_of(here.text())
    np.testing.assert_allclose(there.inner_loss, here.inner_loss, rtol=1e-6)
    np.testing.assert_array_equal(there.likelihood(side.matrix), here.likelihood(side.matrix))


@pytest.mark.slow
def test_two_workers_grow_other_trees_that_are_as_good(specs, side, new_side, two_workers):
    here, there = trees(specs).fit(side), trees(specs, two_workers).fit(side)
    assert two_workers.n_workers == 2
    assert trees_of(there.text()) != trees_of(here.text())
    found = [roc_auc_score(new_side.contaminated, m.scores(new_side.matrix)) for m in (here, there)]
    # The standard error of the ROC-AUC of 1,200 cells is about 0.015.
    assert abs(found[0] - found[1]) < 0.015


@pytest.mark.slow
def test_the_same_seed_and_workers_give_the_same_bytes(specs, side, two_workers):
    texts = {trees(specs, two_workers, calibration="none").fit(side).text() for _ in range(3)}
    with grower_of(ComputeSettings(backend="dask", workers=2)) as others:
        texts.add(trees(specs, others, calibration="none").fit(side).text())
    assert len(texts) == 1


@pytest.mark.slow
def test_the_text_names_no_machine_and_tells_how_many_there_were(specs, side, two_workers):
    text = trees(specs, two_workers).fit(side).text()
    assert "127.0.0.1" not in text
    assert "[machines: ]" in text
    assert "[num_machines: 2]" in text
    assert re.search(r"feature_names=line_distance_m slope_deg cover_class noise\n", text)


@pytest.mark.slow
def test_workers_that_share_the_terminal_are_quiet(specs, side, capfd):
    with grower_of(ComputeSettings(backend="dask", workers=2)) as grower:
        trees(specs, grower, early_stopping_rounds=0, calibration="none").fit(side)
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.slow
def test_likelihoods_of_two_workers_keep_to_a_constraint(specs, side, two_workers):
    fitted = trees(specs, two_workers, monotone={"line_distance_m": -1}).fit(side)
    rows = np.repeat(side.matrix[:1], 200, axis=0)
    rows[:, 0] = np.linspace(0, 5000, 200)
    scores = fitted.scores(rows)
    assert (np.diff(scores) <= 0).all()
    assert scores[0] > scores[-1]


@pytest.mark.slow
def test_ensembles_small_tables_and_bags_grow_on_the_cluster_too(specs, side, two_workers):
    asked = [{"members": 2}, {"forest_below_cells": 10_000}]
    for changes in [*asked, {"unlabelled": "bagging", "unlabelled_bags": 2}]:
        settings = ModelSettings(**({"forest_below_cells": 0} | QUICK | changes))
        learner = learner_for(settings, specs, 1, 3, grower=two_workers)
        assert isinstance(learner, PositiveUnlabelled) == ("unlabelled" in changes)
        texts = learner.fit(side).texts
        assert all("[num_machines: 2]" in text for text in texts), changes


@pytest.mark.slow
def test_a_worker_lost_in_the_middle_of_the_trees_ends_the_training_clearly(specs, side):
    def die_in_round_five():
        import lightgbm

        update, rounds = lightgbm.Booster.update, []

        def dies(self, *arguments, **options):
            rounds.append(1)
            if len(rounds) == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return update(self, *arguments, **options)

        lightgbm.Booster.update = dies

    with connected(ComputeSettings(backend="dask", workers=2)) as client:
        grower = ClusterGrower(client)
        client.run(die_in_round_five, workers=[sorted(client.nthreads())[1]])
        with pytest.raises(ClusterError, match=r"compute=dask: .*same command again"):
            trees(specs, grower, calibration="none").fit(side)
