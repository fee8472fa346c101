"""The catalogue's tables and the database that holds them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.chassis.sqlite import WRITES

Looked = TypeVar("Looked")

metadata = MetaData()

tenants = Table(
    "tenants",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("corpus_revision", Integer, nullable=False),
)
"""How often each tenant's documents have changed."""

collections = Table(
    "collections",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("created_at", Integer, nullable=False),
)
"""Collections, each with the embedding model that its vectors come from."""

documents = Table(
    "documents",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("collection", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("revision", Integer, nullable=False, unique=True),
    Column("title", String, nullable=False),
    Column("uri", String, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("allowed_groups", JSON, nullable=False),
    Column("content_hash", String, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("characters", Integer, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("updated_at", Integer, nullable=False),
)
"""Documents as searches see them; `revision` names the chunks that are live."""

writes = Table(
    "writes",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("collection", String, nullable=False),
    Column("id", String, nullable=False),
    Column("title", String, nullable=False),
    Column("uri", String, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("allowed_groups", JSON, nullable=False),
    Column("content_hash", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("written_at", Integer, nullable=False),
    UniqueConstraint("tenant", "collection", "id"),
    sqlite_autoincrement=True,
)
"""Revisions whose chunks are being made; one that outlives its process is done again."""

texts = Table(
    "texts",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("pages", JSON, nullable=False),
)
"""The text of every live revision and of every write under way."""

leftovers = Table(
    "leftovers",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("fingerprint", String, nullable=False),
)
"""Revisions that nobody sees any more and whose chunks are still to be removed."""

Index("leftovers_by_fingerprint", leftovers.c.fingerprint)


generations = Table(
    "generations",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("serving", Integer, nullable=False),
    Column("building", Integer),
)
"""Which making of an embedding model's index serves, and which one is being made."""

carried = Table(
    "carried",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("chunks", Integer, nullable=False),
)
"""Live revisions of another model's collections that a new model's index holds already."""

installations = Table(
    "installations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
)
"""One row: the random name of this catalogue, so that two never share a server's collection."""


class Database:
    """An open catalogue database: many readers, one writer at a time."""

    def __init__(self, engine: AsyncEngine, glancing: Engine) -> None:
        self._reading = engine
        self._writing = engine.execution_options(**{WRITES: True})
        self._glancing = glancing

    async def glance(self, look: Callable[[Connection], Looked]) -> Looked:
        """Read from one consistent state in one visit to a thread, as every search does.

        A read through the asynchronous driver visits one for each statement, and for begin and end.
        """

        def looking() -> Looked:
            with self._glancing.begin() as connection:
                return look(connection)

        return await asyncio.to_thread(looking)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Read from one consistent state."""
        async with self._reading.connect() as connection, connection.begin():
            yield connection

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Change all or nothing; on disk when the context ends."""
        async with self._writing.begin() as connection:
            yield connection

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
