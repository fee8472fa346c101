"""Keeping the snapshot current: at once after a local change, by polling for those of others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.registry import loading, tables
from services.gateway.registry.database import Database, RegistryUnavailable
from services.gateway.registry.snapshot import Snapshot

_log = structlog.get_logger(__name__)


class SnapshotKeeper:
    """Holds the current snapshot and replaces it whole.

    Args:
        replica_timeout_seconds: a replica that has been silent for longer is not live.
        stable_only_after_seconds: how long candidates go on answering without the registry.
    """

    def __init__(
        self,
        database: Database,
        *,
        replica_timeout_seconds: float,
        stable_only_after_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._replica_timeout = replica_timeout_seconds
        self._stable_only_after = stable_only_after_seconds
        self._clock = clock
        self._revisions: dict[str, int] = {}
        self._refreshing = asyncio.Lock()
        self._replaced = asyncio.Event()
        self.current = Snapshot()
        """The snapshot to work with; take it once per request."""
        self.checked_at = 0.0
        """When the registry was last seen, in seconds since the epoch."""
        self._away = False
        self._outage = loading.NO_OUTAGE
        """The last one."""

    async def refresh(self) -> None:
        """Load what changed since the last time; nothing changed costs one small query.

        Raises:
            RegistryUnavailable: the registry is away; what is in memory goes on serving.
        """
        try:
            await self._refresh()
        except RegistryUnavailable:
            self._away = True
            self._withdraw_candidates()
            raise

    async def _refresh(self) -> None:
        async with self._refreshing, self._database.read() as connection:
            revisions = await _revisions(connection)
            self._note_return()
            stale = {s for s, revision in revisions.items() if revision != self._revisions.get(s)}
            if stale:
                snapshot = await self._load(connection, stale, sum(revisions.values()))
                self._publish(snapshot)
                self._revisions = revisions
        self.checked_at = self._clock()

    async def look_at_replicas(self) -> None:
        """Load the heartbeats, which change no revision, and judge again who is live."""
        async with self._refreshing, self._database.read() as connection:
            self._note_return()
            self._publish(await self._load(connection, {"replicas"}, self.current.revision))

    async def after(self, seen: Snapshot) -> Snapshot:
        """Wait until the snapshot is another one than `seen`, and return it."""
        while self.current is seen:
            await self._replaced.wait()
        return self.current

    async def _load(self, connection: AsyncConnection, stale: set[str], revision: int) -> Snapshot:
        now, snapshot = self._clock(), self.current
        if "keys" in stale:
            snapshot = replace(snapshot, callers=await loading.callers(connection, now))
        if "adapters" in stale:
            snapshot = replace(snapshot, adapters=await loading.adapters(connection))
        if "assistants" in stale:
            snapshot = replace(snapshot, assistants=await loading.assistants(connection))
        if "rollouts" in stale:
            snapshot = replace(
                snapshot,
                canaries=await loading.canaries(connection),
                unseen=await loading.unseen(connection),
                rollouts=await loading.underway(connection),
            )
        replicas = await loading.replicas(
            connection,
            now,
            timeout_seconds=self._replica_timeout,
            pinned=snapshot.pinned,
            outage=self._outage,
        )
        return replace(snapshot, replicas=replicas, revision=revision, taken_at=now)

    def _note_return(self) -> None:
        """Remember how long the registry was away, when this is the first that is heard of it."""
        if self._away:
            self._outage = loading.Outage(self.checked_at, self._clock())
            self._away = False

    def _withdraw_candidates(self) -> None:
        """Serve stable releases only, because a rollback would not be heard of."""
        if not (self.current.canaries or self.current.unseen):
            return
        if self._clock() - self.checked_at > self._stable_only_after:
            _log.warning("registry.stable_only", candidates=len(self.current.canaries))
            self._revisions.pop("rollouts", None)
            self._publish(replace(self.current, canaries={}, unseen={}))

    def _publish(self, snapshot: Snapshot) -> None:
        self.current = snapshot
        self._replaced.set()
        self._replaced = asyncio.Event()


async def _revisions(connection: AsyncConnection) -> dict[str, int]:
    rows = await connection.execute(select(tables.revisions.c.subject, tables.revisions.c.revision))
    return {row.subject: row.revision for row in rows}
