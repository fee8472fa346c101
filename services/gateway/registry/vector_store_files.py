"""Files in vector stores as callers see them: attached, listed, changed, taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, Select, func, insert, select, update

from services.chassis.errors import Conflict, NotFound
from services.contracts.vector_stores import FileError, FileStatus, VectorStoreFile
from services.gateway.registry import files, tables
from services.gateway.registry.changes import Change, Registry
from services.gateway.registry.files import Order, UnknownFile
from services.gateway.registry.paging import Page, page_of

_files = tables.vector_store_files


class UnknownStoreFile(NotFound):
    """The vector store has no such file."""

    code = "vector_store_file_not_found"


class StoreFull(Conflict):
    """The vector store holds as many files as it may."""

    code = "vector_store_full"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes into a vector store."""

    file_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


async def attach(
    change: Change, store: str, attachments: Sequence[Attachment], max_files: int
) -> None:
    """Put files into a vector store, to be indexed; one that is in it is indexed anew.

    Raises:
        UnknownFile: the tenant has no such file; none is attached then.
        StoreFull: there would be too many files.
    """
    wanted = {attachment.file_id: attachment for attachment in attachments}
    if (absent := await files.missing(change, list(wanted))) is not None:
        raise UnknownFile(absent)
    known = set(await change.connection.scalars(_ids(change, store)))
    fresh = [a for a in wanted.values() if a.file_id not in known]
    if len(known) + len(fresh) > max_files:
        raise StoreFull(
            f"A vector store holds at most {max_files} files; take some out or open another one."
        )
    if fresh:
        rows = [_new_row(change, store, attachment) for attachment in fresh]
        await change.connection.execute(insert(_files), rows)
    for attachment in wanted.values():
        if attachment.file_id in known:
            values = {"attributes": attachment.attributes, "created_at": change.second}
            await wish(change, store, [attachment.file_id], todo="index", **values)


async def one(registry: Registry, tenant: str, store: str, file_id: str) -> VectorStoreFile:
    """Read one file of a vector store.

    Raises:
        UnknownStoreFile: when it has no such file.
    """
    query = _described(tenant, store).where(_files.c.file_id == file_id)
    async with registry.database.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise UnknownStoreFile(
            f"The vector store {store!r} has no file {file_id!r}; list its files to see them.",
            param="file_id",
        )
    return _file_of(row)


async def listed(
    registry: Registry,
    tenant: str,
    store: str,
    page: Page,
    *,
    order: Order,
    status: FileStatus | None = None,
    ids: Collection[str] | None = None,
) -> tuple[Sequence[VectorStoreFile], bool]:
    """Read a vector store's files by age, or those among some ids, and whether there are more."""
    statement = _described(tenant, store)
    if status is not None:
        statement = statement.where(_files.c.status == status)
    if ids is not None:
        statement = statement.where(_files.c.file_id.in_(ids))
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection,
            statement,
            page,
            order=(_files.c.created_at, _files.c.file_id),
            id_=_files.c.file_id,
            ascending=order == "asc",
        )
    return [_file_of(row) for row in rows], more


async def statuses(registry: Registry, tenant: str, store: str, ids: Sequence[str]) -> Counter[str]:
    """Count some of a vector store's files by status."""
    query = (
        select(_files.c.status, func.count().label("files"))
        .where(_files.c.tenant == tenant, _files.c.store == store, _files.c.todo != "remove")
        .where(_files.c.file_id.in_(ids))
        .group_by(_files.c.status)
    )
    async with registry.database.read() as connection:
        return Counter({row.status: row.files for row in await connection.execute(query)})


async def wish(
    change: Change, store: str, ids: Collection[str], *, todo: str, **values: Any
) -> list[str]:
    """Say what is to be done with files of a vector store; returns those that are in it.

    What is being done with one even now is then out of date, and is put right afterwards.
    """
    status = {"index": "in_progress", "discard": "cancelled"}.get(todo)
    if status is not None:
        values |= {"status": status, "error_code": None, "error_message": None}
    statement = (
        update(_files)
        .where(_files.c.tenant == change.actor.tenant, _files.c.store == store)
        .where(_files.c.file_id.in_(ids))
        .values(todo=todo, revision=_files.c.revision + 1, attempts=0, **values)
        .returning(_files.c.file_id)
    )
    return list(await change.connection.scalars(statement))


async def unfinished(change: Change, store: str, ids: Collection[str]) -> list[str]:
    """Name those of a vector store's files that are still to be indexed."""
    query = _ids(change, store).where(_files.c.file_id.in_(ids), _files.c.todo == "index")
    return list(await change.connection.scalars(query))


async def remove_everywhere(change: Change, file_id: str) -> list[str]:
    """Take a file out of every vector store of the tenant; returns their ids."""
    statement = (
        update(_files)
        .where(_files.c.tenant == change.actor.tenant, _files.c.file_id == file_id)
        .values(todo="remove", revision=_files.c.revision + 1, attempts=0)
        .returning(_files.c.store)
    )
    return list(await change.connection.scalars(statement))


def _new_row(change: Change, store: str, attachment: Attachment) -> dict[str, Any]:
    return {
        "tenant": change.actor.tenant,
        "store": store,
        "file_id": attachment.file_id,
        "status": "in_progress",
        "todo": "index",
        "revision": 1,
        "attributes": attachment.attributes,
        "created_at": change.second,
        "attempts": 0,
        "lease_until": 0.0,
    }


def _ids(change: Change, store: str) -> Select[Any]:
    return select(_files.c.file_id).where(
        _files.c.tenant == change.actor.tenant, _files.c.store == store
    )


def _described(tenant: str, store: str) -> Select[Any]:
    size = func.coalesce(tables.files.c.bytes, 0).label("bytes")
    return (
        select(*_files.c, size)
        .join_from(_files, tables.files, tables.files.c.id == _files.c.file_id, isouter=True)
        .where(_files.c.tenant == tenant, _files.c.store == store, _files.c.todo != "remove")
    )


def _file_of(row: Row[Any]) -> VectorStoreFile:
    error = None
    if row.error_code is not None:
        error = FileError(code=row.error_code, message=row.error_message)
    return VectorStoreFile(
        id=row.file_id,
        created_at=row.created_at,
        vector_store_id=row.store,
        status=row.status,
        last_error=error,
        usage_bytes=row.bytes if row.status == "completed" else 0,
        attributes=row.attributes,
    )
