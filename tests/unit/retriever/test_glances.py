"""Short reads that share a visit to the catalogue's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text

from services.chassis.sqlite import prepare_sqlite
from services.retriever.catalogue.glances import Glances

pytestmark = pytest.mark.anyio

READERS = 10


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path / 'glances.sqlite3'}")
    prepare_sqlite(engine, busy_seconds=30)
    return engine


@pytest.fixture
def glances(engine: Engine) -> Iterator[Glances]:
    glances = Glances(engine)
    yield glances
    glances.close()


async def test_those_who_wait_share_a_transaction(engine: Engine, glances: Glances) -> None:
    begun: list[Connection] = []
    event.listen(engine, "begin", begun.append)

    def look(connection: Connection) -> int:
        return int(connection.scalar(text("SELECT 1")) or 0)

    reads = [glances.glance(look) for _ in range(READERS)]
    assert await asyncio.gather(*reads) == [1] * READERS
    # The first finds nobody waiting; the others wait for it.
    assert len(begun) == 2


async def test_a_read_that_fails_fails_alone(glances: Glances) -> None:
    def fine(connection: Connection) -> int:
        return int(connection.scalar(text("SELECT 1")) or 0)

    def wrong(connection: Connection) -> int:
        raise ValueError("no")

    found = await asyncio.gather(
        *(glances.glance(look) for look in (fine, fine, wrong, fine)), return_exceptions=True
    )
    assert [type(each) for each in found] == [int, int, ValueError, int]


async def test_nobody_waits_for_one_who_left(glances: Glances) -> None:
    def look(connection: Connection) -> int:
        return int(connection.scalar(text("SELECT 1")) or 0)

    first, leaving, staying = (asyncio.ensure_future(glances.glance(look)) for _ in range(3))
    await asyncio.sleep(0)
    leaving.cancel()
    assert [await first, await staying] == [1, 1]
    assert leaving.cancelled()
