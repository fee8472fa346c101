"""Many open a new database at once; a cancelled request leaves no lock behind."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.chassis.sqlite import WRITES, prepare_sqlite

ROUNDS = 40
OPENERS = 6
STEP_SECONDS = 0.00025
"""Each round cancels a little later, so that every place in a transaction has its turn."""


async def write(engine: AsyncEngine) -> None:
    async with engine.execution_options(**{WRITES: True}).begin() as connection:
        await connection.execute(text("SELECT count(*) FROM probe"))
        await connection.execute(text("INSERT INTO probe VALUES (1)"))


async def read(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SELECT count(*) FROM probe"))


@pytest.mark.anyio
async def test_a_cancelled_transaction_gives_the_writers_lock_back(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'probe.sqlite3'}")
    prepare_sqlite(engine.sync_engine, busy_seconds=10)
    async with engine.execution_options(**{WRITES: True}).begin() as connection:
        await connection.execute(text("CREATE TABLE probe (number INTEGER)"))
    for number in range(ROUNDS):
        work = (write, read, write, read, write, read)
        tasks = [asyncio.create_task(one(engine)) for one in work]
        await asyncio.sleep(number * STEP_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # With the lock left behind this waits for SQLite's whole patience, and fails.
        await write(engine)
    await engine.dispose()


def test_many_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    def open_and_write(path: Path, together: Barrier) -> None:
        engine = create_engine(f"sqlite:///{path}")
        prepare_sqlite(engine, busy_seconds=10)
        together.wait()
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS probe (number INTEGER)"))
            connection.execute(text("INSERT INTO probe VALUES (1)"))
        engine.dispose()

    with ThreadPoolExecutor(OPENERS) as pool:
        for number in range(ROUNDS):
            path, together = tmp_path / f"{number}.sqlite3", Barrier(OPENERS)
            opening = [pool.submit(open_and_write, path, together) for _ in range(OPENERS)]
            assert [each.result() for each in opening] == [None] * OPENERS
            with sqlite3.connect(path) as connection:
                assert connection.execute("SELECT count(*) FROM probe").fetchone() == (OPENERS,)
            connection.close()
