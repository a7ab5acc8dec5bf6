import numpy as np
import pytest
import shapely
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hazardrank.errors import PriorityError, SettingsError
from hazardrank.priority.survey_plan import (
    COLUMNS,
    SurveyTotals,
    plan_survey,
    plan_words,
    uncertainty,
)
from hazardrank.priority.survey_selection import Selection
from hazardrank.priority.survey_units import square_units, task_units, village_units
from hazardrank.priority.tasks import make_tasks
from hazardrank.settings import AnyPlanSettings, SurveyPlanSettings, TaskSettings, validate
from hazardrank.settings.base import Settings
from hazardrank.validation.random_share import Sampled
from tests.priority.cases import CRS, grid_of

NAN = np.nan


def chosen(**values) -> SurveyPlanSettings:
    return SurveyPlanSettings(**values)


def totals_of(grid, plan, likelihood, unsurveyed=True, consequence=1.0, units=None):
    totals = SurveyTotals(units or square_units(grid, plan.unit_m), plan, grid.cell_area_m2)
    for block in grid.blocks(3):
        row, col = block.offset_in(grid)
        part = np.s_[row : row + block.n_rows, col : col + block.n_cols]
        whole = (
            np.broadcast_to(v, grid.shape)[part] for v in (likelihood, unsurveyed, consequence)
        )
        totals.add(block, *whole)
    return totals


# ------------------------------------------------------------------ value


def test_entropy_and_the_value_of_perfect_information_by_hand():
    p = np.array([0.0, 0.11, 0.5, 1.0, NAN])
    expected = [0.0, 0.4999, 1.0, 0.0, NAN]
    np.testing.assert_allclose(uncertainty(p, chosen()), expected, atol=1e-4)
    # Clear from 0.2: most is gained there, and nothing where the choice is plain.
    plan = chosen(measure="perfect_information", clear_from=0.2)
    found = uncertainty(np.array([0.0, 0.1, 0.2, 0.6, 1.0]), plan)
    np.testing.assert_allclose(found, [0.0, 0.5, 1.0, 0.5, 0.0])


def test_perfect_information_is_what_an_expected_loss_spares():
    """Independent: the loss of the better of two acts, less that of knowing (which is 0)."""
    plan, limit = chosen(measure="perfect_information", clear_from=0.3), 0.3
    p = np.linspace(0, 1, 101)
    losses = np.stack([p * (1 - limit), (1 - p) * limit])  # leave it; clear it
    np.testing.assert_allclose(
        uncertainty(p, plan), losses.min(axis=0) / (limit * (1 - limit)), atol=1e-12
    )


def test_the_value_of_a_unit_by_hand():
    grid = grid_of(1, 4)
    plan = chosen(unit_m=200, budget_units=2, random_share=0, unjudged_likelihood=0.5)
    totals = totals_of(
        grid,
        plan,
        np.array([[0.5, 0.5, NAN, 0.0]]),
        np.array([[True, False, True, True]]),
        np.array([[1.0, 0.5, 0.5, 1.0]]),
    )
    table = plan_survey(totals, plan, CRS, 0).set_index("unit_id")
    west, east = square_units(grid, 200).ids
    # West: 1 bit · 1 + 1 bit · 0.5 · 0.2 (surveyed). East: prior 1 bit · 0.5 · 2, and nothing.
    assert table.loc[west, "value"] == pytest.approx(1.1)
    assert table.loc[east, "value"] == pytest.approx(1.0)
    assert table.loc[east, "unjudged_share"] == 0.5
    assert table.loc[west, "unsurveyed_share"] == 0.5
    assert table.loc[west, "value_rank"] == 1
    assert "cannot judge 50%" in table.loc[east, "why"]
    assert (table["selected_by"] == "value").all()
    assert table.geometry.area.tolist() == [40_000, 40_000]


@pytest.mark.parametrize("measure", ["entropy", "perfect_information"])
def test_unjudged_land_is_never_worth_nothing(measure):
    grid = grid_of(4, 4)
    plan = chosen(unit_m=200, measure=measure, budget_units=1)
    likelihood = np.zeros((4, 4))
    likelihood[:2, :2] = NAN
    table = plan_survey(totals_of(grid, plan, likelihood, consequence=0.0), plan, CRS, 0)
    assert table["value"].iloc[0] > 0
    assert table["unjudged_share"].tolist() == [1.0, 0.0, 0.0, 0.0]
    everything = totals_of(grid, plan, np.full((4, 4), NAN))
    assert (plan_survey(everything, plan, CRS, 0)["value"] > 0).all()


# ------------------------------------------------------------------ units


def test_squares_are_the_same_whatever_the_region_and_the_tiling():
    grid = grid_of(7, 9)
    units = square_units(grid, 300)
    whole = units.of(grid)
    inner = grid.part(2, 3, 4, 5)
    np.testing.assert_array_equal(units.of(inner), whole[2:6, 3:8])
    assert set(square_units(inner, 300).ids) <= set(units.ids)
    centres = shapely.points(*np.meshgrid(grid.eastings(), grid.northings()))
    assert shapely.contains(units.outlines()[whole], centres).all()
    with pytest.raises(PriorityError, match="squares of 250 m are no whole number of cells"):
        square_units(grid, 250)


def test_villages_are_the_nearest_settlement():
    grid = grid_of(6, 8)
    west, south, east, north = grid.bounds
    rng = np.random.default_rng(2)
    places = rng.uniform((west, south), (east, north), (5, 2))
    units = village_units(grid, np.vstack([places, places[:1]]), np.array(list("abcdef")), 250.0)
    assert units.names.tolist() == list("abcde")
    assert len(set(units.ids)) == 5
    labels = units.of(grid)
    easting, northing = np.meshgrid(grid.eastings(), grid.northings())
    away_m = np.hypot(easting[..., None] - places[:, 0], northing[..., None] - places[:, 1])
    expected = np.where(away_m.min(axis=-1) <= 250, away_m.argmin(axis=-1), -1)
    np.testing.assert_array_equal(labels, expected)
    inside = labels >= 0
    points = shapely.points(easting[inside], northing[inside])
    assert shapely.distance(units.outlines()[labels[inside]], points).max() < 3
    one = village_units(grid, places[:1], np.array(["a"]))
    assert one.outlines()[0].equals(shapely.box(*grid.bounds))
    with pytest.raises(PriorityError, match="no settlement to send survey teams to"):
        village_units(grid, np.empty((0, 2)), np.array([]))


def test_tasks_are_units_too():
    grid = grid_of(2, 6)
    tasks = make_tasks(
        grid,
        np.ones((2, 6)),
        np.ones((2, 6), bool),
        TaskSettings(min_area_ha=1, max_area_ha=4, contrast=None),
    )
    plan = chosen(by="tasks", budget_units=1, random_share=0)
    table = plan_survey(totals_of(grid, plan, 0.5, units=task_units(tasks)), plan, CRS, 0)
    assert sorted(table["unit_id"]) == sorted(tasks.ids)
    assert table["value"].sum() == pytest.approx(12)


def test_land_outside_the_area_is_in_no_unit():
    grid = grid_of(2, 4)
    plan = chosen(unit_m=200, budget_units=1)
    totals = SurveyTotals(square_units(grid, 200), plan, grid.cell_area_m2)
    half, none = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    half[:, :2] = True
    totals.add(grid, np.full(grid.shape, 0.5), half, np.ones(grid.shape), inside=half)
    assert plan_survey(totals, plan, CRS, 0)["area_m2"].tolist() == [40_000]
    empty = SurveyTotals(square_units(grid, 200), plan, grid.cell_area_m2)
    empty.add(grid, np.full(grid.shape, 0.5), half, np.ones(grid.shape), inside=none)
    with pytest.raises(PriorityError, match="no unit of survey holds a cell"):
        plan_survey(empty, plan, CRS, 0)


# ------------------------------------------------------------------ selection


def many_units(**values):
    """400 squares of a cell, with likelihoods and land never surveyed drawn at random."""
    grid, rng = grid_of(20, 20), np.random.default_rng(5)
    plan = chosen(unit_m=100, **values)
    likelihood = rng.beta(0.4, 3.0, grid.shape)
    likelihood[rng.random(grid.shape) < 0.1] = NAN
    totals = totals_of(grid, plan, likelihood, rng.random(grid.shape) < 0.7)
    return totals, plan


@settings(max_examples=25, deadline=None)
@given(
    budget=st.integers(1, 420),
    share=st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    levels=st.integers(1, 8),
    in_days=st.booleans(),
)
def test_a_selection_keeps_its_promises(budget, share, levels, in_days):
    budgets = (None, budget * 0.5) if in_days else (budget, None)
    totals, plan = many_units(
        budget_units=budgets[0],
        budget_team_days=budgets[1],
        random_share=share,
        likelihood_strata=levels,
    )
    table = plan_survey(totals, plan, CRS, 1)
    assert list(table.columns) == [*COLUMNS, "geometry"]
    by, chance = table["selected_by"], table["selection_probability"]
    n_value = int((by == "value").sum())
    assert (by.iloc[:n_value] == "value").all()
    assert (chance[by == "value"] == 1).all()
    assert (table.loc[by == "value", "stratum"] == "").all()
    assert int((by != "none").sum()) == min(budget, 400)
    if share > 0 and n_value < 400:
        assert (by == "random").any()
        for _, stratum in table[by != "value"].groupby("stratum"):
            drawn = (stratum["selected_by"] == "random").mean()
            assert drawn > 0
            assert (stratum["selection_probability"] == drawn).all()
    if share == 0:
        assert not chance[by == "none"].any()


def test_recorded_probabilities_give_totals_without_bias():
    """The design as the review reads it: over many seeds, what is found adds up to the truth."""
    totals, plan = many_units(budget_units=60, random_share=0.4)
    table = plan_survey(totals, plan, CRS, 0)
    found = np.random.default_rng(9).gamma(0.4, 2.0, len(table))
    estimates, often = [], np.zeros(len(table))
    for seed in range(1000):
        picked = Selection.of(table, totals.prior, plan, seed)
        taken = picked.by != "none"
        codes = np.where(picked.by == "value", -1, 0)
        estimates.append(Sampled(codes[taken], picked.probability[taken]).total(found[taken]))
        often += taken
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert np.mean(estimates) == pytest.approx(found.sum(), abs=4 * error)
    np.testing.assert_allclose(often / 1000, table["selection_probability"], atol=0.07)
    # What was found without correction, or blown up as if all had one chance, is far off.
    share = (table["selected_by"] != "none").mean()
    naive = found[(table["selected_by"] != "none").to_numpy()].sum() / share
    assert error < 0.02 * found.sum() < abs(naive - found.sum())


def test_the_same_seed_draws_the_same_units():
    totals, plan = many_units()
    same = [plan_survey(totals, plan, CRS, seed)["selected_by"].tolist() for seed in (4, 4, 5)]
    assert same[0] == same[1] != same[2]


def test_a_budget_in_team_days_goes_by_value_per_day_and_is_not_passed():
    grid = grid_of(2, 6)
    tasks = make_tasks(
        grid,
        np.ones((2, 6)),
        np.ones((2, 6), bool),
        TaskSettings(min_area_ha=1, max_area_ha=4, contrast=None),
    )
    plan = chosen(
        by="tasks", budget_units=None, budget_team_days=1.0, random_share=0, least_team_days=0.4
    )
    table = plan_survey(totals_of(grid, plan, 0.3, units=task_units(tasks)), plan, CRS, 0)
    assert table["team_days"].tolist() == [0.4] * len(table)
    assert (table["selected_by"] == "value").sum() == 2


def test_what_is_said_of_a_plan():
    totals, plan = many_units(budget_units=40)
    words = plan_words(plan_survey(totals, plan, CRS, 0), plan)
    assert words[0].startswith("40 of 400 squares to survey: 34 for what they could tell, 6 drawn")
    assert "not released" in words[-1]
    without = replace_share(plan, 0.0)
    assert any(
        "without bias" in one for one in plan_words(plan_survey(totals, without, CRS, 0), without)
    )


def replace_share(plan, share):
    return plan.model_copy(update={"random_share": share})


# ------------------------------------------------------------------ settings


class _Tree(Settings):
    plan: AnyPlanSettings


def test_the_kind_says_which_plan_it_is(project):
    text = (project / "configs" / "plan" / "survey.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    assert validate(_Tree, {"plan": values}).plan == SurveyPlanSettings(label="example survey")
    assert validate(_Tree, {"plan": {"kind": "season"}}).plan.kind == "season"
    with pytest.raises(SettingsError, match=r"^plan\.unit_m = -1: input should be greater than 0"):
        validate(_Tree, {"plan": {"kind": "survey", "unit_m": -1}})
    with pytest.raises(SettingsError, match=r"^plan\.teams: there is no such .*random_share"):
        validate(_Tree, {"plan": {"kind": "survey", "teams": {}}})
    team = {"method": "dogs", "start": "2025-01-01", "end": "2025-02-01", "colour": 1}
    with pytest.raises(SettingsError, match=r"^plan\.teams\.survey\.colour: there is no such"):
        validate(_Tree, {"plan": {"kind": "season", "teams": {"survey": team}}})
    with pytest.raises(SettingsError, match="give budget_units or budget_team_days"):
        validate(_Tree, {"plan": {**values, "budget_team_days": 3}})
