"""Documents, collections and writes under way, as transactions on the catalogue.

A write is begun (its text is safe), indexed, and committed (it becomes what searches see, and the
former revision a leftover). A process that dies between begin and commit leaves the write behind,
to be done again; what it stored in the index is invisible until then.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Collection as Names
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, literal, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.knowledge import Collection, Document, DocumentText
from services.retriever.catalogue.tables import (
    Database,
    collections,
    documents,
    leftovers,
    tenants,
    texts,
    writes,
)
from services.retriever.chunking import PageStart
from services.retriever.errors import CollectionNotFound, DocumentNotFound, EmbeddingMismatch


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document lives."""

    tenant: str
    collection: str
    id: str


def canonical_id(document_id: str) -> str:
    """Write an id in one way: composed, so that a Mac's file names and typed ones are equal."""
    return unicodedata.normalize("NFC", document_id)


@dataclass(frozen=True, slots=True)
class Draft:
    """A document as a caller wrote it."""

    text: str
    title: str
    uri: str
    metadata: dict[str, Any]
    allowed_groups: list[str]
    content_hash: str
    pages: tuple[PageStart, ...] = ()


@dataclass(frozen=True, slots=True)
class Write:
    """A draft that was begun, with the revision it will be."""

    revision: int
    place: Place
    draft: Draft


@dataclass(frozen=True, slots=True)
class Live:
    """What a passage needs to know of its document."""

    place: Place
    title: str
    uri: str
    metadata: dict[str, Any]
    allowed_groups: list[str]


class Catalogue:
    """Transactions on what is stored, for one embedding model."""

    def __init__(self, database: Database, fingerprint: str) -> None:
        self._database = database
        self._fingerprint = fingerprint

    async def begin(self, place: Place, draft: Draft) -> Write | Document:
        """Record a write before it is done; an unchanged document is returned as it stands.

        Raises:
            EmbeddingMismatch: the collection was built with another embedding model.
        """
        async with self._database.write() as connection:
            await self._check_model(connection, place.tenant, [place.collection])
            known = await _row(connection, documents, place)
            await self._drop_write(connection, place)
            if known is not None and known.content_hash == draft.content_hash:
                return _document(known)
            inserted = await connection.execute(
                insert(writes).values(
                    **_key(place),
                    title=draft.title,
                    uri=draft.uri,
                    metadata=draft.metadata,
                    allowed_groups=draft.allowed_groups,
                    content_hash=draft.content_hash,
                    fingerprint=self._fingerprint,
                    written_at=_now(),
                )
            )
            (revision,) = inserted.inserted_primary_key or (0,)
            pages = [[page.page, page.start] for page in draft.pages]
            await connection.execute(
                insert(texts).values(revision=revision, text=draft.text, pages=pages)
            )
            return Write(int(revision), place, draft)

    async def commit(self, write: Write, chunks: int) -> tuple[Document, bool]:
        """Make a written revision the one that searches see; also tell whether it replaced one.

        Raises:
            CollectionNotFound: the collection or the document was deleted meanwhile.
        """
        place, draft = write.place, write.draft
        async with self._database.write() as connection:
            finished = await connection.execute(
                delete(writes).where(writes.c.revision == write.revision)
            )
            if finished.rowcount == 0:
                raise CollectionNotFound(
                    f"Collection {place.collection!r} was deleted while the document was indexed; "
                    "write it again."
                )
            await self._ensure_collection(connection, place)
            former = await _row(connection, documents, place)
            values = {
                "revision": write.revision,
                "title": draft.title,
                "uri": draft.uri,
                "metadata": draft.metadata,
                "allowed_groups": draft.allowed_groups,
                "content_hash": draft.content_hash,
                "chunks": chunks,
                "characters": len(draft.text),
                "updated_at": _now(),
            }
            if former is None:
                created = {**_key(place), "created_at": _now(), **values}
                await connection.execute(insert(documents).values(created))
            else:
                await connection.execute(
                    update(documents).where(*_at(documents, place)).values(values)
                )
                await self._leave(former.revision, connection)
            await _bump(connection, place.tenant)
            row = await _row(connection, documents, place)
            assert row is not None
            return _document(row), former is not None

    async def abandon(self, write: Write) -> None:
        """Forget a write that failed; what was stored of it becomes a leftover, even once more."""
        async with self._database.write() as connection:
            await connection.execute(delete(writes).where(writes.c.revision == write.revision))
            await self._leave(write.revision, connection)

    async def unfinished(self) -> list[Write]:
        """List the writes that a former process left behind, oldest first."""
        joined = select(writes, texts.c.text, texts.c.pages).join(
            texts, texts.c.revision == writes.c.revision
        )
        mine = joined.where(writes.c.fingerprint == self._fingerprint).order_by(writes.c.revision)
        async with self._database.read() as connection:
            return [_write(row) for row in await connection.execute(mine)]

    async def is_unfinished(self, revision: int) -> bool:
        """Tell whether a write is still to be done."""
        query = select(writes.c.revision).where(writes.c.revision == revision)
        async with self._database.read() as connection:
            return await connection.scalar(query) is not None

    async def live_chunks(self) -> dict[int, tuple[Place, int]]:
        """Say for each live revision of this model where it is and how many chunks it has."""
        wanted = ("tenant", "collection", "id", "revision", "chunks")
        query = (
            select(*(documents.c[name] for name in wanted))
            .join(
                collections,
                (collections.c.tenant == documents.c.tenant)
                & (collections.c.name == documents.c.collection),
            )
            .where(collections.c.fingerprint == self._fingerprint)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return {row.revision: (_place(row), row.chunks) for row in rows}

    async def stored(self, place: Place, revision: int) -> Write | None:
        """Read back a live revision as it was written; None when it is live no more."""
        query = (
            select(documents, texts.c.text, texts.c.pages)
            .join(texts, texts.c.revision == documents.c.revision)
            .where(*_at(documents, place), documents.c.revision == revision)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _write(row)

    async def correct_chunks(self, revision: int, chunks: int) -> None:
        """Note how many chunks a live revision has."""
        async with self._database.write() as connection:
            this = documents.c.revision == revision
            await connection.execute(update(documents).where(this).values(chunks=chunks))

    async def disown(self, revisions: Names[int]) -> None:
        """Let the chunks of these revisions be removed, unless something here still knows them."""
        async with self._database.write() as connection:
            for revision in sorted(revisions):
                for table in (documents, writes):
                    this = select(table.c.revision).where(table.c.revision == revision)
                    if await connection.scalar(this) is not None:
                        break
                else:
                    await self._leave(revision, connection)

    async def leftovers(self, limit: int) -> list[int]:
        """List revisions whose chunks are still to be removed from this model's index."""
        query = select(leftovers.c.revision).where(leftovers.c.fingerprint == self._fingerprint)
        async with self._database.read() as connection:
            return list(await connection.scalars(query.limit(limit)))

    async def forget_leftovers(self, revisions: Sequence[int]) -> None:
        """Note that the chunks of these revisions are gone."""
        async with self._database.write() as connection:
            await connection.execute(delete(leftovers).where(leftovers.c.revision.in_(revisions)))

    async def delete_document(self, place: Place) -> None:
        """Remove a document from what searches see.

        Raises:
            DocumentNotFound: there is no such document.
        """
        async with self._database.write() as connection:
            row = await _row(connection, documents, place)
            if row is None:
                raise _no_document(place)
            await connection.execute(delete(documents).where(*_at(documents, place)))
            await self._leave(row.revision, connection)
            await _bump(connection, place.tenant)

    async def delete_collection(self, tenant: str, name: str) -> None:
        """Remove a collection with its documents and the writes under way.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        async with self._database.write() as connection:
            row = await _collection_row(connection, tenant, name)
            if row is None:
                raise _no_collection(name)
            for table in (documents, writes):
                inside = (table.c.tenant == tenant, table.c.collection == name)
                gone = select(table.c.revision, literal(row.fingerprint)).where(*inside)
                columns = ["revision", "fingerprint"]
                await connection.execute(insert(leftovers).from_select(columns, gone))
                await connection.execute(
                    delete(texts).where(
                        texts.c.revision.in_(select(table.c.revision).where(*inside))
                    )
                )
                await connection.execute(delete(table).where(*inside))
            this = (collections.c.tenant == tenant, collections.c.name == name)
            await connection.execute(delete(collections).where(*this))
            await _bump(connection, tenant)

    async def document(self, place: Place) -> DocumentText:
        """Read a document with its text.

        Raises:
            DocumentNotFound: there is no such document.
        """
        query = (
            select(documents, texts.c.text)
            .join(texts, texts.c.revision == documents.c.revision)
            .where(*_at(documents, place))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise _no_document(place)
        return DocumentText(**_document(row).model_dump(), text=row.text)

    async def page(
        self, tenant: str, collection: str, *, limit: int, after: str | None
    ) -> tuple[list[Document], bool]:
        """List a collection's documents by id, and tell whether more follow.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        inside = (documents.c.tenant == tenant, documents.c.collection == collection)
        query = select(documents).where(*inside).order_by(documents.c.id).limit(limit + 1)
        if after is not None:
            query = query.where(documents.c.id > after)
        async with self._database.read() as connection:
            if await _collection_row(connection, tenant, collection) is None:
                raise _no_collection(collection)
            rows = (await connection.execute(query)).all()
        return [_document(row) for row in rows[:limit]], len(rows) > limit

    async def collections(self, tenant: str, name: str | None = None) -> list[Collection]:
        """Describe a tenant's collections, or the one that is named.

        Raises:
            CollectionNotFound: the named collection does not exist.
        """
        query = (
            select(
                collections,
                func.count(documents.c.id).label("documents"),
                func.coalesce(func.sum(documents.c.chunks), 0).label("chunks"),
            )
            .join_from(
                collections,
                documents,
                (documents.c.tenant == collections.c.tenant)
                & (documents.c.collection == collections.c.name),
                isouter=True,
            )
            .where(collections.c.tenant == tenant)
            .group_by(*collections.c)
            .order_by(collections.c.name)
        )
        if name is not None:
            query = query.where(collections.c.name == name)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        if name is not None and not rows:
            raise _no_collection(name)
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

    async def require(self, tenant: str, names: Names[str]) -> None:
        """Make sure that collections exist and were built with this embedding model.

        Raises:
            CollectionNotFound: one does not exist.
            EmbeddingMismatch: one was built with another model.
        """
        async with self._database.read() as connection:
            known = await self._check_model(connection, tenant, names)
        for name in names:
            if name not in known:
                raise _no_collection(name)

    async def live(self, tenant: str, revisions: Names[int]) -> tuple[dict[int, Live], int]:
        """Tell which revisions are live for a tenant, and the tenant's corpus revision."""
        query = select(documents).where(
            documents.c.tenant == tenant, documents.c.revision.in_(revisions)
        )
        counter = select(tenants.c.corpus_revision).where(tenants.c.tenant == tenant)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all() if revisions else []
            corpus_revision = await connection.scalar(counter)
        found = {
            row.revision: Live(
                _place(row),
                row.title,
                row.uri,
                row.metadata,
                row.allowed_groups,
            )
            for row in rows
        }
        return found, corpus_revision or 0

    async def _check_model(
        self, connection: AsyncConnection, tenant: str, names: Names[str]
    ) -> set[str]:
        query = select(collections.c.name, collections.c.fingerprint).where(
            collections.c.tenant == tenant, collections.c.name.in_(names)
        )
        known = {row.name: row.fingerprint for row in await connection.execute(query)}
        for name, fingerprint in known.items():
            if fingerprint != self._fingerprint:
                raise EmbeddingMismatch(
                    f"Collection {name!r} was built with embedding model {fingerprint}, and this "
                    f"retriever runs {self._fingerprint}: set the former model again, or delete "
                    "the collection and write its documents anew."
                )
        return set(known)

    async def _ensure_collection(self, connection: AsyncConnection, place: Place) -> None:
        await connection.execute(
            upsert(collections)
            .values(
                tenant=place.tenant,
                name=place.collection,
                fingerprint=self._fingerprint,
                created_at=_now(),
            )
            .on_conflict_do_nothing()
        )

    async def _drop_write(self, connection: AsyncConnection, place: Place) -> None:
        row = await _row(connection, writes, place)
        if row is not None:
            await connection.execute(delete(writes).where(writes.c.revision == row.revision))
            await self._leave(row.revision, connection)

    async def _leave(self, revision: int, connection: AsyncConnection) -> None:
        await connection.execute(delete(texts).where(texts.c.revision == revision))
        left = upsert(leftovers).values(revision=revision, fingerprint=self._fingerprint)
        await connection.execute(left.on_conflict_do_nothing())


def _key(place: Place) -> dict[str, str]:
    return {"tenant": place.tenant, "collection": place.collection, "id": place.id}


def _at(table: Any, place: Place) -> list[Any]:
    return [table.c[name] == value for name, value in _key(place).items()]


async def _row(connection: AsyncConnection, table: Any, place: Place) -> Row[Any] | None:
    return (await connection.execute(select(table).where(*_at(table, place)))).one_or_none()


async def _collection_row(connection: AsyncConnection, tenant: str, name: str) -> Row[Any] | None:
    query = select(collections).where(collections.c.tenant == tenant, collections.c.name == name)
    return (await connection.execute(query)).one_or_none()


async def _bump(connection: AsyncConnection, tenant: str) -> None:
    await connection.execute(
        upsert(tenants)
        .values(tenant=tenant, corpus_revision=1)
        .on_conflict_do_update(
            index_elements=["tenant"], set_={"corpus_revision": tenants.c.corpus_revision + 1}
        )
    )


def _document(row: Row[Any]) -> Document:
    return Document(
        id=row.id,
        collection=row.collection,
        title=row.title,
        uri=row.uri,
        metadata=row.metadata,
        allowed_groups=row.allowed_groups,
        content_hash=row.content_hash,
        chunks=row.chunks,
        characters=row.characters,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _write(row: Row[Any]) -> Write:
    pages = tuple(PageStart(page, start) for page, start in row.pages)
    draft = Draft(
        row.text, row.title, row.uri, row.metadata, row.allowed_groups, row.content_hash, pages
    )
    return Write(row.revision, _place(row), draft)


def _place(row: Row[Any]) -> Place:
    return Place(row.tenant, row.collection, row.id)


def _no_collection(name: str) -> CollectionNotFound:
    return CollectionNotFound(
        f"There is no collection {name!r}; it comes to be with its first document.",
        param="collection",
    )


def _no_document(place: Place) -> DocumentNotFound:
    return DocumentNotFound(
        f"Collection {place.collection!r} has no document {place.id!r}; list its documents to see "
        "their ids.",
        param="id",
    )


def _now() -> int:
    return int(time.time())
