"""Taking jobs in: files with their bytes, or a manifest whose bytes follow."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from services.contracts.ingestion import (
    FileEntry,
    IngestionOptions,
    IngestionReceipt,
    SyncManifest,
    SyncPlan,
)
from services.contracts.knowledge import DocumentId, DocumentWrite
from services.retriever.catalogue.job_records import NewItem, NewJob
from services.retriever.catalogue.jobs import Jobs
from services.retriever.catalogue.origins import Differences, Origins, Received
from services.retriever.catalogue.records import canonical_id
from services.retriever.errors import FilesUnexpected, ManifestTooLarge, SyncRemovesMore
from services.retriever.indexing import draft_of
from services.retriever.jobs.spool import Spool
from services.retriever.jobs.worker import Workers
from services.retriever.parsing.outcomes import FileCode
from services.retriever.settings import Jobs as JobSettings

IDS_SHOWN = 100
"""How many of the documents that a plan removes it names."""

_ID: TypeAdapter[str] = TypeAdapter(DocumentId)


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file of a request."""

    id: str
    content: BinaryIO
    bytes: int


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes jobs in; what it has answered survives the process."""

    jobs: Jobs
    origins: Origins
    spool: Spool
    workers: Workers
    settings: JobSettings

    async def upload(
        self, tenant: str, collection: str, options: IngestionOptions, files: Sequence[SentFile]
    ) -> IngestionReceipt:
        """Take in files with their bytes.

        Raises:
            ManifestTooLarge: more files than one job may have.
            MetadataInvalid: a value that cannot be kept.
            SpoolFull: too many bytes wait already.
            TooManyIngestions: the tenant has too many open jobs.
        """
        self._check(options, len(files))
        ids = [canonical_id(file.id) for file in files]
        size = sum(file.bytes for file in files)
        async with self.spool.keep([file.content for file in files], size) as (segment, spooled):
            items = [
                refused
                or NewItem(
                    id_,
                    "waiting",
                    sha256=one.sha256,
                    bytes=one.bytes,
                    segment=segment,
                    offset=one.offset,
                )
                for id_, refused, one in zip(ids, _refusals(ids), spooled, strict=True)
            ]
            job = NewJob(tenant, collection, options, items, time.time())
            taken_in = await self.jobs.create(job, self.settings.max_open)
        self.workers.wake.set()
        return IngestionReceipt(**taken_in.model_dump())

    async def plan(self, tenant: str, collection: str, manifest: SyncManifest) -> SyncPlan:
        """Say what a manifest would do."""
        self._check(manifest, len(manifest.files))
        found = await self.origins.compare(tenant, collection, manifest)
        return SyncPlan(
            changed=len(found.changed),
            unchanged=len(manifest.files) - len(found.changed),
            removed=len(found.removed),
            removed_ids=list(found.removed[:IDS_SHOWN]),
        )

    async def sync(self, tenant: str, collection: str, manifest: SyncManifest) -> IngestionReceipt:
        """Take in a manifest; the bytes of new and changed files are to follow.

        Raises:
            ManifestTooLarge: more files than one job may have.
            MetadataInvalid: a value that cannot be kept.
            SyncRemovesMore: more documents would go than the caller agreed to.
            TooManyIngestions: the tenant has too many open jobs.
        """
        self._check(manifest, len(manifest.files))
        found = await self.origins.compare(tenant, collection, manifest)
        removed = _agreed(found, manifest.remove_at_most)
        items = [*_synced(manifest.files, found)]
        items += [NewItem(id_, "waiting", removes=True) for id_ in removed]
        options = IngestionOptions(
            source=manifest.source,
            metadata=manifest.metadata,
            allowed_groups=manifest.allowed_groups,
        )
        job = NewJob(tenant, collection, options, items, self._files_until())
        taken_in = await self.jobs.create(job, self.settings.max_open)
        self.workers.wake.set()
        needed = [item.document_id for item in items if item.state == "awaiting"]
        return IngestionReceipt(**taken_in.model_dump(), needed=needed)

    async def receive(self, tenant: str, id_: str, files: Sequence[SentFile]) -> None:
        """Take in bytes that a job awaits.

        Raises:
            IngestionNotFound: the tenant has no such job.
            IngestionFinished: the job has ended.
            FilesUnexpected: a file that the job does not await; the others were kept.
            SpoolFull: too many bytes wait already.
        """
        ids = [canonical_id(file.id) for file in files]
        size = sum(file.bytes for file in files)
        async with self.spool.keep([file.content for file in files], size) as (segment, spooled):
            received = [
                Received(id_, one.sha256, one.bytes, segment, one.offset)
                for id_, one in zip(ids, spooled, strict=True)
            ]
            unexpected = await self.origins.receive(tenant, id_, received, self._files_until())
        self.workers.wake.set()
        if unexpected:
            raise FilesUnexpected(
                f"Ingestion {id_} does not await {unexpected[0]!r}; send the files that its "
                "receipt lists as needed, each once."
            )

    def _check(self, options: IngestionOptions, files: int) -> None:
        if files > self.settings.max_files:
            raise ManifestTooLarge(
                f"{files} files are more than the {self.settings.max_files} of one ingestion; "
                "split them."
            )
        example = DocumentWrite(
            text="x", metadata=options.metadata, allowed_groups=options.allowed_groups
        )
        draft_of(example, ())

    def _files_until(self) -> float:
        return time.time() + self.settings.file_patience_seconds


def _agreed(found: Differences, at_most: int | None) -> tuple[str, ...]:
    if at_most is None:
        return ()
    if len(found.removed) > at_most:
        raise SyncRemovesMore(
            f"The sync would remove {len(found.removed)} documents, more than the {at_most} that "
            "were agreed to; look at the plan again.",
            param="remove_at_most",
        )
    return found.removed


def _synced(files: Sequence[FileEntry], found: Differences) -> Iterable[NewItem]:
    changed = set(found.changed)
    ids = [canonical_id(entry.id) for entry in files]
    refusals = _refusals(ids)
    for at, entry in enumerate(files):
        yield refusals[at] or NewItem(
            ids[at],
            "awaiting" if at in changed else "unchanged",
            uri=entry.uri,
            sha256=entry.sha256,
            bytes=entry.bytes,
        )


def _refusals(ids: Sequence[str]) -> list[NewItem | None]:
    """Say of each file whether its name keeps it from being a document."""
    seen: set[str] = set()
    refusals: list[NewItem | None] = []
    for id_ in ids:
        refused = None
        if id_ in seen:
            repeated = "Another file of this ingestion has the same name; rename one."
            refused = _failed(id_, FileCode.NAME_REPEATED, repeated)
        elif not _is_id(id_):
            invalid = "The file's name cannot be a document's id; rename it."
            refused = _failed(id_, FileCode.NAME_INVALID, invalid)
        seen.add(id_)
        refusals.append(refused)
    return refusals


def _failed(id_: str, code: FileCode, message: str) -> NewItem:
    return NewItem(id_, "failed", code=code.value, message=message)


def _is_id(id_: str) -> bool:
    try:
        _ID.validate_python(id_)
    except ValidationError:
        return False
    return True
