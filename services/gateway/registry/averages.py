"""What a release's answers took on average, from the ledger."""

from __future__ import annotations

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.rollouts import ArmSeen
from services.gateway.registry import tables
from services.gateway.registry.arms import Span, counted, first_token_ms

_ledger = tables.ledger.c


async def averages(connection: AsyncConnection, tenant: str, release: str, span: Span) -> ArmSeen:
    """Average over the answers that the checks count, those that failed left out."""
    answered = _ledger.status < 400
    figures = {
        "first_token_ms": first_token_ms(_ledger),
        "inter_token_ms": _ledger.inter_token_ms,
        "prompt_tokens": _ledger.prompt_tokens,
        "completion_tokens": _ledger.completion_tokens,
        "support": _ledger.support,
        "cost_usd": _ledger.cost_usd,
    }
    means = [func.avg(case((answered, each))).label(name) for name, each in figures.items()]
    count = func.count(case((answered, 1))).label("answers")
    row = (
        await connection.execute(select(count, *means).where(*counted(tenant, release, span)))
    ).one()
    found = {name: getattr(row, name) for name in figures}
    return ArmSeen(
        answers=row.answers,
        **{name: None if mean is None else float(mean) for name, mean in found.items()},
    )
