"""Files in vector stores as the gateways' indexers see them: claimed under a lease, then settled.

A claim is for one revision of what is wanted. Whoever settles an older one only gives the file
back, so that the newer wish is done next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Literal

from sqlalchemy import ColumnElement, delete, select, update

from services.gateway.registry import tables
from services.gateway.registry.changes import Actor, Change, Registry

INDEXER = "indexer"
"""Stands for a key's id where a gateway acts by itself."""

_files = tables.vector_store_files
_WORK = ("index", "discard", "remove")


@dataclass(frozen=True, slots=True)
class Claim:
    """A file that this process may work on until its lease ends."""

    tenant: str
    store: str
    file_id: str
    todo: Literal["index", "discard", "remove"]
    revision: int
    attempts: int
    """How often it was claimed since it was wished for, this time included."""
    attributes: Mapping[str, Any]
    filename: str | None
    """None when the file is gone."""
    lease: str

    @property
    def actor(self) -> Actor:
        """Who changes the registry on its behalf."""
        return Actor(self.tenant, INDEXER)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claimed file."""

    status: Literal["completed", "failed", "cancelled"]
    error_code: str | None = None
    error_message: str | None = None


async def claim(registry: Registry, lease_seconds: float) -> Claim | None:
    """Take the file that waits longest, or None. Without work this is one small read."""
    async with registry.database.read() as connection:
        waiting = select(_files.c.file_id).where(*_free(registry.clock())).limit(1)
        if (await connection.execute(waiting)).one_or_none() is None:
            return None
    async with registry.change(Actor("", INDEXER)) as change:
        query = (
            select(*_files.c, tables.files.c.filename)
            .join_from(_files, tables.files, tables.files.c.id == _files.c.file_id, isouter=True)
            .where(*_free(change.now))
            .order_by(_files.c.lease_until, _files.c.created_at, _files.c.file_id)
            .limit(1)
        )
        row = (await change.connection.execute(query)).one_or_none()
        if row is None:
            return None
        claimed = Claim(
            tenant=row.tenant,
            store=row.store,
            file_id=row.file_id,
            todo=row.todo,
            revision=row.revision,
            attempts=row.attempts + 1,
            attributes=row.attributes,
            filename=row.filename,
            lease=token_hex(16),
        )
        await change.connection.execute(
            update(_files)
            .where(
                _files.c.tenant == row.tenant,
                _files.c.store == row.store,
                _files.c.file_id == row.file_id,
            )
            .values(
                lease=claimed.lease,
                lease_until=change.now + lease_seconds,
                attempts=claimed.attempts,
            )
        )
    return claimed


async def renew(registry: Registry, claim: Claim, lease_seconds: float) -> bool:
    """Prolong a lease; False when it is somebody else's by now."""
    async with registry.change(claim.actor) as change:
        prolonged = (
            update(_files)
            .where(*_held(claim))
            .values(lease_until=change.now + lease_seconds)
            .returning(_files.c.file_id)
        )
        return (await change.connection.execute(prolonged)).one_or_none() is not None


async def settle(registry: Registry, claim: Claim, verdict: Verdict) -> None:
    """Write what became of a file, unless something else is wanted of it by now."""
    async with registry.change(claim.actor) as change:
        settled = (
            update(_files)
            .where(*_held(claim), _files.c.revision == claim.revision)
            .values(
                status=verdict.status,
                error_code=verdict.error_code,
                error_message=verdict.error_message,
                todo="none",
                lease=None,
                lease_until=0.0,
            )
            .returning(_files.c.file_id)
        )
        if (await change.connection.execute(settled)).one_or_none() is None:
            await _give_back(change, claim)


async def drop(registry: Registry, claim: Claim) -> None:
    """Drop the row of a file whose document is gone, unless it was attached again."""
    async with registry.change(claim.actor) as change:
        gone = (
            delete(_files)
            .where(*_held(claim), _files.c.revision == claim.revision)
            .returning(_files.c.file_id)
        )
        if (await change.connection.execute(gone)).one_or_none() is None:
            await _give_back(change, claim)


async def postpone(registry: Registry, claim: Claim, seconds: float, *, counts: bool) -> None:
    """Give a file back, to be claimed again after a while; the attempt may not count."""
    async with registry.change(claim.actor) as change:
        await change.connection.execute(
            update(_files)
            .where(*_held(claim), _files.c.revision == claim.revision)
            .values(
                lease_until=change.now + seconds,
                attempts=claim.attempts if counts else claim.attempts - 1,
            )
        )
        newer = _files.c.revision != claim.revision
        await change.connection.execute(
            update(_files).where(*_held(claim), newer).values(lease=None, lease_until=0.0)
        )


async def _give_back(change: Change, claim: Claim) -> None:
    await change.connection.execute(
        update(_files).where(*_held(claim)).values(lease=None, lease_until=0.0)
    )


def _free(now: float) -> tuple[ColumnElement[bool], ...]:
    return (_files.c.todo.in_(_WORK), _files.c.lease_until < now)


def _held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        _files.c.tenant == claim.tenant,
        _files.c.store == claim.store,
        _files.c.file_id == claim.file_id,
        _files.c.lease == claim.lease,
    )
