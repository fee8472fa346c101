"""Requests that are cancelled inside a transaction leave no lock behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.chassis.sqlite import WRITES, prepare_sqlite

pytestmark = pytest.mark.anyio

ROUNDS = 40
STEP_SECONDS = 0.00025
"""Each round cancels a little later, so that every place in a transaction has its turn."""


async def write(engine: AsyncEngine) -> None:
    async with engine.execution_options(**{WRITES: True}).begin() as connection:
        await connection.execute(text("SELECT count(*) FROM probe"))
        await connection.execute(text("INSERT INTO probe VALUES (1)"))


async def read(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SELECT count(*) FROM probe"))


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
