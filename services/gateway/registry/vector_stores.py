"""What is said of collections as vector stores; the collections themselves are the retriever's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import Conflict, NotFound
from services.contracts.vector_stores import FileCounts
from services.gateway.registry import tables
from services.gateway.registry.changes import Actor, Change, Registry

_stores = tables.vector_stores
_files = tables.vector_store_files


class UnknownStore(NotFound):
    """The tenant has no such vector store."""

    code = "vector_store_not_found"

    def __init__(self, store: str) -> None:
        super().__init__(
            f"There is no vector store {store!r}; GET /v1/vector_stores lists them.",
            param="vector_store_id",
        )


class StoreChanged(Conflict):
    """Somebody else changed the vector store's name or notes in between."""

    code = "vector_store_changed"


@dataclass(frozen=True, slots=True)
class StoreLabel:
    """A vector store's name and notes."""

    id: str
    name: str
    description: str
    metadata: Mapping[str, str]
    created_at: int
    updated_at: int
    removed_at: int | None = None
    version: int = 0
    """Grows with every change; 0 for a collection of which nothing was ever said."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """The files of a vector store."""

    counts: FileCounts = field(default_factory=FileCounts)
    bytes: int = 0
    """Of the files that are indexed."""


async def labels(registry: Registry, tenant: str) -> dict[str, StoreLabel]:
    """Read what is said of a tenant's vector stores, those being removed included."""
    async with registry.database.read() as connection:
        rows = await connection.execute(select(_stores).where(_stores.c.tenant == tenant))
        return {row.id: _label_of(row) for row in rows}


async def label(registry: Registry, tenant: str, store: str) -> StoreLabel | None:
    """Read what is said of one; None when nothing is.

    Raises:
        UnknownStore: when it is being removed.
    """
    async with registry.database.read() as connection:
        return await find_label(connection, tenant, store)


async def find_label(connection: AsyncConnection, tenant: str, store: str) -> StoreLabel | None:
    """Read what is said of one within a change; None when nothing is.

    Raises:
        UnknownStore: when it is being removed.
    """
    row = (await connection.execute(select(_stores).where(*_at(tenant, store)))).one_or_none()
    if row is not None and row.removed_at is not None:
        raise UnknownStore(store)
    return None if row is None else _label_of(row)


async def save(change: Change, label: StoreLabel, action: str) -> None:
    """Write what is said of a vector store."""
    tenant = change.actor.tenant
    values = {
        "name": label.name,
        "description": label.description,
        "metadata": dict(label.metadata),
        "created_at": label.created_at,
        "updated_at": change.second,
        "version": label.version + 1,
    }
    await change.connection.execute(delete(_stores).where(*_at(tenant, label.id)))
    await change.connection.execute(
        insert(_stores).values(tenant=tenant, id=label.id, removed_at=None, **values)
    )
    await change.record(f"vector_store.{action}", None, label.id)


async def begin_removal(change: Change, store: str) -> bool:
    """Hide a vector store, drop its files, and tell whether files are being indexed even now."""
    here = (_files.c.tenant == change.actor.tenant, _files.c.store == store)
    connection = change.connection
    await connection.execute(delete(_files).where(*here, _files.c.lease_until < change.now))
    held = (
        update(_files)
        .where(*here)
        .values(todo="remove", revision=_files.c.revision + 1, attempts=0)
        .returning(_files.c.file_id)
    )
    busy = bool((await connection.execute(held)).all())
    batches = tables.file_batches
    await connection.execute(
        delete(batches).where(batches.c.tenant == change.actor.tenant, batches.c.store == store)
    )
    await connection.execute(
        update(_stores).where(*_at(change.actor.tenant, store)).values(removed_at=change.second)
    )
    await change.record("vector_store.deleted", None, store)
    return busy


async def removed(registry: Registry) -> list[tuple[str, StoreLabel]]:
    """Name the vector stores that are to go and whose files are gone, each after its tenant."""
    files_left = select(_files.c.file_id).where(
        _files.c.tenant == _stores.c.tenant, _files.c.store == _stores.c.id
    )
    query = select(_stores).where(_stores.c.removed_at.is_not(None), ~files_left.exists())
    async with registry.database.read() as connection:
        return [(row.tenant, _label_of(row)) for row in await connection.execute(query)]


async def forget(registry: Registry, actor: Actor, store: str) -> None:
    """Drop the row of a vector store whose collection is gone."""
    async with registry.change(actor) as change:
        gone = delete(_stores).where(*_at(actor.tenant, store), _stores.c.removed_at.is_not(None))
        await change.connection.execute(gone)


async def holdings(
    registry: Registry, tenant: str, store: str | None = None
) -> dict[str, Holdings]:
    """Count files by vector store and status; one without files is left out."""
    indexed = func.sum(tables.files.c.bytes).filter(_files.c.status == "completed")
    query = (
        select(_files.c.store, _files.c.status, func.count(), func.coalesce(indexed, 0))
        .join_from(_files, tables.files, tables.files.c.id == _files.c.file_id, isouter=True)
        .where(_files.c.tenant == tenant, _files.c.todo != "remove")
        .group_by(_files.c.store, _files.c.status)
    )
    if store is not None:
        query = query.where(_files.c.store == store)
    counted: dict[str, Counter[str]] = {}
    sizes: Counter[str] = Counter()
    async with registry.database.read() as connection:
        for name, status, number, size in await connection.execute(query):
            counted.setdefault(name, Counter())[status] = number
            sizes[name] += int(size)
    return {name: Holdings(counts_of(counts), sizes[name]) for name, counts in counted.items()}


def counts_of(counted: Counter[str]) -> FileCounts:
    """Put numbers by status into the wire's shape."""
    return FileCounts(**counted, total=counted.total())


def _at(tenant: str, store: str) -> tuple[Any, ...]:
    return (_stores.c.tenant == tenant, _stores.c.id == store)


def _label_of(row: Any) -> StoreLabel:
    return StoreLabel(
        row.id,
        row.name,
        row.description,
        row.metadata,
        row.created_at,
        row.updated_at,
        row.removed_at,
        row.version,
    )
