"""Unpacking an uploaded archive without trusting it: names, links, sizes and counts are checked."""

from __future__ import annotations

import errno
import gzip
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Container, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from services.gateway.adapters.layout import (
    AdapterLimits,
    AdapterRefused,
    adapter_files,
    copy_bounded,
    too_large,
)

_MAX_READ_BYTES = 4 * 1024 * 1024
_MAX_ZIP_DIRECTORY_BYTES = 4 * 1024 * 1024
_ZIP_END = b"PK\x05\x06"
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP_END_BYTES = 22
_ZIP64_LOCATOR_BYTES = 20
_MAX_ZIP_COMMENT_BYTES = 65_535
_TAR_ENTRY_BYTES = 4096
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
)
"""What the three libraries raise for bytes that are no archive, or not a whole one."""


def unpack(archive: BinaryIO, folder: Path, limits: AdapterLimits) -> None:
    """Write the adapter in a .tar.gz, .tar or .zip archive to a folder, under its plain names.

    Raises:
        AdapterRefused: when it is no such archive, is unsafe, or holds no adapter.
        AdapterTooLarge: when it unpacks to more than the limit.
    """
    archive.seek(0)
    magic = archive.read(4)
    archive.seek(0)
    try:
        if magic.startswith(b"PK"):
            _unpack_zip(archive, folder, limits)
        elif magic.startswith(b"\x1f\x8b"):
            _unpack_gzip(archive, folder, limits)
        else:
            _unpack_tar(archive, folder, limits)
    except _BROKEN as error:
        raise _unreadable() from error
    except OSError as error:
        # A member that claims to lie before the file's beginning.
        if error.errno == errno.EINVAL:
            raise _unreadable() from error
        raise


class _BoundedReads:
    """A file whose reads are small: a header that claims gigabytes is refused, not read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ_BYTES:
            raise tarfile.ReadError("a header of the archive is too large")
        return self._file.read(size)


def _unpack_gzip(archive: BinaryIO, folder: Path, limits: AdapterLimits) -> None:
    plain_bytes = limits.max_bytes + limits.max_files * _TAR_ENTRY_BYTES
    with tempfile.TemporaryFile(dir=folder) as plain, gzip.open(archive) as packed:
        copy_bounded(cast("BinaryIO", packed), cast("BinaryIO", plain), plain_bytes)
        plain.seek(0)
        _unpack_tar(plain, folder, limits)


def _unpack_tar(file: IO[bytes], folder: Path, limits: AdapterLimits) -> None:
    with tarfile.open(fileobj=cast("IO[bytes]", _BoundedReads(file)), mode="r:") as archive:
        members: dict[str, tarfile.TarInfo] = {}
        total = entries = 0
        for member in archive:
            entries += 1
            _check_count(entries, limits)
            _check_name(member.name, members)
            if member.isdir():
                continue
            if not member.isreg() or member.size < 0:
                raise _unsafe(f"{member.name!r} is a link or a device")
            total += member.size
            _check_total(total, limits)
            members[member.name] = member
        _extract(list(members), lambda n: archive.extractfile(members[n]), folder, limits)


def _unpack_zip(file: BinaryIO, folder: Path, limits: AdapterLimits) -> None:
    _check_zip_directory(file)
    with zipfile.ZipFile(file) as archive:
        members: dict[str, zipfile.ZipInfo] = {}
        _check_count(len(archive.infolist()), limits)
        for member in archive.infolist():
            _check_name(member.filename, members)
            if member.is_dir():
                continue
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise _unsafe(f"{member.filename!r} is a link or a device")
            if member.flag_bits & 1:
                raise _unsafe(f"{member.filename!r} is encrypted")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _unsafe(f"{member.filename!r} is compressed in an unusual way")
            members[member.filename] = member
        _check_total(sum(member.file_size for member in members.values()), limits)
        _extract(list(members), lambda n: archive.open(members[n]), folder, limits)


def _check_zip_directory(file: BinaryIO) -> None:
    """Refuse a directory of millions of entries before the library reads it into memory."""
    size = file.seek(0, 2)
    tail_bytes = min(size, _ZIP_END_BYTES + _MAX_ZIP_COMMENT_BYTES + _ZIP64_LOCATOR_BYTES)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    end = tail.rfind(_ZIP_END)
    if end < 0 or len(tail) - end < _ZIP_END_BYTES:
        raise zipfile.BadZipFile("the archive's end is missing")
    locator = tail[max(0, end - _ZIP64_LOCATOR_BYTES) : end]
    directory_bytes = int.from_bytes(tail[end + 12 : end + 16], "little")
    if directory_bytes > _MAX_ZIP_DIRECTORY_BYTES or locator.startswith(_ZIP64_LOCATOR):
        raise _unsafe("its directory is too large for a .zip (use .tar.gz)")


def _extract(
    names: Sequence[str],
    opened: Callable[[str], IO[bytes] | None],
    folder: Path,
    limits: AdapterLimits,
) -> None:
    for plain, name in adapter_files(names).items():
        source = opened(name)
        if source is None:
            raise _unsafe(f"{name!r} is no plain file")
        with source, (folder / plain).open("wb") as target:
            copy_bounded(cast("BinaryIO", source), target, limits.max_bytes)


def _check_name(name: str, seen: Container[str]) -> None:
    path = PurePosixPath(name)
    if name in seen:
        raise _unsafe(f"{name!r} is in it twice")
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise _unsafe(f"{name!r} does not stay inside the archive's folder")


def _check_count(entries: int, limits: AdapterLimits) -> None:
    if entries > limits.max_files:
        raise _unsafe(f"it holds more than {limits.max_files} files")


def _check_total(total: int, limits: AdapterLimits) -> None:
    if total > limits.max_bytes:
        raise too_large(limits.max_bytes)


def _unreadable() -> AdapterRefused:
    return AdapterRefused(
        "The file is not a readable .tar.gz, .tar or .zip archive; pack the adapter's folder "
        "again.",
        code="adapter_archive_unreadable",
    )


def _unsafe(what: str) -> AdapterRefused:
    return AdapterRefused(
        f"The archive is refused: {what}; pack only the folder that save_pretrained wrote.",
        code="adapter_archive_unsafe",
    )
