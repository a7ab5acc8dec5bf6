"""The built wheel works from any folder, with its configs inside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=project, check=True, capture_output=True, timeout=300)
    wheel = next(folder.glob("*.whl"))
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(target), str(wheel)], check=True, timeout=300)
    return target


@pytest.mark.slow
def test_wheel_trains_in_another_folder(site: Path, tmp_path: Path, project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = "import hazardrank; print(hazardrank.__file__)"
    assert run(sys.executable, "-c", where).startswith(str(site))
    small = ["region.simulated.size_km=8", "model.max_rounds=30", "validation.folds.size_m=2000"]
    script = str(site / "bin" / "hazardrank")
    run(sys.executable, script, "train", *small, "output_dir=result")
    assert (tmp_path / "result" / "contamination_likelihood.tif").is_file()
    assert (tmp_path / "experiments" / "mlflow.db").is_file()
    assert "bosnia" in run(sys.executable, "-m", "train", "--help")
    config = site / "hazardrank" / "configs"
    assert not list(config.rglob("*.db"))
    assert not list(config.rglob("*.md"))
