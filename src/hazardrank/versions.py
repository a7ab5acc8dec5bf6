"""What runs here: this package's code and the libraries that decide its results."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("numpy", "numba", "lightgbm", "rasterio", "dask", "distributed")


@cache
def code_digest() -> str:
    """Return the SHA-256 over the package's source files, names included."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def installed() -> dict[str, str]:
    """Return the version of Python, of this package's code and of each library.

    Two processes in which these agree give the same bytes.
    """
    return {
        "python": platform.python_version(),
        "hazardrank": f"{version('hazardrank')} ({code_digest()[:12]})",
        **{name: version(name) for name in LIBRARIES},
    }
