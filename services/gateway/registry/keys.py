"""API keys: issuing, rotating, revoking."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.credentials import key_hash, new_api_key, new_key_id
from services.chassis.errors import Conflict, Forbidden, InvalidRequest, NotFound
from services.contracts.keys import IssuedKey, Key, KeyWrite, Scope
from services.gateway.registry import tables, versions
from services.gateway.registry.changes import Actor, Change, Registry, Subject
from services.gateway.registry.paging import Page, page_of
from services.gateway.registry.rows import key_of
from services.gateway.registry.versions import Expected

HOME_TENANT = "default"
"""The tenant that runs the installation; only its operators may let services in."""


class LastOperatorKey(Conflict):
    """Without this key nobody could administer the tenant."""

    code = "last_operator_key"


class KeyChanged(Conflict):
    """Somebody else rotated or revoked the key in between."""

    code = "key_changed"


async def issue(change: Change, seed: bytes | None, *, write: KeyWrite) -> IssuedKey:
    """Make a key in the actor's tenant; its secret is shown this once.

    Args:
        seed: the random part of the secret; fresh when None.
    """
    _check(write, change)
    secret = new_api_key(key_id := new_key_id(), seed)
    await insert_key(change, key_id, write)
    await insert_secret(change, key_id, secret)
    key = await _one(change.connection, change.actor.tenant, key_id)
    return IssuedKey(**dict(key), secret=secret)


async def rotate(
    change: Change,
    seed: bytes | None,
    *,
    key_id: str,
    overlap_seconds: int,
    expected: Expected = None,
) -> IssuedKey:
    """Give a key a new secret; the secrets that it had stay valid for the overlap only.

    Raises:
        KeyChanged: the key is not at the expected version.
    """
    key = await _one(change.connection, change.actor.tenant, key_id)
    versions.check(f"The key {key_id!r}", key.version, expected, KeyChanged)
    if key.revoked_at is not None:
        raise Conflict(
            f"The key {key_id!r} is revoked; issue a new one instead.", code="key_revoked"
        )
    until, secrets = change.second + overlap_seconds, tables.key_secrets
    await change.connection.execute(
        update(secrets)
        .where(secrets.c.key_id == key_id)
        .where(or_(secrets.c.expires_at.is_(None), secrets.c.expires_at > until))
        .values(expires_at=until)
    )
    secret = new_api_key(key_id, seed)
    await insert_secret(change, key_id, secret)
    await change.connection.execute(
        update(tables.keys).where(tables.keys.c.id == key_id).values(version=key.version + 1)
    )
    await change.record("key.rotated", Subject.KEYS, key_id, {"overlap_seconds": overlap_seconds})
    return IssuedKey(**{**dict(key), "version": key.version + 1}, secret=secret)


async def revoke(
    registry: Registry, actor: Actor, key_id: str, *, expected: Expected = None
) -> None:
    """End a key at once, all its secrets with it; a revoked key stays listed.

    Raises:
        KeyChanged: the key is not at the expected version.
        LastOperatorKey: when nobody could administer the tenant afterwards.
    """
    async with registry.change(actor) as change:
        key = await _one(change.connection, actor.tenant, key_id)
        versions.check(f"The key {key_id!r}", key.version, expected, KeyChanged)
        if key.revoked_at is not None:
            return
        if Scope.OPERATOR in key.scopes and not await _another_operator(change, key_id):
            raise LastOperatorKey(
                f"{key_id!r} is the tenant's last operator key; issue another one first."
            )
        await change.connection.execute(
            update(tables.keys).where(tables.keys.c.id == key_id).values(revoked_at=change.second)
        )
        await change.record("key.revoked", Subject.KEYS, key_id)


async def one(registry: Registry, tenant: str, key_id: str) -> Key:
    """Read one key of a tenant."""
    async with registry.database.read() as connection:
        return await _one(connection, tenant, key_id)


async def listed(registry: Registry, tenant: str, page: Page) -> tuple[Sequence[Key], bool]:
    """Read a tenant's keys, newest first, and whether there are more."""
    keys = tables.keys
    statement = select(keys).where(keys.c.tenant == tenant)
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection, statement, page, order=(keys.c.created_at, keys.c.id), id_=keys.c.id
        )
    return [key_of(row) for row in rows], more


async def insert_key(change: Change, key_id: str, write: KeyWrite) -> None:
    """Write the row of a key and its audit event."""
    scopes = list(dict.fromkeys(write.scopes))
    await change.connection.execute(
        insert(tables.keys).values(
            id=key_id,
            tenant=change.actor.tenant,
            name=write.name,
            scopes=scopes,
            groups=list(dict.fromkeys(write.groups)),
            created_at=change.second,
            expires_at=write.expires_at,
        )
    )
    detail = {"name": write.name, "scopes": scopes, "groups": write.groups}
    await change.record("key.issued", Subject.KEYS, key_id, detail)


async def insert_secret(change: Change, key_id: str, secret: str) -> None:
    """Let a secret stand for a key; only its hash is kept."""
    await change.connection.execute(
        insert(tables.key_secrets).values(
            hash=key_hash(secret),
            key_id=key_id,
            tenant=change.actor.tenant,
            created_at=change.second,
        )
    )


def _check(write: KeyWrite, change: Change) -> None:
    if write.expires_at is not None and write.expires_at <= change.now:
        raise InvalidRequest(
            "expires_at lies in the past; give seconds since the epoch that are still to come.",
            param="expires_at",
        )
    if Scope.INTERNAL in write.scopes and change.actor.tenant != HOME_TENANT:
        raise Forbidden(
            "Keys with the scope `internal` let services into every tenant; only the operators of "
            f"the tenant {HOME_TENANT!r} may issue them.",
            code="scope_not_grantable",
        )


async def _one(connection: AsyncConnection, tenant: str, key_id: str) -> Key:
    keys = tables.keys
    rows = await connection.execute(
        select(keys).where(keys.c.tenant == tenant, keys.c.id == key_id)
    )
    row = rows.one_or_none()
    if row is None:
        raise NotFound(f"There is no key {key_id!r}.", code="key_not_found")
    return key_of(row)


async def _another_operator(change: Change, key_id: str) -> bool:
    keys, secrets = tables.keys.c, tables.key_secrets.c
    usable = exists().where(
        secrets.key_id == keys.id,
        or_(secrets.expires_at.is_(None), secrets.expires_at > change.now),
    )
    rows = await change.connection.execute(
        select(keys.scopes)
        .where(keys.tenant == change.actor.tenant, keys.id != key_id)
        .where(keys.revoked_at.is_(None), usable)
        .where(or_(keys.expires_at.is_(None), keys.expires_at > change.now))
    )
    return any(Scope.OPERATOR in row.scopes for row in rows)
