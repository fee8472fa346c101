"""The content store's rows: written behind the answers, read and erased by who may."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.contracts.content import KeptContent
from services.gateway.registry import tables
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.database import Database
from services.gateway.registry.paging import Page, page_of

_content = tables.content


@dataclass(frozen=True, slots=True)
class Kept:
    """A request's texts, as they are written."""

    tenant: str
    id: str
    """Of the request's row in the ledger."""
    request_id: str
    end_user: str | None
    """As `end_user_hash` makes it."""
    assistant: str
    release: str
    arm: str
    at: float
    expires_at: float
    question: str
    passages: list[dict[str, Any]]
    answer: str


@dataclass(frozen=True, slots=True)
class KeptUnseen:
    """What a candidate answered unseen to a request whose texts are kept."""

    tenant: str
    id: str
    release: str
    answer: str


def end_user_hash(tenant: str, end_user: str) -> str:
    """Name an end user without keeping the name."""
    return hashlib.sha256(f"{tenant}\n{end_user}".encode()).hexdigest()


async def write(database: Database, kept: Sequence[Kept | KeptUnseen]) -> None:
    """Write texts in one transaction, in order; what was written before is left alone.

    An unseen answer to a request that is not kept, because it was erased, is not kept either.
    """
    insert = sqlite.insert if database.dialect == "sqlite" else postgresql.insert
    async with database.append() as connection:
        for each in kept:
            if isinstance(each, Kept):
                fresh = insert(_content).values(**asdict(each)).on_conflict_do_nothing()
                await connection.execute(fresh)
            else:
                await connection.execute(
                    update(_content)
                    .where(_content.c.tenant == each.tenant, _content.c.id == each.id)
                    .values(shadow_release=each.release, shadow_answer=each.answer)
                )


async def listed(
    registry: Registry,
    tenant: str,
    page: Page,
    *,
    assistant: str | None,
    request_id: str | None,
) -> tuple[Sequence[KeptContent], bool]:
    """Read what is kept for a tenant, newest first, and whether there is more."""
    wanted = select(_content).where(
        _content.c.tenant == tenant, _content.c.expires_at > registry.clock()
    )
    if assistant is not None:
        wanted = wanted.where(_content.c.assistant == assistant)
    if request_id is not None:
        wanted = wanted.where(_content.c.request_id == request_id)
    order = (_content.c.at, _content.c.id)
    async with registry.database.read() as connection:
        rows, more = await page_of(connection, wanted, page, order=order, id_=_content.c.id)
    return [_content_of(row) for row in rows], more


async def erase(
    registry: Registry, actor: Actor, *, request_id: str | None, end_user: str | None
) -> int:
    """Erase a tenant's texts of a request, or of an end user, and tell how many there were.

    What the audit log keeps of it is the way and the number, never the end user's name.
    """
    mine: list[ColumnElement[bool]] = [_content.c.tenant == actor.tenant]
    if request_id is not None:
        mine.append(_content.c.request_id == request_id)
    if end_user is not None:
        mine.append(_content.c.end_user == end_user_hash(actor.tenant, end_user))
    async with registry.change(actor) as change:
        erased = int((await change.connection.execute(delete(_content).where(*mine))).rowcount)
        by = "request_id" if request_id is not None else "end_user"
        await change.record("content.erased", None, request_id or "-", {"by": by, "erased": erased})
    return erased


async def forget(registry: Registry, tenants: Collection[str]) -> None:
    """Erase what has expired, and everything of tenants that no longer want it kept."""
    expired = _content.c.expires_at <= registry.clock()
    unwanted = _content.c.tenant.not_in(sorted(tenants))
    for over in (expired, unwanted):
        # Asked one by one, each is answered from an index.
        async with registry.database.read() as connection:
            found = await connection.scalar(select(_content.c.tenant).where(over).limit(1))
        if found is not None:
            async with registry.database.append() as connection:
                await connection.execute(delete(_content).where(over))


def _content_of(row: Row[Any]) -> KeptContent:
    return KeptContent.received(
        {name: getattr(row, name) for name in KeptContent.model_fields if name != "object"}
    )
