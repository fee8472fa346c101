"""Forgetting rows of the ledger that are older than they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

from sqlalchemy import Table, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.rollouts.states import ACTIVE
from services.gateway.registry import leases, tables
from services.gateway.registry.changes import Actor, Registry

LEASE = "retention"
ACTOR = "retention"


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes what is old, a batch at a time; one gateway does it for all."""

    registry: Registry
    ledger_seconds: float
    """How long rows of the ledger, and the feedback on their answers, are kept."""
    batch_rows: int
    """How many rows one transaction removes; others write between two."""
    lease_seconds: float
    name: str = field(default_factory=lambda: uuid4().hex)
    """What this gateway calls itself as the lease's holder."""

    async def sweep(self) -> None:
        """Remove everything that is old; what was removed is in each tenant's audit log."""
        async with self.registry.database.read() as connection:
            tenants = list(await connection.scalars(select(tables.keys.c.tenant).distinct()))
            before = await self._oldest_kept(connection)
        for tenant in sorted(tenants):
            if not await leases.hold(self.registry, LEASE, self.name, seconds=self.lease_seconds):
                return
            rows = await self._remove(tenant, before)
            if rows:
                async with self.registry.change(Actor(tenant, ACTOR)) as change:
                    detail = {"rows": rows, "before": before}
                    await change.record("ledger.forgotten", None, "ledger", detail)

    async def _oldest_kept(self, connection: AsyncConnection) -> float:
        """Name the age limit; what a rollout under way rests on is not older than that."""
        table = tables.rollouts.c
        began = await connection.scalar(
            select(func.min(table.created_at)).where(table.state.in_(ACTIVE))
        )
        limit = self.registry.clock() - self.ledger_seconds
        return limit if began is None else min(limit, float(began))

    async def _remove(self, tenant: str, before: float) -> int:
        """Remove a tenant's old rows, and tell how many of the ledger there were."""
        removed = 0
        while batch := await self._remove_batch(tables.ledger, "id", "at", tenant, before):
            removed += batch
        while await self._remove_batch(tables.feedback, "request_id", "asked_at", tenant, before):
            pass
        return removed

    async def _remove_batch(
        self, table: Table, key: str, at: str, tenant: str, before: float
    ) -> int:
        old = (table.c.tenant == tenant, table.c[at] < before)
        some = select(table.c[key]).where(*old).limit(self.batch_rows)
        async with self.registry.database.append() as connection:
            gone = await connection.execute(delete(table).where(*old, table.c[key].in_(some)))
        return int(gone.rowcount)
