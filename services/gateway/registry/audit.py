"""Reading the audit log; it is written by every change of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select

from services.contracts.audit import AuditEvent
from services.gateway.registry import tables
from services.gateway.registry.changes import Registry
from services.gateway.registry.paging import Page, page_of


async def listed(registry: Registry, tenant: str, page: Page) -> tuple[Sequence[AuditEvent], bool]:
    """Read a tenant's events, newest first, and whether there are more."""
    table = tables.events
    statement = select(table).where(table.c.tenant == tenant)
    async with registry.database.read() as connection:
        rows, more = await page_of(connection, statement, page, order=(table.c.id,), id_=table.c.id)
    return [event_of(row) for row in rows], more


def event_of(row: Row[*tuple[Any, ...]]) -> AuditEvent:
    """Read an event."""
    return AuditEvent(
        id=str(row.id),
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        reason=row.reason,
        detail=row.detail,
        request_id=row.request_id,
    )
