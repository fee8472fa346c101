"""How often things happened on the arms of a rollout, counted from the ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.rollouts.evidence import Rate
from services.gateway.registry import tables

GOOD = 0.5
"""The least score of feedback that is not bad."""

_OF_ANSWERS = (
    "abstentions",
    "invalid_citations",
    "slow_answers",
    "long_answers",
    "costly_answers",
)
_ledger = tables.ledger.c


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds since the epoch."""

    since: float
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on an answer is one of those that are counted."""

    slow_after_ms: float
    slow_stream_after_ms: float
    long_after_tokens: int
    costly_after_usd: float
    unsupported_below: float


async def rates(
    connection: AsyncConnection, tenant: str, release: str, span: Span, thresholds: Thresholds
) -> Mapping[str, Rate]:
    """Count what happened to a release's answers in a stretch of time.

    Left out are requests that a caller got wrong or did not wait for, those that were steered by
    hand or narrowed what is looked up, and answers that nobody saw.
    """
    counts = _counts(_ledger, _ledger.status >= 500, thresholds)
    row = (await connection.execute(select(*counts).where(*counted(tenant, release, span)))).one()
    return {**_rates_of(row, ""), "bad_feedback": await _scored(connection, tenant, release, span)}


def counted(tenant: str, release: str, span: Span) -> list[ColumnElement[bool]]:
    """Choose the rows of the ledger that say something about a release."""
    return [
        _ledger.tenant == tenant,
        _ledger.release == release,
        *_within(_ledger.at, span),
        _ledger.overridden.is_(False),
        _ledger.arm != "shadow",
    ]


def first_token_ms(ledger: Any) -> ColumnElement[float]:
    """Add up what passed until the first token, in milliseconds."""
    before = ledger.admit_ms + ledger.rewrite_ms + ledger.retrieve_ms + ledger.compose_ms
    taken: ColumnElement[float] = before + ledger.first_token_ms
    return taken


async def paired_rates(
    connection: AsyncConnection, tenant: str, candidate: str, thresholds: Thresholds
) -> tuple[Mapping[str, Rate], Mapping[str, Rate]]:
    """Count what happened to requests and to their copies, which a candidate answered unseen.

    Returns:
        The rates of the requests, and those of the copies. What the stable release could answer and
        the candidate could not counts against it, whatever the status.
    """
    asked, copies = tables.ledger.alias("asked"), tables.ledger.alias("copies")
    row = (
        await connection.execute(
            select(
                *_counts(asked.c, asked.c.status >= 500, thresholds, "asked_"),
                *_counts(copies.c, copies.c.status >= 400, thresholds, "copies_"),
            )
            .join_from(copies, asked, asked.c.id == copies.c.copy_of)
            .where(
                copies.c.tenant == tenant,
                copies.c.release == candidate,
                copies.c.arm == "shadow",
            )
        )
    ).one()
    return _rates_of(row, "asked_"), _rates_of(row, "copies_")


def _counts(
    ledger: Any, failed: ColumnElement[bool], thresholds: Thresholds, prefix: str = ""
) -> list[ColumnElement[int]]:
    answered = ledger.status < 400
    grounded = and_(answered, ledger.passages > 0, ledger.outcome == "answered")
    weighed = and_(grounded, ledger.support.is_not(None))
    streamed = and_(answered, ledger.inter_token_ms.is_not(None))
    slow = first_token_ms(ledger) > thresholds.slow_after_ms
    conditions = {
        "trials": or_(answered, failed),
        "errors": failed,
        "answered": answered,
        "abstentions": and_(answered, ledger.outcome == "abstained"),
        "invalid_citations": and_(answered, ledger.invalid_citations > 0),
        "grounded": grounded,
        "uncited_answers": and_(grounded, ledger.cited == 0),
        "weighed": weighed,
        "unsupported_answers": and_(weighed, ledger.support < thresholds.unsupported_below),
        "slow_answers": and_(answered, slow),
        "streamed": streamed,
        "slow_streams": and_(streamed, ledger.inter_token_ms > thresholds.slow_stream_after_ms),
        "long_answers": and_(answered, ledger.completion_tokens > thresholds.long_after_tokens),
        "costly_answers": and_(answered, ledger.cost_usd > thresholds.costly_after_usd),
    }
    return [_count(condition).label(prefix + name) for name, condition in conditions.items()]


def _rates_of(row: Any, prefix: str) -> dict[str, Rate]:
    def count(name: str) -> int:
        return int(getattr(row, prefix + name))

    counted = {name: Rate(count(name), count("answered")) for name in _OF_ANSWERS}
    counted["uncited_answers"] = Rate(count("uncited_answers"), count("grounded"))
    counted["unsupported_answers"] = Rate(count("unsupported_answers"), count("weighed"))
    counted["slow_streams"] = Rate(count("slow_streams"), count("streamed"))
    return {"errors": Rate(count("errors"), count("trials")), **counted}


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
