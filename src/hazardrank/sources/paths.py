"""From a path in the settings to what GDAL opens: relative, absolute, remote or in a zip."""

from __future__ import annotations

import re
from pathlib import Path

from hazardrank.errors import HazardRankError, LayerError

#: URL schemes and the GDAL file system that reads each.
SCHEMES = {"http": "/vsicurl/http://", "https": "/vsicurl/https://", "s3": "/vsis3/"}
SCHEMES |= {"gs": "/vsigs/", "az": "/vsiaz/"}

_REMOTE = re.compile(r"/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)(_streaming)?/")
_ARCHIVE = re.compile(r"^/vsi(zip|tar|gzip|7z|rar)/(?P<rest>.*)$")
_ARCHIVE_END = re.compile(r"\.(zip|shz|gpkg\.zip|tar|tgz|tar\.gz|gz|7z|rar)(?=/|$)", re.IGNORECASE)


def resolve(path: str, data_dir: Path) -> str:
    """Return the path as GDAL opens it.

    Parameters
    ----------
    path : str
        Relative to `data_dir` or absolute; ``/vsi…``; ``zip://archive.zip!inner.tif``;
        ``https://…``, ``s3://…``, ``gs://…``, ``az://…``. A plain ``….zip`` is opened
        as an archive that holds one dataset.
    data_dir : Path
        Folder that relative paths start from.

    Returns
    -------
    str
        An absolute path, or one of GDAL's virtual paths.

    Raises
    ------
    LayerError
        If the URL scheme is not one of those above.
    """
    if path.startswith("/vsi"):
        return path
    scheme, separator, rest = path.partition("://")
    if not separator:
        local = str((data_dir / Path(path).expanduser()).absolute())
        return f"/vsizip/{local}" if local.lower().endswith(".zip") else local
    if scheme == "zip":
        archive, _, inner = rest.partition("!")
        archive = resolve(archive, data_dir).removeprefix("/vsizip/")
        return f"/vsizip/{archive}/{inner.lstrip('/')}".rstrip("/")
    if scheme == "file":
        return resolve(rest, data_dir)
    if scheme not in SCHEMES:
        raise LayerError(
            f"'{scheme}://' is not a scheme that can be read",
            where=path,
            remedy=f"Use a file path, zip://, {'://, '.join(sorted(SCHEMES))}:// or GDAL's /vsi….",
        )
    return f"{SCHEMES[scheme]}{rest}"


def is_remote(resolved: str) -> bool:
    """Return whether a resolved path lies on another machine."""
    return bool(_REMOTE.search(resolved))


def local_file(resolved: str) -> Path | None:
    """Return the file or folder on disk behind a resolved path, ``None`` if there is none.

    For a path inside an archive that is the archive.
    """
    if is_remote(resolved):
        return None
    archive = _ARCHIVE.match(resolved)
    if archive is None:
        return None if resolved.startswith("/vsi") else Path(resolved)
    rest = archive["rest"].removeprefix("{").replace("}", "")
    end = _ARCHIVE_END.search(rest)
    return Path(rest[: end.end()] if end else rest)


def must_exist(
    path: str,
    data_dir: Path,
    where: str,
    source: str | None = None,
    error: type[HazardRankError] = LayerError,
) -> str:
    """Return the resolved path, if something is there.

    Parameters
    ----------
    path : str
        As in the settings.
    data_dir : Path
        Folder that relative paths start from.
    where : str
        The settings key that names the file, such as ``region.layers.roads``.
    source : str, optional
        Where an analyst gets it; printed in the remedy.
    error : type of HazardRankError, optional
        What to raise.

    Raises
    ------
    LayerError
        (or `error`) naming key, full path and remedy, if a local file is missing.
        Remote paths are taken on trust.
    """
    resolved = resolve(path, data_dir)
    on_disk = local_file(resolved)
    if on_disk is None or on_disk.exists():
        return resolved
    missing = "" if data_dir.exists() else ", which does not exist"
    remedy = f"data_dir is {data_dir.absolute()}{missing}; set data_dir=PATH or correct the path."
    if source:
        remedy += f" Where to get it: {source}"
    raise error(f"the file {on_disk} is missing", where=where, remedy=remedy)
