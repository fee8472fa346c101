"""What answers cost, added up from the ledger."""

from __future__ import annotations

from sqlalchemy import func, select

from services.contracts.costs import Spent
from services.gateway.registry import tables
from services.gateway.registry.changes import Registry

_ledger = tables.ledger.c


async def spent(registry: Registry, tenant: str, since: float, until: float) -> list[Spent]:
    """Add up a tenant's answers by release and arm, the most expensive first."""
    by = (_ledger.assistant, _ledger.release, _ledger.arm)
    cost = func.sum(_ledger.cost_usd).label("cost_usd")
    query = (
        select(
            *by,
            func.count().label("requests"),
            func.sum(_ledger.prompt_tokens).label("prompt_tokens"),
            func.sum(_ledger.cached_tokens).label("cached_tokens"),
            func.sum(_ledger.completion_tokens).label("completion_tokens"),
            cost,
        )
        .where(_ledger.tenant == tenant, _ledger.at >= since, _ledger.at < until)
        .group_by(*by)
        .order_by(cost.desc(), *by)
    )
    async with registry.database.read() as connection:
        return [
            Spent(
                assistant=row.assistant,
                release=row.release,
                arm=row.arm,
                requests=row.requests,
                prompt_tokens=row.prompt_tokens,
                cached_tokens=row.cached_tokens,
                completion_tokens=row.completion_tokens,
                cost_usd=row.cost_usd,
            )
            for row in await connection.execute(query)
        ]
