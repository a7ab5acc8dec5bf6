"""What several rooms' tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, where a developer has it."""
    folder = os.environ.get("HAZARDRANK_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real data is not here: HAZARDRANK_DATA names no folder")
    return Path(folder)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_module(tmp_path: Path) -> Run:
    """Run ``python -m MODULE setting=value …`` in an empty folder, as a user would."""

    def run(module: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **options.pop("env", {})}
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=options.pop("cwd", tmp_path),
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run
