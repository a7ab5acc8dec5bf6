"""What several rooms' tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings

# Developers' runs explore; CI repeats the same examples, so that a red run can be had again.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

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


def run_in(
    folder: Path, module: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m MODULE setting=value …`` in a folder, as a user would."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_module(tmp_path: Path) -> Run:
    """Run a command in an empty folder."""
    return partial(run_in, tmp_path)
