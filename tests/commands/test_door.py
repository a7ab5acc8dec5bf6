"""The commands as a user meets them: wrong input is one clear line and exit status 2."""

import pytest

from tests.conftest import Run

WRONG = [
    (["modle=x"], ["there is no setting 'modle'", "--help"]),
    (["region=atlantis"], ["region/atlantis", "simulated"]),
    (["model.learning_rate=7"], ["model.learning_rate = 7", "less than or equal to 1"]),
    (["model.depth=3"], ["model.depth: there is no such setting", "num_leaves"]),
    (["region_file=nowhere.yaml"], ["no region file at", "nowhere.yaml"]),
    (["region.crs=EPSG:4326"], ["EPSG:4326 is geographic", "UTM zone"]),
    (["features.rivers2={family:proximity,layer:canals}"], ["features.rivers2", "canals"]),
    (["features.odd={family:telepathy}"], ["telepathy", "proximity"]),
    (["seed=["], ["command line"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "expected"), WRONG, ids=lambda value: str(value[0]))
def test_wrong_settings_are_one_clear_line(
    run_module: Run, arguments: list[str], expected: list[str]
) -> None:
    size = ["region.simulated.size_km=4", "tracking=off"]
    result = run_module("train", *size, *arguments)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    message = " ".join(result.stderr.split())
    for text in expected:
        assert text in message


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "check", "simulate"])
def test_help_can_be_read(run_module: Run, command: str) -> None:
    result = run_module(command, "--help")
    assert result.returncode == 0, result.stderr
    assert f"python -m {command}" in result.stdout
    assert "output_dir=PATH" in result.stdout or command == "check"
    assert "Powered by Hydra" not in result.stdout


def test_console_script_names_its_verbs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hazardrank.commands import cli

    monkeypatch.setattr("sys.argv", ["hazardrank", "--help"])
    cli.main()
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in cli.VERBS)
    monkeypatch.setattr("sys.argv", ["hazardrank", "destroy"])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert "no verb 'destroy'" in capsys.readouterr().err
