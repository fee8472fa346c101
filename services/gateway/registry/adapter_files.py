"""Removing the files of adapter versions that have been out of use for long.

A version's files go in three steps, so that a registration in between loses nothing: the version is
marked in the registry, its folder is removed from the store, and the removal is recorded. Whoever
registers it between the first step and the last is told to try again; whoever registers it later
stores it anew. A gateway that dies on the way leaves a mark, and the next sweep goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

import structlog
from sqlalchemy import Update, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.artifacts import ArtifactStore
from services.gateway.adapters.layout import artifact_key
from services.gateway.registry import leases, tables
from services.gateway.registry.changes import Actor, Registry

LEASE = "adapter_files"
ACTOR = "retention"

_log = structlog.get_logger(__name__)
_adapters = tables.adapters.c


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """Removes files that nothing needs any more; one gateway does it for all."""

    registry: Registry
    artifacts: ArtifactStore
    keep_seconds: float
    """How long a version must have been retired."""
    lease_seconds: float
    name: str = field(default_factory=lambda: uuid4().hex)
    """What this gateway calls itself as the lease's holder."""

    async def sweep(self) -> None:
        """Remove the files of every version that is retired for long and held by no replica."""
        async with self.registry.database.read() as connection:
            ids = await self._unneeded(connection)
        for id_ in ids:
            if not await leases.hold(self.registry, LEASE, self.name, seconds=self.lease_seconds):
                return
            await self._remove(id_)

    async def _remove(self, id_: str) -> None:
        async with self.registry.database.write() as connection:
            if id_ not in await self._unneeded(connection):
                return
            await connection.execute(_set_files(id_, "removing"))
        await self.artifacts.delete_folder(artifact_key(id_))
        async with self.registry.database.read() as connection:
            rows = await connection.execute(
                select(_adapters.tenant, _adapters.bytes).where(_adapters.id == id_)
            )
            owners = rows.all()
        for owner in owners:
            async with self.registry.change(Actor(owner.tenant, ACTOR)) as change:
                mine = (_adapters.tenant == owner.tenant, _adapters.files == "removing")
                noted = await change.connection.execute(_set_files(id_, "removed").where(*mine))
                if noted.rowcount:
                    detail = {"bytes": owner.bytes}
                    await change.record("adapter.files_removed", None, id_, detail)
        _log.info("adapter.files_removed", adapter=id_)

    async def _unneeded(self, connection: AsyncConnection) -> Sequence[str]:
        """Name the versions whose files may go, and those whose removal was begun."""
        limit = int(self.registry.clock() - self.keep_seconds)
        # One content may belong to several tenants, and its files are stored once.
        needed = select(_adapters.id).where(
            or_(
                _adapters.state == "registered",
                _adapters.retired_at.is_(None),
                _adapters.retired_at > limit,
            )
        )
        unused = select(_adapters.id).where(_adapters.files != "removed", ~_adapters.id.in_(needed))
        ids = list(await connection.scalars(unused.distinct().order_by(_adapters.id)))
        reports = list(await connection.scalars(select(tables.replicas.c.report))) if ids else []
        held = {name for report in reports for name in report["adapters"]}
        return [id_ for id_ in ids if id_ not in held]


def _set_files(id_: str, state: Literal["removing", "removed"]) -> Update:
    """Note what became of a version's files; nothing of it that an operator decides changes."""
    same = _adapters.version
    return update(tables.adapters).where(_adapters.id == id_).values(files=state, version=same)
