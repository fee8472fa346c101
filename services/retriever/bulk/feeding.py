"""Feeding a shard's files to ingestion jobs, portion by portion, until all have ended.

Every portion is a sync of its own, so that files which are stored already cost a hash and nothing
else: a shard that was killed begins anew and comes quickly to where it stood.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from services.chassis.errors import Overloaded, ServiceError, Unavailable
from services.contracts.ingestion import FileEntry, Ingestion, SyncManifest
from services.retriever.bulk.source import Shard, Source, SourceFile
from services.retriever.jobs.intake import Intake, SentFile

PORTION_FILES, PORTION_BYTES = 200, 32 * 1024 * 1024
"""What one job has at most; a larger file goes alone."""

JOBS_AT_ONCE = 3
"""Jobs of a shard that are open: while one is embedded, the next ones are read."""

POLL_SECONDS = 0.5
"""How often a job is looked at."""

AGAIN_SECONDS = 2.0
"""How long to wait before a call that was told to come back is made again."""

FAILURES_SHOWN = 100
"""How many failed files of one job are named in the log."""

_log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the documents go, and who may see them."""

    tenant: str
    collection: str
    allowed_groups: tuple[str, ...]
    source: str
    """The source that the documents belong to."""


@dataclass(slots=True)
class Outcome:
    """What became of a shard's files."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, state: str, files: int) -> None:
        """Count files."""
        if files:
            self.counts[state] = self.counts.get(state, 0) + files

    @property
    def failed(self) -> int:
        """Files that are not stored."""
        return self.counts.get("failed", 0) + self.counts.get("cancelled", 0)


@dataclass(frozen=True, slots=True)
class Feeder:
    """Feeds one shard."""

    intake: Intake
    source: Source
    target: Target
    shard: Shard
    max_file_bytes: int

    async def feed(self) -> Outcome:
        """Feed everything, and say what became of it.

        Raises:
            SourceMissingError: there is no such folder.
        """
        outcome = Outcome()
        open_jobs: list[str] = []
        await self._cancel_former()
        portions = self._portions(outcome)
        while (portion := await asyncio.to_thread(next, portions, None)) is not None:
            open_jobs.append(await self._start(portion))
            if len(open_jobs) >= JOBS_AT_ONCE:
                await self._end(open_jobs.pop(0), outcome)
        for id_ in open_jobs:
            await self._end(id_, outcome)
        return outcome

    async def _cancel_former(self) -> None:
        """Cancel what a former process of this shard left open: its files are fed again."""
        jobs, target = self.intake.jobs, self.target
        opened = await jobs.open_from(target.tenant, target.collection, target.source)
        for id_, first in opened:
            if self.shard.has(first):
                _log.info("bulk.former_job_cancelled", job=id_)
                with contextlib.suppress(ServiceError):
                    await jobs.cancel(target.tenant, id_)

    def _portions(self, outcome: Outcome) -> Iterator[list[SourceFile]]:
        portion: list[SourceFile] = []
        size = 0
        for file in self.source.files(self.shard):
            if file.bytes > self.max_file_bytes:
                _log.warning("bulk.file_too_large", document=file.id, bytes=file.bytes)
                outcome.add("failed", 1)
                continue
            full = len(portion) >= PORTION_FILES or size + file.bytes > PORTION_BYTES
            if portion and full:
                yield portion
                portion, size = [], 0
            portion.append(file)
            size += file.bytes
        if portion:
            yield portion

    async def _start(self, portion: list[SourceFile]) -> str:
        contents = await asyncio.to_thread(self._read, portion)
        manifest = SyncManifest(
            source=self.target.source,
            allowed_groups=list(self.target.allowed_groups),
            files=[
                FileEntry(
                    id=file.id,
                    sha256=hashlib.sha256(contents[file.id]).hexdigest(),
                    bytes=len(contents[file.id]),
                    uri=file.uri[:2048],
                )
                for file in portion
            ],
        )
        tenant, collection = self.target.tenant, self.target.collection
        receipt = await _patiently(lambda: self.intake.sync(tenant, collection, manifest))

        async def send() -> None:
            sent = [SentFile(id_, io.BytesIO(contents[id_]), len(contents[id_])) for id_ in needed]
            await self.intake.receive(tenant, receipt.id, sent)

        if needed := receipt.needed:
            await _patiently(send)
        return receipt.id

    def _read(self, portion: list[SourceFile]) -> dict[str, bytes]:
        return {file.id: self.source.read(file) for file in portion}

    async def _end(self, id_: str, outcome: Outcome) -> None:
        job = await self._ended(id_)
        progress = job.progress
        for state in ("created", "replaced", "unchanged", "failed", "cancelled"):
            outcome.add(state, getattr(progress, state))
        _log.info("bulk.portion_ended", job=id_, status=job.status, **outcome.counts)
        if progress.failed:
            await self._name_failures(id_)

    async def _ended(self, id_: str) -> Ingestion:
        while True:
            job = await _patiently(lambda: self.intake.jobs.read(self.target.tenant, id_))
            if job.finished_at is not None:
                return job
            await asyncio.sleep(POLL_SECONDS)

    async def _name_failures(self, id_: str) -> None:
        jobs, tenant = self.intake.jobs, self.target.tenant
        failed, _ = await jobs.items(tenant, id_, state="failed", limit=FAILURES_SHOWN, after=-1)
        for item in failed:
            _log.warning("bulk.file_failed", document=item.document_id, code=item.code)


async def _patiently(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Make a call until it is let in."""
    while True:
        try:
            return await call()
        except (Overloaded, Unavailable) as error:
            _log.info("bulk.waits", code=error.code)
        await asyncio.sleep(AGAIN_SECONDS)
