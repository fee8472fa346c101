"""The registry database: migrations, one writer at a time, and snapshots that follow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from services.contracts.keys import KeyWrite, Scope
from services.gateway.registry import audit, keys, ledger, tables
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.database import Database, RegistryUnavailable, open_database
from services.gateway.registry.keeper import SnapshotKeeper
from services.gateway.registry.ledger import LedgerRow
from services.gateway.registry.paging import Page
from services.gateway.registry.schema import alembic_config, migrate

pytestmark = pytest.mark.anyio

ACTOR = Actor("default", "tester")
BEFORE_REWRITING = "0002"
ROW = LedgerRow(at=1.0, tenant="t", key_id="k", request_id="r", status=200)
WRITE = KeyWrite(name="a key", scopes=[Scope.APP])


@pytest.fixture
def url(tmp_path: Path, database_url: str | None) -> str:
    return database_url or f"sqlite:///{tmp_path / '한글 폴더'}/registry.sqlite3"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with open_database(url) as opened:
        yield opened


@contextlib.asynccontextmanager
async def another_gateway(url: str) -> AsyncIterator[Registry]:
    async with open_database(url) as database:
        await migrate(database)
        keeper = SnapshotKeeper(database, replica_timeout_seconds=5, stable_only_after_seconds=5)
        await keeper.refresh()
        yield Registry(database, keeper)


async def test_many_gateways_may_migrate_at_once(url: str) -> None:
    async def start() -> int:
        async with another_gateway(url) as registry:
            return registry.keeper.current.revision

    assert await asyncio.gather(*(start() for _ in range(4))) == [0, 0, 0, 0]


async def test_the_schema_is_what_the_tables_say(database: Database) -> None:
    await migrate(database)
    await migrate(database)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, tables.metadata))

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_migration_that_breaks_leaves_nothing_behind(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE ledger (id INTEGER)"))
    with pytest.raises(Exception, match="ledger"):
        await migrate(database)
    async with database.write() as connection:
        await connection.execute(text("DROP TABLE ledger"))
    await migrate(database)


async def test_rows_from_before_rewriting_have_taken_no_time_for_it(database: Database) -> None:
    def to_the_revision_before(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), BEFORE_REWRITING)

    async with database.write() as connection:
        await connection.run_sync(to_the_revision_before)
    before = MetaData()
    async with database.write() as connection:
        await connection.run_sync(before.reflect, only=["ledger"])
        ledger = before.tables["ledger"]
        row = {f.name: getattr(ROW, f.name) for f in fields(ROW) if f.name in ledger.c}
        await connection.execute(insert(ledger).values(row))
    await migrate(database)
    async with database.read() as connection:
        (kept,) = await connection.execute(select(tables.ledger))
    assert (kept.request_id, kept.rewrite_ms) == (ROW.request_id, 0)


async def test_a_change_that_fails_changes_nothing(url: str) -> None:
    async with another_gateway(url) as registry:

        async def fail_after_issuing() -> None:
            async with registry.change(ACTOR) as change:
                await keys.issue(change, None, write=WRITE)
                raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            await fail_after_issuing()
        assert await keys.listed(registry, "default", Page(10)) == ([], False)
        assert await audit.listed(registry, "default", Page(10)) == ([], False)
        await registry.keeper.refresh()
        assert registry.keeper.current.revision == 0


async def test_writers_of_several_gateways_take_turns(url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(another_gateway(url)) for _ in range(3)]

        async def issue(registry: Registry) -> None:
            async with registry.change(ACTOR) as change:
                count = select(func.count()).select_from(tables.keys)
                before = await change.connection.scalar(count)
                await keys.issue(change, None, write=WRITE)
                assert await change.connection.scalar(count) == (before or 0) + 1

        await asyncio.gather(*(issue(gateways[n % 3]) for n in range(30)))
        for registry in gateways:
            await registry.keeper.refresh()
            assert len(registry.keeper.current.callers) == 30
            assert registry.keeper.current.revision == 30


async def test_a_snapshot_is_replaced_only_when_something_changed(url: str) -> None:
    async with another_gateway(url) as ours, another_gateway(url) as theirs:
        before = theirs.keeper.current
        await theirs.keeper.refresh()
        assert theirs.keeper.current is before
        waiting = asyncio.create_task(theirs.keeper.after(before))
        async with ours.change(ACTOR) as change:
            await keys.issue(change, None, write=WRITE)
        assert ours.keeper.current.revision == 1
        await theirs.keeper.refresh()
        assert (await asyncio.wait_for(waiting, 5)).revision == 1
        assert theirs.keeper.current.callers == ours.keeper.current.callers
        assert theirs.keeper.current.adapters is before.adapters


async def test_more_writers_than_connections_do_not_block_each_other(url: str) -> None:
    async with open_database(url, connections=2) as database:
        await migrate(database)
        registry = Registry(
            database,
            SnapshotKeeper(database, replica_timeout_seconds=5, stable_only_after_seconds=5),
        )

        async def issue() -> None:
            async with registry.change(ACTOR) as change:
                await registry.catch_up()
                await keys.issue(change, None, write=WRITE)

        async with asyncio.timeout(8):
            await asyncio.gather(*(issue() for _ in range(10)))


async def test_ledger_rows_written_twice_are_there_once(url: str) -> None:
    async with another_gateway(url) as registry:
        rows = [
            LedgerRow(at=1.5, tenant="default", key_id="k", request_id=f"r{n}", status=200)
            for n in range(50)
        ]
        await ledger.append(registry.database, rows[:30])
        await ledger.append(registry.database, rows)
        await ledger.append(registry.database, [])
        async with registry.database.read() as connection:
            table = tables.ledger
            assert await connection.scalar(select(func.count()).select_from(table)) == 50
            row = (await connection.execute(select(table).limit(1))).one()
            assert (row.at, row.status, row.streamed) == (1.5, 200, False)


async def test_foreign_keys_hold(database: Database) -> None:
    await migrate(database)
    orphan = insert(tables.key_secrets).values(
        hash="0" * 64, key_id="nobody", tenant="default", created_at=1
    )
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(orphan)


async def test_a_database_that_is_away_is_a_503_with_the_mend() -> None:
    url = "postgresql://nobody:secret@127.0.0.1:9/none"
    async with open_database(url) as database:
        with pytest.raises(RegistryUnavailable) as caught:
            async with database.read() as connection:
                await connection.execute(text("SELECT 1"))
    assert caught.value.status == 503
    assert "secret" not in str(caught.value)


async def test_another_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="sqlite or postgresql, not on mysql"):
        async with open_database("mysql://localhost/x"):
            pass
