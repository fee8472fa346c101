"""SQLite under SQLAlchemy, with its transactions in our own hands."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, event

WRITES = "inkstone_writes"
"""The execution option that makes a connection's transactions take the writer's lock at once."""

_PRAGMAS = (
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
        _turn_to_wal(cursor, busy_seconds)
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


def _turn_to_wal(cursor: Any, busy_seconds: float) -> None:
    """Turn a database to WAL, however many connections open a new one at once.

    Of two that turn it at the same moment SQLite fails one without waiting, as each holds the lock
    that the other one waits for. A transaction of our own does wait, for the one that was first.
    """
    deadline = time.monotonic() + busy_seconds
    while not _is_turned_to_wal(cursor, give_up=time.monotonic() > deadline):
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("COMMIT")


def _is_turned_to_wal(cursor: Any, *, give_up: bool) -> bool:
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError:
        if give_up:
            raise
        return False
    return True
