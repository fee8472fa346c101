"""A change on one gateway reaches the others at once, without waiting for them to poll."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests import postgres
from tests.cable import cable
from tests.fakes.agent import eventually
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not postgres.AVAILABLE, reason="there is no Postgres here"),
]

NEVER = 1_000_000
"""Seconds: these gateways do not poll within a test."""


@dataclass(frozen=True)
class Two:
    """Two gateways over one registry, of which the other is reached by a cable of its own."""

    one: GatewayUnderTest
    other: GatewayUnderTest
    url: str

    async def told(self, name: str) -> None:
        """Bind an assistant at one gateway and wait until the other serves it."""
        bound = await self.one.admin.put(f"/admin/assistants/{name}", json={})
        assert bound.status == 200, bound
        assistants = self.other.resources.registry.keeper
        await eventually(lambda: ("default", name) in assistants.current.assistants, seconds=60)

    async def listens(self) -> None:
        """Wait until the other gateway listens."""
        metrics = self.other.resources.metrics
        await eventually(
            lambda: metrics.get_sample_value("inkstone_registry_listening") == 1, seconds=60
        )


@pytest.fixture
async def two(tmp_path: Path, postgres_url: str) -> AsyncIterator[Two]:
    async with (
        postgres.fresh_database(postgres_url) as url,
        gateway_under_test(
            tmp_path, database_url=url, snapshot_poll_seconds=NEVER, heartbeat_seconds=NEVER
        ) as one,
        gateway_under_test(
            tmp_path, database_url=url, snapshot_poll_seconds=NEVER, heartbeat_seconds=NEVER
        ) as other,
    ):
        yield Two(one, other, url)


async def test_a_change_reaches_the_other_gateway_though_it_does_not_poll(two: Two) -> None:
    await two.listens()
    for name in ("first", "second", "셋째".encode().hex()):
        await two.told(name)
    metrics = two.other.resources.metrics
    heard = metrics.get_sample_value("inkstone_registry_propagation_seconds_count")
    assert heard is not None
    assert heard >= 3


async def test_a_listener_that_was_cut_off_listens_again_and_misses_nothing(two: Two) -> None:
    await two.listens()
    server = create_async_engine(
        make_url(two.url).set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT"
    )
    async with server.connect() as connection:
        ended = await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            )
        )
        assert len(ended.all()) == 2
    await server.dispose()
    await two.told("after")
    await two.listens()
    await two.told("later")


async def test_a_gateway_whose_database_was_away_listens_again(
    tmp_path: Path, postgres_url: str
) -> None:
    server = make_url(postgres_url)
    async with contextlib.AsyncExitStack() as stack:
        laid, far = await stack.enter_async_context(cable(postgres_url))
        near = make_url(far).set(host=server.host, port=server.port)
        url = near.render_as_string(hide_password=False)
        one, other = [
            await stack.enter_async_context(
                gateway_under_test(
                    tmp_path, database_url=way, snapshot_poll_seconds=NEVER, heartbeat_seconds=NEVER
                )
            )
            for way in (url, far)
        ]
        two = Two(one, other, url)
        await two.listens()
        laid.pull()
        metrics = other.resources.metrics
        await eventually(
            lambda: metrics.get_sample_value("inkstone_registry_listening") == 0, seconds=60
        )
        bound = await one.admin.put("/admin/assistants/meanwhile", json={})
        assert bound.status == 200
        laid.plugged_in = True
        await two.listens()
        assert ("default", "meanwhile") in other.resources.snapshot.assistants
