"""Statements that several transactions share."""

from __future__ import annotations

import time
from collections.abc import Collection as Names
from collections.abc import Collection as Revisions
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row, and_, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retriever.catalogue.members import alive
from services.retriever.catalogue.records import Place
from services.retriever.catalogue.tables import (
    collections,
    documents,
    leftovers,
    members,
    tenants,
    texts,
    writes,
)
from services.retriever.errors import CollectionNotFound, DocumentBusy, EmbeddingMismatch

RETRY_AFTER_SECONDS = 2.0
"""When a caller may come back whose document another retriever writes."""


def key_of(place: Place) -> dict[str, str]:
    """Name the columns that say where a document lives."""
    return {"tenant": place.tenant, "collection": place.collection, "id": place.id}


def at(table: Any, place: Place) -> list[Any]:
    """Match one document's row in a table."""
    return [table.c[name] == value for name, value in key_of(place).items()]


def within(table: Any, tenant: str, collection: str) -> list[Any]:
    """Match the rows of one collection in a table."""
    return [table.c.tenant == tenant, table.c.collection == collection]


async def row_at(connection: AsyncConnection, table: Any, place: Place) -> Row[Any] | None:
    """Read one document's row."""
    return (await connection.execute(select(table).where(*at(table, place)))).one_or_none()


async def collection_row(connection: AsyncConnection, tenant: str, name: str) -> Row[Any]:
    """Read a collection's row.

    Raises:
        CollectionNotFound: there is no such collection.
    """
    query = select(collections).where(collections.c.tenant == tenant, collections.c.name == name)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise no_collection(name)
    return row


async def check_model(
    connection: AsyncConnection, tenant: str, names: Names[str], fingerprint: str
) -> set[str]:
    """Make sure that those of the collections that exist were built with one embedding model.

    Raises:
        EmbeddingMismatch: one was built with another.
    """
    query = select(collections.c.name, collections.c.fingerprint).where(
        collections.c.tenant == tenant, collections.c.name.in_(names)
    )
    rows = (await connection.execute(query)).all()
    known = {row.name: row.fingerprint for row in rows}
    refuse_other_models(known, fingerprint)
    return set(known)


def refuse_other_models(known: Mapping[str, str], fingerprint: str) -> None:
    """Make sure that collections were built with one embedding model.

    Raises:
        EmbeddingMismatch: one was built with another.
    """
    for name, built_with in known.items():
        if built_with != fingerprint:
            raise EmbeddingMismatch(
                f"Collection {name!r} was built with embedding model {built_with}, and this "
                f"retriever runs {fingerprint}: set the former model again, or delete the "
                "collection and write its documents anew."
            )


async def live_revisions(connection: AsyncConnection, revisions: Revisions[int]) -> set[int]:
    """Tell which revisions searches see."""
    query = select(documents.c.revision).where(documents.c.revision.in_(revisions))
    return set(await connection.scalars(query))


async def refuse_busy(connection: AsyncConnection, member: str, rows: Iterable[Row[Any]]) -> None:
    """Make sure that no other member that is alive is at these writes.

    Raises:
        DocumentBusy: one is.
    """
    theirs = [row for row in rows if row.member != member]
    if not theirs:
        return
    living = {row.name for row in await connection.execute(alive())}
    for row in theirs:
        if row.member in living:
            raise DocumentBusy(
                f"Another retriever is writing document {row.id!r}; write it again shortly.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )


def abandoned(member: str) -> Any:
    """Match writes that nobody is at: neither this member nor another that is alive."""
    living = alive().with_only_columns(members.c.name)
    return and_(writes.c.member != member, writes.c.member.not_in(living))


async def leave_behind(connection: AsyncConnection, revision: int, fingerprint: str) -> None:
    """Give up a revision: its text goes now, its chunks when the sweeper comes."""
    await connection.execute(delete(texts).where(texts.c.revision == revision))
    left = insert(leftovers).values(revision=revision, fingerprint=fingerprint)
    await connection.execute(left.on_conflict_do_nothing())


async def count_change(connection: AsyncConnection, tenant: str) -> None:
    """Move a tenant's corpus revision on."""
    first = insert(tenants).values(tenant=tenant, corpus_revision=1)
    once_more = {"corpus_revision": tenants.c.corpus_revision + 1}
    await connection.execute(first.on_conflict_do_update(index_elements=["tenant"], set_=once_more))


def no_collection(name: str) -> CollectionNotFound:
    """Say that a collection does not exist."""
    return CollectionNotFound(
        f"There is no collection {name!r}; it comes to be with its first document.",
        param="collection",
    )


def now() -> int:
    """Seconds since the epoch."""
    return int(time.time())
