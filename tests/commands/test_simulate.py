"""``python -m simulate``."""

import pytest
import yaml

from hazardrank.commands.simulate import run
from hazardrank.errors import SettingsError
from hazardrank.settings import SimulateSettings, validate


def settings_of(folder, **district):
    return validate(
        SimulateSettings,
        {
            "output_dir": str(folder),
            "district": {"size_km": 4, **district},
            "compute": {"progress": False},
        },
    )


def test_it_writes_the_district_and_says_that_it_is_simulated(tmp_path, capsys):
    folder = tmp_path / "district"
    run(settings_of(folder))
    shown = " ".join(capsys.readouterr().out.split())
    assert "SIMULATED" in shown
    assert "made up, of no real place" in shown
    assert "km² in" in shown
    assert "hazard areas" in shown
    assert f"region_file={folder}/region.yaml" in shown
    region = yaml.safe_load((folder / "region.yaml").read_text(encoding="utf-8"))["region"]
    assert region["simulated"]["size_km"] == 4


def test_progress_names_the_stages_on_standard_error(tmp_path, capsys):
    settings = settings_of(tmp_path / "district")
    settings = settings.model_copy(
        update={"compute": settings.compute.model_copy(update={"progress": True})}
    )
    run(settings)
    shown = capsys.readouterr().err
    assert "Laying mines" in shown
    assert "Writing files: done in" in shown


def test_sizes_that_do_not_go_together_end_before_anything_is_written(tmp_path):
    with pytest.raises(SettingsError, match="gives 4 cells across"):
        run(settings_of(tmp_path / "district", cell_size_m=1000))
    assert list(tmp_path.iterdir()) == []
