"""The ledger: one row per answered request, written in bulk behind the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy.dialects import postgresql, sqlite

from services.gateway.registry import tables
from services.gateway.registry.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """What is kept of one request."""

    at: float
    """When the request came, in seconds since the epoch."""
    tenant: str
    key_id: str
    request_id: str
    assistant: str | None = None
    release: str | None = None
    arm: Literal["stable", "candidate", "shadow"] = "stable"
    adapter: str | None = None
    replica: str | None = None
    status: int
    """The HTTP status, or the status that an error inside a stream stands for."""
    outcome: Literal["answered", "abstained", "escalate"] | None = None
    error_code: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    admit_ms: float = 0.0
    rewrite_ms: float = 0.0
    retrieve_ms: float = 0.0
    compose_ms: float = 0.0
    first_token_ms: float = 0.0
    generate_ms: float = 0.0
    inter_token_ms: float | None = None
    """Of a stream: what the engine took between two tokens, on average after the first; none for
    an answer that came whole or has no second token."""
    total_ms: float = 0.0
    passages: int = 0
    cited: int = 0
    invalid_citations: int = 0
    support: float | None = None
    """The share of the words of sentences with citations that stands in what they cite."""
    corpus_revision: int | None = None
    streamed: bool = False
    disconnected: bool = False
    overridden: bool = False
    """The caller narrowed retrieval, so the row is left out of rollout analysis."""
    caller_system: bool = False
    """The caller sent a system or developer message."""
    copy_of: str | None = None
    """Of a shadow's row: the row of the request that it is a copy of."""
    id: str = field(default_factory=lambda: uuid4().hex)
    """Makes writing the same batch again harmless."""


_FIELDS = tuple(column.name for column in fields(LedgerRow))


async def append(database: Database, rows: Sequence[LedgerRow]) -> None:
    """Write rows in one transaction; rows that were written before are left alone."""
    if not rows:
        return
    insert = sqlite.insert if database.dialect == "sqlite" else postgresql.insert
    statement = insert(tables.ledger).on_conflict_do_nothing()
    async with database.append() as connection:
        await connection.execute(statement, [_values(row) for row in rows])


def _values(row: LedgerRow) -> dict[str, Any]:
    """Read a row's fields; `asdict` copies each of them deeply, which a busy gateway feels."""
    return {name: getattr(row, name) for name in _FIELDS}
