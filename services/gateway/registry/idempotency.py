"""Requests that may come twice: the second is answered like the first and changes nothing."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import delete, insert, select

from services.chassis.credentials import new_api_key
from services.chassis.errors import Conflict
from services.contracts.keys import IssuedKey, Key
from services.contracts.wire import Wire
from services.gateway.registry import tables
from services.gateway.registry.changes import Actor, Change, Registry

_Told = TypeVar("_Told", bound=Wire)


class IdempotencyKeyReused(Conflict):
    """The key came before with another request."""

    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that carries an `Idempotency-Key`."""

    key: str
    token: str = field(repr=False)
    """The caller's own API key: only who made the first request gets its reply again."""
    ttl_seconds: int

    def fingerprint(self, what: str) -> str:
        """Name what is asked, and by whom."""
        return hashlib.sha256(f"{self.token}\n{what}".encode()).hexdigest()

    def seed(self, nonce: str) -> bytes:
        """Derive 32 bytes that only the caller's key and the stored nonce together give."""
        return hmac.digest(self.token.encode(), nonce.encode(), "sha256")


async def replay(change: Change, attempt: Attempt, what: str) -> tuple[int, Any] | None:
    """Find the status and the reply of the first request; None when this is the first.

    Raises:
        IdempotencyKeyReused: when the first request asked for something else.
    """
    table, oldest = tables.idempotency, change.second - attempt.ttl_seconds
    await change.connection.execute(delete(table).where(table.c.created_at < oldest))
    rows = await change.connection.execute(
        select(table.c.fingerprint, table.c.status, table.c.reply).where(
            table.c.tenant == change.actor.tenant, table.c.key == attempt.key
        )
    )
    row = rows.one_or_none()
    if row is None:
        return None
    if row.fingerprint != attempt.fingerprint(what):
        raise IdempotencyKeyReused(
            "This Idempotency-Key came before with another request; use a new one for each "
            "different request.",
            param="Idempotency-Key",
        )
    return row.status, row.reply


async def remember(change: Change, attempt: Attempt, what: str, status: int, reply: Any) -> None:
    """Keep the reply of a first request, in the transaction of its effect."""
    await change.connection.execute(
        insert(tables.idempotency).values(
            tenant=change.actor.tenant,
            key=attempt.key,
            fingerprint=attempt.fingerprint(what),
            status=status,
            reply=reply,
            created_at=change.second,
        )
    )


async def once(
    change: Change,
    attempt: Attempt | None,
    what: str,
    act: Callable[[], Awaitable[_Told]],
    shape: type[_Told],
    *,
    status: int = 200,
) -> _Told:
    """Act in a change when a request comes for the first time; later ones get the same reply.

    Raises:
        IdempotencyKeyReused: when the first request asked for something else.
    """
    if attempt is None:
        return await act()
    told = await replay(change, attempt, what)
    if told is not None:
        return shape.received(told[1])
    made = await act()
    await remember(change, attempt, what, status, made.model_dump(mode="json"))
    return made


async def once_elsewhere(
    registry: Registry,
    actor: Actor,
    attempt: Attempt | None,
    what: str,
    act: Callable[[], Awaitable[_Told]],
    shape: type[_Told],
    *,
    status: int = 200,
) -> _Told:
    """Have another service act when a request comes for the first time.

    The reply is kept after the act: what dies between the two may act again.

    Raises:
        IdempotencyKeyReused: when the first request asked for something else.
    """
    if attempt is None:
        return await act()
    async with registry.change(actor) as change:
        told = await replay(change, attempt, what)
    if told is not None:
        return shape.received(told[1])
    made = await act()
    async with registry.change(actor) as change:

        async def done() -> _Told:
            return made

        return await once(change, attempt, what, done, shape, status=status)


async def issue_once(
    registry: Registry,
    actor: Actor,
    attempt: Attempt | None,
    what: str,
    make: Callable[[Change, bytes | None], Awaitable[IssuedKey]],
) -> IssuedKey:
    """Make a secret, once for each `Idempotency-Key`.

    The registry keeps a nonce in place of the secret: with the caller's own key it gives the secret
    again, and without that key it gives nothing.
    """
    async with registry.change(actor) as change:
        if attempt is None:
            return await make(change, None)
        told = await replay(change, attempt, what)
        if told is not None:
            key = Key.received(told[1]["key"])
            return _with_secret(key, attempt.seed(told[1]["nonce"]))
        nonce = secrets.token_hex(32)
        issued = await make(change, attempt.seed(nonce))
        key_fields = issued.model_dump(mode="json", exclude={"secret"})
        await remember(change, attempt, what, 201, {"key": key_fields, "nonce": nonce})
        return issued


def _with_secret(key: Key, seed: bytes) -> IssuedKey:
    return IssuedKey(**dict(key), secret=new_api_key(key.id, seed))
