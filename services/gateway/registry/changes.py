"""Changing the registry: one transaction, an audit event for each change, a new revision."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.request_id import current_request_id
from services.gateway.registry import tables
from services.gateway.registry.database import Database, RegistryUnavailable
from services.gateway.registry.keeper import SnapshotKeeper

_log = structlog.get_logger(__name__)

CHANNEL = "inkstone_registry"
"""Where Postgres tells every gateway of a change, with its time in seconds since the epoch."""


class Subject(StrEnum):
    """The parts of the snapshot, each with a revision of its own."""

    KEYS = "keys"
    ASSISTANTS = "assistants"
    ADAPTERS = "adapters"
    REPLICAS = "replicas"
    ROLLOUTS = "rollouts"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes the registry, and why."""

    tenant: str
    key_id: str
    """The id of the caller's key, or the name of the part of Inkstone that acts."""
    reason: str | None = None


@dataclass(slots=True)
class Change:
    """A change under way, in one transaction."""

    connection: AsyncConnection
    actor: Actor
    now: float
    touched: set[Subject] = field(default_factory=set)
    recorded: list[str] = field(default_factory=list)
    """The actions of its audit events."""

    @property
    def second(self) -> int:
        """The time of the change, in whole seconds since the epoch."""
        return int(self.now)

    async def record(
        self, action: str, subject: Subject | None, name: str, detail: dict[str, Any] | None = None
    ) -> None:
        """Write the audit event of something that was just changed.

        Args:
            subject: the part of the snapshot that it changed, if any.
        """
        self.recorded.append(action)
        if subject is not None:
            self.touched.add(subject)
        await self.connection.execute(
            insert(tables.events).values(
                tenant=self.actor.tenant,
                at=self.now,
                actor=self.actor.key_id,
                action=action,
                subject=name,
                reason=self.actor.reason,
                detail=detail or {},
                request_id=current_request_id(),
            )
        )


def _nobody(_: str) -> None:
    """Hear nothing."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry as the gateway's work sees it: changes go in here, the snapshot comes out."""

    database: Database
    keeper: SnapshotKeeper
    clock: Callable[[], float] = time.time
    heard: Callable[[str], None] = _nobody
    """Hears the action of each audit event once it is committed."""

    @contextlib.asynccontextmanager
    async def change(self, actor: Actor) -> AsyncIterator[Change]:
        """Open a change; it is committed and in this gateway's snapshot when the block ends."""
        async with self.database.write() as connection:
            change = Change(connection, actor, self.clock())
            yield change
            await bump(connection, change.touched, change.now)
        for action in change.recorded:
            self.heard(action)
        if change.touched:
            await self.catch_up()

    async def catch_up(self) -> None:
        """Bring the snapshot up to what is committed; without the database it stays as it is."""
        try:
            await self.keeper.refresh()
        except RegistryUnavailable:
            _log.warning("registry.refresh_failed")


async def bump(connection: AsyncConnection, subjects: set[Subject], now: float) -> None:
    """Tell every gateway that parts of the registry changed, once this is committed."""
    if subjects:
        await connection.execute(
            update(tables.revisions)
            .where(tables.revisions.c.subject.in_(sorted(subjects)))
            .values(revision=tables.revisions.c.revision + 1)
        )
        if connection.dialect.name == "postgresql":
            await connection.execute(select(func.pg_notify(CHANNEL, f"{now:.6f}")))
