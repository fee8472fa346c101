"""The bytes of files that wait to be ingested, on disk before anybody is told that they are.

The files of one request lie one after the other in one segment, so that a thousand small files cost
one sync of the disk and not a thousand. Processes that share a catalogue share the folder too.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.retriever.catalogue.job_records import Segments
from services.retriever.errors import SpoolFull
from services.retriever.metrics import Metrics

RETRY_AFTER_SECONDS = 5.0
"""When a caller whose bytes had no room may come back."""

_BLOCK = 1024 * 1024
_PART = ".part"


class SegmentGoneError(Exception):
    """The bytes were cleared away: nobody needs them any more."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """Where a file's bytes lie in its segment."""

    sha256: str
    offset: int
    bytes: int


class Spool:
    """One folder of segments.

    Args:
        others_seconds: how long a segment that this process did not write is left alone, as another
            process may be about to record it; 0 where there is no other.
    """

    def __init__(
        self, folder: Path, max_bytes: int, metrics: Metrics, *, others_seconds: float = 0.0
    ) -> None:
        self._others_seconds = others_seconds
        self._folder = folder
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._unrecorded: set[str] = set()
        self._coming = 0

    @contextlib.asynccontextmanager
    async def keep(
        self, files: Sequence[BinaryIO], sizes: int
    ) -> AsyncIterator[tuple[str, list[Spooled]]]:
        """Write files into a new segment, which stays while the context lasts.

        Afterwards it stays for as long as the catalogue needs it.

        Args:
            files: read from where they stand to their end.
            sizes: how many bytes they have, all together.

        Raises:
            SpoolFull: there is no room for them.
        """
        used = await asyncio.to_thread(self.used)
        if used + self._coming + sizes > self._max_bytes:
            raise SpoolFull(
                f"{used} bytes wait to be ingested already; send these again shortly.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        segment = secrets.token_hex(12)
        self._unrecorded.add(segment)
        self._coming += sizes
        try:
            try:
                spooled = await asyncio.to_thread(self._write, segment, files)
            finally:
                self._coming -= sizes
            self._metrics.spool_bytes.set(used + sizes)
            yield segment, spooled
        finally:
            self._unrecorded.discard(segment)

    async def read(self, segment: str, offset: int, size: int) -> bytes:
        """Read a file's bytes.

        Raises:
            SegmentGoneError: they were cleared away.
        """
        return await asyncio.to_thread(self._read, segment, offset, size)

    def used(self) -> int:
        """Sum up the bytes of all segments."""
        total = 0
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    total += path.stat().st_size
        return total

    async def sweep(self, segments: Segments, recorded: Collection[str], keep: int) -> None:
        """Remove the segments that nobody needs, and failed files beyond so many bytes.

        Args:
            segments: what the catalogue says is needed.
            recorded: what `recorded` said before the catalogue was asked.
        """
        await asyncio.to_thread(self._sweep, segments, frozenset(recorded), keep)

    def recorded(self) -> frozenset[str]:
        """Name the segments that the catalogue knows if it needs them.

        Take this before asking the catalogue: what is recorded in between is then left alone.
        """
        if not self._folder.is_dir():
            return frozenset()
        written_before = time.time() - self._others_seconds
        names = set()
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if not self._others_seconds or path.stat().st_mtime < written_before:
                    names.add(path.name.removesuffix(_PART))
        return frozenset(names - self._unrecorded)

    def _write(self, segment: str, files: Sequence[BinaryIO]) -> list[Spooled]:
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / (segment + _PART)
        spooled = []
        with part.open("wb") as target:
            for file in files:
                digest, start = hashlib.sha256(), target.tell()
                while block := file.read(_BLOCK):
                    digest.update(block)
                    target.write(block)
                spooled.append(Spooled(digest.hexdigest(), start, target.tell() - start))
            target.flush()
            os.fsync(target.fileno())
        part.rename(self._folder / segment)
        _sync_folder(self._folder)
        return spooled

    def _read(self, segment: str, offset: int, size: int) -> bytes:
        try:
            with (self._folder / segment).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError as error:
            raise SegmentGoneError(segment) from error

    def _sweep(self, segments: Segments, recorded: frozenset[str], keep: int) -> None:
        kept = set(segments.waiting)
        for segment in segments.failed:
            keep -= self._size(segment)
            if keep >= 0:
                kept.add(segment)
        for segment in recorded - kept:
            for name in (segment, segment + _PART):
                (self._folder / name).unlink(missing_ok=True)
        self._metrics.spool_bytes.set(self.used())

    def _size(self, segment: str) -> int:
        path = self._folder / segment
        return path.stat().st_size if path.exists() else 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
