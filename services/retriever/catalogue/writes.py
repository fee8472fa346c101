"""Writes under way.

A write is begun (its text is safe), indexed, and committed (it becomes what searches see, and the
former revision a leftover). A process that dies between begin and commit leaves the write behind,
to be done again; what it stored in the index is invisible until then. Where several processes share
the catalogue, a write's row keeps the others from the document for as long as its process lives.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_leave
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.knowledge import Document
from services.retriever.catalogue.database import Database
from services.retriever.catalogue.job_tables import origins
from services.retriever.catalogue.records import Draft, Place, Write, document_of, write_of
from services.retriever.catalogue.statements import (
    abandoned,
    at,
    check_model,
    count_change,
    key_of,
    leave_behind,
    live_revisions,
    now,
    refuse_busy,
    row_at,
)
from services.retriever.catalogue.tables import collections, documents, texts, writes
from services.retriever.errors import CollectionNotFound


class Writes:
    """Transactions of writers, for one embedding model."""

    def __init__(self, database: Database, fingerprint: str, member: str) -> None:
        self._database = database
        self._fingerprint = fingerprint
        self._member = member

    async def begin(self, place: Place, draft: Draft) -> Write | Document:
        """Record a write before it is done; an unchanged document is returned as it stands.

        Raises:
            EmbeddingMismatch: the collection was built with another embedding model.
            DocumentBusy: another process is writing the document.
        """
        async with self._database.write() as connection:
            await check_model(connection, place.tenant, [place.collection], self._fingerprint)
            overtaken = await row_at(connection, writes, place)
            if overtaken is not None:
                await refuse_busy(connection, self._member, [overtaken])
                await self._drop(connection, overtaken.revision)
            known = await row_at(connection, documents, place)
            if known is not None and known.content_hash == draft.content_hash:
                return document_of(known)
            return Write(await self._record(connection, place, draft), place, draft)

    async def begin_anew(self, place: Place, revision: int) -> Write | None:
        """Record that a live revision is written anew as it stands; None when it is live no more.

        Raises:
            DocumentBusy: another process is writing the document.
        """
        live = (
            select(documents, texts.c.text, texts.c.pages)
            .join(texts, texts.c.revision == documents.c.revision)
            .where(*at(documents, place), documents.c.revision == revision)
        )
        async with self._database.write() as connection:
            row = (await connection.execute(live)).one_or_none()
            if row is None:
                return None
            overtaken = await row_at(connection, writes, place)
            if overtaken is not None:
                await refuse_busy(connection, self._member, [overtaken])
                await self._drop(connection, overtaken.revision)
            draft = write_of(row).draft
            return Write(await self._record(connection, place, draft), place, draft)

    async def commit(self, write: Write, chunks: int) -> tuple[Document, bool]:
        """Make a written revision the one that searches see; also tell whether it replaced one.

        Raises:
            CollectionNotFound: the collection was deleted meanwhile.
        """
        place = write.place
        async with self._database.write() as connection:
            this = writes.c.revision == write.revision
            if (await connection.execute(delete(writes).where(this))).rowcount == 0:
                row = await row_at(connection, documents, place)
                if row is not None and row.revision == write.revision:
                    # Another process took this one for dead, and finished what it had begun.
                    return document_of(row), False
                raise CollectionNotFound(
                    f"Collection {place.collection!r} was deleted while the document was indexed; "
                    "write it again."
                )
            await self._ensure_collection(connection, place)
            former = await row_at(connection, documents, place)
            values = _values(write, chunks)
            if former is None:
                created = {**key_of(place), "created_at": values["updated_at"], **values}
                await connection.execute(insert(documents).values(created))
            else:
                if former.content_hash == write.draft.content_hash:
                    values["updated_at"] = former.updated_at
                    await _keep_origin(connection, former.revision, write.revision)
                replaced = update(documents).where(*at(documents, place)).values(values)
                await connection.execute(replaced)
                await leave_behind(connection, former.revision, self._fingerprint)
            await count_change(connection, place.tenant)
            row = await row_at(connection, documents, place)
            assert row is not None
            return document_of(row), former is not None

    async def abandon(self, write: Write) -> None:
        """Forget a write that failed; what was stored of it becomes a leftover, even once more."""
        async with self._database.write() as connection:
            await self._drop(connection, write.revision)

    async def open_collection(self, tenant: str, name: str) -> None:
        """Make an empty collection; one that is there stays as it is.

        Raises:
            EmbeddingMismatch: it is there and was built with another embedding model.
        """
        async with self._database.write() as connection:
            await check_model(connection, tenant, [name], self._fingerprint)
            await self._ensure_collection(connection, Place(tenant, name, ""))

    async def unfinished(self) -> list[Write]:
        """List the writes that are under way or were left behind, oldest first."""
        return await self._listed()

    async def left_behind(self) -> list[Write]:
        """List the writes whose process is gone, oldest first."""
        return await self._listed(abandoned(self._member))

    async def _listed(self, *which: Any) -> list[Write]:
        joined = select(writes, texts.c.text, texts.c.pages).join(
            texts, texts.c.revision == writes.c.revision
        )
        mine = joined.where(writes.c.fingerprint == self._fingerprint, *which)
        async with self._database.read() as connection:
            return [
                write_of(row) for row in await connection.execute(mine.order_by(writes.c.revision))
            ]

    async def take_over(self, revision: int) -> bool:
        """Make a write that was left behind this process's; False when it is there no more."""
        this = (writes.c.revision == revision, abandoned(self._member))
        async with self._database.write() as connection:
            taken = update(writes).where(*this).values(member=self._member)
            return bool((await connection.execute(taken)).rowcount)

    async def _record(self, connection: AsyncConnection, place: Place, draft: Draft) -> int:
        recorded = await connection.execute(
            insert(writes).values(
                **key_of(place),
                title=draft.title,
                uri=draft.uri,
                metadata=draft.metadata,
                allowed_groups=draft.allowed_groups,
                content_hash=draft.content_hash,
                fingerprint=self._fingerprint,
                written_at=now(),
                member=self._member,
            )
        )
        key = recorded.inserted_primary_key
        assert key is not None
        pages = [[page.page, page.start] for page in draft.pages]
        text = {"revision": key.revision, "text": draft.text, "pages": pages}
        await connection.execute(insert(texts).values(text))
        return int(key.revision)

    async def _drop(self, connection: AsyncConnection, revision: int) -> None:
        await connection.execute(delete(writes).where(writes.c.revision == revision))
        # Another process that took this one for dead may have finished it.
        if not await live_revisions(connection, [revision]):
            await leave_behind(connection, revision, self._fingerprint)

    async def _ensure_collection(self, connection: AsyncConnection, place: Place) -> None:
        collection = insert_or_leave(collections).values(
            tenant=place.tenant,
            name=place.collection,
            fingerprint=self._fingerprint,
            created_at=now(),
        )
        await connection.execute(collection.on_conflict_do_nothing())


async def _keep_origin(connection: AsyncConnection, former: int, revision: int) -> None:
    """Let a document that is written anew as it was stay of the same source."""
    this = origins.c.revision == former
    await connection.execute(update(origins).where(this).values(revision=revision))


def _values(write: Write, chunks: int) -> dict[str, Any]:
    draft = write.draft
    return {
        "revision": write.revision,
        "title": draft.title,
        "uri": draft.uri,
        "metadata": draft.metadata,
        "allowed_groups": draft.allowed_groups,
        "content_hash": draft.content_hash,
        "chunks": chunks,
        "characters": len(draft.text),
        "updated_at": now(),
    }
