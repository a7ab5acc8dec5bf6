"""``python -m seasons`` as its users run it."""

from __future__ import annotations

import pandas as pd
import pytest


@pytest.mark.slow
def test_seasons_are_played_on_a_small_district(tmp_path, run_module):
    ran = run_module(
        "seasons",
        *("district_seeds=[0]", "seasons=2", "hectares=100", "region.simulated.size_km=10"),
        *("model.max_rounds=30", "validation.folds.size_m=1500", "compute.threads=1"),
        *("policies=[combined,distance,random]", "output_dir=out", "data_dir=data"),
    )
    assert ran.returncode == 0, ran.stderr
    assert "SIMULATED" in ran.stdout
    assert "says nothing of skill on real land" in ran.stdout
    rows = pd.read_csv(tmp_path / "out" / "seasons.csv")
    assert rows.groupby("policy")["cleared_ha"].sum().tolist() == [200.0] * 3
    assert (tmp_path / "out" / "seasons.png").stat().st_size > 10_000
    found = rows[rows["season"] == 2].set_index("policy")["cumulative_contaminated_ha"]
    # On land made by rules that the features show, learning must beat chance, and not be perfect.
    assert found["random"] < found["combined"] < 100
    assert found["random"] < found["distance"] < 100

    real = run_module("seasons", "region.simulated=null", "output_dir=never")
    assert real.returncode == 2
    assert "seasons are played on a simulated region" in real.stderr
