"""Writes of several documents of one collection, begun and committed together.

The same rules as for a single write (see writes.py), at two transactions a batch: what reaches the
disk at each is the price of ingestion, not the statements.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_leave
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retriever.catalogue.database import Database
from services.retriever.catalogue.records import Draft, Place, Write
from services.retriever.catalogue.statements import (
    check_model,
    count_change,
    key_of,
    live_revisions,
    now,
    refuse_busy,
    within,
)
from services.retriever.catalogue.tables import (
    collections,
    documents,
    leftovers,
    texts,
    writes,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A document that was found as it would be written."""

    revision: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A document that searches see now."""

    write: Write
    chunks: int
    replaced: bool


Settle = Callable[[AsyncConnection, Sequence[Committed]], Awaitable[None]]
"""Notes what became of a batch in the transaction that commits it."""

MayBegin = Callable[[AsyncConnection], Awaitable[bool]]
"""Tells in the transaction that begins a batch whether it may still be written."""


class Batches:
    """Transactions of bulk writers, for one embedding model."""

    def __init__(self, database: Database, fingerprint: str, member: str) -> None:
        self._database = database
        self._fingerprint = fingerprint
        self._member = member

    async def begin(
        self, drafts: Mapping[Place, Draft], may_begin: MayBegin
    ) -> dict[Place, Write | Kept] | None:
        """Record writes before they are done; unchanged documents are only named.

        Returns:
            None when they may not begin: a collection that was deleted must stay so.

        Raises:
            EmbeddingMismatch: the collection was built with another embedding model.
            DocumentBusy: another process is writing one of the documents.
        """
        first = next(iter(drafts))
        ids = [place.id for place in drafts]
        async with self._database.write() as connection:
            if not await may_begin(connection):
                return None
            await check_model(connection, first.tenant, [first.collection], self._fingerprint)
            overtaken = await _rows_at(connection, writes, first, ids)
            await refuse_busy(connection, self._member, overtaken.values())
            await self._drop(connection, [row.revision for row in overtaken.values()])
            known = await _rows_at(connection, documents, first, ids)
            begun: dict[Place, Write | Kept] = {}
            for place, draft in drafts.items():
                row = known.get(place.id)
                if row is not None and row.content_hash == draft.content_hash:
                    begun[place] = Kept(row.revision, row.chunks)
                else:
                    revision = await self._record(connection, place, draft)
                    begun[place] = Write(revision, place, draft)
            recorded = [one for one in begun.values() if isinstance(one, Write)]
            if recorded:
                await connection.execute(insert(texts), [_text_of(write) for write in recorded])
            return begun

    async def commit(self, finished: Sequence[tuple[Write, int]], settle: Settle) -> list[Write]:
        """Make written revisions, each with its number of chunks, the ones that searches see.

        Returns:
            The writes that could not be, because the collection was deleted meanwhile.
        """
        async with self._database.write() as connection:
            committed = await self._commit(connection, finished) if finished else []
            await settle(connection, committed)
        done = {one.write.revision for one in committed}
        return [write for write, _ in finished if write.revision not in done]

    async def abandon(self, given_up: Sequence[Write]) -> None:
        """Forget writes that failed; what was stored of them becomes leftovers."""
        async with self._database.write() as connection:
            await self._drop(connection, [write.revision for write in given_up])

    async def _commit(
        self, connection: AsyncConnection, finished: Sequence[tuple[Write, int]]
    ) -> list[Committed]:
        begun = writes.c.revision.in_([write.revision for write, _ in finished])
        present = set(await connection.scalars(select(writes.c.revision).where(begun)))
        live = [(write, chunks) for write, chunks in finished if write.revision in present]
        done = await self._done_by_others(connection, finished, present)
        if not live:
            return done
        await connection.execute(delete(writes).where(begun))
        place = live[0][0].place
        await self._ensure_collection(connection, place)
        ids = [write.place.id for write, _ in live]
        former = await _rows_at(connection, documents, place, ids)
        values = [_document_of(write, chunks) for write, chunks in live]
        await connection.execute(_write_documents(), values)
        await self._leave_behind(connection, [row.revision for row in former.values()])
        await count_change(connection, place.tenant)
        return done + [Committed(write, chunks, write.place.id in former) for write, chunks in live]

    async def _done_by_others(
        self, connection: AsyncConnection, finished: Sequence[tuple[Write, int]], present: set[int]
    ) -> list[Committed]:
        """Find what another process finished that took this one for dead."""
        gone = [(write, chunks) for write, chunks in finished if write.revision not in present]
        live = await live_revisions(connection, [write.revision for write, _ in gone])
        return [
            Committed(write, chunks, replaced=False)
            for write, chunks in gone
            if write.revision in live
        ]

    async def _record(self, connection: AsyncConnection, place: Place, draft: Draft) -> int:
        recorded = await connection.execute(
            insert(writes).values(
                **key_of(place),
                **_described(draft),
                fingerprint=self._fingerprint,
                written_at=now(),
                member=self._member,
            )
        )
        key = recorded.inserted_primary_key
        assert key is not None
        return int(key.revision)

    async def _drop(self, connection: AsyncConnection, revisions: Sequence[int]) -> None:
        if revisions:
            await connection.execute(delete(writes).where(writes.c.revision.in_(revisions)))
            # Another process that took this one for dead may have finished some.
            live = await live_revisions(connection, revisions)
            await self._leave_behind(connection, [one for one in revisions if one not in live])

    async def _leave_behind(self, connection: AsyncConnection, revisions: Sequence[int]) -> None:
        if not revisions:
            return
        await connection.execute(delete(texts).where(texts.c.revision.in_(revisions)))
        left = insert_or_leave(leftovers).on_conflict_do_nothing()
        rows = [{"revision": one, "fingerprint": self._fingerprint} for one in revisions]
        await connection.execute(left, rows)

    async def _ensure_collection(self, connection: AsyncConnection, place: Place) -> None:
        collection = insert_or_leave(collections).values(
            tenant=place.tenant,
            name=place.collection,
            fingerprint=self._fingerprint,
            created_at=now(),
        )
        await connection.execute(collection.on_conflict_do_nothing())


async def _rows_at(
    connection: AsyncConnection, table: Any, place: Place, ids: Sequence[str]
) -> dict[str, Row[Any]]:
    """Read the rows of several documents of one collection, by id."""
    here = within(table, place.tenant, place.collection)
    rows = await connection.execute(select(table).where(*here, table.c.id.in_(ids)))
    return {row.id: row for row in rows}


def _write_documents() -> Any:
    written = insert_or_leave(documents)
    kept = {"tenant", "collection", "id", "created_at"}
    replaced = {c.name: written.excluded[c.name] for c in documents.c if c.name not in kept}
    return written.on_conflict_do_update(
        index_elements=["tenant", "collection", "id"], set_=replaced
    )


def _described(draft: Draft) -> dict[str, Any]:
    return {
        "title": draft.title,
        "uri": draft.uri,
        "metadata": draft.metadata,
        "allowed_groups": draft.allowed_groups,
        "content_hash": draft.content_hash,
    }


def _document_of(write: Write, chunks: int) -> dict[str, Any]:
    written_at = now()
    return {
        **key_of(write.place),
        **_described(write.draft),
        "revision": write.revision,
        "chunks": chunks,
        "characters": len(write.draft.text),
        "created_at": written_at,
        "updated_at": written_at,
    }


def _text_of(write: Write) -> dict[str, Any]:
    pages = [[page.page, page.start] for page in write.draft.pages]
    return {"revision": write.revision, "text": write.draft.text, "pages": pages}
