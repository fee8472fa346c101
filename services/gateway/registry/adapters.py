"""Adapter versions: registering, wanting, retiring; a version's content never changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import Conflict, NotFound
from services.contracts.adapters import AdapterVersion
from services.gateway.adapters.examination import Candidate
from services.gateway.registry import rollouts, tables, versions
from services.gateway.registry.changes import Actor, Change, Registry, Subject
from services.gateway.registry.paging import Page, page_of
from services.gateway.registry.rows import adapter_of, with_stable_release
from services.gateway.registry.snapshot import Snapshot
from services.gateway.registry.versions import Expected


class AdapterNotFound(NotFound):
    """The tenant has no such adapter version."""

    code = "adapter_not_found"


class AdapterInUse(Conflict):
    """An assistant serves the version."""

    code = "adapter_in_use"


class AdapterBeingRemoved(Conflict):
    """The files of the version, which was out of use for long, are being removed now."""

    code = "adapter_being_removed"


class AdapterChanged(Conflict):
    """Somebody else retired or restored the version in between."""

    code = "adapter_changed"


async def register(change: Change, candidate: Candidate) -> tuple[AdapterVersion, bool]:
    """Register a version whose files are stored, and tell whether it is new; a retired one returns.

    Raises:
        Conflict: `adapter_id_taken` when another content has the same id.
        AdapterBeingRemoved: for the moment that it takes.
    """
    table, connection = tables.adapters, change.connection
    same = (
        await connection.execute(
            select(table.c.content_hash, table.c.files).where(table.c.id == candidate.id)
        )
    ).all()
    if any(row.content_hash != candidate.content_hash for row in same):
        raise Conflict(
            f"The id {candidate.id!r} belongs to another content; register it under another name.",
            code="adapter_id_taken",
        )
    if any(row.files == "removing" for row in same):
        raise AdapterBeingRemoved(
            f"The files of {candidate.id!r}, which was retired, are being removed at this moment; "
            "register it again in a minute."
        )
    known = await _row(connection, change.actor.tenant, candidate.id)
    if known is not None and known.state == "registered":
        return known, False
    if known is not None:
        await _set(
            change,
            candidate.id,
            state="registered",
            wanted_until=change.second,
            retired_at=None,
            files="kept",
        )
        await change.record("adapter.restored", Subject.ADAPTERS, candidate.id)
    else:
        await _insert(change, candidate)
    return await find(connection, change.actor.tenant, candidate.id), known is None


async def retire(registry: Registry, actor: Actor, id_: str, *, expected: Expected = None) -> None:
    """Take a version out of use; its row stays, its files for a while, and it can come back.

    Raises:
        AdapterChanged: it is not at the expected version.
        AdapterInUse: while an assistant serves it, or a rollout brings it.
    """
    async with registry.change(actor) as change:
        version = await find(change.connection, actor.tenant, id_)
        versions.check(f"The adapter {id_!r}", version.version, expected, AdapterChanged)
        served = tables.releases.c
        users = await change.connection.execute(
            with_stable_release().where(served.tenant == actor.tenant, served.adapter == id_)
        )
        names = {row.name for row in users}
        names.update(await rollouts.uses(change.connection, actor.tenant, id_))
        if names:
            raise AdapterInUse(
                f"{id_!r} is served by {', '.join(sorted(names))}; bind another adapter there, or "
                "end the rollout, first."
            )
        if version.state == "registered":
            await _set(change, id_, state="retired", retired_at=change.second)
            await change.record("adapter.retired", Subject.ADAPTERS, id_)


async def want(change: Change, id_: str, *, seconds: float) -> None:
    """Let replicas load a version before others, for a while."""
    same = tables.adapters.c.version
    await _set(change, id_, wanted_until=int(change.now + seconds) + 1, version=same)
    change.touched.add(Subject.ADAPTERS)


async def find(connection: AsyncConnection, tenant: str, id_: str) -> AdapterVersion:
    """Read one version of a tenant, retired ones included.

    Raises:
        AdapterNotFound: when the tenant has none of that id.
    """
    version = await _row(connection, tenant, id_)
    if version is None:
        raise AdapterNotFound(f"There is no adapter version {id_!r}; register it first.")
    return version


async def listed(
    registry: Registry, tenant: str, page: Page
) -> tuple[Sequence[AdapterVersion], bool]:
    """Read a tenant's versions, newest first, and whether there are more."""
    table = tables.adapters
    statement = select(table).where(table.c.tenant == tenant)
    async with registry.database.read() as connection:
        order = (table.c.created_at, table.c.id)
        rows, more = await page_of(connection, statement, page, order=order, id_=table.c.id)
    return [adapter_of(row) for row in rows], more


def with_replicas(version: AdapterVersion, snapshot: Snapshot) -> AdapterVersion:
    """Add what each live replica last said of a version."""
    said = {
        replica.replica: replica.adapters[version.id]
        for replica in snapshot.replicas
        if replica.live and version.id in replica.adapters
    }
    return version.model_copy(update={"replicas": said})


async def _row(connection: AsyncConnection, tenant: str, id_: str) -> AdapterVersion | None:
    table = tables.adapters
    rows = await connection.execute(
        select(table).where(table.c.tenant == tenant, table.c.id == id_)
    )
    row = rows.one_or_none()
    return None if row is None else adapter_of(row)


async def _insert(change: Change, candidate: Candidate) -> None:
    await change.connection.execute(
        insert(tables.adapters).values(
            tenant=change.actor.tenant,
            id=candidate.id,
            name=candidate.manifest.name,
            content_hash=candidate.content_hash,
            rank=candidate.shape.rank,
            target_modules=list(candidate.shape.target_modules),
            bytes=candidate.bytes,
            state="registered",
            created_at=change.second,
            created_by=change.actor.key_id,
            wanted_until=change.second,
            manifest=candidate.manifest.model_dump(mode="json"),
        )
    )
    detail = {"content_hash": candidate.content_hash, "bytes": candidate.bytes}
    await change.record("adapter.registered", Subject.ADAPTERS, candidate.id, detail)


async def _set(change: Change, id_: str, **values: Any) -> None:
    table = tables.adapters
    await change.connection.execute(
        update(table)
        .where(table.c.tenant == change.actor.tenant, table.c.id == id_)
        .values(**values)
    )
