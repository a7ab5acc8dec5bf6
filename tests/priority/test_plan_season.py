import numpy as np
import pytest

from hazardrank.errors import PriorityError
from hazardrank.priority import plan_season as module
from hazardrank.priority.plan_season import compare_plans, plan_season
from hazardrank.priority.plan_solver import Solved, solve
from hazardrank.settings import PlanSettings
from tests.priority.plan_cases import best_by_trying, check_rules, names, random_season, season
from tests.priority.test_plan_exact import best_by_milp

EXACT = PlanSettings(solver="exact", gap=0.0)
GREEDY = PlanSettings(solver="greedy")


@pytest.fixture(autouse=True)
def solved_at_once(monkeypatch):
    """Another program than HiGHS in a child process, which takes a second to start."""
    monkeypatch.setattr(module, "solve", lambda choices, *_: best_by_milp(choices))


@pytest.mark.parametrize("size", [1.0, 1e-9])
def test_exact_plan_beats_the_greedy_one_and_says_how_good_it_is(monkeypatch, size):
    monkeypatch.setattr(module, "solve", solve)  # HiGHS after all
    problem = season(np.array([7, 5, 5]) * size, [6, 5, 5])
    greedy, exact = plan_season(problem, GREEDY), plan_season(problem, EXACT)
    assert names(greedy.plan) == ["T0"]
    assert names(exact.plan) == ["T1", "T2"]
    # Tasks done in part would avert 7 + 4.
    assert greedy.bound == pytest.approx(11 * size, rel=1e-3)
    assert greedy.notes[-1].startswith("greedy: within 36.3")
    assert exact.notes[-1] == "exact: no plan could avert more"
    assert (exact.solver, exact.gap) == ("exact", pytest.approx(0, abs=1e-9))
    assert exact.averted == pytest.approx(10 * size)


@pytest.mark.parametrize("seed", range(12))
def test_bound_is_above_the_best_above_the_exact_above_the_greedy_plan(seed):
    plain = seed % 2 == 0
    problem = random_season(np.random.default_rng(200 + seed), 4, plain=plain)
    greedy, exact = plan_season(problem, GREEDY), plan_season(problem, EXACT)
    best = best_by_trying(problem)
    for season_plan in (greedy, exact):
        check_rules(season_plan.plan)
        assert season_plan.bound >= best - 1e-6
    assert exact.averted >= greedy.averted
    assert exact.averted == pytest.approx(best) if plain else exact.averted <= best + 1e-6


def test_auto_is_exact_for_few_tasks(monkeypatch):
    whole = []
    monkeypatch.setattr(
        module, "solve", lambda choices, *_: whole.append(choices.whole) or best_by_milp(choices)
    )
    problem = season([7, 5, 5], [6, 5, 5])
    plan_season(problem, PlanSettings(exact_up_to=2))
    assert whole == [False]  # the linear relaxation, for the bound
    plan_season(problem, PlanSettings(exact_up_to=3))
    assert whole == [False, False, True]


def test_greedy_plan_follows_the_linear_relaxation():
    # By itself each task behind 0 averts 6 in 7 days, less a day than task 3; both together
    # avert more.
    problem = season([0, 6, 6, 10], [4, 3, 3, 10], before=[(0, 1), (0, 2)])
    found = plan_season(problem, GREEDY)
    assert names(found.plan) == ["T0", "T1", "T2"]
    assert found.notes == ("greedy: no plan could avert more",)


@pytest.mark.parametrize(
    ("solved", "kept", "note"),
    [
        (Solved(None, np.inf, "time limit"), "greedy", "ended at its limit of 60 s: the greedy"),
        (Solved(None, np.inf, "failed"), "greedy", "failed before its end: the greedy plan"),
        (
            Solved(np.array([0.0, 1.0, 1.0]), 11.0, "time limit"),
            "exact",
            "ended at its limit of 60 s: the best plan found so far is kept",
        ),
    ],
)
def test_what_was_found_in_time_is_kept(monkeypatch, solved, kept, note):
    monkeypatch.setattr(module, "solve", lambda *_: solved)
    found = plan_season(season([7, 5, 5], [6, 5, 5]), EXACT)
    assert found.solver == kept
    assert note in found.notes[0]
    assert found.bound >= 10


def test_districts_that_lack_work_are_named():
    problem = season([9, 1], [9, 1], district=["a", "b"], district_shares={"b": 0.5})
    notes = plan_season(problem, GREEDY, rank=np.array([1, 2])).notes
    assert notes[-1] == "the plans it is compared with do not keep to districts' shares"
    assert "district 'b' has 10.0% of the team-days, less than the 50.0% asked for" in notes[1]


@pytest.mark.parametrize("share_of", ["team_days", "area"])
def test_districts_have_their_share_in_the_exact_plan(share_of):
    harm, district = [9, 9, 9, 2, 1], ["a", "a", "a", "b", "b"]
    problem = season(
        harm, [2.5] * 5, district=district, district_shares={"b": 0.25}, share_of=share_of
    )
    assert names(plan_season(problem, EXACT).plan) == ["T0", "T1", "T2", "T3"]


def test_plans_stand_beside_rank_order_and_nearest_first():
    problem = season(
        [2, 9, 8],
        [10, 6, 4],
        deadline={1: 5, 2: 3},
        distance_m=np.array([[3.0], [2.0], [1.0]]),
        late_share=0.5,
    )
    found = plan_season(problem, GREEDY, rank=np.array([1, 2, 3]))
    table = found.comparison().set_index("plan")
    assert table.index.tolist() == ["greedy", "rank order", "nearest first"]
    assert table["harm_averted"].tolist() == [12.5, 2, 12.5]
    assert table["in_time"].tolist() == [1, 0, 1]
    assert table["with_deadline"].tolist() == [2, 2, 2]
    assert table["area_m2"].tolist() == [2000, 1000, 2000]


def test_rank_order_that_beats_greedy_is_the_plan():
    problem = season([7, 5, 5], [6, 5, 5])
    found = plan_season(problem, GREEDY, rank=np.array([3, 1, 2]))
    assert (found.solver, found.averted) == ("rank order", 10)
    # Without T0, which has to be in, or without district a's share, it is none.
    for rule in ({"locked_in": [0]}, {"district_shares": {"a": 0.5}, "district": ["a", "b", "b"]}):
        kept = plan_season(season([7, 5, 5], [6, 5, 5], **rule), GREEDY, rank=np.array([3, 1, 2]))
        assert (kept.solver, kept.averted) == ("greedy", 7)


def test_ranks_of_other_tasks_are_refused():
    with pytest.raises(PriorityError, match="ranks for"):
        plan_season(season([1], [1]), GREEDY, rank=np.array([1, 2]))


def test_nothing_to_plan():
    found = plan_season(season([], np.zeros((0, 1))), GREEDY, rank=np.zeros(0, np.int64))
    assert (found.averted, found.gap, len(found.tasks())) == (0, 0, 0)
    assert compare_plans(found, found.plan)["tasks_a"].tolist() == [0]
