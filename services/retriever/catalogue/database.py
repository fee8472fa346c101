"""The database that holds the catalogue."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from services.chassis import database as shared
from services.retriever.catalogue.tables import collections, installations

Looked = TypeVar("Looked")


@dataclass(frozen=True, slots=True)
class Database(shared.Database):
    """An open catalogue: many readers, one writer at a time."""

    glancing: Engine | None = None
    """Reads of a SQLite file that cost one visit to a thread each."""

    async def glance(self, look: Callable[[Connection], Looked]) -> Looked:
        """Read from one consistent state at the least cost, as every search does.

        On SQLite a read through the asynchronous driver visits a thread for each statement, and
        for begin and end; this one visits it once.
        """
        engine = self.glancing
        if engine is None:
            async with self.read() as connection:
                return await connection.run_sync(look)

        def looking() -> Looked:
            with engine.begin() as connection:
                return look(connection)

        return await asyncio.to_thread(looking)

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
