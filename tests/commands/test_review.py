"""``python -m review`` as its users run it, on a simulated district."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pytest

from hazardrank.commands.review import run
from hazardrank.errors import LabelError, LeakageError
from hazardrank.grid.raster_io import BlockRasterWriter, grid_of, read_values
from hazardrank.priority.survey_plan import SurveyTotals, plan_survey
from hazardrank.priority.survey_units import square_units
from hazardrank.settings import DistrictSettings, ReviewSettings, SurveyPlanSettings, validate
from hazardrank.simulate.district import write_district
from tests.priority.cases import grid_of as grid_of_cells


def test_a_map_that_knew_the_season_is_refused(tmp_path):
    grid, path = grid_of_cells(2, 2), tmp_path / "map.tif"
    tags = {"records_as_of": "2024-12-31"}
    with BlockRasterWriter(path, grid, "float32", np.nan, ["rank"], ["1"], tags) as out:
        out.write(grid, np.ones(grid.shape, np.float32))
    region = {"name": "t", "crs": grid.crs, "cell_size_m": 100, "extent": {"bbox": [0, 0, 1, 1]}}
    tree = {
        **{"output_dir": str(tmp_path / "out"), "region": region, "ranking": str(path)},
        **{"labels": {"rules": [{"record": "accidents", "outcome": "contaminated"}]}},
    }
    with pytest.raises(LeakageError, match=r"reach to 2024-12-31, into the season since 2024-06"):
        run(validate(ReviewSettings, {**tree, "since": "2024-06-01"}))
    with pytest.raises(LabelError, match="no record of 2025-01-01 or later"):
        run(validate(ReviewSettings, {**tree, "since": "2025-01-01"}))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_season_is_reviewed_with_its_survey_plan(tmp_path, run_module):
    write_district(DistrictSettings(size_km=8, seed=3), tmp_path / "district")
    ranking = tmp_path / "district" / "truth" / "contamination.tif"
    grid, plan = grid_of(ranking), SurveyPlanSettings(budget_units=30, random_share=0.5)
    totals = SurveyTotals(square_units(grid, 1000), plan, grid.cell_area_m2)
    every = np.ones(grid.shape, bool)
    totals.add(grid, read_values(ranking, grid), every, np.ones(grid.shape))
    table = plan_survey(totals, plan, grid.crs, 0)
    table.to_file(tmp_path / "survey_plan.gpkg", layer="survey_plan")

    ran = run_module(
        "review",
        "ranking=district/truth/contamination.tif",
        "region_file=district/region.yaml",
        "survey_plan=survey_plan.gpkg",
        "surveyed_from=0.01",
        "since=2021-01-01",
        "is_likelihood=true",
        "output_dir=out",
    )
    assert ran.returncode == 0, ran.stderr
    assert "SIMULATED" in ran.stdout
    told = json.loads((tmp_path / "out" / "review.json").read_text(encoding="utf-8"))
    assert set(told["verdict"]) == {"decision", "why", "checks"}
    assert told["thresholds"]["drift_factor"] == 1.5
    assert len(told["ranking"]["sha256"]) == 64
    recall = told["recall"]
    assert recall["n_random"] == 15
    assert 0 < recall["n_random_surveyed"] <= 15
    own, plain = told["budgets"][:2]
    assert own["hit_rate"] >= plain["hit_rate"] > 0
    worked = told["counts"]["worked_ha"]
    assert own["worked_ha"] == pytest.approx(0.1 * worked)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("review.csv", "review.json", "review.md"),
    ]
    # The plan as people get it says of every unit how likely it was to be drawn.
    assert (gpd.read_file(tmp_path / "survey_plan.gpkg")["selection_probability"] > 0).all()

    late = run_module(
        "review",
        "ranking=district/truth/contamination.tif",
        "region_file=district/region.yaml",
        "since=2031-01-01",
        "output_dir=never",
    )
    assert late.returncode == 2
    assert "no record of 2031-01-01 or later" in late.stderr
    assert not (tmp_path / "never").exists()
