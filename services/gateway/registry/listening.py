"""Hearing at once of what other gateways change, on Postgres; polling goes on beside it.

A change notifies in its own transaction, so that nothing is heard before it can be read. The
connection is one of its own: a pool that hands connections out by transaction would hear nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from services.chassis.telemetry import SECONDS
from services.gateway.registry.changes import CHANNEL
from services.gateway.registry.database import Database, RegistryUnavailable
from services.gateway.registry.keeper import SnapshotKeeper

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
"""The pauses before a connection that was lost is made again; each is twice the one before."""

SILENCE_SECONDS = 10.0
"""A connection that has been silent for so long is asked whether it still is one."""

ANSWER_SECONDS = 5.0
"""How long it may take to say so."""


@dataclass(slots=True)
class _Ear:
    """What one connection has told."""

    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by a change, and by the connection's end."""
    changed_at: list[float] = field(default_factory=list)
    lost: bool = False

    def hear(self, _connection: Any, _process: int, _channel: str, payload: str) -> None:
        with contextlib.suppress(ValueError):
            self.changed_at.append(float(payload))
        self.stirred.set()

    def lose(self, _connection: Any) -> None:
        self.lost = True
        self.stirred.set()


class Listener:
    """Brings the snapshot up to date whenever another gateway has changed the registry."""

    def __init__(
        self, database: Database, keeper: SnapshotKeeper, metrics: CollectorRegistry
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._pause = 0.0
        self._listening = Gauge(
            "inkstone_registry_listening",
            "Whether this gateway is told of changes at once; it polls beside that.",
            registry=metrics,
        )
        self._lag = Histogram(
            "inkstone_registry_propagation_seconds",
            "Time from a change until this gateway serves it, where it is told at once; "
            "the difference of two gateways' clocks is part of it.",
            buckets=SECONDS,
            registry=metrics,
        )

    async def listen(self) -> None:
        """Listen until the connection is lost; for Postgres only.

        Raises:
            RegistryUnavailable: it was lost; the next call waits a little before it tries again.
        """
        await asyncio.sleep(self._pause)
        self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        async with self._connected() as (connection, ear):
            # What changed while nobody listened was not heard.
            await self._keeper.refresh()
            self._pause = 0.0
            self._listening.set(1)
            try:
                while not ear.lost:
                    await self._follow(connection, ear)
            finally:
                self._listening.set(0)
        raise RegistryUnavailable("The connection that hears of changes was lost.")

    async def _follow(self, connection: Any, ear: _Ear) -> None:
        """Wait for a change and take it over, or make sure that the connection is alive."""
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await ear.stirred.wait()
        except TimeoutError:
            await connection.execute("SELECT 1", timeout=ANSWER_SECONDS)
            return
        ear.stirred.clear()
        changed_at, ear.changed_at = ear.changed_at, []
        await self._keeper.refresh()
        for at in changed_at:
            self._lag.observe(max(time.time() - at, 0.0))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[Any, _Ear]]:
        engine, ear = create_async_engine(self._database.engine.url, poolclass=NullPool), _Ear()
        try:
            async with engine.connect() as borrowed:
                connection = (await borrowed.get_raw_connection()).driver_connection
                assert connection is not None
                connection.add_termination_listener(ear.lose)
                await connection.add_listener(CHANNEL, ear.hear)
                yield connection, ear
        finally:
            await engine.dispose()
