"""A database that processes share: SQLite in a file, or Postgres by URL."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.chassis.errors import Unavailable
from services.chassis.sqlite import WRITES, prepare_sqlite

BUSY_SECONDS = 30.0
"""How long a statement waits for another connection's transaction, on SQLite."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}


@dataclass(frozen=True, slots=True)
class Database:
    """An open database: many readers, one writer at a time on either engine."""

    engine: AsyncEngine
    writer_lock: int
    """Names the advisory lock that one writing transaction holds on Postgres."""
    away: Callable[[], Unavailable]
    """Makes the error of callers whose database cannot be reached."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Writers of this process wait here, so that they do not hold all connections waiting."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees one state of the database."""
        with self._translated():
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
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": self.writer_lock}
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
        with self._translated():
            async with self.engine.connect() as connection:
                await connection.execution_options(**{WRITES: True})
                async with connection.begin():
                    yield connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Tell a database that is away from a statement that is wrong."""
        try:
            yield
        except (PoolTimeoutError, OSError) as error:
            raise self.away() from error
        except DBAPIError as error:
            if error.connection_invalidated or _is_away(error):
                raise self.away() from error
            raise


@contextlib.asynccontextmanager
async def open_engine(
    url: str, *, connections: int, schema: str | None = None
) -> AsyncIterator[AsyncEngine]:
    """Connect to a database, and close every connection at the end.

    Args:
        url: of SQLite or Postgres; a SQLite file comes to be with its folder.
        connections: how many this process keeps at the most.
        schema: of Postgres, where names are looked up.

    Raises:
        ValueError: the URL names another kind of database.
    """
    parsed = _with_driver(make_url(url))
    on_postgres = parsed.get_backend_name() == "postgresql"
    named = {"server_settings": {"search_path": schema}} if on_postgres and schema else {}
    engine = create_async_engine(
        parsed,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=on_postgres,
        connect_args=named,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )
    if not on_postgres:
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        prepare_sqlite(engine.sync_engine, busy_seconds=BUSY_SECONDS)
    try:
        yield engine
    finally:
        await engine.dispose()


def _with_driver(url: URL) -> URL:
    name = url.drivername.split("+")[0]
    if name not in _DRIVERS:
        raise ValueError(f"the database runs on sqlite or postgresql, not on {name}")
    return url.set(drivername=_DRIVERS[name])


def _is_away(error: DBAPIError) -> bool:
    """Tell by the driver's codes; a connection that is lost while it is made carries nothing else.

    Postgres, appendix A: class 08 is the connection, 57P a server that stops or starts, 53300 one
    with too many connections.
    """
    state = getattr(error.orig, "sqlstate", None) or ""
    if state.startswith(("08", "57P", "53300")):
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(error, OperationalError) and code != sqlite3.SQLITE_ERROR
