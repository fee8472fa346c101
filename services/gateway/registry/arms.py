"""How often things happened on one arm of a rollout, counted from the ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.rollouts.evidence import Rate
from services.gateway.registry import tables

GOOD = 0.5
"""The least score of feedback that is not bad."""

_ledger = tables.ledger.c
_FIRST_TOKEN_MS = (
    _ledger.admit_ms
    + _ledger.rewrite_ms
    + _ledger.retrieve_ms
    + _ledger.compose_ms
    + _ledger.first_token_ms
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds since the epoch."""

    since: float
    until: float = math.inf


async def rates(
    connection: AsyncConnection, tenant: str, release: str, span: Span, *, slow_after_ms: float
) -> Mapping[str, Rate]:
    """Count what happened to a release's answers in a stretch of time.

    Left out are requests that a caller got wrong or did not wait for, and those that were steered
    by hand or narrowed what is looked up.
    """
    failed = _ledger.status >= 500
    answered = _ledger.status < 400
    grounded = and_(answered, _ledger.passages > 0, _ledger.outcome == "answered")
    row = (
        await connection.execute(
            select(
                _count(or_(answered, failed)).label("trials"),
                _count(failed).label("errors"),
                _count(answered).label("answered"),
                _count(and_(answered, _ledger.outcome == "abstained")).label("abstentions"),
                _count(and_(answered, _ledger.invalid_citations > 0)).label("invalid_citations"),
                _count(grounded).label("grounded"),
                _count(and_(grounded, _ledger.cited == 0)).label("uncited_answers"),
                _count(and_(answered, slow_after_ms < _FIRST_TOKEN_MS)).label("slow_answers"),
            ).where(
                _ledger.tenant == tenant,
                _ledger.release == release,
                *_within(_ledger.at, span),
                _ledger.overridden.is_(False),
            )
        )
    ).one()
    scored = await _scored(connection, tenant, release, span)
    of_answers = ("abstentions", "invalid_citations", "slow_answers")
    counted = {name: Rate(getattr(row, name), row.answered) for name in of_answers}
    counted["uncited_answers"] = Rate(row.uncited_answers, row.grounded)
    return {"errors": Rate(row.errors, row.trials), "bad_feedback": scored, **counted}


async def _scored(connection: AsyncConnection, tenant: str, release: str, span: Span) -> Rate:
    table = tables.feedback.c
    row = (
        await connection.execute(
            select(func.count().label("all"), _count(table.score < GOOD).label("bad")).where(
                table.tenant == tenant,
                table.release == release,
                *_within(table.asked_at, span),
                table.overridden.is_(False),
            )
        )
    ).one()
    return Rate(row.bad, row.all)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _within(column: ColumnElement[float], span: Span) -> list[ColumnElement[bool]]:
    began = column >= span.since
    return [began] if math.isinf(span.until) else [began, column < span.until]
