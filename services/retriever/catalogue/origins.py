"""Which documents a source keeps in step, and what a manifest of its files would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_leave
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.ingestion import SyncManifest
from services.retriever.catalogue.database import Database
from services.retriever.catalogue.job_records import Claim, Item, Settled, file_hash
from services.retriever.catalogue.job_tables import job_items, jobs, origins
from services.retriever.catalogue.jobs import OPEN
from services.retriever.catalogue.leases import Leases, live_origins
from services.retriever.catalogue.records import canonical_id
from services.retriever.catalogue.statements import count_change, within
from services.retriever.catalogue.tables import collections, documents, leftovers, texts
from services.retriever.errors import IngestionFinished, IngestionNotFound


@dataclass(frozen=True, slots=True)
class Differences:
    """How a source's files differ from what is stored."""

    changed: tuple[int, ...]
    """Places in the manifest of files that are new or changed."""
    removed: tuple[str, ...]
    """Ids of the source's documents whose file is gone."""


@dataclass(frozen=True, slots=True)
class Received:
    """A file's bytes as they came."""

    document_id: str
    sha256: str
    bytes: int
    segment: str
    offset: int


class Origins:
    """Transactions about where documents come from."""

    def __init__(self, database: Database, leases: Leases) -> None:
        self._database = database
        self._leases = leases

    async def compare(self, tenant: str, collection: str, manifest: SyncManifest) -> Differences:
        """Compare a source's files with what is stored of them."""
        async with self._database.read() as connection:
            query = live_origins().where(*within(documents, tenant, collection))
            stored = {
                row.id: (row.source, row.file_hash) for row in await connection.execute(query)
            }
        ids = [canonical_id(entry.id) for entry in manifest.files]
        changed = []
        for at, entry in enumerate(manifest.files):
            same = file_hash(entry.sha256, entry.uri, manifest.metadata, manifest.allowed_groups)
            if stored.get(ids[at]) != (manifest.source, same):
                changed.append(at)
        present = set(ids)
        removed = [
            id_
            for id_, (source, _) in stored.items()
            if source == manifest.source and id_ not in present
        ]
        return Differences(tuple(changed), tuple(sorted(removed)))

    async def receive(
        self, tenant: str, id_: str, files: Sequence[Received], files_until: float
    ) -> list[str]:
        """Hand bytes to the files of a job that await them.

        Returns:
            The ids that the job does not know; bytes that had come before are left as they are.

        Raises:
            IngestionNotFound: the tenant has no such job.
            IngestionFinished: the job has ended.
        """
        async with self._database.write() as connection:
            this = (jobs.c.tenant == tenant, jobs.c.id == id_)
            row = (await connection.execute(select(jobs).where(*this))).one_or_none()
            if row is None:
                raise IngestionNotFound(
                    f"There is no ingestion {id_!r}; list the ingestions to see their ids.",
                    param="id",
                )
            if row.status not in OPEN:
                raise IngestionFinished(
                    f"Ingestion {id_} has ended as {row.status}; start another."
                )
            unexpected = [
                file.document_id
                for file in files
                if not await _receive_one(connection, row.number, file)
            ]
            patience = update(jobs).where(jobs.c.number == row.number)
            await connection.execute(patience.values(files_until=files_until))
            return unexpected

    async def remove(self, claim: Claim, items: Sequence[Item], active_seconds: float) -> bool:
        """Remove documents that the job's source still owns; tell whether the job goes on.

        Raises:
            LeaseLostError: the job is somebody else's.
        """
        async with self._database.write() as connection:
            here = within(documents, claim.tenant, claim.collection)
            ids = [item.document_id for item in items]
            owned = live_origins().where(
                *here, documents.c.id.in_(ids), origins.c.source == claim.source
            )
            revisions = {row.id: row.revision for row in await connection.execute(owned)}
            if revisions:
                await _drop_documents(connection, claim, revisions)
            settled = [
                Settled(item, "deleted" if item.document_id in revisions else "unchanged")
                for item in items
            ]
            return await self._leases.settle(connection, claim, settled, active_seconds)


async def _receive_one(connection: AsyncConnection, job: int, file: Received) -> bool:
    this = (job_items.c.job == job, job_items.c.document_id == file.document_id)
    came = {
        "state": "waiting",
        "sha256": file.sha256,
        "bytes": file.bytes,
        "segment": file.segment,
        "offset": file.offset,
    }
    awaits = update(job_items).where(*this, job_items.c.state == "awaiting").values(came)
    if (await connection.execute(awaits)).rowcount:
        return True
    return await connection.scalar(select(exists().where(*this))) is True


async def _drop_documents(
    connection: AsyncConnection, claim: Claim, revisions: dict[str, int]
) -> None:
    gone = list(revisions.values())
    named = select(collections.c.fingerprint).where(
        collections.c.tenant == claim.tenant, collections.c.name == claim.collection
    )
    fingerprint = await connection.scalar(named)
    await connection.execute(delete(documents).where(documents.c.revision.in_(gone)))
    await connection.execute(delete(texts).where(texts.c.revision.in_(gone)))
    await connection.execute(delete(origins).where(origins.c.revision.in_(gone)))
    left = insert_or_leave(leftovers).on_conflict_do_nothing()
    rows = [{"revision": revision, "fingerprint": fingerprint} for revision in gone]
    await connection.execute(left, rows)
    await count_change(connection, claim.tenant)
