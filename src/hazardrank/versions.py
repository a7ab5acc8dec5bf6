"""What runs here: this package's code and the libraries that decide its results."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("numpy", "numba", "lightgbm", "rasterio", "dask", "distributed")


@cache
def code_digest(rooms: tuple[str, ...] = ()) -> str:
    """Return the SHA-256 over the package's source files, names included.

    Parameters
    ----------
    rooms : tuple of str, optional
        Folders of the package to look at; all of it when empty.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if rooms and name.parts[0] not in rooms:
            continue
        digest.update(str(name).encode())
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
