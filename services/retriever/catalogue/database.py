"""The database that holds the catalogue."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from services.chassis import database as shared
from services.retriever.catalogue.glances import Glances
from services.retriever.catalogue.tables import collections, installations

Looked = TypeVar("Looked")


@dataclass(frozen=True, slots=True)
class Database(shared.Database):
    """An open catalogue: many readers, one writer at a time."""

    glances: Glances | None = None
    """Cheap reads, of a SQLite file."""

    async def glance(self, look: Callable[[Connection], Looked]) -> Looked:
        """Read from one consistent state at the least cost, as every search does."""
        if self.glances is not None:
            with self._translated():
                return await self.glances.glance(look)
        async with self.read() as connection:
            return await connection.run_sync(look)

    async def installation(self) -> str:
        """Read the name that this catalogue gave itself when it was made."""
        async with self.write() as connection:
            named = insert(installations).values(id=1, name=secrets.token_hex(4))
            await connection.execute(named.on_conflict_do_nothing())
            name: str = (await connection.scalars(select(installations.c.name))).one()
            return name

    async def fingerprints(self) -> set[str]:
        """Name the embedding models that the collections come from."""
        async with self.read() as connection:
            query = select(collections.c.fingerprint).distinct()
            return set(await connection.scalars(query))
