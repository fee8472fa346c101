"""Uploaded files: who owns which, and which are to go; their bytes lie in the artifact store.

A file is `receiving` until its bytes are stored, then `kept`, and `removing` until they are gone.
Only kept ones exist for callers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Literal

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update

from services.chassis.errors import Conflict, NotFound
from services.contracts.files import FileObject, KeptPurpose
from services.gateway.registry import tables
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.paging import Page, page_of

ABANDONED_SECONDS = 3600
"""A file that has been arriving for longer belongs to a process that is gone."""

Order = Literal["asc", "desc"]

_files = tables.files


class UnknownFile(NotFound):
    """The tenant has no such file."""

    code = "file_not_found"

    def __init__(self, file_id: str) -> None:
        super().__init__(
            f"There is no file {file_id!r}; GET /v1/files lists the files.", param="file_id"
        )


class FileSpaceFull(Conflict):
    """The tenant's files are as large as they may be."""

    code = "file_space_full"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that is about to be stored."""

    filename: str
    purpose: KeptPurpose
    bytes: int
    expires_after_seconds: int | None


async def begin(registry: Registry, actor: Actor, file: NewFile, max_tenant_bytes: int) -> str:
    """Note a file before its bytes are stored, and give it its id.

    Raises:
        FileSpaceFull: when the tenant's files would be larger than allowed.
    """
    file_id = f"file-{token_hex(12)}"
    async with registry.change(actor) as change:
        held = await change.connection.scalar(
            select(func.coalesce(func.sum(_files.c.bytes), 0)).where(
                _files.c.tenant == actor.tenant
            )
        )
        if (held or 0) + file.bytes > max_tenant_bytes:
            raise FileSpaceFull(
                f"Files of this tenant may hold {max_tenant_bytes} bytes in all; delete some."
            )
        expiry = file.expires_after_seconds
        await change.connection.execute(
            insert(_files).values(
                id=file_id,
                tenant=actor.tenant,
                filename=file.filename,
                purpose=file.purpose,
                bytes=file.bytes,
                state="receiving",
                created_at=change.second,
                created_by=actor.key_id,
                expires_at=None if expiry is None else change.second + expiry,
            )
        )
    return file_id


async def keep(registry: Registry, actor: Actor, file_id: str) -> FileObject:
    """Let a file exist, now that its bytes are stored."""
    async with registry.change(actor) as change:
        kept = update(_files).where(_files.c.id == file_id).values(state="kept")
        row = (await change.connection.execute(kept.returning(*_files.c))).one()
        await change.record("file.uploaded", None, file_id, {"purpose": row.purpose})
    return _file_of(row)


async def keep_result(change: Change, file_id: str, file: NewFile) -> None:
    """Let a file exist that Inkstone made itself; one that is there already stays."""
    known = await change.connection.scalar(select(_files.c.id).where(_files.c.id == file_id))
    if known is not None:
        return
    await change.connection.execute(
        insert(_files).values(
            id=file_id,
            tenant=change.actor.tenant,
            filename=file.filename,
            purpose=file.purpose,
            bytes=file.bytes,
            state="kept",
            created_at=change.second,
            created_by=change.actor.key_id,
            expires_at=None,
        )
    )
    await change.record("file.uploaded", None, file_id, {"purpose": file.purpose})


async def one(registry: Registry, tenant: str, file_id: str) -> FileObject:
    """Read one file of a tenant.

    Raises:
        UnknownFile: when the tenant has no such file.
    """
    query = select(_files).where(*_seen(tenant, registry.clock()), _files.c.id == file_id)
    async with registry.database.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise UnknownFile(file_id)
    return _file_of(row)


async def names(registry: Registry, tenant: str, ids: Collection[str]) -> dict[str, str]:
    """Read the file names that ids stand for; others are left out."""
    query = select(_files.c.id, _files.c.filename).where(
        _files.c.tenant == tenant, _files.c.id.in_(ids)
    )
    async with registry.database.read() as connection:
        return {row.id: row.filename for row in await connection.execute(query)}


async def listed(
    registry: Registry, tenant: str, page: Page, *, purpose: str | None, order: Order
) -> tuple[Sequence[FileObject], bool]:
    """Read a tenant's files by age, and whether there are more."""
    statement = select(_files).where(*_seen(tenant, registry.clock()))
    if purpose is not None:
        statement = statement.where(_files.c.purpose == purpose)
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection,
            statement,
            page,
            order=(_files.c.created_at, _files.c.id),
            id_=_files.c.id,
            ascending=order == "asc",
        )
    return [_file_of(row) for row in rows], more


async def missing(change: Change, ids: Collection[str]) -> str | None:
    """Name one of the ids that stands for no file of the changing tenant."""
    query = select(_files.c.id).where(
        *_seen(change.actor.tenant, change.now), _files.c.id.in_(set(ids))
    )
    known = set(await change.connection.scalars(query))
    return next((file_id for file_id in ids if file_id not in known), None)


async def remove(change: Change, file_id: str) -> None:
    """Take a file from its tenant; its bytes are still to be removed.

    Raises:
        UnknownFile: when the tenant has no such file.
    """
    gone = (
        update(_files)
        .where(*_seen(change.actor.tenant, change.now), _files.c.id == file_id)
        .values(state="removing")
        .returning(_files.c.id)
    )
    if (await change.connection.execute(gone)).one_or_none() is None:
        raise UnknownFile(file_id)
    await change.record("file.deleted", None, file_id)


async def due(registry: Registry) -> list[tuple[str, str]]:
    """Name the files whose bytes are to go, each after its tenant."""
    now = registry.clock()
    abandoned = (_files.c.state == "receiving") & (_files.c.created_at < now - ABANDONED_SECONDS)
    query = select(_files.c.tenant, _files.c.id).where(
        or_(_files.c.state == "removing", abandoned, _files.c.expires_at <= now)
    )
    async with registry.database.read() as connection:
        return [(row.tenant, row.id) for row in await connection.execute(query)]


async def forget(registry: Registry, actor: Actor, file_id: str) -> None:
    """Drop the row of a file whose bytes are gone."""
    async with registry.change(actor) as change:
        await change.connection.execute(delete(_files).where(_files.c.id == file_id))


def _seen(tenant: str, now: float) -> tuple[ColumnElement[bool], ...]:
    lasting = or_(_files.c.expires_at.is_(None), _files.c.expires_at > now)
    return (_files.c.tenant == tenant, _files.c.state == "kept", lasting)


def _file_of(row: Any) -> FileObject:
    return FileObject(
        id=row.id,
        bytes=row.bytes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        filename=row.filename,
        purpose=row.purpose,
    )
