"""Digests of input files: which data a result was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from hazardrank.settings import RegionSettings
from hazardrank.sources.paths import local_file, resolve

#: In place of a digest, for files on another machine and files that are not there.
REMOTE = "remote"
ABSENT = "absent"

#: Files that belong to a Shapefile. Without them its attributes and CRS are lost.
SHAPEFILE_SIDECARS = (".dbf", ".shx", ".prj", ".cpg")
_CHUNK_BYTES = 2**20


def digest_inputs(region: RegionSettings, data_dir: Path) -> dict[str, str]:
    """Return the digest of every file a region names.

    Parameters
    ----------
    region : RegionSettings
        The region: its extent's mask, country, layers, records and table.
    data_dir : Path
        Folder that relative paths start from.

    Returns
    -------
    dict of str to str
        Path as in the settings → SHA-256 in hex, in order of path; ``"remote"`` for files on
        another machine, ``"absent"`` for files that are not there. A Shapefile's side
        files are part of its digest.
    """
    return {path: digest_path(resolve(path, data_dir)) for path in sorted(set(_paths(region)))}


def _paths(region: RegionSettings) -> Iterator[str]:
    yield from (path for path in (region.extent.mask, region.country) if path is not None)
    yield from (layer.path for layer in region.layers.values())
    records = region.records
    for sources in (records.hazard_areas, records.clearance, records.accidents, records.survey):
        yield from (source.path for source in sources)
    if region.table is not None:
        yield region.table.path


def digest_path(resolved: str) -> str:
    """Return the SHA-256 of what lies behind a resolved path, ``remote`` or ``absent``."""
    on_disk = local_file(resolved)
    if on_disk is None:
        return REMOTE
    files = [file for file in _files(on_disk) if file.is_file()]
    if not files:
        return ABSENT
    if files == [on_disk]:
        return _digest_of(on_disk)
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(on_disk.parent)}\0{_digest_of(file)}\0".encode())
    return digest.hexdigest()


def _digest_of(file: Path) -> str:
    found = file.stat()
    return _digest_file(file, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1024)
def _digest_file(file: Path, size: int, modified_ns: int) -> str:
    """Return a file's SHA-256; read once for each size and time of change."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _files(on_disk: Path) -> list[Path]:
    if on_disk.is_dir():
        return sorted(on_disk.rglob("*"))
    if on_disk.suffix.lower() == ".shp":
        return [on_disk, *(on_disk.with_suffix(suffix) for suffix in SHAPEFILE_SIDECARS)]
    return [on_disk]
