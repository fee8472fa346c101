"""What happens to a rollout, as a stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from sqlalchemy import select

from services.contracts.audit import AuditEvent
from services.domain.rollouts.states import ACTIVE
from services.gateway.registry import rollouts, tables
from services.gateway.registry.audit import event_of
from services.gateway.registry.changes import Registry

PING_SECONDS = 15.0
"""How long a stream is silent at most; proxies close connections that are silent for long."""

PING = b": still here\n\n"


async def follow(
    registry: Registry, tenant: str, name: str, id_: str, after: int
) -> AsyncIterator[bytes]:
    """Tell everything that has happened to a rollout, and go on until it is over.

    Args:
        after: the number of the last event that the reader has seen, 0 for none.
    """
    while True:
        snapshot = registry.keeper.current
        events, over = await _news(registry, tenant, name, id_, after)
        for event in events:
            after = int(event.id)
            yield _written(event)
        if over:
            return
        try:
            async with asyncio.timeout(PING_SECONDS):
                await registry.keeper.after(snapshot)
        except TimeoutError:
            yield PING


async def _news(
    registry: Registry, tenant: str, name: str, id_: str, after: int
) -> tuple[Sequence[AuditEvent], bool]:
    table = tables.events
    query = select(table).where(
        table.c.tenant == tenant, table.c.subject == id_, table.c.id > after
    )
    async with registry.database.read() as connection:
        standing = await rollouts.find(connection, tenant, name, id_)
        rows = (await connection.execute(query.order_by(table.c.id))).all()
    return [event_of(row) for row in rows], standing.progress.state not in ACTIVE


def _written(event: AuditEvent) -> bytes:
    return f"id: {event.id}\nevent: {event.action}\ndata: {event.model_dump_json()}\n\n".encode()
