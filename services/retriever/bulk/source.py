"""Where the files of a bulk ingestion lie, and which of them are one shard's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import fsspec

from services.contracts.ingestion import READABLE_SUFFIXES
from services.retriever.catalogue.records import canonical_id

SEPARATOR = ":"
"""Stands in a document's id where a path has a slash, which no id may have."""


class SourceMissingError(Exception):
    """There is no such folder."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that becomes a document."""

    id: str
    path: str
    """As its file system names it."""
    uri: str
    """Its path below the source."""
    bytes: int


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of a source, by the hashes of the documents' ids."""

    number: int
    of: int

    def has(self, document_id: str) -> bool:
        """Tell whether a document is of this part; each is of exactly one, whatever it holds."""
        digest = hashlib.sha256(document_id.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8]) % self.of == self.number


@dataclass(frozen=True, slots=True)
class Source:
    """A folder by its fsspec URL: `file:///srv/corpus`, `s3://bucket/prefix`, `gs://...`."""

    url: str

    def files(self, shard: Shard) -> Iterator[SourceFile]:
        """Walk through the files of a shard that can be read; hidden ones are left out.

        Raises:
            SourceMissingError: there is no such folder.
        """
        filesystem, root = self._open()
        if not filesystem.isdir(root):
            raise SourceMissingError(f"{self.url} is no folder; name one by its fsspec URL.")
        for folder, folders, files in filesystem.walk(root, detail=True):
            for hidden in [name for name in folders if name.startswith(".")]:
                del folders[hidden]
            for name, info in sorted(files.items()):
                if _is_read(name):
                    relative = f"{folder.removeprefix(root)}/{name}".lstrip("/")
                    id_ = canonical_id(relative.replace("/", SEPARATOR))
                    if shard.has(id_):
                        size = int(info.get("size") or 0)
                        yield SourceFile(id_, f"{folder}/{name}", relative, size)

    def read(self, file: SourceFile) -> bytes:
        """Read a file."""
        filesystem, _ = self._open()
        content: bytes = filesystem.cat_file(file.path)
        return content

    def _open(self) -> tuple[Any, str]:
        filesystem, root = fsspec.core.url_to_fs(self.url)
        return filesystem, root.rstrip("/")


def _is_read(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in READABLE_SUFFIXES
