"""Files that outlive a process (adapters, parsed text) in one store named by an fsspec URL."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from services.chassis.errors import NotFound
from services.chassis.folders import rename_unless_there

_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """A folder somewhere: `file:///srv/inkstone`, `s3://bucket/prefix`, `gs://...`.

    Keys are relative POSIX paths; none may leave the store's root.
    """

    url: str

    async def put_folder(self, key: str, folder: Path) -> None:
        """Store a local folder's files under a key; what is already stored there stays.

        On a local file system a reader of the key sees all files or none; an object store shows
        them one by one, so that a reader there checks the content's hash, and what a killed writer
        left out is added by the next one.

        Raises:
            ValueError: when the folder holds no file or a link.
        """
        await asyncio.to_thread(self._put_folder, key, folder)

    async def fetch_folder(self, key: str, folder: Path) -> None:
        """Copy a stored folder to a local one, which appears complete or not at all.

        Raises:
            NotFound: when the store holds nothing under the key.
        """
        await asyncio.to_thread(self._fetch_folder, key, folder)

    async def put_file(self, key: str, source: BinaryIO) -> None:
        """Store what is left of an open file under a key that nobody reads yet."""
        await asyncio.to_thread(self._put_file, key, source)

    async def blocks(self, key: str) -> AsyncIterator[bytes]:
        """Read a stored file piece by piece.

        Raises:
            NotFound: when the store holds no such file.
        """
        file = await asyncio.to_thread(self._open_file, key)
        try:
            while block := await asyncio.to_thread(file.read, _BLOCK):
                yield block
        finally:
            await asyncio.to_thread(file.close)

    async def delete_folder(self, key: str) -> None:
        """Remove a stored folder; a missing one is no error."""
        await asyncio.to_thread(self._delete_folder, key)

    async def exists(self, key: str) -> bool:
        """Tell whether anything is stored under a key."""
        filesystem, root = self._open()
        found: bool = await asyncio.to_thread(filesystem.exists, self._path(root, key))
        return found

    def _open(self) -> tuple[Any, str]:
        # Other processes write here too, so that a listing is old as soon as it is kept.
        filesystem, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        return filesystem, root

    @staticmethod
    def _path(root: str, key: str) -> str:
        relative = PurePosixPath(key)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise ValueError(f"{key!r} is not a relative path inside the artifact store")
        return f"{root.rstrip('/')}/{relative}"

    def _put_folder(self, key: str, folder: Path) -> None:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        if not files or any(path.is_symlink() for path in files):
            raise ValueError(f"{folder.name!r} must hold plain files, at least one and no links")
        filesystem, root = self._open()
        final = self._path(root, key)
        if isinstance(filesystem, LocalFileSystem):
            staging = self._path(root, f".staging/{uuid4().hex}")
            _put_local(filesystem, files, Path(staging), Path(final))
        else:
            _put_objects(filesystem, files, final)

    def _put_file(self, key: str, source: BinaryIO) -> None:
        filesystem, root = self._open()
        path = self._path(root, key)
        filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        with filesystem.open(path, "wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)

    def _open_file(self, key: str) -> Any:
        filesystem, root = self._open()
        try:
            return filesystem.open(self._path(root, key), "rb")
        except FileNotFoundError as error:
            raise NotFound(f"The artifact store holds nothing under {key!r}.") from error

    def _fetch_folder(self, key: str, folder: Path) -> None:
        filesystem, root = self._open()
        source = self._path(root, key)
        if not filesystem.exists(source):
            raise NotFound(f"The artifact store holds nothing under {key!r}.")
        staging = folder.with_name(f".{folder.name}.{uuid4().hex}")
        staging.mkdir(parents=True)
        try:
            for entry in filesystem.ls(source, detail=True):
                if entry["type"] == "file":
                    name = PurePosixPath(entry["name"]).name
                    filesystem.get_file(entry["name"], str(staging / name))
            rename_unless_there(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _delete_folder(self, key: str) -> None:
        filesystem, root = self._open()
        path = self._path(root, key)
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)


def _put_local(filesystem: Any, files: list[Path], staging: Path, final: Path) -> None:
    """Copy beside, then give the folder its name, unless that is taken."""
    staging.mkdir(parents=True)
    try:
        for file in files:
            filesystem.put_file(str(file), str(staging / file.name))
        final.parent.mkdir(parents=True, exist_ok=True)
        rename_unless_there(staging, final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _put_objects(filesystem: Any, files: list[Path], final: str) -> None:
    """Add the files that are not there: an object is whole, and a folder of them has no name."""
    filesystem.makedirs(final, exist_ok=True)
    for file in files:
        if not filesystem.exists(f"{final}/{file.name}"):
            filesystem.put_file(str(file), f"{final}/{file.name}")


def sha256_of(path: Path) -> str:
    """Hash a file's content: hex of sha256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
