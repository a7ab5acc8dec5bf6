"""A folder of small files that appear whole: on disk, or on object storage."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from hazardrank.errors import OutputError

_REMEDY = "Check that the folder exists, may be written and has space."
_OBJECT_REMEDY = (
    "Check the address, and that the environment holds the credentials and endpoint "
    "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL …)."
)


class Store(Protocol):
    """Files by name (with ``/``). A name holds nothing, an older file, or the whole new one."""

    url: str

    def put(self, name: str, content: bytes) -> None:
        """Write a file; several writers of the same content do no harm."""

    def put_file(self, name: str, local: Path) -> None:
        """Move a finished local file into the store."""

    def get(self, name: str) -> bytes | None:
        """Return a file's content, ``None`` where there is none."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the names in a folder, without those below it, with their sizes in bytes."""

    def remove(self, name: str) -> None:
        """Remove a file or folder, if it is there."""

    def gdal_path(self, name: str) -> str:
        """Return the path that GDAL opens."""


def open_store(url: str) -> Store:
    """Open a folder by its path or URL.

    Parameters
    ----------
    url : str
        Folder on disk; ``s3://bucket/folder``, ``/vsis3/bucket/folder``, or another fsspec URL.
    """
    if url.startswith("/vsis3/"):
        url = f"s3://{url.removeprefix('/vsis3/')}"
    return ObjectStore(url.rstrip("/")) if "://" in url else FolderStore(url)


class FolderStore:
    """A folder on disk. A file is written beside its place and renamed into it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.folder = Path(url)

    def put(self, name: str, content: bytes) -> None:
        """Write a file; several writers of the same content do no harm."""
        path = self.folder / name
        partial = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.partial")
        with _told(path, _REMEDY):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(content)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    def put_file(self, name: str, local: Path) -> None:
        """Move a finished local file into the store."""
        path = self.folder / name
        with _told(path, _REMEDY):
            path.parent.mkdir(parents=True, exist_ok=True)
            if local != path:
                local.replace(path)

    def get(self, name: str) -> bytes | None:
        """Return a file's content, ``None`` where there is none."""
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the names in a folder, without those below it, with their sizes in bytes."""
        path = self.folder / folder
        if not path.is_dir():
            return {}
        with os.scandir(path) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def remove(self, name: str) -> None:
        """Remove a file or folder, if it is there."""
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def gdal_path(self, name: str) -> str:
        """Return the path that GDAL opens."""
        return str(self.folder / name)


class ObjectStore:
    """A folder on object storage, through fsspec. An object appears when it is whole.

    Credentials and endpoint come from the environment, as the libraries read them.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url
        with _told(url, _OBJECT_REMEDY):
            self._files, self._root = fsspec.core.url_to_fs(url)

    def __reduce__(self) -> tuple[Any, ...]:
        """Reach a worker as an address; connections do not travel."""
        return (ObjectStore, (self.url,))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def put(self, name: str, content: bytes) -> None:
        """Write a file; several writers of the same content do no harm."""
        with _told(f"{self.url}/{name}", _OBJECT_REMEDY):
            self._files.pipe_file(self._at(name), content)

    def put_file(self, name: str, local: Path) -> None:
        """Move a finished local file into the store."""
        with _told(f"{self.url}/{name}", _OBJECT_REMEDY):
            self._files.put_file(str(local), self._at(name))
            local.unlink()

    def get(self, name: str) -> bytes | None:
        """Return a file's content, ``None`` where there is none."""
        with _told(f"{self.url}/{name}", _OBJECT_REMEDY):
            try:
                return bytes(self._files.cat_file(self._at(name)))
            except FileNotFoundError:
                return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the names in a folder, without those below it, with their sizes in bytes."""
        with _told(f"{self.url}/{folder}", _OBJECT_REMEDY):
            self._files.invalidate_cache()
            try:
                found = self._files.ls(self._at(folder), detail=True)
            except FileNotFoundError:
                return {}
        return {
            PurePosixPath(entry["name"]).name: int(entry["size"])
            for entry in found
            if entry["type"] == "file"
        }

    def remove(self, name: str) -> None:
        """Remove a file or folder, if it is there."""
        with _told(f"{self.url}/{name}", _OBJECT_REMEDY):
            self._files.invalidate_cache()
            if self._files.exists(self._at(name)):
                self._files.rm(self._at(name), recursive=True)

    def gdal_path(self, name: str) -> str:
        """Return the path that GDAL opens."""
        scheme, _, rest = self.url.partition("://")
        prefixes = {"s3": "/vsis3/", "gs": "/vsigs/", "gcs": "/vsigs/", "az": "/vsiaz/"}
        if scheme == "file":
            return f"{rest}/{name}"
        if scheme not in prefixes:
            raise OutputError(
                f"GDAL reads no '{scheme}://' folders, so maps cannot be put together there",
                where=self.url,
                remedy=f"Use {', '.join(f'{one}://' for one in prefixes)}, or output_dir.",
            )
        return f"{prefixes[scheme]}{rest}/{name}"


@contextmanager
def _told(where: str | Path, remedy: str) -> Iterator[None]:
    """Turn what storage can raise into one clear error."""
    try:
        yield
    except OutputError:
        raise
    except Exception as error:
        # Each storage library has its own; what they have in common is Exception.
        raise OutputError(
            f"cannot be read or written ({type(error).__name__}: {error})",
            where=where,
            remedy=remedy,
        ) from error
