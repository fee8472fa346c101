"""The keys that exist before anybody can issue one: files that the installation provides."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from services.chassis.credentials import key_hash, key_id_of, new_key_id
from services.contracts.keys import KeyWrite, Scope
from services.gateway.registry import tables
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.keys import HOME_TENANT, insert_key, insert_secret

_TENANT_SCOPES = {
    "admin": [Scope.OPERATOR, Scope.KNOWLEDGE, Scope.APP],
    "app": [Scope.APP],
}
_HOME_SCOPES = {
    **_TENANT_SCOPES,
    "agent": [Scope.INTERNAL],
    "tuner": [Scope.INTERNAL],
}
_TENANT = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_MIN_SECRET_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class _KeyFile:
    tenant: str
    name: str
    scopes: list[Scope]
    secret: str


async def register_bootstrap_keys(registry: Registry, folder: Path) -> None:
    """Make sure that the keys in a folder are known.

    `admin.key`, `app.key`, `agent.key` and `tuner.key` belong to the tenant `default`; a folder
    inside holds the `admin.key` and `app.key` of the tenant that it is named after. Other files are
    left alone. A key that is known, revoked ones included, stays as it is.

    Raises:
        ValueError: when a secret is too short to be kept as a plain hash.
    """
    for file in await asyncio.to_thread(_key_files, folder):
        actor = Actor(file.tenant, "bootstrap")
        async with registry.change(actor) as change:
            await _register(change, file)


async def _register(change: Change, file: _KeyFile) -> None:
    keys, secrets = tables.keys, tables.key_secrets
    known = await change.connection.scalar(
        select(secrets.c.key_id).where(secrets.c.hash == key_hash(file.secret))
    )
    if known is not None:
        return
    key_id = key_id_of(file.secret)
    if key_id is None or await change.connection.scalar(
        select(keys.c.id).where(keys.c.id == key_id)
    ):
        key_id = new_key_id()
    await insert_key(change, key_id, KeyWrite(name=file.name, scopes=file.scopes))
    await insert_secret(change, key_id, file.secret)


def _key_files(folder: Path) -> list[_KeyFile]:
    found = _files_of(folder, HOME_TENANT, _HOME_SCOPES)
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        if _TENANT.match(inner.name):
            found += _files_of(inner, inner.name, _TENANT_SCOPES)
    return found


def _files_of(folder: Path, tenant: str, scopes: dict[str, list[Scope]]) -> list[_KeyFile]:
    found = []
    for name, granted in scopes.items():
        path = folder / f"{name}.key"
        if not path.is_file():
            continue
        secret = path.read_text().strip()
        if len(secret) < _MIN_SECRET_CHARACTERS:
            raise ValueError(
                f"{path} holds fewer than {_MIN_SECRET_CHARACTERS} characters; write a longer, "
                "random secret"
            )
        found.append(_KeyFile(tenant, name, granted, secret))
    return found
