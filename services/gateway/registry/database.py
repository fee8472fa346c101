"""Opening the registry database: SQLite in a file, or Postgres by URL."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.chassis.errors import Unavailable
from services.chassis.sqlite import WRITES, prepare_sqlite

_WRITER_LOCK = 0x1A_2B_57_0E
"""Names the advisory lock that one writing transaction holds on Postgres."""
_BUSY_SECONDS = 30.0


class RegistryUnavailable(Unavailable):
    """The registry database cannot be reached."""

    code = "registry_unavailable"


@dataclass(frozen=True, slots=True)
class Database:
    """The registry database: many readers, one writer at a time on either engine."""

    engine: AsyncEngine
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Writers of this process wait here, so that they do not hold all connections waiting."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees one state of the registry."""
        with _translated():
            async with self.engine.connect() as connection:
                if self.dialect == "postgresql":
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                yield connection

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that commits when the block ends and holds the writer's lock.

        Writers run one after the other, so what one reads before it writes stays true.
        """
        async with self._turn, self._transaction() as connection:
            if self.dialect == "postgresql":
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITER_LOCK}
                )
            yield connection

    @contextlib.asynccontextmanager
    async def append(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction for rows that no decision rests on.

        On Postgres it waits for no other writer; SQLite has one writer at a time all the same.
        """
        async with contextlib.AsyncExitStack() as stack:
            if self.dialect == "sqlite":
                await stack.enter_async_context(self._turn)
            yield await stack.enter_async_context(self._transaction())

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        with _translated():
            async with self.engine.connect() as connection:
                await connection.execution_options(**{WRITES: True})
                async with connection.begin():
                    yield connection


@contextlib.asynccontextmanager
async def open_database(url: str, *, connections: int = 5) -> AsyncIterator[Database]:
    """Connect to the registry and close every connection at the end."""
    parsed = _with_driver(make_url(url))
    engine = create_async_engine(
        parsed,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=parsed.get_backend_name() == "postgresql",
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        prepare_sqlite(engine.sync_engine, busy_seconds=_BUSY_SECONDS)
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


def _with_driver(url: URL) -> URL:
    drivers = {
        "sqlite": "sqlite+aiosqlite",
        "postgresql": "postgresql+asyncpg",
        "postgres": "postgresql+asyncpg",
    }
    name = url.drivername.split("+")[0]
    if name not in drivers:
        raise ValueError(f"the registry runs on sqlite or postgresql, not on {name}")
    return url.set(drivername=drivers[name])


@contextlib.contextmanager
def _translated() -> Any:
    """Tell a database that is away from a statement that is wrong."""
    try:
        yield
    except (PoolTimeoutError, OSError) as error:
        raise RegistryUnavailable(_MEND) from error
    except DBAPIError as error:
        if error.connection_invalidated or _is_away(error):
            raise RegistryUnavailable(_MEND) from error
        raise


def _is_away(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(error, OperationalError) and code != sqlite3.SQLITE_ERROR


_MEND = "The registry database cannot be reached; try again shortly."
