"""A folder as the manifest of a sync: which files it has, under which ids, with which content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.cli.failures import CommandError
from services.contracts.ingestion import READABLE_SUFFIXES, FileEntry

SEPARATOR = ":"
"""Stands in a document's id where a path has a slash, which no id may have."""

FILE_BYTES = 100 * 1024 * 1024
"""The largest file that is sent."""

UPLOAD_FILES, UPLOAD_BYTES = 200, 32 * 1024 * 1024
"""What one request sends at most; a larger file goes alone."""

_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a folder that can become documents."""

    files: Mapping[str, Path]
    """By document id."""
    entries: Sequence[FileEntry]
    skipped: Sequence[Path]
    """Files of other kinds, files that are too large, names that are no UTF-8."""


def read_folder(root: Path, prefix: str) -> Folder:
    """Look through a folder; hidden files and folders are left out.

    Raises:
        CommandError: it is no folder, or two files would be the same document.
    """
    if not root.is_dir():
        raise CommandError(f"{root} is no folder; name one.")
    files: dict[str, Path] = {}
    entries, skipped = [], []
    for path in _files(root):
        if not _is_sent(path):
            skipped.append(path)
            continue
        relative = path.relative_to(root)
        id_ = prefix + SEPARATOR.join(relative.parts)
        if id_ in files:
            raise CommandError(f"{path} and {files[id_]} would both be {id_!r}; rename one.")
        files[id_] = path
        entries.append(_entry(id_, path, relative))
    return Folder(files, entries, skipped)


def uploads(folder: Folder, needed: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Gather files into requests."""
    batch: dict[str, Path] = {}
    size = 0
    for id_ in needed:
        path = folder.files[id_]
        bytes_ = path.stat().st_size
        if batch and (len(batch) >= UPLOAD_FILES or size + bytes_ > UPLOAD_BYTES):
            yield batch
            batch, size = {}, 0
        batch[id_] = path
        size += bytes_
    if batch:
        yield batch


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _is_sent(path: Path) -> bool:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return False
    return path.suffix.lower() in READABLE_SUFFIXES and path.stat().st_size <= FILE_BYTES


def _entry(id_: str, path: Path, relative: Path) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return FileEntry(id=id_, sha256=digest.hexdigest(), bytes=size, uri=relative.as_posix())
