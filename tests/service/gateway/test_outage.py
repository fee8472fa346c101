"""The registry database goes away for a while: what needs no database goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.gateway.registry.database import RegistryUnavailable, open_database
from services.gateway.registry.keeper import SnapshotKeeper
from tests import postgres
from tests.cable import cable
from tests.fakes.agent import eventually
from tests.service.gateway.gateway import gateway_under_test

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not postgres.AVAILABLE, reason="there is no Postgres here"),
]


async def test_readers_are_answered_without_the_registry_and_writers_after_it_is_back(
    tmp_path: Path, postgres_url: str
) -> None:
    async with (
        cable(postgres_url) as (laid, url),
        gateway_under_test(tmp_path, database_url=url) as gateway,
    ):
        replica = gateway.replica()
        await replica.beat()
        laid.pull()
        assert (await gateway.application.get("/v1/collections")).status == 200
        assert (await gateway.client(None).get("/readyz")).status == 200
        for refused in (
            await gateway.admin.get("/admin/keys"),
            await gateway.admin.put("/admin/assistants/helper", json={}),
            await gateway.agent.post(
                "/internal/replicas/heartbeat", json=replica.report.model_dump(mode="json")
            ),
        ):
            assert (refused.status, refused.code) == (503, "registry_unavailable")
            assert "retry-after" in refused.headers
        laid.plugged_in = True

        async def back() -> bool:
            return (await gateway.admin.get("/admin/keys")).status == 200

        await eventually(back)
        await replica.beat()
        assert (await gateway.admin.put("/admin/assistants/helper", json={})).status == 200
        text = (await gateway.client(None).get("/metrics")).body
        assert 'inkstone_background_failures_total{loop="snapshot"} 0.0' not in text


async def test_without_the_registry_only_stable_releases_answer_until_it_is_back(
    tmp_path: Path, postgres_url: str
) -> None:
    settings = {"look_seconds": 0.02, "stable_only_after_seconds": 0.2}
    async with (
        cable(postgres_url) as (laid, url),
        gateway_under_test(tmp_path, database_url=url, rollouts=settings) as gateway,
    ):
        path = "/admin/assistants/helper"
        assert (await gateway.admin.put(path, json={})).status == 200
        body = {"bundle": {"profile": {"system": "x"}}, "steps": [{"weight": 50}]}
        assert (await gateway.admin.post(f"{path}/rollouts", json=body)).status == 201
        await eventually(lambda: gateway.resources.snapshot.canaries)
        laid.pull()
        await eventually(lambda: not gateway.resources.snapshot.canaries)
        assert gateway.resources.snapshot.assistants
        laid.plugged_in = True
        await eventually(lambda: gateway.resources.snapshot.canaries)


async def test_replicas_that_could_not_be_heard_were_not_silent(
    tmp_path: Path, postgres_url: str
) -> None:
    now = time.time()

    def live() -> list[bool]:
        return [replica.live for replica in keeper.current.replicas]

    async with (
        cable(postgres_url) as (laid, url),
        gateway_under_test(tmp_path, database_url=url) as gateway,
        open_database(url) as database,
    ):
        await gateway.replica().beat()
        keeper = SnapshotKeeper(
            database, replica_timeout_seconds=60, stable_only_after_seconds=60, clock=lambda: now
        )
        await keeper.refresh()
        assert live() == [True]
        laid.pull()
        with pytest.raises(RegistryUnavailable):
            await keeper.refresh()
        now += 1000
        laid.plugged_in = True
        await keeper.refresh()
        for later, is_live in ((0, True), (59, True), (2, False)):
            now += later
            await keeper.look_at_replicas()
            assert live() == [is_live]
