from pathlib import Path

import pytest

from hazardrank.commands import hydra_app


def test_configs_are_found() -> None:
    folder = hydra_app.config_dir()
    assert (folder / "train.yaml").is_file()
    assert (folder / "region" / "simulated.yaml").is_file()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a=1", "-m", "b=2"], ["-m", "a=1", "b=2"]),
        (["a=1", "b=2"], ["a=1", "b=2"]),
        (["--config-dir", "x", "--multirun"], ["--multirun", "--config-dir", "x"]),
    ],
)
def test_multirun_flag_may_stand_anywhere(arguments: list[str], expected: list[str]) -> None:
    assert hydra_app._flags_first(arguments) == expected


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("region:\n  name: a\n", "_global_"),
        ("name: a\ncrs: EPSG:32638\n", "region"),
        ("# @package _global_\nregion: {}\n", "_global_"),
    ],
)
def test_region_file_gets_its_package(tmp_path: Path, text: str, package: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    result = hydra_app._as_global_package(path)
    assert result.startswith(f"# @package {package}\n")
    assert result.count("@package") == 1


def test_region_file_becomes_a_region(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("region:\n  name: own\n")
    arguments = hydra_app._with_region_file(["seed=1", f"region_file={path}"])
    assert arguments[:3] == ["seed=1", f"region_file='{path}'", "region=from_file/own"]
    assert arguments[3].startswith("hydra.searchpath=[file://")


@pytest.mark.parametrize("given", ["region_file=", "region_file=null"])
def test_empty_region_file_is_none(given: str) -> None:
    assert hydra_app._with_region_file([given]) == [given]


def test_any_dotted_setting_may_be_given() -> None:
    given = ["labels.max_cells=5", "seed=1", "hydra.verbose=true", "+a.b=1", "model=x"]
    expected = ["++labels.max_cells=5", "seed=1", "hydra.verbose=true", "+a.b=1", "model=x"]
    assert hydra_app._any_setting(given) == expected
