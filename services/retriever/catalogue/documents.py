"""Documents and collections as callers see them."""

from __future__ import annotations

from collections.abc import Collection as Names
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.knowledge import Collection, Document, DocumentText
from services.retriever.catalogue.columns import json_texts, total
from services.retriever.catalogue.database import Database
from services.retriever.catalogue.job_tables import jobs
from services.retriever.catalogue.jobs import cancel_jobs
from services.retriever.catalogue.records import Caller, Live, Place, document_of, live_of
from services.retriever.catalogue.statements import (
    at,
    collection_row,
    count_change,
    leave_behind,
    no_collection,
    refuse_other_models,
    row_at,
    within,
)
from services.retriever.catalogue.tables import (
    collections,
    documents,
    leftovers,
    tenants,
    texts,
    writes,
)
from services.retriever.errors import DocumentNotFound

MOST_HIDDEN = 10_000
"""The most revisions that one search leaves out by name."""

# Both are asked in every search, and made once: making one takes longer than asking it.
_SEARCHED = select(
    collections.c.name,
    collections.c.fingerprint,
    select(tenants.c.corpus_revision)
    .where(tenants.c.tenant == bindparam("tenant"))
    .scalar_subquery()
    .label("corpus_revision"),
).where(
    collections.c.tenant == bindparam("tenant"),
    collections.c.name.in_(bindparam("names", expanding=True)),
)
_LIVE = select(
    *(documents.c[name] for name in ("tenant", "collection", "id", "revision")),
    *(documents.c[name] for name in ("title", "uri", "metadata")),
).where(
    documents.c.tenant == bindparam("tenant"),
    documents.c.revision.in_(bindparam("revisions", expanding=True)),
)


class Documents:
    """Reading and removing, for one embedding model."""

    def __init__(self, database: Database, fingerprint: str) -> None:
        self._database = database
        self._fingerprint = fingerprint

    async def read(self, caller: Caller, place: Place) -> DocumentText:
        """Read a document with its text.

        Raises:
            DocumentNotFound: there is no such document, or the caller may not see it.
        """
        query = (
            select(documents, texts.c.text)
            .join(texts, texts.c.revision == documents.c.revision)
            .where(*at(documents, place), *_open_to(caller))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise _no_document(place)
        return DocumentText(**document_of(row).model_dump(), text=row.text)

    async def page(
        self, caller: Caller, collection: str, *, limit: int, after: str | None
    ) -> tuple[list[Document], bool]:
        """List the documents of a collection that a caller may see, and tell whether more follow.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        mine = within(documents, caller.tenant, collection)
        query = select(documents).where(*mine, *_open_to(caller))
        if after is not None:
            query = query.where(documents.c.id > after)
        async with self._database.read() as connection:
            await collection_row(connection, caller.tenant, collection)
            ordered = query.order_by(documents.c.id).limit(limit + 1)
            rows = (await connection.execute(ordered)).all()
        return [document_of(row) for row in rows[:limit]], len(rows) > limit

    async def delete(self, place: Place) -> None:
        """Remove a document from what searches see.

        Raises:
            DocumentNotFound: there is no such document.
        """
        async with self._database.write() as connection:
            row = await row_at(connection, documents, place)
            if row is None:
                raise _no_document(place)
            await connection.execute(delete(documents).where(*at(documents, place)))
            await leave_behind(connection, row.revision, self._fingerprint)
            await count_change(connection, place.tenant)

    async def collections(self, tenant: str, name: str | None = None) -> list[Collection]:
        """Describe a tenant's collections, or the one that is named.

        Raises:
            CollectionNotFound: the named collection does not exist.
        """
        query = _described().where(collections.c.tenant == tenant)
        if name is not None:
            query = query.where(collections.c.name == name)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        if name is not None and not rows:
            raise no_collection(name)
        return [
            Collection(
                id=row.name,
                documents=row.documents,
                chunks=row.chunks,
                embedding_fingerprint=row.fingerprint,
                created_at=row.created_at,
            )
            for row in rows
        ]

    async def delete_collection(self, tenant: str, name: str) -> None:
        """Remove a collection with its documents, the writes under way and its ingestions.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        async with self._database.write() as connection:
            row = await collection_row(connection, tenant, name)
            ingested = (jobs.c.tenant == tenant) & (jobs.c.collection == name)
            await cancel_jobs(connection, ingested)
            for table in (documents, writes):
                await _leave_all_behind(connection, table, tenant, name, row.fingerprint)
            this = (collections.c.tenant == tenant, collections.c.name == name)
            await connection.execute(delete(collections).where(*this))
            await count_change(connection, tenant)

    async def seen(
        self, tenant: str, names: Names[str], revisions: Names[int]
    ) -> tuple[dict[int, Live], int]:
        """Tell which revisions are live for a tenant, and the tenant's corpus revision.

        Args:
            tenant: whose collections and revisions they are.
            names: the collections that were searched.
            revisions: what was found in them, or was left out.

        Raises:
            CollectionNotFound: one of the collections does not exist.
            EmbeddingMismatch: one was built with another model than this one.
        """
        asked = {"tenant": tenant, "names": list(names), "revisions": list(revisions)}

        def look(connection: Connection) -> tuple[dict[str, str], dict[int, Live], int]:
            searched = connection.execute(_SEARCHED, asked).all()
            found = connection.execute(_LIVE, asked) if revisions else ()
            return (
                {row.name: row.fingerprint for row in searched},
                {row.revision: live_of(row) for row in found},
                max((row.corpus_revision or 0 for row in searched), default=0),
            )

        known, live, corpus_revision = await self._database.glance(look)
        refuse_other_models(known, self._fingerprint)
        for name in names:
            if name not in known:
                raise no_collection(name)
        return live, corpus_revision

    async def hidden(self, tenant: str) -> list[int]:
        """List revisions that may have chunks in the index and that nobody may see now."""
        under_way = select(writes.c.revision).where(writes.c.tenant == tenant)
        query = union_all(under_way, select(leftovers.c.revision)).limit(MOST_HIDDEN)
        async with self._database.read() as connection:
            return list(await connection.scalars(query))


def _open_to(caller: Caller) -> list[Any]:
    """Match the documents that a caller may see: those of everybody and those of its groups."""
    if caller.curator:
        return []
    allowed = json_texts(documents.c.allowed_groups).table_valued("value")
    named = select(literal(1)).select_from(allowed).where(allowed.c.value.in_(caller.groups))
    everybody = func.json_array_length(documents.c.allowed_groups) == 0
    return [or_(everybody, named.exists())]


def _described() -> Any:
    counted = func.count(documents.c.id).label("documents")
    chunks = total(documents.c.chunks).label("chunks")
    inside = (documents.c.tenant == collections.c.tenant) & (
        documents.c.collection == collections.c.name
    )
    return (
        select(collections, counted, chunks)
        .join_from(collections, documents, inside, isouter=True)
        .group_by(*collections.c)
        .order_by(collections.c.name)
    )


async def _leave_all_behind(
    connection: AsyncConnection, table: Any, tenant: str, collection: str, fingerprint: str
) -> None:
    """Give up every revision that a table has of a collection."""
    inside = within(table, tenant, collection)
    revisions = select(table.c.revision).where(*inside)
    left = select(table.c.revision, literal(fingerprint)).where(*inside)
    await connection.execute(insert(leftovers).from_select(["revision", "fingerprint"], left))
    await connection.execute(delete(texts).where(texts.c.revision.in_(revisions)))
    await connection.execute(delete(table).where(*inside))


def _no_document(place: Place) -> DocumentNotFound:
    return DocumentNotFound(
        f"Collection {place.collection!r} has no document {place.id!r}; list its documents to see "
        "their ids.",
        param="id",
    )
