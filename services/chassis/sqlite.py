"""SQLite under SQLAlchemy, with its transactions in our own hands."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event

WRITES = "inkstone_writes"
"""The execution option that makes a connection's transactions take the writer's lock at once."""

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "cache_size = -16384",
)


def prepare_sqlite(engine: Engine, *, busy_seconds: float) -> None:
    """Make an engine's transactions whole, durable, and free of locks that nobody holds.

    Args:
        engine: one that has not connected yet; of an asynchronous one its `sync_engine`.
        busy_seconds: how long a statement waits for another connection's transaction.
    """

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _: Any) -> None:
        # The driver's own BEGIN comes too late: it would leave reads and DDL outside.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    @event.listens_for(engine, "invalidate")
    def _on_invalidate(connection: Any, _: Any, __: Any) -> None:
        # A cancelled request's connection is closed with a statement still open, which SQLite takes
        # for a reason to keep the transaction, and with it the writer's lock.
        connection.rollback()
