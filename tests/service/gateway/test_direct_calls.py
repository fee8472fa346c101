"""Adapter versions that apps call by their own name: replicas hold those that were called last."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.gateway.registry.adapter_usage import AdapterUsage
from services.gateway.registry.loading import adapter_order
from tests.fakes.adapters import write_adapter
from tests.fakes.agent import FakeAgent, eventually
from tests.service.gateway.gateway import GatewayUnderTest

pytestmark = pytest.mark.anyio


async def register(gateway: GatewayUnderTest, tmp_path: Path, name: str) -> str:
    version = await gateway.register(write_adapter(tmp_path / name, name))
    return str(version["id"])


async def call(gateway: GatewayUnderTest, model: str) -> str:
    """Ask a version, whose engine is nowhere, and tell the refusal."""
    body = {"model": model, "messages": [{"role": "user", "content": "?"}]}
    reply = await gateway.application.post("/v1/chat/completions", json=body)
    return str(reply.body["error"]["code"])


async def called_until_held(gateway: GatewayUnderTest, replica: FakeAgent, version: str) -> None:
    """Call as an app does that is told to try again shortly."""

    async def held() -> bool:
        assert await call(gateway, version)
        return version in replica.adapters

    await eventually(held)


async def test_a_version_that_was_unloaded_comes_back_when_it_is_called(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    versions = [await register(gateway, tmp_path, name) for name in ("one", "two", "three")]
    async with gateway.replica(max_cpu_loras=2).beating() as replica:
        await eventually(lambda: len(replica.adapters) == 2)
        (gone,) = set(versions) - set(replica.adapters)
        await called_until_held(gateway, replica, gone)
        assert len(replica.adapters) == 2


async def test_a_version_that_an_assistant_serves_never_gives_way_to_one_that_is_called(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    served, *others = [await register(gateway, tmp_path, name) for name in ("one", "two", "three")]
    async with gateway.replica(max_cpu_loras=2).beating() as replica:
        await gateway.admin.put("/admin/assistants/support", json={"adapter": served})
        for version in (*others, *others):
            await called_until_held(gateway, replica, version)
            assert set(replica.adapters) == {served, version}


async def test_a_stranger_s_call_moves_nothing(gateway: GatewayUnderTest, tmp_path: Path) -> None:
    version = await register(gateway, tmp_path, "one")
    before = (await gateway.admin.get(f"/admin/adapters/{version}")).body["version"]
    stranger = gateway.client(gateway.secrets["neighbour/app"])
    body = {"model": version, "messages": [{"role": "user", "content": "?"}]}
    refused = await stranger.post("/v1/chat/completions", json=body)
    assert refused.body["error"]["code"] == "model_not_found"
    assert await call(gateway, version) == "no_replica"
    await gateway.resources.answering.usage.write()
    # A call changes nothing that an operator decides.
    assert (await gateway.admin.get(f"/admin/adapters/{version}")).body["version"] == before


async def revision(gateway: GatewayUnderTest) -> int:
    """Tell how many changes gateways have heard of."""
    keeper = gateway.resources.registry.keeper
    await keeper.refresh()
    return keeper.current.revision


async def test_gateways_hear_of_a_call_only_where_it_changes_what_comes_first(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    one, two = [await register(gateway, tmp_path, name) for name in ("one", "two")]
    later = time.time() + 60
    usage = AdapterUsage(gateway.resources.registry, 30, lambda: later)

    async def heard(version: str) -> bool:
        nonlocal later
        later += 1
        before = await revision(gateway)
        usage.note("default", version, held=False)
        await usage.write()
        return await revision(gateway) > before

    # The first call of one may find it first already: both were registered in one second.
    await heard(one)
    assert [await heard(version) for version in (one, two, two, one)] == [False, True, False, True]


async def test_a_version_that_is_held_is_noted_again_as_often_as_is_set(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    one, two = [await register(gateway, tmp_path, name) for name in ("one", "two")]
    start = int(time.time()) + 60
    now = start
    usage = AdapterUsage(gateway.resources.registry, 10, lambda: now)

    async def first() -> str:
        async with gateway.resources.registry.database.read() as connection:
            return (await adapter_order(connection))[0][1]

    async def called(version: str, seconds: int) -> str:
        nonlocal now
        now = start + seconds
        usage.note("default", version, held=True)
        await usage.write()
        return await first()

    assert await called(one, 0) == one
    assert await called(two, 5) == two
    assert await called(one, 9) == two
    assert await called(one, 10) == one
