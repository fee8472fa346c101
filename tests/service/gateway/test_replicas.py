"""Heartbeats: what replicas are told, and when they count as live and ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.adapters import write_adapter
from tests.fakes.agent import eventually
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test

pytestmark = pytest.mark.anyio

REPLICAS = "/admin/replicas"
HEARTBEAT = "/internal/replicas/heartbeat"


async def shown(gateway: GatewayUnderTest) -> dict[str, dict[str, Any]]:
    return {r["replica"]: r for r in (await gateway.admin.get(REPLICAS)).body["data"]}


async def test_a_replica_is_live_from_its_first_report(gateway: GatewayUnderTest) -> None:
    await gateway.replica(endpoint="http://10.0.0.1:8100").beat()
    replica = (await shown(gateway))["replica-1"]
    assert (replica["live"], replica["ready"], replica["in_flight"]) == (True, True, 0)
    assert gateway.resources.snapshot.replicas[0].endpoint == "http://10.0.0.1:8100"


async def test_a_silent_replica_is_dead_then_alive_again_then_forgotten(tmp_path: Path) -> None:
    timeouts = {"replica_timeout_seconds": 0.3, "replica_forget_seconds": 1.0}
    async with gateway_under_test(tmp_path, **timeouts) as gateway:
        replica = gateway.replica()

        def is_live() -> bool:
            return any(r.live for r in gateway.resources.snapshot.replicas)

        await replica.beat()
        assert is_live()
        await eventually(lambda: not is_live())
        await replica.beat()
        assert is_live()
        await eventually(lambda: gateway.resources.snapshot.replicas == ())


async def test_steady_heartbeats_keep_a_replica_live_and_are_no_change(tmp_path: Path) -> None:
    async with (
        gateway_under_test(tmp_path, replica_timeout_seconds=1.0) as gateway,
        gateway.replica().beating(),
    ):
        revision = gateway.resources.snapshot.revision
        first = gateway.resources.snapshot.replicas[0].last_heartbeat_at
        await eventually(
            lambda: gateway.resources.snapshot.replicas[0].last_heartbeat_at > first + 1.5
        )
        assert gateway.resources.snapshot.replicas[0].live
        assert gateway.resources.snapshot.revision == revision


async def test_a_replica_whose_engine_is_down_is_live_and_not_ready(
    gateway: GatewayUnderTest,
) -> None:
    replica = gateway.replica(engine="starting")
    await replica.beat()
    assert ((await shown(gateway))["replica-1"]["live"], replica.engine) == (True, "starting")
    assert (await shown(gateway))["replica-1"]["ready"] is False
    replica.engine = "ready"
    await replica.beat()
    assert (await shown(gateway))["replica-1"]["ready"] is True


async def test_a_new_replica_is_ready_only_with_what_is_in_service(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    version = (await gateway.register(write_adapter(tmp_path / "a", "formal")))["id"]
    async with gateway.replica("first").beating():
        await gateway.admin.put("/admin/assistants/helper", json={"adapter": version})
        newcomer = gateway.replica("newcomer", holding_back=True)
        await newcomer.beat()
        assert (await shown(gateway))["newcomer"]["ready"] is False
        await newcomer.beat()
        assert (await shown(gateway))["newcomer"]["ready"] is False
        newcomer.holding_back = False
        await newcomer.beat()
        await newcomer.beat()
        assert (await shown(gateway))["newcomer"]["ready"] is True


async def test_one_bad_adapter_takes_no_replica_down(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    version = (await gateway.register(write_adapter(tmp_path / "a", "formal")))["id"]
    replica = gateway.replica()
    async with replica.beating():
        await gateway.admin.put("/admin/assistants/helper", json={"adapter": version})
        replica.failing[version] = "the file is gone"
        await eventually(lambda: gateway.resources.snapshot.replicas[0].adapters[version].reason)
        assert (await shown(gateway))["replica-1"]["ready"] is True


async def test_another_gateway_on_the_same_registry_sees_the_same(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    if gateway.settings.database_url is None:
        shared: dict[str, Any] = {"data_dir": gateway.settings.data_dir}
    else:
        shared = {"database_url": gateway.settings.database_url.get_secret_value()}
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "keys").symlink_to(tmp_path / "keys")
    async with gateway_under_test(tmp_path / "second", **shared) as second:
        version = (await gateway.register(write_adapter(tmp_path / "a", "formal")))["id"]
        replica = second.replica()
        assert [order.id for order in await replica.beat()] == [version]
        async with replica.beating():
            bound = await gateway.admin.put("/admin/assistants/helper", json={"adapter": version})
            assert bound.status == 200
            await eventually(lambda: ("default", "helper") in second.resources.snapshot.assistants)
            assert (await replica.beat())[0].pinned
        key = await gateway.admin.post("/admin/keys", json={"name": "k", "scopes": ["app"]})
        client = second.client(key.body["secret"])

        async def known() -> bool:
            return (await client.get("/v1/collections")).status == 200

        await eventually(known)
        await second.admin.delete(f"/admin/keys/{key.body['id']}")

        async def unknown() -> bool:
            revoked = await gateway.client(key.body["secret"]).get("/v1/collections")
            return revoked.status == 401

        await eventually(unknown)


async def test_a_malformed_report_is_a_400_and_no_replica(gateway: GatewayUnderTest) -> None:
    report = gateway.replica().report.model_dump(mode="json")
    for change in ({"replica": "한글"}, {"engine": "odd"}, {"max_loras": "x"}):
        refused = await gateway.agent.post(HEARTBEAT, json={**report, **change})
        assert refused.status == 400, change
    assert await shown(gateway) == {}


async def test_a_report_of_a_later_version_is_taken_without_what_is_new(
    gateway: GatewayUnderTest,
) -> None:
    report = gateway.replica().report.model_dump(mode="json")
    adapters = {"formal@000000000000": {"state": "loading", "of_a_later_version": 1}}
    newer = {**report, "adapters": adapters, "of_a_later_version": 1}
    assert (await gateway.agent.post(HEARTBEAT, json=newer)).status == 200
    assert set(await shown(gateway)) == {report["replica"]}


async def test_the_registry_is_shown_in_the_metrics(gateway: GatewayUnderTest) -> None:
    await gateway.replica().beat()
    text = (await gateway.client(None).get("/metrics")).body
    assert 'inkstone_replicas{state="live"} 1.0' in text
    assert 'inkstone_replicas{state="ready"} 1.0' in text
    assert 'inkstone_background_failures_total{loop="snapshot"} 0.0' in text
    for name in ("inkstone_registry_revision", "inkstone_registry_age_seconds"):
        assert f"\n{name} " in text


async def test_who_holds_what_is_shown_in_the_metrics(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    version = (await gateway.register(write_adapter(tmp_path / "a", "formal")))["id"]
    series = f'inkstone_replica_adapter_ready{{adapter="{version}",replica="replica-1"}}'

    async def shown(value: float) -> bool:
        return f"{series} {value}" in (await gateway.client(None).get("/metrics")).body

    async with gateway.replica(holding_back=True).beating() as replica:
        await eventually(lambda: shown(0.0))
        replica.holding_back = False
        await eventually(lambda: shown(1.0))


async def test_a_gateway_without_replicas_is_ready_to_take_heartbeats(
    gateway: GatewayUnderTest,
) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await gateway.client(None).get(path)).status == 200
